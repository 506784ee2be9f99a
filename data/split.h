#ifndef NIGHTSHIFT_DATA_SPLIT_H
#define NIGHTSHIFT_DATA_SPLIT_H
/* Which part of the cohort a row belongs to: a pure function of the seed and its group, or its global row number. */
#include <stdint.h>

#include "data/hash.h"

typedef enum ns_part { NS_PART_NONE = 0, NS_PART_TRAIN, NS_PART_VALID, NS_PART_TEST } ns_part;

typedef struct ns_split {
    uint64_t seed;
    double train, valid, test; /* fractions; their sum is 1 within 1e-9 */
} ns_split;

/*
 * u = the first 8 bytes, little-endian, of BLAKE2b-256(seed, key) as a fraction of 2^64; train below `train`, valid below
 * the double sum `train + valid`, else test; compared in integers, against floor(fraction * 2^64). What rounding of the
 * fractions leaves over goes to the last part that is not 0. Seed and key are hashed as 8-byte little-endian words:
 *   by group  seed, hash.hi, hash.lo (24 bytes); a missing group (0, 0) is its own patient and uses the row
 *   by row    seed, global row number (16 bytes)
 */
ns_part ns_split_by_group(const ns_split *split, ns_hash128 group, int64_t row_number);
ns_part ns_split_by_row(const ns_split *split, int64_t row_number);
#endif
