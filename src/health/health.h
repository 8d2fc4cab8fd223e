/* health: what a running pipeline tells the world: /healthz, /readyz and /metrics over HTTP, and
 * CloudWatch embedded-metric lines. Everything comes from pipeline/live.h's snapshots; nothing here touches
 * the pipeline itself. */
#ifndef INLET_HEALTH_HEALTH_H
#define INLET_HEALTH_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "pipeline/live.h"

struct health_env {
    struct live *live;
    const char *version;
    const char *stream;         /* a dimension of the EMF lines: the stream's name, or "files" */
    int64_t commit_interval_ms; /* what "commits go on" is measured by */
    int64_t metrics_interval_ms;
};

/* ---- decisions and texts, without I/O */

#define HEALTH_TEXT_MAX 256
/* Do commits go on? True while it starts (a worker may stand by for days), or no row is overdue and the
 * main loop moves. A row is overdue after five commit intervals (small tables wait that long) and 16
 * minutes more: a table that refuses has been given up by then (15 minutes), so what still waits is
 * stuck. `why` is one sentence. */
bool health_ok(const struct live_stats *s, int64_t commit_interval_ms, int64_t now_boot_ms,
               char why[HEALTH_TEXT_MAX]);
/* Does it read: leases in hand, not draining? */
bool health_ready(const struct live_stats *s, char why[HEALTH_TEXT_MAX]);
/* Prometheus text format 0.0.4. */
void health_metrics(const struct health_env *env, struct buf *out);

/* ---- CloudWatch embedded metrics (EMF): a JSON line that CloudWatch Logs makes metrics of.
 * One line for the stream and one for each table that had something; counters are what came since the
 * last call. One thread at a time. */
struct emf;
struct emf *emf_new(const struct health_env *env); /* env is copied, what it points to is not */
void emf_free(struct emf *m);
void emf_lines(struct emf *m, int64_t unix_ms, int64_t now_boot_ms, struct buf *out);

/* ---- threads */

/* "HOST:PORT", ":PORT" (all addresses), "[::1]:PORT"; port 0: any free one, said in the log. */
struct health_server;
struct health_server *health_server_start(const struct health_env *env, const char *address,
                                          struct err *e);
void health_server_stop(struct health_server *s); /* NULL is fine */
int health_address_check(const char *address, struct err *e);

/* Writes EMF lines to stdout every metrics interval, and at the end. */
struct emf_writer;
struct emf_writer *emf_writer_start(const struct health_env *env);
void emf_writer_stop(struct emf_writer *w); /* NULL is fine */

#endif
