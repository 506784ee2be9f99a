#ifndef NIGHTSHIFT_TESTS_KERNELS_SLOW_CHECK_H
#define NIGHTSHIFT_TESTS_KERNELS_SLOW_CHECK_H
/* The backend against the slow reference: trees, gains, leaves, margins and losses, bit by bit. */
#include "tests/kernels/table.h"

/* Returns the nodes of all trees. */
int64_t slow_check_table(const test_table *table, const ns_forest_settings *settings, int64_t n_rounds);

/* A table made by the recipe, for the call; its trees must split. */
void slow_check(const test_recipe *recipe, const ns_forest_settings *settings, int64_t n_rounds);
#endif
