/* Each allocation of kernels/ fails once: the call says NS_ENOMEM and leaves nothing behind (the sanitizers
 * look). */
#include "tests/check.h"

#include <stdbool.h>

#include "kernels/forest.h"
#include "kernels/quantile.h"
#include "kernels/scorer.h"
#include "kernels/take.h"
#include "tests/kernels/columns.h"

void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t n, size_t n_bytes);
void *__real_realloc(void *block, size_t n_bytes);
void *__real_aligned_alloc(size_t alignment, size_t n_bytes);
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t n, size_t n_bytes);
void *__wrap_realloc(void *block, size_t n_bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t n_bytes);

static int64_t left = -1; /* allocations until one fails; below 0: none does */
static bool failed;

static bool is_refused(void)
{
    if (left < 0) return false;
    failed = failed || left == 0;
    return left-- == 0;
}

void *__wrap_malloc(size_t n_bytes)
{
    return is_refused() ? NULL : __real_malloc(n_bytes);
}

void *__wrap_calloc(size_t n, size_t n_bytes)
{
    return is_refused() ? NULL : __real_calloc(n, n_bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n_bytes)
{
    return is_refused() ? NULL : __real_aligned_alloc(alignment, n_bytes);
}

void *__wrap_realloc(void *block, size_t n_bytes)
{
    return is_refused() ? NULL : __real_realloc(block, n_bytes);
}

enum { ROWS = 3000, FEATURES = 3 };
static ns_objective objective;
static float number[FEATURES][ROWS], label[ROWS], weight[ROWS];
static int32_t bin[ROWS];
static int64_t row_number[ROWS];

static const ns_feature_kind kind[FEATURES] = {NS_NUMBER, NS_NUMBER, NS_CATEGORY};
static const int32_t n_bins[FEATURES] = {0, 0, 300};

static ns_status count(ns_device *device, ns_forest *forest)
{
    bool more = true;
    while (more) {
        for (int32_t f = 0; f < 2; f++) {
            ns_slab slab = {.feature = f, .n_rows = ROWS, .number = number[f]};
            NS_TRY(device->forest->count_slab(forest, &slab));
        }
        NS_TRY(device->forest->count_done(forest, 0, FEATURES, &more));
    }
    for (int32_t f = 0; f < FEATURES; f++) {
        ns_slab slab = {
            .feature = f, .n_rows = ROWS, .number = f < 2 ? number[f] : NULL, .bin = f < 2 ? NULL : bin};
        NS_TRY(device->forest->bin_slab(forest, &slab));
    }
    return NS_OK;
}

static ns_status score(ns_device *device, const ns_forest *forest, const ns_trees *trees)
{
    static float risk[3 * ROWS];
    const float *cuts[FEATURES];
    int32_t n_cuts[FEATURES];
    const void *columns[FEATURES] = {number[0], number[1], bin};
    const int64_t base[3] = {0, 0, 0};
    for (int32_t f = 0; f < FEATURES; f++) device->forest->cuts(forest, f, &cuts[f], &n_cuts[f]);
    ns_scorer_plan plan = {.trees = trees,
                           .n_features = FEATURES,
                           .kind = kind,
                           .cuts = cuts,
                           .n_cuts = n_cuts,
                           .n_bins = n_bins,
                           .objective = objective,
                           .n_outputs = objective == NS_MULTICLASS ? 3 : 1,
                           .base = base,
                           .k = 26};
    ns_scorer *scorer;
    ns_status status = device->scorer->create(&scorer, device, &plan);
    if (status != NS_OK) {
        assert_null(scorer);
        return status;
    }
    ns_score_slab slab = {.n_rows = ROWS, .columns = columns, .risk = risk};
    status = device->scorer->score_slab(scorer, &slab);
    if (status == NS_OK) status = device->scorer->wait(scorer, 0);
    device->scorer->destroy(&scorer);
    return status;
}

/* Everything from opening to scoring; on failure all that was made is destroyed. */
static ns_status all(ns_trees **trees)
{
    ns_link alone = ns_link_alone();
    ns_device *device = NULL;
    ns_forest *forest = NULL;
    ns_round round;
    const int8_t monotone[FEATURES] = {1, 0, 0};
    ns_forest_settings settings = {.objective = objective,
                                   .n_classes = objective == NS_MULTICLASS ? 3 : 0,
                                   .quantile = 0.5,
                                   .learning_rate = 0.1,
                                   .max_leaves = 8,
                                   .l2 = 1.0,
                                   .min_rows = 20,
                                   .max_bins = 255,
                                   .category_smoothing = 200.0,
                                   .category_l2 = 10.0,
                                   .category_split_rows = 5,
                                   .row_sample = 1.0,
                                   .column_sample = 1.0,
                                   .column_sample_node = 1.0,
                                   .batch = 4};
    ns_forest_plan plan = {.settings = settings,
                           .n_train = ROWS,
                           .n_train_global = ROWS,
                           .n_features = FEATURES,
                           .kind = kind,
                           .n_bins = n_bins,
                           .row_number = row_number,
                           .monotone = objective == NS_QUANTILE ? monotone : NULL,
                           .label = label,
                           .weight = weight};
    ns_status status = ns_trees_create(trees);
    if (status == NS_OK) status = ns_device_open(&device, "cpu", 2, &alone);
    if (status == NS_OK) status = device->forest->create(&forest, device, &plan);
    if (status == NS_OK) status = count(device, forest);
    if (status == NS_OK) status = device->forest->seal(forest, *trees);
    for (int64_t i = 0; i < 3 && status == NS_OK; i++) {
        status = device->forest->round(forest, i, *trees, &round);
        assert_int_equal((*trees)->n_trees, (status == NS_OK ? i + 1 : i) * ns_n_outputs(&settings));
    }
    if (status == NS_OK) status = score(device, forest, *trees);
    if (device != NULL) device->forest->destroy(&forest);
    ns_device_close(&device);
    return status;
}

static int make_rows(void **state)
{
    (void)state;
    for (int64_t i = 0; i < ROWS; i++) {
        number[0][i] = test_value(SHAPE_WIDE, 1, i);
        number[1][i] = test_value(SHAPE_HEAVIES, 2, i);
        bin[i] = (int32_t)(i * i % 300);
        label[i] = number[1][i] > 4.0f ? 1.0f : 0.0f;
        weight[i] = (float)(1 + i % 3);
        row_number[i] = i;
    }
    return 0;
}

static void check_all(ns_objective which)
{
    objective = which;
    ns_trees *trees;
    ns_status status = all(&trees); /* once undisturbed: OpenMP takes memory of its own the first time */
    assert_int_equal(status, NS_OK);
    ns_trees_destroy(&trees);
    int64_t at = 0;
    do {
        failed = false;
        ns_error_clear();
        left = at++;
        status = all(&trees);
        left = -1;
        ns_trees_destroy(&trees);
        assert_int_equal(status, failed ? NS_ENOMEM : NS_OK);
        if (failed) assert_non_null(strstr(ns_last_error()->message, "not enough memory"));
    } while (failed);
    assert_true(at > 60);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    check_all(NS_BINARY);
    check_all(NS_MULTICLASS);
    check_all(NS_QUANTILE); /* with a monotone constraint */
}

/* Also where what was freed before lay, large enough for large pages or not. */
static void blocks_are_zero(void **state)
{
    (void)state;
    const int64_t sizes[] = {0, 1, 100, (4 << 20) - 1, 4 << 20, (5 << 20) + 12345};
    for (int again = 0; again < 3; again++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            ns_taker taker = {0};
            size_t n_bytes = sizes[s] > 0 ? (size_t)sizes[s] : 1;
            unsigned char *block = ns_take(&taker, sizes[s], 1);
            assert_true(block != NULL && !taker.failed && taker.n_bytes == (int64_t)n_bytes);
            assert_true((uintptr_t)block % 64 == 0);
            for (size_t i = 0; i < n_bytes; i++) assert_int_equal(block[i], 0);
            memset(block, 0xa5, n_bytes);
            free(block);
            if (again == 1) ns_give_freed_back();
        }
}

static void quantiles_may_lack_memory(void **state)
{
    (void)state;
    ns_link alone = ns_link_alone();
    const int32_t percent[3] = {5, 50, 95};
    float out[3];
    int64_t n_values, at = 0;
    do {
        failed = false;
        ns_error_clear();
        left = at++;
        ns_status status = ns_quantiles(number[0], ROWS, percent, 3, out, &n_values, &alone);
        left = -1;
        assert_int_equal(status, failed ? NS_ENOMEM : NS_OK);
    } while (failed);
    assert_true(at > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(quantiles_may_lack_memory),
        cmocka_unit_test(blocks_are_zero),
    };
    return cmocka_run_group_tests(tests, make_rows, NULL);
}
