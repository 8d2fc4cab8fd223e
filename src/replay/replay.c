/* The letters as a source: a thread for each reason (a shard) that is being read. See replay.h. */
#include "replay/replay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "lease/lease.h"
#include "protocol/position_map.h"
#include "replay/letters.h"
#include "source/source.h"

#define DEAD_LETTERS "inlet_dead_letters"
#define TIP_MS 50
#define NO_TABLE (1u << REASON_TOO_MANY_TABLES | 1u << REASON_TABLE_UNAVAILABLE)
#define ANY UINT32_MAX

struct replay {
    const struct lake *lake;
    uint32_t reasons; /* that are read */
    uint32_t come;    /* of which some can be rows now */
    int64_t newest;   /* file of letters; what this replay writes itself is not for it to read */
    char *identity;
};

struct reading { /* of one shard, from one start to its stop */
    struct letter_source *source;
    enum reason reason;
    uint32_t number, generation;
    pthread_t thread;
    atomic_bool stop;
    struct reading *next;
};

struct letter_source {
    struct source source; /* first: a struct source * is this */
    struct replay *replay;
    struct source_env env;
    struct reading *readings; /* the coordinator's */
};

static struct letter_source *source_of(struct source *s)
{
    return (struct letter_source *)(void *)s;
}

static char *shard_name(enum reason reason)
{
    return mem_printf("letters/%s", event_reason_code(reason));
}

static enum reason reason_of(const char *shard)
{
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++)
        if (strcmp(shard + strlen("letters/"), event_reason_code((enum reason)i)) == 0)
            return (enum reason)i;
    return REASON_NONE;
}

/* ---- reading, in the thread ---- */

static struct source_event *event(const struct reading *r, enum source_event_kind kind)
{
    struct source_event *ev = mem_zalloc(sizeof *ev);
    ev->kind = kind;
    ev->shard = r->number;
    ev->generation = r->generation;
    return ev;
}

static bool push(struct letter_source *s, struct source_event *ev)
{
    if (queue_push(s->env.inbox, ev))
        return true;
    if (ev->batch)
        budget_give(ev->batch->budget, ev->batch->charged_bytes);
    source_event_free(ev);
    return false;
}

static int send_next(struct reading *r, struct letters *l, struct err *e)
{
    struct letter_source *s = r->source;
    struct source_batch *b = mem_zalloc(sizeof *b);
    struct buf body = {0};
    *b = (struct source_batch){.source = &s->source,
                               .shard = r->number,
                               .generation = r->generation,
                               .format = BATCH_GET_RECORDS,
                               .budget = s->env.budget};
    int rc = letters_next(l, &body, &b->first, &b->last, &b->records, &b->arrived_us, e);
    b->data = body.p;
    b->n_data = b->charged_bytes = body.n;
    if (rc <= 0 || !budget_take(s->env.budget, body.n)) {
        source_batch_free(b);
        return rc < 0 ? -1 : 0;
    }
    struct source_event *ev = event(r, SOURCE_BATCH);
    ev->batch = b;
    return push(s, ev);
}

/* All there is, and then "at the tip" until it is stopped. */
static void *read_letters(void *arg)
{
    struct reading *r = arg;
    struct letter_source *s = r->source;
    struct err e = {0};
    struct table *t = table_load(s->replay->lake, DEAD_LETTERS, &e);
    struct letters *l =
        t ? letters_open(t, event_reason_code(r->reason), s->replay->newest, &e) : NULL;
    int rc = l ? 1 : -1;
    while (rc > 0 && !r->stop)
        rc = send_next(r, l, &e);
    letters_close(l);
    table_free(t);
    if (rc < 0) {
        struct source_event *ev = event(r, SOURCE_FAILED);
        ev->error = e;
        push(s, ev);
    }
    while (rc == 0 && !r->stop && push(s, event(r, SOURCE_TIP)))
        s->env.clock->sleep_ms(s->env.clock->ctx, TIP_MS);
    return NULL;
}

/* ---- the source ---- */

static const char *letters_identity(struct source *s)
{
    return source_of(s)->replay->identity;
}

static int letters_shards(struct source *s, struct source_shard **out, size_t *n, struct err *e)
{
    uint32_t reasons = source_of(s)->replay->reasons;
    (void)e;
    *out = mem_array(REASON_COUNT, sizeof **out);
    *n = 0;
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++)
        if (reasons & 1u << i)
            (*out)[(*n)++].id = shard_name((enum reason)i);
    return 0;
}

static int letters_resolve(struct source *s, const char *shard, enum source_start_kind kind,
                           int64_t time_ms, struct seq *out, struct err *e)
{
    (void)s, (void)shard, (void)kind, (void)time_ms, (void)e;
    *out = SEQ_NONE;
    return 0;
}

/* Always from the first letter: what the tables hold is skipped by their positions. */
static int letters_start(struct source *s, const char *shard, uint32_t number, uint32_t generation,
                         struct seq after, const char *note, struct err *e)
{
    struct letter_source *ls = source_of(s);
    struct reading *r = mem_zalloc(sizeof *r);
    (void)after, (void)note;
    r->source = ls;
    r->number = number;
    r->generation = generation;
    r->reason = reason_of(shard);
    int rc = pthread_create(&r->thread, NULL, read_letters, r);
    if (rc) {
        free(r);
        return err_errno(e, rc, "cannot start the thread that reads dead letters");
    }
    r->next = ls->readings;
    ls->readings = r;
    return 0;
}

static void letters_stop(struct source *s, uint32_t number)
{
    for (struct reading *r = source_of(s)->readings; r; r = r->next)
        if (r->number == number)
            r->stop = true;
}

static void letters_source_close(struct source *s)
{
    struct letter_source *ls = source_of(s);
    while (ls->readings) {
        struct reading *r = ls->readings;
        ls->readings = r->next;
        r->stop = true;
        pthread_join(r->thread, NULL);
        free(r);
    }
    free(ls);
}

static struct source *open_source(void *ctx, const struct source_env *env, struct err *e)
{
    static const struct source_ops ops = {.identity = letters_identity,
                                          .shards = letters_shards,
                                          .resolve = letters_resolve,
                                          .start = letters_start,
                                          .stop = letters_stop,
                                          .close = letters_source_close};
    struct letter_source *s = mem_zalloc(sizeof *s);
    (void)e;
    s->source.ops = &ops;
    s->replay = ctx;
    s->env = *env;
    return &s->source;
}

static struct lease_store *open_leases(void *ctx, struct err *e)
{
    (void)ctx, (void)e;
    return lease_memory_open(NULL, NULL); /* two replays at once keep each other out by the fence */
}

/* ---- what was replayed before ---- */

/* Up to where a table has the letters: each place in a file that is still there? */
static int check_table(const struct replay *r, const struct letters *l, const char *name, const char *key,
                       struct err *e)
{
    struct position_map map = {0};
    struct table *t = table_load(r->lake, name, NULL);
    int rc = t ? position_map_parse(&map, table_property(t, key), e) : 0; /* the pipeline says why not */
    for (size_t i = 0; !rc && i < map.n; i++) {
        if (seq_cmp(map.list[i].at, SEQ_NONE) == 0 || letters_have(l, map.list[i].at))
            continue;
        int ours = letters_untouched(l, e);
        rc = ours < 0 ? -1 : 0;
        if (ours == 0)
            rc = err_set(e, ERR_INVALID,
                         "%s was rewritten (compacted?) since letters were replayed into table %s: which, can "
                         "no longer be told, and they would be there twice. Delete the letters whose events are "
                         "there (_shard is %s), then remove the property %s of the tables",
                         DEAD_LETTERS, name, map.list[i].shard, key);
    }
    position_map_fini(&map);
    table_free(t);
    return rc;
}

static int check_positions(struct replay *r, struct table *letters, struct err *e)
{
    struct letters *l = letters_open(letters, "", INT64_MAX, e);
    char **names = NULL, *key = position_map_key(r->identity);
    size_t n = 0;
    int rc = l ? lake_tables(r->lake, &names, &n, e) : -1;
    r->newest = l ? letters_newest(l) : 0;
    for (size_t i = 0; i < n; i++) {
        if (!rc && strncmp(names[i], "inlet_", 6) != 0)
            rc = check_table(r, l, names[i], key, e);
        free(names[i]);
    }
    free(names);
    free(key);
    letters_close(l);
    return rc;
}

/* ---- which are tried ---- */

static void judged(void *ctx, const char *shard, uint64_t rows)
{
    struct replay *r = ctx;
    if (rows)
        r->come |= 1u << reason_of(shard);
}

/* Letters of these reasons. `dry`: only looks what would come of them. */
static int read_again(struct replay *r, uint32_t reasons, bool dry, const struct pipeline_config *p,
                      struct pipeline_report *report, struct err *e)
{
    struct pipeline_feed feed = {.open_source = open_source,
                                 .open_leases = open_leases,
                                 .ctx = r,
                                 .restore_dedup = true,
                                 .letters_stay = dry ? ANY : NO_TABLE,
                                 .judged = dry ? judged : NULL};
    struct pipeline_config config = *p;
    double before = report->seconds;
    config.feed = &feed;
    r->reasons = reasons;
    int rc = pipeline_run(&config, report, e);
    report->seconds += before;
    return rc;
}

/* A letter that is still none of its table's stays. So does one that is still no event, unless some of its reason are events
 * now: then the tables' positions pass it, and it is written anew to be tried again. */
static int replay_letters(struct replay *r, uint32_t reasons, const struct pipeline_config *p,
                          struct pipeline_report *report, struct err *e)
{
    struct pipeline_report looked = {0};
    uint32_t bad = reasons & ~NO_TABLE;
    if (bad && read_again(r, bad, true, p, &looked, e))
        return -1;
    if (!r->come)
        *report = looked;
    else if (bad & ~r->come && !looked.stopped && read_again(r, bad & ~r->come, true, p, report, e))
        return -1;
    reasons = (reasons & NO_TABLE) | r->come;
    report->stopped |= looked.stopped;
    return !reasons || report->stopped ? 0 : read_again(r, reasons, false, p, report, e);
}

int replay_run(const struct lake *lake, uint32_t reasons, const struct pipeline_config *p,
               struct pipeline_report *report, struct err *e)
{
    struct replay r = {.lake = lake};
    struct pipeline_config config = *p;
    struct table *t = table_load(lake, DEAD_LETTERS, e);
    if (!t)
        return -1;
    r.identity = mem_printf("letters:%s/%s", lake->ns, table_uuid(t));
    int rc = check_positions(&r, t, e);
    table_free(t);
    if (rc) {
        free(r.identity);
        return -1;
    }
    config.leases = "sqlite:"; /* not opened: the feed's are */
    config.stream = DEAD_LETTERS;
    config.start = PIPELINE_TRIM_HORIZON;
    config.until_caught_up = true;
    rc = replay_letters(&r, reasons, &config, report, e);
    free(r.identity);
    return rc;
}
