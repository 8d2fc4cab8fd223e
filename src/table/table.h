/* table: the one room that joins store and catalog: load, evolve, append, settle.
 *
 * A struct table is a handle on one Iceberg v2 table by name; its base (the metadata last loaded) is
 * inside. One thread at a time uses a handle; different handles may work at once. */
#ifndef INLET_TABLE_TABLE_H
#define INLET_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/seq.h"
#include "catalog/catalog.h"
#include "iceberg/iceberg.h"
#include "schema/schema.h"
#include "store/store.h"

struct table;

struct lake {
    struct store *store; /* NULL: only tables that the catalog places itself (REST) */
    /* A store rooted at a table's location, for one outside `store` or with keys of its own from the
     * catalog (Iceberg's "s3.access-key-id" and the like; NULL if none). NULL: there are none. */
    struct store *(*store_for)(void *ctx, const char *location, json_t *config, struct err *e);
    void *store_for_ctx;
    struct catalog *catalog;
    const struct clock *clock;
    const char *ns;          /* "events" */
    const char *engine_version;
    int64_t snapshot_age_ms; /* drop older ones from metadata: default 1 day */
    uint32_t snapshots_max;  /* default 500 */
    /* Random bytes (uuids, snapshot ids); injectable for tests. */
    void (*random)(void *ctx, void *p, size_t n);
    void *random_ctx;
};

struct lake_store_options {
    struct store_options store; /* as the lake's own is opened; its keys and endpoint may be replaced */
    const struct clock *clock;
};
/* lake.store_for, with such options as its ctx: a store at the location, with the keys, region and endpoint
 * that `config` has. */
struct store *lake_store_for(void *ctx, const char *location, json_t *config, struct err *e);
/* Does `config` say how the table's files are reached (keys of its own)? */
bool lake_store_vended(const json_t *config);

/* A partition field: an identity of a column or a time transform. */
struct partition_field {
    int32_t source_id;
    char name[64];      /* "event_time_day" */
    char transform[16]; /* "identity" "year" "month" "day" "hour" */
};
struct sort_field {
    int32_t source_id; /* ascending, nulls first, identity */
};

struct table_spec { /* for creation */
    const struct schema *schema;
    const struct partition_field *partition;
    uint32_t n_partition;
    const struct sort_field *sort;
    uint32_t n_sort;
    const char *const *properties; /* key, value, ..., NULL */
};

/* Loads `name`. ERR_NOTFOUND if the catalog has none; ERR_INVALID with what to do if it is no
 * Iceberg v2 table that we can write. */
struct table *table_load(const struct lake *lake, const char *name, struct err *e);
/* Also one that we cannot write, of another format say: for its properties, and for nothing else. */
struct table *table_look(const struct lake *lake, const char *name, struct err *e);
/* Creates it, or loads it if somebody was first. */
struct table *table_create(const struct lake *lake, const char *name, const struct table_spec *spec,
                           struct err *e);
/* The same, but a table that is not there comes to be with its first append, by one and the same swap; where somebody
 * made it meanwhile, that is ERR_FENCED, as of a draft (table_draft; where table_drafts). */
struct table *table_plan(const struct lake *lake, const char *name, const struct table_spec *spec,
                         struct err *e);
bool table_planned(const struct table *t); /* and not made yet */
void table_free(struct table *t);
/* ERR_FENCED: it was dropped and made anew by somebody; table_reopen takes the new one. */
int table_reload(struct table *t, struct err *e);
int table_reopen(struct table *t, struct err *e);
/* Before files are put: reloads where the keys that the catalog gave for them will be over soon. */
int table_renew(struct table *t, struct err *e);

/* Nobody uses the handle for a while: what it knows of the base is packed, if it takes more than about so many bytes,
 * until the next use. */
void table_rest(struct table *t, size_t bytes);

const char *table_name(const struct table *t);
const char *table_uuid(const struct table *t); /* stays with it; a table made anew has another */
const struct schema *table_schema(const struct table *t); /* the current one, or its draft; valid until reload */
/* Every schema that the metadata still has, the current one too. */
int table_schemas(const struct table *t, void (*each)(void *, const struct schema *), void *ctx,
                  struct err *e);
/* The ids that columns made as the top level of `ours` have in the table: their own where a column of that id ever had
 * their name and type, else those that first had them (a catalog that gives ids of its own, REST). */
int table_ids(const struct table *t, const struct schema *ours, struct schema_ids *out, struct err *e);
const char *table_property(const struct table *t, const char *key); /* NULL if none; borrowed */
void table_properties(const struct table *t, void (*each)(void *, const char *, const char *),
                      void *ctx);
const char *table_location(const struct table *t); /* its folder's URI; borrowed */
/* Where the table's files lie: keys of data files are in it. Borrowed, valid until reload. */
struct store *table_store(const struct table *t);
int32_t table_spec_id(const struct table *t);
/* The default spec's fields; 0 if unpartitioned. Spec ids and field ids are the table's business. */
uint32_t table_partition(const struct table *t, const struct partition_field **out);
/* By what any spec that the table has or had splits a column: the first letter of the transform (y, m, d, h), or 0. */
char table_split_by(const struct table *t, int32_t spec_id, int32_t source_id);

/* Schema first. `propose` is given the current schema and the last column id and answers 1 with a
 * schema to be made current (its new fields have ids above last_column_id), 0 if nothing is to be
 * added, -1 on error. It is asked again after every lost race. */
typedef int table_propose_fn(void *ctx, const struct schema *current, int32_t last_column_id,
                             struct schema *out, struct err *e);
int table_evolve(struct table *t, table_propose_fn *propose, void *ctx, struct err *e);
/* The same without asking the table yet: what is proposed is table_schema(t) from now on, files are made by it,
 * and the next append brings it along, in one and the same swap, which asserts that nobody changed the columns
 * since. Where somebody did, that append and all after it are ERR_FENCED until table_reopen: what was made by the
 * draft is of no use. For whoever has the table to himself: a commit less for each change. Not where the catalog
 * writes the metadata (table_drafts). */
int table_draft(struct table *t, table_propose_fn *propose, void *ctx, struct err *e);
bool table_drafts(const struct lake *lake);
bool table_has_draft(const struct table *t);

/* A partition value: what the transform gives: an int (year, month, day, hour), or a string
 * (identity), or null. */
struct partition_value {
    bool is_null;
    int32_t number;
    struct str text;
};
/* One that is already in the store. */
struct data_file {
    char *key; /* in the store */
    int64_t rows, bytes;
    struct partition_value *partition; /* one per partition field */
    const struct iceberg_leaf *leaves;
    uint32_t n_leaves;
    const int64_t *split_offsets;
    uint32_t n_split_offsets;
};

/* The key a new data file is to have, below the store's root: <ns>/<table>/data/<partition>/... */
char *table_data_key(const struct table *t, const struct partition_value *values, uint32_t number);

/* One attempt to append, with its identity, so that it can be settled after a lost answer. Zero it;
 * table_append fills it. */
struct append_attempt {
    int64_t snapshot_id;
    bool offered; /* it was sent at least once: its files must be left to gc */
    struct table_change *change; /* the offer without an answer; NULL: none */
};
void append_attempt_fini(struct append_attempt *attempt);

struct append {
    const struct data_file *files;
    uint32_t n_files;  /* 0: only properties change */
    bool check_spec;   /* the files are partitioned by the spec `spec_id` (table_spec_id) */
    int32_t spec_id;
    const char *const *set_properties; /* key, value, ..., NULL: positions and the like */
    const char *const *remove_properties; /* keys, NULL-ended; may be NULL */
    /* Asked with the base's properties (through table_property on `t`) before every offered swap:
     * 0 go on, -1 with ERR_FENCED (not ours any more) or another error: nothing is offered.
     * `rebased` says that the base is not the one this handle last committed or loaded: then the
     * lease has to be read again. */
    int (*validate)(void *ctx, const struct table *t, bool rebased, struct err *e);
    void *validate_ctx;
    const char *const *summary; /* further summary keys, pairs, NULL-ended; may be NULL */
};

/* Appends: writes manifest and list, then offers metadata by compare-and-swap, rebasing on conflict
 * (capped, jittered). 0: committed. ERR_FENCED from validate. ERR_CONFLICT: too many lost races.
 * ERR_UNKNOWN: settle. ERR_INVALID: the table can no longer take any file (not v2, its partitioning). ERR_FENCED also where
 * somebody took a column away that the files have, changed the partitioning or made the table anew:
 * the rows have to be read again. */
int table_append(struct table *t, const struct append *a, struct append_attempt *attempt,
                 struct err *e);

enum settled { SETTLED_COMMITTED, SETTLED_NOT, SETTLED_UNKNOWN };
/* Looks whether an attempt is in the table's snapshots or metadata log, and, while the base is the one
 * it was offered against, offers the same again: of the two one lands at most. NOT is final: the offer
 * cannot land any more. On error (-1) and UNKNOWN: look again. */
int table_settle(struct table *t, struct append_attempt *attempt, enum settled *out, struct err *e);

/* ---- looking */
struct table_facts {
    int64_t rows, files, bytes, snapshots, metadata_bytes;
    int64_t newest_event_us; /* from upper bounds of event_time; INT64_MIN if unknown */
    int64_t last_commit_ms;
};
int table_facts(struct table *t, struct table_facts *out, struct err *e);
/* The snapshots that the metadata still has, in its order; what a summary does not say is 0. */
struct table_snapshot {
    int64_t id, made_ms, added_rows, added_files, added_bytes;
    const char *operation; /* "append", ...; borrowed */
};
void table_snapshots(const struct table *t, void (*each)(void *, const struct table_snapshot *),
                     void *ctx);
/* The live data files of the current snapshot, newest first by sequence number. `lower`/`upper` of
 * `field_id` (8-byte LE) are given where known. Stops early when `each` returns false. */
struct table_file {
    const char *key; /* NULL if outside the store: use uri */
    const char *uri;
    int64_t rows, bytes, sequence_number;
    int32_t spec_id;
    bool has_bounds;
    int64_t lower, upper; /* of the asked timestamp or long field */
};
typedef bool table_file_fn(void *ctx, const struct table_file *f);
int table_files(struct table *t, int32_t bounds_field_id, table_file_fn *each, void *ctx,
                struct err *e);
/* The same of the files that were committed at that time or later, and of some older ones: of those, no manifest is
 * read that was written before. */
int table_files_since(struct table *t, int64_t since_ms, int32_t bounds_field_id, table_file_fn *each, void *ctx,
                      struct err *e);
/* Names of the tables of the lake's namespace, sorted (heap strings in a heap array). */
int lake_tables(const struct lake *lake, char ***names, size_t *n, struct err *e);

#endif
