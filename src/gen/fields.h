/* gen fields: what the events are made of. Constant tables only; private to this room. */
#ifndef INLET_GEN_FIELDS_H
#define INLET_GEN_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

/* Texts lie in fixed arrays, so that they are copied by a constant number of bytes. All are JSON as
 * it goes out: escapes are in them already. */
#define WORD_MAX 32
struct word {
    char text[WORD_MAX];
    uint8_t n;
};
struct words {
    const struct word *list;
    unsigned count;
};

enum field_kind {
    FIELD_INT,   /* lo .. lo + span */
    FIELD_BIG,   /* 17 to 19 digits */
    FIELD_MONEY, /* two fractional digits, up to span */
    FIELD_FLOAT, /* six or seven fractional digits, a few with an exponent */
    FIELD_BOOL,
    FIELD_ENUM,
    FIELD_TEXT, /* up to span words of prose */
    FIELD_ID,   /* a prefix (words[0]) and hex of one of span things */
    FIELD_URL,
    FIELD_IP,
    FIELD_TIME, /* the event's time in ISO 8601 */
    FIELD_INTS, /* up to span integers */
    FIELD_TAGS, /* up to span words */
    FIELD_OBJECT,
    FIELD_ITEMS, /* 1 to span objects */
};

#define FIELD_KEY_MAX 32
struct field {
    char key[FIELD_KEY_MAX]; /* ,"key": */
    uint8_t key_n;
    uint8_t kind;
    uint8_t absent, null; /* of 256 events, how many */
    bool later;           /* appears only when part of the stream has passed */
    int64_t lo;
    uint64_t span;
    const struct words *words;
    const struct field *children; /* the first is always there */
    unsigned child_count;
};

extern const struct field gen_common[], gen_pool[];
extern const unsigned gen_common_count, gen_pool_count;
extern const struct words gen_prose, gen_slugs;
extern const char *const gen_types[], *const gen_subtypes[], *const gen_thirds[];
extern const unsigned gen_type_count, gen_subtype_count, gen_third_count;

#endif
