/* The dedup window, rebuilt: event_uuid and _arrived_at of the lake's newest files, those with an arrival in the
 * window. What was committed before the window arrived before it, by whosever clock. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pipeline/run_int.h"

#define CLOCKS_APART_MS (15 * 60000) /* more, and S3 takes nothing from a writer */

struct restore {
    struct run *run;
    struct table *table;
    const struct schema_ids *columns;
    struct err *err;
    int64_t since_us;
    uint64_t ids;
    int rc;
};

static void restore_ids(struct restore *s, const struct column *ids, const struct column *times)
{
    const uint8_t *at = ids->texts;
    uint8_t padded[256 + 64];
    for (uint32_t i = 0; i < ids->n_values && i < times->n_values; i++, at = column_text_next(at)) {
        struct dedup_key key;
        struct str id = column_text_at(at);
        if (times->longs[i] < s->since_us || id.n > 256)
            continue;
        memset(padded, 0, sizeof padded);
        memcpy(padded, id.p, id.n);
        dedup_key(&key, padded, id.n);
        dedup_restore(s->run->dedup, &key, times->longs[i]);
        s->ids++;
    }
}

static int restore_file(struct restore *s, const struct table_file *f, struct err *e)
{
    struct store_reader file = {table_store(s->table), f->key};
    struct pq_reader *r = pq_reader_open(store_read_at, &file, f->bytes, e);
    int rc = r ? 0 : -1;
    int uuid = r ? pq_reader_leaf_by_id(r, s->columns->of[COL_EVENT_UUID]) : -1;
    int arrived = r ? pq_reader_leaf_by_id(r, s->columns->of[COL_ARRIVED_AT]) : -1;
    for (uint32_t g = 0; r && uuid >= 0 && arrived >= 0 && !rc && g < pq_reader_groups(r); g++) {
        struct column ids = {0}, times = {0};
        rc = pq_reader_column(r, g, (uint32_t)uuid, &ids, e);
        if (!rc)
            rc = pq_reader_column(r, g, (uint32_t)arrived, &times, e);
        if (!rc)
            restore_ids(s, &ids, &times);
        column_fini(&ids);
        column_fini(&times);
    }
    if (r)
        pq_reader_close(r);
    return rc;
}

static bool each_file(void *ctx, const struct table_file *f)
{
    struct restore *s = ctx;
    if (f->has_bounds && f->upper < s->since_us)
        return true;
    if (!f->key)
        return true;
    s->rc = restore_file(s, f, s->err);
    return s->rc == 0;
}

struct restores {
    struct run *run;
    bool again;
    int64_t since_us;
    struct restore *of; /* of each table */
    struct err *errs;
};

static void restore_table(void *ctx, size_t i)
{
    struct restores *all = ctx;
    struct ptable *t = router_at(&all->run->router, (uint32_t)i);
    struct restore *s = &all->of[i];
    *s = (struct restore){.run = all->run, .columns = &t->ids, .err = &all->errs[i],
                          .since_us = all->since_us};
    if (i == 0)
        return; /* dead letters */
    /* In mid-run the other handle may be with a committer, and does not know what others did. */
    struct table *fresh = all->again && ptable_there(t) ? table_load(&all->run->lake, t->st.name, s->err) : NULL;
    s->table = all->again ? fresh : t->handle;
    if (all->again && ptable_there(t) && !fresh && !t->st.unavailable)
        s->rc = -1;
    else if (s->table && table_files_since(s->table, all->since_us / 1000 - CLOCKS_APART_MS,
                                           t->ids.of[COL_ARRIVED_AT], each_file, s, s->err))
        s->rc = -1;
    table_free(fresh);
    if (!all->again && t->handle)
        table_rest(t->handle, BASES_BYTES / router_count(&all->run->router));
}

int run_restore_dedup(struct run *r, bool again, struct err *e)
{
    uint32_t n = router_count(&r->router);
    struct restores all = {.run = r, .again = again, .of = mem_array(n + 1, sizeof *all.of),
                           .errs = mem_array(n + 1, sizeof *all.errs)};
    int64_t began = clock_mono_ns();
    uint64_t ids = 0;
    int rc = 0;
    all.since_us = clock_wall_us(r->clock) - r->config->dedup_window_us;
    run_each(r, n, restore_table, &all);
    for (uint32_t i = 0; i < n; i++) {
        ids += all.of[i].ids;
        if (all.of[i].rc && !rc) {
            *e = all.errs[i];
            rc = err_wrap(e, "table %s", router_at(&r->router, i)->st.name);
        }
    }
    free(all.of);
    free(all.errs);
    if (rc)
        return err_wrap(e, "rebuilding the dedup window from the lake");
    if (ids)
        log_info("dedup window: %llu event ids of the last %lld minutes read back from the lake in %lld ms",
                 (unsigned long long)ids, (long long)(r->config->dedup_window_us / 60000000),
                 (long long)((clock_mono_ns() - began) / 1000000));
    return 0;
}
