#ifndef NIGHTSHIFT_KERNELS_PARTITION_H
#define NIGHTSHIFT_KERNELS_PARTITION_H
/*
 * A node's row indices, parted into those that go left and those that go right. Stable: both keep their
 * order, which is that of memory, so that histograms of deep nodes still read forwards. No result depends on
 * it.
 */
#include <stdint.h>

#include "kernels/bin.h"

typedef struct ns_partition_loops {
    /* Reads row[0..n); lefts to out[0..), ascending; rights to out[n-1], out[n-2], …. Returns the number of
       lefts. bytes: the column; left[bin]: 1 where the bin goes left */
    int64_t (*bytes)(const uint8_t *bytes, const uint8_t left[NS_BYTE_BINS], const uint32_t *row, int64_t n,
                     uint32_t *out);
    /* As bytes, for a wide column; bit `bin` of set is 1 where the bin goes left */
    int64_t (*wide)(const uint16_t *bin, const uint32_t *set, const uint32_t *row, int64_t n, uint32_t *out);
    /* left[0..n_left) = out's lefts, right[0..n - n_left) = its rights, back in order */
    void (*place)(const uint32_t *out, int64_t n, int64_t n_left, uint32_t *left, uint32_t *right);
} ns_partition_loops;
extern const ns_partition_loops ns_partition_baseline, ns_partition_avx2, ns_partition_avx512;
#endif
