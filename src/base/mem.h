/* mem: heap memory that is there or ends the process. Small, control-plane memory only; whatever
 * grows with the input is counted against a struct budget (base/budget.h) by its owner. */
#ifndef INLET_BASE_MEM_H
#define INLET_BASE_MEM_H

#include <stddef.h>

/* Never return NULL (a failure panics: see err_panic). Free with free(). */
void *mem_alloc(size_t n);                        /* uninitialised */
void *mem_zalloc(size_t n);                       /* zeroed */
void *mem_realloc(void *p, size_t n);
void *mem_array(size_t count, size_t size);       /* zeroed, overflow-checked */
void *mem_regrow(void *p, size_t count, size_t size); /* realloc, overflow-checked */
void *mem_lines(size_t count, size_t size);       /* zeroed, on a cache line of 64 bytes */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);       /* copies exactly n bytes, adds a NUL */
size_t mem_resident(void); /* of the process, in bytes; 0: not known */
void mem_trim(void);       /* what is free goes back to the system: some milliseconds */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
