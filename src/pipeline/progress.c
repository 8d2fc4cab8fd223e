/* How it goes: the progress line (rewritten in place on a terminal, a log line every ten seconds
 * elsewhere), and what config->live is told. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "pipeline/run_int.h"

#define TTY_EVERY_MS 200
#define PLAIN_EVERY_MS 10000
#define TELL_EVERY_MS 1000

static atomic_bool shown; /* a log line of any thread clears it */

static const char *thousands(uint64_t v, char out[32])
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)v), at = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static uint64_t dead_count(const struct shred_counts *c)
{
    uint64_t n = 0;
    for (int i = 0; i < REASON_COUNT; i++)
        n += c->dead[i];
    return n;
}

void progress_clear(void)
{
    if (atomic_exchange(&shown, false))
        fputs("\r\033[K", stderr);
}

/* How much of a line the terminal takes in one row: what goes on in the next would not be wiped. */
static int row_width(size_t n)
{
    struct winsize w;
    bool narrow = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col && w.ws_col <= n;
    return narrow ? w.ws_col - 1 : (int)n;
}

void progress_line(struct run *r, bool last)
{
    int64_t now = clock_boot_ms(r->clock), shred_ns, lag = 0;
    int64_t every = r->config->progress_tty ? TTY_EVERY_MS : PLAIN_EVERY_MS;
    struct shred_counts c;
    char a[6][32];
    if (!r->config->progress || (!last && now - r->last_progress_ms < every))
        return;
    r->last_progress_ms = now;
    workers_counts(r->workers, &c, &shred_ns);
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (!r->shards[i].ended && r->shards[i].lag_ms > lag)
            lag = r->shards[i].lag_ms;
    double seconds = (double)(now - r->started_ms) / 1000;
    uint64_t rate = seconds > 0.05 ? (uint64_t)((double)c.records / seconds) : 0;
    char text[256];
    snprintf(text, sizeof text, "%s events  %s/s  lag %llds  %s files  dropped %s  rescued %s  dead %s",
             thousands(c.records, a[0]), thousands(rate, a[1]), (long long)(lag / 1000),
             thousands(r->report->files, a[2]), thousands(c.duplicates, a[3]),
             thousands(c.rescued, a[4]), thousands(dead_count(&c), a[5]));
    if (!r->config->progress_tty) {
        log_info("%s", text);
        return;
    }
    size_t n = strlen(text);
    fprintf(stderr, "\r\033[K%.*s%s", last ? (int)n : row_width(n), text, last ? "\n" : "");
    shown = !last;
    fflush(stderr);
}

/* ---- telling config->live ---- */

static void tell_tables(struct run *r, struct live_stats *s, int64_t now)
{
    s->tables = router_count(&r->router);
    for (uint32_t i = 0; i < s->tables; i++) {
        struct ptable *t = router_at(&r->router, i);
        uint64_t duplicates = t->st.duplicates, rescued = t->st.rescued;
        struct live_table more = {.duplicates = duplicates - t->told_duplicates,
                                  .rescued = rescued - t->told_rescued};
        if (more.duplicates || more.rescued) {
            memcpy(more.name, t->st.name, sizeof more.name);
            live_table_add(r->config->live, &more);
            t->told_duplicates = duplicates;
            t->told_rescued = rescued;
        }
        s->tables_unavailable += t->st.unavailable;
        bool waits = t->pending || t->files || t->busy;
        int64_t age = waits && t->pending_since_ms ? now - t->pending_since_ms : 0;
        if (age > s->uncommitted_age_ms)
            s->uncommitted_age_ms = age;
    }
}

/* What earlier incarnations counted stands in the report. */
static void add_counts(struct shred_counts *to, const struct shred_counts *from)
{
    uint64_t *a = (uint64_t *)(void *)to;
    const uint64_t *b = (const uint64_t *)(const void *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *a; i++)
        a[i] += b[i];
}

void progress_tell(struct run *r, bool at_once)
{
    int64_t now = clock_boot_ms(r->clock), shred_ns;
    const struct pipeline_report *report = r->report;
    if (!r->config->live || (!at_once && now - r->last_told_ms < TELL_EVERY_MS))
        return;
    r->last_told_ms = now;
    struct live_stats s = {.published_boot_ms = now,
                           .commits = report->commits,
                           .commit_failures = report->commit_failures,
                           .files = report->files,
                           .rows_committed = report->rows_committed,
                           .bytes_committed = report->bytes_written,
                           .restarts = report->restarts,
                           .commit_wall_ns = report->commit_wall_ns,
                           .last_commit_wall_ms = r->last_commit_wall_ms,
                           .shards = r->n_shards,
                           .memory_used = budget_used(r->budget) + budget_used(r->fetched),
                           .memory_limit = budget_limit(r->budget) + budget_limit(r->fetched)};
    workers_counts(r->workers, &s.counts, &shred_ns);
    add_counts(&s.counts, &report->counts);
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (!r->shards[i].ended && r->shards[i].lag_ms > s.lag_ms)
            s.lag_ms = r->shards[i].lag_ms;
    tell_tables(r, &s, now);
    live_publish(r->config->live, &s);
}

void progress_tell_commit(struct run *r, const struct commit_job *job)
{
    struct live_table more = {.commits = 1,
                              .files = job->n_files,
                              .rows = job->files_rows + job->n_encoded,
                              .bytes = job->bytes_written};
    r->last_commit_wall_ms = clock_wall_ms(r->clock);
    if (!r->config->live)
        return;
    memcpy(more.name, job->table->st.name, sizeof more.name);
    live_table_add(r->config->live, &more);
}
