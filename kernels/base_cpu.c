#include <assert.h>

#include "kernels/forest_state.h"

/*
 * What labels and weights of all ranks decide before the first round. All sums are integers: weights and
 * products of weight and label are brought to fixed point by powers of two that come from exact maxima, so
 * nothing depends on how rows are spread or ordered.
 *
 * k: margins are whole numbers of 2^-k. Binary, multiclass and poisson margins are logarithms, k = 26. For
 * the others 2^(26 - k) is the power of two at or above the largest |y - base| of the training rows, but not
 * below |base| * 2^-24: so |base| stays within 2^50 units also where all labels are alike, and margins within
 * 2^51 for 2^17 trees.
 *
 * loss_unit: with rows of validation in mind as well, losses at the base stay below 2^56 of the 2^62 that one
 * row may add (kernels/loss.h).
 */

/* Bits of the largest weight of all rows and of training rows, and, negated, of the smallest positive of
   those; bits of the largest |label| of training rows and of all: a maximum over ranks finds all five. */
typedef struct bounds {
    int64_t all, train, least, label, any_label;
} bounds;

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t size_of(double x)
{
    return (int64_t)ns_bits(ns_abs(x));
}

static double weight_of(const ns_forest *f, int64_t i)
{
    return f->weight == NULL ? 1.0 : (double)f->weight[i];
}

static bounds find_bounds(const ns_forest *f)
{
    bounds b = {0, 0, -INT64_MAX, 0, 0};
    for (int64_t i = 0; i < f->n_rows; i++) {
        int64_t weight = size_of(weight_of(f, i)), label = size_of((double)f->label[i]);
        b.all = larger(b.all, weight);
        b.any_label = larger(b.any_label, label);
        if (i >= f->n_train) continue;
        b.train = larger(b.train, weight);
        b.label = larger(b.label, label);
        if (weight > 0) b.least = larger(b.least, -weight);
    }
    const ns_link *link = &f->device->link;
    link->max_i64(link->context, &b.all, sizeof b / sizeof b.all);
    return b;
}

static ns_width width_of_weights(const ns_forest_settings *settings, const bounds *b)
{
    if (settings->gradient_bits == 12) return NS_NARROW;
    if (settings->gradient_bits == 30) return NS_WIDE;
    double max = ns_from_bits((uint64_t)b->train), least = ns_from_bits((uint64_t)-b->least);
    return max > 64.0 * least ? NS_WIDE : NS_NARROW;
}

/* Sums of rne(2^40 w') over training and over validation rows; multiclass and binary: over training rows of
   each class. */
static ns_status sum_weights(ns_forest *f)
{
    const ns_link *link = &f->device->link;
    ns_i128 sums[2] = {0, 0}, ones = 0;
    bool classes = f->settings.objective == NS_MULTICLASS;
    for (int64_t i = 0; i < f->n_rows; i++) {
        int64_t q = ns_rne_i64(0x1p40 * (weight_of(f, i) * f->weight_scale));
        sums[i >= f->n_train] += q;
        if (i >= f->n_train) continue;
        if (f->label[i] == 1.0f) ones += q;
        if (!classes) continue;
        assert(f->label[i] >= 0.0f && f->label[i] < (float)f->n_outputs);
        f->class_weight[(int32_t)f->label[i]] += q;
    }
    link->sum_i128(link->context, sums, 2);
    if (classes)
        link->sum_i128(link->context, f->class_weight, f->n_outputs);
    else
        link->sum_i128(link->context, &ones, 1);
    if (!classes) f->class_weight[0] = ones;
    f->train_weight = sums[0];
    f->valid_weight = sums[1];
    if (f->train_weight > 0) return NS_OK;
    return ns_fail(NS_ENUMERIC, "the weights of the training rows sum to 0, must be more");
}

static ns_status one_class(const ns_forest *f, const char *model)
{
    return ns_fail(NS_ENUMERIC, "training rows hold only one class of the label%s; a %s model needs %s",
                   f->weight == NULL ? "" : ", or all weight is on one class", model,
                   f->settings.objective == NS_BINARY ? "both" : "more");
}

static ns_status binary_base(ns_forest *f)
{
    ns_i128 ones = f->class_weight[0], zeros = f->train_weight - ones;
    if (ones == 0 || zeros == 0) return one_class(f, "binary");
    f->base[0] = ns_rne_i64(ns_log((double)ones / (double)zeros) * ns_power_of_two(f->k));
    return NS_OK;
}

/* log of each class's share, taken to be at least 2^-24 (a class may have no training row). */
static ns_status multiclass_base(ns_forest *f)
{
    for (int32_t c = 0; c < f->n_outputs; c++) {
        if (f->class_weight[c] == f->train_weight) return one_class(f, "multiclass");
        double share = (double)f->class_weight[c] / (double)f->train_weight;
        share = share > 0x1p-24 ? share : 0x1p-24;
        f->base[c] = ns_rne_i64(ns_log(share) * ns_power_of_two(f->k));
    }
    return NS_OK;
}

/* The weighted mean of the training labels: sums of rne(2^60 w' y / 2^e) and rne(2^60 w'), |y| <= 2^e. w' y
   is exact in double (24 bits times 24 bits). Collective. */
static double mean_label(const ns_forest *f, const bounds *b)
{
    if (b->label == 0) return 0.0;
    int e = ns_ceil_log2(ns_from_bits((uint64_t)b->label));
    double scale = ns_power_of_two(60 - e);
    ns_i128 sums[2] = {0, 0};
    for (int64_t i = 0; i < f->n_train; i++) {
        double w = weight_of(f, i) * f->weight_scale;
        sums[0] += ns_rne_i64(w * (double)f->label[i] * scale);
        sums[1] += ns_rne_i64(w * 0x1p60);
    }
    f->device->link.sum_i128(f->device->link.context, sums, 2);
    return (double)sums[0] / (double)sums[1] * ns_power_of_two(e);
}

/* base as whole units, k and loss_unit from the distances of labels. Collective. */
static void place_base(ns_forest *f, double base)
{
    int64_t far[2] = {0, 0}; /* of training rows, of all */
    for (int64_t i = 0; i < f->n_rows; i++) {
        int64_t gap = size_of((double)f->label[i] - base);
        if (i < f->n_train) far[0] = larger(far[0], gap);
        far[1] = larger(far[1], gap);
    }
    f->device->link.max_i64(f->device->link.context, far, 2);
    double train = ns_from_bits((uint64_t)far[0]), all = ns_from_bits((uint64_t)far[1]);
    double least = ns_abs(base) * 0x1p-24;
    train = train > least ? train : least;
    int e = train > 0.0 ? ns_ceil_log2(train) : 0, e_all = all > train ? ns_ceil_log2(all) : e;
    f->k = NS_MARGIN_BITS - e;
    f->base[0] = ns_rne_i64(base * ns_power_of_two(f->k));
    int loss_bits = f->settings.objective == NS_REGRESSION ? 2 * e_all : e_all;
    f->loss_unit = ns_power_of_two(loss_bits - 16);
}

/* Log of the mean, within the range that margins are kept to. Half the deviance of a label y at the base is
   at most base + y * (log y - log base) <= 2^e * (1 + 2 * 89 + 30), y and base <= 2^e. */
static ns_status poisson_base(ns_forest *f, const bounds *b)
{
    double mean = mean_label(f, b);
    if (!(mean > 0.0))
        return ns_fail(NS_ENUMERIC, "the training labels are all 0; a poisson model needs counts above 0");
    f->base[0] = ns_rne_i64(ns_clamp(ns_log(mean), -30.0, 30.0) * ns_power_of_two(f->k));
    f->loss_unit = ns_power_of_two(ns_ceil_log2(ns_from_bits((uint64_t)b->any_label)) - 8);
    return NS_OK;
}

/* Regression and poisson: wide where the largest |g| at the base is more than 1024 times the mean, from a sum
   of rne(2^40 |g| / 2^e), |g| <= 2^e. Collective. */
static void widen(ns_forest *f)
{
    const ns_link *link = &f->device->link;
    for (int64_t i = 0; i < f->n_rows; i++) f->margin[i] = f->base[0];
    int64_t max[2];
    ns_forest_take_gradients(f, 0, max);
    link->max_i64(link->context, max, 2);
    double largest = ns_from_bits((uint64_t)max[0]);
    if (largest == 0.0) return;
    int e = ns_ceil_log2(largest);
    ns_i128 sum = 0;
    for (int64_t i = 0; i < f->n_train; i++) sum += ns_rne_i64(ns_abs(f->g[i]) * ns_power_of_two(40 - e));
    link->sum_i128(link->context, &sum, 1);
    double mean = (double)sum / (double)f->n_train_global * ns_power_of_two(e - 40);
    if (largest > 1024.0 * mean) f->width = NS_WIDE;
}

ns_status ns_forest_learn_base(ns_forest *f)
{
    bounds b = find_bounds(f);
    if (b.train == 0) return ns_fail(NS_ENUMERIC, "the weights of the training rows sum to 0, must be more");
    f->width = width_of_weights(&f->settings, &b);
    f->weight_scale = ns_power_of_two(-ns_ceil_log2(ns_from_bits((uint64_t)b.all)));
    f->k = NS_MARGIN_BITS;
    f->loss_unit = 1.0;
    NS_TRY(sum_weights(f));
    switch (f->settings.objective) {
    case NS_BINARY:
        return binary_base(f);
    case NS_MULTICLASS:
        return multiclass_base(f);
    case NS_REGRESSION:
        place_base(f, mean_label(f, &b));
        break;
    case NS_QUANTILE:
        f->wanted[0] = 0; /* all rows are in group 0 and all margins 0 */
        ns_forest_find_quantiles(f, 1);
        place_base(f, f->value[0]);
        return NS_OK;
    case NS_POISSON:
        NS_TRY(poisson_base(f, &b));
        break;
    }
    if (f->settings.gradient_bits == 0) widen(f);
    return NS_OK;
}
