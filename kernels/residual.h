#ifndef NIGHTSHIFT_KERNELS_RESIDUAL_H
#define NIGHTSHIFT_KERNELS_RESIDUAL_H
/*
 * Exact weighted quantiles of residuals, of many groups of rows at once, over all ranks. The residual of a
 * row is y - margin * unit in double, rounded to float32 (clamped to its finite range). The q-quantile of a
 * group is the smallest of its residuals r for which sum of w over rows with residual <= r  >=  q * sum of w
 * w = 1, or rne(weight * weight_scale * 2^min(40, 62 - ceil(log2 rows of all ranks))), so that sums stay
 * below 2^62; q is taken as a whole number of 10^-9, so that q = 0.9 of ten rows is the ninth. Rows whose w
 * is 0 do not count; the quantile of a group without weight is 0.
 *
 * Found by counting order-preserving keys (ns_key_of) in three steps of 11, 11 and 10 bits,
 * NS_RESIDUAL_GROUPS groups at a time with one sum over ranks for each step. Integers: no result depends on
 * ranks, threads or the order of rows.
 */
#include "cluster/status.h"
#include "kernels/link.h"
#include "kernels/numerics.h"

enum { NS_RESIDUAL_GROUPS = 128, NS_RESIDUAL_STEPS = 3, NS_RESIDUAL_MOST_BITS = 11 };

/* Bits of the keys that a step counts by: 11, 11, 10. */
NS_INLINE int ns_residual_bits(int step)
{
    return step < 2 ? 11 : 10;
}

/* The smallest weight that reaches q of `total`: ceil(q * total), q in billionths; 0 where there is none. The total, up to
   2^62, is parted so that 64 bits suffice. */
NS_INLINE int64_t ns_residual_target(int64_t total, double quantile)
{
    int64_t billionths = ns_rne_i64(ns_clamp(quantile * 1e9, 1.0, 999999999.0)), billion = 1000000000;
    return billionths * (total / billion) + (billionths * (total % billion) + billion - 1) / billion;
}

/* Weights in fixed point: weight * ns_residual_scale is what a row adds. */
NS_INLINE double ns_residual_scale(double weight_scale, int64_t n_rows_global)
{
    int most = 62 - ns_ceil_log2_i64(n_rows_global > 0 ? n_rows_global : 1);
    return weight_scale * ns_power_of_two(most < 40 ? most : 40);
}

typedef struct ns_residuals ns_residuals;

typedef struct ns_residual_plan {
    int64_t n_rows, n_rows_global;
    int32_t max_groups; /* groups are numbered 0 .. max_groups - 1 */
    int n_threads;
} ns_residual_plan;

/* Local. NS_ENOMEM; *out is NULL then. */
ns_status ns_residuals_create(ns_residuals **out, const ns_residual_plan *plan);
void ns_residuals_destroy(ns_residuals **residuals);

/* Bytes that create takes. */
int64_t ns_residuals_memory(const ns_residual_plan *plan);

/* [n_rows] each; borrowed for the call. */
typedef struct ns_residual_rows {
    const int64_t *margin;
    const float *label;
    const float *weight; /* NULL: 1 */
    double weight_scale, unit;
    const int32_t *group;
} ns_residual_rows;

/*
 * The quantiles of some of the groups; rows of others are passed over.
 *   wanted    in   [n_wanted] numbers of groups, each once, the same on every rank
 *   quantile  in   q, in (0, 1)
 *   out       out  out[g] for each wanted group g, the same on every rank; others are not touched
 * Collective over link. Cannot fail.
 */
void ns_residual_quantiles(ns_residuals *residuals, const ns_residual_rows *rows, const int32_t *wanted,
                           int32_t n_wanted, double quantile, const ns_link *link, double *out);
#endif
