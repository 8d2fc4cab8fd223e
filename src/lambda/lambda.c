/* The runtime's loop: an event, its batch into the lake, an answer. See lambda.h. */
#include "lambda/lambda.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "health/health.h"
#include "lambda/lambda_int.h"
#include "net/http.h"
#include "source/kinesis.h"

#define NEXT_TIMEOUT_MS ((int64_t)20 * 86400 * 1000) /* an invocation may be days away */
#define ANSWER_TIMEOUT_MS 10000
#define ANSWER_TRIES 3

struct lambda {
    const struct lambda_options *options;
    struct pipeline_config config;
    struct http *http;
    struct feed *feed;
    char *stream_arn, *stream; /* the feed's */
    struct emf *emf;
};

/* ---- the runtime API ---- */

/* The runtime API is on this machine, whatever proxy there is for the rest. */
static void no_proxy_for(const char *api)
{
    const char *now = getenv("no_proxy");
    if (!now)
        now = getenv("NO_PROXY");
    char *host = mem_strndup(api, strcspn(api, ":"));
    char *all = now && *now ? mem_printf("%s,%s", now, host) : mem_strdup(host);
    setenv("no_proxy", all, 1);
    free(all);
    free(host);
}

static int next(struct lambda *l, struct http_response *r, char id[128], struct err *e)
{
    char *url = mem_printf("http://%s/2018-06-01/runtime/invocation/next", l->options->api);
    struct http_request q = {.method = "GET", .url = url, .timeout_ms = NEXT_TIMEOUT_MS};
    int rc = http_do(l->http, &q, r, e);
    size_t n = 0;
    const char *header = rc ? NULL : http_header(r, "Lambda-Runtime-Aws-Request-Id", &n);
    if (!rc && (r->status != 200 || !header || n == 0 || n >= 128))
        rc = err_set(e, ERR_IO, "the Lambda runtime API at %s answers %d to \"next\"",
                     l->options->api, r->status);
    if (!rc) {
        memcpy(id, header, n);
        id[n] = 0;
    }
    free(url);
    return rc;
}

/* `what`: "response" or "error". An answer that cannot be given is no harm: the batch comes again, and is
 * skipped by its positions. */
static void answer(struct lambda *l, const char *id, const char *what, const struct buf *body)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    char *url = mem_printf("http://%s/2018-06-01/runtime/invocation/%s/%s", l->options->api, id, what);
    struct http_request q = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .body = body->p,
                             .n_body = body->n,
                             .timeout_ms = ANSWER_TIMEOUT_MS};
    struct err e = {0};
    for (int i = 0; i < ANSWER_TRIES; i++) {
        struct http_response r = {0};
        int rc = http_do(l->http, &q, &r, &e);
        int status = r.status;
        http_response_fini(&r);
        if (!rc && status < 300)
            break;
        if (!rc)
            err_set(&e, ERR_IO, "the Lambda runtime API answers %d", status);
        log_warn("%s of invocation %s: %s", what, id, e.text);
    }
    free(url);
}

static void answer_error(struct lambda *l, const char *id, const char *type, const char *message)
{
    struct buf body = {0};
    json_t *j = json_pack("{s:s,s:s,s:[]}", "errorMessage", message, "errorType", type, "stackTrace");
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    buf_puts(&body, text ? text : "{\"errorMessage\":\"\",\"errorType\":\"Failed\"}");
    answer(l, id, "error", &body);
    free(text);
    json_decref(j);
    buf_fini(&body);
}

/* ---- the stream ---- */

/* Another mapping's stream than before gets a feed of its own, and the other is closed. */
static int open_feed(struct lambda *l, const char *arn, struct err *e)
{
    if (l->feed && strcmp(l->stream_arn, arn) == 0)
        return 0;
    char *identity = kinesis_identity_of_arn(arn, e);
    if (!identity)
        return -1;
    feed_close(l->feed);
    free(l->stream_arn);
    free(l->stream);
    emf_free(l->emf);
    l->stream_arn = mem_strdup(arn);
    l->stream = mem_strdup(strstr(arn, ":stream/") + 8);
    l->config.stream = l->stream;
    l->feed = feed_open(identity, &l->config);
    struct health_env env = {.live = l->config.live, .stream = l->stream};
    l->emf = l->options->emf ? emf_new(&env) : NULL;
    free(identity);
    return 0;
}

static void put_metrics(struct lambda *l)
{
    struct buf out = {0};
    if (!l->emf)
        return;
    emf_lines(l->emf, clock_wall_ms(&clock_system), clock_boot_ms(&clock_system), &out);
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
    buf_fini(&out);
}

/* ---- one invocation ---- */

/* The first record that is not in the lake, as Lambda wants it named. */
static void put_failure(const struct lambda_batch *b, struct seq committed, struct buf *out)
{
    char seq[SEQ_TEXT_MAX];
    size_t i = 0;
    while (i < b->n && seq_le(b->records[i].seq, committed))
        i++;
    seq_format(b->records[i].seq, seq);
    buf_printf(out, "{\"batchItemFailures\":[{\"itemIdentifier\":\"%s\"}]}", seq);
}

static void take_batch(struct lambda *l, const char *id, const struct lambda_batch *b)
{
    struct err e = {0};
    struct buf body = {0};
    struct seq committed = SEQ_NONE;
    int64_t began = clock_mono_ns();
    int rc = b->n ? open_feed(l, b->stream_arn, &e) : 0;
    if (!rc && b->n)
        rc = feed_take(l->feed, b, &committed, &e);
    double ms = (double)(clock_mono_ns() - began) / 1e6;
    put_metrics(l); /* before the answer: after it we are frozen */
    if (!rc) {
        log_info("%s: %zu records in the lake in %.1f ms", b->n ? b->shard : "no shard", b->n, ms);
        buf_puts(&body, "{\"batchItemFailures\":[]}");
        answer(l, id, "response", &body);
    } else {
        log_error("%s: after %.1f ms: %s", b->shard, ms, e.text);
        if (l->options->partial_failures) {
            put_failure(b, committed, &body);
            answer(l, id, "response", &body);
        } else {
            answer_error(l, id, "Inlet.NotCommitted", e.text);
        }
    }
    buf_fini(&body);
}

static int invocation(struct lambda *l, struct err *e)
{
    struct http_response r = {0};
    struct lambda_batch b;
    struct err why = {0};
    char id[128];
    int rc = next(l, &r, id, e);
    if (!rc && lambda_batch_parse(&b, (const char *)r.body.p, r.body.n, &why)) {
        log_error("%s", why.text);
        answer_error(l, id, "Inlet.InvalidEvent", why.text);
    } else if (!rc) {
        take_batch(l, id, &b);
        lambda_batch_fini(&b);
    }
    http_response_fini(&r);
    return rc;
}

int lambda_run(const struct lambda_options *o, const struct pipeline_config *p, struct err *e)
{
    struct lambda l = {.options = o, .config = *p};
    no_proxy_for(o->api);
    l.http = http_new();
    l.config.live = live_new(o->metrics_tables);
    while (invocation(&l, e) == 0)
        ;
    feed_close(l.feed);
    emf_free(l.emf);
    live_free(l.config.live);
    http_free(l.http);
    free(l.stream_arn);
    free(l.stream);
    return -1;
}
