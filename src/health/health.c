/* Health by a snapshot, and the snapshot as Prometheus text: see health.h. Names and units follow
 * Prometheus' conventions (base units, _total); labels are a table (bounded by live's tables_max) or a
 * reason code (a fixed list), nothing else. */
#include "health/health.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"

#define STUCK_MS (5 * 60 * 1000)    /* the main loop's longest wait for a service is below that */
#define GRACE_MS (16 * 60 * 1000)   /* a refusing table is given up after 15 minutes */
#define SMALL_TABLES_WAIT 5         /* commit intervals */

bool health_ok(const struct live_stats *s, int64_t commit_interval_ms, int64_t now_boot_ms,
               char why[HEALTH_TEXT_MAX])
{
    int64_t limit = SMALL_TABLES_WAIT * commit_interval_ms + GRACE_MS;
    int64_t silent = s->published_boot_ms ? now_boot_ms - s->published_boot_ms : 0;
    int64_t age = s->uncommitted_age_ms;
    if (s->state == LIVE_STARTING || s->state == LIVE_ENDED) {
        snprintf(why, HEALTH_TEXT_MAX, s->state == LIVE_ENDED ? "ended" : "starting");
        return true;
    }
    if (silent > STUCK_MS) {
        snprintf(why, HEALTH_TEXT_MAX, "the main loop has not moved for %" PRId64 " s",
                 silent / 1000);
        return false;
    }
    if (age)
        age += silent;
    if (age > limit) {
        snprintf(why, HEALTH_TEXT_MAX, "rows wait for a commit since %" PRId64 " s", age / 1000);
        return false;
    }
    snprintf(why, HEALTH_TEXT_MAX, "commits go on");
    return true;
}

bool health_ready(const struct live_stats *s, char why[HEALTH_TEXT_MAX])
{
    static const char *const states[] = {"starting: no shard is being read yet", "reading",
                                         "draining", "ended"};
    snprintf(why, HEALTH_TEXT_MAX, "%s", states[s->state]);
    return s->state == LIVE_READING;
}

/* ---- Prometheus ---- */

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t v)
{
    head(out, name, "counter", help);
    buf_printf(out, "%s %" PRIu64 "\n", name, v);
}

static void gauge(struct buf *out, const char *name, const char *help, double v)
{
    head(out, name, "gauge", help);
    buf_printf(out, "%s %.15g\n", name, v);
}

static void read_metrics(const struct live_stats *s, struct buf *out)
{
    const struct shred_counts *c = &s->counts;
    counter(out, "inlet_records_total", "Records read, of all kinds.", c->records);
    counter(out, "inlet_record_bytes_total", "Bytes of these records.", c->bytes);
    counter(out, "inlet_skipped_records_total", "Records that their table already held.",
            c->skipped);
    counter(out, "inlet_reread_records_total", "Records read again after uncommitted rows were dropped.", c->reread);
    counter(out, "inlet_duplicates_different_total",
            "Duplicates whose payload is not that of the first.", c->duplicates_different);
    counter(out, "inlet_conflicts_total", "Values that did not fit their column.", c->conflicts);
    head(out, "inlet_dead_letters_total", "counter", "Records that became dead letters, by reason.");
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++)
        buf_printf(out, "inlet_dead_letters_total{reason=\"%s\"} %" PRIu64 "\n",
                   event_reason_code((enum reason)i), c->dead[i]);
}

static void commit_metrics(const struct live_stats *s, int64_t now_boot_ms, struct buf *out)
{
    int64_t silent = now_boot_ms - s->published_boot_ms;
    int64_t age = s->uncommitted_age_ms ? s->uncommitted_age_ms + silent : 0;
    gauge(out, "inlet_lag_seconds", "How far the shard that is furthest behind is behind its tip.",
          (double)s->lag_ms / 1000);
    gauge(out, "inlet_uncommitted_age_seconds", "Age of the oldest rows read and not committed.",
          (double)age / 1000);
    gauge(out, "inlet_last_commit_timestamp_seconds", "Unix time of the last commit; 0: none yet.",
          (double)s->last_commit_wall_ms / 1000);
    head(out, "inlet_commit_duration_seconds", "summary", "How long commits took.");
    buf_printf(out,
               "inlet_commit_duration_seconds_sum %.6f\ninlet_commit_duration_seconds_count %" PRIu64
               "\n",
               (double)s->commit_wall_ns / 1e9, s->commits);
    counter(out, "inlet_commit_failures_total", "Commits that failed and were tried again.",
            s->commit_failures);
    counter(out, "inlet_restarts_total",
            "Times that what was uncommitted was dropped and read again.", s->restarts);
    gauge(out, "inlet_shards", "Shards known to this worker.", s->shards);
    gauge(out, "inlet_tables", "Tables known to this worker, dead letters too.", s->tables);
    gauge(out, "inlet_tables_unavailable", "Tables whose events go to dead letters.",
          s->tables_unavailable);
    gauge(out, "inlet_memory_used_bytes", "Of the budget: what is read and not committed.",
          (double)s->memory_used);
    gauge(out, "inlet_memory_limit_bytes", "The budget for it.", (double)s->memory_limit);
}

static void table_series(struct buf *out, const char *name, const char *help,
                         const struct live_table *tables, size_t n, size_t offset)
{
    head(out, name, "counter", help);
    for (size_t i = 0; i < n; i++) {
        uint64_t v;
        memcpy(&v, (const char *)&tables[i] + offset, sizeof v);
        buf_printf(out, "%s{table=\"%s\"} %" PRIu64 "\n", name, tables[i].name, v);
    }
}

static void table_metrics(const struct live_table *t, size_t n, struct buf *out)
{
#define SERIES(field, name, help) table_series(out, name, help, t, n, offsetof(struct live_table, field))
    SERIES(rows, "inlet_rows_committed_total", "Rows committed, by table.");
    SERIES(bytes, "inlet_bytes_committed_total", "Bytes of Parquet committed, by table.");
    SERIES(files, "inlet_files_committed_total", "Data files committed, by table.");
    SERIES(commits, "inlet_commits_total", "Commits, by table.");
    SERIES(duplicates, "inlet_duplicates_total",
           "Events dropped because their event_uuid was in the hot window, by table.");
    SERIES(rescued, "inlet_rescued_rows_total", "Rows with something in _rescued, by table.");
#undef SERIES
}

static void process_metrics(struct buf *out)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    head(out, "process_cpu_seconds_total", "counter", "CPU time, user and system.");
    buf_printf(out, "process_cpu_seconds_total %.6f\n",
               (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                   (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    gauge(out, "process_resident_memory_bytes", "Resident memory.",
          (double)mem_resident());
}

void health_metrics(const struct health_env *env, struct buf *out)
{
    struct live_stats s;
    struct live_table *tables;
    size_t n;
    live_read(env->live, &s, &tables, &n);
    head(out, "inlet_build_info", "gauge", "1; the version as a label.");
    buf_printf(out, "inlet_build_info{version=\"%s\"} 1\n", env->version);
    read_metrics(&s, out);
    commit_metrics(&s, s.published_boot_ms ? clock_boot_ms(&clock_system) : 0, out);
    table_metrics(tables, n, out);
    process_metrics(out);
    free(tables);
}
