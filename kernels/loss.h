#ifndef NIGHTSHIFT_KERNELS_LOSS_H
#define NIGHTSHIFT_KERNELS_LOSS_H
/*
 * Margins after a tree, and the losses of rows as integers: rne(2^40 / loss_unit * (w' * loss)), at most
 * 2^62, with m = margin * 2^-k, w' the weight times a power of two that the caller gives (1 without weights)
 * and binary      log(1 + e^(label 1 ? -m : m)) multiclass  log(norm) - (m_y - top): top the largest margin
 * of the row's outputs, norm the sum of e^(m_c - top) in order of classes regression  (y - m)^2 poisson     r
 * - y + (y > 0 ? y * log(y / r) : 0), at least 0, r = e^m with m kept within +-30 quantile    y > m ? q * (y
 * - m) : (1 - q) * (m - y)
 */
#include <stdint.h>

#include "cluster/int128.h"
#include "kernels/numerics.h"

typedef struct ns_loss_rows {
    int64_t *margin; /* [n_outputs] planes, `stride` rows from one to the next */
    const float *label;
    const float *weight; /* NULL: 1 */
    double weight_scale; /* w' = weight * weight_scale */
    double unit;         /* 2^-k */
    double scale;        /* 2^40 / loss_unit */
    /* multiclass: */
    int32_t n_outputs;
    int64_t stride;
    double *top, *norm; /* out, of the rows looked at */
    double quantile;    /* quantile */
} ns_loss_rows;

/* A sum of non-negative integers in two parts that 2^31 rows cannot overflow: high * 2^32 + low. */
typedef struct ns_loss_sum {
    int64_t low, high;
} ns_loss_sum;

/* sum += losses of rows [first, last). */
typedef void ns_loss_loop(const ns_loss_rows *rows, int64_t first, int64_t last, ns_loss_sum *sum);

typedef struct ns_loss_loops {
    /* margin[i] += value[leaf[i]] for rows [first, last) */
    void (*add)(int64_t *margin, const int32_t *leaf, const int32_t *value, int64_t first, int64_t last);
    ns_loss_loop *binary, *multiclass, *regression, *poisson, *quantile;
} ns_loss_loops;
extern const ns_loss_loops ns_loss_baseline, ns_loss_avx2, ns_loss_avx512;
#endif
