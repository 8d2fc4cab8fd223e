/* See aws.h. Signature Version 4: AWS General Reference, "Create a signed AWS API request". */
#include "aws/aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/digest.h"

static char *profile_value(const char *file, const char *section, const char *key)
{
    FILE *f = fopen(file, "r");
    char line[2048], *found = NULL;
    bool in = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '[') {
            size_t n = strlen(section);
            const char *at = strncmp(line + 1, "profile ", 8) == 0 ? line + 9 : line + 1;
            in = strncmp(at, section, n) == 0 && at[n] == ']';
            continue;
        }
        char *eq = strchr(line, '=');
        if (!in || !eq)
            continue;
        char *end = eq;
        while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *end = '\0';
        eq += 1 + strspn(eq + 1, " \t");
        if (strcmp(line, key) == 0)
            found = mem_strdup(eq);
    }
    if (f)
        fclose(f);
    return found;
}

static char *setting(const char *env, const char *env2, const char *file_env, const char *file, const char *key)
{
    const char *v = getenv(env), *home = getenv("HOME"), *profile = getenv("AWS_PROFILE"), *path = getenv(file_env);
    if ((!v || !*v) && env2)
        v = getenv(env2);
    if (v && *v)
        return mem_strdup(v);
    char *full = path ? mem_strdup(path) : mem_printf("%s/.aws/%s", home ? home : "", file);
    char *found = profile_value(full, profile && *profile ? profile : "default", key);
    free(full);
    return found;
}

int aws_open(struct aws *a, const char *service, struct err *e)
{
    char env[64], upper[32];
    size_t n = 0;
    *a = (struct aws){0};
    for (; service[n] && n + 1 < sizeof upper; n++)
        upper[n] = (char)(service[n] - 'a' + 'A');
    upper[n] = '\0';
    snprintf(env, sizeof env, "AWS_ENDPOINT_URL_%s", upper);
    a->region = setting("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "config", "region");
    a->access_key = setting("AWS_ACCESS_KEY_ID", NULL, "AWS_SHARED_CREDENTIALS_FILE", "credentials", "aws_access_key_id");
    a->secret_key = setting("AWS_SECRET_ACCESS_KEY", NULL, "AWS_SHARED_CREDENTIALS_FILE", "credentials", "aws_secret_access_key");
    a->session_token = setting("AWS_SESSION_TOKEN", NULL, "AWS_SHARED_CREDENTIALS_FILE", "credentials", "aws_session_token");
    a->endpoint = setting(env, "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "config", "endpoint_url");
    if (!a->region || !a->access_key || !a->secret_key) {
        err_set(e, ERR_INVALID, !a->region ? "no AWS region: set AWS_REGION, or region in ~/.aws/config"
                                           : "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in "
                                             "~/.aws/credentials (AWS_PROFILE)");
        aws_close(a);
        return -1;
    }
    if (!a->endpoint)
        a->endpoint = mem_printf("https://%s.%s.amazonaws.com", service, a->region);
    size_t len = strlen(a->endpoint);
    if (len && a->endpoint[len - 1] == '/')
        a->endpoint[len - 1] = '\0';
    return 0;
}

void aws_close(struct aws *a)
{
    free(a->region);
    free(a->endpoint);
    free(a->access_key);
    free(a->secret_key);
    free(a->session_token);
    *a = (struct aws){0};
}

static void hex(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

void aws_sign(const struct aws *a, const char *service, const char *host, const char *target, const void *body, size_t body_n,
              int64_t now_s, char *out[AWS_HEADERS_MAX], size_t *n)
{
    char stamp[32], date[16], digest[65], key_text[256];
    uint8_t sum[32], k[32];
    time_t now = (time_t)now_s;
    struct tm tm;
    struct buf canonical = {0}, to_sign = {0};
    const char *token = a->session_token;
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    strftime(date, sizeof date, "%Y%m%d", &tm);
    digest_sha256(body, body_n, sum);
    hex(sum, 32, digest);
    const char *signed_headers = token ? "content-type;host;x-amz-date;x-amz-security-token;x-amz-target" : "content-type;host;x-amz-date;x-amz-target";
    buf_printf(&canonical, "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:%s\nx-amz-date:%s\n", host, stamp);
    if (token)
        buf_printf(&canonical, "x-amz-security-token:%s\n", token);
    buf_printf(&canonical, "x-amz-target:%s\n\n%s\n%s", target, signed_headers, digest);
    digest_sha256(canonical.p, canonical.n, sum);
    hex(sum, 32, digest);
    buf_printf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", stamp, date, a->region, service, digest);
    snprintf(key_text, sizeof key_text, "AWS4%s", a->secret_key);
    digest_hmac_sha256(key_text, strlen(key_text), date, strlen(date), k);
    digest_hmac_sha256(k, 32, a->region, strlen(a->region), k);
    digest_hmac_sha256(k, 32, service, strlen(service), k);
    digest_hmac_sha256(k, 32, "aws4_request", 12, k);
    digest_hmac_sha256(k, 32, to_sign.p, to_sign.n, sum);
    hex(sum, 32, digest);
    *n = 0;
    out[(*n)++] = mem_strdup("Content-Type: application/x-amz-json-1.1");
    out[(*n)++] = mem_printf("X-Amz-Date: %s", stamp);
    out[(*n)++] = mem_printf("X-Amz-Target: %s", target);
    out[(*n)++] = mem_printf("Authorization: AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
                             a->access_key, date, a->region, service, signed_headers, digest);
    if (token)
        out[(*n)++] = mem_printf("X-Amz-Security-Token: %s", token);
    buf_fini(&canonical);
    buf_fini(&to_sign);
}
