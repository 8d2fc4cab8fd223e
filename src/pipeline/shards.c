/* Shards: what every table holds of them, read lease in hand and before the first record, and their reading.
 * One that was lost, or that another has at the start, is taken once whoever has it lets go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pipeline/loads.h"
#include "pipeline/positions.h"
#include "pipeline/run_int.h"
#include "source/objects.h"

#define OBJECTS_AT_ONCE 4

#define MARK "inlet.takeover"
#define STAND_BY_MS 1000 /* between looks at the leases of others */

/* ---- where reading begins ---- */

/* Was a parent of it read before, by us or whoever had the leases? Then what is in the child comes after
 * that, however it is asked to start: a split while nobody reads must lose nothing. */
static bool goes_on(struct run *r, const struct pshard *s)
{
    const char *const *parents = (const char *const *)s->lease.parents;
    for (int p = 0; p < 2 && parents[p]; p++) {
        bool listed = false;
        for (uint32_t i = 0; i < r->n_shards; i++) {
            const struct pshard *up = &r->shards[i];
            if (up->source != s->source || strcmp(up->id, parents[p]) != 0)
                continue;
            listed = true;
            if (up->goes_on || up->started)
                return true;
        }
        struct lease l = {0};
        if (listed || r->leases->ops->read(r->leases, s->identity, parents[p], &l, NULL))
            continue; /* not listed any more: its lease may still be there */
        bool read_before = l.resolved;
        lease_fini(&l);
        if (read_before)
            return true;
    }
    return false;
}

struct asked { /* of a source */
    struct source *source;
    const char *shard;
    enum source_start_kind kind;
    int64_t time_ms;
    struct seq at;
    struct source_shard *shards;
    size_t n_shards;
};

static int ask_start(void *ctx, struct err *e)
{
    struct asked *a = ctx;
    return a->source->ops->resolve(a->source, a->shard, a->kind, a->time_ms, &a->at, e);
}

static int ask_shards(void *ctx, struct err *e)
{
    struct asked *a = ctx;
    return a->source->ops->shards(a->source, &a->shards, &a->n_shards, e);
}

/* Of a lease just taken: where its reading begins, unless it has begun before. Or it is given back. */
static int resolve_start(struct run *r, struct pshard *s, struct err *e)
{
    const struct pipeline_config *c = r->config;
    enum source_start_kind kind = c->start == PIPELINE_LATEST    ? START_LATEST
                                  : c->start == PIPELINE_AT_TIME ? START_AT_TIME
                                                                 : START_TRIM_HORIZON;
    if (!protocol_must_resolve(r->protocol, s->lease.resolved)) {
        s->goes_on |= !s->started_us; /* by whoever had it before us */
        return 0;
    }
    s->goes_on = goes_on(r, s);
    bool asks = c->stream && kind != START_TRIM_HORIZON && !s->goes_on;
    struct asked ask = {.source = s->source, .shard = s->id, .kind = kind, .time_ms = c->start_time_ms};
    if ((!asks || !run_call(r, ask_start, &ask, e)) &&
        !r->leases->ops->checkpoint(r->leases, &s->lease, ask.at, "", e))
        return 0;
    r->leases->ops->release(r->leases, &s->lease, NULL);
    return -1;
}

/* ---- what tables hold ---- */

/* What one table holds of the shards; a stream's shards stand together. */
static int table_positions(struct run *r, const struct table *t, uint32_t table, struct err *e)
{
    struct position_map map = {0};
    const char *identity = NULL;
    int rc = 0;
    for (uint32_t n = 0; !rc && n < r->n_shards; n++) {
        const struct pshard *s = &r->shards[n];
        if (!s->unread)
            continue;
        if (s->identity != identity) {
            char *key = position_map_key(s->identity);
            position_map_fini(&map);
            rc = positions_read(t, key, &map, e);
            identity = s->identity;
            free(key);
        }
        struct seq at = rc ? SEQ_NONE : position_map_at(&map, s->id);
        if (seq_cmp(at, SEQ_NONE) != 0)
            protocol_table_position(r->protocol, table, n, at);
    }
    position_map_fini(&map);
    return rc;
}

struct covers {
    struct run *r;
    const struct table *letters;
    struct err *err;
    int rc;
};

/* "inlet.cover.<table>:<identity>": how far the dead letters hold that table's records. */
static void cover_positions(void *ctx, const char *key, const char *text)
{
    struct covers *c = ctx;
    struct position_map map = {0};
    size_t prefix = sizeof POSITION_MAP_COVER_PREFIX - 1;
    const char *name = key + prefix;
    const char *colon = strncmp(key, POSITION_MAP_COVER_PREFIX, prefix) == 0 ? strchr(name, ':') : NULL;
    if (c->rc || !text || !colon || (size_t)(colon - name) > EVENT_TABLE_MAX)
        return;
    char *table = mem_strndup(name, (size_t)(colon - name));
    struct ptable *t = router_table(&c->r->router, table);
    free(table);
    c->rc = t ? positions_read(c->letters, key, &map, c->err)
              : err_set(c->err, ERR_INVALID, "property %s: there are more tables than --max-tables", key);
    for (uint32_t n = 0; !c->rc && n < c->r->n_shards; n++) {
        const struct pshard *s = &c->r->shards[n];
        struct seq at = s->unread && strcmp(s->identity, colon + 1) == 0
                            ? position_map_at(&map, s->id)
                            : SEQ_NONE;
        if (seq_cmp(at, SEQ_NONE) != 0)
            protocol_table_covered(c->r->protocol, t->st.number, n, at);
    }
    position_map_fini(&map);
}

/* See protocol_must_mark. */
static int mark_takeover(void *ctx, struct err *e)
{
    struct run *r = ctx;
    struct ptable *letters = router_dead_letters(&r->router);
    char text[192];
    snprintf(text, sizeof text, "%s %lld", r->owner, (long long)clock_wall_ms(r->clock));
    if (!letters->busy && commit_open_table(letters, &r->lake, e))
        return err_wrap(e, "table %s", DEAD_LETTERS);
    /* A handle of its own: the other may be with a committer. */
    struct table *fresh = table_load(&r->lake, DEAD_LETTERS, e);
    int rc = fresh ? commit_move_base(fresh, MARK, text, e) : -1;
    table_free(fresh);
    if (rc)
        return err_wrap(e, "the mark of a takeover");
    r->mark_due = false;
    return 0;
}

void run_skips_refresh(struct run *r)
{
    uint32_t tables = router_count(&r->router);
    struct seq *skip = mem_array((size_t)tables * r->n_shards, sizeof *skip);
    for (uint32_t t = 0; t < tables; t++)
        for (uint32_t n = 0; n < r->n_shards; n++)
            skip[(size_t)t * r->n_shards + n] = protocol_skip_position(r->protocol, t, n);
    pthread_rwlock_wrlock(&r->skip_lock);
    free(r->skip);
    r->skip = skip;
    r->skip_tables = tables;
    r->skip_shards = r->n_shards;
    pthread_rwlock_unlock(&r->skip_lock);
}

struct fresh_tables {
    struct run *run;
    uint32_t first;
    struct table *tables[TABLES_AT_ONCE];
    struct err errs[TABLES_AT_ONCE];
};

static void load_fresh(void *ctx, size_t i)
{
    struct fresh_tables *f = ctx;
    struct ptable *t = router_at(&f->run->router, f->first + (uint32_t)i);
    if (ptable_there(t) && !t->unopened)
        f->tables[i] = table_load(&f->run->lake, t->st.name, &f->errs[i]);
    /* What it holds is no dead letter, whether we can write it or not. */
    struct err *e = &f->errs[i], none = {0};
    if (!f->tables[i] && t->st.unavailable && (e->kind == ERR_NONE || e->kind == ERR_INVALID))
        f->tables[i] = table_look(&f->run->lake, t->st.name, &none);
}

/* What one table, read anew, holds of the shards. */
static int read_positions(struct run *r, uint32_t i, struct table *fresh, struct err *e)
{
    struct ptable *t = router_at(&r->router, i);
    bool there = ptable_there(t) && !t->unopened;
    struct covers c = {r, fresh, e, 0};
    bool refuses = there && !fresh && protocol_route(r->protocol, i) != PROTOCOL_TO_TABLE;
    int rc = fresh ? table_positions(r, fresh, i, e) : there && !refuses ? -1 : 0;
    if (!rc && fresh && i == PROTOCOL_DEAD_LETTERS) {
        table_properties(fresh, cover_positions, &c);
        rc = c.rc;
    }
    return rc ? err_wrap(e, "positions in table %s", t->st.name) : 0;
}

/* All tables read anew; ours to take apart. */
static int read_all_positions(struct run *r, struct err *e)
{
    uint32_t n = router_count(&r->router), some;
    int rc = 0;
    for (uint32_t first = 0; first < n && !rc; first += some) {
        struct fresh_tables f = {.run = r, .first = first};
        some = n - first < TABLES_AT_ONCE ? n - first : TABLES_AT_ONCE;
        run_each(r, some, load_fresh, &f);
        for (uint32_t i = 0; i < some; i++) {
            if (!rc) {
                *e = f.errs[i];
                rc = read_positions(r, first + i, f.tables[i], e);
            }
            table_free(f.tables[i]);
        }
    }
    return rc;
}

int run_read_positions(struct run *r, struct err *e)
{
    if (r->mark_due && run_call(r, mark_takeover, r, e))
        return -1;
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].unread) {
            protocol_shard_taken(r->protocol, i, r->shards[i].from);
            protocol_shard_note(r->protocol, i, r->shards[i].from_note);
        }
    if (read_all_positions(r, e)) {
        for (uint32_t i = 0; i < r->n_shards; i++)
            if (r->shards[i].unread)
                protocol_shard_returned(r->protocol, i);
        return -1;
    }
    for (uint32_t i = 0; i < r->n_shards; i++)
        r->shards[i].unread = false;
    run_skips_refresh(r);
    if (!r->open_batches && !protocol_restart_due(r->protocol)) /* a restart sets them once what is under way is back */
        restart_set_routes(r);
    return 0;
}

/* ---- taking ---- */

/* The lease is ours: nothing was read under it yet. */
static void taken(struct run *r, uint32_t number)
{
    struct pshard *s = &r->shards[number];
    s->leased = s->unread = true;
    s->started = s->lost = s->elsewhere = s->closed_at_source = s->tip = false;
    s->counts = (struct shard_counts){0};
    s->started_us = clock_wall_us(r->clock);
    s->from = s->lease.checkpoint;
    snprintf(s->from_note, sizeof s->from_note, "%s", s->lease.note);
    const char *note;
    struct seq loaded = r->config->stream ? SEQ_NONE : loads_position(r, s->identity, &note);
    if (seq_cmp(loaded, s->from) > 0) { /* its lease is gone, or was never told */
        s->from = loaded;
        snprintf(s->from_note, sizeof s->from_note, "%s", note);
    }
}

/* Not ours now: as one that was lost, it is taken once that may be, and the others are read meanwhile. */
static void take_later(struct run *r, struct pshard *s)
{
    s->lost = true;
    s->seen_counter = s->lease.counter;
    s->seen_since_ms = clock_boot_ms(r->clock);
}

/* The last of the shards, which is new. */
static int take_new(struct run *r, const struct source_shard *shard, struct err *e)
{
    uint32_t number = r->n_shards - 1;
    struct pshard *s = &r->shards[number];
    const char *const parents[2] = {shard->parents[0], shard->parents[1]};
    if (r->leases->ops->ensure(r->leases, s->identity, s->id, parents, e) ||
        r->leases->ops->read(r->leases, s->identity, s->id, &s->lease, e))
        return -1;
    if (s->lease.resolved && seq_cmp(s->lease.checkpoint, SEQ_END) == 0) {
        s->ended = s->started = s->goes_on = true;
        return 0;
    }
    struct err why = {0};
    bool other = run_lease_held(r, &s->lease);
    if (!other && run_take_lease(r, &s->lease, &why) && why.kind != ERR_CONFLICT) {
        *e = why;
        return -1;
    }
    if (other || why.kind == ERR_CONFLICT) { /* somebody was quicker */
        take_later(r, s);
        return 0;
    }
    if (resolve_start(r, s, e))
        return -1;
    taken(r, number);
    return 0;
}

int run_take_shard(struct run *r, struct source *source, const struct source_shard *shard, struct err *e)
{
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].source == source && strcmp(r->shards[i].id, shard->id) == 0)
            return 0;
    uint32_t number = r->n_shards++;
    r->shards = mem_regrow(r->shards, r->n_shards, sizeof *r->shards);
    struct pshard *s = &r->shards[number];
    *s = (struct pshard){.source = source,
                         .identity = source->ops->identity(source),
                         .id = mem_strdup(shard->id)};
    int rc = take_new(r, shard, e);
    if (rc) { /* as if it had never been met: it may be taken later */
        lease_fini(&s->lease);
        free(s->id);
        r->n_shards = number;
    }
    return rc;
}

int run_take_all(struct run *r, struct source *source, struct err *e)
{
    struct asked ask = {.source = source};
    int rc = run_call(r, ask_shards, &ask, e);
    for (size_t i = 0; !rc && i < ask.n_shards; i++)
        rc = run_take_shard(r, source, &ask.shards[i], e);
    source_shards_free(ask.shards, ask.n_shards);
    return rc;
}

/* A child begins once its parents' leases are at SHARD_END, or are not there at all. */
static bool parents_done(const struct run *r, const struct pshard *s)
{
    for (int p = 0; p < 2; p++)
        for (uint32_t i = 0; s->lease.parents[p] && i < r->n_shards; i++)
            if (r->shards[i].source == s->source &&
                strcmp(r->shards[i].id, s->lease.parents[p]) == 0 && !r->shards[i].ended)
                return false;
    return true;
}

int run_start_ready(struct run *r, struct err *e)
{
    /* Files one after the other; objects a few at once, for each is waited for much. */
    uint32_t open = 0, most = source_objects_count(r->config->objects) ? OBJECTS_AT_ONCE : 1;
    if (r->restore_due)
        return 0;
    for (uint32_t i = 0; i < r->n_shards; i++) {
        struct pshard *s = &r->shards[i];
        if (!run_endless(r) && open >= most)
            break;
        if (s->started || !s->leased || s->unread || !parents_done(r, s)) {
            open += s->started && !s->closed_at_source && !s->ended;
            continue;
        }
        s->started = true;
        open++;
        s->generation++;
        if (s->source->ops->start(s->source, s->id, i, s->generation, s->from, s->from_note,
                                  e))
            return -1;
    }
    return 0;
}

/* ---- a shard that was lost ---- */

/* May another one go on with it? Not with a file, which is loaded once; and who begins with a stream of one
 * host's says so, rather than that nothing seems to come of it. */
static bool others_may(const struct run *r)
{
    return r->config->stream && (r->started_ms || r->leases->shared);
}

/* 1: the lease can be taken; 0: not now. */
static int may_take(struct run *r, struct pshard *s, const struct lease *now, struct err *e)
{
    int64_t at = clock_boot_ms(r->clock);
    if (!now->owner || strcmp(now->owner, r->owner) == 0)
        return 1;
    if (now->counter != s->seen_counter) {
        if (s->seen_since_ms && !others_may(r))
            return err_set(e, ERR_CONFLICT, "%s shard %s is being read by %s", s->identity, s->id, now->owner);
        if (s->seen_since_ms && !s->elsewhere)
            log_info("%s shard %s is being read by %s; standing by", s->identity, s->id, now->owner);
        s->elsewhere |= s->seen_since_ms != 0;
        s->seen_counter = now->counter;
        s->seen_since_ms = at;
    }
    return !run_lease_held(r, now) || at - s->seen_since_ms >= LEASE_FAILOVER_MS;
}

/* Whoever had it read it to its end: its children are there for whoever comes first. */
static int ended_elsewhere(struct run *r, uint32_t n, struct err *e)
{
    if (run_take_all(r, r->shards[n].source, e))
        return -1;
    struct pshard *s = &r->shards[n];
    s->ended = s->started = true;
    s->lost = s->elsewhere = false;
    return 0;
}

static int retake(struct run *r, uint32_t n, struct err *e)
{
    struct pshard *s = &r->shards[n];
    struct lease now = {0};
    if (r->leases->ops->read(r->leases, s->identity, s->id, &now, e))
        return -1;
    lease_fini(&s->lease);
    s->lease = now;
    if (now.resolved && seq_cmp(now.checkpoint, SEQ_END) == 0)
        return ended_elsewhere(r, n, e);
    int may = may_take(r, s, &now, e);
    if (may <= 0)
        return may;
    r->mark_due |= protocol_must_mark(r->protocol, !now.owner || strcmp(now.owner, r->owner) == 0);
    struct err lost = {0};
    if (r->leases->ops->take(r->leases, &s->lease, r->owner, &lost)) {
        if (lost.kind == ERR_CONFLICT) /* somebody was quicker */
            return 0;
        *e = lost;
        return -1;
    }
    if (resolve_start(r, s, e))
        return -1;
    log_info("shard %s is ours%s", s->id, s->started_us ? " again" : "");
    r->restore_due |= !r->config->feed;
    taken(r, n);
    return 0;
}

bool run_any_unread(const struct run *r)
{
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].unread)
            return true;
    return false;
}

bool run_retake_due(const struct run *r)
{
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].lost || r->shards[i].unread)
            return true;
    return r->children_due || r->restore_due;
}

bool run_waits_out(const struct run *r, const struct err *e)
{
    return r->config->stream && !r->config->feed &&
           (e->kind == ERR_RETRY || e->kind == ERR_UNKNOWN || e->kind == ERR_STOPPED);
}

void run_fail_or_wait(struct run *r, const struct err *e)
{
    if (run_waits_out(r, e))
        log_warn("%s; will try again", e->text);
    else
        run_fail(r, e);
}

static int retake_lost(struct run *r, struct err *e)
{
    int rc = 0;
    for (uint32_t n = 0; n < r->n_shards && !rc; n++)
        if (r->shards[n].lost)
            rc = retake(r, n, e);
    return rc;
}

/* Of a stream with shared leases one shard is enough to begin with: the others are taken while it is read. */
static bool stands_by(const struct run *r)
{
    bool some = false, others = false;
    for (uint32_t i = 0; i < r->n_shards; i++) {
        some |= r->shards[i].leased;
        others |= r->shards[i].lost;
    }
    return others && !(some && others_may(r));
}

int run_stand_by(struct run *r, struct err *e)
{
    for (; stands_by(r); r->stood_by = true) {
        int rc;
        if (!clock_sleep_unless(r->clock, STAND_BY_MS, r->config->stop))
            return err_set(e, ERR_STOPPED, "stopped");
        run_renew(r);
        rc = retake_lost(r, e);
        if (rc && !run_waits_out(r, e))
            return -1;
        if (rc)
            log_warn("%s; will try again", e->text);
    }
    return 0;
}

static int take_children(struct run *r, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; r->children_due && !rc && i < r->n_sources; i++)
        rc = run_take_all(r, r->sources[i], e);
    r->children_due &= rc != 0;
    return rc;
}

int run_retake(struct run *r, struct err *e)
{
    int rc = take_children(r, e) || retake_lost(r, e) ? -1 : 0;
    if (!rc && run_any_unread(r))
        rc = run_read_positions(r, e);
    if (!rc && r->restore_due) {
        rc = run_restore_dedup(r, true, e);
        r->restore_due = rc != 0;
    }
    if (!rc && !protocol_restart_due(r->protocol) && !r->returning)
        rc = run_start_ready(r, e);
    return rc;
}
