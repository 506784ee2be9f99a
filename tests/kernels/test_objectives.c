/* Objectives other than binary, and monotone constraints: against the slow reference, and the same bytes in
 * every way that must not matter. */
#include "tests/check.h"

#include <math.h>

#include "kernels/numerics.h"
#include "kernels/prediction.h"
#include "tests/golden/recorded.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/slow_check.h"
#include "tests/kernels/table.h"

/* One of each, plain and constrained; labels with long tails, rare classes, counts that are mostly 0. */
static const test_recipe recipes[] = {
    {.objective = NS_REGRESSION, .steep = 1.0},
    {.objective = NS_REGRESSION, .steep = 1.0, .monotone = true, .weights = WEIGHTS_MILD},
    {.objective = NS_POISSON, .steep = 1.0, .offset = 0.5},
    {.objective = NS_POISSON, .steep = 1.5, .offset = -3.0, .monotone = true},
    {.objective = NS_MULTICLASS, .n_classes = 5, .steep = 1.0},
    {.objective = NS_MULTICLASS, .n_classes = 3, .steep = 1.0, .weights = WEIGHTS_SIX_ORDERS},
    {.objective = NS_QUANTILE, .steep = 1.0},
    {.objective = NS_QUANTILE, .steep = 1.0, .monotone = true, .weights = WEIGHTS_SIX_ORDERS},
    {.objective = NS_BINARY, .steep = 1.0, .monotone = true, .weights = WEIGHTS_MILD},
};
enum { N_RECIPES = sizeof recipes / sizeof *recipes };

static test_recipe sized(int i, int64_t n_train, int64_t n_valid)
{
    test_recipe recipe = recipes[i];
    recipe.n_train = n_train;
    recipe.n_valid = n_valid;
    return recipe;
}

static void trees_are_those_of_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < N_RECIPES; i++) {
        test_recipe recipe = sized(i, 1000, 200);
        ns_forest_settings s = test_settings_for(&recipe);
        s.category_split_rows = 30;
        slow_check(&recipe, &s, 2);
        s.max_leaves = 12;
        s.row_sample = 0.7;
        s.column_sample = 0.7;
        s.column_sample_node = 0.8;
        s.l1 = 0.3;
        s.l2 = 0.0;
        slow_check(&recipe, &s, 2);
        s.gradient_bits = i % 2 == 0 ? 30 : 12;
        recipe.coarse = true;
        recipe.offset = 0.5;
        s.min_rows = 1;
        slow_check(&recipe, &s, 2);
    }
}

/* Bounds bind: constraints against the truth, deep trees, small steps and large ones. */
static void bounds_are_those_of_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < N_RECIPES; i++) {
        test_recipe recipe = sized(i, 700, 100);
        ns_forest_settings s = test_settings_for(&recipe);
        if (!recipe.monotone) continue;
        recipe.no_categories = true;
        s.max_leaves = 64;
        s.min_rows = 2;
        s.learning_rate = 1.0;
        slow_check(&recipe, &s, 3);
    }
}

/* Labels at the ends of float32, alike, and hardly any rows. */
static void extremes_are_those_of_the_reference(void **state)
{
    (void)state;
    const double scales[] = {1e30, 1e-30, 1e-38, 5e36};
    for (int i = 0; i < N_RECIPES; i++) {
        for (size_t c = 0; c < sizeof scales / sizeof *scales; c++) {
            test_recipe recipe = sized(i, 300, 60);
            ns_forest_settings s = test_settings_for(&recipe);
            recipe.label_scale = scales[c];
            if (recipe.objective == NS_BINARY || recipe.objective == NS_MULTICLASS) continue;
            test_table table;
            test_table_make(&table, &recipe);
            slow_check_table(&table, &s, 2);
            if (c == 0) table.label[7] = 3.4e38f; /* and one far away */
            if (c == 1) table.label[table.n_rows - 1] = 1.0f;
            slow_check_table(&table, &s, 2);
            test_table_free(&table);
        }
        test_recipe few = sized(i, 2, 1);
        test_table table;
        few.weights = WEIGHTS_NONE;
        ns_forest_settings s = test_settings_for(&few);
        s.min_rows = 1;
        test_table_make(&table, &few);
        table.label[0] = 0.0f;
        table.label[1] = 1.0f;
        slow_check_table(&table, &s, 3);
        test_table_free(&table);
    }
}

static void labels_that_are_alike_give_their_value(void **state)
{
    (void)state;
    const float values[] = {0.0f, 1e30f, -1e30f, 0.1f, 1e-40f, 3.4028235e38f};
    const ns_objective objectives[] = {NS_REGRESSION, NS_QUANTILE, NS_POISSON};
    for (int o = 0; o < 3; o++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++)
            for (int64_t n = 1; n <= 300; n = 100 * n + 1) {
                test_recipe recipe = {.objective = objectives[o], .n_train = n, .n_valid = 1, .steep = 1.0};
                ns_forest_settings s = test_settings_for(&recipe);
                test_table table;
                test_result result;
                test_way way = test_plain_way();
                if (objectives[o] == NS_POISSON && (values[v] < 1e-10f || values[v] > 1e13f)) continue;
                test_table_make(&table, &recipe);
                for (int64_t i = 0; i < table.n_rows; i++) table.label[i] = values[v];
                slow_check_table(&table, &s, 2);
                test_train(&result, &table, &s, 2, &way);
                float *out = calloc((size_t)table.n_rows, sizeof *out);
                test_score(&result, &table, 1, result.margin, out);
                for (int64_t i = 0; i < table.n_rows; i++)
                    assert_true(fabsf(out[i] - values[v]) <=
                                (objectives[o] == NS_POISSON ? 1e-6f * values[v] : 0.0f));
                free(out);
                test_result_free(&result);
                test_table_free(&table);
            }
}

/* Labels times a power of two: the same trees, the same whole numbers as leaves, another k. */
static void scale_does_not_matter(void **state)
{
    (void)state;
    const ns_objective objectives[] = {NS_REGRESSION, NS_QUANTILE};
    for (int o = 0; o < 2; o++) {
        test_recipe recipe = {.objective = objectives[o], .n_train = 2000, .n_valid = 100, .steep = 1.0};
        ns_forest_settings s = test_settings_for(&recipe);
        test_way way = test_plain_way();
        test_result one, other;
        test_table table;
        test_table_make(&table, &recipe);
        test_train(&one, &table, &s, 3, &way);
        for (int e = -90; e <= 90; e += 60) {
            for (int64_t i = 0; i < table.n_rows; i++) table.label[i] = ldexpf(table.label[i], e);
            test_train(&other, &table, &s, 3, &way);
            for (int64_t i = 0; i < table.n_rows; i++) table.label[i] = ldexpf(table.label[i], -e);
            assert_int_equal(other.k, one.k - e);
            assert_memory_equal(other.margin, one.margin, (size_t)table.n_rows * sizeof *one.margin);
            for (int r = 0; r < 3; r++) {
                assert_true(other.rounds[r].train_loss == one.rounds[r].train_loss);
                assert_true(other.rounds[r].loss_unit == ldexp(one.rounds[r].loss_unit, o == 0 ? 2 * e : e));
            }
            test_result_free(&other);
        }
        test_result_free(&one);
        test_table_free(&table);
    }
}

static test_table tables[N_RECIPES];

static int make_tables(void **state)
{
    (void)state;
    for (int i = 0; i < N_RECIPES; i++) {
        test_recipe recipe = sized(i, 4000, 800);
        test_table_make(&tables[i], &recipe);
    }
    return 0;
}

static int free_tables(void **state)
{
    (void)state;
    for (int i = 0; i < N_RECIPES; i++) test_table_free(&tables[i]);
    return 0;
}

static uint64_t train_hash(int i, const ns_forest_settings *s, int64_t n_rounds, const test_way *way)
{
    test_result result;
    test_train(&result, &tables[i], s, n_rounds, way);
    uint64_t hash = result.hash;
    test_result_free(&result);
    return hash;
}

static ns_forest_settings settings_of(int i)
{
    ns_forest_settings s = test_settings_for(&recipes[i]);
    if (i % 2 == 0) {
        s.row_sample = 0.8;
        s.column_sample = 0.9;
        s.column_sample_node = 0.7;
    }
    return s;
}

static void ways_do_not_matter(void **state)
{
    (void)state;
    for (int i = 0; i < N_RECIPES; i++) {
        ns_forest_settings s = settings_of(i);
        test_way way = test_plain_way();
        s.batch = 1;
        uint64_t want = train_hash(i, &s, 3, &way);
        const int32_t batches[] = {4, 16, 64};
        for (int b = 0; b < 3; b++) {
            s.batch = batches[b];
            way.n_threads = b + 1;
            assert_int_equal(train_hash(i, &s, 3, &way), want);
        }
        way.shuffle = 99;
        way.slab = 777;
        assert_int_equal(train_hash(i, &s, 3, &way), want);
        for (way.resume_at = 1; way.resume_at < 3; way.resume_at++)
            assert_int_equal(train_hash(i, &s, 3, &way), want);
    }
}

static void instruction_sets_do_not_matter(void **state)
{
    (void)state;
    const char *names[] = {"avx2", "avx512"};
    const char *held = getenv("NIGHTSHIFT_CPU");
    char *before = held == NULL ? NULL : strdup(held);
    for (int i = 0; i < N_RECIPES; i++) {
        ns_forest_settings s = settings_of(i);
        test_way way = test_plain_way();
        setenv("NIGHTSHIFT_CPU", "baseline", 1);
        uint64_t want = train_hash(i, &s, 3, &way);
        for (int n = 0; n < 2; n++) {
            ns_device *device;
            setenv("NIGHTSHIFT_CPU", names[n], 1);
            if (ns_device_open(&device, "cpu", 1, &way.link) != NS_OK) { /* this processor has it not */
                ns_error_clear();
                continue;
            }
            ns_device_close(&device);
            assert_int_equal(train_hash(i, &s, 3, &way), want);
        }
    }
    if (before == NULL)
        unsetenv("NIGHTSHIFT_CPU");
    else
        setenv("NIGHTSHIFT_CPU", before, 1);
    free(before);
}

/* See NS_NUMERICS_VERSION. */
static void hashes_are_the_recorded_ones(void **state)
{
    (void)state;
    uint64_t hashes[N_RECIPES];
    for (int i = 0; i < N_RECIPES; i++) {
        ns_forest_settings s = settings_of(i);
        test_way way = test_plain_way();
        hashes[i] = train_hash(i, &s, 4, &way);
    }
    recorded_check_all("objectives", hashes, N_RECIPES);
}

static void scores_are_the_margins_of_training(void **state)
{
    (void)state;
    for (int i = 0; i < N_RECIPES; i++) {
        ns_forest_settings s = settings_of(i);
        const test_table *table = &tables[i];
        test_result result;
        test_way way = test_plain_way();
        test_train(&result, table, &s, 4, &way);
        int32_t n_outputs = result.n_outputs;
        size_t n = (size_t)table->n_rows * (size_t)n_outputs;
        int64_t *margin = malloc((n + 1) * sizeof *margin);
        float *risk = malloc((n + 1) * sizeof *risk), *again = malloc(n * sizeof *again);
        ns_prediction kind = {s.objective, n_outputs, result.k};
        ns_predict(&kind, result.margin, table->n_rows, again);
        for (int threads = 1; threads <= 3; threads++) {
            margin[n] = 4711;
            risk[n] = 47.0f;
            test_score(&result, table, threads, margin, risk);
            assert_memory_equal(margin, result.margin, n * sizeof *margin);
            assert_memory_equal(risk, again, n * sizeof *risk);
            assert_true(margin[n] == 4711 && risk[n] == 47.0f);
        }
        free(margin);
        free(risk);
        free(again);
        test_result_free(&result);
    }
}

/* Predictions against the definition in long double. */
static void predictions_follow_their_header(void **state)
{
    (void)state;
    const int64_t margin[] = {0,
                              5,
                              -5,
                              INT64_C(1) << 26,
                              -(INT64_C(3) << 26),
                              INT64_C(1) << 33,
                              -(INT64_C(1) << 33),
                              INT64_C(123456789),
                              -(INT64_C(1) << 49)};
    enum { N = sizeof margin / sizeof *margin };
    float out[N + 1];
    out[N] = 47.0f;
    ns_prediction kind = {NS_MULTICLASS, 3, 26};
    ns_predict(&kind, margin, 3, out);
    for (int row = 0; row < 3; row++) {
        long double sum = 0, m[3];
        for (int c = 0; c < 3; c++) sum += expl(m[c] = (long double)margin[3 * row + c] * 0x1p-26L);
        for (int c = 0; c < 3; c++) {
            long double p = row == 2 ? (c == 1 ? 1.0L : 0.0L) : expl(m[c]) / sum;
            if (row < 2 && isinf((double)sum)) p = margin[3 * row + c] == INT64_C(1) << 33 ? 1.0L : 0.0L;
            p = fminl(fmaxl(p, 0x1p-24L), 1.0L - 0x1p-24L);
            assert_true(fabsl((long double)out[3 * row + c] - p) <= 1e-7L * p);
        }
    }
    const ns_objective plain[] = {NS_REGRESSION, NS_QUANTILE};
    const int32_t ks[] = {-101, 0, 26, 150};
    for (int o = 0; o < 2; o++)
        for (int k = 0; k < 4; k++) {
            kind = (ns_prediction){plain[o], 1, ks[k]};
            ns_predict(&kind, margin, N, out);
            for (int i = 0; i < N; i++) {
                double m = ldexp((double)margin[i], -ks[k]);
                assert_true(out[i] ==
                            (float)fmin(3.40282346638528859812e38, fmax(-3.40282346638528859812e38, m)));
                assert_true(isfinite(out[i]));
            }
        }
    kind = (ns_prediction){NS_POISSON, 1, 26};
    ns_predict(&kind, margin, N, out);
    for (int i = 0; i < N; i++) {
        long double want = expl(fminl(30, fmaxl(-30, (long double)margin[i] * 0x1p-26L)));
        assert_true(fabsl((long double)out[i] - want) <= 1e-7L * want);
    }
    assert_true(out[N] == 47.0f);
}

/* Margins never go against a constraint, whatever the other values of a row. */
static void constraints_hold(void **state)
{
    (void)state;
    for (int i = 0; i < N_RECIPES; i++) {
        if (!recipes[i].monotone) continue;
        test_recipe recipe = sized(i, 4000, 0), few = sized(i, 200, 0);
        test_table table, probe;
        test_result result;
        test_way way = test_plain_way();
        ns_forest_settings s = test_settings_for(&recipe);
        s.max_leaves = 63;
        s.min_rows = 5;
        s.learning_rate = 0.3;
        test_table_make(&table, &recipe);
        test_table_make(&probe, &few);
        test_train(&result, &table, &s, 10, &way);
        int64_t *last = calloc((size_t)probe.n_rows, sizeof *last);
        int64_t *margin = calloc((size_t)probe.n_rows, sizeof *margin), moved = 0;
        for (int32_t f = 0; f < table.n_features; f++) {
            float *held = probe.number[f];
            if (table.monotone[f] == 0) continue;
            probe.number[f] = calloc((size_t)probe.n_rows, sizeof *held);
            for (int32_t c = 0; c <= result.n_cuts[f]; c++) { /* every bin, ascending */
                float x = c < result.n_cuts[f] ? result.cuts[f][c] : INFINITY;
                for (int64_t r = 0; r < probe.n_rows; r++) probe.number[f][r] = x;
                test_score(&result, &probe, 1, margin, NULL);
                for (int64_t r = 0; c > 0 && r < probe.n_rows; r++) {
                    assert_true(table.monotone[f] > 0 ? margin[r] >= last[r] : margin[r] <= last[r]);
                    moved += margin[r] != last[r];
                }
                memcpy(last, margin, (size_t)probe.n_rows * sizeof *last);
            }
            free(probe.number[f]);
            probe.number[f] = held;
        }
        assert_true(moved > 1000);
        free(last);
        free(margin);
        test_result_free(&result);
        test_table_free(&table);
        test_table_free(&probe);
    }
}

/* Mean losses on rows not trained on, of the base (after a round of no step) and in the end. */
static void they_learn(void **state)
{
    (void)state;
    for (int i = 0; i < N_RECIPES; i++) {
        test_recipe recipe = sized(i, 5000, 2000);
        test_table table;
        test_result start, end;
        test_way way = test_plain_way();
        recipe.weights = WEIGHTS_NONE;
        ns_forest_settings s = test_settings_for(&recipe);
        test_table_make(&table, &recipe);
        test_train(&end, &table, &s, 20, &way);
        s.learning_rate = 0x1p-40;
        test_train(&start, &table, &s, 1, &way);
        double before = (double)start.rounds[0].valid_loss, after = (double)end.rounds[19].valid_loss;
        double mean = end.rounds[19].loss_unit * after / (double)end.rounds[19].valid_weight;
        print_message("objective %d: loss %.4g, of the base %.4g times that\n", (int)recipe.objective, mean,
                      before / after);
        for (int r = 1; r < 20; r++) assert_true(end.rounds[r].train_loss < end.rounds[r - 1].train_loss);
        assert_true(after < (recipe.monotone ? 0.995 : 0.9) * before);
        if (recipe.objective == NS_QUANTILE) { /* the share below the prediction is the quantile */
            int64_t below = 0;
            for (int64_t r = table.n_train; r < table.n_rows; r++)
                below += (double)table.label[r] <= ldexp((double)end.margin[r], -end.k);
            double share = (double)below / (double)table.n_valid;
            assert_true(share > 0.77 && share < 0.83);
        }
        test_result_free(&start);
        test_result_free(&end);
        test_table_free(&table);
    }
}

static ns_status create_with(ns_objective objective, const float *label, const float *weight)
{
    ns_link alone = ns_link_alone();
    ns_device *device;
    ns_forest *forest;
    const int64_t row_number[4] = {0, 1, 2, 3};
    test_recipe recipe = {.objective = objective, .n_classes = 4};
    CHECK_OK(test_open(&device, 1, &alone));
    ns_forest_plan plan = {.settings = test_settings_for(&recipe),
                           .n_train = 3,
                           .n_valid = 1,
                           .n_train_global = 3,
                           .row_number = row_number,
                           .label = label,
                           .weight = weight};
    ns_status status = device->forest->create(&forest, device, &plan);
    assert_true((status == NS_OK) == (forest != NULL));
    device->forest->destroy(&forest);
    ns_device_close(&device);
    return status;
}

/* The last row is for validation. */
static void labels_and_weights_must_allow_training(void **state)
{
    (void)state;
    const float twos[4] = {2, 2, 2, 1}, mixed[4] = {2, 0, 3, 1}, zeros[4] = {0, 0, 0, 5},
                on_one[4] = {3, 0, 0, 2};
    CHECK_FAILS(create_with(NS_MULTICLASS, twos, NULL), NS_ENUMERIC,
                "only one class of the label; a multiclass model");
    CHECK_FAILS(create_with(NS_MULTICLASS, mixed, on_one), NS_ENUMERIC, "all weight is on one class");
    CHECK_OK(create_with(NS_MULTICLASS, mixed, NULL)); /* class 1 has no training row */
    CHECK_FAILS(create_with(NS_POISSON, zeros, NULL), NS_ENUMERIC, "all 0");
    CHECK_FAILS(create_with(NS_POISSON, mixed, zeros), NS_ENUMERIC, "sum to 0");
    CHECK_FAILS(create_with(NS_REGRESSION, mixed, zeros), NS_ENUMERIC, "sum to 0");
    CHECK_FAILS(create_with(NS_QUANTILE, mixed, zeros), NS_ENUMERIC, "sum to 0");
    CHECK_OK(create_with(NS_REGRESSION, zeros, on_one));
    CHECK_OK(create_with(NS_QUANTILE, zeros, on_one));
}

static void memory_grows_with_outputs(void **state)
{
    (void)state;
    ns_feature_kind kind[1] = {NS_NUMBER};
    int32_t n_bins[1] = {0};
    ns_forest_plan plan = {.settings = test_settings(),
                           .n_train = 100000,
                           .n_valid = 20000,
                           .n_train_global = 400000,
                           .n_features = 1,
                           .kind = kind,
                           .n_bins = n_bins};
    int64_t binary = ns_forest_memory(&plan, 1, 0);
    plan.settings.objective = NS_MULTICLASS;
    plan.settings.n_classes = 5;
    assert_true(ns_forest_memory(&plan, 1, 0) >= binary + 120000 * (4 * 8 + 16)); /* margins, top and norm */
    plan.settings.objective = NS_QUANTILE;
    assert_true(ns_forest_memory(&plan, 1, 0) >= binary + 100000 * 4 + 2 * 62 * 2048 * 8); /* keys, counters */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_those_of_the_reference),
        cmocka_unit_test(bounds_are_those_of_the_reference),
        cmocka_unit_test(extremes_are_those_of_the_reference),
        cmocka_unit_test(labels_that_are_alike_give_their_value),
        cmocka_unit_test(scale_does_not_matter),
        cmocka_unit_test(ways_do_not_matter),
        cmocka_unit_test(instruction_sets_do_not_matter),
        cmocka_unit_test(hashes_are_the_recorded_ones),
        cmocka_unit_test(scores_are_the_margins_of_training),
        cmocka_unit_test(predictions_follow_their_header),
        cmocka_unit_test(constraints_hold),
        cmocka_unit_test(they_learn),
        cmocka_unit_test(labels_and_weights_must_allow_training),
        cmocka_unit_test(memory_grows_with_outputs),
    };
    return cmocka_run_group_tests(tests, make_tables, free_tables);
}
