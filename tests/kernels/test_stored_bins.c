/* What one forest learned of its columns, given to another: quantiles on the way, cuts, bins of held rows, and the same trees. */
#include <math.h>

#include "kernels/forest.h"
#include "kernels/numerics.h"
#include "kernels/philox.h"
#include "kernels/quantile.h"
#include "tests/check.h"
#include "tests/kernels/table.h"

enum { TRAIN = 9000, VALID = 1000, HELD = 700, ROWS = TRAIN + VALID + HELD, LEVELS = 400, N_PERCENT = 4, GUARD = 0xa5 };
static const int32_t percents[N_PERCENT] = {1, 25, 50, 99};

typedef struct columns {
    float smooth[ROWS], few[ROWS]; /* many values and some missing; seven values */
    int32_t narrow[ROWS], wide[ROWS];
    float label[ROWS];
    int64_t row_number[ROWS];
} columns;

enum { SMOOTH, FEW, NARROW, WIDE, N_COLUMNS };
static const ns_feature_kind kinds[N_COLUMNS] = {NS_NUMBER, NS_NUMBER, NS_CATEGORY, NS_CATEGORY};
static const int32_t n_bins[N_COLUMNS] = {0, 0, 9, LEVELS + 2};

static void make(columns *c)
{
    for (int i = 0; i < ROWS; i++) {
        uint64_t word = ns_path_hash((uint64_t)i + 1, 7);
        c->smooth[i] = word % 11 == 0 ? NAN : (float)(word % 99991) / 7.0f - 3000.0f;
        c->few[i] = (float)(word >> 20 & 7) - 3.0f;
        c->narrow[i] = (int32_t)((word >> 30) % 9);
        c->wide[i] = (int32_t)((word >> 40) % (LEVELS + 2));
        c->label[i] = ((word >> 8) + (c->few[i] > 0)) % 3 == 0 ? 1.0f : 0.0f;
        c->row_number[i] = 3 * (int64_t)i + 5;
    }
}

static ns_slab slab_of(const columns *c, int32_t f)
{
    ns_slab slab = {.feature = f, .n_rows = ROWS};
    if (f == SMOOTH) slab.number = c->smooth;
    else if (f == FEW) slab.number = c->few;
    else slab.bin = f == NARROW ? c->narrow : c->wide;
    return slab;
}

static ns_forest *create(ns_device *device, const columns *c)
{
    ns_forest *forest;
    ns_forest_plan plan = {.settings = test_settings(), .n_train = TRAIN, .n_valid = VALID, .n_held = HELD, .n_train_global = TRAIN,
                           .n_features = N_COLUMNS, .kind = kinds, .n_bins = n_bins, .row_number = c->row_number, .label = c->label,
                           .percent = percents, .n_percent = N_PERCENT};
    CHECK_OK(device->forest->create(&forest, device, &plan));
    return forest;
}

static ns_forest *learned(ns_device *device, const columns *c)
{
    const ns_forest_ops *ops = device->forest;
    ns_forest *forest = create(device, c);
    for (bool more = true; more;) {
        for (int32_t f = SMOOTH; f <= FEW; f++) {
            ns_slab slab = slab_of(c, f);
            slab.n_rows = TRAIN;
            CHECK_OK(ops->count_slab(forest, &slab));
        }
        CHECK_OK(ops->count_done(forest, 0, N_COLUMNS, &more));
    }
    for (int32_t f = 0; f < N_COLUMNS; f++) {
        ns_slab slab = slab_of(c, f);
        CHECK_OK(ops->bin_slab(forest, &slab));
    }
    return forest;
}

static size_t width_of(int32_t f)
{
    return f == WIDE ? 2 : 1;
}

/* Cuts, and bins in three pieces that do not begin where parts do. */
static ns_forest *taken_over(ns_device *device, const columns *c, const ns_forest *from)
{
    static const int64_t first[] = {0, 4000, TRAIN + VALID - 3, ROWS};
    const ns_forest_ops *ops = device->forest;
    ns_forest *forest = create(device, c);
    uint8_t bins[2 * ROWS + 1];
    for (int32_t f = 0; f < N_COLUMNS; f++) {
        const float *cuts;
        int32_t n_cuts;
        ops->cuts(from, f, &cuts, &n_cuts);
        if (kinds[f] == NS_NUMBER) ops->put_cuts(forest, f, cuts, n_cuts);
        for (int i = 0; i < 3; i++) {
            int64_t n = first[i + 1] - first[i];
            bins[(size_t)n * width_of(f)] = GUARD;
            ops->read_bins(from, f, first[i], n, bins);
            assert_int_equal(bins[(size_t)n * width_of(f)], GUARD);
            ns_slab slab = {.feature = f, .first_row = first[i], .n_rows = n, .stored = bins};
            CHECK_OK(ops->bin_slab(forest, &slab));
        }
    }
    return forest;
}

static void train(ns_device *device, ns_forest *forest, ns_trees **trees, int64_t *margins)
{
    ns_round result;
    CHECK_OK(ns_trees_create(trees));
    CHECK_OK(device->forest->seal(forest, *trees));
    for (int64_t r = 0; r < 3; r++) CHECK_OK(device->forest->round(forest, r, *trees, &result));
    CHECK_OK(device->forest->read_margins(forest, 0, TRAIN + VALID, margins));
}

static void test_one_forest_is_as_the_other(void **state)
{
    (void)state;
    ns_link alone = ns_link_alone();
    for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
        ns_device *device;
        CHECK_OK(ns_device_open(&device, "cpu", n_threads, &alone));
        columns *c = malloc(sizeof *c);
        int64_t *margins[2] = {malloc((TRAIN + VALID) * sizeof(int64_t)), malloc((TRAIN + VALID) * sizeof(int64_t))};
        make(c);
        ns_forest *first = learned(device, c), *second = taken_over(device, c, first);
        uint8_t a[2 * ROWS], b[2 * ROWS];
        for (int32_t f = 0; f < N_COLUMNS; f++) {
            device->forest->read_bins(first, f, 0, ROWS, a);
            device->forest->read_bins(second, f, 0, ROWS, b);
            assert_memory_equal(a, b, ROWS * width_of(f));
        }
        for (int32_t i = 0; i < ROWS; i++) {
            device->forest->read_bins(first, WIDE, i, 1, a);
            assert_int_equal(a[0] | a[1] << 8, c->wide[i]); /* held rows too */
        }
        ns_trees *trees[2];
        train(device, first, &trees[0], margins[0]);
        train(device, second, &trees[1], margins[1]);
        assert_true(trees[0]->n_nodes > 30);
        assert_int_equal(trees[0]->n_nodes, trees[1]->n_nodes);
        for (int64_t i = 0; i < trees[0]->n_nodes; i++) {
            assert_int_equal(trees[0]->nodes[i].feature, trees[1]->nodes[i].feature);
            assert_int_equal(trees[0]->nodes[i].leaf, trees[1]->nodes[i].leaf);
        }
        assert_memory_equal(margins[0], margins[1], (TRAIN + VALID) * sizeof(int64_t));
        for (int i = 0; i < 2; i++) {
            ns_trees_destroy(&trees[i]);
            free(margins[i]);
        }
        device->forest->destroy(&first);
        device->forest->destroy(&second);
        ns_device_close(&device);
        free(c);
    }
}

static void test_quantiles_on_the_way(void **state)
{
    (void)state;
    ns_link alone = ns_link_alone();
    ns_device *device;
    CHECK_OK(ns_device_open(&device, "cpu", 1, &alone));
    columns *c = malloc(sizeof *c);
    make(c);
    ns_forest *forest = learned(device, c);
    for (int32_t f = SMOOTH; f <= FEW; f++) {
        float want[N_PERCENT];
        const float *got;
        int64_t n_want, n_got;
        CHECK_OK(ns_quantiles(f == SMOOTH ? c->smooth : c->few, TRAIN, percents, N_PERCENT, want, &n_want, &alone));
        device->forest->quantiles(forest, f, &got, &n_got);
        assert_int_equal(n_got, n_want);
        assert_memory_equal(got, want, sizeof want);
    }
    device->forest->destroy(&forest);
    ns_device_close(&device);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_forest_is_as_the_other), cmocka_unit_test(test_quantiles_on_the_way)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
