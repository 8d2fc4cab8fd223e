/* http_pool: see http_pool.h. The last one given is the next one taken: its connections are the likeliest
 * to be alive still. */
#include "net/http_pool.h"

void http_pool_init(struct http_pool *p)
{
    pthread_mutex_init(&p->lock, NULL);
    p->n_idle = 0;
}

void http_pool_fini(struct http_pool *p)
{
    while (p->n_idle)
        http_free(p->idle[--p->n_idle]);
    pthread_mutex_destroy(&p->lock);
}

struct http *http_pool_take(struct http_pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct http *h = p->n_idle ? p->idle[--p->n_idle] : NULL;
    pthread_mutex_unlock(&p->lock);
    return h ? h : http_new();
}

void http_pool_give(struct http_pool *p, struct http *h)
{
    pthread_mutex_lock(&p->lock);
    bool keep = p->n_idle < HTTP_POOL_IDLE_MAX;
    if (keep)
        p->idle[p->n_idle++] = h;
    pthread_mutex_unlock(&p->lock);
    if (!keep)
        http_free(h);
}
