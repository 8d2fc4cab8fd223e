/* The growing of one table's columns: see registry.h. Nodes are made under the lock and never go. */
#include "schema/registry.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/map.h"
#include "base/mem.h"

#define DEPTH_LIMIT 60 /* levels are bytes, and a list takes two */

struct node { /* what only the registry sees of a node */
    struct rnode pub; /* first */
    struct map children;
    struct node **order; /* in the order they came */
    uint32_t n_order;
    int32_t group_id;    /* of a struct or list in the table; 0: not there yet */
    char *name;          /* its column name */
    enum kind first_kind;
    bool numbers_merge;  /* long and double seen before there was a column of either */
    uint32_t dropped;    /* kinds whose column somebody dropped */
};

struct registry {
    pthread_mutex_t lock;
    struct registry_limits limits;
    const struct declared_column *declared;
    size_t n_declared;
    struct node *root;
    _Atomic uint32_t leaves; /* read without the lock: it is asked for at each look at the tables */
    struct schema_ids envelope;
};

static const char *const kind_names[KIND_COUNT] = {"boolean", "long", "double",      "string",
                                                   "decimal", "time", "json", "hash"};

static struct node *node_new(struct registry *r, struct node *parent, const char *key, size_t n,
                             enum place place)
{
    struct node *x = mem_zalloc(sizeof *x);
    struct rnode *p = &x->pub;
    p->place = place;
    p->key = mem_strndup(key, n);
    p->key_len = n;
    x->children.borrows = true; /* their own */
    p->parent = parent ? &parent->pub : NULL;
    if (parent) {
        const struct rnode *up = &parent->pub;
        p->depth = (uint8_t)(up->depth + 1);
        p->max_def = (uint8_t)(up->max_def + 1 + (up->place == PLACE_LIST));
        p->max_rep = (uint8_t)(up->max_rep + (up->place == PLACE_LIST));
        map_set(&parent->children, p->key, n, x);
        parent->order = mem_regrow(parent->order, parent->n_order + 1, sizeof *parent->order);
        parent->order[parent->n_order++] = x;
    }
    (void)r;
    return x;
}

static void node_free(struct node *x)
{
    for (uint32_t i = 0; i < x->n_order; i++)
        node_free(x->order[i]);
    map_fini(&x->children);
    free(x->order);
    free(x->pub.key);
    free(x->name);
    free(x);
}

struct registry *registry_new(const struct registry_limits *limits,
                              const struct declared_column *declared, size_t n_declared)
{
    struct registry *r = mem_zalloc(sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->limits = *limits;
    if (r->limits.depth > DEPTH_LIMIT)
        r->limits.depth = DEPTH_LIMIT;
    r->declared = declared;
    r->n_declared = n_declared;
    schema_ids_same(&r->envelope);
    r->root = node_new(r, NULL, "", 0, PLACE_STRUCT);
    return r;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    node_free(r->root);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void registry_set_envelope(struct registry *r, const struct schema_ids *ids)
{
    pthread_mutex_lock(&r->lock);
    r->envelope = *ids;
    pthread_mutex_unlock(&r->lock);
}

static bool in_envelope(const struct registry *r, const struct field *f)
{
    int32_t ours = schema_ids_ours(&r->envelope, f->id);
    return ours && ours <= ENVELOPE_COLUMNS;
}

uint32_t registry_leaves(struct registry *r)
{
    return r->leaves;
}

struct rnode *registry_root(struct registry *r)
{
    return &r->root->pub;
}

/* ---- names ---- */

static void column_name(const char *key, size_t n, char *out, size_t max)
{
    size_t at = 0;
    for (size_t i = 0; i < n && at < max; i++) {
        unsigned char c = (unsigned char)key[i];
        if ((c & 0xc0) == 0x80)
            continue; /* one '_' for a whole character of another script */
        out[at++] = (char)(isalnum(c) && c < 128 ? tolower(c) : '_');
    }
    if (at == 0)
        out[at++] = '_';
    out[at] = '\0';
}

static bool name_taken(const struct node *parent, const char *name)
{
    static const char *const ours[] = {
        "event_uuid",  "event_name", "created_at",  "created_datetime", "event_type", "event_subtype",
        "event_time",  "_arrived_at", "_shard",     "_sequence",        "_rescued"};
    for (uint32_t i = 0; i < parent->n_order; i++) {
        const char *other = parent->order[i]->name;
        size_t n = other ? strlen(other) : 0;
        if (other && strcmp(other, name) == 0)
            return true;
        for (int k = 0; other && k <= KIND_STRING; k++) /* its siblings' names are kept for it */
            if (strncmp(name, other, n) == 0 && name[n] == '_' &&
                strcmp(name + n + 1, kind_names[k]) == 0)
                return true;
        size_t m = strlen(name);
        for (int k = 0; other && k <= KIND_STRING; k++)
            if (strncmp(other, name, m) == 0 && other[m] == '_' &&
                strcmp(other + m + 1, kind_names[k]) == 0)
                return true;
    }
    for (size_t i = 0; !parent->pub.parent && i < sizeof ours / sizeof *ours; i++)
        if (strcmp(ours[i], name) == 0)
            return true;
    return false;
}

/* ---- declarations ---- */

static void path_of(const struct node *x, struct buf *out)
{
    if (!x->pub.parent)
        return;
    path_of((const struct node *)x->pub.parent, out);
    if (out->n)
        buf_putc(out, '.');
    buf_put(out, x->pub.key, x->pub.key_len);
}

static bool declared_kind(const char *type, struct rnode *p)
{
    static const struct {
        const char *name;
        enum kind kind;
    } known[] = {{"boolean", KIND_BOOL},       {"long", KIND_LONG},   {"double", KIND_DOUBLE},
                 {"string", KIND_STRING},      {"json", KIND_JSON},   {"hash", KIND_HASH},
                 {"timestamptz", KIND_TIMESTAMPTZ}};
    unsigned precision, scale;
    p->place = PLACE_DECLARED;
    if (strcmp(type, "drop") == 0) {
        p->place = PLACE_DROP;
        return true;
    }
    if (sscanf(type, "decimal(%u,%u)", &precision, &scale) == 2) {
        p->declared = KIND_DECIMAL;
        p->precision = (uint8_t)precision;
        p->scale = (uint8_t)scale;
        return true;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(type, known[i].name) == 0) {
            p->declared = known[i].kind;
            return true;
        }
    return false;
}

static void apply_declaration(struct registry *r, struct node *x)
{
    struct buf path = {0};
    path_of(x, &path);
    for (size_t i = 0; i < r->n_declared; i++)
        if (strcmp(r->declared[i].path, buf_cstr(&path)) == 0)
            declared_kind(r->declared[i].type, &x->pub);
    if (x->pub.place == PLACE_DECLARED) {
        x->pub.kinds = 1u << x->pub.declared;
        x->first_kind = x->pub.declared;
        r->leaves++;
    }
    buf_fini(&path);
}

struct promise { /* what the config says of a place that is yet to be made */
    const char *type;  /* declared itself */
    bool above;        /* a declared one lies below it */
    bool group, list;  /* ... whose value must not be seen: so that it is found, this has to be a struct, or a list */
};

bool declared_hides(const char *type)
{
    return strcmp(type, "hash") == 0 || strcmp(type, "drop") == 0;
}

/* What the declared paths of a struct's, or list's, children begin with. */
static void path_below(const struct node *up, struct buf *out)
{
    path_of(up, out);
    if (out->n)
        buf_putc(out, '.');
}

static struct promise promise_of(const struct registry *r, const struct node *up, const char *key, size_t n)
{
    struct promise said = {0};
    struct buf path = {0};
    if (!r->n_declared)
        return said;
    path_below(up, &path);
    buf_put(&path, key, n);
    for (size_t i = 0; i < r->n_declared; i++) {
        const struct declared_column *d = &r->declared[i];
        const char *rest = d->path + path.n;
        if (strncmp(d->path, buf_cstr(&path), path.n) != 0)
            continue;
        if (!*rest)
            said.type = d->type;
        if (*rest != '.')
            continue;
        said.above = true;
        bool element = !rest[1] || rest[1] == '.';
        said.list |= declared_hides(d->type) && element;
        said.group |= declared_hides(d->type) && !element;
    }
    buf_fini(&path);
    return said;
}

bool registry_hides(const struct registry *r, const struct rnode *parent, const char *key, size_t n)
{
    const char *type = promise_of(r, (const struct node *)(const void *)parent, key, n).type;
    return type && declared_hides(type);
}

/* Is the name that of a column that the config declares here? */
static bool name_promised(const struct registry *r, const struct node *up, const char *name)
{
    struct buf path = {0};
    bool found = false;
    path_below(up, &path);
    for (size_t i = 0; i < r->n_declared && !found; i++) {
        char other[512];
        const struct declared_column *d = &r->declared[i];
        if (strncmp(d->path, buf_cstr(&path), path.n) != 0 || strcmp(d->type, "drop") == 0)
            continue;
        column_name(d->path + path.n, strcspn(d->path + path.n, "."), other, sizeof other - 1);
        found = strcmp(other, name) == 0;
    }
    buf_fini(&path);
    return found;
}

/* ---- growing ---- */

static bool within_limits(struct registry *r, const struct node *parent, size_t key_len)
{
    return r->leaves < r->limits.columns && parent->n_order < r->limits.columns &&
           (!parent->pub.parent || parent->n_order < r->limits.struct_fields) &&
           parent->pub.depth < r->limits.depth && key_len <= r->limits.name_bytes;
}

/* What is declared has its place, whatever came before. */
static bool has_room(struct registry *r, const struct node *parent, size_t key_len, const struct promise *said,
                     enum place place)
{
    if (!said->type && (said->group || said->list))
        return parent->pub.depth < r->limits.depth && ((said->group && place == PLACE_STRUCT) || (said->list && place == PLACE_LIST));
    if (said->type || said->above)
        return parent->pub.depth < r->limits.depth;
    return within_limits(r, parent, key_len);
}

static struct node rescue_node = {.pub = {.place = PLACE_RESCUE}};

struct rnode *registry_child(struct registry *r, struct rnode *parent, const char *key, size_t n,
                             enum place place, enum kind kind)
{
    struct node *up = (struct node *)parent, *x;
    char name[512];
    pthread_mutex_lock(&r->lock);
    x = map_get(&up->children, key, n);
    struct promise said = {0};
    if (!x)
        said = promise_of(r, up, key, n);
    if (!x && !has_room(r, up, n, &said, place))
        x = &rescue_node;
    if (!x) {
        column_name(key, n, name, sizeof name - 1);
        bool list = parent->place == PLACE_LIST, declared = said.type || said.above;
        if (!list && !declared && (name_taken(up, name) || name_promised(r, up, name))) {
            x = &rescue_node;
        } else {
            x = node_new(r, up, key, n, place);
            x->name = mem_strdup(list ? "element" : name);
            apply_declaration(r, x);
            if (x->pub.place == PLACE_SCALAR) {
                x->pub.kinds = 1u << kind;
                x->first_kind = kind;
                r->leaves++;
            }
        }
    }
    pthread_mutex_unlock(&r->lock);
    return &x->pub;
}

struct rnode *registry_find(struct registry *r, const struct rnode *parent, const char *key, size_t n)
{
    pthread_mutex_lock(&r->lock);
    struct node *x = map_get(&((const struct node *)(const void *)parent)->children, key, n);
    pthread_mutex_unlock(&r->lock);
    return x ? &x->pub : NULL;
}

/* Shredders read it meanwhile, without the lock. */
static void add_kind(uint32_t *kinds, enum kind kind)
{
    __atomic_fetch_or(kinds, 1u << kind, __ATOMIC_RELAXED);
}

bool registry_add_kind(struct registry *r, struct rnode *node, enum kind kind)
{
    struct node *x = (struct node *)node;
    bool ok = true;
    pthread_mutex_lock(&r->lock);
    if (!(node->kinds & 1u << kind)) {
        uint32_t numbers = 1u << KIND_LONG | 1u << KIND_DOUBLE;
        /* An element has one type: longs may become doubles, until there is a column. */
        bool list = node->parent && node->parent->place == PLACE_LIST;
        bool widens = kind == KIND_DOUBLE && node->kinds == 1u << KIND_LONG && !node->table_kinds &&
                      !__atomic_load_n(&node->inexact_long, __ATOMIC_RELAXED);
        ok = r->leaves < r->limits.columns && !(x->dropped & 1u << kind) && (!list || widens);
        if (ok) {
            add_kind(&node->kinds, kind);
            r->leaves++;
            if ((node->kinds & numbers) == numbers && !(node->table_kinds & numbers))
                x->numbers_merge = true;
        }
    }
    pthread_mutex_unlock(&r->lock);
    return ok;
}

bool registry_allow_inexact(struct registry *r, struct rnode *node)
{
    struct node *x = (struct node *)node;
    pthread_mutex_lock(&r->lock);
    bool ok = !x->numbers_merge && node->kinds == 1u << KIND_LONG;
    if (ok)
        __atomic_store_n(&node->inexact_long, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&r->lock);
    return ok;
}

/* ---- binding to a table ---- */

static bool scalar_kind(const struct field *f, enum kind *out)
{
    switch (f->kind) {
    case TYPE_BOOLEAN: *out = KIND_BOOL; return true;
    case TYPE_LONG: *out = KIND_LONG; return true;
    case TYPE_DOUBLE: *out = KIND_DOUBLE; return true;
    case TYPE_STRING: *out = KIND_STRING; return true;
    case TYPE_DECIMAL: *out = KIND_DECIMAL; return true;
    case TYPE_TIMESTAMPTZ: *out = KIND_TIMESTAMPTZ; return true;
    default: return false;
    }
}

static enum type_kind column_type(enum kind k)
{
    static const enum type_kind types[KIND_COUNT] = {TYPE_BOOLEAN, TYPE_LONG,        TYPE_DOUBLE,
                                                     TYPE_STRING,  TYPE_DECIMAL,     TYPE_TIMESTAMPTZ,
                                                     TYPE_STRING,  TYPE_STRING};
    return types[k];
}

static int bind_children(struct registry *r, struct node *up, const struct field *parent,
                         struct err *e);

static int bind_field(struct registry *r, struct node *up, const struct field *f, struct err *e)
{
    enum kind kind = KIND_STRING;
    enum place place = f->kind == TYPE_STRUCT ? PLACE_STRUCT
                       : f->kind == TYPE_LIST ? PLACE_LIST
                                              : PLACE_SCALAR;
    bool list = up->pub.place == PLACE_LIST;
    const char *key = list ? "" : f->doc ? f->doc : f->name;
    struct node *x = map_get(&up->children, key, strlen(key));
    if (place == PLACE_SCALAR && !scalar_kind(f, &kind))
        place = PLACE_RESCUE; /* a column of a type that inlet does not write */
    if (!x) {
        x = node_new(r, up, key, strlen(key), place);
        x->name = mem_strdup(f->name);
        x->first_kind = kind;
        apply_declaration(r, x);
    }
    if (x->pub.place == PLACE_DECLARED) {
        if (f->kind != column_type(x->pub.declared) ||
            (f->kind == TYPE_DECIMAL &&
             (f->precision != x->pub.precision || f->scale != x->pub.scale)))
            return list ? err_set(e, ERR_CONFLICT, "elements of %s are not of the declared type",
                                  up->name)
                        : 0; /* from before the declaration: that gets a column of its own */
        x->pub.field_id[x->pub.declared] = f->id;
        add_kind(&x->pub.table_kinds, x->pub.declared);
        return 0;
    }
    if (x->pub.place == PLACE_DROP)
        return 0;
    if (x->pub.place != place)
        return err_set(e, ERR_CONFLICT, "column %s was made a %s by somebody else", f->name,
                       place == PLACE_STRUCT ? "struct" : place == PLACE_LIST ? "list" : "scalar");
    if (place == PLACE_SCALAR) {
        bool merged = x->numbers_merge && kind == KIND_DOUBLE;
        if (list && !merged && x->pub.kinds & ~(1u << kind)) /* an element has no siblings */
            return err_set(e, ERR_CONFLICT, "elements of %s were made of another type by somebody else",
                           up->name);
        if (!(x->pub.kinds & 1u << kind))
            r->leaves++;
        if (kind == KIND_LONG && !(x->pub.table_kinds & 1u << KIND_DOUBLE))
            x->numbers_merge = false; /* agreed before the first double came: that gets a sibling */
        add_kind(&x->pub.kinds, kind);
        add_kind(&x->pub.table_kinds, kind);
        x->pub.field_id[kind] = f->id;
        return 0;
    }
    x->group_id = f->id;
    return place == PLACE_RESCUE ? 0 : bind_children(r, x, f, e);
}

static int bind_children(struct registry *r, struct node *up, const struct field *parent,
                         struct err *e)
{
    for (uint32_t i = 0; i < parent->n_children; i++) {
        const struct field *f = &parent->children[i];
        if (!up->pub.parent && in_envelope(r, f))
            continue;
        if (bind_field(r, up, f, e))
            return -1;
    }
    return 0;
}

/* Is every column that nodes are bound to still there? */
static int bound_there(const struct node *up, const struct schema *agreed, struct err *e)
{
    for (uint32_t i = 0; i < up->n_order; i++) {
        const struct node *x = up->order[i];
        for (int k = 0; k < KIND_COUNT; k++)
            if (x->pub.field_id[k] && !schema_find_id(agreed, x->pub.field_id[k]))
                return err_set(e, ERR_CONFLICT, "column %s was dropped by somebody", x->name);
        if (bound_there(x, agreed, e))
            return -1;
    }
    return 0;
}

static void bind_former(struct registry *r, struct node *up, const struct field *parent,
                        const struct schema *agreed)
{
    for (uint32_t i = 0; i < parent->n_children; i++) {
        const struct field *f = &parent->children[i];
        bool list = up->pub.place == PLACE_LIST;
        const char *key = list ? "" : f->doc ? f->doc : f->name;
        enum kind kind;
        struct node *x = map_get(&up->children, key, strlen(key));
        if (!up->pub.parent && in_envelope(r, f))
            continue;
        if (schema_find_id(agreed, f->id)) {
            if (x && (f->kind == TYPE_STRUCT || f->kind == TYPE_LIST))
                bind_former(r, x, f, agreed);
        } else if (!x) {
            x = node_new(r, up, key, strlen(key), PLACE_RESCUE);
            x->name = mem_strdup(f->name);
            apply_declaration(r, x);
        } else if (scalar_kind(f, &kind) && !(x->pub.table_kinds & 1u << kind)) {
            x->dropped |= 1u << kind;
        }
    }
}

void registry_bind_former(struct registry *r, const struct schema *former,
                          const struct schema *agreed)
{
    pthread_mutex_lock(&r->lock);
    bind_former(r, r->root, &former->root, agreed);
    pthread_mutex_unlock(&r->lock);
}

int registry_bind(struct registry *r, const struct schema *agreed, struct err *e)
{
    pthread_mutex_lock(&r->lock);
    int rc = bound_there(r->root, agreed, e) || bind_children(r, r->root, &agreed->root, e) ? -1 : 0;
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* ---- proposing ---- */

/* Its number among the parent's; n_children: it is not there. */
static uint32_t group_in(const struct field *parent, const struct node *x)
{
    uint32_t i = 0;
    while (i < parent->n_children && (!x->group_id || parent->children[i].id != x->group_id))
        i++;
    return i;
}

static bool has_leaf(const struct node *x)
{
    if (x->pub.kinds)
        return true;
    for (uint32_t i = 0; i < x->n_order; i++)
        if (has_leaf(x->order[i]))
            return true;
    return false;
}

static struct node *first_leaf(struct node *x)
{
    bool column = x->pub.place == PLACE_SCALAR || x->pub.place == PLACE_DECLARED;
    struct node *found = column && x->pub.kinds ? x : NULL;
    for (uint32_t i = 0; i < x->n_order && !found; i++)
        found = first_leaf(x->order[i]);
    return found;
}

struct rnode *registry_leaf(struct registry *r, struct rnode *node)
{
    pthread_mutex_lock(&r->lock);
    struct node *x = first_leaf((struct node *)node);
    pthread_mutex_unlock(&r->lock);
    return x ? &x->pub : NULL;
}

static bool name_free(const struct field *parent, const char *name)
{
    for (uint32_t i = 0; i < parent->n_children; i++)
        if (strcasecmp(parent->children[i].name, name) == 0)
            return false;
    return true;
}

/* `name`, or `name_suffix`; where another key's column has it by now (two workers, each with a key of
 * its own), numbered. Never none: the values are there already, and `doc` says whose they are. */
static void free_name(const struct field *parent, const char *name, const char *suffix, char *out,
                      size_t size)
{
    snprintf(out, size, "%s%s%s", name, suffix ? "_" : "", suffix ? suffix : "");
    for (unsigned i = 2; !name_free(parent, out); i++)
        snprintf(out, size, "%s%s%s_%u", name, suffix ? "_" : "", suffix ? suffix : "", i);
}

static uint32_t kinds_without_column(const struct node *x)
{
    uint32_t kinds = x->pub.kinds & ~x->pub.table_kinds;
    if (x->numbers_merge && !__atomic_load_n(&x->pub.inexact_long, __ATOMIC_RELAXED))
        kinds &= ~(1u << KIND_LONG); /* every long goes into the double column */
    return kinds;
}

static void propose_scalar(const struct node *x, struct field *parent, int32_t *last)
{
    uint32_t kinds = kinds_without_column(x);
    /* The plain name: the double where numbers merge first, else the kind that came first. */
    enum kind plain = x->first_kind;
    if (x->numbers_merge && (plain == KIND_LONG || plain == KIND_DOUBLE))
        plain = KIND_DOUBLE;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < KIND_COUNT; i++) {
            /* The double before the long: binding a long alone ends the merging of numbers. */
            int k = i == KIND_LONG ? KIND_DOUBLE : i == KIND_DOUBLE ? KIND_LONG : i;
            char name[600];
            bool is_plain = (enum kind)k == plain && !x->pub.table_kinds;
            if (!(kinds & 1u << k) || is_plain != (pass == 0))
                continue;
            free_name(parent, x->name, is_plain ? NULL : kind_names[k], name, sizeof name);
            struct field *f = field_add(parent, ++*last, name, x->pub.key, false,
                                        column_type((enum kind)k));
            f->precision = k == KIND_DECIMAL ? x->pub.precision : 0;
            f->scale = k == KIND_DECIMAL ? x->pub.scale : 0;
        }
}

static bool is_group(const struct node *x)
{
    return !x->pub.kinds && (x->pub.place == PLACE_STRUCT || x->pub.place == PLACE_LIST) && has_leaf(x);
}

/* Most proposals find nothing new: that costs no copy of the schema. */
static bool anything_new(const struct node *up, const struct field *parent)
{
    bool new = false;
    for (uint32_t i = 0; i < up->n_order && !new; i++) {
        const struct node *x = up->order[i];
        uint32_t group;
        if (!is_group(x))
            new = kinds_without_column(x) != 0;
        else if ((group = group_in(parent, x)) == parent->n_children)
            new = true;
        else
            new = anything_new(x, &parent->children[group]);
    }
    return new;
}

static void propose_children(const struct node *up, struct field *parent, int32_t *last)
{
    for (uint32_t i = 0; i < up->n_order; i++) {
        const struct node *x = up->order[i];
        if (!is_group(x)) {
            propose_scalar(x, parent, last);
            continue;
        }
        uint32_t group = group_in(parent, x);
        if (group == parent->n_children) {
            char name[600];
            free_name(parent, x->name, NULL, name, sizeof name);
            field_add(parent, ++*last, name, up->pub.place == PLACE_LIST ? NULL : x->pub.key, false,
                      x->pub.place == PLACE_STRUCT ? TYPE_STRUCT : TYPE_LIST);
        }
        propose_children(x, &parent->children[group], last);
    }
}

int registry_propose(struct registry *r, const struct schema *current, int32_t last_column_id,
                     struct schema *out, struct err *e)
{
    int32_t last = last_column_id;
    pthread_mutex_lock(&r->lock);
    int rc = bind_children(r, r->root, &current->root, e);
    if (!rc && anything_new(r->root, &current->root)) {
        schema_dup(out, current);
        propose_children(r->root, &out->root, &last);
        rc = 1;
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

int32_t registry_target(const struct rnode *node, enum kind kind, bool *merge_double,
                        int32_t *inexact_id)
{
    const struct node *x = (const struct node *)node;
    uint32_t has = node->table_kinds;
    *merge_double = false;
    *inexact_id = 0;
    if (kind == KIND_LONG && (has & 1u << KIND_DOUBLE) &&
        (x->numbers_merge || !(has & 1u << KIND_LONG))) {
        *merge_double = true;
        *inexact_id = node->field_id[KIND_LONG];
        return node->field_id[KIND_DOUBLE];
    }
    return node->field_id[kind];
}
