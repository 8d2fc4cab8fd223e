/* http_pool: as many struct http as there were calls at once, for a struct http belongs to one thread at a
 * time. A few stay idle with their connections open. Thread-safe but for init and fini. */
#ifndef INLET_NET_HTTP_POOL_H
#define INLET_NET_HTTP_POOL_H

#include <pthread.h>

#include "net/http.h"

#define HTTP_POOL_IDLE_MAX 16

struct http_pool { /* the caller's storage */
    pthread_mutex_t lock;
    struct http *idle[HTTP_POOL_IDLE_MAX];
    uint32_t n_idle;
};
void http_pool_init(struct http_pool *p);
void http_pool_fini(struct http_pool *p); /* every struct http has been given back */
struct http *http_pool_take(struct http_pool *p);
void http_pool_give(struct http_pool *p, struct http *h);

#endif
