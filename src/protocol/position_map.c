/* See position_map.h. JSON by jansson; everything else here is bounds. */
#include "protocol/position_map.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ENDED_DIGITS_MAX 18

void position_map_fini(struct position_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->list[i].shard);
    free(m->list);
    *m = (struct position_map){0};
}

/* The index of the shard, or where it belongs. */
static size_t find(const struct position_map *m, const char *shard, bool *found)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(m->list[mid].shard, shard) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < m->n && strcmp(m->list[low].shard, shard) == 0;
    return low;
}

const struct position *position_map_get(const struct position_map *m, const char *shard)
{
    bool found;
    size_t i = find(m, shard, &found);
    return found ? &m->list[i] : NULL;
}

struct seq position_map_at(const struct position_map *m, const char *shard)
{
    const struct position *p = position_map_get(m, shard);
    return p ? p->at : SEQ_NONE;
}

void position_map_set(struct position_map *m, const char *shard, struct seq at, const char *note,
                      int64_t ended_ms)
{
    bool found;
    size_t i = find(m, shard, &found);
    if (!found) {
        m->list = mem_regrow(m->list, m->n + 1, sizeof *m->list);
        memmove(&m->list[i + 1], &m->list[i], (m->n - i) * sizeof *m->list);
        m->list[i] = (struct position){.shard = mem_strdup(shard)};
        m->n++;
    }
    m->list[i].at = at;
    m->list[i].ended_ms = ended_ms;
    snprintf(m->list[i].note, sizeof m->list[i].note, "%s", note ? note : "");
}

bool position_map_remove(struct position_map *m, const char *shard)
{
    bool found;
    size_t i = find(m, shard, &found);
    if (!found)
        return false;
    free(m->list[i].shard);
    m->n--;
    memmove(&m->list[i], &m->list[i + 1], (m->n - i) * sizeof *m->list);
    return true;
}

size_t position_map_expire(struct position_map *m, int64_t unix_now_ms)
{
    size_t kept = 0, n = m->n;
    for (size_t i = 0; i < n; i++) {
        int64_t ended = m->list[i].ended_ms;
        if (ended && ended < unix_now_ms && unix_now_ms - ended > PROTOCOL_ENDED_KEEP_MS)
            free(m->list[i].shard);
        else
            m->list[kept++] = m->list[i];
    }
    m->n = kept;
    return n - kept;
}

/* ---- text */

static int parse_ended(const char *p, size_t n, int64_t *out)
{
    *out = 0;
    if (n == 0 || n > ENDED_DIGITS_MAX)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        *out = *out * 10 + (p[i] - '0');
    }
    return *out > 0 ? 0 : -1;
}

static int parse_position(struct position *out, const char *text, size_t n, struct err *e)
{
    const char *colon = memchr(text, ':', n);
    size_t digits = colon ? (size_t)(colon - text) : n;
    if (seq_parse(&out->at, text, digits, e))
        return -1;
    if (!colon)
        return 0;
    const char *note = colon + 1, *end = text + n;
    const char *mark = memchr(note, '@', (size_t)(end - note));
    size_t note_n = (size_t)((mark ? mark : end) - note);
    bool good = note_n < sizeof out->note;
    for (size_t i = 0; i < note_n && good; i++)
        good = (unsigned char)note[i] >= 0x20;
    if (good && mark)
        good = parse_ended(mark + 1, (size_t)(end - mark - 1), &out->ended_ms) == 0;
    if (!good)
        return err_set(e, ERR_INVALID, "not a position: '%.60s'", text);
    memcpy(out->note, note, note_n);
    out->note[note_n] = '\0';
    return 0;
}

static int parse_object(struct position_map *m, json_t *root, struct err *e)
{
    const char *shard;
    json_t *value;
    json_object_foreach(root, shard, value)
    {
        struct position p = {0};
        const char *text = json_string_value(value);
        if (!text)
            return err_set(e, ERR_INVALID, "the position of '%.60s' is not a string", shard);
        if (parse_position(&p, text, json_string_length(value), e))
            return -1;
        position_map_set(m, shard, p.at, p.note, p.ended_ms);
    }
    return 0;
}

int position_map_parse(struct position_map *m, const char *text, struct err *e)
{
    *m = (struct position_map){0};
    if (!text)
        return 0;
    json_error_t why;
    if (strlen(text) > POSITION_MAP_TEXT_MAX)
        return err_set(e, ERR_INVALID, "positions of more than %zu bytes", POSITION_MAP_TEXT_MAX);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    int rc = -1;
    if (!root)
        err_set(e, ERR_INVALID, "positions are not JSON: %s", why.text);
    else if (!json_is_object(root) || json_object_size(root) > POSITION_MAP_SHARDS_MAX)
        err_set(e, ERR_INVALID, "positions are not an object of at most %u shards",
                POSITION_MAP_SHARDS_MAX);
    else
        rc = parse_object(m, root, e);
    json_decref(root);
    if (rc)
        position_map_fini(m);
    return rc;
}

char *position_map_text(const struct position_map *m)
{
    json_t *root = json_object();
    invariant(root);
    for (size_t i = 0; i < m->n; i++) {
        const struct position *p = &m->list[i];
        char text[SEQ_TEXT_MAX + PROTOCOL_NOTE_MAX + ENDED_DIGITS_MAX + 8];
        size_t n = seq_format(p->at, text);
        if (p->note[0] || p->ended_ms)
            n += (size_t)snprintf(text + n, sizeof text - n, ":%s", p->note);
        if (p->ended_ms)
            snprintf(text + n, sizeof text - n, "@%lld", (long long)p->ended_ms);
        invariant(json_object_set_new(root, p->shard, json_string(text)) == 0);
    }
    char *json = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    invariant(json);
    char *out = mem_strdup(json);
    free(json);
    json_decref(root);
    return out;
}

bool position_map_by_loads(const char *key)
{
    const char *identity = key + sizeof POSITION_MAP_PREFIX - 1;
    return strncmp(identity, "file:", 5) == 0 || strncmp(identity, "s3:", 3) == 0;
}

char *position_map_key(const char *identity)
{
    return mem_printf(POSITION_MAP_PREFIX "%s", identity);
}

char *position_map_cover_key(const char *table, const char *identity)
{
    return mem_printf(POSITION_MAP_COVER_PREFIX "%s:%s", table, identity);
}
