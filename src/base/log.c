/* Lines to stderr: see log.h. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define LINE_MAX_BYTES 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_level threshold = LOG_INFO;
static void (*before_line)(void);

void log_set_level(enum log_level level)
{
    threshold = level;
}

void log_set_before(void (*before)(void))
{
    pthread_mutex_lock(&lock);
    before_line = before;
    pthread_mutex_unlock(&lock);
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < threshold)
        return;
    char text[LINE_MAX_BYTES], stamp[32];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    pthread_mutex_lock(&lock);
    if (before_line)
        before_line();
    fprintf(stderr, "%s %-5s %s\n", stamp, names[level], text);
    pthread_mutex_unlock(&lock);
}
