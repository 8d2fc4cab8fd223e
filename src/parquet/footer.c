/* Thrift structs of parquet.thrift, read field by field; what is not known is skipped. See
 * footer.h. */
#include "parquet/footer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/thrift.h"

/* ---- schema ---- */

struct element {
    int32_t physical, type_length, repetition, children, converted, scale, precision, field_id;
    int32_t logical;
    bool adjusted;
    struct str name;
};

static int32_t get32(struct thrift_in *in, const struct thrift_field *f)
{
    int64_t v = thrift_get_int(in, f);
    if (v < INT32_MIN || v > INT32_MAX)
        in->bad = true;
    return in->bad ? 0 : (int32_t)v;
}

/* LogicalType is a union: its one field's id says which. Decimals and timestamps have parameters.
 */
static void parse_logical(struct thrift_in *in, struct element *el)
{
    struct thrift_field f = {0};
    while (thrift_next(in, &f)) {
        el->logical = f.id;
        if (f.type != THRIFT_STRUCT || (f.id != 5 && f.id != 8)) {
            thrift_skip(in, &f);
            continue;
        }
        struct thrift_field g = {0};
        while (thrift_next(in, &g)) {
            if (f.id == 5 && g.id == 1)
                el->scale = get32(in, &g);
            else if (f.id == 5 && g.id == 2)
                el->precision = get32(in, &g);
            else if (f.id == 8 && g.id == 1)
                el->adjusted = thrift_get_int(in, &g) != 0;
            else
                thrift_skip(in, &g);
        }
    }
}

static struct element parse_element(struct thrift_in *in)
{
    struct element el = {.physical = -1, .converted = -1, .logical = -1, .field_id = -1};
    struct thrift_field f = {0};
    int32_t *const numbers[] = {NULL,          &el.physical, &el.type_length, &el.repetition,
                                NULL,          &el.children, &el.converted,   &el.scale,
                                &el.precision, &el.field_id};
    while (thrift_next(in, &f)) {
        if (f.id == 4)
            el.name = thrift_get_bytes(in, &f);
        else if (f.id == 10 && f.type == THRIFT_STRUCT)
            parse_logical(in, &el);
        else if (f.id > 0 && f.id < 10)
            *numbers[f.id] = get32(in, &f);
        else
            thrift_skip(in, &f);
    }
    return el;
}

struct level { /* of the walk down the schema */
    int32_t left;
    uint32_t path_n;
    unsigned def, rep;
};

static void add_leaf(struct footer *f, const struct element *el, const struct level *at,
                     const struct buf *path)
{
    f->leaves = mem_regrow(f->leaves, f->n_leaves + 1, sizeof *f->leaves);
    f->leaves[f->n_leaves++] = (struct footer_leaf){
        .path = mem_strndup((const char *)path->p, path->n),
        .field_id = el->field_id,
        .physical = el->physical,
        .converted = el->converted,
        .logical = el->logical,
        .type_length = el->type_length,
        .precision = el->precision,
        .scale = el->scale,
        .adjusted = el->adjusted,
        .max_def = (uint8_t)at->def,
        .max_rep = (uint8_t)at->rep,
    };
}

static int schema_elements(struct footer *f, struct thrift_in *in, uint32_t n, struct buf *path,
                           struct err *e)
{
    struct level stack[FOOTER_NESTING_MAX];
    struct element root = parse_element(in);
    int depth = 0;
    if (in->bad || n == 0 || root.children < 0)
        return err_set(e, ERR_INVALID, "Parquet footer: no schema");
    stack[0] = (struct level){.left = root.children};
    for (uint32_t i = 1; i < n; i++) {
        while (depth && !stack[depth].left)
            depth--;
        struct level *up = &stack[depth];
        struct element el = parse_element(in);
        if (in->bad || up->left-- <= 0 || depth + 1 >= FOOTER_NESTING_MAX || el.children < 0)
            return err_set(e, ERR_INVALID, "Parquet footer: the schema's tree is broken");
        path->n = up->path_n;
        if (path->n)
            buf_putc(path, '.');
        buf_put(path, el.name.p, el.name.n);
        struct level at = {.left = el.children,
                           .path_n = (uint32_t)path->n,
                           .def = up->def + (el.repetition != 0),
                           .rep = up->rep + (el.repetition == 2)};
        if (el.children)
            stack[++depth] = at;
        else if (el.physical < 0 || el.physical > PHYSICAL_FIXED)
            return err_set(e, ERR_INVALID, "Parquet footer: a column without a type");
        else
            add_leaf(f, &el, &at, path);
    }
    while (depth && !stack[depth].left)
        depth--;
    if (depth || stack[0].left)
        return err_set(e, ERR_INVALID, "Parquet footer: the schema ends too soon");
    return 0;
}

/* ---- row groups ---- */

static void parse_statistics(struct thrift_in *in, struct footer_chunk *c)
{
    struct thrift_field f = {0};
    while (thrift_next(in, &f)) {
        if (f.id == 3) {
            c->nulls = thrift_get_int(in, &f);
        } else if (f.id == 5) {
            c->max = thrift_get_bytes(in, &f);
            c->has_max = true;
        } else if (f.id == 6) {
            c->min = thrift_get_bytes(in, &f);
            c->has_min = true;
        } else if (f.id == 7) {
            c->max_exact = thrift_get_int(in, &f) != 0;
        } else if (f.id == 8) {
            c->min_exact = thrift_get_int(in, &f) != 0;
        } else {
            thrift_skip(in, &f);
        }
    }
}

static void parse_page_counts(struct thrift_in *in, const struct thrift_field *list,
                              struct footer_chunk *c)
{
    uint32_t n = thrift_get_list(in, list, THRIFT_STRUCT);
    c->data_pages = c->dict_pages = 0;
    while (n-- && !in->bad) {
        int32_t type = -1, count = 0;
        struct thrift_field f = {0};
        while (thrift_next(in, &f)) {
            if (f.id == 1)
                type = get32(in, &f);
            else if (f.id == 3)
                count = get32(in, &f);
            else
                thrift_skip(in, &f);
        }
        if (type == PAGE_DICTIONARY)
            c->dict_pages += count;
        else if (type == PAGE_DATA || type == PAGE_DATA_V2)
            c->data_pages += count;
    }
}

static void parse_encodings(struct thrift_in *in, const struct thrift_field *f,
                            struct footer_chunk *c)
{
    uint32_t n = thrift_get_list(in, f, THRIFT_I32);
    while (n-- && !in->bad) {
        int64_t v = thrift_item_get_int(in);
        if (v >= 0 && v < 32)
            c->encodings |= 1u << v;
    }
}

static void parse_meta(struct thrift_in *in, struct footer_chunk *c)
{
    struct thrift_field f = {0};
    while (thrift_next(in, &f)) {
        switch (f.id) {
        case 1:
            c->physical = get32(in, &f);
            break;
        case 2:
            parse_encodings(in, &f, c);
            break;
        case 4:
            c->codec = get32(in, &f);
            break;
        case 5:
            c->values = thrift_get_int(in, &f);
            break;
        case 6:
            c->raw = thrift_get_int(in, &f);
            break;
        case 7:
            c->packed = thrift_get_int(in, &f);
            break;
        case 9:
            c->data_offset = thrift_get_int(in, &f);
            break;
        case 11:
            c->dict_offset = thrift_get_int(in, &f);
            break;
        case 12:
            if (f.type == THRIFT_STRUCT)
                parse_statistics(in, c);
            else
                in->bad = true;
            break;
        case 13:
            parse_page_counts(in, &f, c);
            break;
        default:
            thrift_skip(in, &f);
        }
    }
}

static void parse_chunk(struct thrift_in *in, struct footer_chunk *c)
{
    struct thrift_field f = {0};
    *c = (struct footer_chunk){.physical = -1, .nulls = -1, .data_pages = -1, .dict_pages = -1};
    while (thrift_next(in, &f)) {
        if (f.id == 3 && f.type == THRIFT_STRUCT)
            parse_meta(in, c);
        else if (f.id == 4)
            c->offset_index = thrift_get_int(in, &f);
        else if (f.id == 5)
            c->offset_index_n = thrift_get_int(in, &f);
        else if (f.id == 6)
            c->column_index = thrift_get_int(in, &f);
        else if (f.id == 7)
            c->column_index_n = thrift_get_int(in, &f);
        else
            thrift_skip(in, &f);
    }
}

static int parse_group(struct footer *f, struct thrift_in *in, struct err *e)
{
    struct thrift_field at = {0};
    f->groups = mem_regrow(f->groups, f->n_groups + 1, sizeof *f->groups);
    struct footer_group *g = &f->groups[f->n_groups++];
    *g = (struct footer_group){.rows = -1};
    while (thrift_next(in, &at)) {
        if (at.id == 1 && !g->chunks) {
            uint32_t n = thrift_get_list(in, &at, THRIFT_STRUCT);
            if (n != f->n_leaves)
                return err_set(e, ERR_INVALID, "Parquet footer: a row group of %u columns, not %u",
                               n, f->n_leaves);
            g->chunks = mem_array(n + 1u, sizeof *g->chunks);
            for (uint32_t i = 0; i < n; i++)
                parse_chunk(in, &g->chunks[i]);
        } else if (at.id == 2) {
            g->raw = thrift_get_int(in, &at);
        } else if (at.id == 3) {
            g->rows = thrift_get_int(in, &at);
        } else if (at.id == 5) {
            g->offset = thrift_get_int(in, &at);
        } else if (at.id == 6) {
            g->packed = thrift_get_int(in, &at);
        } else {
            thrift_skip(in, &at);
        }
    }
    if (in->bad || g->rows < 0 || !g->chunks)
        return err_set(e, ERR_INVALID, "Parquet footer: a broken row group");
    for (uint32_t i = 0; i < f->n_leaves; i++)
        if (g->chunks[i].physical != f->leaves[i].physical)
            return err_set(e, ERR_INVALID, "Parquet footer: %s is not of its schema's type",
                           f->leaves[i].path);
    return 0;
}

/* ---- the whole ---- */

static void parse_pairs(struct footer *f, struct thrift_in *in, const struct thrift_field *list)
{
    uint32_t n = thrift_get_list(in, list, THRIFT_STRUCT);
    while (n-- && !in->bad) {
        struct footer_pair pair = {{"", 0}, {"", 0}};
        struct thrift_field at = {0};
        while (thrift_next(in, &at)) {
            if (at.id == 1)
                pair.key = thrift_get_bytes(in, &at);
            else if (at.id == 2)
                pair.value = thrift_get_bytes(in, &at);
            else
                thrift_skip(in, &at);
        }
        f->pairs = mem_regrow(f->pairs, f->n_pairs + 1, sizeof *f->pairs);
        f->pairs[f->n_pairs++] = pair;
    }
}

static int parse_schema(struct footer *f, struct thrift_in *in, const struct thrift_field *at,
                        struct err *e)
{
    struct buf path = {0};
    uint32_t n = thrift_get_list(in, at, THRIFT_STRUCT);
    if (f->n_leaves)
        return err_set(e, ERR_INVALID, "Parquet footer: two schemas");
    int rc = schema_elements(f, in, n, &path, e);
    buf_fini(&path);
    return rc;
}

int footer_parse(struct footer *f, const uint8_t *p, size_t n, struct err *e)
{
    struct thrift_in in = {.p = p, .n = n};
    struct thrift_field at = {0};
    *f = (struct footer){.rows = -1};
    while (thrift_next(&in, &at)) {
        if (at.id == 1) {
            f->version = get32(&in, &at);
        } else if (at.id == 2) {
            if (parse_schema(f, &in, &at, e))
                return -1;
        } else if (at.id == 3) {
            f->rows = thrift_get_int(&in, &at);
        } else if (at.id == 4) {
            uint32_t groups = thrift_get_list(&in, &at, THRIFT_STRUCT);
            while (groups--)
                if (parse_group(f, &in, e))
                    return -1;
        } else if (at.id == 5) {
            parse_pairs(f, &in, &at);
        } else if (at.id == 6) {
            f->created_by = thrift_get_bytes(&in, &at);
        } else {
            thrift_skip(&in, &at);
        }
    }
    if (in.bad || f->rows < 0)
        return err_set(e, ERR_INVALID, "Parquet footer: broken at byte %zu of %zu", in.at, n);
    return 0;
}

void footer_fini(struct footer *f)
{
    for (uint32_t i = 0; i < f->n_leaves; i++)
        free(f->leaves[i].path);
    for (uint32_t i = 0; i < f->n_groups; i++)
        free(f->groups[i].chunks);
    free(f->leaves);
    free(f->groups);
    free(f->pairs);
    *f = (struct footer){0};
}
