/* One table's job, on a committer's thread: open or make the table, agree the schema, encode the rows into
 * its files; and, for a commit, put the files and append them with the positions. Nothing here decides
 * whether the commit is ours to make, or what follows from its end: the plan does (protocol/), asked
 * before each offer. No job waits for an answer: a commit without one is looked up by jobs of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/pipeline_int.h"
#include "pipeline/positions.h"

#define ROWS_FEW 1000   /* of a partition, that may wait for more: */
#define WAITING_SHARE 8 /* ... so large a part of a job's bytes */

struct put_files { /* what has been put, for the manifest */
    struct data_file *files;
    uint32_t n;
};

/* A new table's columns: ours, and those that the rows at hand brought, so that it need not be changed at
 * once. */
static int first_schema(struct ptable *t, struct schema *out, struct err *e)
{
    struct schema more;
    if (!t->st.number) {
        schema_dead_letters(out);
        return 0;
    }
    schema_event_base(out);
    int rc = registry_propose(t->st.registry, out, schema_max_id(out), &more, e);
    if (rc > 0) {
        schema_fini(out);
        *out = more;
        out->schema_id = 0;
    } else if (rc < 0) {
        schema_fini(out);
    }
    return rc < 0 ? -1 : 0;
}

/* Somebody may have made the table meanwhile, partitioned otherwise than its rows were split. */
static int check_made(struct ptable *t, const struct table *made, struct err *e)
{
    struct schema_ids ids;
    const struct partition_field *fields;
    uint32_t n = table_partition(made, &fields);
    bool same = n == t->n_partition;
    if (router_check(t, made, &ids, e))
        return -1;
    for (uint32_t i = 0; same && i < n; i++)
        same = schema_ids_ours(&ids, fields[i].source_id) == t->partition[i].source_id &&
               strcmp(fields[i].transform, t->partition[i].transform) == 0;
    if (!same)
        return err_set(e, ERR_FENCED,
                       "somebody made it meanwhile, partitioned otherwise; the rows have to be "
                       "read again");
    t->ids = ids;
    if (t->st.number)
        registry_set_envelope(t->st.registry, &ids);
    return 0;
}

static int open_table(struct ptable *t, const struct lake *lake, bool plan, struct err *e)
{
    static const char *const properties[] = {"write.format.default", "parquet",
                                             "write.parquet.compression-codec", "zstd",
                                             "write.metadata.delete-after-commit.enabled", "true",
                                             "write.metadata.previous-versions-max", "100", NULL};
    struct schema base;
    if (t->handle)
        return 0;
    if (first_schema(t, &base, e))
        return -1;
    struct sort_field sort[] = {{COL_EVENT_SUBTYPE}, {COL_EVENT_TIME}};
    struct table_spec spec = {.schema = &base,
                              .partition = t->partition,
                              .n_partition = t->n_partition,
                              .sort = sort,
                              .n_sort = t->st.number ? 2 : 0,
                              .properties = properties};
    struct table *made = (plan ? table_plan : table_create)(lake, t->st.name, &spec, e);
    if (made && check_made(t, made, e)) {
        table_free(made);
        made = NULL;
    }
    schema_fini(&base);
    t->handle = made;
    if (made)
        t->spec_id = table_spec_id(made);
    return made ? 0 : -1;
}

int commit_open_table(struct ptable *t, const struct lake *lake, struct err *e)
{
    return open_table(t, lake, false, e);
}

/* The rows were split by the spec that the table had; somebody may have given it another. */
static int check_spec(struct commit_job *job, struct err *e)
{
    job->contradicted = table_spec_id(job->table->handle) != job->table->spec_id;
    if (!job->contradicted)
        return 0;
    return err_set(e, ERR_FENCED,
                   "somebody changed its partitioning; the rows have to be read again");
}

static int propose(void *ctx, const struct schema *current, int32_t last_column_id,
                   struct schema *out, struct err *e)
{
    return registry_propose(ctx, current, last_column_id, out, e);
}

/* Schema first: what the rows brought is agreed with the table before a byte is encoded; or, where we seem to be
 * alone, by the commit that brings them, which is refused if we were not. */
static int agree(struct commit_job *job, struct err *e)
{
    struct ptable *t = job->table;
    if (!t->st.number)
        return 0;
    int rc = (job->drafts ? table_draft : table_evolve)(t->handle, propose, t->st.registry, e);
    if (!rc)
        rc = registry_bind(t->st.registry, table_schema(t->handle), e);
    job->contradicted = rc && (e->kind == ERR_CONFLICT || e->kind == ERR_FENCED);
    return rc;
}

/* ---- encoding ---- */

static size_t held_by_files(const struct commit_job *job)
{
    size_t n = 0;
    for (struct file_build *f = job->files; f; f = f->next)
        n += f->bytes;
    return n;
}

/* What is encoded is freed at once, and the budget told. */
static void release_rows(struct commit_job *job, struct rowset **sets, size_t n, size_t held)
{
    size_t freed = 0;
    for (size_t i = 0; i < n; i++) {
        freed += sets[i]->bytes;
        job->n_encoded += sets[i]->rows;
        rowset_free(sets[i]);
    }
    job->bytes -= freed;
    budget_force(job->budget, held_by_files(job) - held);
    budget_give(job->budget, freed);
}

/* Takes the rows of the first row set's partition off the job's list. */
static size_t take_partition(struct commit_job *job, struct rowset **group)
{
    size_t n = 0;
    const struct rowset *first = job->rows;
    for (struct rowset **at = &job->rows, *r; (r = *at);) {
        if (!files_same_partition(&job->table->st, first, r)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        group[n++] = r;
    }
    return n;
}

/* A row group has its price, by the column, however few its rows: a partition's wait for more where there is
 * *room for them. */
static bool may_wait(struct rowset *const *group, size_t n, size_t *room)
{
    uint64_t rows = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        rows += group[i]->rows;
        bytes += group[i]->bytes;
    }
    if (rows >= ROWS_FEW || bytes > *room)
        return false;
    *room -= bytes;
    return true;
}

static void push_front(struct rowset **list, struct rowset *const *group, size_t n)
{
    while (n--) {
        group[n]->next = *list;
        *list = group[n];
    }
}

static int encode_rows(struct commit_job *job, struct err *e)
{
    struct desk *desk = desks_take(job->desks);
    struct encode_env encode = {.schema = table_schema(job->table->handle),
                                .ids = &job->table->ids,
                                .streams = (const char *const *)job->shard_identities,
                                .shard_names = job->shard_names,
                                .n_shards = job->n_shards,
                                .zstd_level = job->config->zstd_level,
                                .created_by = job->config->version,
                                .kept = job->table->kept,
                                .scratch = desk->scratch};
    struct files_env env = {.encode = &encode,
                            .table = &job->table->st,
                            .partition = job->table->partition,
                            .n_partition = job->table->n_partition,
                            .cost = &job->cost,
                            .handle = job->table->handle,
                            .store = job->lake->store,
                            .out = &desk->out,
                            .spools = job->spools,
                            .write_ns = &job->write_ns};
    size_t n = 0, room = job->kind == JOB_ENCODE ? job->bytes / WAITING_SHARE : 0;
    for (struct rowset *r = job->rows; r; r = r->next)
        n++;
    struct rowset **group = mem_array(n + 1, sizeof *group), *waiting = NULL;
    int rc = 0;
    while (job->rows && !rc) {
        size_t held = held_by_files(job), members = take_partition(job, group);
        if (may_wait(group, members, &room)) {
            push_front(&waiting, group, members);
            continue;
        }
        rc = files_add(&job->files, &env, group, members, e);
        job->broken = rc != 0;
        release_rows(job, group, members, held);
    }
    while (waiting) {
        struct rowset *next = waiting->next;
        push_front(&job->rows, &waiting, 1);
        waiting = next;
    }
    desks_give(job->desks, desk);
    free(group);
    return rc;
}

/* ---- putting ---- */

void commit_data_file(struct data_file *f, const struct pq_writer *w, char *key,
                      struct partition_value *partition)
{
    uint32_t n_stats;
    const struct pq_leaf_stats *stats = pq_writer_stats(w, &n_stats);
    struct data_leaf *leaves = mem_array(n_stats, sizeof *leaves);
    for (uint32_t k = 0; k < n_stats; k++) {
        leaves[k] = (struct data_leaf){.field_id = stats[k].field_id,
                                       .column_bytes = stats[k].column_bytes,
                                       .values = stats[k].values,
                                       .nulls = stats[k].nulls,
                                       .nans = stats[k].nans,
                                       .has_bounds = stats[k].has_bounds,
                                       .lower_n = stats[k].lower_n,
                                       .upper_n = stats[k].upper_n};
        memcpy(leaves[k].lower, stats[k].lower, sizeof leaves[k].lower);
        memcpy(leaves[k].upper, stats[k].upper, sizeof leaves[k].upper);
    }
    *f = (struct data_file){.key = key,
                            .rows = pq_writer_rows(w),
                            .bytes = pq_writer_size(w),
                            .partition = partition,
                            .leaves = leaves,
                            .n_leaves = n_stats};
    f->split_offsets = pq_writer_split_offsets(w, &f->n_split_offsets);
}

/* Sealed, and described for the manifest; those in memory are objects to be put. How many. */
static int describe_files(struct commit_job *job, struct put_files *fs, struct store_object *objects, size_t *n,
                          struct err *e)
{
    *n = 0;
    for (struct file_build *f = job->files; f; f = f->next) {
        if (f->key && f->store != table_store(job->table->handle)) {
            job->contradicted = true;
            return err_set(e, ERR_FENCED, "somebody moved it; the rows have to be read again");
        }
        if (file_seal(f, e)) {
            job->broken = true;
            return -1;
        }
        char *key = f->key ? mem_strdup(f->key) : table_data_key(job->table->handle, f->partition, fs->n);
        if (!f->key)
            objects[(*n)++] = (struct store_object){key, f->out.p, f->out.n};
        job->bytes_written += (uint64_t)pq_writer_size(f->writer);
        commit_data_file(&fs->files[fs->n++], f->writer, key, f->partition);
    }
    return 0;
}

/* All of them side by side: with many partitions, a store far away would make a commit long. */
static int put_files(struct commit_job *job, struct put_files *fs, struct err *e)
{
    size_t n = 0;
    for (struct file_build *f = job->files; f; f = f->next)
        n++;
    fs->files = mem_array(n + 1, sizeof *fs->files);
    struct store_object *objects = mem_array(n + 1, sizeof *objects);
    int64_t began = clock_mono_ns(), cpu = clock_thread_cpu_ns();
    int rc = describe_files(job, fs, objects, &n, e);
    if (!rc && (rc = files_store(job->files, e)) != 0)
        job->broken = true;
    if (!rc && n)
        rc = store_put_all(table_store(job->table->handle), objects, n, e);
    job->write_ns += clock_thread_cpu_ns() - cpu;
    job->write_wall_ns += clock_mono_ns() - began;
    free(objects);
    return rc;
}

static void put_files_fini(struct commit_job *job, struct put_files *fs, int rc)
{
    struct store *store = table_store(job->table->handle);
    uint32_t i = 0;
    for (struct file_build *f = job->files; f && i < fs->n; f = f->next, i++) {
        f->offered |= !rc || job->attempt.offered;
        if (!f->key && !f->offered) /* nobody can refer to it; one that was spooled waits for the next try */
            store->ops->remove(store, fs->files[i].key, NULL);
    }
    for (i = 0; i < fs->n; i++) {
        free(fs->files[i].key);
        free((struct data_leaf *)(uintptr_t)fs->files[i].leaves);
    }
    free(fs->files);
}

/* ---- the commit ---- */

static int validate(void *ctx, const struct table *t, bool rebased, struct err *e)
{
    struct positions_offer *o = ctx;
    if (positions_validate(o, t, rebased, e))
        return -1;
    o->append->set_properties = o->pairs;
    o->append->remove_properties = o->gone;
    return 0;
}

static int append_files(struct commit_job *job, struct put_files *fs, struct err *e)
{
    struct positions_offer offer;
    positions_offer_init(&offer, job);
    struct append a = {.files = fs->files,
                       .n_files = fs->n,
                       .check_spec = true,
                       .spec_id = job->table->spec_id,
                       .validate = validate,
                       .validate_ctx = &offer};
    offer.append = &a;
    int rc = table_append(job->table->handle, &a, &job->attempt, e);
    job->unknown = rc && e->kind == ERR_UNKNOWN && job->attempt.offered;
    if (rc && e->kind == ERR_FENCED && job->lost_shard == PROTOCOL_NO_SHARD && !job->aged)
        job->contradicted = true; /* a column was dropped, the partitioning changed, the table made anew */
    positions_offer_fini(&offer);
    return rc;
}

static int commit(struct commit_job *job, struct err *e)
{
    struct put_files fs = {0};
    int rc = table_renew(job->table->handle, e);
    if (!rc)
        rc = put_files(job, &fs, e);
    int64_t wrote = clock_mono_ns(), cpu = clock_thread_cpu_ns();
    if (!rc)
        rc = append_files(job, &fs, e);
    job->n_files = fs.n;
    job->commit_ns += clock_thread_cpu_ns() - cpu;
    job->commit_wall_ns = clock_mono_ns() - wrote;
    put_files_fini(job, &fs, rc);
    return rc;
}

/* A property of ours alone: whatever was offered against the base before cannot land any more. */
int commit_move_base(struct table *t, const char *key, const char *value, struct err *e)
{
    const char *const pairs[] = {key, value, NULL};
    struct append a = {.set_properties = pairs};
    struct append_attempt attempt = {0};
    int rc = table_append(t, &a, &attempt, e);
    append_attempt_fini(&attempt);
    return rc;
}

/* ---- after a lost answer */

static void settle(struct commit_job *job)
{
    enum settled seen = SETTLED_UNKNOWN;
    struct err why = {0};
    int rc = table_settle(job->table->handle, &job->attempt, &seen, &why);
    job->seen = rc                          ? PROTOCOL_UNKNOWN
                : seen == SETTLED_COMMITTED ? PROTOCOL_COMMITTED
                : seen == SETTLED_NOT       ? PROTOCOL_NOT
                                            : PROTOCOL_UNKNOWN;
    job->base_moved = job->seen == PROTOCOL_NOT; /* table_settle says so only then */
    if (rc)
        job->err = why;
}

/* ---- a quarantined table */

/* It works if it can be opened and written: a commit that changes nothing shows it. */
static int probe(struct commit_job *job, struct err *e)
{
    char when[32];
    struct ptable *t = job->table;
    struct schema_ids ids;
    if (t->handle && table_planned(t->handle)) {
        table_free(t->handle);
        t->handle = NULL;
    }
    if (commit_open_table(t, job->lake, e))
        return -1;
    struct table *fresh = table_load(job->lake, t->st.name, e);
    snprintf(when, sizeof when, "%lld", (long long)clock_wall_ms(job->lake->clock));
    if (!fresh || router_check(t, fresh, &ids, e) ||
        commit_move_base(fresh, "inlet.returned", when, e)) {
        table_free(fresh);
        return -1;
    }
    job->probed = fresh;
    return 0;
}

static int write_rows(struct commit_job *job, struct err *e)
{
    int64_t cpu = clock_thread_cpu_ns();
    bool plan = job->drafts && job->table->st.number; /* dead letters may be needed for a mark at any time */
    int rc = open_table(job->table, job->lake, plan, e) || (job->rows && agree(job, e)) ||
             check_spec(job, e);
    job->commit_ns += clock_thread_cpu_ns() - cpu;
    if (rc || (job->rows && encode_rows(job, e)))
        return -1;
    return job->kind == JOB_COMMIT ? commit(job, e) : 0;
}

void commit_job_run(struct commit_job *job)
{
    job->err = (struct err){0};
    switch (job->kind) {
    case JOB_SETTLE: settle(job); break;
    case JOB_PROBE: job->rc = probe(job, &job->err); break;
    default: job->rc = write_rows(job, &job->err); break;
    }
    if (job->table->handle)
        table_rest(job->table->handle, job->rest_above);
    if (job->rc)
        err_wrap(&job->err, "table %s", job->table->st.name);
}

void commit_job_free(struct commit_job *job)
{
    while (job->rows) {
        struct rowset *next = job->rows->next;
        rowset_free(job->rows);
        job->rows = next;
    }
    files_free(&job->files);
    for (uint32_t i = 0; i < job->n_shards; i++) {
        free(job->shard_ids[i]);
        free(job->shard_identities[i]);
    }
    free(job->shard_ids);
    free(job->shard_names);
    free(job->shard_identities);
    free(job->shard_ended);
    free(job->cover_tables);
    append_attempt_fini(&job->attempt);
    table_free(job->probed);
    protocol_plan_fini(&job->plan);
    free(job);
}
