/* A driver where libFuzzer is not: the seeds as they are, and then mutations of them, the same ones for the
 * same --seed. --last FILE keeps the input at hand there, so that a crash leaves it. --write DIR: the seeds as
 * files, for libFuzzer. A file as argument is run alone. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "fuzz.h"

#define SEEDS_MAX 64
#define INPUT_MAX ((size_t)1 << 16)

static struct input {
    uint8_t *p;
    size_t n;
} seeds[SEEDS_MAX];
static size_t n_seeds;
static uint64_t state = 1;

static void add_seed(const void *p, size_t n)
{
    invariant(n_seeds < SEEDS_MAX && n <= INPUT_MAX);
    seeds[n_seeds].p = mem_alloc(n + 1);
    memcpy(seeds[n_seeds].p, p, n);
    seeds[n_seeds++].n = n;
}

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? (size_t)(state >> 11) % n : 0;
}

static void insert(uint8_t *p, size_t *n, size_t at, const uint8_t *from, size_t k)
{
    if (k > INPUT_MAX - *n)
        return;
    memmove(p + at + k, p + at, *n - at);
    memcpy(p + at, from, k);
    *n += k;
}

/* One change: a bit, a byte that is often a limit, a run taken out, doubled, or put in from another seed. */
static void change(uint8_t *p, size_t *n)
{
    static const uint8_t telling[] = {0, 1, 2, 0x7f, 0x80, 0xff, '"', '\\', '{', '}', '[', ']', ',', ':', '-', '9', 'e', '\n', ' '};
    static uint8_t run[256];
    const struct input *other = &seeds[below(n_seeds)];
    size_t at = below(*n), k = below(below(16) ? 8 : sizeof run), from;
    switch (below(6)) {
    case 0:
        p[at] = (uint8_t)(*n ? p[at] ^ (1u << below(8)) : 0);
        break;
    case 1:
        p[at] = telling[below(sizeof telling)];
        break;
    case 2:
        k = k < *n - at ? k : *n - at;
        memmove(p + at, p + at + k, *n - at - k);
        *n -= k;
        break;
    case 3:
        k = k < *n - at ? k : *n - at;
        memcpy(run, p + at, k);
        insert(p, n, below(*n + 1), run, k);
        break;
    case 4:
        from = below(other->n);
        k = k < other->n - from ? k : other->n - from;
        insert(p, n, at, other->p + from, k);
        break;
    default:
        p[at] = (uint8_t)below(256);
    }
}

static void run_mutations(long runs, double seconds, uint8_t *shown)
{
    uint8_t *p = mem_alloc(INPUT_MAX);
    time_t end = time(NULL) + (time_t)seconds;
    for (long i = 0; seconds > 0 ? time(NULL) < end : i < runs; i++) {
        const struct input *s = &seeds[below(n_seeds)];
        size_t n = s->n;
        memcpy(p, s->p, n);
        for (size_t k = 1 + below(below(4) ? 3 : 20); k > 0; k--)
            change(p, &n);
        if (shown) {
            memcpy(shown, &n, sizeof n);
            memcpy(shown + sizeof n, p, n);
        }
        uint8_t *exact = mem_alloc(n ? n : 1); /* so that a byte too far is seen */
        memcpy(exact, p, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    free(p);
}

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *p = mem_alloc(INPUT_MAX);
    invariant(f);
    size_t n = fread(p, 1, INPUT_MAX, f);
    fclose(f);
    p = mem_regrow(p, n + 1, 1);
    LLVMFuzzerTestOneInput(p, n);
    free(p);
}

static void write_seeds(const char *dir)
{
    for (size_t i = 0; i < n_seeds; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%zu", dir, i);
        FILE *f = fopen(path, "wb");
        invariant(f && fwrite(seeds[i].p, 1, seeds[i].n, f) == seeds[i].n && fclose(f) == 0);
    }
}

/* Its first bytes are the input's length. */
static uint8_t *show_in(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    invariant(fd >= 0 && ftruncate(fd, (off_t)(INPUT_MAX + sizeof(size_t))) == 0);
    uint8_t *p = mmap(NULL, INPUT_MAX + sizeof(size_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    invariant(p != MAP_FAILED);
    close(fd);
    return p;
}

int main(int argc, char **argv)
{
    long runs = 2000;
    double seconds = 0;
    uint8_t *shown = NULL;
    fuzz_seeds(add_seed);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--runs") == 0)
            runs = atol(value), i++;
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = atof(value), i++;
        else if (strcmp(argv[i], "--seed") == 0)
            state = strtoull(value, NULL, 10) * 2654435761u + 1, i++;
        else if (strcmp(argv[i], "--last") == 0)
            shown = show_in(value), i++;
        else if (strcmp(argv[i], "--write") == 0)
            return write_seeds(value), 0;
        else
            return run_file(argv[i]), 0;
    }
    for (size_t i = 0; i < n_seeds; i++)
        LLVMFuzzerTestOneInput(seeds[i].p, seeds[i].n);
    run_mutations(runs, seconds, shown);
    printf("[       OK ] %zu seeds and their mutations\n", n_seeds);
    for (size_t i = 0; i < n_seeds; i++)
        free(seeds[i].p);
    return 0;
}
