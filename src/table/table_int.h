/* What the files of this room share: the handle, and the making of manifest lists. */
#ifndef INLET_TABLE_TABLE_INT_H
#define INLET_TABLE_TABLE_INT_H

#include "iceberg/manifests.h"
#include "table/table.h"

#define TABLE_FIELDS_MAX 16
#define RACES_MAX 20
#define TABLE_OBJECT_MAX ((size_t)64 << 20) /* a metadata file, manifest or list */

struct table_fields { /* a partition spec, as manifests need it */
    int32_t spec_id;
    uint32_t n;
    struct iceberg_field fields[TABLE_FIELDS_MAX]; /* names: borrowed from `json` */
    json_t *json;                                  /* the spec's fields; a reference */
    bool writable;
};

struct table_packed {
    struct buf bytes;
    size_t from; /* so many */
};

struct table {
    const struct lake *lake;
    char *name, *location; /* location: of the metadata file; NULL where REST does not say it */
    json_t *meta;      /* the base: only by table_meta, for it may be packed instead */
    json_t *properties, *current; /* its own, and its snapshot (NULL: it is empty): only by table_base_properties and
                                     table_current, for they may be packed likewise, by themselves */
    struct table_packed packed, brief; /* rest.c */
    int64_t last_column; /* the base's */
    char uuid[40];
    struct schema schema; /* the base's current one */
    struct schema draft;  /* what it is to become with the next append, where `drafted` says so, ... */
    bool drafted;
    int64_t draft_of, draft_last; /* ... made from a base with this current schema and last column */
    struct partition_field partition[TABLE_FIELDS_MAX];
    struct table_fields spec;
    struct store *store; /* where its files lie: the lake's, or its own */
    bool own_store;
    char *placed;    /* the location that `store` is for */
    char *dir;       /* its key in the store; "" if the store is the table's own */
    json_t *config;  /* the catalog's keys for the table's files; or NULL */
    int64_t config_since_ms; /* boot time when they were taken */
    char *list_uri;  /* the base's manifest list, as we wrote it; NULL: not known */
    struct buf list; /* only by table_list_bytes */
    struct table_packed list_packed;
    bool planned; /* the base is what it is to begin with; no catalog knows it */
    bool own;    /* the base is the one we last loaded or committed ourselves */
    bool broken; /* the base cannot be used: the next reload reads it again */
};

struct table_change;
struct table *table_new(const struct lake *lake, const char *name);
/* Takes both; `config` is borrowed. */
int table_take_base(struct table *t, json_t *meta, char *location, json_t *config, struct err *e);
/* rest.c. The base; borrowed, until it is replaced or rests. */
json_t *table_meta(const struct table *t);
json_t *table_base_properties(const struct table *t);
json_t *table_current(const struct table *t);
const struct buf *table_list_bytes(const struct table *t);
bool table_has_base(const struct table *t);
void table_drop_base(struct table *t);
void table_drop_list(struct table *t);
/* The key of a file in `folder` of the table, or in the folder that the property `setting` names. */
char *table_key(const struct table *t, const char *setting, const char *folder, const char *file);
/* The credentials that the catalog gave will be over soon. */
bool table_expiring(const struct table *t);
void table_pause(struct table *t, int race);

/* evolve.c: the draft. */
/* Is the base still the one that it was made for? ERR_FENCED: somebody changed the columns. */
int table_draft_stands(const struct table *t, struct err *e);
void table_draft_add(struct table *t, struct table_change *c); /* to the change */
void table_draft_drop(struct table *t);
json_t *table_schema_json(const struct table *t); /* table_schema(t); a new reference */

int64_t table_json_number(const json_t *j, const char *key);
const char *table_json_text(const json_t *j, const char *key);
json_t *table_json_by_id(const json_t *list, const char *key, int64_t id);
void table_uuid4(const struct lake *lake, char out[37]);

/* One change, made from the base: see change.c. */
struct table_change {
    json_t *meta, *dropped;
    json_t *requirements, *updates;
    char *base, *next; /* locations; next: once the metadata is written */
    bool creates;      /* the table: there is no base */
};
void table_change_begin(struct table *t, struct table_change *c);
void table_change_fini(struct table_change *c);
/* A new requirement or update, to be filled in (borrowed). */
json_t *table_require(struct table_change *c, const char *type);
json_t *table_update(struct table_change *c, const char *action);
/* Writes the metadata, and the objects `with` beside it, all at once, and sends the change. On success the
 * base is what it led to. *offered is set once it was sent. */
#define TABLE_OBJECTS_MAX 2
int table_change_offer(struct table *t, struct table_change *c, const struct store_object *with,
                       size_t n, bool *offered, struct err *e);
/* Sends a change whose metadata is written, perhaps again. */
int table_change_send(struct table *t, struct table_change *c, struct err *e);

/* A manifest list that is being made for one offer. */
struct table_list {
    char *uri, *key;
    struct buf bytes;
    char *merged[64]; /* keys of the manifests that merging wrote */
    uint32_t n_merged;
    int64_t kept, replaced;
};
/* Makes (and does not put yet) the list of snapshot `own->snapshot_id`: our manifest (unless its uri is NULL), then those of the base, the small
 * ones of them merged where there are many and `merge` says so. */
int table_list_write(struct table *t, const struct iceberg_manifest_entry *own, int attempt,
                     bool merge, struct table_list *out, struct err *e);
/* It is the base's now: kept, so that the next commit need not read it. */
void table_list_keep(struct table *t, struct table_list *l);
/* Removes what was written: nobody can refer to it. */
void table_list_discard(struct table *t, struct table_list *l);
void table_list_fini(struct table_list *l);

#endif
