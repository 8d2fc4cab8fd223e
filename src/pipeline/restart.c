/* Being fenced, losing a shard, quarantine, and a table that comes back: all of them drop what is
 * uncommitted and read it again from the checkpoints (protocol_restart), without ending the run. First
 * what is under way comes back: batches from the shredders, tables from the committers, and a commit
 * without an answer is looked up until it is settled. Rows of several shards share files, so all shards
 * are read again; those that another worker has are given up. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pipeline/run_int.h"

#define PAUSE_MIN_MS 50 /* before reading again, doubled with each restart of the last ten minutes */
#define PAUSE_MAX_MS 30000
#define RETAKE_MS 1000 /* doubled with each failure, up to PAUSE_MAX_MS */
#define PROBE_MAX_MS 60000

bool restart_waits(const struct run *r)
{
    return r->restarting || r->returning || r->start_at_ms;
}

/* ---- the way down ---- */

/* Restarts of the last ten minutes. */
static uint32_t recent(const struct run *r, int64_t now)
{
    uint32_t n = 0, known = r->n_restarts < RESTARTS_MAX ? r->n_restarts : RESTARTS_MAX;
    for (uint32_t i = 0; i < known; i++)
        n += now - r->restart_ms[i] < RESTARTS_MS;
    return n;
}

static bool read_once(struct run *r, struct err *e)
{
    for (uint32_t i = 0; i < r->n_shards; i++) {
        const struct pshard *s = &r->shards[i];
        if (!s->source->once || !protocol_any_out(r->protocol, i))
            continue;
        size_t k = 0;
        while (r->sources[k] != s->source)
            k++;
        return err_wrap(e, "%s cannot be read again, and not all of it is in the lake: load it once "
                           "more (events that are there are dropped by their event_uuid)",
                        strcmp(r->config->files[k], "-") == 0 ? "standard input" : r->config->files[k]);
    }
    return false;
}

void restart_begin(struct run *r, uint32_t lost, const struct err *why)
{
    int64_t now = clock_boot_ms(r->clock);
    struct err e = *why;
    if (lost < r->n_shards)
        protocol_shard_lost(r->protocol, lost);
    if (r->restarting || r->failed)
        return;
    if (read_once(r, &e) || recent(r, now) >= RESTARTS_MAX) {
        run_fail(r, &e);
        return;
    }
    log_warn("%s: what is uncommitted is dropped and read again", why->text);
    r->restart_ms[r->n_restarts++ % RESTARTS_MAX] = now;
    r->report->restarts++;
    r->restarting = true;
    r->restarting_since_ms = now;
    r->start_at_ms = 0;
    for (uint32_t i = 0; i < r->n_shards; i++) {
        struct pshard *s = &r->shards[i];
        if (s->started && !s->ended)
            s->source->ops->stop(s->source, i);
        s->generation++; /* of what still comes nothing is wanted */
    }
}

static void drop_rows(struct run *r)
{
    workers_drop(r->workers, workers_collect(r->workers, UINT64_MAX));
    for (uint32_t i = 0; i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        workers_drop(r->workers, t->pending);
        t->pending = NULL;
        for (struct file_build *f = t->files; f; f = f->next)
            budget_give(r->budget, f->bytes);
        files_free(&t->files);
        pressure_files(r, t, 0);
        t->pending_bytes = t->waiting_bytes = t->files_encoded = 0;
        t->pending_rows = t->pending_sets = t->files_rows = 0;
        t->pending_since_ms = 0;
        t->must_commit = false;
    }
}

static int rebind_tables(void *ctx, struct err *e)
{
    struct run *r = ctx;
    bool any = false;
    for (uint32_t i = 0; i < router_count(&r->router); i++)
        any |= router_at(&r->router, i)->rebind;
    if (!any)
        return 0;
    workers_forget(r->workers);
    r->drafts = false; /* somebody else is at work here: what is drafted may be at odds as well */
    for (uint32_t i = 0; i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        t->rebind |= t->handle && table_has_draft(t->handle);
    }
    for (uint32_t i = 0; i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        if (!t->rebind || !router_rebind(&r->router, t, e))
            continue;
        if (e->kind != ERR_INVALID && e->kind != ERR_NOTFOUND)
            return err_wrap(e, "table %s", t->st.name);
        log_error("table %s cannot be written: %s", t->st.name, e->text);
        protocol_quarantine(r->protocol, i);
    }
    return 0;
}

/* Where records go from now on. */
void restart_set_routes(struct run *r)
{
    int64_t now = clock_boot_ms(r->clock);
    for (uint32_t i = 0; i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        bool away = protocol_route(r->protocol, i) == PROTOCOL_TO_DEAD_LETTERS;
        if (away && !t->st.unavailable)
            log_error("table %s is quarantined: its events go to dead letters (table_unavailable) "
                      "until it can be written again",
                      t->st.name);
        if (!away && t->st.unavailable)
            log_info("table %s can be written again", t->st.name);
        if (away && !t->probe_at_ms)
            t->probe_at_ms = now + 1;
        t->st.unavailable = away;
    }
}

static void give_up(struct run *r, struct pshard *s)
{
    log_warn("shard %s is given up", s->id);
    r->leases->ops->release(r->leases, &s->lease, NULL);
    s->leased = s->unread = s->started = s->elsewhere = false;
    s->lost = true;
    s->seen_counter = s->lease.counter;
    s->seen_since_ms = 0;
    r->last_retake_ms = 0;
}

static void resume(struct run *r, const struct protocol_restart *again)
{
    for (uint32_t k = 0; k < again->n_shards; k++) {
        struct pshard *s = &r->shards[again->shards[k].shard];
        s->from = again->shards[k].from;
        memcpy(s->from_note, again->shards[k].note, sizeof s->from_note);
        s->started = s->closed_at_source = s->tip = false;
        s->counts = (struct shard_counts){0};
    }
}

/* Of what was read since the last restart: a quarantined table's records became letters. */
static void remember_letters(const struct run *r, struct ptable *t)
{
    uint32_t n = t->st.n_lettered;
    if (!t->st.unavailable)
        return;
    t->lettered = mem_regrow(t->lettered, r->n_shards + (size_t)1, sizeof *t->lettered);
    for (; n < r->n_shards; n++)
        t->lettered[n] = SEQ_NONE;
    for (uint32_t i = 0; i < n; i++)
        if (r->shards[i].started && protocol_any_out(r->protocol, i))
            t->lettered[i] = seq_max(t->lettered[i], protocol_last_out(r->protocol, i));
    t->st.lettered = t->lettered;
    t->st.n_lettered = n;
}

/* What is read again is not counted again. */
static void remember_read(struct run *r)
{
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (protocol_any_out(r->protocol, i))
            r->shards[i].read_upto = seq_max(r->shards[i].read_upto, protocol_last_out(r->protocol, i));
    for (uint32_t i = 1; i < router_count(&r->router); i++)
        remember_letters(r, router_at(&r->router, i));
}

static void restart(struct run *r, int64_t now)
{
    struct protocol_restart again;
    struct err e = {0};
    drop_rows(r);
    remember_read(r);
    if (protocol_restart(r->protocol, PROTOCOL_NO_SHARD, &again, &e)) {
        run_fail(r, &e);
        return;
    }
    dedup_forget_from(r->dedup, again.forget_from);
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].leased && !protocol_shard_held(r->protocol, i))
            give_up(r, &r->shards[i]);
    resume(r, &again);
    protocol_restart_fini(&again);
    if (run_call(r, rebind_tables, r, &e)) {
        run_fail(r, &e);
        return;
    }
    restart_set_routes(r);
    run_skips_refresh(r);
    r->restarting = r->shard_ending = false;
    r->draining &= r->report->stopped; /* else there is something to read again */
    r->returning = true;
    uint32_t before = recent(r, now);
    int64_t pause = (int64_t)PAUSE_MIN_MS << (before > 1 ? before - 1 < 10 ? before - 1 : 10 : 0);
    r->start_at_ms = now + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
    r->tip_since_ms = 0;
}

/* ---- the way up ---- */

/* The commits that bring a table back, one after the other, before anything is read. */
static void bring_back(struct run *r, int64_t now)
{
    uint32_t number;
    if (r->committing)
        return;
    if (!protocol_returning(r->protocol, &number)) {
        r->returning = false;
        restart_set_routes(r);
        run_skips_refresh(r);
        return;
    }
    struct ptable *t = router_at(&r->router, number);
    if (!t->busy && now >= t->retry_at_ms)
        run_send_job(r, t, JOB_COMMIT, now);
}

static void start_again(struct run *r)
{
    struct err e = {0};
    r->start_at_ms = 0;
    if (!r->draining && run_start_ready(r, &e))
        run_fail(r, &e);
}

static void probe_tables(struct run *r, int64_t now)
{
    for (uint32_t i = 1; i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        if (!t->st.unavailable || t->busy || now < t->probe_at_ms || r->draining)
            continue;
        int64_t wait = r->config->quarantine_after_ms / 2;
        wait = wait < 500 ? 500 : wait;
        t->probe_at_ms = now + (wait < PROBE_MAX_MS ? wait : PROBE_MAX_MS);
        run_send_job(r, t, JOB_PROBE, now);
    }
}

static void retake_shards(struct run *r, int64_t now)
{
    struct err e = {0};
    int64_t wait = (int64_t)RETAKE_MS << (r->retakes_failed < 5 ? r->retakes_failed : 5);
    wait = wait < PAUSE_MAX_MS ? wait : PAUSE_MAX_MS;
    if (r->draining || now - r->last_retake_ms < wait || !run_retake_due(r))
        return;
    int rc = run_retake(r, &e);
    r->last_retake_ms = clock_boot_ms(r->clock);
    if (rc)
        run_fail_or_wait(r, &e);
    r->retakes_failed = rc ? r->retakes_failed + 1 : 0;
}

void restart_tick(struct run *r, int64_t now)
{
    const struct err due = {.kind = ERR_FENCED, .text = "a table is quarantined or comes back"};
    if (r->failed)
        return;
    if (protocol_restart_due(r->protocol) && !r->restarting)
        restart_begin(r, PROTOCOL_NO_SHARD, &due);
    if (r->restarting && !r->open_batches && !r->committing && !r->unsettled && !r->failed)
        restart(r, now);
    if (r->restarting || r->failed)
        return;
    if (r->returning)
        bring_back(r, now);
    if (!r->returning && r->start_at_ms && now >= r->start_at_ms)
        start_again(r);
    if (restart_waits(r))
        return;
    probe_tables(r, now);
    retake_shards(r, now);
}
