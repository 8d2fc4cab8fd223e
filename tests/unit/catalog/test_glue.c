/* The Glue catalog on the wire: what is sent, what is kept, and what a refusal after a lost answer
 * means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/glue_table.h"
#include "peer.h"

#define TABLE_AT(at, version)                                                                      \
    "{'Table':{'Name':'t','DatabaseName':'db','TableType':'EXTERNAL_TABLE','VersionId':'" version  \
    "','CreateTime':1,'Description':'ours','Parameters':{'table_type':'ICEBERG','other':'x',"      \
    "'metadata_location':'" at "'},'StorageDescriptor':{'Location':'s3://b/t','Columns':"          \
    "[{'Name':'a','Type':'bigint','Comment':'how many'}]}}}"
#define GET(at, version)                                                                           \
    {"GetTable", "{'DatabaseName':'db','Name':'t'}", 200, TABLE_AT(at, version)}
#define UPDATE(status, answer) {"UpdateTable", NULL, status, answer}
#define RACED "{'__type':'ConcurrentModificationException','message':'Update table failed'}"

static struct peer peer;
static json_t *metadata;

static int setup(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "test", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test", 1);
    char *text = peer_quotes("{'location':'s3://b/t','current-schema-id':1,'schemas':["
                             "{'schema-id':0,'fields':[{'id':1,'name':'a','required':true,'type':"
                             "'long'},{'id':2,'name':'gone','required':false,'type':'uuid'}]},"
                             "{'schema-id':1,'fields':[{'id':1,'name':'a','required':true,'type':"
                             "'long'},{'id':3,'name':'b','required':false,'type':'timestamptz',"
                             "'doc':'B'}]}]}");
    metadata = json_loads(text, 0, NULL);
    free(text);
    return peer_open(&peer);
}

static int teardown(void **state)
{
    (void)state;
    json_decref(metadata);
    return 0;
}

static struct catalog *opened(void)
{
    struct err e = {0};
    struct catalog_glue_options o = {.database = "db",
                                     .aws = {.region = "eu-west-1", .endpoint = peer.endpoint}};
    struct catalog *c = catalog_glue_open(&o, &peer_clock, &e);
    if (!c)
        fail_msg("%s", e.text);
    return c;
}

static int swap(struct catalog *c, struct err *e)
{
    struct catalog_change change = {.base = "m0", .next = "m1", .metadata = metadata};
    struct catalog_table out = {0};
    return c->ops->swap(c, "ns", "t", &change, &out, e);
}

static void a_swap_keeps_what_others_put_there(void **state)
{
    struct err e = {0};
    struct catalog *c = opened();
    struct catalog_table t = {0};
    (void)state;
    PEER_SCRIPT(
        &peer, GET("m0", "7"),
        {"UpdateTable",
         "{'DatabaseName':'db','VersionId':'7','SkipArchive':true,'TableInput':{'Name':'t',"
         "'TableType':'EXTERNAL_TABLE','Description':'ours','Parameters':{'table_type':'ICEBERG',"
         "'other':'x','metadata_location':'m1','previous_metadata_location':'m0'},"
         "'StorageDescriptor':{'Location':'s3://b/t','Columns':["
         "{'Name':'a','Type':'bigint','Comment':'how many','Parameters':{'iceberg.field.id':'1',"
         "'iceberg.field.optional':'false','iceberg.field.current':'true'}},"
         "{'Name':'b','Type':'timestamp','Comment':'B','Parameters':{'iceberg.field.id':'3',"
         "'iceberg.field.optional':'true','iceberg.field.current':'true'}},"
         "{'Name':'gone','Type':'string','Parameters':{'iceberg.field.id':'2',"
         "'iceberg.field.optional':'true','iceberg.field.current':'false'}}]}}}",
         200, "{}"});
    assert_int_equal(c->ops->load(c, "ns", "t", &t, &e), 0);
    assert_string_equal(t.location, "m0");
    assert_int_equal(swap(c, &e), 0);
    peer_done(&peer);
    catalog_table_fini(&t);
    catalog_close(c);
}

static void a_lost_race(void **state)
{
    struct err e = {0};
    struct catalog *c = opened();
    (void)state;
    PEER_SCRIPT(&peer, GET("m0", "7"), UPDATE(400, RACED), GET("m9", "8"));
    assert_int_equal(swap(c, &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    assert_int_equal(swap(c, &e), -1); /* it stands elsewhere: nothing is sent */
    assert_int_equal(e.kind, ERR_CONFLICT);
    peer_done(&peer);
    catalog_close(c);
}

static void lost_answers(void **state)
{
    struct err e = {0};
    struct catalog *c = opened();
    (void)state;
    /* It acted; sent again it is refused for its own doing. */
    PEER_SCRIPT(&peer, GET("m0", "7"), UPDATE(0, ""), UPDATE(400, RACED), GET("m1", "8"));
    assert_int_equal(swap(c, &e), 0);
    peer_done(&peer);
    /* Perhaps it acted, and another went on from it: only the metadata log knows. */
    static const struct peer_step second[] = {GET("m0", "7"), UPDATE(500, "{'__type':'Internal'}"),
                                              UPDATE(400, RACED), GET("m9", "9")};
    peer_script(&peer, second, 4);
    assert_int_equal(swap(c, &e), -1);
    assert_int_equal(e.kind, ERR_UNKNOWN);
    peer_done(&peer);
    /* Refused for another reason after a lost answer. */
    static const struct peer_step third[] = {GET("m0", "7"), UPDATE(0, ""),
                                             UPDATE(400, "{'__type':'AccessDeniedException'}"),
                                             GET("m0", "7")};
    peer_script(&peer, third, 4);
    catalog_close(c);
    c = opened();
    assert_int_equal(swap(c, &e), -1);
    assert_int_equal(e.kind, ERR_UNKNOWN);
    peer_done(&peer);
    catalog_close(c);
}

static void creating(void **state)
{
    struct err e = {0};
    struct catalog *c = opened();
    struct catalog_change change = {.next = "m0", .metadata = metadata};
    struct catalog_table out = {0};
    (void)state;
    PEER_SCRIPT(&peer, {"GetDatabase", "{'Name':'db'}", 400, "{'__type':'EntityNotFoundException'}"},
                {"CreateDatabase", "{'DatabaseInput':{'Name':'db'}}", 400,
                 "{'__type':'AlreadyExistsException'}"},
                {"CreateTable", NULL, 400, "{'__type':'AlreadyExistsException'}"},
                {"CreateTable", NULL, 0, ""},
                {"CreateTable", NULL, 400, "{'__type':'AlreadyExistsException'}"}, GET("m0", "0"),
                {"CreateTable", NULL, 400, "{'__type':'AccessDeniedException'}"});
    assert_int_equal(c->ops->namespace_ensure(c, "ns", &e), 0);
    assert_int_equal(c->ops->create(c, "ns", "t", &change, &out, &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    assert_int_equal(c->ops->create(c, "ns", "t", &change, &out, &e), 0);
    assert_int_equal(c->ops->create(c, "ns", "t", &change, &out, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_non_null(strstr(e.text, "allow glue:CreateTable"));
    peer_done(&peer);
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
    struct catalog *c = opened();
    (void)state;
    PEER_SCRIPT(&peer,
                {"GetTables", "{'DatabaseName':'db'}", 200,
                 "{'TableList':[{'Name':'a','Parameters':{'table_type':'iceberg'}},"
                 "{'Name':'hive','Parameters':{}}],'NextToken':'n'}"},
                {"GetTables", "{'DatabaseName':'db','NextToken':'n'}", 200,
                 "{'TableList':[{'Name':'b','Parameters':{'table_type':'ICEBERG'}},"
                 "{'Name':'v','TableType':'VIRTUAL_VIEW'}]}"});
    assert_int_equal(c->ops->list(c, "ns", add_name, &names, &e), 0);
    assert_string_equal(buf_cstr(&names), "a b ");
    peer_done(&peer);
    buf_fini(&names);
    catalog_close(c);
}

static void types(void **state)
{
    static const char *const cases[][2] = {
        {"'long'", "bigint"},
        {"'decimal(12, 2)'", "decimal(12,2)"},
        {"'fixed[16]'", "binary"},
        {"'timestamptz'", "timestamp"},
        {"'time'", "string"},
        {"{'type':'list','element':{'type':'struct','fields':[{'name':'x','type':'int'},"
         "{'name':'y','type':{'type':'map','key':'string','value':'double'}}]}}",
         "array<struct<x:int,y:map<string,double>>>"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        char *text = peer_quotes(cases[i][0]);
        json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
        glue_type(j, &out);
        assert_string_equal(buf_cstr(&out), cases[i][1]);
        json_decref(j);
        free(text);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_keeps_what_others_put_there),
        cmocka_unit_test(a_lost_race),
        cmocka_unit_test(lost_answers),
        cmocka_unit_test(creating),
        cmocka_unit_test(listing_in_pages),
        cmocka_unit_test(types),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
