/* sigv4: random requests must be signed as botocore signs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aws/sigv4.h"
#include "base/mem.h"

#include "aws/sigv4_vectors.h"

static void as_botocore(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const struct vector *v = &vectors[i];
        char hash[SIGV4_HASH_TEXT], date[17];
        sigv4_hash(v->body, strlen(v->body), hash);
        struct sigv4_header h[] = {{"X-Custom", v->custom},
                                   {"host", v->host},
                                   {"Content-Type", "application/x-amz-json-1.1"},
                                   {"X-Amz-Content-SHA256", hash}};
        struct sigv4_request q = {.method = v->method, .path = v->path, .query = v->query,
                                  .headers = h, .n_headers = v->hash_header ? 4 : 3,
                                  .payload_hash = hash, .region = "eu-west-1",
                                  .service = v->service, .time_s = 1795485784};
        char *id = mem_strdup(v->access_key), *secret = mem_strdup(v->secret_key),
             *token = v->token ? mem_strdup(v->token) : NULL;
        struct credentials c = {id, secret, token, 0};
        struct buf a = {0};
        sigv4_sign(&q, &c, date, &a);
        assert_string_equal(date, "20261124T020304Z");
        assert_string_equal(buf_cstr(&a), v->authorization);
        buf_fini(&a);
        credentials_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_botocore)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
