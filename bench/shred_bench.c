/* Parse and shred alone: a file of events in memory, through one shredder, row sets freed at each cut.
 * shred_bench FILE [rounds [level]]: MB/s and events/s of each round; level as shred_env.fast_level. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/newlines.h"
#include "shred/shred.h"

#define CUT_BYTES ((size_t)64 << 20)
#define BATCH_BYTES (512 << 10) /* as files are read */

static const struct registry_limits limits = {
    .columns = 1000, .struct_fields = 200, .depth = 16, .name_bytes = 128};
static struct map tables;
#define LINES_AT_ONCE 256
static struct shred_line lines[SHRED_LINES_MAX + NEWLINES_ROOM];

static struct shred_table *route(void *ctx, const struct event_name *name, enum reason *why)
{
    (void)ctx, (void)why;
    struct shred_table *t = map_get(&tables, name->table, strlen(name->table));
    if (t)
        return t;
    t = mem_zalloc(sizeof *t);
    t->number = (uint32_t)tables.count + 1;
    t->time_transform = 'd';
    t->registry = registry_new(&limits, NULL, 0);
    map_set(&tables, name->table, strlen(name->table), t);
    return t;
}

static bool passed(void *ctx, const struct shred_table *t, uint32_t shard, struct seq seq)
{
    (void)ctx, (void)t, (void)shard, (void)seq;
    return false;
}

static void drop(struct shredder *s)
{
    for (struct rowset *r = shredder_cut(s), *next; r; r = next) {
        next = r->next;
        rowset_columns(r); /* as is done before they are read */
        rowset_free(r);
    }
}

int main(int argc, char **argv)
{
    struct stat st;
    int rounds = argc > 2 ? atoi(argv[2]) : 3;
    int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st)) {
        fprintf(stderr, "usage: shred_bench FILE [rounds]\n");
        return 2;
    }
    size_t n = (size_t)st.st_size;
    char *text = mem_zalloc(n + 64);
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, text + at, n - at);
        if (got <= 0)
            return 1;
        at += (size_t)got;
    }
    close(fd);
    struct shred_env env = {.record_bytes_max = (size_t)10 << 20, .route = route, .passed = passed, .alone = true,
                            .fast_level = argc > 3 ? (unsigned)atoi(argv[3]) : 0};
    for (int round = 0; round < rounds; round++) {
        env.dedup = dedup_new((size_t)80 << 20, (int64_t)3600 * 1000000);
        struct shredder *s = shredder_new(&env);
        int64_t began = clock_thread_cpu_ns();
        uint64_t events = 0, since = 0;
        shredder_begin(s);
        for (char *p = text, *end = text + n; p < end;) {
            uint32_t count = 0;
            char *from = p;
            while (p < end && p - from < BATCH_BYTES && count + LINES_AT_ONCE < SHRED_LINES_MAX) {
                uint32_t ends[LINES_AT_ONCE + NEWLINES_ROOM];
                size_t left = (size_t)(end - p);
                size_t found = newlines_find((const uint8_t *)p, left < BATCH_BYTES ? left : BATCH_BYTES, ends,
                                             LINES_AT_ONCE);
                char *line = p;
                for (size_t i = 0; i < found; i++, count++, line = p + ends[i - 1] + 1)
                    lines[count] = (struct shred_line){(const uint8_t *)line, (uint32_t)(p + ends[i] - line), 0, SEQ_NONE};
                if (!found)
                    break;
                p = line;
            }
            if (!count)
                break;
            struct record like = {.arrived_us = 1, .sub = -1};
            shredder_lines(s, lines, count, &like, 1, false, 1);
            events += count;
            if ((since += (size_t)(p - from)) > CUT_BYTES) {
                drop(s);
                since = 0;
            }
        }
        double seconds = (double)(clock_thread_cpu_ns() - began) / 1e9;
        shredder_end(s);
        const struct shred_counts *c = shredder_counts(s);
        printf("shred %.0f MB/s  %.0f events/s  fast %.2f%%\n", (double)n / 1e6 / seconds,
               (double)events / seconds,
               100.0 * (double)c->fast_rows / (double)(c->fast_rows + c->slow_rows));
        shredder_free(s);
        dedup_free(env.dedup);
    }
    free(text);
    return 0;
}
