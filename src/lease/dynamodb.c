/* Leases in DynamoDB, as the Kinesis Client Library lays them out, so that its tools read them.
 *
 * A stream's shard is an item of the KCL's multi-stream form:
 *   leaseKey S "123456789012:events:1700000000:shardId-000000000000"   account:stream:created:shard
 *   streamName S "123456789012:events:1700000000"    shardId S     parentShardId SS
 *   leaseOwner S (absent: nobody's)   leaseCounter N   ownerSwitchesSinceCheckpoint N
 *   checkpoint S: digits, TRIM_HORIZON or SHARD_END    checkpointSubSequenceNumber N
 * and of our own, which the KCL leaves as they are:
 *   inletStream S the source's identity     inletNote S     inletUnresolved BOOL (absent: resolved)
 * A file's item has the key "inlet:<hash of the identity>:<shard>" and an entityType that the KCL
 * passes over. An item without inletStream is somebody else's and is never written.
 *
 * Every write asks for the counter as last read. A write that is refused after an answer was lost may
 * have been refused because of itself: then the item is read back. An item that still names us as
 * owner is ours (an owner's name is used by one incarnation only), whatever its counter. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/service.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "lease/lease.h"

#define LISTED_MAX 100000
#define ACTIVE_WAIT_MS 120000
#define CONDITION_FAILED "ConditionalCheckFailedException"

struct dynamodb_leases {
    struct lease_store base;
    struct aws_service *service;
    const struct clock *clock;
    char *table;
};

static struct dynamodb_leases *of(struct lease_store *s)
{
    return (struct dynamodb_leases *)(void *)s;
}

/* ---- items ---- */

/* "account:stream:created" of "arn:aws:kinesis:region:account:stream/NAME@ms" (heap); NULL of
 * anything else. */
static char *kcl_stream(const char *identity)
{
    const char *p = identity, *at = strrchr(identity, '@');
    if (strncmp(identity, "arn:", 4) != 0 || !at)
        return NULL;
    for (int i = 0; p && i < 4; i++) {
        p = strchr(p, ':');
        p = p ? p + 1 : NULL;
    }
    const char *slash = p ? strstr(p, ":stream/") : NULL;
    if (!slash || slash + 8 >= at)
        return NULL;
    return mem_printf("%.*s:%.*s:%lld", (int)(slash - p), p, (int)(at - slash - 8), slash + 8,
                      strtoll(at + 1, NULL, 10) / 1000);
}

static char *lease_key(const char *identity, const char *shard)
{
    char *stream = kcl_stream(identity), *key;
    if (stream) {
        key = mem_printf("%s:%s", stream, shard);
    } else {
        uint8_t hash[32];
        char hex[33];
        digest_sha256(identity, strlen(identity), hash);
        for (int i = 0; i < 16; i++)
            snprintf(hex + 2 * i, 3, "%02x", hash[i]);
        key = mem_printf("inlet:%s:%s", hex, shard);
    }
    free(stream);
    return key;
}

static json_t *text(const char *s)
{
    return json_pack("{s:s}", "S", s);
}

static json_t *number(uint64_t v)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, v);
    return json_pack("{s:s}", "N", digits);
}

static const char *text_of(const json_t *item, const char *name)
{
    return json_string_value(json_object_get(json_object_get(item, name), "S"));
}

static const char *number_of(const json_t *item, const char *name)
{
    return json_string_value(json_object_get(json_object_get(item, name), "N"));
}

static char *dup_or_null(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

static json_t *new_item(const char *identity, const char *shard, const char *const parents[2])
{
    char *key = lease_key(identity, shard), *stream = kcl_stream(identity);
    json_t *item = json_object(), *set = json_array();
    json_object_set_new(item, "leaseKey", text(key));
    json_object_set_new(item, "shardId", text(shard));
    json_object_set_new(item, "leaseCounter", number(0));
    json_object_set_new(item, "ownerSwitchesSinceCheckpoint", number(0));
    json_object_set_new(item, "checkpoint", text("TRIM_HORIZON"));
    json_object_set_new(item, "checkpointSubSequenceNumber", number(0));
    json_object_set_new(item, "inletStream", text(identity));
    json_object_set_new(item, "inletUnresolved", json_pack("{s:b}", "BOOL", 1));
    if (stream)
        json_object_set_new(item, "streamName", text(stream));
    else
        json_object_set_new(item, "entityType", text("INLET_FILE"));
    for (int i = 0; parents && i < 2; i++)
        if (parents[i])
            json_array_append_new(set, json_string(parents[i]));
    if (json_array_size(set))
        json_object_set_new(item, "parentShardId", json_pack("{s:O}", "SS", set));
    json_decref(set);
    free(stream);
    free(key);
    return item;
}

/* LATEST and AT_TIMESTAMP are the KCL's for "not read yet". */
static int read_checkpoint(const json_t *item, struct lease *l, struct err *e)
{
    const char *at = text_of(item, "checkpoint");
    bool unresolved =
        json_is_true(json_object_get(json_object_get(item, "inletUnresolved"), "BOOL"));
    if (!at)
        return err_set(e, ERR_INVALID, "it has no checkpoint");
    if (strcmp(at, "LATEST") == 0 || strcmp(at, "AT_TIMESTAMP") == 0)
        return 0;
    if (seq_parse(&l->checkpoint, at, strlen(at), e))
        return -1;
    l->resolved = !unresolved || seq_cmp(l->checkpoint, SEQ_NONE) != 0;
    return 0;
}

static int take_item(const json_t *item, struct lease *out, struct err *e)
{
    struct lease l = {.stream = dup_or_null(text_of(item, "inletStream")),
                      .shard = dup_or_null(text_of(item, "shardId")),
                      .owner = dup_or_null(text_of(item, "leaseOwner"))};
    const char *key = text_of(item, "leaseKey"), *counter = number_of(item, "leaseCounter"),
               *note = text_of(item, "inletNote");
    const json_t *parents =
        json_object_get(json_object_get(item, "parentShardId"), "SS");
    int rc = 0;
    for (size_t i = 0; i < 2; i++)
        l.parents[i] = dup_or_null(json_string_value(json_array_get(parents, i)));
    if (!l.stream)
        rc = err_set(e, ERR_INVALID,
                     "it is another program's: give inlet a lease table of its own");
    else if (!l.shard || !counter || (note && strlen(note) >= sizeof l.note))
        rc = err_set(e, ERR_INVALID, "it has no shardId or leaseCounter, or too long a note");
    else
        rc = read_checkpoint(item, &l, e);
    if (rc) {
        err_wrap(e, "lease %s", key ? key : "without a leaseKey");
        lease_fini(&l);
        return -1;
    }
    l.counter = strtoull(counter, NULL, 10);
    snprintf(l.note, sizeof l.note, "%s", note ? note : "");
    *out = l;
    return 0;
}

/* ---- calls ---- */

/* Takes `body`; puts the table's name in. A table that is gone is no missing lease. */
static int call(struct dynamodb_leases *d, const char *action, json_t *body, struct aws_reply *r,
                struct err *e)
{
    json_object_set_new(body, "TableName", json_string(d->table));
    int rc = aws_service_call(d->service, action, body, r, e);
    json_decref(body);
    if (rc && aws_reply_is(r, "ResourceNotFoundException") && e) {
        e->kind = ERR_INVALID;
        err_wrap(e, "the lease table %s is not there (`inlet init` makes it)", d->table);
    }
    return rc;
}

static json_t *key_body(const char *identity, const char *shard)
{
    char *key = lease_key(identity, shard);
    json_t *body = json_pack("{s:{s:{s:s}}}", "Key", "leaseKey", "S", key);
    free(key);
    return body;
}

static int dynamodb_ensure(struct lease_store *s, const char *stream, const char *shard,
                           const char *const parents[2], struct err *e)
{
    struct aws_reply r;
    struct err local = {0};
    json_t *body = json_pack("{s:o,s:s}", "Item", new_item(stream, shard, parents),
                             "ConditionExpression", "attribute_not_exists(leaseKey)");
    int rc = call(of(s), "PutItem", body, &r, &local);
    if (rc && aws_reply_is(&r, CONDITION_FAILED))
        rc = 0;
    if (rc)
        err_set(e, local.kind, "%s", local.text);
    aws_reply_fini(&r);
    return rc;
}

static int dynamodb_read(struct lease_store *s, const char *stream, const char *shard,
                         struct lease *out, struct err *e)
{
    struct aws_reply r;
    json_t *body = key_body(stream, shard);
    json_object_set_new(body, "ConsistentRead", json_true());
    int rc = call(of(s), "GetItem", body, &r, e);
    const json_t *item = json_object_get(r.json, "Item");
    if (!rc && !json_object_size(item))
        rc = err_set(e, ERR_NOTFOUND, "there is no lease of %s, shard %s", stream, shard);
    else if (!rc)
        rc = take_item(item, out, e);
    aws_reply_fini(&r);
    return rc;
}

static int by_shard(const void *a, const void *b)
{
    return strcmp(((const struct lease *)a)->shard, ((const struct lease *)b)->shard);
}

static int list_where(struct lease_store *s, const char *filter, const char *stream, struct lease **out,
                      size_t *n, struct err *e)
{
    struct lease *all = NULL;
    size_t count = 0;
    json_t *from = NULL;
    int rc = 0;
    do {
        struct aws_reply r;
        json_t *body = json_pack("{s:b,s:s,s:{s:o}}", "ConsistentRead", 1, "FilterExpression",
                                 filter, "ExpressionAttributeValues", ":stream", text(stream));
        if (from)
            json_object_set_new(body, "ExclusiveStartKey", from);
        rc = call(of(s), "Scan", body, &r, e);
        const json_t *items = json_object_get(r.json, "Items");
        for (size_t i = 0; !rc && i < json_array_size(items); i++) {
            all = mem_regrow(all, count + 1, sizeof *all);
            rc = take_item(json_array_get(items, i), &all[count], e);
            count += rc == 0;
        }
        from = json_incref(json_object_get(r.json, "LastEvaluatedKey"));
        aws_reply_fini(&r);
        if (!rc && count > LISTED_MAX)
            rc = err_set(e, ERR_NOMEM, "more than %d leases of %s", LISTED_MAX, stream);
    } while (!rc && from);
    json_decref(from);
    if (rc) {
        lease_list_free(all, count);
        return -1;
    }
    if (count)
        qsort(all, count, sizeof *all, by_shard);
    *out = all;
    *n = count;
    return 0;
}

static int dynamodb_list(struct lease_store *s, const char *stream, struct lease **out, size_t *n,
                         struct err *e)
{
    return list_where(s, "inletStream = :stream", stream, out, n, e);
}

static int dynamodb_list_under(struct lease_store *s, const char *prefix, struct lease **out, size_t *n,
                               struct err *e)
{
    return list_where(s, "begins_with(inletStream, :stream)", prefix, out, n, e);
}

/* ---- conditional writes ---- */

static int in_other_hands(const struct lease *l, enum err_kind kind, struct err *e)
{
    return err_set(e, kind, "the lease of %s, shard %s is in other hands", l->stream, l->shard);
}

/* Sends one update of l's item, asking for its counter (and, where `held`, for us as the owner).
 * `values` is taken; `update` names :next for the next counter. */
static int update(struct dynamodb_leases *d, const struct lease *l, bool held, const char *change,
                  json_t *values, struct aws_reply *r, struct err *e)
{
    json_t *body = key_body(l->stream, l->shard);
    json_object_set_new(values, ":n", number(l->counter));
    json_object_set_new(values, ":next", number(l->counter + 1));
    json_object_set_new(values, ":stream", text(l->stream));
    if (held)
        json_object_set_new(values, ":me", text(l->owner));
    json_object_set_new(body, "UpdateExpression", json_string(change));
    json_object_set_new(body, "ConditionExpression",
                        json_string(held ? "leaseCounter = :n AND inletStream = :stream AND "
                                           "leaseOwner = :me"
                                         : "leaseCounter = :n AND inletStream = :stream"));
    json_object_set_new(body, "ExpressionAttributeValues", values);
    if (!held)
        json_object_set_new(body, "ReturnValues", json_string("ALL_NEW"));
    return call(d, "UpdateItem", body, r, e);
}

static int dynamodb_take(struct lease_store *s, struct lease *l, const char *owner, struct err *e)
{
    struct aws_reply r;
    struct err local = {0};
    struct lease now = {0};
    bool other = !l->owner || strcmp(l->owner, owner) != 0;
    json_t *values = json_pack("{s:o}", ":me", text(owner));
    if (other)
        json_object_set_new(values, ":one", number(1));
    int rc = update(of(s), l, false,
                    other ? "SET leaseOwner = :me, leaseCounter = :next REMOVE checkpointOwner "
                            "ADD ownerSwitchesSinceCheckpoint :one"
                          : "SET leaseOwner = :me, leaseCounter = :next REMOVE checkpointOwner",
                    values, &r, &local);
    if (!rc) {
        rc = take_item(json_object_get(r.json, "Attributes"), &now, &local);
    } else if (aws_reply_is(&r, CONDITION_FAILED)) {
        rc = r.unsure ? dynamodb_read(s, l->stream, l->shard, &now, &local) : 0;
        bool ours = now.owner && strcmp(now.owner, owner) == 0 && now.counter == l->counter + 1;
        if (!rc && !ours)
            rc = in_other_hands(l, ERR_CONFLICT, &local);
    }
    aws_reply_fini(&r);
    if (rc) {
        lease_fini(&now);
        return err_set(e, local.kind, "%s", local.text);
    }
    lease_fini(l);
    *l = now;
    return 0;
}

enum held_write { RENEW, CHECKPOINT, RELEASE };

/* After a refusal: 0 the write is there; 1 the item is still ours, at the counter now in l: write
 * again; -1 it is not ours any more. */
static int look_back(struct lease_store *s, struct lease *l, enum held_write what, struct seq at,
                     bool unsure, struct err *e)
{
    struct lease now = {0};
    if (dynamodb_read(s, l->stream, l->shard, &now, e))
        return e && e->kind != ERR_NOTFOUND ? -1 : in_other_hands(l, ERR_FENCED, e);
    bool ours = now.owner && strcmp(now.owner, l->owner) == 0;
    bool landed = unsure && now.counter == l->counter + 1;
    int rc;
    if (what == RELEASE && landed && !now.owner)
        rc = 0;
    else if (!ours)
        rc = in_other_hands(l, ERR_FENCED, e);
    else if (what == RELEASE || !landed || (what == CHECKPOINT && seq_cmp(now.checkpoint, at) != 0))
        rc = 1;
    else
        rc = 0;
    if (rc == 1)
        l->counter = now.counter;
    lease_fini(&now);
    return rc;
}

/* A write of a held lease. `make` gives the values anew for each try. */
static int write_held(struct lease_store *s, struct lease *l, enum held_write what,
                      const char *change, json_t *values, struct seq at, struct err *e)
{
    struct err local = {0};
    int rc = 1;
    if (!l->owner) {
        json_decref(values);
        return in_other_hands(l, ERR_FENCED, e); /* nobody's is not ours */
    }
    for (int i = 0; rc == 1 && i < 2; i++) {
        struct aws_reply r;
        rc = update(of(s), l, true, change, json_copy(values), &r, &local);
        if (rc && aws_reply_is(&r, CONDITION_FAILED))
            rc = look_back(s, l, what, at, r.unsure, &local);
        aws_reply_fini(&r);
    }
    if (rc == 1)
        rc = in_other_hands(l, ERR_FENCED, &local);
    json_decref(values);
    if (rc)
        return err_set(e, local.kind, "%s", local.text);
    l->counter++;
    return 0;
}

static int dynamodb_renew(struct lease_store *s, struct lease *l, struct err *e)
{
    return write_held(s, l, RENEW, "SET leaseCounter = :next", json_object(), SEQ_NONE, e);
}

static int dynamodb_checkpoint(struct lease_store *s, struct lease *l, struct seq at,
                               const char *note, struct err *e)
{
    char digits[SEQ_TEXT_MAX], kept[sizeof l->note];
    note = note ? note : "";
    if (strlen(note) >= sizeof l->note)
        return err_set(e, ERR_INVALID, "the note of a checkpoint is too long: '%.40s'", note);
    memcpy(kept, note, strlen(note) + 1); /* `note` may be l's own */
    seq_format(at, digits);
    json_t *values = json_pack("{s:o,s:o}", ":at", text(digits), ":zero", number(0));
    if (*kept)
        json_object_set_new(values, ":note", text(kept));
#define CHECKPOINT_SET                                                                             \
    "SET leaseCounter = :next, checkpoint = :at, checkpointSubSequenceNumber = :zero, "            \
    "ownerSwitchesSinceCheckpoint = :zero"
#define CHECKPOINT_REMOVE                                                                          \
    " REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState, "      \
    "inletUnresolved"
    if (write_held(s, l, CHECKPOINT,
                   *kept ? CHECKPOINT_SET ", inletNote = :note" CHECKPOINT_REMOVE
                         : CHECKPOINT_SET CHECKPOINT_REMOVE ", inletNote",
                   values, at, e))
        return -1;
    l->checkpoint = at;
    l->resolved = true;
    memcpy(l->note, kept, strlen(kept) + 1);
    return 0;
}

static int dynamodb_release(struct lease_store *s, struct lease *l, struct err *e)
{
    if (write_held(s, l, RELEASE, "SET leaseCounter = :next REMOVE leaseOwner", json_object(),
                   SEQ_NONE, e))
        return -1;
    free(l->owner);
    l->owner = NULL;
    return 0;
}

static int dynamodb_remove(struct lease_store *s, const char *stream, const char *shard,
                           struct err *e)
{
    struct aws_reply r;
    json_t *body = key_body(stream, shard);
    json_object_set_new(body, "ConditionExpression",
                        json_string("attribute_not_exists(leaseKey) OR inletStream = :stream"));
    json_object_set_new(body, "ExpressionAttributeValues",
                        json_pack("{s:o}", ":stream", text(stream)));
    int rc = call(of(s), "DeleteItem", body, &r, e);
    aws_reply_fini(&r);
    return rc;
}

static void dynamodb_close(struct lease_store *s)
{
    struct dynamodb_leases *d = of(s);
    aws_service_close(d->service);
    free(d->table);
    free(d);
}

static const struct lease_ops dynamodb_ops = {
    .list = dynamodb_list,
    .list_under = dynamodb_list_under,
    .ensure = dynamodb_ensure,
    .read = dynamodb_read,
    .take = dynamodb_take,
    .renew = dynamodb_renew,
    .checkpoint = dynamodb_checkpoint,
    .release = dynamodb_release,
    .remove = dynamodb_remove,
    .close = dynamodb_close,
};

/* ---- the table ---- */

/* 1 active and ours in shape, 0 being made, -1 failed (ERR_NOTFOUND: there is none). */
static int describe(struct dynamodb_leases *d, struct err *e)
{
    struct aws_reply r;
    struct err local = {0};
    json_t *body = json_pack("{s:s}", "TableName", d->table);
    int rc = aws_service_call(d->service, "DescribeTable", body, &r, &local);
    json_decref(body);
    if (rc) {
        if (local.kind == ERR_NOTFOUND)
            err_set(e, ERR_NOTFOUND, "there is no lease table %s: `inlet init` makes it", d->table);
        else
            err_set(e, local.kind, "%s", local.text);
        aws_reply_fini(&r);
        return -1;
    }
    const json_t *t = json_object_get(r.json, "Table"), *keys = json_object_get(t, "KeySchema");
    const char *key = json_string_value(json_object_get(json_array_get(keys, 0), "AttributeName"));
    const char *status = json_string_value(json_object_get(t, "TableStatus"));
    if (!key || strcmp(key, "leaseKey") != 0 || json_array_size(keys) != 1)
        rc = err_set(e, ERR_INVALID,
                     "the DynamoDB table %s is no lease table: its key is not leaseKey alone",
                     d->table);
    else
        rc = status && (strcmp(status, "ACTIVE") == 0 || strcmp(status, "UPDATING") == 0);
    aws_reply_fini(&r);
    return rc;
}

static int make_table(struct dynamodb_leases *d, struct err *e)
{
    struct aws_reply r;
    struct err local = {0};
    json_t *body = json_pack("{s:s,s:[{s:s,s:s}],s:[{s:s,s:s}],s:s}", "TableName", d->table,
                             "AttributeDefinitions", "AttributeName", "leaseKey", "AttributeType",
                             "S", "KeySchema", "AttributeName", "leaseKey", "KeyType", "HASH",
                             "BillingMode", "PAY_PER_REQUEST");
    int rc = aws_service_call(d->service, "CreateTable", body, &r, &local);
    json_decref(body);
    if (rc && aws_reply_is(&r, "ResourceInUseException")) /* somebody was first */
        rc = 0;
    aws_reply_fini(&r);
    return rc ? err_set(e, local.kind, "the lease table %s is not there: %s", d->table, local.text)
              : 0;
}

static int have_table(struct dynamodb_leases *d, bool make, bool *made, struct err *e)
{
    struct err local = {0};
    int64_t until = clock_boot_ms(d->clock) + ACTIVE_WAIT_MS;
    int rc = describe(d, &local);
    if (rc < 0 && local.kind == ERR_NOTFOUND && make) {
        if (make_table(d, e))
            return -1;
        *made = true;
        rc = 0;
    }
    while (rc == 0) {
        if (clock_boot_ms(d->clock) > until)
            return err_set(e, ERR_IO, "the lease table %s is not active after two minutes",
                           d->table);
        d->clock->sleep_ms(d->clock->ctx, 200);
        rc = describe(d, &local);
        if (rc < 0 && local.kind == ERR_NOTFOUND && *made)
            rc = 0; /* not to be seen yet */
    }
    return rc == 1 ? 0 : err_set(e, local.kind, "%s", local.text);
}

struct lease_store *lease_dynamodb_open(const struct lease_dynamodb_options *o,
                                        const struct clock *clock, bool *made, struct err *e)
{
    struct aws_service_options so = {.service = "dynamodb",
                                     .label = "DynamoDB",
                                     .target = "DynamoDB_20120810",
                                     .content_type = "application/x-amz-json-1.0",
                                     .patience_ms = o->patience_ms,
                                     .aws = o->aws};
    bool ignored;
    made = made ? made : &ignored;
    *made = false;
    struct aws_service *service = aws_service_open(&so, clock, e);
    if (!service)
        return NULL;
    struct dynamodb_leases *d = mem_zalloc(sizeof *d);
    *d = (struct dynamodb_leases){.base = {.ops = &dynamodb_ops, .shared = true},
                                  .service = service,
                                  .clock = clock,
                                  .table = mem_strdup(o->table)};
    if (have_table(d, o->make, made, e)) {
        dynamodb_close(&d->base);
        return NULL;
    }
    return &d->base;
}
