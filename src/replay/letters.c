/* Files in the order of their sequence numbers, and a row group at a time. See letters.h.
 *
 * A letter's number: the sequence number of its file | the file's place among those of that number, and a hash
 * of its name | its row. So a number says of which file it is, and a file that was rewritten is another. */
#include "replay/letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "parquet/parquet.h"
#include "source/source.h"

enum { REASON_ID = 2, PAYLOAD_ID = 4, ARRIVED_ID = 9 }; /* fields of schema_dead_letters */

struct letter_file {
    char *key;
    int64_t bytes, sequence_number;
    uint64_t place;
};
struct letters {
    struct store *store; /* the table's */
    struct schema_ids ids;
    char *reason;
    int64_t upto;
    struct letter_file *files;
    size_t n_files, file; /* at which */
    struct store_reader object; /* what `reader` reads */
    struct pq_reader *reader;
    uint32_t group;
    bool loaded; /* the columns below are of `group` */
    struct column reasons, payloads, arrivals;
    uint32_t row, value;    /* next in the group; payloads skip nulls */
    size_t reason_at, payload_at;
    uint64_t row_in_file;
};

static bool add_file(void *ctx, const struct table_file *f)
{
    struct letters *l = ctx;
    if (!f->key || f->sequence_number > l->upto)
        return true;
    l->files = mem_regrow(l->files, l->n_files + 1, sizeof *l->files);
    l->files[l->n_files++] = (struct letter_file){mem_strdup(f->key), f->bytes, f->sequence_number, 0};
    return true;
}

static int by_age(const void *a, const void *b)
{
    const struct letter_file *x = a, *y = b;
    if (x->sequence_number != y->sequence_number)
        return x->sequence_number < y->sequence_number ? -1 : 1;
    return strcmp(x->key, y->key);
}

static void number_files(struct letters *l)
{
    uint64_t place = 0;
    for (size_t i = 0; i < l->n_files; i++) {
        struct letter_file *f = &l->files[i];
        place = i && f->sequence_number == f[-1].sequence_number ? place + 1 : 0;
        f->place = place << 32 | (XXH3_64bits(f->key, strlen(f->key)) & UINT32_MAX);
    }
}

int64_t letters_newest(const struct letters *l)
{
    return l->n_files ? l->files[l->n_files - 1].sequence_number : 0;
}

bool letters_have(const struct letters *l, struct seq at)
{
    for (size_t i = 0; i < l->n_files; i++)
        if (at.w[1] == (uint64_t)l->files[i].sequence_number && at.w[2] == l->files[i].place)
            return true;
    return false;
}

int letters_untouched(const struct letters *l, struct err *e)
{
    bool ours = true;
    for (size_t i = 0; ours && i < l->n_files; i++) {
        struct store_reader object = {l->store, l->files[i].key};
        struct pq_reader *r = pq_reader_open(store_read_at, &object, l->files[i].bytes, e);
        if (!r)
            return err_wrap(e, "%s", l->files[i].key);
        struct str by = pq_reader_created_by(r);
        ours = by.n >= 6 && memcmp(by.p, "inlet ", 6) == 0;
        pq_reader_close(r);
    }
    return ours;
}

struct letters *letters_open(struct table *t, const char *reason, int64_t upto, struct err *e)
{
    struct letters *l = mem_zalloc(sizeof *l);
    struct schema ours;
    l->store = table_store(t);
    l->reason = mem_strdup(reason);
    l->upto = upto;
    schema_dead_letters(&ours);
    int rc = table_ids(t, &ours, &l->ids, e);
    schema_fini(&ours);
    if (rc || table_files(t, l->ids.of[ARRIVED_ID], add_file, l, e)) {
        letters_close(l);
        return NULL;
    }
    if (l->n_files)
        qsort(l->files, l->n_files, sizeof *l->files, by_age);
    number_files(l);
    return l;
}

static void drop_group(struct letters *l)
{
    column_fini(&l->reasons);
    column_fini(&l->payloads);
    column_fini(&l->arrivals);
    l->loaded = false;
}

void letters_close(struct letters *l)
{
    if (!l)
        return;
    drop_group(l);
    pq_reader_close(l->reader);
    for (size_t i = 0; i < l->n_files; i++)
        free(l->files[i].key);
    free(l->files);
    free(l->reason);
    free(l);
}

static int read_column(struct letters *l, int32_t id, struct column *out, struct err *e)
{
    int leaf = pq_reader_leaf_by_id(l->reader, l->ids.of[id]);
    if (leaf < 0)
        return err_set(e, ERR_INVALID, "%s has no field %d", l->files[l->file].key, id);
    return pq_reader_column(l->reader, l->group, (uint32_t)leaf, out, e);
}

/* Makes `group` of the file at hand the one that rows are taken from. 1, 0 at the end of all, -1. */
static int load_group(struct letters *l, struct err *e)
{
    while (l->file < l->n_files) {
        if (!l->reader) {
            l->object = (struct store_reader){l->store, l->files[l->file].key};
            l->reader = pq_reader_open(store_read_at, &l->object, l->files[l->file].bytes, e);
            if (!l->reader)
                return err_wrap(e, "%s", l->files[l->file].key);
            l->group = 0;
            l->row_in_file = 0;
        }
        if (l->group < pq_reader_groups(l->reader)) {
            l->row = l->value = 0;
            l->reason_at = l->payload_at = 0;
            l->loaded = true;
            return read_column(l, REASON_ID, &l->reasons, e) ||
                           read_column(l, PAYLOAD_ID, &l->payloads, e) ||
                           read_column(l, ARRIVED_ID, &l->arrivals, e)
                       ? -1
                       : 1;
        }
        pq_reader_close(l->reader);
        l->reader = NULL;
        l->file++;
    }
    return 0;
}

static void put_letter(struct buf *body, struct seq seq, int64_t arrived_us, const uint8_t *p, size_t n)
{
    char text[SEQ_TEXT_MAX];
    seq_format(seq, text);
    buf_printf(body, "%s{\"SequenceNumber\":\"%s\",\"ApproximateArrivalTimestamp\":%lld.%06lld,\"Data\":\"",
               body->p[body->n - 1] == '[' ? "" : ",", text, (long long)(arrived_us / 1000000),
               (long long)(arrived_us % 1000000));
    buf_reserve(body, base64_encoded(n));
    body->n += base64_encode((char *)body->p + body->n, p, n);
    buf_puts(body, "\"}");
}

/* The row at hand, if it is of the reason; moves on. */
static bool take_row(struct letters *l, struct buf *body, struct seq *at, int64_t *arrived_us)
{
    struct str reason = column_text_at(l->reasons.texts + l->reason_at), payload = {0};
    bool has = !l->payloads.max_def || l->payloads.def[l->row] == l->payloads.max_def;
    bool ours = reason.n == strlen(l->reason) && memcmp(reason.p, l->reason, reason.n) == 0;
    if (has)
        payload = column_text_at(l->payloads.texts + l->payload_at);
    *arrived_us = l->arrivals.longs[l->row];
    *at = (struct seq){{0, (uint64_t)l->files[l->file].sequence_number, l->files[l->file].place,
                         ++l->row_in_file}};
    if (ours && has)
        put_letter(body, *at, *arrived_us > 0 ? *arrived_us : 0, (const uint8_t *)payload.p, payload.n);
    l->reason_at += 4 + reason.n;
    l->payload_at += has ? 4 + payload.n : 0;
    l->row++;
    return ours && has;
}

int letters_next(struct letters *l, struct buf *body, struct seq *first, struct seq *last,
                 uint32_t *records, int64_t *arrived_us, struct err *e)
{
    *records = 0;
    *arrived_us = 0;
    body->n = 0;
    buf_puts(body, "{\"MillisBehindLatest\":0,\"Records\":[");
    while (body->n < LETTERS_BYTES) {
        struct seq at;
        int64_t arrived;
        int rc = l->loaded ? 1 : load_group(l, e);
        if (rc < 0)
            return -1;
        if (rc == 0)
            break;
        uint32_t rows = l->reasons.n_values < l->arrivals.n_values ? l->reasons.n_values : l->arrivals.n_values;
        if (l->row >= rows || l->row >= l->payloads.n_levels) {
            drop_group(l);
            l->group++;
        } else if (take_row(l, body, &at, &arrived)) {
            if (!(*records)++)
                *first = at;
            *last = at;
            *arrived_us = arrived > *arrived_us ? arrived : *arrived_us;
        }
    }
    buf_puts(body, "]}");
    memset(buf_reserve(body, SOURCE_PAD), 0, SOURCE_PAD);
    return *records > 0;
}
