/* event: names, the tables they lead to, and the reasons for dead letters. Time is in time.c. */
#include "event/event.h"

#include <string.h>

#include "base/err.h"

static const struct {
    const char *code, *text;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {"none", "nothing is wrong with it"},
    [REASON_INVALID_JSON] = {"invalid_json", "the record is not valid JSON"},
    [REASON_INVALID_UTF8] = {"invalid_utf8", "the record is not valid UTF-8"},
    [REASON_NOT_AN_OBJECT] = {"not_an_object", "the record is JSON, but not an object"},
    [REASON_NESTING_TOO_DEEP] = {"nesting_too_deep", "the record's JSON is nested too deep"},
    [REASON_RECORD_TOO_LARGE] = {"record_too_large", "the record is larger than allowed"},
    [REASON_INVALID_RECORD] = {"invalid_record", "the record could not be decoded"},
    [REASON_MISSING_UUID] = {"missing_event_uuid", "event_uuid is absent or null"},
    [REASON_INVALID_UUID] = {"invalid_event_uuid",
                             "event_uuid is not a string of 1 to 256 bytes of valid text"},
    [REASON_MISSING_NAME] = {"missing_event_name", "event_name is absent or null"},
    [REASON_INVALID_NAME] = {"invalid_event_name",
                             "event_name is not a string of 1 to 1,024 bytes of valid text "
                             "without control characters, or its first part is empty"},
    [REASON_MISSING_CREATED_AT] = {"missing_created_at", "created_at is absent or null"},
    [REASON_INVALID_CREATED_AT] = {"invalid_created_at",
                                   "created_at is neither a number nor a string that holds one"},
    [REASON_CREATED_AT_OUT_OF_RANGE] = {"created_at_out_of_range",
                                        "created_at is outside the years 1970 to 9999"},
    [REASON_TOO_MANY_TABLES] = {"too_many_tables",
                                "its event_type would need a table beyond the limit"},
    [REASON_TABLE_UNAVAILABLE] = {"table_unavailable",
                                  "the table of its event_type cannot be used"},
};

const char *event_record_hint(const uint8_t *p, size_t n)
{
    static const struct {
        const char *begins, *text;
    } known[] = {
        {"\xf3\x89\x9a\xc2", "; it begins as an aggregate of the KPL, but its checksum or its fields are broken"},
        {"\x1f\x8b", "; it looks compressed by gzip"},
        {"\x28\xb5\x2f\xfd", "; it looks compressed by zstd"},
        {"\xef\xbb\xbf", "; it begins with a byte order mark"},
        {"\xff\xfe", "; it looks like UTF-16"},
        {"\xfe\xff", "; it looks like UTF-16"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i].begins);
        if (n >= len && memcmp(p, known[i].begins, len) == 0)
            return known[i].text;
    }
    return "";
}

const char *event_reason_code(enum reason r)
{
    invariant((unsigned)r < REASON_COUNT);
    return reasons[r].code;
}

const char *event_reason_text(enum reason r)
{
    invariant((unsigned)r < REASON_COUNT);
    return reasons[r].text;
}

/* FNV-1a, folded to 32 bits. Table and column names depend on it: it must never change. */
static uint32_t name_hash(const char *p, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)p[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(h ^ (h >> 32));
}

static char safe_char(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c + ('a' - 'A'));
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return c;
    return '_';
}

void event_safe_name(const char *p, size_t n, size_t max, char *out)
{
    invariant(max > 9);
    bool cut = n > max;
    size_t keep = cut ? max - 9 : n;
    for (size_t i = 0; i < keep; i++)
        out[i] = safe_char(p[i]);
    if (keep == 0) /* an empty key is a key, a column needs a name */
        out[keep++] = '_';
    if (cut) {
        uint32_t h = name_hash(p, n);
        out[keep++] = '_';
        for (int shift = 28; shift >= 0; shift -= 4)
            out[keep++] = "0123456789abcdef"[(h >> shift) & 15];
    }
    out[keep] = 0;
}

/* No control characters (C0, DEL, and C1 as UTF-8), no surrogates as UTF-8. */
static bool valid_name(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)p[i], next = i + 1 < n ? (uint8_t)p[i + 1] : 0;
        if (c < 0x20 || c == 0x7f)
            return false;
        if ((c == 0xc2 && next >= 0x80 && next < 0xa0) || (c == 0xed && next >= 0xa0))
            return false;
    }
    return true;
}

enum reason event_name_parse(const char *p, size_t n, struct event_name *out)
{
    if (n == 0 || n > EVENT_NAME_MAX || p[0] == ':' || !valid_name(p, n))
        return REASON_INVALID_NAME;
    *out = (struct event_name){.name = {p, n}, .type = {p, n}};
    const char *colon = memchr(p, ':', n);
    if (colon) {
        const char *second = colon + 1;
        size_t rest = n - (size_t)(second - p);
        const char *end = memchr(second, ':', rest);
        out->type.n = (size_t)(colon - p);
        out->subtype = (struct str){second, end ? (size_t)(end - second) : rest};
        out->has_subtype = out->subtype.n > 0;
        if (!out->has_subtype)
            out->subtype = (struct str){0};
    }
    event_safe_name(out->type.p, out->type.n, EVENT_TABLE_MAX, out->table);
    if (memcmp(out->table, "inlet_", 6) == 0) {
        event_safe_name(out->type.p, out->type.n, EVENT_TABLE_MAX - 2, out->table + 2);
        memcpy(out->table, "e_", 2);
    }
    return REASON_NONE;
}
