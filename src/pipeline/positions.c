/* Positions stand in the table itself, so that rows and positions change together. Other shards of the
 * same stream, other workers', are kept as they are in the base; what ended over a week ago goes. See
 * positions.h. */
#include "pipeline/positions.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct position_prop {
    char *key, *text; /* what the pair points to */
    struct position_map map;
    bool moved; /* by this commit */
};

int positions_read(const struct table *t, const char *key, struct position_map *out, struct err *e)
{
    if (position_map_parse(out, table_property(t, key), e))
        return err_wrap(e, "property %s", key);
    return 0;
}

/* The property of that key (taken), as read from the base where it is new. */
static uint32_t prop_of(struct positions_offer *o, char *key)
{
    uintptr_t at = (uintptr_t)map_get(&o->known, key, strlen(key));
    if (at) {
        free(key);
        return (uint32_t)at - 1;
    }
    o->props = mem_regrow(o->props, o->n_props + 1, sizeof *o->props);
    o->props[o->n_props] = (struct position_prop){.key = key};
    map_set(&o->known, key, strlen(key), (void *)(uintptr_t)(o->n_props + 1));
    return o->n_props++;
}

void positions_offer_init(struct positions_offer *o, struct commit_job *job)
{
    const struct protocol_plan *plan = &job->plan;
    *o = (struct positions_offer){.job = job};
    o->shard_prop = mem_array(job->n_shards, sizeof *o->shard_prop);
    o->cover_prop = mem_array(plan->n_covers, sizeof *o->cover_prop);
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        uint32_t shard = plan->steps[i].shard;
        o->shard_prop[shard] = prop_of(o, position_map_key(job->shard_identities[shard]));
    }
    for (uint32_t i = 0; i < plan->n_covers; i++) {
        uint32_t shard = plan->covers[i].shard;
        o->cover_prop[i] = prop_of(
            o, position_map_cover_key(job->cover_tables[i], job->shard_identities[shard]));
    }
}

static void clear(struct positions_offer *o)
{
    for (uint32_t i = 0; i < o->n_props; i++) {
        position_map_fini(&o->props[i].map);
        free(o->props[i].text);
        o->props[i].text = NULL;
        o->props[i].moved = false;
    }
    for (size_t i = 0; i < o->n_expired; i++)
        free(o->expired[i]);
    o->n_expired = o->n_pairs = o->n_gone = 0;
}

void positions_offer_fini(struct positions_offer *o)
{
    clear(o);
    for (uint32_t i = 0; i < o->n_props; i++)
        free(o->props[i].key);
    free(o->props);
    map_fini(&o->known);
    free(o->shard_prop);
    free(o->cover_prop);
    free(o->pairs);
    free(o->gone);
    free(o->expired);
}

static int read_base(struct positions_offer *o, const struct table *t, struct err *e)
{
    clear(o);
    for (uint32_t i = 0; i < o->n_props; i++)
        if (positions_read(t, o->props[i].key, &o->props[i].map, e))
            return -1;
    return 0;
}

static struct seq held_at(void *ctx, uint32_t shard)
{
    const struct positions_offer *o = ctx;
    return position_map_at(&o->props[o->shard_prop[shard]].map, o->job->shard_ids[shard]);
}

static struct seq cover_at(void *ctx, uint32_t table, uint32_t shard)
{
    const struct positions_offer *o = ctx;
    for (uint32_t i = 0; i < o->job->plan.n_covers; i++)
        if (o->job->plan.covers[i].shard == shard && o->job->plan.covers[i].table == table)
            return position_map_at(&o->props[o->cover_prop[i]].map, o->job->shard_ids[shard]);
    return SEQ_NONE;
}

/* ---- what is set, and what goes */

static void pair(struct positions_offer *o, const char *key, const char *text)
{
    o->pairs = mem_regrow(o->pairs, o->n_pairs + 3, sizeof *o->pairs);
    o->pairs[o->n_pairs++] = key;
    o->pairs[o->n_pairs++] = text;
    o->pairs[o->n_pairs] = NULL;
}

static void gone(struct positions_offer *o, const char *key)
{
    o->gone = mem_regrow(o->gone, o->n_gone + 2, sizeof *o->gone);
    o->gone[o->n_gone++] = key;
    o->gone[o->n_gone] = NULL;
}

/* For as long as the offer. */
static const char *keep(struct positions_offer *o, char *text)
{
    o->expired = mem_regrow(o->expired, o->n_expired + 1, sizeof *o->expired);
    return o->expired[o->n_expired++] = text;
}

/* Where it is known, and has no mark of its end but is to have one; or (0) has one that is to go. */
static void mark(struct position_prop *p, const char *shard, int64_t ended_ms)
{
    const struct position *at = position_map_get(&p->map, shard);
    char note[PROTOCOL_NOTE_MAX];
    if (!at || !at->ended_ms == !ended_ms)
        return;
    memcpy(note, at->note, sizeof note);
    position_map_set(&p->map, shard, at->at, note, ended_ms);
    p->moved = true;
}

/* The plan's shards moved on in the base's maps. */
static void move_on(struct positions_offer *o, int64_t now)
{
    const struct protocol_plan *plan = &o->job->plan;
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const struct protocol_step *step = &plan->steps[i];
        struct position_prop *p = &o->props[o->shard_prop[step->shard]];
        if (seq_cmp(step->next, step->expected) == 0 &&
            !(step->ended && seq_cmp(step->next, SEQ_NONE) != 0)) {
            mark(p, o->job->shard_ids[step->shard], 0); /* it ended once, but is being read: not to be swept from under us */
            continue;
        }
        position_map_set(&p->map, o->job->shard_ids[step->shard], step->next, step->note,
                         step->ended ? now : 0);
        p->moved = true;
    }
    for (uint32_t i = 0; i < plan->n_covers; i++) {
        const struct protocol_cover *c = &plan->covers[i];
        struct position_prop *p = &o->props[o->cover_prop[i]];
        if (seq_cmp(c->next, c->expected) == 0)
            continue;
        if (seq_cmp(c->next, SEQ_NONE) == 0)
            position_map_remove(&p->map, o->job->shard_ids[c->shard]);
        else
            position_map_set(&p->map, o->job->shard_ids[c->shard], c->next, "", 0);
        p->moved = true;
    }
}

/* Shards of this process that ended after the table's last commit: its positions of them get their mark
 * with the next one. */
static int mark_ended(struct positions_offer *o, const struct table *t, int64_t now, struct err *e)
{
    const struct commit_job *job = o->job;
    for (uint32_t s = 0; s < job->n_shards; s++) {
        char *key = job->shard_ended[s] ? position_map_key(job->shard_identities[s]) : NULL;
        if (!key || !table_property(t, key)) {
            free(key);
            continue;
        }
        uint32_t n = o->n_props, i = prop_of(o, key);
        struct position_prop *p = &o->props[i];
        if (o->n_props > n && positions_read(t, p->key, &p->map, e))
            return -1;
        mark(p, job->shard_ids[s], now);
    }
    return 0;
}

struct sweep {
    struct positions_offer *o;
    int64_t now;
};

/* Of a file: does inlet_loads tell that it was loaded so far? Else this is all that is known of it. */
static bool told(const struct positions_offer *o, const char *key, const struct position_map *map)
{
    const char *identity = key + sizeof POSITION_MAP_PREFIX - 1;
    uintptr_t upto = (uintptr_t)map_get(o->job->told, identity, strlen(identity));
    return upto > 1 && seq_le(position_map_at(map, "0"), seq_of(upto - 1));
}

/* A property of another stream or file: it goes once all in it ended long ago. Most have no mark. */
static void sweep_other(void *ctx, const char *key, const char *text)
{
    struct sweep *s = ctx;
    struct position_map map;
    if (strncmp(key, POSITION_MAP_PREFIX, sizeof POSITION_MAP_PREFIX - 1) != 0 || !text ||
        !strchr(text, '@') || map_get(&s->o->known, key, strlen(key)) ||
        position_map_parse(&map, text, NULL))
        return;
    bool goes = !position_map_by_loads(key) || told(s->o, key, &map);
    if (goes && position_map_expire(&map, s->now) && map.n)
        pair(s->o, keep(s->o, mem_strdup(key)), keep(s->o, position_map_text(&map)));
    else if (goes && !map.n)
        gone(s->o, keep(s->o, mem_strdup(key)));
    position_map_fini(&map);
}

static int make_pairs(struct positions_offer *o, const struct table *t, struct err *e)
{
    int64_t now = clock_wall_ms(o->job->lake->clock);
    struct sweep sweep = {o, now};
    move_on(o, now);
    if (mark_ended(o, t, now, e))
        return -1;
    for (uint32_t i = 0; i < o->n_props; i++) {
        struct position_prop *p = &o->props[i];
        p->moved |= position_map_expire(&p->map, now) > 0;
        if (!p->moved)
            continue;
        if (!p->map.n) {
            gone(o, p->key);
            continue;
        }
        p->text = position_map_text(&p->map);
        pair(o, p->key, p->text);
    }
    table_properties(t, sweep_other, &sweep);
    return 0;
}

/* ---- whether it is ours to make */

/* Before a rebased commit, and before any that has covers, the leases are read again. */
static int check_leases(struct commit_job *job, struct err *e)
{
    for (uint32_t i = 0; i < job->plan.n_steps; i++) {
        uint32_t shard = job->plan.steps[i].shard;
        struct lease now = {0};
        if (job->leases->ops->read(job->leases, job->shard_identities[shard], job->shard_ids[shard],
                                   &now, e))
            return -1;
        bool ours = now.owner && strcmp(now.owner, job->owner) == 0;
        if (!ours) {
            err_set(e, ERR_FENCED, "the lease of shard %s is now %s%s", job->shard_ids[shard],
                    now.owner ? "held by " : "nobody's", now.owner ? now.owner : "");
            job->lost_shard = shard;
        }
        lease_fini(&now);
        if (!ours)
            return -1;
    }
    return 0;
}

static int check_positions(struct positions_offer *o, struct err *e)
{
    struct commit_job *job = o->job;
    if (protocol_plan_check(&job->plan, held_at, o, e)) {
        job->lost_shard = protocol_plan_fenced_at(&job->plan, held_at, o);
        return -1;
    }
    if (!protocol_plan_check_covers(&job->plan, cover_at, o, e))
        return 0;
    for (uint32_t i = 0; i < job->plan.n_covers; i++) {
        const struct protocol_cover *c = &job->plan.covers[i];
        if (seq_cmp(cover_at(o, c->table, c->shard), c->expected) != 0)
            job->lost_shard = c->shard;
    }
    return -1;
}

int positions_validate(void *ctx, const struct table *t, bool rebased, struct err *e)
{
    struct positions_offer *o = ctx;
    struct commit_job *job = o->job;
    int64_t now = clock_boot_ms(job->lake->clock);
    if (protocol_plan_check_age(&job->plan, now, e)) {
        job->aged = true;
        return -1;
    }
    if (((rebased || job->plan.n_covers) && check_leases(job, e)) || read_base(o, t, e) ||
        check_positions(o, e))
        return -1;
    return make_pairs(o, t, e);
}
