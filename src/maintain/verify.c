/* What is live is listed once; then each file is read, one row group at a time. Identities (16 bytes of hash)
 * are kept in a set; where a table has more rows than the memory takes, the files are read several times,
 * and each time only the identities of one slice are kept. See verify.h. */
#include "maintain/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/map.h"
#include "base/mem.h"
#include "parquet/parquet.h"
#include "protocol/position_map.h"

#define PASSES_MAX 64

struct file {
    char *key, *name;
    int64_t rows, bytes, lower, upper;
    bool has_bounds, broken;
    char time_unit; /* of its partition: 'y' 'm' 'd' 'h', or 0 */
};
struct identity {
    uint64_t low, high; /* both 0: a free slot */
};
struct set {
    struct identity *slots;
    size_t mask, n;
};

struct verify {
    struct table *table;
    struct verify_report *out;
    void (*problem)(void *ctx, const char *text);
    void *ctx;
    struct file *files;
    size_t n_files;
    int time_id, uuid_id, shard_id, sequence_id; /* field ids; 0: none */
    struct map positions;                        /* shard -> struct seq *, of streams */
    struct set set;
    uint32_t pass, passes;
};

static void say(struct verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct verify *v, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    if (v->out->problems++ >= VERIFY_SAID)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    v->problem(v->ctx, text);
}

/* ---- the set ---- */

/* False: it was there. Those of other slices count as new. */
static bool add_identity(struct verify *v, const void *a, size_t n_a, const void *b, size_t n_b)
{
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, a, n_a);
    XXH3_128bits_update(&state, b, n_b);
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    struct identity id = {h.low64 | 1, h.high64};
    struct set *s = &v->set;
    if (id.high % v->passes != v->pass)
        return true;
    for (size_t i = id.low & s->mask;; i = (i + 1) & s->mask) {
        struct identity *slot = &s->slots[i];
        if (slot->low == id.low && slot->high == id.high)
            return false;
        if (slot->low || slot->high)
            continue;
        invariant(s->n < s->mask);
        *slot = id;
        s->n++;
        return true;
    }
}

/* As many slots as a slice of the rows needs, within the memory: *passes says how many slices. */
static void size_set(struct verify *v, int64_t rows, size_t memory_bytes)
{
    size_t cap = 1024, need = (size_t)rows * 2 + 2;
    v->passes = 1;
    while (cap < need && cap * 2 * sizeof(struct identity) <= memory_bytes)
        cap *= 2;
    while (v->passes < PASSES_MAX && need / v->passes > cap)
        v->passes++;
    while (cap < need / v->passes * 5 / 4) /* slices are not of quite the same size */
        cap *= 2;
    v->set.slots = mem_array(cap, sizeof(struct identity));
    v->set.mask = cap - 1;
    v->out->passes = v->passes;
}

static void clear_set(struct verify *v)
{
    memset(v->set.slots, 0, (v->set.mask + 1) * sizeof(struct identity));
    v->set.n = 0;
}

/* ---- one file ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Of micros, the value of a partition by hour or day; months and years are not told apart here. */
static bool same_partition(const struct file *f, int64_t a, int64_t b)
{
    int64_t unit = f->time_unit == 'h' ? INT64_C(3600000000) : INT64_C(86400000000);
    if (f->time_unit != 'h' && f->time_unit != 'd')
        return true;
    return floor_div(a, unit) == floor_div(b, unit);
}

static void check_times(struct verify *v, struct file *f, const struct column *times)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (uint32_t i = 0; i < times->n_values; i++) {
        least = times->longs[i] < least ? times->longs[i] : least;
        most = times->longs[i] > most ? times->longs[i] : most;
    }
    if (!times->n_values)
        return;
    if (f->has_bounds && (least < f->lower || most > f->upper))
        say(v, "%s: event times lie outside the bounds of its manifest: readers would miss rows",
            f->name);
    if (!same_partition(f, least, most))
        say(v, "%s: event times of several partitions", f->name);
}

static void check_uuids(struct verify *v, const struct column *uuids)
{
    const uint8_t *p = uuids->texts;
    for (uint32_t i = 0; i < uuids->n_values; i++, p = column_text_next(p))
        v->out->duplicates += !add_identity(v, p + 4, column_text_at(p).n, "u", 1);
}

static bool is_set(const struct column *c, uint32_t row)
{
    return !c->max_def || c->def[row] == c->max_def;
}

static void check_record(struct verify *v, const struct file *f, struct str shard, struct str sequence)
{
    const struct seq *position = map_get(&v->positions, shard.p, shard.n);
    const char *slash = memchr(sequence.p, '/', sequence.n);
    struct buf both = {0};
    struct seq seq;
    v->out->stream_rows += v->pass == 0;
    buf_put(&both, shard.p, shard.n);
    buf_putc(&both, 0);
    if (!add_identity(v, both.p, both.n, sequence.p, sequence.n))
        say(v, "%s: record %.*s of %.*s is in the table twice", f->name, (int)sequence.n, sequence.p,
            (int)shard.n, shard.p);
    buf_fini(&both);
    if (v->pass || !position)
        return;
    if (seq_parse(&seq, sequence.p, slash ? (size_t)(slash - sequence.p) : sequence.n, NULL))
        say(v, "%s: \"%.*s\" is no sequence number", f->name, (int)sequence.n, sequence.p);
    else if (!seq_le(seq, *position))
        say(v, "%s: record %.*s of %.*s lies beyond the table's position: it would come again", f->name,
            (int)sequence.n, sequence.p, (int)shard.n, shard.p);
}

static void check_records(struct verify *v, const struct file *f, const struct column *shards,
                          const struct column *sequences)
{
    const uint8_t *s = shards->texts, *q = sequences->texts;
    uint32_t rows = shards->rows < sequences->rows ? shards->rows : sequences->rows;
    for (uint32_t row = 0; row < rows; row++) {
        bool has_shard = is_set(shards, row), has_sequence = is_set(sequences, row);
        if (has_shard && has_sequence)
            check_record(v, f, column_text_at(s), column_text_at(q));
        if (has_shard)
            s = column_text_next(s);
        if (has_sequence)
            q = column_text_next(q);
    }
}

/* A column of one group; false where the file has none of it, or it is broken (said). */
static bool read_column(struct verify *v, struct file *f, struct pq_reader *r, uint32_t group, int id,
                        struct column *out)
{
    struct err e = {0};
    int leaf = id ? pq_reader_leaf_by_id(r, id) : -1;
    *out = (struct column){0};
    if (leaf < 0 || f->broken)
        return false;
    if (pq_reader_column(r, group, (uint32_t)leaf, out, &e) == 0)
        return true;
    say(v, "%s: %s", f->name, e.text);
    f->broken = true;
    return false;
}

static void check_group(struct verify *v, struct file *f, struct pq_reader *r, uint32_t group)
{
    struct column a, b;
    if (v->pass == 0 && read_column(v, f, r, group, v->time_id, &a)) {
        check_times(v, f, &a);
        column_fini(&a);
    }
    if (read_column(v, f, r, group, v->uuid_id, &a)) {
        check_uuids(v, &a);
        column_fini(&a);
    }
    bool shards = read_column(v, f, r, group, v->shard_id, &a);
    bool sequences = read_column(v, f, r, group, v->sequence_id, &b);
    if (shards && sequences)
        check_records(v, f, &a, &b);
    column_fini(&a);
    column_fini(&b);
}

static void check_file(struct verify *v, struct file *f)
{
    struct err e = {0};
    struct store *store = table_store(v->table);
    struct store_reader object = {store, f->key};
    int64_t bytes = 0;
    if (f->broken)
        return;
    f->broken = true;
    if (store->ops->size(store, f->key, &bytes, &e)) {
        say(v, "%s: %s", f->name, e.text);
        return;
    }
    if (bytes != f->bytes) {
        say(v, "%s: %" PRId64 " bytes, its manifest says %" PRId64, f->name, bytes, f->bytes);
        return;
    }
    struct pq_reader *r = pq_reader_open(store_read_at, &object, bytes, &e);
    if (!r) {
        say(v, "%s: %s", f->name, e.text);
        return;
    }
    f->broken = false;
    if (v->pass == 0 && pq_reader_rows(r) != f->rows)
        say(v, "%s: %" PRId64 " rows, its manifest says %" PRId64, f->name, pq_reader_rows(r), f->rows);
    for (uint32_t g = 0; g < pq_reader_groups(r) && !f->broken; g++)
        check_group(v, f, r, g);
    pq_reader_close(r);
}

/* ---- the table ---- */

static bool add_file(void *ctx, const struct table_file *f)
{
    struct verify *v = ctx;
    const char *name = f->key ? strrchr(f->key, '/') : NULL;
    v->out->files++;
    v->out->rows += f->rows;
    v->out->bytes += f->bytes;
    if (!f->key) {
        say(v, "%s lies outside the lake: not looked at", f->uri);
        return true;
    }
    v->files = mem_regrow(v->files, v->n_files + 1, sizeof *v->files);
    v->files[v->n_files++] = (struct file){.key = mem_strdup(f->key),
                                           .name = mem_strdup(name ? name + 1 : f->key),
                                           .rows = f->rows,
                                           .bytes = f->bytes,
                                           .lower = f->lower,
                                           .upper = f->upper,
                                           .has_bounds = f->has_bounds,
                                           .time_unit = table_split_by(v->table, f->spec_id, v->time_id)};
    return true;
}

static void add_positions(void *ctx, const char *key, const char *value)
{
    struct verify *v = ctx;
    struct position_map map = {0};
    struct err e = {0};
    size_t prefix = strlen(POSITION_MAP_PREFIX);
    if (strncmp(key, POSITION_MAP_PREFIX, prefix) != 0 || strncmp(key + prefix, "arn:", 4) != 0)
        return;
    if (position_map_parse(&map, value, &e))
        say(v, "property %s: %s", key, e.text);
    for (size_t i = 0; i < map.n; i++) { /* rows do not name their stream: the furthest counts */
        const char *shard = map.list[i].shard;
        struct seq *at = map_get(&v->positions, shard, strlen(shard));
        if (!at) {
            at = mem_alloc(sizeof *at);
            *at = SEQ_NONE;
            map_set(&v->positions, shard, strlen(shard), at);
        }
        *at = seq_max(*at, map.list[i].at);
    }
    position_map_fini(&map);
}

static int id_of(const struct table *t, const char *name)
{
    const struct field *f = field_child(&table_schema(t)->root, name);
    return f ? f->id : 0;
}

static void look_at_table(struct verify *v)
{
    v->uuid_id = id_of(v->table, "event_uuid");
    v->time_id = id_of(v->table, "event_time");
    v->shard_id = id_of(v->table, "_shard");
    v->sequence_id = id_of(v->table, "_sequence");
    if (!v->uuid_id) { /* dead letters */
        v->uuid_id = id_of(v->table, "letter_id");
        v->time_id = id_of(v->table, "_arrived_at");
    }
    table_properties(v->table, add_positions, v);
}

static void check_total(struct verify *v)
{
    struct table_facts facts;
    struct err e = {0};
    if (table_facts(v->table, &facts, &e))
        say(v, "%s", e.text);
    else if (facts.rows != v->out->rows || facts.files != v->out->files)
        say(v, "%" PRId64 " rows in %" PRId64 " files, its snapshot says %" PRId64 " in %" PRId64,
            v->out->rows, v->out->files, facts.rows, facts.files);
}

static void verify_fini(struct verify *v)
{
    struct map_entry *entry;
    size_t at = 0;
    for (size_t i = 0; i < v->n_files; i++) {
        free(v->files[i].key);
        free(v->files[i].name);
    }
    free(v->files);
    while ((entry = map_next(&v->positions, &at)))
        free(entry->value);
    map_fini(&v->positions);
    free(v->set.slots);
    table_free(v->table);
}

int verify_table(const struct lake *lake, const char *name, size_t memory_bytes,
                 void (*problem)(void *ctx, const char *text), void *ctx, struct verify_report *out,
                 struct err *e)
{
    *out = (struct verify_report){0};
    struct verify v = {.out = out, .problem = problem, .ctx = ctx};
    v.table = table_load(lake, name, e);
    int rc = v.table ? 0 : -1;
    if (!rc) {
        look_at_table(&v);
        rc = table_files(v.table, v.time_id, add_file, &v, e);
    }
    if (!rc) {
        check_total(&v);
        size_set(&v, out->rows * 2, memory_bytes); /* a row has two identities */
        for (v.pass = 0; v.pass < v.passes; v.pass++) {
            clear_set(&v);
            for (size_t i = 0; i < v.n_files; i++)
                check_file(&v, &v.files[i]);
        }
    }
    verify_fini(&v);
    return rc;
}
