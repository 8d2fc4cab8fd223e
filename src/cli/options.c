/* options: the table, and how a text becomes a value. One table, so that help, config file and
 * environment cannot drift apart. */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/civil.h"

#define KB INT64_C(1024)
#define MB (1024 * KB)
#define GB (1024 * MB)
#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define DISTANCE_WORD_MAX 64
#define HELP_WIDTH 90

static const struct option table[OPTION_COUNT] = {
    [OPT_STREAM] = {"stream", "stream", "kinesis://NAME", NULL, NULL, "the stream to consume",
                    CMD_RUN | CMD_CONFIG | CMD_DOCTOR | CMD_STATUS, OPTION_TEXT, 0, 0},
    [OPT_LAKE] = {"lake", "lake", "PLACE", NULL, NULL,
                  "the lake: a directory, made if missing, or s3://BUCKET/PREFIX", CMD_LAKE,
                  OPTION_TEXT, 0, 0},
    [OPT_CATALOG] = {"catalog", "catalog", "URI", NULL, NULL,
                     "the Iceberg catalog: sqlite:PATH (default: catalog.db in the lake), "
                     "glue://DATABASE or rest+https://HOST/PATH", CMD_LAKE, OPTION_TEXT,
                     0, 0},
    [OPT_CATALOG_WAREHOUSE] = {"catalog-warehouse", "catalog_warehouse", "NAME", NULL, NULL,
                               "of a REST catalog: its warehouse", CMD_LAKE, OPTION_TEXT, 0, 0},
    [OPT_CATALOG_TOKEN] = {"catalog-token", "catalog_token", "TOKEN", NULL, NULL,
                           "of a REST catalog: a bearer token (not on the command line: it is a "
                           "secret)",
                           CMD_LAKE, OPTION_SECRET, 0, 0},
    [OPT_CATALOG_CREDENTIAL] = {"catalog-credential", "catalog_credential", "ID:SECRET", NULL, NULL,
                                "of a REST catalog: OAuth2 client credentials (likewise)", CMD_LAKE,
                                OPTION_SECRET, 0, 0},
    [OPT_CATALOG_OAUTH2_URI] = {"catalog-oauth2-uri", "catalog_oauth2_uri", "URL", NULL, NULL,
                                "where it gives tokens; default: the catalog's v1/oauth/tokens",
                                CMD_LAKE, OPTION_TEXT, 0, 0},
    [OPT_CATALOG_SCOPE] = {"catalog-scope", "catalog_scope", "SCOPE", NULL, NULL,
                           "the OAuth2 scope to ask for; default: catalog", CMD_LAKE, OPTION_TEXT,
                           0, 0},
    [OPT_CATALOG_SIGN] = {"catalog-sign", "catalog_sign", "SERVICE", NULL, NULL,
                          "sign requests to a REST catalog with AWS credentials for this service: "
                          "glue or s3tables", CMD_LAKE, OPTION_TEXT, 0, 0},
    [OPT_LEASES] = {"leases", "leases", "URI", NULL, NULL,
                    "who reads what, and from where: sqlite:PATH (default: in the lake, by namespace) "
                    "or dynamodb://TABLE", CMD_READ | CMD_SETUP | CMD_STATUS,
                    OPTION_TEXT, 0, 0},
    [OPT_NAMESPACE] = {"namespace", "namespace", "NAME", "events", NULL,
                       "the tables' namespace in the catalog", CMD_LAKE, OPTION_TEXT, 0, 0},
    [OPT_S3_ADDRESSING] = {"s3-addressing", "s3_addressing", "STYLE", "auto", "auto|path|virtual",
                           "the bucket in the path or in the host's name (virtual); auto: path unless it is AWS",
                           CMD_LAKE, OPTION_CHOICE, 0, 0},
    [OPT_S3_ENCRYPTION] = {"s3-encryption", "s3_encryption", "KIND", "bucket", "bucket|s3|kms",
                           "of what is put: bucket (as the bucket has it), s3 (SSE-S3) or kms (SSE-KMS)", CMD_LAKE,
                           OPTION_CHOICE, 0, 0},
    [OPT_S3_KMS_KEY] = {"s3-kms-key", "s3_kms_key", "ARN", NULL, NULL,
                        "the key of SSE-KMS; default: the account's for S3", CMD_LAKE, OPTION_TEXT, 0, 0},
    [OPT_START] = {"start", "start", "WHERE", "trim-horizon", "trim-horizon|latest",
                   "where a shard without a checkpoint begins: trim-horizon, latest or an ISO time",
                   CMD_RUN | CMD_CONFIG, OPTION_TIME, 0, 0},
    [OPT_UNTIL_CAUGHT_UP] = {"until-caught-up", "until_caught_up", NULL, "false", NULL,
                             "end once every shard is at its tip", CMD_RUN | CMD_CONFIG,
                             OPTION_FLAG, 0, 0},
    [OPT_MEMORY] = {"memory", "memory", "SIZE", "256MB", NULL, "what the whole process may hold; from 128MB on it is kept",
                    CMD_INGEST | CMD_DOCTOR | CMD_VERIFY, OPTION_SIZE, 32 * MB, 1024 * GB},
    [OPT_THREADS] = {"threads", "threads", "N", "0", NULL, "shredding threads; 0: one for each core it may use",
                     CMD_INGEST, OPTION_COUNT_OF, 0, 256},
    [OPT_COMMIT_INTERVAL] = {"commit-interval", "commit_interval", "TIME", "60s", NULL,
                             "how old rows may get before they are committed", CMD_READ,
                             OPTION_DURATION, 100000, DAY},
    [OPT_COMMIT_BYTES] = {"commit-bytes", "commit_bytes", "SIZE", "32MB", NULL,
                          "commit a table earlier at so many encoded bytes", CMD_INGEST,
                          OPTION_SIZE, 64 * KB, 4 * GB},
    [OPT_START_PATIENCE] = {"start-patience", "start_patience", "TIME", "2m", NULL,
                            "how long to wait at the start for services that do not answer; later "
                            "they are waited for without end",
                            CMD_RUN | CMD_CONFIG, OPTION_DURATION, 0, DAY},
    [OPT_QUARANTINE_AFTER] = {"quarantine-after", "quarantine_after", "TIME", "15m", NULL,
                              "of refusal (gone, a view, denied), then a table's events go to dead "
                              "letters until it works again; a load waits for nothing",
                              CMD_INGEST, OPTION_DURATION, 0, DAY},
    [OPT_FOLLOW] = {"follow", "follow", NULL, "false", NULL,
                    "the files grow: go on until stopped; a last line waits for its newline",
                    CMD_LOAD | CMD_CONFIG, OPTION_FLAG, 0, 0},
    [OPT_DEDUP_WINDOW] = {"dedup-window", "dedup_window", "TIME", "1h", NULL,
                          "how long an event_uuid is remembered", CMD_INGEST, OPTION_DURATION, 0,
                          30 * DAY},
    [OPT_DEDUP_MEMORY] = {"dedup-memory", "dedup_memory", "SIZE", "0", NULL,
                          "of the memory, for that; 0: a share of it", CMD_INGEST, OPTION_SIZE, 0,
                          1024 * GB},
    [OPT_CREATED_AT_UNIT] = {"created-at-unit", "created_at_unit", "UNIT", "auto",
                             "auto|s|ms|us|ns", "what created_at counts: auto, s, ms, us or ns",
                             CMD_INGEST, OPTION_CHOICE, 0, 0},
    [OPT_ZSTD_LEVEL] = {"zstd-level", "zstd_level", "N", "1", NULL,
                        "compression of Parquet pages; 0: none", CMD_INGEST, OPTION_COUNT_OF, 0,
                        19},
    [OPT_MAX_TABLES] = {"max-tables", "max_tables", "N", "1000", NULL,
                        "event types beyond it go to dead letters, unless their table is there", CMD_INGEST | CMD_INIT, OPTION_COUNT_OF, 1,
                        100000},
    [OPT_MAX_COLUMNS] = {"max-columns", "max_columns", "N", "1000", NULL,
                         "columns of a table, beside ours; fields beyond it go to _rescued, but for declared ones", CMD_INGEST,
                         OPTION_COUNT_OF, 16, 10000},
    [OPT_MAX_PARTITIONS] = {"max-partitions", "max_partitions", "N", "2000", NULL,
                            "partitions open at once; past it, those that get the fewest rows are closed", CMD_INGEST,
                            OPTION_COUNT_OF, 1, 1000000},
    [OPT_FSYNC] = {"fsync", "fsync", NULL, "true", NULL,
                   "sync files before a commit (--no-fsync: safe against kill, not power loss)",
                   CMD_INGEST, OPTION_FLAG, 0, 0},
    [OPT_HASH_KEY_FILE] = {"hash-key-file", "hash_key_file", "FILE", NULL, NULL,
                           "the key of columns declared `hash`", CMD_INGEST | CMD_SETUP, OPTION_TEXT, 0, 0},
    [OPT_STRICT] = {"strict", "strict", NULL, "false", NULL,
                    "exit 3 if some input went to dead letters", CMD_INGEST, OPTION_FLAG, 0, 0},
    [OPT_GEN_EVENTS] = {"events", "gen_events", "N", "1000", NULL, "how many records; 0: no end",
                        CMD_GEN, OPTION_COUNT_OF, 0, INT64_MAX},
    [OPT_GEN_TYPES] = {"types", "gen_types", "N", "100", NULL, "how many event names", CMD_GEN,
                       OPTION_COUNT_OF, 1, 10000},
    [OPT_GEN_SEED] = {"seed", "gen_seed", "N", "1", NULL,
                      "the same seed and start give the same bytes", CMD_GEN, OPTION_COUNT_OF, 0,
                      INT64_MAX},
    [OPT_GEN_DUPLICATES] = {"duplicates", "gen_duplicates", "SHARE", "0.01", NULL,
                            "share of events sent twice, 0 to 1", CMD_GEN, OPTION_SHARE, 0, 0},
    [OPT_GEN_MALFORMED] = {"malformed", "gen_malformed", "SHARE", "0.001", NULL,
                           "share of records that are no events", CMD_GEN, OPTION_SHARE, 0, 0},
    [OPT_GEN_CONFLICTS] = {"conflicts", "gen_conflicts", "SHARE", "0.0005", NULL,
                           "share of events with a field of another type", CMD_GEN, OPTION_SHARE, 0,
                           0},
    [OPT_GEN_START] = {"start", "gen_start", "TIME", NULL, NULL,
                       "created_at of the first event, ISO 8601; default: this hour", CMD_GEN,
                       OPTION_TIME, 0, 0},
    [OPT_GEN_RATE] = {"rate", "gen_rate", "N", "0", NULL, "events a second; 0: as fast as it goes",
                      CMD_GEN, OPTION_COUNT_OF, 0, 100000000},
    [OPT_GEN_STREAM] = {"stream", "gen_stream", "kinesis://NAME", NULL, NULL,
                        "put them into this stream; default: standard output", CMD_GEN, OPTION_TEXT,
                        0, 0},
    [OPT_GEN_AGGREGATE] = {"aggregate", "gen_aggregate", NULL, "false", NULL,
                           "pack events into KPL aggregates (with --stream)", CMD_GEN, OPTION_FLAG,
                           0, 0},
    [OPT_PARTIAL_FAILURES] = {"partial-failures", "partial_failures", NULL, "false", NULL,
                              "answer with batchItemFailures; only where the mapping has "
                              "ReportBatchItemFailures, else records would be lost",
                              CMD_LAMBDA | CMD_CONFIG | CMD_DOCTOR, OPTION_FLAG, 0, 0},
    [OPT_REASON] = {"reason", "reason", "CODES", "table_unavailable,too_many_tables", NULL,
                    "dead letters of these reason codes (with commas between them), or all",
                    CMD_REPLAY, OPTION_TEXT, 0, 0},
    [OPT_DRY_RUN] = {"dry-run", NULL, NULL, "false", NULL, "say what would be made, and make nothing",
                     CMD_INIT, OPTION_FLAG, 0, 0},
    [OPT_FUNCTION] = {"function", "function", "NAME", NULL, NULL,
                      "a Lambda function, whose event source mapping is looked at", CMD_DOCTOR,
                      OPTION_TEXT, 0, 0},
    [OPT_WORKER] = {"worker", "worker", "ADDR", NULL, NULL,
                    "ask a running worker, at its --http address, instead of the lake", CMD_STATUS,
                    OPTION_TEXT, 0, 0},
    [OPT_HTTP] = {"http", "http", "ADDR", NULL, NULL,
                  "serve /healthz, /readyz and /metrics there: 127.0.0.1:9090, or :9090 for all",
                  CMD_RUN | CMD_CONFIG, OPTION_TEXT, 0, 0},
    [OPT_METRICS] = {"metrics", "metrics", "FORM", "none", "none|emf",
                     "emf: CloudWatch embedded-metric lines on stdout",
                     CMD_RUN | CMD_CONFIG | CMD_LAMBDA,
                     OPTION_CHOICE, 0, 0},
    [OPT_METRICS_INTERVAL] = {"metrics-interval", "metrics_interval", "TIME", "60s", NULL,
                              "how often these lines are written", CMD_RUN | CMD_CONFIG,
                              OPTION_DURATION, 100000, DAY},
    [OPT_METRICS_TABLES] = {"metrics-tables", "metrics_tables", "N", "25", NULL,
                            "so many tables have metrics of their own, all others are \"_other\"",
                            CMD_RUN | CMD_CONFIG | CMD_LAMBDA, OPTION_COUNT_OF, 0, 1000},
    [OPT_VIEWS_FOR] = {"for", "views_for", "ENGINE", "duckdb", "athena|duckdb|spark|trino",
                       "whose SQL: athena, duckdb, spark or trino", CMD_VIEWS, OPTION_CHOICE, 0, 0},
    [OPT_VIEWS_NAME] = {"name", "views_name", "NAME", "all_events", NULL, "the view's name",
                        CMD_VIEWS, OPTION_TEXT, 0, 0},
    [OPT_VIEWS_WITH] = {"with", "views_with", "COLUMNS", NULL, NULL,
                        "further columns, null where a table lacks them: user_id,session_id",
                        CMD_VIEWS, OPTION_TEXT, 0, 0},
    [OPT_VIEWS_APPLY] = {"apply", "views_apply", NULL, "false", NULL,
                         "make the view in Glue, for Athena, instead of printing it", CMD_VIEWS,
                         OPTION_FLAG, 0, 0},
    [OPT_JSON] = {"json", "json", NULL, "false", NULL, "machine-readable output on stdout",
                  (CMD_LAKE & ~CMD_VIEWS) | CMD_INSPECT | CMD_VERSION, OPTION_FLAG, 0, 0},
    [OPT_CONFIG] = {"config", NULL, "FILE", NULL, NULL, "a YAML file with these settings",
                    CMD_LAKE | CMD_GEN, OPTION_TEXT, 0, 0},
    [OPT_QUIET] = {"quiet", "quiet", NULL, "false", NULL, "no progress, warnings and errors only",
                   CMD_INGEST | CMD_GEN, OPTION_FLAG, 0, 0},
    [OPT_LOG_LEVEL] = {"log-level", "log_level", "LEVEL", "info", "debug|info|warn|error",
                       "debug, info, warn or error", CMD_LAKE | CMD_GEN | CMD_INSPECT,
                       OPTION_CHOICE, 0, 0},
    [OPT_LOG_FORMAT] = {"log-format", "log_format", "FORM", "text", "text|logfmt|json",
                        "of the lines on stderr: text, logfmt or json",
                        CMD_LAKE | CMD_GEN | CMD_INSPECT, OPTION_CHOICE, 0, 0},
    [OPT_HELP] = {"help", NULL, NULL, "false", NULL, "this text", CMD_ALL, OPTION_FLAG, 0, 0},
};

const struct option *options_table(void)
{
    return table;
}

/* ---- single values */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},    {"B", 1},    {"K", KB}, {"KB", KB}, {"KiB", KB}, {"M", MB},
    {"MB", MB}, {"MiB", MB}, {"G", GB}, {"GB", GB}, {"GiB", GB},
};
static const struct unit time_units[] = {
    {"us", 1}, {"ms", 1000}, {"s", SECOND}, {"m", 60 * SECOND}, {"h", 3600 * SECOND}, {"d", DAY},
};

/* One decimal number and its unit at *p; moves *p past both. */
static bool read_quantity(const char **p, const struct unit *units, size_t n, int64_t *out)
{
    const char *s = *p;
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    errno = 0;
    double v = strtod(s, &end);
    if (errno || !isfinite(v) || strcspn(s, "xXeEpP") < (size_t)(end - s))
        return false;
    size_t letters = strspn(end, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    for (size_t i = 0; i < n; i++) {
        if (strlen(units[i].name) != letters || strncasecmp(units[i].name, end, letters) != 0)
            continue;
        v *= (double)units[i].factor;
        if (v > 9e18)
            return false;
        *out = (int64_t)v;
        *p = end + letters;
        return true;
    }
    return false;
}

int options_parse_size(const char *text, int64_t *bytes, struct err *e)
{
    const char *p = text;
    if (!read_quantity(&p, size_units, sizeof size_units / sizeof *size_units, bytes) || *p)
        return err_set(e, ERR_INVALID, "\"%s\" is no size: write 64KB, 256MB or 1GB", text);
    return 0;
}

int options_parse_duration(const char *text, int64_t *us, struct err *e)
{
    const char *p = text;
    int64_t sum = 0, part = 0;
    if (strcmp(text, "0") == 0) {
        *us = 0;
        return 0;
    }
    do {
        if (!read_quantity(&p, time_units, sizeof time_units / sizeof *time_units, &part) ||
            __builtin_add_overflow(sum, part, &sum))
            return err_set(e, ERR_INVALID, "\"%s\" is no duration: write 250ms, 60s, 15m or 1h30m",
                           text);
    } while (*p);
    *us = sum;
    return 0;
}

static int parse_flag(const char *text, int64_t *out, struct err *e)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (int i = 0; i < 4; i++)
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *out = strcasecmp(text, yes[i]) == 0;
            return 0;
        }
    return err_set(e, ERR_INVALID, "\"%s\" is neither true nor false", text);
}

static int parse_count(const char *text, int64_t *out, struct err *e)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || isspace((unsigned char)*text))
        return err_set(e, ERR_INVALID, "\"%s\" is no whole number", text);
    *out = v;
    return 0;
}

static int parse_share(const char *text, double *out, struct err *e)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !(*out >= 0 && *out <= 1))
        return err_set(e, ERR_INVALID, "\"%s\" is no share: write a number from 0 to 1, as 0.01",
                       text);
    return 0;
}

/* The place of text among "a|b|c", or -1. */
static int64_t choice_place(const char *choices, const char *text)
{
    size_t n = strlen(text);
    int64_t place = 0;
    for (const char *p = choices; p && *p; place++) {
        size_t word = strcspn(p, "|");
        if (word == n && memcmp(p, text, n) == 0)
            return place;
        p += word + (p[word] == '|');
    }
    return -1;
}

static int parse_time(const struct option *o, const char *text, int64_t *out, struct err *e)
{
    if (o->choices && choice_place(o->choices, text) >= 0)
        return 0;
    if (!civil_parse_us(text, strlen(text), out))
        return err_set(e, ERR_INVALID, "\"%s\" is no time: write %s%s2026-11-22T16:24:00Z", text,
                       o->choices ? o->choices : "", o->choices ? "|" : "");
    return 0;
}

/* "must be 32MB to 1TB": in the unit that gives the shortest number. */
static void put_limit(const struct option *o, int64_t v, struct buf *out)
{
    const struct unit *units = o->kind == OPTION_SIZE ? size_units : time_units;
    size_t n = o->kind == OPTION_SIZE ? sizeof size_units / sizeof *size_units
                                      : sizeof time_units / sizeof *time_units;
    const struct unit *best = &units[0];
    for (size_t i = 0; o->kind != OPTION_COUNT_OF && v && i < n; i++)
        if (v % units[i].factor == 0 && units[i].factor > best->factor && strlen(units[i].name) < 3)
            best = &units[i];
    if (o->kind == OPTION_SIZE && best->factor > 1) /* KB rather than K */
        best++;
    if (o->kind == OPTION_COUNT_OF || v == 0)
        buf_printf(out, "%" PRIi64, v);
    else
        buf_printf(out, "%" PRIi64 "%s", v / best->factor, best->name);
}

static int out_of_range(const struct option *o, const char *text, int64_t v, struct err *e)
{
    struct buf limit = {0};
    bool small = v < o->min;
    put_limit(o, small ? o->min : o->max, &limit);
    err_set(e, ERR_INVALID, "\"%s\" is too %s: at %s %s", text, small ? "small" : "large",
            small ? "least" : "most", buf_cstr(&limit));
    buf_fini(&limit);
    return -1;
}

static int parse_value(const struct option *o, const char *text, struct option_value *v,
                       struct err *e)
{
    switch (o->kind) {
    case OPTION_FLAG:
        return parse_flag(text, &v->number, e);
    case OPTION_SECRET:
    case OPTION_TEXT:
        return *text ? 0 : err_set(e, ERR_INVALID, "it is empty");
    case OPTION_SHARE:
        return parse_share(text, &v->share, e);
    case OPTION_TIME:
        return parse_time(o, text, &v->number, e);
    case OPTION_CHOICE:
        v->number = choice_place(o->choices, text);
        if (v->number < 0)
            return err_set(e, ERR_INVALID, "\"%s\" is not one of %s", text, o->choices);
        return 0;
    case OPTION_COUNT_OF:
        if (parse_count(text, &v->number, e))
            return -1;
        break;
    case OPTION_SIZE:
        if (options_parse_size(text, &v->number, e))
            return -1;
        break;
    case OPTION_DURATION:
        if (options_parse_duration(text, &v->number, e))
            return -1;
        break;
    }
    if (v->number < o->min || v->number > o->max)
        return out_of_range(o, text, v->number, e);
    return 0;
}

/* ---- the values in force */

void options_init(struct options *o)
{
    memset(o, 0, sizeof *o);
    for (int i = 0; i < OPTION_COUNT; i++) {
        struct err e = {0};
        struct option_value *v = &o->values[i];
        if (!table[i].fallback)
            continue;
        invariant(parse_value(&table[i], table[i].fallback, v, &e) == 0);
        v->text = mem_strdup(table[i].fallback);
    }
}

void options_fini(struct options *o)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        free(o->values[i].text);
    memset(o, 0, sizeof *o);
}

int options_set(struct options *o, enum option_id id, const char *text, enum option_origin origin,
                const char *where, struct err *e)
{
    struct option_value v = {.origin = origin};
    if (parse_value(&table[id], text, &v, e))
        return err_wrap(e, "%s", where);
    if (o->values[id].text && o->values[id].origin > origin)
        return 0;
    v.text = mem_strdup(text);
    free(o->values[id].text);
    o->values[id] = v;
    return 0;
}

const char *options_text(const struct options *o, enum option_id id)
{
    return o->values[id].text;
}

int64_t options_number(const struct options *o, enum option_id id)
{
    return o->values[id].number;
}

bool options_flag(const struct options *o, enum option_id id)
{
    return o->values[id].number != 0;
}

/* ---- nearest names */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance of two words of at most DISTANCE_WORD_MAX bytes. */
static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b), row[DISTANCE_WORD_MAX + 1];
    if (na > DISTANCE_WORD_MAX || nb > DISTANCE_WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[nb];
}

const char *options_nearest(const char *text, const char *const *words, size_t n)
{
    size_t limit = strlen(text) / 3 + 1, best = limit + 1;
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!words[i])
            continue;
        size_t d = distance(text, words[i]);
        if (d < best) {
            best = d;
            found = words[i];
        }
    }
    return found;
}

/* ---- config keys and environment */

static int find_key(const char *key)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const char *a = table[i].key, *b = key;
        if (!a)
            continue;
        while (*a && (*a == *b || (*a == '_' && *b == '-')))
            a++, b++;
        if (!*a && !*b)
            return i;
    }
    return -1;
}

bool options_key_known(const char *key)
{
    return find_key(key) >= 0;
}

static const char *nearest_key(const char *key)
{
    const char *words[OPTION_COUNT + 1];
    for (int i = 0; i < OPTION_COUNT; i++)
        words[i] = table[i].key;
    words[OPTION_COUNT] = "tables";
    return options_nearest(key, words, OPTION_COUNT + 1);
}

int options_set_key(struct options *o, const char *key, const char *text, const char *where,
                    struct err *e)
{
    int id = find_key(key);
    if (id < 0) {
        const char *near = nearest_key(key);
        return err_set(e, ERR_INVALID, "%s: unknown key \"%.100s\"; %s%s%s", where, key,
                       near ? "did you mean \"" : "`inlet config` lists them", near ? near : "", near ? "\"?" : "");
    }
    struct buf label = {0};
    buf_printf(&label, "%s: %s", where, table[id].key);
    int rc = options_set(o, (enum option_id)id, text, ORIGIN_FILE, buf_cstr(&label), e);
    buf_fini(&label);
    return rc;
}

void options_environment_name(const struct option *option, struct buf *out)
{
    buf_puts(out, "INLET_");
    for (const char *p = option->key ? option->key : option->name; *p; p++)
        buf_putc(out, (uint8_t)(*p == '-' ? '_' : toupper((unsigned char)*p)));
}

static int find_environment(const char *name, size_t n)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        struct buf b = {0};
        options_environment_name(&table[i], &b);
        bool same = i != OPT_HELP && b.n == n && memcmp(b.p, name, n) == 0;
        buf_fini(&b);
        if (same)
            return i;
    }
    return -1;
}

static int unknown_variable(const char *name, size_t n, struct err *e)
{
    struct buf key = {0}, near_name = {0};
    for (size_t i = strlen("INLET_"); i < n; i++)
        buf_putc(&key, (uint8_t)tolower((unsigned char)name[i]));
    const char *near = nearest_key(buf_cstr(&key));
    int id = near ? find_key(near) : -1;
    if (id >= 0)
        options_environment_name(&table[id], &near_name);
    err_set(e, ERR_INVALID, "environment: unknown variable %.*s; %s%s%s", (int)n, name,
            id >= 0 ? "did you mean " : "docs/configuration.md lists them: unset it", id >= 0 ? buf_cstr(&near_name) : "",
            id >= 0 ? "?" : "");
    buf_fini(&key);
    buf_fini(&near_name);
    return -1;
}

int options_set_environment(struct options *o, char *const *environment, struct err *e)
{
    for (; *environment; environment++) {
        const char *name = *environment, *eq = strchr(name, '=');
        if (strncmp(name, "INLET_", 6) != 0 || strncmp(name, "INLET_TEST_", 11) == 0 || !eq)
            continue;
        size_t n = (size_t)(eq - name);
        if (n > 200)
            return err_set(e, ERR_INVALID, "environment: unknown variable %.80s...", name);
        int id = find_environment(name, n);
        if (id < 0)
            return unknown_variable(name, n, e);
        char where[220];
        memcpy(where, name, n);
        where[n] = 0;
        if (options_set(o, (enum option_id)id, eq + 1, ORIGIN_ENVIRONMENT, where, e))
            return -1;
    }
    return 0;
}

/* ---- the command line */

static int find_name(unsigned command, const char *name, size_t n)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if ((table[i].commands & command) && strlen(table[i].name) == n &&
            memcmp(table[i].name, name, n) == 0)
            return i;
    return -1;
}

static int unknown_option(unsigned command, const char *name, size_t n, struct err *e)
{
    const char *words[OPTION_COUNT];
    char *word = mem_strndup(name, n);
    for (int i = 0; i < OPTION_COUNT; i++)
        words[i] = table[i].commands & command ? table[i].name : NULL;
    const char *near = options_nearest(word, words, OPTION_COUNT);
    if (near)
        err_set(e, ERR_INVALID, "unknown option --%.100s; did you mean --%s?", word, near);
    else
        err_set(e, ERR_INVALID, "unknown option --%.100s; --help lists them", word);
    free(word);
    return -1;
}

/* words[*i] is an option of the form --name, --no-name or --name=value. */
static int set_long(struct options *o, unsigned command, int n, char *const *words, int *i,
                    struct err *e)
{
    const char *name = words[*i] + 2;
    size_t len = strcspn(name, "=");
    const char *value = name[len] ? name + len + 1 : NULL;
    int id = find_name(command, name, len);
    if (id < 0 && len > 3 && strncmp(name, "no-", 3) == 0 && !value) {
        id = find_name(command, name + 3, len - 3);
        if (id >= 0 && table[id].kind != OPTION_FLAG)
            id = -1;
        value = "false";
    }
    if (id < 0)
        return unknown_option(command, name, len, e);
    if (table[id].kind == OPTION_SECRET) { /* others on the machine see the command line */
        struct buf variable = {0};
        options_environment_name(&table[id], &variable);
        err_set(e, ERR_INVALID, "--%s is a secret: set %s, or %s in the config file",
                table[id].name, buf_cstr(&variable), table[id].key);
        buf_fini(&variable);
        return -1;
    }
    if (table[id].kind == OPTION_FLAG && !value)
        value = "true";
    if (!value && *i + 1 < n)
        value = words[++*i];
    if (!value)
        return err_set(e, ERR_INVALID, "--%s needs a value: --%s %s", table[id].name,
                       table[id].name, table[id].arg);
    char where[80] = "--";
    strncat(where, table[id].name, 70);
    return options_set(o, (enum option_id)id, value, ORIGIN_COMMAND_LINE, where, e);
}

int options_set_arguments(struct options *o, unsigned command, int n, char *const *words,
                          char **args, int *n_args, struct err *e)
{
    *n_args = 0;
    for (int i = 0; i < n; i++) {
        const char *w = words[i];
        if (strcmp(w, "--") == 0) {
            while (++i < n)
                args[(*n_args)++] = words[i];
        } else if (strncmp(w, "--", 2) == 0) {
            if (set_long(o, command, n, words, &i, e))
                return -1;
        } else if (strcmp(w, "-h") == 0) {
            if (options_set(o, OPT_HELP, "true", ORIGIN_COMMAND_LINE, w, e))
                return -1;
        } else if (w[0] == '-' && w[1]) {
            return err_set(e, ERR_INVALID, "unknown option %.100s; options are written out: --name",
                           w);
        } else {
            args[(*n_args)++] = words[i];
        }
    }
    return 0;
}

/* ---- help */

/* Lines of at most HELP_WIDTH characters, all but the first indented. */
static void wrap(const char *text, int indent, struct buf *out)
{
    int at = indent;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (at > indent && at + 1 + n > HELP_WIDTH) {
            buf_printf(out, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            buf_putc(out, ' ');
            at++;
        }
        buf_put(out, text, (size_t)n);
        at += n;
        text += n + (text[n] == ' ');
    }
}

static void help_line(const struct option *o, int width, struct buf *out)
{
    struct buf left = {0};
    buf_printf(&left, "%s%s%s%s", o->kind == OPTION_SECRET ? "" : "--", o->name, o->arg ? " " : "",
               o->arg ? o->arg : "");
    buf_printf(out, "  %-*s  ", width, buf_cstr(&left));
    buf_fini(&left);
    wrap(o->help, width + 4, out);
    bool shows = o->fallback && strcmp(o->fallback, "false") != 0 && strcmp(o->fallback, "0") != 0;
    if (!o->key && strcmp(o->name, "help") == 0) {
        buf_putc(out, '\n');
        return;
    }
    buf_printf(out, "\n  %-*s  [", width, "");
    if (shows)
        buf_printf(out, "default %s, ", o->fallback);
    options_environment_name(o, out);
    buf_puts(out, "]\n");
}

void options_help(unsigned command, struct buf *out)
{
    int width = 0;
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &table[i];
        int n = (int)(2 + strlen(o->name) + (o->arg ? 1 + strlen(o->arg) : 0));
        if ((o->commands & command) && n > width)
            width = n;
    }
    for (int i = 0; i < OPTION_COUNT; i++)
        if (table[i].commands & command)
            help_line(&table[i], width, out);
}
