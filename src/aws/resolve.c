/* resolve: the chain of sources, and chains of roles within the profiles. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aws/credentials_int.h"
#include "aws/profile.h"
#include "aws/time.h"
#include "base/mem.h"
#include "net/retry.h"

#define ROLES_MAX 8 /* of one chain */
#define FILE_MAX ((size_t)64 << 10)

static const char none[] =
    "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put keys, role_arn, sso_session or "
    "credential_process into profile %s of ~/.aws/config or ~/.aws/credentials (another is chosen by "
    "AWS_PROFILE), or give the task, pod or instance a role";

void credentials_fini(struct credentials *c)
{
    if (c->secret_key)
        explicit_bzero(c->secret_key, strlen(c->secret_key));
    if (c->token)
        explicit_bzero(c->token, strlen(c->token));
    free(c->access_key);
    free(c->secret_key);
    free(c->token);
    *c = (struct credentials){0};
}

char *credentials_read_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = mem_alloc(FILE_MAX);
    ssize_t n = fd >= 0 ? read(fd, text, FILE_MAX - 1) : -1;
    if (n < 0) {
        err_errno(e, errno, "cannot read %s", path);
        if (e)
            e->kind = ERR_INVALID;
        free(text);
        text = NULL;
    } else {
        while (n && strchr(" \t\r\n", text[n - 1]))
            n--;
        text[n] = '\0';
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* A key goes into a header: no line breaks, no emptiness. */
static char *key_of(const json_t *j, const char *name)
{
    const char *v = json_string_value(json_object_get(j, name));
    return v && *v && !strpbrk(v, "\r\n") ? mem_strdup(v) : NULL;
}

int credentials_of_json(const json_t *j, const char *const names[4], const char *who,
                        struct credentials *out, struct err *e)
{
    const json_t *when = json_object_get(j, names[3]);
    *out = (struct credentials){.access_key = key_of(j, names[0]),
                                .secret_key = key_of(j, names[1]),
                                .token = key_of(j, names[2])};
    /* SSO counts milliseconds, the others write ISO 8601. */
    out->expires_ms = json_is_integer(when) ? json_integer_value(when)
                                            : aws_time_parse_ms(json_string_value(when));
    if (out->access_key && out->secret_key && (!json_string_value(when) || out->expires_ms))
        return 0;
    credentials_fini(out);
    return err_set(e, ERR_INVALID, "%s answered something that is no set of credentials", who);
}

int credentials_ask(const struct credential_request *q, struct http_response *out, struct err *e)
{
    struct http *h = http_new();
    struct retry retry = {.first_ms = 100, .cap_ms = 2000};
    struct http_request r = {.method = q->method, .url = q->url, .headers = q->headers, .body = q->body,
                             .n_body = q->n_body, .timeout_ms = q->timeout_ms, .direct = q->direct,
                             .connect_timeout_ms = q->timeout_ms,
                             .response_bytes_max = CREDENTIAL_ANSWER_MAX};
    int rc;
    for (int i = 1;; i++) {
        http_response_fini(out);
        rc = http_do(h, &r, out, e);
        bool again = rc ? e->kind == ERR_RETRY || e->kind == ERR_UNKNOWN
                        : out->status >= 500 || out->status == 429;
        if (!again || i >= q->attempts)
            break;
        clock_system.sleep_ms(clock_system.ctx, retry_next_ms(&retry));
    }
    if (rc && e->kind == ERR_UNKNOWN)
        e->kind = ERR_RETRY; /* nothing here changes anything */
    http_free(h);
    return rc;
}

/* ---- a profile */

static int of_profile(const char *profile, const struct clock *clock, int depth, struct credentials *out,
                      struct err *e);

static int of_environment(struct credentials *out)
{
    const char *id = profile_env("AWS_ACCESS_KEY_ID"), *secret = profile_env("AWS_SECRET_ACCESS_KEY"),
               *token = profile_env("AWS_SESSION_TOKEN");
    if (!id || !secret)
        return 0;
    *out = (struct credentials){.access_key = mem_strdup(id), .secret_key = mem_strdup(secret),
                                .token = token ? mem_strdup(token) : NULL};
    return 1;
}

static int of_keys(const char *profile, struct credentials *out)
{
    *out = (struct credentials){.access_key = profile_get(profile, "aws_access_key_id"),
                                .secret_key = profile_get(profile, "aws_secret_access_key"),
                                .token = profile_get(profile, "aws_session_token")};
    if (out->access_key && out->secret_key)
        return 1;
    credentials_fini(out);
    return 0;
}

/* The keys with which a role is assumed. */
static int of_source(const char *profile, const char *source_profile, const char *source,
                     const struct clock *clock, int depth, struct credentials *out, struct err *e)
{
    int rc;
    if (source_profile) {
        /* One that names itself means its own keys. */
        rc = strcmp(source_profile, profile_name(profile)) == 0 ? of_keys(profile, out) : 0;
        if (rc == 0)
            rc = of_profile(source_profile, clock, depth + 1, out, e);
    } else if (strcmp(source, "Environment") == 0) {
        rc = of_environment(out);
    } else if (strcmp(source, "EcsContainer") == 0) {
        rc = credentials_of_container(out, e);
    } else if (strcmp(source, "Ec2InstanceMetadata") == 0) {
        rc = credentials_of_instance(out, e);
    } else {
        return err_set(e, ERR_INVALID, "profile %s: credential_source \"%.60s\" is not one of Environment, "
                       "EcsContainer, Ec2InstanceMetadata", profile_name(profile), source);
    }
    if (rc == 0)
        return err_set(e, ERR_INVALID, "profile %s: its %s %s has no credentials", profile_name(profile),
                       source_profile ? "source_profile" : "credential_source",
                       source_profile ? source_profile : source);
    return rc;
}

static int of_role(const char *profile, const struct clock *clock, int depth, struct credentials *out,
                   struct err *e)
{
    char *arn = profile_get(profile, "role_arn"), *from = profile_get(profile, "source_profile");
    char *source = profile_get(profile, "credential_source"), *session = profile_get(profile, "role_session_name");
    char *external = profile_get(profile, "external_id"), *duration = profile_get(profile, "duration_seconds");
    char *token_file = profile_get(profile, "web_identity_token_file"), *region = profile_get(profile, "region");
    const char *named = profile_env("AWS_REGION") ? profile_env("AWS_REGION") : profile_env("AWS_DEFAULT_REGION");
    struct sts_role role = {.arn = arn, .session = session, .external_id = external, .duration_s = duration,
                            .region = region ? region : named, .profile = profile};
    struct credentials with = {0};
    int rc = 0;
    if (!arn || (!from && !source && !token_file)) {
        rc = 0;
    } else if (depth >= ROLES_MAX) {
        rc = err_set(e, ERR_INVALID, "profile %s: source_profile leads through more than %d roles, or in a circle",
                     profile_name(profile), ROLES_MAX);
    } else if (token_file) {
        rc = credentials_of_web_identity(&role, token_file, out, e);
    } else {
        rc = of_source(profile, from, source, clock, depth, &with, e);
        if (rc > 0)
            rc = credentials_of_role(&role, &with, clock, out, e);
    }
    credentials_fini(&with);
    free(arn);
    free(from);
    free(source);
    free(session);
    free(external);
    free(duration);
    free(token_file);
    free(region);
    return rc;
}

static int of_profile(const char *profile, const struct clock *clock, int depth, struct credentials *out,
                      struct err *e)
{
    int rc = of_role(profile, clock, depth, out, e);
    if (rc == 0)
        rc = credentials_of_sso(profile, clock, out, e);
    if (rc == 0)
        rc = of_keys(profile, out);
    if (rc == 0) {
        char *command = profile_get(profile, "credential_process");
        rc = command ? credentials_of_process(command, out, e) : 0;
        free(command);
    }
    return rc;
}

static int of_web_identity(struct credentials *out, struct err *e)
{
    const char *file = profile_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *region = profile_env("AWS_REGION");
    struct sts_role role = {.arn = profile_env("AWS_ROLE_ARN"),
                            .session = profile_env("AWS_ROLE_SESSION_NAME"),
                            .region = region ? region : profile_env("AWS_DEFAULT_REGION")};
    if (!file)
        return 0;
    if (!role.arn)
        return err_set(e, ERR_INVALID, "AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not");
    return credentials_of_web_identity(&role, file, out, e);
}

int credentials_resolve(const char *profile, const struct clock *clock, struct credentials *out,
                        struct err *e)
{
    struct err local = {0};
    int rc = profile ? 0 : of_environment(out);
    if (rc == 0)
        rc = of_profile(profile, clock, 0, out, &local);
    if (rc == 0 && (profile || profile_env("AWS_PROFILE")) && !profile_exists(profile))
        rc = err_set(&local, ERR_INVALID, "no profile %s in ~/.aws/config or ~/.aws/credentials",
                     profile_name(profile));
    if (rc == 0)
        rc = of_web_identity(out, &local);
    if (rc == 0)
        rc = credentials_of_container(out, &local);
    if (rc == 0)
        rc = credentials_of_instance(out, &local);
    if (rc > 0)
        return 0;
    if (rc < 0)
        return err_set(e, local.kind, "AWS credentials: %s", local.text);
    return err_set(e, ERR_INVALID, none, profile_name(profile));
}
