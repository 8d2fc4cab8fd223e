/* config: what the options say, checked as a whole. The only file that knows both the option table
 * and the pipeline's struct. */
#include "cli/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "catalog/catalog.h"
#include "cli/conftree.h"
#include "cli/render.h"
#include "event/event.h"
#include "lease/lease.h"

#define SECRET_SHOWN "\"(secret)\""
#define HASH_KEY_MAX 4096

void config_init(struct config *c)
{
    memset(c, 0, sizeof *c);
    options_init(&c->options);
}

static void free_const(const char *p)
{
    free((void *)(uintptr_t)p);
}

static void table_fini(struct pipeline_table_config *t)
{
    for (size_t i = 0; t->partition_by && t->partition_by[i]; i++)
        free_const(t->partition_by[i]);
    for (size_t i = 0; i < t->n_columns; i++) {
        free_const(t->columns[i].path);
        free_const(t->columns[i].type);
    }
    free_const(t->name);
    free((void *)(uintptr_t)t->partition_by);
    free((void *)(uintptr_t)t->columns);
}

void config_fini(struct config *c)
{
    for (size_t i = 0; i < c->n_tables; i++)
        table_fini(&c->tables[i]);
    free(c->tables);
    if (c->hash_key)
        explicit_bzero(c->hash_key, c->hash_key_n);
    free(c->hash_key);
    options_fini(&c->options);
    memset(c, 0, sizeof *c);
}

/* ---- the config file's tables */

static bool partition_known(const char *s)
{
    static const char *const known[] = {
        "event_subtype",     "event_name",      "year(event_time)",
        "month(event_time)", "day(event_time)", "hour(event_time)",
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(s, known[i]) == 0)
            return true;
    return false;
}

/* Engines refuse two fields of one name, and two units of one time say the same twice. */
static bool partitions_alike(const char *a, const char *b)
{
    return strcmp(a, b) == 0 || (strchr(a, '(') && strchr(b, '('));
}

static int read_partition(const struct conftree *t, const char *path,
                          struct pipeline_table_config *out, struct err *e)
{
    if (t->kind != CONFTREE_LIST)
        return err_set(e, ERR_INVALID, "%s:%d: partition_by is a list: [day(event_time)]", path,
                       t->line);
    const char **fields = mem_array(t->n + 1, sizeof *fields);
    out->partition_by = fields;
    for (size_t i = 0; i < t->n; i++) {
        const struct conftree *f = &t->children[i];
        if (f->kind != CONFTREE_TEXT || !partition_known(f->text))
            return err_set(e, ERR_INVALID,
                           "%s:%d: partition_by \"%.60s\" is not one of event_subtype, event_name, "
                           "year|month|day|hour(event_time)",
                           path, f->line, f->text ? f->text : "");
        for (size_t j = 0; j < i; j++)
            if (partitions_alike(fields[j], f->text))
                return err_set(e, ERR_INVALID, "%s:%d: partition_by: after %s there is no use for %s; leave one of them out",
                               path, f->line, fields[j], f->text);
        fields[i] = mem_strdup(f->text);
    }
    return 0;
}

static bool type_known(const char *s)
{
    static const char *const known[] = {"timestamptz", "double", "long", "string",
                                        "boolean",     "json",   "drop", "hash"};
    unsigned precision, scale;
    int end = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(s, known[i]) == 0)
            return true;
    return strlen(s) < 20 && sscanf(s, "decimal(%2u,%2u)%n", &precision, &scale, &end) == 2 &&
           end > 0 && !s[end] && precision >= 1 && precision <= 18 && scale <= precision;
}

/* They are the event's own in every table, and never inferred. */
static bool column_of_envelope(const char *path)
{
    return strcmp(path, "event_uuid") == 0 || strcmp(path, "event_name") == 0 || strcmp(path, "created_at") == 0;
}

/* What is kept whole, or rescued whole, would show what below it is to be hidden. */
static int check_hidden(const struct conftree *t, const char *path, const struct pipeline_table_config *table, struct err *e)
{
    for (size_t i = 0; i < table->n_columns; i++)
        for (size_t j = 0; j < table->n_columns; j++) {
            const struct declared_column *over = &table->columns[i], *under = &table->columns[j];
            size_t n = strlen(over->path);
            if (declared_hides(under->type) && !declared_hides(over->type) && strncmp(under->path, over->path, n) == 0 && under->path[n] == '.')
                return err_set(e, ERR_INVALID, "%s:%d: column %.100s: \"%s\" cannot be kept within column %.100s, which is declared "
                               "%s; declare one of them", path, t->children[j].line, under->path, under->type, over->path, over->type);
        }
    return 0;
}

static int read_columns(const struct conftree *t, const char *path,
                        struct pipeline_table_config *out, struct err *e)
{
    if (t->kind != CONFTREE_MAP)
        return err_set(e, ERR_INVALID, "%s:%d: columns maps paths to types: {price: double}", path,
                       t->line);
    struct declared_column *columns = mem_array(t->n + 1, sizeof *columns);
    out->columns = columns;
    for (size_t i = 0; i < t->n; i++) {
        const struct conftree *c = &t->children[i];
        if (c->kind != CONFTREE_TEXT || !type_known(c->text))
            return err_set(e, ERR_INVALID,
                           "%s:%d: column %.60s: \"%.60s\" is not one of string, long, double, "
                           "boolean, timestamptz, decimal(P,S) up to 18, json, hash, drop",
                           path, c->line, c->key, c->text ? c->text : "");
        if (column_of_envelope(c->key))
            return err_set(e, ERR_INVALID, "%s:%d: column %s has its type in every table, and takes no other", path, c->line,
                           c->key);
        columns[i] = (struct declared_column){mem_strdup(c->key), mem_strdup(c->text)};
        out->n_columns = i + 1;
    }
    return check_hidden(t, path, out, e);
}

/* A table is named by event types: what none leads to would never be looked at. */
static int check_table_name(const struct conftree *t, const char *path, struct err *e)
{
    struct event_name name;
    bool known = event_name_parse(t->key, strlen(t->key), &name) == REASON_NONE;
    if (known && strcmp(name.table, t->key) == 0)
        return 0;
    return err_set(e, ERR_INVALID, "%s:%d: table %.60s: no event type has a table of that name%s%s%s", path, t->line, t->key,
                   known ? "; did you mean \"" : "", known ? name.table : "", known ? "\"?" : "");
}

static int read_table(const struct conftree *t, const char *path, struct pipeline_table_config *out,
                      struct err *e)
{
    static const char *const keys[] = {"partition_by", "columns"};
    out->name = mem_strdup(t->key);
    if (t->kind != CONFTREE_MAP)
        return err_set(e, ERR_INVALID, "%s:%d: table %.60s: partition_by and columns belong here",
                       path, t->line, t->key);
    if (check_table_name(t, path, e))
        return -1;
    for (size_t i = 0; i < t->n; i++) {
        const struct conftree *c = &t->children[i];
        if (strcmp(c->key, keys[0]) == 0) {
            if (read_partition(c, path, out, e))
                return -1;
        } else if (strcmp(c->key, keys[1]) == 0) {
            if (read_columns(c, path, out, e))
                return -1;
        } else {
            const char *near = options_nearest(c->key, keys, 2);
            return err_set(e, ERR_INVALID, "%s:%d: unknown key \"%.60s\"%s%s%s", path, c->line,
                           c->key, near ? "; did you mean \"" : "", near ? near : "",
                           near ? "\"?" : "");
        }
    }
    return 0;
}

static int read_tables(struct config *c, const struct conftree *t, const char *path, struct err *e)
{
    if (t->kind != CONFTREE_MAP)
        return err_set(e, ERR_INVALID, "%s:%d: tables maps names to settings", path, t->line);
    c->tables = mem_array(t->n + 1, sizeof *c->tables);
    for (size_t i = 0; i < t->n; i++) {
        c->n_tables = i + 1;
        if (read_table(&t->children[i], path, &c->tables[i], e))
            return -1;
    }
    return 0;
}

/* `text` for an option: several words of one are written with commas. */
static int read_option(struct config *c, const struct conftree *t, const char *path, struct err *e)
{
    struct buf where = {0};
    if (t->kind != CONFTREE_TEXT && options_key_known(t->key))
        return err_set(e, ERR_INVALID, "%s:%d: %s: one value belongs here, no %s", path, t->line, t->key,
                       t->kind == CONFTREE_LIST ? "list (several have commas between them)" : "map");
    buf_printf(&where, "%.500s:%d", path, t->line);
    int rc = options_set_key(&c->options, t->key, t->text ? t->text : "", buf_cstr(&where), e);
    buf_fini(&where);
    return rc;
}

static int read_file(struct config *c, const char *path, struct err *e)
{
    struct conftree *root = conftree_load(path, e);
    int rc = -1;
    if (!root)
        return -1;
    if (root->kind != CONFTREE_MAP) {
        err_set(e, ERR_INVALID, "%s:1: a config file is a list of `key: value`", path);
        goto out;
    }
    for (size_t i = 0; i < root->n; i++) {
        const struct conftree *t = &root->children[i];
        rc = strcmp(t->key, "tables") == 0 ? read_tables(c, t, path, e) : read_option(c, t, path, e);
        if (rc)
            goto out;
    }
    rc = 0;
out:
    conftree_free(root);
    return rc;
}

int config_load(struct config *c, char *const *environment, struct err *e)
{
    if (options_set_environment(&c->options, environment, e))
        return -1;
    const char *path = options_text(&c->options, OPT_CONFIG);
    return path ? read_file(c, path, e) : 0;
}

/* ---- where things are */

/* It is a folder of the lake, and a part of every path in it. */
static int check_namespace(const char *ns, struct err *e)
{
    size_t n = strspn(ns, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    if (n && n <= 200 && !ns[n] && ns[0] != '.' && ns[n - 1] != '.' && !strstr(ns, ".."))
        return 0;
    return err_set(e, ERR_INVALID, "--namespace: \"%.200s\": in a directory it is of letters, digits, '_' and '-', with single "
                                   "dots between them", ns);
}

int config_lake(const struct config *c, const char **lake, char **catalog, struct err *e)
{
    const char *dir = options_text(&c->options, OPT_LAKE);
    const char *uri = options_text(&c->options, OPT_CATALOG);
    bool placed = !dir && uri && catalog_uri_places(uri);
    if (!dir && !placed)
        return err_set(e, ERR_INVALID,
                       "--lake DIR or s3://BUCKET/PREFIX is needed (or INLET_LAKE, or `lake:` in the "
                       "config file)");
    if (dir && strncmp(dir, "file://", 7) == 0)
        dir += 7;
    else if (dir && strncmp(dir, "file:/", 6) == 0) /* as Hadoop writes it */
        dir += 5;
    if (dir && strstr(dir, "://") && !store_is_s3(dir))
        return err_set(e, ERR_INVALID, "--lake %.200s: write a directory or s3://BUCKET/PREFIX", dir);
    if (dir && store_is_s3(dir) && !uri)
        return err_set(e, ERR_INVALID, "--lake %.200s: a lake in S3 needs --catalog, too: glue://DATABASE or "
                       "rest+https://HOST/PATH", dir);
    if (uri && catalog_uri_check(uri, e))
        return err_wrap(e, "--catalog");
    if (dir && !store_is_s3(dir) && check_namespace(config_namespace(c), e))
        return -1;
    *lake = dir;
    *catalog = uri ? mem_strdup(uri) : mem_printf("sqlite:%s/catalog.db", dir);
    return 0;
}

const char *config_namespace(const struct config *c)
{
    const char *uri = options_text(&c->options, OPT_CATALOG);
    const char *own = uri ? catalog_uri_namespace(uri) : NULL;
    return own ? own : options_text(&c->options, OPT_NAMESPACE);
}

struct catalog_options config_catalog(const struct config *c, const char *uri)
{
    const struct options *o = &c->options;
    return (struct catalog_options){
        .uri = uri,
        .clock = &clock_system,
        .rest = {.warehouse = options_text(o, OPT_CATALOG_WAREHOUSE),
                 .token = options_text(o, OPT_CATALOG_TOKEN),
                 .credential = options_text(o, OPT_CATALOG_CREDENTIAL),
                 .oauth2_uri = options_text(o, OPT_CATALOG_OAUTH2_URI),
                 .scope = options_text(o, OPT_CATALOG_SCOPE),
                 .sign = options_text(o, OPT_CATALOG_SIGN)}};
}

int config_store(const struct config *c, struct store_options *out, struct err *e)
{
    static const char *const encryption[] = {NULL, "AES256", "aws:kms"};
    const struct options *o = &c->options;
    *out = (struct store_options){
        .addressing = (enum store_addressing)options_number(o, OPT_S3_ADDRESSING),
        .encryption = encryption[options_number(o, OPT_S3_ENCRYPTION)],
        .kms_key = options_text(o, OPT_S3_KMS_KEY),
    };
    if (out->kms_key && out->encryption && strcmp(out->encryption, "aws:kms") != 0)
        return err_set(e, ERR_INVALID, "--s3-kms-key goes with --s3-encryption kms");
    return 0;
}

const char *config_stream_name(const char *uri, struct err *e)
{
    if (strncmp(uri, "kinesis://", 10) == 0 && uri[10])
        return uri + 10;
    err_set(e, ERR_INVALID, "--stream %.200s: write kinesis://NAME", uri);
    return NULL;
}

static int read_hash_key(struct config *c, struct err *e)
{
    const char *path = options_text(&c->options, OPT_HASH_KEY_FILE);
    if (!path || c->hash_key)
        return 0;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_errno(e, errno, "--hash-key-file %s", path);
    c->hash_key = mem_zalloc(HASH_KEY_MAX);
    c->hash_key_n = fread(c->hash_key, 1, HASH_KEY_MAX, f);
    fclose(f);
    while (c->hash_key_n && strchr("\r\n", c->hash_key[c->hash_key_n - 1]))
        c->hash_key_n--;
    if (!c->hash_key_n)
        return err_set(e, ERR_INVALID, "--hash-key-file %s: holds no key", path);
    return 0;
}

static int needs_hash_key(const struct config *c, struct err *e)
{
    for (size_t i = 0; i < c->n_tables; i++)
        for (size_t j = 0; j < c->tables[i].n_columns; j++)
            if (strcmp(c->tables[i].columns[j].type, "hash") == 0 && !c->hash_key_n)
                return err_set(e, ERR_INVALID,
                               "table %s, column %s is declared hash: that needs "
                               "--hash-key-file",
                               c->tables[i].name, c->tables[i].columns[j].path);
    return 0;
}

static void set_limits(const struct options *o, struct pipeline_config *out)
{
    out->memory_bytes = (size_t)options_number(o, OPT_MEMORY);
    out->threads = (uint32_t)options_number(o, OPT_THREADS);
    out->commit_interval_ms = options_number(o, OPT_COMMIT_INTERVAL) / 1000;
    out->follow = options_flag(o, OPT_FOLLOW);
    out->start_patience_ms = options_number(o, OPT_START_PATIENCE) / 1000;
    out->quarantine_after_ms = options_number(o, OPT_QUARANTINE_AFTER) / 1000;
    out->commit_bytes = (size_t)options_number(o, OPT_COMMIT_BYTES);
    out->dedup_window_us = options_number(o, OPT_DEDUP_WINDOW);
    out->dedup_bytes = (size_t)options_number(o, OPT_DEDUP_MEMORY);
    out->time_unit = (enum time_unit)options_number(o, OPT_CREATED_AT_UNIT);
    out->zstd_level = (int)options_number(o, OPT_ZSTD_LEVEL);
    out->tables_max = (uint32_t)options_number(o, OPT_MAX_TABLES);
    out->partitions_max = (uint32_t)options_number(o, OPT_MAX_PARTITIONS);
    out->limits.columns = (uint32_t)options_number(o, OPT_MAX_COLUMNS);
    out->sync = options_flag(o, OPT_FSYNC);
}

static int set_places(struct config *c, struct pipeline_config *out, struct err *e)
{
    const struct options *o = &c->options;
    const char *stream = options_text(o, OPT_STREAM), *catalog = options_text(o, OPT_CATALOG);
    const char *leases = options_text(o, OPT_LEASES);
    char *path = NULL;
    if (config_store(c, &out->store, e) || config_lake(c, &out->lake, &path, e))
        return -1;
    free(path);
    if (stream && !(out->stream = config_stream_name(stream, e)))
        return -1;
    if (leases && lease_uri_check(leases, e))
        return err_wrap(e, "--leases");
    out->catalog = catalog;
    out->leases = leases;
    return 0;
}

int config_pipeline(struct config *c, struct pipeline_config *out, struct err *e)
{
    const char *start = options_text(&c->options, OPT_START);
    pipeline_config_init(out);
    if (set_places(c, out, e) || read_hash_key(c, e) || needs_hash_key(c, e))
        return -1;
    set_limits(&c->options, out);
    out->start = strcmp(start, "latest") == 0         ? PIPELINE_LATEST
                 : strcmp(start, "trim-horizon") == 0 ? PIPELINE_TRIM_HORIZON
                                                      : PIPELINE_AT_TIME;
    out->start_time_ms = options_number(&c->options, OPT_START) / 1000;
    out->until_caught_up = options_flag(&c->options, OPT_UNTIL_CAUGHT_UP);
    out->ns = config_namespace(c);
    out->catalog_options = config_catalog(c, NULL);
    out->tables = c->tables;
    out->n_tables = c->n_tables;
    out->hash_key = c->hash_key;
    out->hash_key_n = c->hash_key_n;
    out->version = "inlet version " INLET_VERSION;
    return 0;
}

/* ---- inlet config */

static const char *origin_text(enum option_origin origin)
{
    static const char *const names[] = {"default", "config file", "environment", "command line"};
    return names[origin];
}

static void show_tables(const struct config *c, bool json, struct buf *out)
{
    buf_puts(out, json ? ",\n  \"tables\": {" : c->n_tables ? "tables:\n" : "");
    for (size_t i = 0; i < c->n_tables; i++) {
        const struct pipeline_table_config *t = &c->tables[i];
        buf_puts(out, json ? (i ? ", " : "") : "  ");
        render_json_string(out, t->name);
        buf_puts(out, ": {");
        if (t->partition_by) {
            buf_puts(out, "\"partition_by\": [");
            for (size_t j = 0; t->partition_by[j]; j++) {
                buf_puts(out, j ? ", " : "");
                render_json_string(out, t->partition_by[j]);
            }
            buf_puts(out, t->n_columns ? "], " : "]");
        }
        buf_puts(out, t->n_columns ? "\"columns\": {" : "");
        for (size_t j = 0; j < t->n_columns; j++) {
            buf_puts(out, j ? ", " : "");
            render_json_string(out, t->columns[j].path);
            buf_puts(out, ": ");
            render_json_string(out, t->columns[j].type);
        }
        buf_puts(out, t->n_columns ? "}}" : "}");
        buf_puts(out, json ? "" : "\n");
    }
    buf_puts(out, json ? "}" : "");
}

void config_show(const struct config *c, bool json, struct buf *out)
{
    bool first = true;
    buf_puts(out, json ? "{" : "");
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options_table()[i];
        const struct option_value *v = &c->options.values[i];
        if (!(o->commands & CMD_CONFIG) || !o->key || i == OPT_JSON)
            continue;
        if (!json) {
            struct buf line = {0};
            buf_printf(&line, "%s: ", o->key);
            if (v->text && o->kind == OPTION_SECRET)
                buf_puts(&line, SECRET_SHOWN);
            else if (v->text && (o->kind == OPTION_TEXT || o->kind == OPTION_TIME))
                render_json_string(&line, v->text);
            else
                buf_puts(&line, v->text ? v->text : "null");
            const char *text = buf_cstr(&line);
            /* An option without a value may not stand as a key: it is shown as a comment. */
            buf_printf(out, "%s%-*s  # %s\n", v->text ? "" : "# ", v->text ? 40 : 38, text,
                       origin_text(v->origin));
            buf_fini(&line);
            continue;
        }
        buf_puts(out, first ? "\n  " : ",\n  ");
        first = false;
        render_json_string(out, o->key);
        buf_puts(out, ": {\"value\": ");
        if (v->text)
            render_json_string(out, o->kind == OPTION_SECRET ? "(secret)" : v->text);
        else
            buf_puts(out, "null");
        buf_printf(out, ", \"origin\": \"%s\"}", origin_text(v->origin));
    }
    show_tables(c, json, out);
    buf_puts(out, json ? "\n}\n" : "");
}
