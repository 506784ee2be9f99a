#ifndef NIGHTSHIFT_KERNELS_GRADIENT_H
#define NIGHTSHIFT_KERNELS_GRADIENT_H
/*
 * Gradients and hessians of the losses by the margin m of one output, times the row's weight w, and their
 * rounding to integers for the split search.
 *
 *   binary      a = e^-|m|, p = 1 / (1 + a), t = a / (1 + a), so that neither p - 1 nor 1 - p cancels
 *               label 1: g = -(m >= 0 ? t : p)   label 0: g = m >= 0 ? p : t            h = t * p
 *   multiclass  p = e^(m - top) / norm, top the largest margin of the row's outputs and norm the sum of
 * e^(m_c - top) in order of classes, both of the round's start (ns_loss_loops.multiclass) g = p - (label is
 * this output's class)                                  h = p * (1 - p) * (K / (K - 1)) regression  g = m - y
 * h = 1 poisson     g = e^m - y, m kept within +-30                                         h = e^min(m +
 * 0.7, 30) quantile    g = y > m ? -q : 1 - q                                                  h = 1
 *
 * A row of weight 0 has g = h = 0; it still counts as a row. Labels up to the largest float32 give |g| below
 * 2^130 and with weights below 2^258; sums of their squares over 2^40 rows stay within doubles.
 *
 * Rounded for the histograms: q = floor(x * s + (r + 0.5) / 65536), r 16 random bits of the row's word in the
 * stream (seed, NS_RANDOM_GRADIENT, round, output): the low ones for g, the high ones for h. s is the largest
 * power of two with max * s in range, the max over all training rows of all ranks. narrow  |q_g| <= 4095 and
 * 0 <= q_h <= 4095, one word q_g * 4096 + q_h in 32 bits wide    |q_g| < 2^30 and 0 <= q_h < 2^24, one word
 * q_g * 2^32 + q_h in 64 bits
 */
#include <stdint.h>

#include "kernels/numerics.h"
#include "kernels/philox.h"

typedef struct ns_gradient_rows {
    const int64_t *margin; /* units of 2^-k */
    const float *label;
    const float *weight; /* NULL: 1 */
    const int64_t *row_number;
    double unit;   /* 2^-k */
    double *g, *h; /* out of gradient, in of round */
    /* multiclass: */
    int32_t output, n_outputs;
    const double *top, *norm;
    double quantile; /* quantile */
} ns_gradient_rows;

/* g and h of rows [first, last); max[0] and max[1] raised to the bits of the largest |g| and h. */
typedef void ns_gradient_loop(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2]);

typedef enum ns_width { NS_NARROW, NS_WIDE } ns_width;
enum { NS_NARROW_BITS = 12, NS_WIDE_G_BITS = 30, NS_WIDE_H_BITS = 24 };

/* How a round rounds: g * scale_g, h * scale_h. */
typedef struct ns_rounding {
    double scale_g, scale_h;
    ns_stream stream;
} ns_rounding;

typedef struct ns_gradient_loops {
    ns_gradient_loop *binary, *multiclass, *regression, *poisson, *quantile;
    /* words of rows [first, last): narrow int32_t [n], wide int64_t [n] */
    void (*round_narrow)(const ns_gradient_rows *rows, const ns_rounding *how, int64_t first, int64_t last,
                         int32_t *word);
    void (*round_wide)(const ns_gradient_rows *rows, const ns_rounding *how, int64_t first, int64_t last,
                       int64_t *word);
} ns_gradient_loops;
extern const ns_gradient_loops ns_gradient_baseline, ns_gradient_avx2, ns_gradient_avx512;

/* The largest power of two s with max * s <= limit; 1 for max 0; never above 2^1000. limit is 2^b - 1, b
 * >= 2. */
NS_INLINE double ns_scale_within(double max, int b)
{
    if (max == 0.0) return 1.0;
    int x = (int)(ns_bits(max) >> 52) - 1023; /* 2^x <= max < 2^(x+1); a subnormal max ends at the cap below */
    int e = b - 1 - x;
    if (e > 1000) return ns_power_of_two(1000);
    double scale = ns_power_of_two(e);
    return max * scale <= ns_power_of_two(b) - 1.0 ? scale : 0.5 * scale;
}
#endif
