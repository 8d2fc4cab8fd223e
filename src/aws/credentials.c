/* credentials: the providers of this process, one for each profile, and when they renew. */
#include "aws/credentials.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "aws/credentials_int.h"
#include "aws/time.h"
#include "base/log.h"
#include "base/mem.h"

#define RENEW_MS (5 * 60000)     /* before they expire, in the background */
#define LAST_MOMENT_MS 15000     /* a request signed now must still arrive in time */
#define AGAIN_MS 10000           /* between failed renewals */
#define REFUSED_AGAIN_MS 30000   /* asking again for refused keys */

struct credential_provider {
    struct credential_provider *next;
    char *profile; /* NULL: of the environment */
    const struct clock *clock;
    int users;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct credentials now; /* access_key NULL: none yet */
    bool fixed, renewing, refused, told;
    bool thread_begun; /* to be joined */
    pthread_t thread;
    int64_t tried_ms, refused_ms; /* boot time */
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct credential_provider *list;

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct credential_provider *provider_new(const char *profile, const struct clock *clock)
{
    struct credential_provider *p = mem_zalloc(sizeof *p);
    p->profile = profile ? mem_strdup(profile) : NULL;
    p->clock = clock;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    return p;
}

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

struct credential_provider *credential_provider_fixed(const struct credentials *c,
                                                      const struct clock *clock)
{
    struct credential_provider *p = provider_new(NULL, clock);
    p->fixed = true;
    p->users = 1;
    p->now = (struct credentials){copy(c->access_key), copy(c->secret_key), copy(c->token), 0};
    return p;
}

struct credential_provider *credential_provider_open(const char *profile, const struct clock *clock)
{
    pthread_mutex_lock(&list_lock);
    struct credential_provider *p = list;
    while (p && (p->clock != clock || !same(p->profile, profile)))
        p = p->next;
    if (!p) {
        p = provider_new(profile, clock);
        p->next = list;
        list = p;
    }
    p->users++;
    pthread_mutex_unlock(&list_lock);
    return p;
}

void credential_provider_close(struct credential_provider *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&list_lock);
    bool last = --p->users == 0;
    for (struct credential_provider **at = &list; last && *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    pthread_mutex_unlock(&list_lock);
    if (!last)
        return;
    if (p->thread_begun)
        pthread_join(p->thread, NULL);
    credentials_fini(&p->now);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->profile);
    free(p);
}

/* How long the keys in hand are good; INT64_MAX where they do not expire. */
static int64_t left_ms(const struct credential_provider *p)
{
    if (!p->now.access_key || p->refused)
        return 0;
    return p->now.expires_ms ? p->now.expires_ms - aws_time_s(p->clock) * 1000 : INT64_MAX;
}

/* With the lock held, which is released while the source is asked. */
static int renew(struct credential_provider *p, struct err *e)
{
    struct credentials fresh = {0};
    struct err local = {0};
    p->renewing = true;
    pthread_mutex_unlock(&p->lock);
    int rc = credentials_resolve(p->profile, p->clock, &fresh, &local);
    pthread_mutex_lock(&p->lock);
    p->renewing = false;
    p->tried_ms = clock_boot_ms(p->clock);
    if (rc == 0) {
        credentials_fini(&p->now);
        p->now = fresh;
        p->refused = p->told = false;
    } else if (left_ms(p) > 0 && !p->told) {
        log_warn("AWS credentials cannot be renewed (those in hand are good for %lld s more): %s",
                 (long long)(left_ms(p) / 1000), local.text);
        p->told = true;
    }
    if (rc)
        err_set(e, local.kind, "%s", local.text);
    pthread_cond_broadcast(&p->changed);
    return rc;
}

static void *renew_main(void *arg)
{
    struct credential_provider *p = arg;
    pthread_mutex_lock(&p->lock);
    renew(p, NULL);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Others sign with the old ones meanwhile. */
static void renew_in_background(struct credential_provider *p)
{
    if (p->tried_ms && clock_boot_ms(p->clock) - p->tried_ms < AGAIN_MS)
        return;
    if (p->thread_begun)
        pthread_join(p->thread, NULL); /* it has ended: nobody is renewing */
    p->renewing = true;
    p->thread_begun = pthread_create(&p->thread, NULL, renew_main, p) == 0;
    if (!p->thread_begun)
        p->renewing = false;
}

int credential_provider_get(struct credential_provider *p, struct credentials *out, struct err *e)
{
    int rc = 0;
    pthread_mutex_lock(&p->lock);
    while (left_ms(p) <= LAST_MOMENT_MS && p->renewing)
        pthread_cond_wait(&p->changed, &p->lock);
    if (left_ms(p) <= LAST_MOMENT_MS) {
        /* Keys with less than the last moment of life are used all the same, if there are no better. */
        rc = renew(p, e) && left_ms(p) <= 0 ? -1 : 0;
    } else if (left_ms(p) < RENEW_MS && !p->renewing) {
        renew_in_background(p);
    }
    if (rc == 0)
        *out = (struct credentials){copy(p->now.access_key), copy(p->now.secret_key), copy(p->now.token),
                                    p->now.expires_ms};
    pthread_mutex_unlock(&p->lock);
    return rc;
}

bool credential_provider_expired(struct credential_provider *p, const char *access_key)
{
    pthread_mutex_lock(&p->lock);
    bool others = p->now.access_key && strcmp(p->now.access_key, access_key) != 0;
    int64_t now = clock_boot_ms(p->clock);
    bool may = !p->fixed && (others || p->refused || !p->refused_ms || now - p->refused_ms >= REFUSED_AGAIN_MS);
    if (may && !others && !p->refused) {
        p->refused = true;
        p->refused_ms = now;
    }
    pthread_mutex_unlock(&p->lock);
    return may;
}
