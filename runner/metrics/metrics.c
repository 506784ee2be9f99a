/*
 * One pass over the distinct risks for each metric. With m events, n others and, for a row, the placement
 * a = 2 * (rows of the other class on the losing side) + (ties with it):
 * AUROC = sum of a over events / (2 m n), and S10 / m = (m * sum a^2 - (sum a)^2) / (4 n^2 m^2 (m - 1)),
 * all of it exact up to that division.
 */
#include "runner/metrics/metrics.h"

#include "kernels/numerics.h"
#include "runner/metrics/exact.h"

const int32_t ns_capacity_percent[NS_N_CAPACITIES] = {1, 5, 10};

/* m n <= 2^62 then, and no product below exceeds 2^126. */
static const int64_t MOST_ROWS = INT64_C(1) << 32;
static const double NORMAL_975 = 1.959963984540054;

static double undefined(void)
{
    return ns_from_bits(UINT64_C(0x7ff8000000000000));
}

/* Placements of one class. */
typedef struct placements {
    ns_u128 sum, sum_squares;
} placements;

static void place(placements *all, int64_t rows, uint64_t placement)
{
    all->sum += (ns_u128)(uint64_t)rows * placement;
    all->sum_squares += (ns_u128)(uint64_t)rows * ((ns_u128)placement * placement);
}

static ns_u128 spread(const placements *all, int64_t rows)
{
    return (ns_u128)(uint64_t)rows * all->sum_squares - all->sum * all->sum;
}

static void compute_auroc(ns_metrics *out, const ns_risk_table *table)
{
    int64_t m = out->n_events, n = out->n - out->n_events;
    if (m == 0 || n == 0) {
        out->auroc_reason = m == 0 ? "no events" : "nothing but events";
        out->interval_reason = out->auroc_reason;
        return;
    }
    placements events = {0, 0}, others = {0, 0};
    uint64_t events_below = 0, others_below = 0;
    for (int64_t i = 0; i < table->n; i++) {
        uint64_t u = (uint64_t)table->positive[i], d = (uint64_t)table->negative[i];
        place(&events, table->positive[i], 2 * others_below + d);
        place(&others, table->negative[i], 2 * ((uint64_t)m - events_below - u) + u);
        events_below += u;
        others_below += d;
    }
    ns_u128 pairs = (ns_u128)(uint64_t)m * (uint64_t)n;
    out->auroc = ns_u128_to_double(events.sum) / ns_u128_to_double(2 * pairs);
    if (m < 2 || n < 2 || out->n > MOST_ROWS) {
        out->interval_reason = out->n > MOST_ROWS ? "more than 2^32 rows"
                               : m < 2            ? "a single event"
                                                  : "a single row without event";
        return;
    }
    double unit = ns_u128_to_double(4 * pairs * pairs);
    out->auroc_variance = ns_u128_to_double(spread(&events, m)) / (unit * (double)(m - 1)) +
                          ns_u128_to_double(spread(&others, n)) / (unit * (double)(n - 1));
    double half = NORMAL_975 * ns_square_root(out->auroc_variance);
    out->auroc_low = out->auroc - half < 0.0 ? 0.0 : out->auroc - half;
    out->auroc_high = out->auroc + half > 1.0 ? 1.0 : out->auroc + half;
}

static void compute_auprc(ns_metrics *out, const ns_risk_table *table)
{
    if (out->n_events == 0) {
        out->auprc_reason = "no events";
        return;
    }
    ns_u128 sum = 0;
    int64_t flagged = 0, found = 0;
    for (int64_t i = table->n - 1; i >= 0; i--) {
        flagged += table->negative[i] + table->positive[i];
        found += table->positive[i];
        uint64_t precision = (uint64_t)ns_rne_i64(0x1p52 * ((double)found / (double)flagged));
        sum += (ns_u128)(uint64_t)table->positive[i] * precision;
    }
    out->auprc = ns_u128_to_double(sum) / ((double)out->n_events * 0x1p52);
}

static void compute_losses(ns_metrics *out, const ns_risk_table *table)
{
    ns_i128 loss = 0, square = 0;
    for (int64_t i = 0; i < table->n; i++) {
        double p = (double)table->risk[i], q = 1.0 - p; /* q is exact: p is a float32 of at least 2^-24 */
        ns_i128 events = table->positive[i], others = table->negative[i];
        loss += events * ns_rne_i64(-ns_log(p) * 0x1p40) + others * ns_rne_i64(-ns_log(q) * 0x1p40);
        square += events * ns_rne_i64(q * q * 0x1p40) + others * ns_rne_i64(p * p * 0x1p40);
    }
    out->log_loss = ns_i128_to_double(loss) / ((double)out->n * 0x1p40);
    out->brier = ns_i128_to_double(square) / ((double)out->n * 0x1p40);
}

static double ratio(int64_t part, int64_t whole)
{
    return whole == 0 ? undefined() : (double)part / (double)whole;
}

static void compute_capacity(ns_capacity *out, const ns_risk_table *table, const ns_metrics *all,
                             int32_t percent)
{
    *out = (ns_capacity){.threshold = undefined(),
                         .sensitivity = undefined(),
                         .specificity = undefined(),
                         .ppv = undefined(),
                         .npv = undefined(),
                         .nne = undefined()};
    if (all->n == 0) return;
    int64_t k = (int64_t)((ns_i128)all->n * percent / 100);
    out->k = k < 1 ? 1 : k;
    for (int64_t i = table->n - 1; i >= 0 && out->n_flagged < out->k; i--) {
        out->threshold = (double)table->risk[i];
        out->n_flagged += table->negative[i] + table->positive[i];
        out->n_true += table->positive[i];
    }
    int64_t others = all->n - all->n_events, false_alarms = out->n_flagged - out->n_true;
    out->sensitivity = ratio(out->n_true, all->n_events);
    out->specificity = ratio(others - false_alarms, others);
    out->ppv = ratio(out->n_true, out->n_flagged);
    out->npv = ratio(others - false_alarms, all->n - out->n_flagged);
    out->nne = ratio(out->n_flagged, out->n_true);
}

ns_status ns_metrics_compute(ns_metrics *out, const ns_risk_table *table)
{
    const double none = undefined();
    *out = (ns_metrics){.prevalence = none,
                        .auroc = none,
                        .auroc_variance = none,
                        .auroc_low = none,
                        .auroc_high = none,
                        .auprc = none,
                        .log_loss = none,
                        .brier = none};
    for (int64_t i = 0; i < table->n; i++) {
        out->n += table->negative[i] + table->positive[i];
        out->n_events += table->positive[i];
    }
    out->prevalence = ratio(out->n_events, out->n);
    if (out->n == 0) {
        out->no_rows_reason = out->auroc_reason = out->interval_reason = out->auprc_reason = "no rows";
    } else {
        compute_auroc(out, table);
        compute_auprc(out, table);
        compute_losses(out, table);
    }
    for (int c = 0; c < NS_N_CAPACITIES; c++)
        compute_capacity(&out->capacity[c], table, out, ns_capacity_percent[c]);
    return ns_calibration_compute(&out->calibration, table);
}
