/* Training on one rank: against the slow reference, and the same bytes in every way that must not matter. */
#include "tests/check.h"

#include <math.h>

#include "kernels/numerics.h"
#include "kernels/philox.h"
#include "tests/golden/recorded.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/slow_check.h"
#include "tests/kernels/table.h"

static const test_recipe mixed = {.n_train = 3000, .n_valid = 500, .steep = 1.0};

static void trees_are_those_of_the_reference(void **state)
{
    (void)state;
    ns_forest_settings s = test_settings();
    s.category_split_rows = 30;
    slow_check(&mixed, &s, 3);
    s.gradient_bits = 30;
    s.max_depth = 3;
    slow_check(&mixed, &s, 2);
    s.gradient_bits = 12;
    s.max_depth = 0;
    s.l1 = 0.7;
    s.l2 = 0.0;
    s.min_gain = 0.5;
    s.min_hessian = 3.0;
    slow_check(&mixed, &s, 2);
}

static void ties_are_those_of_the_reference(void **state)
{
    (void)state;
    test_recipe recipe = {.n_train = 1500, .n_valid = 100, .steep = 1.0, .coarse = true};
    ns_forest_settings s = test_settings();
    s.min_rows = 1;
    s.max_leaves = 64;
    s.category_split_rows = 10;
    slow_check(&recipe, &s, 2);
    s.category_max_levels = 2;
    slow_check(&recipe, &s, 2);
}

static void samples_are_those_of_the_reference(void **state)
{
    (void)state;
    ns_forest_settings s = test_settings();
    s.row_sample = 0.6;
    slow_check(&mixed, &s, 2);
    s.column_sample = 0.5;
    slow_check(&mixed, &s, 2);
    s.column_sample_node = 0.4;
    s.row_sample = 1.0;
    slow_check(&mixed, &s, 2);
}

static void weights_are_those_of_the_reference(void **state)
{
    (void)state;
    ns_forest_settings s = test_settings();
    test_recipe recipe = mixed;
    recipe.weights = WEIGHTS_MILD;
    slow_check(&recipe, &s, 2);
    recipe.weights = WEIGHTS_SIX_ORDERS;
    slow_check(&recipe, &s, 2);
}

/* Data on which sums of floats depend on order: margins beyond 16, rare labels, weights over six orders. */
static const test_recipe hard[] = {
    {.n_train = 15000, .n_valid = 2000, .steep = 1.0},
    {.n_train = 15000, .n_valid = 2000, .steep = 8.0, .weights = WEIGHTS_MILD},
    {.n_train = 50000, .n_valid = 2000, .steep = 1.0, .offset = -8.2},
    {.n_train = 15000, .n_valid = 2000, .steep = 1.0, .weights = WEIGHTS_SIX_ORDERS},
};
enum { N_HARD = sizeof hard / sizeof *hard };
static test_table tables[N_HARD];

static int make_tables(void **state)
{
    (void)state;
    for (int i = 0; i < N_HARD; i++) test_table_make(&tables[i], &hard[i]);
    return 0;
}

static int free_tables(void **state)
{
    (void)state;
    for (int i = 0; i < N_HARD; i++) test_table_free(&tables[i]);
    return 0;
}

static uint64_t train_hash(int table, const ns_forest_settings *s, int64_t n_rounds, const test_way *way)
{
    test_result result;
    test_train(&result, &tables[table], s, n_rounds, way);
    uint64_t hash = result.hash;
    test_result_free(&result);
    return hash;
}

static ns_forest_settings hard_settings(int i)
{
    ns_forest_settings s = test_settings();
    if (i == 1) {
        s.learning_rate = 1.0; /* margins grow fast */
        s.row_sample = 0.8;
        s.column_sample_node = 0.7;
    }
    return s;
}

static void threads_order_and_slabs_do_not_matter(void **state)
{
    (void)state;
    for (int i = 0; i < N_HARD; i++) {
        ns_forest_settings s = hard_settings(i);
        test_way way = test_plain_way();
        uint64_t want = train_hash(i, &s, 6, &way);
        for (int threads = 2; threads <= 3; threads++) {
            way.n_threads = threads;
            assert_int_equal(train_hash(i, &s, 6, &way), want);
        }
        way.shuffle = 99;
        assert_int_equal(train_hash(i, &s, 6, &way), want);
        way.slab = 777;
        assert_int_equal(train_hash(i, &s, 6, &way), want);
    }
}

static void opening_ahead_does_not_matter(void **state)
{
    (void)state;
    for (int i = 0; i < N_HARD; i++) {
        ns_forest_settings s = hard_settings(i);
        test_way way = test_plain_way();
        way.n_threads = 2;
        s.max_leaves = i == 0 ? 255 : 63;
        s.batch = 1;
        uint64_t want = train_hash(i, &s, 3, &way);
        const int32_t batches[] = {2, 4, 16, 64, 1000};
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            s.batch = batches[b];
            assert_int_equal(train_hash(i, &s, 3, &way), want);
        }
    }
}

static void instruction_sets_do_not_matter(void **state)
{
    (void)state;
    const char *names[] = {"avx2", "avx512"};
    const char *held = getenv("NIGHTSHIFT_CPU");
    char *before = held == NULL ? NULL : strdup(held);
    for (int i = 0; i < N_HARD; i++) {
        ns_forest_settings s = hard_settings(i);
        test_way way = test_plain_way();
        setenv("NIGHTSHIFT_CPU", "baseline", 1);
        uint64_t want = train_hash(i, &s, 4, &way);
        for (int n = 0; n < 2; n++) {
            ns_device *device;
            setenv("NIGHTSHIFT_CPU", names[n], 1);
            if (ns_device_open(&device, "cpu", 1, &way.link) != NS_OK) { /* this processor has it not */
                ns_error_clear();
                continue;
            }
            ns_device_close(&device);
            assert_int_equal(train_hash(i, &s, 4, &way), want);
        }
    }
    if (before == NULL)
        unsetenv("NIGHTSHIFT_CPU");
    else
        setenv("NIGHTSHIFT_CPU", before, 1);
    free(before);
}

static void resuming_does_not_matter(void **state)
{
    (void)state;
    for (int i = 0; i < N_HARD; i++) {
        ns_forest_settings s = hard_settings(i);
        test_way way = test_plain_way();
        uint64_t want = train_hash(i, &s, 6, &way);
        for (way.resume_at = 1; way.resume_at < 6; way.resume_at += 2)
            assert_int_equal(train_hash(i, &s, 6, &way), want);
    }
}

/* What NS_NUMERICS_VERSION stands for: the bytes of models. One never changes without the other. */
static void hashes_are_the_recorded_ones(void **state)
{
    (void)state;
    uint64_t hashes[N_HARD];
    for (int i = 0; i < N_HARD; i++) {
        ns_forest_settings s = hard_settings(i);
        test_way way = test_plain_way();
        hashes[i] = train_hash(i, &s, 6, &way);
    }
    recorded_check_all("forest", hashes, N_HARD);
}

static void seeds_matter(void **state)
{
    (void)state;
    ns_forest_settings s = test_settings();
    test_way way = test_plain_way();
    uint64_t first = train_hash(0, &s, 2, &way);
    s.seed++;
    assert_true(train_hash(0, &s, 2, &way) != first);
}

static void scores_are_the_margins_of_training(void **state)
{
    (void)state;
    for (int i = 0; i < N_HARD; i++) {
        ns_forest_settings s = hard_settings(i);
        const test_table *table = &tables[i];
        test_result result;
        test_way way = test_plain_way();
        test_train(&result, table, &s, 5, &way);
        size_t rows = (size_t)table->n_rows;
        int64_t *margin = malloc((rows + 1) * sizeof *margin);
        float *risk = malloc((rows + 1) * sizeof *risk);
        for (int threads = 1; threads <= 3; threads++) {
            margin[rows] = 4711;
            risk[rows] = 47.0f;
            test_score(&result, table, threads, margin, risk);
            assert_memory_equal(margin, result.margin, rows * sizeof *margin);
            assert_true(margin[rows] == 4711 && risk[rows] == 47.0f);
            for (size_t r = 0; r < rows; r++) {
                assert_true(risk[r] == ns_risk(margin[r], 0x1p-26));
                assert_true(risk[r] >= 0x1p-24f && risk[r] <= 1.0f - 0x1p-24f);
            }
        }
        free(margin);
        free(risk);
        test_result_free(&result);
    }
}

/* Share of pairs of a positive and a negative row of which the positive has the higher value; equals count
 * half. */
static double auroc(const double *value, const float *label, int64_t first, int64_t last)
{
    double above = 0, pairs = 0;
    for (int64_t i = first; i < last; i++)
        for (int64_t j = first; j < last; j++) {
            if (label[i] != 1.0f || label[j] != 0.0f) continue;
            above += value[i] > value[j] ? 1.0 : value[i] == value[j] ? 0.5 : 0.0;
            pairs += 1.0;
        }
    return above / pairs;
}

/* AUROC on rows not trained on, less the best that is possible. */
static double gap_to_best(const test_recipe *recipe)
{
    test_table table;
    test_result result;
    ns_forest_settings s = test_settings();
    test_way way = test_plain_way();
    way.n_threads = 2;
    test_table_make(&table, recipe);
    test_train(&result, &table, &s, 50, &way);
    double *margin = calloc((size_t)table.n_rows, sizeof *margin);
    for (int64_t i = 0; i < table.n_rows; i++) margin[i] = (double)result.margin[i];
    double best = auroc(table.risk, table.label, table.n_train, table.n_rows);
    double got = auroc(margin, table.label, table.n_train, table.n_rows);
    print_message("AUROC %.4f, best possible %.4f\n", got, best);
    for (int i = 1; i < 50; i++) assert_true(result.rounds[i].train_loss < result.rounds[i - 1].train_loss);
    assert_true(result.rounds[49].valid_loss < result.rounds[0].valid_loss);
    assert_true(best > 0.75);
    free(margin);
    test_result_free(&result);
    test_table_free(&table);
    return got - best;
}

static void it_learns(void **state)
{
    (void)state;
    test_recipe recipe = {.n_train = 20000, .n_valid = 4000, .steep = 1.5, .no_categories = true};
    assert_true(gap_to_best(&recipe) > -0.01);
    /* Most of the 700 levels have too few rows to be told apart. */
    recipe.no_categories = false;
    assert_true(gap_to_best(&recipe) > -0.05);
}

/* No column, no row to spare, no possible split: a tree is one leaf, and the margin stays the base. */
static void trees_without_splits_are_one_leaf(void **state)
{
    (void)state;
    ns_forest_settings s = test_settings();
    test_way way = test_plain_way();
    test_recipe recipe = {.n_train = 50, .n_valid = 0, .steep = 1.0};
    for (int i = 0; i < 3; i++) {
        test_table table;
        test_result result;
        test_table_make(&table, &recipe);
        ns_forest_settings own = s;
        if (i == 0) own.min_rows = 26;
        if (i == 1) own.min_gain = 1e300;
        if (i == 2) own.row_sample = 1e-10; /* no row is sampled */
        test_train(&result, &table, &own, 2, &way);
        assert_int_equal(result.trees->n_nodes, 2);
        assert_int_equal(result.trees->nodes[0].n_rows, 50);
        assert_int_equal(result.rounds[1].n_leaves, 1);
        assert_true(labs(result.trees->nodes[0].leaf) < 64); /* the base is where the loss is flat */
        table.n_features = 0;
        test_result_free(&result);
        test_train(&result, &table, &own, 1, &way);
        assert_int_equal(result.trees->n_nodes, 1);
        test_result_free(&result);
        table.n_features = 11;
        test_table_free(&table);
    }
}

static ns_status create_with(float *label, float *weight, int64_t n)
{
    ns_link alone = ns_link_alone();
    ns_device *device;
    ns_forest *forest;
    int64_t row_number[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    CHECK_OK(test_open(&device, 1, &alone));
    ns_forest_plan plan = {.settings = test_settings(),
                           .n_train = n,
                           .n_train_global = n,
                           .row_number = row_number,
                           .label = label,
                           .weight = weight};
    ns_status status = device->forest->create(&forest, device, &plan);
    assert_true((status == NS_OK) == (forest != NULL));
    device->forest->destroy(&forest);
    ns_device_close(&device);
    return status;
}

static void labels_and_weights_must_allow_training(void **state)
{
    (void)state;
    float ones[4] = {1, 1, 1, 1}, zeros[4] = {0, 0, 0, 0}, both[4] = {0, 1, 0, 1}, on_one[4] = {0, 3, 0, 2};
    CHECK_FAILS(create_with(ones, NULL, 4), NS_ENUMERIC, "training rows hold only one class of the label");
    CHECK_FAILS(create_with(zeros, NULL, 4), NS_ENUMERIC, "training rows hold only one class of the label");
    CHECK_FAILS(create_with(both, on_one, 4), NS_ENUMERIC, "all weight is on one class");
    CHECK_FAILS(create_with(both, zeros, 4), NS_ENUMERIC, "sum to 0");
    CHECK_FAILS(create_with(both, NULL, UINT32_MAX), NS_EINVAL, "use more ranks");
    CHECK_OK(create_with(both, NULL, 4));
}

static void every_entry_is_set(void **state)
{
    (void)state;
    ns_link alone = ns_link_alone();
    ns_device *device;
    CHECK_OK(test_open(&device, 1, &alone));
    const ns_forest_ops *f = device->forest;
    const ns_scorer_ops *s = device->scorer;
    assert_string_equal(device->name, test_backend);
    assert_true(strcmp(f->name, test_backend) == 0 && strcmp(s->name, test_backend) == 0);
    assert_true(f->create && f->count_slab && f->count_done && f->bin_slab && f->put_cuts &&
                f->read_bins && f->seal && f->round && f->read_margins && f->cuts && f->quantiles && f->base && f->destroy);
    assert_true(s->create && s->score_slab && s->wait && s->destroy);
    ns_device_close(&device);
}

static void memory_grows_with_the_plan(void **state)
{
    (void)state;
    ns_feature_kind kind[2] = {NS_NUMBER, NS_CATEGORY};
    int32_t n_bins[2] = {0, 70};
    ns_forest_plan plan = {.settings = test_settings(),
                           .n_train = 100000,
                           .n_valid = 20000,
                           .n_train_global = 400000,
                           .n_features = 2,
                           .kind = kind,
                           .n_bins = n_bins};
    int64_t small = ns_forest_memory(&plan, 0, 0);
    /* Per training row at least: number, margin, label, g, h, word, leaf, two columns, one tile. */
    assert_true(small > 100000 * (8 + 8 + 4 + 16 + 4 + 4 + 2 + 16));
    plan.n_train = 200000;
    assert_true(ns_forest_memory(&plan, 0, 0) >= small + 100000 * (8 + 8 + 4 + 16 + 4 + 4 + 2 + 16));
    plan.n_train = 100000;
    assert_true(ns_forest_memory(&plan, 9, 0) > small); /* counters */
    n_bins[1] = 60000;
    assert_true(ns_forest_memory(&plan, 1, 0) > 31 * (60000 - 70) * 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_set),
        cmocka_unit_test(trees_are_those_of_the_reference),
        cmocka_unit_test(ties_are_those_of_the_reference),
        cmocka_unit_test(samples_are_those_of_the_reference),
        cmocka_unit_test(weights_are_those_of_the_reference),
        cmocka_unit_test(threads_order_and_slabs_do_not_matter),
        cmocka_unit_test(opening_ahead_does_not_matter),
        cmocka_unit_test(instruction_sets_do_not_matter),
        cmocka_unit_test(resuming_does_not_matter),
        cmocka_unit_test(hashes_are_the_recorded_ones),
        cmocka_unit_test(seeds_matter),
        cmocka_unit_test(scores_are_the_margins_of_training),
        cmocka_unit_test(it_learns),
        cmocka_unit_test(trees_without_splits_are_one_leaf),
        cmocka_unit_test(labels_and_weights_must_allow_training),
        cmocka_unit_test(memory_grows_with_the_plan),
    };
    return cmocka_run_group_tests(tests, make_tables, free_tables);
}
