/* process: credential_process, a command of the profile that prints keys as JSON.
 *   {"Version": 1, "AccessKeyId": "...", "SecretAccessKey": "...", "SessionToken": "...", "Expiration": "ISO 8601"}
 * (https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html). It gets only what it may need
 * of our environment, and none of our files: no key of ours reaches it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aws/credentials_int.h"
#include "base/mem.h"

#define PATIENCE_MS 60000
#define OUTPUT_MAX ((size_t)64 << 10)

extern char **environ;

/* Names, or beginnings of names where they end in an underscore. */
static bool may_pass(const char *variable)
{
    static const char *const names[] = {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_", "TERM", "TMPDIR", "TZ", "XDG_",
        "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_REGION", "AWS_CA_BUNDLE",
        "AWS_DEFAULT_REGION", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
        "https_proxy", "http_proxy", "no_proxy", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", NULL};
    size_t n = strcspn(variable, "=");
    for (const char *const *p = names; *p; p++) {
        size_t m = strlen(*p);
        if ((n == m || (n > m && (*p)[m - 1] == '_')) && strncmp(variable, *p, m) == 0)
            return true;
    }
    return false;
}

static char **clean_environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    char **out = mem_array(n + 1, sizeof *out);
    for (size_t i = 0; i < n; i++)
        if (may_pass(environ[i]))
            out[kept++] = environ[i];
    return out;
}

static int start(const char *command, int out, pid_t *pid)
{
    char shell[] = "sh", dash_c[] = "-c", *copy = mem_strdup(command);
    char *const argv[] = {shell, dash_c, copy, NULL};
    char **environment = clean_environment();
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
    posix_spawnattr_init(&attr); /* a group of its own, so that all of it can be ended */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawn(pid, "/bin/sh", &actions, &attr, argv, environment);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    free(copy);
    return rc;
}

/* All that comes until the end; false where it is too much or takes too long. */
static bool read_all(int fd, struct buf *out)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t until = clock_mono_ns() / 1000000 + PATIENCE_MS;
    for (;;) {
        int64_t left = until - clock_mono_ns() / 1000000;
        if (left <= 0 || out->n > OUTPUT_MAX)
            return false;
        int ready = poll(&p, 1, (int)left);
        ssize_t got = ready > 0 ? read(fd, buf_reserve(out, 4096), 4096) : -1;
        if (got == 0)
            return true;
        if (got > 0)
            out->n += (size_t)got;
        else if (ready > 0 && errno != EINTR && errno != EAGAIN)
            return false;
    }
}

static int run(const char *command, struct buf *out, struct err *e)
{
    int fd[2], status = 0;
    pid_t pid;
    if (pipe2(fd, O_CLOEXEC))
        return err_errno(e, errno, "credential_process: no pipe");
    int rc = start(command, fd[1], &pid);
    close(fd[1]);
    if (rc) {
        close(fd[0]);
        return err_errno(e, rc, "credential_process cannot be started");
    }
    bool whole = read_all(fd[0], out);
    close(fd[0]);
    if (!whole)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!whole)
        return err_set(e, ERR_RETRY, "credential_process gave no answer within %d s, or too long a one",
                       PATIENCE_MS / 1000);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return err_set(e, ERR_INVALID, "credential_process failed (%s %d): run it by hand to see why",
                       WIFEXITED(status) ? "exit code" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 0;
}

int credentials_of_process(const char *command, struct credentials *out, struct err *e)
{
    static const char *const names[4] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
    struct buf text = {0};
    int rc = run(command, &text, e);
    if (rc == 0) {
        json_t *j = json_loadb((const char *)text.p, text.n, 0, NULL);
        if (json_integer_value(json_object_get(j, "Version")) != 1)
            rc = err_set(e, ERR_INVALID, "credential_process printed no JSON object with \"Version\": 1");
        else
            rc = credentials_of_json(j, names, "credential_process", out, e);
        json_decref(j);
    }
    if (text.p)
        explicit_bzero(text.p, text.cap);
    buf_fini(&text);
    return rc ? -1 : 1;
}
