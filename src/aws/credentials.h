/* credentials: the keys that sign requests, from wherever the SDKs look for them, renewed before they
 * expire. In this order, the first that is there:
 *
 *   1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (unless a profile is named in the options)
 *   2. of the profile: role_arn with source_profile, credential_source or web_identity_token_file; SSO
 *      (sso_session, or sso_start_url); aws_access_key_id and ..._secret_access_key; credential_process
 *   3. AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN (EKS)
 *   4. AWS_CONTAINER_CREDENTIALS_FULL_URI or ..._RELATIVE_URI (ECS, EKS Pod Identity)
 *   5. the instance's metadata service, IMDSv2, unless AWS_EC2_METADATA_DISABLED
 *
 * as https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html has it, but that a web identity of the
 * environment goes after a profile that has credentials. */
#ifndef INLET_AWS_CREDENTIALS_H
#define INLET_AWS_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct credentials {
    char *access_key, *secret_key;
    char *token;        /* NULL where none */
    int64_t expires_ms; /* 0: never, as far as is known */
};
void credentials_fini(struct credentials *c); /* wipes the secrets */

/* One provider for each profile in the process, shared by all that open it. Thread-safe. */
struct credential_provider;
struct credential_provider *credential_provider_open(const char *profile, const struct clock *clock);
/* Of keys that somebody gave for a while (a catalog that vends them); shared with nobody. */
struct credential_provider *credential_provider_fixed(const struct credentials *c,
                                                      const struct clock *clock);
void credential_provider_close(struct credential_provider *p);

/* A copy of the keys in force. Renews in the background when they have less than five minutes left; waits
 * only where there are none or they have expired. ERR_INVALID where there are none, with a text
 * that says what to set; ERR_RETRY where whoever gives them does not answer. */
int credential_provider_get(struct credential_provider *p, struct credentials *out, struct err *e);
/* A service said that these have expired. True if asking again may help: others will be there. */
bool credential_provider_expired(struct credential_provider *p, const char *access_key);

#endif
