/* The heap, with failures turned into panics: see mem.h. */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

void *mem_alloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    invariant(p != NULL);
    return p;
}

void *mem_zalloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    invariant(p != NULL);
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    invariant(q != NULL);
    return q;
}

void *mem_array(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    invariant(p != NULL);
    return p;
}

void *mem_regrow(void *p, size_t count, size_t size)
{
    size_t n;
    invariant(!__builtin_mul_overflow(count, size, &n));
    return mem_realloc(p, n);
}

void *mem_lines(size_t count, size_t size)
{
    void *p = NULL;
    size_t n;
    invariant(!__builtin_mul_overflow(count, size, &n));
    invariant(posix_memalign(&p, 64, n ? n : 64) == 0);
    memset(p, 0, n);
    return p;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t n)
{
    char *p = mem_alloc(n + 1);
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

size_t mem_resident(void)
{
    long all, pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%ld %ld", &all, &pages) != 2)
        pages = 0;
    fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

void mem_trim(void)
{
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    invariant(n >= 0);
    return s;
}
