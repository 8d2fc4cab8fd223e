/* run, load: the pipeline with a stop flag that signals set, and its report for people or programs.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "source/objects.h"
#include "health/health.h"
#include "cli/open.h"
#include "lambda/lambda.h"
#include "replay/replay.h"

#define MEMORY_KEPT (INT64_C(128) << 20) /* measured: libraries, stacks, encoders and the least of rows */

static volatile sig_atomic_t stop;

/* The first signal asks for an orderly end, the second ends at once: nothing committed is lost by
 * that, and nothing uncommitted is counted as read. */
static void on_signal(int number)
{
    (void)number;
    if (stop)
        _exit(130);
    stop = 1;
}

static void catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    struct sigaction was;
    if (sigaction(SIGHUP, NULL, &was) == 0 && was.sa_handler != SIG_IGN) /* a terminal that goes; nohup has it ignored */
        sigaction(SIGHUP, &a, NULL);
}

static void put_number(struct buf *out, const char *key, uint64_t v)
{
    buf_printf(out, "\"%s\": %" PRIu64 ", ", key, v);
}

static void report_json(const struct pipeline_report *r, struct buf *out)
{
    const struct shred_counts *c = &r->counts;
    bool first = true;
    buf_puts(out, "{");
    put_number(out, "records", c->records);
    put_number(out, "bytes", c->bytes);
    put_number(out, "rows", c->rows);
    put_number(out, "rows_committed", r->rows_committed);
    put_number(out, "duplicates", c->duplicates);
    put_number(out, "duplicates_different", c->duplicates_different);
    put_number(out, "duplicates_unknown_payload", c->duplicates_unknown_payload);
    put_number(out, "skipped", c->skipped);
    put_number(out, "reread", c->reread);
    put_number(out, "rescued_rows", c->rescued);
    put_number(out, "conflicts", c->conflicts);
    put_number(out, "fast_rows", c->fast_rows);
    put_number(out, "slow_rows", c->slow_rows);
    put_number(out, "dead_letters", r->dead_letters);
    put_number(out, "still_dead", r->still_dead);
    buf_puts(out, "\"dead_letters_by_reason\": {");
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        if (!c->dead[i])
            continue;
        buf_printf(out, "%s\"%s\": %" PRIu64, first ? "" : ", ", event_reason_code((enum reason)i),
                   c->dead[i]);
        first = false;
    }
    buf_puts(out, "}, ");
    put_number(out, "commits", r->commits);
    put_number(out, "files", r->files);
    put_number(out, "bytes_written", r->bytes_written);
    put_number(out, "already_loaded", r->already_loaded);
    put_number(out, "peak_budget_bytes", r->peak_budget_bytes);
    /* CPU of all threads; what is waited for the disk comes on top, beside other threads' work. */
    double dedup = (double)c->dedup_ns / 1e9; /* by samples, and part of what the shredders took */
    buf_printf(out,
               "\"stage_seconds\": {\"read\": %.3f, \"shred\": %.3f, \"dedup\": %.3f, \"encode\": %.3f, "
               "\"compress\": %.3f, \"write\": %.3f, \"commit\": %.3f}, ",
               (double)r->read_ns / 1e9, (double)r->shred_ns / 1e9 - dedup, dedup,
               (double)r->encode_ns / 1e9, (double)r->compress_ns / 1e9, (double)r->write_ns / 1e9,
               (double)r->commit_ns / 1e9);
    buf_printf(out, "\"elapsed_seconds\": {\"write\": %.3f, \"commit\": %.3f}, ",
               (double)r->write_wall_ns / 1e9, (double)r->commit_wall_ns / 1e9);
    buf_printf(out, "\"stopped\": %s, \"seconds\": %.3f}\n", r->stopped ? "true" : "false",
               r->seconds);
}

static void line(struct buf *out, const char *label, uint64_t v, const char *more)
{
    char text[RENDER_NUMBER_MAX];
    buf_printf(out, "  %-25s %14s%s\n", label, render_number((int64_t)v, text), more);
}

static void report_text(const struct pipeline_report *r, bool failed, struct buf *out)
{
    const struct shred_counts *c = &r->counts;
    char rate[RENDER_NUMBER_MAX], size[RENDER_NUMBER_MAX], more[96];
    double per_second = r->seconds > 0 ? (double)c->records / r->seconds : 0;
    snprintf(more, sizeof more, "  in %.2f s, %s a second", r->seconds,
             render_number((int64_t)per_second, rate));
    line(out, "records read", c->records, more);
    snprintf(more, sizeof more, "  in %" PRIu64 " file%s, %s, %" PRIu64 " commit%s", r->files,
             r->files == 1 ? "" : "s", render_bytes((int64_t)r->bytes_written, size), r->commits,
             r->commits == 1 ? "" : "s");
    line(out, "rows committed", r->rows_committed, more);
    if (c->duplicates)
        line(out, "duplicates dropped", c->duplicates, "");
    if (c->duplicates_different)
        line(out, "  of another payload", c->duplicates_different, "");
    if (c->skipped)
        line(out, "already in the lake", c->skipped, "");
    if (c->reread)
        line(out, "read a second time", c->reread, "  after uncommitted rows were dropped");
    if (r->already_loaded)
        line(out, "files already loaded", r->already_loaded, "");
    if (c->rescued)
        line(out, "rows with _rescued", c->rescued, "");
    if (r->dead_letters)
        line(out, "dead letters", r->dead_letters, failed ? "" : "  in inlet_dead_letters"); /* some, perhaps */
    if (r->still_dead)
        line(out, "still dead", r->still_dead, "  they stay in inlet_dead_letters");
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        char label[64];
        snprintf(label, sizeof label, "  %s", event_reason_code((enum reason)i));
        if (c->dead[i])
            line(out, label, c->dead[i], "");
    }
    if (r->stopped)
        buf_puts(out, "  stopped; start again to go on from here\n");
}

/* That is no data that went bad, but another file. */
static void warn_of_no_event(const struct pipeline_report *r)
{
    const struct shred_counts *c = &r->counts;
    if (c->records && r->dead_letters == c->records - c->reread)
        log_warn("No record is an event: one JSON object a line, with event_uuid, event_name and created_at.");
}

/* Where lines are for programs, the report is one of them. */
static void report_log(const struct pipeline_report *r)
{
    const struct shred_counts *c = &r->counts;
    log_info("%s: %" PRIu64 " records in %.2f s, %" PRIu64 " rows committed in %" PRIu64
             " files, %" PRIu64 " duplicates dropped, %" PRIu64 " dead letters",
             r->stopped ? "stopped" : "done", c->records, r->seconds, r->rows_committed, r->files,
             c->duplicates, r->dead_letters);
}

/* What watches the run from outside, by the options. */
struct watch {
    struct health_server *http;
    struct emf_writer *emf;
};

static int watch_start(struct watch *w, const struct config *c, struct pipeline_config *p,
                       struct err *e)
{
    const struct options *o = &c->options;
    const char *address = options_text(o, OPT_HTTP);
    bool emf = options_number(o, OPT_METRICS) == 1;
    struct health_env env = {.version = INLET_VERSION,
                             .stream = p->stream ? p->stream : "files",
                             .commit_interval_ms = p->commit_interval_ms,
                             .metrics_interval_ms = options_number(o, OPT_METRICS_INTERVAL) / 1000};
    if (!p->stream || (!address && !emf))
        return 0;
    p->live = env.live = live_new((uint32_t)options_number(o, OPT_METRICS_TABLES));
    if (address && !(w->http = health_server_start(&env, address, e)))
        return -1;
    if (emf)
        w->emf = emf_writer_start(&env);
    return 0;
}

static void watch_stop(struct watch *w, struct pipeline_config *p)
{
    health_server_stop(w->http);
    emf_writer_stop(w->emf);
    live_free(p->live);
}

typedef int work_fn(void *ctx, const struct pipeline_config *p, struct pipeline_report *report,
                    struct err *e);

static int run_pipeline(void *ctx, const struct pipeline_config *p, struct pipeline_report *report,
                        struct err *e)
{
    (void)ctx;
    return pipeline_run(p, report, e);
}

static int consume(struct config *c, struct pipeline_config *p, work_fn *work, void *ctx)
{
    struct pipeline_report report;
    struct watch watch = {0};
    struct err e = {0};
    struct buf out = {0};
    const struct options *o = &c->options;
    bool quiet = options_flag(o, OPT_QUIET), json = options_flag(o, OPT_JSON);
    memset(&report, 0, sizeof report);
    if (options_number(o, OPT_MEMORY) < MEMORY_KEPT && !quiet)
        log_warn("--memory %s cannot be kept: what is fixed and the least of rows take about 128MB (many event names "
                 "more); rows are held as small as they can be",
                 options_text(o, OPT_MEMORY));
    catch_signals();
    p->stop = &stop;
    p->progress = !quiet;
    p->progress_tty = isatty(STDERR_FILENO) == 1 && log_format() == LOG_TEXT;
    int rc = watch_start(&watch, c, p, &e) || work(ctx, p, &report, &e) ? EXIT_FAILED : EXIT_DONE;
    watch_stop(&watch, p);
    if (rc == EXIT_DONE && (report.dead_letters || report.still_dead) && options_flag(o, OPT_STRICT))
        rc = EXIT_DEAD_LETTERS;
    if (rc == EXIT_FAILED)
        commands_fail(&e);
    else
        warn_of_no_event(&report);
    if (json) {
        report_json(&report, &out);
        int printed = commands_print(&out);
        return rc ? rc : printed;
    }
    if (log_format() != LOG_TEXT) {
        report_log(&report);
    } else if (!quiet && (rc != EXIT_FAILED || report.counts.records)) {
        report_text(&report, rc == EXIT_FAILED, &out);
        fwrite(out.p, 1, out.n, stderr);
    }
    buf_fini(&out);
    return rc;
}

int run_command(struct config *c, int n_args, char **args)
{
    struct pipeline_config p;
    struct err e = {0};
    const char *http = options_text(&c->options, OPT_HTTP);
    (void)n_args, (void)args;
    if (http && health_address_check(http, &e)) {
        err_wrap(&e, "--http");
        commands_fail(&e);
        return EXIT_USAGE;
    }
    if (config_pipeline(c, &p, &e) ||
        (!p.stream && err_set(&e, ERR_INVALID,
                              "--stream kinesis://NAME is needed; for files there "
                              "is `inlet load`"))) {
        commands_fail(&e);
        return EXIT_USAGE;
    }
    return consume(c, &p, run_pipeline, NULL);
}

static int load(struct config *c, struct pipeline_config *p, const char *const *uris, size_t n_uris)
{
    struct err e = {0};
    if (n_uris && p->follow) {
        err_set(&e, ERR_INVALID, "--follow is for files: objects in S3 do not grow");
        commands_fail(&e);
        return EXIT_USAGE;
    }
    if (n_uris) {
        p->objects = source_objects_list(uris, n_uris, &p->store, &clock_system, &e);
        if (!p->objects)
            return commands_fail(&e);
    }
    int rc = consume(c, p, run_pipeline, NULL);
    source_objects_free(p->objects);
    return rc;
}

/* By another of its names, perhaps. Read side by side with itself, a file would be its own rival. */
static bool is_repeated(struct map *seen, const char *file)
{
    char *real = realpath(file, NULL);
    bool again = real && map_set(seen, real, strlen(real), seen);
    free(real);
    return again;
}

int load_command(struct config *c, int n_args, char **args)
{
    struct pipeline_config p;
    struct err e = {0};
    if (config_pipeline(c, &p, &e)) {
        commands_fail(&e);
        return EXIT_USAGE;
    }
    const char **files = mem_array((size_t)n_args + 1, sizeof *files);
    const char **uris = mem_array((size_t)n_args + 1, sizeof *uris);
    struct map seen = {0};
    size_t n_uris = 0;
    int rc = EXIT_DONE;
    p.stream = NULL;
    p.files = files;
    p.n_files = 0;
    for (int i = 0; i < n_args && rc == EXIT_DONE; i++) {
        bool object = store_is_s3(args[i]), file = !object && strcmp(args[i], "-") != 0;
        if (object)
            uris[n_uris++] = args[i];
        else if (!file || !is_repeated(&seen, args[i]))
            files[p.n_files++] = args[i];
        if (file && access(args[i], R_OK) != 0) {
            fprintf(stderr, "inlet load: %s cannot be read: %m\n", *args[i] ? args[i] : "FILE \"\" (an empty name)");
            rc = EXIT_FAILED;
        }
    }
    if (rc == EXIT_DONE)
        rc = load(c, &p, uris, n_uris);
    map_fini(&seen);
    free(files);
    free(uris);
    return rc;
}

/* Three quarters of what the function has, unless somebody said how much; lines as JSON where the
 * function's log format is. A table that refuses is given up before the function's timeout, not after 15
 * minutes, or its shard would stand still. */
static void lambda_defaults(struct config *c)
{
    const char *mb = getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
    const char *form = getenv("AWS_LAMBDA_LOG_FORMAT");
    char text[32];
    struct err ignored;
    long n = mb ? strtol(mb, NULL, 10) : 0;
    if (n > 0 && n < 1000000) {
        snprintf(text, sizeof text, "%ldMB", n * 3 / 4);
        options_set(&c->options, OPT_MEMORY, text, ORIGIN_DEFAULT, "memory", &ignored);
    }
    options_set(&c->options, OPT_THREADS, "1", ORIGIN_DEFAULT, "threads", &ignored);
    options_set(&c->options, OPT_QUARANTINE_AFTER, "30s", ORIGIN_DEFAULT, "quarantine", &ignored);
    if (form && strcmp(form, "JSON") == 0 &&
        c->options.values[OPT_LOG_FORMAT].origin == ORIGIN_DEFAULT)
        log_set_format(LOG_JSON);
}

int lambda_command(struct config *c, int n_args, char **args)
{
    struct pipeline_config p;
    struct err e = {0};
    const struct options *o = &c->options;
    struct lambda_options l = {.api = getenv("AWS_LAMBDA_RUNTIME_API"),
                               .partial_failures = options_flag(o, OPT_PARTIAL_FAILURES),
                               .emf = options_number(o, OPT_METRICS) == 1,
                               .metrics_tables = (uint32_t)options_number(o, OPT_METRICS_TABLES)};
    (void)n_args, (void)args;
    lambda_defaults(c);
    if (!l.api || !*l.api) {
        err_set(&e, ERR_INVALID, "AWS_LAMBDA_RUNTIME_API is not set: `inlet lambda` runs inside AWS "
                                 "Lambda; elsewhere there is `inlet run`");
        commands_fail(&e);
        return EXIT_USAGE;
    }
    if (config_pipeline(c, &p, &e)) {
        commands_fail(&e);
        return EXIT_USAGE;
    }
    lambda_run(&l, &p, &e);
    return commands_fail(&e);
}

/* ---- replay ---- */

struct replaying {
    struct lake *lake;
    uint32_t reasons;
};

static int run_replay(void *ctx, const struct pipeline_config *p, struct pipeline_report *report,
                      struct err *e)
{
    const struct replaying *r = ctx;
    return replay_run(r->lake, r->reasons, p, report, e);
}

/* "table_unavailable,too_many_tables" as bits. */
static int read_reasons(const char *text, uint32_t *out, struct err *e)
{
    const char *codes[REASON_COUNT];
    bool all = strcmp(text, "all") == 0;
    *out = 0;
    for (int i = 0; i < REASON_COUNT; i++) {
        codes[i] = i == REASON_NONE ? NULL : event_reason_code((enum reason)i);
        *out |= all && i != REASON_NONE ? 1u << i : 0;
    }
    for (const char *p = text; !all && *p;) {
        char word[64];
        size_t n = strcspn(p, ","), i = 0;
        snprintf(word, sizeof word, "%.*s", (int)(n < 60 ? n : 60), p);
        while (i < REASON_COUNT && !(codes[i] && strcmp(codes[i], word) == 0))
            i++;
        if (i == REASON_COUNT) {
            const char *near = options_nearest(word, codes, REASON_COUNT);
            return err_set(e, ERR_INVALID, "--reason: \"%s\" is no reason code%s%s%s", word,
                           near ? "; did you mean " : "; docs/data-model.md lists them",
                           near ? near : "", near ? "?" : "");
        }
        *out |= 1u << i;
        p += n + (p[n] == ',');
    }
    return 0;
}

int replay_command(struct config *c, int n_args, char **args)
{
    struct pipeline_config p;
    struct replaying r;
    struct open_lake l;
    struct err e = {0};
    (void)n_args, (void)args;
    if (config_pipeline(c, &p, &e) || read_reasons(options_text(&c->options, OPT_REASON), &r.reasons, &e)) {
        commands_fail(&e);
        return EXIT_USAGE;
    }
    if (open_lake(&l, c, OPEN_LOOK, NULL, &e)) {
        open_lake_close(&l);
        return commands_fail(&e);
    }
    p.stream = NULL;
    r.lake = &l.lake;
    int rc = consume(c, &p, run_replay, &r);
    open_lake_close(&l);
    return rc;
}
