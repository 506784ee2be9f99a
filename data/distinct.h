#ifndef NIGHTSHIFT_DATA_DISTINCT_H
#define NIGHTSHIFT_DATA_DISTINCT_H
/*
 * How many distinct values a long list has, mostly within 5 %, in 32 KiB: adaptive sampling (Wegman; Flajolet, "On adaptive
 * sampling", 1990). Of all distinct hashes those with `level` zeros at their end are held, and the level rises when there are
 * too many. How many there are at which level depends on the set of values alone, not on their order.
 */
#include <stdbool.h>
#include <stdint.h>

typedef struct ns_distinct {
    uint64_t *seen; /* a table of hashes, 0: empty */
    int64_t n_seen;
    int level;
} ns_distinct;

bool ns_distinct_begin(ns_distinct *distinct); /* of {0}; false: no memory */
void ns_distinct_end(ns_distinct *distinct);   /* back to {0} */

void ns_distinct_hold(ns_distinct *distinct, uint64_t hash);

/* Takes in a value by 64 bits that no other value has. */
static inline void ns_distinct_see(ns_distinct *distinct, uint64_t key)
{
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    key = (key ^ (key >> 31)) | UINT64_C(1) << 63; /* never 0 */
    if ((key & ((UINT64_C(1) << distinct->level) - 1)) == 0) ns_distinct_hold(distinct, key);
}

static inline int64_t ns_distinct_count(const ns_distinct *distinct)
{
    return distinct->n_seen << distinct->level;
}
#endif
