/* A stream of bytes as one object: a multipart upload, its parts several at once; nothing is visible before it
 * is completed. What fits into one part is put by one request.
 *
 *   POST /key?uploads          -> <InitiateMultipartUploadResult>..<UploadId>
 *   PUT  /key?partNumber=1&uploadId=..   each with its SHA-256
 *   POST /key?uploadId=..      <CompleteMultipartUpload><Part><PartNumber>1<ETag>..<ChecksumSHA256>.. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/xml.h"
#include "base/mem.h"
#include "store/s3_int.h"

#define PART_BYTES ((size_t)8 << 20) /* 10,000 parts of it are 78 GiB */
#define PARTS_AT_ONCE 3
#define PARTS_MAX 10000

struct part {
    char etag[128], sha256[S3_DIGEST_TEXT];
};

struct upload {
    struct store_writer base; /* first: a struct store_writer * is this */
    struct s3 *s;
    char *key, *id; /* id NULL: not begun */
    char put_id[33];
    struct buf held[PARTS_AT_ONCE]; /* parts not sent yet, all but the last of them full */
    int n_held;
    struct part *parts;
    size_t n_parts;
};

static struct upload *upload_of(struct store_writer *w)
{
    return (struct upload *)(void *)w;
}

static void upload_free(struct upload *u)
{
    for (int i = 0; i < PARTS_AT_ONCE; i++)
        buf_fini(&u->held[i]);
    free(u->parts);
    free(u->key);
    free(u->id);
    free(u);
}

static int begin(struct upload *u, struct err *e)
{
    struct s3_call c = {.action = "CreateMultipartUpload", .method = "POST", .key = u->key, .query = "uploads="};
    s3_header(&c, "Content-Type", "application/octet-stream");
    s3_header(&c, "x-amz-checksum-algorithm", "SHA256");
    s3_header(&c, "x-amz-meta-inlet-put", u->put_id);
    s3_encryption(u->s, &c);
    int rc = s3_call_one(u->s, &c, e);
    if (rc == 0) {
        u->id = xml_text(c.response.body.p, c.response.body.n, "InitiateMultipartUploadResult/UploadId");
        if (!u->id)
            rc = err_set(e, ERR_INVALID, "S3 CreateMultipartUpload %s/%s: no upload id came",
                         u->s->base.root_uri, u->key);
    }
    s3_call_fini(&c);
    return rc;
}

static char *upload_query(const struct upload *u, size_t part)
{
    struct buf q = {0};
    if (part)
        buf_printf(&q, "partNumber=%zu&", part);
    buf_puts(&q, "uploadId=");
    sigv4_encode(u->id, strlen(u->id), false, &q);
    return buf_take(&q);
}

/* Sends all that is held. */
static int send_parts(struct upload *u, struct err *e)
{
    struct s3_call calls[PARTS_AT_ONCE];
    struct s3_digest digests[PARTS_AT_ONCE];
    int n = 0, rc = 0;
    if (!u->id && begin(u, e))
        return -1;
    for (; n < u->n_held; n++) {
        s3_digest(u->held[n].p, u->held[n].n, &digests[n]);
        calls[n] = (struct s3_call){.action = "UploadPart", .method = "PUT", .key = u->key,
                                    .query = upload_query(u, u->n_parts + (size_t)n + 1),
                                    .body = u->held[n].p, .n_body = u->held[n].n,
                                    .payload_hash = digests[n].hex, .wants_etag = true};
        s3_header(&calls[n], "x-amz-checksum-sha256", digests[n].base64);
        s3_header(&calls[n], "x-amz-sdk-checksum-algorithm", "SHA256");
    }
    rc = s3_run(u->s, calls, (size_t)n, e);
    for (int i = 0; i < n; i++) {
        size_t len = 0;
        const char *etag = rc ? NULL : http_header(&calls[i].response, "ETag", &len);
        if (etag) {
            u->parts = mem_regrow(u->parts, u->n_parts + 1, sizeof *u->parts);
            struct part *p = &u->parts[u->n_parts++];
            snprintf(p->etag, sizeof p->etag, "%.*s", (int)len, etag);
            memcpy(p->sha256, digests[i].base64, sizeof p->sha256);
        }
        free((void *)(uintptr_t)calls[i].query);
        s3_call_fini(&calls[i]);
        u->held[i].n = 0;
    }
    u->n_held = 0;
    return rc;
}

static int upload_write(struct store_writer *w, const void *p, size_t n, struct err *e)
{
    struct upload *u = upload_of(w);
    const uint8_t *at = p;
    while (n) {
        bool full = u->n_held && u->held[u->n_held - 1].n == PART_BYTES;
        if (full && u->n_held == PARTS_AT_ONCE && send_parts(u, e))
            return -1;
        if (u->n_parts + (size_t)u->n_held >= PARTS_MAX)
            return err_set(e, ERR_NOMEM, "%s/%s: more than %d parts of %zu bytes", u->s->base.root_uri, u->key,
                           PARTS_MAX, PART_BYTES);
        if (!u->n_held || u->held[u->n_held - 1].n == PART_BYTES)
            u->n_held++;
        struct buf *b = &u->held[u->n_held - 1];
        size_t room = PART_BYTES - b->n, some = n < room ? n : room;
        buf_put(b, at, some);
        at += some;
        n -= some;
    }
    return 0;
}

static void upload_abort(struct store_writer *w)
{
    struct upload *u = upload_of(w);
    if (u->id) {
        char *query = upload_query(u, 0);
        struct err ignored;
        struct s3_call c = {.action = "AbortMultipartUpload", .method = "DELETE", .key = u->key, .query = query};
        s3_call_one(u->s, &c, &ignored);
        s3_call_fini(&c);
        free(query);
    }
    upload_free(u);
}

static void complete_body(const struct upload *u, struct buf *out)
{
    buf_puts(out, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < u->n_parts; i++) {
        buf_printf(out, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
        xml_put(out, u->parts[i].etag);
        buf_printf(out, "</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>", u->parts[i].sha256);
    }
    buf_puts(out, "</CompleteMultipartUpload>");
}

/* S3 may answer 200 and then, in the body, that it failed. */
static int complete(struct upload *u, struct err *e)
{
    struct buf body = {0};
    char *query = upload_query(u, 0);
    complete_body(u, &body);
    struct s3_call c = {.action = "CompleteMultipartUpload", .method = "POST", .key = u->key, .query = query,
                        .body = body.p, .n_body = body.n};
    s3_header(&c, "Content-Type", "application/xml");
    s3_header(&c, "If-None-Match", "*");
    int rc = s3_call_one(u->s, &c, e);
    bool unsure = c.unsure;
    if (rc == 0) {
        char *etag = xml_text(c.response.body.p, c.response.body.n, "CompleteMultipartUploadResult/ETag");
        if (!etag) {
            aws_fault_parse(&c.fault, &c.response);
            rc = err_set(e, ERR_UNKNOWN, "S3 CompleteMultipartUpload %s/%s: %s: %s", u->s->base.root_uri, u->key,
                         c.fault.code, c.fault.message);
            unsure = true;
        }
        free(etag);
    }
    s3_call_fini(&c);
    buf_fini(&body);
    free(query);
    /* Gone, or there already, after an attempt without an answer: was that ours? */
    if (rc && (unsure || e->kind == ERR_UNKNOWN)) {
        struct err why = {0};
        int ours = s3_is_ours(u->s, u->key, u->put_id, &why);
        if (ours == 1)
            rc = 0;
        else if (ours < 0 && why.kind != ERR_NOTFOUND)
            e->kind = ERR_UNKNOWN;
    }
    return rc;
}

static int upload_finish(struct store_writer *w, struct err *e)
{
    struct upload *u = upload_of(w);
    int rc;
    if (!u->id && u->n_held <= 1) {
        rc = u->s->base.ops->put(&u->s->base, u->key, u->held[0].p ? (const void *)u->held[0].p : "",
                                 u->held[0].n, e);
        upload_free(u);
        return rc;
    }
    rc = u->n_held ? send_parts(u, e) : 0;
    if (rc == 0)
        rc = complete(u, e);
    if (rc == 0 || (e && e->kind == ERR_UNKNOWN))
        upload_free(u); /* what may be there is not to be taken away */
    else
        upload_abort(w);
    return rc;
}

static const struct store_writer_ops upload_ops = {upload_write, upload_finish, upload_abort, NULL};

struct store_writer *s3_create(struct store *s, const char *key, struct err *e)
{
    if (s3_key_check(key, e))
        return NULL;
    struct upload *u = mem_zalloc(sizeof *u);
    u->base.ops = &upload_ops;
    u->s = s3_of(s);
    u->key = mem_strdup(key);
    s3_put_id(u->put_id);
    return &u->base;
}
