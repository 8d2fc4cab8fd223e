/* credentials: when a provider renews, by a clock of the test's own. The keys come from a credential_process that
 * prints a file and counts how often it was asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aws/credentials.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/civil.h"

#define START_S INT64_C(1795485784)
#define MINUTE 60

static char dir[] = "/tmp/inlet-credentials-XXXXXX";
static _Atomic int64_t now_s = START_S;

static int64_t wall_us(void *ctx)
{
    (void)ctx;
    return atomic_load(&now_s) * 1000000;
}
static int64_t boot_ms(void *ctx)
{
    (void)ctx;
    return atomic_load(&now_s) * 1000;
}
static void sleep_ms(void *ctx, int64_t ms)
{
    (void)ctx, (void)ms;
}
static const struct clock test_clock = {wall_us, boot_ms, sleep_ms, NULL};

static void write_file(const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    free(path);
}

/* From now on the source gives this key, good for so long. */
static void give(const char *key, int64_t seconds)
{
    char until[CIVIL_TEXT_MAX];
    civil_format_us((atomic_load(&now_s) + seconds) * 1000000, until);
    char *text = mem_printf("{\"Version\": 1, \"AccessKeyId\": \"%s\", \"SecretAccessKey\": \"s\", "
                            "\"SessionToken\": \"t\", \"Expiration\": \"%s\"}", key, until);
    write_file("answer", text);
    free(text);
}

static long asked(void)
{
    char *path = mem_printf("%s/count", dir);
    FILE *f = fopen(path, "re");
    long n = 0;
    if (f) {
        fseek(f, 0, SEEK_END);
        n = ftell(f);
        fclose(f);
    }
    free(path);
    return n;
}

static void wait_asked(long n)
{
    for (int i = 0; i < 1000 && asked() < n; i++)
        usleep(10000);
    assert_int_equal(asked(), n);
}

static bool gives(struct credential_provider *p, const char *key)
{
    struct credentials c = {0};
    struct err e = {0};
    bool same = credential_provider_get(p, &c, &e) == 0 && strcmp(c.access_key, key) == 0;
    credentials_fini(&c);
    return same;
}

/* The background's work is seen within a while. */
static void wait_gives(struct credential_provider *p, const char *key)
{
    for (int i = 0; i < 1000 && !gives(p, key); i++)
        usleep(10000);
    assert_true(gives(p, key));
}

static void renewal(void **state)
{
    (void)state;
    struct credentials c = {0};
    struct err e = {0};
    give("one", 60 * MINUTE);
    struct credential_provider *p = credential_provider_open(NULL, &test_clock);
    assert_ptr_equal(credential_provider_open(NULL, &test_clock), p); /* one for all */
    credential_provider_close(p);
    assert_true(gives(p, "one"));
    now_s += 54 * MINUTE;
    assert_true(gives(p, "one"));
    assert_int_equal(asked(), 1);

    give("two", 60 * MINUTE);
    now_s += 2 * MINUTE; /* four minutes left: in the background */
    wait_gives(p, "two");
    assert_int_equal(asked(), 2);

    write_file("answer", "no"); /* the source is out of order: those in hand go on */
    now_s += 54 * MINUTE;
    assert_true(gives(p, "two"));
    wait_asked(3);
    assert_true(gives(p, "two"));
    assert_int_equal(asked(), 3); /* not again at once */
    for (int i = 0; i < 200 && asked() < 4; i++, usleep(10000), now_s++) /* but after a while */
        assert_true(gives(p, "two"));
    assert_int_equal(asked(), 4);
    now_s += 4 * MINUTE; /* they have expired */
    assert_int_equal(credential_provider_get(p, &c, &e), -1);
    assert_non_null(strstr(e.text, "credential_process"));
    give("three", 60 * MINUTE);
    assert_true(gives(p, "three"));
    credential_provider_close(p);
}

static void refused(void **state)
{
    (void)state;
    long before = asked();
    give("four", 60 * MINUTE);
    struct credential_provider *p = credential_provider_open(NULL, &test_clock);
    assert_true(gives(p, "four"));
    give("five", 60 * MINUTE);
    assert_true(credential_provider_expired(p, "four")); /* others are asked for */
    assert_true(gives(p, "five"));
    assert_true(credential_provider_expired(p, "four")); /* somebody late: there are others already */
    assert_true(gives(p, "five"));
    assert_int_equal(asked(), before + 2);
    assert_false(credential_provider_expired(p, "five")); /* asking again and again does not help */
    now_s += MINUTE;
    assert_true(credential_provider_expired(p, "five"));
    credential_provider_close(p);
    struct credentials keys = {(char[]){"fixed"}, (char[]){"s"}, NULL, 0};
    p = credential_provider_fixed(&keys, &test_clock);
    assert_true(gives(p, "fixed"));
    assert_false(credential_provider_expired(p, "fixed"));
    credential_provider_close(p);
}

static void *get_main(void *arg)
{
    return gives(arg, "six") ? arg : NULL;
}

static void many_threads_ask_once(void **state)
{
    (void)state;
    pthread_t threads[8];
    long before = asked();
    give("six", 60 * MINUTE);
    struct credential_provider *p = credential_provider_open(NULL, &test_clock);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_main, p), 0);
    for (int i = 0; i < 8; i++) {
        void *got = NULL;
        pthread_join(threads[i], &got);
        assert_ptr_equal(got, p);
    }
    assert_int_equal(asked(), before + 1);
    credential_provider_close(p);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    char *config = mem_printf("%s/config", dir);
    char *text = mem_printf("[default]\ncredential_process = printf x >> %s/count; cat %s/answer\n", dir, dir);
    write_file("config", text);
    setenv("AWS_CONFIG_FILE", config, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_PROFILE");
    log_set_level(LOG_ERROR);
    free(text);
    free(config);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"config", "count", "answer"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        char *path = mem_printf("%s/%s", dir, names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(renewal), cmocka_unit_test(refused),
                                       cmocka_unit_test(many_threads_ask_once)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
