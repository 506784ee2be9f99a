#ifndef NIGHTSHIFT_KERNELS_SPLIT_H
#define NIGHTSHIFT_KERNELS_SPLIT_H
/*
 * The best split of a node by one column, from the column's histogram of the node.
 *     gain = S(GL)^2/(HL + l2) + S(GR)^2/(HR + l2) - S(GP)^2/(HP + l2)
 * in double, in this order; S(G) = G > l1 ? G - l1 : G < -l1 ? G + l1 : 0; G and H are the integer sums times
 * powers of two. A candidate needs gain > min_gain, and on each side at least max(1, min_rows) rows, H >=
 * min_hessian and H + l2 > 0. The best has the highest gain; of equals the lower column, then the lower
 * threshold, then missing left.
 *
 * Number: thresholds t = 1, 2, … with rows of the node in bin t and in a bin above t. Where the node has
 * missing rows, each is tried with missing left, then missing right; and last t = n_bins - 1 with missing
 * right: all values against the missing. Where it has none, missing goes with the side that has more rows,
 * ties left.
 *
 * Category: bins with at least category_split_rows rows (bin 0, missing, among them; bin 1, other, never) are
 * sorted by G / (H + category_smoothing) (0 where that divides by 0), ties by bin. Candidates are the first
 * 1, 2, … of them as left side, where they or the rest are at most category_max_levels (0: no limit): with
 * thousands of sorted levels a split in the middle would learn the noise of all of them at once. All other
 * bins, those without rows too, go with the side whose sorted bins have more rows, ties left, and count in the
 * sums. category_l2 is added to l2 in all three terms.
 *
 * With monotone constraints every node has bounds for its value v = -S(G)/(H + l2). A term of the gain whose
 * v lies outside of the node's bounds is that of v brought to them: -2 (G v + l1 |v|) - (H + l2) v^2. A split
 * by a constrained feature is no candidate where the sides' values, so brought to the node's bounds, are in
 * the wrong order (all values against the missing: no order is asked). Its children's bounds meet in the
 * middle of these values; other splits hand their node's bounds on.
 */
#include <stdbool.h>
#include <stdint.h>

#include "kernels/histogram.h"

typedef struct ns_split_rule {
    double l1, l2, min_gain, min_hessian;
    int64_t min_rows;
    double category_smoothing, category_l2;
    int64_t category_split_rows;
    int32_t category_max_levels;
    double unit_g, unit_h; /* what one unit of the integer sums is worth, powers of two; change each round */
} ns_split_rule;

typedef struct ns_split {
    double gain;
    int32_t feature;      /* -1: no split */
    int32_t threshold;    /* number: last bin to the left; category: sorted bins to the left */
    int32_t missing_left; /* number */
    ns_cell left;         /* sums of the left side */
} ns_split;

/* Room to sort the bins of a category, for one thread: [n_bins of the widest category] each. */
typedef struct ns_split_scratch {
    double *key, *other_key;
    uint32_t *bin, *other_bin;
} ns_split_scratch;

typedef struct ns_split_bounds {
    double lower, upper;
} ns_split_bounds;

/* One column of one node. */
typedef struct ns_split_column {
    ns_planes cells; /* [n_bins], read */
    int32_t n_bins, feature;
    const ns_cell *total;          /* of the node */
    const ns_split_bounds *bounds; /* NULL: no feature is constrained */
    int32_t monotone;              /* of this feature: 1 rises, -1 falls, 0 */
} ns_split_column;

typedef struct ns_split_loops {
    /* As ns_split_number, many thresholds at a time; n_bins <= 256, min_gain >= 0, no bounds */
    void (*number)(const ns_split_column *column, const ns_split_rule *rule, ns_split *best);
} ns_split_loops;
extern const ns_split_loops ns_split_baseline, ns_split_avx2, ns_split_avx512;

/* The best split by a number column; feature -1 where there is none. The definition: one threshold at a time. */
void ns_split_number(const ns_split_column *column, const ns_split_rule *rule, ns_split *best);

/* The best split by a category column. */
void ns_split_category(const ns_split_column *column, const ns_split_rule *rule,
                       const ns_split_scratch *scratch, ns_split *best);

/* The left set of a category split found on this column: (n_bins + 31) / 32 words. */
void ns_split_set(const ns_split_column *column, const ns_split_rule *rule, const ns_split_scratch *scratch,
                  const ns_split *split, uint32_t *set);

/* Bounds of the children of a node split by this column. */
void ns_split_pass_bounds(const ns_split_column *column, const ns_split_rule *rule, const ns_split *split,
                          ns_split_bounds *left, ns_split_bounds *right);

/* Whether a is to be preferred to b, found on other columns of the same node. */
static inline bool ns_split_is_better(const ns_split *a, const ns_split *b)
{
    if (a->feature < 0 || b->feature < 0) return a->feature >= 0;
    return a->gain > b->gain || (a->gain == b->gain && a->feature < b->feature);
}
#endif
