/* commands: the command table, help, version and config, and the way from argv to a command. */
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/render.h"

static int config_command(struct config *c, int n_args, char **args);
static int version_command(struct config *c, int n_args, char **args);
static int help_command(struct config *c, int n_args, char **args);

static const struct command table[] = {
    {"run", "", "consume the stream into the lake until stopped (SIGTERM commits and ends)",
     "inlet run --stream kinesis://events --lake lake --until-caught-up", CMD_RUN, 0, 0,
     run_command},
    {"load", "FILE...", "JSON files (plain, .gz, .zst), s3://BUCKET/PREFIX or - into the lake",
     "inlet load --lake lake events.ndjson.gz", CMD_LOAD, 1, 100000, load_command},
    {"init", "", "make what is missing: lake, catalog, namespace, declared tables, dead letters, leases",
     "inlet init --lake lake --config inlet.yaml --dry-run", CMD_INIT, 0, 0, init_command},
    {"doctor", "", "can we reach, and may we use, stream, lake, catalog and leases",
     "inlet doctor --lake s3://bucket/lake --catalog glue://events --stream kinesis://events",
     CMD_DOCTOR, 0, 0, doctor_command},
    {"status", "", "last commits, rates, positions and lag, of a lake or of a running worker",
     "inlet status --lake lake --stream kinesis://events", CMD_STATUS, 0, 0, status_command},
    {"replay", "", "dead letters back in, through the same pipeline",
     "inlet replay --lake lake --reason table_unavailable", CMD_REPLAY, 0, 0, replay_command},
    {"verify", "[TABLE...]", "read the lake back and check it: files, counts, bounds, positions, uniqueness",
     "inlet verify --lake lake", CMD_VERIFY, 0, 100000, verify_command},
    {"lambda", "", "as an AWS Lambda custom runtime, on the stream's event source mapping",
     "inlet lambda --lake s3://bucket/lake --catalog glue://events", CMD_LAMBDA, 0, 0,
     lambda_command},
    {"gen", "", "realistic events, to standard output or into a stream",
     "inlet gen --events 100000 --duplicates 0.01 --malformed 0.001 > events.ndjson", CMD_GEN, 0, 0,
     gen_command},
    {"tables", "", "what is in the lake: rows, files, bytes, newest event",
     "inlet tables --lake lake", CMD_TABLES, 0, 0, tables_command},
    {"schema", "TABLE", "the columns and types of a table", "inlet schema --lake lake order",
     CMD_SCHEMA, 1, 1, schema_command},
    {"views", "", "the SQL of one view over all tables: everything that happened",
     "inlet views --lake lake --for duckdb --with user_id | duckdb", CMD_VIEWS, 0, 0,
     views_command},
    {"inspect", "FILE", "a Parquet file's footer, columns and encodings",
     "inlet inspect lake/events/order/data/event_time_day=2026-11-22/x.parquet", CMD_INSPECT, 1, 1,
     inspect_command},
    {"config", "", "the settings in force, and where each comes from",
     "inlet config --config inlet.yaml", CMD_CONFIG, 0, 0, config_command},
    {"options", "", "the table of all settings, as Markdown", "inlet options", CMD_OPTIONS, 0, 0,
     options_command},
    {"help", "[COMMAND]", "this text, or a command's", "inlet help load", CMD_HELP, 0, 1,
     help_command},
    {"version", "", "the version", "inlet version", CMD_VERSION, 0, 0, version_command},
};
#define COMMANDS (sizeof table / sizeof *table)

const struct command *commands_table(size_t *n)
{
    *n = COMMANDS;
    return table;
}

int commands_fail(const struct err *e)
{
    if (log_format() == LOG_TEXT)
        fprintf(stderr, "inlet: %s\n", e->text);
    else
        log_error("%s", e->text);
    return EXIT_FAILED;
}

int commands_print(struct buf *out)
{
    bool ok = fwrite(out->p, 1, out->n, stdout) == out->n && fflush(stdout) == 0;
    int why = errno; /* EPIPE: the reader, `head` perhaps, has all it wanted */
    buf_fini(out);
    if (ok)
        return EXIT_DONE;
    if (why != EPIPE)
        fprintf(stderr, "inlet: standard output cannot be written: %s\n", strerror(why));
    return EXIT_FAILED;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *words[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        words[i] = table[i].name;
    const char *near = options_nearest(name, words, COMMANDS);
    fprintf(stderr, "inlet: unknown command \"%.100s\"", name);
    if (near)
        fprintf(stderr, "; did you mean \"%s\"?\n", near);
    else
        fputs("; `inlet help` lists them\n", stderr);
    return EXIT_USAGE;
}

static void overview(struct buf *out)
{
    buf_puts(out, "inlet: a Kinesis stream of mixed JSON events to Apache Iceberg tables,\n"
                  "typed, deduplicated, exactly once\n\nUsage: inlet COMMAND [options]\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        struct buf left = {0};
        if (table[i].bit == CMD_OPTIONS) /* for `make docs` */
            continue;
        buf_printf(&left, "%s %s", table[i].name, table[i].args);
        buf_printf(out, "  %-18s %s\n", buf_cstr(&left), table[i].summary);
        buf_fini(&left);
    }
    buf_puts(
        out,
        "\n`inlet COMMAND --help` shows its options. Each is also a key of the YAML file that\n"
        "--config names (commit_interval: 60s) and an environment variable\n"
        "(INLET_COMMIT_INTERVAL); the command line wins, then the environment, then the file.\n"
        "\nExit codes: 0 done, 1 failed, 2 usage, 3 with --strict: some input went to dead\n"
        "letters.\n\nExample:\n  inlet gen --events 100000 > events.ndjson\n"
        "  inlet load --lake lake events.ndjson\n  inlet tables --lake lake\n");
}

static void command_help(const struct command *c, struct buf *out)
{
    buf_printf(out, "inlet %s: %s\n\nUsage: inlet %s [options]%s%s\n\nOptions:\n", c->name,
               c->summary, c->name, *c->args ? " " : "", c->args);
    options_help(c->bit, out);
    buf_printf(out, "\nExample:\n  %s\n", c->example);
}

static int help_command(struct config *c, int n_args, char **args)
{
    struct buf out = {0};
    (void)c;
    if (n_args == 0) {
        overview(&out);
    } else {
        const struct command *about = find(args[0]);
        if (!about)
            return unknown_command(args[0]);
        command_help(about, &out);
    }
    return commands_print(&out);
}

static int version_command(struct config *c, int n_args, char **args)
{
    struct buf out = {0};
    (void)n_args, (void)args;
    buf_puts(&out, options_flag(&c->options, OPT_JSON) ? "{\"version\": \"" INLET_VERSION "\"}\n"
                                                       : "inlet " INLET_VERSION "\n");
    return commands_print(&out);
}

static int config_command(struct config *c, int n_args, char **args)
{
    struct buf out = {0};
    (void)n_args, (void)args;
    config_show(c, options_flag(&c->options, OPT_JSON), &out);
    return commands_print(&out);
}

static int usage(const struct command *c, const struct err *e)
{
    fprintf(stderr, "inlet %s: %s\n", c->name, e->text);
    return EXIT_USAGE;
}

static int check_args(const struct command *c, int n, char **args, struct err *e)
{
    if (n < c->min_args)
        return err_set(e, ERR_INVALID, "%s is missing: inlet %s [options] %s", c->args, c->name,
                       c->args);
    if (n > c->max_args)
        return err_set(e, ERR_INVALID, "\"%.100s\" is too much: inlet %s [options]%s%s",
                       args[c->max_args], c->name, *c->args ? " " : "", c->args);
    return 0;
}

static int run_one(const struct command *c, int n, char **words, char *const *environment)
{
    struct config config;
    struct err e = {0};
    struct buf help = {0};
    char **args = mem_array((size_t)n + 1, sizeof *args);
    int n_args, rc;
    config_init(&config);
    if (options_set_arguments(&config.options, c->bit, n, words, args, &n_args, &e)) {
        rc = usage(c, &e);
    } else if (options_flag(&config.options, OPT_HELP)) {
        command_help(c, &help);
        rc = commands_print(&help);
    } else if (check_args(c, n_args, args, &e) || config_load(&config, environment, &e)) {
        rc = usage(c, &e);
    } else {
        int64_t level = options_number(&config.options, OPT_LOG_LEVEL);
        if (options_flag(&config.options, OPT_QUIET) && level < LOG_WARN)
            level = LOG_WARN;
        log_set_level((enum log_level)level);
        log_set_format((enum log_format)options_number(&config.options, OPT_LOG_FORMAT));
        rc = c->main(&config, n_args, args);
    }
    config_fini(&config);
    free(args);
    return rc;
}

int commands_main(int argc, char **argv, char *const *environment)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        struct buf out = {0};
        overview(&out);
        fwrite(out.p, 1, out.n, stderr);
        buf_fini(&out);
        return EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct command *c = find(name);
    if (!c)
        return unknown_command(name);
    return run_one(c, argc - 2, argv + 2, environment);
}
