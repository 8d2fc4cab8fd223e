/* seq, map, buf, err: against naive models and at their edges. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/newlines.h"
#include "base/seq.h"

static uint64_t state_of_random = 2463534242u;

static uint64_t rnd(void)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    return state_of_random ^= state_of_random << 17;
}

/* ---- seq ---- */

static struct seq parsed(const char *text)
{
    struct seq s;
    assert_int_equal(seq_parse(&s, text, strlen(text), NULL), 0);
    return s;
}

static void seq_texts(void **state)
{
    static const char *const bad[] = {
        "",
        "-1",
        "1.0",
        " 1",
        "1 ",
        "trim_horizon",
        "SHARD_EN",
        "LATEST",
        "12345678901234567890123456789012345678901234567890123456789012345"
        "678901234567", /* 77 digits */
        "495999999999999/",
        ":959999999999999",
        "49599999999999990000000/00000000"};
    char text[SEQ_TEXT_MAX];
    struct seq s;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(seq_parse(&s, bad[i], strlen(bad[i]), &e), -1);
        assert_int_equal(e.kind, ERR_INVALID);
    }
    assert_int_equal(seq_cmp(parsed("TRIM_HORIZON"), SEQ_NONE), 0);
    assert_int_equal(seq_cmp(parsed("SHARD_END"), SEQ_END), 0);
    assert_int_equal(seq_cmp(parsed("0"), SEQ_NONE), 0);
    assert_int_equal(seq_low(parsed("18446744073709551615")), UINT64_MAX);
    assert_int_equal(parsed("18446744073709551616").w[2], 1);
    assert_int_equal(seq_format(SEQ_NONE, text), 12);
    assert_string_equal(text, "TRIM_HORIZON");
    assert_int_equal(seq_format(SEQ_END, text), 9);
    assert_string_equal(text, "SHARD_END");
    struct seq below_end = SEQ_END; /* the longest number there is: 78 digits */
    below_end.w[3]--;
    assert_int_equal(seq_format(below_end, text), 78);
    assert_true(seq_cmp(seq_max(below_end, SEQ_END), SEQ_END) == 0);
    assert_true(seq_cmp(seq_min(seq_of(3), seq_of(4)), seq_of(3)) == 0 &&
                seq_le(SEQ_NONE, SEQ_NONE));
}

/* Any digits come back as sent, and compare as numbers do: by length, then by digits. */
static void seq_round_trips(void **state)
{
    char a[SEQ_TEXT_MAX], b[SEQ_TEXT_MAX], last[SEQ_TEXT_MAX] = "1";
    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t n = 1 + rnd() % 76;
        for (size_t j = 0; j < n; j++)
            a[j] = (char)('0' + (rnd() % 4 ? rnd() % 10 : 0)); /* with runs of zeros */
        a[0] = (char)('1' + rnd() % 9);
        a[n] = '\0';
        assert_int_equal(seq_format(parsed(a), b), n);
        assert_string_equal(a, b);
        int want =
            strlen(a) != strlen(last) ? (strlen(a) < strlen(last) ? -1 : 1) : strcmp(a, last);
        int got = seq_cmp(parsed(a), parsed(last));
        assert_true((want < 0) == (got < 0) && (want > 0) == (got > 0));
        strcpy(last, a);
    }
}

/* Numbers that begin as the last one did, or nearly, or are none: as they are by themselves. */
static void seq_near_as_alone(void **state)
{
    static const char *const odd[] = {"TRIM_HORIZON", "TRIM_HORIZON12345678901234567890123456789012", "SHARD_END12345678901234567890123456789012", ""};
    struct seq_near last = {0};
    char a[96] = "49590338271490256608559692538361571095921575989136588898";
    size_t n = 56;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        unsigned what = rnd() % 64;
        if (what == 0)
            n = 1 + rnd() % 78;
        for (size_t j = 0; j < n; j++)
            if (what == 0 || (what < 56 && j + 1 + rnd() % 40 > n) || a[j] < '0' || a[j] > '9')
                a[j] = (char)('0' + rnd() % 10);
        if (what == 1)
            a[rnd() % n] = (char)('0' + rnd() % 10); /* in its head, most often */
        if (what == 2)
            a[rnd() % n] = " /:A"[rnd() % 4];
        const char *text = what == 3 ? odd[rnd() % 4] : a;
        size_t length = what == 3 ? strlen(text) : n;
        struct seq near = seq_of(7), alone = seq_of(7);
        struct err e = {0}, want = {0};
        assert_int_equal(seq_parse_near(&last, &near, text, length, &e), seq_parse(&alone, text, length, &want));
        assert_memory_equal(&near, &alone, sizeof near);
        assert_string_equal(e.text, want.text);
    }
}

/* ---- map ---- */

#define KEYS 300

static void map_like_an_array(void **state)
{
    struct map m = {0};
    static char values[KEYS];
    void *model[KEYS] = {0};
    size_t there = 0, seen = 0, at = 0;
    (void)state;
    assert_null(map_get(&m, "x", 1));
    assert_null(map_remove(&m, "x", 1));
    assert_null(map_next(&m, &at));
    for (int step = 0; step < 200000; step++) {
        size_t i = rnd() % KEYS;
        char key[16];
        size_t n = (size_t)snprintf(key, sizeof key, "%zu", i);
        void *old = model[i];
        if (rnd() % 2) {
            model[i] = &values[rnd() % KEYS];
            assert_ptr_equal(map_set(&m, key, n, model[i]), old);
        } else {
            model[i] = NULL;
            assert_ptr_equal(map_remove(&m, key, n), old);
        }
        there = there - (old != NULL) + (model[i] != NULL);
        assert_int_equal(m.count, there);
        assert_ptr_equal(map_get(&m, key, n), model[i]);
    }
    for (at = 0;;) {
        struct map_entry *x = map_next(&m, &at);
        if (!x)
            break;
        assert_ptr_equal(x->value, model[atoi(x->key)]);
        seen++;
    }
    assert_int_equal(seen, there);
    map_fini(&m);
}

static void map_keys_may_stay_where_they_are(void **state)
{
    struct map m = {.borrows = true};
    static char keys[100][4];
    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof keys[i], "%d", i);
        assert_null(map_set(&m, keys[i], strlen(keys[i]), keys[i]));
    }
    assert_ptr_equal(map_remove(&m, "7", 1), keys[7]);
    size_t at = 0, n = 0;
    for (struct map_entry *x; (x = map_next(&m, &at)); n++)
        assert_ptr_equal(x->key, x->value);
    assert_int_equal(n, 99);
    map_fini(&m);
}

static void map_keys_are_bytes(void **state)
{
    struct map m = {0};
    char a, b;
    (void)state;
    map_set(&m, "k\0a", 3, &a);
    map_set(&m, "k\0b", 3, &b);
    assert_ptr_equal(map_get(&m, "k\0a", 3), &a);
    assert_ptr_equal(map_get(&m, "k\0b", 3), &b);
    assert_null(map_get(&m, "k", 1));
    map_set(&m, "", 0, &a);
    assert_ptr_equal(map_get(&m, "", 0), &a);
    map_fini(&m);
}

/* ---- buf ---- */

static void buf_grows(void **state)
{
    struct buf b = {0};
    (void)state;
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(b.n, 0);
    for (unsigned i = 0; i < 10000; i++)
        buf_putc(&b, (uint8_t)i);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(b.p[i], (uint8_t)i);
    b.n = 0;
    buf_put(&b, NULL, 0);
    buf_puts(&b, "n=");
    buf_printf(&b, "%0100d|%s", 7, "end");
    assert_int_equal(b.n, 106);
    char *s = buf_take(&b);
    assert_int_equal(strlen(s), 106);
    assert_string_equal(s + 101, "7|end");
    assert_null(b.p);
    free(s);
    memset(buf_reserve(&b, 1000), 'x', 1000);
    assert_int_equal(b.n, 0);
    assert_true(b.cap >= 1000);
    buf_fini(&b);
    buf_fini(&b);
    assert_true(str_eq(str_of("a"), (struct str){"ab", 1}));
    assert_false(str_eq(str_of("a"), str_of("b")));
    assert_true(str_eq(str_of(NULL), str_of("")));
}

/* ---- err ---- */

static void err_texts(void **state)
{
    struct err e = {0};
    char longest[2 * ERR_TEXT_MAX];
    (void)state;
    assert_int_equal(err_set(&e, ERR_RETRY, "shard %d", 3), -1);
    assert_int_equal(err_wrap(&e, "stream %s", "demo"), -1);
    assert_string_equal(e.text, "stream demo: shard 3");
    assert_int_equal(e.kind, ERR_RETRY);
    assert_int_equal(err_errno(&e, ENOENT, "open x"), -1);
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_string_equal(e.text, "open x: No such file or directory");
    err_errno(&e, EACCES, "open x");
    assert_int_equal(e.kind, ERR_IO);
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    err_set(&e, ERR_IO, "%s", longest);
    assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
    err_wrap(&e, "%s", longest);
    err_errno(&e, EIO, "%s", longest);
    assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
    assert_int_equal(err_set(NULL, ERR_IO, "x"), -1); /* nobody need listen */
    assert_int_equal(err_wrap(NULL, "x"), -1);
    assert_int_equal(err_errno(NULL, EIO, "x"), -1);
    for (int k = ERR_NONE; k <= ERR_STOPPED; k++)
        assert_string_not_equal(err_kind_name((enum err_kind)k), "?");
    assert_string_equal(err_kind_name(ERR_STOPPED), "stopped");
    assert_string_equal(err_kind_name((enum err_kind)99), "?");
}

/* ---- newlines ---- */

static void newlines_like_memchr(void **state)
{
    (void)state;
    static uint8_t text[1200];
    static uint32_t at[1200 + NEWLINES_ROOM];
    for (int round = 0; round < 20000; round++) {
        size_t from = rnd() % 64, n = rnd() % (sizeof text - 64), max = rnd() % 5 ? 1 + rnd() % 40 : 1200;
        unsigned many = rnd() % 3 ? 200 : 3; /* one byte in so many */
        for (size_t i = 0; i < n + 64; i++)
            text[i] = rnd() % many ? (uint8_t)(rnd() % 256) : '\n';
        size_t found = newlines_find(text + from, n, at, max), k = 0;
        assert_true(found < max + NEWLINES_ROOM);
        for (size_t i = 0; i < n && k < found; i++)
            if (text[from + i] == '\n')
                assert_int_equal(at[k++], i);
        assert_int_equal(k, found);
        if (found < max) {
            size_t rest = found ? at[found - 1] + 1 : 0;
            assert_null(memchr(text + from + rest, '\n', n - rest));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seq_texts),         cmocka_unit_test(seq_round_trips),
        cmocka_unit_test(seq_near_as_alone),
        cmocka_unit_test(map_like_an_array), cmocka_unit_test(map_keys_are_bytes),
        cmocka_unit_test(map_keys_may_stay_where_they_are),
        cmocka_unit_test(buf_grows),         cmocka_unit_test(err_texts),
        cmocka_unit_test(newlines_like_memchr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
