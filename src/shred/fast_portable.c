/* The fast path for any processor: see fast_body.h. */
#include "shred/bytes.h"
#include "shred/fast_int.h"

#define FAST_LEVEL fast_level_portable
#define FAST_LEVEL_NAME "portable"
#include "shred/fast_body.h"
