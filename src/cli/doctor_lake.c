/* doctor: the lake's store, catalog and leases, by using them: a probe object, a commit that changes one
 * property of the dead letters' table, a probe lease. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "cli/doctor.h"
#include "cli/open.h"

#define DEAD_LETTERS "inlet_dead_letters"
#define PROBE_STREAM "inlet-doctor"

static void failed(struct doctor *d, const char *what, const char *doing, const struct err *e,
                   const char *mend)
{
    struct buf text = {0};
    buf_printf(&text, "%s: %s", doing, e->text);
    doctor_say(d, DOCTOR_FAIL, what, buf_cstr(&text), mend);
    buf_fini(&text);
}

static bool in_s3(const struct store *s)
{
    return strncmp(s->root_uri, "s3", 2) == 0;
}

/* ---- store ---- */

struct probe {
    const char *key;
    bool seen;
};

static void find_probe(void *ctx, const char *key, int64_t bytes, int64_t modified_ms)
{
    struct probe *p = ctx;
    (void)bytes, (void)modified_ms;
    p->seen |= strcmp(key, p->key) == 0;
}

/* What stands for the step that failed; NULL where all went well. */
static const char *use_store(struct store *s, const char *key, struct err *e)
{
    static const char body[] = "inlet doctor was here";
    struct buf back = {0};
    struct probe probe = {.key = key};
    const char *failing = NULL;
    if (s->ops->put(s, key, body, sizeof body, e))
        return "put";
    if (s->ops->get(s, key, 1 << 20, &back, e))
        failing = "get";
    else if (back.n != sizeof body || memcmp(back.p, body, sizeof body) != 0)
        failing = "get", err_set(e, ERR_IO, "other bytes came back than were written");
    else if (s->ops->put(s, key, body, sizeof body, e) == 0)
        failing = "put", err_set(e, ERR_IO, "an object that is there was replaced: conditional writes do "
                                            "not work there");
    else if (e->kind != ERR_CONFLICT)
        failing = "put";
    else if (s->ops->list(s, key, find_probe, &probe, e))
        failing = "list";
    else if (!probe.seen)
        failing = "list", err_set(e, ERR_IO, "what was written is not listed");
    buf_fini(&back);
    struct err removal = {0};
    if (s->ops->remove(s, key, &removal) && !failing) {
        *e = removal;
        failing = "remove";
    }
    return failing;
}

static void check_store(struct doctor *d, struct store *s)
{
    static const char *const steps[] = {"put", "get", "list", "remove"};
    static const char *const actions[] = {
        "allow s3:PutObject on the lake's objects (and kms:GenerateDataKey where a KMS key is used)",
        "allow s3:GetObject on the lake's objects (and kms:Decrypt where a KMS key is used)",
        "allow s3:ListBucket on the bucket", "allow s3:DeleteObject on the lake's objects"};
    struct err e = {0};
    uint8_t random[16];
    char id[37];
    invariant(getentropy(random, sizeof random) == 0);
    uuid4_format(random, id);
    char *key = mem_printf("inlet_doctor_%s", id);
    const char *failing = use_store(s, key, &e);
    struct buf text = {0};
    buf_printf(&text, "%s: a probe object was written, read, listed and removed", s->root_uri);
    if (!failing)
        doctor_say(d, DOCTOR_OK, "lake", buf_cstr(&text), NULL);
    for (size_t i = 0; failing && i < 4; i++)
        if (strcmp(steps[i], failing) == 0)
            failed(d, "lake", failing, &e,
                   in_s3(s) ? actions[i] : "let this user read and write the lake's directory");
    buf_fini(&text);
    free(key);
}

/* ---- catalog ---- */

/* A commit without files: the compare-and-swap is used for real, and nothing is read differently. */
static int use_table(struct table *t, struct err *e)
{
    char now[32];
    const char *pairs[] = {"inlet.doctor", now, NULL};
    struct append_attempt attempt = {0};
    struct append a = {.set_properties = pairs};
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms(&clock_system));
    int rc = table_append(t, &a, &attempt, e);
    append_attempt_fini(&attempt);
    return rc;
}

static void check_clock(struct doctor *d, struct table *t)
{
    struct table_facts f = {0};
    struct err e = {0};
    char text[96];
    if (!t || table_facts(t, &f, &e) || f.last_commit_ms <= 0)
        return;
    int64_t ahead = f.last_commit_ms - clock_wall_ms(&clock_system);
    if (ahead > 60000) {
        snprintf(text, sizeof text, "the lake's last commit lies %lld s in the future",
                 (long long)(ahead / 1000));
        doctor_say(d, DOCTOR_FAIL, "clock", text, "set this machine's clock (chrony, NTP)");
    }
}

static void check_catalog(struct doctor *d, const struct open_lake *l)
{
    struct err e = {0};
    char **names = NULL, text[128];
    size_t n = 0;
    bool glue = strncmp(l->catalog_uri, "glue:", 5) == 0;
    if (lake_tables(&l->lake, &names, &n, &e)) {
        failed(d, "catalog", "listing the tables", &e,
               glue ? "allow glue:GetDatabase and glue:GetTables on the catalog and database" : NULL);
        return;
    }
    snprintf(text, sizeof text, "%.60s: %zu tables in namespace %.40s", l->catalog_uri, n, l->lake.ns);
    doctor_say(d, DOCTOR_OK, "catalog", text, NULL);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    struct table *t = table_load(&l->lake, DEAD_LETTERS, &e);
    if (!t && e.kind == ERR_NOTFOUND) {
        doctor_say(d, DOCTOR_SKIPPED, "catalog commit",
                   "there is no table " DEAD_LETTERS " to try a commit on", "run `inlet init`");
    } else if (!t || use_table(t, &e)) {
        failed(d, "catalog commit", t ? "a commit to " DEAD_LETTERS : "reading " DEAD_LETTERS, &e,
               glue ? "allow glue:GetTable and glue:UpdateTable on the tables" : NULL);
    } else {
        doctor_say(d, DOCTOR_OK, "catalog commit", "a property of " DEAD_LETTERS " was changed", NULL);
    }
    check_clock(d, t);
    table_free(t);
}

/* ---- leases ---- */

static const char *use_leases(struct lease_store *s, const char *shard, struct err *e)
{
    static const char *const no_parents[2] = {NULL, NULL};
    struct lease l = {0};
    const char *failing = NULL;
    if (s->ops->ensure(s, PROBE_STREAM, shard, no_parents, e))
        return "making a probe lease";
    if (s->ops->read(s, PROBE_STREAM, shard, &l, e))
        failing = "reading it";
    else if (s->ops->take(s, &l, "inlet-doctor", e))
        failing = "taking it";
    else if (s->ops->checkpoint(s, &l, seq_of(7), "", e))
        failing = "a checkpoint";
    else if (s->ops->release(s, &l, e))
        failing = "giving it back";
    lease_fini(&l);
    struct err removal = {0};
    if (s->ops->remove(s, PROBE_STREAM, shard, &removal) && !failing) {
        *e = removal;
        failing = "removing it";
    }
    return failing;
}

static void check_leases(struct doctor *d)
{
    struct err e = {0};
    char *uri = open_leases_uri(d->config, &e), text[160];
    bool dynamodb = uri && strncmp(uri, "dynamodb:", 9) == 0;
    struct lease_store *s = uri ? open_leases(d->config, false, NULL, &e) : NULL;
    const char *mend = dynamodb ? "allow dynamodb:DescribeTable, GetItem, PutItem, UpdateItem, DeleteItem "
                                  "and Scan on the lease table"
                                : "let this user write there";
    snprintf(text, sizeof text, "%lld-%d", (long long)clock_wall_ms(&clock_system), (int)getpid());
    const char *failing = s ? use_leases(s, text, &e) : "opening";
    if (!failing) {
        snprintf(text, sizeof text, "%.100s: a probe lease was taken and given back", uri);
        doctor_say(d, DOCTOR_OK, "leases", text, NULL);
    } else {
        failed(d, "leases", failing, &e, !s && e.kind == ERR_NOTFOUND ? "run `inlet init`" : mend);
    }
    lease_store_close(s);
    free(uri);
}

void doctor_lake(struct doctor *d)
{
    struct open_lake l;
    struct err e = {0};
    const char *what = "lake";
    if (open_lake(&l, d->config, OPEN_USE, &what, &e) == 0) {
        if (l.lake.store)
            check_store(d, l.lake.store);
        check_catalog(d, &l);
    } else {
        if (l.lake.store)
            check_store(d, l.lake.store);
        failed(d, what, "opening", &e, e.kind == ERR_NOTFOUND ? "run `inlet init`" : NULL);
    }
    open_lake_close(&l);
    check_leases(d);
}
