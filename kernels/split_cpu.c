#include "kernels/split.h"

#include <string.h>

/* Candidates come in the order of the tie rules, so a later one must be strictly better. */

static ns_cell plus(ns_cell a, ns_cell b)
{
    return (ns_cell){a.g + b.g, a.h + b.h, a.n + b.n};
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
    double parent; /* the third term of the gain */
    ns_split *best;
} contest;

static contest begin(const ns_split_column *column, const ns_split_rule *rule, double l2, ns_split *best)
{
    *best = (ns_split){.feature = -1};
    double g = (double)column->total->g * rule->unit_g, h = (double)column->total->h * rule->unit_h;
    return (contest){.rule = rule,
                     .l2 = l2,
                     .min_rows = rule->min_rows > 1 ? rule->min_rows : 1,
                     .total = *column->total,
                     .parent = term(g, h, rule->l1, l2),
                     .best = best};
}

static void try(contest *c, int32_t feature, int32_t threshold, int32_t missing_left, ns_cell left)
{
    ns_cell right = minus(c->total, left);
    if (left.n < c->min_rows || right.n < c->min_rows) return;
    double hl = (double)left.h * c->rule->unit_h, hr = (double)right.h * c->rule->unit_h;
    if (!(hl >= c->rule->min_hessian) || !(hr >= c->rule->min_hessian)) return;
    if (!(hl + c->l2 > 0.0) || !(hr + c->l2 > 0.0)) return;
    double gain = term((double)left.g * c->rule->unit_g, hl, c->rule->l1, c->l2) +
                  term((double)right.g * c->rule->unit_g, hr, c->rule->l1, c->l2) - c->parent;
    if (!(gain > c->rule->min_gain)) return;
    if (c->best->feature >= 0 && !(gain > c->best->gain)) return;
    *c->best = (ns_split){gain, feature, threshold, missing_left, left};
}

void ns_split_number(const ns_split_column *column, const ns_split_rule *rule, ns_split *best)
{
    contest c = begin(column, rule, rule->l2, best);
    const ns_cell *cells = column->cells;
    ns_cell missing = cells[0], left = {0, 0, 0};
    for (int32_t t = 1; t < column->n_bins; t++) {
        if (cells[t].n == 0) continue;
        left = plus(left, cells[t]);
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
        const ns_cell *cell = &column->cells[b];
        if (b == 1 || cell->n < least) continue;
        double below = (double)cell->h * rule->unit_h + rule->category_smoothing;
        scratch->key[n] = below > 0.0 ? (double)cell->g * rule->unit_g / below : 0.0;
        scratch->bin[n++] = (uint32_t)b;
        *sorted = plus(*sorted, *cell);
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
    for (int32_t taken = 1; taken < n; taken++) {
        left = plus(left, column->cells[scratch->bin[taken - 1]]);
        bool rest_left = left.n >= sorted.n - left.n;
        try(&c, column->feature, taken, 0, rest_left ? plus(left, rest) : left);
    }
}

void ns_split_set(const ns_split_column *column, const ns_split_rule *rule, const ns_split_scratch *scratch,
                  const ns_split *split, uint32_t *set)
{
    ns_cell sorted, left = {0, 0, 0};
    int32_t n = order(column, rule, scratch, &sorted);
    for (int32_t i = 0; i < split->threshold; i++) left = plus(left, column->cells[scratch->bin[i]]);
    bool rest_left = left.n >= sorted.n - left.n;
    int32_t n_words = (column->n_bins + 31) / 32;
    for (int32_t w = 0; w < n_words; w++) set[w] = rest_left ? UINT32_MAX : 0;
    if (rest_left && column->n_bins % 32 != 0) set[n_words - 1] >>= 32 - column->n_bins % 32;
    for (int32_t i = 0; i < n; i++) {
        uint32_t bit = UINT32_C(1) << (scratch->bin[i] & 31), *word = &set[scratch->bin[i] >> 5];
        *word = i < split->threshold ? *word | bit : *word & ~bit;
    }
}
