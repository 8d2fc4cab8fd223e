/* See avro_read.h; Avro 1.11 specification, "Schema Resolution" left out: values are taken as
 * written. */
#include "codec/avro_read.h"

#include <jansson.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"

#define DEPTH_MAX 32
#define NODES_MAX 65536
#define VALUES_MAX (1u << 20) /* per record */
#define BLOCK_MAX ((size_t)256 << 20)
#define META_MAX 256
#define CHUNK_BYTES ((size_t)64 << 10)

struct node { /* of the schema */
    enum avro_kind kind;
    int32_t field_id;
    int64_t size;     /* fixed */
    const char *name; /* record, fixed, enum: borrowed from the schema's JSON */
    struct node **children;
    uint32_t n_children;
};

struct input {
    const uint8_t *p, *end;
};

struct pair {
    struct str key, value;
};

struct chunk {
    struct chunk *next;
    size_t used, size;
};

struct avro_reader {
    struct input in;
    const uint8_t *sync;
    struct pair meta[META_MAX];
    uint32_t n_meta;
    bool deflate;
    json_t *schema;
    struct node *root, **nodes; /* nodes: all, to be freed, and the named ones to be found */
    uint32_t n_nodes;
    struct buf block; /* inflated */
    struct input records;
    int64_t left; /* records of the block not yet given out */
    struct chunk *chunks;
    uint32_t n_values;
};

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_INVALID, "Avro file: %s", what);
}

/* ---- primitives ---- */

static int get_long(struct input *in, int64_t *out, struct err *e)
{
    uint64_t z = 0;
    *out = 0;
    for (unsigned shift = 0; in->p < in->end && shift < 64; shift += 7) {
        uint8_t b = *in->p++;
        z |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *out = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
            return 0;
        }
    }
    return bad(e, "a number is cut short");
}

static int get_fixed(struct input *in, int64_t n, struct str *out, struct err *e)
{
    *out = (struct str){"", 0};
    if (n < 0 || n > in->end - in->p)
        return bad(e, "a value runs past the end");
    *out = (struct str){(const char *)in->p, (size_t)n};
    in->p += n;
    return 0;
}

static int get_bytes(struct input *in, struct str *out, struct err *e)
{
    int64_t n;
    *out = (struct str){"", 0};
    return get_long(in, &n, e) ? -1 : get_fixed(in, n, out, e);
}

/* The count of an array's or map's next block; 0 at its end. Each item takes a byte at least. */
static int get_count(struct input *in, int64_t *n, struct err *e)
{
    int64_t size;
    if (get_long(in, n, e))
        return -1;
    if (*n < 0) {
        if (*n == INT64_MIN || get_long(in, &size, e))
            return bad(e, "a block of a negative count");
        *n = -*n;
    }
    return *n > in->end - in->p ? bad(e, "a block has more items than bytes") : 0;
}

/* ---- the schema ---- */

static struct node *compile(struct avro_reader *r, const json_t *j, int depth, struct err *e);

static struct node *node_new(struct avro_reader *r, enum avro_kind kind)
{
    struct node *n = mem_zalloc(sizeof *n);
    r->nodes = mem_regrow(r->nodes, r->n_nodes + 1, sizeof(struct node *));
    r->nodes[r->n_nodes++] = n;
    n->kind = kind;
    n->field_id = -1;
    return n;
}

static struct node *compile_name(struct avro_reader *r, const char *name, struct err *e)
{
    static const char *const names[] = {"null",  "boolean", "int",   "long",
                                        "float", "double",  "bytes", "string"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return node_new(r, (enum avro_kind)i);
    for (uint32_t i = 0; i < r->n_nodes; i++)
        if (r->nodes[i]->name && strcmp(r->nodes[i]->name, name) == 0)
            return r->nodes[i];
    err_set(e, ERR_INVALID, "Avro file: its schema names an unknown type '%.60s'", name);
    return NULL;
}

static int add_child(struct avro_reader *r, struct node *n, const json_t *type, int32_t field_id,
                     int depth, struct err *e)
{
    struct node *c = compile(r, type, depth + 1, e);
    if (!c)
        return -1;
    if (field_id >= 0 || c->field_id >= 0) { /* a named type may be used under several fields */
        struct node *copy = node_new(r, c->kind);
        copy->size = c->size;
        copy->n_children = c->n_children;
        copy->children = mem_array(c->n_children, sizeof(struct node *));
        if (c->n_children)
            memcpy(copy->children, c->children, c->n_children * sizeof(struct node *));
        copy->field_id = field_id;
        c = copy;
    }
    n->children = mem_regrow(n->children, n->n_children + 1, sizeof(struct node *));
    n->children[n->n_children++] = c;
    return 0;
}

static int compile_fields(struct avro_reader *r, struct node *n, const json_t *fields, int depth,
                          struct err *e)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *f = json_array_get(fields, i), *id = json_object_get(f, "field-id");
        int64_t v = json_is_integer(id) ? json_integer_value(id) : -1;
        if (v > INT32_MAX || v < -1)
            return bad(e, "a field id out of range");
        if (add_child(r, n, json_object_get(f, "type"), (int32_t)v, depth, e))
            return -1;
    }
    return 0;
}

static struct node *compile_object(struct avro_reader *r, const json_t *j, int depth, struct err *e)
{
    static const struct {
        const char *type;
        enum avro_kind kind;
    } complex[] = {{"record", AVRO_RECORD},
                   {"array", AVRO_ARRAY},
                   {"map", AVRO_MAP},
                   {"fixed", AVRO_FIXED},
                   {"enum", AVRO_ENUM}};
    const json_t *type = json_object_get(j, "type");
    const char *text = json_string_value(type);
    int rc = 0;
    for (unsigned i = 0; text && i < sizeof complex / sizeof *complex; i++) {
        if (strcmp(text, complex[i].type) != 0)
            continue;
        struct node *n = node_new(r, complex[i].kind);
        n->size = json_integer_value(json_object_get(j, "size"));
        if (n->kind == AVRO_RECORD)
            rc = compile_fields(r, n, json_object_get(j, "fields"), depth, e);
        else if (n->kind == AVRO_ARRAY)
            rc = add_child(r, n, json_object_get(j, "items"), -1, depth, e);
        else if (n->kind == AVRO_MAP)
            rc = add_child(r, n, json_object_get(j, "values"), -1, depth, e);
        if (n->kind == AVRO_RECORD || n->kind == AVRO_FIXED || n->kind == AVRO_ENUM)
            n->name = json_string_value(json_object_get(j, "name")); /* known once complete */
        return rc ? NULL : n;
    }
    return compile(r, type, depth + 1, e); /* {"type": "int", "logicalType": "date"} */
}

static struct node *compile(struct avro_reader *r, const json_t *j, int depth, struct err *e)
{
    if (depth > DEPTH_MAX || r->n_nodes > NODES_MAX) {
        bad(e, "its schema is too deep or too large");
        return NULL;
    }
    if (json_is_string(j))
        return compile_name(r, json_string_value(j), e);
    if (json_is_object(j))
        return compile_object(r, j, depth, e);
    if (!json_is_array(j) || json_array_size(j) == 0) {
        bad(e, "its schema is none of Avro's");
        return NULL;
    }
    struct node *n = node_new(r, AVRO_UNION);
    for (size_t i = 0; i < json_array_size(j); i++)
        if (add_child(r, n, json_array_get(j, i), -1, depth, e))
            return NULL;
    return n;
}

/* ---- values ---- */

static void *arena(struct avro_reader *r, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    if (!r->chunks || r->chunks->size - r->chunks->used < n) {
        size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
        struct chunk *c = mem_alloc(sizeof *c + size + 16);
        *c = (struct chunk){r->chunks, 0, size};
        r->chunks = c;
    }
    void *p = (uint8_t *)(((uintptr_t)(r->chunks + 1) + 15) & ~(uintptr_t)15) + r->chunks->used;
    r->chunks->used += n;
    return p;
}

static void arena_reset(struct avro_reader *r, bool keep_one)
{
    while (r->chunks && (r->chunks->next || !keep_one)) {
        struct chunk *next = r->chunks->next;
        free(r->chunks);
        r->chunks = next;
    }
    if (r->chunks)
        r->chunks->used = 0;
    r->n_values = 0;
}

static int get_value(struct avro_reader *r, const struct node *n, struct avro_value *out, int depth,
                     struct err *e);

/* Room for `more` items behind those there; doubling, so that many small blocks cost no more than
 * one large. */
static int grow_items(struct avro_reader *r, struct avro_value *v, int64_t more, size_t *cap,
                      struct err *e)
{
    if (more > VALUES_MAX - r->n_values)
        return bad(e, "a record has too many values");
    r->n_values += (uint32_t)more;
    size_t need = v->n_items + (size_t)more;
    if (need <= *cap)
        return 0;
    *cap = need > 2 * *cap ? need : 2 * *cap;
    struct avro_value *items = arena(r, *cap * sizeof *items);
    if (v->n_items)
        memcpy(items, v->items, v->n_items * sizeof *items);
    v->items = items;
    return 0;
}

static int get_items(struct avro_reader *r, const struct node *n, struct avro_value *out, int depth,
                     struct err *e)
{
    int64_t count;
    size_t cap = 0;
    for (;;) {
        if (get_count(&r->records, &count, e))
            return -1;
        if (count == 0)
            return 0;
        if (grow_items(r, out, n->kind == AVRO_MAP ? 2 * count : count, &cap, e))
            return -1;
        for (; count > 0; count--) {
            if (n->kind == AVRO_MAP) {
                struct avro_value *key = &out->items[out->n_items++];
                *key = (struct avro_value){.kind = AVRO_STRING, .field_id = -1};
                if (get_bytes(&r->records, &key->bytes, e))
                    return -1;
            }
            if (get_value(r, n->children[0], &out->items[out->n_items], depth + 1, e))
                return -1;
            out->n_items++;
        }
    }
}

static int get_record(struct avro_reader *r, const struct node *n, struct avro_value *out,
                      int depth, struct err *e)
{
    size_t cap = 0;
    if (grow_items(r, out, n->n_children, &cap, e))
        return -1;
    for (uint32_t i = 0; i < n->n_children; i++) {
        if (get_value(r, n->children[i], &out->items[i], depth + 1, e))
            return -1;
        out->items[i].field_id = n->children[i]->field_id;
        out->n_items++;
    }
    return 0;
}

static int get_scalar(struct avro_reader *r, const struct node *n, struct avro_value *out,
                      struct err *e)
{
    struct str s;
    float f;
    int64_t size = n->kind == AVRO_BOOLEAN ? 1 : n->kind == AVRO_FLOAT ? 4 : 8;
    switch (n->kind) {
    case AVRO_NULL:
        return 0;
    case AVRO_BOOLEAN:
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        if (get_fixed(&r->records, size, &s, e) || s.n != (size_t)size)
            return -1;
        if (size == 1) {
            out->number = s.p[0] != 0;
        } else if (size == 4) {
            memcpy(&f, s.p, 4);
            out->real = (double)f;
        } else {
            memcpy(&out->real, s.p, 8);
        }
        return 0;
    case AVRO_BYTES:
    case AVRO_STRING:
        return get_bytes(&r->records, &out->bytes, e);
    case AVRO_FIXED:
        return get_fixed(&r->records, n->size, &out->bytes, e);
    default: /* int, long, enum */
        return get_long(&r->records, &out->number, e);
    }
}

static int get_value(struct avro_reader *r, const struct node *n, struct avro_value *out, int depth,
                     struct err *e)
{
    const uint8_t *from = r->records.p;
    int64_t branch;
    int rc;
    if (depth > DEPTH_MAX)
        return bad(e, "a value is too deep");
    if (n->kind == AVRO_UNION) {
        if (get_long(&r->records, &branch, e))
            return -1;
        if (branch < 0 || branch >= n->n_children)
            return bad(e, "a union has no such branch");
        return get_value(r, n->children[branch], out, depth + 1, e);
    } else {
        *out = (struct avro_value){.kind = n->kind, .field_id = -1};
        rc = n->kind == AVRO_RECORD                         ? get_record(r, n, out, depth, e)
             : n->kind == AVRO_ARRAY || n->kind == AVRO_MAP ? get_items(r, n, out, depth, e)
                                                            : get_scalar(r, n, out, e);
    }
    out->raw = (struct str){(const char *)from, (size_t)(r->records.p - from)};
    return rc;
}

/* ---- the container ---- */

static int read_header(struct avro_reader *r, struct err *e)
{
    struct str magic, sync;
    int64_t n;
    if (get_fixed(&r->in, 4, &magic, e) || memcmp(magic.p, "Obj\x01", 4) != 0)
        return bad(e, "it does not begin as one");
    for (;;) {
        if (get_count(&r->in, &n, e))
            return -1;
        if (n == 0)
            break;
        for (; n > 0; n--) {
            struct pair *p = &r->meta[r->n_meta];
            if (r->n_meta == META_MAX)
                return bad(e, "its header has too many entries");
            if (get_bytes(&r->in, &p->key, e) || get_bytes(&r->in, &p->value, e))
                return -1;
            r->n_meta++;
        }
    }
    if (get_fixed(&r->in, 16, &sync, e))
        return -1;
    r->sync = (const uint8_t *)sync.p;
    return 0;
}

struct avro_reader *avro_read_open(const void *p, size_t n, struct err *e)
{
    struct avro_reader *r = mem_zalloc(sizeof *r);
    json_error_t why;
    r->in = (struct input){p, (const uint8_t *)p + n};
    if (read_header(r, e))
        goto failed;
    struct str codec = avro_read_meta(r, "avro.codec"), schema = avro_read_meta(r, "avro.schema");
    r->deflate = str_eq(codec, str_of("deflate"));
    if (codec.p && !r->deflate && !str_eq(codec, str_of("null"))) {
        err_set(e, ERR_INVALID, "Avro file: codec %.*s is not supported",
                (int)(codec.n < 40 ? codec.n : 40), codec.p);
        goto failed;
    }
    r->schema = json_loadb(schema.p ? schema.p : "", schema.n, JSON_DECODE_ANY, &why);
    if (!r->schema) {
        bad(e, "its schema is no JSON");
        goto failed;
    }
    r->root = compile(r, r->schema, 0, e);
    if (r->root && r->root->kind != AVRO_RECORD) {
        bad(e, "its schema is no record");
        goto failed;
    }
    if (r->root)
        return r;
failed:
    avro_read_close(r);
    return NULL;
}

void avro_read_close(struct avro_reader *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        free(r->nodes[i]->children);
        free(r->nodes[i]);
    }
    free(r->nodes);
    json_decref(r->schema);
    arena_reset(r, false);
    buf_fini(&r->block);
    free(r);
}

struct str avro_read_meta(const struct avro_reader *r, const char *key)
{
    for (uint32_t i = 0; i < r->n_meta; i++)
        if (str_eq(r->meta[i].key, str_of(key)))
            return r->meta[i].value;
    return (struct str){0};
}

static int inflate_block(struct buf *out, struct str body, struct err *e)
{
    z_stream z = {0};
    int rc = Z_OK;
    if (body.n > BLOCK_MAX || inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return bad(e, "a block cannot be inflated");
    z.next_in = (Bytef *)(uintptr_t)body.p;
    z.avail_in = (uInt)body.n;
    out->n = 0;
    while (rc == Z_OK && out->n <= BLOCK_MAX) {
        z.next_out = buf_reserve(out, body.n * 4 + 4096);
        z.avail_out = (uInt)(out->cap - out->n);
        rc = inflate(&z, Z_NO_FLUSH);
        out->n = out->cap - z.avail_out;
    }
    inflateEnd(&z);
    return rc == Z_STREAM_END ? 0 : bad(e, "a block is no deflate stream, or too large");
}

static int next_block(struct avro_reader *r, struct err *e)
{
    struct str body, sync;
    if (get_long(&r->in, &r->left, e) || get_bytes(&r->in, &body, e) ||
        get_fixed(&r->in, 16, &sync, e))
        return -1;
    if (r->left < 0 || memcmp(sync.p, r->sync, 16) != 0)
        return bad(e, "a block is broken");
    if (r->deflate) {
        if (inflate_block(&r->block, body, e))
            return -1;
        body = (struct str){(const char *)r->block.p, r->block.n};
    }
    r->records = (struct input){(const uint8_t *)body.p, (const uint8_t *)body.p + body.n};
    return 0;
}

int avro_read_next(struct avro_reader *r, struct avro_value *out, struct err *e)
{
    arena_reset(r, true);
    while (r->left == 0) {
        if (r->in.p == r->in.end)
            return 0;
        if (next_block(r, e))
            return -1;
    }
    if (r->records.p == r->records.end)
        return bad(e, "a block has fewer records than it says");
    r->left--;
    return get_value(r, r->root, out, 0, e) ? -1 : 1;
}

/* ---- asking a record ---- */

const struct avro_value *avro_field(const struct avro_value *record, int32_t field_id)
{
    if (!record || record->kind != AVRO_RECORD)
        return NULL;
    for (uint32_t i = 0; i < record->n_items; i++)
        if (record->items[i].field_id == field_id)
            return record->items[i].kind == AVRO_NULL ? NULL : &record->items[i];
    return NULL;
}

int64_t avro_number(const struct avro_value *record, int32_t field_id, int64_t otherwise)
{
    const struct avro_value *v = avro_field(record, field_id);
    bool is = v && (v->kind == AVRO_INT || v->kind == AVRO_LONG || v->kind == AVRO_BOOLEAN);
    return is ? v->number : otherwise;
}

struct str avro_bytes_of(const struct avro_value *record, int32_t field_id)
{
    const struct avro_value *v = avro_field(record, field_id);
    bool is = v && (v->kind == AVRO_BYTES || v->kind == AVRO_STRING || v->kind == AVRO_FIXED);
    return is ? v->bytes : (struct str){0};
}
