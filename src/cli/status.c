/* status: how a lake stands: each table's last commit and rate, each stream's shards with who reads them, how
 * far, and how far behind; or how a running worker is, by its --http address. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/render.h"
#include "codec/civil.h"
#include "net/http.h"
#include "protocol/position_map.h"
#include "source/kinesis.h"

#define HOUR_MS INT64_C(3600000)

struct shard_line {
    char *stream, *shard;
    struct seq least, most; /* of the tables' positions; `ended` in one of them */
    bool ended;
    int64_t behind_ms; /* -1: not known */
    struct lease lease;
    bool leased;
};

struct status {
    const struct config *config;
    bool json;
    int64_t now_ms;
    struct map by_key; /* "<stream>\n<shard>" -> struct shard_line * */
    struct shard_line **lines;
    size_t n_lines, n_files; /* shards of streams; files that were loaded */
    struct map files;
    struct render_table table;
    struct buf out;
    size_t n_tables;
};

/* ---- gathering ---- */

static struct shard_line *line_of(struct status *s, const char *stream, const char *shard)
{
    char *key = mem_printf("%s\n%s", stream, shard);
    struct shard_line *line = map_get(&s->by_key, key, strlen(key));
    if (!line) {
        line = mem_zalloc(sizeof *line);
        line->stream = mem_strdup(stream);
        line->shard = mem_strdup(shard);
        line->least = SEQ_END;
        line->behind_ms = -1;
        s->lines = mem_regrow(s->lines, s->n_lines + 1, sizeof(struct shard_line *));
        s->lines[s->n_lines++] = line;
        map_set(&s->by_key, key, strlen(key), line);
    }
    free(key);
    return line;
}

static void on_property(void *ctx, const char *key, const char *value)
{
    struct status *s = ctx;
    struct position_map map = {0};
    struct err ignored = {0};
    size_t prefix = strlen(POSITION_MAP_PREFIX);
    if (strncmp(key, POSITION_MAP_PREFIX, prefix) != 0)
        return;
    const char *stream = key + prefix;
    if (strncmp(stream, "arn:", 4) != 0) {
        if (strncmp(stream, "file:", 5) != 0)
            return;
        if (!map_get(&s->files, stream, strlen(stream)))
            s->n_files++;
        map_set(&s->files, stream, strlen(stream), s);
        return;
    }
    if (position_map_parse(&map, value, &ignored))
        return;
    for (size_t i = 0; i < map.n; i++) {
        struct shard_line *line = line_of(s, stream, map.list[i].shard);
        line->least = seq_min(line->least, map.list[i].at);
        line->most = seq_max(line->most, map.list[i].at);
        line->ended |= map.list[i].ended_ms != 0;
    }
    position_map_fini(&map);
}

/* The leases of every stream that a table knows. */
static void read_leases(struct status *s, struct err *e)
{
    struct lease_store *store = open_leases(s->config, OPEN_LOOK, NULL, e);
    struct map seen = {0};
    size_t n_lines = s->n_lines;
    for (size_t i = 0; store && i < n_lines; i++) {
        const char *stream = s->lines[i]->stream;
        struct lease *leases = NULL;
        size_t n = 0;
        if (map_get(&seen, stream, strlen(stream)))
            continue;
        map_set(&seen, stream, strlen(stream), s);
        if (store->ops->list(store, stream, &leases, &n, e))
            break;
        for (size_t k = 0; k < n; k++) {
            struct shard_line *line = line_of(s, stream, leases[k].shard);
            line->lease = leases[k];
            line->leased = true;
            leases[k] = (struct lease){0};
        }
        lease_list_free(leases, n);
    }
    map_fini(&seen);
    lease_store_close(store);
}

static json_t *call(struct kinesis_api *api, const char *action, json_t *q, struct err *e)
{
    struct buf answer = {0};
    char *body = json_dumps(q, JSON_COMPACT);
    json_t *out = NULL;
    if (kinesis_api_insist(api, action, body, strlen(body), &answer, e) == 0)
        out = json_loadb((const char *)answer.p, answer.n, 0, NULL);
    free(body);
    buf_fini(&answer);
    json_decref(q);
    return out;
}

/* What the stream says of one shard: how far its tip is beyond the checkpoint. */
static int64_t behind(struct kinesis_api *api, const char *name, const struct shard_line *line,
                      struct err *e)
{
    char seq[SEQ_TEXT_MAX];
    bool begun = line->leased && line->lease.resolved && seq_cmp(line->lease.checkpoint, SEQ_NONE) != 0;
    json_t *q = json_pack("{s:s,s:s,s:s}", "StreamName", name, "ShardId", line->shard,
                          "ShardIteratorType", begun ? "AFTER_SEQUENCE_NUMBER" : "TRIM_HORIZON");
    if (begun) {
        seq_format(line->lease.checkpoint, seq);
        json_object_set_new(q, "StartingSequenceNumber", json_string(seq));
    }
    json_t *a = call(api, "GetShardIterator", q, e);
    const char *iterator = json_string_value(json_object_get(a, "ShardIterator"));
    json_t *r = iterator ? call(api, "GetRecords",
                                json_pack("{s:s,s:i}", "ShardIterator", iterator, "Limit", 1), e)
                         : NULL;
    const json_t *ms = json_object_get(r, "MillisBehindLatest");
    int64_t out = json_is_integer(ms) ? (int64_t)json_integer_value(ms) : -1;
    json_decref(a);
    json_decref(r);
    return out;
}

static void read_lag(struct status *s, const char *name, struct err *e)
{
    struct kinesis_api *api = kinesis_api_open(e);
    char *part = mem_printf(":stream/%s@", name);
    for (size_t i = 0; api && i < s->n_lines; i++) {
        struct shard_line *line = s->lines[i];
        bool over = line->leased && seq_cmp(line->lease.checkpoint, SEQ_END) == 0;
        if (strstr(line->stream, part) && !over)
            line->behind_ms = behind(api, name, line, e);
    }
    free(part);
    kinesis_api_close(api);
}

/* ---- tables ---- */

struct rate {
    int64_t since_ms, rows, commits, files;
};

static void on_snapshot(void *ctx, const struct table_snapshot *snapshot)
{
    struct rate *r = ctx;
    if (snapshot->made_ms < r->since_ms)
        return;
    r->rows += snapshot->added_rows;
    r->files += snapshot->added_files;
    r->commits++;
}

static char *when(int64_t ms, char out[CIVIL_TEXT_MAX])
{
    if (ms > 0)
        civil_format_us(ms * 1000, out);
    else
        strcpy(out, "-");
    return out;
}

static int table_line(struct status *s, const struct lake *lake, const char *name, struct err *e)
{
    struct rate r = {.since_ms = s->now_ms - HOUR_MS};
    struct table_facts f = {0};
    char commit[CIVIL_TEXT_MAX];
    struct table *t = table_load(lake, name, e);
    if (!t || table_facts(t, &f, e)) {
        table_free(t);
        return err_wrap(e, "table %s", name);
    }
    table_snapshots(t, on_snapshot, &r);
    table_properties(t, on_property, s);
    when(f.last_commit_ms, commit);
    if (s->json) {
        buf_puts(&s->out, s->n_tables ? ",\n  {\"table\": " : "\n  {\"table\": ");
        render_json_string(&s->out, name);
        buf_printf(&s->out,
                   ", \"rows\": %" PRIi64 ", \"rows_last_hour\": %" PRIi64
                   ", \"commits_last_hour\": %" PRIi64 ", \"files_last_hour\": %" PRIi64
                   ", \"last_commit\": ",
                   f.rows, r.rows, r.commits, r.files);
        if (*commit == '-')
            buf_puts(&s->out, "null}");
        else
            buf_printf(&s->out, "\"%s\"}", commit);
    } else {
        render_table_cell(&s->table, name);
        render_table_number(&s->table, f.rows);
        render_table_number(&s->table, r.rows);
        render_table_number(&s->table, r.commits);
        render_table_number(&s->table, r.files);
        render_table_cell(&s->table, commit);
    }
    s->n_tables++;
    table_free(t);
    return 0;
}

/* ---- showing ---- */

static int by_name(const void *a, const void *b)
{
    const struct shard_line *x = *(struct shard_line *const *)a, *y = *(struct shard_line *const *)b;
    int c = strcmp(x->stream, y->stream);
    return c ? c : strcmp(x->shard, y->shard);
}

static void shard_json(struct status *s, const struct shard_line *line, bool first)
{
    char least[SEQ_TEXT_MAX], most[SEQ_TEXT_MAX], at[SEQ_TEXT_MAX];
    bool any = seq_cmp(line->most, SEQ_NONE) != 0;
    seq_format(any ? line->least : SEQ_NONE, least);
    seq_format(line->most, most);
    seq_format(line->lease.checkpoint, at);
    buf_puts(&s->out, first ? "\n  {\"stream\": " : ",\n  {\"stream\": ");
    render_json_string(&s->out, line->stream);
    buf_puts(&s->out, ", \"shard\": ");
    render_json_string(&s->out, line->shard);
    buf_printf(&s->out, ", \"least_position\": \"%s\", \"greatest_position\": \"%s\"", least, most);
    buf_puts(&s->out, ", \"checkpoint\": ");
    if (line->leased && line->lease.resolved)
        render_json_string(&s->out, at);
    else
        buf_puts(&s->out, "null");
    buf_puts(&s->out, ", \"owner\": ");
    if (line->lease.owner)
        render_json_string(&s->out, line->lease.owner);
    else
        buf_puts(&s->out, "null");
    buf_puts(&s->out, ", \"lag_seconds\": ");
    if (line->behind_ms >= 0)
        buf_printf(&s->out, "%.3f}", (double)line->behind_ms / 1000);
    else
        buf_puts(&s->out, "null}");
}

/* Sequence numbers are of 56 digits: their ends tell them apart. */
static const char *short_seq(struct seq at, char out[SEQ_TEXT_MAX])
{
    size_t n = seq_format(at, out);
    if (n > 20) {
        memmove(out + 3, out + n - 14, 15);
        memset(out, '.', 3);
    }
    return out;
}

static void shard_text(struct render_table *t, const struct shard_line *line)
{
    char seq[SEQ_TEXT_MAX], lag[32];
    const char *name = strstr(line->stream, ":stream/");
    char *stream = mem_strndup(name ? name + 8 : line->stream, name ? strcspn(name + 8, "@") : strlen(line->stream));
    bool over = line->leased && seq_cmp(line->lease.checkpoint, SEQ_END) == 0;
    snprintf(lag, sizeof lag, "%.1f s", (double)line->behind_ms / 1000);
    render_table_cell(t, stream);
    render_table_cell(t, line->shard);
    render_table_cell(t, line->leased && line->lease.resolved ? short_seq(line->lease.checkpoint, seq) : "-");
    render_table_cell(t, short_seq(line->most, seq));
    render_table_cell(t, line->lease.owner ? line->lease.owner : "-");
    render_table_cell(t, over ? "ended" : line->behind_ms >= 0 ? lag : "-");
    free(stream);
}

static void show_shards(struct status *s)
{
    static const char *const heads[] = {"STREAM", "SHARD", "CHECKPOINT", "NEWEST POSITION", "READ BY", "LAG"};
    struct render_table t;
    if (s->n_lines)
        qsort(s->lines, s->n_lines, sizeof(struct shard_line *), by_name);
    render_table_init(&t, 6, 0x2c);
    for (int i = 0; i < 6; i++)
        render_table_cell(&t, heads[i]);
    for (size_t i = 0; i < s->n_lines; i++) {
        if (s->json)
            shard_json(s, s->lines[i], i == 0);
        else
            shard_text(&t, s->lines[i]);
    }
    if (!s->json && s->n_lines) {
        buf_putc(&s->out, '\n');
        render_table_print(&t, &s->out);
    }
    if (!s->json && s->n_files)
        buf_printf(&s->out, "\n%zu file%s loaded\n", s->n_files, s->n_files == 1 ? "" : "s");
    render_table_fini(&t);
}

static int show(struct status *s, struct err *e)
{
    static const char *const heads[] = {"TABLE", "ROWS", "ROWS/HOUR", "COMMITS/HOUR", "FILES/HOUR", "LAST COMMIT"};
    struct open_lake l;
    char **names = NULL;
    size_t n = 0;
    int rc = open_lake(&l, s->config, OPEN_LOOK, NULL, e) || lake_tables(&l.lake, &names, &n, e) ? -1 : 0;
    render_table_init(&s->table, 6, 0x1e);
    for (int i = 0; i < 6; i++)
        render_table_cell(&s->table, heads[i]);
    buf_puts(&s->out, s->json ? "{\"tables\": [" : "");
    for (size_t i = 0; i < n; i++) {
        rc = rc ? rc : table_line(s, &l.lake, names[i], e);
        free(names[i]);
    }
    free(names);
    if (!rc && !s->json)
        render_table_print(&s->table, &s->out);
    render_table_fini(&s->table);
    open_lake_close(&l);
    return rc;
}

static void status_fini(struct status *s)
{
    for (size_t i = 0; i < s->n_lines; i++) {
        lease_fini(&s->lines[i]->lease);
        free(s->lines[i]->stream);
        free(s->lines[i]->shard);
        free(s->lines[i]);
    }
    free(s->lines);
    map_fini(&s->by_key);
    map_fini(&s->files);
    buf_fini(&s->out);
}

/* ---- a worker ---- */

static int fetch(struct http *h, const char *address, const char *path, struct buf *out, struct err *e)
{
    struct http_response r = {0};
    char *url = mem_printf("http://%s%s", address, path);
    struct http_request q = {.method = "GET", .url = url, .timeout_ms = 10000};
    int rc = http_do(h, &q, &r, e);
    if (!rc)
        buf_put(out, r.body.p, r.body.n);
    http_response_fini(&r);
    free(url);
    return rc;
}

static double sample(struct buf *metrics, const char *name)
{
    char *at = mem_printf("\n%s ", name);
    const char *found = strstr(buf_cstr(metrics), at);
    double v = found ? strtod(found + strlen(at), NULL) : 0;
    free(at);
    return v;
}

static void show_worker(struct buf *metrics, double rate, struct buf *health, struct buf *ready,
                        bool json, struct buf *out)
{
    static const char *const labels[][3] = {
        {"records", "records", "inlet_records_total"},
        {"lag_seconds", "lag, seconds", "inlet_lag_seconds"},
        {"uncommitted_age_seconds", "oldest uncommitted, s", "inlet_uncommitted_age_seconds"},
        {"shards", "shards", "inlet_shards"},
        {"tables", "tables", "inlet_tables"},
        {"tables_unavailable", "tables unavailable", "inlet_tables_unavailable"}};
    int h = (int)strcspn(buf_cstr(health), "\n"), r = (int)strcspn(buf_cstr(ready), "\n");
    if (json)
        buf_printf(out, "{\"health\": %.*s, \"ready\": %.*s, \"records_per_second\": %.0f", h,
                   buf_cstr(health), r, buf_cstr(ready), rate);
    else
        buf_printf(out, "%-22s %.*s\n%-22s %.*s\n%-22s %.0f\n", "health", h, buf_cstr(health), "ready",
                   r, buf_cstr(ready), "records a second", rate);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        buf_printf(out, json ? ", \"%s\": %.15g" : "%-22s %.15g\n", labels[i][!json],
                   sample(metrics, labels[i][2]));
    buf_puts(out, json ? "}\n" : "");
}

/* Two looks, a second apart: what they differ by is the rate. */
static int worker_status(const char *address, bool json)
{
    struct http *h = http_new();
    struct buf health = {0}, ready = {0}, first = {0}, second = {0}, out = {0};
    struct err e = {0};
    int rc = fetch(h, address, "/healthz", &health, &e) || fetch(h, address, "/readyz", &ready, &e) ||
             fetch(h, address, "/metrics", &first, &e);
    clock_system.sleep_ms(NULL, rc ? 0 : 1000);
    rc = rc || fetch(h, address, "/metrics", &second, &e);
    http_free(h);
    if (rc) {
        err_wrap(&e, "--worker %s", address);
    } else {
        double rate = sample(&second, "inlet_records_total") - sample(&first, "inlet_records_total");
        show_worker(&second, rate, &health, &ready, json, &out);
    }
    buf_fini(&health);
    buf_fini(&ready);
    buf_fini(&first);
    buf_fini(&second);
    return rc ? commands_fail(&e) : commands_print(&out);
}

int status_command(struct config *c, int n_args, char **args)
{
    const struct options *o = &c->options;
    struct status s = {.config = c,
                       .json = options_flag(o, OPT_JSON),
                       .now_ms = clock_wall_ms(&clock_system)};
    const char *uri = options_text(o, OPT_STREAM), *worker = options_text(o, OPT_WORKER);
    struct err e = {0}, soft = {0};
    (void)n_args, (void)args;
    if (worker)
        return worker_status(worker, s.json);
    const char *name = uri ? config_stream_name(uri, &e) : NULL;
    if (!options_text(o, OPT_LAKE) || (uri && !name)) {
        if (!*e.text)
            err_set(&e, ERR_INVALID, "--lake DIR is needed, or --worker ADDR for a running worker");
        commands_fail(&e);
        return EXIT_USAGE;
    }
    int rc = show(&s, &e);
    if (!rc) {
        read_leases(&s, &soft);
        if (name && s.n_lines)
            read_lag(&s, name, &soft);
        buf_puts(&s.out, s.json ? "\n], \"shards\": [" : "");
        show_shards(&s);
        if (s.json)
            buf_printf(&s.out, "\n], \"files_loaded\": %zu}\n", s.n_files);
        if (soft.kind && soft.kind != ERR_NOTFOUND)
            fprintf(stderr, "inlet: %s\n", soft.text);
    }
    rc = rc ? commands_fail(&e) : commands_print(&s.out);
    status_fini(&s);
    return rc;
}
