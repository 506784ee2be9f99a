#ifndef NIGHTSHIFT_KERNELS_LOSS_H
#define NIGHTSHIFT_KERNELS_LOSS_H
/*
 * Margins after a tree, and the log loss of rows as integers.
 *     margin += value of the row's leaf
 *     loss    = rne(2^40 * w' * log(1 + e^(label 1 ? -m : m))), m = margin * 2^-k
 * w' is the weight times a power of two that the caller gives (1 without weights).
 */
#include <stdint.h>

#include "cluster/int128.h"
#include "kernels/numerics.h"

typedef struct ns_loss_rows {
    int64_t *margin;
    const float *label;
    const float *weight; /* NULL: 1 */
    double weight_scale; /* w' = weight * weight_scale */
    double unit;         /* 2^-k */
} ns_loss_rows;

/* A sum of non-negative integers in two parts that 2^31 rows cannot overflow: high * 2^32 + low. */
typedef struct ns_loss_sum {
    int64_t low, high;
} ns_loss_sum;

typedef struct ns_loss_loops {
    /* margin[i] += value[leaf[i]] for rows [first, last) */
    void (*add)(int64_t *margin, const int32_t *leaf, const int32_t *value, int64_t first, int64_t last);
    /* sum += losses of rows [first, last) */
    void (*binary)(const ns_loss_rows *rows, int64_t first, int64_t last, ns_loss_sum *sum);
} ns_loss_loops;
extern const ns_loss_loops ns_loss_baseline, ns_loss_avx2, ns_loss_avx512;
#endif
