/* rest_session: requests to an Iceberg REST catalog: its configuration, who we are, and what its answers
 * mean. Thread-safe. https://iceberg.apache.org/rest-catalog-spec/ */
#ifndef INLET_CATALOG_REST_SESSION_H
#define INLET_CATALOG_REST_SESSION_H

#include "catalog/catalog.h"

struct rest_session;

/* Opens, and reads the configuration (GET v1/config). */
struct rest_session *rest_open(const struct catalog_rest_options *o, const struct clock *clock,
                               struct err *e);
void rest_close(struct rest_session *s);

struct rest_reply {
    json_t *json;     /* of the answer; NULL if it had none, or the call failed */
    int status;       /* of the last answer; 0: none */
    char type[64];    /* of a refusal: "NoSuchTableException"; empty where none was read */
    char message[512];
    bool unsure; /* an attempt before the last may have acted: its answer was lost or a 5xx */
};
void rest_reply_fini(struct rest_reply *r);

/* Sends until it is answered or the patience ends; a lost answer is asked for again, so a request that
 * acts must be one that takes effect once. `path` is below v1/{prefix}/, percent-encoded. `body` is
 * borrowed, NULL: none. -1, with kind: ERR_NOTFOUND (404), ERR_CONFLICT (409), ERR_INVALID (refused),
 * ERR_RETRY: nothing has happened, ERR_UNKNOWN: it may have (500, 502, 504, or no answer). Always
 * fini `r`. */
int rest_call(struct rest_session *s, const char *method, const char *path, const json_t *body,
              struct rest_reply *r, struct err *e);

/* A property in force: the server's overrides, ours, the server's defaults; or NULL. */
const char *rest_property(const struct rest_session *s, const char *key);
/* namespaces/{ns} or namespaces/{ns}/tables[/{table}] (heap); ns "a.b" is two levels. */
char *rest_namespace_path(const struct rest_session *s, const char *ns);
char *rest_table_path(const struct rest_session *s, const char *ns, const char *table);
/* ["a", "b"] of "a.b". */
json_t *rest_namespace_json(const char *ns);
const char *rest_base(const struct rest_session *s); /* for messages */
/* The name that requests are signed with (SigV4), or NULL. */
const char *rest_signing_name(const struct rest_session *s);

#endif
