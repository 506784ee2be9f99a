/* Cuts and order statistics by counting, against sorting; the same from any slabs and order. */
#include "tests/check.h"

#include <math.h>

#include "kernels/cuts.h"
#include "kernels/numerics.h"
#include "tests/kernels/columns.h"

enum { MAX_ROWS = 20000 };
static float values[MAX_ROWS];
static uint32_t sorted[MAX_ROWS];

static int by_key(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Fills values and sorted; returns how many are not NaN. */
static int64_t make(test_shape shape, uint64_t seed, int64_t n)
{
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++) {
        values[i] = test_value(shape, seed, i);
        if (!isnan(values[i])) sorted[m++] = ns_key_of(values[i]);
    }
    qsort(sorted, (size_t)m, sizeof *sorted, by_key);
    return m;
}

/* The rule of cuts.h on the sorted keys, written as it is said there: a flag for each distinct value that is
 * a cut. */
typedef struct distinct {
    uint32_t key;
    int64_t count;
    bool heavy, cut;
} distinct;
static distinct each[MAX_ROWS];

static int64_t count_runs(int64_t n)
{
    int64_t runs = 0;
    for (int64_t i = 0; i < n; i++) runs += !each[i].heavy && (i == 0 || each[i - 1].heavy);
    return runs;
}

static void cut_light(int64_t n, int64_t bins)
{
    int64_t light = 0, before = 0, n_heavy = 0, n_runs = count_runs(n);
    for (int64_t i = 0; i < n; i++) {
        if (each[i].heavy)
            n_heavy++;
        else
            light += each[i].count;
    }
    int64_t spare = bins - n_heavy - n_runs;
    for (int64_t i = 0; i < n;) {
        if (each[i].heavy) {
            i++;
            continue;
        }
        int64_t end = i, rows = 0;
        while (end < n && !each[end].heavy) rows += each[end++].count;
        int64_t own = 1 + (before + rows) * spare / light - before * spare / light;
        before += rows;
        for (int64_t j = 1; j < own; j++) {
            int64_t rank = j * rows / own, seen = 0;
            for (int64_t v = i; v < end && rank > 0; v++) {
                seen += each[v].count;
                if (seen < rank) continue;
                each[v].cut = true;
                break;
            }
        }
        i = end;
    }
}

static int32_t slow_cuts(int64_t m, int64_t bins, float *cuts)
{
    int64_t n = 0;
    for (int64_t i = 0; i < m; i++) {
        if (n == 0 || each[n - 1].key != sorted[i]) each[n++] = (distinct){.key = sorted[i]};
        each[n - 1].count++;
    }
    for (int64_t i = 0; i < n; i++) {
        each[i].heavy = n > bins && each[i].count * bins >= m;
        each[i].cut = n <= bins;
    }
    for (;;) { /* heavies and runs within the bins */
        int64_t heavies = 0, least = -1;
        for (int64_t i = 0; i < n; i++) {
            if (!each[i].heavy) continue;
            heavies++;
            if (least < 0 || each[i].count <= each[least].count) least = i;
        }
        if (n <= bins || heavies + count_runs(n) <= bins) break;
        each[least].heavy = false;
    }
    if (n > bins) {
        for (int64_t i = 0; i < n; i++) {
            if (each[i].heavy) each[i].cut = true;
            if (i + 1 < n && each[i + 1].heavy) each[i].cut = true; /* the largest value below a heavy one */
        }
        cut_light(n, bins);
    }
    int32_t found = 0;
    for (int64_t i = 0; i + 1 < n; i++)
        if (each[i].cut) cuts[found++] = ns_value_of_key(each[i].key);
    return found;
}

/* Counts what a pass is about as one would who has only its tables: each value by its own search for a prefix. */
static void count_elsewhere(ns_tally *tally, int64_t n)
{
    static uint32_t prefix[1 << 12], index[1 << 12];
    for (int s = 0; s < NS_TALLY_STEPS; s++) {
        ns_tally_step step = (ns_tally_step)s;
        int shift = ns_tally_shift(step), bits = ns_tally_bits(step);
        int64_t n_tables = ns_tally_n_wanted(tally, step);
        assert_true(n_tables <= 1 << 12);
        uint32_t *count = calloc((size_t)(n_tables + 1) << bits, sizeof *count), mask = (UINT32_C(1) << bits) - 1;
        ns_tally_wanted(tally, step, prefix, index);
        for (int64_t t = 1; t < n_tables; t++) assert_true(prefix[t - 1] < prefix[t]);
        for (int64_t t = 0; t < n_tables; t++)
            for (int64_t i = 0; i < n; i++) {
                uint32_t key = ns_key_of(values[i]);
                if (!isnan(values[i]) && (uint64_t)key >> (shift + bits) == prefix[t]) count[((int64_t)index[t] << bits) + (key >> shift & mask)]++;
            }
        ns_tally_put(tally, step, count);
        free(count);
    }
}

/* Counts in slabs of the given size (0: elsewhere), the rows backwards if asked. */
static int32_t fast_cuts(int64_t n, int32_t bins, int64_t slab, bool backwards, float *cuts, int *passes)
{
    ns_link link = ns_link_alone();
    ns_tally *tally;
    int32_t n_cuts = -1;
    CHECK_OK(ns_tally_create(&tally));
    *passes = 0;
    bool done = false;
    while (!done) {
        if (slab == 0) count_elsewhere(tally, n);
        for (int64_t i = 0; i < n && slab > 0; i += slab) {
            int64_t from = backwards ? (n - 1) / slab * slab - i : i;
            ns_tally_add(tally, values + from, from + slab < n ? slab : n - from);
        }
        ns_tally_collect(tally, &link);
        CHECK_OK(ns_tally_status(tally));
        done = ns_cuts_find(tally, bins, cuts, &n_cuts);
        assert_true(++*passes <= 5);
    }
    ns_tally_destroy(&tally);
    assert_null(tally);
    return n_cuts;
}

static void check_cuts(test_shape shape, int64_t n, int32_t bins)
{
    float want[NS_MAX_CUTS + 1], got[NS_MAX_CUTS + 1];
    int passes;
    int64_t m = make(shape, 11, n);
    memset(want, 0xa5, sizeof want);
    memset(got, 0xa5, sizeof got);
    int32_t n_want = m > 0 ? slow_cuts(m, bins, want) : 0;
    assert_true(n_want <= bins - 1);
    static const int64_t slab_rows[] = {MAX_ROWS, 97, 1, 0};
    for (int slabs = 0; slabs < 4; slabs++) {
        int32_t n_got = fast_cuts(n, bins, slab_rows[slabs], slabs == 1, got, &passes);
        assert_int_equal(n_got, n_want);
        assert_memory_equal(got, want, sizeof got); /* the guard behind the last cut too */
        if (n > 3000) break;
    }
}

static void cuts_are_those_of_sorting(void **state)
{
    (void)state;
    const int64_t sizes[] = {0, 1, 2, 31, 33, 257, 2500, MAX_ROWS};
    const int32_t bins[] = {2, 3, 4, 7, 16, 64, 254, 255};
    for (int shape = 0; shape < N_SHAPES; shape++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t b = 0; b < sizeof bins / sizeof *bins; b++)
                check_cuts((test_shape)shape, sizes[s], bins[b]);
}

/* Bin sizes as the rule promises: heavies alone, no bin of others much above its share. */
static void bins_are_even(void **state)
{
    (void)state;
    float cuts[NS_MAX_CUTS];
    int passes;
    int64_t n = make(SHAPE_ZEROS, 3, MAX_ROWS);
    int32_t n_cuts = fast_cuts(n, 255, 4096, false, cuts, &passes);
    assert_int_equal(n_cuts, 254);
    int64_t zeros = 0, counts[256] = {0};
    for (int64_t i = 0; i < n; i++) {
        int32_t bin = 0;
        while (bin < n_cuts && cuts[bin] < values[i]) bin++;
        counts[bin]++;
        zeros += values[i] == 0.0f;
    }
    for (int32_t b = 0; b <= n_cuts; b++) {
        if (b < n_cuts && cuts[b] == 0.0f)
            assert_int_equal(counts[b], zeros);
        else
            assert_in_range(counts[b], (n - zeros) / 254 - 2, (n - zeros) / 254 + 2);
    }
}

static void ranks_are_those_of_sorting(void **state)
{
    (void)state;
    ns_link link = ns_link_alone();
    for (int shape = 0; shape < N_SHAPES; shape++) {
        int64_t m = make((test_shape)shape, 5, 5000);
        if (m == 0) continue;
        ns_tally *tally;
        CHECK_OK(ns_tally_create(&tally));
        assert_true(ns_tally_is_waiting(tally));
        bool known = false;
        for (int pass = 0; !known; pass++) {
            assert_true(pass < 3);
            ns_tally_add(tally, values, 5000);
            ns_tally_collect(tally, &link);
            assert_false(ns_tally_is_waiting(tally));
            assert_int_equal(ns_tally_total(tally), m);
            known = true;
            for (int64_t rank = 1; rank <= m; rank += 1 + m / 50) {
                uint32_t key = 0;
                if (ns_tally_at(tally, rank, &key))
                    assert_int_equal(key, sorted[rank - 1]);
                else
                    known = false;
            }
        }
        ns_tally_destroy(&tally);
    }
}

static void runs_are_those_of_sorting(void **state)
{
    (void)state;
    ns_link link = ns_link_alone();
    static ns_run runs[300];
    for (int shape = 0; shape < N_SHAPES; shape++)
        for (int64_t least = 1; least <= 1000; least *= 10) {
            int64_t m = make((test_shape)shape, 5, 5000), n = 0, want = 0;
            ns_tally *tally;
            CHECK_OK(ns_tally_create(&tally));
            do {
                ns_tally_add(tally, values, 5000);
                ns_tally_collect(tally, &link);
            } while (!ns_tally_runs(tally, least, runs, 299, &n));
            for (int64_t i = 0; i < m;) {
                int64_t end = i;
                while (end < m && sorted[end] == sorted[i]) end++;
                if (end - i >= least) {
                    if (n <= 299) {
                        assert_int_equal(runs[want].key, sorted[i]);
                        assert_int_equal(runs[want].below, i);
                        assert_int_equal(runs[want].count, end - i);
                    }
                    want++;
                }
                i = end;
            }
            assert_int_equal(n, want <= 299 ? want : 300);
            ns_tally_destroy(&tally);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_are_those_of_sorting),
        cmocka_unit_test(bins_are_even),
        cmocka_unit_test(ranks_are_those_of_sorting),
        cmocka_unit_test(runs_are_those_of_sorting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
