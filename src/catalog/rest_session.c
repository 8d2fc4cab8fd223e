/* See rest_session.h. Properties have the names that Iceberg's own clients give them ("token",
 * "oauth2-server-uri", "rest.sigv4-enabled"), for the server may set them too. */
#include "catalog/rest_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "aws/sigv4.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "catalog/rest_token.h"
#include "net/http_pool.h"
#include "net/retry.h"

#define PATIENCE_MS 30000
#define CALL_TIMEOUT_MS 60000

struct rest_session {
    char *base;             /* "https://host/path", without a slash at the end */
    char *host, *path;      /* of it; path may be "" */
    size_t origin;          /* length of "https://host" */
    char *prefix;           /* "" or "PREFIX/", as the server gave it */
    char *separator;        /* of namespace levels, percent-encoded */
    json_t *ours, *defaults, *overrides;
    struct rest_token *token; /* OAuth2 or a token that was given; NULL: none */
    bool signs, keyed; /* keyed: the server knows a request that is sent again by its Idempotency-Key */
    struct aws_client aws; /* where it signs */
    const struct clock *clock;
    int64_t patience_ms;
    struct http_pool pool;
};

const char *rest_base(const struct rest_session *s)
{
    return s->base;
}

const char *rest_property(const struct rest_session *s, const char *key)
{
    const json_t *in[] = {s->overrides, s->ours, s->defaults};
    for (int i = 0; i < 3; i++) {
        const char *v = json_string_value(json_object_get(in[i], key));
        if (v)
            return v;
    }
    return NULL;
}

const char *rest_signing_name(const struct rest_session *s)
{
    const char *name = rest_property(s, "rest.signing-name");
    return s->signs ? name ? name : "execute-api" : NULL;
}

void rest_reply_fini(struct rest_reply *r)
{
    json_decref(r->json);
    *r = (struct rest_reply){0};
}

/* ---- one exchange */

/* {"error": {"message", "type", "code"}}; AWS's own endpoints also {"message"}. */
static void read_fault(struct rest_reply *r, const struct http_response *h)
{
    json_t *j = json_loadb((const char *)h->body.p, h->body.n, 0, NULL),
           *error = json_object_get(j, "error");
    const char *type = json_string_value(json_object_get(error, "type")),
               *message = json_string_value(json_object_get(json_is_object(error) ? error : j,
                                                            "message"));
    if (!message)
        message = json_string_value(json_object_get(j, "Message"));
    snprintf(r->type, sizeof r->type, "%s", type ? type : "");
    snprintf(r->message, sizeof r->message, "%s", message ? message : "");
    json_decref(j);
}

static enum err_kind kind_of(int status)
{
    switch (status) {
    case 404: return ERR_NOTFOUND;
    case 409: return ERR_CONFLICT;
    case 429:
    case 503: return ERR_RETRY; /* the server is not ready: it has done nothing */
    case 408:
    case 500:
    case 502:
    case 504: return ERR_UNKNOWN; /* CommitStateUnknown */
    default: return status >= 500 ? ERR_UNKNOWN : ERR_INVALID;
    }
}

static const char *hint_of(const struct rest_session *s, int status)
{
    if (status == 401 || status == 419)
        return s->signs ? ": renew the AWS credentials"
                        : ": set INLET_CATALOG_TOKEN or INLET_CATALOG_CREDENTIAL, or renew what is "
                          "set";
    if (status == 403)
        return ": the catalog does not allow it to this principal";
    return "";
}

static int refused(const struct rest_session *s, const char *method, const char *path,
                   const struct http_response *h, struct rest_reply *r, struct err *e)
{
    read_fault(r, h);
    return err_set(e, kind_of(h->status), "catalog %s: %s %s: status %d%s%s%s%s%s", s->base, method,
                   path, h->status, *r->type ? " " : "", r->type, *r->message ? ": " : "",
                   r->message, hint_of(s, h->status));
}

struct ask { /* one request, however often it is sent; borrowed */
    const char *method, *path, *query, *body; /* the last two may be NULL */
    char key[37]; /* of idempotency; empty: none */
};

static int send_signed(struct rest_session *s, struct http *http, const struct ask *a,
                       struct http_response *h, struct err *e)
{
    struct aws_request q = {0};
    struct sigv4_header headers[] = {{"Content-Type", "application/json"},
                                     {"X-Iceberg-Access-Delegation", "vended-credentials"},
                                     {"Idempotency-Key", a->key}};
    struct aws_call call = {.method = a->method,
                            .path = a->path,
                            .query = a->query,
                            .headers = headers,
                            .n_headers = *a->key ? 3 : 2,
                            .body = a->body,
                            .n_body = a->body ? strlen(a->body) : 0,
                            .service = rest_signing_name(s),
                            .region = rest_property(s, "rest.signing-region")};
    char *origin = mem_strndup(s->base, s->origin);
    call.endpoint = origin;
    call.host = s->host;
    int rc = aws_sign(&q, &s->aws, &call, e);
    if (rc == 0) {
        q.http.timeout_ms = CALL_TIMEOUT_MS;
        rc = http_do(http, &q.http, h, e);
    }
    if (rc == 0 && (h->status == 401 || h->status == 403)) {
        struct aws_fault f;
        aws_fault_parse(&f, h);
        if (aws_client_heal(&s->aws, &q, &f, h)) {
            http_response_fini(h);
            rc = aws_sign(&q, &s->aws, &call, e) || http_do(http, &q.http, h, e) ? -1 : 0;
        }
    }
    aws_request_fini(&q);
    free(origin);
    return rc;
}

static int send_plain(struct rest_session *s, struct http *http, const struct ask *a,
                      struct http_response *h, struct err *e)
{
    char *token = s->token ? rest_token_get(s->token, http, e) : NULL;
    if (s->token && !token)
        return -1;
    char *url = mem_printf("%.*s%s%s%s", (int)s->origin, s->base, a->path, a->query ? "?" : "",
                           a->query ? a->query : "");
    char *bearer = token ? mem_printf("Authorization: Bearer %s", token) : NULL, key[64];
    snprintf(key, sizeof key, "Idempotency-Key: %s", a->key);
    const char *headers[] = {"Accept: application/json", "Content-Type: application/json",
                             "X-Iceberg-Access-Delegation: vended-credentials", NULL, NULL, NULL};
    size_t n = 3;
    if (*a->key)
        headers[n++] = key;
    headers[n] = bearer;
    struct http_request q = {.method = a->method,
                             .url = url,
                             .headers = headers,
                             .body = a->body,
                             .n_body = a->body ? strlen(a->body) : 0,
                             .timeout_ms = CALL_TIMEOUT_MS};
    int rc = http_do(http, &q, h, e);
    if (rc == 0 && (h->status == 401 || h->status == 419) && rest_token_expired(s->token, token)) {
        http_response_fini(h); /* once more, with a new one */
        free(token);
        free(bearer);
        bearer = NULL;
        token = rest_token_get(s->token, http, e);
        rc = token ? 0 : -1;
        if (token) {
            bearer = mem_printf("Authorization: Bearer %s", token);
            headers[n] = bearer;
            rc = http_do(http, &q, h, e);
        }
    }
    free(bearer);
    free(token);
    free(url);
    return rc;
}

static int attempt(struct rest_session *s, struct http *http, const struct ask *a,
                   struct rest_reply *r, struct err *e)
{
    struct http_response h = {0};
    r->type[0] = r->message[0] = '\0';
    r->status = 0;
    int rc = s->signs ? send_signed(s, http, a, &h, e) : send_plain(s, http, a, &h, e);
    if (rc)
        return err_wrap(e, "catalog %s", s->base);
    r->status = h.status;
    if (h.status < 200 || h.status >= 300) {
        rc = refused(s, a->method, a->path, &h, r, e);
    } else if (h.status != 204 && h.body.n) {
        r->json = json_loadb((const char *)h.body.p, h.body.n, 0, NULL);
        if (!json_is_object(r->json)) { /* a cut answer: it has acted, or is no catalog */
            json_decref(r->json);
            r->json = NULL;
            rc = err_set(e, ERR_UNKNOWN,
                         "catalog %s: %s %s answered something that is no JSON object; is it an "
                         "Iceberg REST catalog?",
                         s->base, a->method, a->path);
        }
    }
    http_response_fini(&h);
    return rc;
}

static void make_key(const struct rest_session *s, char out[37])
{
    uint8_t random[10];
    if (getrandom(random, sizeof random, 0) == (ssize_t)sizeof random)
        uuid7_format(clock_wall_ms(s->clock), random, out);
}

static int call(struct rest_session *s, const char *method, const char *path, const char *query,
                const json_t *body, struct rest_reply *r, struct err *e)
{
    struct retry retry = {.cap_ms = 5000};
    struct err local = {0};
    struct http *http = http_pool_take(&s->pool);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct ask a = {.method = method, .path = path, .query = query, .body = text};
    int64_t until = clock_boot_ms(s->clock) + s->patience_ms;
    bool acts = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
    int rc;
    *r = (struct rest_reply){0};
    if (acts && s->keyed)
        make_key(s, a.key);
    for (;;) {
        local.kind = ERR_NONE;
        rc = attempt(s, http, &a, r, &local);
        r->unsure |= acts && rc && local.kind == ERR_UNKNOWN;
        if (!rc || (local.kind != ERR_RETRY && local.kind != ERR_UNKNOWN))
            break;
        int64_t wait = retry_next_ms(&retry);
        if (clock_boot_ms(s->clock) + wait > until) {
            local.kind = r->unsure ? ERR_UNKNOWN : ERR_RETRY;
            break;
        }
        s->clock->sleep_ms(s->clock->ctx, wait);
    }
    if (rc)
        err_set(e, local.kind, "%s", local.text);
    http_pool_give(&s->pool, http);
    free(text);
    return rc;
}

int rest_call(struct rest_session *s, const char *method, const char *path, const json_t *body,
              struct rest_reply *r, struct err *e)
{
    const char *query = strchr(path, '?');
    char *whole = mem_printf("%s/v1/%s%.*s", s->path, s->prefix,
                             (int)(query ? (size_t)(query - path) : strlen(path)), path);
    int rc = call(s, method, whole, query ? query + 1 : NULL, body, r, e);
    free(whole);
    return rc;
}

/* ---- names in paths */

static void put_level(struct buf *out, const char *p, size_t n)
{
    sigv4_encode(p, n, false, out);
}

char *rest_namespace_path(const struct rest_session *s, const char *ns)
{
    struct buf out = {0};
    buf_puts(&out, "namespaces/");
    for (const char *p = ns;;) {
        size_t n = strcspn(p, ".");
        put_level(&out, p, n);
        if (!p[n])
            break;
        buf_puts(&out, s->separator);
        p += n + 1;
    }
    return buf_take(&out);
}

char *rest_table_path(const struct rest_session *s, const char *ns, const char *table)
{
    struct buf out = {0};
    char *parent = rest_namespace_path(s, ns);
    buf_printf(&out, "%s/tables", parent);
    if (table) {
        buf_puts(&out, "/");
        put_level(&out, table, strlen(table));
    }
    free(parent);
    return buf_take(&out);
}

json_t *rest_namespace_json(const char *ns)
{
    json_t *j = json_array();
    for (const char *p = ns;;) {
        size_t n = strcspn(p, ".");
        json_array_append_new(j, json_stringn(p, n));
        if (!p[n])
            return j;
        p += n + 1;
    }
}

/* ---- opening */

static int set_base(struct rest_session *s, const char *uri, struct err *e)
{
    bool tls = strncmp(uri, "https://", 8) == 0;
    size_t scheme = tls ? 8 : 7, n = strlen(uri);
    if (!tls && strncmp(uri, "http://", 7) != 0)
        return err_set(e, ERR_INVALID, "\"%s\" is no http(s)://HOST[:PORT][/PATH]", uri);
    while (n > scheme && uri[n - 1] == '/')
        n--;
    s->base = mem_strndup(uri, n);
    const char *host = s->base + scheme;
    size_t host_n = strcspn(host, "/?#");
    if (!host_n || strpbrk(s->base, "?#@ \r\n"))
        return err_set(e, ERR_INVALID, "\"%s\" is no http(s)://HOST[:PORT][/PATH]", uri);
    s->origin = (size_t)(host - s->base) + host_n;
    s->host = mem_strndup(host, host_n);
    s->path = mem_strdup(host + host_n);
    char *port = strrchr(s->host, ':');
    if (port && strcmp(port, tls ? ":443" : ":80") == 0)
        *port = '\0';
    return 0;
}

static void put_ours(json_t *ours, const char *key, const char *value)
{
    if (value)
        json_object_set_new(ours, key, json_string(value));
}

static bool is_true(const char *text)
{
    return text && strcasecmp(text, "true") == 0;
}

/* Who we are, by the properties in force. The server may have added some: then anew. */
static int set_identity(struct rest_session *s, const struct catalog_rest_options *o, struct err *e)
{
    bool signs = is_true(rest_property(s, "rest.sigv4-enabled"));
    if (signs && !s->signs) {
        struct aws_options aws = o->aws;
        if (!aws.region)
            aws.region = rest_property(s, "rest.signing-region");
        if (aws_client_open(&s->aws, rest_signing_name(s) ? rest_signing_name(s) : "glue", &aws,
                            s->clock, e))
            return err_wrap(e, "catalog %s", s->base);
    }
    s->signs |= signs;
    rest_token_free(s->token);
    const char *server = rest_property(s, "oauth2-server-uri");
    char *own = server ? NULL : mem_printf("%s/v1/oauth/tokens", s->base);
    s->token = s->signs ? NULL
                        : rest_token_new(rest_property(s, "token"), rest_property(s, "credential"),
                                         server ? server : own, rest_property(s, "scope"), s->clock);
    free(own);
    return 0;
}

static int read_config(struct rest_session *s, struct err *e)
{
    struct rest_reply r;
    struct buf query = {0};
    const char *warehouse = rest_property(s, "warehouse");
    char *path = mem_printf("%s/v1/config", s->path);
    if (warehouse) {
        buf_puts(&query, "warehouse=");
        sigv4_encode(warehouse, strlen(warehouse), false, &query);
    }
    int rc = call(s, "GET", path, warehouse ? buf_cstr(&query) : NULL, NULL, &r, e);
    if (rc == 0) {
        s->defaults = json_incref(json_object_get(r.json, "defaults"));
        s->overrides = json_incref(json_object_get(r.json, "overrides"));
        s->keyed = json_is_string(json_object_get(r.json, "idempotency-key-lifetime"));
    } else if ((e->kind == ERR_NOTFOUND || e->kind == ERR_INVALID) && r.status != 401 &&
               r.status != 403) {
        err_wrap(e, "is there an Iceberg REST catalog, and the warehouse?");
        e->kind = ERR_INVALID;
    }
    rest_reply_fini(&r);
    buf_fini(&query);
    free(path);
    return rc;
}

static int configure(struct rest_session *s, const struct catalog_rest_options *o, struct err *e)
{
    if (set_base(s, o->uri, e) || set_identity(s, o, e) || read_config(s, e))
        return -1;
    const char *uri = json_string_value(json_object_get(s->overrides, "uri"));
    if (uri && strcmp(uri, s->base) != 0) {
        free(s->base);
        free(s->host);
        free(s->path);
        s->base = s->host = s->path = NULL;
        if (set_base(s, uri, e))
            return -1;
    }
    const char *prefix = rest_property(s, "prefix"),
               *separator = rest_property(s, "namespace-separator");
    free(s->prefix);
    s->prefix = prefix && *prefix ? mem_printf("%s/", prefix) : mem_strdup("");
    free(s->separator);
    s->separator = mem_strdup(separator ? separator : "%1F");
    int rc = set_identity(s, o, e);
    json_object_del(s->ours, "token"); /* the secrets are where they are used */
    json_object_del(s->ours, "credential");
    return rc;
}

struct rest_session *rest_open(const struct catalog_rest_options *o, const struct clock *clock,
                               struct err *e)
{
    struct rest_session *s = mem_zalloc(sizeof *s);
    struct err local = {0};
    e = e ? e : &local;
    s->clock = clock;
    s->patience_ms = o->patience_ms ? o->patience_ms : PATIENCE_MS;
    s->prefix = mem_strdup("");
    s->separator = mem_strdup("%1F");
    s->ours = json_object();
    http_pool_init(&s->pool);
    put_ours(s->ours, "warehouse", o->warehouse);
    put_ours(s->ours, "token", o->token);
    put_ours(s->ours, "credential", o->credential);
    put_ours(s->ours, "oauth2-server-uri", o->oauth2_uri);
    put_ours(s->ours, "scope", o->scope);
    if (o->sign) {
        put_ours(s->ours, "rest.sigv4-enabled", "true");
        put_ours(s->ours, "rest.signing-name", o->sign);
        put_ours(s->ours, "rest.signing-region", o->aws.region);
    }
    if (configure(s, o, e) == 0)
        return s;
    rest_close(s);
    return NULL;
}

void rest_close(struct rest_session *s)
{
    if (!s)
        return;
    rest_token_free(s->token);
    if (s->signs)
        aws_client_close(&s->aws);
    http_pool_fini(&s->pool);
    json_decref(s->ours);
    json_decref(s->defaults);
    json_decref(s->overrides);
    free(s->prefix);
    free(s->separator);
    free(s->base);
    free(s->host);
    free(s->path);
    free(s);
}
