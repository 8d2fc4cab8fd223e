/* xml: see xml.h. */
#include "aws/xml.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    XML_Parser parser;
    xml_end_fn *end;
    void *ctx;
    char path[XML_PATH_MAX];
    size_t ends[XML_DEPTH_MAX]; /* where the path of each open element begins to be its own */
    struct buf texts[XML_DEPTH_MAX];
    int depth;
    bool refused;
};

static void refuse(struct walk *w)
{
    w->refused = true;
    XML_StopParser(w->parser, XML_FALSE);
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct walk *w = ctx;
    const char *colon = strrchr(name, ':');
    (void)attributes;
    name = colon ? colon + 1 : name;
    size_t at = strlen(w->path), n = strlen(name);
    if (w->depth == XML_DEPTH_MAX || at + n + 2 > sizeof w->path) {
        refuse(w);
        return;
    }
    w->ends[w->depth] = at;
    w->texts[w->depth].n = 0;
    w->depth++;
    if (at)
        w->path[at++] = '/';
    memcpy(w->path + at, name, n + 1);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    struct walk *w = ctx;
    (void)name;
    w->depth--;
    w->end(w->ctx, w->path, buf_cstr(&w->texts[w->depth]));
    w->path[w->ends[w->depth]] = '\0';
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int n)
{
    struct walk *w = ctx;
    if (w->depth)
        buf_put(&w->texts[w->depth - 1], text, (size_t)n);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    refuse(ctx);
}

int xml_walk(const void *p, size_t n, xml_end_fn *end, void *ctx, struct err *e)
{
    struct walk w = {.end = end, .ctx = ctx, .parser = XML_ParserCreate(NULL)};
    invariant(w.parser != NULL);
    XML_SetUserData(w.parser, &w);
    XML_SetElementHandler(w.parser, on_start, on_end);
    XML_SetCharacterDataHandler(w.parser, on_text);
    XML_SetStartDoctypeDeclHandler(w.parser, on_doctype);
    bool ok = n < INT32_MAX && XML_Parse(w.parser, p, (int)n, XML_TRUE) == XML_STATUS_OK;
    if (!ok)
        err_set(e, ERR_INVALID, "no XML as expected: %s",
                w.refused ? "nested too deep, or with a document type"
                          : XML_ErrorString(XML_GetErrorCode(w.parser)));
    for (int i = 0; i < XML_DEPTH_MAX; i++)
        buf_fini(&w.texts[i]);
    XML_ParserFree(w.parser);
    return ok ? 0 : -1;
}

struct find {
    const char *path;
    char *found;
};

static void on_find(void *ctx, const char *path, const char *text)
{
    struct find *f = ctx;
    size_t n = strlen(path), m = strlen(f->path);
    bool tail = *f->path == '/' && n >= m && strcmp(path + n - m, f->path) == 0;
    if (!f->found && (tail || strcmp(path, f->path) == 0))
        f->found = mem_strdup(text);
}

char *xml_text(const void *p, size_t n, const char *path)
{
    struct find f = {path, NULL};
    xml_walk(p, n, on_find, &f, NULL);
    return f.found;
}

void xml_put(struct buf *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&': buf_puts(out, "&amp;"); break;
        case '<': buf_puts(out, "&lt;"); break;
        case '>': buf_puts(out, "&gt;"); break;
        case '"': buf_puts(out, "&quot;"); break;
        case '\r': buf_puts(out, "&#13;"); break;
        default: buf_putc(out, (uint8_t)*text);
        }
}
