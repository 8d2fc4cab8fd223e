/* Iceberg's REST protocol on the wire: the configuration, what each refusal means, lost answers, and who may send
 * what again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "catalog/catalog.h"
#include "peer.h"

#define CONFIG {"GET /v1/config", NULL, 200, "{'defaults':{},'overrides':{}}"}
#define TABLES "/v1/namespaces/ns/tables"
#define COMMIT(status, answer) {"POST " TABLES "/t", NULL, status, answer}
#define CREATE(status, answer) {"POST " TABLES, NULL, status, answer}
#define LOAD(status, answer) {"GET " TABLES "/t", NULL, status, answer}
#define REFUSED(type) "{'error':{'message':'no','type':'" type "','code':1}}"
#define TABLE "{'metadata-location':'s3://b/t/metadata/1.json','metadata':{'location':'s3://b/t'}}"

static struct peer peer;
static int64_t now_ms; /* goes on by what is waited */

static void wait_ms(void *ctx, int64_t ms)
{
    (void)ctx;
    now_ms += ms;
}
static int64_t boot_ms(void *ctx)
{
    (void)ctx;
    return now_ms;
}
static int64_t wall_us(void *ctx)
{
    (void)ctx;
    return 1795485784000000 + now_ms * 1000;
}
static const struct clock clock_fake = {.wall_us = wall_us, .boot_ms = boot_ms, .sleep_ms = wait_ms};

/* One for each test: a test that fails leaves its connections open. */
static int setup(void **state)
{
    (void)state;
    int rc = peer_open(&peer);
    peer.rest = true;
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    return 0;
}

static struct catalog *opened_with(const struct catalog_rest_options *more)
{
    struct err e = {0};
    struct catalog_rest_options o = more ? *more : (struct catalog_rest_options){0};
    o.uri = peer.endpoint;
    struct catalog *c = catalog_rest_open(&o, &clock_fake, &e);
    if (!c)
        fail_msg("%s", e.text);
    return c;
}

static int load(struct catalog *c, struct catalog_table *out, struct err *e)
{
    *out = (struct catalog_table){0};
    return c->ops->load(c, "ns", "t", out, e);
}

static void the_configuration(void **state)
{
    struct err e = {0};
    bool exists;
    (void)state;
    PEER_SCRIPT(&peer,
                {"GET /v1/config?warehouse=my%2Fhouse", NULL, 200,
                 "{'defaults':{'prefix':'x','namespace-separator':'%2E'},'overrides':{'prefix':'a%2Fb'}}"},
                {"GET /v1/a%2Fb/namespaces/one%2Etwo%20x", NULL, 200, "{}"},
                {"GET /v1/a%2Fb/namespaces/one", NULL, 404, REFUSED("NoSuchNamespaceException")},
                {"POST /v1/a%2Fb/namespaces", "{'namespace':['one'],'properties':{}}", 409,
                 REFUSED("AlreadyExistsException")});
    struct catalog_rest_options o = {.warehouse = "my/house"};
    struct catalog *c = opened_with(&o);
    assert_int_equal(c->ops->namespace_exists(c, "one.two x", &exists, &e), 0);
    assert_true(exists);
    assert_int_equal(c->ops->namespace_ensure(c, "one", &e), 0); /* somebody was first */
    peer_done(&peer);
    catalog_close(c);
}

static void the_servers_own_address(void **state)
{
    struct err e = {0};
    struct catalog_table t;
    char *answer = mem_printf("{'defaults':{},'overrides':{'uri':'%s/deep/'}}", peer.endpoint);
    (void)state;
    struct peer_step steps[] = {{"GET /v1/config", NULL, 200, answer},
                                {"GET /deep" TABLES "/t", NULL, 200, TABLE}};
    peer_script(&peer, steps, 2);
    struct catalog *c = opened_with(NULL);
    assert_int_equal(load(c, &t, &e), 0);
    assert_string_equal(t.location, "s3://b/t/metadata/1.json");
    peer_done(&peer);
    catalog_table_fini(&t);
    catalog_close(c);
    free(answer);
}

static void what_is_no_catalog(void **state)
{
    static const char *const uris[] = {"ftp://host", "http://", "https:///", "http:", "http://user@host",
                                       "http://host?x"};
    static const struct peer_step pages[] = {{"GET /v1/config", NULL, 200, "hello"},
                                             {"GET /v1/config", NULL, 404, "hello"},
                                             {"GET /v1/config", NULL, 403, REFUSED("Forbidden")}};
    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        struct err e = {0};
        struct catalog_rest_options o = {.uri = uris[i]};
        assert_null(catalog_rest_open(&o, &clock_fake, &e));
        assert_int_equal(e.kind, ERR_INVALID);
    }
    for (int i = 0; i < 3; i++) {
        struct err e = {0};
        struct catalog_rest_options o = {.uri = peer.endpoint, .patience_ms = 1};
        peer_script(&peer, &pages[i], 1);
        assert_null(catalog_rest_open(&o, &clock_fake, &e));
        assert_non_null(strstr(e.text, i == 2 ? "does not allow" : "Iceberg REST catalog"));
        peer_done(&peer);
    }
}

static void loading(void **state)
{
    static const struct {
        struct peer_step step;
        enum err_kind kind;
    } refused[] = {{LOAD(404, REFUSED("NoSuchTableException")), ERR_NOTFOUND},
                   {LOAD(403, REFUSED("ForbiddenException")), ERR_INVALID},
                   {LOAD(400, "not json"), ERR_INVALID},
                   {LOAD(200, "{'metadata-location':'x'}"), ERR_IO}};
    static const struct peer_step good[] = {
        LOAD(503, ""), LOAD(500, ""), LOAD(0, ""), LOAD(429, ""),
        LOAD(200, "{'metadata':{'location':'s3://b/t'},'config':{'a':'1','k':'0'},'storage-credentials':["
                  "{'prefix':'s3://b/','config':{'k':'short'}},{'prefix':'s3://b/t','config':{'k':'long'}},"
                  "{'prefix':'s3://b/tt','config':{'k':'other'}}]}")};
    (void)state;
    PEER_SCRIPT(&peer, CONFIG);
    struct catalog *c = opened_with(NULL);
    struct catalog_table t;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct err e = {0};
        peer_script(&peer, &refused[i].step, 1);
        assert_int_equal(load(c, &t, &e), -1);
        assert_int_equal(e.kind, refused[i].kind);
        peer_done(&peer);
        catalog_table_fini(&t);
    }
    struct err e = {0};
    peer_script(&peer, good, 5);
    assert_int_equal(load(c, &t, &e), 0);
    assert_null(t.location); /* some servers do not say it */
    assert_string_equal(json_string_value(json_object_get(t.config, "k")), "long");
    assert_string_equal(json_string_value(json_object_get(t.config, "a")), "1");
    peer_done(&peer);
    catalog_table_fini(&t);
    catalog_close(c);
}

static int swap(struct catalog *c, struct catalog_table *out, struct err *e)
{
    json_t *requirements = json_pack("[{s:s}]", "type", "assert-x"),
           *updates = json_pack("[{s:s}]", "action", "do-y");
    struct catalog_change change = {.requirements = requirements, .updates = updates};
    *out = (struct catalog_table){0};
    int rc = c->ops->swap(c, "ns", "t", &change, out, e);
    json_decref(requirements);
    json_decref(updates);
    return rc;
}

struct commit_case {
    struct peer_step steps[3];
    int n;
    enum err_kind kind; /* ERR_NONE: committed */
};

/* What is certain is told apart from what is not: the caller looks then. */
static void commits(void **state)
{
    static const struct commit_case cases[] = {
        {{COMMIT(200, TABLE)}, 1, ERR_NONE},
        {{COMMIT(409, REFUSED("CommitFailedException"))}, 1, ERR_CONFLICT},
        {{COMMIT(404, REFUSED("NoSuchTableException"))}, 1, ERR_NOTFOUND},
        {{COMMIT(400, REFUSED("BadRequestException"))}, 1, ERR_INVALID},
        {{COMMIT(403, REFUSED("ForbiddenException"))}, 1, ERR_INVALID},
        {{COMMIT(422, "")}, 1, ERR_INVALID},
        /* not ready: nothing was done */
        {{COMMIT(503, ""), COMMIT(429, ""), COMMIT(409, "")}, 3, ERR_CONFLICT},
        {{COMMIT(503, ""), COMMIT(200, TABLE)}, 2, ERR_NONE},
        /* perhaps it was done: then a refusal may be of our own doing */
        {{COMMIT(500, REFUSED("CommitStateUnknownException")), COMMIT(409, "")}, 2, ERR_UNKNOWN},
        {{COMMIT(504, ""), COMMIT(503, ""), COMMIT(409, "")}, 3, ERR_UNKNOWN},
        {{COMMIT(502, ""), COMMIT(404, "")}, 2, ERR_UNKNOWN},
        {{COMMIT(0, ""), COMMIT(409, "")}, 2, ERR_UNKNOWN},
        {{COMMIT(408, ""), COMMIT(400, "")}, 2, ERR_UNKNOWN},
        {{COMMIT(200, "{'metadata"), COMMIT(409, "")}, 2, ERR_UNKNOWN},
        {{COMMIT(500, ""), COMMIT(200, TABLE)}, 2, ERR_NONE},
    };
    (void)state;
    PEER_SCRIPT(&peer, CONFIG);
    struct catalog *c = opened_with(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct catalog_table t;
        peer_script(&peer, cases[i].steps, cases[i].n);
        int rc = swap(c, &t, &e);
        if (rc != (cases[i].kind ? -1 : 0) || (rc && e.kind != cases[i].kind))
            fail_msg("case %zu: %d, kind %d: %s", i, rc, (int)e.kind, e.text);
        assert_int_equal(t.metadata != NULL, rc == 0);
        peer_done(&peer);
        catalog_table_fini(&t);
    }
    catalog_close(c);
}

static void what_a_commit_sends(void **state)
{
    struct err e = {0};
    struct catalog_table t;
    (void)state;
    PEER_SCRIPT(&peer, CONFIG,
                {"POST " TABLES "/t",
                 "{'identifier':{'namespace':['ns'],'name':'t'},'requirements':[{'type':'assert-x'}],"
                 "'updates':[{'action':'do-y'}]}",
                 200, "{}"});
    struct catalog *c = opened_with(NULL);
    assert_int_equal(swap(c, &t, &e), 0); /* committed, though it says no more */
    assert_null(t.metadata);
    assert_string_equal(peer.keys[1], ""); /* the server has not said that it knows them */
    peer_done(&peer);
    catalog_close(c);
}

/* A server that stays away: after the patience, by the clock. */
static void patience(void **state)
{
    static const struct {
        int status;
        enum err_kind kind;
    } cases[] = {{503, ERR_RETRY}, {500, ERR_UNKNOWN}, {0, ERR_UNKNOWN}};
    static struct peer_step all[3][60]; /* the peer may still look at the last one's */
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer_step *steps = all[i];
        struct err e = {0};
        struct catalog_table t;
        steps[0] = (struct peer_step)CONFIG;
        for (int k = 1; k < 60; k++)
            steps[k] = (struct peer_step)COMMIT(cases[i].status, "");
        peer_script(&peer, steps, 60);
        struct catalog *c = opened_with(NULL);
        int64_t began = now_ms;
        assert_int_equal(swap(c, &t, &e), -1);
        assert_int_equal(e.kind, cases[i].kind);
        assert_in_range(now_ms - began, 15000, 30000);
        assert_string_equal(peer.wrong, "");
        assert_in_range(peer.at, 6, 40);
        catalog_close(c);
    }
}

static int create(struct catalog *c, struct catalog_table *out, struct err *e)
{
    char *text = peer_quotes("{'schemas':[{'schema-id':0}],'partition-specs':[{'spec-id':0}],"
                             "'sort-orders':[{'order-id':1}],'location':'s3://b/t','properties':{'p':'q'}}");
    json_t *metadata = json_loads(text, 0, NULL);
    struct catalog_change change = {.metadata = metadata};
    *out = (struct catalog_table){0};
    int rc = c->ops->create(c, "ns", "t", &change, out, e);
    json_decref(metadata);
    free(text);
    return rc;
}

static void creating(void **state)
{
    static const struct {
        struct peer_step steps[2];
        int n;
        enum err_kind kind;
    } cases[] = {
        {{{"POST " TABLES,
           "{'name':'t','schema':{'schema-id':0},'partition-spec':{'spec-id':0},'write-order':{'order-id':1},"
           "'stage-create':false,'location':'s3://b/t','properties':{'format-version':'2','p':'q'}}",
           200, TABLE}},
         1, ERR_NONE},
        {{CREATE(409, REFUSED("AlreadyExistsException"))}, 1, ERR_CONFLICT},
        {{CREATE(0, ""), CREATE(409, REFUSED("AlreadyExistsException"))}, 2, ERR_CONFLICT}, /* ours or not: it is there */
        {{CREATE(409, "{'error':{'message':'View with same name already exists'}}")}, 1, ERR_INVALID},
        {{CREATE(404, REFUSED("NoSuchNamespaceException"))}, 1, ERR_INVALID},
        {{CREATE(200, "{}")}, 1, ERR_UNKNOWN},
        {{CREATE(403, "")}, 1, ERR_INVALID}};
    (void)state;
    PEER_SCRIPT(&peer, CONFIG);
    struct catalog *c = opened_with(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct catalog_table t;
        peer_script(&peer, cases[i].steps, cases[i].n);
        int rc = create(c, &t, &e);
        if (rc != (cases[i].kind ? -1 : 0) || (rc && e.kind != cases[i].kind))
            fail_msg("case %zu: %d, kind %d: %s", i, rc, (int)e.kind, e.text);
        peer_done(&peer);
        catalog_table_fini(&t);
    }
    catalog_close(c);
}

static void add_name(void *ctx, const char *name)
{
    buf_printf(ctx, "%s ", name);
}

static void listing_in_pages(void **state)
{
    struct err e = {0};
    struct buf names = {0};
    (void)state;
    PEER_SCRIPT(&peer, CONFIG,
                {"GET " TABLES, NULL, 200, "{'identifiers':[{'namespace':['ns'],'name':'a'}],'next-page-token':'n/1'}"},
                {"GET " TABLES "?pageToken=n%2F1", NULL, 200, "{'identifiers':[{'namespace':['ns'],'name':'b'}],'next-page-token':null}"},
                {"GET " TABLES, NULL, 404, REFUSED("NoSuchNamespaceException")});
    struct catalog *c = opened_with(NULL);
    assert_int_equal(c->ops->list(c, "ns", add_name, &names, &e), 0);
    assert_string_equal(buf_cstr(&names), "a b ");
    assert_int_equal(c->ops->list(c, "ns", add_name, &names, &e), 0); /* no namespace, no tables */
    peer_done(&peer);
    buf_fini(&names);
    catalog_close(c);
}

/* The same key for what is sent again, another for another commit; none for what changes nothing. */
static void idempotency_keys(void **state)
{
    struct err e = {0};
    struct catalog_table t;
    (void)state;
    PEER_SCRIPT(&peer,
                {"GET /v1/config", NULL, 200, "{'defaults':{},'overrides':{},'idempotency-key-lifetime':'PT30M'}"},
                COMMIT(0, ""), COMMIT(503, ""), COMMIT(200, "{}"), COMMIT(200, "{}"), LOAD(200, TABLE));
    struct catalog *c = opened_with(NULL);
    assert_int_equal(swap(c, &t, &e), 0);
    assert_int_equal(swap(c, &t, &e), 0);
    assert_int_equal(load(c, &t, &e), 0);
    peer_done(&peer);
    const char *key = peer.keys[1];
    assert_int_equal(strlen(key), 36);
    assert_memory_equal(key, "01a20b4", 7); /* the time in milliseconds comes first (RFC 9562, 5.7) */
    assert_true(key[14] == '7' && strchr("89ab", key[19]));
    assert_string_equal(peer.keys[2], key);
    assert_string_equal(peer.keys[3], key);
    assert_string_not_equal(peer.keys[4], key);
    assert_int_equal(strlen(peer.keys[4]), 36);
    assert_string_equal(peer.keys[5], "");
    catalog_table_fini(&t);
    catalog_close(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_configuration), TEST(the_servers_own_address), TEST(what_is_no_catalog),
        TEST(loading),           TEST(commits),                 TEST(what_a_commit_sends),
        TEST(patience),          TEST(creating),                TEST(listing_in_pages),
        TEST(idempotency_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
