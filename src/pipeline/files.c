/* Which file takes which rows. See files.h. */
#include "pipeline/files.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/pipeline_int.h"

/* Room for a file's bytes from the start: so large that malloc maps it (main.c), of which only what is written
 * to takes memory, and which grows without being copied. */
#define OUT_BYTES ((size_t)8 << 20)
#define OUT_MANY 16 /* where a table has so many files they are small: they grow as need be, */
#define OUT_FEW ((size_t)1 << 20) /* ... as do those that begin with rows of less than this */
#define SPOOLS_MAX 200 /* each is two open files; more stay in memory */

int files_compare(const struct shred_table *t, const struct rowset *a, const struct rowset *b)
{
    int c = 0;
    if (t->time_transform && a->time_partition != b->time_partition)
        return a->time_partition < b->time_partition ? -1 : 1;
    if (t->by_subtype)
        c = a->subtype && b->subtype ? strcmp(a->subtype, b->subtype) : (a->subtype != NULL) - (b->subtype != NULL);
    return c || !t->by_name ? c : strcmp(a->name, b->name);
}

/* As much of one as says where its rows belong. */
static struct rowset rows_like(const struct file_build *f)
{
    return (struct rowset){.time_partition = f->time_partition, .name = f->name, .subtype = f->subtype};
}

static int by_partition(const void *a, const void *b, void *table)
{
    const struct rowset x = rows_like(*(struct file_build *const *)a), y = rows_like(*(struct file_build *const *)b);
    return files_compare(table, &x, &y);
}

void files_begin(struct file_build *files, struct files_env *env)
{
    size_t n = 0;
    for (struct file_build *f = files; f; f = f->next)
        n += !f->sealed;
    env->open = mem_array(n + 1, sizeof *env->open);
    for (struct file_build *f = files; f; f = f->next)
        if (!f->sealed)
            env->open[env->n_open++] = f;
    qsort_r(env->open, n, sizeof *env->open, by_partition, (void *)(uintptr_t)env->table);
}

void files_end(struct files_env *env)
{
    free(env->open);
    env->open = NULL;
    env->n_open = 0;
}

/* The first of those that were there at the beginning and are not before these rows. */
static size_t first_open(const struct files_env *env, const struct rowset *r)
{
    size_t low = 0, high = env->n_open;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct rowset of = rows_like(env->open[middle]);
        if (files_compare(env->table, &of, r) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* 1: the file takes these rows, if need be with the columns that its table got since. */
static int takes(struct file_build *f, const struct files_env *env, const struct rowset *r,
                 struct err *e)
{
    const struct rowset first = rows_like(f);
    if (f->sealed || files_compare(env->table, &first, r) != 0)
        return 0;
    if (f->schema_id == env->encode->schema->schema_id)
        return 1;
    struct pq_schema *schema = encode_schema(env->encode->schema);
    int rc = pq_writer_extend(f->writer, schema, e);
    encode_schema_free(schema);
    if (rc == 1)
        f->schema_id = env->encode->schema->schema_id;
    return rc;
}

/* ---- spools ---- */

/* What is reserved and was never written to takes no memory, but what was takes it by the page. */
static void count_bytes(struct file_build *f)
{
    size_t page = 4096, written = (f->out.n + page - 1) / page * page;
    f->bytes = sizeof *f + (f->spool || f->out.cap < OUT_BYTES ? f->out.cap : written) + pq_writer_bytes(f->writer);
}

/* Where the store takes pieces without keeping them. One that cannot be opened is no harm: it stays in memory, and
 * what is wrong is told when it is put. */
static void begin_spool(struct file_build *f, const struct files_env *env, uint32_t number)
{
    struct store *store = table_store(env->handle);
    if (!env->spools || store != env->store || !store->spools)
        return;
    if (atomic_fetch_add(env->spools, 1) < SPOOLS_MAX) {
        f->key = table_data_key(env->handle, f->partition, number);
        f->spool = store_create(store, f->key, NULL);
    }
    if (!f->spool) {
        atomic_fetch_sub(env->spools, 1);
        free(f->key);
        f->key = NULL;
        return;
    }
    f->store = store;
    f->root = mem_strdup(store->root_uri);
    f->spools = env->spools;
}

static void end_spool(struct file_build *f)
{
    f->spool = NULL;
    atomic_fetch_sub(f->spools, 1);
}

/* Into memory, where it waits until the disk takes it whole: rows that were encoded are nowhere else. `out`: what the
 * spool would not take. */
static int leave_spool(struct file_build *f, struct buf *out, struct err *e)
{
    struct buf all = {0};
    if (store_read_back(f->spool, buf_reserve(&all, f->spooled + out->n), f->spooled, e)) {
        buf_fini(&all);
        return -1;
    }
    all.n = f->spooled;
    buf_put(&all, out->p, out->n);
    out->n = 0;
    store_abort(f->spool);
    end_spool(f);
    free(f->key);
    free(f->root);
    f->key = f->root = NULL;
    buf_fini(&f->out);
    f->out = all;
    return 0;
}

/* `out` is empty then. */
static int write_spool(struct file_build *f, struct buf *out, struct err *e)
{
    if (store_write(f->spool, out->p, out->n, e)) {
        log_warn("%s; it is kept in memory", e->text);
        return leave_spool(f, out, e);
    }
    f->spooled += out->n;
    out->n = 0;
    return 0;
}

int files_store(struct file_build *files, struct err *e)
{
    struct store *store = NULL;
    size_t n = 0;
    int rc = 0;
    for (struct file_build *f = files; f; f = f->next)
        n += f->spool != NULL;
    struct store_writer **spools = mem_array(n + 1, sizeof *spools);
    n = 0;
    for (struct file_build *f = files; f; f = f->next)
        if (f->spool) {
            store = f->store;
            spools[n++] = f->spool;
        }
    if (n)
        rc = store_finish_all(store, spools, n, e);
    for (struct file_build *f = files; f; f = f->next)
        if (f->spool) {
            end_spool(f);
            f->stored = rc == 0;
            count_bytes(f);
        }
    free(spools);
    return rc;
}

/* ---- */

static struct file_build *open_file(struct file_build **files, const struct files_env *env,
                                    struct rowset *const *sets, size_t n)
{
    struct file_build *f = mem_zalloc(sizeof *f);
    const struct rowset *r = sets[0];
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += sets[i]->bytes;
    f->time_partition = r->time_partition;
    f->name = r->name ? mem_strdup(r->name) : NULL;
    f->subtype = r->subtype ? mem_strdup(r->subtype) : NULL;
    f->schema_id = env->encode->schema->schema_id;
    for (uint32_t i = 0; i < env->n_partition; i++) {
        const struct partition_field *p = &env->partition[i];
        struct partition_value *v = &f->partition[i];
        if (strcmp(p->transform, "identity") != 0)
            v->number = f->time_partition;
        else if (p->source_id == COL_EVENT_NAME)
            v->text = (struct str){f->name, r->name_n};
        else if (f->subtype)
            v->text = (struct str){f->subtype, r->subtype_n};
        else
            v->is_null = true;
    }
    f->number = *files ? (*files)->number + 1 : 0;
    begin_spool(f, env, f->number);
    if (!f->spool && f->number < OUT_MANY && bytes >= OUT_FEW)
        buf_reserve(&f->out, OUT_BYTES);
    f->writer = encode_open(env->encode, &f->out, &f->cost);
    f->next = *files;
    *files = f;
    return f;
}

struct grouping {
    const struct encode_env *env;
    struct pq_writer *w;
    struct rowset **sets;
    size_t n;
    struct err *e;
    int rc;
};

static void encode(void *arg)
{
    struct grouping *g = arg;
    for (size_t i = 0; i < g->n; i++)
        rowset_unpack(g->sets[i]);
    g->rc = encode_group(g->env, g->w, g->sets, g->n, g->e);
}

/* A row group to the file's end. */
static int add_group(struct file_build *f, const struct files_env *env, struct rowset **sets, size_t n,
                     struct err *e)
{
    struct buf own = f->out;
    if (f->spool) { /* what it has is little: its first bytes */
        f->out = *env->out;
        *env->out = (struct buf){0};
        buf_put(&f->out, own.p, own.n);
    }
    struct grouping g = {env->encode, f->writer, sets, n, e, 0};
    workers_run(env->workers, encode, &g);
    int rc = g.rc;
    if (rc)
        e->kind = ERR_INVALID;
    if (!f->spool)
        return rc;
    *env->out = f->out;
    f->out = own;
    f->out.n = 0;
    int64_t cpu = clock_thread_cpu_ns();
    if (!rc)
        rc = write_spool(f, env->out, e);
    env->out->n = 0;
    *env->write_ns += clock_thread_cpu_ns() - cpu;
    return rc;
}

int files_add(struct file_build **files, struct files_env *env, struct rowset **sets,
              size_t n, struct err *e)
{
    struct file_build *f = NULL;
    int fits = 0;
    for (size_t i = first_open(env, sets[0]); i < env->n_open && !fits; i++) {
        const struct rowset of = rows_like(env->open[i]);
        if (files_compare(env->table, &of, sets[0]) != 0)
            break;
        f = env->open[i];
        fits = takes(f, env, sets[0], e);
    }
    if (!fits && *files && (fits = takes(*files, env, sets[0], e)) > 0)
        f = *files; /* of the call before, where it had more to come */
    if (fits < 0) {
        e->kind = ERR_INVALID;
        return -1;
    }
    if (!fits)
        f = open_file(files, env, sets, n);
    struct pq_cost before = f->cost;
    if (add_group(f, env, sets, n, e))
        return -1;
    env->cost->encode_ns += f->cost.encode_ns - before.encode_ns;
    env->cost->compress_ns += f->cost.compress_ns - before.compress_ns;
    env->cost->encoded_bytes += f->cost.encoded_bytes - before.encoded_bytes;
    env->cost->compressed_bytes += f->cost.compressed_bytes - before.compressed_bytes;
    env->held -= f->bytes;
    count_bytes(f);
    env->held += f->bytes;
    f->encoded = (size_t)pq_writer_size(f->writer);
    f->complete = env->last && !env->more;
    return 0;
}

size_t files_held(const struct file_build *files)
{
    size_t n = 0;
    for (const struct file_build *f = files; f; f = f->next)
        n += f->bytes;
    return n;
}

int file_seal(struct file_build *f, struct err *e)
{
    if (f->sealed)
        return 0;
    if (pq_writer_finish(f->writer, e))
        return -1;
    f->sealed = true;
    if (!f->spool)
        return 0;
    if (write_spool(f, &f->out, e))
        return -1;
    if (f->spool)
        buf_fini(&f->out);
    return 0;
}

/* ---- putting ---- */

/* `some` are sealed; they are put side by side. */
static int put_some(struct file_build **some, size_t n, const struct table *t, const struct store *lake, struct err *e)
{
    struct store *store = table_store(t);
    struct store_object objects[FILES_PUT_AT_ONCE];
    char *keys[FILES_PUT_AT_ONCE];
    for (size_t i = 0; i < n; i++) {
        keys[i] = table_data_key(t, some[i]->partition, some[i]->number);
        objects[i] = (struct store_object){keys[i], some[i]->out.p, some[i]->out.n};
    }
    int rc = n ? store_put_all(store, objects, n, e) : 0;
    for (size_t i = 0; i < n; i++) {
        struct file_build *f = some[i];
        if (rc) { /* nobody can refer to it */
            store->ops->remove(store, keys[i], NULL);
            free(keys[i]);
            continue;
        }
        f->stored = true;
        f->key = keys[i];
        f->root = mem_strdup(store->root_uri);
        f->store = store == lake ? store : NULL;
        buf_fini(&f->out);
        count_bytes(f);
    }
    return rc;
}

int files_put(struct file_build *files, const struct table *t, const struct store *lake, bool all, bool *broken,
              struct err *e)
{
    struct file_build *some[FILES_PUT_AT_ONCE];
    size_t n = 0;
    for (struct file_build *f = files; f; f = f->next) {
        if (f->spool || f->stored || !(all || f->complete))
            continue;
        if (file_seal(f, e)) {
            *broken = true;
            return -1;
        }
        some[n++] = f;
        if (n < FILES_PUT_AT_ONCE)
            continue;
        if (put_some(some, n, t, lake, e))
            return -1;
        n = 0;
    }
    return put_some(some, n, t, lake, e);
}

void files_free(struct file_build **files)
{
    while (*files) {
        struct file_build *f = *files;
        *files = f->next;
        pq_writer_free(f->writer);
        if (f->spool) {
            store_abort(f->spool);
            end_spool(f);
        }
        if (f->stored && !f->offered && f->store)
            f->store->ops->remove(f->store, f->key, NULL);
        free(f->key);
        free(f->root);
        buf_fini(&f->out);
        free(f->name);
        free(f->subtype);
        free(f);
    }
}
