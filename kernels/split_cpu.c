#include "kernels/split.h"

#include <math.h>
#include <string.h>

#include "kernels/numerics.h"

/* Candidates come in the order of the tie rules, so a later one must be strictly better. */

static ns_cell plus(ns_cell a, ns_cell b)
{
    return (ns_cell){a.g + b.g, a.h + b.h, a.n + b.n};
}

static ns_cell cell_at(const ns_split_column *column, uint32_t bin)
{
    return (ns_cell){column->cells.g[bin], column->cells.h[bin], column->cells.n[bin]};
}

static ns_cell minus(ns_cell a, ns_cell b)
{
    return (ns_cell){a.g - b.g, a.h - b.h, a.n - b.n};
}

/* S(G)^2 / (H + l2) */
static double term(double g, double h, double l1, double l2)
{
    double s = g > l1 ? g - l1 : g < -l1 ? g + l1 : 0.0;
    return s * s / (h + l2);
}

/* What candidates of one column of one node share. */
typedef struct contest {
    const ns_split_rule *rule;
    double l2;
    int64_t min_rows;
    ns_cell total;
    double parent;                 /* the third term of the gain */
    const ns_split_bounds *bounds; /* NULL: none */
    int32_t monotone, all_values;  /* the threshold that parts all values from the missing */
    ns_split *best;
} contest;

/* What one side of a candidate sums up to. */
typedef struct side {
    double g, h;
} side;

/* -S(G)/(H + l2), brought to the bounds; 0 where that divides by 0. */
static double value_of(const ns_split_bounds *bounds, side s, double l1, double l2)
{
    double shrunk = s.g > l1 ? s.g - l1 : s.g < -l1 ? s.g + l1 : 0.0, below = s.h + l2;
    return ns_clamp(below > 0.0 ? -shrunk / below : 0.0, bounds->lower, bounds->upper);
}

/* The term of a node whose value must stay within bounds. */
static double bounded_term(const ns_split_bounds *bounds, side s, double l1, double l2)
{
    const ns_split_bounds none = {-INFINITY, INFINITY};
    double v = value_of(bounds, s, l1, l2);
    if (v == value_of(&none, s, l1, l2)) return term(s.g, s.h, l1, l2);
    return -2.0 * (s.g * v + l1 * ns_abs(v)) - (s.h + l2) * v * v;
}

/* The gain of a candidate under monotone constraints; -infinity where the order of its sides is wrong. */
static double bounded_gain(const contest *c, int32_t threshold, side left, side right)
{
    double l1 = c->rule->l1;
    if (c->monotone != 0 && threshold < c->all_values) {
        double low = value_of(c->bounds, left, l1, c->l2), high = value_of(c->bounds, right, l1, c->l2);
        if (c->monotone > 0 ? low > high : low < high) return -INFINITY;
    }
    return bounded_term(c->bounds, left, l1, c->l2) + bounded_term(c->bounds, right, l1, c->l2) - c->parent;
}

static contest begin(const ns_split_column *column, const ns_split_rule *rule, double l2, ns_split *best)
{
    *best = (ns_split){.feature = -1};
    side all = {(double)column->total->g * rule->unit_g, (double)column->total->h * rule->unit_h};
    return (contest){.rule = rule,
                     .l2 = l2,
                     .min_rows = rule->min_rows > 1 ? rule->min_rows : 1,
                     .total = *column->total,
                     .parent = column->bounds == NULL ? term(all.g, all.h, rule->l1, l2)
                                                      : bounded_term(column->bounds, all, rule->l1, l2),
                     .bounds = column->bounds,
                     .monotone = column->monotone,
                     .all_values = column->n_bins - 1,
                     .best = best};
}

static void try(contest *c, int32_t feature, int32_t threshold, int32_t missing_left, ns_cell left)
{
    ns_cell right = minus(c->total, left);
    if (left.n < c->min_rows || right.n < c->min_rows) return;
    double hl = (double)left.h * c->rule->unit_h, hr = (double)right.h * c->rule->unit_h;
    if (!(hl >= c->rule->min_hessian) || !(hr >= c->rule->min_hessian)) return;
    if (!(hl + c->l2 > 0.0) || !(hr + c->l2 > 0.0)) return;
    double gl = (double)left.g * c->rule->unit_g, gr = (double)right.g * c->rule->unit_g;
    double gain = c->bounds == NULL
                      ? term(gl, hl, c->rule->l1, c->l2) + term(gr, hr, c->rule->l1, c->l2) - c->parent
                      : bounded_gain(c, threshold, (side){gl, hl}, (side){gr, hr});
    if (!(gain > c->rule->min_gain)) return;
    if (c->best->feature >= 0 && !(gain > c->best->gain)) return;
    *c->best = (ns_split){gain, feature, threshold, missing_left, left};
}

void ns_split_number(const ns_split_column *column, const ns_split_rule *rule, ns_split *best)
{
    contest c = begin(column, rule, rule->l2, best);
    ns_cell missing = cell_at(column, 0), left = {0, 0, 0};
    for (int32_t t = 1; t < column->n_bins; t++) {
        if (column->cells.n[t] == 0) continue;
        left = plus(left, cell_at(column, (uint32_t)t));
        if (left.n + missing.n == c.total.n) break; /* no value above t */
        if (missing.n == 0) {
            try(&c, column->feature, t, left.n >= c.total.n - left.n, left);
        } else {
            try(&c, column->feature, t, 1, plus(left, missing));
            try(&c, column->feature, t, 0, left);
        }
    }
    if (missing.n > 0) try(&c, column->feature, column->n_bins - 1, 0, minus(c.total, missing));
}

/* Sorts n (key, bin) ascending, stable: bins come in ascending, so ties stay by bin. Merges runs of 1, 2, 4,
 * … */
static void sort(const ns_split_scratch *scratch, int32_t n)
{
    double *key = scratch->key, *to_key = scratch->other_key;
    uint32_t *bin = scratch->bin, *to_bin = scratch->other_bin;
    for (int32_t run = 1; run < n; run *= 2) {
        for (int32_t from = 0; from < n; from += 2 * run) {
            int32_t a = from, b = from + run < n ? from + run : n;
            int32_t end_a = b, end_b = from + 2 * run < n ? from + 2 * run : n;
            for (int32_t at = from; at < end_b; at++) {
                int32_t *next = a < end_a && (b == end_b || !(key[b] < key[a])) ? &a : &b;
                to_key[at] = key[*next];
                to_bin[at] = bin[(*next)++];
            }
        }
        double *k = key;
        key = to_key;
        to_key = k;
        uint32_t *i = bin;
        bin = to_bin;
        to_bin = i;
    }
    if (bin != scratch->bin) memcpy(scratch->bin, bin, (size_t)n * sizeof *bin);
}

/* The sortable bins of the node into scratch->bin, in order; their sum into *sorted. Returns how many. */
static int32_t order(const ns_split_column *column, const ns_split_rule *rule,
                     const ns_split_scratch *scratch, ns_cell *sorted)
{
    int64_t least = rule->category_split_rows > 1 ? rule->category_split_rows : 1;
    int32_t n = 0;
    *sorted = (ns_cell){0, 0, 0};
    for (int32_t b = 0; b < column->n_bins; b++) {
        if (b == 1 || column->cells.n[b] < least) continue;
        ns_cell cell = cell_at(column, (uint32_t)b);
        double below = (double)cell.h * rule->unit_h + rule->category_smoothing;
        scratch->key[n] = below > 0.0 ? (double)cell.g * rule->unit_g / below : 0.0;
        scratch->bin[n++] = (uint32_t)b;
        *sorted = plus(*sorted, cell);
    }
    sort(scratch, n);
    return n;
}

void ns_split_category(const ns_split_column *column, const ns_split_rule *rule,
                       const ns_split_scratch *scratch, ns_split *best)
{
    contest c = begin(column, rule, rule->l2 + rule->category_l2, best);
    ns_cell sorted;
    int32_t n = order(column, rule, scratch, &sorted);
    ns_cell rest = minus(c.total, sorted), left = {0, 0, 0};
    int32_t most = rule->category_max_levels > 0 ? rule->category_max_levels : n;
    for (int32_t taken = 1; taken < n; taken++) {
        left = plus(left, cell_at(column, scratch->bin[taken - 1]));
        if (taken > most && n - taken > most) continue;
        bool rest_left = left.n >= sorted.n - left.n;
        try(&c, column->feature, taken, 0, rest_left ? plus(left, rest) : left);
    }
}

void ns_split_set(const ns_split_column *column, const ns_split_rule *rule, const ns_split_scratch *scratch,
                  const ns_split *split, uint32_t *set)
{
    ns_cell sorted, left = {0, 0, 0};
    int32_t n = order(column, rule, scratch, &sorted);
    for (int32_t i = 0; i < split->threshold; i++) left = plus(left, cell_at(column, scratch->bin[i]));
    bool rest_left = left.n >= sorted.n - left.n;
    int32_t n_words = (column->n_bins + 31) / 32;
    for (int32_t w = 0; w < n_words; w++) set[w] = rest_left ? UINT32_MAX : 0;
    if (rest_left && column->n_bins % 32 != 0) set[n_words - 1] >>= 32 - column->n_bins % 32;
    for (int32_t i = 0; i < n; i++) {
        uint32_t bit = UINT32_C(1) << (scratch->bin[i] & 31), *word = &set[scratch->bin[i] >> 5];
        *word = i < split->threshold ? *word | bit : *word & ~bit;
    }
}

void ns_split_pass_bounds(const ns_split_column *column, const ns_split_rule *rule, const ns_split *split,
                          ns_split_bounds *left, ns_split_bounds *right)
{
    *left = *right = *column->bounds;
    if (column->monotone == 0 || split->threshold == column->n_bins - 1) return;
    ns_cell rest = minus(*column->total, split->left);
    side to_left = {(double)split->left.g * rule->unit_g, (double)split->left.h * rule->unit_h};
    side to_right = {(double)rest.g * rule->unit_g, (double)rest.h * rule->unit_h};
    double middle = 0.5 * value_of(column->bounds, to_left, rule->l1, rule->l2) +
                    0.5 * value_of(column->bounds, to_right, rule->l1, rule->l2);
    *(column->monotone > 0 ? &left->upper : &left->lower) = middle;
    *(column->monotone > 0 ? &right->lower : &right->upper) = middle;
}
