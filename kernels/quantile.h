#ifndef NIGHTSHIFT_KERNELS_QUANTILE_H
#define NIGHTSHIFT_KERNELS_QUANTILE_H
/*
 * Exact quantiles of a column over all ranks. The q-quantile is a real value of the data: the ceil(q * n)-th
 * smallest of the n values that are not NaN (at least the first). Found by counting order-preserving keys,
 * never by averaging.
 */
#include "kernels/link.h"
#include "cluster/status.h"
#include "kernels/tally.h"

/*
 *   values    in   [n] this rank's; NaN is left out
 *   percent   in   [n_percent] ascending, 1..99
 *   out       out  [n_percent] the same on every rank; NaN where no rank has a value
 *   n_values  out  values over all ranks that are not NaN
 * Collective over link. NS_ENOMEM.
 */
ns_status ns_quantiles(const float *values, int64_t n, const int32_t *percent, int32_t n_percent, float *out,
                       int64_t *n_values, const ns_link *link);

/* One of them from a collected tally of n values, NaN where n is 0. False: not yet, as ns_tally_at. Local. */
bool ns_quantile_at(ns_tally *tally, int64_t n, int32_t percent, float *out);
#endif
