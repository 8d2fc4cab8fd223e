/* See protocol.h. Epochs are numbered from 1; those before which nothing is uncommitted are let go. */
#include "protocol/protocol.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct shard_state {
    struct seq taken_at, last_out, skip_until;
    bool taken, ended, any_out;
};

/* Invariants: 1. epochs[] are consecutive, the last is open; 2. ready epochs come before unready ones;
 * 3. cut[] of a closed epoch never changes, and is never below the cut of the one before. */
struct epoch {
    uint64_t number;
    uint64_t open_batches;
    int64_t opened_ms;
    bool used, closed, ready;
    struct seq *cut; /* by shard, SEQ_END for one that has ended; closed epochs only */
    uint32_t n_cut;
};

struct table_state {
    struct seq *expected; /* by shard */
    uint32_t n_expected;
    uint64_t first;       /* oldest epoch with uncommitted rows not in a plan; 0: none */
    uint64_t in_flight;   /* the same of the plan under way; 0: none */
};

struct protocol {
    struct shard_state *shards;
    uint32_t n_shards;
    struct table_state *tables;
    uint32_t n_tables;
    struct epoch *epochs;
    size_t n_epochs;
    uint64_t last_ready;
};

static struct epoch *epoch_at(const struct protocol *p, uint64_t number)
{
    if (p->n_epochs == 0 || number < p->epochs[0].number)
        return NULL;
    uint64_t i = number - p->epochs[0].number;
    return i < p->n_epochs ? &p->epochs[i] : NULL;
}

static struct epoch *current(const struct protocol *p)
{
    return &p->epochs[p->n_epochs - 1];
}

static void open_epoch(struct protocol *p, uint64_t number)
{
    p->epochs = mem_regrow(p->epochs, p->n_epochs + 1, sizeof *p->epochs);
    p->epochs[p->n_epochs++] = (struct epoch){.number = number};
}

struct protocol *protocol_new(void)
{
    struct protocol *p = mem_zalloc(sizeof *p);
    open_epoch(p, 1);
    return p;
}

void protocol_free(struct protocol *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_epochs; i++)
        free(p->epochs[i].cut);
    for (uint32_t i = 0; i < p->n_tables; i++)
        free(p->tables[i].expected);
    free(p->epochs);
    free(p->tables);
    free(p->shards);
    free(p);
}

static struct shard_state *shard_of(struct protocol *p, uint32_t shard)
{
    while (p->n_shards <= shard) {
        p->shards = mem_regrow(p->shards, p->n_shards + 1, sizeof *p->shards);
        p->shards[p->n_shards++] = (struct shard_state){0};
    }
    return &p->shards[shard];
}

static struct table_state *table_of(struct protocol *p, uint32_t table)
{
    while (p->n_tables <= table) {
        p->tables = mem_regrow(p->tables, p->n_tables + 1, sizeof *p->tables);
        p->tables[p->n_tables++] = (struct table_state){0};
    }
    return &p->tables[table];
}

static struct seq expected_of(const struct table_state *t, uint32_t shard)
{
    return shard < t->n_expected ? t->expected[shard] : SEQ_NONE;
}

static void expect(struct table_state *t, uint32_t shard, struct seq at)
{
    while (t->n_expected <= shard) {
        t->expected = mem_regrow(t->expected, t->n_expected + 1, sizeof *t->expected);
        t->expected[t->n_expected++] = SEQ_NONE;
    }
    t->expected[shard] = at;
}

void protocol_shard_taken(struct protocol *p, uint32_t shard, struct seq checkpoint)
{
    struct shard_state *s = shard_of(p, shard);
    *s = (struct shard_state){.taken_at = checkpoint, .last_out = checkpoint, .taken = true};
}

void protocol_table_position(struct protocol *p, uint32_t table, uint32_t shard, struct seq held)
{
    struct shard_state *s = shard_of(p, shard);
    expect(table_of(p, table), shard, held);
    s->skip_until = seq_max(s->skip_until, held);
}

struct seq protocol_skip_until(const struct protocol *p, uint32_t shard)
{
    return shard < p->n_shards ? p->shards[shard].skip_until : SEQ_NONE;
}

uint64_t protocol_batch_out(struct protocol *p, uint32_t shard, struct seq last, int64_t now_ms)
{
    struct shard_state *s = shard_of(p, shard);
    struct epoch *ep = current(p);
    s->last_out = seq_max(s->last_out, last);
    s->any_out = true;
    if (!ep->used)
        ep->opened_ms = now_ms;
    ep->used = true;
    ep->open_batches++;
    return ep->number;
}

void protocol_batch_done(struct protocol *p, uint64_t epoch)
{
    struct epoch *ep = epoch_at(p, epoch);
    invariant(ep && ep->open_batches > 0);
    ep->open_batches--;
}

void protocol_shard_ended(struct protocol *p, uint32_t shard)
{
    shard_of(p, shard)->ended = true;
    current(p)->used = true;
}

bool protocol_any_out(const struct protocol *p, uint32_t shard)
{
    return shard < p->n_shards && p->shards[shard].any_out;
}

struct seq protocol_last_out(const struct protocol *p, uint32_t shard)
{
    return shard < p->n_shards ? p->shards[shard].last_out : SEQ_NONE;
}

void protocol_cut(struct protocol *p, int64_t now_ms)
{
    struct epoch *ep = current(p);
    if (!ep->used)
        return;
    if (!ep->opened_ms)
        ep->opened_ms = now_ms;
    ep->closed = true;
    ep->n_cut = p->n_shards;
    ep->cut = mem_array(p->n_shards, sizeof *ep->cut);
    for (uint32_t i = 0; i < p->n_shards; i++)
        ep->cut[i] = p->shards[i].ended ? SEQ_END : p->shards[i].last_out;
    open_epoch(p, ep->number + 1);
}

/* Epochs before which nothing is uncommitted are forgotten, but for the last such: the checkpoint. */
static void let_go(struct protocol *p)
{
    uint64_t upto = protocol_committed_upto(p);
    size_t n = 0;
    while (n < p->n_epochs && p->epochs[n].number < upto)
        free(p->epochs[n++].cut);
    p->n_epochs -= n;
    memmove(p->epochs, p->epochs + n, p->n_epochs * sizeof *p->epochs);
}

uint64_t protocol_closed_ready(struct protocol *p)
{
    struct epoch *ep = epoch_at(p, p->last_ready + 1);
    if (!ep || !ep->closed || ep->open_batches)
        return 0;
    ep->ready = true;
    return p->last_ready = ep->number;
}

bool protocol_open_rows(const struct protocol *p)
{
    return current(p)->used || p->last_ready + 1 < current(p)->number;
}

void protocol_table_rows(struct protocol *p, uint32_t table, uint64_t epoch)
{
    struct table_state *t = table_of(p, table);
    invariant(epoch <= p->last_ready);
    if (!t->first || epoch < t->first)
        t->first = epoch;
}

void protocol_plan_fini(struct protocol_plan *plan)
{
    free(plan->steps);
    plan->steps = NULL;
    plan->n_steps = 0;
}

/* The last record handed out before the cut: where a shard has ended, that is its last one. */
static struct seq cut_position(const struct protocol *p, const struct epoch *ep, uint32_t shard)
{
    if (shard >= ep->n_cut)
        return p->shards[shard].taken_at;
    return seq_cmp(ep->cut[shard], SEQ_END) == 0 ? p->shards[shard].last_out : ep->cut[shard];
}

int protocol_commit_plan(struct protocol *p, uint32_t table, int64_t now_ms,
                         struct protocol_plan *plan, struct err *e)
{
    struct table_state *t = table_of(p, table);
    const struct epoch *ep = epoch_at(p, p->last_ready), *first = epoch_at(p, t->first);
    invariant(ep && first && !t->in_flight);
    if (now_ms - first->opened_ms > PROTOCOL_EPOCH_MAX_MS)
        return err_set(e, ERR_FENCED, "rows have waited for over an hour to be committed");
    *plan = (struct protocol_plan){
        .table = table, .first_epoch = t->first, .upto_epoch = ep->number};
    plan->steps = mem_array(p->n_shards, sizeof *plan->steps);
    for (uint32_t i = 0; i < p->n_shards; i++) {
        struct seq expected = expected_of(t, i);
        if (!p->shards[i].taken)
            continue;
        plan->steps[plan->n_steps++] = (struct protocol_step){
            i, expected, seq_max(expected, cut_position(p, ep, i))};
    }
    t->in_flight = t->first;
    t->first = 0;
    return 0;
}

int protocol_plan_check(const struct protocol_plan *plan, protocol_held_fn *held, void *ctx,
                        struct err *e)
{
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        char want[SEQ_TEXT_MAX], got[SEQ_TEXT_MAX];
        struct seq at = held(ctx, plan->steps[i].shard);
        if (seq_cmp(at, plan->steps[i].expected) == 0)
            continue;
        seq_format(plan->steps[i].expected, want);
        seq_format(at, got);
        return err_set(e, ERR_FENCED,
                       "another worker has written shard number %u: its position is %s, not %s",
                       plan->steps[i].shard, got, want);
    }
    return 0;
}

void protocol_commit_done(struct protocol *p, uint32_t table, const struct protocol_plan *plan)
{
    struct table_state *t = table_of(p, table);
    for (uint32_t i = 0; i < plan->n_steps; i++)
        expect(t, plan->steps[i].shard, plan->steps[i].next);
    t->in_flight = 0;
    let_go(p);
}

void protocol_commit_failed(struct protocol *p, uint32_t table, const struct protocol_plan *plan)
{
    struct table_state *t = table_of(p, table);
    t->in_flight = 0;
    t->first = plan->first_epoch; /* older than any that came since */
}

uint64_t protocol_committed_upto(const struct protocol *p)
{
    uint64_t upto = p->last_ready;
    for (uint32_t i = 0; i < p->n_tables; i++) {
        const struct table_state *t = &p->tables[i];
        if (t->first && t->first - 1 < upto)
            upto = t->first - 1;
        if (t->in_flight && t->in_flight - 1 < upto)
            upto = t->in_flight - 1;
    }
    return upto;
}

bool protocol_checkpoint(const struct protocol *p, uint32_t shard, struct seq *out)
{
    const struct epoch *ep = epoch_at(p, protocol_committed_upto(p));
    if (!ep || !ep->closed || shard >= ep->n_cut)
        return false;
    *out = ep->cut[shard];
    return true;
}
