#include "kernels/split.h"

#include "kernels/level_name.h"
#include "kernels/numerics.h"

/*
 * Three passes over the bins of a node that have rows: sums of the left sides, one after the other; gains of
 * all of them, in loops that vectorise; the first of the largest. Gains that count are positive, so their bits
 * order as integers do, and 0 stands for a candidate that is not allowed.
 */
enum { ROOM = NS_BYTE_BINS + 1 };

/* Left sides without the missing rows, one for each bin with rows: [n]. */
typedef struct sides {
    int64_t g[ROOM], h[ROOM], rows[ROOM];
    int32_t bin[ROOM], n;
} sides;

static void add_up(const ns_split_column *column, sides *to)
{
    int64_t g = 0, h = 0, rows = 0;
    int32_t n = 0;
    for (int32_t t = 1; t < column->n_bins; t++) {
        to->g[n] = g += column->cells.g[t];
        to->h[n] = h += column->cells.h[t];
        to->rows[n] = rows += column->cells.n[t];
        to->bin[n] = t;
        n += column->cells.n[t] != 0;
    }
    to->n = n;
}

/* (double)x, rounded once, from operations on 64 bits that every level has as vectors: both halves are exact. */
static inline double to_f64(int64_t x)
{
    uint64_t high = ((uint64_t)x >> 32) ^ UINT64_C(0x4530000080000000);       /* 2^84 + 2^63 + high * 2^32 */
    uint64_t low = ((uint64_t)x & UINT64_C(0xffffffff)) | UINT64_C(0x4330000000000000); /* 2^52 + low */
    return (ns_from_bits(high) - (0x1p84 + 0x1p63 + 0x1p52)) + ns_from_bits(low);
}

/* S(G)^2 / (H + l2) */
static inline double term(double g, double h, double l1, double l2)
{
    double up = g - l1, down = g + l1;
    double s = g > l1 ? up : g < -l1 ? down : 0.0;
    return s * s / (h + l2);
}

/* Bits of the gain of each of n left sides with `more` (the missing rows, or none) added, 0 where not allowed. */
static void weigh(const ns_split_column *column, const ns_split_rule *rule, const sides *left, int32_t n, ns_cell more,
                  int64_t *restrict gain)
{
    ns_cell total = *column->total;
    double unit_g = rule->unit_g, unit_h = rule->unit_h, l1 = rule->l1, l2 = rule->l2;
    double min_hessian = rule->min_hessian, min_gain = rule->min_gain;
    double parent = term(to_f64(total.g) * unit_g, to_f64(total.h) * unit_h, l1, l2);
    int64_t least = rule->min_rows > 1 ? rule->min_rows : 1;
    for (int32_t i = 0; i < n; i++) {
        int64_t g = left->g[i] + more.g, h = left->h[i] + more.h, rows = left->rows[i] + more.n;
        double hl = to_f64(h) * unit_h, hr = to_f64(total.h - h) * unit_h;
        double value = term(to_f64(g) * unit_g, hl, l1, l2) + term(to_f64(total.g - g) * unit_g, hr, l1, l2) - parent;
        int64_t bits = (int64_t)ns_bits(value);
        bits = hl >= min_hessian ? bits : 0;
        bits = hr >= min_hessian ? bits : 0;
        bits = hl + l2 > 0.0 ? bits : 0;
        bits = hr + l2 > 0.0 ? bits : 0;
        bits = value > min_gain ? bits : 0;
        bits = rows >= least ? bits : 0;
        gain[i] = total.n - rows >= least ? bits : 0;
    }
}

static int64_t largest(const int64_t *gain, int32_t n)
{
    int64_t most = 0;
    for (int32_t i = 0; i < n; i++) most = gain[i] > most ? gain[i] : most;
    return most;
}

static void number(const ns_split_column *column, const ns_split_rule *rule, ns_split *best)
{
    sides left;
    int64_t missing_left[ROOM], missing_right[ROOM];
    const ns_cell none = {0, 0, 0}, missing = {column->cells.g[0], column->cells.h[0], column->cells.n[0]};
    *best = (ns_split){.feature = -1};
    add_up(column, &left);
    /* The last side has all values: no threshold, but all values against the missing. */
    int32_t n_left = left.n - 1, n_right = missing.n > 0 ? left.n : left.n - 1;
    if (n_right < 1) return;
    weigh(column, rule, &left, n_right, none, missing_right);
    int64_t most = largest(missing_right, n_right);
    if (missing.n > 0) {
        weigh(column, rule, &left, n_left, missing, missing_left);
        int64_t other = largest(missing_left, n_left);
        most = other > most ? other : most;
    } else {
        n_left = 0;
    }
    if (most == 0) return;
    int32_t at = 0;
    while (missing_right[at] != most && !(at < n_left && missing_left[at] == most)) at++;
    bool goes_left = at < n_left && missing_left[at] == most;
    *best = (ns_split){.gain = ns_from_bits((uint64_t)most),
                       .feature = column->feature,
                       .threshold = at == left.n - 1 ? column->n_bins - 1 : left.bin[at],
                       .missing_left = goes_left,
                       .left = {left.g[at], left.h[at], left.rows[at]}};
    if (missing.n == 0) best->missing_left = best->left.n >= column->total->n - best->left.n;
    if (goes_left) best->left = (ns_cell){best->left.g + missing.g, best->left.h + missing.h, best->left.n + missing.n};
}

const ns_split_loops NS_AT_LEVEL(ns_split) = {.number = number};
