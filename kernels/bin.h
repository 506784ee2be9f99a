#ifndef NIGHTSHIFT_KERNELS_BIN_H
#define NIGHTSHIFT_KERNELS_BIN_H
/*
 * Values to bins, and where the bins of all rows lie. Columns of at most 256 bins are bytes, 16 columns to a
 * tile, a tile row-major: the 16 bins of a row are 16 bytes side by side, so a node's scattered rows cost one
 * cache line per tile. Columns with more bins (categories) lie alone, 16 bits each.
 */
#include <stdint.h>

enum { NS_LANES = 16, NS_BYTE_BINS = 256 };

/* Cuts of one number column, filled up to 255 with +infinity, for a search of eight equal steps. */
typedef struct ns_padded_cuts {
    float cut[256];
} ns_padded_cuts;

typedef struct ns_bins {
    int64_t n_rows;
    int32_t n_features, n_tiles, n_wide;
    int32_t *place; /* [n_features] >= 0: tile * NS_LANES + lane; else -1 - index of the wide column */
    uint8_t *tiles; /* [n_tiles][n_rows][NS_LANES] */
    uint16_t *wide; /* [n_wide][n_rows] */
} ns_bins;

/* The byte of (row 0, feature), step NS_LANES; only where place[feature] >= 0. */
static inline uint8_t *ns_bins_bytes(const ns_bins *bins, int32_t feature)
{
    int32_t place = bins->place[feature];
    return bins->tiles + (int64_t)(place / NS_LANES) * bins->n_rows * NS_LANES + place % NS_LANES;
}

/* The wide column of a feature; only where place[feature] < 0. */
static inline uint16_t *ns_bins_wide(const ns_bins *bins, int32_t feature)
{
    return bins->wide + (int64_t)(-1 - bins->place[feature]) * bins->n_rows;
}

static inline uint32_t ns_bins_at(const ns_bins *bins, int32_t feature, int64_t row)
{
    return bins->place[feature] >= 0 ? ns_bins_bytes(bins, feature)[row * NS_LANES]
                                     : ns_bins_wide(bins, feature)[row];
}

typedef struct ns_bin_loops {
    /* out[i * step] = isnan(x[i]) ? 0 : 1 + the number of cuts < x[i], for n values */
    void (*number)(const ns_padded_cuts *cuts, const float *x, int64_t n, uint8_t *out, int64_t step);
} ns_bin_loops;
extern const ns_bin_loops ns_bin_baseline, ns_bin_avx2, ns_bin_avx512;

/* n_cuts <= 254 */
void ns_pad_cuts(ns_padded_cuts *out, const float *cuts, int32_t n_cuts);
#endif
