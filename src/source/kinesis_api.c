/* One signed call over a kept connection: see kinesis.h. */
#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aws/aws.h"
#include "base/mem.h"
#include "source/kinesis.h"

#define ANSWER_MAX ((size_t)64 << 20)

struct kinesis_api {
    struct aws aws;
    CURL *curl;
};

struct kinesis_api *kinesis_api_open(struct err *e)
{
    struct kinesis_api *a = mem_zalloc(sizeof *a);
    a->curl = curl_easy_init();
    if (aws_open(&a->aws, "kinesis", e) == 0)
        return a;
    kinesis_api_close(a);
    return NULL;
}

void kinesis_api_close(struct kinesis_api *a)
{
    if (!a)
        return;
    curl_easy_cleanup(a->curl);
    aws_close(&a->aws);
    free(a);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct buf *b = ctx;
    if (b->n + size * n > ANSWER_MAX)
        return 0;
    buf_put(b, p, size * n);
    return size * n;
}

static int judge(const struct kinesis_api *a, const char *action, long status, const struct buf *answer, struct err *e)
{
    json_t *j = json_loadb((const char *)answer->p, answer->n, 0, NULL);
    const char *type = json_string_value(json_object_get(j, "__type")), *text = json_string_value(json_object_get(j, "message"));
    if (!text)
        text = json_string_value(json_object_get(j, "Message"));
    const char *name = type && strrchr(type, '#') ? strrchr(type, '#') + 1 : type ? type : "";
    enum err_kind kind = ERR_INVALID;
    if (status >= 500 || status == 429 || strstr(name, "Throughput") || strstr(name, "LimitExceeded") || strstr(name, "Throttl"))
        kind = ERR_RETRY;
    else if (strstr(name, "ExpiredIterator"))
        kind = ERR_CONFLICT;
    else if (strstr(name, "ResourceNotFound"))
        kind = ERR_NOTFOUND;
    const char *hint = kind == ERR_NOTFOUND                 ? " (check the name, AWS_REGION and the account)"
                       : strstr(name, "AccessDenied")       ? " (the role needs this action on the stream)"
                       : strstr(name, "UnrecognizedClient") || strstr(name, "Signature") ? " (check the AWS credentials)"
                                                            : "";
    err_set(e, kind, "Kinesis %s at %s: %ld %s: %s%s", action, a->aws.endpoint, status, name, text ? text : "", hint);
    json_decref(j);
    return -1;
}

int kinesis_api_call(struct kinesis_api *a, const char *action, const char *body, size_t body_n, struct buf *answer, struct err *e)
{
    char *lines[AWS_HEADERS_MAX], *target = mem_printf("Kinesis_20131202.%s", action), *url = mem_printf("%s/", a->aws.endpoint);
    const char *host = strstr(a->aws.endpoint, "://") ? strstr(a->aws.endpoint, "://") + 3 : a->aws.endpoint;
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    size_t n;
    long status = 0;
    aws_sign(&a->aws, "kinesis", host, target, body, body_n, (int64_t)time(NULL), lines, &n);
    for (size_t i = 0; i < n; i++) {
        headers = curl_slist_append(headers, lines[i]);
        free(lines[i]);
    }
    curl_easy_setopt(a->curl, CURLOPT_URL, url);
    curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(a->curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(a->curl, CURLOPT_POSTFIELDSIZE, (long)body_n);
    curl_easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(a->curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(a->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(a->curl, CURLOPT_BUFFERSIZE, 262144L);
    curl_easy_setopt(a->curl, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(a->curl, CURLOPT_TIMEOUT, 60L);
    CURLcode rc = curl_easy_perform(a->curl);
    curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    free(target);
    free(url);
    if (rc != CURLE_OK)
        return err_set(e, rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_URL_MALFORMAT ? ERR_INVALID : ERR_RETRY, "Kinesis %s at %s: %s",
                       action, a->aws.endpoint, curl_easy_strerror(rc));
    return status == 200 ? 0 : judge(a, action, status, answer, e);
}
