/* The beginning of an incarnation: stores, leases, and then, lease in hand, what every table holds of
 * every shard: in this order, for what we expect decides whether a later commit is ours to make. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cores.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/policy.h"
#include "base/thread.h"
#include "pipeline/adopt.h"
#include "pipeline/loads.h"
#include "pipeline/run_int.h"
#include "source/kinesis.h"
#include "source/objects.h"

#define FIXED_BYTES ((size_t)92 << 20) /* libraries, stacks, encoders, what malloc loses: measured */
#define LEARNED_SHARE 8 /* of the memory */
#define FETCHED_FILE_BYTES ((size_t)4 << 20)
#define STORE_PATIENCE_MS (15 * 60000) /* a stream waits out what an evening's outage takes */
#define REMOTE_READERS 8
#define START_PAUSE_MS 1000 /* between attempts, each of which has a patience of its own */
#define EXPANSION_MOST 150 /* rows to bytes of input, where each row has a partition of its own: measured, 110 */
#define ROWS_BYTES_MIN ((size_t)24 << 20)

static void random_bytes(void *ctx, void *p, size_t n)
{
    (void)ctx;
    invariant(getentropy(p, n) == 0);
}

static void *committer_main(void *arg)
{
    struct run *r = arg;
    struct commit_job *job;
    if (r->shredders == 1) /* else what it computes for long is done on their threads */
        policy_batch();
    while ((job = queue_pop(r->commits))) {
        job->desks = r->desks;
        job->workers = r->workers;
        commit_job_run(job);
        struct msg *m = mem_zalloc(sizeof *m);
        m->ev.kind = (enum source_event_kind)MSG_COMMIT_DONE;
        m->job = job;
        invariant(queue_push(r->inbox, m));
    }
    return NULL;
}

static int open_lake(struct run *r, struct err *e)
{
    const struct pipeline_config *c = r->config;
    char *catalog = c->catalog ? mem_strdup(c->catalog) : mem_printf("sqlite:%s/catalog.db", c->lake);
    char *leases = c->leases ? mem_strdup(c->leases)
                   : c->lake ? lease_default_uri(c->lake, catalog, c->ns)
                             : NULL;
    struct store_options store = c->store;
    int rc = -1;
    r->lake = (struct lake){.clock = r->clock,
                            .ns = c->ns,
                            .engine_version = c->version,
                            .snapshot_age_ms = (int64_t)86400000,
                            .snapshots_max = 500,
                            .random = random_bytes,
                            .store_for = lake_store_for,
                            .store_for_ctx = &r->stores};
    store.sync = c->sync;
    store.patience_ms = STORE_PATIENCE_MS;
    r->stores = (struct lake_store_options){.store = store, .clock = r->clock};
    if (c->lake)
        r->lake.store = store_open(c->lake, &store, r->clock, e);
    if (c->lake && !r->lake.store)
        goto done;
    if (!leases) {
        err_set(e, ERR_INVALID, LEASES_NEEDED, catalog);
        goto done;
    }
    struct catalog_options options = c->catalog_options;
    options.uri = catalog;
    options.clock = r->clock;
    r->lake.catalog = catalog_open(&options, e);
    if (!r->lake.catalog)
        goto done;
    if (r->lake.catalog->ops->namespace_ensure(r->lake.catalog, c->ns, e))
        goto done;
    r->leases = c->feed ? c->feed->open_leases(c->feed->ctx, e) : lease_open_uri(leases, r->clock, e);
    rc = r->leases ? 0 : -1;
done:
    free(catalog);
    free(leases);
    return rc;
}

/* A table that is not ours to write (a view, v3, its metadata gone) against a fault that may pass: for that
 * alone no event goes to the dead letters. */
static bool may_pass(const struct err *why)
{
    return why->kind == ERR_RETRY || why->kind == ERR_IO || why->kind == ERR_UNKNOWN;
}

unsigned run_readers(const struct run *r)
{
    return !r->config->lake || store_is_s3(r->config->lake) ? REMOTE_READERS : 1;
}

struct loads_of_tables {
    struct run *run;
    char **names;
    struct table *handles[TABLES_AT_ONCE];
    struct err errs[TABLES_AT_ONCE];
};

static bool is_ours(const char *name)
{
    return strncmp(name, "inlet_", 6) != 0 || strcmp(name, DEAD_LETTERS) == 0;
}

static void load_one(void *ctx, size_t i)
{
    struct loads_of_tables *l = ctx;
    if (is_ours(l->names[i]))
        l->handles[i] = table_load(&l->run->lake, l->names[i], &l->errs[i]);
}

/* What the lake's table of this name, loaded or not, is to us. */
static int take_table(struct run *r, const char *name, struct table *handle, size_t n_tables, struct err *why)
{
    struct ptable *t = is_ours(name) ? router_table(&r->router, name) : NULL;
    if (!t) {
        table_free(handle);
        return 0;
    }
    if (handle && router_bind(t, handle, why) == 0) {
        table_rest(handle, BASES_BYTES / n_tables);
        t->made = true;
        return 0;
    }
    t->st.unavailable = t->unopened = true;
    protocol_quarantine(r->protocol, t->st.number);
    if (may_pass(why))
        return err_wrap(why, "table %s", name);
    log_error("table %s cannot be written: %s; its events go to dead letters (table_unavailable)", name, why->text);
    return 0;
}

static int load_tables(struct run *r, struct err *e)
{
    struct loads_of_tables l = {.run = r};
    char **names;
    size_t n = 0, loaded = 0, events = 0;
    int rc = 0;
    if (lake_tables(&r->lake, &names, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        events += is_ours(names[i]) && strcmp(names[i], DEAD_LETTERS) != 0;
    router_make_room(&r->router, events);
    while (loaded < n && !rc) {
        size_t some = n - loaded < TABLES_AT_ONCE ? n - loaded : TABLES_AT_ONCE;
        l.names = names + loaded;
        memset(l.handles, 0, sizeof l.handles);
        memset(l.errs, 0, sizeof l.errs);
        parallel_each(some, run_readers(r), load_one, &l);
        for (size_t i = 0; i < some; i++)
            if (take_table(r, l.names[i], l.handles[i], n, &l.errs[i]) && !rc) {
                *e = l.errs[i];
                rc = -1;
            }
        loaded += some;
    }
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return rc;
}

static bool all_local(const struct run *r)
{
    return r->lake.store && !store_is_s3(r->lake.store->root_uri) && !r->config->catalog;
}

static void start_threads(struct run *r)
{
    const struct pipeline_config *c = r->config;
    struct workers_env env = {
        .shred = {.dedup = r->dedup,
                  .time_unit = c->time_unit,
                  .record_bytes_max = RECORD_BYTES_MAX,
                  .route = run_route,
                  .passed = run_passed,
                  .letters_stay = c->feed ? c->feed->letters_stay : 0,
                  .ctx = r,
                  .hash_key = c->hash_key,
                  .hash_key_n = c->hash_key_n},
        .budget = r->budget,
        .inbox = r->inbox,
        .threads = c->threads ? c->threads : cores_usable(),
        .clock = r->clock};
    env.partitions_max = c->partitions_max / env.threads + 1;
    env.open_max = budget_limit(r->budget) / 5 * 4 / env.threads;
    env.shred.learned_max = c->memory_bytes / LEARNED_SHARE / env.threads;
    r->shredders = env.threads;
    r->workers = workers_start(&env);
    r->desks = desks_new(env.threads);
    uint32_t committers = all_local(r) ? COMMITTERS_LOCAL : COMMITTERS;
    for (; r->n_committers < committers; r->n_committers++)
        thread_start(&r->committers[r->n_committers], committer_main, r);
}

static int open_sources(struct run *r, struct err *e)
{
    const struct pipeline_config *c = r->config;
    struct source_env env = {.inbox = r->inbox,
                             .budget = r->fetched,
                             .clock = r->clock,
                             .record_bytes_max = RECORD_BYTES_MAX,
                             .batch_most = &r->batch_most,
                             .window_max = c->memory_bytes / 2,
                             .follow = c->follow && !c->stream};
    size_t objects = c->stream ? 0 : source_objects_count(c->objects);
    r->n_sources = c->stream ? 1 : c->n_files + objects;
    r->sources = mem_array(r->n_sources, sizeof *r->sources);
    for (size_t i = 0; i < r->n_sources; i++) {
        struct kinesis_options k = {.stream = c->stream, .stop = c->stop, .patience_ms = c->start_patience_ms};
        if (k.patience_ms > KINESIS_PATIENCE_MS)
            k.patience_ms = KINESIS_PATIENCE_MS; /* the rest is tried from the beginning */
        r->sources[i] = c->feed     ? c->feed->open_source(c->feed->ctx, &env, e)
                        : c->stream ? source_kinesis_open(&k, &env, e)
                        : i < c->n_files
                            ? source_file_open(c->files[i], &env, e)
                            : source_object_open(c->objects, i - c->n_files, &env, e);
        if (!r->sources[i])
            return -1;
    }
    return 0;
}

static int open_all(struct run *r, struct err *e)
{
    const struct pipeline_config *c = r->config;
    size_t dedup = c->dedup_bytes ? c->dedup_bytes : c->memory_bytes / 16 * 5;
    size_t taken = dedup + FIXED_BYTES;
    size_t rows = c->memory_bytes > taken + ROWS_BYTES_MIN ? c->memory_bytes - taken : ROWS_BYTES_MIN;
    char host[64] = "host";
    gethostname(host, sizeof host - 1);
    snprintf(r->owner, sizeof r->owner, "%s:%ld:%lld", host, (long)getpid(),
             (long long)clock_boot_ms(r->clock));
    pthread_rwlock_init(&r->skip_lock, NULL);
    router_init(&r->router, c);
    r->inbox = queue_new(INBOX_EVENTS);
    r->commits = queue_new(INBOX_EVENTS);
    size_t fetched = c->stream ? rows / 4 : FETCHED_FILE_BYTES;
    fetched = fetched < rows / 4 ? fetched : rows / 4;
    r->budget = budget_new(rows - fetched);
    r->fetched = budget_new(fetched);
    budget_wake_at(r->fetched, fetched / 2);
    if (!r->expansion_known)
        r->batch_most = (rows - fetched) / EXPANSION_MOST;
    r->dedup = dedup_new(dedup, c->dedup_window_us);
    r->protocol = protocol_new();
    protocol_refuse_for(r->protocol, run_endless(r) ? c->quarantine_after_ms : 0);
    if (c->feed && c->feed->letters_stay)
        protocol_cover_nothing(r->protocol);
    bool restore = !c->feed || c->feed->restore_dedup;
    if (open_lake(r, e) || open_sources(r, e) || (!c->stream && adopt_look(r, e)) || load_tables(r, e) ||
        (restore && run_restore_dedup(r, false, e)))
        return -1;
    start_threads(r);
    return 0;
}

/* ---- routing, on the shredders' threads ---- */

struct shred_table *run_route(void *ctx, const struct event_name *name, enum reason *why)
{
    struct run *r = ctx;
    struct ptable *t = router_table(&r->router, name->table);
    if (!t)
        *why = REASON_TOO_MANY_TABLES;
    return t ? &t->st : NULL;
}

bool run_passed(void *ctx, const struct shred_table *table, uint32_t shard, struct seq seq)
{
    struct run *r = ctx;
    uint32_t number = table ? table->number : 0;
    pthread_rwlock_rdlock(&r->skip_lock);
    bool passed = number < r->skip_tables && shard < r->skip_shards &&
                  seq_le(seq, r->skip[(size_t)number * r->skip_shards + shard]);
    pthread_rwlock_unlock(&r->skip_lock);
    return passed;
}

/* ---- leases and positions ---- */

/* Tables that the worker before us had quarantined, and that can be opened now. */
static void bring_back_covered(struct run *r)
{
    for (uint32_t i = 1; i < router_count(&r->router); i++)
        if (protocol_route(r->protocol, i) == PROTOCOL_TO_DEAD_LETTERS &&
            !router_at(&r->router, i)->unopened)
            protocol_table_back(r->protocol, i);
}

/* Does nobody else change the tables meanwhile, it seems? A stream's leases in the lake's own directory are for one host. */
static bool alone(const struct run *r)
{
    const struct pipeline_config *c = r->config;
    if (c->stream)
        return all_local(r) && !c->leases && !c->feed;
    return !c->follow && r->lake.store;
}

static int take_sources(struct run *r, struct err *e)
{
    const struct pipeline_config *c = r->config;
    r->drafts = alone(r) && table_drafts(&r->lake);
    for (size_t i = 0; i < r->n_sources; i++) /* where we are not alone, it has to be read again */
        r->drafts &= !r->sources[i]->once;
    if (!c->stream && adopt_identities(r, e))
        return -1;
    for (size_t i = 0; i < r->n_sources; i++)
        if (run_take_all(r, r->sources[i], e))
            return -1;
    if (run_stand_by(r, e))
        return -1;
    if (!c->stream && adopt_check(r, e))
        return -1;
    if (run_read_positions(r, e))
        return -1;
    bring_back_covered(r);
    return protocol_restart_due(r->protocol) ? 0 : run_start_ready(r, e);
}

/* Services that do not answer, of a stream: files are loaded by somebody who is there. Names and rights
 * that are wrong are not waited for. */
static bool start_again(struct run *r, int64_t until_ms, struct err *why)
{
    const struct pipeline_config *c = r->config;
    int64_t left = until_ms - clock_boot_ms(r->clock);
    if (!c->stream || c->feed || (why->kind != ERR_RETRY && why->kind != ERR_UNKNOWN))
        return false;
    if (left <= 0) {
        err_wrap(why, "given up at the start after %" PRId64 " s", c->start_patience_ms / 1000);
        return false;
    }
    log_warn("cannot start yet: %s; trying for another %" PRId64 " s", why->text, left / 1000);
    if (!clock_sleep_unless(r->clock, START_PAUSE_MS, c->stop)) {
        err_set(why, ERR_STOPPED, "stopped");
        return false;
    }
    run_close(r);
    *r = (struct run){.config = c, .report = r->report, .clock = r->clock, .expansion = r->expansion,
                        .expansion_known = r->expansion_known,
                        .batch_most = r->batch_most};
    return true;
}

int run_start(struct run *r, struct err *e)
{
    int64_t until_ms = clock_boot_ms(r->clock) + r->config->start_patience_ms;
    int rc;
    do {
        rc = open_all(r, e) || take_sources(r, e) ? -1 : 0;
        if (r->stood_by) /* for hours, it may be */
            until_ms = clock_boot_ms(r->clock) + r->config->start_patience_ms;
    } while (rc && start_again(r, until_ms, e));
    return rc;
}

void run_close(struct run *r)
{
    struct msg *m;
    budget_close(r->budget);
    budget_close(r->fetched);
    for (size_t i = 0; i < r->n_sources; i++)
        source_close(r->sources[i]);
    free(r->sources);
    queue_close(r->commits);
    for (uint32_t i = 0; i < r->n_committers; i++)
        pthread_join(r->committers[i], NULL);
    if (r->workers)
        workers_stop(r->workers);
    for (size_t i = 0; i < r->n_deferred; i++)
        source_event_free(r->deferred[r->deferred_head + i]);
    free(r->deferred);
    queue_close(r->inbox);
    bool settled = !r->unsettled; /* or whoever is next must know that something may still land */
    while ((m = queue_pop(r->inbox))) {
        if (m->ev.kind == (enum source_event_kind)MSG_COMMIT_DONE) {
            settled &= !m->job->unknown;
            commit_job_free(m->job);
        }
        if (m->ev.kind >= (enum source_event_kind)MSG_BATCH_DONE)
            free(m);
        else
            source_event_free(&m->ev);
    }
    for (uint32_t i = 0; i < r->n_shards; i++) {
        if (r->shards[i].leased && r->leases && settled)
            r->leases->ops->release(r->leases, &r->shards[i].lease, NULL);
        lease_fini(&r->shards[i].lease);
        free(r->shards[i].id);
    }
    free(r->shards);
    free(r->skip);
    router_fini(&r->router);
    loads_free(r);
    adopt_free(r);
    protocol_free(r->protocol);
    lease_store_close(r->leases);
    catalog_close(r->lake.catalog);
    store_close(r->lake.store);
    r->report->peak_budget_bytes = budget_peak(r->budget) + budget_peak(r->fetched);
    dedup_free(r->dedup);
    budget_free(r->budget);
    budget_free(r->fetched);
    queue_free(r->inbox);
    queue_free(r->commits);
    desks_free(r->desks);
    pthread_rwlock_destroy(&r->skip_lock);
}
