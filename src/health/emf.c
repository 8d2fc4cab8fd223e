/* CloudWatch embedded metric format (AWS: "Specification: Embedded metric format"): a JSON object whose
 * _aws member says which of its other members are metrics. A line names at most 100 metrics; ours name
 * a dozen. Counters are sent as what came since the line before, gauges as they are. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "health/health.h"

#define NAMESPACE "inlet"

struct emf {
    struct health_env env;
    struct live_stats last;
    struct live_table *tables;
    size_t n_tables;
};

struct metric {
    const char *name, *unit;
    int64_t value;
};

struct emf *emf_new(const struct health_env *env)
{
    struct emf *m = mem_zalloc(sizeof *m);
    m->env = *env;
    return m;
}

void emf_free(struct emf *m)
{
    if (m)
        free(m->tables);
    free(m);
}

/* Stream and table names are plain words already; anything else is left out rather than quoted. */
static void put_word(struct buf *out, const char *s)
{
    buf_putc(out, '"');
    for (; *s; s++)
        if ((unsigned char)*s >= 0x20 && *s != '"' && *s != '\\' && (unsigned char)*s < 0x7f)
            buf_putc(out, (uint8_t)*s);
    buf_putc(out, '"');
}

static void put_line(const struct emf *m, const char *table, const struct metric *metrics, size_t n,
                     int64_t unix_ms, struct buf *out)
{
    buf_printf(out,
               "{\"_aws\": {\"Timestamp\": %" PRId64 ", \"CloudWatchMetrics\": [{\"Namespace\": "
               "\"" NAMESPACE "\", \"Dimensions\": [[\"Stream\"%s]], \"Metrics\": [",
               unix_ms, table ? ", \"Table\"" : "");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s{\"Name\": \"%s\", \"Unit\": \"%s\"}", i ? ", " : "", metrics[i].name,
                   metrics[i].unit);
    buf_puts(out, "]}]}, \"Stream\": ");
    put_word(out, m->env.stream);
    if (table) {
        buf_puts(out, ", \"Table\": ");
        put_word(out, table);
    }
    for (size_t i = 0; i < n; i++)
        buf_printf(out, ", \"%s\": %" PRId64, metrics[i].name, metrics[i].value);
    buf_puts(out, "}\n");
}

static uint64_t dead(const struct shred_counts *c)
{
    uint64_t n = 0;
    for (int i = 0; i < REASON_COUNT; i++)
        n += c->dead[i];
    return n;
}

static void stream_line(const struct emf *m, const struct live_stats *s, int64_t unix_ms,
                        int64_t now_boot_ms, struct buf *out)
{
    const struct live_stats *o = &m->last;
    int64_t silent = s->published_boot_ms ? now_boot_ms - s->published_boot_ms : 0;
#define SINCE(field) (int64_t)(s->field - o->field)
    const struct metric metrics[] = {
        {"Lag", "Milliseconds", s->lag_ms},
        {"CommitAge", "Milliseconds", s->uncommitted_age_ms ? s->uncommitted_age_ms + silent : 0},
        {"Records", "Count", SINCE(counts.records)},
        {"RecordBytes", "Bytes", SINCE(counts.bytes)},
        {"Rows", "Count", SINCE(rows_committed)},
        {"Bytes", "Bytes", SINCE(bytes_committed)},
        {"Files", "Count", SINCE(files)},
        {"Commits", "Count", SINCE(commits)},
        {"CommitFailures", "Count", SINCE(commit_failures)},
        {"Duplicates", "Count", SINCE(counts.duplicates)},
        {"Rescued", "Count", SINCE(counts.rescued)},
        {"DeadLetters", "Count", (int64_t)(dead(&s->counts) - dead(&o->counts))},
        {"Restarts", "Count", SINCE(restarts)},
        {"TablesUnavailable", "Count", s->tables_unavailable},
    };
#undef SINCE
    put_line(m, NULL, metrics, sizeof metrics / sizeof *metrics, unix_ms, out);
}

static void table_line(const struct emf *m, const struct live_table *now,
                       const struct live_table *before, int64_t unix_ms, struct buf *out)
{
    const struct metric metrics[] = {
        {"Rows", "Count", (int64_t)(now->rows - before->rows)},
        {"Bytes", "Bytes", (int64_t)(now->bytes - before->bytes)},
        {"Duplicates", "Count", (int64_t)(now->duplicates - before->duplicates)},
        {"Rescued", "Count", (int64_t)(now->rescued - before->rescued)},
    };
    size_t n = sizeof metrics / sizeof *metrics;
    for (size_t i = 0; i < n; i++)
        if (metrics[i].value) {
            put_line(m, now->name, metrics, n, unix_ms, out);
            return;
        }
}

void emf_lines(struct emf *m, int64_t unix_ms, int64_t now_boot_ms, struct buf *out)
{
    static const struct live_table none;
    struct live_stats s;
    struct live_table *tables;
    size_t n;
    live_read(m->env.live, &s, &tables, &n);
    stream_line(m, &s, unix_ms, now_boot_ms, out);
    for (size_t i = 0; i < n; i++) /* a table keeps its place in the list */
        table_line(m, &tables[i], i < m->n_tables ? &m->tables[i] : &none, unix_ms, out);
    free(m->tables);
    m->tables = tables;
    m->n_tables = n;
    m->last = s;
}

/* ---- the thread ---- */

struct emf_writer {
    struct emf *emf;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
};

static void write_lines(struct emf_writer *w)
{
    struct buf out = {0};
    emf_lines(w->emf, clock_wall_ms(&clock_system), clock_boot_ms(&clock_system), &out);
    if (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0)
        log_warn("metrics cannot be written to standard output");
    buf_fini(&out);
}

static void *writer_main(void *arg)
{
    struct emf_writer *w = arg;
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        int64_t ms = w->emf->env.metrics_interval_ms;
        at.tv_sec += (time_t)(ms / 1000);
        at.tv_nsec += (long)(ms % 1000) * 1000000;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        while (!w->stop && pthread_cond_timedwait(&w->wake, &w->lock, &at) == 0)
            ;
        if (!w->stop)
            write_lines(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct emf_writer *emf_writer_start(const struct health_env *env)
{
    struct emf_writer *w = mem_zalloc(sizeof *w);
    pthread_condattr_t attr;
    w->emf = emf_new(env);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->lock, NULL);
    thread_start(&w->thread, writer_main, w);
    return w;
}

void emf_writer_stop(struct emf_writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    write_lines(w);
    emf_free(w->emf);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
