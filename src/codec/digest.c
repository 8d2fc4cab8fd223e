/* See digest.h. */
#include "codec/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

bool digest_hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, uint8_t out[32])
{
    unsigned len = 32;
    return HMAC(EVP_sha256(), key, (int)key_n, p, n, out, &len) != NULL && len == 32;
}

void digest_sha1(const void *p, size_t n, uint8_t out[20])
{
    EVP_Digest(p, n, out, NULL, EVP_sha1(), NULL);
}

void digest_sha256(const void *p, size_t n, uint8_t out[32])
{
    EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL);
}
