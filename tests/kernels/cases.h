#ifndef NIGHTSHIFT_TESTS_KERNELS_CASES_H
#define NIGHTSHIFT_TESTS_KERNELS_CASES_H
/* Small trainings, one for each thing that a backend could do differently; every backend must give the cpu's bytes. */
#include "tests/kernels/table.h"

typedef struct test_case {
    const char *name;
    test_recipe recipe;
    /* What differs from test_settings_for(&recipe); 0: nothing. */
    int32_t max_leaves, max_depth, batch, max_bins, gradient_bits, category_split_rows, category_max_levels;
    int64_t min_rows;
    double l1, min_gain, min_hessian, row_sample, column_sample, column_sample_node, learning_rate;
    bool no_l2;
    uint32_t shuffle;
    int64_t resume_at, n_rounds; /* n_rounds 0: 1 */
} test_case;

extern const test_case test_cases[];
extern const int test_n_cases;

/* Trains the case on test_backend's device, over the link's ranks; rank_of as in test_way, NULL: all rows are here. */
void test_case_train(const test_case *c, const test_table *table, const ns_link *link, int (*rank_of)(int64_t row, int n_ranks),
                     test_result *result);
#endif
