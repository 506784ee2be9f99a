#include "kernels/tree_code.h"

#include <string.h>

#include "kernels/level_name.h"
#include "kernels/numerics.h"
#include "kernels/tree_code_lookup.h"

/* --- columns to bins and planes --- */

/* The cells of the next block: columns lie far apart, and no processor guesses that their rows go on after the trees have run. */
static void ask_ahead(const char *from, int64_t n_left)
{
    enum { N_BYTES = NS_CODE_ROWS * sizeof(float) };
    if (n_left < 2 * NS_CODE_ROWS) return;
    for (int i = 0; i < N_BYTES; i += 64) NS_PREFETCH(from + N_BYTES + i);
}

/* Planes that tell whether a byte is at most a limit: limits begin at `limit` and grow by `step`. */
static void make_planes(const uint8_t *bytes, uint8_t less, uint8_t mask, uint8_t limit, uint8_t step, int32_t n, ns_code_plane *out)
{
    for (int w = 0; w < NS_CODE_WORDS; w++) lookup_limits(bytes + 64 * w, less, mask, limit, step, n, &out->word[w]);
}

static void number_planes(const ns_code_planes *planes, const uint8_t *bins, ns_code_plane *all)
{
    uint8_t step = (uint8_t)(1 << planes->low_bits);
    ns_code_plane *to = all + planes->first;
    make_planes(bins, 0, 255, (uint8_t)(step - 1), step, planes->n_high, to);
    to += planes->n_high;
    if (planes->known) {
        make_planes(bins, 1, 255, (uint8_t)(step - 2), step, planes->n_high, to);
        to += planes->n_high;
    }
    make_planes(bins, 0, (uint8_t)(step - 1), 0, 1, step - 1, to);
}

static void bin(const ns_tree_code *code, const void *const *columns, int64_t first, int64_t n_left, const ns_code_block *block)
{
    int32_t n = (int32_t)(n_left < NS_CODE_ROWS ? n_left : NS_CODE_ROWS);
    memset(&block->planes[NS_PLANE_ZEROS], 0, sizeof *block->planes);
    memset(&block->planes[NS_PLANE_ONES], 255, sizeof *block->planes);
    memset(&block->tree[NS_PLANE_ZEROS], 0, sizeof *block->tree);
    memset(&block->tree[NS_PLANE_ONES], 255, sizeof *block->tree);
    for (int32_t c = 0; c < code->n_columns; c++) {
        const ns_code_column *column = &code->column[c];
        union {
            float number[NS_CODE_ROWS];
            int32_t bin[NS_CODE_ROWS];
        } cells;
        const char *from = (const char *)columns[column->feature] + first * (int64_t)sizeof(float);
        uint8_t *bins = block->bins + (int64_t)c * NS_CODE_ROWS;
        ask_ahead(from, n_left);
        if (n < NS_CODE_ROWS) {
            memset(&cells, 0, sizeof cells);
            from = memcpy(&cells, from, (size_t)n * sizeof(float));
        }
        if (column->cuts != NULL) {
            lookup_bins(column->cuts, (const float *)(const void *)from, bins);
            number_planes(&column->planes, bins, block->planes);
            continue;
        }
        const int32_t *bin = (const int32_t *)(const void *)from;
        if (column->class != NULL) {
            for (int i = 0; i < NS_CODE_ROWS; i++) cells.bin[i] = column->class[bin[i]];
            bin = cells.bin;
        }
        lookup_bytes(bin, bins);
        lookup_places(bins, block->at + (int64_t)c * NS_CODE_ROWS, block->bit + (int64_t)c * NS_CODE_ROWS);
    }
}

/* --- trees --- */

static void run_tests(const ns_tree_code *code, const ns_code_tree *tree, const ns_code_block *block)
{
    ns_code_plane *to = block->tree + NS_PLANE_FIRST;
    for (int32_t i = 0; i < tree->n_sets; i++) {
        int64_t set = tree->first_set + i, column = (int64_t)code->set_column[set] * NS_CODE_ROWS;
        lookup_set(code->set_bytes + set * NS_CODE_SET_BYTES, block->at + column, block->bit + column, to++);
    }
    const ns_code_test *test = code->test + tree->first_test, *end = test + tree->n_tests;
    const ns_code_plane *planes = block->planes;
    for (; test < end; test++) plane_test(&planes[test->lower], &planes[test->upper], &planes[test->low], to++);
}

static void run_tree(const ns_tree_code *code, const ns_code_tree *tree, const ns_code_block *block)
{
    run_tests(code, tree, block);
    const ns_code_choice *choice = code->choice + tree->first_choice, *end = choice + tree->n_choices;
    ns_code_plane *planes = block->tree, *to = planes + NS_PLANE_FIRST + tree->n_leaves - 1;
    for (; choice < end; choice++) {
        uint64_t c = choice->m_a_b;
        plane_choice(&planes[c & 65535], &planes[c >> 16 & 65535], &planes[c >> 32], to++);
    }
    lookup_leaves(code->leaf + tree->leaves, tree->n_leaves, planes, tree->bit, block->sum);
}

static bool goes_left(const ns_tree_code *code, const ns_code_node *node, const uint8_t *bins, int place)
{
    uint8_t b = bins[(int64_t)node->column * NS_CODE_ROWS + place];
    if (node->set == NS_TEST_NUMBER) return (uint8_t)(b - node->shift) <= node->last;
    return (code->set_bytes[(int64_t)node->set * NS_CODE_SET_BYTES + (b >> 3)] >> (b & 7) & 1) != 0;
}

static void walk_tree(const ns_tree_code *code, const ns_code_node *nodes, const ns_code_block *block)
{
    for (int i = 0; i < NS_CODE_ROWS; i++) {
        int32_t at = 0;
        while (nodes[at].right != 0) at = goes_left(code, &nodes[at], block->bins, lookup_place(i)) ? at + 1 : nodes[at].right;
        block->sum[i] += nodes[at].column;
    }
}

static void sum_group(const ns_tree_code *code, const ns_code_group *group, const ns_code_block *block)
{
    memset(block->sum, 0, NS_CODE_ROWS * sizeof *block->sum);
    for (int64_t t = group->first; t < group->last; t++) {
        if (code->tree[t].n_leaves > NS_CODE_LEAVES)
            walk_tree(code, code->node + code->tree[t].first_node, block);
        else
            run_tree(code, &code->tree[t], block);
    }
}

static void risks(const int64_t *margin, int64_t n, double unit, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = ns_risk(margin[i], unit);
}

const ns_tree_code_loops NS_AT_LEVEL(ns_tree_code) = {.bin = bin, .sum = sum_group, .risks = risks};
