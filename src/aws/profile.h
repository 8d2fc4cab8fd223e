/* profile: the shared files ~/.aws/config and ~/.aws/credentials (AWS_CONFIG_FILE,
 * AWS_SHARED_CREDENTIALS_FILE), read anew at each question: a renewal sees what a person changed. */
#ifndef INLET_AWS_PROFILE_H
#define INLET_AWS_PROFILE_H

#include <stdbool.h>

/* The profile in force: `profile`, or AWS_PROFILE, or "default". Borrowed. */
const char *profile_name(const char *profile);
/* A profile's setting (heap), or NULL: of the credentials file, then the config file. */
char *profile_get(const char *profile, const char *key);
/* A setting of [sso-session NAME] in the config file (heap), or NULL. */
char *profile_session_get(const char *session, const char *key);
/* Is there a section of this name in either file? */
bool profile_exists(const char *profile);
/* The endpoint that is configured for a service ("s3", "sso_oidc"; heap), or NULL: AWS_ENDPOINT_URL_<SERVICE>,
 * AWS_ENDPOINT_URL, the service's endpoint_url in the [services NAME] that the profile names, the profile's own;
 * none of them where AWS_IGNORE_CONFIGURED_ENDPOINT_URLS or ignore_configured_endpoint_urls says true. */
char *profile_endpoint(const char *profile, const char *service);
/* A variable of the environment, NULL where it is not set or empty. */
const char *profile_env(const char *name);

#endif
