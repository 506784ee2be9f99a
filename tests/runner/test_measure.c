/* Metrics of several classes, of numbers, quantiles and counts: against plain loops in double; the same bytes however rows are dealt to
   ranks; and what must be hidden is hidden. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runner/json.h"
#include "runner/metrics/measure.h"
#include "tests/check.h"

enum { MOST_ROWS = 4000, K = 4 };
static int rank, n_ranks;

typedef struct sample {
    int64_t n;
    float value[MOST_ROWS * K], label[MOST_ROWS];
    ns_hash128 patient[MOST_ROWS];
} sample;

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static double draw(int64_t i, uint64_t what)
{
    return (double)(mix((uint64_t)i * 64 + what) >> 11) * 0x1p-53;
}

typedef void make_one(sample *r, int64_t i);

/* Four classes; the last is rare. */
static void make_classes(sample *r, int64_t i)
{
    double sum = 0, weight[K];
    for (uint64_t c = 0; c < K; c++) sum += weight[c] = (c == 3 ? 0.03 : 1.0) * (0.1 + draw(i, c));
    double u = draw(i, 9);
    int label = 0;
    for (int c = 0; c < K; c++) {
        r->value[r->n * K + c] = (float)(weight[c] / sum);
        if (c < K - 1 && u >= weight[c] / sum) {
            u -= weight[c] / sum;
            label = c == label ? c + 1 : label;
        }
    }
    r->label[r->n] = (float)label;
}

static void make_numbers(sample *r, int64_t i)
{
    r->value[r->n] = (float)(1000.0 * draw(i, 1) - 300.0);
    r->label[r->n] = (float)(0.8 * (double)r->value[r->n] + 50.0 + 400.0 * (draw(i, 2) - 0.5));
}

static void make_counts(sample *r, int64_t i)
{
    r->value[r->n] = (float)(0.05 + 3.0 * draw(i, 1));
    r->label[r->n] = floorf((float)(draw(i, 2) * 2.2 * (double)r->value[r->n]));
}

/* All rows, or those that fall to this rank: every third to each of three, and so on. */
static void make(sample *r, int64_t n, make_one *one, int dealt)
{
    r->n = 0;
    for (int64_t i = 0; i < n; i++) {
        if (dealt && (int)(i % n_ranks) != rank) continue;
        one(r, i);
        r->patient[r->n] = (ns_hash128){.hi = (uint64_t)(i / 2 + 1), .lo = 7}; /* two rows each */
        r->n++;
    }
}

static const ns_texts *class_names(void)
{
    static ns_texts texts;
    static const char *const names[K] = {"a", "b", "c", "rare"};
    for (int i = 0; texts.n < K; i++) CHECK_OK(ns_texts_append(&texts, names[i], (int64_t)strlen(names[i])));
    return &texts;
}

static ns_outcomes outcomes(const sample *r, ns_objective objective)
{
    return (ns_outcomes){.objective = objective, .n_outputs = objective == NS_MULTICLASS ? K : 1, .quantile = objective == NS_QUANTILE ? 0.3 : 0,
                         .classes = class_names(), .n = r->n, .value = r->value, .label = r->label, .patient = r->patient};
}

/* On every rank alone, with all rows. */
static json_t *measure_alone(const ns_outcomes *rows, int64_t min_cell)
{
    json_t *out = NULL;
    CHECK_OK(ns_measure(&out, rows, NS_DETAIL_ALL, min_cell, MPI_COMM_SELF));
    assert_non_null(out);
    return out;
}

static void near(const json_t *metrics, const char *key, double want, double allowed)
{
    double got = json_number_value(json_object_get(metrics, key));
    if (!(fabs(got - want) <= allowed * (1 + fabs(want)))) fail_msg("%s is %.17g, not %.17g", key, got, want);
}

static void classes_match_plain_loops(void **state)
{
    (void)state;
    static sample r;
    make(&r, 3000, make_classes, 0);
    ns_outcomes rows = outcomes(&r, NS_MULTICLASS);
    json_t *got = measure_alone(&rows, 11);
    double loss = 0, brier = 0, macro = 0;
    int64_t correct = 0, confusion[K][K] = {{0}};
    for (int64_t i = 0; i < r.n; i++) {
        const float *p = r.value + i * K;
        int y = (int)r.label[i], best = 0;
        for (int c = 0; c < K; c++) {
            best = p[c] > p[best] ? c : best;
            brier += ((double)p[c] - (c == y)) * ((double)p[c] - (c == y));
        }
        loss -= log((double)p[y]);
        correct += best == y;
        confusion[y][best]++;
    }
    const json_t *classes = json_object_get(got, "classes"), *matrix = json_object_get(got, "confusion");
    for (int c = 0; c < K; c++) { /* pairs one by one */
        int64_t twice = 0, events = 0;
        for (int64_t i = 0; i < r.n; i++) {
            if ((int)r.label[i] != c) continue;
            events++;
            for (int64_t j = 0; j < r.n; j++) {
                if ((int)r.label[j] == c) continue;
                float a = r.value[i * K + c], b = r.value[j * K + c];
                twice += a > b ? 2 : a == b;
            }
        }
        double auroc = (double)twice / (2.0 * (double)events * (double)(r.n - events));
        const json_t *one = json_array_get(classes, (size_t)c);
        near(one, "auroc", auroc, 1e-12);
        assert_int_equal(json_integer_value(json_object_get(one, "events")), events);
        assert_string_equal(json_string_value(json_object_get(one, "class")), ((const char *[]){"a", "b", "c", "rare"})[c]);
        macro += auroc / K;
        for (int b = 0; b < K; b++) {
            const json_t *cell = json_array_get(json_array_get(matrix, (size_t)c), (size_t)b);
            if (!json_is_null(cell)) assert_int_equal(json_integer_value(cell), confusion[c][b]);
        }
    }
    assert_int_equal(json_integer_value(json_object_get(got, "n")), 3000);
    near(got, "log_loss", loss / 3000, 1e-10);
    near(got, "brier", brier / 3000, 1e-10);
    near(got, "accuracy", (double)correct / 3000, 1e-15);
    near(got, "auroc_macro", macro, 1e-12);
    json_decref(got);
}

static void numbers_match_plain_loops(void **state)
{
    (void)state;
    static sample r;
    make(&r, 3000, make_numbers, 0);
    ns_outcomes rows = outcomes(&r, NS_REGRESSION);
    json_t *got = measure_alone(&rows, 11);
    double n = 3000, y1 = 0, p1 = 0, absolute = 0, square = 0, yy = 0, pp = 0, yp = 0;
    for (int i = 0; i < 3000; i++) {
        y1 += (double)r.label[i] / n;
        p1 += (double)r.value[i] / n;
    }
    for (int i = 0; i < 3000; i++) {
        double y = (double)r.label[i], p = (double)r.value[i];
        absolute += fabs(y - p) / n;
        square += (y - p) * (y - p) / n;
        yy += (y - y1) * (y - y1) / n;
        pp += (p - p1) * (p - p1) / n;
        yp += (y - y1) * (p - p1) / n;
    }
    near(got, "mean_observed", y1, 1e-9);
    near(got, "mean_predicted", p1, 1e-9);
    near(got, "bias", p1 - y1, 1e-9);
    near(got, "mae", absolute, 1e-9);
    near(got, "rmse", sqrt(square), 1e-9);
    near(got, "r2", 1 - square / yy, 1e-9);
    near(got, "correlation", yp / sqrt(yy * pp), 1e-9);
    near(json_object_get(got, "calibration"), "slope", yp / pp, 1e-9);
    near(json_object_get(got, "calibration"), "intercept", y1 - yp / pp * p1, 1e-9);
    json_decref(got);
}

static void quantiles_match_plain_loops(void **state)
{
    (void)state;
    static sample r;
    make(&r, 2000, make_numbers, 0);
    r.label[5] = r.value[5]; /* equal counts as covered */
    ns_outcomes rows = outcomes(&r, NS_QUANTILE);
    json_t *got = measure_alone(&rows, 11);
    double loss = 0, covered = 0, z = 1.959963984540054;
    for (int i = 0; i < 2000; i++) {
        double gap = (double)r.label[i] - (double)r.value[i];
        loss += gap > 0 ? 0.3 * gap : -0.7 * gap;
        covered += gap <= 0;
    }
    double q = covered / 2000, middle = q + z * z / 4000, half = z * sqrt(q * (1 - q) / 2000 + z * z / (4.0 * 2000 * 2000));
    near(got, "pinball_loss", loss / 2000, 1e-9);
    near(got, "coverage", q, 1e-15);
    near(got, "coverage_low", (middle - half) / (1 + z * z / 2000), 1e-12);
    near(got, "coverage_high", (middle + half) / (1 + z * z / 2000), 1e-12);
    near(got, "quantile", 0.3, 0);
    json_decref(got);
}

static void counts_match_plain_loops(void **state)
{
    (void)state;
    static sample r;
    make(&r, 2000, make_counts, 0);
    ns_outcomes rows = outcomes(&r, NS_POISSON);
    json_t *got = measure_alone(&rows, 11);
    double y1 = 0, p1 = 0, deviance = 0, null = 0;
    for (int i = 0; i < 2000; i++) {
        y1 += (double)r.label[i] / 2000;
        p1 += (double)r.value[i] / 2000;
    }
    for (int i = 0; i < 2000; i++) {
        double y = (double)r.label[i], p = (double)r.value[i];
        deviance += 2 * ((y > 0 ? y * log(y / p) : 0) - (y - p)) / 2000;
        null += 2 * ((y > 0 ? y * log(y / y1) : 0) - (y - y1)) / 2000;
    }
    near(got, "observed_expected", y1 / p1, 1e-9);
    near(got, "deviance", deviance, 1e-9);
    near(got, "deviance_explained", 1 - deviance / null, 1e-9);
    json_decref(got);
}

/* Sums far from 0, and values at the ends of float32, lose nothing that float32 holds. */
static void sizes_do_not_matter(void **state)
{
    (void)state;
    static sample r;
    static const double scales[] = {1, 0x1p-100, 0x1p90};
    double rmse[3];
    for (int s = 0; s < 3; s++) {
        make(&r, 500, make_numbers, 0);
        for (int i = 0; i < 500; i++) {
            r.value[i] = (float)((double)r.value[i] * scales[s]);
            r.label[i] = (float)((double)r.label[i] * scales[s]);
        }
        ns_outcomes rows = outcomes(&r, NS_REGRESSION);
        json_t *got = measure_alone(&rows, 11);
        rmse[s] = json_number_value(json_object_get(got, "rmse")) / scales[s];
        json_decref(got);
    }
    assert_true(rmse[0] > 0 && rmse[0] == rmse[1] && rmse[0] == rmse[2]);
}

static char *text_of(json_t *metrics)
{
    char *text = NULL;
    CHECK_OK(ns_json_dump(metrics, &text));
    json_decref(metrics);
    return text;
}

static void ranks_do_not_matter(void **state)
{
    (void)state;
    static sample all, mine;
    static const struct {
        ns_objective objective;
        make_one *one;
    } cases[] = {{NS_MULTICLASS, make_classes}, {NS_REGRESSION, make_numbers}, {NS_QUANTILE, make_numbers}, {NS_POISSON, make_counts}};
    static const int64_t sizes[] = {0, 1, 2, 5, 400, 3001};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            make(&all, sizes[s], cases[c].one, 0);
            make(&mine, sizes[s], cases[c].one, 1);
            ns_outcomes whole = outcomes(&all, cases[c].objective), part = outcomes(&mine, cases[c].objective);
            json_t *metrics = NULL;
            CHECK_OK(ns_measure(&metrics, &part, NS_DETAIL_ALL, 11, MPI_COMM_WORLD));
            assert_int_equal(metrics != NULL, rank == 0);
            if (rank != 0) continue;
            char *got = text_of(metrics), *want = text_of(measure_alone(&whole, 11));
            assert_string_equal(got, want);
            free(got);
            free(want);
        }
}

/* 6 patients of class rare: neither they nor, by subtraction, their number is told. */
static void small_classes_are_hidden(void **state)
{
    (void)state;
    static sample r;
    r.n = 0;
    static const int of_class[K] = {40, 30, 25, 6};
    for (int c = 0; c < K; c++)
        for (int i = 0; i < of_class[c]; i++) {
            for (int b = 0; b < K; b++) r.value[r.n * K + b] = b == c ? 0.7f : 0.1f;
            r.label[r.n] = (float)c;
            r.patient[r.n] = (ns_hash128){.hi = (uint64_t)r.n + 1, .lo = 1};
            r.n++;
        }
    ns_outcomes rows = outcomes(&r, NS_MULTICLASS);
    json_t *got = measure_alone(&rows, 11);
    const json_t *classes = json_object_get(got, "classes"), *matrix = json_object_get(got, "confusion");
    static const bool hidden[K] = {false, false, true, true};
    for (size_t c = 0; c < K; c++) {
        const json_t *one = json_array_get(classes, c);
        assert_int_equal(json_is_true(json_object_get(one, "suppressed")), hidden[c]);
        assert_int_equal(json_object_get(one, "events") == NULL, hidden[c]);
        assert_int_equal(json_is_null(json_array_get(json_array_get(matrix, c), c)), hidden[c]);
    }
    json_decref(got);
    CHECK_OK(ns_measure(&got, &rows, NS_DETAIL_SUBGROUP, 11, MPI_COMM_SELF));
    assert_null(json_object_get(got, "classes"));
    assert_null(json_object_get(got, "confusion"));
    json_decref(got);
    got = measure_alone(&rows, 5);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(json_object_get(got, "confusion"), 3), 3)), 6);
    json_decref(got);
}

/* A row of the matrix with one small cell loses a second one. */
static void no_cell_is_told_by_subtraction(void **state)
{
    (void)state;
    static sample r;
    r.n = 0;
    static const int cells[K][K] = {{50, 3, 20, 0}, {0, 40, 0, 0}, {0, 0, 40, 0}, {0, 0, 0, 40}};
    for (int a = 0; a < K; a++)
        for (int b = 0; b < K; b++)
            for (int i = 0; i < cells[a][b]; i++) {
                for (int c = 0; c < K; c++) r.value[r.n * K + c] = c == b ? 0.7f : 0.1f;
                r.label[r.n] = (float)a;
                r.patient[r.n] = (ns_hash128){.hi = (uint64_t)r.n + 1, .lo = 1};
                r.n++;
            }
    ns_outcomes rows = outcomes(&r, NS_MULTICLASS);
    json_t *got = measure_alone(&rows, 11);
    const json_t *first = json_array_get(json_object_get(got, "confusion"), 0);
    assert_int_equal(json_integer_value(json_array_get(first, 0)), 50);
    assert_true(json_is_null(json_array_get(first, 1)) && json_is_null(json_array_get(first, 2)));
    assert_int_equal(json_integer_value(json_array_get(first, 3)), 0);
    json_decref(got);
}

static void undefined_metrics_have_reasons(void **state)
{
    (void)state;
    static sample r;
    make(&r, 20, make_numbers, 0);
    for (int i = 0; i < 20; i++) r.label[i] = 3.5f;
    ns_outcomes rows = outcomes(&r, NS_REGRESSION);
    json_t *got = measure_alone(&rows, 11), *why = json_object_get(got, "undefined");
    assert_true(json_is_null(json_object_get(got, "r2")));
    assert_string_equal(json_string_value(json_object_get(why, "r2")), "all outcomes are equal");
    near(json_object_get(got, "calibration"), "slope", 0, 0);
    json_decref(got);
    rows.n = 0;
    got = measure_alone(&rows, 11);
    assert_string_equal(json_string_value(json_object_get(json_object_get(got, "undefined"), "rmse")), "no rows");
    json_decref(got);
}

/* One rank alone holds what no model publishes: every rank fails alike. */
static void failures_are_shared(void **state)
{
    (void)state;
    static sample r;
    json_t *out = NULL;
    make(&r, 60, make_classes, 1);
    if (rank == n_ranks - 1) r.value[0] = 1.0f;
    ns_outcomes rows = outcomes(&r, NS_MULTICLASS);
    CHECK_FAILS(ns_measure(&out, &rows, NS_DETAIL_ALL, 11, MPI_COMM_WORLD), NS_ENUMERIC, "no risk above 0");
    make(&r, 60, make_numbers, 1);
    if (rank == n_ranks - 1) r.value[0] = INFINITY;
    rows = outcomes(&r, NS_REGRESSION);
    CHECK_FAILS(ns_measure(&out, &rows, NS_DETAIL_ALL, 11, MPI_COMM_WORLD), NS_ENUMERIC, "no finite prediction");
    make(&r, 60, make_counts, 1);
    if (rank == n_ranks - 1) r.value[0] = 0;
    rows = outcomes(&r, NS_POISSON);
    CHECK_FAILS(ns_measure(&out, &rows, NS_DETAIL_ALL, 11, MPI_COMM_WORLD), NS_ENUMERIC, "no prediction above 0");
    assert_null(out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_match_plain_loops),   cmocka_unit_test(numbers_match_plain_loops),
        cmocka_unit_test(quantiles_match_plain_loops), cmocka_unit_test(counts_match_plain_loops),
        cmocka_unit_test(sizes_do_not_matter),         cmocka_unit_test(ranks_do_not_matter),
        cmocka_unit_test(small_classes_are_hidden),    cmocka_unit_test(no_cell_is_told_by_subtraction),
        cmocka_unit_test(undefined_metrics_have_reasons), cmocka_unit_test(failures_are_shared),
    };
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
