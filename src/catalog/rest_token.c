/* See rest_token.h.
 *
 *   POST {server}  Content-Type: application/x-www-form-urlencoded
 *   grant_type=client_credentials&client_id=ID&client_secret=SECRET&scope=catalog
 *   -> {"access_token": "...", "token_type": "bearer", "expires_in": 3600} */
#include "catalog/rest_token.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "aws/sigv4.h"
#include "base/mem.h"

#define EARLY_MS 60000    /* renewed so long before it is over */
#define TIMEOUT_MS 20000
#define ANSWER_MAX ((size_t)1 << 20)

struct rest_token {
    char *token; /* NULL: to be got */
    char *id, *secret, *server, *scope;
    int64_t over_ms; /* boot time; 0: not known */
    const struct clock *clock;
    pthread_mutex_t lock;
};

static void wipe(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

struct rest_token *rest_token_new(const char *token, const char *credential, const char *server,
                                  const char *scope, const struct clock *clock)
{
    if (!token && !credential)
        return NULL;
    struct rest_token *t = mem_zalloc(sizeof *t);
    const char *colon = credential ? strchr(credential, ':') : NULL;
    pthread_mutex_init(&t->lock, NULL);
    t->clock = clock;
    t->token = token ? mem_strdup(token) : NULL;
    t->id = colon ? mem_strndup(credential, (size_t)(colon - credential)) : NULL;
    t->secret = credential ? mem_strdup(colon ? colon + 1 : credential) : NULL;
    t->server = mem_strdup(server);
    t->scope = mem_strdup(scope ? scope : "catalog");
    return t;
}

void rest_token_free(struct rest_token *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    wipe(t->token);
    wipe(t->secret);
    free(t->id);
    free(t->server);
    free(t->scope);
    free(t);
}

static void put_form(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "%s%s=", out->n ? "&" : "", key);
    sigv4_encode(value, strlen(value), false, out);
}

/* Takes the token out of the answer. */
static int take(struct rest_token *t, const struct http_response *h, struct err *e)
{
    json_t *j = json_loadb((const char *)h->body.p, h->body.n, 0, NULL);
    const char *token = json_string_value(json_object_get(j, "access_token")),
               *why = json_string_value(json_object_get(j, "error"));
    int64_t life = json_integer_value(json_object_get(j, "expires_in"));
    int rc = 0;
    if (h->status == 200 && token) {
        wipe(t->token);
        t->token = mem_strdup(token);
        t->over_ms = life > 0 ? clock_boot_ms(t->clock) + life * 1000 : 0;
    } else {
        bool passes = h->status == 429 || h->status >= 500;
        rc = err_set(e, passes ? ERR_RETRY : ERR_INVALID,
                     "%s gave no token: status %d%s%s%s", t->server, h->status, why ? " " : "",
                     why ? why : "", passes ? "" : ": is INLET_CATALOG_CREDENTIAL right?");
    }
    json_decref(j);
    return rc;
}

static int get_new(struct rest_token *t, struct http *http, struct err *e)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    struct buf form = {0};
    struct http_response h = {0};
    put_form(&form, "grant_type", "client_credentials");
    put_form(&form, "client_id", t->id);
    put_form(&form, "client_secret", t->secret);
    put_form(&form, "scope", t->scope);
    struct http_request q = {.method = "POST",
                             .url = t->server,
                             .headers = headers,
                             .body = form.p,
                             .n_body = form.n,
                             .timeout_ms = TIMEOUT_MS,
                             .response_bytes_max = ANSWER_MAX};
    int rc = http_do(http, &q, &h, e);
    if (rc && e && e->kind == ERR_UNKNOWN) /* a token more is no harm */
        e->kind = ERR_RETRY;
    if (rc == 0)
        rc = take(t, &h, e);
    explicit_bzero(form.p, form.n);
    buf_fini(&form);
    http_response_fini(&h);
    return rc;
}

char *rest_token_get(struct rest_token *t, struct http *http, struct err *e)
{
    pthread_mutex_lock(&t->lock);
    bool over = t->over_ms && t->over_ms - clock_boot_ms(t->clock) < EARLY_MS;
    int rc = 0;
    if (t->secret && (!t->token || over))
        rc = get_new(t, http, e);
    char *copy = rc == 0 && t->token ? mem_strdup(t->token) : NULL;
    pthread_mutex_unlock(&t->lock);
    return copy;
}

bool rest_token_expired(struct rest_token *t, const char *used)
{
    if (!t || !t->secret)
        return false;
    pthread_mutex_lock(&t->lock);
    if (t->token && strcmp(t->token, used) == 0) {
        wipe(t->token);
        t->token = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    return true;
}
