/* conftree: libyaml's document, copied into a tree of ours with every limit checked (aliases can
 * make a small file large, or endless), so that the readers of config need not be careful. */
#include "cli/conftree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "base/mem.h"

struct build {
    yaml_document_t document;
    const char *path;
    size_t nodes;
};

static void fini(struct conftree *t)
{
    for (size_t i = 0; i < t->n; i++)
        fini(&t->children[i]);
    free(t->children);
    free(t->key);
    free(t->text);
}

void conftree_free(struct conftree *root)
{
    if (!root)
        return;
    fini(root);
    free(root);
}

static int line_of(const yaml_node_t *n)
{
    return (int)n->start_mark.line + 1;
}

static int copy(struct build *b, int id, int depth, struct conftree *out, struct err *e);

static int copy_list(struct build *b, yaml_node_t *node, int depth, struct conftree *out,
                     struct err *e)
{
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    out->kind = CONFTREE_LIST;
    out->children = mem_array(n + 1, sizeof *out->children);
    for (size_t i = 0; i < n; i++) {
        out->n = i + 1;
        if (copy(b, node->data.sequence.items.start[i], depth + 1, &out->children[i], e))
            return -1;
    }
    return 0;
}

static int copy_key(struct build *b, yaml_node_pair_t *pair, struct conftree *out, struct err *e)
{
    yaml_node_t *key = yaml_document_get_node(&b->document, pair->key);
    if (!key || key->type != YAML_SCALAR_NODE ||
        strlen((const char *)key->data.scalar.value) != key->data.scalar.length)
        return err_set(e, ERR_INVALID, "%s:%d: a key that is no plain text", b->path, key ? line_of(key) : 1);
    struct conftree *child = &out->children[out->n - 1];
    child->key = mem_strndup((const char *)key->data.scalar.value, key->data.scalar.length);
    for (size_t i = 0; i + 1 < out->n; i++)
        if (strcmp(out->children[i].key, child->key) == 0)
            return err_set(e, ERR_INVALID, "%s:%d: \"%.100s\" is there already, in line %d",
                           b->path, line_of(key), child->key, out->children[i].line);
    child->line = line_of(key);
    return 0;
}

static int copy_map(struct build *b, yaml_node_t *node, int depth, struct conftree *out,
                    struct err *e)
{
    size_t n = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    if (n > 2000)
        return err_set(e, ERR_INVALID, "%s:%d: more than 2,000 keys", b->path, line_of(node));
    out->kind = CONFTREE_MAP;
    out->children = mem_array(n + 1, sizeof *out->children);
    for (size_t i = 0; i < n; i++) {
        yaml_node_pair_t *pair = &node->data.mapping.pairs.start[i];
        out->n = i + 1;
        if (copy_key(b, pair, out, e))
            return -1;
        int line = out->children[i].line; /* the key's, not the value's */
        if (copy(b, pair->value, depth + 1, &out->children[i], e))
            return -1;
        out->children[i].line = line;
    }
    return 0;
}

static int copy(struct build *b, int id, int depth, struct conftree *out, struct err *e)
{
    yaml_node_t *node = yaml_document_get_node(&b->document, id);
    if (!node)
        return err_set(e, ERR_INVALID, "%s: not understood", b->path);
    if (depth > CONFTREE_DEPTH_MAX || ++b->nodes > CONFTREE_NODES_MAX)
        return err_set(e, ERR_INVALID, "%s:%d: nested too deep, or too much", b->path,
                       line_of(node));
    out->line = line_of(node);
    if (node->type == YAML_SEQUENCE_NODE)
        return copy_list(b, node, depth, out, e);
    if (node->type == YAML_MAPPING_NODE)
        return copy_map(b, node, depth, out, e);
    const char *p = (const char *)node->data.scalar.value;
    if (strlen(p) != node->data.scalar.length)
        return err_set(e, ERR_INVALID, "%s:%d: a NUL byte", b->path, out->line);
    out->kind = CONFTREE_TEXT;
    out->text = mem_strndup(p, node->data.scalar.length);
    return 0;
}

static struct conftree *build(struct build *b, struct err *e)
{
    struct conftree *root = mem_zalloc(sizeof *root);
    yaml_node_t *top = yaml_document_get_root_node(&b->document);
    root->kind = CONFTREE_MAP;
    root->line = 1;
    if (top && copy(b, 1, 0, root, e)) {
        conftree_free(root);
        return NULL;
    }
    return root;
}

static FILE *open_file(const char *path, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        err_errno(e, errno, "config file %s", path);
        return NULL;
    }
    struct stat st;
    bool folder = fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode);
    if (folder || (fseek(f, 0, SEEK_END) == 0 && ftell(f) > CONFTREE_BYTES_MAX)) {
        err_set(e, ERR_INVALID, "config file %s: %s", path, folder ? "it is a directory" : "larger than 1 MB");
        fclose(f);
        return NULL;
    }
    rewind(f);
    return f;
}

static void no_yaml(const yaml_parser_t *parser, const char *path, struct err *e)
{
    const char *problem = parser->problem ? parser->problem : "unreadable";
    bool tab = strstr(problem, "cannot start any token") != NULL;
    err_set(e, ERR_INVALID, "%s:%zu: no valid YAML: %s%s", path, parser->problem_mark.line + 1, problem,
            tab ? " (is it a tab? indent with spaces)" : "");
}

/* What stands behind a second "---" would be passed over. */
static int only_one(yaml_parser_t *parser, const char *path, struct err *e)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next)) {
        no_yaml(parser, path, e);
        return -1;
    }
    yaml_node_t *top = yaml_document_get_root_node(&next);
    int line = top ? line_of(top) : 0;
    yaml_document_delete(&next);
    return top ? err_set(e, ERR_INVALID, "%s:%d: a second document begins here; settings are one: take the `---` before it out",
                         path, line)
               : 0;
}

struct conftree *conftree_load(const char *path, struct err *e)
{
    struct build b = {.path = path};
    struct conftree *root = NULL;
    yaml_parser_t parser;
    FILE *f = open_file(path, e);
    if (!f)
        return NULL;
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        err_set(e, ERR_NOMEM, "config file %s: no memory", path);
        return NULL;
    }
    yaml_parser_set_input_file(&parser, f);
    if (yaml_parser_load(&parser, &b.document)) {
        root = build(&b, e);
        yaml_document_delete(&b.document);
        if (root && root->n && only_one(&parser, path, e)) {
            conftree_free(root);
            root = NULL;
        }
    } else {
        no_yaml(&parser, path, e);
    }
    yaml_parser_delete(&parser);
    fclose(f);
    return root;
}
