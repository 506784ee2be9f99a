#ifndef NIGHTSHIFT_KERNELS_GRADIENT_H
#define NIGHTSHIFT_KERNELS_GRADIENT_H
/*
 * Gradients of the binary log loss, and their rounding to integers for the split search. With m the margin, a
 * = e^-|m|, p = 1 / (1 + a) and t = a / (1 + a) (so that neither p - 1 nor 1 - p cancels), w the row's
 * weight: label 1:  g = -(m >= 0 ? t : p) * w      label 0:  g = (m >= 0 ? p : t) * w      h = t * p * w A
 * row of weight 0 has g = h = 0; it still counts as a row.
 *
 * Rounded for the histograms: q = floor(x * s + (r + 0.5) / 65536), r 16 random bits of the row's word in the
 * stream (seed, NS_RANDOM_GRADIENT, round, output): the low ones for g, the high ones for h. s is the largest
 * power of two with max * s in range, the max over all training rows of all ranks. narrow  |q_g| <= 4095 and
 * 0 <= q_h <= 4095, one word q_g * 4096 + q_h in 32 bits wide    |q_g| < 2^30 and 0 <= q_h < 2^24, one word
 * q_g * 2^32 + q_h in 64 bits
 */
#include <stdint.h>

#include "kernels/philox.h"

typedef struct ns_gradient_rows {
    const int64_t *margin; /* units of 2^-k */
    const float *label;
    const float *weight; /* NULL: 1 */
    const int64_t *row_number;
    double unit;   /* 2^-k */
    double *g, *h; /* out of gradient, in of round */
} ns_gradient_rows;

typedef enum ns_width { NS_NARROW, NS_WIDE } ns_width;

/* How a round rounds: g * scale_g, h * scale_h. */
typedef struct ns_rounding {
    double scale_g, scale_h;
    ns_stream stream;
} ns_rounding;

typedef struct ns_gradient_loops {
    /* g and h of rows [first, last); max[0] and max[1] raised to the bits of the largest |g| and h */
    void (*binary)(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2]);
    /* words of rows [first, last): narrow int32_t [n], wide int64_t [n] */
    void (*round_narrow)(const ns_gradient_rows *rows, const ns_rounding *how, int64_t first, int64_t last,
                         int32_t *word);
    void (*round_wide)(const ns_gradient_rows *rows, const ns_rounding *how, int64_t first, int64_t last,
                       int64_t *word);
} ns_gradient_loops;
extern const ns_gradient_loops ns_gradient_baseline, ns_gradient_avx2, ns_gradient_avx512;

/* The largest power of two s with max * s <= limit; 1 for max 0; never above 2^1000. limit is 2^b - 1, b
 * >= 2. */
double ns_scale_within(double max, int b);
#endif
