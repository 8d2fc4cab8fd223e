/* What doctor says of a Lambda event source mapping: each setting by which records could be lost or come out
 * of order is told, and nothing else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"

#define ARN "arn:aws:kinesis:eu-west-1:123456789012:stream/events"
#define GOOD                                                                                       \
    "\"UUID\":\"u\",\"EventSourceArn\":\"" ARN "\",\"State\":\"Enabled\",\"StartingPosition\":"      \
    "\"TRIM_HORIZON\",\"ParallelizationFactor\":1,\"MaximumRetryAttempts\":-1,"                     \
    "\"MaximumRecordAgeInSeconds\":-1,\"BisectBatchOnFunctionError\":true"

static struct doctor examine(const char *mapping, bool partial, bool known_stream)
{
    static struct config config;
    struct doctor d = {.config = &config, .json = true};
    struct buf text = {0};
    struct err e = {0};
    config_init(&config);
    if (partial)
        options_set(&config.options, OPT_PARTIAL_FAILURES, "true", ORIGIN_COMMAND_LINE, "x", &e);
    d.stream_arn = known_stream ? strdup(ARN) : NULL;
    buf_printf(&text, "{\"EventSourceMappings\":[%s]}", mapping);
    json_t *j = json_loads(buf_cstr(&text), 0, NULL);
    assert_non_null(j);
    doctor_mappings(&d, j);
    json_decref(j);
    buf_fini(&text);
    config_fini(&config);
    free(d.stream_arn);
    return d;
}

static void expect(const char *mapping, bool partial, size_t ok, size_t warn, size_t fail,
                   const char *says)
{
    struct doctor d = examine(mapping, partial, true);
    assert_int_equal(d.counts[DOCTOR_OK], ok);
    assert_int_equal(d.counts[DOCTOR_WARN], warn);
    assert_int_equal(d.counts[DOCTOR_FAIL], fail);
    assert_non_null(strstr(buf_cstr(&d.out), says));
    buf_fini(&d.out);
}

static void mappings(void **state)
{
    (void)state;
    expect("{" GOOD "}", false, 1, 0, 0, "exactly-once holds");
    expect("{" GOOD ",\"FunctionResponseTypes\":[\"ReportBatchItemFailures\"]}", true, 1, 0, 0, "holds");
    expect("{" GOOD ",\"FunctionResponseTypes\":[null]}", true, 0, 0, 1, "INLET_PARTIAL_FAILURES");
    /* of equal keys the last counts */
    expect("{" GOOD ",\"ParallelizationFactor\":2}", false, 0, 0, 1, "ParallelizationFactor to 1");
    expect("{" GOOD ",\"MaximumRetryAttempts\":3}", false, 0, 0, 1, "MaximumRetryAttempts to -1");
    expect("{" GOOD ",\"MaximumRecordAgeInSeconds\":60}", false, 0, 0, 1, "MaximumRecordAgeInSeconds");
    expect("{" GOOD ",\"StartingPosition\":\"LATEST\"}", false, 0, 0, 1, "TRIM_HORIZON or AT_TIMESTAMP");
    expect("{" GOOD ",\"TumblingWindowInSeconds\":30}", false, 0, 0, 1, "tumbling");
    expect("{" GOOD ",\"FilterCriteria\":{\"Filters\":[{}]}}", false, 1, 1, 0, "never reach the lake");
    expect("{" GOOD ",\"State\":\"Disabled\"}", false, 1, 1, 0, "enable it");
    expect("", false, 0, 0, 1, "no mapping of the stream");
    expect("{\"EventSourceArn\":\"" ARN "2\"}", false, 0, 0, 1, "no mapping of the stream");
    /* a consumer of the stream with fan-out of its own is the stream */
    expect("{" GOOD ",\"EventSourceArn\":\"" ARN "/consumer/c:1\"}", false, 1, 0, 0, "holds");
}

static void without_a_stream(void **state)
{
    (void)state;
    struct doctor d = examine("{" GOOD "},{\"EventSourceArn\":\"arn:aws:sqs:::q\"}", false, false);
    assert_int_equal(d.counts[DOCTOR_OK], 1);
    assert_int_equal(d.counts[DOCTOR_FAIL], 0);
    buf_fini(&d.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mappings), cmocka_unit_test(without_a_stream)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
