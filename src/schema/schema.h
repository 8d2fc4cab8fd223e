/* schema: Iceberg's types, and what a table's columns are.
 *
 * A struct schema is a value: a tree of fields with ids (Iceberg spec, "Schemas and Data Types").
 * The growing of schemas from events is schema/registry.h. */
#ifndef INLET_SCHEMA_SCHEMA_H
#define INLET_SCHEMA_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum type_kind {
    TYPE_BOOLEAN,
    TYPE_INT,
    TYPE_LONG,
    TYPE_FLOAT,
    TYPE_DOUBLE,
    TYPE_DECIMAL, /* precision, scale */
    TYPE_DATE,
    TYPE_TIME,
    TYPE_TIMESTAMP,
    TYPE_TIMESTAMPTZ,
    TYPE_STRING,
    TYPE_UUID,
    TYPE_FIXED, /* length */
    TYPE_BINARY,
    TYPE_STRUCT, /* children: its fields */
    TYPE_LIST,   /* one child, "element" */
    TYPE_MAP,    /* two children, "key" and "value" */
};

struct field {
    int32_t id;
    char *name;
    char *doc; /* the event's key, exactly; NULL if the file has none */
    bool required;
    enum type_kind kind;
    uint32_t precision, scale, length;
    struct field *children;
    uint32_t n_children;
};

struct schema {
    int32_t schema_id;
    struct field root; /* TYPE_STRUCT; id 0, no name */
};

void schema_init(struct schema *s);
void schema_fini(struct schema *s);
void schema_dup(struct schema *to, const struct schema *from);
bool schema_same(const struct schema *a, const struct schema *b); /* ignores schema_id */
/* Appends a child (copied strings, no children yet) and returns it; earlier pointers into
 * parent->children become stale. */
struct field *field_add(struct field *parent, int32_t id, const char *name, const char *doc,
                        bool required, enum type_kind kind);
const struct field *schema_find_id(const struct schema *s, int32_t id);
const struct field *field_child(const struct field *parent, const char *name);
int32_t schema_max_id(const struct schema *s);
/* "long", "decimal(12, 2)", "timestamptz", "list<string>", "struct<a: long, b: ...>". */
void field_type_text(const struct field *f, struct buf *out);
/* The primitive's Iceberg name and back ("decimal(9, 2)", "fixed[16]"); -1 if unknown. */
int type_parse(struct field *f, const char *text, struct err *e);

/* The columns that every event table begins with, in DESIGN's order, ids 1..7, and those that come
 * after the event's own fields (_arrived_at, _shard, _sequence, _rescued; ids 8..11). A new table's
 * schema is these eleven, then what the events bring. */
enum envelope_id {
    COL_EVENT_UUID = 1,
    COL_EVENT_NAME,
    COL_CREATED_AT,
    COL_CREATED_DATETIME,
    COL_EVENT_TYPE,
    COL_EVENT_SUBTYPE,
    COL_EVENT_TIME,
    COL_ARRIVED_AT,
    COL_SHARD,
    COL_SEQUENCE,
    COL_RESCUED,
    ENVELOPE_COLUMNS = COL_RESCUED,
};
void schema_event_base(struct schema *out);
/* The columns that we make have in a table the ids above, or others where a catalog gives its own. `of` is by our
 * ids; an entry 0 is one that the table never had. */
#define SCHEMA_OURS_MAX 16
struct schema_ids {
    int32_t of[SCHEMA_OURS_MAX];
};
void schema_ids_same(struct schema_ids *ids); /* each its own */
int32_t schema_ids_ours(const struct schema_ids *ids, int32_t id); /* ours of a table's id; 0: none of ours */
/* The dead letters' table: letter_id, reason, message, payload (binary), stream, _shard, _sequence,
 * sub_sequence, _arrived_at (timestamptz, required), recorded_at. Partitioned by day(_arrived_at). */
void schema_dead_letters(struct schema *out);
/* The table of finished loads (pipeline/loads.h). Not partitioned. */
void schema_loads(struct schema *out);

#endif
