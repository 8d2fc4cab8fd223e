/* What fills the memory, and what is to be done about it: cut, encode or commit. */
#include "base/mem.h"
#include "base/pages.h"
#include "pipeline/run_int.h"

#define PRESSURE_PERCENT 45   /* of the budget, beside encoded files: encode */
#define OPEN_PERCENT 60       /* of the same, in rows that no cut has detached: cut */
#define FULL_PERCENT 80       /* of the budget: nothing more is shredded */
#define FEW_PERCENT 5         /* ... of the budget in tables with few rows: those are encoded, too */
#define FILES_PERCENT 45      /* of the budget in encoded files: commit the larger ones */
#define THIN_PERCENT 60       /* of the budget beside encoded files in rows that it is no use to encode: commit */
#define ENCODED_SHARE 4       /* rows in memory are about so many times their encoded bytes */
#define ROWS_USEFUL ((size_t)64 << 20) /* these percentages are of so many bytes at most, ... */
#define ROWS_EACH ((size_t)32 << 20)   /* ... and so many for each shredder */
#define LEAF_BYTES 600        /* of memory for each column of a file and row group until the commit, */
#define WORTH 2               /* ... and rows that take less than twice that stay rows */
#define BATCH_LEAST 16384.0
#define BATCH_MOST 1e9
#define CUT_MIN_MS 10
#define CUT_FULL_MS 500       /* full for so long, whatever committers are at: cut what there is */
#define WATCH_MS 50
#define SMALL_BYTES ((size_t)1 << 20)
#define SET_COMMITTED ((size_t)32 << 10) /* of the memory, for each row set of a table: each may be a file of its own */
#define SETS_FEW 64
#define SETS_FREE 512     /* of a batch, more cost ... */
#define SET_BYTES 4096    /* ... that, as files of their own that wait for their commit */
#define COMMIT_COLUMN ((size_t)32 << 10) /* of the memory, for each column of the tables that committers are at */

static size_t less(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static size_t percent(size_t bytes, size_t of)
{
    return bytes / 100 * of;
}

/* Of the budget: less where the process as a whole, tables and ids and all, holds more than it may. */
static size_t limit(const struct run *r)
{
    return budget_limit(r->budget) - r->excess;
}

static bool fills(struct run *r, size_t coming)
{
    return budget_used(r->budget) + coming > percent(limit(r), FULL_PERCENT);
}

/* Row sets that may wait, of a table and of all such tables: each may be a file of its own. */
static size_t sets_most(const struct run *r)
{
    return r->config->memory_bytes / SET_COMMITTED;
}

bool pressure_full(struct run *r)
{
    size_t coming = (size_t)((double)r->open_bytes * r->expansion);
    if (r->sets_waiting > sets_most(r))
        return true;
    if (!r->expansion_known && r->open_batches)
        return true;
    return fills(r, coming);
}

/* The same without what is still to come: only what is there can be encoded. */
static bool crammed(struct run *r)
{
    return fills(r, 0);
}

/* A few bytes can make a row set of kilobytes, where each has a name of its own. */
void pressure_learn(struct run *r, const struct msg *m)
{
    size_t files = less(m->sets, SETS_FREE) * SET_BYTES;
    double now = (double)(m->grew + files) / (double)(m->bytes + 1);
    r->expansion = now > r->expansion ? now : r->expansion * 0.9 + now * 0.1;
    r->expansion_known = true;
    r->open_bytes -= m->bytes;
    double most = (double)limit(r) / 2 / r->expansion;
    most = most > BATCH_LEAST ? most : BATCH_LEAST;
    r->batch_most = (size_t)(most < BATCH_MOST ? most : BATCH_MOST);
}

/* What is too much is taken from rows, again and again while it is; what is too little comes back slowly. */
void pressure_watch(struct run *r, int64_t now)
{
    size_t may = r->config->memory_bytes / 32 * 29, most = budget_limit(r->budget) / 2, held;
    if (now - r->last_watch_ms < WATCH_MS)
        return;
    r->last_watch_ms = now;
    held = mem_resident();
    if (held > may) {
        pages_trim();
        mem_trim();
        held = mem_resident();
    }
    size_t sum = held > may ? r->excess + (held - may) / 4 : less(r->excess, (may - held) / 16);
    r->excess = sum < most ? sum : most;
}

void pressure_files(struct run *r, struct ptable *t, size_t bytes)
{
    r->files_held += bytes - t->files_bytes;
    r->files_tables += (uint32_t)(bytes > 0) - (uint32_t)(t->files_bytes > 0);
    t->files_bytes = bytes;
}

size_t pressure_files_room(const struct run *r)
{
    return less(percent(limit(r), FILES_PERCENT), r->files_held);
}

/* More memory than some is of no use to rows: they leave the caches, and new memory has to be cleared. */
static size_t rows_room(const struct run *r)
{
    size_t room = less(limit(r), r->files_held), most = ROWS_USEFUL + r->shredders * ROWS_EACH;
    return room < most ? room : most;
}

/* Want of memory calls for a cut only where a cut gives encoders something to do: rows that were cut and wait
 * for them are none of its business, and each cut makes more and smaller row groups. */
bool pressure_cuts(struct run *r, int64_t since_ms)
{
    size_t open = workers_open_bytes(r->workers);
    if (since_ms < CUT_MIN_MS || !open)
        return false;
    return workers_open_sets(r->workers) > sets_most(r) || open > percent(rows_room(r), OPEN_PERCENT) ||
           (crammed(r) && (!r->committing || r->cuts_join || since_ms >= CUT_FULL_MS));
}

uint32_t pressure_columns(const struct ptable *t)
{
    return registry_leaves(t->st.registry) + ENVELOPE_COLUMNS;
}

bool pressure_jobs_full(const struct run *r, const struct ptable *t)
{
    return r->job_columns && r->job_columns + pressure_columns(t) > r->config->memory_bytes / COMMIT_COLUMN;
}

static bool many_sets(const struct run *r, const struct ptable *t)
{
    return t->pending_sets > sets_most(r);
}

/* Few rows of many columns take less as they are than their file would until the commit: its columns' pages and bounds.
 * Where a table has more than a few sets, most are of partitions of their own, and files of their own. */
static bool is_thin(const struct ptable *t)
{
    size_t files = t->pending_sets > SETS_FEW ? t->pending_sets : 1;
    return t->pending && t->pending_bytes < files * WORTH * LEAF_BYTES * pressure_columns(t);
}

struct pressure pressure_now(struct run *r)
{
    size_t few = 0, thin = 0, n_thin = 0;
    struct pressure p = {.rows = less(budget_used(r->budget), r->files_held) > percent(rows_room(r), PRESSURE_PERCENT),
                         .many = limit(r) / 400};
    r->sets_waiting = 0;
    for (uint32_t i = 0; i < router_count(&r->router); i++) {
        struct ptable *t = router_at(&r->router, i);
        if (many_sets(r, t) && is_thin(t))
            r->sets_waiting += t->pending_sets;
        few += t->pending_bytes < p.many ? t->pending_bytes : 0;
        if (p.rows && !t->busy && is_thin(t)) {
            thin += t->pending_bytes;
            n_thin++;
        }
    }
    p.full = crammed(r) && few > percent(limit(r), FEW_PERCENT);
    if (r->files_held > percent(limit(r), FILES_PERCENT))
        p.commit = r->files_held / (r->files_tables * 2);
    if (thin > percent(rows_room(r), THIN_PERCENT))
        p.commit_thin = thin / n_thin;
    return p;
}

bool pressure_encodes(const struct run *r, const struct ptable *t, const struct pressure *p)
{
    bool wanted = p->full || (p->rows && t->pending_bytes >= p->many) || many_sets(r, t);
    return wanted && t->pending_bytes > t->waiting_bytes && !is_thin(t);
}

bool pressure_commits(const struct run *r, const struct ptable *t, const struct pressure *p, int64_t now)
{
    size_t encoded = t->files_encoded + t->pending_bytes / ENCODED_SHARE;
    int64_t age = now - t->pending_since_ms;
    if (r->draining || r->shard_ending || encoded >= r->config->commit_bytes)
        return true;
    if (p->commit && t->files_bytes >= p->commit)
        return true;
    if (((p->commit_thin && t->pending_bytes >= p->commit_thin) || many_sets(r, t)) && is_thin(t))
        return true;
    return age >= r->config->commit_interval_ms * (encoded * ENCODED_SHARE < SMALL_BYTES ? 5 : 1);
}
