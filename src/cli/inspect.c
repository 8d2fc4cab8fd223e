/* inspect: a Parquet file's footer for people. The parquet room gives one JSON document; its
 * scalars are shown as lines and each list of objects as a table, so that whatever it learns to
 * tell is shown without a change here. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "parquet/parquet.h"

#define COLUMNS_MAX 24
#define CELL_MAX 48
#define DEPTH_MAX 6

static int read_at(void *ctx, int64_t offset, void *p, size_t n, struct err *e)
{
    int fd = *(int *)ctx;
    uint8_t *to = p;
    while (n) {
        ssize_t got = pread(fd, to, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "reading");
        if (got == 0)
            return err_set(e, ERR_INVALID, "it ends at byte %" PRIi64, offset);
        to += got;
        offset += got;
        n -= (size_t)got;
    }
    return 0;
}

static int describe(const char *path, struct buf *out, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;
    if (fd < 0)
        return err_errno(e, errno, "%s", path);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        err_set(e, ERR_INVALID, "%s: no regular file", path);
    } else {
        struct pq_reader *r = pq_reader_open(read_at, &fd, (int64_t)st.st_size, e);
        rc = r ? pq_reader_describe(r, out, e) : -1;
        if (r)
            pq_reader_close(r);
        if (rc)
            err_wrap(e, "%s", path);
    }
    close(fd);
    return rc;
}

/* A scalar, or a list of scalars with commas; cut where it is long. False for anything else. */
static bool cell_text(const char *key, const json_t *v, struct buf *out)
{
    char number[RENDER_NUMBER_MAX];
    size_t i, start = out->n;
    const json_t *item;
    if (json_is_integer(v))
        buf_puts(out, render_number(json_integer_value(v), number));
    else if (json_is_real(v))
        buf_printf(out, "%.6g", json_real_value(v));
    else if (json_is_boolean(v))
        buf_puts(out, json_is_true(v) ? "yes" : "no");
    else if (json_is_string(v))
        buf_puts(out, json_string_value(v));
    else if (json_is_object(v))
        return false;
    json_array_foreach(v, i, item)
    {
        if (json_is_object(item))
            return false;
        buf_puts(out, i ? "," : "");
        if (!cell_text(key, item, out))
            return false;
    }
    if (out->n - start > CELL_MAX) {
        out->n = start + CELL_MAX;
        while (out->n > start && (out->p[out->n] & 0xc0) == 0x80)
            out->n--;
        buf_puts(out, "...");
    }
    return true;
}

struct columns {
    const char *keys[COLUMNS_MAX];
    size_t n;
    uint32_t right;
};

static void columns_of(const json_t *list, struct columns *c)
{
    size_t i;
    const json_t *row, *v;
    const char *key;
    struct buf scratch = {0};
    memset(c, 0, sizeof *c);
    json_array_foreach(list, i, row)
    {
        json_object_foreach((json_t *)(uintptr_t)row, key, v)
        {
            size_t at = 0;
            while (at < c->n && strcmp(c->keys[at], key) != 0)
                at++;
            scratch.n = 0;
            if (at < c->n || c->n == COLUMNS_MAX || !cell_text(key, v, &scratch))
                continue;
            c->right |= json_is_number(v) ? 1U << c->n : 0;
            c->keys[c->n++] = key;
        }
    }
    buf_fini(&scratch);
}

static void heading(const char *key, struct buf *out)
{
    for (; *key; key++)
        buf_putc(out, *key == '_' ? ' ' : (uint8_t)*key);
}

static void show_list(const char *name, const json_t *list, int depth, struct buf *out);

static void show_object(const json_t *object, int depth, struct buf *out)
{
    const char *key;
    const json_t *v;
    struct render_table t;
    struct buf text = {0};
    render_table_init(&t, 2, 0);
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        text.n = 0;
        if (json_is_object(v) || !cell_text(key, v, &text) || text.n == 0)
            continue;
        buf_putc(&text, 0);
        struct buf name = {0};
        heading(key, &name);
        render_table_cell(&t, buf_cstr(&name));
        render_table_cell(&t, (const char *)text.p);
        buf_fini(&name);
    }
    render_table_print(&t, out);
    render_table_fini(&t);
    buf_fini(&text);
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        if (json_is_array(v) && json_is_object(json_array_get(v, 0)))
            show_list(key, v, depth + 1, out);
        if (json_is_object(v) && depth < DEPTH_MAX) {
            buf_putc(out, '\n');
            heading(key, out);
            buf_putc(out, '\n');
            show_object(v, depth + 1, out);
        }
    }
}

static void show_table(const json_t *list, const struct columns *c, struct buf *out)
{
    struct render_table t;
    struct buf text = {0};
    size_t i;
    const json_t *row;
    render_table_init(&t, c->n, c->right);
    for (size_t k = 0; k < c->n; k++) {
        text.n = 0;
        heading(c->keys[k], &text);
        render_table_cell(&t, buf_cstr(&text));
    }
    json_array_foreach(list, i, row)
    {
        for (size_t k = 0; k < c->n; k++) {
            const json_t *v = json_object_get(row, c->keys[k]);
            text.n = 0;
            if (!v || !cell_text(c->keys[k], v, &text))
                text.n = 0;
            render_table_cell(&t, buf_cstr(&text));
        }
    }
    render_table_print(&t, out);
    render_table_fini(&t);
    buf_fini(&text);
}

/* Rows whose cells are all scalars make one table; what lies deeper follows, row by row. */
static void show_list(const char *name, const json_t *list, int depth, struct buf *out)
{
    struct columns c;
    size_t i;
    const json_t *row, *v;
    const char *key;
    columns_of(list, &c);
    buf_putc(out, '\n');
    heading(name, out);
    buf_putc(out, '\n');
    if (c.n)
        show_table(list, &c, out);
    if (depth >= DEPTH_MAX)
        return;
    json_array_foreach(list, i, row)
    {
        json_object_foreach((json_t *)(uintptr_t)row, key, v)
        {
            struct buf deeper = {0};
            buf_printf(&deeper, "%s %zu: %s", name, i, key);
            if (json_is_array(v) && json_is_object(json_array_get(v, 0)))
                show_list(buf_cstr(&deeper), v, depth + 1, out);
            buf_fini(&deeper);
        }
    }
}

int inspect_command(struct config *c, int n_args, char **args)
{
    struct err e = {0};
    struct buf document = {0}, out = {0};
    (void)n_args;
    if (describe(args[0], &document, &e)) {
        buf_fini(&document);
        return commands_fail(&e);
    }
    json_t *root = options_flag(&c->options, OPT_JSON)
                       ? NULL
                       : json_loadb((const char *)document.p, document.n, JSON_ALLOW_NUL, NULL);
    if (json_is_object(root)) {
        show_object(root, 0, &out);
        buf_fini(&document);
    } else {
        if (document.n && document.p[document.n - 1] != '\n')
            buf_putc(&document, '\n');
        out = document;
    }
    json_decref(root);
    return commands_print(&out);
}
