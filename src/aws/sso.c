/* sso: IAM Identity Center. `aws sso login` leaves a token in ~/.aws/sso/cache/<SHA-1 of the session's name, or of
 * the start URL>.json; the portal gives a role's keys for it.
 *   https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/credentials_int.h"
#include "aws/profile.h"
#include "aws/sigv4.h"
#include "aws/time.h"
#include "base/mem.h"

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
    uint8_t h[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char name[2 * EVP_MAX_MD_SIZE + 1];
    const char *home = profile_env("HOME");
    invariant(EVP_Digest(key, strlen(key), h, &n, EVP_sha1(), NULL) == 1);
    for (unsigned i = 0; i < n; i++)
        snprintf(name + 2 * i, 3, "%02x", h[i]);
    return mem_printf("%s/.aws/sso/cache/%s.json", home ? home : "", name);
}

/* The token that a login left, or NULL. */
static char *cached_token(const struct sso *s, const char *profile, const struct clock *clock,
                          struct err *e)
{
    char *path = cache_path(s->session ? s->session : s->start_url);
    char *text = credentials_read_file(path, NULL), *token = NULL;
    json_t *j = text ? json_loads(text, 0, NULL) : NULL;
    const char *t = json_string_value(json_object_get(j, "accessToken"));
    const char *expires = json_string_value(json_object_get(j, "expiresAt"));
    size_t n = expires ? strlen(expires) : 0;
    char *iso = mem_strdup(expires ? expires : "");
    if (n > 3 && strcmp(iso + n - 3, "UTC") == 0) /* as older tools wrote it */
        strcpy(iso + n - 3, "Z");
    if (!t || aws_time_parse_ms(iso) <= aws_time_s(clock) * 1000 || strpbrk(t, "\r\n"))
        err_set(e, ERR_INVALID, "the SSO session of profile %s is not there or has expired: run `aws sso "
                "login --profile %s`", profile_name(profile), profile_name(profile));
    else
        token = mem_printf("x-amz-sso_bearer_token: %s", t);
    if (text)
        explicit_bzero(text, strlen(text));
    json_decref(j);
    free(iso);
    free(text);
    free(path);
    return token;
}

static char *portal_url(const struct sso *s)
{
    const char *at = profile_env("AWS_ENDPOINT_URL_SSO");
    struct buf out = {0};
    if (at)
        buf_puts(&out, at);
    else
        buf_printf(&out, "https://portal.sso.%s.amazonaws.com", s->region);
    buf_puts(&out, "/federation/credentials?role_name=");
    sigv4_encode(s->role, strlen(s->role), false, &out);
    buf_puts(&out, "&account_id=");
    sigv4_encode(s->account, strlen(s->account), false, &out);
    return buf_take(&out);
}

static int ask(const struct sso *s, const char *token, struct credentials *out, struct err *e)
{
    static const char *const names[4] = {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"};
    char *url = portal_url(s);
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
            if (token && ask(&s, token, out, e) == 0)
                rc = 1;
            if (token)
                explicit_bzero(token, strlen(token));
            free(token);
        }
    }
    sso_fini(&s);
    return rc;
}
