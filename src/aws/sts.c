/* sts: a role's keys from the Security Token Service, in its query protocol:
 *
 *   POST / HTTP/1.1                                  <AssumeRoleResponse ...><AssumeRoleResult><Credentials>
 *   Action=AssumeRole&Version=2011-06-15&RoleArn=...   <AccessKeyId>...</AccessKeyId> ... <Expiration>
 *
 * AssumeRole is signed with other keys; AssumeRoleWithWebIdentity is not signed: the token is the proof. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aws/credentials_int.h"
#include "aws/profile.h"
#include "aws/sigv4.h"
#include "aws/time.h"
#include "aws/xml.h"
#include "base/mem.h"

#define ATTEMPTS 4
#define TIMEOUT_MS 10000
#define FORM "application/x-www-form-urlencoded; charset=utf-8"

static void put_param(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "&%s=", name);
    sigv4_encode(value, strlen(value), false, out);
}

static void put_role(struct buf *form, const struct sts_role *r)
{
    char session[64];
    snprintf(session, sizeof session, "inlet-%ld-%lld", (long)getpid(), (long long)clock_mono_ns());
    put_param(form, "RoleArn", r->arn);
    put_param(form, "RoleSessionName", r->session ? r->session : session);
    put_param(form, "ExternalId", r->external_id);
    put_param(form, "DurationSeconds", r->duration_s);
}

static char *endpoint_of(const struct sts_role *r)
{
    const char *region = r->region;
    char *v = profile_endpoint(r->profile, "sts");
    if (v) {
        size_t n = strlen(v);
        while (n && v[n - 1] == '/')
            v[--n] = '\0';
        return v;
    }
    if (!region)
        return mem_strdup("https://sts.amazonaws.com");
    return mem_printf("https://sts.%s.amazonaws.com%s", region,
                      strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

/* Four texts of the answer become credentials. */
static int parse(const struct http_response *r, const char *action, struct credentials *out, struct err *e)
{
    static const char *const names[4] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
    json_t *j = json_object();
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "/Credentials/%s", names[i]);
        char *v = xml_text(r->body.p, r->body.n, path);
        if (v) {
            json_object_set_new(j, names[i], json_string(v));
            explicit_bzero(v, strlen(v));
        }
        free(v);
    }
    int rc = credentials_of_json(j, names, action, out, e);
    json_decref(j);
    return rc;
}

static int refused(const struct http_response *r, const char *action, const struct sts_role *role,
                   struct err *e)
{
    char *code = xml_text(r->body.p, r->body.n, "/Error/Code");
    char *message = xml_text(r->body.p, r->body.n, "/Error/Message");
    bool again = r->status >= 500 || r->status == 429 || (code && strstr(code, "Throttl")) ||
                 (code && strcmp(code, "IDPCommunicationError") == 0);
    bool denied = code && strcmp(code, "AccessDenied") == 0;
    err_set(e, again ? ERR_RETRY : ERR_INVALID, "STS %s of %s: %s (HTTP status %d): %.300s%s%s", action,
            role->arn, code ? code : "refused", r->status, message ? message : "",
            denied ? ": allow sts:" : "",
            !denied ? "" : strcmp(action, "AssumeRole") == 0 ? "AssumeRole, and name the caller in the role's trust policy"
                         : "AssumeRoleWithWebIdentity in the role's trust policy");
    free(code);
    free(message);
    return -1;
}

/* `with` NULL: unsigned. */
static int call(const char *action, const struct sts_role *role, const struct buf *form,
                const struct credentials *with, const struct clock *clock, struct credentials *out,
                struct err *e)
{
    char *endpoint = endpoint_of(role), *url = mem_printf("%s/", endpoint), *token = NULL;
    char hash[SIGV4_HASH_TEXT], date[17], amz_date[40], *authorization = NULL;
    struct buf a = {0};
    const char *headers[6] = {"Content-Type: " FORM, "Accept: application/xml", NULL};
    if (with) {
        const char *host = strstr(endpoint, "://");
        struct sigv4_header h[] = {{"Content-Type", FORM}, {"Host", host ? host + 3 : endpoint}};
        sigv4_hash(form->p, form->n, hash);
        struct sigv4_request s = {.method = "POST", .path = "/", .headers = h, .n_headers = 2,
                                  .payload_hash = hash, .region = role->region ? role->region : "us-east-1",
                                  .service = "sts", .time_s = aws_time_s(clock)};
        sigv4_sign(&s, with, date, &a);
        snprintf(amz_date, sizeof amz_date, "X-Amz-Date: %s", date);
        authorization = mem_printf("Authorization: %s", buf_cstr(&a));
        token = with->token ? mem_printf("X-Amz-Security-Token: %s", with->token) : NULL;
        headers[2] = amz_date;
        headers[3] = authorization;
        headers[4] = token;
    }
    struct http_response r = {0};
    struct credential_request q = {.method = "POST", .url = url, .headers = headers, .body = form->p,
                                   .n_body = form->n, .attempts = ATTEMPTS, .timeout_ms = TIMEOUT_MS};
    int rc = credentials_ask(&q, &r, e);
    if (rc == 0)
        rc = r.status == 200 ? parse(&r, "STS", out, e) : refused(&r, action, role, e);
    /* The answer's time is that of AWS: the next attempt is signed by it. */
    size_t n = 0;
    const char *theirs = rc && r.status >= 400 && r.status < 500 ? http_header(&r, "Date", &n) : NULL;
    if (theirs && aws_time_correct(clock, theirs, n))
        e->kind = ERR_RETRY;
    if (r.body.p)
        explicit_bzero(r.body.p, r.body.cap);
    http_response_fini(&r);
    buf_fini(&a);
    free(token);
    free(authorization);
    free(url);
    free(endpoint);
    return rc;
}

int credentials_of_role(const struct sts_role *r, const struct credentials *with,
                        const struct clock *clock, struct credentials *out, struct err *e)
{
    struct buf form = {0};
    struct err local = {0};
    buf_puts(&form, "Action=AssumeRole&Version=2011-06-15");
    put_role(&form, r);
    int rc = -1;
    for (int i = 0; rc && i < 3 && (i == 0 || local.kind == ERR_RETRY); i++)
        rc = call("AssumeRole", r, &form, with, clock, out, &local);
    if (rc)
        err_set(e, local.kind, "%s", local.text);
    buf_fini(&form);
    return rc ? -1 : 1;
}

int credentials_of_web_identity(const struct sts_role *r, const char *token_file,
                                struct credentials *out, struct err *e)
{
    struct buf form = {0};
    char *token = credentials_read_file(token_file, e);
    if (!token)
        return err_wrap(e, "the web identity's token");
    buf_puts(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
    put_role(&form, r);
    put_param(&form, "WebIdentityToken", token);
    int rc = call("AssumeRoleWithWebIdentity", r, &form, NULL, &clock_system, out, e);
    explicit_bzero(token, strlen(token));
    explicit_bzero(form.p, form.n);
    free(token);
    buf_fini(&form);
    return rc ? -1 : 1;
}
