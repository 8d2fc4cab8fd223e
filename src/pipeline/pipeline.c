/* The coordinator: the one thread that owns the protocol's state. It hands batches out, cuts epochs,
 * sends tables to the committers, moves checkpoints, and knows when the end has come. See pipeline.h. */
#include "pipeline/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pipeline/run_int.h"

#define TICK_MS 20
#define PRESSURE_PERCENT 45   /* of the budget, beside encoded files: cut and encode */
#define FULL_PERCENT 80       /* of the budget: nothing more is shredded */
#define FILES_PERCENT 45      /* of the budget in encoded files: commit the larger ones */
#define ENCODED_SHARE 4       /* rows in memory are about so many times their encoded bytes */
#define CUT_MIN_MS 10
#define SMALL_BYTES ((size_t)1 << 20)
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 30000
#define REFUSED_MS (15 * 60 * 1000)
#define TIP_SETTLE_MS 300     /* all shards at the tip for so long: caught up */
#define RESTARTS_MAX 5

void pipeline_config_init(struct pipeline_config *c)
{
    *c = (struct pipeline_config){.ns = "events",
                                  .sync = true,
                                  .memory_bytes = (size_t)256 << 20,
                                  .commit_interval_ms = 60000,
                                  .commit_bytes = (size_t)32 << 20,
                                  .dedup_window_us = (int64_t)3600 * 1000000,
                                  .zstd_level = 1,
                                  .tables_max = 1000,
                                  .partitions_max = 2000,
                                  .limits = {.columns = 1000,
                                             .struct_fields = 200,
                                             .depth = 16,
                                             .name_bytes = 128},
                                  .version = "inlet"};
}

static void fail(struct run *r, const struct err *e)
{
    if (!r->failed)
        r->error = *e;
    r->failed = true;
}

/* ---- messages ---- */

static void on_batch(struct run *r, struct source_event *ev)
{
    struct source_batch *b = ev->batch;
    struct pshard *s = &r->shards[b->shard];
    ev->batch = NULL;
    if (b->generation != s->generation || r->failed) {
        source_batch_finish(b);
        return;
    }
    s->tip = false;
    r->tip_since_ms = 0;
    b->tag = protocol_batch_out_noted(r->protocol, b->shard, b->last, b->position_note,
                                      clock_boot_ms(r->clock));
    r->open_batches++;
    workers_push(r->workers, b, seq_le(b->first, protocol_skip_until(r->protocol, b->shard)));
}

static void on_shard_end(struct run *r, struct source_event *ev)
{
    struct pshard *s = &r->shards[ev->shard];
    struct source *source = s->source;
    s->closed_at_source = s->tip = true;
    protocol_shard_ended(r->protocol, ev->shard);
    struct err e = {0};
    uint32_t first = r->n_shards;
    int rc = 0;
    for (size_t i = 0; !rc && i < ev->n_children; i++)
        rc = run_take_shard(r, source, &ev->children[i], &e);
    if (rc || (r->n_shards > first && run_read_positions(r, first, &e)))
        fail(r, &e);
    if (!r->config->stream && run_start_ready(r, &e)) /* the next file */
        fail(r, &e);
}

static void count_job(struct pipeline_report *report, const struct commit_job *job)
{
    report->bytes_written += job->bytes_written;
    report->encode_ns += job->cost.encode_ns;
    report->compress_ns += job->cost.compress_ns;
    report->write_ns += job->write_ns;
    report->commit_ns += job->commit_ns;
    report->write_wall_ns += job->write_wall_ns;
    report->commit_wall_ns += job->commit_wall_ns;
}

/* What the job still holds goes back: rows in front, to be tried again, and files. */
static void take_back(struct ptable *t, struct commit_job *job)
{
    struct rowset **last = &job->rows;
    while (*last)
        last = &(*last)->next;
    *last = t->pending;
    t->pending = job->rows;
    t->pending_bytes += job->bytes;
    t->pending_rows += job->n_rows - job->n_encoded;
    t->files = job->files;
    t->files_rows = job->files_rows + job->n_encoded;
    for (struct file_build *f = t->files; f; f = f->next)
        t->files_bytes += f->bytes;
    job->rows = NULL;
    job->files = NULL;
}

static void on_commit_failed(struct run *r, struct commit_job *job)
{
    struct ptable *t = job->table;
    int64_t now = clock_boot_ms(r->clock);
    r->report->commit_failures += job->commit;
    bool give_up = !r->config->stream || r->draining || job->err.kind == ERR_INVALID;
    bool again = job->err.kind == ERR_FENCED || job->contradicted;
    if (again || job->err.kind == ERR_UNKNOWN) {
        r->restart = again;
        fail(r, &job->err);
    } else if (give_up && job->err.kind != ERR_RETRY && job->err.kind != ERR_CONFLICT) {
        fail(r, &job->err);
    } else if (job->broken || (t->refused_since_ms && now - t->refused_since_ms > REFUSED_MS)) {
        fail(r, &job->err);
    }
    if (job->commit)
        protocol_commit_failed(r->protocol, t->st.number, &job->plan);
    take_back(t, job);
    if (!t->refused_since_ms)
        t->refused_since_ms = now;
    int64_t wait = (int64_t)RETRY_MIN_MS << (t->attempts < 8 ? t->attempts : 8);
    t->retry_at_ms = now + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
    t->attempts++;
    log_warn("%s; will try again in %lld ms", job->err.text, (long long)(t->retry_at_ms - now));
}

static void on_commit_done(struct run *r, struct commit_job *job)
{
    struct ptable *t = job->table;
    t->busy = false;
    r->committing--;
    count_job(r->report, job);
    if (job->rc) {
        on_commit_failed(r, job);
    } else if (!job->commit) {
        take_back(t, job);
    } else {
        protocol_commit_done(r->protocol, t->st.number, &job->plan);
        t->refused_since_ms = t->attempts = 0;
        if (!t->pending)
            t->pending_since_ms = 0;
        r->report->commits++;
        progress_tell_commit(r, job);
        r->report->files += job->n_files;
        r->report->rows_committed += job->files_rows + job->n_encoded;
        for (struct file_build *f = job->files; f; f = f->next)
            budget_give(r->budget, f->bytes);
        dedup_commit_upto(r->dedup, protocol_committed_upto(r->protocol));
    }
    commit_job_free(job);
}

static void on_event(struct run *r, struct source_event *ev)
{
    struct pshard *s = ev->shard < r->n_shards ? &r->shards[ev->shard] : NULL;
    switch (ev->kind) {
    case SOURCE_BATCH: on_batch(r, ev); break;
    case SOURCE_TIP:
        if (s && s->generation == ev->generation) {
            s->tip = true;
            s->lag_ms = 0;
        }
        break;
    case SOURCE_LAG:
        if (s)
            s->lag_ms = ev->lag_ms;
        break;
    case SOURCE_SHARD_END:
        if (s && s->generation == ev->generation)
            on_shard_end(r, ev);
        break;
    case SOURCE_FAILED: fail(r, &ev->error); break;
    case SOURCE_NOTICE:
        log_warn("%s", ev->error.text);
        break;
    }
    source_event_free(ev);
}

/* Batches wait here, not at the shredders: a cut must not wait for a batch that waits for memory. */
static bool full(struct run *r)
{
    return budget_used(r->budget) > budget_limit(r->budget) / 100 * FULL_PERCENT;
}

static void defer(struct run *r, struct source_event *ev)
{
    size_t end = r->deferred_head + r->n_deferred;
    if (end == r->cap_deferred && r->deferred_head) {
        memmove(r->deferred, r->deferred + r->deferred_head, r->n_deferred * sizeof *r->deferred);
        r->deferred_head = 0;
        end = r->n_deferred;
    }
    if (end == r->cap_deferred) {
        r->cap_deferred = r->cap_deferred * 2 + 64;
        r->deferred = mem_regrow(r->deferred, r->cap_deferred, sizeof *r->deferred);
    }
    r->deferred[end] = ev;
    r->n_deferred++;
}

static void on_message(struct run *r, struct msg *m)
{
    switch ((int)m->ev.kind) {
    case MSG_BATCH_DONE:
        r->open_batches--;
        protocol_batch_done(r->protocol, m->epoch);
        free(m);
        break;
    case MSG_COMMIT_DONE:
        on_commit_done(r, m->job);
        free(m);
        break;
    default:
        if (r->n_deferred || full(r))
            defer(r, &m->ev);
        else
            on_event(r, &m->ev);
        break;
    }
}

static void handle_deferred(struct run *r)
{
    while (r->n_deferred && !full(r)) {
        struct source_event *ev = r->deferred[r->deferred_head++];
        if (--r->n_deferred == 0)
            r->deferred_head = 0;
        on_event(r, ev);
    }
}

/* ---- epochs and commits ---- */

static void add_pending(struct run *r, struct rowset *list)
{
    while (list) {
        struct rowset *set = list;
        list = set->next;
        struct ptable *t = set->table ? router_at(&r->router, set->table->number)
                                      : router_dead_letters(&r->router);
        if (!t->pending && !t->files && !t->busy)
            t->pending_since_ms = clock_boot_ms(r->clock);
        set->next = t->pending;
        t->pending = set;
        t->pending_bytes += set->bytes;
        t->pending_rows += set->rows;
        protocol_table_rows(r->protocol, t->st.number, set->first_epoch);
    }
}

/* What encoded files hold, of how many tables. */
static size_t files_held(struct run *r, size_t *tables)
{
    size_t sum = 0;
    *tables = 0;
    for (uint32_t i = 0; i < router_count(&r->router); i++) {
        size_t bytes = router_at(&r->router, i)->files_bytes;
        sum += bytes;
        *tables += bytes > 0;
    }
    return sum;
}

static size_t less(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static bool pressed(struct run *r)
{
    size_t tables, files = files_held(r, &tables);
    return less(budget_used(r->budget), files) >
           less(budget_limit(r->budget), files) / 100 * PRESSURE_PERCENT;
}

static void maybe_cut(struct run *r, int64_t now)
{
    bool due = now - r->last_cut_ms >= r->config->commit_interval_ms / 4;
    bool early = pressed(r) && now - r->last_cut_ms >= CUT_MIN_MS;
    bool crowded = workers_partitions(r->workers) > r->config->partitions_max;
    r->shard_ending = false; /* its children wait until all of it is committed */
    for (uint32_t i = 0; i < r->n_shards; i++)
        r->shard_ending |= r->config->stream && r->shards[i].closed_at_source && !r->shards[i].ended;
    bool ending = (r->draining || r->shard_ending) && r->open_batches == 0 &&
                  protocol_open_rows(r->protocol);
    if (due || early || crowded || ending) {
        protocol_cut(r->protocol, now);
        r->last_cut_ms = now;
    }
}

static void collect_ready(struct run *r)
{
    uint64_t epoch;
    while ((epoch = protocol_closed_ready(r->protocol)) != 0)
        add_pending(r, workers_collect(r->workers, epoch));
}

static void shard_texts(struct run *r, struct commit_job *job)
{
    job->n_shards = r->n_shards;
    job->shard_names = mem_array(r->n_shards, sizeof *job->shard_names);
    job->shard_identities = mem_array(r->n_shards, sizeof *job->shard_identities);
    job->shard_ids = mem_array(r->n_shards, sizeof *job->shard_ids);
    for (uint32_t i = 0; i < r->n_shards; i++) {
        job->shard_ids[i] = mem_strdup(r->shards[i].id);
        job->shard_names[i] = r->config->stream ? job->shard_ids[i] : NULL;
        job->shard_identities[i] = r->shards[i].identity;
    }
}

/* Hands the table to a committer; `commit` false: to have its rows encoded only. */
static void send_job(struct run *r, struct ptable *t, bool commit, int64_t now)
{
    struct commit_job *job = mem_zalloc(sizeof *job);
    struct err e = {0};
    if (commit && protocol_commit_plan(r->protocol, t->st.number, now, &job->plan, &e)) {
        free(job);
        r->restart = true;
        fail(r, &e);
        return;
    }
    job->table = t;
    job->commit = commit;
    job->rows = t->pending;
    job->bytes = t->pending_bytes;
    job->n_rows = t->pending_rows;
    job->files = t->files;
    job->files_rows = t->files_rows;
    job->budget = r->budget;
    job->lake = &r->lake;
    job->config = r->config;
    job->leases = r->leases;
    job->owner = r->owner;
    shard_texts(r, job);
    t->pending = NULL;
    t->files = NULL;
    t->pending_bytes = t->files_bytes = 0;
    t->pending_rows = t->files_rows = 0;
    t->busy = true;
    r->committing++;
    invariant(queue_push(r->commits, job));
}

struct pressure {
    bool rows;     /* encode what is large; */
    bool full;     /* ... all there is */
    size_t commit; /* commit tables that hold so many encoded bytes; 0: none */
};

/* Rows weigh several times their encoded bytes: they are encoded first, and committed once the
 * encoded ones are a good part of the budget, those of the larger tables. */
static struct pressure pressure(struct run *r)
{
    struct pressure p = {.rows = pressed(r), .full = full(r)};
    size_t tables, sum = files_held(r, &tables);
    if (sum > budget_limit(r->budget) / 100 * FILES_PERCENT)
        p.commit = sum / (tables * 2);
    return p;
}

/* Now, or carried on? Size, age (five times that while less than a megabyte waits), the end, or want
 * of memory. */
static bool commit_due(const struct run *r, const struct ptable *t, const struct pressure *p,
                       int64_t now)
{
    size_t encoded = t->files_bytes + t->pending_bytes / ENCODED_SHARE;
    int64_t age = now - t->pending_since_ms;
    if (r->draining || r->shard_ending || encoded >= r->config->commit_bytes)
        return true;
    if (p->commit && t->files_bytes >= p->commit)
        return true;
    return age >= r->config->commit_interval_ms * (encoded * ENCODED_SHARE < SMALL_BYTES ? 5 : 1);
}

static void send_jobs(struct run *r, int64_t now)
{
    struct pressure p = pressure(r);
    size_t large = budget_limit(r->budget) / 400;
    for (uint32_t i = 0; i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        if (t->busy || now < t->retry_at_ms || (!t->pending && !t->files))
            continue;
        if (commit_due(r, t, &p, now))
            send_job(r, t, true, now);
        else if (t->pending && (p.full || (p.rows && t->pending_bytes >= large)))
            send_job(r, t, false, now);
    }
}

/* ---- leases ---- */

static void store_checkpoints(struct run *r, bool force)
{
    int64_t now = clock_boot_ms(r->clock);
    struct err e = {0};
    bool ended = false;
    if (!force && now - r->last_checkpoint_ms < (r->config->feed ? 0 : CHECKPOINT_MS))
        return;
    r->last_checkpoint_ms = now;
    for (uint32_t i = 0; i < r->n_shards; i++) {
        struct pshard *s = &r->shards[i];
        struct seq at;
        if (!s->leased || s->ended)
            continue;
        bool moved = protocol_checkpoint(r->protocol, i, &at) &&
                     seq_cmp(at, s->lease.checkpoint) != 0;
        bool end = moved && seq_cmp(at, SEQ_END) == 0;
        if (!r->config->stream && end) /* a file may grow: its end is an offset */
            at = protocol_last_out(r->protocol, i);
        int rc = moved ? r->leases->ops->checkpoint(r->leases, &s->lease, at,
                                                    protocol_checkpoint_note(r->protocol, i), &e)
                       : r->leases->ops->renew(r->leases, &s->lease, &e);
        if (rc) {
            r->restart = e.kind == ERR_FENCED;
            err_wrap(&e, "lease of shard %s", s->id);
            fail(r, &e);
        }
        ended |= s->ended = end;
    }
    if (ended && r->config->stream && run_start_ready(r, &e))
        fail(r, &e);
}

/* ---- the loop ---- */

static bool all_at_tip(struct run *r, int64_t now)
{
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (!r->shards[i].ended && !r->shards[i].closed_at_source && !r->shards[i].tip)
            return false;
    for (uint32_t i = 0; i < r->n_shards; i++) /* children still to come */
        if (r->shards[i].leased && !r->shards[i].started)
            return false;
    if (!r->tip_since_ms)
        r->tip_since_ms = now;
    return !r->config->stream || now - r->tip_since_ms >= TIP_SETTLE_MS;
}

static void begin_drain(struct run *r, const char *why)
{
    log_debug("draining: %s", why);
    r->draining = true;
    live_state(r->config->live, LIVE_DRAINING);
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].started && !r->shards[i].ended)
            r->shards[i].source->ops->stop(r->shards[i].source, i);
}

static bool drained(struct run *r)
{
    if (!r->draining || r->open_batches || r->committing || protocol_open_rows(r->protocol))
        return false;
    for (uint32_t i = 0; i < router_count(&r->router); i++)
        if (router_at(&r->router, i)->pending || router_at(&r->router, i)->files)
            return false;
    return queue_count(r->inbox) == 0 && r->n_deferred == 0;
}

static void tick(struct run *r)
{
    int64_t now = clock_boot_ms(r->clock);
    if (*r->config->stop && !r->draining) {
        r->report->stopped = true;
        begin_drain(r, "asked to stop");
    }
    bool ends = !r->config->stream || r->config->until_caught_up;
    handle_deferred(r);
    bool idle = r->open_batches == 0 && !r->n_deferred && queue_count(r->inbox) == 0;
    if (!r->draining && ends && idle && all_at_tip(r, now))
        begin_drain(r, "everything has been read");
    maybe_cut(r, now);
    collect_ready(r);
    send_jobs(r, now);
    progress_tell(r, r->config->feed != NULL); /* before the checkpoint that tells it to be done */
    store_checkpoints(r, r->shard_ending && !r->committing);
    progress_line(r, false);
}

static void loop(struct run *r)
{
    struct msg *m;
    while (!r->failed && !drained(r)) {
        m = queue_pop_wait(r->inbox, TICK_MS);
        for (int i = 0; m && i < 1000; i++) {
            on_message(r, m);
            m = i < 999 ? queue_pop_wait(r->inbox, 0) : NULL;
        }
        tick(r);
    }
    if (!r->failed)
        store_checkpoints(r, true);
}

static void add_counts(struct pipeline_report *report, struct run *r)
{
    struct shred_counts c;
    int64_t ns;
    uint64_t *to = (uint64_t *)(void *)&report->counts, *from = (uint64_t *)(void *)&c;
    workers_counts(r->workers, &c, &ns);
    for (size_t i = 0; i < sizeof c / sizeof *to; i++)
        to[i] += from[i];
    report->shred_ns += ns;
    for (int i = 0; i < REASON_COUNT; i++)
        report->dead_letters += c.dead[i];
}

/* One incarnation. 0: done; 1: fenced, begin anew; -1: failed. */
static int incarnation(const struct pipeline_config *c, struct pipeline_report *report,
                       struct err *e)
{
    struct run r = {.config = c, .report = report, .clock = &clock_system};
    int rc = run_open(&r, e);
    if (!rc)
        rc = run_sources(&r, e);
    if (!rc) {
        r.started_ms = r.last_cut_ms = r.last_checkpoint_ms = clock_boot_ms(r.clock);
        r.last_progress_ms = r.started_ms;
        live_state(c->live, LIVE_READING);
        loop(&r);
        progress_clear();
        progress_line(&r, true);
        progress_tell(&r, true);
        if (r.failed) {
            *e = r.error;
            rc = r.restart ? 1 : -1;
        }
    }
    if (r.workers)
        add_counts(report, &r);
    for (size_t i = 0; i < r.n_sources && r.sources[i]; i++) {
        report->read_ns += r.sources[i]->cpu_ns;
        if (rc == 1 && r.sources[i]->once)
            rc = err_wrap(e, "%s cannot be read again, and not all of it is in the lake: load it once "
                             "more (events that are there are dropped by their event_uuid)",
                          strcmp(c->files[i], "-") == 0 ? "standard input" : c->files[i]);
    }
    if (!c->stream && !rc)
        for (uint32_t i = 0; i < r.n_shards; i++)
            report->already_loaded += !protocol_any_out(r.protocol, i);
    run_close(&r);
    return rc;
}

int pipeline_run(const struct pipeline_config *c, struct pipeline_report *report, struct err *e)
{
    int64_t began = clock_mono_ns();
    int rc = -1;
    log_set_before(progress_clear);
    for (int i = 0; i < RESTARTS_MAX; i++) {
        rc = incarnation(c, report, e);
        if (rc != 1)
            break;
        log_warn("%s: what is uncommitted is dropped and read again", e->text);
        report->restarts++;
        live_state(c->live, LIVE_STARTING);
    }
    log_set_before(NULL);
    live_state(c->live, LIVE_ENDED);
    report->seconds = (double)(clock_mono_ns() - began) / 1e9;
    return rc ? -1 : 0;
}
