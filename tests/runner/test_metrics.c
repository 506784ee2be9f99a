/*
 * Metrics against the numbers of scikit-learn (metrics_golden.h), against their definitions written as slow
 * loops over all pairs, and where they are undefined.
 */
#include <math.h>

#include "data/hash.h"
#include "kernels/numerics.h"
#include "runner/json.h"
#include "runner/metrics/metrics.h"
#include "tests/check.h"
#include "tests/golden/recorded.h"
#include "tests/runner/metrics_golden.h"

enum { N_CASES = sizeof golden_cases / sizeof golden_cases[0], MOST_ROWS = 3000 };

typedef struct rows {
    int64_t n;
    float risk[MOST_ROWS];
    uint8_t label[MOST_ROWS];
} rows;

static void make_rows(rows *out, const golden_case *c)
{
    out->n = c->n_rows;
    for (int64_t i = 0; i < c->n_rows; i++) make_row(c, i, &out->risk[i], &out->label[i]);
}

static ns_metrics metrics_of(const float *risk, const uint8_t *label, const uint8_t *use, int64_t n)
{
    ns_risk_table table;
    ns_metrics metrics;
    CHECK_OK(ns_risk_table_build(&table, risk, label, use, n));
    CHECK_OK(ns_metrics_compute(&metrics, &table));
    ns_risk_table_destroy(&table);
    return metrics;
}

static void check_close(double got, double want, double allowed, const char *what, int at)
{
    double gap = fabs(got - want);
    if (!(gap <= allowed)) fail_msg("case %d: %s is %.17g, not %.17g", at, what, got, want);
}

/* Rounding of terms to 2^-40 costs 2^-41 at most; calibration stops under 1e-10, scikit-learn under a
 * gradient of 1e-12. */
static void equals_scikit_learn(void **state)
{
    (void)state;
    static rows r;
    for (int c = 0; c < (int)N_CASES; c++) {
        const golden_case *want = &golden_cases[c];
        make_rows(&r, want);
        ns_metrics got = metrics_of(r.risk, r.label, NULL, r.n);
        const double *v = want->value;
        assert_int_equal(got.n, want->n_rows);
        assert_int_equal(got.n_events, want->n_events);
        check_close(got.prevalence, (double)want->n_events / (double)want->n_rows, 0.0, "prevalence", c);
        check_close(got.auroc, v[AUROC], 1e-14, "auroc", c);
        check_close(got.auroc_variance, v[VARIANCE], 1e-15, "variance", c);
        check_close(got.auprc, v[AUPRC], 1e-13, "auprc", c);
        check_close(got.log_loss, v[LOG_LOSS], 1e-12, "log loss", c);
        check_close(got.brier, v[BRIER], 1e-12, "brier", c);
        check_close(got.calibration.intercept, v[INTERCEPT], 1e-8, "intercept", c);
        check_close(got.calibration.slope, v[SLOPE], 1e-8, "slope", c);
        check_close(got.calibration.citl, v[CITL], 1e-9, "citl", c);
        check_close(got.calibration.observed_expected, v[OBSERVED_EXPECTED], 1e-13, "o:e", c);
        check_close(got.calibration.ece, v[ECE], 1e-13, "ece", c);
        check_close(got.auroc_low, v[AUROC] - 1.959963984540054 * sqrt(v[VARIANCE]), 1e-13, "low", c);
        check_close(got.auroc_high, v[AUROC] + 1.959963984540054 * sqrt(v[VARIANCE]), 1e-13, "high", c);
        for (int k = 0; k < NS_N_CAPACITIES; k++) {
            const golden_capacity *cap = &want->capacity[k];
            const ns_capacity *is = &got.capacity[k];
            assert_int_equal(is->k, cap->k);
            assert_int_equal(is->n_flagged, cap->n_flagged);
            assert_int_equal(is->n_true, cap->n_true);
            check_close(is->threshold, cap->threshold, 0.0, "threshold", c);
            double others = (double)(got.n - got.n_events),
                   false_alarms = (double)(is->n_flagged - is->n_true);
            check_close(is->sensitivity, (double)is->n_true / (double)got.n_events, 0.0, "sensitivity", c);
            check_close(is->specificity, (others - false_alarms) / others, 0.0, "specificity", c);
            check_close(is->ppv, (double)is->n_true / (double)is->n_flagged, 0.0, "ppv", c);
            check_close(is->npv, (others - false_alarms) / (double)(got.n - is->n_flagged), 0.0, "npv", c);
            check_close(is->nne, 1.0 / is->ppv, 1e-14, "nne", c);
        }
    }
}

/* DeLong by its definition: psi over all pairs, structural components, their sample variances. */
static double slow_variance(const rows *r, double auroc)
{
    double spread[2] = {0, 0};
    int64_t count[2] = {0, 0};
    for (int64_t i = 0; i < r->n; i++) count[r->label[i]]++;
    for (int64_t i = 0; i < r->n; i++) {
        double sum = 0.0;
        for (int64_t j = 0; j < r->n; j++) {
            if (r->label[j] == r->label[i]) continue;
            double gap = r->label[i] ? (double)r->risk[i] - (double)r->risk[j]
                                     : (double)r->risk[j] - (double)r->risk[i];
            sum += gap > 0.0 ? 1.0 : gap == 0.0 ? 0.5 : 0.0;
        }
        double component = sum / (double)count[!r->label[i]];
        spread[r->label[i]] += (component - auroc) * (component - auroc);
    }
    return spread[1] / (double)(count[1] - 1) / (double)count[1] +
           spread[0] / (double)(count[0] - 1) / (double)count[0];
}

static void delong_equals_its_definition(void **state)
{
    (void)state;
    static rows r;
    for (uint64_t seed = 10; seed < 40; seed++) {
        golden_case c = {.seed = seed,
                         .n_rows = 20 + (int64_t)seed * 7,
                         .n_levels = 3 + (int64_t)seed,
                         .power = 1 + (int)(seed % 3)};
        make_rows(&r, &c);
        ns_metrics got = metrics_of(r.risk, r.label, NULL, r.n);
        if (got.interval_reason != NULL) continue;
        check_close(got.auroc_variance, slow_variance(&r, got.auroc), 1e-14, "variance", (int)seed);
    }
}

static void order_and_left_out_rows_do_not_matter(void **state)
{
    (void)state;
    static rows r, mixed;
    static uint8_t use[MOST_ROWS];
    make_rows(&r, &golden_cases[0]);
    mixed.n = 3 * r.n;
    for (int64_t i = 0; i < mixed.n; i++) {
        int64_t from = i % r.n;
        use[i] = i >= r.n && i < 2 * r.n;
        mixed.risk[i] = use[i]  ? r.risk[r.n - 1 - from]
                        : i % 2 ? NAN
                                : 7.0f; /* unused risks are not looked at */
        mixed.label[i] = use[i] ? r.label[r.n - 1 - from] : 1;
    }
    ns_metrics a = metrics_of(r.risk, r.label, NULL, r.n),
               b = metrics_of(mixed.risk, mixed.label, use, mixed.n);
    json_t *x = ns_metrics_json(&a), *y = ns_metrics_json(&b);
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);
}

static void bad_risks_are_refused(void **state)
{
    (void)state;
    const float bad[] = {NAN, 0.0f, -0.0f, 1.0f, -0.5f, INFINITY, -INFINITY, 1.5f};
    const uint8_t label[2] = {0, 1};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const float risk[2] = {0.5f, bad[i]};
        ns_risk_table table;
        CHECK_FAILS(ns_risk_table_build(&table, risk, label, NULL, 2), NS_ENUMERIC, "row 1 of");
        assert_null(table.risk);
    }
}

static void one_class_or_none(void **state)
{
    (void)state;
    const float risk[3] = {0.25f, 0.5f, 0.5f};
    const uint8_t none[3] = {0, 0, 0}, all[3] = {1, 1, 1}, one[3] = {0, 1, 0};
    ns_metrics m = metrics_of(risk, none, NULL, 3);
    assert_true(isnan(m.auroc) && isnan(m.auprc) && isnan(m.auroc_low) && isnan(m.calibration.slope));
    assert_string_equal(m.auroc_reason, "no events");
    assert_string_equal(m.auprc_reason, "no events");
    assert_string_equal(m.calibration.citl_reason, "no events");
    assert_true(m.calibration.observed_expected == 0.0);
    assert_true(isnan(m.capacity[0].sensitivity) && isnan(m.capacity[0].nne));
    assert_int_equal(m.capacity[0].n_flagged, 2);

    m = metrics_of(risk, all, NULL, 3);
    assert_string_equal(m.auroc_reason, "nothing but events");
    assert_true(m.auprc == 1.0 && m.auprc_reason == NULL);
    assert_true(isnan(m.capacity[0].specificity) && m.capacity[0].ppv == 1.0);

    m = metrics_of(risk, one, NULL, 3);
    assert_true(m.auroc == 0.75 && m.auroc_reason == NULL);
    assert_true(isnan(m.auroc_variance) && isnan(m.auroc_high));
    assert_string_equal(m.interval_reason, "a single event");

    m = metrics_of(NULL, NULL, NULL, 0);
    assert_int_equal(m.n, 0);
    assert_string_equal(m.no_rows_reason, "no rows");
    assert_int_equal(m.capacity[2].k, 0);
    json_t *json = ns_metrics_json(&m);
    assert_true(json_is_null(json_object_get(json, "log_loss")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "undefined"), "ece")),
                        "no rows");
    json_decref(json);
}

static void no_slope_where_classes_do_not_overlap(void **state)
{
    (void)state;
    const float risk[6] = {0.1f, 0.2f, 0.3f, 0.3f, 0.6f, 0.7f}, equal[4] = {0.25f, 0.25f, 0.25f, 0.25f};
    const uint8_t apart[6] = {0, 0, 0, 1, 1, 1}, reversed[6] = {1, 1, 1, 0, 0, 0},
                  mixed[6] = {0, 1, 0, 0, 1, 1};
    const uint8_t half[4] = {0, 1, 0, 1};
    assert_non_null(strstr(metrics_of(risk, apart, NULL, 6).calibration.slope_reason, "separate"));
    assert_non_null(strstr(metrics_of(risk, reversed, NULL, 6).calibration.slope_reason, "separate"));
    assert_non_null(strstr(metrics_of(equal, half, NULL, 4).calibration.slope_reason, "equal"));
    assert_null(metrics_of(risk, mixed, NULL, 6).calibration.slope_reason);
    ns_metrics m = metrics_of(equal, half, NULL, 4);
    /* half of them are events, at risks of a quarter: log-odds rise from -log 3 to 0 */
    check_close(m.calibration.citl, log(3.0), 1e-10, "citl", 0);
    assert_true(m.calibration.observed_expected == 2.0 && m.calibration.ece == 0.25);
    assert_true(m.auroc == 0.5);
}

/* Starts far from the answer: risks of 2^-24 for things that happen every second time, and risks the wrong
 * way round. */
static void calibration_reaches_far_answers(void **state)
{
    (void)state;
    static rows r;
    const golden_case c = {.seed = 77, .n_rows = 3000, .n_levels = 40, .power = 1};
    make_rows(&r, &c);
    for (int64_t i = 0; i < r.n; i++) r.risk[i] = 1.0f - r.risk[i];
    ns_metrics m = metrics_of(r.risk, r.label, NULL, r.n);
    assert_null(m.calibration.slope_reason);
    check_close(m.calibration.slope, -1.0, 0.2, "slope", 0);
    for (int64_t i = 0; i < r.n; i++) r.risk[i] = i % 2 ? 0x1p-24f : 0x1p-23f;
    for (int64_t i = 0; i < r.n; i++) r.label[i] = i / 2 % 2 == 0;
    m = metrics_of(r.risk, r.label, NULL, r.n);
    assert_null(m.calibration.citl_reason);
    check_close(m.calibration.citl, 16.29, 0.1, "citl", 1);
    assert_null(m.calibration.slope_reason);
    check_close(m.calibration.slope, 0.0, 1e-9, "slope", 1);
}

static void equal_risks_share_a_bin(void **state)
{
    (void)state;
    /* 20 rows: 19 of one risk and one above, so bins 0 and 9: |19 * 0.25 - 4| + |0.5 - 1| = 0.75 + 0.5, over
     * 20 */
    float risk[20];
    uint8_t label[20];
    for (int i = 0; i < 20; i++) {
        risk[i] = i == 7 ? 0.5f : 0.25f;
        label[i] = i >= 4 && i <= 8;
    }
    ns_metrics m = metrics_of(risk, label, NULL, 20);
    assert_true(m.calibration.ece == 1.25 / 20.0);
    assert_int_equal(m.capacity[1].k, 1); /* 5 % of 20 */
    assert_int_equal(m.capacity[1].n_flagged, 1);
    assert_int_equal(m.capacity[2].k, 2);
    assert_int_equal(m.capacity[2].n_flagged, 20); /* the second highest risk is that of all others */
    assert_true(isnan(m.capacity[2].npv));
}

static void tables_add_up(void **state)
{
    (void)state;
    static rows r;
    make_rows(&r, &golden_cases[2]);
    ns_risk_table whole, sum = {0}, part;
    CHECK_OK(ns_risk_table_build(&whole, r.risk, r.label, NULL, r.n));
    for (int64_t first = 0; first < r.n; first += 700) {
        int64_t n = r.n - first < 700 ? r.n - first : 700;
        CHECK_OK(ns_risk_table_build(&part, r.risk + first, r.label + first, NULL, n));
        CHECK_OK(ns_risk_table_add(&sum, &part));
        ns_risk_table_destroy(&part);
    }
    assert_int_equal(sum.n, whole.n);
    assert_memory_equal(sum.risk, whole.risk, (size_t)whole.n * sizeof *whole.risk);
    assert_memory_equal(sum.positive, whole.positive, (size_t)whole.n * sizeof *whole.positive);
    assert_memory_equal(sum.negative, whole.negative, (size_t)whole.n * sizeof *whole.negative);
    ns_risk_table_destroy(&sum);
    ns_risk_table_destroy(&whole);
}

/* All digits of all cases, for every compiler: moves only together with NS_NUMERICS_VERSION. */
static void bytes_are_golden(void **state)
{
    (void)state;
    static rows r;
    json_t *all = json_array();
    for (int c = 0; c < (int)N_CASES; c++) {
        make_rows(&r, &golden_cases[c]);
        ns_metrics m = metrics_of(r.risk, r.label, NULL, r.n);
        assert_int_equal(json_array_append_new(all, ns_metrics_json(&m)), 0);
    }
    char *text = NULL, hex[65];
    CHECK_OK(ns_json_dump(all, &text));
    ns_sha256_hex(hex, text, strlen(text));
    recorded_check("metrics", hex);
    free(text);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_scikit_learn),
        cmocka_unit_test(delong_equals_its_definition),
        cmocka_unit_test(order_and_left_out_rows_do_not_matter),
        cmocka_unit_test(bad_risks_are_refused),
        cmocka_unit_test(one_class_or_none),
        cmocka_unit_test(no_slope_where_classes_do_not_overlap),
        cmocka_unit_test(calibration_reaches_far_answers),
        cmocka_unit_test(equal_risks_share_a_bin),
        cmocka_unit_test(tables_add_up),
        cmocka_unit_test(bytes_are_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
