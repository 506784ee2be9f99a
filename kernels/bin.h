#ifndef NIGHTSHIFT_KERNELS_BIN_H
#define NIGHTSHIFT_KERNELS_BIN_H
/*
 * Values to bins, and where the bins of all rows lie. Columns of at most 256 bins are bytes, columns with more
 * (categories) 16 bits. They lie twice:
 *
 * Column by column, all rows: parting a node's rows by one column reads little else.
 *
 * Bytes of training rows also in tiles of 16 lanes, row-major: the 16 bytes of a row lie side by side, and so
 * do those of up to four tiles, so that a node's scattered rows cost about one cache line for 64 lanes. Columns of few bins share a lane as long as their
 * bins together (the product) are at most 256: the lane's byte is the sum of bin * stride. One addition to the
 * lane's histogram then stands for one to each of its columns, which are folded out of it.
 */
#include <stdint.h>

enum { NS_LANES = 16, NS_TILES_ABREAST = 4, NS_BYTE_BINS = 256 };

/* Cuts of one number column, filled up to 255 with +infinity, for a search of eight equal steps. */
typedef struct ns_padded_cuts {
    float cut[256];
} ns_padded_cuts;

/* The byte columns that share a lane. */
enum { NS_LANE_COLUMNS = 8 }; /* 2^8 = 256 */
typedef struct ns_lane {
    int32_t n_columns, n_bins; /* n_bins: the product of the columns' */
    int32_t feature[NS_LANE_COLUMNS], stride[NS_LANE_COLUMNS];
} ns_lane;

typedef struct ns_bins {
    int64_t n_rows, n_train;
    int32_t n_features, n_bytes, n_wide;
    int32_t *place; /* [n_features] >= 0: index of the byte column; else -1 - index of the wide column */
    uint8_t *bytes; /* [n_bytes][n_rows] */
    uint16_t *wide; /* [n_wide][n_rows] */
    int32_t n_lanes, n_tiles;
    ns_lane *lane;  /* [n_bytes], n_lanes of them in use */
    /* [groups of NS_TILES_ABREAST][n_train][tiles of the group][NS_LANES]; lane l is in tile l / NS_LANES; lanes
       without columns hold 0 */
    uint8_t *tiles;
} ns_bins;

/* Row 0 of a tile, and the step from row to row. */
static inline uint8_t *ns_bins_tile(const ns_bins *bins, int32_t tile, int64_t *step)
{
    int32_t first = tile / NS_TILES_ABREAST * NS_TILES_ABREAST, left = bins->n_tiles - first;
    *step = (int64_t)(left < NS_TILES_ABREAST ? left : NS_TILES_ABREAST) * NS_LANES;
    return bins->tiles + (int64_t)first * NS_LANES * bins->n_train + (tile - first) * NS_LANES;
}

/* The byte column of a feature; only where place[feature] >= 0. */
static inline uint8_t *ns_bins_bytes(const ns_bins *bins, int32_t feature)
{
    return bins->bytes + (int64_t)bins->place[feature] * bins->n_rows;
}

/* The wide column of a feature; only where place[feature] < 0. */
static inline uint16_t *ns_bins_wide(const ns_bins *bins, int32_t feature)
{
    return bins->wide + (int64_t)(-1 - bins->place[feature]) * bins->n_rows;
}

static inline uint32_t ns_bins_at(const ns_bins *bins, int32_t feature, int64_t row)
{
    return bins->place[feature] >= 0 ? ns_bins_bytes(bins, feature)[row] : ns_bins_wide(bins, feature)[row];
}

typedef struct ns_bin_loops {
    /* out[i * step] = isnan(x[i]) ? 0 : 1 + the number of cuts < x[i], for n values */
    void (*number)(const ns_padded_cuts *cuts, const float *x, int64_t n, uint8_t *out, int64_t step);
    /* Rows [first, last) of a tile from the byte columns */
    void (*tile)(const ns_bins *bins, int32_t tile, int64_t first, int64_t last);
} ns_bin_loops;
extern const ns_bin_loops ns_bin_baseline, ns_bin_avx2, ns_bin_avx512;

/* Which byte columns share which lane: fills lane, n_lanes, n_tiles. n_bins: [n_features] */
void ns_bins_share_lanes(ns_bins *bins, const int32_t *n_bins);

/* n_cuts <= 254 */
void ns_pad_cuts(ns_padded_cuts *out, const float *cuts, int32_t n_cuts);
#endif
