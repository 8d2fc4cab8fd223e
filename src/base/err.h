/* err: the status every fallible function reports.
 *
 * A fallible function returns 0 or -1 (or a pointer, NULL on failure) and takes, as its last
 * parameter, a caller-owned struct err that it fills on failure only. Logic reads the kind, people
 * read the text. The text never holds a secret. Log once, where the error is handled. */
#ifndef INLET_BASE_ERR_H
#define INLET_BASE_ERR_H

enum err_kind {
    ERR_NONE = 0,
    ERR_INVALID,  /* the input, option or file is wrong: doing it again will not help */
    ERR_IO,       /* the disk, the peer or the system refused, for good as far as we can tell */
    ERR_RETRY,    /* throttled, timed out or 5xx before anything happened: may be done again */
    ERR_CONFLICT, /* somebody else was first (compare-and-swap lost): reload, then decide */
    ERR_FENCED,   /* the base's positions are not those expected: we are the zombie */
    ERR_UNKNOWN,  /* it may or may not have happened: look, never guess */
    ERR_NOTFOUND, /* the named thing does not exist */
    ERR_NOMEM,    /* a named limit or the memory budget does not allow it */
    ERR_STOPPED,  /* asked to stop */
};

#define ERR_TEXT_MAX 1024

struct err {
    enum err_kind kind;
    char text[ERR_TEXT_MAX];
};

/* Sets kind and text; text past ERR_TEXT_MAX is cut. Both return -1, so that `return err_set(..)`
 * reads well. `e` may be NULL. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "context: " before the text and keeps the kind. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As err_set with ERR_IO (ENOENT: ERR_NOTFOUND) and strerror(errno_value) appended. */
int err_errno(struct err *e, int errno_value, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

const char *err_kind_name(enum err_kind kind);

/* A broken invariant, in release builds too: says where, then aborts. Exactly-once does not depend
 * on a clean exit, so stopping is always safe. */
_Noreturn void err_panic(const char *file, int line, const char *what);
#define invariant(cond)                                                                            \
    ((__builtin_expect(!(cond), 0)) ? err_panic(__FILE__, __LINE__, #cond) : (void)0)

#endif
