/* Up to six workers on one lake, at random: crashes, pauses, stolen leases, lost and delayed
 * answers, compactions by others, tables that refuse. At the end a last worker finishes, and every
 * record has to stand in exactly one row. A failure names its seed. Then the same with a rule taken
 * out: some seed has to notice, or the simulator is blind to that rule. */
#include "protocol/model.h"

#include <stdlib.h>

static struct model m;
static uint64_t rng;

static unsigned below(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)((rng >> 20) % n);
}

struct faults {
    bool several;    /* workers that both believe they own a shard */
    bool refusals;   /* tables that refuse */
    bool duplicates; /* records with the uuid of another */
};

static void setup(uint64_t seed, struct protocol_rules_off off, struct faults f)
{
    model_init(&m, off);
    rng = seed * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < 8; i++)
        below(2);
    for (unsigned s = 0; s < SHARDS; s++) {
        m.records[s] = below(RECORDS) + 1;
        for (unsigned i = 1; i <= RECORDS; i++) {
            m.table_of[s][i] = below(TABLES);         /* 0: it is a dead letter of its own */
            if (f.duplicates && i > 1 && !below(4)) { /* same shard, same table */
                unsigned of = 1 + below(i - 1);
                m.uuid_of[s][i] = m.uuid_of[s][of];
                m.table_of[s][i] = m.table_of[s][of];
            }
        }
    }
}

static void return_tables(struct worker *w)
{
    uint32_t t;
    while (!w->restart && protocol_returning(w->p, &t))
        if (m.tables[t].refusing || worker_commit(&m, w, t) != BEGUN)
            break;
}

static bool holding(struct worker *w)
{
    uint32_t t;
    return w->restart || protocol_returning(w->p, &t);
}

static void refuse(struct worker *w, uint32_t t)
{
    if (commit_begin(&m, w, t) != BEGUN)
        return;
    enum protocol_action a = protocol_commit_refused(w->p, t, &w->plan[t], m.now_ms);
    plan_over(w, t, false);
    w->restart |= a == PROTOCOL_QUARANTINE;
}

/* A commit, and what may befall it. */
static void commit(struct worker *w, uint32_t t, const struct faults *f)
{
    struct request *q;
    if (w->busy[t] || !has_rows(w, t))
        return;
    if (m.tables[t].refusing) {
        refuse(w, t);
        return;
    }
    if (commit_begin(&m, w, t) != BEGUN)
        return;
    switch (below(8)) {
    case 0: /* lands, the answer is lost */
        request_lands(&m, &w->request[t]);
        protocol_commit_unknown(w->p, t);
        return;
    case 1: /* lands later, or never */
        q = f->several ? fly(&m, &w->request[t]) : NULL;
        if (q || !f->several) {
            protocol_commit_unknown(w->p, t);
            return;
        }
        break;
    case 2: /* somebody is first */
        m.tables[t].version++;
        break;
    default:
        break;
    }
    commit_answered(&m, w, t, request_lands(&m, &w->request[t]));
}

static void settle(struct worker *w, uint32_t t)
{
    if (!w->busy[t])
        return;
    if (worker_settle(&m, w, t) == PROTOCOL_UNKNOWN && !below(3))
        m.tables[t].version++; /* its own commit of properties: now the base has moved */
}

static void quarantine_step(struct worker *w)
{
    uint32_t t = 1 + below(TABLES - 1);
    m.tables[t].refusing = !below(3);
    for (uint32_t k = 1; k < TABLES; k++)
        if (!m.tables[k].refusing && protocol_route(w->p, k) == PROTOCOL_TO_DEAD_LETTERS &&
            !below(3)) {
            protocol_table_back(w->p, k);
            w->restart = true;
        }
}

static void work(struct worker *w, const struct faults *f)
{
    uint32_t shard = below(SHARDS), table = below(TABLES);
    if (w->restart && !worker_restart(&m, w)) {
        for (uint32_t t = 0; t < TABLES; t++)
            settle(w, t);
        return;
    }
    return_tables(w);
    if (holding(w))
        return;
    switch (below(9)) {
    case 0:
    case 1:
    case 2:
        if (w->taken[shard] && w->cursor[shard] == m.records[shard] && !w->at_end[shard])
            worker_end(w, shard);
        else if (!w->at_end[shard])
            worker_read(&m, w, shard, 1 + below(5), !below(3));
        break;
    case 3:
        worker_batches_done(w);
        break;
    case 4:
        worker_cut(&m, w);
        break;
    case 5:
    case 6:
        commit(w, table, f);
        break;
    case 7:
        settle(w, table);
        break;
    default:
        worker_checkpoint(&m, w);
        break;
    }
    worker_collect(w);
    if (f->refusals && !below(10))
        quarantine_step(w);
}

/* A free or, if allowed, somebody else's shard. */
static void take_some(struct worker *w, const struct faults *f)
{
    uint32_t s = below(SHARDS);
    bool ended = seq_cmp(m.leases[s].checkpoint, SEQ_END) == 0;
    bool free_now = true;
    for (unsigned i = 0; i < WORKERS; i++)
        free_now &= !m.workers[i].alive || m.workers[i].number != m.leases[s].owner;
    if (ended || holding(w) || w->taken[s] || !(free_now || (f->several && !below(6))))
        return;
    worker_take(&m, w, s);
}

static void step(const struct faults *f)
{
    struct worker *w = &m.workers[f->several ? below(WORKERS) : 0];
    m.now_ms += below(40) ? below(2000) : below(20 * 60 * 1000);
    if (!below(2000))
        m.now_ms += 2 * PROTOCOL_EPOCH_MAX_MS; /* the machine slept */
    for (unsigned i = 0; i < FLYING; i++)
        if (m.flying[i].used && !below(30)) {
            request_lands(&m, &m.flying[i]);
            m.flying[i].used = false;
        }
    if (!w->alive) {
        worker_start(&m, (unsigned)(w - m.workers));
        if (f->several) /* or none would live to see it */
            protocol_refuse_for(w->p, 5000);
    } else if (!below(120))
        worker_crash(w);
    else if (!below(4))
        take_some(w, f);
    else
        work(w, f);
}

/* All are gone; one takes what there is and finishes. What was still under way lands or not. */
static void drain(void)
{
    struct faults none = {0};
    for (unsigned i = 0; i < WORKERS; i++)
        if (m.workers[i].alive)
            worker_crash(&m.workers[i]);
    for (unsigned t = 0; t < TABLES; t++)
        m.tables[t].refusing = false;
    struct worker *w = worker_start(&m, 0);
    for (unsigned i = 0; i < 4000; i++) {
        bool all = true;
        for (uint32_t s = 0; s < SHARDS; s++)
            all &= seq_cmp(m.leases[s].checkpoint, SEQ_END) == 0;
        if (all)
            return;
        if (i == 20)
            for (unsigned k = 0; k < FLYING; k++)
                if (m.flying[k].used)
                    request_lands(&m, &m.flying[k]);
        m.now_ms += 100;
        take_some(w, &none);
        work(w, &none);
    }
    fail_msg("the last worker did not come to the end");
}

static bool right(const struct faults *f)
{
    for (unsigned s = 0; s < SHARDS; s++)
        for (unsigned i = 1; i <= m.records[s]; i++) {
            unsigned n = model_count(&m, s, i), same = 0;
            for (unsigned k = 1; k <= m.records[s]; k++)
                if (m.uuid_of[s][k] == m.uuid_of[s][i])
                    same += model_count(&m, s, k);
            if (n > 1 || same < 1 || (!f->duplicates && n != 1))
                return false;
        }
    return true;
}

static bool run(uint64_t seed, struct protocol_rules_off off, struct faults f)
{
    setup(seed, off, f);
    unsigned steps = 200 + below(400);
    for (unsigned i = 0; i < steps; i++)
        step(&f);
    drain();
    bool good = right(&f);
    model_fini(&m);
    return good;
}

static unsigned seeds(unsigned otherwise)
{
    const char *n = getenv("INLET_SIMULATOR_SEEDS");
    return n && atoi(n) > 0 ? (unsigned)atoi(n) : otherwise;
}

static void all_seeds(struct faults f)
{
    unsigned bad = 0;
    for (uint64_t seed = 1; seed <= seeds(2000); seed++)
        if (!run(seed, (struct protocol_rules_off){0}, f) && bad++ < 5)
            print_error("seed %llu: a record is not in exactly one row\n",
                        (unsigned long long)seed);
    assert_int_equal(bad, 0);
}

static void many_workers(void **state)
{
    (void)state;
    all_seeds((struct faults){.several = true});
}
static void many_workers_and_duplicates(void **state)
{
    (void)state;
    all_seeds((struct faults){.several = true, .duplicates = true});
}
static void tables_that_refuse(void **state)
{
    (void)state;
    all_seeds((struct faults){.refusals = true});
}

static void many_workers_and_tables_that_refuse(void **state)
{
    (void)state;
    all_seeds((struct faults){.several = true, .refusals = true});
}

/* Of 60,000 seeds at least one has to see it. */
static void blind(const char *rule, struct protocol_rules_off off, struct faults f)
{
    for (uint64_t seed = 1; seed <= 60000; seed++)
        if (!run(seed, off, f))
            return;
    fail_msg("no seed notices that the rule '%s' is out", rule);
}

static void every_rule_is_needed(void **state)
{
    (void)state;
    struct faults many = {.several = true}, dup = {.several = true, .duplicates = true};
    struct faults refusing = {.refusals = true};
    blind("fence", (struct protocol_rules_off){.fence = true}, many);
    blind("never back", (struct protocol_rules_off){.never_back = true}, many);
    blind("settle", (struct protocol_rules_off){.settle_moved = true}, many);
    blind("least position", (struct protocol_rules_off){.least_position = true}, many);
    blind("forget", (struct protocol_rules_off){.forget = true}, dup);
    blind("own cover", (struct protocol_rules_off){.own_cover = true}, refusing);
    blind("takeover's mark", (struct protocol_rules_off){.mark = true},
          (struct faults){.several = true, .refusals = true});
    blind("forward", (struct protocol_rules_off){.back_forward = true}, refusing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_workers),
        cmocka_unit_test(many_workers_and_duplicates),
        cmocka_unit_test(tables_that_refuse),
        cmocka_unit_test(many_workers_and_tables_that_refuse),
        cmocka_unit_test(every_rule_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
