/* client: see client.h. */
#include "aws/client.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/profile.h"
#include "aws/time.h"
#include "aws/xml.h"
#include "base/mem.h"

static pthread_once_t ca_once = PTHREAD_ONCE_INIT;
static void ca_init(void)
{
    http_set_ca_file(profile_env("AWS_CA_BUNDLE"));
}

static char *find_region(const struct aws_options *o)
{
    const char *v = o->region && *o->region ? o->region : profile_env("AWS_REGION");
    if (!v)
        v = profile_env("AWS_DEFAULT_REGION");
    return v ? mem_strdup(v) : profile_get(o->profile, "region");
}

static char *find_endpoint(const char *service, const char *region, const struct aws_options *o)
{
    char *configured = o->endpoint && *o->endpoint ? mem_strdup(o->endpoint)
                                                   : profile_endpoint(o->profile, service);
    if (configured)
        return configured;
    return mem_printf("https://%s.%s.amazonaws.com%s", service, region,
                      strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

static bool region_is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && n < 64 && s[n] == '\0';
}

/* Takes the endpoint apart: http(s)://host[:port][/]. */
static int set_host(struct aws_client *c, struct err *e)
{
    char *s = c->endpoint;
    size_t n = strlen(s);
    while (n && s[n - 1] == '/')
        s[--n] = '\0';
    bool tls = strncmp(s, "https://", 8) == 0;
    const char *host = s + (tls ? 8 : 7);
    if ((!tls && strncmp(s, "http://", 7) != 0) || !*host || strpbrk(host, "/?#@ \r\n"))
        return err_set(e, ERR_INVALID, "the endpoint \"%s\" is no http(s)://HOST[:PORT]", s);
    c->host = mem_strdup(host);
    char *port = strrchr(c->host, ':');
    if (port && strcmp(port, tls ? ":443" : ":80") == 0)
        *port = '\0';
    return 0;
}

static int set_credentials(struct aws_client *c, const struct aws_options *o, struct err *e)
{
    struct credentials keys = {0};
    c->credentials = o->keys ? credential_provider_fixed(o->keys, c->clock)
                             : credential_provider_open(o->profile, c->clock);
    int rc = credential_provider_get(c->credentials, &keys, e);
    credentials_fini(&keys);
    return rc;
}

int aws_client_open(struct aws_client *c, const char *service, const struct aws_options *o,
                    const struct clock *clock, struct err *e)
{
    *c = (struct aws_client){.clock = clock, .service = mem_strdup(service)};
    pthread_once(&ca_once, ca_init);
    c->region = find_region(o);
    int rc = 0;
    if (!c->region)
        rc = err_set(e, ERR_INVALID,
                     "no AWS region: set AWS_REGION, or region in the profile of ~/.aws/config");
    else if (!region_is_name(c->region))
        rc = err_set(e, ERR_INVALID, "\"%s\" is no name of an AWS region", c->region);
    if (rc == 0) {
        c->endpoint = find_endpoint(service, c->region, o);
        rc = set_host(c, e);
    }
    if (rc == 0)
        rc = set_credentials(c, o, e);
    if (rc)
        aws_client_close(c);
    return rc;
}

void aws_client_close(struct aws_client *c)
{
    free(c->service);
    free(c->region);
    free(c->endpoint);
    free(c->host);
    credential_provider_close(c->credentials);
    *c = (struct aws_client){0};
}

static bool one_of(const char *code, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(code, *list) == 0)
            return true;
    return false;
}

static void put_line(struct aws_request *q, size_t *n, const char *name, const char *value)
{
    invariant(*n < AWS_HEADERS_MAX);
    struct buf *line = &q->lines[*n];
    line->n = 0;
    buf_printf(line, "%s: %s", name, value);
    q->headers[(*n)++] = buf_cstr(line);
    q->headers[*n] = NULL;
}

static void put_url(struct aws_request *q, const struct aws_client *c, const struct aws_call *call)
{
    q->url.n = 0;
    buf_printf(&q->url, "%s%s%s%s", call->endpoint ? call->endpoint : c->endpoint, call->path,
               call->query ? "?" : "", call->query ? call->query : "");
}

int aws_sign(struct aws_request *q, const struct aws_client *c, const struct aws_call *call,
             struct err *e)
{
    struct credentials keys = {0};
    if (credential_provider_get(c->credentials, &keys, e))
        return -1;
    char hash[SIGV4_HASH_TEXT], date[17];
    const char *service = call->service ? call->service : c->service;
    struct sigv4_header signed_headers[AWS_HEADERS_MAX];
    struct buf authorization = {0};
    size_t n = 0, lines = 0;
    invariant(call->n_headers + 6 <= AWS_HEADERS_MAX);
    for (; n < call->n_headers; n++)
        signed_headers[n] = call->headers[n];
    signed_headers[n++] = (struct sigv4_header){"Host", call->host ? call->host : c->host};
    if (!call->payload_hash)
        sigv4_hash(call->body, call->n_body, hash);
    const char *payload = call->payload_hash ? call->payload_hash : hash;
    if (strcmp(service, "s3") == 0 || strcmp(service, "s3tables") == 0)
        signed_headers[n++] = (struct sigv4_header){"X-Amz-Content-Sha256", payload};
    struct sigv4_request s = {.method = call->method,
                              .path = call->path,
                              .query = call->query,
                              .headers = signed_headers,
                              .n_headers = n,
                              .payload_hash = payload,
                              .region = call->region ? call->region : c->region,
                              .service = service,
                              .time_s = aws_time_s(c->clock)};
    sigv4_sign(&s, &keys, date, &authorization);
    for (size_t i = 0; i < n; i++)
        put_line(q, &lines, signed_headers[i].name, signed_headers[i].value);
    put_line(q, &lines, "X-Amz-Date", date);
    put_line(q, &lines, "Authorization", buf_cstr(&authorization));
    if (keys.token)
        put_line(q, &lines, "X-Amz-Security-Token", keys.token);
    snprintf(q->access_key, sizeof q->access_key, "%s", keys.access_key);
    put_url(q, c, call);
    q->http = (struct http_request){.method = call->method,
                                    .url = buf_cstr(&q->url),
                                    .headers = q->headers,
                                    .body = call->body,
                                    .n_body = call->n_body,
                                    .timeout_ms = 30000};
    buf_fini(&authorization);
    credentials_fini(&keys);
    return 0;
}

int aws_json_sign(struct aws_request *q, const struct aws_client *c, const char *content_type,
                  const char *target, const void *body, size_t n, struct err *e)
{
    struct sigv4_header headers[] = {{"Content-Type", content_type}, {"X-Amz-Target", target}};
    struct aws_call call = {.method = "POST", .path = "/", .headers = headers, .n_headers = 2,
                            .body = body, .n_body = n};
    return aws_sign(q, c, &call, e);
}

void aws_request_fini(struct aws_request *q)
{
    for (int i = 0; i < AWS_HEADERS_MAX; i++) {
        if (q->lines[i].p)
            explicit_bzero(q->lines[i].p, q->lines[i].cap);
        buf_fini(&q->lines[i]);
    }
    buf_fini(&q->url);
}

bool aws_client_heal(const struct aws_client *c, const struct aws_request *q,
                     const struct aws_fault *f, const struct http_response *r)
{
    static const char *const late[] = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture",
                                       "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", NULL};
    static const char *const expired[] = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",
                                          "RequestExpired", NULL};
    size_t n = 0;
    const char *date = one_of(f->code, late) ? http_header(r, "Date", &n) : NULL;
    if (date && aws_time_correct(c->clock, date, n))
        return true;
    return one_of(f->code, expired) && credential_provider_expired(c->credentials, q->access_key);
}

/* S3's errors, or within STS's and other query answers. */
static void parse_xml(struct aws_fault *f, const struct http_response *r)
{
    if (!r->body.n || r->body.p[0] != '<')
        return;
    char *code = xml_text(r->body.p, r->body.n, "Error/Code");
    if (!code)
        code = xml_text(r->body.p, r->body.n, "/Error/Code");
    char *message = xml_text(r->body.p, r->body.n, "Error/Message");
    if (!message)
        message = xml_text(r->body.p, r->body.n, "/Error/Message");
    snprintf(f->code, sizeof f->code, "%s", code ? code : "");
    snprintf(f->message, sizeof f->message, "%s", message ? message : "");
    free(code);
    free(message);
}

void aws_fault_parse(struct aws_fault *f, const struct http_response *r)
{
    *f = (struct aws_fault){{0}, {0}};
    json_t *j = json_loadb((const char *)r->body.p, r->body.n, 0, NULL);
    const char *type = json_string_value(json_object_get(j, "__type"));
    const char *message = json_string_value(json_object_get(j, "message"));
    if (!message)
        message = json_string_value(json_object_get(j, "Message"));
    size_t n = 0;
    const char *header = type ? NULL : http_header(r, "x-amzn-errortype", &n);
    if (header)
        snprintf(f->code, sizeof f->code, "%.*s", (int)n, header);
    else if (type)
        snprintf(f->code, sizeof f->code, "%s", strrchr(type, '#') ? strrchr(type, '#') + 1 : type);
    f->code[strcspn(f->code, ":")] = '\0';
    if (message)
        snprintf(f->message, sizeof f->message, "%s", message);
    json_decref(j);
    if (!*f->code)
        parse_xml(f, r);
}

bool aws_fault_throttled(const struct aws_fault *f, int status)
{
    static const char *const codes[] = {
        "ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException",
        "Throttling", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException",
        "KMSThrottlingException", "SlowDown", "RequestThrottled", "ServiceUnavailable", "Busy", NULL};
    return status == 429 || one_of(f->code, codes);
}

bool aws_fault_credentials(const struct aws_fault *f)
{
    static const char *const codes[] = {
        "UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignature",
        "IncompleteSignatureException", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "ExpiredTokenException", "ExpiredToken",
        "InvalidClientTokenId", "SignatureDoesNotMatch", "AuthFailure", "NotAuthorized",
        "InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired", NULL};
    return one_of(f->code, codes);
}

bool aws_fault_denied(const struct aws_fault *f)
{
    static const char *const codes[] = {"AccessDeniedException", "AccessDenied",
                                        "KMSAccessDeniedException", "OptInRequired",
                                        "AccessForbidden", "AllAccessDisabled", "KMS.AccessDeniedException", NULL};
    return one_of(f->code, codes);
}
