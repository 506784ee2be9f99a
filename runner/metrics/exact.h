#ifndef NIGHTSHIFT_RUNNER_METRICS_EXACT_H
#define NIGHTSHIFT_RUNNER_METRICS_EXACT_H
/* From exact integers to doubles by one formula, the same bits with every compiler. Pure. */
#include "cluster/int128.h"

/* The double nearest to value, ties to even. */
double ns_u128_to_double(ns_u128 value);
double ns_i128_to_double(ns_i128 value);

/* The square root of value >= 0, correctly rounded: IEEE 754 demands that, so it may come from libm. */
double ns_square_root(double value);
#endif
