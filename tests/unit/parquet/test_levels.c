/* The hybrid of runs and bits: any values of any width, given in any portions, come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "parquet/levels.h"

#define VALUES 4000

static uint64_t seed = 7;

static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

/* Runs of up to `longest` equal values, none above `max`. */
static uint32_t random_values(uint32_t *v, uint32_t max, uint32_t longest)
{
    uint32_t n = rnd(VALUES) + 1;
    for (uint32_t i = 0; i < n;) {
        uint32_t value = max == UINT32_MAX ? rnd(UINT32_MAX) : rnd(max + 1), run = rnd(longest) + 1;
        for (; run && i < n; run--)
            v[i++] = value;
    }
    return n;
}

static void encode(struct buf *out, unsigned width, const uint32_t *v, uint32_t n)
{
    struct levels_out o;
    uint8_t narrow[VALUES];
    levels_begin(&o, out, width);
    for (uint32_t i = 0, part; i < n; i += part) {
        uint32_t run = 1;
        part = rnd(n - i) + 1;
        while (run < part && v[i + run] == v[i])
            run++;
        for (uint32_t k = 0; k < part; k++)
            narrow[k] = (uint8_t)v[i + k];
        switch (rnd(3)) {
        case 0:
            levels_array32(&o, v + i, part);
            break;
        case 1:
            levels_run(&o, v[i], run);
            part = run;
            break;
        default:
            if (width <= 8)
                levels_array8(&o, narrow, part);
            else
                levels_array32(&o, v + i, part);
        }
    }
    levels_end(&o);
}

static void test_round_trip(void **state)
{
    static uint32_t v[VALUES], back[VALUES];
    static uint8_t back8[VALUES];
    (void)state;
    for (int round = 0; round < 3000; round++) {
        unsigned width = rnd(32) + 1;
        if (rnd(2))
            width = rnd(3) + 1;
        uint32_t max = (uint32_t)(((uint64_t)1 << width) - 1);
        uint32_t n = random_values(v, max, rnd(2) ? 3 : 60);
        struct buf out = {0};
        buf_puts(&out, "before");
        encode(&out, width, v, n);
        assert_memory_equal(out.p, "before", 6);
        assert_int_equal(levels_decode32(out.p + 6, out.n - 6, width, max, back, n), 0);
        assert_memory_equal(v, back, n * sizeof *v);
        if (width <= 8) {
            assert_int_equal(levels_decode8(out.p + 6, out.n - 6, width, (uint8_t)max, back8, n),
                             0);
            for (uint32_t i = 0; i < n; i++)
                assert_int_equal(v[i], back8[i]);
        }
        buf_fini(&out);
    }
}

/* What runs is small: long runs, bits elsewhere. */
static void test_size(void **state)
{
    static uint8_t v[VALUES];
    struct buf out = {0};
    struct levels_out o;
    (void)state;
    levels_begin(&o, &out, 1);
    levels_array8(&o, v, VALUES);
    levels_end(&o);
    assert_true(out.n <= 4);
    out.n = 0;
    for (uint32_t i = 0; i < VALUES; i++)
        v[i] = (uint8_t)rnd(2);
    levels_begin(&o, &out, 1);
    levels_array8(&o, v, VALUES);
    levels_end(&o);
    assert_true(out.n <= VALUES / 8 + VALUES / 100);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
