/* position_map: the text of the table property that holds positions.
 *
 *   inlet.position.<identity>       = {"<shard>": "<position>", ...}     in every table
 *   inlet.cover.<table>:<identity>  = the same                           in the dead letters
 *
 *   <position> = <sequence>                       495903382714902566...
 *              | <sequence>:<note>                1048576:9f86d081884c7d65       a file's offset,
 * hash | <sequence>:[<note>]@<unix ms>    ...:@1764000000000     the shard ended there and then
 *
 * The note has no '@' and no control characters. Shards that ended over PROTOCOL_ENDED_KEEP_MS ago
 * are taken out by position_map_expire: longer than any worker may sleep and still commit. Of a file only once inlet_loads
 * tells as much: a load that was killed before it could is begun again whenever somebody does so. */
#ifndef INLET_PROTOCOL_POSITION_MAP_H
#define INLET_PROTOCOL_POSITION_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/seq.h"
#include "protocol/protocol.h"

#define POSITION_MAP_PREFIX "inlet.position."
#define POSITION_MAP_COVER_PREFIX "inlet.cover."
#define POSITION_MAP_SHARDS_MAX 100000u
#define POSITION_MAP_TEXT_MAX ((size_t)16 << 20)
#define PROTOCOL_ENDED_KEEP_MS ((int64_t)7 * 24 * 3600 * 1000)

struct position {
    char *shard;
    struct seq at;
    char note[PROTOCOL_NOTE_MAX];
    int64_t ended_ms; /* Unix time; 0: it has not ended */
};
/* Zero it to start; sorted by shard. */
struct position_map {
    struct position *list;
    size_t n;
};

void position_map_fini(struct position_map *m);
/* text NULL (no such property): empty. ERR_INVALID on anything that is not as above; *m is then
 * empty: a position that cannot be read must never be taken for none. */
int position_map_parse(struct position_map *m, const char *text, struct err *e);
char *position_map_text(const struct position_map *m); /* heap */
/* NULL if it has none. Borrowed until the next change. */
const struct position *position_map_get(const struct position_map *m, const char *shard);
/* The sequence alone; SEQ_NONE if it has none. */
struct seq position_map_at(const struct position_map *m, const char *shard);
/* Sets or replaces; note may be NULL. An `ended_ms` of 0 takes the mark away. */
void position_map_set(struct position_map *m, const char *shard, struct seq at, const char *note,
                      int64_t ended_ms);
bool position_map_remove(struct position_map *m, const char *shard);
/* Takes out what ended too long ago; how many. */
size_t position_map_expire(struct position_map *m, int64_t unix_now_ms);

/* Is this a property's key of a file, or object, whose end inlet_loads tells as well? */
bool position_map_by_loads(const char *key);
char *position_map_key(const char *identity); /* heap */
char *position_map_cover_key(const char *table, const char *identity);

#endif
