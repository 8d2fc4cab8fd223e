/* Shards, epochs and checkpoints: see protocol.h. Epochs are numbered from 1; those before which
 * nothing is uncommitted are let go. Commits and restarts are in protocol_commit.c. */
#include "protocol/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/protocol_int.h"

struct epoch *protocol_epoch_at(const struct protocol *p, uint64_t number)
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

void protocol_open_epoch(struct protocol *p, uint64_t number)
{
    p->epochs = mem_regrow(p->epochs, p->n_epochs + 1, sizeof *p->epochs);
    p->epochs[p->n_epochs++] = (struct epoch){.number = number};
}

struct protocol *protocol_new(void)
{
    struct protocol *p = mem_zalloc(sizeof *p);
    p->floor = 1;
    p->refuse_for_ms = PROTOCOL_REFUSED_MAX_MS;
    protocol_open_epoch(p, 1);
    return p;
}

void protocol_free(struct protocol *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_epochs; i++)
        free(p->epochs[i].cut);
    for (uint32_t i = 0; i < p->n_tables; i++) {
        free(p->tables[i].expected);
        free(p->tables[i].cover);
    }
    free(p->epochs);
    free(p->tables);
    free(p->shards);
    free(p);
}

/* ---- what the tables hold */

static struct shard_state *shard_of(struct protocol *p, uint32_t shard)
{
    while (p->n_shards <= shard) {
        p->shards = mem_regrow(p->shards, p->n_shards + 1, sizeof *p->shards);
        p->shards[p->n_shards++] = (struct shard_state){0};
    }
    return &p->shards[shard];
}

struct table_state *protocol_table_of(struct protocol *p, uint32_t table)
{
    while (p->n_tables <= table) {
        p->tables = mem_regrow(p->tables, p->n_tables + 1, sizeof *p->tables);
        p->tables[p->n_tables++] = (struct table_state){0};
    }
    return &p->tables[table];
}

static void put(struct seq **list, uint32_t *n, uint32_t shard, struct seq at)
{
    if (shard >= *n && seq_cmp(at, SEQ_NONE) == 0)
        return;
    while (*n <= shard) {
        *list = mem_regrow(*list, *n + (size_t)1, sizeof **list);
        (*list)[(*n)++] = SEQ_NONE;
    }
    (*list)[shard] = at;
}

struct seq protocol_expected_of(const struct table_state *t, uint32_t shard)
{
    return shard < t->n_expected ? t->expected[shard] : SEQ_NONE;
}

struct seq protocol_cover_of(const struct table_state *t, uint32_t shard)
{
    return shard < t->n_cover ? t->cover[shard] : SEQ_NONE;
}

void protocol_expect(struct table_state *t, uint32_t shard, struct seq at)
{
    put(&t->expected, &t->n_expected, shard, at);
}

void protocol_set_cover(struct table_state *t, uint32_t shard, struct seq at)
{
    put(&t->cover, &t->n_cover, shard, at);
}

/* ---- shards */

bool protocol_must_resolve(const struct protocol *p, bool lease_resolved)
{
    return !lease_resolved || p->off.start_stored;
}

bool protocol_must_mark(const struct protocol *p, bool given_up)
{
    return !given_up && !p->off.mark;
}

void protocol_shard_taken(struct protocol *p, uint32_t shard, struct seq checkpoint)
{
    struct shard_state *s = shard_of(p, shard);
    uint32_t generation = s->generation + 1;
    *s = (struct shard_state){.taken_at = checkpoint,
                              .last_out = checkpoint,
                              .checkpoint = checkpoint,
                              .generation = generation,
                              .taken = true};
    for (uint32_t i = 0; i < p->n_tables; i++) {
        protocol_expect(&p->tables[i], shard, SEQ_NONE);
        protocol_set_cover(&p->tables[i], shard, SEQ_NONE);
    }
}

void protocol_shard_note(struct protocol *p, uint32_t shard, const char *note)
{
    struct shard_state *s = shard_of(p, shard);
    snprintf(s->note, sizeof s->note, "%s", note);
    memcpy(s->checkpoint_note, s->note, sizeof s->checkpoint_note);
}

void protocol_table_position(struct protocol *p, uint32_t table, uint32_t shard, struct seq held)
{
    struct shard_state *s = shard_of(p, shard);
    if (s->any_out && !p->off.frozen)
        return;
    protocol_expect(protocol_table_of(p, table), shard, held);
    s->skip_until = seq_max(s->skip_until, held);
}

void protocol_table_covered(struct protocol *p, uint32_t table, uint32_t shard, struct seq held)
{
    struct shard_state *s = shard_of(p, shard);
    if (s->any_out)
        return;
    struct table_state *t = protocol_table_of(p, table);
    protocol_set_cover(t, shard, held);
    s->skip_until = seq_max(s->skip_until, held);
    if (seq_cmp(held, SEQ_NONE) == 0 || t->standing == STANDING_QUARANTINED)
        return;
    /* The worker before us had it quarantined; so it is here, until table_back. Rows of other
     * shards that wait for it must not be covered by the next commit of dead letters: read those
     * again. */
    t->standing = STANDING_QUARANTINED;
    for (uint32_t i = 0; i < p->n_shards; i++)
        p->restart_due |= p->shards[i].any_out;
}

struct seq protocol_skip_position(const struct protocol *p, uint32_t table, uint32_t shard)
{
    if (table >= p->n_tables)
        return SEQ_NONE;
    const struct table_state *t = &p->tables[table];
    struct seq cover = protocol_cover_of(t, shard);
    if (p->off.own_cover)
        cover = t->standing == STANDING_QUARANTINED
                    ? protocol_expected_of(&p->tables[PROTOCOL_DEAD_LETTERS], shard)
                    : SEQ_NONE;
    return seq_max(protocol_expected_of(t, shard), cover);
}

struct seq protocol_skip_until(const struct protocol *p, uint32_t shard)
{
    return shard < p->n_shards ? p->shards[shard].skip_until : SEQ_NONE;
}

void protocol_shard_ended(struct protocol *p, uint32_t shard)
{
    shard_of(p, shard)->ended = true;
    current(p)->used = true;
}

void protocol_shard_lost(struct protocol *p, uint32_t shard)
{
    struct shard_state *s = shard_of(p, shard);
    if (!s->taken)
        return;
    s->taken = false;
    s->generation++;
    p->restart_due = true;
}

void protocol_shard_returned(struct protocol *p, uint32_t shard)
{
    struct shard_state *s = shard_of(p, shard);
    invariant(!s->any_out);
    s->taken = false;
    s->generation++;
}

bool protocol_shard_held(const struct protocol *p, uint32_t shard)
{
    return shard < p->n_shards && p->shards[shard].taken;
}

bool protocol_any_out(const struct protocol *p, uint32_t shard)
{
    return shard < p->n_shards && p->shards[shard].any_out;
}

struct seq protocol_last_out(const struct protocol *p, uint32_t shard)
{
    return shard < p->n_shards ? p->shards[shard].last_out : SEQ_NONE;
}

/* ---- epochs */

uint64_t protocol_batch_out(struct protocol *p, uint32_t shard, struct seq last, int64_t now_ms)
{
    return protocol_batch_out_noted(p, shard, last, "", now_ms);
}

uint64_t protocol_batch_out_noted(struct protocol *p, uint32_t shard, struct seq last,
                                  const char *note, int64_t now_ms)
{
    struct shard_state *s = shard_of(p, shard);
    struct epoch *ep = current(p);
    if (seq_le(s->last_out, last)) {
        s->last_out = last;
        snprintf(s->note, sizeof s->note, "%s", note);
    }
    s->any_out = true;
    if (!ep->opened_ms)
        ep->opened_ms = now_ms;
    ep->used = true;
    ep->open_batches++;
    return ep->number;
}

bool protocol_epoch_alive(const struct protocol *p, uint64_t epoch)
{
    return epoch >= p->floor;
}

void protocol_batch_done(struct protocol *p, uint64_t epoch)
{
    if (!protocol_epoch_alive(p, epoch))
        return;
    struct epoch *ep = protocol_epoch_at(p, epoch);
    invariant(ep && ep->open_batches > 0);
    ep->open_batches--;
}

void protocol_cut(struct protocol *p, int64_t now_ms)
{
    if (!current(p)->used)
        return;
    protocol_advance(p);
    struct epoch *ep = current(p);
    if (!ep->opened_ms)
        ep->opened_ms = now_ms;
    ep->closed = true;
    ep->n_cut = p->n_shards;
    ep->cut = mem_array(p->n_shards ? p->n_shards : 1, sizeof *ep->cut);
    for (uint32_t i = 0; i < p->n_shards; i++) {
        const struct shard_state *s = &p->shards[i];
        ep->cut[i] = (struct cut){s->last_out, s->ended, s->taken ? s->generation : 0, ""};
        memcpy(ep->cut[i].note, s->note, sizeof s->note);
    }
    protocol_open_epoch(p, ep->number + 1);
}

uint64_t protocol_closed_ready(struct protocol *p)
{
    struct epoch *ep = protocol_epoch_at(p, p->last_ready + 1);
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
    struct table_state *t = protocol_table_of(p, table);
    if (!protocol_epoch_alive(p, epoch))
        return;
    invariant(epoch <= p->last_ready);
    if (!t->first || epoch < t->first)
        t->first = epoch;
}

/* ---- checkpoints */

uint64_t protocol_committed_upto(const struct protocol *p)
{
    uint64_t upto = p->last_ready;
    for (uint32_t i = 0; i < p->n_tables && !p->off.least_position; i++) {
        const struct table_state *t = &p->tables[i];
        if (t->first && t->first - 1 < upto)
            upto = t->first - 1;
        if (t->in_flight && t->in_flight - 1 < upto)
            upto = t->in_flight - 1;
    }
    return upto;
}

const struct cut *protocol_cut_at(const struct protocol *p, const struct epoch *ep, uint32_t shard)
{
    if (!ep || !ep->closed || shard >= ep->n_cut || !p->shards[shard].taken)
        return NULL;
    const struct cut *cut = &ep->cut[shard];
    return cut->generation == p->shards[shard].generation ? cut : NULL;
}

/* The cut up to which all is committed, if it moves the shard's checkpoint on. */
static const struct cut *cut_gives(const struct protocol *p, uint32_t shard, struct seq *at)
{
    const struct epoch *ep = protocol_epoch_at(p, protocol_committed_upto(p));
    const struct cut *cut = protocol_cut_at(p, ep, shard);
    if (!cut || p->shards[shard].done)
        return NULL;
    *at = cut->ended ? SEQ_END : cut->at;
    return seq_cmp(*at, p->shards[shard].checkpoint) > 0 ? cut : NULL;
}

bool protocol_checkpoint(const struct protocol *p, uint32_t shard, struct seq *out)
{
    if (shard >= p->n_shards || !p->shards[shard].taken)
        return false;
    const struct shard_state *s = &p->shards[shard];
    if (cut_gives(p, shard, out))
        return true;
    *out = s->checkpoint;
    return s->moved;
}

const char *protocol_checkpoint_note(const struct protocol *p, uint32_t shard)
{
    struct seq at;
    if (shard >= p->n_shards)
        return "";
    const struct cut *cut = cut_gives(p, shard, &at);
    return cut ? cut->note : p->shards[shard].checkpoint_note;
}

void protocol_advance(struct protocol *p)
{
    uint64_t upto = protocol_committed_upto(p);
    struct seq at;
    for (uint32_t i = 0; i < p->n_shards; i++) {
        struct shard_state *s = &p->shards[i];
        const struct cut *cut = cut_gives(p, i, &at);
        if (!cut)
            continue;
        s->checkpoint = at;
        memcpy(s->checkpoint_note, cut->note, sizeof s->checkpoint_note);
        s->moved = true;
        s->done = seq_cmp(at, SEQ_END) == 0;
    }
    size_t n = 0;
    while (n < p->n_epochs && p->epochs[n].number < upto && !p->off.least_position)
        free(p->epochs[n++].cut);
    p->n_epochs -= n;
    memmove(p->epochs, p->epochs + n, p->n_epochs * sizeof *p->epochs);
}
