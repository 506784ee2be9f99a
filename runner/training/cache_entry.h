#ifndef NIGHTSHIFT_RUNNER_TRAINING_CACHE_ENTRY_H
#define NIGHTSHIFT_RUNNER_TRAINING_CACHE_ENTRY_H
/*
 * What a bin cache knows of one table beside the bins: of every feature its cuts or levels, its training distribution and its
 * part of the fingerprint, and where the bins lie. As bytes: "nsbins01", the BLAKE2b-256 of the rest, then a safetensors file
 * with the members below as tensors of their names.
 */
#include <stdbool.h>
#include <stddef.h>

#include "cluster/status.h"
#include "runner/training/profile.h"

enum { NS_CACHE_SEGMENT_ROWS = 65536 }; /* rows of one column under one check sum */

/* Owns its memory; freed with ns_cache_entry_free. All zero is an empty one. */
typedef struct ns_cache_entry {
    int64_t n_features, n_parts, n_cuts, n_levels, n_level_bytes, n_sums;
    int64_t n_infinite;        /* cells made missing */
    int64_t *part_rows;        /* [n_parts] rows of the file of each rank that wrote */
    int64_t *cut_first;        /* [n_features + 1] into cut */
    float *cut;                /* [n_cuts] */
    int64_t *level_first;      /* [n_features + 1] into level_byte_first and level_rows */
    int64_t *level_byte_first; /* [n_levels + 1] */
    char *level_bytes;         /* [n_level_bytes] */
    int64_t *level_rows;       /* [n_levels] training rows */
    int64_t *counts;           /* [n_features][NS_N_CACHE_COUNTS] */
    float *quantile;           /* [n_features][NS_N_PROFILE_PERCENTS] */
    uint8_t *digest;           /* [n_features][32] */
    uint32_t *sum;             /* [segments of part 0, then of part 1, …][n_features] */
} ns_cache_entry;

enum { NS_CACHE_MISSING = 0, NS_CACHE_VALUES, NS_CACHE_OTHER, NS_N_CACHE_COUNTS }; /* members of ns_distribution */

/* Takes memory for the counts that are set. NS_ENOMEM. Local. */
ns_status ns_cache_entry_take(ns_cache_entry *entry);
void ns_cache_entry_free(ns_cache_entry *entry);

/* Segments of a part of n_rows rows. */
static inline int64_t ns_cache_segments(int64_t n_rows)
{
    return (n_rows + NS_CACHE_SEGMENT_ROWS - 1) / NS_CACHE_SEGMENT_ROWS;
}

/* Freed by the caller. NS_ENOMEM. Local. */
ns_status ns_cache_entry_build(uint8_t **bytes, size_t *n_bytes, const ns_cache_entry *entry);

/*
 * True where the bytes are whole: an entry of n_features features then, whose numbers fit one another.
 * False: damaged, or no memory; entry is empty. Local.
 */
bool ns_cache_entry_parse(ns_cache_entry *entry, const uint8_t *bytes, size_t n_bytes, int64_t n_features);
#endif
