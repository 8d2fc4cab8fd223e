/* options: the one table of what can be set, and the values in force.
 *
 * The table feeds --help, the keys of the config file and the INLET_... environment variables, so
 * that the three can never disagree. Precedence: command line, environment, config file, default.
 * Single-threaded: filled at start, read-only afterwards. */
#ifndef INLET_CLI_OPTIONS_H
#define INLET_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Commands as bits: which options a command takes. */
enum command_bit {
    CMD_RUN = 1,
    CMD_LOAD = 2,
    CMD_GEN = 4,
    CMD_TABLES = 8,
    CMD_SCHEMA = 16,
    CMD_INSPECT = 32,
    CMD_CONFIG = 64,
    CMD_VERSION = 128,
    CMD_HELP = 256,
    CMD_LAMBDA = 512,
    CMD_INIT = 1024,
    CMD_DOCTOR = 2048,
    CMD_STATUS = 4096,
    CMD_REPLAY = 8192,
    CMD_VERIFY = 16384,
    CMD_OPTIONS = 32768,
    CMD_VIEWS = 1048576,
};
#define CMD_READ (CMD_RUN | CMD_LOAD | CMD_CONFIG) /* with leases, by intervals */
#define CMD_INGEST (CMD_READ | CMD_LAMBDA | CMD_REPLAY)
#define CMD_SETUP (CMD_INIT | CMD_DOCTOR)
#define CMD_LAKE (CMD_INGEST | CMD_TABLES | CMD_SCHEMA | CMD_SETUP | CMD_STATUS | CMD_VERIFY | CMD_VIEWS)
#define CMD_ALL 2097151U

enum option_id {
    OPT_STREAM,
    OPT_LAKE,
    OPT_CATALOG,
    OPT_CATALOG_WAREHOUSE,
    OPT_CATALOG_TOKEN,
    OPT_CATALOG_CREDENTIAL,
    OPT_CATALOG_OAUTH2_URI,
    OPT_CATALOG_SCOPE,
    OPT_CATALOG_SIGN,
    OPT_LEASES,
    OPT_NAMESPACE,
    OPT_S3_ADDRESSING,
    OPT_S3_ENCRYPTION,
    OPT_S3_KMS_KEY,
    OPT_START,
    OPT_UNTIL_CAUGHT_UP,
    OPT_MEMORY,
    OPT_THREADS,
    OPT_COMMIT_INTERVAL,
    OPT_COMMIT_BYTES,
    OPT_START_PATIENCE,
    OPT_QUARANTINE_AFTER,
    OPT_FOLLOW,
    OPT_DEDUP_WINDOW,
    OPT_DEDUP_MEMORY,
    OPT_CREATED_AT_UNIT,
    OPT_ZSTD_LEVEL,
    OPT_MAX_TABLES,
    OPT_MAX_COLUMNS,
    OPT_MAX_PARTITIONS,
    OPT_FSYNC,
    OPT_HASH_KEY_FILE,
    OPT_STRICT,
    OPT_GEN_EVENTS,
    OPT_GEN_TYPES,
    OPT_GEN_SEED,
    OPT_GEN_DUPLICATES,
    OPT_GEN_MALFORMED,
    OPT_GEN_CONFLICTS,
    OPT_GEN_START,
    OPT_GEN_RATE,
    OPT_GEN_STREAM,
    OPT_GEN_AGGREGATE,
    OPT_PARTIAL_FAILURES,
    OPT_REASON,
    OPT_DRY_RUN,
    OPT_FUNCTION,
    OPT_WORKER,
    OPT_HTTP,
    OPT_METRICS,
    OPT_METRICS_INTERVAL,
    OPT_METRICS_TABLES,
    OPT_VIEWS_FOR,
    OPT_VIEWS_NAME,
    OPT_VIEWS_WITH,
    OPT_VIEWS_APPLY,
    OPT_JSON,
    OPT_CONFIG,
    OPT_QUIET,
    OPT_LOG_LEVEL,
    OPT_LOG_FORMAT,
    OPT_HELP,
    OPTION_COUNT
};

enum option_kind {
    OPTION_FLAG,     /* number 0 or 1 */
    OPTION_TEXT,     /* text */
    OPTION_SECRET,   /* text that is never shown, and not taken from the command line */
    OPTION_COUNT_OF, /* number, from min to max */
    OPTION_SIZE,     /* number of bytes: 64KB, 256MB, 1GB (1024 each) */
    OPTION_DURATION, /* number of microseconds: 250ms 60s 15m 1h 7d, and 1h30m */
    OPTION_SHARE,    /* share, 0 to 1 */
    OPTION_CHOICE,   /* number: its place in `choices` */
    OPTION_TIME, /* number of microseconds since 1970, or a word of `choices`: then text is it */
};

struct option {
    const char *name;     /* without "--" */
    const char *key;      /* config key; "INLET_" and it in upper case is the environment's name.
                             NULL: command line only */
    const char *arg;      /* "DIR"; NULL for flags */
    const char *fallback; /* default, as text; NULL: none */
    const char *choices;  /* "auto|s|ms" */
    const char *help;
    unsigned commands;
    enum option_kind kind;
    int64_t min, max; /* of counts, sizes and durations */
};

enum option_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_COMMAND_LINE };

struct option_value {
    char *text; /* as given; NULL: not set and no default */
    int64_t number;
    double share;
    enum option_origin origin;
};

struct options {
    struct option_value values[OPTION_COUNT];
};

const struct option *options_table(void); /* OPTION_COUNT entries */

void options_init(struct options *o); /* the defaults */
void options_fini(struct options *o);
/* Parses and sets, unless a stronger origin has set it before. `where` begins the error's text
 * ("--memory", "inlet.yaml:3: memory"). ERR_INVALID. */
int options_set(struct options *o, enum option_id id, const char *text, enum option_origin origin,
                const char *where, struct err *e);
bool options_key_known(const char *key);
/* One key of the config file ("commit_interval"; dashes pass for underscores); `where` is
 * "file:line". ERR_INVALID for an unknown key, naming the nearest. */
int options_set_key(struct options *o, const char *key, const char *text, const char *where,
                    struct err *e);
/* All INLET_... variables of this NULL-ended list; an unknown one is ERR_INVALID. INLET_TEST_... is
 * left alone. */
int options_set_environment(struct options *o, char *const *environment, struct err *e);
/* The words after the command: options set, the others put into args (room for n), *n_args counted.
 */
int options_set_arguments(struct options *o, unsigned command, int n, char *const *words,
                          char **args, int *n_args, struct err *e);

const char *options_text(const struct options *o, enum option_id id); /* NULL: not set */
int64_t options_number(const struct options *o, enum option_id id);
bool options_flag(const struct options *o, enum option_id id);

/* "INLET_COMMIT_INTERVAL" */
void options_environment_name(const struct option *option, struct buf *out);
/* The aligned list of one command's options for --help. */
void options_help(unsigned command, struct buf *out);
/* The word of `words` nearest to `text`, or NULL where none is near. */
const char *options_nearest(const char *text, const char *const *words, size_t n);

/* Parsers of single values, ERR_INVALID with the reason. */
int options_parse_size(const char *text, int64_t *bytes, struct err *e);
int options_parse_duration(const char *text, int64_t *us, struct err *e);

#endif
