/* doctor: the command and its lines, and the checks that need nobody else. See doctor.h. */
#include "cli/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

#define WHAT_WIDTH 18

static void say_json(struct doctor *d, const char *status, const char *what, const char *found,
                     const char *mend)
{
    buf_puts(&d->out, d->n ? ",\n  {\"status\": " : "\n  {\"status\": ");
    render_json_string(&d->out, status);
    buf_puts(&d->out, ", \"check\": ");
    render_json_string(&d->out, what);
    buf_puts(&d->out, ", \"found\": ");
    render_json_string(&d->out, found);
    buf_puts(&d->out, ", \"mend\": ");
    if (mend && *mend)
        render_json_string(&d->out, mend);
    else
        buf_puts(&d->out, "null");
    buf_puts(&d->out, "}");
}

void doctor_say(struct doctor *d, enum doctor_status status, const char *what, const char *found,
                const char *mend)
{
    static const char *const words[] = {"ok", "warn", "FAIL", "skip"};
    static const char *const names[] = {"ok", "warning", "failed", "skipped"};
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m", "\033[2m"};
    if (d->json) {
        say_json(d, names[status], what, found, mend);
    } else {
        buf_printf(&d->out, "%s%-4s%s  %-*s  %s\n", d->colour ? colours[status] : "", words[status],
                   d->colour ? "\033[0m" : "", WHAT_WIDTH, what, found);
        if (mend && *mend)
            buf_printf(&d->out, "%*s-> %s\n", WHAT_WIDTH + 8, "", mend);
        fwrite(d->out.p, 1, d->out.n, stdout); /* as they come: a check may take a while */
        fflush(stdout);
        d->out.n = 0;
    }
    d->n++;
    d->counts[status]++;
}

/* The container's limit, if there is one: what is beyond it is killed. */
static void check_memory(struct doctor *d)
{
    static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    int64_t ours = options_number(&d->config->options, OPT_MEMORY), limit = 0;
    char text[160], a[RENDER_NUMBER_MAX], b[RENDER_NUMBER_MAX];
    for (size_t i = 0; i < 2 && limit <= 0; i++) {
        FILE *f = fopen(files[i], "re");
        if (f && fscanf(f, "%" SCNd64, &limit) != 1)
            limit = 0;
        if (f)
            fclose(f);
    }
    bool limited = limit > 0 && limit < (INT64_C(1) << 50);
    bool tight = limited && ours > limit;
    if (limited)
        snprintf(text, sizeof text, "--memory %s of the container's %s", render_bytes(ours, a),
                 render_bytes(limit, b));
    else
        snprintf(text, sizeof text, "--memory %s, no limit of a container", render_bytes(ours, a));
    doctor_say(d, tight ? DOCTOR_FAIL : DOCTOR_OK, "memory", text,
               tight ? "set --memory (INLET_MEMORY) below the container's limit" : NULL);
}

static int finish(struct doctor *d)
{
    if (d->json) {
        struct buf head = {0};
        buf_printf(&head, "{\"ok\": %s, \"checks\": [", d->counts[DOCTOR_FAIL] ? "false" : "true");
        buf_put(&head, d->out.p, d->out.n);
        buf_puts(&head, "\n]}\n");
        buf_fini(&d->out);
        d->out = head;
    } else {
        buf_printf(&d->out, "%zu ok, %zu warnings, %zu failed, %zu skipped\n", d->counts[DOCTOR_OK],
                   d->counts[DOCTOR_WARN], d->counts[DOCTOR_FAIL], d->counts[DOCTOR_SKIPPED]);
    }
    int rc = commands_print(&d->out);
    return d->counts[DOCTOR_FAIL] ? EXIT_FAILED : rc;
}

int doctor_command(struct config *c, int n_args, char **args)
{
    struct doctor d = {.config = c, .json = options_flag(&c->options, OPT_JSON)};
    struct pipeline_config p;
    struct err e = {0};
    (void)n_args, (void)args;
    if (config_pipeline(c, &p, &e)) {
        commands_fail(&e);
        return EXIT_USAGE;
    }
    d.colour = isatty(STDOUT_FILENO) == 1 && !getenv("NO_COLOR");
    doctor_say(&d, DOCTOR_OK, "settings", "they can be read (`inlet config` shows them)", NULL);
    check_memory(&d);
    doctor_lake(&d);
    doctor_stream(&d);
    free(d.stream_arn);
    return finish(&d);
}
