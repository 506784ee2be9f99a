#include "runner/metrics/calibration.h"

#include <stdbool.h>
#include <stdlib.h>

#include "kernels/numerics.h"
#include "runner/metrics/exact.h"

enum { MOST_STEPS = 50 };
static const double SMALL_STEP = 1e-10;

typedef enum parameters { INTERCEPT_ALONE, INTERCEPT_AND_SLOPE } parameters;

typedef struct line {
    double intercept, slope;
} line;

/* Gradient and negated second derivatives of the log likelihood, in units of 2^-36. */
enum { G0, G1, H00, H01, H11, N_SUMS };
typedef struct slopes {
    ns_i128 sum[N_SUMS];
} slopes;

/* Rows are taken in blocks, so that the doubles are computed in plain loops that compilers vectorise. */
enum { BLOCK = 512 };
typedef struct block {
    int64_t event[2][BLOCK]; /* what an event adds to G0 and G1 */
    int64_t other[2][BLOCK]; /* what another row takes from them */
    int64_t any[3][BLOCK];   /* what either adds to H00, H01 and H11 */
} block;

/* Terms stay below 2^7, so 2^36 times one is far below the 2^51 up to which adding 1.5 * 2^52 rounds to even.
 */
static int64_t fixed(double term)
{
    return (int64_t)(ns_bits(0x1p36 * term + NS_SHIFTER) - NS_SHIFTER_BITS);
}

static void fill(block *out, const double *logit, int64_t n, line at)
{
    for (int64_t i = 0; i < n; i++) {
        double x = logit[i], eta = at.intercept + at.slope * x;
        double a = ns_exp(-ns_abs(eta)), large = 1.0 / (1.0 + a), small = a / (1.0 + a);
        double p = eta >= 0.0 ? large : small, q = eta >= 0.0 ? small : large,
               w = p * q; /* 1 - p would cancel */
        out->event[0][i] = fixed(q);
        out->event[1][i] = fixed(q * x);
        out->other[0][i] = fixed(p);
        out->other[1][i] = fixed(p * x);
        out->any[0][i] = fixed(w);
        out->any[1][i] = fixed(w * x);
        out->any[2][i] = fixed(w * x * x);
    }
}

static slopes sum_slopes(const ns_risk_table *table, const double *logit, line at)
{
    slopes all = {{0}};
    block terms;
    for (int64_t first = 0; first < table->n; first += BLOCK) {
        int64_t n = table->n - first < BLOCK ? table->n - first : BLOCK;
        fill(&terms, logit + first, n, at);
        for (int64_t i = 0; i < n; i++) {
            ns_i128 events = table->positive[first + i], others = table->negative[first + i];
            for (int k = 0; k < 2; k++)
                all.sum[G0 + k] += events * terms.event[k][i] - others * terms.other[k][i];
            for (int k = 0; k < 3; k++) all.sum[H00 + k] += (events + others) * terms.any[k][i];
        }
    }
    return all;
}

/* Newton's step; false where the sums are too flat for one. */
static bool newton_step(line *step, const slopes *all, parameters which)
{
    double g0 = ns_i128_to_double(all->sum[G0]), g1 = ns_i128_to_double(all->sum[G1]);
    double h00 = ns_i128_to_double(all->sum[H00]), h01 = ns_i128_to_double(all->sum[H01]);
    double h11 = ns_i128_to_double(all->sum[H11]);
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
        slopes all = sum_slopes(table, logit, *at);
        line step;
        if (!newton_step(&step, &all, which)) return false;
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

/* Whether each class reaches beyond one end of the other; without that no finite slope is the best. */
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

static void fit(ns_calibration *out, const ns_risk_table *table, const double *logit)
{
    static const char *const NOT_REACHED = "not reached in 50 steps";
    line at = {0.0, 1.0};
    if (maximise(&at, table, logit, INTERCEPT_ALONE))
        out->citl = at.intercept;
    else
        out->citl_reason = NOT_REACHED;

    if (!overlap(table)) {
        out->slope_reason =
            "the risks separate events from others, or are all equal: no finite slope is best";
        return;
    }
    /* from where slope 1 ended: of models in use, most are near it */
    if (maximise(&at, table, logit, INTERCEPT_AND_SLOPE)) {
        out->intercept = at.intercept;
        out->slope = at.slope;
    } else {
        out->slope_reason = NOT_REACHED;
    }
}

/* A published risk is a float32 from 2^-24 on: 2^47 times it is whole. */
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
    if (expected > 0)
        out->observed_expected = (double)n_events * 0x1p47 / ns_i128_to_double(expected);
    else
        out->observed_expected_reason = "the risks sum to 0";
}

ns_status ns_calibration_compute(ns_calibration *out, const ns_risk_table *table)
{
    const double nan = ns_from_bits(UINT64_C(0x7ff8000000000000));
    *out =
        (ns_calibration){.intercept = nan, .slope = nan, .citl = nan, .observed_expected = nan, .ece = nan};
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
    if (logit == NULL)
        return ns_fail(NS_ENOMEM, "no memory for the calibration of %lld risks", (long long)table->n);
    for (int64_t i = 0; i < table->n; i++) {
        double p = (double)table->risk[i];
        logit[i] = ns_log(p) - ns_log(1.0 - p);
    }
    fit(out, table, logit);
    free(logit);
    return NS_OK;
}
