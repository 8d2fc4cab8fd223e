/* credentials: see credentials.h. The shared files are INI: [default] in both, [name] in the
 * credentials file, [profile name] in the config file; indented lines belong to nested settings. */
#include "aws/credentials.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    for (size_t n = strlen(s); n && strchr(" \t\r\n", s[n - 1]); n--)
        s[n - 1] = '\0';
    return s;
}

static bool is_section(const char *name, const char *profile, bool config)
{
    if (config && strncmp(name, "profile ", 8) == 0) {
        name += 8;
        name += strspn(name, " \t");
        return strcmp(name, profile) == 0;
    }
    return strcmp(name, profile) == 0 && (!config || strcmp(profile, "default") == 0);
}

static char *ini_get(const char *path, const char *profile, bool config, const char *key)
{
    FILE *f = fopen(path, "re");
    char *line = NULL, *found = NULL;
    size_t cap = 0, total = 0;
    bool in = false;
    ssize_t n;
    while (f && total < FILE_BYTES_MAX && (n = getline(&line, &cap, f)) >= 0) {
        total += (size_t)n;
        if (line[0] == ' ' || line[0] == '\t' || line[0] == '#' || line[0] == ';')
            continue;
        char *s = trim(line), *eq, *close;
        if (*s == '[' && (close = strchr(s, ']'))) {
            *close = '\0';
            in = is_section(trim(s + 1), profile, config);
        } else if (in && (eq = strchr(s, '='))) {
            *eq = '\0';
            if (strcmp(trim(s), key) == 0) {
                free(found);
                found = mem_strdup(trim(eq + 1));
            }
        }
    }
    free(line);
    if (f)
        fclose(f);
    if (found && !*found) {
        free(found);
        found = NULL;
    }
    return found;
}

static char *shared_path(const char *variable, const char *in_home)
{
    const char *path = env(variable), *home = env("HOME");
    return path ? mem_strdup(path) : mem_printf("%s/.aws/%s", home ? home : "", in_home);
}

char *credentials_profile_get(const char *profile, const char *key)
{
    if (!profile)
        profile = env("AWS_PROFILE");
    if (!profile)
        profile = "default";
    char *path = shared_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    char *v = ini_get(path, profile, false, key);
    free(path);
    if (!v) {
        path = shared_path("AWS_CONFIG_FILE", "config");
        v = ini_get(path, profile, true, key);
        free(path);
    }
    return v;
}

int credentials_load(struct credentials *c, const char *profile, struct err *e)
{
    *c = (struct credentials){0};
    const char *id = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY"),
               *token = env("AWS_SESSION_TOKEN");
    if (!profile && id && secret) {
        c->access_key = mem_strdup(id);
        c->secret_key = mem_strdup(secret);
        c->token = token ? mem_strdup(token) : NULL;
        return 0;
    }
    c->access_key = credentials_profile_get(profile, "aws_access_key_id");
    c->secret_key = credentials_profile_get(profile, "aws_secret_access_key");
    c->token = credentials_profile_get(profile, "aws_session_token");
    if (c->access_key && c->secret_key)
        return 0;
    credentials_fini(c);
    const char *name = profile ? profile : env("AWS_PROFILE");
    return err_set(e, ERR_INVALID,
                   "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put "
                   "aws_access_key_id and aws_secret_access_key into profile %s of "
                   "~/.aws/credentials (another is chosen by AWS_PROFILE)",
                   name ? name : "default");
}

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
