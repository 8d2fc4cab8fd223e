/* Positions stand in the table itself, so that rows and positions change together. Other shards of the
 * same stream, other workers', are kept as they are in the base. See positions.h. */
#include "pipeline/positions.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct position_stream {
    const char *identity; /* borrowed from its source */
    char *key, *text;     /* what the pair points to */
    struct position_map map;
    bool moved;           /* by this commit */
};

static int read_key(const struct table *t, const char *key, struct position_map *out, struct err *e)
{
    return position_map_parse(out, table_property(t, key), e);
}

int positions_read(const struct table *t, const char *identity, struct position_map *out,
                   struct err *e)
{
    char *key = position_map_key(identity);
    int rc = read_key(t, key, out, e);
    free(key);
    return rc;
}

void positions_offer_init(struct positions_offer *o, struct commit_job *job)
{
    struct map known = {0}; /* identity -> index + 1 */
    *o = (struct positions_offer){.job = job};
    o->streams = mem_array(job->plan.n_steps, sizeof *o->streams);
    o->stream_of = mem_array(job->n_shards, sizeof *o->stream_of);
    for (uint32_t i = 0; i < job->plan.n_steps; i++) {
        uint32_t shard = job->plan.steps[i].shard;
        const char *identity = job->shard_identities[shard];
        uintptr_t at = (uintptr_t)map_get(&known, identity, strlen(identity));
        if (!at) {
            o->streams[o->n_streams] =
                (struct position_stream){.identity = identity, .key = position_map_key(identity)};
            at = ++o->n_streams;
            map_set(&known, identity, strlen(identity), (void *)at);
        }
        o->stream_of[shard] = (uint32_t)at - 1;
    }
    o->pairs = mem_array((size_t)o->n_streams * 2 + 1, sizeof *o->pairs);
    map_fini(&known);
}

static void clear(struct positions_offer *o)
{
    for (uint32_t i = 0; i < o->n_streams; i++) {
        position_map_fini(&o->streams[i].map);
        free(o->streams[i].text);
        o->streams[i].map = (struct position_map){0};
        o->streams[i].text = NULL;
        o->streams[i].moved = false;
    }
    o->pairs[0] = NULL;
}

void positions_offer_fini(struct positions_offer *o)
{
    clear(o);
    for (uint32_t i = 0; i < o->n_streams; i++)
        free(o->streams[i].key);
    free(o->streams);
    free(o->stream_of);
    free(o->pairs);
}

static int read_base(struct positions_offer *o, const struct table *t, struct err *e)
{
    clear(o);
    for (uint32_t i = 0; i < o->n_streams; i++)
        if (read_key(t, o->streams[i].key, &o->streams[i].map, e))
            return err_wrap(e, "property %s", o->streams[i].key);
    return 0;
}

static struct seq held_at(void *ctx, uint32_t shard)
{
    const struct positions_offer *o = ctx;
    return position_map_at(&o->streams[o->stream_of[shard]].map, o->job->shard_ids[shard]);
}

/* The base's map of each stream, with the plan's shards moved on. */
static void make_pairs(struct positions_offer *o)
{
    size_t n = 0;
    for (uint32_t i = 0; i < o->job->plan.n_steps; i++) {
        const struct protocol_step *step = &o->job->plan.steps[i];
        struct position_stream *stream = &o->streams[o->stream_of[step->shard]];
        if (seq_cmp(step->next, step->expected) == 0)
            continue;
        position_map_set(&stream->map, o->job->shard_ids[step->shard], step->next, step->note, 0);
        stream->moved = true;
    }
    for (uint32_t i = 0; i < o->n_streams; i++) {
        if (!o->streams[i].moved)
            continue;
        o->streams[i].text = position_map_text(&o->streams[i].map);
        o->pairs[n++] = o->streams[i].key;
        o->pairs[n++] = o->streams[i].text;
    }
    o->pairs[n] = NULL;
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
    if ((rebased && check_leases(o->job, e)) || read_base(o, t, e) ||
        protocol_plan_check(&o->job->plan, held_at, o, e))
        return -1;
    make_pairs(o);
    return 0;
}
