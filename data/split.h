#ifndef NIGHTSHIFT_DATA_SPLIT_H
#define NIGHTSHIFT_DATA_SPLIT_H
/* Which part of the cohort a row belongs to: a pure function of the seed and its group, of its global row number, or of its time. */
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

/*
 * The fold of a row, 0 to n_folds - 1, for cross-validation: floor(u * n_folds / 2^64), u as above but of the words
 *   seed, hash.hi, hash.lo, FOLD (32 bytes), and for a missing group (0, 0) seed, global row number, FOLD (24 bytes)
 * with FOLD = 0x646c6f66, "fold" as ASCII: so folds do not follow the parts.
 *   n_folds  in  >= 1
 */
int32_t ns_split_fold(uint64_t seed, int32_t n_folds, ns_hash128 group, int64_t row_number);

/* A date that is not set: nothing begins or ends there. */
#define NS_TIME_NEVER INT64_MAX

/* Times in seconds since 1970 UTC. */
typedef struct ns_time_split {
    int64_t valid_from, test_from; /* with which these parts begin; NS_TIME_NEVER: there is no such part. valid_from < test_from */
    int64_t until;                 /* with which the last part ends; NS_TIME_NEVER: it does not */
    int64_t window;                /* >= 0: how long after a row its outcome may still happen */
} ns_time_split;

/* Why a row is in no part. */
typedef enum ns_left_out { NS_LEFT_NOT = 0, NS_LEFT_NO_TIME, NS_LEFT_WINDOW_OPEN, NS_LEFT_AFTER_UNTIL, NS_N_LEFT_OUT } ns_left_out;

/*
 * A part holds the times from its beginning to the beginning of the next, the last one to `until`; training begins with the
 * first row. The row's outcome must be known by the end of its part, or it would come from the time of the next one:
 *   end(part) = the first of valid_from, test_from, until that is above `time`
 *   in the part where time + window < end or window = 0; NS_LEFT_WINDOW_OPEN where not
 *   NS_LEFT_AFTER_UNTIL where time >= until; NS_LEFT_NO_TIME where the time is missing (the smallest int64)
 * why is NS_LEFT_NOT where the row is in a part.
 */
ns_part ns_split_by_time(const ns_time_split *split, int64_t time, ns_left_out *why);

/* Whether a row's outcome is known at `until`, as above with no part but one; for splits by other things. */
ns_left_out ns_split_until(const ns_time_split *split, int64_t time);
#endif
