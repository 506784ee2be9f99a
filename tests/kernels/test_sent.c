/* What a rank hands to reductions for a tree: counted, and as cluster/README.md says. */
#include "tests/check.h"

#include "kernels/histogram.h"
#include "tests/kernels/table.h"

static void count_i64(void *context, int64_t *values, int64_t n)
{
    (void)values;
    *(int64_t *)context += n;
}

static void pass_max(void *context, int64_t *values, int64_t n)
{
    (void)context, (void)values, (void)n;
}

static void pass_i128(void *context, ns_i128 *values, int64_t n)
{
    (void)context, (void)values, (void)n;
}

/* Words summed by `n_rounds` rounds and what comes before them; the trees to *result. */
static int64_t words_of(test_result *result, const test_table *table, const ns_forest_settings *s, int64_t n_rounds)
{
    int64_t n_words = 0;
    test_way way = test_plain_way();
    way.link = (ns_link){.n_ranks = 1, .context = &n_words, .sum_i64 = count_i64, .max_i64 = pass_max, .sum_i128 = pass_i128};
    test_train(result, table, s, n_rounds, &way);
    return n_words;
}

static int64_t cells_of(const test_result *result, const test_table *table)
{
    int64_t cells = 0;
    for (int32_t f = 0; f < table->n_features; f++)
        cells += table->kind[f] == NS_NUMBER ? result->n_cuts[f] + 2 : table->n_bins[f];
    return cells;
}

static int64_t words_per_cell(const ns_forest_settings *s, int64_t n_rows)
{
    return s->gradient_bits == 12 && n_rows <= NS_HISTOGRAM_ROWS ? 1 : 3;
}

/* Of opening a split's children, in words per cell; 0 where neither can be split again. */
static int64_t opened(const ns_forest_settings *s, const ns_node *nodes, int32_t at, int32_t depth)
{
    int64_t left = nodes[at + 1].n_rows, right = nodes[nodes[at].right].n_rows;
    int64_t large = left > right ? left : right, small = left > right ? right : left;
    if (large < 2 * s->min_rows || (s->max_depth > 0 && depth + 1 >= s->max_depth)) return 0;
    return words_per_cell(s, small);
}

/* Over all splits at and below a node. */
static int64_t all_opened(const ns_forest_settings *s, const ns_node *nodes, int32_t at, int32_t depth)
{
    if (nodes[at].feature < 0) return 0;
    return opened(s, nodes, at, depth) + all_opened(s, nodes, at + 1, depth + 1) +
           all_opened(s, nodes, nodes[at].right, depth + 1);
}

/* Whether opening one of the splits above two leaves costs `missing`. */
static bool is_last(const ns_forest_settings *s, const ns_node *nodes, int32_t at, int32_t depth, int64_t missing)
{
    if (nodes[at].feature < 0) return false;
    int32_t right = nodes[at].right;
    if (nodes[at + 1].feature < 0 && nodes[right].feature < 0 && opened(s, nodes, at, depth) == missing) return true;
    return is_last(s, nodes, at + 1, depth + 1, missing) || is_last(s, nodes, right, depth + 1, missing);
}

static void check_tree(const test_table *table, ns_forest_settings s)
{
    test_result before, after;
    s.batch = 1; /* nothing is opened ahead */
    int64_t first = words_of(&before, table, &s, 2), both = words_of(&after, table, &s, 3);
    const ns_trees *trees = after.trees;
    const ns_node *nodes = trees->nodes + trees->first[2];
    int64_t n_nodes = trees->first[3] - trees->first[2], cells = cells_of(&after, table);
    int64_t in_cells = words_per_cell(&s, table->n_train) + all_opened(&s, nodes, 0, 0);
    int64_t missing = in_cells * cells + 3 * n_nodes - (both - first);
    assert_int_equal(missing % cells, 0);
    /* The last split of a full tree is not opened. */
    if ((n_nodes + 1) / 2 == s.max_leaves)
        assert_true(is_last(&s, nodes, 0, 0, missing / cells));
    else
        assert_int_equal(missing, 0);
    assert_true(n_nodes > 15);
    test_result_free(&before);
    test_result_free(&after);
}

static void trees_send_what_the_formula_says(void **state)
{
    (void)state;
    const test_recipe recipe = {.n_train = 40000, .n_valid = 10, .steep = 1.0};
    test_table table;
    test_table_make(&table, &recipe);
    ns_forest_settings s = test_settings();
    for (int bits = 12; bits <= 30; bits += 18) {
        s.gradient_bits = bits;
        s.max_leaves = 31;
        s.max_depth = 0;
        check_tree(&table, s);
        s.max_leaves = 1000;
        s.max_depth = 5;
        check_tree(&table, s);
        s.max_depth = 0;
        s.min_rows = 900;
        check_tree(&table, s);
        s.min_rows = 20;
    }
    test_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(trees_send_what_the_formula_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
