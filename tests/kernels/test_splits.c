/* The best split of one column, against trying every one of them. */
#include "tests/check.h"

#include "kernels/level.h"

enum { MAX_BINS = 400, N_CASES = 3000 };
static ns_cell cells[MAX_BINS];
static int64_t planes[3 * MAX_BINS];
static uint32_t seed;

/* The cells as columns have them. */
static ns_planes planes_of_cells(int32_t n_bins)
{
    ns_planes p = ns_planes_in(planes, n_bins);
    for (int32_t b = 0; b < n_bins; b++) {
        p.g[b] = cells[b].g;
        p.h[b] = cells[b].h;
        p.n[b] = cells[b].n;
    }
    return p;
}

static const ns_level *levels[3];
static int n_levels;

static int find_levels(void **state)
{
    (void)state;
    const char *names[] = {"baseline", "avx2", "avx512"};
    for (int i = 0; i < 3; i++) {
        if (ns_level_pick(&levels[n_levels], names[i]) == NS_OK) n_levels++;
        ns_error_clear();
    }
    return n_levels > 0 ? 0 : 1;
}

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Random cells; small numbers, so that gains tie often. */
static ns_cell make_cells(int32_t n_bins, uint32_t size)
{
    ns_cell total = {0, 0, 0};
    for (int32_t b = 0; b < n_bins; b++) {
        int64_t n = random_below(4) == 0 ? 0 : (int64_t)random_below(size);
        if (b == 0 && random_below(2) == 0) n = 0;
        cells[b] = (ns_cell){0, 0, n};
        for (int64_t i = 0; i < n; i++) {
            cells[b].g += (int64_t)random_below(9) - 4;
            cells[b].h += (int64_t)random_below(5);
        }
        total.g += cells[b].g;
        total.h += cells[b].h;
        total.n += n;
    }
    return total;
}

static ns_split_rule random_rule(void)
{
    const double l1s[] = {0, 0, 0.5}, l2s[] = {1, 0, 3};
    return (ns_split_rule){.l1 = l1s[random_below(3)],
                           .l2 = l2s[random_below(3)],
                           .min_gain = random_below(3) == 0 ? 0.05 : 0.0,
                           .min_hessian = random_below(2) == 0 ? 0.25 : 0.0,
                           .min_rows = (int64_t)random_below(4),
                           .category_smoothing = random_below(4) == 0 ? 0.0 : 2.0,
                           .category_l2 = 10.0,
                           .category_split_rows = 1 + (int64_t)random_below(6),
                           .category_max_levels = (int32_t)random_below(4), /* 0: no limit */
                           .unit_g = 0.0625,
                           .unit_h = 0.125};
}

static double shrunk(double g, double l1)
{
    if (g > l1) return g - l1;
    return g < -l1 ? g + l1 : 0.0;
}

/* Gain of a left side given as a set of bins; -1 where it is not allowed. */
static double gain_of(const bool *left, int32_t n_bins, const ns_split_rule *r, double l2, ns_cell *sum)
{
    ns_cell s[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    for (int32_t b = 0; b < n_bins; b++)
        for (int side = 0; side < 3; side++)
            if (side == 2 || side == (left[b] ? 0 : 1)) {
                s[side].g += cells[b].g;
                s[side].h += cells[b].h;
                s[side].n += cells[b].n;
            }
    double t[3];
    int64_t least = r->min_rows > 1 ? r->min_rows : 1;
    for (int side = 0; side < 3; side++) {
        double g = shrunk((double)s[side].g * r->unit_g, r->l1), h = (double)s[side].h * r->unit_h;
        if (side < 2 && (s[side].n < least || h < r->min_hessian || h + l2 <= 0.0)) return -1.0;
        t[side] = g * g / (h + l2);
    }
    *sum = s[0];
    double gain = t[0] + t[1] - t[2];
    return gain > r->min_gain ? gain : -1.0;
}

static void check_same(const ns_split *got, const ns_split *want)
{
    assert_int_equal(got->feature, want->feature);
    if (want->feature < 0) return;
    assert_true(got->gain == want->gain);
    assert_int_equal(got->threshold, want->threshold);
    assert_int_equal(got->missing_left, want->missing_left);
    assert_memory_equal(&got->left, &want->left, sizeof want->left);
}

static ns_split slow_number(int32_t n_bins, const ns_split_rule *r)
{
    ns_split best = {.feature = -1};
    for (int32_t t = 1; t < n_bins; t++)
        for (int missing_left = 1; missing_left >= 0; missing_left--) {
            bool left[MAX_BINS];
            int64_t n_left = 0, n_right = 0;
            for (int32_t b = 1; b < n_bins; b++) {
                left[b] = b <= t;
                *(left[b] ? &n_left : &n_right) += cells[b].n;
            }
            bool last = t == n_bins - 1;
            if (cells[0].n == 0 && (last || missing_left != (n_left >= n_right))) continue;
            if (last ? missing_left : cells[t].n == 0 || n_right == 0) continue;
            left[0] = missing_left != 0;
            ns_cell sum;
            double gain = gain_of(left, n_bins, r, r->l2, &sum);
            if (gain > 0.0 && (best.feature < 0 || gain > best.gain))
                best = (ns_split){gain, 3, t, missing_left, sum};
        }
    return best;
}

static void numbers_are_split_as_by_trying_all(void **state)
{
    (void)state;
    int found = 0, with_missing = 0, missing_alone = 0;
    for (int i = 0; i < N_CASES; i++) {
        seed = (uint32_t)i;
        int32_t n_bins = 2 + (int32_t)random_below(i % 10 == 0 ? 254 : 8);
        ns_cell total = make_cells(n_bins, 6);
        ns_split_rule rule = random_rule();
        ns_split_column column = {.cells = planes_of_cells(n_bins), .n_bins = n_bins, .feature = 3, .total = &total};
        ns_split got, want = slow_number(n_bins, &rule);
        ns_split_number(&column, &rule, &got);
        check_same(&got, &want);
        for (int l = 0; l < n_levels && n_bins <= NS_BYTE_BINS; l++) {
            levels[l]->split->number(&column, &rule, &got);
            check_same(&got, &want);
        }
        found += got.feature >= 0;
        with_missing += got.feature >= 0 && cells[0].n > 0;
        missing_alone += got.feature >= 0 && got.threshold == n_bins - 1;
    }
    assert_true(found > N_CASES / 3 && with_missing > N_CASES / 10 && missing_alone > 20);
}

/* The order of sorted bins by counting how many come before each. */
static int32_t slow_order(int32_t n_bins, const ns_split_rule *r, int32_t *bin)
{
    double key[MAX_BINS];
    int32_t n = 0;
    for (int32_t b = 0; b < n_bins; b++) {
        double below = (double)cells[b].h * r->unit_h + r->category_smoothing;
        key[b] = below > 0.0 ? (double)cells[b].g * r->unit_g / below : 0.0;
    }
    for (int32_t b = 0; b < n_bins; b++) {
        if (b == 1 || cells[b].n < r->category_split_rows) continue;
        int32_t before = 0;
        for (int32_t o = 0; o < n_bins; o++)
            before += o != 1 && cells[o].n >= r->category_split_rows &&
                      (key[o] < key[b] || (key[o] == key[b] && o < b));
        bin[before] = b;
        n++;
    }
    return n;
}

static void left_of(int32_t n_bins, const int32_t *bin, int32_t n, int32_t taken, bool *left)
{
    int64_t rows[2] = {0, 0};
    for (int32_t i = 0; i < n; i++) rows[i >= taken] += cells[bin[i]].n;
    for (int32_t b = 0; b < n_bins; b++) left[b] = rows[0] >= rows[1];
    for (int32_t i = 0; i < n; i++) left[bin[i]] = i < taken;
}

static void categories_are_split_as_by_trying_all(void **state)
{
    (void)state;
    static double key[2][MAX_BINS];
    static uint32_t order[2][MAX_BINS], set[MAX_BINS / 32 + 2];
    ns_split_scratch scratch = {key[0], key[1], order[0], order[1]};
    int found = 0, with_rest = 0;
    for (int i = 0; i < N_CASES; i++) {
        seed = (uint32_t)i + 100000u;
        int32_t n_bins = 2 + (int32_t)random_below(i % 10 == 0 ? MAX_BINS - 1 : 9), bin[MAX_BINS];
        ns_cell total = make_cells(n_bins, 12);
        ns_split_rule rule = random_rule();
        int32_t n = slow_order(n_bins, &rule, bin);
        ns_split want = {.feature = -1};
        bool left[MAX_BINS];
        for (int32_t taken = 1; taken < n; taken++) {
            int32_t smaller = taken < n - taken ? taken : n - taken;
            if (rule.category_max_levels > 0 && smaller > rule.category_max_levels) continue;
            ns_cell sum;
            left_of(n_bins, bin, n, taken, left);
            double gain = gain_of(left, n_bins, &rule, rule.l2 + rule.category_l2, &sum);
            if (gain > 0.0 && (want.feature < 0 || gain > want.gain))
                want = (ns_split){gain, 5, taken, 0, sum};
        }
        ns_split_column column = {.cells = planes_of_cells(n_bins), .n_bins = n_bins, .feature = 5, .total = &total};
        ns_split got;
        ns_split_category(&column, &rule, &scratch, &got);
        check_same(&got, &want);
        if (got.feature < 0) continue;
        found++;
        int32_t n_words = (n_bins + 31) / 32;
        memset(set, 0xa5, sizeof set);
        ns_split_set(&column, &rule, &scratch, &got, set);
        left_of(n_bins, bin, n, got.threshold, left);
        for (int32_t b = 0; b < 32 * n_words; b++)
            assert_int_equal(set[b / 32] >> (b % 32) & 1, b < n_bins ? left[b] : 0);
        assert_int_equal(set[n_words], 0xa5a5a5a5u);
        with_rest += cells[1].n > 0;
    }
    assert_true(found > N_CASES / 10 && with_rest > 50);
}

/* Sums up to the largest that a table can have: the levels convert and round as the definition does. */
static void large_sums_are_split_alike(void **state)
{
    (void)state;
    int found = 0;
    for (int i = 0; i < N_CASES; i++) {
        seed = (uint32_t)i + 200000u;
        int32_t n_bins = 2 + (int32_t)random_below(254);
        ns_cell total = {0, 0, 0};
        for (int32_t b = 0; b < n_bins; b++) {
            int64_t n = random_below(3) == 0 ? 0 : 1 + (int64_t)random_below(1u << 24);
            int64_t unit = (INT64_C(1) << 30) - 1 - (int64_t)random_below(1u << 20);
            cells[b] = (ns_cell){(random_below(2) == 0 ? -n : n) * unit, n * (unit >> 6), n};
            total = (ns_cell){total.g + cells[b].g, total.h + cells[b].h, total.n + n};
        }
        ns_split_rule rule = {.l2 = 1.0, .min_rows = 20, .min_hessian = 1e-3, .unit_g = 0x1p-30, .unit_h = 0x1p-24};
        ns_split_column column = {.cells = planes_of_cells(n_bins), .n_bins = n_bins, .feature = 1, .total = &total};
        ns_split got, want;
        ns_split_number(&column, &rule, &want);
        found += want.feature >= 0;
        for (int l = 0; l < n_levels; l++) {
            levels[l]->split->number(&column, &rule, &got);
            check_same(&got, &want);
        }
    }
    assert_true(found > N_CASES / 2);
}

static void columns_have_an_order(void **state)
{
    (void)state;
    ns_split none = {.feature = -1}, a = {.feature = 2, .gain = 1.0}, b = {.feature = 3, .gain = 1.0};
    ns_split c = {.feature = 4, .gain = 2.0};
    assert_true(ns_split_is_better(&a, &b) && !ns_split_is_better(&b, &a));
    assert_true(ns_split_is_better(&c, &a) && !ns_split_is_better(&a, &c));
    assert_true(ns_split_is_better(&a, &none) && !ns_split_is_better(&none, &a) &&
                !ns_split_is_better(&none, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_split_as_by_trying_all),
        cmocka_unit_test(large_sums_are_split_alike),
        cmocka_unit_test(categories_are_split_as_by_trying_all),
        cmocka_unit_test(columns_have_an_order),
    };
    return cmocka_run_group_tests(tests, find_levels, NULL);
}
