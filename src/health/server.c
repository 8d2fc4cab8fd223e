/* The HTTP side, over libmicrohttpd: one thread, few connections, no request bodies. See health.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "health/health.h"

#define CONNECTIONS_MAX 32
#define TIMEOUT_S 10
#define REQUEST_MEMORY 8192 /* head of a request; more is refused */

struct health_server {
    struct health_env env;
    struct MHD_Daemon *daemon;
    uint16_t port;
};

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              struct buf *body)
{
    size_t n = body->n;
    char *bytes = buf_take(body);
    struct MHD_Response *r = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(bytes);
        return MHD_NO;
    }
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result answer_health(const struct health_server *s, struct MHD_Connection *c,
                                     bool ready)
{
    struct live_stats stats;
    struct live_table *tables;
    size_t n;
    char why[HEALTH_TEXT_MAX];
    struct buf body = {0};
    live_read(s->env.live, &stats, &tables, &n);
    free(tables);
    bool ok = ready ? health_ready(&stats, why)
                    : health_ok(&stats, s->env.commit_interval_ms, clock_boot_ms(&clock_system), why);
    buf_printf(&body, "{\"ok\": %s, \"why\": \"%s\"}\n", ok ? "true" : "false", why);
    return answer(c, ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "application/json", &body);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_n, void **state)
{
    static int seen; /* its address marks a request whose head was seen */
    const struct health_server *s = ctx;
    struct buf body = {0};
    (void)version, (void)upload;
    if (*state != &seen) { /* a request with a body is answered once its body is through */
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_n) {
        *upload_n = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        buf_puts(&body, "only GET and HEAD\n");
        return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", &body);
    }
    if (strcmp(url, "/healthz") == 0 || strcmp(url, "/readyz") == 0)
        return answer_health(s, c, url[1] == 'r');
    if (strcmp(url, "/metrics") == 0) {
        health_metrics(&s->env, &body);
        return answer(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &body);
    }
    buf_puts(&body, "/healthz, /readyz and /metrics are here\n");
    return answer(c, MHD_HTTP_NOT_FOUND, "text/plain", &body);
}

/* "HOST:PORT" apart; host may be empty (all addresses) or in brackets (IPv6). */
static bool split_address(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    const char *digits = colon ? colon + 1 : address;
    size_t n = colon ? (size_t)(colon - address) : 0, d = strlen(digits);
    if (d == 0 || d > 5 || strspn(digits, "0123456789") != d || atoi(digits) > 65535 || !colon)
        return false;
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    } else if (memchr(address, ':', n)) {
        return false;
    }
    if (n > 255)
        return false;
    memcpy(host, address, n);
    host[n] = 0;
    strcpy(port, digits);
    return true;
}

int health_address_check(const char *address, struct err *e)
{
    char host[256], port[8];
    if (split_address(address, host, port))
        return 0;
    return err_set(e, ERR_INVALID, "\"%.100s\" is no address: write 127.0.0.1:9090, or :9090 for all",
                   address);
}

static struct MHD_Daemon *listen_at(struct health_server *s, const struct addrinfo *a)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC;
    if (a->ai_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, a->ai_addr,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY,
                            MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
}

struct health_server *health_server_start(const struct health_env *env, const char *address,
                                          struct err *e)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    if (!split_address(address, host, port)) {
        health_address_check(address, e);
        return NULL;
    }
    if (!*host)
        hints.ai_family = AF_INET;
    int rc = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (rc) {
        err_set(e, ERR_INVALID, "--http %s: %s", address, gai_strerror(rc));
        return NULL;
    }
    struct health_server *s = mem_zalloc(sizeof *s);
    s->env = *env;
    for (const struct addrinfo *a = list; a && !s->daemon; a = a->ai_next)
        s->daemon = listen_at(s, a);
    freeaddrinfo(list);
    if (!s->daemon) {
        err_errno(e, errno ? errno : EADDRNOTAVAIL, "--http %s: cannot listen there", address);
        free(s);
        return NULL;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    s->port = info ? info->port : 0;
    log_info("http: /healthz, /readyz and /metrics at %s, port %u", *host ? host : "all addresses",
             s->port);
    return s;
}

void health_server_stop(struct health_server *s)
{
    if (!s)
        return;
    MHD_stop_daemon(s->daemon);
    free(s);
}
