/* sso: IAM Identity Center. `aws sso login` leaves a token in ~/.aws/sso/cache/<SHA-1 of the session's name, or of
 * the start URL>.json; the portal gives a role's keys for it.
 *   https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html
 * A login by an sso-session leaves a refresh token too: then a token that is about to expire is renewed as the CLI
 * does it, and what is left in the cache is for both.
 *   POST /token {"grantType":"refresh_token","clientId":..,"clientSecret":..,"refreshToken":..}
 *     -> {"accessToken":..,"expiresIn":3600,"refreshToken":..} */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aws/credentials_int.h"
#include "aws/profile.h"
#include "aws/sigv4.h"
#include "aws/time.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/civil.h"
#include "codec/digest.h"

#define RENEW_EARLY_MS (15 * 60 * 1000) /* as the CLI does */

struct sso {
    char *session, *start_url, *region, *account, *role;
};

static void sso_read(struct sso *s, const char *profile)
{
    s->session = profile_get(profile, "sso_session");
    s->start_url = s->session ? profile_session_get(s->session, "sso_start_url")
                              : profile_get(profile, "sso_start_url");
    s->region = s->session ? profile_session_get(s->session, "sso_region")
                           : profile_get(profile, "sso_region");
    s->account = profile_get(profile, "sso_account_id");
    s->role = profile_get(profile, "sso_role_name");
}

static void sso_fini(struct sso *s)
{
    free(s->session);
    free(s->start_url);
    free(s->region);
    free(s->account);
    free(s->role);
}

static char *cache_path(const char *key)
{
    uint8_t h[20];
    char name[2 * sizeof h + 1];
    const char *home = profile_env("HOME");
    digest_sha1(key, strlen(key), h);
    for (unsigned i = 0; i < sizeof h; i++)
        snprintf(name + 2 * i, 3, "%02x", h[i]);
    return mem_printf("%s/.aws/sso/cache/%s.json", home ? home : "", name);
}

static const char *text_of(const json_t *j, const char *name)
{
    return json_string_value(json_object_get(j, name));
}

/* 0 where it is not said, or no time. */
static int64_t time_of(const json_t *j, const char *name)
{
    const char *text = text_of(j, name);
    char *iso = mem_strdup(text ? text : "");
    size_t n = strlen(iso);
    if (n > 3 && strcmp(iso + n - 3, "UTC") == 0) /* as older tools wrote it */
        strcpy(iso + n - 3, "Z");
    int64_t ms = aws_time_parse_ms(iso);
    free(iso);
    return ms;
}

/* ---- renewing */

static bool renewable(const struct sso *s, const json_t *j, int64_t now_ms)
{
    return s->session && s->region && text_of(j, "refreshToken") && text_of(j, "clientId") &&
           text_of(j, "clientSecret") && time_of(j, "registrationExpiresAt") > now_ms;
}

/* Whole or not at all: the CLI may read it meanwhile. */
static int write_cache(const char *path, const json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT), *next = mem_printf("%s.%ld", path, (long)getpid());
    size_t n = strlen(text);
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = fd < 0 || write(fd, text, n) != (ssize_t)n ? -1 : 0;
    if (fd >= 0)
        rc |= close(fd);
    if (!rc)
        rc = rename(next, path);
    if (rc)
        unlink(next);
    explicit_bzero(text, n);
    free(text);
    free(next);
    return rc;
}

static int take_renewed(json_t *cache, const struct http_response *r, int64_t now_ms)
{
    json_t *j = json_loadb((const char *)r->body.p, r->body.n, 0, NULL);
    int64_t life_s = json_integer_value(json_object_get(j, "expiresIn"));
    char when[CIVIL_TEXT_MAX];
    bool good = r->status == 200 && text_of(j, "accessToken") && life_s > 0 && life_s < 366 * 86400;
    if (good) {
        civil_format_us((now_ms / 1000 + life_s) * 1000000, when);
        json_object_set(cache, "accessToken", json_object_get(j, "accessToken"));
        json_object_set_new(cache, "expiresAt", json_string(when));
        if (text_of(j, "refreshToken"))
            json_object_set(cache, "refreshToken", json_object_get(j, "refreshToken"));
    }
    json_decref(j);
    return good ? 0 : -1;
}

/* Asks for a new token with the one that the login left for this. 0: `cache` has it, and so has the file. */
static int renew(const struct sso *s, const char *profile, json_t *cache, const char *path, int64_t now_ms)
{
    char *at = profile_endpoint(profile, "sso_oidc");
    char *url = at ? mem_printf("%s/token", at)
                   : mem_printf("https://oidc.%s.amazonaws.com/token", s->region);
    json_t *q = json_pack("{s:s,s:O,s:O,s:O}", "grantType", "refresh_token", "clientId",
                          json_object_get(cache, "clientId"), "clientSecret",
                          json_object_get(cache, "clientSecret"), "refreshToken",
                          json_object_get(cache, "refreshToken"));
    char *body = json_dumps(q, JSON_COMPACT);
    const char *headers[] = {"Content-Type: application/json", NULL};
    struct http_response r = {0};
    struct err e = {0};
    struct credential_request ask = {.method = "POST", .url = url, .headers = headers, .body = body,
                                     .n_body = strlen(body), .attempts = 3, .timeout_ms = 10000};
    int rc = credentials_ask(&ask, &r, &e) ? -1 : take_renewed(cache, &r, now_ms);
    if (rc && !e.kind)
        err_set(&e, ERR_INVALID, "HTTP status %d", r.status);
    if (rc) {
        log_warn("the SSO session %s could not be renewed: %s", s->session, e.text);
    } else if (write_cache(path, cache)) {
        err_errno(&e, errno, "%s", path);
        log_warn("the renewed SSO session %s is kept in memory only: %s", s->session, e.text);
    }
    explicit_bzero(body, strlen(body));
    if (r.body.p)
        explicit_bzero(r.body.p, r.body.n);
    http_response_fini(&r);
    json_decref(q);
    free(body);
    free(url);
    free(at);
    return rc;
}

/* The token that a login left, renewed where need be, or NULL. */
static char *cached_token(const struct sso *s, const char *profile, const struct clock *clock,
                          struct err *e)
{
    char *path = cache_path(s->session ? s->session : s->start_url);
    char *text = credentials_read_file(path, NULL), *token = NULL;
    json_t *j = text ? json_loads(text, 0, NULL) : NULL;
    int64_t now_ms = aws_time_s(clock) * 1000;
    if (time_of(j, "expiresAt") < now_ms + RENEW_EARLY_MS && renewable(s, j, now_ms))
        renew(s, profile, j, path, now_ms); /* if it fails, what is there may still be good */
    const char *t = text_of(j, "accessToken");
    if (!t || time_of(j, "expiresAt") <= now_ms || strpbrk(t, "\r\n"))
        err_set(e, ERR_INVALID, "the SSO session of profile %s is not there or has expired: run `aws sso "
                "login --profile %s`", profile_name(profile), profile_name(profile));
    else
        token = mem_printf("x-amz-sso_bearer_token: %s", t);
    if (text)
        explicit_bzero(text, strlen(text));
    json_decref(j);
    free(text);
    free(path);
    return token;
}

static char *portal_url(const struct sso *s, const char *profile)
{
    char *at = profile_endpoint(profile, "sso");
    struct buf out = {0};
    if (at)
        buf_puts(&out, at);
    else
        buf_printf(&out, "https://portal.sso.%s.amazonaws.com", s->region);
    buf_puts(&out, "/federation/credentials?role_name=");
    sigv4_encode(s->role, strlen(s->role), false, &out);
    buf_puts(&out, "&account_id=");
    sigv4_encode(s->account, strlen(s->account), false, &out);
    free(at);
    return buf_take(&out);
}

static int ask(const struct sso *s, const char *profile, const char *token, struct credentials *out,
               struct err *e)
{
    static const char *const names[4] = {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"};
    char *url = portal_url(s, profile);
    const char *headers[] = {token, NULL};
    struct http_response r = {0};
    struct credential_request q = {.method = "GET", .url = url, .headers = headers, .attempts = 3,
                                   .timeout_ms = 10000};
    int rc = credentials_ask(&q, &r, e);
    if (rc == 0 && r.status != 200)
        rc = err_set(e, r.status >= 500 || r.status == 429 ? ERR_RETRY : ERR_INVALID,
                     "the SSO portal answered HTTP status %d for role %s of account %s", r.status, s->role,
                     s->account);
    if (rc == 0) {
        json_t *j = json_loadb((const char *)r.body.p, r.body.n, 0, NULL);
        rc = credentials_of_json(json_object_get(j, "roleCredentials"), names, "the SSO portal", out, e);
        json_decref(j);
    }
    http_response_fini(&r);
    free(url);
    return rc;
}

int credentials_of_sso(const char *profile, const struct clock *clock, struct credentials *out,
                       struct err *e)
{
    struct sso s = {0};
    sso_read(&s, profile);
    int rc = 0;
    if (s.session || s.start_url) {
        rc = -1;
        if (!s.start_url || !s.region || !s.account || !s.role) {
            err_set(e, ERR_INVALID, "profile %s: SSO needs sso_start_url, sso_region, sso_account_id and "
                    "sso_role_name", profile_name(profile));
        } else {
            char *token = cached_token(&s, profile, clock, e);
            if (token && ask(&s, profile, token, out, e) == 0)
                rc = 1;
            if (token)
                explicit_bzero(token, strlen(token));
            free(token);
        }
    }
    sso_fini(&s);
    return rc;
}
