/* The coordinator: the one thread that owns the protocol's state. It hands batches out, cuts epochs,
 * sends tables to the committers, moves checkpoints, and knows when the end has come. See pipeline.h. */
#include "pipeline/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/policy.h"
#include "pipeline/loads.h"
#include "pipeline/run_int.h"

#define TICK_MS 20
#define CALM_MS 200 /* nothing is to be looked after but the time */
#define JOIN_ROWS 200 /* a row set of so many, at most, ... */
#define JOIN_TRIES 64 /* ... is looked for another one among so many */
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 30000
#define TIP_SETTLE_MS 300     /* all shards at the tip for so long: caught up */

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
                                  .start_patience_ms = 120000,
                                  .quarantine_after_ms = PROTOCOL_REFUSED_MAX_MS,
                                  .version = "inlet"};
}

void run_fail(struct run *r, const struct err *e)
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
    r->open_bytes += b->n_data;
    const struct work_item item = {.batch = b,
                                   .check_positions = seq_le(b->first, protocol_skip_until(r->protocol, b->shard)),
                                   .again = seq_le(b->first, s->read_upto),
                                   .again_upto = s->read_upto};
    workers_push(r->workers, &item);
}

static void on_shard_end(struct run *r, struct source_event *ev)
{
    struct pshard *s = &r->shards[ev->shard];
    struct source *source = s->source;
    s->closed_at_source = s->tip = true;
    protocol_shard_ended(r->protocol, ev->shard);
    struct err e = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < ev->n_children; i++)
        rc = run_take_shard(r, source, &ev->children[i], &e);
    r->children_due |= rc && run_waits_out(r, &e);
    if (!rc && run_any_unread(r))
        rc = run_read_positions(r, &e);
    if (rc)
        run_fail_or_wait(r, &e);
    if (!r->config->stream && run_start_ready(r, &e)) /* the next file */
        run_fail(r, &e);
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
static void take_back(struct run *r, struct ptable *t, struct commit_job *job)
{
    struct rowset **last = &job->rows;
    for (; *last; last = &(*last)->next)
        t->pending_sets++;
    *last = t->pending;
    t->pending = job->rows;
    t->pending_bytes += job->bytes;
    t->pending_rows += job->n_rows - job->n_encoded;
    t->files = job->files;
    t->files_rows = job->files_rows + job->n_encoded;
    pressure_files(r, t, t->files_bytes + files_held(t->files));
    for (struct file_build *f = t->files; f; f = f->next)
        t->files_encoded += f->encoded;
    job->rows = NULL;
    job->files = NULL;
}

/* Waits twice as long each time. */
static void back_off(struct ptable *t, int64_t now)
{
    int64_t wait = (int64_t)RETRY_MIN_MS << (t->attempts < 8 ? t->attempts : 8);
    t->retry_at_ms = now + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
    t->attempts++;
}

/* Is it this table that refuses (gone, a view, denied), rather than the lake, the disk or the network
 * that fails? Where others can be written meanwhile, it is the table. */
static bool refuses(const struct run *r, const struct ptable *t, const struct err *e)
{
    if (e->kind == ERR_INVALID || e->kind == ERR_NOTFOUND)
        return true;
    return e->kind == ERR_IO && t->refused_since_ms && r->last_commit_ms > t->refused_since_ms;
}

static bool may_pass(const struct err *e)
{
    return e->kind == ERR_RETRY || e->kind == ERR_CONFLICT || e->kind == ERR_UNKNOWN;
}

/* Nothing that waiting would mend, or nobody who waits. */
static bool gives_up(const struct run *r, const struct ptable *t, const struct commit_job *job,
                     bool refused, int64_t now)
{
    if (may_pass(&job->err))
        return false;
    if (refused)
        return r->report->stopped;
    return !run_endless(r) || r->draining ||
           now - t->refused_since_ms > r->config->quarantine_after_ms;
}

static void lose_all(struct run *r)
{
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].leased && !r->shards[i].ended)
            protocol_shard_lost(r->protocol, i);
}

static void on_job_failed(struct run *r, struct commit_job *job)
{
    struct ptable *t = job->table;
    int64_t now = clock_boot_ms(r->clock);
    bool lost = job->broken && job->err.kind == ERR_IO && !run_endless(r); /* of a spool: the disk fails */
    bool again = !lost && (job->err.kind == ERR_FENCED || job->contradicted || job->broken);
    bool refused = !again && !lost && refuses(r, t, &job->err);
    enum protocol_action then = PROTOCOL_RETRY;
    if (job->kind == JOB_COMMIT && refused)
        then = protocol_commit_refused(r->protocol, t->st.number, &job->plan, now);
    else if (job->kind == JOB_COMMIT)
        protocol_commit_failed(r->protocol, t->st.number, &job->plan);
    r->report->commit_failures += job->kind == JOB_COMMIT;
    take_back(r, t, job);
    if (!t->refused_since_ms)
        t->refused_since_ms = now;
    t->must_commit |= refused;
    t->rebind |= job->contradicted;
    back_off(t, now);
    if (job->aged)
        lose_all(r); /* who knows what became of the leases in an hour */
    if (again || then == PROTOCOL_QUARANTINE)
        restart_begin(r, job->lost_shard, &job->err);
    else if (lost || then == PROTOCOL_STOP || gives_up(r, t, job, refused, now))
        run_fail(r, &job->err);
    else
        log_warn("%s; will try again in %lld ms", job->err.text,
                 (long long)(t->retry_at_ms - now));
}

static void on_committed(struct run *r, struct commit_job *job)
{
    struct ptable *t = job->table;
    t->refused_since_ms = t->retry_at_ms = t->attempts = 0;
    t->must_commit = false;
    if (!t->pending)
        t->pending_since_ms = 0;
    r->last_commit_ms = clock_boot_ms(r->clock);
    r->report->commits++;
    progress_tell_commit(r, job);
    r->report->files += job->n_files;
    r->report->rows_committed += job->files_rows + job->n_encoded;
    for (struct file_build *f = job->files; f; f = f->next)
        budget_give(r->budget, f->bytes);
    dedup_commit_upto(r->dedup, protocol_committed_upto(r->protocol));
}

/* ---- commits without an answer: the table waits, and is looked up; others go on ---- */

static void on_unknown(struct run *r, struct commit_job *job)
{
    struct ptable *t = job->table;
    int64_t now = clock_boot_ms(r->clock);
    if (job->kind == JOB_COMMIT) {
        protocol_commit_unknown(r->protocol, t->st.number);
        t->unsettled_since_ms = now;
        t->attempts = 0;
        r->unsettled++;
    }
    job->kind = JOB_SETTLE;
    t->unsettled = job;
    t->busy = true;
    back_off(t, now);
    log_warn("%s; whether table %s was committed is looked up in %lld ms", job->err.text,
             t->st.name, (long long)(t->retry_at_ms - now));
}

/* True: the job is done with. */
static bool on_settled(struct run *r, struct commit_job *job)
{
    struct ptable *t = job->table;
    enum protocol_settled seen = protocol_commit_settled(r->protocol, t->st.number, &job->plan,
                                                         job->seen, job->base_moved);
    if (seen == PROTOCOL_UNKNOWN) {
        on_unknown(r, job);
        return false;
    }
    r->unsettled--;
    log_info("table %s: the commit without an answer was %s", t->st.name,
             seen == PROTOCOL_COMMITTED ? "made" : "not made");
    if (seen == PROTOCOL_COMMITTED) {
        on_committed(r, job);
    } else {
        take_back(r, t, job);
        t->retry_at_ms = t->attempts = 0;
    }
    return true;
}

static void settle_jobs(struct run *r, int64_t now)
{
    bool waits = r->restarting || r->draining;
    for (uint32_t i = 0; r->unsettled && i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        struct commit_job *job = t->unsettled;
        if (!job)
            continue;
        if (waits && now - t->unsettled_since_ms > r->config->quarantine_after_ms) {
            err_set(&job->err, ERR_UNKNOWN,
                    "table %s: whether its last commit was made cannot be found out; start again, "
                    "then its positions tell",
                    t->st.name);
            run_fail(r, &job->err);
        } else if (now >= t->retry_at_ms) {
            t->unsettled = NULL;
            r->committing++;
            invariant(queue_push(r->commits, job));
        }
    }
}

/* ---- */

static void on_probed(struct run *r, struct commit_job *job)
{
    struct ptable *t = job->table;
    if (job->rc) {
        log_debug("%s: still quarantined", job->err.text);
        return;
    }
    table_free(t->handle);
    t->handle = job->probed;
    job->probed = NULL;
    t->unopened = false;
    t->rebind = true;
    t->refused_since_ms = t->retry_at_ms = t->attempts = 0;
    protocol_table_back(r->protocol, t->st.number);
}

static void on_job(struct run *r, struct commit_job *job)
{
    struct ptable *t = job->table;
    bool over = true;
    t->busy = false;
    t->made = ptable_there(t);
    r->committing--;
    r->job_columns -= job->columns;
    job->columns = 0;
    if (job->kind == JOB_SETTLE) {
        over = on_settled(r, job);
    } else if (job->kind == JOB_PROBE) {
        on_probed(r, job);
    } else {
        count_job(r->report, job);
        if (job->unknown) {
            on_unknown(r, job);
            over = false;
        } else if (job->rc) {
            on_job_failed(r, job);
        } else if (job->kind == JOB_ENCODE) {
            t->waiting_bytes = job->bytes;
            take_back(r, t, job);
        } else {
            protocol_commit_done(r->protocol, t->st.number, &job->plan);
            on_committed(r, job);
        }
    }
    if (over)
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
    case SOURCE_FAILED:
        if (!s || s->generation == ev->generation)
            run_fail(r, &ev->error);
        break;
    case SOURCE_NOTICE:
        log_warn("%s", ev->error.text);
        break;
    }
    source_event_free(ev);
}

static void add_shard_counts(struct run *r, const struct msg *m)
{
    struct pshard *s = &r->shards[m->shard];
    if (m->generation != s->generation)
        return;
    s->counts.records += m->counts.records;
    s->counts.rows += m->counts.rows;
    s->counts.duplicates += m->counts.duplicates;
    s->counts.dead += m->counts.dead;
}

static void on_message(struct run *r, struct msg *m)
{
    switch ((int)m->ev.kind) {
    case MSG_BATCH_DONE:
        r->open_batches--;
        protocol_batch_done(r->protocol, m->epoch);
        add_shard_counts(r, m);
        pressure_learn(r, m);
        free(m);
        break;
    case MSG_COMMIT_DONE:
        on_job(r, m->job);
        free(m);
        break;
    default: {
        bool gathers = gather_begins(r, &m->ev, clock_boot_ms(r->clock));
        if (!r->restarting && (gathers || r->n_deferred || pressure_full(r)))
            gather_keep(r, &m->ev);
        else
            on_event(r, &m->ev);
    }
    }
}

static void handle_deferred(struct run *r, int64_t now)
{
    if (!r->gather_until_ms || !gather_goes_on(r, now))
        while (r->n_deferred && (r->restarting || !pressure_full(r)))
            on_event(r, gather_take(r));
}

/* ---- epochs and commits ---- */

static void pack(struct run *r, struct rowset *set)
{
    size_t before = set->bytes;
    rowset_pack(set);
    budget_change(r->budget, before, set->bytes);
}

/* Into one that waits already. */
static bool joins(struct run *r, struct ptable *t, struct rowset *set)
{
    uint32_t tries = 0, rows = set->rows;
    size_t bytes = set->bytes;
    for (struct rowset *of = t->pending; of && rows <= JOIN_ROWS && tries < JOIN_TRIES; of = of->next, tries++) {
        size_t before = of->bytes;
        bool one = rowset_merge(of, set);
        budget_change(r->budget, before + (one ? bytes : 0), of->bytes);
        t->pending_bytes += of->bytes - before;
        if (!one)
            continue;
        t->pending_rows += rows;
        return true;
    }
    return false;
}

static void add_pending(struct run *r, struct rowset *list)
{
    uint32_t n = 0, joined = 0;
    for (; list; n++) {
        struct rowset *set = list;
        list = set->next;
        struct ptable *t = set->table ? router_at(&r->router, set->table->number)
                                      : router_dead_letters(&r->router);
        if (!t->pending && !t->files && !t->busy)
            t->pending_since_ms = clock_boot_ms(r->clock);
        protocol_table_rows(r->protocol, t->st.number, set->first_epoch);
        if (joins(r, t, set)) {
            joined++;
            continue;
        }
        pack(r, set);
        set->next = t->pending;
        t->pending = set;
        t->pending_bytes += set->bytes;
        t->pending_rows += set->rows;
        t->pending_sets++;
    }
    r->cuts_join = n ? joined > n / 2 : r->cuts_join;
}

static void maybe_cut(struct run *r, int64_t now)
{
    bool due = now - r->last_cut_ms >= r->config->commit_interval_ms / 4;
    bool early = pressure_cuts(r, now - r->last_cut_ms);
    r->shard_ending = false; /* its children wait until all of it is committed */
    for (uint32_t i = 0; i < r->n_shards; i++)
        r->shard_ending |= r->config->stream && r->shards[i].closed_at_source && !r->shards[i].ended;
    bool ending = (r->draining || r->shard_ending) && r->open_batches == 0 &&
                  protocol_open_rows(r->protocol);
    if (due || early || ending) {
        protocol_cut(r->protocol, now);
        r->last_cut_ms = now;
    }
}

static void collect_ready(struct run *r)
{
    uint64_t epoch;
    while ((epoch = protocol_closed_ready(r->protocol)) != 0) {
        struct rowset *list = workers_collect(r->workers, epoch);
        if (r->config->feed && r->config->feed->judged)
            workers_drop(r->workers, list);
        else
            add_pending(r, list);
    }
}

static void shard_texts(struct run *r, struct commit_job *job)
{
    job->n_shards = r->n_shards;
    job->shard_names = mem_array(r->n_shards, sizeof *job->shard_names);
    job->shard_identities = mem_array(r->n_shards, sizeof *job->shard_identities);
    job->shard_ids = mem_array(r->n_shards, sizeof *job->shard_ids);
    job->shard_ended = mem_array(r->n_shards, sizeof *job->shard_ended);
    for (uint32_t i = 0; i < r->n_shards; i++) {
        job->shard_ids[i] = mem_strdup(r->shards[i].id);
        job->shard_names[i] = r->config->stream ? job->shard_ids[i] : NULL;
        job->shard_identities[i] = mem_strdup(r->shards[i].identity); /* a failed run closes its sources first */
        job->shard_ended[i] = r->shards[i].ended;
    }
    job->cover_tables = mem_array(job->plan.n_covers, sizeof *job->cover_tables);
    for (uint32_t i = 0; i < job->plan.n_covers; i++)
        job->cover_tables[i] = router_at(&r->router, job->plan.covers[i].table)->st.name;
}

/* The plan of its commit; else what is uncommitted is too old, or a restart is due. */
static bool plan_job(struct run *r, struct ptable *t, struct commit_job *job, int64_t now)
{
    struct err e = {0};
    if (!protocol_commit_plan(r->protocol, t->st.number, now, &job->plan, &e))
        return true;
    free(job);
    if (!protocol_restart_due(r->protocol)) {
        lose_all(r);
        restart_begin(r, PROTOCOL_NO_SHARD, &e);
    }
    return false;
}

/* Hands the table to a committer. */
void run_send_job(struct run *r, struct ptable *t, enum job_kind kind, int64_t now)
{
    struct commit_job *job = mem_zalloc(sizeof *job);
    if (kind == JOB_COMMIT && !plan_job(r, t, job, now))
        return;
    job->table = t;
    job->kind = kind;
    job->lost_shard = PROTOCOL_NO_SHARD;
    job->rows = t->pending;
    job->bytes = t->pending_bytes;
    job->n_rows = t->pending_rows;
    job->files = t->files;
    job->files_rows = t->files_rows;
    job->budget = r->budget;
    job->files_room = pressure_files_room(r);
    job->lake = &r->lake;
    job->config = r->config;
    job->drafts = r->drafts;
    job->columns = pressure_columns(t);
    r->job_columns += job->columns;
    job->rest_above = BASES_BYTES / router_count(&r->router);
    job->spools = &r->spools;
    job->leases = r->leases;
    job->owner = r->owner;
    job->told = &r->told;
    shard_texts(r, job);
    t->pending = NULL;
    t->files = NULL;
    t->pending_bytes = t->waiting_bytes = t->files_encoded = 0;
    pressure_files(r, t, 0);
    t->pending_rows = t->pending_sets = t->files_rows = 0;
    t->busy = true;
    r->committing++;
    invariant(queue_push(r->commits, job));
}

/* Which tables are too many is found out anew at each start. So before letters, and their position, are committed, the tables
 * of all rows at hand are there: else such a one may be refused then, and its record be taken for a letter that was written. */
static bool letters_wait(struct run *r)
{
    bool wait = false;
    for (uint32_t i = 1; router_count(&r->router) > r->router.most / 2 && i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        bool waits = !t->made && !t->st.unavailable && (t->pending || t->files || t->busy);
        t->must_commit |= waits;
        wait |= waits;
    }
    return wait;
}

static void send_jobs(struct run *r, int64_t now)
{
    const struct pressure p = pressure_now(r);
    for (uint32_t i = 0; i < router_count(&r->router) && !restart_waits(r); i++) {
        struct ptable *t = router_at(&r->router, i);
        if (t->busy || now < t->retry_at_ms || (!t->pending && !t->files) || pressure_jobs_full(r, t))
            continue;
        bool commits = t->must_commit || pressure_commits(r, t, &p, now);
        if (commits && !i && letters_wait(r))
            continue;
        if (commits)
            run_send_job(r, t, JOB_COMMIT, now);
        else if (pressure_encodes(r, t, &p))
            run_send_job(r, t, JOB_ENCODE, now);
    }
}

/* ---- leases ---- */

/* A lease store that does not answer is no reason to stop: positions fence, not leases. */
static void lease_failed(struct run *r, uint32_t shard, struct err *e)
{
    err_wrap(e, "lease of shard %s", r->shards[shard].id);
    if (e->kind == ERR_FENCED)
        restart_begin(r, shard, e);
    else if (may_pass(e))
        log_warn("%s; will try again", e->text);
    else
        run_fail(r, e);
}

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
        if (!s->leased || s->ended || (!s->unread && !protocol_shard_held(r->protocol, i)))
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
            lease_failed(r, i, &e);
            continue;
        }
        ended |= s->ended = end;
    }
    if (!r->config->stream && loads_write(r, &e)) {
        if (force)
            run_fail(r, &e);
        else
            log_warn("%s; will try again", e.text);
    }
    if (ended && r->config->stream && !restart_waits(r) && run_start_ready(r, &e))
        run_fail(r, &e);
}

/* ---- the loop ---- */

static bool all_at_tip(struct run *r, int64_t now)
{
    for (uint32_t i = 0; i < r->n_shards; i++) {
        const struct pshard *s = &r->shards[i];
        if (s->lost ? !s->elsewhere : !s->ended && !s->closed_at_source && !s->tip)
            return false;
    }
    for (uint32_t i = 0; i < r->n_shards; i++) /* children still to come */
        if (r->shards[i].leased && !r->shards[i].started)
            return false;
    if (r->children_due)
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
    if (!r->draining || r->open_batches || r->committing || r->unsettled || restart_waits(r) ||
        protocol_restart_due(r->protocol) || protocol_open_rows(r->protocol))
        return false;
    for (uint32_t i = 0; i < router_count(&r->router); i++)
        if (router_at(&r->router, i)->pending || router_at(&r->router, i)->files)
            return false;
    return queue_count(r->inbox) == 0 && r->n_deferred == 0;
}

static void tick(struct run *r)
{
    int64_t now = clock_boot_ms(r->clock);
    if (run_asked_to_stop(r) && !r->draining) {
        r->report->stopped = true;
        begin_drain(r, "asked to stop");
    }
    bool ends = !run_endless(r) || r->config->until_caught_up;
    handle_deferred(r, now);
    restart_tick(r, now);
    settle_jobs(r, now);
    bool idle = !restart_waits(r) && r->open_batches == 0 && !r->n_deferred && queue_count(r->inbox) == 0;
    if (!r->draining && ends && idle && all_at_tip(r, now))
        begin_drain(r, "everything has been read");
    if (!restart_waits(r) && !protocol_restart_due(r->protocol)) {
        maybe_cut(r, now);
        collect_ready(r);
        send_jobs(r, now);
    }
    progress_tell(r, r->config->feed != NULL); /* before the checkpoint that tells it to be done */
    store_checkpoints(r, r->shard_ending && !r->committing);
    pressure_watch(r, now);
    progress_line(r, false);
}

/* How long until the next look, should no message come. A stream is waited for most of the time, and each look finds its
 * tables gone from the caches. */
static int64_t wait_ms(struct run *r)
{
    bool calm = r->config->stream && !r->config->feed && !r->draining && !restart_waits(r) && !r->unsettled && !r->children_due &&
                !r->shard_ending && !r->tip_since_ms && (r->gather_until_ms || !r->n_deferred) &&
                r->config->commit_interval_ms >= CALM_MS * 50;
    if (!calm)
        return TICK_MS;
    int64_t left = r->gather_until_ms ? r->gather_until_ms - clock_boot_ms(r->clock) : CALM_MS;
    return left < 1 ? 1 : left < CALM_MS ? left : CALM_MS;
}

static void loop(struct run *r)
{
    struct msg *m;
    while (!r->failed && !drained(r)) {
        m = queue_pop_wait(r->inbox, wait_ms(r));
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
    uint32_t stay = r->config->feed ? r->config->feed->letters_stay : 0;
    for (int i = 0; i < REASON_COUNT; i++)
        *(stay & 1u << i ? &report->still_dead : &report->dead_letters) += c.dead[i];
}

static void sum_up(struct run *r)
{
    if (r->workers)
        add_counts(r->report, r);
    for (uint32_t i = 0; r->config->feed && r->config->feed->judged && i < r->n_shards; i++)
        r->config->feed->judged(r->config->feed->ctx, r->shards[i].id, r->shards[i].counts.rows);
    for (size_t i = 0; i < r->n_sources && r->sources[i]; i++)
        r->report->read_ns += r->sources[i]->cpu_ns;
    for (uint32_t i = 0; !r->config->stream && !r->failed && i < r->n_shards; i++) {
        const struct pshard *s = &r->shards[i];
        bool before = s->goes_on || seq_cmp(s->from, SEQ_NONE) > 0; /* else it is empty */
        r->report->already_loaded += before && !protocol_any_out(r->protocol, i);
    }
}

int pipeline_run(const struct pipeline_config *c, struct pipeline_report *report, struct err *e)
{
    struct run r = {.config = c, .report = report, .clock = &clock_system, .expansion = PRESSURE_EXPANSION};
    int64_t began = clock_mono_ns();
    log_set_before(progress_clear);
    int rc = run_start(&r, e);
    r.failed = rc != 0;
    if (!rc) {
        r.started_ms = r.last_cut_ms = r.last_checkpoint_ms = clock_boot_ms(r.clock);
        r.last_progress_ms = r.started_ms;
        live_state(c->live, LIVE_READING);
        policy_batch();
        loop(&r);
        progress_clear();
        progress_line(&r, true);
        progress_tell(&r, true);
        rc = r.failed ? -1 : 0;
        if (rc)
            *e = r.error;
    }
    if (rc && e->kind == ERR_STOPPED && run_asked_to_stop(&r)) {
        report->stopped = true; /* before anything was read */
        rc = 0;
    }
    sum_up(&r);
    run_close(&r);
    log_set_before(NULL);
    live_state(c->live, LIVE_ENDED);
    report->seconds = (double)(clock_mono_ns() - began) / 1e9;
    return rc;
}
