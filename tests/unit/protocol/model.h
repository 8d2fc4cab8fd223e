/* A lake, leases and workers without I/O: what the protocol's stories and its simulator are played
 * on.
 *
 * A table is a version, positions and rows; a commit is a compare-and-swap on the version, made as
 * a request that may land at once, later, or never. A worker reads records, asks its struct
 * protocol, and does what it says. */
#ifndef INLET_TEST_PROTOCOL_MODEL_H
#define INLET_TEST_PROTOCOL_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "protocol/position_map.h"
#include "protocol/protocol_int.h"

enum {
    SHARDS = 3,
    TABLES = 4,
    RECORDS = 24,
    ROWS = 4000,
    PENDING = 400,
    ATTEMPTS = 4000,
    WORKERS = 6,
    FLYING = 16,
    OPEN = 64
};

struct row {
    uint32_t shard;
    unsigned seq;
    uint32_t table; /* where the row is; a letter of another table's record is in table 0 */
    uint64_t epoch;
    bool in_plan;
};
struct request {
    bool used, files_deleted;
    uint32_t table;
    uint64_t base, attempt;
    bool has_step[SHARDS], ended[SHARDS], has_cover[TABLES][SHARDS];
    struct seq next[SHARDS], cover[TABLES][SHARDS];
    struct row rows[PENDING];
    unsigned n_rows;
};
struct lake_table {
    bool exists, refusing;
    uint64_t version;
    struct seq pos[SHARDS], cover[TABLES][SHARDS];
    int64_t ended_ms[SHARDS];
    struct row rows[ROWS];
    unsigned n_rows;
};
struct id {
    unsigned uuid;
    uint64_t epoch;
};
struct worker {
    bool alive;
    int number;
    struct protocol *p;
    bool taken[SHARDS], at_end[SHARDS];
    unsigned cursor[SHARDS]; /* last record read */
    struct row pending[PENDING];
    unsigned n_pending;
    struct id ids[ROWS];
    unsigned n_ids;
    uint64_t open[OPEN];
    unsigned n_open;
    struct protocol_plan plan[TABLES];
    struct request request[TABLES];
    bool busy[TABLES];
    bool restart;
    uint32_t lost;
    unsigned restarts, duplicates;
};
struct model {
    struct lake_table tables[TABLES];
    struct {
        int owner; /* -1: nobody */
        bool resolved;
        struct seq checkpoint;
    } leases[SHARDS];
    unsigned records[SHARDS]; /* how many the stream has */
    uint32_t table_of[SHARDS][RECORDS + 1];
    unsigned uuid_of[SHARDS][RECORDS + 1];
    struct worker workers[WORKERS];
    struct request flying[FLYING];
    bool landed[ATTEMPTS];
    uint64_t attempts;
    int started;
    int64_t now_ms, unix_ms;
    bool latest; /* start at LATEST */
    struct protocol_rules_off off;
};

static inline void model_init(struct model *m, struct protocol_rules_off off)
{
    memset(m, 0, sizeof *m);
    m->off = off;
    m->unix_ms = 1760000000000;
    m->now_ms = 1000;
    m->attempts = 1;
    for (unsigned s = 0; s < SHARDS; s++) {
        m->leases[s].owner = -1;
        for (unsigned i = 1; i <= RECORDS; i++) {
            m->table_of[s][i] = 1;
            m->uuid_of[s][i] = s * 1000 + i;
        }
    }
}

/* A new process: its number as an owner of leases was never used before. */
static inline struct worker *worker_start(struct model *m, unsigned slot)
{
    struct worker *w = &m->workers[slot];
    memset(w, 0, sizeof *w);
    w->alive = true;
    w->number = m->started++;
    w->lost = PROTOCOL_NO_SHARD;
    w->p = protocol_new();
    w->p->off = m->off;
    return w;
}

/* kill -9: what it has sent may still land. */
static inline void worker_crash(struct worker *w)
{
    for (unsigned t = 0; t < TABLES; t++)
        if (w->busy[t])
            protocol_plan_fini(&w->plan[t]);
    protocol_free(w->p);
    w->p = NULL;
    w->alive = false;
}

static inline void model_fini(struct model *m)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (m->workers[i].alive)
            worker_crash(&m->workers[i]);
}

/* ---- leases and positions */

static inline void worker_positions(struct model *m, struct worker *w, uint32_t shard)
{
    for (uint32_t t = 0; t < TABLES; t++) {
        if (!m->tables[t].exists)
            continue;
        protocol_table_position(w->p, t, shard, m->tables[t].pos[shard]);
        for (uint32_t k = 1; k < TABLES && t == 0; k++)
            protocol_table_covered(w->p, k, shard, m->tables[0].cover[k][shard]);
    }
}

static inline void worker_take(struct model *m, struct worker *w, uint32_t shard)
{
    bool given_up = m->leases[shard].owner == -1 || m->leases[shard].owner == w->number;
    m->leases[shard].owner = w->number;
    if (protocol_must_mark(w->p, given_up)) {
        m->tables[0].exists = true;
        m->tables[0].version++;
    }
    if (protocol_must_resolve(w->p, m->leases[shard].resolved)) {
        m->leases[shard].checkpoint = m->latest ? seq_of(m->records[shard]) : SEQ_NONE;
        m->leases[shard].resolved = true;
    }
    struct seq at = m->leases[shard].checkpoint;
    protocol_shard_taken(w->p, shard, at);
    w->taken[shard] = true;
    w->cursor[shard] = (unsigned)seq_low(at);
    w->at_end[shard] = false;
    worker_positions(m, w, shard);
    w->restart |= protocol_restart_due(w->p);
}

static inline void worker_lose(struct worker *w, uint32_t shard)
{
    protocol_shard_lost(w->p, shard);
    w->taken[shard] = false;
    w->restart = true;
}

/* False while a commit is not settled. */
static inline bool worker_restart(struct model *m, struct worker *w)
{
    struct protocol_restart r;
    struct err e;
    if (protocol_restart(w->p, w->lost, &r, &e)) {
        assert_int_equal(e.kind, ERR_UNKNOWN);
        return false;
    }
    if (w->lost != PROTOCOL_NO_SHARD) {
        w->taken[w->lost] = false;
        if (m->leases[w->lost].owner == w->number)
            m->leases[w->lost].owner = -1;
    }
    for (uint32_t i = 0; i < r.n_shards; i++) {
        w->cursor[r.shards[i].shard] = (unsigned)seq_low(r.shards[i].from);
        w->at_end[r.shards[i].shard] = false;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < w->n_ids; i++)
        if (w->ids[i].epoch < r.forget_from)
            w->ids[kept++] = w->ids[i];
    w->n_ids = kept;
    w->n_pending = 0;
    for (unsigned i = 0; i < w->n_open; i++) /* they come back all the same */
        protocol_batch_done(w->p, w->open[i]);
    w->n_open = 0;
    w->restart = false;
    w->lost = PROTOCOL_NO_SHARD;
    w->restarts++;
    protocol_restart_fini(&r);
    return true;
}

/* ---- reading */

static inline bool seen_before(struct worker *w, unsigned uuid, uint64_t epoch)
{
    for (unsigned i = 0; i < w->n_ids; i++)
        if (w->ids[i].uuid == uuid)
            return true;
    assert_true(w->n_ids < ROWS);
    w->ids[w->n_ids++] = (struct id){uuid, epoch};
    return false;
}

static inline bool passed(const struct worker *w, uint32_t table, uint32_t shard, unsigned seq)
{
    return seq_le(seq_of(seq), protocol_skip_position(w->p, table, shard));
}

static inline void worker_record(struct model *m, struct worker *w, uint32_t shard, unsigned seq,
                                 uint64_t epoch)
{
    uint32_t table = m->table_of[shard][seq];
    if (passed(w, table, shard, seq))
        return;
    assert_int_not_equal(protocol_route(w->p, table), PROTOCOL_HOLD);
    if (seen_before(w, m->uuid_of[shard][seq], epoch)) {
        w->duplicates++;
        return;
    }
    bool away = protocol_route(w->p, table) == PROTOCOL_TO_DEAD_LETTERS;
    assert_true(w->n_pending < PENDING);
    w->pending[w->n_pending++] = (struct row){shard, seq, away ? 0 : table, epoch, false};
}

/* One batch of up to n records; its end is reported at once, or by worker_batches_done. */
static inline void worker_read(struct model *m, struct worker *w, uint32_t shard, unsigned n,
                               bool late)
{
    unsigned from = w->cursor[shard], to = from + n;
    to = to > m->records[shard] ? m->records[shard] : to;
    if (!w->taken[shard] || to <= from)
        return;
    struct seq until = protocol_skip_until(w->p, shard);
    uint64_t epoch = protocol_batch_out(w->p, shard, seq_of(to), m->now_ms);
    for (unsigned i = from + 1; i <= to; i++) {
        if (seq_cmp(seq_of(i), until) > 0) /* then no table may have passed it */
            assert_false(passed(w, m->table_of[shard][i], shard, i));
        worker_record(m, w, shard, i, epoch);
    }
    w->cursor[shard] = to;
    if (late && w->n_open < OPEN)
        w->open[w->n_open++] = epoch;
    else
        protocol_batch_done(w->p, epoch);
}

static inline void worker_batches_done(struct worker *w)
{
    while (w->n_open)
        protocol_batch_done(w->p, w->open[--w->n_open]);
}

static inline void worker_end(struct worker *w, uint32_t shard)
{
    protocol_shard_ended(w->p, shard);
    w->at_end[shard] = true;
}

static inline void worker_collect(struct worker *w)
{
    uint64_t epoch;
    while ((epoch = protocol_closed_ready(w->p)) != 0)
        for (unsigned i = 0; i < w->n_pending; i++)
            if (w->pending[i].epoch == epoch)
                protocol_table_rows(w->p, w->pending[i].table, epoch);
}

static inline void worker_cut(struct model *m, struct worker *w)
{
    protocol_cut(w->p, m->now_ms);
    worker_collect(w);
}

/* ---- commits */

static inline struct seq model_held(void *ctx, uint32_t shard)
{
    return ((struct lake_table *)ctx)->pos[shard];
}
static inline struct seq model_cover(void *ctx, uint32_t table, uint32_t shard)
{
    return ((struct lake_table *)ctx)->cover[table][shard];
}

static inline bool request_lands(struct model *m, const struct request *q)
{
    struct lake_table *t = &m->tables[q->table];
    if (t->version != q->base)
        return false;
    t->version++;
    m->landed[q->attempt] = true;
    for (uint32_t s = 0; s < SHARDS; s++) {
        if (q->has_step[s]) {
            t->pos[s] = q->next[s];
            t->ended_ms[s] = q->ended[s] ? m->unix_ms : t->ended_ms[s];
        }
        for (uint32_t k = 0; k < TABLES; k++)
            if (q->has_cover[k][s])
                t->cover[k][s] = q->cover[k][s];
    }
    for (unsigned i = 0; i < q->n_rows && !q->files_deleted; i++) {
        assert_true(t->n_rows < ROWS);
        t->rows[t->n_rows++] = q->rows[i];
    }
    return true;
}

static inline bool has_rows(const struct worker *w, uint32_t table)
{
    return table < w->p->n_tables && w->p->tables[table].first != 0;
}

static inline void make_request(struct model *m, struct worker *w, uint32_t table)
{
    struct request *q = &w->request[table];
    const struct protocol_plan *plan = &w->plan[table];
    memset(q, 0, sizeof *q);
    q->used = true;
    q->table = table;
    q->base = m->tables[table].version;
    q->attempt = m->attempts++;
    assert_true(m->attempts < ATTEMPTS);
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const struct protocol_step *step = &plan->steps[i];
        q->has_step[step->shard] = true;
        q->next[step->shard] = step->next;
        q->ended[step->shard] = step->ended;
    }
    for (uint32_t i = 0; i < plan->n_covers; i++) {
        q->has_cover[plan->covers[i].table][plan->covers[i].shard] = true;
        q->cover[plan->covers[i].table][plan->covers[i].shard] = plan->covers[i].next;
    }
    for (unsigned i = 0; i < w->n_pending; i++)
        if (w->pending[i].table == table && w->pending[i].epoch <= plan->upto_epoch) {
            w->pending[i].in_plan = true;
            q->rows[q->n_rows++] = w->pending[i];
        }
    w->busy[table] = true;
}

static inline void plan_over(struct worker *w, uint32_t table, bool committed)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->n_pending; i++) {
        struct row row = w->pending[i];
        if (row.table == table && row.in_plan) {
            row.in_plan = false;
            if (committed)
                continue;
        }
        w->pending[kept++] = row;
    }
    w->n_pending = kept;
    protocol_plan_fini(&w->plan[table]);
    w->busy[table] = false;
}

/* The leases of the plan, where it has covers (see protocol_plan_check_covers). */
static inline uint32_t lease_gone(const struct model *m, const struct worker *w,
                                  const struct protocol_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_steps && plan->n_covers && !m->off.fence; i++)
        if (m->leases[plan->steps[i].shard].owner != w->number)
            return plan->steps[i].shard;
    return PROTOCOL_NO_SHARD;
}

enum begun { BEGUN_NOT, BEGUN_FENCED, BEGUN };
/* Plans and checks against the base there is now. */
static inline enum begun commit_begin(struct model *m, struct worker *w, uint32_t table)
{
    struct protocol_plan *plan = &w->plan[table];
    struct lake_table *t = &m->tables[table];
    struct err e;
    if (protocol_commit_plan(w->p, table, m->now_ms, plan, &e)) {
        w->restart |= e.kind == ERR_FENCED;
        return e.kind == ERR_FENCED ? BEGUN_FENCED : BEGUN_NOT;
    }
    t->exists = true;
    uint32_t gone = lease_gone(m, w, plan);
    if (gone == PROTOCOL_NO_SHARD && !protocol_plan_check(plan, model_held, t, &e) &&
        !protocol_plan_check_covers(plan, model_cover, t, &e)) {
        make_request(m, w, table);
        return BEGUN;
    }
    if (gone == PROTOCOL_NO_SHARD)
        gone = protocol_plan_fenced_at(plan, model_held, t);
    for (uint32_t i = 0; i < plan->n_covers && gone == PROTOCOL_NO_SHARD; i++)
        if (seq_cmp(t->cover[plan->covers[i].table][plan->covers[i].shard],
                    plan->covers[i].expected) != 0)
            gone = plan->covers[i].shard;
    w->lost = gone;
    w->restart = true;
    protocol_commit_failed(w->p, table, plan);
    plan_over(w, table, false);
    return BEGUN_FENCED;
}

static inline void commit_answered(struct model *m, struct worker *w, uint32_t table, bool yes)
{
    if (yes)
        protocol_commit_done(w->p, table, &w->plan[table]);
    else
        protocol_commit_failed(w->p, table, &w->plan[table]);
    plan_over(w, table, yes);
    (void)m;
}

static inline enum begun worker_commit(struct model *m, struct worker *w, uint32_t table)
{
    enum begun begun = commit_begin(m, w, table);
    if (begun == BEGUN)
        commit_answered(m, w, table, request_lands(m, &w->request[table]));
    return begun;
}

static inline struct request *fly(struct model *m, const struct request *q)
{
    for (unsigned i = 0; i < FLYING; i++)
        if (!m->flying[i].used) {
            m->flying[i] = *q;
            return &m->flying[i];
        }
    return NULL;
}

/* Looks; files of what did not happen are deleted, as a careless worker would. */
static inline enum protocol_settled worker_settle(struct model *m, struct worker *w, uint32_t table)
{
    const struct request *q = &w->request[table];
    enum protocol_settled seen = m->landed[q->attempt] ? PROTOCOL_COMMITTED : PROTOCOL_NOT;
    seen = protocol_commit_settled(w->p, table, &w->plan[table], seen,
                                   m->tables[table].version != q->base);
    for (unsigned i = 0; i < FLYING && seen == PROTOCOL_NOT; i++)
        if (m->flying[i].used && m->flying[i].attempt == q->attempt)
            m->flying[i].files_deleted = true;
    if (seen != PROTOCOL_UNKNOWN)
        plan_over(w, table, seen == PROTOCOL_COMMITTED);
    return seen;
}

static inline void worker_checkpoint(struct model *m, struct worker *w)
{
    for (uint32_t s = 0; s < SHARDS; s++) {
        struct seq at;
        if (!w->taken[s])
            continue;
        if (m->leases[s].owner != w->number) {
            worker_lose(w, s);
        } else if (protocol_checkpoint(w->p, s, &at)) {
            assert_true(seq_le(m->leases[s].checkpoint, at));
            m->leases[s].checkpoint = at;
        }
    }
}

/* ---- what came of it */

static inline unsigned model_count(const struct model *m, uint32_t shard, unsigned seq)
{
    unsigned n = 0;
    for (unsigned t = 0; t < TABLES; t++)
        for (unsigned i = 0; i < m->tables[t].n_rows; i++)
            n += m->tables[t].rows[i].shard == shard && m->tables[t].rows[i].seq == seq;
    return n;
}

struct outcome {
    unsigned lost, doubled;
};
static inline struct outcome model_outcome(const struct model *m, uint32_t shard, unsigned from)
{
    struct outcome o = {0};
    for (unsigned i = from; i <= m->records[shard]; i++) {
        unsigned n = model_count(m, shard, i);
        o.lost += n == 0;
        o.doubled += n > 1;
    }
    return o;
}

#endif
