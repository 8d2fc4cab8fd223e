/* The progress line: rewritten in place on a terminal, a line every ten seconds elsewhere. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "pipeline/run_int.h"

#define TTY_EVERY_MS 200
#define PLAIN_EVERY_MS 10000

static bool shown;

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
    if (shown)
        fputs("\r\033[K", stderr);
    shown = false;
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
    fprintf(stderr, "%s%s events  %s/s  lag %llds  %s files  dropped %s  rescued %s  dead %s%s",
            r->config->progress_tty ? "\r\033[K" : "", thousands(c.records, a[0]),
            thousands(rate, a[1]), (long long)(lag / 1000), thousands(r->report->files, a[2]),
            thousands(c.duplicates, a[3]), thousands(c.rescued, a[4]),
            thousands(dead_count(&c), a[5]), r->config->progress_tty && !last ? "" : "\n");
    shown = r->config->progress_tty && !last;
    fflush(stderr);
}
