/* The fast path for x86-64 with AVX-512: see fast_body.h. */
#include "shred/fast_int.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "base/mem.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,lzcnt,popcnt")
#endif

#include "shred/bytes_avx512.h"
#define FAST_LEVEL fast_level_avx512
#define FAST_LEVEL_NAME "avx512"
#include "shred/fast_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
