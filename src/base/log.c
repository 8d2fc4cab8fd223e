/* Lines to stderr: see log.h. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINE_MAX_BYTES 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_level threshold = LOG_INFO;
static void (*before_line)(void);
static enum log_format form = LOG_TEXT;

void log_set_level(enum log_level level)
{
    threshold = level;
}

void log_set_format(enum log_format format)
{
    form = format;
}

enum log_format log_format(void)
{
    return form;
}

/* The length of the UTF-8 sequence at p, 0 where there is none (cut, overlong, a surrogate). */
static size_t utf8_at(const unsigned char *p)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* Between double quotes, for JSON and logfmt alike: whatever a message quotes of an event or a file's
 * name, the line stays one line of valid UTF-8. */
static void put_quoted(FILE *f, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    fputc('"', f);
    while (*p) {
        size_t n = utf8_at(p);
        if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(f, "\\u%04x", *p);
        else if (n)
            fwrite(p, 1, n, f);
        else
            fputs("\xef\xbf\xbd", f);
        p += n ? n : 1;
    }
    fputc('"', f);
}

static void put_line(FILE *f, const char *stamp, const char *level, const char *text)
{
    switch (form) {
    case LOG_TEXT: fprintf(f, "%s %-5s %s\n", stamp, level, text); break;
    case LOG_LOGFMT:
        fprintf(f, "time=%s level=%s msg=", stamp, level);
        put_quoted(f, text);
        fputc('\n', f);
        break;
    case LOG_JSON:
        fprintf(f, "{\"time\": \"%s\", \"level\": \"%s\", \"message\": ", stamp, level);
        put_quoted(f, text);
        fputs("}\n", f);
        break;
    }
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
    char *line = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&line, &n); /* stderr has no buffer: one write for a line */
    if (f) {
        put_line(f, stamp, names[level], text);
        fclose(f);
        fwrite(line, 1, n, stderr);
    }
    free(line);
    pthread_mutex_unlock(&lock);
}
