/* render: text for people and JSON for programs, from the same values. */
#include "cli/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

char *render_number(int64_t v, char out[RENDER_NUMBER_MAX])
{
    char digits[RENDER_NUMBER_MAX];
    int n = snprintf(digits, sizeof digits, "%" PRIi64, v), at = 0;
    for (int i = 0; i < n; i++) {
        out[at++] = digits[i];
        if (digits[i] != '-' && i + 1 < n && (n - 1 - i) % 3 == 0)
            out[at++] = ',';
    }
    out[at] = 0;
    return out;
}

char *render_bytes(int64_t v, char out[RENDER_NUMBER_MAX])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    double d = (double)v;
    int u = 0;
    for (; d >= 1024 && u < 5; u++)
        d /= 1024;
    snprintf(out, RENDER_NUMBER_MAX, u ? "%.1f %s" : "%.0f %s", d, units[u]);
    return out;
}

void render_json_string(struct buf *out, const char *s)
{
    buf_putc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_putc(out, c);
    }
    buf_putc(out, '"');
}

void render_table_init(struct render_table *t, size_t columns, uint32_t right)
{
    *t = (struct render_table){.columns = columns, .right = right};
}

void render_table_fini(struct render_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct render_table){0};
}

void render_table_cell(struct render_table *t, const char *text)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->cells = mem_regrow(t->cells, t->cap, sizeof *t->cells);
    }
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++) /* names come from events: nothing may steer the terminal */
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    t->cells[t->n++] = copy;
}

void render_table_number(struct render_table *t, int64_t v)
{
    char text[RENDER_NUMBER_MAX];
    render_table_cell(t, render_number(v, text));
}

/* Characters, not bytes: UTF-8 continuation bytes take no room. */
static size_t width_of(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void pad(struct buf *out, size_t n)
{
    while (n--)
        buf_putc(out, ' ');
}

void render_table_print(const struct render_table *t, struct buf *out)
{
    size_t *widths = mem_array(t->columns, sizeof *widths);
    for (size_t i = 0; i < t->n; i++) {
        size_t w = width_of(t->cells[i]);
        if (w > widths[i % t->columns])
            widths[i % t->columns] = w;
    }
    for (size_t i = 0; i < t->n; i++) {
        size_t c = i % t->columns, fill = widths[c] - width_of(t->cells[i]);
        bool right = (t->right >> c) & 1, last = c + 1 == t->columns;
        pad(out, right ? fill : 0);
        buf_puts(out, t->cells[i]);
        pad(out, right || last ? 0 : fill);
        buf_puts(out, last ? "\n" : "  ");
    }
    free(widths);
}
