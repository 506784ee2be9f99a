#include "runner/calibration.h"

#include <stdbool.h>
#include <stdlib.h>

#include "kernels/numerics.h"
#include "runner/exact.h"

enum { MOST_STEPS = 50 };
static const double SMALL_STEP = 1e-10;

typedef enum parameters { INTERCEPT_ALONE, INTERCEPT_AND_SLOPE } parameters;

typedef struct line {
    double intercept, slope;
} line;

/* Gradient and negated second derivatives of the log likelihood, in units of 2^-36. */
typedef struct slopes {
    ns_i128 g0, g1, h00, h01, h11;
} slopes;

/* Terms stay below 2^7, so 2^36 times one fits with 20 bits to spare. */
static int64_t fixed(double term)
{
    return ns_rne_i64(0x1p36 * term);
}

static slopes sum_slopes(const ns_risk_table *table, const double *logit, line at)
{
    slopes sum = {0, 0, 0, 0, 0};
    for (int64_t i = 0; i < table->n; i++) {
        double x = logit[i], eta = at.intercept + at.slope * x;
        double p = ns_sigmoid(eta), q = ns_sigmoid(-eta), w = p * q; /* q, since 1 - p cancels */
        ns_i128 events = table->positive[i], others = table->negative[i];
        sum.g0 += events * fixed(q) - others * fixed(p);
        sum.g1 += events * fixed(q * x) - others * fixed(p * x);
        sum.h00 += (events + others) * fixed(w);
        sum.h01 += (events + others) * fixed(w * x);
        sum.h11 += (events + others) * fixed(w * x * x);
    }
    return sum;
}

/* Newton's step; false where the sums are too flat for one. */
static bool newton_step(line *step, const slopes *sum, parameters which)
{
    double g0 = ns_i128_to_double(sum->g0), g1 = ns_i128_to_double(sum->g1);
    double h00 = ns_i128_to_double(sum->h00), h01 = ns_i128_to_double(sum->h01), h11 = ns_i128_to_double(sum->h11);
    if (which == INTERCEPT_ALONE) {
        *step = (line){g0 / h00, 0.0};
        return h00 > 0.0;
    }
    double determinant = h00 * h11 - h01 * h01;
    *step = (line){(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant};
    return determinant > 0.0;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Moves *at to the maximum. False where it was not reached. */
static bool maximise(line *at, const ns_risk_table *table, const double *logit, parameters which)
{
    for (int i = 0; i < MOST_STEPS; i++) {
        slopes sum = sum_slopes(table, logit, *at);
        line step;
        if (!newton_step(&step, &sum, which)) return false;
        /* log-odds are linear in logit, so the ends move most */
        double reach = larger(ns_abs(step.intercept + step.slope * logit[0]),
                              ns_abs(step.intercept + step.slope * logit[table->n - 1]));
        double part = reach > 1.0 ? 1.0 / reach : 1.0;
        at->intercept += part * step.intercept;
        at->slope += part * step.slope;
        if (larger(ns_abs(step.intercept), ns_abs(step.slope)) < SMALL_STEP) return true;
    }
    return false;
}

/* Whether both classes reach beyond the other's end on one side each; without that no finite slope is the best. */
static bool overlap(const ns_risk_table *table)
{
    int64_t first_event = -1, last_event = -1, first_other = -1, last_other = -1;
    for (int64_t i = 0; i < table->n; i++) {
        if (table->positive[i] > 0) {
            if (first_event < 0) first_event = i;
            last_event = i;
        }
        if (table->negative[i] > 0) {
            if (first_other < 0) first_other = i;
            last_other = i;
        }
    }
    return first_event < last_other && first_other < last_event;
}

static void fit(ns_calibration *out, const ns_risk_table *table, const double *logit, int64_t n_events, int64_t n_others)
{
    static const char *const NOT_REACHED = "not reached in 50 steps";
    line at = {0.0, 1.0};
    if (maximise(&at, table, logit, INTERCEPT_ALONE)) out->citl = at.intercept;
    else out->citl_reason = NOT_REACHED;

    if (!overlap(table)) {
        out->slope_reason = "the risks separate events from others, or are all equal: no finite slope is best";
        return;
    }
    at = (line){ns_log((double)n_events / (double)n_others), 0.0};
    if (maximise(&at, table, logit, INTERCEPT_AND_SLOPE)) {
        out->intercept = at.intercept;
        out->slope = at.slope;
    } else {
        out->slope_reason = NOT_REACHED;
    }
}

/* A risk is float32 between 2^-24 and 1 (or, from elsewhere, smaller): 2^47 times it is whole from 2^-24 on. */
static int64_t in_units(float risk)
{
    return ns_rne_i64(0x1p47 * (double)risk);
}

static void sum_risks(ns_calibration *out, const ns_risk_table *table, int64_t n, int64_t n_events)
{
    ns_i128 gap[NS_N_ECE_BINS] = {0}, expected = 0, total_gap = 0;
    int64_t below = 0;
    for (int64_t i = 0; i < table->n; i++) {
        int64_t rows = table->negative[i] + table->positive[i];
        ns_i128 risks = (ns_i128)rows * in_units(table->risk[i]);
        expected += risks;
        gap[(ns_i128)below * NS_N_ECE_BINS / n] += risks - (ns_i128)table->positive[i] * (INT64_C(1) << 47);
        below += rows;
    }
    for (int b = 0; b < NS_N_ECE_BINS; b++) total_gap += gap[b] < 0 ? -gap[b] : gap[b];
    out->ece = ns_i128_to_double(total_gap) / ((double)n * 0x1p47);
    if (expected > 0) out->observed_expected = (double)n_events * 0x1p47 / ns_i128_to_double(expected);
    else out->observed_expected_reason = "the risks sum to 0";
}

ns_status ns_calibration_compute(ns_calibration *out, const ns_risk_table *table)
{
    const double nan = ns_from_bits(UINT64_C(0x7ff8000000000000));
    *out = (ns_calibration){.intercept = nan, .slope = nan, .citl = nan, .observed_expected = nan, .ece = nan};
    int64_t n_events = 0, n_others = 0;
    for (int64_t i = 0; i < table->n; i++) {
        n_events += table->positive[i];
        n_others += table->negative[i];
    }
    if (n_events + n_others == 0) {
        out->slope_reason = out->citl_reason = out->observed_expected_reason = out->ece_reason = "no rows";
        return NS_OK;
    }
    sum_risks(out, table, n_events + n_others, n_events);
    if (n_events == 0 || n_others == 0) {
        out->slope_reason = out->citl_reason = n_events == 0 ? "no events" : "nothing but events";
        return NS_OK;
    }
    double *logit = malloc((size_t)table->n * sizeof *logit);
    if (logit == NULL) return ns_fail(NS_ENOMEM, "no memory for the calibration of %lld risks", (long long)table->n);
    for (int64_t i = 0; i < table->n; i++) {
        double p = (double)table->risk[i];
        logit[i] = ns_log(p) - ns_log(1.0 - p);
    }
    fit(out, table, logit, n_events, n_others);
    free(logit);
    return NS_OK;
}
