/* Errors are text plus a kind: see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        e->kind = kind;
        vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
    }
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (e) {
        char old[ERR_TEXT_MAX];
        memcpy(old, e->text, sizeof old);
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        size_t at = n < 0 ? 0 : (size_t)n;
        if (at < sizeof e->text)
            snprintf(e->text + at, sizeof e->text - at, ": %s", old);
    }
    return -1;
}

int err_errno(struct err *e, int errno_value, const char *fmt, ...)
{
    if (e) {
        char buf[128];
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        e->kind = errno_value == ENOENT ? ERR_NOTFOUND : ERR_IO;
        size_t at = n < 0 ? 0 : (size_t)n;
        if (at < sizeof e->text)
            snprintf(e->text + at, sizeof e->text - at, ": %s",
                     strerror_r(errno_value, buf, sizeof buf));
    }
    return -1;
}

const char *err_kind_name(enum err_kind kind)
{
    static const char *const names[] = {"none",    "invalid",  "io",      "retry",  "conflict",
                                        "fenced",  "unknown",  "notfound", "nomem", "stopped"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

_Noreturn void err_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "inlet: internal error at %s:%d: %s\n", file, line, what);
    abort();
}
