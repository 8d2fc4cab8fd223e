/* Plans, their ends, quarantine and restarts: see protocol.h.
 *
 * Why the dead letters' plans carry covers: the dead letters' own position moves at every commit of
 * theirs, also while a table was still well and its rows waited in memory. So it does not say which
 * of that table's records they hold; a position for each quarantined table beside it does. A cover
 * is expected and checked like a position, for after a restart a cut may lie before the dead
 * letters' own position, which then does not move and so fences nobody. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/protocol_int.h"

void protocol_plan_fini(struct protocol_plan *plan)
{
    free(plan->steps);
    free(plan->covers);
    plan->steps = NULL;
    plan->covers = NULL;
    plan->n_steps = plan->n_covers = 0;
}

static bool in_plans(const struct shard_state *s)
{
    return s->taken && !s->done;
}

/* The last ready cut of a shard, or where its reading began. */
static struct cut cut_of(const struct protocol *p, uint32_t shard)
{
    const struct cut *cut = protocol_cut_at(p, protocol_epoch_at(p, p->last_ready), shard);
    if (cut)
        return *cut;
    return (struct cut){.at = p->shards[shard].taken_at};
}

static void add_steps(const struct protocol *p, const struct table_state *t,
                      struct protocol_plan *plan)
{
    plan->steps = mem_array(p->n_shards ? p->n_shards : 1, sizeof *plan->steps);
    for (uint32_t i = 0; i < p->n_shards; i++) {
        if (!in_plans(&p->shards[i]))
            continue;
        struct protocol_step *step = &plan->steps[plan->n_steps++];
        struct cut cut = cut_of(p, i);
        *step = (struct protocol_step){.shard = i, .expected = protocol_expected_of(t, i)};
        if (!plan->first_epoch) /* no rows: to the cover, which is SEQ_NONE for who has none */
            cut = (struct cut){.at = t->standing == STANDING_FORWARD && !p->off.back_forward
                                         ? protocol_cover_of(t, i)
                                         : SEQ_NONE};
        step->next = seq_max(step->expected, cut.at);
        if (p->off.never_back && plan->first_epoch)
            step->next = cut.at;
        if (seq_cmp(step->next, cut.at) == 0) {
            step->ended = cut.ended;
            memcpy(step->note, cut.note, sizeof step->note);
        }
    }
}

static void add_covers(const struct protocol *p, struct protocol_plan *plan)
{
    size_t most = (size_t)p->n_tables * (p->n_shards ? p->n_shards : 1);
    plan->covers = mem_array(most ? most : 1, sizeof *plan->covers);
    for (uint32_t k = 0; k < p->n_tables; k++) {
        const struct table_state *t = &p->tables[k];
        bool uncover = t->standing == STANDING_UNCOVER;
        if (!uncover && (t->standing != STANDING_QUARANTINED || !plan->first_epoch || p->cover_nothing))
            continue;
        for (uint32_t i = 0; i < p->n_shards; i++) {
            struct seq held = protocol_cover_of(t, i);
            if (!in_plans(&p->shards[i]) || (uncover && seq_cmp(held, SEQ_NONE) == 0))
                continue;
            struct seq next = uncover ? SEQ_NONE : seq_max(held, cut_of(p, i).at);
            plan->covers[plan->n_covers++] = (struct protocol_cover){k, i, held, next};
        }
    }
}

static bool uncovering(const struct protocol *p)
{
    for (uint32_t i = 0; i < p->n_tables; i++)
        if (p->tables[i].standing == STANDING_UNCOVER)
            return true;
    return false;
}

int protocol_commit_plan(struct protocol *p, uint32_t table, int64_t now_ms,
                         struct protocol_plan *plan, struct err *e)
{
    struct table_state *t = protocol_table_of(p, table);
    bool rowless = t->standing == STANDING_FORWARD ||
                   (table == PROTOCOL_DEAD_LETTERS && !t->first && uncovering(p));
    const struct epoch *first = rowless ? NULL : protocol_epoch_at(p, t->first);
    if (p->restart_due)
        return err_set(e, ERR_FENCED, "a shard was lost or a table quarantined: read again first");
    if (t->unsettled)
        return err_set(e, ERR_UNKNOWN, "the last commit has not been settled");
    invariant(!t->busy && (rowless || first));
    *plan = (struct protocol_plan){.table = table,
                                   .first_epoch = rowless ? 0 : t->first,
                                   .upto_epoch = p->last_ready,
                                   .opened_ms = rowless ? now_ms : first->opened_ms,
                                   .unchecked = p->off.fence,
                                   .ageless = p->off.epoch_age};
    if (protocol_plan_check_age(plan, now_ms, e))
        return -1;
    add_steps(p, t, plan);
    if (table == PROTOCOL_DEAD_LETTERS)
        add_covers(p, plan);
    t->busy = true;
    t->in_flight = plan->first_epoch;
    if (!rowless)
        t->first = 0;
    return 0;
}

int protocol_plan_check_age(const struct protocol_plan *plan, int64_t now_ms, struct err *e)
{
    if (!plan->ageless && now_ms - plan->opened_ms > PROTOCOL_EPOCH_MAX_MS)
        return err_set(e, ERR_FENCED, "rows have waited for over an hour to be committed");
    return 0;
}

static int fenced(uint32_t shard, struct seq held, struct seq expected, struct err *e)
{
    char want[SEQ_TEXT_MAX], got[SEQ_TEXT_MAX];
    seq_format(expected, want);
    seq_format(held, got);
    return err_set(e, ERR_FENCED,
                   "another worker has written shard number %u: its position is %s, not %s", shard,
                   got, want);
}

int protocol_plan_check(const struct protocol_plan *plan, protocol_held_fn *held, void *ctx,
                        struct err *e)
{
    for (uint32_t i = 0; i < plan->n_steps && !plan->unchecked; i++) {
        const struct protocol_step *step = &plan->steps[i];
        struct seq at = held(ctx, step->shard);
        if (seq_cmp(at, step->expected) != 0)
            return fenced(step->shard, at, step->expected, e);
    }
    return 0;
}

int protocol_plan_check_covers(const struct protocol_plan *plan, protocol_cover_fn *held, void *ctx,
                               struct err *e)
{
    for (uint32_t i = 0; i < plan->n_covers && !plan->unchecked; i++) {
        const struct protocol_cover *c = &plan->covers[i];
        struct seq at = held(ctx, c->table, c->shard);
        if (seq_cmp(at, c->expected) != 0)
            return fenced(c->shard, at, c->expected, e);
    }
    return 0;
}

uint32_t protocol_plan_fenced_at(const struct protocol_plan *plan, protocol_held_fn *held,
                                 void *ctx)
{
    for (uint32_t i = 0; i < plan->n_steps && !plan->unchecked; i++)
        if (seq_cmp(held(ctx, plan->steps[i].shard), plan->steps[i].expected) != 0)
            return plan->steps[i].shard;
    return PROTOCOL_NO_SHARD;
}

/* ---- the ends of a plan */

static void skip_to(struct protocol *p, uint32_t shard, struct seq at)
{
    p->shards[shard].skip_until = seq_max(p->shards[shard].skip_until, at);
}

/* What a plan without rows was for. */
static void returned(struct protocol *p, struct table_state *t, const struct protocol_plan *plan)
{
    if (t->standing == STANDING_FORWARD)
        t->standing = STANDING_UNCOVER;
    for (uint32_t i = 0; i < p->n_tables && plan->table == PROTOCOL_DEAD_LETTERS; i++)
        if (p->tables[i].standing == STANDING_UNCOVER)
            p->tables[i].standing = STANDING_GOOD;
}

void protocol_commit_done(struct protocol *p, uint32_t table, const struct protocol_plan *plan)
{
    struct table_state *t = protocol_table_of(p, table);
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        protocol_expect(t, plan->steps[i].shard, plan->steps[i].next);
        skip_to(p, plan->steps[i].shard, plan->steps[i].next);
    }
    for (uint32_t i = 0; i < plan->n_covers; i++) {
        const struct protocol_cover *c = &plan->covers[i];
        protocol_set_cover(protocol_table_of(p, c->table), c->shard, c->next);
        skip_to(p, c->shard, c->next);
    }
    t = protocol_table_of(p, table);
    if (!plan->first_epoch)
        returned(p, t, plan);
    t->in_flight = 0;
    t->busy = t->unsettled = t->refused = false;
    protocol_advance(p);
}

void protocol_commit_failed(struct protocol *p, uint32_t table, const struct protocol_plan *plan)
{
    struct table_state *t = protocol_table_of(p, table);
    t->in_flight = 0;
    t->busy = t->unsettled = false;
    if (plan->first_epoch)
        t->first = plan->first_epoch; /* older than any that came since */
}

void protocol_commit_unknown(struct protocol *p, uint32_t table)
{
    struct table_state *t = protocol_table_of(p, table);
    invariant(t->busy);
    t->unsettled = true;
}

enum protocol_settled protocol_commit_settled(struct protocol *p, uint32_t table,
                                              const struct protocol_plan *plan,
                                              enum protocol_settled seen, bool base_moved)
{
    if (seen == PROTOCOL_NOT && !base_moved && !p->off.settle_moved)
        seen = PROTOCOL_UNKNOWN;
    if (seen == PROTOCOL_COMMITTED)
        protocol_commit_done(p, table, plan);
    else if (seen == PROTOCOL_NOT)
        protocol_commit_failed(p, table, plan);
    else
        protocol_commit_unknown(p, table);
    return seen;
}

enum protocol_action protocol_commit_refused(struct protocol *p, uint32_t table,
                                             const struct protocol_plan *plan, int64_t now_ms)
{
    struct table_state *t = protocol_table_of(p, table);
    protocol_commit_failed(p, table, plan);
    if (t->standing == STANDING_FORWARD) {
        t->standing = STANDING_QUARANTINED;
        return PROTOCOL_QUARANTINE;
    }
    if (!t->refused)
        t->refused_since_ms = now_ms;
    t->refused = true;
    if (now_ms - t->refused_since_ms < p->refuse_for_ms)
        return PROTOCOL_RETRY;
    if (table == PROTOCOL_DEAD_LETTERS)
        return PROTOCOL_STOP;
    t->refused = false;
    t->standing = STANDING_QUARANTINED;
    p->restart_due = true;
    return PROTOCOL_QUARANTINE;
}

void protocol_cover_nothing(struct protocol *p)
{
    p->cover_nothing = true;
}

void protocol_refuse_for(struct protocol *p, int64_t ms)
{
    p->refuse_for_ms = ms;
}

/* ---- quarantine */

void protocol_quarantine(struct protocol *p, uint32_t table)
{
    struct table_state *t = protocol_table_of(p, table);
    t->standing = STANDING_QUARANTINED;
    for (uint32_t i = 0; i < p->n_shards; i++)
        p->restart_due |= p->shards[i].any_out;
}

enum protocol_route protocol_route(const struct protocol *p, uint32_t table)
{
    enum standing standing = table < p->n_tables ? p->tables[table].standing : STANDING_GOOD;
    if (standing == STANDING_QUARANTINED)
        return PROTOCOL_TO_DEAD_LETTERS;
    return standing == STANDING_GOOD ? PROTOCOL_TO_TABLE : PROTOCOL_HOLD;
}

void protocol_table_back(struct protocol *p, uint32_t table)
{
    struct table_state *t = protocol_table_of(p, table);
    if (t->standing != STANDING_QUARANTINED)
        return;
    t->standing = STANDING_FORWARD;
    p->restart_due = true;
}

bool protocol_returning(const struct protocol *p, uint32_t *table)
{
    bool uncover = false;
    for (uint32_t i = 0; i < p->n_tables; i++) {
        uncover |= p->tables[i].standing == STANDING_UNCOVER;
        if (p->tables[i].standing == STANDING_FORWARD) {
            *table = i;
            return true;
        }
    }
    if (uncover)
        *table = PROTOCOL_DEAD_LETTERS;
    return uncover;
}

/* ---- restart */

void protocol_restart_fini(struct protocol_restart *r)
{
    free(r->shards);
    *r = (struct protocol_restart){0};
}

bool protocol_restart_due(const struct protocol *p)
{
    return p->restart_due;
}

static void drop_epochs(struct protocol *p)
{
    uint64_t next = p->epochs[p->n_epochs - 1].number + 1;
    for (size_t i = 0; i < p->n_epochs; i++)
        free(p->epochs[i].cut);
    p->n_epochs = 0;
    p->floor = next;
    p->last_ready = next - 1;
    protocol_open_epoch(p, next);
    for (uint32_t i = 0; i < p->n_tables; i++)
        p->tables[i].first = 0;
}

static void resume_shard(struct shard_state *s, uint32_t number, struct protocol_resume *out)
{
    s->generation++;
    s->ended = false;
    s->taken_at = s->last_out = s->checkpoint;
    memcpy(s->note, s->checkpoint_note, sizeof s->note);
    *out = (struct protocol_resume){number, s->checkpoint, ""};
    memcpy(out->note, s->note, sizeof out->note);
}

int protocol_restart(struct protocol *p, uint32_t lost, struct protocol_restart *out, struct err *e)
{
    for (uint32_t i = 0; i < p->n_tables; i++)
        if (p->tables[i].busy)
            return err_set(e, ERR_UNKNOWN, "the commit of table number %u is not settled", i);
    protocol_advance(p);
    *out = (struct protocol_restart){.forget_from = protocol_committed_upto(p) + 1};
    if (p->off.forget)
        out->forget_from = UINT64_MAX;
    if (lost < p->n_shards)
        protocol_shard_lost(p, lost);
    drop_epochs(p);
    out->shards = mem_array(p->n_shards ? p->n_shards : 1, sizeof *out->shards);
    for (uint32_t i = 0; i < p->n_shards; i++)
        if (in_plans(&p->shards[i]))
            resume_shard(&p->shards[i], i, &out->shards[out->n_shards++]);
    p->restart_due = false;
    return 0;
}
