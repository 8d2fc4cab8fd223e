/* Kinesis source against a scripted peer on the loopback: throttling, 500s, dropped connections, an
 * expired iterator, a broken answer, the end of the shard, and a refusal. Every record must come once
 * and in order; from a peer that speaks CBOR, from one that does not know it, and from one that refuses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "packed.h"
#include "peer.h"
#include "source/kinesis.h"

static struct {
    int fd;
    char endpoint[64];
    int reads, iterators;
    char first_type[64], renewed_after[64];
    bool deny;
    enum { JSON_ALONE, SPEAKS_CBOR, BREAKS_AT_CBOR } form;
    int in_cbor, in_json; /* GetRecords that asked so */
} peer;
static pthread_mutex_t peer_lock = PTHREAD_MUTEX_INITIALIZER;

static void send_answer(int fd, int status, const void *body, size_t length)
{
    char head[200];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", status, length);
    (void)!write(fd, head, (size_t)n);
    (void)!write(fd, body, length);
}

static void reply(int fd, int status, const char *body)
{
    send_answer(fd, status, body, strlen(body));
}

/* The same in the form that was asked for; what is no JSON comes broken in CBOR, too. */
static void reply_in(bool cbor, int fd, int status, const char *body)
{
    struct buf out = {0};
    json_t *j = cbor ? json_loads(body, 0, NULL) : NULL;
    if (j)
        packed_put(&out, j, NULL, peer.reads % 2);
    else if (cbor)
        buf_puts(&out, "\xbf\x67Records\x9f\xbf");
    else
        buf_puts(&out, body);
    send_answer(fd, status, out.p, out.n);
    json_decref(j);
    buf_fini(&out);
}

#define RECORD(seq) "{\"Data\":\"e30K\",\"PartitionKey\":\"p\",\"SequenceNumber\":\"" seq "\"}"

/* The nth GetRecords; false drops the connection. */
static bool answer_records(bool cbor, int fd, int n)
{
    switch (n) {
    case 0:
        reply_in(cbor, fd, 200, "{\"Records\":[" RECORD("7") "," RECORD("8") "],\"NextShardIterator\":\"b\"}");
        return true;
    case 1:
    case 2:
        reply_in(cbor, fd, 400, "{\"__type\":\"ProvisionedThroughputExceededException\",\"message\":\"slow\"}");
        return true;
    case 3:
        reply_in(cbor, fd, 500, "{\"__type\":\"InternalFailure\"}");
        return true;
    case 4:
        return false;
    case 5:
        reply_in(cbor, fd, 400, "{\"__type\":\"com.x#ExpiredIteratorException\",\"message\":\"old\"}");
        return true;
    case 6:
        reply_in(cbor, fd, 200, "{\"Records\":[" RECORD("9") ",{\"Data\":\"e30");
        return true;
    case 7:
        reply_in(cbor, fd, 200, "{\"Records\":[],\"NextShardIterator\":\"c\",\"MillisBehindLatest\":0}");
        return true;
    default:
        reply_in(cbor, fd, 200, "{\"Records\":[" RECORD("9") "],\"NextShardIterator\":null,\"ChildShards\":["
                       "{\"ShardId\":\"shardId-1\",\"ParentShards\":[\"shardId-0\"]}]}");
        return true;
    }
}

static bool answer(int fd, const char *head, const char *body)
{
    const char *seq = strstr(body, "StartingSequenceNumber\":\"");
    if (strstr(head, ".DescribeStreamSummary")) {
        reply(fd, 200, "{\"StreamDescriptionSummary\":{\"StreamARN\":\"arn:s\","
                       "\"StreamCreationTimestamp\":1.795489311390E9}}");
    } else if (strstr(head, ".GetShardIterator")) {
        if (peer.iterators++ == 0)
            snprintf(peer.first_type, sizeof peer.first_type, "%.20s",
                     strstr(body, "IteratorType\":\"") + 15);
        else if (seq)
            snprintf(peer.renewed_after, sizeof peer.renewed_after, "%.1s", seq + 25);
        reply(fd, 200, "{\"ShardIterator\":\"a\\nb\"}");
    } else if (strstr(head, ".GetRecords")) {
        bool asked = strstr(head, "Content-Type: application/x-amz-cbor-1.1"), cbor = asked && peer.form == SPEAKS_CBOR;
        peer.in_cbor += asked;
        peer.in_json += !asked;
        if (asked && peer.form == BREAKS_AT_CBOR)
            reply(fd, 500, "<html>");
        else if (peer.deny)
            reply_in(cbor, fd, 400, "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}");
        else
            return answer_records(cbor, fd, peer.reads++);
    } else {
        reply(fd, 200, "{\"Shards\":[]}");
    }
    return true;
}

static bool locked_answer(void *ctx, int fd, const char *head, const char *body)
{
    (void)ctx;
    pthread_mutex_lock(&peer_lock);
    bool go_on = answer(fd, head, body);
    pthread_mutex_unlock(&peer_lock);
    return go_on;
}

static void *connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    peer_requests(fd, locked_answer, NULL);
    close(fd);
    return NULL;
}

static void *listen_on(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(peer.fd, NULL, NULL)) >= 0;) {
        pthread_t t;
        pthread_create(&t, NULL, connection, (void *)(intptr_t)fd);
        pthread_detach(t);
    }
    return NULL;
}

static int start_peer(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    pthread_t t;
    peer.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(peer.fd, (struct sockaddr *)(void *)&a, sizeof a) || listen(peer.fd, 16) ||
        getsockname(peer.fd, (struct sockaddr *)(void *)&a, &len))
        return -1;
    snprintf(peer.endpoint, sizeof peer.endpoint, "http://127.0.0.1:%d", ntohs(a.sin_port));
    setenv("AWS_ACCESS_KEY_ID", "id", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("no_proxy", "127.0.0.1", 1);
    return pthread_create(&t, NULL, listen_on, NULL) || pthread_detach(t);
}

static struct source *open_stream(struct source_env *env)
{
    struct err e = {0};
    struct kinesis_options o = {.stream = "s", .region = "eu-west-1", .endpoint = peer.endpoint,
                                .reads_per_second = 100};
    *env = (struct source_env){.inbox = queue_new(2), .budget = budget_new(8 << 20), .clock = &clock_system,
                               .batch_bytes = 1 << 20, .record_bytes_max = 10 << 20};
    struct source *s = source_kinesis_open(&o, env, &e);
    if (!s)
        fail_msg("%s", e.text);
    assert_int_equal(s->ops->start(s, "shardId-0", 4, 2, SEQ_NONE, NULL, &e), 0);
    return s;
}

static void close_stream(struct source *s, struct source_env *env)
{
    source_close(s);
    for (struct source_event *ev; (ev = queue_pop_wait(env->inbox, 0));)
        source_event_free(ev);
    queue_free(env->inbox);
    budget_free(env->budget);
}

static void set_peer(int form, bool deny)
{
    pthread_mutex_lock(&peer_lock);
    peer.form = form;
    peer.deny = deny;
    peer.reads = peer.iterators = peer.in_cbor = peer.in_json = 0;
    pthread_mutex_unlock(&peer_lock);
}

static void survives(int form)
{
    struct source_env env;
    set_peer(form, false);
    struct source *s = open_stream(&env);
    assert_string_equal(s->ops->identity(s), "arn:s@1795489311390");
    char seqs[64] = "";
    int tips = 0, notices = 0;
    for (bool done = false; !done;) {
        struct source_event *ev = queue_pop_wait(env.inbox, 20000);
        assert_non_null(ev);
        assert_int_equal(ev->shard, 4);
        assert_int_equal(ev->generation, 2);
        assert_int_not_equal(ev->kind, SOURCE_FAILED);
        tips += ev->kind == SOURCE_TIP;
        notices += ev->kind == SOURCE_NOTICE;
        if (ev->kind == SOURCE_BATCH) {
            struct source_cursor *c = source_cursor_new();
            struct record r;
            source_cursor_start(c, ev->batch);
            while (source_cursor_next(c, &r))
                strncat(seqs, r.seq_text, r.seq_text_n);
            source_cursor_free(c);
            budget_give(env.budget, ev->batch->charged_bytes);
        } else if (ev->kind == SOURCE_SHARD_END) {
            done = true;
            assert_int_equal(ev->n_children, 1);
            assert_string_equal(ev->children[0].id, "shardId-1");
            assert_string_equal(ev->children[0].parents[0], "shardId-0");
        }
        source_event_free(ev);
    }
    assert_string_equal(seqs, "789");
    assert_int_equal(tips, 1);
    assert_true(notices >= 2);
    pthread_mutex_lock(&peer_lock);
    assert_memory_equal(peer.first_type, "TRIM_HORIZON", 12);
    assert_string_equal(peer.renewed_after, "8");
    pthread_mutex_unlock(&peer_lock);
    assert_int_equal(budget_used(env.budget), 0);
    close_stream(s, &env);
}

static void survives_json(void **state)
{
    (void)state;
    survives(JSON_ALONE);
    assert_int_equal(peer.in_cbor, 1);
    survives(BREAKS_AT_CBOR);
    assert_int_equal(peer.in_cbor, 1);
}

/* All but the broken answer, after which JSON is asked for. */
static void survives_cbor(void **state)
{
    (void)state;
    survives(SPEAKS_CBOR);
    assert_int_equal(peer.in_cbor, 7);
    assert_int_equal(peer.in_json, 2);
    setenv("AWS_CBOR_DISABLE", "true", 1);
    survives(SPEAKS_CBOR);
    assert_int_equal(peer.in_cbor, 0);
    unsetenv("AWS_CBOR_DISABLE");
}

static void refused_in(int form)
{
    struct source_env env;
    set_peer(form, true);
    struct source *s = open_stream(&env);
    struct source_event *ev = queue_pop_wait(env.inbox, 20000);
    assert_non_null(ev);
    assert_int_equal(ev->kind, SOURCE_FAILED);
    assert_non_null(strstr(ev->error.text, "IAM policy"));
    source_event_free(ev);
    close_stream(s, &env);
}

static void refused(void **state)
{
    (void)state;
    refused_in(SPEAKS_CBOR);
    refused_in(JSON_ALONE);
}

/* Nobody takes anything from the inbox: stop and close still come back. */
static void closes_when_full(void **state)
{
    (void)state;
    struct source_env env;
    set_peer(SPEAKS_CBOR, false);
    pthread_mutex_lock(&peer_lock);
    peer.reads = 7;
    pthread_mutex_unlock(&peer_lock);
    struct source *s = open_stream(&env);
    env.clock->sleep_ms(env.clock->ctx, 100);
    s->ops->stop(s, 4);
    s->ops->stop(s, 99);
    close_stream(s, &env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(survives_json), cmocka_unit_test(survives_cbor), cmocka_unit_test(refused),
                                       cmocka_unit_test(closes_when_full)};
    return cmocka_run_group_tests(tests, start_peer, NULL);
}
