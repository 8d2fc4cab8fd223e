/* From a record to a row, a counted duplicate, or a dead letter. See shred.h. */
#include "shred/shred.h"

#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "codec/civil.h"
#include "shred/shred_int.h"

#define DEAD_COLUMNS 10
#define SHAPES_MAX 1000 /* event names that are kept from epoch to epoch */
#define DAY_US ((int64_t)86400 * 1000000)

/* ---- row sets ---- */

struct envelope_column {
    int32_t id;
    enum col_type type;
    uint8_t max_def;
};
static const struct envelope_column envelope[ENV_COLUMNS] = {
    {COL_EVENT_UUID, COL_BYTES, 0},       {COL_CREATED_AT, COL_DOUBLE, 0},
    {COL_CREATED_DATETIME, COL_BYTES, 1}, {COL_EVENT_TIME, COL_LONG, 0},
    {COL_ARRIVED_AT, COL_LONG, 1},        {COL_SEQUENCE, COL_BYTES, 1},
    {COL_RESCUED, COL_BYTES, 1}};
static const struct envelope_column dead_columns[DEAD_COLUMNS] = {
    {1, COL_BYTES, 0}, {2, COL_BYTES, 0}, {3, COL_BYTES, 1}, {4, COL_BYTES, 1}, {5, COL_BYTES, 1},
    {6, COL_BYTES, 1}, {7, COL_BYTES, 1}, {8, COL_LONG, 1},  {9, COL_LONG, 0},  {10, COL_LONG, 0}};

void shred_more_columns(struct rowset *r, uint32_t n)
{
    if (n > r->cap_cols) {
        uint32_t cap = r->cap_cols * 2 > n ? r->cap_cols * 2 : n + 8;
        size_t one = sizeof *r->cols, bytes = cap * one;
        r->cols = arena_regrow(&r->arena, r->cols, r->cap_cols * one, r->n_cols * one, &bytes, 64);
        memset(r->cols + r->n_cols, 0, (cap - r->n_cols) * one);
        r->cap_cols = cap;
    }
    r->n_cols = n > r->n_cols ? n : r->n_cols;
}

/* `hints` may be NULL; `more` columns are to come. */
static void first_columns(struct rowset *r, const struct envelope_column *columns, uint32_t n, uint32_t more,
                          const struct column_hint *hints)
{
    shred_more_columns(r, n + more);
    r->n_cols = n;
    for (uint32_t i = 0; i < n; i++) {
        struct column *c = &r->cols[i].col;
        r->cols[i].envelope_id = columns[i].id;
        column_init(c, columns[i].type, columns[i].max_def, 0);
        c->arena = &r->arena;
        if (hints)
            c->hint = hints[i];
    }
}

void rowset_envelope(struct rowset *r, uint32_t more)
{
    first_columns(r, envelope, ENV_COLUMNS, more, NULL);
}

static struct rowset *rowset_new(struct shredder *s, const struct envelope_column *columns, uint32_t n,
                                 uint32_t more, const struct column_hint *hints)
{
    struct rowset *r = mem_zalloc(sizeof *r);
    r->arena.total = &s->bytes;
    s->bytes += sizeof *r;
    first_columns(r, columns, n, more, hints);
    r->min_time_us = INT64_MAX;
    r->max_time_us = INT64_MIN;
    return r;
}

void rowset_empty(struct rowset *r)
{
    r->cols = NULL;
    r->n_cols = r->cap_cols = r->n_bits = r->cap_heads = 0;
    r->bits = NULL;
    r->heads = NULL;
    r->odds = NULL;
    r->cap_odds = 0;
}

void rowset_free(struct rowset *r)
{
    if (!r)
        return;
    arena_fini(&r->arena);
    pack_drop(r);
    free(r->shards);
    free(r->name);
    free(r->type);
    free(r->subtype);
    free(r);
}

size_t rowset_held(const struct rowset *r)
{
    return sizeof *r + r->arena.bytes;
}

void rowset_add_shard(struct rowset *r, uint32_t shard, uint32_t rows)
{
    if (!r->n_shards || r->shards[r->n_shards - 1].shard != shard) {
        r->shards = mem_regrow(r->shards, r->n_shards + 1, sizeof *r->shards);
        r->shards[r->n_shards++] = (struct shard_run){shard, 0};
    }
    r->shards[r->n_shards - 1].rows += rows;
}

/* ---- dead letters ---- */

static void put_text(struct column *c, uint32_t row, const void *p, size_t n)
{
    column_pad(c, row);
    column_level(c, c->max_def, 0);
    column_text(c, p, n);
}

static inline void put_number(struct column *c, uint32_t row, int64_t v)
{
    uint32_t at = column_entry(c, row);
    if (c->max_def)
        c->def[at] = 1;
    c->rows = row + 1;
    column_number(c, v);
}

static void random_id(char out[37])
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
        memset(b, 0, sizeof b);
    uuid4_format(b, out);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Their table is partitioned by the day of arrival: a row set for each. */
static struct rowset *dead_of_day(struct shredder *s, int32_t day)
{
    for (struct rowset *d = s->dead; d; d = d->next)
        if (d->time_partition == day)
            return d;
    struct rowset *d = rowset_new(s, dead_columns, DEAD_COLUMNS, 0, NULL);
    d->time_partition = day;
    d->next = s->dead;
    s->dead = d;
    s->partitions++;
    return d;
}

static void put_dead(struct shredder *s, const struct record *r, enum reason why, const char *message, int64_t now_us)
{
    char id[40];
    struct rowset *d = dead_of_day(s, (int32_t)floor_div(r->arrived_us, DAY_US));
    struct rowset_column *c = d->cols;
    random_id(id);
    put_text(&c[0].col, d->rows, id, 36);
    put_text(&c[1].col, d->rows, event_reason_code(why), strlen(event_reason_code(why)));
    put_text(&c[2].col, d->rows, message, strlen(message));
    put_text(&c[3].col, d->rows, r->payload, r->n);
    if (r->seq_text)
        put_text(&c[6].col, d->rows, r->seq_text, r->seq_text_n);
    if (r->seq_text && r->sub >= 0)
        put_number(&c[7].col, d->rows, r->sub);
    put_number(&c[8].col, d->rows, r->arrived_us);
    put_number(&c[9].col, d->rows, now_us);
    rowset_add_shard(d, r->shard, 1);
    d->rows++;
}

static void dead_letter(struct shredder *s, const struct record *r, enum reason why,
                        const char *message, int64_t now_us, bool check)
{
    /* Of a quarantined table its own position and cover say what is there: the dead letters' own
     * moved on while its records still waited as rows. */
    const struct shred_table *of = why == REASON_TABLE_UNAVAILABLE ? s->shape->table : NULL;
    bool stays = s->env.letters_stay & 1u << why;
    if (check && !(stays && why == REASON_TOO_MANY_TABLES) && s->env.passed(s->env.ctx, of, r->shard, r->seq)) {
        s->counts.skipped++;
        return;
    }
    if (!stays)
        put_dead(s, r, why, message, now_us);
    s->counts.dead[why]++;
    s->counts.lettered += s->reread && of && r->shard < of->n_lettered && seq_le(r->seq, of->lettered[r->shard]);
}

/* ---- shapes ---- */

static struct lnode *root_new(struct registry *registry)
{
    struct lnode *root = lnode_new(registry_root(registry), NULL);
    struct lgroup *g = lnode_group(root);
    g->after_envelope = mem_lines(3, sizeof *g->after_envelope);
    root->first = fast_edges();
    for (int i = 0; i < 3; i++)
        fast_edges_init(g->after_envelope[i], EDGES);
    return root;
}

static void shape_free(struct shredder *s, struct shape *sh)
{
    s->learned -= LEARNED_SHAPE + sh->n_columns * LEARNED_COLUMN;
    if (sh->root)
        lnode_free(sh->root);
    free(sh->columns);
    free(sh->sets);
    free(sh->name);
    free(sh);
}

static void keep_shapes(struct shredder *s, struct map kept)
{
    map_fini(&s->shapes);
    s->shapes = kept;
    if (s->lines)
        lines_forget(s->lines);
}

static int by_use(const void *a, const void *b)
{
    const struct shape *x = *(struct shape *const *)a, *y = *(struct shape *const *)b;
    return (x->used_at > y->used_at) - (x->used_at < y->used_at);
}

/* None has open rows: those that were not used for the longest go, until the others take three quarters of what they may. */
static void forget_oldest(struct shredder *s)
{
    struct map kept = {0};
    struct map_entry *entry;
    size_t at = 0, n = 0;
    struct shape **all = mem_array(s->shapes.count, sizeof *all);
    while ((entry = map_next(&s->shapes, &at)))
        all[n++] = entry->value;
    qsort(all, n, sizeof *all, by_use);
    s->last = s->shape = NULL;
    for (size_t i = 0; i < n; i++)
        if (s->learned > s->env.learned_max / 4 * 3)
            shape_free(s, all[i]);
        else
            map_set(&kept, all[i]->name, all[i]->parts.name.n, all[i]);
    free(all);
    keep_shapes(s, kept);
}

/* Names without end must not pile up: those that have no open rows are let go; `used_too`: also those
 * that the epoch before used. */
static void forget_shapes(struct shredder *s, bool used_too)
{
    struct map kept = {0};
    struct map_entry *entry;
    size_t at = 0;
    while ((entry = map_next(&s->shapes, &at))) {
        struct shape *sh = entry->value;
        if (sh->n_sets || sh == s->last || (sh->used_at == s->cuts && !used_too))
            map_set(&kept, entry->key, entry->key_len, sh);
        else
            shape_free(s, sh);
    }
    keep_shapes(s, kept);
    s->shapes_most = kept.count * 2 > SHAPES_MAX ? kept.count * 2 : SHAPES_MAX;
}

static struct shape *shape_of(struct shredder *s, const char *name, size_t n, enum reason *why)
{
    struct event_name parts;
    struct shape *sh = s->last;
    if (!sh || !shape_is(sh, name, n))
        sh = map_get(&s->shapes, name, n);
    if (!sh) {
        *why = event_name_parse(name, n, &parts);
        if (*why != REASON_NONE)
            return NULL;
        if (s->shapes.count >= s->shapes_most)
            forget_shapes(s, true);
        sh = mem_zalloc(sizeof *sh);
        s->learned += LEARNED_SHAPE;
        sh->name = mem_strndup(name, n);
        memcpy(sh->head, name, n < sizeof sh->head ? n : sizeof sh->head);
        event_name_parse(sh->name, n, &sh->parts);
        map_set(&s->shapes, name, n, sh);
    }
    if (!sh->routed) {
        struct shred_table *t = s->env.route(s->env.ctx, &sh->parts, &sh->why);
        if (t && !sh->root) {
            sh->root = root_new(t->registry);
            sh->after_envelope = sh->root->group->after_envelope;
        }
        sh->table = t;
        sh->routed = true;
    }
    s->last = sh;
    *why = !sh->table ? sh->why : sh->table->unavailable ? REASON_TABLE_UNAVAILABLE : REASON_NONE;
    return sh;
}

/* ---- sets that are complete ---- */

/* As much as now, or an eighth less than before: a short epoch does not make the next one begin anew. */
static void learn_hint(struct column_hint *h, const struct column *c)
{
    uint32_t levels = h->levels - h->levels / 8, values = h->values - h->values / 8;
    size_t bytes = h->bytes - h->bytes / 8;
    *h = (struct column_hint){c->n_levels > levels ? c->n_levels : levels,
                              c->n_values > values ? c->n_values : values,
                              c->n_bytes + 64 > bytes ? c->n_bytes + 64 : bytes};
}

/* How much memory the columns of the next row set may need. */
static void keep_hints(struct shape *sh, const struct rowset *r)
{
    if (r->rows < sh->hint_rows)
        return;
    sh->hint_rows = r->rows;
    for (uint32_t i = ENV_SEQUENCE; i < ENV_COLUMNS; i++)
        learn_hint(&sh->envelope_hints[i], &r->cols[i].col);
    for (uint32_t i = ENV_COLUMNS; i < r->n_cols; i++)
        learn_hint(&sh->columns[i - ENV_COLUMNS].hint, &r->cols[i].col);
}

/* Out of the shredder's hands; NULL where it has no rows. */
static struct rowset *detach(struct rowset *r)
{
    uint32_t n = ENV_COLUMNS;
    for (uint32_t k = ENV_COLUMNS; r->table && k < r->n_cols; k++) /* squeeze out columns never met */
        if (r->cols[k].col.n_levels)
            r->cols[n++] = r->cols[k];
    if (r->table)
        r->n_cols = n;
    if (!r->rows) {
        rowset_free(r);
        return NULL;
    }
    r->arena.total = NULL;
    r->bytes = rowset_held(r);
    return r;
}

static void put_by(struct shredder *s, struct shape *sh, uint32_t i)
{
    struct rowset *r = sh->sets[i];
    rows_levels(r, sh);
    sh->sets[i] = sh->sets[--sh->n_sets];
    s->partitions--;
    r = detach(r);
    if (r) {
        r->next = s->full;
        s->full = r;
    }
}

/* A set that has its rows goes aside, and another one begins: arrays that go on growing are copied again and again, and
 * what they have in reserve is counted as held. */
static void close_set(struct shredder *s, struct shape *sh, uint32_t i)
{
    keep_hints(sh, sh->sets[i]);
    sh->filled = true;
    put_by(s, sh, i);
}

/* Those that got at most so many rows since the last time, while there are too many. */
static void shed_idle(struct shredder *s, struct shape *sh, uint32_t got, uint32_t most)
{
    for (uint32_t i = sh->n_sets; i-- > 0 && s->partitions > most;)
        if (sh->sets[i]->rows - sh->sets[i]->rows_before <= got)
            put_by(s, sh, i);
    sh->last_set = 0;
    sh->last_from_us = sh->last_until_us = 0;
}

void shredder_shed(struct shredder *s, uint32_t most)
{
    struct map_entry *entry;
    size_t at;
    uint32_t got = 0, dead = 0;
    for (struct rowset *d = s->dead; d; d = d->next)
        dead++;
    if (s->partitions - dead <= most)
        return;
    for (uint32_t left = most - most / 4 + dead; s->partitions > left; got = got * 2 + 1)
        for (at = 0; (entry = map_next(&s->shapes, &at));)
            shed_idle(s, entry->value, got, left);
    for (at = 0; (entry = map_next(&s->shapes, &at));) {
        const struct shape *sh = entry->value;
        for (uint32_t i = 0; i < sh->n_sets; i++)
            sh->sets[i]->rows_before = sh->sets[i]->rows;
    }
}

/* ---- the sets of a name ---- */

/* The microseconds of a partition, where they are all as long; else 0. */
static int64_t partition_us(uint8_t transform)
{
    return transform == 'h' ? (int64_t)3600 * 1000000 : transform == 'd' ? DAY_US : 0;
}

static int32_t time_partition(uint8_t transform, int64_t us)
{
    struct civil c;
    switch (transform) {
    case 'h':
    case 'd': return (int32_t)floor_div(us, partition_us(transform));
    case 'm': c = civil_from_days(floor_div(us, DAY_US)); return (int32_t)((c.year - 1970) * 12 + c.month - 1);
    case 'y': c = civil_from_days(floor_div(us, DAY_US)); return (int32_t)(c.year - 1970);
    default: return 0;
    }
}

static struct rowset *found_set(struct shape *sh, uint32_t i)
{
    int64_t us = partition_us(sh->table->time_transform);
    sh->last_set = i;
    sh->last_from_us = sh->sets[i]->time_partition * us;
    sh->last_until_us = sh->last_from_us + us;
    return sh->sets[i];
}

struct rowset *shred_set_of(struct shredder *s, struct shape *sh, int64_t time_us)
{
    if (time_us >= sh->last_from_us && time_us < sh->last_until_us && sh->n_sets &&
        sh->sets[sh->last_set]->rows < SET_ROWS)
        return sh->sets[sh->last_set];
    int32_t partition = time_partition(sh->table->time_transform, time_us);
    for (uint32_t i = 0; i < sh->n_sets; i++)
        if (sh->sets[i]->time_partition == partition) {
            if (sh->sets[i]->rows < SET_ROWS)
                return found_set(sh, i);
            close_set(s, sh, i);
            break;
        }
    struct rowset *r = rowset_new(s, envelope, ENV_COLUMNS, sh->n_columns, sh->envelope_hints);
    r->table = sh->table;
    r->time_partition = partition;
    r->name = mem_strdup(sh->name);
    r->name_n = sh->parts.name.n;
    r->type = mem_strndup(sh->parts.type.p, sh->parts.type.n);
    r->type_n = sh->parts.type.n;
    if (sh->parts.has_subtype) {
        r->subtype = mem_strndup(sh->parts.subtype.p, sh->parts.subtype.n);
        r->subtype_n = sh->parts.subtype.n;
    }
    sh->sets = mem_regrow(sh->sets, sh->n_sets + 1, sizeof *sh->sets);
    sh->sets[sh->n_sets++] = r;
    s->partitions++;
    return found_set(sh, sh->n_sets - 1);
}

/* ---- the envelope ---- */

struct found {
    const struct json_tok *uuid, *name, *created_at;
};

/* A string token's content: in place, or unescaped into `out`. Padded by 64 bytes either way. */
static struct str content(const struct shredder *s, const struct json_tok *v, struct buf *out)
{
    if (!(v->flags & TOK_ESCAPED))
        return (struct str){(const char *)s->p + v->start, v->end - v->start};
    out->n = 0;
    json_unescape(s->p + v->start, v->end - v->start, out);
    memset(buf_reserve(out, 64), 0, 64);
    return (struct str){(const char *)out->p, out->n};
}

static void find_envelope(const struct shredder *s, struct buf *text, struct found *f)
{
    const struct json_tok *t = s->tape.toks;
    *f = (struct found){0};
    for (uint32_t k = 1; k < t[0].next; k = t[k + 1].next) {
        struct str key = {(const char *)s->p + t[k].start, t[k].end - t[k].start};
        if (t[k].flags & TOK_ESCAPED)
            key = content(s, &t[k], text);
        switch (walk_envelope_key(key.p, key.n)) {
        case 1: f->uuid = &t[k + 1]; break;
        case 2: f->name = &t[k + 1]; break;
        case 3: f->created_at = &t[k + 1]; break;
        default: break;
        }
    }
}

static enum reason judge(struct shredder *s, const struct found *f, struct buf bufs[3],
                         struct str *uuid, struct str *name, struct event_time *time)
{
    if (!f->uuid || f->uuid->kind == TOK_NULL)
        return REASON_MISSING_UUID;
    if (f->uuid->kind != TOK_STRING || f->uuid->flags & TOK_UNSAFE)
        return REASON_INVALID_UUID;
    *uuid = content(s, f->uuid, &bufs[0]);
    if (uuid->n == 0 || uuid->n > UUID_MAX)
        return REASON_INVALID_UUID;
    if (!f->name || f->name->kind == TOK_NULL)
        return REASON_MISSING_NAME;
    if (f->name->kind != TOK_STRING || f->name->flags & TOK_UNSAFE)
        return REASON_INVALID_NAME;
    *name = content(s, f->name, &bufs[1]);
    if (!f->created_at || f->created_at->kind == TOK_NULL)
        return REASON_MISSING_CREATED_AT;
    bool quoted = f->created_at->kind == TOK_STRING;
    if (!quoted && f->created_at->kind != TOK_INTEGER && f->created_at->kind != TOK_DECIMAL)
        return REASON_INVALID_CREATED_AT;
    struct str at = content(s, f->created_at, &bufs[2]);
    return event_time_parse(at.p, at.n, quoted, s->env.time_unit, &s->times, time);
}

/* ---- rows ---- */

void shred_roll_back(struct shredder *s)
{
    struct rowset *r = s->set;
    for (uint32_t i = 0; i < r->n_cols; i++) {
        struct column *c = &r->cols[i].col;
        bool there = c->live && s->bits[i / 64] >> (i & 63) & 1, listed = c->live && c->max_rep && c->rows > s->row;
        if ((there || listed) && c->type == COL_BYTES)
            c->n_bytes -= c->row_bytes;
        c->n_values -= there;
        while (listed && c->rows > s->row) {
            uint32_t at = --c->n_levels;
            c->n_values -= c->def[at] == c->max_def;
            c->rows -= c->rep[at] == 0;
            c->def[at] = c->rep[at] = 0;
        }
    }
    memset(s->bits, 0, s->cap_bits * sizeof *s->bits);
}

static void put_head(struct shredder *s, int64_t arrived_us, struct str uuid, const struct fast_event *ev)
{
    struct rowset *set = s->set;
    uint32_t form = ev->form | (ev->key.text ? HEAD_ODD_ID : 0);
    if (__builtin_expect(set->rows == set->cap_heads, 0))
        heads_grow(set, s->shape->hint_rows);
    struct row_head *h = &set->heads[set->rows];
    __builtin_prefetch(h + 4, 1);
    *h = (struct row_head){{ev->key.id[0], ev->key.id[1]}, ev->time.time_us, arrived_us, form};
    if (__builtin_expect(form >= HEAD_ODD_ID, 0))
        heads_odd(set, form, uuid, &ev->time);
}

/* What is ours of the row, after the event's own. */
static void finish_row(struct shredder *s, const struct record *r, const struct fast_event *ev)
{
    struct rowset *set = s->set;
    struct rowset_column *c = set->cols;
    if (!ev->time.exact) {
        s->path[0] = str_of("created_at");
        s->n_path = 1;
        walk_rescue(s, (const uint8_t *)ev->created_at.p, ev->created_at.n);
    }
    put_head(s, r->arrived_us, ev->uuid, ev);
    if (r->seq_text) {
        column_text(&c[ENV_SEQUENCE].col, r->seq_text, r->seq_text_n);
        rows_set(s->bits, ENV_SEQUENCE);
    }
    if (s->rescued.n) {
        buf_putc(&s->rescued, '}');
        column_text(&c[ENV_RESCUED].col, s->rescued.p, s->rescued.n);
        rows_set(s->bits, ENV_RESCUED);
        s->counts.rescued++;
        if (!s->reread)
            atomic_fetch_add_explicit(&set->table->rescued, 1, memory_order_relaxed);
    }
    rowset_add_shard(set, r->shard, 1);
    rows_end(s);
    set->rows++;
    s->counts.rows++;
}

static void put_row(struct shredder *s, const struct record *r, const struct fast_event *ev)
{
    struct rowset *set = shred_set_of(s, s->shape, ev->time.time_us);
    s->set = set;
    s->row = set->rows;
    s->rescued.n = 0;
    s->last_wins = false;
    if (set->n_open != s->shape->n_columns)
        walk_complete_set(s);
    if (!walk_event(s)) { /* a key came twice, or what is new to us: the last of equal keys wins */
        shred_roll_back(s);
        json_last_wins(&s->tape, s->p);
        s->last_wins = true;
        s->rescued.n = 0;
        walk_event(s);
        s->last_wins = false;
    }
    s->counts.slow_rows++;
    finish_row(s, r, ev);
}

static enum reason parse(struct shredder *s, const struct record *r, char message[256])
{
    size_t where = 0;
    enum json_status status;
    if (r->defect) {
        snprintf(message, 256, "%s", r->defect);
        /* A long line is cut at the limit. */
        return r->n >= s->env.record_bytes_max ? REASON_RECORD_TOO_LARGE : REASON_INVALID_RECORD;
    }
    if (r->n > s->env.record_bytes_max)
        return REASON_RECORD_TOO_LARGE;
    status = json_parse(&s->tape, r->payload, r->n, &where);
    if (status == JSON_OK)
        return s->tape.toks[0].kind == TOK_OBJECT ? REASON_NONE : REASON_NOT_AN_OBJECT;
    enum reason why = status == JSON_BAD_UTF8   ? REASON_INVALID_UTF8
                      : status == JSON_TOO_DEEP ? REASON_NESTING_TOO_DEEP
                                                : REASON_INVALID_JSON;
    snprintf(message, 256, "%s, at byte %zu of %zu%s", event_reason_text(why), where, r->n, event_record_hint(r->payload, r->n));
    return why;
}

#define TAPE_KEPT (1u << 19) /* tokens: 8 MB */
#define TEXT_KEPT ((size_t)4 << 20)
#define DEDUP_TIMED 64     /* one record in so many tells the time for all, */
#define DEDUP_NS_MAX 20000 /* ... unless the thread was interrupted */

static bool is_duplicate(struct shredder *s, const struct record *r,
                         const struct dedup_key *key, uint64_t epoch)
{
    bool timed = s->counts.records % DEDUP_TIMED == 0;
    int64_t began = timed ? clock_mono_ns() : 0;
    uint64_t payload = s->fast->hash(r->payload, r->n);
    enum dedup_verdict v = (s->env.alone ? dedup_check_alone : dedup_check)(
        s->env.dedup, key, payload ? payload : 1, r->arrived_us, epoch);
    int64_t took = timed ? clock_mono_ns() - began : 0;
    if (took < DEDUP_NS_MAX)
        s->counts.dedup_ns += DEDUP_TIMED * (uint64_t)took;
    if (v == DEDUP_NEW)
        return false;
    if (!s->reread)
        atomic_fetch_add_explicit(&s->shape->table->duplicates, 1, memory_order_relaxed);
    s->counts.duplicates++;
    s->counts.duplicates_different += v == DEDUP_DIFFERENT;
    s->counts.duplicates_unknown_payload += v == DEDUP_UNKNOWN_PAYLOAD;
    return true;
}

/* A record that is as it was learned. */
static bool fast_record(struct shredder *s, const struct record *r, uint64_t epoch, bool check)
{
    struct fast_event ev;
    if (r->defect || r->n > s->env.record_bytes_max ||
        s->env.fast_level == FAST_LEVEL_NONE || !s->fast->event(s, r->payload, r->n, &ev))
        return false;
    s->rescued.n = 0;
    if (check && s->env.passed(s->env.ctx, s->shape->table, r->shard, r->seq)) {
        s->counts.skipped++;
        shred_roll_back(s);
    } else if (is_duplicate(s, r, &ev.key, epoch)) {
        shred_roll_back(s);
    } else {
        finish_row(s, r, &ev);
        s->counts.fast_rows++;
    }
    return true;
}

/* A value as it stands in the record, with its quotes. */
static struct str sent(const struct shredder *s, const struct json_tok *v)
{
    bool quoted = v->kind == TOK_STRING;
    return (struct str){(const char *)s->p + v->start - quoted, v->end - v->start + 2u * quoted};
}

/* Of one large record in small pieces: it is not kept for the others, which may do without for ever. */
static void give_back(struct shredder *s)
{
    if (s->tape.cap > TAPE_KEPT)
        json_tape_fini(&s->tape);
    if (s->rescued.cap > TEXT_KEPT)
        buf_fini(&s->rescued);
    if (s->text.cap > TEXT_KEPT)
        buf_fini(&s->text);
}

/* By the general parser; and every dead letter. */
static void slow_record(struct shredder *s, const struct record *r, uint64_t epoch,
                        bool check_positions, int64_t now_us)
{
    char message[256] = "";
    struct found found;
    struct buf bufs[3] = {{0}};
    struct str name = {0};
    struct fast_event ev = {.form = HEAD_ODD_TIME};
    enum reason why = parse(s, r, message);
    if (why == REASON_NONE) {
        find_envelope(s, &bufs[0], &found);
        why = judge(s, &found, bufs, &ev.uuid, &name, &ev.time);
    }
    if (why == REASON_NONE) {
        dedup_key(&ev.key, (const uint8_t *)ev.uuid.p, ev.uuid.n);
        s->shape = shape_of(s, name.p, name.n, &why);
    }
    if (why != REASON_NONE) {
        dead_letter(s, r, why, message[0] ? message : event_reason_text(why), now_us,
                    check_positions);
    } else if (check_positions && s->env.passed(s->env.ctx, s->shape->table, r->shard, r->seq)) {
        s->counts.skipped++;
    } else if (!is_duplicate(s, r, &ev.key, epoch)) {
        ev.created_at = sent(s, found.created_at);
        put_row(s, r, &ev);
    }
    for (int i = 0; i < 3; i++)
        buf_fini(&bufs[i]);
    give_back(s);
}

void shredder_record(struct shredder *s, const struct record *r, uint64_t epoch,
                     bool check_positions, int64_t now_us)
{
    s->counts.records++;
    s->counts.bytes += r->n;
    s->p = r->payload;
    if (!fast_record(s, r, epoch, check_positions))
        slow_record(s, r, epoch, check_positions, now_us);
}

void shredder_begin(struct shredder *s)
{
    if (s->env.alone)
        dedup_begin(s->env.dedup);
}

void shredder_end(struct shredder *s)
{
    if (s->env.alone)
        dedup_end(s->env.dedup);
}

/* ---- lifecycle ---- */

/* A node that is no place in a table. */
static struct lnode *bare_node(uint8_t op)
{
    struct lnode *n = mem_lines(1, sizeof *n);
    n->op = op;
    fast_edges_init(n->edges, EDGES);
    return n;
}

struct shredder *shredder_new(const struct shred_env *env)
{
    struct shredder *s = mem_lines(1, sizeof *s);
    s->shapes_most = SHAPES_MAX;
    s->env = *env;
    s->fast = fast_choose(env->fast_level);
    s->id_offset = sizeof "{\"event_uuid\":\"" - 1;
    for (uint8_t i = 0; i < 3; i++)
        s->envelope[i] = bare_node((uint8_t)(FAST_ENVELOPE + i));
    s->no_place = bare_node(FAST_OTHER);
    s->no_place->first = fast_edges();
    s->skipped = bare_node(FAST_SKIPPED);
    s->close = bare_node(FAST_CLOSE);
    rows_room(s, ENV_COLUMNS);
    return s;
}

struct rowset *shredder_cut(struct shredder *s)
{
    struct rowset *out = s->dead, **end = &s->full;
    struct map_entry *entry;
    size_t at = 0;
    for (struct rowset *d = s->dead; d; d = d->next)
        detach(d);
    s->dead = NULL;
    s->cuts++;
    while (*end)
        end = &(*end)->next;
    *end = out;
    out = s->full;
    s->full = NULL;
    while ((entry = map_next(&s->shapes, &at))) {
        struct shape *sh = entry->value;
        if (sh->n_sets && !sh->filled) /* what a full set held is the best to know */
            sh->hint_rows = 0;
        sh->filled = false;
        for (uint32_t i = 0; i < sh->n_sets; i++) {
            keep_hints(sh, sh->sets[i]);
            rows_levels(sh->sets[i], sh);
            struct rowset *r = detach(sh->sets[i]);
            if (!r)
                continue;
            r->next = out;
            out = r;
        }
        if (sh->n_sets)
            sh->used_at = s->cuts;
        sh->n_sets = sh->last_set = 0;
        sh->last_from_us = sh->last_until_us = 0;
        sh->routed = false;
    }
    s->partitions = 0;
    s->bytes = 0;
    if (s->env.learned_max && s->learned > s->env.learned_max)
        forget_oldest(s);
    if (s->shapes.count > SHAPES_MAX)
        forget_shapes(s, false);
    if (s->shapes.count > SHAPES_MAX)
        forget_shapes(s, true);
    return out;
}

void shredder_free(struct shredder *s)
{
    struct map_entry *entry;
    size_t at = 0;
    if (!s)
        return;
    for (struct rowset *r = shredder_cut(s), *next; r; r = next) {
        next = r->next;
        rowset_free(r);
    }
    while ((entry = map_next(&s->shapes, &at))) {
        shape_free(s, entry->value);
    }
    for (int i = 0; i < 3; i++)
        free(s->envelope[i]);
    lnode_free(s->no_place);
    free(s->skipped);
    free(s->close);
    lines_free(s->lines);
    map_fini(&s->shapes);
    json_tape_fini(&s->tape);
    buf_fini(&s->text);
    buf_fini(&s->rescued);
    free(s->bits);
    free(s);
}

size_t shredder_bytes(const struct shredder *s)
{
    size_t most = s->env.learned_max;
    return s->bytes + (most && s->learned > most ? s->learned - most : 0);
}

uint32_t shredder_partitions(const struct shredder *s)
{
    return s->partitions;
}

void shredder_reread(struct shredder *s, bool again)
{
    s->reread = again;
}

const struct shred_counts *shredder_counts(const struct shredder *s)
{
    return &s->counts;
}
