/* For LD_PRELOAD: a SQLite catalog (or lease store) that loses answers, as a service over a network does.
 *
 * Of the COMMITs in a database whose path ends in $LOST_IN, after the first $LOST_AFTER, $LOST_PERCENT are
 * answered with an I/O error: every second of those was made, the other was not. $LOST_SEED: the same
 * ones each time. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct sqlite3;
typedef int exec_fn(struct sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
typedef const char *filename_fn(struct sqlite3 *, const char *);

static long setting(const char *name, long otherwise)
{
    const char *v = getenv(name);
    return v ? atol(v) : otherwise;
}

static int struck(struct sqlite3 *db)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned long seen, state, hits;
    filename_fn *filename = (filename_fn *)dlsym(RTLD_NEXT, "sqlite3_db_filename");
    const char *path = filename(db, "main"), *end = getenv("LOST_IN");
    size_t n = path ? strlen(path) : 0, m = end ? strlen(end) : 0;
    if (!m || n < m || strcmp(path + n - m, end) != 0)
        return 0;
    pthread_mutex_lock(&lock);
    if (!state)
        state = (unsigned long)setting("LOST_SEED", 1) * 2654435761UL + 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    int hit = seen++ >= (unsigned long)setting("LOST_AFTER", 0) &&
              (long)((state >> 20) % 100) < setting("LOST_PERCENT", 0);
    hit = hit ? 1 + (int)(hits++ % 2) : 0;
    pthread_mutex_unlock(&lock);
    return hit;
}

int sqlite3_exec(struct sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **), void *ctx,
                 char **message)
{
    exec_fn *real = (exec_fn *)dlsym(RTLD_NEXT, "sqlite3_exec");
    int how = sql && strcmp(sql, "COMMIT") == 0 ? struck(db) : 0;
    if (!how)
        return real(db, sql, each, ctx, message);
    real(db, how == 1 ? "COMMIT" : "ROLLBACK", each, ctx, message);
    return 10; /* SQLITE_IOERR */
}
