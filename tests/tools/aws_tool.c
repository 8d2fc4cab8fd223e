/* aws_tool: the S3 store, signing and credentials by hand, for tests that hold the server.
 *
 *   aws_tool store URI [ADDRESSING [PATIENCE_MS [ENCRYPTION [KMS_KEY]]]]   then commands on standard input:
 *     put KEY N SEED | put_all N SIZE PREFIX | create KEY N SEED | get KEY LIMIT | range KEY OFFSET N | size KEY |
 *     remove KEY | remove_all KEY... | list PREFIX | read KEY ETAG OFFSET N | requests
 *   aws_tool credentials [PROFILE]      those in force, as JSON (tests only: it prints secrets)
 *   aws_tool sign                       one JSON request a line, its Authorization header a line
 *
 * Words are percent-encoded. The answer to each command is one line: "ok ..." or "KIND text". Bodies are made from
 * their seed and shown as their length and SHA-256. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/credentials_int.h"
#include "aws/sigv4.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "store/s3.h"

#define WORDS_MAX 64
#define LINE_MAX_BYTES 65536

static void decode(char *s)
{
    char *out = s;
    for (; *s; s++) {
        unsigned c;
        if (*s == '%' && sscanf(s + 1, "%2x", &c) == 1) {
            *out++ = (char)c;
            s += 2;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
}

static uint8_t *body_of(size_t n, unsigned seed)
{
    uint8_t *p = mem_alloc(n + 1);
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (uint8_t)(x >> 24);
    }
    return p;
}

static void show_body(const void *p, size_t n)
{
    uint8_t h[32];
    digest_sha256(n ? p : "", n, h);
    printf("ok %zu ", n);
    for (int i = 0; i < 32; i++)
        printf("%02x", h[i]);
    putchar('\n');
}

static void show(int rc, const struct err *e)
{
    if (rc == 0)
        puts("ok");
    else
        printf("%s %s\n", err_kind_name(e->kind), e->text);
}

static int put_all(struct store *s, size_t n, size_t size, const char *prefix, struct err *e)
{
    struct store_object *o = mem_array(n, sizeof *o);
    for (size_t i = 0; i < n; i++)
        o[i] = (struct store_object){mem_printf("%s%zu", prefix, i), body_of(size, (unsigned)i), size};
    int rc = store_put_all(s, o, n, e);
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)o[i].key);
        free((void *)(uintptr_t)o[i].p);
    }
    free(o);
    return rc;
}

/* In pieces of odd lengths. */
static int create(struct store *s, const char *key, size_t n, unsigned seed, struct err *e)
{
    uint8_t *p = body_of(n, seed);
    struct store_writer *w = store_create(s, key, e);
    int rc = w ? 0 : -1;
    for (size_t at = 0; rc == 0 && at < n;) {
        size_t some = n - at < 777777 ? n - at : 777777;
        rc = store_write(w, p + at, some, e);
        at += some;
    }
    if (rc == 0)
        rc = store_finish(w, e);
    else
        store_abort(w);
    free(p);
    return rc;
}

static void on_list(void *ctx, const struct store_s3_object *o)
{
    json_array_append_new(ctx, json_pack("{s:s,s:s,s:I,s:I}", "key", o->key, "etag", o->etag, "bytes",
                                         (json_int_t)o->bytes, "modified_ms", (json_int_t)o->modified_ms));
}

static void list(struct store *s, const char *prefix)
{
    struct err e = {0};
    json_t *a = json_array();
    if (store_s3_list(s, prefix, on_list, a, &e)) {
        show(-1, &e);
    } else {
        char *text = json_dumps(a, JSON_COMPACT);
        printf("ok %s\n", text);
        free(text);
    }
    json_decref(a);
}

static size_t number(const char *s)
{
    return s ? strtoull(s, NULL, 10) : 0;
}

static void read_some(struct store *s, char **w, bool range)
{
    struct err e = {0};
    const char *etag = range ? NULL : w[2];
    char **at = range ? w + 2 : w + 3;
    size_t n = number(at[1]);
    uint8_t *p = mem_alloc(n + 1);
    int64_t got = range ? s->ops->get_range(s, w[1], (int64_t)number(at[0]), n, p, &e)
                        : store_s3_read(s, w[1], etag, (int64_t)number(at[0]), n, p, &e);
    if (got < 0)
        show(-1, &e);
    else
        show_body(p, range ? n : (size_t)got);
    free(p);
}

static void command(struct store *s, char **w, int n)
{
    struct err e = {0};
    int64_t size = 0;
    if (strcmp(w[0], "put") == 0) {
        uint8_t *p = body_of(number(w[2]), (unsigned)number(w[3]));
        show(store_put(s, w[1], p, number(w[2]), &e), &e);
        free(p);
    } else if (strcmp(w[0], "put_all") == 0) {
        show(put_all(s, number(w[1]), number(w[2]), w[3], &e), &e);
    } else if (strcmp(w[0], "create") == 0) {
        show(create(s, w[1], number(w[2]), (unsigned)number(w[3]), &e), &e);
    } else if (strcmp(w[0], "get") == 0) {
        struct buf out = {0};
        if (store_get(s, w[1], number(w[2]), &out, &e))
            show(-1, &e);
        else
            show_body(out.p, out.n);
        buf_fini(&out);
    } else if (strcmp(w[0], "range") == 0 || strcmp(w[0], "read") == 0) {
        read_some(s, w, w[0][1] == 'a');
    } else if (strcmp(w[0], "size") == 0) {
        if (s->ops->size(s, w[1], &size, &e))
            show(-1, &e);
        else
            printf("ok %lld\n", (long long)size);
    } else if (strcmp(w[0], "remove") == 0) {
        show(s->ops->remove(s, w[1], &e), &e);
    } else if (strcmp(w[0], "remove_all") == 0) {
        show(s->ops->remove_all(s, (const char *const *)(w + 1), (size_t)n - 1, &e), &e);
    } else if (strcmp(w[0], "list") == 0) {
        list(s, n > 1 ? w[1] : "");
    } else if (strcmp(w[0], "requests") == 0) {
        printf("ok %llu\n", (unsigned long long)store_s3_requests(s));
    } else {
        puts("unknown command");
    }
}

static int store_main(int argc, char **argv)
{
    struct err e = {0};
    struct store_options o = {.addressing = argc > 3 ? (enum store_addressing)atoi(argv[3]) : STORE_ADDRESSING_AUTO,
                              .patience_ms = argc > 4 ? atoi(argv[4]) : 0,
                              .encryption = argc > 5 && *argv[5] ? argv[5] : NULL,
                              .kms_key = argc > 6 ? argv[6] : NULL};
    struct store *s = store_open(argv[2], &o, &clock_system, &e);
    char *line = mem_alloc(LINE_MAX_BYTES);
    if (!s)
        show(-1, &e);
    while (s && fgets(line, LINE_MAX_BYTES, stdin)) {
        char *words[WORDS_MAX + 1] = {0};
        int n = 0;
        for (char *w = strtok(line, " \n"); w && n < WORDS_MAX; w = strtok(NULL, " \n")) {
            decode(w);
            words[n++] = w;
        }
        if (n)
            command(s, words, n);
        fflush(stdout);
    }
    free(line);
    store_close(s);
    return 0;
}

static int credentials_main(const char *profile)
{
    struct err e = {0};
    struct credentials c = {0};
    if (credentials_resolve(profile, &clock_system, &c, &e)) {
        show(-1, &e);
        return 1;
    }
    json_t *j = json_pack("{s:s,s:s,s:s*,s:I}", "access_key", c.access_key, "secret_key", c.secret_key, "token",
                          c.token, "expires_ms", (json_int_t)c.expires_ms);
    char *text = json_dumps(j, 0);
    printf("ok %s\n", text);
    free(text);
    json_decref(j);
    credentials_fini(&c);
    return 0;
}

static void sign_one(const json_t *j)
{
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    const json_t *list = json_object_get(j, "headers");
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *h = json_array_get(list, i);
        headers[i] = (struct sigv4_header){json_string_value(json_array_get(h, 0)),
                                           json_string_value(json_array_get(h, 1))};
    }
#define TEXT(name) json_string_value(json_object_get(j, name))
    const char *token = TEXT("token");
    struct credentials c = {mem_strdup(TEXT("access_key")), mem_strdup(TEXT("secret_key")),
                            token ? mem_strdup(token) : NULL, 0};
    struct sigv4_request q = {.method = TEXT("method"), .path = TEXT("path"), .query = TEXT("query"),
                              .headers = headers, .n_headers = n, .payload_hash = TEXT("payload_hash"),
                              .region = TEXT("region"), .service = TEXT("service"),
                              .time_s = json_integer_value(json_object_get(j, "time"))};
#undef TEXT
    char date[17];
    struct buf out = {0};
    sigv4_sign(&q, &c, date, &out);
    puts(buf_cstr(&out));
    buf_fini(&out);
    credentials_fini(&c);
}

static int sign_main(void)
{
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        json_t *j = json_loads(line, 0, NULL);
        if (!j)
            return 1;
        sign_one(j);
        json_decref(j);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "store") == 0)
        return store_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "credentials") == 0)
        return credentials_main(argc > 2 ? argv[2] : NULL);
    if (argc > 1 && strcmp(argv[1], "sign") == 0)
        return sign_main();
    fputs("aws_tool store URI | credentials [PROFILE] | sign\n", stderr);
    return 2;
}
