#ifndef NIGHTSHIFT_KERNELS_CUTS_H
#define NIGHTSHIFT_KERNELS_CUTS_H
/*
 * The cuts of a number column: exact, real values of the data, the same for any ranks, slabs and order. With
 * n values that are not NaN, over all ranks, and B = max_bins:
 *
 * 1. With at most B distinct values, each has a bin of its own: the cuts are all of them but the largest.
 * 2. Else a value with count * B >= n is heavy, and gets a bin of its own: a cut at itself and a cut at the
 * largest value below it. The others are light: W rows. Heavy values part the light ones into G runs (gaps
 * without light rows are none). Where heavies and runs together are more than B (it takes more than B/2
 * heavies), the heavies with fewest rows count as light, ties the higher value first, until they are not.
 * 3. The R = B - heavies bins that remain go to the runs. With E_g the light rows in runs 1..g, run g gets
 *        b_g = 1 + floor(E_g (R - G) / W) - floor(E_(g-1) (R - G) / W)
 *    bins and, of its W_g rows, cuts at the values of rank floor(j W_g / b_g), j = 1..b_g - 1, where that is
 * not 0. Without heavies these are the ranks floor(j n / B).
 * 4. Equal cuts count once; the largest value of all is no cut. So there are at most B - 1.
 */
#include "kernels/tally.h"

enum { NS_MAX_CUTS = 254 };

/*
 * Finds the cuts from a collected tally, or asks it for another pass.
 *   max_bins  in   2..255
 *   cuts      out  [NS_MAX_CUTS] ascending
 *   n_cuts    out
 * Local and pure but for the tally. False: not yet, add the slabs once more, collect, ask again (five passes
 * at most).
 */
bool ns_cuts_find(ns_tally *tally, int32_t max_bins, float *cuts, int32_t *n_cuts);

/* Bytes that the tally of one column can come to hold, at most, when it is asked for n_quantiles besides. */
int64_t ns_cuts_memory(int32_t max_bins, int32_t n_quantiles);
#endif
