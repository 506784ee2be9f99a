#ifndef NIGHTSHIFT_KERNELS_HISTOGRAM_H
#define NIGHTSHIFT_KERNELS_HISTOGRAM_H
/*
 * Histograms of a node: for every bin of every column, sums over the node's rows of q_g, q_h and 1
 * (gradient.h), as three 64-bit integers. Integer sums do not depend on order, so blocks, threads and packing
 * are free.
 *
 * Narrow rows are added up packed: a 64-bit word of (q_g: 26 bits, signed, on top | q_h: 25 bits | rows: 13
 * bits), where nothing can overflow for NS_HISTOGRAM_ROWS rows; then the words are flushed into the cells.
 * Wide rows use two words: q_g alone, and (q_h: 51 bits | rows: 13 bits).
 */
#include "kernels/bin.h"
#include "kernels/gradient.h"

enum { NS_HISTOGRAM_ROWS = 8191 }; /* 8191 * 4095 < 2^25 and 8191 < 2^13 */

typedef struct ns_cell {
    int64_t g, h, n;
} ns_cell;

/* The used columns of one tile. */
typedef struct ns_tile_view {
    const uint8_t *bytes; /* [n_rows][NS_LANES] */
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
    /* cell += the packed sums of n_bins bins, which become 0 */
    void (*flush_narrow)(uint64_t *sums, int32_t n_bins, ns_cell *cell);
    void (*flush_wide)(uint64_t *sums, int32_t n_bins, ns_cell *cell);
    /* A wide column straight into its cells, any n */
    void (*column_narrow)(const uint16_t *bin, const int32_t *word, const uint32_t *row, int64_t n,
                          ns_cell *cell);
    void (*column_wide)(const uint16_t *bin, const int64_t *word, const uint32_t *row, int64_t n,
                        ns_cell *cell);
    /* larger = parent - smaller, in the parent's place */
    void (*subtract)(ns_cell *parent, const ns_cell *smaller, int64_t n);
} ns_histogram_loops;
extern const ns_histogram_loops ns_histogram_baseline, ns_histogram_avx2, ns_histogram_avx512;
#endif
