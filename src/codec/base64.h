/* base64 (RFC 4648 section 4): every record of a Kinesis answer comes in it, so decoding is fast
 * (AVX2 where the processor has it, else four digits at a time by table). */
#ifndef INLET_CODEC_BASE64_H
#define INLET_CODEC_BASE64_H

#include <stddef.h>
#include <stdint.h>

#define BASE64_PAD 32 /* bytes past the decoded end that base64_decode may overwrite */

/* Room that decoding n characters needs, BASE64_PAD included. */
static inline size_t base64_decode_room(size_t n)
{
    return n / 4 * 3 + 3 + BASE64_PAD;
}
/* Decodes n characters, with or without '=' at the end; returns the number of bytes, or -1 for
 * anything that is not base64. `out` has base64_decode_room(n) bytes. */
int64_t base64_decode(uint8_t *out, const char *in, size_t n);
/* The same of as many characters as there are in a row, at most n: *taken, with the '=' after them. So their end need not be
 * looked for before. in[n + BASE64_PAD] can be read. */
int64_t base64_decode_run(uint8_t *out, const char *in, size_t n, size_t *taken);

static inline size_t base64_encoded(size_t n)
{
    return (n + 2) / 3 * 4;
}
/* Writes base64_encoded(n) characters, padded, no NUL; returns their number. */
size_t base64_encode(char *out, const uint8_t *in, size_t n);

#endif
