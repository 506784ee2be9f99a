/* The flat forest: appending, and dropping trees from the end. */
#include "tests/check.h"

#include "kernels/trees.h"

/* A tree with one category split of two words and two leaves. */
static const ns_node split[3] = {{.feature = 4, .right = 2, .set = 0, .gain = 2.5, .n_rows = 9},
                                 {.feature = -1, .set = -1, .leaf = -7, .n_rows = 4},
                                 {.feature = -1, .set = -1, .leaf = 5, .n_rows = 5}};
static const ns_node leaf[1] = {{.feature = -1, .set = -1, .leaf = 3, .n_rows = 9}};

static void trees_are_appended(void **state)
{
    (void)state;
    ns_trees *trees;
    CHECK_OK(ns_trees_create(&trees));
    assert_true(trees->n_trees == 0 && trees->first[0] == 0);
    for (uint32_t i = 0; i < 100; i++) {
        const uint32_t set[2] = {i, ~i};
        CHECK_OK(ns_trees_append(trees, split, 3, set, 2));
        CHECK_OK(ns_trees_append(trees, leaf, 1, NULL, 0));
    }
    assert_true(trees->n_trees == 200 && trees->n_nodes == 400 && trees->n_set_words == 200);
    for (int64_t i = 0; i < 200; i++) {
        const ns_node *root = &trees->nodes[trees->first[i]];
        assert_int_equal(trees->first[i + 1] - trees->first[i], i % 2 == 0 ? 3 : 1);
        assert_int_equal(root->feature, i % 2 == 0 ? 4 : -1);
        if (i % 2 == 0) assert_int_equal(trees->sets[root->set], i / 2);
    }
    ns_trees_destroy(&trees);
    assert_null(trees);
    ns_trees_destroy(&trees);
}

static void trees_are_dropped_with_their_sets(void **state)
{
    (void)state;
    ns_trees *trees;
    CHECK_OK(ns_trees_create(&trees));
    for (uint32_t i = 0; i < 5; i++) {
        const uint32_t set[2] = {i, i};
        CHECK_OK(ns_trees_append(trees, leaf, 1, NULL, 0));
        CHECK_OK(ns_trees_append(trees, split, 3, set, 2));
    }
    ns_trees_truncate(trees, 10);
    assert_int_equal(trees->n_set_words, 10);
    ns_trees_truncate(trees, 7); /* keeps three splits, drops two */
    assert_true(trees->n_trees == 7 && trees->n_nodes == 13 && trees->n_set_words == 6);
    const uint32_t set[2] = {77, 78};
    CHECK_OK(ns_trees_append(trees, split, 3, set, 2));
    assert_int_equal(trees->sets[trees->nodes[trees->first[7]].set], 77);
    assert_int_equal(trees->sets[trees->nodes[trees->first[5]].set], 2);
    ns_trees_truncate(trees, 0);
    assert_true(trees->n_nodes == 0 && trees->n_set_words == 0);
    ns_trees_destroy(&trees);
}

static void room_can_be_made_ahead(void **state)
{
    (void)state;
    ns_trees *trees;
    CHECK_OK(ns_trees_create(&trees));
    CHECK_OK(ns_trees_reserve(trees, 1000, 500));
    assert_true(trees->room_trees >= 1 && trees->room_nodes >= 1000 && trees->room_set_words >= 500);
    assert_int_equal(trees->n_trees, 0);
    CHECK_FAILS(ns_trees_reserve(trees, 1, INT64_C(1) << 31), NS_ENOMEM, "2^31");
    CHECK_OK(ns_trees_append(trees, leaf, 1, NULL, 0));
    ns_trees_destroy(&trees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_appended),
        cmocka_unit_test(trees_are_dropped_with_their_sets),
        cmocka_unit_test(room_can_be_made_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
