/* credentials: the keys that sign requests, from the environment (AWS_ACCESS_KEY_ID, ...) or the
 * shared files' profile (AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE). */
#ifndef INLET_AWS_CREDENTIALS_H
#define INLET_AWS_CREDENTIALS_H

#include "base/err.h"

struct credentials {
    char *access_key, *secret_key;
    char *token; /* NULL where none */
};
/* `profile` NULL: AWS_PROFILE, else "default"; an explicit profile goes before the environment.
 * ERR_INVALID where there are none, with a text that says what to set. */
int credentials_load(struct credentials *c, const char *profile, struct err *e);
void credentials_fini(struct credentials *c); /* wipes the secret */

/* A profile's setting (heap), or NULL: of the credentials file, then the config file. */
char *credentials_profile_get(const char *profile, const char *key);

#endif
