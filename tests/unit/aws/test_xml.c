/* xml: texts by their path; what is no such document is refused, and nothing is read beyond a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "aws/xml.h"

static const char doc[] = "<?xml version=\"1.0\"?>\n<a:R xmlns:a='x'><b>1 &lt;&#x41;</b><b><c>two</c></b>"
                          "<d><e><f>deep</f></e></d><b/></a:R>";

static void on_end(void *ctx, const char *path, const char *text)
{
    buf_printf(ctx, "%s=%s;", path, text);
}

static void texts_by_path(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_int_equal(xml_walk(doc, strlen(doc), on_end, &out, NULL), 0);
    assert_string_equal(buf_cstr(&out), "R/b=1 <A;R/b/c=two;R/b=;R/d/e/f=deep;R/d/e=;R/d=;R/b=;R=;");
    buf_fini(&out);
    char *t = xml_text(doc, strlen(doc), "R/b"), *u = xml_text(doc, strlen(doc), "/e/f");
    assert_string_equal(t, "1 <A");
    assert_string_equal(u, "deep");
    assert_null(xml_text(doc, strlen(doc), "R/x"));
    free(t);
    free(u);
}

static void ignore(void *ctx, const char *path, const char *text)
{
    (void)ctx, (void)path, (void)text;
}

static void refuses(const char *text, const char *word)
{
    struct err e = {0};
    assert_int_equal(xml_walk(text, strlen(text), ignore, NULL, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_non_null(strstr(e.text, word));
}

static void bad_documents(void **state)
{
    (void)state;
    struct buf deep = {0};
    refuses("", "no XML");
    refuses("<html><body>", "no XML");
    refuses("{\"a\":1}", "no XML");
    refuses("<!DOCTYPE r [<!ENTITY a \"b\">]><r>&a;</r>", "document type");
    for (int i = 0; i < 100000; i++)
        buf_puts(&deep, "<a>");
    refuses(buf_cstr(&deep), "nested too deep");
    deep.n = 0;
    buf_puts(&deep, "<r><");
    for (int i = 0; i < 1000; i++)
        buf_putc(&deep, 'n');
    buf_puts(&deep, "/></r>");
    refuses(buf_cstr(&deep), "nested too deep");
    buf_fini(&deep);
    for (size_t n = 0; n < strlen(doc); n++) /* every cut of a good one */
        assert_int_equal(xml_walk(doc, n, ignore, NULL, NULL), -1);
}

static void escapes(void **state)
{
    (void)state;
    struct buf out = {0};
    buf_puts(&out, "<r>");
    xml_put(&out, "<&>\"'\r\xc3\xa9");
    buf_puts(&out, "</r>");
    char *back = xml_text(out.p, out.n, "r");
    assert_string_equal(back, "<&>\"'\r\xc3\xa9");
    free(back);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_by_path), cmocka_unit_test(bad_documents),
                                       cmocka_unit_test(escapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
