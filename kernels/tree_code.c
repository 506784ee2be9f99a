#include "kernels/tree_code.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/numerics.h"

/* Leaf values of a tree begin at a multiple of this: what a register may read beyond them is there. */
enum { LEAF_STEP = 64 };

typedef struct maker {
    ns_tree_code *code;
    const ns_trees *trees;
    const ns_code_features *features;
    uint8_t *wanted;    /* [n_features][256] thresholds that some split uses */
    uint8_t *threshold; /* [n_features][256] what each of them is among those */
    int32_t *place;     /* [n_features] its column; -1: not used, or several */
    int32_t *column;    /* [n_nodes] of all trees: each split's */
    uint8_t *parted;    /* [most bins] */
    int32_t *number;    /* [nodes of the largest tree] leaves: from the left; splits: slots that they need */
    int64_t n_steps, n_nodes, n_leaves, n_sets;
} maker;

static bool in_set(const ns_trees *trees, const ns_node *node, int32_t bin)
{
    return (trees->sets[node->set + (bin >> 5)] >> (bin & 31) & 1) != 0;
}

/* The cuts of a feature that are used, in the order of their search, and the thresholds that they have now. The
 * threshold beyond all cuts stays beyond all. */
static void take_cuts(maker *m, int32_t f, ns_code_cuts *out)
{
    const uint8_t *wanted = m->wanted + (int64_t)f * 256;
    float sorted[256];
    int32_t n = 0;
    for (int32_t t = 1; t <= m->features->n_cuts[f] + 1; t++) {
        m->threshold[(int64_t)f * 256 + t] = (uint8_t)(n + 1);
        if (t <= m->features->n_cuts[f] && wanted[t]) sorted[n++] = m->features->cuts[f][t - 1];
    }
    while ((1 << out->n_levels) - 1 < n) out->n_levels++;
    for (int32_t h = 1; h < 1 << out->n_levels; h++) {
        int32_t level = 0;
        while (h >> (level + 1) > 0) level++;
        int32_t below = 1 << (out->n_levels - 1 - level), at = (2 * (h - (1 << level)) + 1) * below - 1;
        out->cut[h] = at < n ? sorted[at] : ns_from_bits_f32(0x7f800000u);
    }
}

/* Parts the n classes of bins by one split: to[b], with class[b]. Returns how many there are then, 0: more than 256. */
static int32_t part_classes(const ns_trees *trees, const ns_node *node, const uint8_t *class, int32_t n_bins, uint8_t *to)
{
    int32_t next[256][2], n = 0;
    memset(next, -1, sizeof next);
    for (int32_t b = 0; b < n_bins; b++) {
        int32_t *now = &next[class[b]][in_set(trees, node, b)];
        if (*now < 0 && n == 256) return 0;
        if (*now < 0) *now = n++;
        to[b] = (uint8_t)*now;
    }
    return n;
}

/* The columns of a category of more than 256 bins, and which split asks for which. */
static void add_class_columns(maker *m, int32_t f, ns_taker *t)
{
    int32_t n_bins = m->features->n_bins[f];
    uint8_t *class = NULL;
    for (int64_t i = 0; i < m->trees->n_nodes; i++) {
        const ns_node *node = &m->trees->nodes[i];
        if (node->feature != f) continue;
        if (class == NULL || part_classes(m->trees, node, class, n_bins, m->parted) == 0) {
            class = ns_take(t, n_bins, sizeof *class);
            m->code->column[m->code->n_columns++] = (ns_code_column){.feature = f, .class = class};
            if (class == NULL) return;
            part_classes(m->trees, node, class, n_bins, m->parted);
        }
        memcpy(class, m->parted, (size_t)n_bins);
        m->column[i] = m->code->n_columns - 1;
    }
}

static void add_columns(maker *m, ns_taker *t)
{
    const ns_trees *trees = m->trees;
    for (int32_t f = 0; f < m->features->n_features; f++) m->place[f] = -1;
    for (int64_t i = 0; i < trees->n_nodes; i++) {
        int32_t f = trees->nodes[i].feature;
        if (f < 0) continue;
        m->place[f] = 0;
        if (trees->nodes[i].set < 0) m->wanted[(int64_t)f * 256 + trees->nodes[i].threshold] = 1;
    }
    for (int32_t f = 0; f < m->features->n_features && !t->failed; f++) {
        if (m->place[f] < 0) continue;
        m->place[f] = -1;
        if (m->features->kind[f] == NS_CATEGORY && m->features->n_bins[f] > 256) {
            add_class_columns(m, f, t);
            continue;
        }
        ns_code_column *to = &m->code->column[m->place[f] = m->code->n_columns++];
        to->feature = f;
        if (m->features->kind[f] == NS_CATEGORY) continue;
        to->cuts = ns_take(t, 1, sizeof *to->cuts);
        if (to->cuts != NULL) take_cuts(m, f, to->cuts);
    }
    for (int64_t i = 0; i < trees->n_nodes; i++) {
        int32_t f = trees->nodes[i].feature;
        if (f >= 0 && m->place[f] >= 0) m->column[i] = m->place[f];
    }
}

static int32_t count_leaves(const ns_trees *trees, int64_t t)
{
    return (int32_t)((trees->first[t + 1] - trees->first[t] + 1) / 2);
}

/* A test of a node, for a step and for a node that is walked. */
typedef struct test {
    int32_t column, set;
    uint8_t shift, last;
} test;

static test make_test(maker *m, const ns_node *node)
{
    int32_t column = m->column[node - m->trees->nodes];
    if (node->set < 0) {
        uint8_t shift = node->missing_left != 0 ? 0 : 1;
        uint8_t threshold = m->threshold[(int64_t)node->feature * 256 + node->threshold];
        return (test){column, NS_TEST_NUMBER, shift, (uint8_t)(threshold - shift)};
    }
    uint8_t *bytes = m->code->set_bytes + m->n_sets * NS_CODE_SET_BYTES;
    const uint8_t *class = m->code->column[column].class;
    for (int32_t b = 0; b < m->features->n_bins[node->feature]; b++) {
        int32_t bit = class != NULL ? class[b] : b;
        if (in_set(m->trees, node, b)) bytes[bit >> 3] |= (uint8_t)(1 << (bit & 7));
    }
    return (test){column, (int32_t)m->n_sets++, 0, 0};
}

/* Slots that each split needs: a result and, where both sides need as many, one more for the first of them.
 * From the last node on, so that children are known. */
static void number_nodes(maker *m, const ns_node *nodes, int64_t n)
{
    int32_t leaf = (int32_t)((n + 1) / 2);
    for (int64_t i = n - 1; i >= 0; i--) {
        if (nodes[i].feature < 0) {
            m->number[i] = --leaf;
            continue;
        }
        const ns_node *left = &nodes[i + 1], *right = &nodes[nodes[i].right];
        int32_t a = left->feature < 0 ? 0 : m->number[i + 1], b = right->feature < 0 ? 0 : m->number[nodes[i].right];
        m->number[i] = a == b ? a + 1 : a > b ? a : b;
    }
}

/* The steps of the splits from node `at` down; their result goes to slot `slot`, and no lower one is touched. */
static void add_steps(maker *m, const ns_node *nodes, int32_t at, int32_t slot)
{
    int32_t left = at + 1, right = nodes[at].right;
    bool left_splits = nodes[left].feature >= 0, right_splits = nodes[right].feature >= 0;
    bool left_first = !right_splits || (left_splits && m->number[left] >= m->number[right]);
    int32_t second = left_splits && right_splits ? slot + 1 : slot;
    int32_t left_slot = left_first ? slot : second, right_slot = left_first ? second : slot;
    if (left_first && left_splits) add_steps(m, nodes, left, left_slot);
    if (right_splits) add_steps(m, nodes, right, right_slot);
    if (!left_first && left_splits) add_steps(m, nodes, left, left_slot);
    test t = make_test(m, &nodes[at]);
    m->code->step[m->n_steps++] =
        (ns_code_step){.column = t.column, .set = t.set, .shift = t.shift, .last = t.last,
                       .sides = (uint8_t)((left_splits ? NS_LEFT_IN_SLOT : 0) | (right_splits ? NS_RIGHT_IN_SLOT : 0)),
                       .left = (uint8_t)(left_splits ? left_slot : m->number[left]),
                       .right = (uint8_t)(right_splits ? right_slot : m->number[right]),
                       .to = (uint8_t)slot};
}

static void add_nodes(maker *m, const ns_node *nodes, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        ns_code_node *to = &m->code->node[m->n_nodes++];
        *to = (ns_code_node){.right = nodes[i].right, .column = nodes[i].leaf};
        if (nodes[i].feature < 0) continue;
        test t = make_test(m, &nodes[i]);
        *to = (ns_code_node){nodes[i].right, t.column, t.set, t.shift, t.last};
    }
}

/* Returns the largest size of a leaf. */
static int64_t add_tree(maker *m, ns_code_tree *out, int64_t t)
{
    const ns_node *nodes = m->trees->nodes + m->trees->first[t];
    int64_t n = m->trees->first[t + 1] - m->trees->first[t], most = 0;
    int32_t n_leaves = count_leaves(m->trees, t), leaf = 0;
    bool walked = n_leaves > NS_CODE_LEAVES;
    *out = (ns_code_tree){.n_leaves = n_leaves, .first = walked ? m->n_nodes : m->n_steps, .leaves = m->n_leaves};
    for (int64_t i = 0; i < n; i++) {
        if (nodes[i].feature >= 0) continue;
        int64_t size = nodes[i].leaf < 0 ? -(int64_t)nodes[i].leaf : nodes[i].leaf;
        most = size > most ? size : most;
        if (!walked) m->code->leaf[m->n_leaves + leaf++] = nodes[i].leaf;
    }
    if (walked) {
        add_nodes(m, nodes, n);
        return most;
    }
    m->n_leaves += (n_leaves + LEAF_STEP - 1) / LEAF_STEP * LEAF_STEP;
    number_nodes(m, nodes, n);
    if (n_leaves > 1) add_steps(m, nodes, 0, 0);
    return most;
}

static void add_trees(maker *m, int32_t n_outputs)
{
    ns_tree_code *code = m->code;
    for (int32_t o = 0; o < n_outputs; o++) {
        int64_t total = INT64_MAX; /* of the open group; none is open for this output yet */
        for (int64_t t = o; t < m->trees->n_trees; t += n_outputs) {
            int64_t most = add_tree(m, &code->tree[code->n_trees], t);
            if (total > INT32_MAX - most) {
                code->group[code->n_groups++] = (ns_code_group){.output = o, .first = code->n_trees};
                total = 0;
            }
            total += most;
            code->group[code->n_groups - 1].last = ++code->n_trees;
        }
    }
}

static void take_all(maker *m, ns_taker *t)
{
    const ns_trees *trees = m->trees;
    int64_t n_walked = 0, n_steps = 0, n_leaves = 0, n_sets = 0, largest = 0, most_bins = 0;
    for (int64_t i = 0; i < trees->n_trees; i++) {
        int64_t n = trees->first[i + 1] - trees->first[i], leaves = count_leaves(trees, i);
        if (n > largest) largest = n;
        if (leaves > NS_CODE_LEAVES) {
            n_walked += n;
            continue;
        }
        n_steps += leaves - 1;
        n_leaves += (leaves + LEAF_STEP - 1) / LEAF_STEP * LEAF_STEP;
    }
    for (int64_t i = 0; i < trees->n_nodes; i++)
        n_sets += trees->nodes[i].feature >= 0 && trees->nodes[i].set >= 0;
    for (int32_t f = 0; f < m->features->n_features; f++)
        if (m->features->kind[f] == NS_CATEGORY && m->features->n_bins[f] > most_bins) most_bins = m->features->n_bins[f];
    ns_tree_code *code = m->code;
    code->column = ns_take(t, m->features->n_features + n_sets / 8, sizeof *code->column);
    code->tree = ns_take(t, trees->n_trees, sizeof *code->tree);
    code->group = ns_take(t, trees->n_trees, sizeof *code->group);
    code->step = ns_take(t, n_steps, sizeof *code->step);
    code->node = ns_take(t, n_walked, sizeof *code->node);
    code->leaf = ns_take(t, n_leaves, sizeof *code->leaf);
    code->set_bytes = ns_take(t, n_sets, NS_CODE_SET_BYTES);
    m->wanted = ns_take(t, (int64_t)m->features->n_features * 256, 1);
    m->threshold = ns_take(t, (int64_t)m->features->n_features * 256, 1);
    m->place = ns_take(t, m->features->n_features, sizeof *m->place);
    m->column = ns_take(t, trees->n_nodes, sizeof *m->column);
    m->parted = ns_take(t, most_bins, sizeof *m->parted);
    m->number = ns_take(t, largest, sizeof *m->number);
}

void ns_tree_code_make(ns_tree_code *code, const ns_trees *trees, const ns_code_features *features, int32_t n_outputs,
                       ns_taker *taker)
{
    maker m = {.code = code, .trees = trees, .features = features};
    take_all(&m, taker);
    if (!taker->failed) add_columns(&m, taker);
    if (!taker->failed) add_trees(&m, n_outputs);
    free(m.wanted);
    free(m.threshold);
    free(m.place);
    free(m.column);
    free(m.parted);
    free(m.number);
}

void ns_tree_code_free(ns_tree_code *code)
{
    for (int32_t c = 0; c < code->n_columns; c++) {
        free(code->column[c].cuts);
        free(code->column[c].class);
    }
    free(code->column);
    free(code->tree);
    free(code->group);
    free(code->step);
    free(code->node);
    free(code->leaf);
    free(code->set_bytes);
    memset(code, 0, sizeof *code);
}
