/* log: one line to stderr for each thing worth saying: time, level, sentence.
 * Thread-safe. Log once, where an error is handled. Never a secret. */
#ifndef INLET_BASE_LOG_H
#define INLET_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
/* text: "<time> info  <sentence>"; logfmt: time=<time> level=info msg="<sentence>"; json: the same
 * three as an object a line. */
enum log_format { LOG_TEXT, LOG_LOGFMT, LOG_JSON };
void log_set_format(enum log_format format);
enum log_format log_format(void);
/* Called (with the log's lock held) before each line, so that a progress line can clear itself. */
void log_set_before(void (*before)(void));
/* fmt is the whole sentence for people: "stream demo: 4 shards, from TRIM_HORIZON". */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
