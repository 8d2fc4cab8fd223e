/* The sources of credentials, one function each: 1 with `out` filled, 0 where this source is not
 * configured, -1 on failure. Texts of errors never hold a secret. */
#ifndef INLET_AWS_CREDENTIALS_INT_H
#define INLET_AWS_CREDENTIALS_INT_H

#include <jansson.h>

#include "aws/credentials.h"
#include "base/buf.h"
#include "net/http.h"

#define CREDENTIAL_ANSWER_MAX ((size_t)256 << 10)

/* resolve.c: the whole chain, and a profile's part of it. */
int credentials_resolve(const char *profile, const struct clock *clock, struct credentials *out,
                        struct err *e);
/* process.c: credential_process. */
int credentials_of_process(const char *command, struct credentials *out, struct err *e);
/* sso.c: the token that `aws sso login` left, for a role's keys. */
int credentials_of_sso(const char *profile, const struct clock *clock, struct credentials *out,
                       struct err *e);
/* metadata.c: a container's endpoint, an instance's metadata. */
int credentials_of_container(struct credentials *out, struct err *e);
int credentials_of_instance(struct credentials *out, struct err *e);

/* sts.c */
struct sts_role {
    const char *arn, *session; /* session NULL: of our own */
    const char *external_id, *duration_s; /* NULL: none */
    const char *region;                   /* NULL: the global endpoint */
    const char *profile;                  /* whose configured endpoint counts */
};
int credentials_of_role(const struct sts_role *r, const struct credentials *with,
                        const struct clock *clock, struct credentials *out, struct err *e);
int credentials_of_web_identity(const struct sts_role *r, const char *token_file,
                                struct credentials *out, struct err *e);

/* The members of a JSON object under these names (token and expiry may be absent). */
int credentials_of_json(const json_t *j, const char *const names[4], const char *who,
                        struct credentials *out, struct err *e);
/* A small file whole, without white space at its end (heap, NUL-terminated). */
char *credentials_read_file(const char *path, struct err *e);
/* One GET (or other) of a few headers, tried a few times: 0 with any status. */
struct credential_request {
    const char *method, *url;
    const char *const *headers;
    const void *body;
    size_t n_body;
    int64_t timeout_ms;
    int attempts;
    bool direct; /* no proxy */
};
int credentials_ask(const struct credential_request *q, struct http_response *out, struct err *e);

#endif
