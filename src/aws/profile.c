/* profile: see profile.h. The shared files are INI: [default] in both, [name] in the credentials file,
 * [profile name] and [sso-session name] in the config file; indented lines belong to nested settings. */
#include "aws/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* With key NULL: is the section there (then "")? */
static char *ini_get(const char *path, const char *prefix, const char *name, const char *key)
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
            in = is_section(trim(s + 1), prefix, name);
            if (in && !key && !found)
                found = mem_strdup("");
        } else if (in && key && (eq = strchr(s, '='))) {
            *eq = '\0';
            if (strcmp(trim(s), key) == 0) {
                free(found);
                found = mem_strdup(trim(eq + 1));
            }
        }
    }
    if (line)
        explicit_bzero(line, cap);
    free(line);
    if (f)
        fclose(f);
    if (found && key && !*found) {
        free(found);
        found = NULL;
    }
    return found;
}

static char *shared_get(bool config, const char *prefix, const char *name, const char *key)
{
    const char *path = profile_env(config ? "AWS_CONFIG_FILE" : "AWS_SHARED_CREDENTIALS_FILE");
    const char *home = profile_env("HOME");
    char *full = path ? mem_strdup(path)
                      : mem_printf("%s/.aws/%s", home ? home : "", config ? "config" : "credentials");
    char *v = ini_get(full, prefix, name, key);
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
    char *v = shared_get(false, "", profile_name(profile), key);
    return v ? v : shared_get(true, "profile", profile_name(profile), key);
}

char *profile_session_get(const char *session, const char *key)
{
    return shared_get(true, "sso-session", session, key);
}

bool profile_exists(const char *profile)
{
    char *v = shared_get(false, "", profile_name(profile), NULL);
    if (!v)
        v = shared_get(true, "profile", profile_name(profile), NULL);
    free(v);
    return v != NULL;
}
