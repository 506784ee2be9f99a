#ifndef NIGHTSHIFT_KERNELS_LEAF_H
#define NIGHTSHIFT_KERNELS_LEAF_H
/*
 * Leaf values from all training rows, sampled or not, in a second and finer fixed point than the split
 * search: q = rne(x * 2^(bits - e)), bits = min(40, 62 - ceil(log2 n)), e the smallest integer with max <=
 * 2^e for g and h each with its own max (that of the round), n the training rows of all ranks: sums stay
 * below 2^62. value = rne(2^k * (learning_rate * -shrink(G, l1)) / (H + l2)), clamped to int32; 0 where H +
 * l2 is not > 0 shrink(G, l1) = G > l1 ? G - l1 : G < -l1 ? G + l1 : 0
 */
#include <stdint.h>

#include "kernels/histogram.h"

typedef struct ns_leaf_scales {
    double g, h; /* powers of two */
} ns_leaf_scales;

typedef struct ns_leaf_loops {
    /* sums[leaf[i]] += (rne(g[i] * scale g), rne(h[i] * scale h), 1) for rows [first, last) */
    void (*sum)(const double *g, const double *h, const int32_t *leaf, int64_t first, int64_t last,
                const ns_leaf_scales *scales, ns_cell *sums);
} ns_leaf_loops;
extern const ns_leaf_loops ns_leaf_baseline, ns_leaf_avx2, ns_leaf_avx512;

/* Scales of a round; max_g and max_h may be 0. */
ns_leaf_scales ns_leaf_scales_of(double max_g, double max_h, int64_t n_rows_global);

typedef struct ns_leaf_rule {
    double learning_rate, l1, l2;
    int32_t k;
} ns_leaf_rule;

/* The value of a leaf in units of 2^-k. */
int32_t ns_leaf_value(const ns_cell *sum, const ns_leaf_scales *scales, const ns_leaf_rule *rule);
#endif
