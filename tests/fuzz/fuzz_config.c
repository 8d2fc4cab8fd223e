/* The config file: YAML, settings, tables. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static int fd = -1;
    static char path[64], *no_environment[] = {NULL};
    struct config c;
    struct pipeline_config out;
    struct err e = {0};
    struct buf shown = {0};
    if (fd < 0) {
        fd = memfd_create("config", 0);
        invariant(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    invariant(ftruncate(fd, 0) == 0 && pwrite(fd, p, n, 0) == (ssize_t)n);
    config_init(&c);
    invariant(options_set(&c.options, OPT_CONFIG, path, ORIGIN_COMMAND_LINE, "--config", &e) == 0);
    if (config_load(&c, no_environment, &e) == 0) {
        config_pipeline(&c, &out, &e);
        config_show(&c, false, &shown);
        config_show(&c, true, &shown);
    } else {
        invariant(e.kind != ERR_NONE && *e.text);
    }
    buf_fini(&shown);
    config_fini(&c);
    return 0;
}

void fuzz_seeds(fuzz_add_fn *add)
{
    static const char tables[] = "lake: lake\ncommit_interval: 15m\nfsync: false\n"
                                 "tables:\n  order:\n    partition_by: [event_subtype, hour(event_time)]\n"
                                 "    columns: {price: \"decimal(12,2)\", user.email: json}\n  page: {}\n";
    static const char stream[] = "stream: kinesis://demo\nstart: 2026-11-22T16:24:00.5Z\nmemory: 256MB\nmax_columns: 10\n";
    static const char forms[] = "a: &x [1, 2]\nb: *x\n---\nc: !!str d\ne: |\n  text\n  more\nf: >-\n  folded\n# nothing\n";
    static const char places[] = "lake: \"s3://bucket/prefix\"\ncatalog: glue://db\nleases: dynamodb://t\ns3_addressing: path\n";
    const char *const texts[] = {tables, stream, forms, places};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        add(texts[i], strlen(texts[i]));
}
