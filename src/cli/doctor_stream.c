/* doctor: the stream, AWS's clock, and the event source mapping of a Lambda function. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aws/client.h"
#include "base/mem.h"
#include "cli/doctor.h"
#include "source/kinesis.h"

#define SKEW_WARN_MS 30000
#define SKEW_FAIL_MS (5 * 60 * 1000) /* beyond that AWS refuses signatures */
#define RETENTION_SHORT_H 48

/* ---- Kinesis ---- */

static json_t *call(struct doctor *d, struct kinesis_api *api, const char *action, json_t *request)
{
    struct err e = {0};
    struct buf answer = {0}, mend = {0};
    char *body = json_dumps(request, JSON_COMPACT);
    json_t *out = NULL;
    if (kinesis_api_call(api, action, body, strlen(body), &answer, &e) == 0)
        out = json_loadb((const char *)answer.p, answer.n, 0, NULL);
    if (!out) {
        buf_printf(&mend, "allow kinesis:%s on the stream, if it is there and the endpoint is right",
                   action);
        doctor_say(d, DOCTOR_FAIL, "stream", *e.text ? e.text : "the answer is no JSON",
                   buf_cstr(&mend));
    }
    free(body);
    json_decref(request);
    buf_fini(&answer);
    buf_fini(&mend);
    return out;
}

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

static bool describe(struct doctor *d, struct kinesis_api *api, const char *name)
{
    json_t *a = call(d, api, "DescribeStreamSummary", json_pack("{s:s}", "StreamName", name));
    const json_t *s = json_object_get(a, "StreamDescriptionSummary");
    struct buf found = {0};
    if (!a)
        return false;
    const char *status = text(s, "StreamStatus"), *encryption = text(s, "EncryptionType");
    int64_t hours = json_integer_value(json_object_get(s, "RetentionPeriodHours"));
    bool active = strcmp(status, "ACTIVE") == 0 || strcmp(status, "UPDATING") == 0;
    buf_printf(&found, "%s: %s, %" PRId64 " open shards, kept for %" PRId64 " hours, encryption %s",
               name, *status ? status : "no status",
               (int64_t)json_integer_value(json_object_get(s, "OpenShardCount")), hours,
               *encryption ? encryption : "NONE");
    doctor_say(d, active ? DOCTOR_OK : DOCTOR_FAIL, "stream", buf_cstr(&found),
               active ? NULL : "wait until it is ACTIVE");
    if (hours > 0 && hours < RETENTION_SHORT_H)
        doctor_say(d, DOCTOR_WARN, "stream retention",
                   "what is not read within a day or so is lost for good",
                   "aws kinesis increase-stream-retention-period, to 168 hours in production");
    d->stream_arn = mem_strdup(text(s, "StreamARN"));
    buf_fini(&found);
    json_decref(a);
    return true;
}

/* The first shard, read for real. */
static void read_shard(struct doctor *d, struct kinesis_api *api, const char *name)
{
    json_t *a = call(d, api, "ListShards", json_pack("{s:s}", "StreamName", name));
    const char *shard = text(json_array_get(json_object_get(a, "Shards"), 0), "ShardId");
    json_t *b = a ? call(d, api, "GetShardIterator",
                         json_pack("{s:s,s:s,s:s}", "StreamName", name, "ShardId", shard,
                                   "ShardIteratorType", "TRIM_HORIZON"))
                  : NULL;
    json_t *r = b ? call(d, api, "GetRecords",
                         json_pack("{s:s,s:i}", "ShardIterator", text(b, "ShardIterator"), "Limit", 1))
                  : NULL;
    if (r) {
        char found[128];
        snprintf(found, sizeof found, "%.80s was read", shard);
        doctor_say(d, DOCTOR_OK, "stream reading", found, NULL);
    }
    json_decref(a);
    json_decref(b);
    json_decref(r);
}

/* ---- clock ---- */

static void check_clock(struct doctor *d)
{
    struct aws_client c;
    struct err e = {0};
    struct http_response r = {0};
    struct tm tm = {0};
    char value[64], found[128];
    size_t n = 0;
    if (aws_client_open(&c, "kinesis", &(struct aws_options){0}, &clock_system, &e))
        return;
    struct http *h = http_new();
    struct http_request q = {.method = "GET", .url = c.endpoint, .timeout_ms = 10000};
    const char *date = http_do(h, &q, &r, &e) == 0 ? http_header(&r, "Date", &n) : NULL;
    if (date && n < sizeof value) {
        memcpy(value, date, n);
        value[n] = 0;
    }
    if (!date || n >= sizeof value || !strptime(value, "%a, %d %b %Y %H:%M:%S", &tm)) {
        doctor_say(d, DOCTOR_SKIPPED, "clock", "the service did not say what time it has", NULL);
    } else {
        int64_t skew = clock_wall_ms(&clock_system) - (int64_t)timegm(&tm) * 1000;
        int64_t size = skew < 0 ? -skew : skew;
        enum doctor_status s = size > SKEW_FAIL_MS   ? DOCTOR_FAIL
                               : size > SKEW_WARN_MS ? DOCTOR_WARN
                                                     : DOCTOR_OK;
        snprintf(found, sizeof found, "%" PRId64 " s %s the service's", size / 1000,
                 skew < 0 ? "behind" : "ahead of");
        doctor_say(d, s, "clock", found, s ? "set this machine's clock (chrony, NTP)" : NULL);
    }
    http_response_fini(&r);
    http_free(h);
    aws_client_close(&c);
}

/* ---- Lambda ---- */

static void setting(struct doctor *d, bool ok, enum doctor_status otherwise, const char *what,
                    const char *mend)
{
    if (!ok)
        doctor_say(d, otherwise, "event source", what, mend);
}

static bool reports_failures(const json_t *m)
{
    const json_t *types = json_object_get(m, "FunctionResponseTypes");
    for (size_t i = 0; i < json_array_size(types); i++)
        if (strcmp(json_string_value(json_array_get(types, i)) ? json_string_value(json_array_get(types, i)) : "",
                   "ReportBatchItemFailures") == 0)
            return true;
    return false;
}

static int64_t number(const json_t *j, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(j, key);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : otherwise;
}

static void check_mapping(struct doctor *d, const json_t *m)
{
    size_t bad = d->counts[DOCTOR_FAIL];
    const char *start = text(m, "StartingPosition"), *state = text(m, "State");
    struct buf found = {0};
    bool partial = options_flag(&d->config->options, OPT_PARTIAL_FAILURES);
    setting(d, number(m, "ParallelizationFactor", 1) == 1, DOCTOR_FAIL,
            "a shard's batches are not given in order", "set ParallelizationFactor to 1");
    setting(d, number(m, "MaximumRetryAttempts", -1) == -1, DOCTOR_FAIL,
            "a batch that fails too often is thrown away", "set MaximumRetryAttempts to -1");
    setting(d, number(m, "MaximumRecordAgeInSeconds", -1) == -1, DOCTOR_FAIL,
            "records that get too old are thrown away", "set MaximumRecordAgeInSeconds to -1");
    setting(d, strcmp(start, "LATEST") != 0, DOCTOR_FAIL,
            "it starts at LATEST: what comes before it is enabled is not read, nor are new shards' first "
            "records",
            "make it anew with StartingPosition TRIM_HORIZON or AT_TIMESTAMP");
    setting(d, number(m, "TumblingWindowInSeconds", 0) == 0, DOCTOR_FAIL, "it has a tumbling window",
            "set TumblingWindowInSeconds to 0");
    setting(d, !json_array_size(json_object_get(json_object_get(m, "FilterCriteria"), "Filters")),
            DOCTOR_WARN, "records that its filter takes out never reach the lake",
            "remove FilterCriteria, unless that is what you want");
    setting(d, !partial || reports_failures(m), DOCTOR_FAIL,
            "without ReportBatchItemFailures the answer of --partial-failures is taken for success",
            "add ReportBatchItemFailures to FunctionResponseTypes, or unset INLET_PARTIAL_FAILURES");
    setting(d, strcmp(state, "Enabled") == 0, DOCTOR_WARN, "it is not enabled", "enable it");
    buf_printf(&found, "%s: exactly-once holds", text(m, "UUID"));
    if (d->counts[DOCTOR_FAIL] == bad)
        doctor_say(d, DOCTOR_OK, "event source", buf_cstr(&found), NULL);
    buf_fini(&found);
}

void doctor_mappings(struct doctor *d, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "EventSourceMappings");
    size_t found = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const char *source = text(m, "EventSourceArn");
        size_t n = d->stream_arn ? strlen(d->stream_arn) : 0;
        bool ours = n ? strncmp(source, d->stream_arn, n) == 0 && (!source[n] || source[n] == '/')
                      : strstr(source, ":kinesis:") != NULL;
        if (!ours)
            continue;
        found++;
        check_mapping(d, m);
    }
    if (!found)
        doctor_say(d, DOCTOR_FAIL, "event source", "the function has no mapping of the stream",
                   "aws lambda create-event-source-mapping");
}

static void check_function(struct doctor *d, const char *function)
{
    struct aws_client c;
    struct aws_request q = {0};
    struct http_response r = {0};
    struct err e = {0};
    struct buf query = {0};
    struct http *h = http_new();
    int rc = aws_client_open(&c, "lambda", &(struct aws_options){0}, &clock_system, &e);
    buf_puts(&query, "FunctionName=");
    sigv4_encode(function, strlen(function), false, &query);
    struct aws_call call = {.method = "GET",
                            .path = "/2015-03-31/event-source-mappings/",
                            .query = buf_cstr(&query)};
    bool opened = rc == 0;
    if (!rc)
        rc = aws_sign(&q, &c, &call, &e) || http_do(h, &q.http, &r, &e);
    json_t *a = rc ? NULL : json_loadb((const char *)r.body.p, r.body.n, 0, NULL);
    if (!rc && r.status != 200) {
        struct aws_fault f;
        aws_fault_parse(&f, &r);
        rc = err_set(&e, ERR_INVALID, "Lambda ListEventSourceMappings: %s %d: %s", f.code, r.status,
                     f.message);
    }
    if (rc || !a)
        doctor_say(d, DOCTOR_FAIL, "event source", rc ? e.text : "Lambda's answer is no JSON",
                   "allow lambda:ListEventSourceMappings (it takes * as its resource)");
    else
        doctor_mappings(d, a);
    json_decref(a);
    http_response_fini(&r);
    aws_request_fini(&q);
    http_free(h);
    if (opened)
        aws_client_close(&c);
    buf_fini(&query);
}

void doctor_stream(struct doctor *d)
{
    const char *uri = options_text(&d->config->options, OPT_STREAM);
    const char *function = options_text(&d->config->options, OPT_FUNCTION);
    struct err e = {0};
    const char *name = uri ? config_stream_name(uri, &e) : NULL;
    if (!uri) {
        doctor_say(d, DOCTOR_SKIPPED, "stream", "none is named", "--stream kinesis://NAME");
    } else {
        struct kinesis_api *api = kinesis_api_open(&e);
        if (!api)
            doctor_say(d, DOCTOR_FAIL, "stream", e.text, NULL);
        else if (describe(d, api, name))
            read_shard(d, api, name);
        if (api)
            check_clock(d);
        kinesis_api_close(api);
    }
    if (function)
        check_function(d, function);
}
