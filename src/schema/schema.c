/* Schemas as values: see schema.h. */
#include "schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const names[] = {"boolean", "int",  "long",      "float",       "double", "decimal",
                                    "date",    "time", "timestamp", "timestamptz", "string", "uuid",
                                    "fixed",   "binary", "struct",  "list",        "map"};

void schema_init(struct schema *s)
{
    *s = (struct schema){.root = {.kind = TYPE_STRUCT}};
}

static void field_fini(struct field *f)
{
    for (uint32_t i = 0; i < f->n_children; i++)
        field_fini(&f->children[i]);
    free(f->children);
    free(f->name);
    free(f->doc);
}

void schema_fini(struct schema *s)
{
    field_fini(&s->root);
    schema_init(s);
}

static void field_dup(struct field *to, const struct field *from)
{
    *to = *from;
    to->name = from->name ? mem_strdup(from->name) : NULL;
    to->doc = from->doc ? mem_strdup(from->doc) : NULL;
    to->children = from->n_children ? mem_array(from->n_children, sizeof *to->children) : NULL;
    for (uint32_t i = 0; i < from->n_children; i++)
        field_dup(&to->children[i], &from->children[i]);
}

void schema_dup(struct schema *to, const struct schema *from)
{
    to->schema_id = from->schema_id;
    field_dup(&to->root, &from->root);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool field_same(const struct field *a, const struct field *b)
{
    if (a->id != b->id || a->kind != b->kind || a->required != b->required ||
        a->precision != b->precision || a->scale != b->scale || a->length != b->length ||
        a->n_children != b->n_children || !same_text(a->name, b->name) || !same_text(a->doc, b->doc))
        return false;
    for (uint32_t i = 0; i < a->n_children; i++)
        if (!field_same(&a->children[i], &b->children[i]))
            return false;
    return true;
}

bool schema_same(const struct schema *a, const struct schema *b)
{
    return field_same(&a->root, &b->root);
}

struct field *field_add(struct field *parent, int32_t id, const char *name, const char *doc,
                        bool required, enum type_kind kind)
{
    parent->children = mem_regrow(parent->children, parent->n_children + 1, sizeof *parent->children);
    struct field *f = &parent->children[parent->n_children++];
    *f = (struct field){.id = id,
                        .name = mem_strdup(name),
                        .doc = doc ? mem_strdup(doc) : NULL,
                        .required = required,
                        .kind = kind};
    return f;
}

static const struct field *find_id(const struct field *f, int32_t id)
{
    for (uint32_t i = 0; i < f->n_children; i++) {
        if (f->children[i].id == id)
            return &f->children[i];
        const struct field *found = find_id(&f->children[i], id);
        if (found)
            return found;
    }
    return NULL;
}

const struct field *schema_find_id(const struct schema *s, int32_t id)
{
    return find_id(&s->root, id);
}

const struct field *field_child(const struct field *parent, const char *name)
{
    for (uint32_t i = 0; i < parent->n_children; i++)
        if (strcmp(parent->children[i].name, name) == 0)
            return &parent->children[i];
    return NULL;
}

static int32_t max_id(const struct field *f)
{
    int32_t max = f->id;
    for (uint32_t i = 0; i < f->n_children; i++) {
        int32_t m = max_id(&f->children[i]);
        if (m > max)
            max = m;
    }
    return max;
}

int32_t schema_max_id(const struct schema *s)
{
    return max_id(&s->root);
}

void field_type_text(const struct field *f, struct buf *out)
{
    if (f->kind == TYPE_DECIMAL)
        buf_printf(out, "decimal(%u, %u)", f->precision, f->scale);
    else if (f->kind == TYPE_FIXED)
        buf_printf(out, "fixed[%u]", f->length);
    else
        buf_puts(out, names[f->kind]);
    if (!f->n_children)
        return;
    buf_putc(out, '<');
    for (uint32_t i = 0; i < f->n_children; i++) {
        if (i)
            buf_puts(out, ", ");
        if (f->kind == TYPE_STRUCT)
            buf_printf(out, "%s: ", f->children[i].name);
        field_type_text(&f->children[i], out);
    }
    buf_putc(out, '>');
}

int type_parse(struct field *f, const char *text, struct err *e)
{
    if (sscanf(text, "decimal(%u,%u)", &f->precision, &f->scale) == 2) {
        f->kind = TYPE_DECIMAL;
        return 0;
    }
    if (sscanf(text, "fixed[%u]", &f->length) == 1) {
        f->kind = TYPE_FIXED;
        return 0;
    }
    for (unsigned k = 0; k < TYPE_STRUCT; k++)
        if (k != TYPE_DECIMAL && k != TYPE_FIXED && strcmp(text, names[k]) == 0) {
            f->kind = (enum type_kind)k;
            return 0;
        }
    return err_set(e, ERR_INVALID, "unknown Iceberg type '%.80s'", text);
}

static void add_all(struct schema *s, const struct field *fields, size_t n)
{
    schema_init(s);
    for (size_t i = 0; i < n; i++)
        field_add(&s->root, fields[i].id, fields[i].name, NULL, fields[i].required, fields[i].kind);
}

#define F(i, n, r, k) {.id = i, .name = (char *)(uintptr_t)n, .required = r, .kind = k}

void schema_event_base(struct schema *out)
{
    static const struct field fields[] = {
        F(COL_EVENT_UUID, "event_uuid", true, TYPE_STRING),
        F(COL_EVENT_NAME, "event_name", true, TYPE_STRING),
        F(COL_CREATED_AT, "created_at", true, TYPE_DOUBLE),
        F(COL_CREATED_DATETIME, "created_datetime", false, TYPE_STRING),
        F(COL_EVENT_TYPE, "event_type", true, TYPE_STRING),
        F(COL_EVENT_SUBTYPE, "event_subtype", false, TYPE_STRING),
        F(COL_EVENT_TIME, "event_time", true, TYPE_TIMESTAMPTZ),
        F(COL_ARRIVED_AT, "_arrived_at", false, TYPE_TIMESTAMPTZ),
        F(COL_SHARD, "_shard", false, TYPE_STRING),
        F(COL_SEQUENCE, "_sequence", false, TYPE_STRING),
        F(COL_RESCUED, "_rescued", false, TYPE_STRING)};
    add_all(out, fields, sizeof fields / sizeof *fields);
}

void schema_loads(struct schema *out)
{
    static const struct field fields[] = {F(1, "identity", true, TYPE_STRING),
                                          F(2, "path", true, TYPE_STRING),
                                          F(3, "position", true, TYPE_LONG),
                                          F(4, "note", false, TYPE_STRING),
                                          F(5, "size", false, TYPE_LONG),
                                          F(6, "started_position", false, TYPE_LONG),
                                          F(7, "records", false, TYPE_LONG),
                                          F(8, "events", false, TYPE_LONG),
                                          F(9, "duplicates", false, TYPE_LONG),
                                          F(10, "dead_letters", false, TYPE_LONG),
                                          F(11, "started_at", true, TYPE_TIMESTAMPTZ),
                                          F(12, "finished_at", true, TYPE_TIMESTAMPTZ),
                                          F(13, "worker", false, TYPE_STRING)};
    add_all(out, fields, sizeof fields / sizeof *fields);
}

void schema_dead_letters(struct schema *out)
{
    static const struct field fields[] = {F(1, "letter_id", true, TYPE_STRING),
                                          F(2, "reason", true, TYPE_STRING),
                                          F(3, "message", false, TYPE_STRING),
                                          F(4, "payload", false, TYPE_BINARY),
                                          F(5, "stream", false, TYPE_STRING),
                                          F(6, "_shard", false, TYPE_STRING),
                                          F(7, "_sequence", false, TYPE_STRING),
                                          F(8, "sub_sequence", false, TYPE_LONG),
                                          F(9, "_arrived_at", true, TYPE_TIMESTAMPTZ),
                                          F(10, "recorded_at", true, TYPE_TIMESTAMPTZ)};
    add_all(out, fields, sizeof fields / sizeof *fields);
}

void schema_ids_same(struct schema_ids *ids)
{
    for (int32_t i = 0; i < SCHEMA_OURS_MAX; i++)
        ids->of[i] = i;
}

int32_t schema_ids_ours(const struct schema_ids *ids, int32_t id)
{
    for (int32_t i = 1; id && i < SCHEMA_OURS_MAX; i++)
        if (ids->of[i] == id)
            return i;
    return 0;
}
