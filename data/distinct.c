#include "data/distinct.h"

#include <stdlib.h>
#include <string.h>

enum { SEEN_SLOTS = 4096, SEEN_MOST = 2048 };

bool ns_distinct_begin(ns_distinct *distinct)
{
    distinct->seen = calloc(SEEN_SLOTS, sizeof *distinct->seen);
    return distinct->seen != NULL;
}

void ns_distinct_end(ns_distinct *distinct)
{
    free(distinct->seen);
    *distinct = (ns_distinct){0};
}

static void thin_out(ns_distinct *distinct)
{
    uint64_t kept[SEEN_MOST + 1];
    int64_t n = 0;
    distinct->level++;
    for (int64_t i = 0; i < SEEN_SLOTS; i++)
        if (distinct->seen[i] != 0 && (distinct->seen[i] & ((UINT64_C(1) << distinct->level) - 1)) == 0) kept[n++] = distinct->seen[i];
    memset(distinct->seen, 0, SEEN_SLOTS * sizeof *distinct->seen);
    for (int64_t i = 0; i < n; i++) {
        uint64_t at = kept[i] >> 40 & (SEEN_SLOTS - 1);
        while (distinct->seen[at] != 0) at = (at + 1) & (SEEN_SLOTS - 1);
        distinct->seen[at] = kept[i];
    }
    distinct->n_seen = n;
}

void ns_distinct_hold(ns_distinct *distinct, uint64_t hash)
{
    uint64_t at = hash >> 40 & (SEEN_SLOTS - 1);
    for (; distinct->seen[at] != 0; at = (at + 1) & (SEEN_SLOTS - 1))
        if (distinct->seen[at] == hash) return;
    distinct->seen[at] = hash;
    if (++distinct->n_seen > SEEN_MOST) thin_out(distinct);
}
