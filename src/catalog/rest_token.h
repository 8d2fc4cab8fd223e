/* rest_token: the bearer token of a REST catalog: given, or got with client credentials (RFC 6749, 4.4)
 * and renewed. Thread-safe. */
#ifndef INLET_CATALOG_REST_TOKEN_H
#define INLET_CATALOG_REST_TOKEN_H

#include <stdbool.h>

#include "base/clock.h"
#include "net/http.h"

struct rest_token;

/* `credential`: "ID:SECRET" or "SECRET". NULL if there is neither it nor a token. All are copied. */
struct rest_token *rest_token_new(const char *token, const char *credential, const char *server,
                                  const char *scope, const struct clock *clock);
void rest_token_free(struct rest_token *t); /* wipes the secrets */
/* The token in force (heap), got over `http` where there is none or it will be over soon. */
char *rest_token_get(struct rest_token *t, struct http *http, struct err *e);
/* The server refused `used`. True if a new one may be had. `t` may be NULL. */
bool rest_token_expired(struct rest_token *t, const char *used);

#endif
