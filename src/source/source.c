/* source: what all kinds of source share: freeing what crosses the inbox. */
#include "source/source.h"

#include <stdlib.h>

#include "base/budget.h"

void source_batch_free(struct source_batch *b)
{
    if (!b)
        return;
    free(b->data);
    free(b->parsed);
    free(b);
}

void source_batch_finish(struct source_batch *b)
{
    budget_give(b->budget, b->charged_bytes);
    source_batch_free(b);
}

void source_shards_free(struct source_shard *shards, size_t n)
{
    for (size_t i = 0; shards && i < n; i++) {
        free(shards[i].id);
        free(shards[i].parents[0]);
        free(shards[i].parents[1]);
    }
    free(shards);
}

void source_event_free(struct source_event *ev)
{
    if (!ev)
        return;
    source_batch_free(ev->batch);
    source_shards_free(ev->children, ev->n_children);
    free(ev);
}
