/* The beginning of an incarnation: stores, leases, and then, lease in hand, what every table holds of
 * every shard: in this order, for what we expect decides whether a later commit is ours to make. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "pipeline/positions.h"
#include "pipeline/run_int.h"
#include "source/kinesis.h"

#define FIXED_BYTES ((size_t)72 << 20) /* libraries, stacks, encoders, what malloc loses: measured */
#define FETCHED_FILE_BYTES ((size_t)4 << 20)
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
    struct pq_scratch *scratch = pq_scratch_new();
    while ((job = queue_pop(r->commits))) {
        job->scratch = scratch;
        commit_job_run(job);
        struct msg *m = mem_zalloc(sizeof *m);
        m->ev.kind = (enum source_event_kind)MSG_COMMIT_DONE;
        m->job = job;
        invariant(queue_push(r->inbox, m));
    }
    pq_scratch_free(scratch);
    return NULL;
}

static int open_lake(struct run *r, struct err *e)
{
    const struct pipeline_config *c = r->config;
    char *catalog = c->catalog ? mem_strdup(c->catalog) : mem_printf("sqlite:%s/catalog.db", c->lake);
    char *leases = c->leases ? mem_strdup(c->leases) : mem_printf("sqlite:%s/leases.db", c->lake);
    int rc = -1;
    r->lake = (struct lake){.clock = r->clock,
                            .ns = c->ns,
                            .engine_version = c->version,
                            .snapshot_age_ms = (int64_t)86400000,
                            .snapshots_max = 500,
                            .random = random_bytes};
    r->lake.store = store_local_open(c->lake, c->sync, e);
    if (!r->lake.store)
        goto done;
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

static int load_tables(struct run *r, struct err *e)
{
    char **names = NULL;
    size_t n = 0;
    int rc = 0;
    if (lake_tables(&r->lake, &names, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct err why = {0};
        bool ours = strncmp(names[i], "inlet_", 6) != 0 || strcmp(names[i], DEAD_LETTERS) == 0;
        struct ptable *t = ours ? router_table(&r->router, names[i]) : NULL;
        struct table *handle = t ? table_load(&r->lake, names[i], &why) : NULL;
        bool bad = t && (!handle || router_bind(t, handle, &why));
        if (bad && may_pass(&why) && !rc) {
            *e = why;
            rc = err_wrap(e, "table %s", names[i]);
        } else if (bad) {
            t->st.unavailable = t->quarantined = true;
            log_error("table %s cannot be written: %s; its events go to dead letters "
                      "(table_unavailable)",
                      names[i], why.text);
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

static void start_threads(struct run *r)
{
    const struct pipeline_config *c = r->config;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct workers_env env = {
        .shred = {.dedup = r->dedup,
                  .time_unit = c->time_unit,
                  .record_bytes_max = RECORD_BYTES_MAX,
                  .route = run_route,
                  .passed = run_passed,
                  .ctx = r,
                  .hash_key = c->hash_key,
                  .hash_key_n = c->hash_key_n},
        .budget = r->budget,
        .inbox = r->inbox,
        .threads = c->threads ? c->threads : cores > 0 ? (uint32_t)cores : 1,
        .clock = r->clock};
    r->workers = workers_start(&env);
    for (; r->n_committers < COMMITTERS; r->n_committers++)
        invariant(pthread_create(&r->committers[r->n_committers], NULL, committer_main, r) == 0);
}

int run_open(struct run *r, struct err *e)
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
    r->dedup = dedup_new(dedup, c->dedup_window_us);
    r->protocol = protocol_new();
    if (open_lake(r, e) || load_tables(r, e) || (!c->feed && run_restore_dedup(r, e)))
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

static size_t skip_key(char out[48], uint32_t table, uint32_t shard)
{
    return (size_t)snprintf(out, 48, "%u:%u", table, shard);
}

bool run_passed(void *ctx, const struct shred_table *table, uint32_t shard, struct seq seq)
{
    struct run *r = ctx;
    char key[48];
    size_t n = skip_key(key, table ? table->number : 0, shard);
    pthread_rwlock_rdlock(&r->skip_lock);
    const struct seq *held = map_get(&r->skip, key, n);
    bool passed = held && seq_le(seq, *held);
    pthread_rwlock_unlock(&r->skip_lock);
    return passed;
}

/* ---- shards ---- */

static bool owner_is_dead(const char *owner)
{
    char host[64] = "";
    long pid = 0;
    gethostname(host, sizeof host - 1);
    size_t n = strlen(host);
    if (strncmp(owner, host, n) != 0 || owner[n] != ':' || sscanf(owner + n + 1, "%ld", &pid) != 1)
        return false;
    return pid > 0 && (pid == (long)getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH));
}

/* A live owner moves its counter; one that does not for the failover time has lost the lease. Of a
 * stream whose leases are shared, the next worker stands by until the owner gives up or is gone. */
static int take_lease(struct run *r, struct lease *l, struct err *e)
{
    uint64_t seen = l->counter;
    int64_t since = clock_boot_ms(r->clock);
    bool shared = r->leases->shared, told = false;
    while (l->owner && (shared || !owner_is_dead(l->owner)) &&
           clock_boot_ms(r->clock) - since < LEASE_FAILOVER_MS) {
        if (l->counter != seen && !(shared && r->config->stream))
            return err_set(e, ERR_CONFLICT, "%s shard %s is being read by %s", l->stream, l->shard,
                           l->owner);
        if (l->counter != seen) {
            if (!told)
                log_info("%s shard %s is being read by %s; standing by", l->stream, l->shard,
                         l->owner);
            told = true;
            seen = l->counter;
            since = clock_boot_ms(r->clock);
        }
        if (*r->config->stop)
            return err_set(e, ERR_STOPPED, "stopped");
        struct lease now = {0};
        r->clock->sleep_ms(r->clock->ctx, 500);
        if (r->leases->ops->read(r->leases, l->stream, l->shard, &now, e))
            return -1;
        lease_fini(l);
        *l = now;
    }
    return r->leases->ops->take(r->leases, l, r->owner, e);
}

/* Was a parent of it read before, by us or whoever had the leases? Then what is in the child comes after
 * that, however it is asked to start: a split while nobody reads must lose nothing. */
static bool goes_on(struct run *r, const struct pshard *s, const struct source_shard *shard)
{
    for (int p = 0; p < 2 && shard->parents[p]; p++) {
        bool listed = false;
        for (uint32_t i = 0; i < r->n_shards; i++) {
            const struct pshard *up = &r->shards[i];
            if (up->source != s->source || strcmp(up->id, shard->parents[p]) != 0)
                continue;
            listed = true;
            if (up->goes_on || up->started)
                return true;
        }
        struct lease l = {0};
        if (listed || r->leases->ops->read(r->leases, s->identity, shard->parents[p], &l, NULL))
            continue; /* not listed any more: its lease may still be there */
        bool read_before = l.resolved;
        lease_fini(&l);
        if (read_before)
            return true;
    }
    return false;
}

static int resolve_start(struct run *r, struct pshard *s, const struct source_shard *shard,
                         struct err *e)
{
    const struct pipeline_config *c = r->config;
    struct seq at = SEQ_NONE;
    enum source_start_kind kind = c->start == PIPELINE_LATEST    ? START_LATEST
                                  : c->start == PIPELINE_AT_TIME ? START_AT_TIME
                                                                 : START_TRIM_HORIZON;
    s->goes_on = goes_on(r, s, shard);
    if (c->stream && kind != START_TRIM_HORIZON && !s->goes_on &&
        s->source->ops->resolve(s->source, s->id, kind, c->start_time_ms, &at, e))
        return -1;
    return r->leases->ops->checkpoint(r->leases, &s->lease, at, "", e);
}

static void hold(struct run *r, uint32_t table, uint32_t shard, struct seq at)
{
    char key[48];
    struct seq *held = mem_alloc(sizeof *held);
    *held = at;
    protocol_table_position(r->protocol, table, shard, at);
    pthread_rwlock_wrlock(&r->skip_lock);
    free(map_set(&r->skip, key, skip_key(key, table, shard), held));
    pthread_rwlock_unlock(&r->skip_lock);
}

/* What one table holds of the shards from `first` on; a stream's shards stand together. */
static int table_positions(struct run *r, const struct table *t, uint32_t table, uint32_t first,
                           struct err *e)
{
    struct position_map map = {0};
    const char *identity = NULL;
    int rc = 0;
    for (uint32_t n = first; !rc && n < r->n_shards; n++) {
        const struct pshard *s = &r->shards[n];
        if (!s->leased)
            continue;
        if (s->identity != identity) {
            position_map_fini(&map);
            rc = positions_read(t, s->identity, &map, e);
            identity = s->identity;
        }
        struct seq at = rc ? SEQ_NONE : position_map_at(&map, s->id);
        if (seq_cmp(at, SEQ_NONE) != 0)
            hold(r, table, n, at);
    }
    position_map_fini(&map);
    return rc;
}

int run_read_positions(struct run *r, uint32_t first, struct err *e)
{
    for (uint32_t i = 0; i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        struct table *fresh = t->handle ? table_load(&r->lake, t->st.name, e) : NULL;
        int rc = fresh ? table_positions(r, fresh, i, first, e) : t->handle ? -1 : 0;
        table_free(fresh);
        if (rc)
            return err_wrap(e, "positions in table %s", t->st.name);
    }
    return 0;
}

int run_take_shard(struct run *r, struct source *source, const struct source_shard *shard,
                   struct err *e)
{
    const char *identity = source->ops->identity(source);
    const char *const parents[2] = {shard->parents[0], shard->parents[1]};
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].source == source && strcmp(r->shards[i].id, shard->id) == 0)
            return 0;
    uint32_t number = r->n_shards++;
    r->shards = mem_regrow(r->shards, r->n_shards, sizeof *r->shards);
    struct pshard *s = &r->shards[number];
    *s = (struct pshard){.source = source, .identity = identity, .id = mem_strdup(shard->id)};
    if (r->leases->ops->ensure(r->leases, identity, shard->id, parents, e) ||
        r->leases->ops->read(r->leases, identity, shard->id, &s->lease, e))
        return -1;
    if (s->lease.resolved && seq_cmp(s->lease.checkpoint, SEQ_END) == 0) {
        s->ended = s->started = true;
        return 0;
    }
    if (take_lease(r, &s->lease, e))
        return -1;
    s->goes_on = s->lease.resolved;
    if (!s->lease.resolved && resolve_start(r, s, shard, e))
        return -1;
    s->leased = true;
    protocol_shard_taken(r->protocol, number, s->lease.checkpoint);
    protocol_shard_note(r->protocol, number, s->lease.note);
    return 0;
}

/* A child begins once its parents' leases are at SHARD_END, or are not there at all. */
static bool parents_done(const struct run *r, const struct pshard *s)
{
    for (int p = 0; p < 2; p++)
        for (uint32_t i = 0; s->lease.parents[p] && i < r->n_shards; i++)
            if (r->shards[i].source == s->source &&
                strcmp(r->shards[i].id, s->lease.parents[p]) == 0 && !r->shards[i].ended)
                return false;
    return true;
}

int run_start_ready(struct run *r, struct err *e)
{
    bool file_open = false;
    for (uint32_t i = 0; i < r->n_shards; i++) {
        struct pshard *s = &r->shards[i];
        if (!r->config->stream && file_open) /* files one after the other */
            break;
        if (s->started || !s->leased || !parents_done(r, s)) {
            file_open |= s->started && !s->closed_at_source && !s->ended;
            continue;
        }
        s->started = true;
        file_open = true;
        s->generation++;
        if (s->source->ops->start(s->source, s->id, i, s->generation, s->lease.checkpoint,
                                  s->lease.note, e))
            return -1;
    }
    return 0;
}

static int take_all_shards(struct run *r, struct source *source, struct err *e)
{
    struct source_shard *shards = NULL;
    size_t n = 0;
    int rc = source->ops->shards(source, &shards, &n, e);
    for (size_t i = 0; !rc && i < n; i++)
        rc = run_take_shard(r, source, &shards[i], e);
    source_shards_free(shards, n);
    return rc;
}

int run_sources(struct run *r, struct err *e)
{
    const struct pipeline_config *c = r->config;
    struct source_env env = {.inbox = r->inbox,
                             .budget = r->fetched,
                             .clock = r->clock,
                             .record_bytes_max = RECORD_BYTES_MAX};
    r->n_sources = c->stream ? 1 : c->n_files;
    r->sources = mem_array(r->n_sources, sizeof *r->sources);
    for (size_t i = 0; i < r->n_sources; i++) {
        struct kinesis_options k = {.stream = c->stream};
        r->sources[i] = c->feed     ? c->feed->open_source(c->feed->ctx, &env, e)
                        : c->stream ? source_kinesis_open(&k, &env, e)
                                    : source_file_open(c->files[i], &env, e);
        if (!r->sources[i] || take_all_shards(r, r->sources[i], e))
            return -1;
    }
    return run_read_positions(r, 0, e) ? -1 : run_start_ready(r, e);
}

void run_close(struct run *r)
{
    struct msg *m;
    struct map_entry *entry;
    size_t at = 0;
    budget_close(r->budget);
    budget_close(r->fetched);
    for (size_t i = 0; i < r->n_sources; i++)
        source_close(r->sources[i]);
    free(r->sources);
    if (r->workers)
        workers_stop(r->workers);
    queue_close(r->commits);
    for (uint32_t i = 0; i < r->n_committers; i++)
        pthread_join(r->committers[i], NULL);
    for (size_t i = 0; i < r->n_deferred; i++)
        source_event_free(r->deferred[r->deferred_head + i]);
    free(r->deferred);
    queue_close(r->inbox);
    while ((m = queue_pop(r->inbox))) {
        if (m->ev.kind == (enum source_event_kind)MSG_COMMIT_DONE)
            commit_job_free(m->job);
        if (m->ev.kind >= (enum source_event_kind)MSG_BATCH_DONE)
            free(m);
        else
            source_event_free(&m->ev);
    }
    for (uint32_t i = 0; i < r->n_shards; i++) {
        if (r->shards[i].leased && r->leases)
            r->leases->ops->release(r->leases, &r->shards[i].lease, NULL);
        lease_fini(&r->shards[i].lease);
        free(r->shards[i].id);
    }
    free(r->shards);
    while ((entry = map_next(&r->skip, &at)))
        free(entry->value);
    map_fini(&r->skip);
    router_fini(&r->router);
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
    pthread_rwlock_destroy(&r->skip_lock);
}
