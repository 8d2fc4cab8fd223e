/* A scripted AWS service on the loopback: it expects the calls of a script in their order, compares
 * their bodies as JSON, and answers (or acts and drops the connection) as the script says. */
#ifndef INLET_TESTS_PEER_H
#define INLET_TESTS_PEER_H

#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static inline void peer_no_wait(void *ctx, int64_t ms)
{
    (void)ctx, (void)ms;
}
static inline int64_t peer_boot(void *ctx)
{
    (void)ctx;
    return clock_boot_ms(&clock_system);
}
static inline int64_t peer_wall(void *ctx)
{
    (void)ctx;
    return clock_wall_us(&clock_system);
}
/* The real time, but nobody waits between attempts. */
static const struct clock peer_clock __attribute__((unused)) = {.wall_us = peer_wall, .boot_ms = peer_boot, .sleep_ms = peer_no_wait};

struct peer_step {
    const char *action; /* after the dot of X-Amz-Target; of a REST service "GET /path" */
    const char *body;   /* expected, with ' for "; NULL: any */
    int status;         /* 0: the answer is lost */
    const char *answer; /* with ' for " */
};
struct peer {
    int fd;
    char endpoint[64];
    pthread_t thread;
    pthread_mutex_t lock; /* guards connection, -1: none */
    int connection;
    const struct peer_step *script;
    int n;
    atomic_int at; /* its thread's; tests look meanwhile */
    char wrong[8192]; /* the first thing that was not as expected */
    bool rest;        /* set after peer_open */
    char keys[16][40]; /* the Idempotency-Key of each call; empty: none */
};

static inline char *peer_quotes(const char *s)
{
    char *copy = strdup(s ? s : "{}");
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

static inline void peer_reply(int fd, int status, const char *text)
{
    char head[160], *body = peer_quotes(text);
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", status,
                     strlen(body));
    (void)!send(fd, head, (size_t)n, MSG_NOSIGNAL); /* who asked may be gone */
    (void)!send(fd, body, strlen(body), MSG_NOSIGNAL);
    free(body);
}

static inline void peer_compare(struct peer *p, const struct peer_step *s, const char *action,
                                const char *got)
{
    char *want = s->body ? peer_quotes(s->body) : NULL;
    json_t *a = want ? json_loads(want, 0, NULL) : NULL, *b = json_loads(got, 0, NULL);
    size_t n = strlen(s->action);
    if (!p->wrong[0] && (strncmp(action, s->action, n) != 0 || !strchr("\r ", action[n])))
        snprintf(p->wrong, sizeof p->wrong, "call %d: expected %s, got %.120s", p->at, s->action,
                 action);
    else if (!p->wrong[0] && want && !json_equal(a, b))
        snprintf(p->wrong, sizeof p->wrong, "call %d, %s:\nexpected %s\ngot      %s", p->at,
                 s->action, want, got);
    json_decref(a);
    json_decref(b);
    free(want);
}

/* False: the connection is to be dropped. */
static inline bool peer_answer(void *ctx, int fd, const char *head, const char *body)
{
    struct peer *p = ctx;
    const char *target = strstr(head, "X-Amz-Target: "), *dot = target ? strchr(target, '.') : NULL;
    const char *key = strstr(head, "Idempotency-Key: ");
    if (p->rest)
        dot = head - 1;
    if (p->at < 16)
        snprintf(p->keys[p->at], 40, "%.36s", key ? key + 17 : "");
    if (p->at >= p->n || !dot) {
        if (!p->wrong[0])
            snprintf(p->wrong, sizeof p->wrong, "a call too much: %.300s", dot ? dot : head);
        peer_reply(fd, 400, "{'__type':'Unexpected'}");
        return true;
    }
    const struct peer_step *s = &p->script[p->at];
    peer_compare(p, s, dot + 1, body);
    p->at++;
    if (s->status)
        peer_reply(fd, s->status, s->answer);
    return s->status != 0;
}

/* Answers the requests of one connection, one after the other, until `answer` says false or the other side
 * is done. */
typedef bool peer_answer_fn(void *ctx, int fd, const char *head, const char *body);
static inline void peer_requests(int fd, peer_answer_fn *answer, void *ctx)
{
    size_t size = 1 << 18, n = 0;
    char *text = malloc(size);
    while (text) {
        ssize_t got = read(fd, text + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        text[n] = '\0';
        char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        size_t rest = length && length < body ? (size_t)atoi(length + 16) : 0; /* a GET has none */
        if (!body || n < (size_t)(body + 4 - text) + rest)
            continue;
        body[2] = '\0';
        if (!answer(ctx, fd, text, body + 4))
            break;
        n = 0;
    }
    free(text);
}

static inline void peer_connected(struct peer *p, int fd)
{
    pthread_mutex_lock(&p->lock);
    p->connection = fd;
    pthread_mutex_unlock(&p->lock);
}

static inline void *peer_main(void *arg)
{
    struct peer *p = arg;
    int fd;
    while ((fd = accept(p->fd, NULL, NULL)) >= 0) {
        peer_connected(p, fd);
        peer_requests(fd, peer_answer, p);
        peer_connected(p, -1);
        close(fd);
    }
    return NULL;
}

static inline int peer_open(struct peer *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    memset(p, 0, sizeof *p);
    p->connection = -1;
    pthread_mutex_init(&p->lock, NULL);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&a, sizeof a) || listen(p->fd, 8) ||
        getsockname(p->fd, (struct sockaddr *)&a, &n))
        return -1;
    snprintf(p->endpoint, sizeof p->endpoint, "http://127.0.0.1:%d", ntohs(a.sin_port));
    return pthread_create(&p->thread, NULL, peer_main, p);
}

/* Ends it, whatever its client has left open. */
static inline void peer_close(struct peer *p)
{
    shutdown(p->fd, SHUT_RDWR);
    pthread_mutex_lock(&p->lock);
    if (p->connection >= 0)
        shutdown(p->connection, SHUT_RDWR);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    close(p->fd);
    pthread_mutex_destroy(&p->lock);
}

static inline void peer_script(struct peer *p, const struct peer_step *script, int n)
{
    p->script = script;
    p->n = n;
    p->at = 0;
    p->wrong[0] = '\0';
}

/* All calls of the script came, as expected. */
#define peer_done(p)                                                                               \
    do {                                                                                           \
        if ((p)->wrong[0])                                                                         \
            print_error("%s\n", (p)->wrong);                                                       \
        assert_string_equal((p)->wrong, "");                                                       \
        assert_int_equal((p)->at, (p)->n);                                                         \
    } while (0)
#define PEER_SCRIPT(p, ...)                                                                        \
    static const struct peer_step script_[] = {__VA_ARGS__};                                       \
    peer_script(p, script_, (int)(sizeof script_ / sizeof *script_))

#endif
