/* What a fuzz harness is: one parser, given bytes that may be anything. libFuzzer drives it (make fuzz with
 * clang), or driver.c, which mutates the seeds. It must neither crash, hang nor bloat; what it finds wrong
 * itself it says with invariant(). */
#ifndef INLET_TESTS_FUZZ_H
#define INLET_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Gives each of the harness's good inputs to `add`. */
typedef void fuzz_add_fn(const void *p, size_t n);
void fuzz_seeds(fuzz_add_fn *add);

#endif
