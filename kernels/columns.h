#ifndef NIGHTSHIFT_KERNELS_COLUMNS_H
#define NIGHTSHIFT_KERNELS_COLUMNS_H
/* Which columns a tree or a node may use: a sample that depends on the stream and the columns' numbers alone.
 */
#include <stdint.h>

#include "kernels/philox.h"

/*
 * The max(1, floor(fraction * n + 0.5)) columns with the smallest (word of the stream, column).
 *   from   in   [n] columns, ascending
 *   keys   work [2 n]
 *   out    out  [n] the sample, ascending; may be from
 * Returns how many. n = 0 gives 0. Local. Cannot fail.
 */
int32_t ns_columns_sample(const ns_stream *stream, const int32_t *from, int32_t n, double fraction,
                          uint64_t *keys, int32_t *out);
#endif
