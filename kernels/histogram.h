#ifndef NIGHTSHIFT_KERNELS_HISTOGRAM_H
#define NIGHTSHIFT_KERNELS_HISTOGRAM_H
/*
 * Histograms of a node: for every bin of every column, sums over the node's rows of q_g, q_h and 1
 * (gradient.h), as three 64-bit integers. Integer sums do not depend on order, so blocks, threads and packing
 * are free.
 *
 * Narrow rows are added up packed: a 64-bit word of (q_g: 26 bits, signed, on top | q_h: 25 bits | rows: 13
 * bits), where nothing can overflow for NS_HISTOGRAM_ROWS rows; then the words are flushed into the cells.
 * A node with no more rows than that over all ranks keeps its histogram packed: words add, subtract and travel
 * as they are. Wide rows use two words: q_g alone, and (q_h: 51 bits | rows: 13 bits).
 */
#include "kernels/bin.h"
#include "kernels/gradient.h"

enum { NS_HISTOGRAM_ROWS = 8191 }; /* 8191 * 4095 < 2^25 and 8191 < 2^13 */

/* Sums of one set of rows. */
typedef struct ns_cell {
    int64_t g, h, n;
} ns_cell;

/* Sums for every bin of a column, each kind by itself so that loops over bins vectorise: [n_bins] each. */
typedef struct ns_planes {
    int64_t *g, *h, *n;
} ns_planes;

/* The planes of a column in a block of 3 * n_bins. */
static inline ns_planes ns_planes_in(int64_t *block, int64_t n_bins)
{
    ns_planes planes = {block, block + n_bins, block + 2 * n_bins};
    return planes;
}

/* The used lanes of one tile. */
typedef struct ns_tile_view {
    const uint8_t *bytes; /* row i's NS_LANES bytes are at i * step */
    int64_t step;
    int32_t n_lanes;
    uint8_t lane[NS_LANES]; /* [n_lanes] ascending */
} ns_tile_view;

typedef struct ns_histogram_loops {
    /* Words to add for rows row[0..n): the gradients gathered. narrow: out [n]; wide: out [2 n], g words then
     * h words */
    void (*gather_narrow)(const int32_t *word, const uint32_t *row, int64_t n, uint64_t *out);
    void (*gather_wide)(const int64_t *word, const uint32_t *row, int64_t n, uint64_t *out);
    /* sums[lane index][bin] += add[i], for n <= NS_HISTOGRAM_ROWS rows. sums: [n_lanes][256]; wide:
     * [n_lanes][256][2] */
    void (*tile_narrow)(const ns_tile_view *tile, const uint32_t *row, const uint64_t *add, int64_t n,
                        uint64_t *sums);
    void (*tile_wide)(const ns_tile_view *tile, const uint32_t *row, const uint64_t *add, int64_t n,
                      uint64_t *sums);
    /* As tile, for a column of 16-bit bins: sums [n_bins], wide [n_bins][2] */
    void (*column_narrow)(const uint16_t *bin, const uint32_t *row, const uint64_t *add, int64_t n,
                          uint64_t *sums);
    void (*column_wide)(const uint16_t *bin, const uint32_t *row, const uint64_t *add, int64_t n,
                        uint64_t *sums);
    /* A column of n_bins out of a lane of several: into[b] = sum of sums[i], i / stride % n_bins = b. lane_bins: of
     * the lane. sums [lane_bins], into [n_bins], wide: [..][2] */
    void (*fold_narrow)(const uint64_t *sums, int32_t lane_bins, int32_t stride, int32_t n_bins, uint64_t *into);
    void (*fold_wide)(const uint64_t *sums, int32_t lane_bins, int32_t stride, int32_t n_bins, uint64_t *into);
    /* planes += the sums of n_bins bins, which become 0 */
    void (*flush_narrow)(uint64_t *sums, int32_t n_bins, ns_planes planes);
    void (*flush_wide)(uint64_t *sums, int32_t n_bins, ns_planes planes);
    /* words += the narrow sums of n_bins bins, which become 0 */
    void (*flush_packed)(uint64_t *sums, int32_t n_bins, uint64_t *words);
    /* planes = what n_bins packed words hold; and back */
    void (*unpack)(const uint64_t *words, int32_t n_bins, ns_planes planes);
    void (*pack)(ns_planes planes, int32_t n_bins, uint64_t *words);
    /* larger = parent - smaller, in the parent's place: n words, packed or of planes */
    void (*subtract)(uint64_t *parent, const uint64_t *smaller, int64_t n);
} ns_histogram_loops;
extern const ns_histogram_loops ns_histogram_baseline, ns_histogram_avx2, ns_histogram_avx512;
#endif
