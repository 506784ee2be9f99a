#include "kernels/tree_code.h"

#include <stdbool.h>
#include <string.h>

#include "kernels/level_name.h"
#include "kernels/numerics.h"
#include "kernels/tree_code_lookup.h"

static void bin(const ns_code_cuts *cuts, const float *x, int64_t n, uint8_t *out)
{
    int64_t whole = n - n % LOOKUP_LANES;
    lookup_bins(cuts, x, whole, out);
    if (whole == n) return;
    float rest[LOOKUP_LANES] = {0};
    uint8_t bins[LOOKUP_LANES];
    memcpy(rest, x + whole, (size_t)(n - whole) * sizeof *rest);
    lookup_bins(cuts, rest, LOOKUP_LANES, bins);
    memcpy(out + whole, bins, (size_t)(n - whole));
}

/* The choice of a step, by where its sides are. Results may replace a side: rows never look at one another. Both
 * sides are read before the choice, so that it needs no branch. */
static inline void choose(const ns_code_step *s, const uint8_t *bins, uint8_t (*slot)[NS_CODE_ROWS])
{
    uint8_t shift = s->shift, last = s->last, left = s->left, right = s->right, *to = slot[s->to];
    const uint8_t *lefts = slot[left & (NS_CODE_SLOTS - 1)], *rights = slot[right & (NS_CODE_SLOTS - 1)];
    switch (s->sides) {
    case 0:
#pragma omp simd
        for (int i = 0; i < NS_CODE_ROWS; i++) to[i] = (uint8_t)(bins[i] - shift) <= last ? left : right;
        break;
    case NS_LEFT_IN_SLOT:
#pragma omp simd
        for (int i = 0; i < NS_CODE_ROWS; i++) {
            uint8_t side = lefts[i];
            to[i] = (uint8_t)(bins[i] - shift) <= last ? side : right;
        }
        break;
    case NS_RIGHT_IN_SLOT:
#pragma omp simd
        for (int i = 0; i < NS_CODE_ROWS; i++) {
            uint8_t side = rights[i];
            to[i] = (uint8_t)(bins[i] - shift) <= last ? left : side;
        }
        break;
    default:
#pragma omp simd
        for (int i = 0; i < NS_CODE_ROWS; i++) {
            uint8_t a = lefts[i], b = rights[i];
            to[i] = (uint8_t)(bins[i] - shift) <= last ? a : b;
        }
        break;
    }
}

static void run_tree(const ns_tree_code *code, const ns_code_tree *tree, const uint8_t *bins, int32_t *sum)
{
    uint8_t slot[NS_CODE_SLOTS][NS_CODE_ROWS], set[NS_CODE_ROWS];
    const ns_code_step *step = code->step + tree->first;
    if (tree->n_leaves == 1) memset(slot[0], 0, sizeof slot[0]);
    for (int32_t i = 0; i < tree->n_leaves - 1; i++) {
        const ns_code_step *s = &step[i];
        const uint8_t *tested = bins + (int64_t)s->column * NS_CODE_ROWS;
        if (s->set != NS_TEST_NUMBER) {
            lookup_set(code->set_bytes + (int64_t)s->set * NS_CODE_SET_BYTES, tested, set);
            tested = set;
        }
        choose(s, tested, slot);
    }
    lookup_leaves(code->leaf + tree->leaves, tree->n_leaves, slot[0], sum);
}

static bool goes_left(const ns_tree_code *code, const ns_code_node *node, const uint8_t *bins, int row)
{
    uint8_t b = bins[(int64_t)node->column * NS_CODE_ROWS + row];
    if (node->set == NS_TEST_NUMBER) return (uint8_t)(b - node->shift) <= node->last;
    return (code->set_bytes[(int64_t)node->set * NS_CODE_SET_BYTES + (b >> 3)] >> (b & 7) & 1) != 0;
}

static void walk_tree(const ns_tree_code *code, const ns_code_tree *tree, const uint8_t *bins, int32_t *sum)
{
    const ns_code_node *nodes = code->node + tree->first;
    for (int i = 0; i < NS_CODE_ROWS; i++) {
        int32_t at = 0;
        while (nodes[at].right != 0) at = goes_left(code, &nodes[at], bins, i) ? at + 1 : nodes[at].right;
        sum[i] += nodes[at].column;
    }
}

static void sum_group(const ns_tree_code *code, const ns_code_group *group, const uint8_t *bins, int32_t *sum)
{
    memset(sum, 0, NS_CODE_ROWS * sizeof *sum);
    for (int64_t t = group->first; t < group->last; t++) {
        if (code->tree[t].n_leaves > NS_CODE_LEAVES)
            walk_tree(code, &code->tree[t], bins, sum);
        else
            run_tree(code, &code->tree[t], bins, sum);
    }
}

static void risks(const int64_t *margin, int64_t n, double unit, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = ns_risk(margin[i], unit);
}

const ns_tree_code_loops NS_AT_LEVEL(ns_tree_code) = {.bin = bin, .sum = sum_group, .risks = risks};
