/* metadata: keys from where the program runs: a container's endpoint (ECS, EKS Pod Identity), an instance's
 * metadata service (IMDSv2 only: a token first).
 *   https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 *   https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/credentials_int.h"
#include "aws/profile.h"
#include "base/mem.h"

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"
#define INSTANCE_PATH "/latest/meta-data/iam/security-credentials/"
#define INSTANCE_TIMEOUT_MS 1000 /* beside the machine, or not there at all */
#define CONTAINER_TIMEOUT_MS 3000
#define ATTEMPTS 3

static const char *const names[4] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"};

/* Plain HTTP carries keys in the clear: only to this machine and to the addresses that AWS gives. */
static bool host_is_near(const char *url)
{
    static const char *const near[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost",
                                       "[::1]",         NULL};
    if (strncmp(url, "https://", 8) == 0)
        return true;
    if (strncmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + 7;
    size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (n > strlen(host) || memchr(host, '@', strcspn(host, "/?#")))
        return false;
    for (const char *const *p = near; *p; p++)
        if (strlen(*p) == n && strncmp(host, *p, n) == 0)
            return true;
    return n >= 8 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

static char *container_url(struct err *e)
{
    const char *relative = profile_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = profile_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (relative)
        return mem_printf(CONTAINER_HOST "%s", relative);
    if (host_is_near(full))
        return mem_strdup(full);
    err_set(e, ERR_INVALID,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI %.200s: write https://, or http:// to this machine, "
            "169.254.170.2, 169.254.170.23 or [fd00:ec2::23]", full);
    return NULL;
}

/* The Authorization header, or NULL (then e->kind says whether that is a failure). */
static char *container_token(struct err *e)
{
    const char *path = profile_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = profile_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    char *read = path ? credentials_read_file(path, e) : NULL;
    if (path && !read)
        return NULL;
    const char *v = read ? read : token;
    char *line = NULL;
    if (v && strpbrk(v, "\r\n"))
        err_set(e, ERR_INVALID, "the container's authorization token has a line break in it");
    else if (v)
        line = mem_printf("Authorization: %s", v);
    free(read);
    return line;
}

static int parse(const struct http_response *r, const char *who, struct credentials *out, struct err *e)
{
    if (r->status != 200)
        return err_set(e, r->status >= 500 || r->status == 429 ? ERR_RETRY : ERR_INVALID,
                       "%s answered HTTP status %d", who, r->status);
    json_t *j = json_loadb((const char *)r->body.p, r->body.n, 0, NULL);
    int rc = credentials_of_json(j, names, who, out, e);
    json_decref(j);
    return rc;
}

int credentials_of_container(struct credentials *out, struct err *e)
{
    if (!profile_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") &&
        !profile_env("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
        return 0;
    struct err local = {0};
    struct http_response r = {0};
    char *url = container_url(e), *token = url ? container_token(&local) : NULL;
    int rc = -1;
    if (local.kind) {
        err_set(e, local.kind, "%s", local.text);
    } else if (url) {
        const char *headers[] = {"Accept: application/json", token, NULL};
        struct credential_request q = {.method = "GET", .url = url, .headers = headers, .attempts = ATTEMPTS,
                                       .timeout_ms = CONTAINER_TIMEOUT_MS, .direct = true};
        rc = credentials_ask(&q, &r, e);
        if (rc == 0)
            rc = parse(&r, "the container's credential endpoint", out, e);
    }
    http_response_fini(&r);
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
    free(url);
    return rc ? -1 : 1;
}

/* Asks the metadata service; the answer's body as text, NULL where there is none (with e). */
static char *instance_ask(const char *method, const char *path, const char *header, struct err *e)
{
    const char *base = profile_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    size_t n = strlen(base ? base : INSTANCE_HOST);
    while (base && n && base[n - 1] == '/')
        n--;
    char *url = mem_printf("%.*s%s", (int)n, base ? base : INSTANCE_HOST, path), *text = NULL;
    const char *headers[] = {header, NULL};
    struct http_response r = {0};
    struct credential_request q = {.method = method, .url = url, .headers = headers, .attempts = 2,
                                   .timeout_ms = INSTANCE_TIMEOUT_MS, .direct = true};
    if (credentials_ask(&q, &r, e) == 0) {
        if (r.status == 200)
            text = mem_strndup((const char *)r.body.p, r.body.n);
        else
            err_set(e, r.status >= 500 ? ERR_RETRY : r.status == 404 ? ERR_NOTFOUND : ERR_INVALID,
                    "the instance's metadata service answered HTTP status %d for %s", r.status, path);
    }
    http_response_fini(&r);
    free(url);
    return text;
}

int credentials_of_instance(struct credentials *out, struct err *e)
{
    const char *off = profile_env("AWS_EC2_METADATA_DISABLED");
    if (off && strcasecmp(off, "true") == 0)
        return 0;
    struct err local = {0};
    char *token = instance_ask("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600",
                               &local);
    if (!token) /* this is no instance */
        return 0;
    char *header = mem_printf("X-aws-ec2-metadata-token: %s", token);
    char *role = instance_ask("GET", INSTANCE_PATH, header, &local);
    char *path = role ? mem_printf(INSTANCE_PATH "%.*s", (int)strcspn(role, "\r\n"), role) : NULL;
    char *text = path ? instance_ask("GET", path, header, &local) : NULL;
    int rc = -1;
    if (text) {
        json_t *j = json_loads(text, 0, NULL);
        rc = credentials_of_json(j, names, "the instance's metadata service", out, &local);
        json_decref(j);
        explicit_bzero(text, strlen(text));
    }
    if (rc && local.kind == ERR_NOTFOUND)
        err_set(e, ERR_INVALID, "this instance has no role: attach an instance profile to it");
    else if (rc)
        err_set(e, local.kind, "%s", local.text);
    free(text);
    free(path);
    free(role);
    free(header);
    free(token);
    return rc ? -1 : 1;
}
