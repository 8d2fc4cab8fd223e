/* gen: events from the gen room to standard output or into a stream, at a rate if one is asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "gen/gen.h"
#include "source/kinesis_put.h"
#include "source/kpl.h"

#define WRITE_BYTES (1024U * 1024) /* a file written in whole ones is kept by the kernel in large pieces: it is read at three times the speed */
#define AGGREGATE_BYTES (50U * 1024) /* the KPL's own limit, by default */
#define HOUR_US INT64_C(3600000000)

struct output {
    struct buf pending;
    uint64_t rate, written;
    int64_t begin_ms;
    bool gone; /* whoever read it has enough, as `head` */
};

static int put(struct output *o, size_t n, struct err *e)
{
    if (!n)
        return 0;
    if (fwrite(o->pending.p, 1, n, stdout) != n || fflush(stdout)) {
        o->gone = errno == EPIPE;
        return err_set(e, ERR_IO, "standard output: %m");
    }
    o->pending.n -= n;
    memmove(o->pending.p, o->pending.p + n, o->pending.n);
    return 0;
}

static int flush(struct output *o, struct err *e)
{
    return put(o, o->pending.n, e);
}

/* At a rate: waits until the events written are due. */
static int pace(struct output *o, struct err *e)
{
    int64_t due = o->rate ? o->begin_ms + (int64_t)(o->written * 1000 / o->rate) : 0;
    int64_t now = o->rate ? clock_boot_ms(&clock_system) : 0;
    if (now >= due)
        return 0;
    if (flush(o, e))
        return -1;
    clock_system.sleep_ms(clock_system.ctx, due - now);
    return 0;
}

static int write_events(struct gen *g, struct output *o, struct err *e)
{
    o->begin_ms = clock_boot_ms(&clock_system);
    setvbuf(stdout, NULL, _IONBF, 0); /* `pending` is the buffer */
    while (gen_next(g, &o->pending)) {
        o->written++;
        if ((o->pending.n >= WRITE_BYTES && put(o, WRITE_BYTES, e)) || (o->rate && pace(o, e)))
            return -1;
    }
    return flush(o, e);
}

/* A record of the stream: a line, or what of them was packed into one. */
static int put_packed(struct kinesis_put *p, struct kpl_writer *w, struct err *e)
{
    struct buf packed = {0};
    char key[sizeof w->first_key];
    memcpy(key, w->first_key, sizeof key);
    kpl_writer_finish(w, &packed);
    int rc = kinesis_put_add(p, key, packed.p, packed.n, e);
    buf_fini(&packed);
    return rc;
}

/* Into a stream, a record a line; the number of the line is the partition key, so that every shard has
 * its part. `aggregate`: as the KPL does, many in one. */
static int put_events(struct gen *g, struct output *o, const char *stream, bool aggregate,
                      struct err *e)
{
    struct kpl_writer w = {0};
    const char *name = strncmp(stream, "kinesis://", 10) == 0 ? stream + 10 : stream;
    struct kinesis_put *p = kinesis_put_open(name, e);
    char key[32];
    int rc = 0;
    if (!p)
        return -1;
    o->begin_ms = clock_boot_ms(&clock_system);
    while (!rc && gen_next(g, &o->pending)) {
        o->written++;
        snprintf(key, sizeof key, "%" PRIu64, o->written);
        if (aggregate && w.n_records && kpl_writer_size(&w) + o->pending.n > AGGREGATE_BYTES)
            rc = put_packed(p, &w, e);
        if (aggregate)
            kpl_writer_add(&w, key, o->pending.p, o->pending.n);
        else if (!rc)
            rc = kinesis_put_add(p, key, o->pending.p, o->pending.n, e);
        o->pending.n = 0;
        if (!rc && o->rate)
            rc = pace(o, e);
    }
    if (!rc && w.n_records)
        rc = put_packed(p, &w, e);
    kpl_writer_fini(&w);
    return kinesis_put_close(p, e) || rc ? -1 : 0;
}

static struct gen_options gen_options_of(const struct options *o)
{
    /* The hour that has begun, so that events are of today and a run an hour long repeats. */
    int64_t now = clock_wall_us(&clock_system);
    struct gen_options g = gen_defaults(now - now % HOUR_US);
    g.events = (uint64_t)options_number(o, OPT_GEN_EVENTS);
    g.types = (unsigned)options_number(o, OPT_GEN_TYPES);
    g.seed = (uint64_t)options_number(o, OPT_GEN_SEED);
    g.duplicates = o->values[OPT_GEN_DUPLICATES].share;
    g.malformed = o->values[OPT_GEN_MALFORMED].share;
    g.conflicts = o->values[OPT_GEN_CONFLICTS].share;
    if (options_text(o, OPT_GEN_START))
        g.start_us = options_number(o, OPT_GEN_START);
    return g;
}

static void say(const struct gen *g)
{
    struct gen_expect x = gen_expect(g);
    char lines[RENDER_NUMBER_MAX], unique[RENDER_NUMBER_MAX], doubles[RENDER_NUMBER_MAX],
        bad[RENDER_NUMBER_MAX], size[RENDER_NUMBER_MAX];
    fprintf(stderr, "%s records, %s: %s events, %s duplicates, %s malformed\n",
            render_number((int64_t)x.lines, lines), render_bytes((int64_t)x.bytes, size),
            render_number((int64_t)x.unique, unique), render_number((int64_t)x.duplicates, doubles),
            render_number((int64_t)x.malformed, bad));
}

int gen_command(struct config *c, int n_args, char **args)
{
    const struct options *o = &c->options;
    struct output out = {.rate = (uint64_t)options_number(o, OPT_GEN_RATE)};
    struct gen_options options = gen_options_of(o);
    struct err e = {0};
    (void)n_args, (void)args;
    if (options_flag(o, OPT_GEN_AGGREGATE) && !options_text(o, OPT_GEN_STREAM)) {
        fputs("inlet gen: --aggregate packs records of a stream: it needs --stream kinesis://NAME\n", stderr);
        return EXIT_USAGE;
    }
    struct gen *g = gen_new(&options);
    const char *stream = options_text(o, OPT_GEN_STREAM);
    int failed = stream ? put_events(g, &out, stream, options_flag(o, OPT_GEN_AGGREGATE), &e)
                        : write_events(g, &out, &e);
    int rc = failed && !out.gone ? commands_fail(&e) : EXIT_DONE;
    if (!options_flag(o, OPT_QUIET) && !out.gone)
        say(g);
    gen_free(g);
    buf_fini(&out.pending);
    return rc;
}
