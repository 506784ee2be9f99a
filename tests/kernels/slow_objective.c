#include "tests/kernels/slow_objective.h"

#include <float.h>
#include <math.h>

#include "kernels/numerics.h"
#include "tests/check.h"

int64_t slow_rounded(double x)
{
    return (int64_t)nearbyint(x);
}

/* The smallest e with x <= 2^e. */
static int log2_above(double x)
{
    int e;
    return frexp(x, &e) == 0.5 ? e - 1 : e;
}

static double weight_at(const test_table *t, int64_t row)
{
    return t->weight == NULL ? 1.0 : (double)t->weight[row];
}

static void scale_weights(slow_objective *o)
{
    double max = 0;
    o->w = calloc((size_t)o->t->n_rows, sizeof *o->w);
    for (int64_t i = 0; i < o->t->n_rows; i++) max = fmax(max, weight_at(o->t, i));
    for (int64_t i = 0; i < o->t->n_rows; i++) o->w[i] = ldexp(weight_at(o->t, i), -log2_above(max));
}

/* sum of rne(2^40 w') of training rows with this label; of all where it is negative */
static double weight_of_class(const slow_objective *o, float label)
{
    ns_i128 sum = 0;
    for (int64_t i = 0; i < o->t->n_train; i++)
        if (label < 0.0f || o->t->label[i] == label) sum += slow_rounded(ldexp(o->w[i], 40));
    return (double)sum;
}

static double mean_label(const slow_objective *o)
{
    double max = 0;
    ns_i128 sums[2] = {0, 0};
    for (int64_t i = 0; i < o->t->n_train; i++) max = fmax(max, fabs((double)o->t->label[i]));
    if (max == 0) return 0;
    for (int64_t i = 0; i < o->t->n_train; i++) {
        sums[0] += slow_rounded(ldexp(o->w[i] * (double)o->t->label[i], 60 - log2_above(max)));
        sums[1] += slow_rounded(ldexp(o->w[i], 60));
    }
    return ldexp((double)sums[0] / (double)sums[1], log2_above(max));
}

/* Base, k and unit of losses where margins are labels. */
static void place(slow_objective *o, double base)
{
    double train = ldexp(fabs(base), -24), all = 0;
    for (int64_t i = 0; i < o->t->n_rows; i++) {
        double gap = fabs((double)o->t->label[i] - base);
        if (i < o->t->n_train) train = fmax(train, gap);
        all = fmax(all, gap);
    }
    all = fmax(all, train);
    o->k = train > 0 ? 26 - log2_above(train) : 26;
    o->base[0] = slow_rounded(ldexp(base, o->k));
    int e = all > 0 ? log2_above(all) : 0;
    o->loss_unit = ldexp(1.0, (o->s->objective == NS_REGRESSION ? 2 * e : e) - 16);
}

static void find_base(slow_objective *o)
{
    double all = weight_of_class(o, -1.0f), ones = weight_of_class(o, 1.0f), max = 0;
    bool *every;
    int64_t *zero;
    switch (o->s->objective) {
    case NS_BINARY:
        o->base[0] = slow_rounded(ldexp(ns_log(ones / weight_of_class(o, 0.0f)), 26));
        break;
    case NS_MULTICLASS:
        for (int32_t c = 0; c < o->n_outputs; c++)
            o->base[c] = slow_rounded(ldexp(ns_log(fmax(weight_of_class(o, (float)c) / all, 0x1p-24)), 26));
        break;
    case NS_REGRESSION:
        place(o, mean_label(o));
        break;
    case NS_POISSON:
        for (int64_t i = 0; i < o->t->n_rows; i++) max = fmax(max, (double)o->t->label[i]);
        o->base[0] = slow_rounded(ldexp(fmin(30, fmax(-30, ns_log(mean_label(o)))), 26));
        o->loss_unit = ldexp(1.0, log2_above(max) - 8);
        break;
    case NS_QUANTILE:
        every = calloc((size_t)o->t->n_rows, sizeof *every);
        zero = calloc((size_t)o->t->n_rows, sizeof *zero);
        for (int64_t i = 0; i < o->t->n_rows; i++) every[i] = true;
        place(o, slow_quantile(o, every, zero));
        free(every);
        free(zero);
        break;
    }
}

static bool is_wide(const slow_objective *o)
{
    double max = 0, least = INFINITY;
    if (o->s->gradient_bits != 0) return o->s->gradient_bits == 30;
    for (int64_t i = 0; i < o->t->n_train; i++) {
        max = fmax(max, weight_at(o->t, i));
        if (weight_at(o->t, i) > 0) least = fmin(least, weight_at(o->t, i));
    }
    if (max > 64.0 * least) return true;
    if (o->s->objective != NS_REGRESSION && o->s->objective != NS_POISSON) return false;
    double largest = 0, mean = 0, g, h;
    for (int64_t i = 0; i < o->t->n_train; i++) {
        slow_gradient(o, i, o->base, 0, &g, &h);
        largest = fmax(largest, fabs(g));
        mean += fabs(g) / (double)o->t->n_train;
    }
    return largest > 1024.0 * mean;
}

void slow_objective_make(slow_objective *o, const test_table *t, const ns_forest_settings *s)
{
    *o = (slow_objective){.t = t, .s = s, .n_outputs = ns_n_outputs(s), .k = 26, .loss_unit = 1.0};
    scale_weights(o);
    find_base(o);
    o->wide = is_wide(o);
}

void slow_objective_free(slow_objective *o)
{
    free(o->w);
}

static double value_of(const slow_objective *o, int64_t margin)
{
    return ldexp((double)margin, -o->k);
}

/* The largest margin of a row, and the sum of e^(m - it). */
static double top_of(const slow_objective *o, const int64_t *margin, double *norm)
{
    double top = -INFINITY;
    *norm = 0;
    for (int32_t c = 0; c < o->n_outputs; c++) top = fmax(top, value_of(o, margin[c]));
    for (int32_t c = 0; c < o->n_outputs; c++) *norm += ns_exp(value_of(o, margin[c]) - top);
    return top;
}

void slow_gradient(const slow_objective *o, int64_t row, const int64_t *margin, int32_t output, double *g,
                   double *h)
{
    double y = (double)o->t->label[row], m = value_of(o, margin[output]), n = o->n_outputs, p, norm;
    switch (o->s->objective) {
    case NS_BINARY:
        *g = y == 1 ? -ns_sigmoid(-m) : ns_sigmoid(m);
        *h = ns_sigmoid(m) * ns_sigmoid(-m);
        break;
    case NS_MULTICLASS:
        p = ns_exp(m - top_of(o, margin, &norm));
        p /= norm;
        *g = y == output ? p - 1 : p;
        *h = p * (1 - p) * (n / (n - 1));
        break;
    case NS_REGRESSION:
        *g = m - y;
        *h = 1;
        break;
    case NS_POISSON:
        m = fmin(30, fmax(-30, m));
        *g = ns_exp(m) - y;
        *h = ns_exp(fmin(m + 0.7, 30));
        break;
    case NS_QUANTILE:
        *g = y > m ? -o->s->quantile : 1 - o->s->quantile;
        *h = 1;
        break;
    }
    *g *= weight_at(o->t, row);
    *h *= weight_at(o->t, row);
}

static double plain_loss(const slow_objective *o, int64_t row, const int64_t *margin)
{
    double y = (double)o->t->label[row], m = value_of(o, margin[0]), q = o->s->quantile, norm, top, rate;
    switch (o->s->objective) {
    case NS_BINARY:
        break;
    case NS_MULTICLASS:
        top = top_of(o, margin, &norm);
        return ns_log(norm) - (value_of(o, margin[(int)y]) - top);
    case NS_REGRESSION:
        return (y - m) * (y - m);
    case NS_POISSON:
        rate = ns_exp(fmin(30, fmax(-30, m)));
        return fmax(0, rate - y + (y > 0 ? y * ns_log(y / rate) : 0));
    case NS_QUANTILE:
        return y > m ? q * (y - m) : (1 - q) * (m - y);
    }
    return ns_log1p_exp(y == 1 ? -m : m);
}

int64_t slow_loss(const slow_objective *o, int64_t row, const int64_t *margin)
{
    double x = ldexp(1.0, 40) / o->loss_unit * (o->w[row] * plain_loss(o, row, margin));
    return x > 0x1p62 ? INT64_C(1) << 62 : slow_rounded(x);
}

typedef struct residual {
    float r;
    int64_t w;
} residual;

static int by_value(const void *a, const void *b)
{
    const residual *x = a, *y = b;
    return (x->r > y->r) - (x->r < y->r);
}

double slow_quantile(const slow_objective *o, const bool *has, const int64_t *margin)
{
    residual *all = calloc((size_t)o->t->n_train + 1, sizeof *all);
    int64_t n = 0;
    int bits = 0;
    while ((INT64_C(1) << bits) < o->t->n_train) bits++;
    bits = bits > 22 ? 62 - bits : 40;
    ns_i128 total = 0, below = 0;
    for (int64_t i = 0; i < o->t->n_train; i++) {
        double r = (double)o->t->label[i] - value_of(o, margin[i]);
        if (!has[i]) continue;
        all[n] = (residual){(float)fmin(FLT_MAX, fmax(-FLT_MAX, r)), 1};
        if (o->t->weight != NULL) all[n].w = slow_rounded(ldexp(o->w[i], bits));
        total += all[n++].w;
    }
    qsort(all, (size_t)n, sizeof *all, by_value);
    double found = 0;
    for (int64_t i = 0; i < n && total > 0; i++) {
        below += all[i].w;
        found = all[i].r;
        if (below * 1000000000 >= total * slow_rounded(o->s->quantile * 1e9) && below > 0) break;
    }
    free(all);
    return found + 0.0;
}
