/* What loads were finished: read at the start for the files at hand, written as files end. Small tables,
 * read whole: maintenance keeps their files few. See loads.h. */
#include "pipeline/loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "pipeline/adopt.h"
#include "pipeline/encode.h"

#define SETTLE_LOOKS 8
#define SETTLE_MS 100

enum { /* field ids */
    ID_IDENTITY = 1,
    ID_PATH,
    ID_POSITION,
    ID_NOTE,
    ID_SIZE,
    ID_STARTED_POSITION,
    ID_RECORDS,
    ID_EVENTS,
    ID_DUPLICATES,
    ID_DEAD_LETTERS,
    ID_STARTED_AT,
    ID_FINISHED_AT,
    ID_WORKER,
    ID_END
};

struct load_known {
    int64_t position;
    char note[PROTOCOL_NOTE_MAX];
};

/* ---- reading ---- */

static void know(struct run *r, const char *identity, int64_t position, const char *note)
{
    size_t n = strlen(identity);
    struct load_known *k = map_get(&r->loads, identity, n);
    if (!k) {
        k = mem_zalloc(sizeof *k);
        map_set(&r->loads, identity, n, k);
    }
    if (position >= k->position) {
        k->position = position;
        snprintf(k->note, sizeof k->note, "%s", note);
    }
}

static void take_rows(struct run *r, const struct column cols[3])
{
    const uint8_t *identity = cols[0].texts, *note = cols[2].texts;
    for (uint32_t i = 0; i < cols[0].n_values && i < cols[1].n_values; i++) {
        struct str name = column_text_at(identity);
        char *text = mem_strndup(name.p, name.n), had[PROTOCOL_NOTE_MAX] = "";
        bool has = i < cols[2].n_levels && (!cols[2].max_def || cols[2].def[i]);
        if (has && column_text_at(note).n < sizeof had)
            memcpy(had, note + 4, column_text_at(note).n);
        if (adopt_asks(r, text))
            know(r, text, cols[1].longs[i], had);
        note = has ? column_text_next(note) : note;
        identity = column_text_next(identity);
        free(text);
    }
}

struct reading {
    struct run *run;
    struct table *table;
    struct schema_ids ids;
    struct err *err;
    int rc;
};

/* Of our columns in the table. */
static int column_ids(const struct table *t, struct schema_ids *out, struct err *e)
{
    struct schema ours;
    schema_loads(&ours);
    int rc = table_ids(t, &ours, out, e);
    schema_fini(&ours);
    return rc;
}

static bool read_file(void *ctx, const struct table_file *f)
{
    static const int32_t ids[3] = {ID_IDENTITY, ID_POSITION, ID_NOTE};
    struct reading *s = ctx;
    struct store_reader file = {table_store(s->table), f->key};
    struct pq_reader *p = f->key ? pq_reader_open(store_read_at, &file, f->bytes, s->err) : NULL;
    s->rc = p || !f->key ? 0 : -1;
    for (uint32_t g = 0; p && !s->rc && g < pq_reader_groups(p); g++) {
        struct column cols[3] = {{0}};
        for (int i = 0; i < 3 && !s->rc; i++) {
            int leaf = pq_reader_leaf_by_id(p, s->ids.of[ids[i]]);
            s->rc = leaf < 0 ? err_set(s->err, ERR_INVALID, "%s has no column %d", f->uri, ids[i])
                             : pq_reader_column(p, g, (uint32_t)leaf, &cols[i], s->err);
        }
        if (!s->rc)
            take_rows(s->run, cols);
        for (int i = 0; i < 3; i++)
            column_fini(&cols[i]);
    }
    if (p)
        pq_reader_close(p);
    return s->rc == 0;
}

int loads_read(struct run *r, struct err *e)
{
    struct err why = {0};
    struct table *t = table_load(&r->lake, LOADS_TABLE, &why);
    if (!t && why.kind == ERR_NOTFOUND)
        return 0;
    struct reading s = {.run = r, .table = t, .err = e};
    if (!t)
        *e = why;
    int rc = !t || column_ids(t, &s.ids, e) ||
                     table_files(t, s.ids.of[ID_FINISHED_AT], read_file, &s, e) || s.rc
                 ? -1
                 : 0;
    table_free(t);
    return rc ? err_wrap(e, "table %s", LOADS_TABLE) : 0;
}

struct seq loads_position(const struct run *r, const char *identity, const char **note)
{
    const struct load_known *k = map_get(&r->loads, identity, strlen(identity));
    *note = k ? k->note : "";
    return k ? seq_of((uint64_t)k->position) : SEQ_NONE;
}

void loads_free(struct run *r)
{
    struct map_entry *entry;
    size_t at = 0;
    while ((entry = map_next(&r->loads, &at)))
        free(entry->value);
    map_fini(&r->loads);
}

/* ---- writing ---- */

static const char *path_of(const struct run *r, const struct source *s)
{
    for (size_t i = 0; i < r->n_sources; i++)
        if (r->sources[i] == s)
            return i < r->config->n_files ? r->config->files[i] : s->ops->identity(r->sources[i]);
    return "";
}

static void text(struct column *c, const char *s)
{
    column_level(c, c->max_def, 0);
    column_text(c, s, strlen(s));
}

static void number(struct column *c, int64_t v)
{
    column_level(c, c->max_def, 0);
    column_number(c, v);
}

static void add_row(const struct run *r, const struct pshard *s, struct column *c)
{
    struct stat st = {0};
    const char *path = path_of(r, s->source);
    if (stat(path, &st))
        st.st_size = 0;
    text(&c[ID_IDENTITY], s->identity);
    text(&c[ID_PATH], path);
    number(&c[ID_POSITION], (int64_t)seq_low(s->lease.checkpoint));
    text(&c[ID_NOTE], s->lease.note);
    number(&c[ID_SIZE], st.st_size);
    number(&c[ID_STARTED_POSITION], (int64_t)seq_low(s->from));
    number(&c[ID_RECORDS], (int64_t)s->counts.records);
    number(&c[ID_EVENTS], (int64_t)s->counts.rows);
    number(&c[ID_DUPLICATES], (int64_t)s->counts.duplicates);
    number(&c[ID_DEAD_LETTERS], (int64_t)s->counts.dead);
    number(&c[ID_STARTED_AT], s->started_us);
    number(&c[ID_FINISHED_AT], clock_wall_us(r->clock));
    text(&c[ID_WORKER], r->owner);
}

static void columns_init(struct column *c)
{
    struct schema schema;
    schema_loads(&schema);
    for (uint32_t i = 0; i < schema.root.n_children; i++) {
        const struct field *f = &schema.root.children[i];
        column_init(&c[f->id], f->kind == TYPE_STRING ? COL_BYTES : COL_LONG, f->required ? 0 : 1, 0);
    }
    schema_fini(&schema);
}

/* One row group; a column that somebody added is null. */
static int encode_rows(struct pq_writer *w, const struct schema_ids *ids, const struct column *c,
                       uint32_t rows, struct err *e)
{
    pq_writer_group_begin(w, rows);
    for (uint32_t i = 0; i < pq_writer_leaves(w); i++) {
        int32_t id;
        enum col_type type;
        unsigned max_def, max_rep;
        pq_writer_leaf(w, i, &id, &type, &max_def, &max_rep);
        id = schema_ids_ours(ids, id);
        bool ours = id > 0 && id < ID_END;
        struct pq_piece piece = {.kind = ours ? PQ_PIECE_COLUMN : PQ_PIECE_NULLS,
                                 .col = ours ? &c[id] : NULL,
                                 .rows = rows};
        if (pq_writer_column(w, &piece, 1, e))
            return -1;
    }
    return pq_writer_group_end(w, e) || pq_writer_finish(w, e) ? -1 : 0;
}

static int append_once(struct run *r, struct table *t, struct data_file *file, struct err *e)
{
    struct append a = {.files = file, .n_files = 1, .check_spec = true, .spec_id = table_spec_id(t)};
    struct append_attempt attempt = {0};
    enum settled seen = SETTLED_UNKNOWN;
    int rc = table_append(t, &a, &attempt, e);
    for (int i = 0; rc && e->kind == ERR_UNKNOWN && attempt.offered && i < SETTLE_LOOKS; i++) {
        r->clock->sleep_ms(r->clock->ctx, (int64_t)SETTLE_MS << i);
        if (table_settle(t, &attempt, &seen, NULL) == 0 && seen != SETTLED_UNKNOWN)
            break;
    }
    rc = rc && seen != SETTLED_COMMITTED ? -1 : 0;
    append_attempt_fini(&attempt);
    return rc;
}

/* The table comes to be by it; another load that ends may be first. */
static int append(struct run *r, struct table *t, struct data_file *file, struct err *e)
{
    int rc = append_once(r, t, file, e);
    if (rc && e->kind == ERR_FENCED)
        rc = table_reopen(t, e) || append_once(r, t, file, e) ? -1 : 0;
    return rc;
}

static int write_rows(struct run *r, struct table *t, const struct column *c, uint32_t rows,
                      struct err *e)
{
    struct pq_cost cost = {0};
    struct buf out = {0};
    struct pq_schema *schema = encode_schema(table_schema(t));
    struct pq_options options = {.zstd_level = 1, .created_by = r->config->version};
    struct pq_writer *w = pq_writer_new(schema, &options, &out, &cost);
    struct data_file file = {0};
    struct schema_ids ids;
    int rc = column_ids(t, &ids, e) || encode_rows(w, &ids, c, rows, e) ? -1 : 0;
    if (!rc) {
        char *key = table_data_key(t, NULL, 0);
        rc = store_put(table_store(t), key, out.p, out.n, e);
        commit_data_file(&file, w, key, NULL);
    }
    if (!rc)
        rc = append(r, t, &file, e);
    free((struct iceberg_leaf *)(uintptr_t)file.leaves);
    free(file.key);
    pq_writer_free(w);
    encode_schema_free(schema);
    buf_fini(&out);
    return rc;
}

static struct table *open_loads(struct run *r, struct err *e)
{
    static const char *const properties[] = {"write.format.default", "parquet",
                                             "write.metadata.delete-after-commit.enabled", "true",
                                             NULL};
    struct schema schema;
    schema_loads(&schema);
    struct table_spec spec = {.schema = &schema, .properties = properties};
    bool plan = r->lake.store && table_drafts(&r->lake); /* then a lost answer of its making is looked up, too */
    struct table *t = (plan ? table_plan : table_create)(&r->lake, LOADS_TABLE, &spec, e);
    schema_fini(&schema);
    return t;
}

/* Ended, all committed, and not yet told as far as it goes now. */
static bool untold(const struct run *r, const struct pshard *s)
{
    const char *note;
    if (!s->ended || !s->leased || s->source->once || seq_cmp(s->lease.checkpoint, SEQ_NONE) == 0)
        return false;
    return seq_cmp(loads_position(r, s->identity, &note), s->lease.checkpoint) < 0;
}

int loads_write(struct run *r, struct err *e)
{
    struct column c[ID_END] = {{0}};
    uint32_t rows = 0;
    columns_init(c);
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (untold(r, &r->shards[i])) {
            add_row(r, &r->shards[i], c);
            rows++;
        }
    struct table *t = rows ? open_loads(r, e) : NULL;
    int rc = rows && (!t || write_rows(r, t, c, rows, e)) ? err_wrap(e, "table %s", LOADS_TABLE) : 0;
    for (uint32_t i = 0; rows && !rc && i < r->n_shards; i++)
        if (untold(r, &r->shards[i]))
            know(r, r->shards[i].identity, (int64_t)seq_low(r->shards[i].lease.checkpoint),
                 r->shards[i].lease.note);
    table_free(t);
    for (int i = 0; i < ID_END; i++)
        column_fini(&c[i]);
    return rc;
}
