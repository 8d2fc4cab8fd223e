/* A file source whose bytes lie in a store. */
#ifndef INLET_SOURCE_FILE_INT_H
#define INLET_SOURCE_FILE_INT_H

#include "source/input.h"
#include "source/source.h"

/* Copies what `o` holds but the store, which stays the caller's and outlives the source. */
struct source *source_file_of_object(const struct input_object *o, const struct source_env *env);

#endif
