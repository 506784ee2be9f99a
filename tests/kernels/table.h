#ifndef NIGHTSHIFT_TESTS_KERNELS_TABLE_H
#define NIGHTSHIFT_TESTS_KERNELS_TABLE_H
/* Made-up tables, trained through the backend's own interface in any of the ways that must not matter. */
#include <stdbool.h>

#include "kernels/forest.h"
#include "kernels/scorer.h"

typedef enum test_weights { WEIGHTS_NONE, WEIGHTS_MILD, WEIGHTS_SIX_ORDERS } test_weights;

typedef struct test_recipe {
    int64_t n_train, n_valid;
    test_weights weights;
    double steep;  /* the true logit is multiplied by it: 1, or 8 for margins beyond 16 */
    double offset; /* added to it: -9 for labels of one in ten thousand */
    bool no_categories;
    bool coarse; /* numbers of four values only: gains tie */
    ns_objective objective;
    int32_t n_classes;  /* multiclass: 3..8 */
    double label_scale; /* regression, quantile, poisson: labels are multiplied by it; 0: by 1 */
    double label_shift; /* regression, quantile: and this added */
    bool monotone;      /* some features are constrained, with the truth and against it */
} test_recipe;

typedef struct test_table {
    int64_t n_train, n_valid, n_rows; /* rows [0, n_train) train */
    int32_t n_features;
    ns_feature_kind kind[16];
    int32_t n_bins[16];
    float *number[16];
    int32_t *bin[16];
    int8_t monotone[16];
    bool is_constrained;
    float *label, *weight; /* weight NULL: none */
    double *risk;          /* true; binary */
    int64_t *row_number;   /* not the index: gaps, and numbers beyond 2^32 */
} test_table;

void test_table_make(test_table *table, const test_recipe *recipe);
void test_table_free(test_table *table);

/* Ordinary settings; tests change what they are about. */
ns_forest_settings test_settings(void);

/* The same for the recipe's objective; quantile 0.8. */
ns_forest_settings test_settings_for(const test_recipe *recipe);

/* How a table is trained. */
typedef struct test_way {
    int n_threads;
    ns_link link;
    int (*rank_of)(int64_t row, int n_ranks); /* NULL: every row is here */
    uint32_t shuffle;                         /* 0: rows in order; else a seed for another order */
    int64_t slab;                             /* rows of a slab */
    int64_t resume_at; /* rounds after which the forest is destroyed and made anew; 0: never */
} test_way;

test_way test_plain_way(void);

/* What came out; alike on all ranks but for margin, which holds this rank's rows, others INT64_MIN. */
typedef struct test_result {
    ns_trees *trees;
    int64_t n_rounds;
    ns_round *rounds;
    int32_t n_outputs;
    int64_t *margin; /* [n_rows][n_outputs] in the table's order */
    float cuts[16][254];
    int32_t n_cuts[16];
    ns_objective objective;
    int64_t base[9]; /* [n_outputs] */
    int32_t k;
    uint64_t hash; /* of all but margin */
} test_result;

void test_train(test_result *result, const test_table *table, const ns_forest_settings *settings,
                int64_t n_rounds, const test_way *way);
void test_result_free(test_result *result);

/* Margins and risks or predictions of the table's rows from the trees: [n_rows][n_outputs]. */
void test_score(const test_result *result, const test_table *table, int n_threads, int64_t *margin,
                float *risk);
#endif
