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
#define UNPACKED_SHARE 2 /* of the budget */
#define WAITING_SHARE 8 /* ... so large a part of a job's bytes */

struct put_files { /* what has been put, for the manifest */
    struct data_file *files;
    uint32_t n;
};

/* A new table's columns: ours, and, with `rows`, those that the rows at hand brought, so that it need not be changed
 * at once. */
static int first_schema(struct ptable *t, bool rows, struct schema *out, struct err *e)
{
    struct schema more;
    if (!t->st.number) {
        schema_dead_letters(out);
        return 0;
    }
    schema_event_base(out);
    if (!rows)
        return 0;
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

static int open_table(struct ptable *t, const struct lake *lake, bool plan, bool rows, struct err *e)
{
    static const char *const properties[] = {"write.format.default", "parquet",
                                             "write.parquet.compression-codec", "zstd",
                                             "write.metadata.delete-after-commit.enabled", "true",
                                             "write.metadata.previous-versions-max", "100", NULL};
    struct schema base;
    if (t->handle)
        return 0;
    if (first_schema(t, rows, &base, e))
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
    return open_table(t, lake, false, true, e);
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

/* The budget is told what the files hold now. */
static void tell_held(struct commit_job *job, size_t held)
{
    budget_change(job->budget, job->held, held);
    job->held = held;
}

/* What is encoded is freed at once, and the budget told. */
static void release_rows(struct commit_job *job, struct rowset **sets, size_t n)
{
    size_t freed = 0;
    for (size_t i = 0; i < n; i++) {
        freed += sets[i]->bytes;
        job->n_encoded += sets[i]->rows;
        rowset_free(sets[i]);
    }
    job->bytes -= freed;
    budget_give(job->budget, freed);
}

static int by_partition(const void *a, const void *b, void *table)
{
    return files_compare(table, *(struct rowset *const *)a, *(struct rowset *const *)b);
}

/* The job's rows, off its list. */
static struct rowset **take_rows(struct commit_job *job, size_t *n)
{
    *n = 0;
    for (struct rowset *r = job->rows; r; r = r->next)
        ++*n;
    struct rowset **all = mem_array(*n + 1, sizeof *all);
    for (size_t i = 0; job->rows; i++, job->rows = job->rows->next)
        all[i] = job->rows;
    qsort_r(all, *n, sizeof *all, by_partition, &job->table->st);
    return all;
}

/* What is packed takes many times as much while it is encoded: no more of it than some at once. */
static size_t same_partition(const struct commit_job *job, struct rowset *const *sets, size_t n)
{
    size_t k = 1, room = budget_limit(job->budget) / UNPACKED_SHARE, taken = sets[0]->packed ? sets[0]->unpacked : 0;
    for (; k < n && files_compare(&job->table->st, sets[0], sets[k]) == 0; k++) {
        taken += sets[k]->packed ? sets[k]->unpacked : 0;
        if (taken > room)
            break;
    }
    return k;
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

/* What it takes, and the desk at which it is done. */
struct encoding {
    struct encode_env encode;
    struct files_env files;
    struct desk *desk;
};

static void sit_down(struct commit_job *job, struct encoding *x)
{
    x->desk = desks_take(job->desks);
    x->encode.scratch = x->desk->scratch;
    x->files.out = &x->desk->out;
}

/* Files that are complete leave memory; the desk is another's meanwhile. */
static int put_complete(struct commit_job *job, struct encoding *x, struct err *e)
{
    desks_give(job->desks, x->desk);
    int rc = files_put(job->files, job->table->handle, job->lake->store, false, &job->broken, e);
    x->files.held = files_held(job->files);
    sit_down(job, x);
    return rc;
}

/* Partitions one after the other. An encoding that would only fill the memory with files ends, for it is time to
 * commit. */
static int encode_partitions(struct commit_job *job, struct encoding *x, struct err *e)
{
    size_t n, room = job->kind == JOB_ENCODE ? job->bytes / WAITING_SHARE : 0, begun = job->held;
    struct rowset **all = take_rows(job, &n);
    int rc = 0;
    x->files.last = job->kind == JOB_COMMIT;
    x->files.held = job->held;
    files_begin(job->files, &x->files);
    for (size_t i = 0, members, since = 0; i < n; i += members) {
        members = same_partition(job, all + i, n - i);
        bool fills = job->kind == JOB_ENCODE && job->held > begun + job->files_room;
        if (rc || fills || may_wait(all + i, members, &room)) {
            push_front(&job->rows, all + i, members);
            continue;
        }
        x->files.more = i + members < n && files_compare(&job->table->st, all[i], all[i + members]) == 0;
        rc = files_add(&job->files, &x->files, all + i, members, e);
        job->broken = rc != 0;
        release_rows(job, all + i, members);
        if (!rc && x->files.last && ++since == FILES_PUT_AT_ONCE) {
            since = 0;
            rc = put_complete(job, x, e);
        }
        tell_held(job, x->files.held);
    }
    files_end(&x->files);
    free(all);
    return rc;
}

static int encode_rows(struct commit_job *job, struct err *e)
{
    struct encoding x = {.encode = {.schema = table_schema(job->table->handle),
                                    .ids = &job->table->ids,
                                    .streams = (const char *const *)job->shard_identities,
                                    .shard_names = job->shard_names,
                                    .n_shards = job->n_shards,
                                    .zstd_level = job->config->zstd_level,
                                    .created_by = job->config->version,
                                    .kept = job->table->kept},
                         .files = {.encode = &x.encode,
                                   .table = &job->table->st,
                                   .partition = job->table->partition,
                                   .n_partition = job->table->n_partition,
                                   .cost = &job->cost,
                                   .handle = job->table->handle,
                                   .store = job->lake->store,
                                   .workers = job->workers,
                                   .spools = job->spools,
                                   .write_ns = &job->write_ns}};
    sit_down(job, &x);
    int rc = encode_partitions(job, &x, e);
    desks_give(job->desks, x.desk);
    return rc;
}

/* ---- putting ---- */

void commit_data_file(struct data_file *f, const struct pq_writer *w, char *key,
                      struct partition_value *partition)
{
    uint32_t n_stats;
    const struct pq_leaf_stats *stats = pq_writer_stats(w, &n_stats);
    struct iceberg_leaf *leaves = mem_array(n_stats, sizeof *leaves);
    for (uint32_t k = 0; k < n_stats; k++)
        leaves[k] = (struct iceberg_leaf){.field_id = stats[k].field_id,
                                          .has_bounds = stats[k].has_bounds,
                                          .lower_n = stats[k].lower_n,
                                          .upper_n = stats[k].upper_n,
                                          .column_bytes = stats[k].column_bytes,
                                          .values = stats[k].values,
                                          .nulls = stats[k].nulls,
                                          .nans = stats[k].nans,
                                          .lower = stats[k].lower,
                                          .upper = stats[k].upper};
    *f = (struct data_file){.key = key,
                            .rows = pq_writer_rows(w),
                            .bytes = pq_writer_size(w),
                            .partition = partition,
                            .leaves = leaves,
                            .n_leaves = n_stats};
    f->split_offsets = pq_writer_split_offsets(w, &f->n_split_offsets);
}

/* For the manifest. */
static int describe_files(struct commit_job *job, struct put_files *fs, struct err *e)
{
    size_t n = 0;
    for (struct file_build *f = job->files; f; f = f->next)
        n++;
    fs->files = mem_array(n + 1, sizeof *fs->files);
    for (struct file_build *f = job->files; f; f = f->next) {
        if (strcmp(f->root, table_store(job->table->handle)->root_uri) != 0) {
            job->contradicted = true;
            return err_set(e, ERR_FENCED, "somebody moved it; the rows have to be read again");
        }
        job->bytes_written += (uint64_t)pq_writer_size(f->writer);
        commit_data_file(&fs->files[fs->n++], f->writer, mem_strdup(f->key), f->partition);
    }
    return 0;
}

static int seal_spools(struct commit_job *job, struct err *e)
{
    int rc = 0;
    for (struct file_build *f = job->files; f && !rc; f = f->next)
        rc = f->spool ? file_seal(f, e) : 0;
    job->broken |= rc != 0;
    return rc;
}

static int put_files(struct commit_job *job, struct put_files *fs, struct err *e)
{
    int64_t began = clock_mono_ns(), cpu = clock_thread_cpu_ns();
    int rc = seal_spools(job, e);
    if (!rc && (rc = files_store(job->files, e)) != 0)
        job->broken = true;
    if (!rc)
        rc = files_put(job->files, job->table->handle, job->lake->store, true, &job->broken, e);
    tell_held(job, files_held(job->files));
    if (!rc)
        rc = describe_files(job, fs, e);
    job->write_ns += clock_thread_cpu_ns() - cpu;
    job->write_wall_ns += clock_mono_ns() - began;
    return rc;
}

static void put_files_fini(struct commit_job *job, struct put_files *fs, int rc)
{
    for (struct file_build *f = job->files; f; f = f->next)
        f->offered |= !rc || job->attempt.offered; /* others wait for the next try */
    for (uint32_t i = 0; i < fs->n; i++) {
        free(fs->files[i].key);
        free((struct iceberg_leaf *)(uintptr_t)fs->files[i].leaves);
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
    int rc = put_files(job, &fs, e);
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
    /* Of the columns that were planned with it nothing is left; the registry still knows them as the table's. */
    if (open_table(t, job->lake, false, false, e))
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
    job->held = files_held(job->files);
    int rc = open_table(job->table, job->lake, plan, true, e) ||
             (job->kind == JOB_COMMIT && table_renew(job->table->handle, e)) || (job->rows && agree(job, e)) ||
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
