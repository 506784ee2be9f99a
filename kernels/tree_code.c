#include "kernels/tree_code.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/numerics.h"

/* Leaf values of a tree begin at a multiple of this: what a register may read beyond them is there. */
enum { LEAF_STEP = 64 };

/* What a node of a tree becomes. */
typedef struct shape {
    int32_t height;             /* 0: a leaf */
    uint16_t goes_left;         /* a split's plane */
    uint16_t bit[NS_CODE_BITS]; /* planes of the number of the leaf below it */
} shape;

typedef struct maker {
    ns_tree_code *code;
    const ns_trees *trees;
    const ns_code_features *features;
    uint8_t *wanted;    /* [n_features][256] thresholds that some split uses */
    uint8_t *threshold; /* [n_features][256] what each of them is among those */
    int32_t *place;     /* [n_features] its column; -1: not used, or several */
    int32_t *column;    /* [n_nodes] of all trees: each split's */
    uint8_t *parted;    /* [most bins] */
    uint8_t *some_right; /* [n_features] some split of numbers sends missing values right */
    shape *shape;       /* [nodes of the largest tree that is not walked] */
    int32_t *order;     /* [likewise] its splits, by height */
    int32_t *first_of;  /* [NS_CODE_LEAVES + 1] place in order by height */
    int64_t n_tests, n_choices, n_nodes, n_leaves, n_sets;
} maker;

static bool in_set(const ns_trees *trees, const ns_node *node, int32_t bin)
{
    return (trees->sets[node->set + (bin >> 5)] >> (bin & 31) & 1) != 0;
}

/* The cuts of a feature that are used, in the order of their search, and the thresholds that they have now. The
 * threshold beyond all cuts stays beyond all. Returns how many are used. */
static int32_t take_cuts(maker *m, int32_t f, ns_code_cuts *out)
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
    return n;
}

/* At most 16 planes of the high bits of a bin, and as many of the low ones. */
static void plan_planes(maker *m, int32_t n_bins, bool some_right, ns_code_planes *out)
{
    int32_t low = 0;
    while ((n_bins - 1) >> low > 15) low++;
    *out = (ns_code_planes){.first = m->code->n_planes, .n_high = ((n_bins - 1) >> low) + 1, .low_bits = low, .known = some_right};
    m->code->n_planes += out->n_high * (some_right ? 2 : 1) + (1 << low) - 1;
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
        if (trees->nodes[i].set >= 0) continue;
        m->wanted[(int64_t)f * 256 + trees->nodes[i].threshold] = 1;
        if (trees->nodes[i].missing_left == 0) m->some_right[f] = 1;
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
        if (to->cuts == NULL) continue;
        int32_t n_bins = take_cuts(m, f, to->cuts) + 2;
        plan_planes(m, n_bins, m->some_right[f] != 0, &to->planes);
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

/* A number's threshold among the cuts in use. */
static uint8_t threshold_of(const maker *m, const ns_node *node)
{
    return m->threshold[(int64_t)node->feature * 256 + node->threshold];
}

static int32_t column_of(const maker *m, const ns_node *node)
{
    return m->column[node - m->trees->nodes];
}

/* Returns its index. */
static int32_t add_set(maker *m, const ns_node *node)
{
    int32_t column = column_of(m, node);
    uint8_t *bytes = m->code->set_bytes + m->n_sets * NS_CODE_SET_BYTES;
    const uint8_t *class = m->code->column[column].class;
    for (int32_t b = 0; b < m->features->n_bins[node->feature]; b++) {
        int32_t bit = class != NULL ? class[b] : b;
        if (in_set(m->trees, node, b)) bytes[bit >> 3] |= (uint8_t)(1 << (bit & 7));
    }
    m->code->set_column[m->n_sets] = column;
    return (int32_t)m->n_sets++;
}

static void add_test(maker *m, const ns_node *node)
{
    const ns_code_planes *planes = &m->code->column[column_of(m, node)].planes;
    int32_t t = threshold_of(m, node), h = t >> planes->low_bits, all = (1 << planes->low_bits) - 1, l = t & all;
    uint32_t high = (uint32_t)(planes->first + (node->missing_left != 0 ? 0 : planes->n_high));
    uint32_t low = (uint32_t)(planes->first + planes->n_high * (planes->known ? 2 : 1));
    m->code->test[m->n_tests++] = (ns_code_test){.lower = h == 0 || l == all ? NS_PLANE_ZEROS : high + (uint32_t)h - 1,
                                                 .upper = high + (uint32_t)h,
                                                 .low = l == all ? NS_PLANE_ONES : low + (uint32_t)l};
}

/* Heights, from the last node on, so that children are known; then the splits by height. */
static void order_splits(maker *m, const ns_node *nodes, int32_t n)
{
    int32_t *first = m->first_of, n_before = 0;
    memset(first, 0, (NS_CODE_LEAVES + 1) * sizeof *first);
    for (int32_t i = n - 1; i >= 0; i--) {
        m->shape[i].height = 0;
        if (nodes[i].feature < 0) continue;
        int32_t left = m->shape[i + 1].height, right = m->shape[nodes[i].right].height;
        m->shape[i].height = (left > right ? left : right) + 1;
        first[m->shape[i].height]++;
    }
    for (int32_t h = 0; h <= NS_CODE_LEAVES; h++) {
        int32_t here = first[h];
        first[h] = n_before;
        n_before += here;
    }
    for (int32_t i = 0; i < n; i++)
        if (nodes[i].feature >= 0) m->order[first[m->shape[i].height]++] = i;
}

/* The planes of all splits: those of sets first, for they are written in pieces and are whole only some time later. */
static void add_tests(maker *m, ns_code_tree *out, const ns_node *nodes, int32_t n)
{
    out->first_set = m->n_sets;
    out->first_test = m->n_tests;
    uint16_t plane = NS_PLANE_FIRST;
    for (int32_t i = 0; i < n; i++) {
        if (nodes[i].feature < 0 || nodes[i].set < 0) continue;
        add_set(m, &nodes[i]);
        m->shape[i].goes_left = plane++;
    }
    for (int32_t i = 0; i < n; i++) {
        if (nodes[i].feature < 0 || nodes[i].set >= 0) continue;
        add_test(m, &nodes[i]);
        m->shape[i].goes_left = plane++;
    }
    out->n_sets = (int32_t)(m->n_sets - out->first_set);
    out->n_tests = (int32_t)(m->n_tests - out->first_test);
}

/* The number of the leaf below each node, up to the root. */
static void add_choices(maker *m, ns_code_tree *out, const ns_node *nodes, int32_t n)
{
    int32_t leaf = 0;
    out->first_choice = m->n_choices;
    uint16_t plane = (uint16_t)(NS_PLANE_FIRST + out->n_leaves - 1);
    for (int32_t i = n - 1; i >= 0; i--) {
        if (nodes[i].feature >= 0) continue;
        for (int j = 0; j < NS_CODE_BITS; j++) m->shape[i].bit[j] = (leaf >> j & 1) != 0 ? NS_PLANE_ONES : NS_PLANE_ZEROS;
        leaf++;
    }
    for (int32_t s = 0; s < out->n_leaves - 1; s++) {
        int32_t i = m->order[s];
        shape *to = &m->shape[i];
        const uint16_t *left = m->shape[i + 1].bit, *right = m->shape[nodes[i].right].bit;
        for (int j = 0; j < NS_CODE_BITS; j++) {
            if (left[j] == right[j]) {
                to->bit[j] = left[j];
            } else if (left[j] == NS_PLANE_ONES && right[j] == NS_PLANE_ZEROS) {
                to->bit[j] = to->goes_left;
            } else {
                m->code->choice[m->n_choices++] = (ns_code_choice){to->goes_left | (uint64_t)left[j] << 16 | (uint64_t)right[j] << 32};
                to->bit[j] = plane++;
            }
        }
    }
    out->n_choices = (int32_t)(m->n_choices - out->first_choice);
    memcpy(out->bit, m->shape[0].bit, sizeof out->bit);
    if (plane > m->code->n_tree_planes) m->code->n_tree_planes = plane;
}

static void add_nodes(maker *m, const ns_node *nodes, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        ns_code_node *to = &m->code->node[m->n_nodes++];
        *to = (ns_code_node){.right = nodes[i].right, .column = nodes[i].leaf, .set = NS_TEST_NUMBER};
        if (nodes[i].feature < 0) continue;
        to->column = column_of(m, &nodes[i]);
        if (nodes[i].set >= 0) {
            to->set = add_set(m, &nodes[i]);
            continue;
        }
        to->shift = nodes[i].missing_left != 0 ? 0 : 1;
        to->last = (uint8_t)(threshold_of(m, &nodes[i]) - to->shift);
    }
}

/* Returns the largest size of a leaf. */
static int64_t add_tree(maker *m, ns_code_tree *out, int64_t t)
{
    const ns_node *nodes = m->trees->nodes + m->trees->first[t];
    int32_t n = (int32_t)(m->trees->first[t + 1] - m->trees->first[t]);
    int64_t most = 0;
    *out = (ns_code_tree){.n_leaves = count_leaves(m->trees, t), .first_node = m->n_nodes, .leaves = m->n_leaves};
    bool walked = out->n_leaves > NS_CODE_LEAVES;
    int32_t leaf = 0;
    for (int32_t i = n - 1; i >= 0; i--) {
        if (nodes[i].feature >= 0) continue;
        int64_t size = nodes[i].leaf < 0 ? -(int64_t)nodes[i].leaf : nodes[i].leaf;
        most = size > most ? size : most;
        if (!walked) m->code->leaf[m->n_leaves + leaf++] = nodes[i].leaf;
    }
    if (walked) {
        add_nodes(m, nodes, n);
        return most;
    }
    m->n_leaves += (out->n_leaves + LEAF_STEP - 1) / LEAF_STEP * LEAF_STEP;
    order_splits(m, nodes, n);
    add_tests(m, out, nodes, n);
    add_choices(m, out, nodes, n);
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

/* Bits of the numbers of n leaves. */
static int32_t count_bits(int32_t n_leaves)
{
    int32_t n = 0;
    while (1 << n < n_leaves) n++;
    return n;
}

static void take_all(maker *m, ns_taker *t)
{
    const ns_trees *trees = m->trees;
    int64_t n_walked = 0, n_tests = 0, n_choices = 0, n_leaves = 0, n_sets = 0, most_bins = 0;
    for (int64_t i = 0; i < trees->n_trees; i++) {
        int32_t leaves = count_leaves(trees, i);
        if (leaves > NS_CODE_LEAVES) {
            n_walked += trees->first[i + 1] - trees->first[i];
            continue;
        }
        n_tests += leaves - 1;
        n_choices += (int64_t)(leaves - 1) * count_bits(leaves);
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
    code->test = ns_take(t, n_tests, sizeof *code->test);
    code->choice = ns_take(t, n_choices, sizeof *code->choice);
    code->node = ns_take(t, n_walked, sizeof *code->node);
    code->leaf = ns_take(t, n_leaves, sizeof *code->leaf);
    code->set_bytes = ns_take(t, n_sets, NS_CODE_SET_BYTES);
    code->set_column = ns_take(t, n_sets, sizeof *code->set_column);
    m->wanted = ns_take(t, (int64_t)m->features->n_features * 256, 1);
    m->threshold = ns_take(t, (int64_t)m->features->n_features * 256, 1);
    m->some_right = ns_take(t, m->features->n_features, 1);
    m->place = ns_take(t, m->features->n_features, sizeof *m->place);
    m->column = ns_take(t, trees->n_nodes, sizeof *m->column);
    m->parted = ns_take(t, most_bins, sizeof *m->parted);
    m->shape = ns_take(t, 2 * NS_CODE_LEAVES, sizeof *m->shape);
    m->order = ns_take(t, NS_CODE_LEAVES, sizeof *m->order);
    m->first_of = ns_take(t, NS_CODE_LEAVES + 1, sizeof *m->first_of);
}

void ns_tree_code_make(ns_tree_code *code, const ns_trees *trees, const ns_code_features *features, int32_t n_outputs,
                       ns_taker *taker)
{
    maker m = {.code = code, .trees = trees, .features = features};
    code->n_planes = NS_PLANE_FIRST;
    code->n_tree_planes = NS_PLANE_FIRST;
    take_all(&m, taker);
    if (!taker->failed) add_columns(&m, taker);
    if (!taker->failed) add_trees(&m, n_outputs);
    free(m.wanted);
    free(m.threshold);
    free(m.place);
    free(m.column);
    free(m.parted);
    free(m.some_right);
    free(m.shape);
    free(m.order);
    free(m.first_of);
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
    free(code->test);
    free(code->choice);
    free(code->node);
    free(code->leaf);
    free(code->set_bytes);
    free(code->set_column);
    memset(code, 0, sizeof *code);
}
