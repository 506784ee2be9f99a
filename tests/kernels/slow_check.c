#include "tests/kernels/slow_check.h"

#include "tests/check.h"
#include "tests/kernels/slow_forest.h"

static void check_nodes(const ns_trees *got, const ns_trees *want)
{
    assert_int_equal(got->n_trees, want->n_trees);
    assert_int_equal(got->n_nodes, want->n_nodes);
    assert_int_equal(got->n_set_words, want->n_set_words);
    assert_memory_equal(got->first, want->first, (size_t)(want->n_trees + 1) * sizeof *want->first);
    for (int64_t i = 0; i < want->n_nodes; i++) {
        const ns_node *a = &got->nodes[i], *b = &want->nodes[i];
        assert_int_equal(a->feature, b->feature);
        assert_int_equal(a->right, b->right);
        assert_int_equal(a->threshold, b->threshold);
        assert_int_equal(a->set, b->set);
        assert_int_equal(a->missing_left, b->missing_left);
        assert_int_equal(a->leaf, b->leaf);
        assert_true(a->gain == b->gain);
        assert_int_equal(a->n_rows, b->n_rows);
    }
    if (want->n_set_words > 0)
        assert_memory_equal(got->sets, want->sets, (size_t)want->n_set_words * sizeof *want->sets);
}

/* Losses and leaves of the rounds. */
static void check_rounds(const test_result *result, const ns_trees *trees, ns_i128 (*losses)[2])
{
    for (int64_t i = 0; i < result->n_rounds; i++) {
        int64_t leaves = 0, first = i * result->n_outputs;
        assert_true(result->rounds[i].train_loss == losses[i][0]);
        assert_true(result->rounds[i].valid_loss == losses[i][1]);
        for (int64_t n = trees->first[first]; n < trees->first[first + result->n_outputs]; n++)
            leaves += trees->nodes[n].feature < 0;
        assert_int_equal(result->rounds[i].n_leaves, leaves);
    }
}

int64_t slow_check_table(const test_table *table, const ns_forest_settings *settings, int64_t n_rounds)
{
    test_result result;
    ns_trees *trees;
    test_way way = test_plain_way();
    way.n_threads = 2;
    test_train(&result, table, settings, n_rounds, &way);
    size_t n_margins = (size_t)table->n_rows * (size_t)result.n_outputs;
    int64_t *margin = calloc(n_margins, sizeof *margin), n_nodes = result.trees->n_nodes;
    ns_i128(*losses)[2] = calloc((size_t)n_rounds, sizeof *losses);
    CHECK_OK(ns_trees_create(&trees));
    slow_train(trees, margin, losses, table, settings, &result, n_rounds);
    check_nodes(result.trees, trees);
    assert_memory_equal(result.margin, margin, n_margins * sizeof *margin);
    check_rounds(&result, trees, losses);
    free(losses);
    free(margin);
    ns_trees_destroy(&trees);
    test_result_free(&result);
    return n_nodes;
}

void slow_check(const test_recipe *recipe, const ns_forest_settings *settings, int64_t n_rounds)
{
    test_table table;
    test_table_make(&table, recipe);
    assert_true(slow_check_table(&table, settings, n_rounds) > 3 * n_rounds);
    test_table_free(&table);
}
