/*
 * Open addressing with linear steps, at most half full. The hash (FNV-1a, then a multiplicative mix, since
 * short decimal texts differ in few bits) decides only where a text is looked for, never an order, so it
 * reaches no result.
 */
#include "data/text_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

static uint64_t hash_of(const char *text, int64_t n_bytes)
{
    uint64_t hash = 1469598103934665603u;
    for (int64_t i = 0; i < n_bytes; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    hash ^= hash >> 32;
    return hash * 0x9e3779b97f4a7c15u;
}

const char *ns_text_at(const ns_texts *texts, int64_t i, int64_t *n_bytes)
{
    *n_bytes = texts->offset[i + 1] - texts->offset[i];
    return *n_bytes > 0 ? texts->bytes + texts->offset[i] : "";
}

/* The slot that holds the text, or the free one where it belongs. */
static int64_t slot_of(const ns_text_index *index, const char *text, int64_t n_bytes)
{
    uint64_t mask = (uint64_t)index->room - 1;
    for (uint64_t at = (hash_of(text, n_bytes) >> 17) & mask;; at = (at + 1) & mask) {
        int64_t i = index->slot[at];
        if (i < 0) return (int64_t)at;
        int64_t length;
        const char *here = ns_text_at(index->texts, i, &length);
        if (length == n_bytes && memcmp(here, text, (size_t)length) == 0) return (int64_t)at;
    }
}

/* Makes room for n texts and places those that are there. */
static ns_status make_room(ns_text_index *index, int64_t n)
{
    int64_t room = FIRST_ROOM;
    while (room < 2 * n) room *= 2;
    if (room <= index->room) return NS_OK;
    int64_t *slot = malloc((size_t)room * sizeof *slot);
    if (slot == NULL) return ns_fail(NS_ENOMEM, "no memory to index %lld texts", (long long)n);
    for (int64_t i = 0; i < room; i++) slot[i] = -1;
    free(index->slot);
    index->slot = slot;
    index->room = room;
    for (int64_t i = 0; i < index->texts->n; i++) {
        int64_t length;
        const char *text = ns_text_at(index->texts, i, &length);
        int64_t at = slot_of(index, text, length);
        if (slot[at] < 0) slot[at] = i;
    }
    return NS_OK;
}

ns_status ns_text_index_build(ns_text_index *out, const ns_texts *texts)
{
    *out = (ns_text_index){.texts = texts};
    return make_room(out, texts->n + 1);
}

void ns_text_index_destroy(ns_text_index *index)
{
    free(index->slot);
    *index = (ns_text_index){0};
}

int64_t ns_text_index_find(const ns_text_index *index, const char *text, int64_t n_bytes)
{
    return index->slot[slot_of(index, text, n_bytes)];
}

ns_status ns_text_index_add(ns_text_index *index, ns_texts *texts, const char *text, int64_t n_bytes,
                            int64_t *at)
{
    assert(texts == index->texts);
    int64_t found = ns_text_index_find(index, text, n_bytes);
    if (found < 0) {
        NS_TRY(make_room(index, texts->n + 1));
        NS_TRY(ns_texts_append(texts, text, n_bytes));
        found = texts->n - 1;
        index->slot[slot_of(index, text, n_bytes)] = found;
    }
    if (at != NULL) *at = found;
    return NS_OK;
}
