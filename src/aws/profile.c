/* profile: see profile.h. The shared files are INI: [default] in both, [name] in the credentials file,
 * [profile name], [sso-session name] and [services name] in the config file; indented lines belong to the
 * setting before them. */
#include "aws/profile.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

const char *profile_env(const char *name)
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

/* [prefix name], or [name] where the prefix is empty; "default" needs none. */
static bool is_section(const char *section, const char *prefix, const char *name)
{
    size_t n = strlen(prefix);
    if (n && strncmp(section, prefix, n) == 0 && (section[n] == ' ' || section[n] == '\t')) {
        section += n + strspn(section + n, " \t");
        return strcmp(section, name) == 0;
    }
    return strcmp(section, name) == 0 && (!n || strcmp(name, "default") == 0);
}

struct ini { /* where the reading of a file is */
    const char *prefix, *name, *outer, *key;
    bool in, in_outer; /* the section; the setting `outer` of it, whose own settings are indented */
    char *found;
};

static void ini_setting(struct ini *x, char *s, bool indented)
{
    char *eq = strchr(s, '=');
    if (!eq)
        return;
    *eq = '\0';
    const char *key = trim(s);
    if (!indented)
        x->in_outer = x->outer && strcmp(key, x->outer) == 0;
    if (!x->key || strcmp(key, x->key) != 0 || (x->outer ? !indented || !x->in_outer : indented))
        return;
    free(x->found);
    x->found = mem_strdup(trim(eq + 1));
}

static void ini_line(struct ini *x, char *line)
{
    bool indented = line[0] == ' ' || line[0] == '\t';
    char *s = trim(line), *close;
    if (*s == '#' || *s == ';')
        return;
    if (!indented && *s == '[' && (close = strchr(s, ']'))) {
        *close = '\0';
        x->in = is_section(trim(s + 1), x->prefix, x->name);
        x->in_outer = false;
        if (x->in && !x->key && !x->found)
            x->found = mem_strdup("");
    } else if (x->in) {
        ini_setting(x, s, indented);
    }
}

/* A setting of a section, or of the nested setting `outer` of it. With key NULL: is the section there (then "")? */
static char *ini_get(const char *path, const char *prefix, const char *name, const char *outer,
                     const char *key)
{
    FILE *f = fopen(path, "re");
    struct ini x = {.prefix = prefix, .name = name, .outer = outer, .key = key};
    char *line = NULL;
    size_t cap = 0, total = 0;
    ssize_t n;
    while (f && total < FILE_BYTES_MAX && (n = getline(&line, &cap, f)) >= 0) {
        total += (size_t)n;
        ini_line(&x, line);
    }
    if (line)
        explicit_bzero(line, cap);
    free(line);
    if (f)
        fclose(f);
    if (x.found && key && !*x.found) {
        free(x.found);
        x.found = NULL;
    }
    return x.found;
}

static char *shared_get(bool config, const char *prefix, const char *name, const char *outer,
                        const char *key)
{
    const char *path = profile_env(config ? "AWS_CONFIG_FILE" : "AWS_SHARED_CREDENTIALS_FILE");
    const char *home = profile_env("HOME");
    char *full = path ? mem_strdup(path)
                      : mem_printf("%s/.aws/%s", home ? home : "", config ? "config" : "credentials");
    char *v = ini_get(full, prefix, name, outer, key);
    free(full);
    return v;
}

const char *profile_name(const char *profile)
{
    const char *v = profile ? profile : profile_env("AWS_PROFILE");
    return v ? v : "default";
}

char *profile_get(const char *profile, const char *key)
{
    char *v = shared_get(false, "", profile_name(profile), NULL, key);
    return v ? v : shared_get(true, "profile", profile_name(profile), NULL, key);
}

char *profile_session_get(const char *session, const char *key)
{
    return shared_get(true, "sso-session", session, NULL, key);
}

bool profile_exists(const char *profile)
{
    char *v = shared_get(false, "", profile_name(profile), NULL, NULL);
    if (!v)
        v = shared_get(true, "profile", profile_name(profile), NULL, NULL);
    free(v);
    return v != NULL;
}

static bool is_true(const char *text)
{
    return text && strcasecmp(text, "true") == 0;
}

static bool ignores_endpoints(const char *profile)
{
    const char *env = profile_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    char *own = env ? NULL : profile_get(profile, "ignore_configured_endpoint_urls");
    bool yes = is_true(env ? env : own);
    free(own);
    return yes;
}

char *profile_endpoint(const char *profile, const char *service)
{
    char variable[80];
    int n = snprintf(variable, sizeof variable, "AWS_ENDPOINT_URL_%.40s", service);
    for (int i = 0; i < n; i++)
        variable[i] = (char)toupper((unsigned char)variable[i]);
    if (ignores_endpoints(profile))
        return NULL;
    const char *env = profile_env(variable) ? profile_env(variable) : profile_env("AWS_ENDPOINT_URL");
    if (env)
        return mem_strdup(env);
    char *services = profile_get(profile, "services");
    char *own = services ? shared_get(true, "services", services, service, "endpoint_url") : NULL;
    free(services);
    return own ? own : profile_get(profile, "endpoint_url");
}
