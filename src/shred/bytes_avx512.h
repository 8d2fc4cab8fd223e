/* bytes, by vectors of 64 bytes and their masks: for x86-64 with AVX-512 BW and VL; what gains nothing by
 * it is bytes_avx2.h's. Included with the compiler's target set to that. */
#ifndef INLET_SHRED_BYTES_AVX512_H
#define INLET_SHRED_BYTES_AVX512_H

#define BYTES_HAVE_512 1
#include "shred/bytes_avx2.h"

static inline bool bytes_edge_at(const struct edge *e, const uint8_t *p)
{
    __m512i literal = _mm512_load_si512((const void *)e), text = _mm512_loadu_si512((const void *)p);
    return _mm512_mask_cmpneq_epi8_mask(_bzhi_u64(UINT64_MAX, e->n), literal, text) == 0;
}

static inline struct stops stops_of(const uint8_t *p, uint8_t *copy)
{
    struct stops s;
    __m512i v = _mm512_loadu_si512((const void *)p);
    if (copy)
        _mm512_storeu_si512((void *)copy, v);
    s.quote = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"'));
    s.any = s.quote | _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')) |
            _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20));
    s.high = _mm512_movepi8_mask(v);
    return s;
}

#endif
