#include "runner/metrics/number_metrics.h"

#include <stdbool.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "kernels/numerics.h"
#include "runner/metrics/exact.h"
#include "runner/json.h"

static const double NORMAL_975 = 1.959963984540054;

/* Sums over all ranks' rows, in units of 2^-e and 2^-2e. */
enum { Y, P, YY, PP, YP, OVER, UNDER, N_SUMS };

typedef struct sums {
    int64_t n, n_covered; /* covered: y <= p */
    int e;
    ns_i128 of[N_SUMS];   /* OVER: y - p where y > p; UNDER: p - y where y < p */
} sums;

static double undefined(void)
{
    return ns_from_bits(UINT64_C(0x7ff8000000000000));
}

static bool is_used(const ns_outcomes *rows, int64_t i)
{
    return rows->use == NULL || rows->use[i] != 0;
}

/* The largest value as the bits of a float or double >= 0, whose order is that of the numbers. */
static double max_over_ranks(double mine, MPI_Comm comm)
{
    int64_t bits = (int64_t)ns_bits(mine);
    ns_max_i64(&bits, 1, comm);
    return ns_from_bits((uint64_t)bits);
}

/* The power of two that brings size to n_bits bits. */
static int exponent_for(double size, int n_bits)
{
    return size > 0 ? n_bits - ns_ceil_log2(size) : 0;
}

/* Rows used and the scale. Collective. */
static ns_status find_scale(sums *out, const ns_outcomes *rows, MPI_Comm comm)
{
    double most = 0;
    ns_status status = NS_OK;
    for (int64_t i = 0; i < rows->n && status == NS_OK; i++) {
        if (!is_used(rows, i)) continue;
        double y = ns_abs((double)rows->label[i]), p = ns_abs((double)rows->value[i]);
        if (!(p < 0x1p128)) status = ns_fail(NS_ENUMERIC, "row %lld of the rows evaluated has no finite prediction", (long long)i);
        most = y > most ? y : most;
        most = p > most ? p : most;
        out->n++;
    }
    NS_TRY(ns_agree(status, comm));
    ns_sum_i64(&out->n, 1, comm);
    int spare = 62 - ns_ceil_log2_i64(out->n > 0 ? out->n : 1);
    out->e = exponent_for(max_over_ranks(most, comm), spare < 40 ? spare : 40);
    return NS_OK;
}

static ns_status sum_rows(sums *out, const ns_outcomes *rows, MPI_Comm comm)
{
    memset(out, 0, sizeof *out);
    NS_TRY(find_scale(out, rows, comm));
    double unit = ns_power_of_two(out->e);
    for (int64_t i = 0; i < rows->n; i++) {
        if (!is_used(rows, i)) continue;
        ns_i128 y = ns_rne_i64((double)rows->label[i] * unit), p = ns_rne_i64((double)rows->value[i] * unit);
        out->n_covered += rows->label[i] <= rows->value[i];
        out->of[Y] += y;
        out->of[P] += p;
        out->of[YY] += y * y;
        out->of[PP] += p * p;
        out->of[YP] += y * p;
        out->of[OVER] += y > p ? y - p : 0;
        out->of[UNDER] += y < p ? p - y : 0;
    }
    ns_sum_i64(&out->n_covered, 1, comm);
    ns_sum_i128(out->of, N_SUMS, comm);
    return NS_OK;
}

/* A sum of units as a mean over rows. */
static double mean_of(const sums *s, ns_i128 sum)
{
    return s->n == 0 ? undefined() : ns_i128_to_double(sum) / (double)s->n * ns_power_of_two(-s->e);
}

/* value, or null with the reason noted. */
static void add(ns_status *status, json_t *object, json_t *reasons, const char *key, double value, const char *reason)
{
    ns_json_add(status, object, key, ns_json_real(value));
    if (value != value) ns_json_add(status, reasons, key, json_string(reason));
}

static const char *why(const sums *s, const char *otherwise)
{
    return s->n == 0 ? "no rows" : otherwise;
}

static void add_means(ns_status *status, json_t *object, json_t *reasons, const sums *s)
{
    ns_json_add(status, object, "n", json_integer(s->n));
    add(status, object, reasons, "mean_observed", mean_of(s, s->of[Y]), "no rows");
    add(status, object, reasons, "mean_predicted", mean_of(s, s->of[P]), "no rows");
}

/* --- regression --- */

static void add_regression(ns_status *status, json_t *object, json_t *reasons, const sums *s)
{
    const char *same_y = why(s, "all outcomes are equal"), *same_p = why(s, "all predictions are equal");
    ns_i128 squares = s->of[YY] - 2 * s->of[YP] + s->of[PP];
    /* n^2 times the variances and the covariance, exactly */
    ns_i128 vy = (ns_i128)s->n * s->of[YY] - s->of[Y] * s->of[Y], vp = (ns_i128)s->n * s->of[PP] - s->of[P] * s->of[P];
    double cov = ns_i128_to_double((ns_i128)s->n * s->of[YP] - s->of[Y] * s->of[P]);
    double spread_y = ns_i128_to_double(vy), spread_p = ns_i128_to_double(vp), unit = ns_power_of_two(-s->e);
    double rmse = s->n == 0 ? undefined() : ns_square_root(ns_i128_to_double(squares) / (double)s->n) * unit;
    double slope = vp > 0 ? cov / spread_p : undefined();
    double r = vp > 0 && vy > 0 ? cov / (ns_square_root(spread_y) * ns_square_root(spread_p)) : undefined();
    double intercept = vp > 0 ? (ns_i128_to_double(s->of[Y]) - slope * ns_i128_to_double(s->of[P])) / (double)s->n * unit : undefined();
    json_t *calibration = json_object();
    add_means(status, object, reasons, s);
    add(status, object, reasons, "bias", mean_of(s, s->of[P] - s->of[Y]), "no rows");
    add(status, object, reasons, "mae", mean_of(s, s->of[OVER] + s->of[UNDER]), "no rows");
    add(status, object, reasons, "rmse", rmse, "no rows");
    add(status, object, reasons, "r2", vy > 0 ? 1.0 - ns_i128_to_double((ns_i128)s->n * squares) / spread_y : undefined(), same_y);
    add(status, object, reasons, "correlation", r, vy > 0 ? same_p : same_y);
    add(status, calibration, reasons, "intercept", intercept, same_p);
    add(status, calibration, reasons, "slope", slope, same_p);
    ns_json_add(status, object, "calibration", calibration);
}

/* --- quantile --- */

/* (n q + z^2 / 2 +- z sqrt(n q (1 - q) + z^2 / 4)) / (n + z^2), q the share seen */
static double wilson(const sums *s, double sign)
{
    if (s->n == 0) return undefined();
    double n = (double)s->n, seen = (double)s->n_covered, z2 = NORMAL_975 * NORMAL_975;
    double half = NORMAL_975 * ns_square_root(seen * (n - seen) / n + z2 / 4.0);
    double bound = (seen + z2 / 2.0 + sign * half) / (n + z2);
    return bound < 0.0 ? 0.0 : bound > 1.0 ? 1.0 : bound;
}

static void add_quantile(ns_status *status, json_t *object, json_t *reasons, const sums *s, double quantile)
{
    double pinball = quantile * mean_of(s, s->of[OVER]) + (1.0 - quantile) * mean_of(s, s->of[UNDER]);
    add_means(status, object, reasons, s);
    ns_json_add(status, object, "quantile", ns_json_real(quantile));
    add(status, object, reasons, "pinball_loss", pinball, "no rows");
    add(status, object, reasons, "coverage", s->n == 0 ? undefined() : (double)s->n_covered / (double)s->n, "no rows");
    add(status, object, reasons, "coverage_low", wilson(s, -1.0), "no rows");
    add(status, object, reasons, "coverage_high", wilson(s, 1.0), "no rows");
    add(status, object, reasons, "mae", mean_of(s, s->of[OVER] + s->of[UNDER]), "no rows");
}

/* --- poisson --- */

static double deviance_of(double y, double p)
{
    return 2.0 * (y > 0.0 ? y * ns_log(y / p) - (y - p) : p);
}

/* The mean deviance over all ranks' rows, of the predictions, or of one prediction for all where constant > 0. Collective. */
static double mean_deviance(const ns_outcomes *rows, int64_t n, double constant, MPI_Comm comm)
{
    double most = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        if (!is_used(rows, i)) continue;
        double d = ns_abs(deviance_of((double)rows->label[i], constant > 0 ? constant : (double)rows->value[i]));
        most = d > most ? d : most;
    }
    int e = exponent_for(max_over_ranks(most, comm), 52);
    ns_i128 sum = 0;
    double unit = ns_power_of_two(e);
    for (int64_t i = 0; i < rows->n; i++)
        if (is_used(rows, i)) sum += ns_rne_i64(deviance_of((double)rows->label[i], constant > 0 ? constant : (double)rows->value[i]) * unit);
    ns_sum_i128(&sum, 1, comm);
    return n == 0 ? undefined() : ns_i128_to_double(sum) / (double)n * ns_power_of_two(-e);
}

static ns_status check_counts(const ns_outcomes *rows)
{
    for (int64_t i = 0; i < rows->n; i++)
        if (is_used(rows, i) && !(rows->value[i] > 0.0f))
            return ns_fail(NS_ENUMERIC, "row %lld of the rows evaluated has no prediction above 0", (long long)i);
    return NS_OK;
}

typedef struct deviances {
    double model, mean; /* of the predictions; of the mean of the outcomes for all */
} deviances;

static void add_poisson(ns_status *status, json_t *object, json_t *reasons, const sums *s, deviances d)
{
    add_means(status, object, reasons, s);
    double ratio = s->of[P] > 0 ? ns_i128_to_double(s->of[Y]) / ns_i128_to_double(s->of[P]) : undefined();
    add(status, object, reasons, "observed_expected", ratio, why(s, "the predictions sum to 0"));
    add(status, object, reasons, "deviance", d.model, "no rows");
    add(status, object, reasons, "deviance_explained", d.mean > 0 ? 1.0 - d.model / d.mean : undefined(), why(s, "all outcomes are equal"));
    add(status, object, reasons, "mae", mean_of(s, s->of[OVER] + s->of[UNDER]), "no rows");
}

ns_status ns_number_metrics(json_t **out, const ns_outcomes *rows, MPI_Comm comm)
{
    sums s;
    deviances d = {0, 0};
    int rank;
    *out = NULL;
    MPI_Comm_rank(comm, &rank);
    NS_TRY(sum_rows(&s, rows, comm));
    if (rows->objective == NS_POISSON) {
        NS_TRY(ns_agree(check_counts(rows), comm));
        double mean = mean_of(&s, s.of[Y]);
        d.model = mean_deviance(rows, s.n, 0, comm);
        d.mean = mean > 0 ? mean_deviance(rows, s.n, mean, comm) : 0; /* of the same sums on all ranks */
    }
    ns_status status = NS_OK;
    if (rank == 0) {
        json_t *reasons = json_object();
        *out = json_object();
        if (rows->objective == NS_REGRESSION) add_regression(&status, *out, reasons, &s);
        else if (rows->objective == NS_QUANTILE) add_quantile(&status, *out, reasons, &s, rows->quantile);
        else add_poisson(&status, *out, reasons, &s, d);
        ns_json_add(&status, *out, "undefined", reasons);
    }
    return ns_agree(status, comm);
}
