/* Leases in DynamoDB: what is sent, what is read, and what a refusal after a lost answer means. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "lease/lease.h"
#include "peer.h"

#define STREAM "arn:aws:kinesis:eu-west-1:123456789012:stream/events@1700000000123"
#define KEY "'Key':{'leaseKey':{'S':'123456789012:events:1700000000:shardId-1'}}"
#define NAME "'TableName':'leases'"
#define DESCRIBED                                                                                  \
    {"DescribeTable", "{" NAME "}", 200,                                                           \
     "{'Table':{'TableStatus':'ACTIVE','KeySchema':[{'AttributeName':'leaseKey'}]}}"}
#define COMMON                                                                                     \
    "'leaseKey':{'S':'123456789012:events:1700000000:shardId-1'},'shardId':{'S':'shardId-1'},"     \
    "'streamName':{'S':'123456789012:events:1700000000'},'inletStream':{'S':'" STREAM "'},"        \
    "'checkpointSubSequenceNumber':{'N':'0'},'ownerSwitchesSinceCheckpoint':{'N':'0'}"
#define HELD(owner, counter, at)                                                                   \
    "{" COMMON ",'leaseOwner':{'S':'" owner "'},'leaseCounter':{'N':'" counter                     \
    "'},'checkpoint':{'S':'" at "'}}"
#define REFUSED {"UpdateItem", NULL, 400, "{'__type':'x#ConditionalCheckFailedException'}"}
#define GOT(item) {"GetItem", "{" NAME "," KEY ",'ConsistentRead':true}", 200, "{'Item':" item "}"}
#define CONDITION                                                                                  \
    "'ConditionExpression':'leaseCounter = :n AND inletStream = :stream AND leaseOwner = :me'"
#define RENEWED(n, next)                                                                           \
    {"UpdateItem",                                                                                 \
     "{" NAME "," KEY ",'UpdateExpression':'SET leaseCounter = :next'," CONDITION                  \
     ",'ExpressionAttributeValues':{':n':{'N':'" n "'},':next':{'N':'" next                        \
     "'},':stream':{'S':'" STREAM "'},':me':{'S':'me'}}}",                                         \
     200, "{}"}

static struct peer peer;

static int setup(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "test", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test", 1);
    return peer_open(&peer);
}

static struct lease_store *opened(bool make, bool *made, struct err *e)
{
    struct lease_dynamodb_options o = {.table = "leases",
                                       .make = make,
                                       .aws = {.region = "eu-west-1", .endpoint = peer.endpoint}};
    return lease_dynamodb_open(&o, &peer_clock, made, e);
}

static struct lease held(void)
{
    return (struct lease){.stream = mem_strdup(STREAM),
                          .shard = mem_strdup("shardId-1"),
                          .owner = mem_strdup("me"),
                          .counter = 4,
                          .resolved = true};
}

static void makes_its_table(void **state)
{
    bool made = false;
    (void)state;
    PEER_SCRIPT(&peer,
                {"DescribeTable", NULL, 400, "{'__type':'x#ResourceNotFoundException'}"},
                {"CreateTable",
                 "{" NAME ",'AttributeDefinitions':[{'AttributeName':'leaseKey','AttributeType':"
                 "'S'}],'KeySchema':[{'AttributeName':'leaseKey','KeyType':'HASH'}],'BillingMode':"
                 "'PAY_PER_REQUEST'}",
                 200, "{}"},
                {"DescribeTable", NULL, 200,
                 "{'Table':{'TableStatus':'CREATING','KeySchema':[{'AttributeName':'leaseKey'}]}}"},
                DESCRIBED);
    struct lease_store *s = opened(true, &made, NULL);
    assert_non_null(s);
    assert_true(made && s->shared);
    peer_done(&peer);
    lease_store_close(s);
}

static void table_of_another_kind(void **state)
{
    struct err e = {0};
    (void)state;
    PEER_SCRIPT(&peer,
                {"DescribeTable", NULL, 200,
                 "{'Table':{'TableStatus':'ACTIVE','KeySchema':[{'AttributeName':'id'}]}}"},
                {"DescribeTable", NULL, 400, "{'__type':'ResourceNotFoundException'}"},
                {"DescribeTable", NULL, 400,
                 "{'__type':'AccessDeniedException','message':'no'}"});
    assert_null(opened(true, NULL, &e));
    assert_int_equal(e.kind, ERR_INVALID);
    assert_null(opened(false, NULL, &e));
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_null(opened(false, NULL, &e));
    assert_non_null(strstr(e.text, "allow dynamodb:DescribeTable"));
    peer_done(&peer);
}

static void life_on_the_wire(void **state)
{
    struct lease l = {0};
    struct err e = {0};
    const char *parents[2] = {"shardId-0", NULL};
    (void)state;
    PEER_SCRIPT(
        &peer, DESCRIBED,
        {"PutItem",
         "{" NAME ",'ConditionExpression':'attribute_not_exists(leaseKey)','Item':{" COMMON
         ",'leaseCounter':{'N':'0'},'checkpoint':{'S':'TRIM_HORIZON'},'inletUnresolved':"
         "{'BOOL':true},'parentShardId':{'SS':['shardId-0']}}}",
         200, "{}"},
        GOT("{" COMMON ",'leaseCounter':{'N':'0'},'checkpoint':{'S':'TRIM_HORIZON'},"
            "'inletUnresolved':{'BOOL':true},'parentShardId':{'SS':['shardId-0']}}"),
        {"UpdateItem",
         "{" NAME "," KEY ",'UpdateExpression':'SET leaseOwner = :me, leaseCounter = :next REMOVE "
         "checkpointOwner ADD ownerSwitchesSinceCheckpoint :one','ConditionExpression':"
         "'leaseCounter = :n AND inletStream = :stream','ReturnValues':'ALL_NEW',"
         "'ExpressionAttributeValues':{':me':{'S':'me'},':one':{'N':'1'},':n':{'N':'0'},':next':"
         "{'N':'1'},':stream':{'S':'" STREAM "'}}}",
         200, "{'Attributes':" HELD("me", "1", "TRIM_HORIZON") "}"},
        RENEWED("1", "2"),
        {"UpdateItem",
         "{" NAME "," KEY ",'UpdateExpression':'SET leaseCounter = :next, checkpoint = :at, "
         "checkpointSubSequenceNumber = :zero, ownerSwitchesSinceCheckpoint = :zero, inletNote = "
         ":note REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, "
         "pendingCheckpointState, inletUnresolved'," CONDITION ",'ExpressionAttributeValues':{"
         "':at':{'S':'49590338271490256608559692538361571095921575989136588898'},':zero':"
         "{'N':'0'},':note':{'S':'9:ab'},':n':{'N':'2'},':next':{'N':'3'},':stream':{'S':'" STREAM
         "'},':me':{'S':'me'}}}",
         200, "{}"},
        {"UpdateItem",
         "{" NAME "," KEY ",'UpdateExpression':'SET leaseCounter = :next REMOVE leaseOwner',"
         CONDITION ",'ExpressionAttributeValues':{':n':{'N':'3'},':next':{'N':'4'},':stream':"
         "{'S':'" STREAM "'},':me':{'S':'me'}}}",
         200, "{}"},
        {"DeleteItem",
         "{" NAME "," KEY ",'ConditionExpression':'attribute_not_exists(leaseKey) OR inletStream = "
         ":stream','ExpressionAttributeValues':{':stream':{'S':'" STREAM "'}}}",
         200, "{}"});
    struct lease_store *s = opened(false, NULL, &e);
    assert_int_equal(s->ops->ensure(s, STREAM, "shardId-1", parents, &e), 0);
    assert_int_equal(s->ops->read(s, STREAM, "shardId-1", &l, &e), 0);
    assert_false(l.resolved);
    assert_null(l.owner);
    assert_string_equal(l.parents[0], "shardId-0");
    assert_int_equal(s->ops->take(s, &l, "me", &e), 0);
    assert_int_equal(l.counter, 1);
    assert_int_equal(s->ops->renew(s, &l, &e), 0);
    struct seq at;
    const char *digits = "49590338271490256608559692538361571095921575989136588898";
    assert_int_equal(seq_parse(&at, digits, strlen(digits), &e), 0);
    assert_int_equal(s->ops->checkpoint(s, &l, at, "9:ab", &e), 0);
    assert_true(l.resolved);
    assert_int_equal(s->ops->release(s, &l, &e), 0);
    assert_null(l.owner);
    assert_int_equal(s->ops->remove(s, STREAM, "shardId-1", &e), 0);
    peer_done(&peer);
    lease_fini(&l);
    lease_store_close(s);
}

/* The write landed, its answer did not: the refusal of the second try is our own doing. */
static void lost_answers(void **state)
{
    struct err e = {0};
    struct lease l = held();
    (void)state;
    PEER_SCRIPT(&peer, DESCRIBED, {"UpdateItem", NULL, 0, NULL}, REFUSED,
                GOT(HELD("me", "5", "77")), {"UpdateItem", NULL, 500, "{}"}, REFUSED,
                GOT(HELD("me", "6", "77")),
                {"UpdateItem", NULL, 400, "{'__type':'ThrottlingException'}"}, RENEWED("6", "7"),
                {"UpdateItem", NULL, 0, NULL}, REFUSED,
                GOT("{" COMMON ",'leaseCounter':{'N':'8'},'checkpoint':{'S':'77'}}"));
    struct lease_store *s = opened(false, NULL, &e);
    assert_int_equal(s->ops->checkpoint(s, &l, seq_of(77), "", &e), 0);
    assert_int_equal(l.counter, 5);
    assert_int_equal(s->ops->renew(s, &l, &e), 0);
    assert_int_equal(s->ops->renew(s, &l, &e), 0);
    assert_int_equal(l.counter, 7);
    assert_int_equal(s->ops->release(s, &l, &e), 0);
    peer_done(&peer);
    lease_fini(&l);
    lease_store_close(s);
}

static void take_with_a_lost_answer(void **state)
{
    struct err e = {0};
    struct lease l = held();
    (void)state;
    PEER_SCRIPT(&peer, DESCRIBED, {"UpdateItem", NULL, 0, NULL}, REFUSED,
                GOT(HELD("new", "5", "3")), REFUSED, {"UpdateItem", NULL, 0, NULL}, REFUSED,
                GOT(HELD("other", "6", "3")));
    struct lease_store *s = opened(false, NULL, &e);
    assert_int_equal(s->ops->take(s, &l, "new", &e), 0);
    assert_string_equal(l.owner, "new");
    assert_int_equal(l.counter, 5);
    assert_int_equal(s->ops->take(s, &l, "third", &e), -1); /* refused at once: nobody's doing but his */
    assert_int_equal(e.kind, ERR_CONFLICT);
    assert_int_equal(s->ops->take(s, &l, "third", &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    peer_done(&peer);
    lease_fini(&l);
    lease_store_close(s);
}

static void lost_and_kept(void **state)
{
    struct err e = {0};
    struct lease l = held();
    (void)state;
    PEER_SCRIPT(&peer, DESCRIBED, REFUSED, GOT(HELD("other", "5", "3")), REFUSED,
                {"GetItem", NULL, 200, "{}"}, REFUSED, GOT(HELD("me", "9", "3")),
                RENEWED("9", "10"));
    struct lease_store *s = opened(false, NULL, &e);
    assert_int_equal(s->ops->renew(s, &l, &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    assert_int_equal(s->ops->checkpoint(s, &l, seq_of(5), "", &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    assert_int_equal(s->ops->renew(s, &l, &e), 0); /* an earlier write of ours was unheard of */
    assert_int_equal(l.counter, 10);
    free(l.owner);
    l.owner = NULL;
    assert_int_equal(s->ops->renew(s, &l, &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    peer_done(&peer);
    lease_fini(&l);
    lease_store_close(s);
}

static void rows_of_others(void **state)
{
    struct err e = {0};
    struct lease l = {0}, *all = NULL;
    size_t n = 0;
    (void)state;
    PEER_SCRIPT(&peer, DESCRIBED,
                {"PutItem", NULL, 400, "{'__type':'ConditionalCheckFailedException'}"},
                GOT("{'leaseKey':{'S':'k'},'shardId':{'S':'shardId-1'},'leaseCounter':{'N':'1'},"
                    "'checkpoint':{'S':'LATEST'}}"),
                {"Scan",
                 "{" NAME ",'ConsistentRead':true,'FilterExpression':'inletStream = :stream',"
                 "'ExpressionAttributeValues':{':stream':{'S':'" STREAM "'}}}",
                 200, "{'Items':[" HELD("b", "2", "LATEST") "],'LastEvaluatedKey':{'leaseKey':"
                      "{'S':'k'}}}"},
                {"Scan",
                 "{" NAME ",'ConsistentRead':true,'FilterExpression':'inletStream = :stream',"
                 "'ExpressionAttributeValues':{':stream':{'S':'" STREAM
                 "'}},'ExclusiveStartKey':{'leaseKey':{'S':'k'}}}",
                 200, "{'Items':[" HELD("a", "2", "SHARD_END") "]}"},
                {"Scan",
                 "{" NAME ",'ConsistentRead':true,'FilterExpression':'begins_with(inletStream, :stream)',"
                 "'ExpressionAttributeValues':{':stream':{'S':'acc'}}}",
                 200, "{'Items':[" HELD("a", "2", "SHARD_END") "]}"},
                {"GetItem", NULL, 400, "{'__type':'ResourceNotFoundException'}"});
    struct lease_store *s = opened(false, NULL, &e);
    assert_int_equal(s->ops->ensure(s, STREAM, "shardId-1", NULL, &e), 0);
    assert_int_equal(s->ops->read(s, STREAM, "shardId-1", &l, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_non_null(strstr(e.text, "another program"));
    assert_int_equal(s->ops->list(s, STREAM, &all, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_false(all[0].resolved);
    assert_int_equal(seq_cmp(all[1].checkpoint, SEQ_END), 0);
    lease_list_free(all, n);
    assert_int_equal(s->ops->list_under(s, "acc", &all, &n, &e), 0);
    assert_int_equal(n, 1);
    lease_list_free(all, n);
    assert_int_equal(s->ops->read(s, STREAM, "shardId-1", &l, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID); /* a table that is gone is no missing lease */
    peer_done(&peer);
    lease_store_close(s);
}

static void uris(void **state)
{
    struct err e = {0};
    (void)state;
    assert_int_equal(lease_uri_check("sqlite:a.db", &e), 0);
    assert_int_equal(lease_uri_check("dynamodb://inlet-leases", &e), 0);
    assert_int_equal(lease_uri_check("dynamodb://ab", &e), -1);
    assert_int_equal(lease_uri_check("dynamodb://a/b", &e), -1);
    assert_int_equal(lease_uri_check("sqlite:", &e), -1);
    assert_int_equal(lease_uri_check("redis://x", &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_its_table),  cmocka_unit_test(table_of_another_kind),
        cmocka_unit_test(life_on_the_wire), cmocka_unit_test(lost_answers),
        cmocka_unit_test(lost_and_kept),    cmocka_unit_test(take_with_a_lost_answer),
        cmocka_unit_test(rows_of_others),   cmocka_unit_test(uris)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
