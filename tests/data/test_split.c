/* Parts are fixed for ever: the strings below were made with Python's hashlib.blake2b from the key layout in
 * data/split.h. */
#include "tests/check.h"

#include "data/split.h"

static ns_hash128 patient(int i)
{
    char text[16];
    int n = snprintf(text, sizeof text, "P%d", i);
    return ns_hash128_of(text, (size_t)n);
}

static void test_golden(void **state)
{
    (void)state;
    ns_split seven = {.seed = 7, .train = 0.7, .valid = 0.1, .test = 0.2}, eight = seven, most = seven;
    eight.seed = 8;
    most.seed = UINT64_MAX;
    char by_row[41] = "", other[41] = "", by_group[41] = "";
    for (int i = 0; i < 40; i++) {
        by_row[i] = (char)('0' + (int)ns_split_by_row(&seven, i));
        other[i] = (char)('0' + (int)ns_split_by_row(&eight, i));
        by_group[i] = (char)('0' + (int)ns_split_by_group(&seven, patient(i), 1000 - i));
    }
    assert_string_equal(by_row, "2213111311112111112331111131111333311131");
    assert_string_equal(other, "1131311111111311131313311113111111332211");
    assert_string_equal(by_group, "2112212111333123131213111311311132121111");
    assert_int_equal(ns_split_by_row(&most, (INT64_C(1) << 40) + 5), NS_PART_TEST);
}

static void test_missing_group_uses_the_row(void **state)
{
    (void)state;
    ns_split split = {.seed = 3, .train = 0.5, .valid = 0.25, .test = 0.25};
    for (int64_t row = 0; row < 1000; row++)
        assert_int_equal(ns_split_by_group(&split, (ns_hash128){0, 0}, row), ns_split_by_row(&split, row));
}

static void count(int64_t n[4], const ns_split *split, int by_group)
{
    memset(n, 0, 4 * sizeof *n);
    for (int i = 0; i < 100000; i++)
        n[by_group ? ns_split_by_group(split, patient(i), 0) : ns_split_by_row(split, i)]++;
}

static void test_fractions(void **state)
{
    (void)state;
    static const ns_split cases[] = {{1, 0.7, 0.1, 0.2},
                                     {2, 0.7, 0.1, 0.2},
                                     {1, 0.5, 0.0, 0.5},
                                     {9, 0.05, 0.05, 0.9},
                                     {1, 1.0 / 3, 1.0 / 3, 1.0 / 3}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (int by_group = 0; by_group < 2; by_group++) {
            const double want[4] = {0, cases[c].train, cases[c].valid, cases[c].test};
            int64_t n[4];
            count(n, &cases[c], by_group);
            for (int part = 0; part < 4; part++) {
                double gap = (double)n[part] / 100000 - want[part];
                if (!(gap <= 0.01 && gap >= -0.01)) fail_msg("case %zu: part %d is off by %g", c, part, gap);
            }
        }
}

/* A part of size 0 never gets a row, whatever rounding the sum of the fractions has. */
static void test_nothing_for_empty_parts(void **state)
{
    (void)state;
    static const ns_split cases[] = {{1, 1.0, 0, 0},           {1, 0, 1.0, 0},       {1, 0, 0, 1.0},
                                     {1, 0.5, 0.5 - 9e-10, 0}, {1, 1 - 9e-10, 0, 0}, {1, 1 + 9e-10, 0, 0}};
    static const int only[][4] = {{0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1},
                                  {0, 1, 1, 0}, {0, 1, 0, 0}, {0, 1, 0, 0}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        int64_t n[4];
        count(n, &cases[c], 0);
        for (int part = 0; part < 4; part++) assert_int_equal(n[part] > 0, only[c][part]);
    }
    /* exactly at the border: all hashes below 2^64 * (1 - 2^-53) and one fraction above */
    ns_split nearly = {1, 1 - 0x1p-53, 0, 0x1p-53};
    int64_t n[4];
    count(n, &nearly, 0);
    assert_int_equal(n[NS_PART_TRAIN], 100000);
}

/* A larger share of training keeps every row that was in training: parts are ranges of one number. */
static void test_growing_share(void **state)
{
    (void)state;
    ns_split small = {5, 0.5, 0.1, 0.4}, large = {5, 0.6, 0.1, 0.3};
    for (int64_t row = 0; row < 10000; row++)
        if (ns_split_by_row(&small, row) == NS_PART_TRAIN)
            assert_int_equal(ns_split_by_row(&large, row), NS_PART_TRAIN);
}

/* Borders belong to the part that they open; the window is measured to the end of the row's own part. */
static void test_by_time(void **state)
{
    (void)state;
    const int64_t never = NS_TIME_NEVER;
    const struct {
        ns_time_split split;
        int64_t time;
        ns_part part;
        ns_left_out why;
    } cases[] = {
        {{100, 200, 300, 0}, 99, NS_PART_TRAIN, NS_LEFT_NOT},
        {{100, 200, 300, 0}, 100, NS_PART_VALID, NS_LEFT_NOT},
        {{100, 200, 300, 0}, 199, NS_PART_VALID, NS_LEFT_NOT},
        {{100, 200, 300, 0}, 200, NS_PART_TEST, NS_LEFT_NOT},
        {{100, 200, 300, 0}, 299, NS_PART_TEST, NS_LEFT_NOT},
        {{100, 200, 300, 0}, 300, NS_PART_NONE, NS_LEFT_AFTER_UNTIL},
        {{100, 200, 300, 0}, INT64_MIN, NS_PART_NONE, NS_LEFT_NO_TIME},
        {{100, 200, 300, 0}, INT64_MIN + 1, NS_PART_TRAIN, NS_LEFT_NOT},
        {{100, 200, 300, 30}, INT64_MIN + 1, NS_PART_TRAIN, NS_LEFT_NOT},
        {{100, 200, 300, 30}, 69, NS_PART_TRAIN, NS_LEFT_NOT},
        {{100, 200, 300, 30}, 70, NS_PART_NONE, NS_LEFT_WINDOW_OPEN},
        {{100, 200, 300, 30}, 99, NS_PART_NONE, NS_LEFT_WINDOW_OPEN},
        {{100, 200, 300, 30}, 100, NS_PART_VALID, NS_LEFT_NOT},
        {{100, 200, 300, 30}, 169, NS_PART_VALID, NS_LEFT_NOT},
        {{100, 200, 300, 30}, 170, NS_PART_NONE, NS_LEFT_WINDOW_OPEN},
        {{100, 200, 300, 30}, 269, NS_PART_TEST, NS_LEFT_NOT},
        {{100, 200, 300, 30}, 270, NS_PART_NONE, NS_LEFT_WINDOW_OPEN},
        {{100, 200, 300, 30}, 300, NS_PART_NONE, NS_LEFT_AFTER_UNTIL},
        {{never, 200, never, 30}, 169, NS_PART_TRAIN, NS_LEFT_NOT},
        {{never, 200, never, 30}, 170, NS_PART_NONE, NS_LEFT_WINDOW_OPEN},
        {{never, 200, never, 30}, INT64_MAX - 1, NS_PART_TEST, NS_LEFT_NOT},
        {{100, never, never, 30}, 5000, NS_PART_VALID, NS_LEFT_NOT},
        {{100, never, 200, 30}, 169, NS_PART_VALID, NS_LEFT_NOT},
        {{100, never, 200, 30}, 170, NS_PART_NONE, NS_LEFT_WINDOW_OPEN},
        {{-100, 0, 100, 10}, -111, NS_PART_TRAIN, NS_LEFT_NOT},
        {{-100, 0, 100, 10}, -110, NS_PART_NONE, NS_LEFT_WINDOW_OPEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ns_left_out why = NS_N_LEFT_OUT;
        ns_part part = ns_split_by_time(&cases[i].split, cases[i].time, &why);
        if (part != cases[i].part || why != cases[i].why) fail_msg("case %zu: part %d, why %d", i, (int)part, (int)why);
    }
    ns_time_split until = {never, never, 300, 30};
    assert_int_equal(ns_split_until(&until, 269), NS_LEFT_NOT);
    assert_int_equal(ns_split_until(&until, 270), NS_LEFT_WINDOW_OPEN);
    assert_int_equal(ns_split_until(&until, 300), NS_LEFT_AFTER_UNTIL);
    assert_int_equal(ns_split_until(&until, INT64_MIN), NS_LEFT_NO_TIME);
}

/* Golden, from Python's hashlib.blake2b and the key layout in data/split.h. */
static void test_folds(void **state)
{
    (void)state;
    char by_row[41] = "", by_group[41] = "", other[41] = "";
    for (int i = 0; i < 40; i++) {
        by_row[i] = (char)('0' + ns_split_fold(7, 5, (ns_hash128){0, 0}, i));
        by_group[i] = (char)('0' + ns_split_fold(7, 5, patient(i), 1000 - i));
        other[i] = (char)('0' + ns_split_fold(8, 5, patient(i), i));
    }
    assert_string_equal(by_row, "1402320240102430414143023344420430440214");
    assert_string_equal(by_group, "3041131120113241434403111404010201020322");
    assert_string_equal(other, "1441324143240302320410231020022100041142");
}

/* Whatever the rows of a patient, they are in one fold; folds are of one size, and so within every part of the split. */
static void test_folds_never_part_a_group(void **state)
{
    (void)state;
    ns_split split = {.seed = 7, .train = 0.7, .valid = 0.1, .test = 0.2};
    for (int32_t n_folds = 1; n_folds <= 100; n_folds = n_folds * 3 + 1) {
        int64_t n[4][100] = {{0}}, n_part[4] = {0};
        for (int i = 0; i < 40000; i++) {
            int32_t fold = ns_split_fold(7, n_folds, patient(i), i);
            assert_true(fold >= 0 && fold < n_folds);
            assert_int_equal(fold, ns_split_fold(7, n_folds, patient(i), 3 * i + 5));
            ns_part part = ns_split_by_group(&split, patient(i), i);
            n[part][fold]++;
            n_part[part]++;
        }
        for (int part = NS_PART_TRAIN; part <= NS_PART_TEST; part++)
            for (int32_t f = 0; f < n_folds; f++) {
                double want = (double)n_part[part] / n_folds, gap = (double)n[part][f] - want;
                if (!(gap * gap <= 25 * want)) fail_msg("%d folds: part %d has %d rows of fold %d", (int)n_folds, part, (int)n[part][f], (int)f);
            }
    }
    int64_t n_same = 0;
    for (int i = 0; i < 10000; i++) n_same += ns_split_fold(1, 4, patient(i), i) == ns_split_fold(2, 4, patient(i), i);
    assert_true(n_same > 2200 && n_same < 2800); /* another seed deals anew */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),        cmocka_unit_test(test_missing_group_uses_the_row),
        cmocka_unit_test(test_fractions),     cmocka_unit_test(test_nothing_for_empty_parts),
        cmocka_unit_test(test_growing_share), cmocka_unit_test(test_by_time),
        cmocka_unit_test(test_folds),         cmocka_unit_test(test_folds_never_part_a_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
