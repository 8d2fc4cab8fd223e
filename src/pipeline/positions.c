/* Positions stand in the table itself, so that rows and positions change together. Other shards of the
 * same stream, other workers', are kept as they are in the base. See positions.h. */
#include "pipeline/positions.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static json_t *load_property(const struct table *t, const char *identity)
{
    char *key = mem_printf(POSITION_PREFIX "%s", identity);
    const char *text = table_property(t, key);
    free(key);
    return text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static int parse(const json_t *map, const char *shard, struct seq *out, struct err *e)
{
    const char *text = json_string_value(json_object_get(map, shard));
    *out = SEQ_NONE;
    return text ? seq_parse(out, text, strcspn(text, ":"), e) : 0;
}

int positions_read(const struct table *t, const char *identity, const char *shard, struct seq *out,
                   struct err *e)
{
    json_t *map = load_property(t, identity);
    int rc = parse(map, shard, out, e);
    json_decref(map);
    return rc;
}

struct held {
    struct commit_job *job;
    const struct table *table;
    struct err *err;
    int rc;
};

static struct seq held_at(void *ctx, uint32_t shard)
{
    struct held *h = ctx;
    struct seq at = SEQ_NONE;
    if (positions_read(h->table, h->job->shard_identities[shard], h->job->shard_ids[shard], &at,
                       h->err))
        h->rc = -1;
    return at;
}

void positions_offer_init(struct positions_offer *o, struct commit_job *job)
{
    *o = (struct positions_offer){.job = job};
    o->pairs = mem_array(job->n_shards * 2 + 1, sizeof *o->pairs);
    o->owned = mem_array(job->n_shards * 2 + 1, sizeof *o->owned);
}

static void clear(struct positions_offer *o)
{
    for (size_t i = 0; i < o->n_owned; i++)
        free(o->owned[i]);
    o->n_owned = 0;
    o->pairs[0] = NULL;
}

void positions_offer_fini(struct positions_offer *o)
{
    clear(o);
    free(o->pairs);
    free(o->owned);
}

static void add_pair(struct positions_offer *o, const char *identity, json_t *map)
{
    o->pairs[o->n_owned] = o->owned[o->n_owned] = mem_printf(POSITION_PREFIX "%s", identity);
    o->n_owned++;
    o->pairs[o->n_owned] = o->owned[o->n_owned] = json_dumps(map, JSON_COMPACT | JSON_SORT_KEYS);
    o->n_owned++;
    o->pairs[o->n_owned] = NULL;
}

static void set_step(json_t *map, const struct commit_job *job, const struct protocol_step *step)
{
    char text[SEQ_TEXT_MAX + 32];
    size_t n = seq_format(step->next, text);
    if (step->note[0])
        snprintf(text + n, sizeof text - n, ":%s", step->note);
    json_object_set_new(map, job->shard_ids[step->shard], json_string(text));
}

/* The base's map of each stream that the plan speaks of, with the plan's shards moved on. */
static void make_pairs(struct positions_offer *o, const struct table *t)
{
    const struct commit_job *job = o->job;
    bool *done = mem_array(job->n_shards, sizeof *done);
    for (uint32_t i = 0; i < job->plan.n_steps; i++) {
        uint32_t shard = job->plan.steps[i].shard;
        const char *identity = job->shard_identities[shard];
        if (done[shard])
            continue;
        json_t *map = load_property(t, identity);
        bool moved = false;
        if (!map)
            map = json_object();
        for (uint32_t k = i; k < job->plan.n_steps; k++) {
            const struct protocol_step *step = &job->plan.steps[k];
            if (strcmp(job->shard_identities[step->shard], identity) != 0)
                continue;
            done[step->shard] = true;
            if (seq_cmp(step->next, step->expected) != 0) {
                set_step(map, job, step);
                moved = true;
            }
        }
        if (moved)
            add_pair(o, identity, map);
        json_decref(map);
    }
    free(done);
}

/* Before a rebased commit the leases are read again: they must still be ours. */
static int check_leases(const struct commit_job *job, struct err *e)
{
    for (uint32_t i = 0; i < job->plan.n_steps; i++) {
        uint32_t shard = job->plan.steps[i].shard;
        struct lease now = {0};
        if (job->leases->ops->read(job->leases, job->shard_identities[shard], job->shard_ids[shard],
                                   &now, e))
            return -1;
        bool ours = now.owner && strcmp(now.owner, job->owner) == 0;
        if (!ours)
            err_set(e, ERR_FENCED, "the lease of shard %s is now %s%s", job->shard_ids[shard],
                    now.owner ? "held by " : "nobody's", now.owner ? now.owner : "");
        lease_fini(&now);
        if (!ours)
            return -1;
    }
    return 0;
}

int positions_validate(void *ctx, const struct table *t, bool rebased, struct err *e)
{
    struct positions_offer *o = ctx;
    struct held held = {.job = o->job, .table = t, .err = e};
    if (rebased && check_leases(o->job, e))
        return -1;
    if (protocol_plan_check(&o->job->plan, held_at, &held, e) || held.rc)
        return -1;
    clear(o);
    make_pairs(o, t);
    return 0;
}
