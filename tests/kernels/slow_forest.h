#ifndef NIGHTSHIFT_TESTS_KERNELS_SLOW_FOREST_H
#define NIGHTSHIFT_TESTS_KERNELS_SLOW_FOREST_H
/*
 * Training as design.md and the headers describe it, in the plainest way: every candidate's sums are taken
 * from the rows anew, best-first looks at all leaves each time, everything is on one thread. Shares with the
 * backend only numerics.h, philox.h and the types. For small tables.
 */
#include "tests/kernels/table.h"

/* margin of all rows; trees as the backend's. Cuts are taken from `result` (they have a test of their own).
 */
void slow_train(ns_trees *trees, int64_t *margin, ns_i128 (*losses)[2], const test_table *table,
                const ns_forest_settings *settings, const test_result *result, int64_t n_rounds);
#endif
