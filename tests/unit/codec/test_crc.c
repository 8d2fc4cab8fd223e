/* The check values of the catalogue of CRCs, and what the bytes of a word do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "codec/crc.h"
#include "codec/digest.h"

static void check_values(void **state)
{
    (void)state;
    assert_int_equal(crc_32("123456789", 9), 0xcbf43926);
    assert_int_equal(crc_32c("123456789", 9), 0xe3069283);
    assert_true(crc_64_nvme("123456789", 9) == UINT64_C(0xae8b14860a799888));
    assert_int_equal(crc_32("", 0), 0);
    assert_int_equal(crc_32c("", 0), 0);
    assert_true(crc_64_nvme("", 0) == 0);
}

/* RFC 3720, B.4: 32 bytes of zeros, of ones. */
static void of_rfc_3720(void **state)
{
    uint8_t zeros[32] = {0}, ones[32];
    (void)state;
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(crc_32c(zeros, 32), 0x8a9136aa);
    assert_int_equal(crc_32c(ones, 32), 0x62a8ab43);
}

static void sha1(void **state)
{
    uint8_t out[20];
    (void)state;
    digest_sha1("abc", 3, out); /* FIPS 180-4 */
    assert_memory_equal(out, "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d", 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(check_values), cmocka_unit_test(of_rfc_3720),
                                       cmocka_unit_test(sha1)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
