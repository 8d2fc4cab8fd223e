/* One table's commit, on a committer's thread: open or make the table, agree the schema, encode one file
 * a partition, put them, append with the positions. Nothing here decides whether the commit is ours to
 * make: the plan does (protocol/), asked before each offer. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/encode.h"
#include "pipeline/pipeline_int.h"
#include "pipeline/positions.h"

#define SETTLE_TRIES 10
#define SETTLE_WAIT_MS 200

struct files { /* what has been put, for the manifest */
    struct data_file *files;
    struct pq_writer **writers; /* own the statistics */
    struct data_leaf **leaves;
    struct partition_value (*partitions)[PARTITION_FIELDS_MAX];
    uint32_t n;
};

static int open_table(struct commit_job *job, struct err *e)
{
    static const char *const properties[] = {"write.format.default", "parquet",
                                             "write.parquet.compression-codec", "zstd",
                                             "write.metadata.delete-after-commit.enabled", "true",
                                             "write.metadata.previous-versions-max", "100", NULL};
    struct ptable *t = job->table;
    struct schema base;
    if (t->handle)
        return 0;
    if (t->st.number)
        schema_event_base(&base);
    else
        schema_dead_letters(&base);
    struct sort_field sort[] = {{COL_EVENT_SUBTYPE}, {COL_EVENT_TIME}};
    struct table_spec spec = {.schema = &base,
                              .partition = t->partition,
                              .n_partition = t->n_partition,
                              .sort = sort,
                              .n_sort = t->st.number ? 2 : 0,
                              .properties = properties};
    t->handle = table_create(job->lake, t->st.name, &spec, e);
    schema_fini(&base);
    return t->handle ? 0 : -1;
}

static int propose(void *ctx, const struct schema *current, int32_t last_column_id,
                   struct schema *out, struct err *e)
{
    return registry_propose(ctx, current, last_column_id, out, e);
}

/* Schema first: what the rows brought is agreed with the table before a byte is encoded. */
static int agree(struct commit_job *job, struct err *e)
{
    struct ptable *t = job->table;
    if (!t->st.number)
        return 0;
    if (table_evolve(t->handle, propose, t->st.registry, e))
        return -1;
    return registry_bind(t->st.registry, table_schema(t->handle), e);
}

static bool same_partition(const struct ptable *t, const struct rowset *a, const struct rowset *b)
{
    if (t->st.time_transform && a->time_partition != b->time_partition)
        return false;
    if (t->st.by_subtype && (!a->subtype != !b->subtype ||
                             (a->subtype && strcmp(a->subtype, b->subtype) != 0)))
        return false;
    return !t->st.by_name || strcmp(a->name, b->name) == 0;
}

static void partition_values(const struct ptable *t, const struct rowset *r,
                             struct partition_value *out)
{
    for (uint32_t i = 0; i < t->n_partition; i++) {
        const struct partition_field *f = &t->partition[i];
        out[i] = (struct partition_value){0};
        if (strcmp(f->transform, "identity") != 0)
            out[i].number = r->time_partition;
        else if (f->source_id == COL_EVENT_NAME)
            out[i].text = (struct str){r->name, r->name_n};
        else if (r->subtype)
            out[i].text = (struct str){r->subtype, r->subtype_n};
        else
            out[i].is_null = true;
    }
}

static void describe_file(struct files *fs, const struct pq_writer *w, char *key)
{
    uint32_t n_stats, i = fs->n;
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
    struct data_file *f = &fs->files[i];
    *f = (struct data_file){.key = key,
                            .rows = pq_writer_rows(w),
                            .bytes = pq_writer_size(w),
                            .partition = fs->partitions[i],
                            .leaves = leaves,
                            .n_leaves = n_stats};
    f->split_offsets = pq_writer_split_offsets(w, &f->n_split_offsets);
    fs->leaves[i] = leaves;
    fs->n++;
}

static int write_file(struct commit_job *job, struct files *fs, struct rowset **sets, size_t n,
                      struct err *e)
{
    struct encode_env env = {.schema = table_schema(job->table->handle),
                             .stream = job->shard_identities[0],
                             .shard_names = job->shard_names,
                             .n_shards = job->n_shards,
                             .zstd_level = job->config->zstd_level,
                             .created_by = job->config->version};
    struct buf out = {0};
    partition_values(job->table, sets[0], fs->partitions[fs->n]);
    struct pq_writer *w = encode_file(&env, sets, n, &out, &job->cost, e);
    int rc = -1;
    if (!w)
        goto done;
    char *key = table_data_key(job->table->handle, fs->partitions[fs->n], fs->n);
    int64_t began = clock_mono_ns();
    rc = store_put(job->lake->store, key, out.p, out.n, e);
    job->write_ns += clock_mono_ns() - began;
    job->bytes_written += out.n;
    fs->writers[fs->n] = w;
    describe_file(fs, w, key);
done:
    buf_fini(&out);
    return rc;
}

static int write_files(struct commit_job *job, struct files *fs, struct err *e)
{
    size_t n = 0;
    for (struct rowset *r = job->rows; r; r = r->next)
        n++;
    struct rowset **sets = mem_array(n, sizeof *sets), **group = mem_array(n, sizeof *group);
    fs->files = mem_array(n, sizeof *fs->files);
    fs->writers = mem_array(n, sizeof *fs->writers);
    fs->leaves = mem_array(n, sizeof *fs->leaves);
    fs->partitions = mem_array(n, sizeof *fs->partitions);
    size_t at = 0;
    for (struct rowset *r = job->rows; r; r = r->next)
        sets[at++] = r;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        size_t members = 0;
        if (!sets[i])
            continue;
        struct rowset *first = sets[i];
        for (size_t k = i; k < n; k++)
            if (sets[k] && same_partition(job->table, first, sets[k])) {
                group[members++] = sets[k];
                sets[k] = NULL;
            }
        rc = write_file(job, fs, group, members, e);
    }
    free(sets);
    free(group);
    return rc;
}

static void files_fini(struct commit_job *job, struct files *fs)
{
    for (uint32_t i = 0; i < fs->n; i++) {
        if (job->rc && !job->offered) /* never offered: nobody can refer to it */
            job->lake->store->ops->remove(job->lake->store, fs->files[i].key, NULL);
        free(fs->files[i].key);
        free(fs->leaves[i]);
        pq_writer_free(fs->writers[i]);
    }
    free(fs->files);
    free(fs->writers);
    free(fs->leaves);
    free(fs->partitions);
}

static int append_files(struct commit_job *job, struct files *fs, struct err *e)
{
    struct append_attempt attempt = {0};
    struct positions_offer offer;
    positions_offer_init(&offer, job);
    struct append a = {.files = fs->files,
                       .n_files = fs->n,
                       .validate = positions_validate,
                       .validate_ctx = &offer,
                       .set_properties = offer.pairs};
    int rc = table_append(job->table->handle, &a, &attempt, e);
    for (int i = 0; rc && e->kind == ERR_UNKNOWN && i < SETTLE_TRIES; i++) {
        enum settled settled = SETTLED_UNKNOWN;
        struct err why = {0};
        clock_system.sleep_ms(NULL, SETTLE_WAIT_MS << (i < 5 ? i : 5));
        if (table_settle(job->table->handle, &attempt, &settled, &why) == 0 &&
            settled == SETTLED_COMMITTED)
            rc = 0;
        else if (settled == SETTLED_NOT)
            e->kind = ERR_CONFLICT;
    }
    job->offered = attempt.offered;
    free(attempt.metadata_location);
    positions_offer_fini(&offer);
    return rc;
}

void commit_job_run(struct commit_job *job)
{
    struct files fs = {0};
    job->err = (struct err){0};
    job->rc = open_table(job, &job->err);
    if (!job->rc)
        job->rc = agree(job, &job->err);
    if (!job->rc)
        job->rc = write_files(job, &fs, &job->err);
    int64_t wrote = clock_mono_ns();
    if (!job->rc)
        job->rc = append_files(job, &fs, &job->err);
    job->n_files = fs.n;
    job->commit_ns = clock_mono_ns() - wrote;
    if (job->rc)
        err_wrap(&job->err, "table %s", job->table->st.name);
    files_fini(job, &fs);
}

void commit_job_free(struct commit_job *job)
{
    while (job->rows) {
        struct rowset *next = job->rows->next;
        rowset_free(job->rows);
        job->rows = next;
    }
    for (uint32_t i = 0; i < job->n_shards; i++) {
        free(job->shard_ids[i]);
    }
    free(job->shard_ids);
    free(job->shard_names);
    free(job->shard_identities);
    protocol_plan_fini(&job->plan);
    free(job);
}
