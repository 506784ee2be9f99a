#include "tests/kernels/cases.h"

#include "tests/check.h"
#include "tests/kernels/backend.h"

#define ROWS .n_train = 330, .n_valid = 40, .steep = 1.0

const test_case test_cases[] = {
    {.name = "numbers", .recipe = {ROWS, .no_categories = true}},
    {.name = "categories", .recipe = {ROWS}, .category_split_rows = 15},
    {.name = "one leaf at a time", .recipe = {ROWS}, .batch = 1, .category_split_rows = 15},
    {.name = "all leaves at once", .recipe = {ROWS}, .batch = 64, .max_leaves = 40, .min_rows = 2, .category_split_rows = 5},
    {.name = "ties", .recipe = {ROWS, .coarse = true}, .min_rows = 1, .max_leaves = 64, .category_split_rows = 5},
    {.name = "ties, few levels a side", .recipe = {ROWS, .coarse = true}, .category_max_levels = 2, .min_rows = 3, .category_split_rows = 4},
    {.name = "wide gradients", .recipe = {ROWS}, .gradient_bits = 30, .category_split_rows = 15},
    {.name = "wide gradients, many leaves", .recipe = {ROWS, .no_categories = true}, .gradient_bits = 30, .batch = 64, .max_leaves = 40, .min_rows = 2},
    {.name = "rows for no split", .recipe = {ROWS}, .min_rows = 200},
    {.name = "weights", .recipe = {ROWS, .weights = WEIGHTS_MILD}},
    {.name = "weights over six orders", .recipe = {ROWS, .weights = WEIGHTS_SIX_ORDERS}},
    {.name = "rules", .recipe = {ROWS}, .l1 = 0.7, .no_l2 = true, .min_gain = 0.5, .min_hessian = 3.0, .max_depth = 3},
    {.name = "sampled rows", .recipe = {ROWS}, .row_sample = 0.6},
    {.name = "sampled columns", .recipe = {ROWS}, .column_sample = 0.5, .column_sample_node = 0.4, .row_sample = 0.9},
    {.name = "few bins", .recipe = {ROWS}, .max_bins = 5},
    {.name = "margins beyond 16", .recipe = {ROWS}, .learning_rate = 3.0, .n_rounds = 3},
    {.name = "rare labels", .recipe = {.n_train = 900, .n_valid = 20, .steep = 1.0, .offset = -4.0}, .row_sample = 0.5},
    {.name = "resumed, another order", .recipe = {ROWS}, .shuffle = 99, .resume_at = 1, .n_rounds = 2},
    {.name = "several pieces", .recipe = {.n_train = 9000, .n_valid = 700, .steep = 1.0}, .max_leaves = 6, .row_sample = 0.7},
    {.name = "several pieces, wide", .recipe = {.n_train = 5000, .n_valid = 0, .steep = 1.0, .no_categories = true}, .gradient_bits = 30, .max_leaves = 4},
    {.name = "hardly any rows", .recipe = {.n_train = 7, .n_valid = 1, .steep = 1.0}, .min_rows = 1},
    {.name = "no split", .recipe = {ROWS}, .min_gain = 1e300},
    {.name = "no sampled row", .recipe = {ROWS}, .row_sample = 1e-10},
    {.name = "monotone", .recipe = {ROWS, .monotone = true, .weights = WEIGHTS_MILD}, .min_rows = 3, .learning_rate = 1.0},
    {.name = "regression", .recipe = {ROWS, .objective = NS_REGRESSION}},
    {.name = "regression, monotone", .recipe = {ROWS, .objective = NS_REGRESSION, .monotone = true, .weights = WEIGHTS_MILD}, .row_sample = 0.8},
    {.name = "regression, large labels", .recipe = {ROWS, .objective = NS_REGRESSION, .label_scale = 1e30}},
    {.name = "poisson", .recipe = {ROWS, .objective = NS_POISSON, .offset = 0.5}, .column_sample_node = 0.7},
    {.name = "poisson, rare", .recipe = {ROWS, .objective = NS_POISSON, .offset = -3.0, .monotone = true}},
    {.name = "multiclass", .recipe = {ROWS, .objective = NS_MULTICLASS, .n_classes = 4}, .resume_at = 1, .n_rounds = 2},
    {.name = "multiclass, weights", .recipe = {ROWS, .objective = NS_MULTICLASS, .n_classes = 3, .weights = WEIGHTS_SIX_ORDERS}, .row_sample = 0.7},
    {.name = "quantile", .recipe = {ROWS, .objective = NS_QUANTILE}},
    {.name = "quantile, monotone", .recipe = {ROWS, .objective = NS_QUANTILE, .monotone = true, .weights = WEIGHTS_SIX_ORDERS}, .row_sample = 0.8},
    {.name = "quantile, more leaves than a turn counts", .recipe = {.n_train = 900, .n_valid = 40, .steep = 1.0, .objective = NS_QUANTILE}, .max_leaves = 250, .min_rows = 1},
};
const int test_n_cases = sizeof test_cases / sizeof *test_cases;

static void replace(double *setting, double by)
{
    if (by != 0.0) *setting = by;
}

static void replace_i32(int32_t *setting, int32_t by)
{
    if (by != 0) *setting = by;
}

void test_case_train(const test_case *c, const test_table *table, const ns_link *link, int (*rank_of)(int64_t row, int n_ranks),
                     test_result *result)
{
    ns_forest_settings s = test_settings_for(&c->recipe);
    test_way way = test_plain_way();
    replace_i32(&s.max_leaves, c->max_leaves);
    replace_i32(&s.max_depth, c->max_depth);
    replace_i32(&s.batch, c->batch);
    replace_i32(&s.max_bins, c->max_bins);
    replace_i32(&s.gradient_bits, c->gradient_bits);
    replace_i32(&s.category_max_levels, c->category_max_levels);
    if (c->category_split_rows != 0) s.category_split_rows = c->category_split_rows;
    if (c->min_rows != 0) s.min_rows = c->min_rows;
    replace(&s.l1, c->l1);
    replace(&s.min_gain, c->min_gain);
    replace(&s.min_hessian, c->min_hessian);
    replace(&s.row_sample, c->row_sample);
    replace(&s.column_sample, c->column_sample);
    replace(&s.column_sample_node, c->column_sample_node);
    replace(&s.learning_rate, c->learning_rate);
    if (c->no_l2) s.l2 = 0.0;
    way.link = *link;
    way.rank_of = rank_of;
    way.shuffle = c->shuffle;
    way.resume_at = c->resume_at;
    test_train(result, table, &s, c->n_rounds == 0 ? 1 : c->n_rounds, &way);
}
