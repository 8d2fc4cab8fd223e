/* `inlet options`: the option table as Markdown, for docs/configuration.md (make docs). */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"

static void commands_of(const struct option *o, struct buf *out)
{
    size_t n, listed = 0;
    const struct command *commands = commands_table(&n);
    for (size_t i = 0; i < n; i++)
        if (o->commands & commands[i].bit && commands[i].bit != CMD_CONFIG)
            buf_printf(out, "%s%s", listed++ ? ", " : "", commands[i].name);
}

/* '|' ends a cell of a table. */
static void cell(const char *text, struct buf *out)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_putc(out, '\\');
        buf_putc(out, (uint8_t)*text);
    }
}

static void line(const struct option *o, struct buf *out)
{
    buf_printf(out, "| `%s%s%s%s` | ", o->kind == OPTION_SECRET ? "" : "--", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    if (o->key) {
        buf_printf(out, "`%s` | `", o->key);
        options_environment_name(o, out);
        buf_puts(out, "` | ");
    } else {
        buf_puts(out, strcmp(o->name, "config") == 0 ? "| `INLET_CONFIG` | " : "| | ");
    }
    if (o->fallback)
        buf_printf(out, "`%s`", o->fallback);
    buf_puts(out, " | ");
    cell(o->help, out);
    buf_puts(out, " | ");
    commands_of(o, out);
    buf_puts(out, " |\n");
}

static void section(const char *title, bool gen, struct buf *out)
{
    buf_printf(out,
               "### %s\n\n| option | key | environment | default | what it does | of |\n"
               "|---|---|---|---|---|---|\n",
               title);
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options_table()[i];
        if (i != OPT_HELP && (o->commands == CMD_GEN) == gen)
            line(o, out);
    }
}

int options_command(struct config *c, int n_args, char **args)
{
    struct buf out = {0};
    (void)c, (void)n_args, (void)args;
    section("The program", false, &out);
    buf_putc(&out, '\n');
    section("`inlet gen`", true, &out);
    return commands_print(&out);
}
