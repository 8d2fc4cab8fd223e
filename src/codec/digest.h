/* digest: OpenSSL's hashes, wrapped. */
#ifndef INLET_CODEC_DIGEST_H
#define INLET_CODEC_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void digest_sha1(const void *p, size_t n, uint8_t out[20]);
void digest_sha256(const void *p, size_t n, uint8_t out[32]);
bool digest_hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, uint8_t out[32]);

#endif
