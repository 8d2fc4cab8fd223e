/* conftree: a YAML file as a tree of texts with their lines. The one wrapper of libyaml; it knows
 * no option names. */
#ifndef INLET_CLI_CONFTREE_H
#define INLET_CLI_CONFTREE_H

#include <stddef.h>

#include "base/err.h"

#define CONFTREE_BYTES_MAX (1024 * 1024)
#define CONFTREE_NODES_MAX 20000
#define CONFTREE_DEPTH_MAX 8

enum conftree_kind { CONFTREE_TEXT, CONFTREE_LIST, CONFTREE_MAP };

struct conftree {
    enum conftree_kind kind;
    char *key;  /* of a map's child, else NULL */
    char *text; /* CONFTREE_TEXT */
    int line;   /* from 1; of a map's child: its key's */
    struct conftree *children;
    size_t n;
};

/* The file's root (an empty file: an empty map). ERR_INVALID names file:line; a key that comes
 * twice is an error. Free with conftree_free. */
struct conftree *conftree_load(const char *path, struct err *e);
void conftree_free(struct conftree *root);

#endif
