/*
 * Scoring with random trees of every size, against a walk of the trees written here: every instruction set of
 * this processor, numbers and categories of few and of many bins, missing values, one and several outputs, leaves
 * whose sums need more than 32 bits, blocks that are not full.
 */
#include "tests/check.h"

#include <math.h>

#include "kernels/level.h"
#include "kernels/philox.h"
#include "kernels/prediction.h"
#include "kernels/scorer.h"

enum { N_FEATURES = 8, MAX_ROWS = 70001, GUARD = 16, WIDE_BINS = 700 };

static const int32_t n_cuts[N_FEATURES] = {254, 1, 37, 254, 0, 0, 0, 0};
static const int32_t n_bins[N_FEATURES] = {0, 0, 0, 0, 0, 7, 256, WIDE_BINS};
static const ns_feature_kind kind[N_FEATURES] = {NS_NUMBER, NS_NUMBER, NS_NUMBER, NS_NUMBER, NS_NUMBER,
                                                 NS_CATEGORY, NS_CATEGORY, NS_CATEGORY};
static float cuts[N_FEATURES][254], number[N_FEATURES][MAX_ROWS];
static int32_t bin[N_FEATURES][MAX_ROWS];
static uint32_t counter;

static uint32_t random_below(uint32_t n)
{
    ns_stream stream = ns_stream_of(5, 2, 0, 0);
    return ns_stream_word(&stream, counter++) % n;
}

static int make_columns(void **state)
{
    (void)state;
    for (int f = 0; f < N_FEATURES; f++) {
        for (int32_t i = 0; i < n_cuts[f]; i++) cuts[f][i] = (float)(i - 20) / 4.0f;
        if (f == 3) cuts[f][253] = INFINITY;
        for (int i = 0; i < MAX_ROWS; i++) {
            uint32_t what = random_below(16);
            number[f][i] = what == 0   ? NAN
                           : what == 1 ? -INFINITY
                           : what == 2 ? INFINITY
                           : what == 3 ? -0.0f
                                       : (float)random_below(600) / 8.0f - 10.0f;
            bin[f][i] = n_bins[f] > 0 ? (int32_t)random_below((uint32_t)n_bins[f]) : 0;
        }
    }
    return 0;
}

/* A tree of n leaves below index *at, in preorder; `lean` of 8: how often all leaves but one are on one side. */
static void grow(ns_node *nodes, int32_t *at, int32_t n, uint32_t lean, int32_t most, uint32_t *sets, int32_t *n_words)
{
    ns_node *node = &nodes[(*at)++];
    *node = (ns_node){.feature = -1, .set = -1};
    if (n == 1) {
        node->leaf = (int32_t)random_below(2 * (uint32_t)most + 1) - most;
        return;
    }
    node->feature = (int32_t)random_below(N_FEATURES);
    if (kind[node->feature] == NS_NUMBER) {
        node->threshold = 1 + (int32_t)random_below((uint32_t)n_cuts[node->feature] + 1);
        node->missing_left = (int32_t)random_below(2);
    } else {
        node->set = *n_words;
        for (int32_t w = 0; w < (n_bins[node->feature] + 31) / 32; w++)
            sets[(*n_words)++] = random_below(1u << 31) << 1 | random_below(2);
    }
    int32_t left = random_below(8) < lean ? (random_below(2) == 0 ? 1 : n - 1) : 1 + (int32_t)random_below((uint32_t)n - 1);
    grow(nodes, at, left, lean, most, sets, n_words);
    node->right = *at;
    grow(nodes, at, n - left, lean, most, sets, n_words);
}

static ns_trees *make_trees(const int32_t *n_leaves, int n, uint32_t lean, int32_t most)
{
    static ns_node nodes[2 * 600];
    static uint32_t sets[600 * (WIDE_BINS / 32 + 1)];
    ns_trees *trees;
    CHECK_OK(ns_trees_create(&trees));
    for (int t = 0; t < n; t++) {
        int32_t n_nodes = 0, n_words = 0;
        grow(nodes, &n_nodes, n_leaves[t], lean, most, sets, &n_words);
        CHECK_OK(ns_trees_append(trees, nodes, n_nodes, sets, n_words));
    }
    return trees;
}

/* kernels/trees.h: missing is bin 0; a value goes left when x <= cut[threshold-1], always beyond the last cut. */
static bool goes_left(const ns_trees *trees, const ns_node *node, int row)
{
    int32_t f = node->feature;
    if (kind[f] == NS_CATEGORY) {
        int32_t b = bin[f][row];
        return (trees->sets[node->set + b / 32] >> (b % 32) & 1) != 0;
    }
    float x = number[f][row];
    if (isnan(x)) return node->missing_left != 0;
    return node->threshold > n_cuts[f] || x <= cuts[f][node->threshold - 1];
}

static int64_t leaf_of(const ns_trees *trees, int64_t t, int row)
{
    const ns_node *nodes = trees->nodes + trees->first[t];
    int32_t at = 0;
    while (nodes[at].feature >= 0) at = goes_left(trees, &nodes[at], row) ? at + 1 : nodes[at].right;
    return nodes[at].leaf;
}

static const int64_t base[3] = {12345, -777, INT64_C(1) << 40};

static void score(const ns_trees *trees, const char *level, int n_threads, ns_prediction how, int64_t n, int64_t *margin,
                  float *risk)
{
    const float *cut[N_FEATURES];
    const void *columns[N_FEATURES];
    for (int f = 0; f < N_FEATURES; f++) {
        cut[f] = cuts[f];
        columns[f] = kind[f] == NS_NUMBER ? (const void *)number[f] : (const void *)bin[f];
    }
    ns_link alone = ns_link_alone();
    ns_device *device;
    ns_scorer *scorer;
    CHECK_OK(ns_device_open(&device, "cpu", n_threads, &alone));
    CHECK_OK(ns_level_pick(&device->loops, level));
    ns_scorer_plan plan = {.trees = trees, .n_features = N_FEATURES, .kind = kind, .cuts = cut, .n_cuts = n_cuts,
                           .n_bins = n_bins, .objective = how.objective, .n_outputs = how.n_outputs, .base = base,
                           .k = how.k};
    CHECK_OK(device->scorer->create(&scorer, device, &plan));
    ns_score_slab slab = {.n_rows = n, .columns = columns, .margin = margin, .risk = risk};
    CHECK_OK(device->scorer->score_slab(scorer, &slab));
    CHECK_OK(device->scorer->wait(scorer, 0));
    device->scorer->destroy(&scorer);
    ns_device_close(&device);
}

static void check_level(const ns_trees *trees, const char *level, ns_prediction how, int64_t n)
{
    static int64_t margin[3 * MAX_ROWS + GUARD];
    static float risk[3 * MAX_ROWS + GUARD], want_risk[3 * MAX_ROWS];
    int32_t n_outputs = how.n_outputs;
    memset(margin, 0xa5, sizeof margin);
    memset(risk, 0xa5, sizeof risk);
    score(trees, level, 2, how, n, margin, risk);
    int64_t stride = n > 5000 ? 101 : 1;
    for (int64_t i = 0; i < n; i += stride) {
        int64_t want[3] = {base[0], base[1], base[2]};
        for (int64_t t = 0; t < trees->n_trees; t++) want[t % n_outputs] += leaf_of(trees, t, (int)i);
        for (int32_t o = 0; o < n_outputs; o++)
            if (margin[i * n_outputs + o] != want[o])
                fail_msg("%s: row %lld output %d: margin %lld, not %lld", level, (long long)i, (int)o,
                         (long long)margin[i * n_outputs + o], (long long)want[o]);
    }
    ns_predict(&how, margin, n, want_risk);
    assert_memory_equal(risk, want_risk, (size_t)(n * n_outputs) * sizeof *risk);
    const unsigned char *behind[] = {(const unsigned char *)(margin + n * n_outputs), (const unsigned char *)(risk + n * n_outputs)};
    for (int b = 0; b < 2; b++)
        for (size_t i = 0; i < GUARD * 4; i++) assert_int_equal(behind[b][i], 0xa5);
}

static void check_all(const ns_trees *trees, ns_prediction how, int64_t n)
{
    const char *names[] = {"baseline", "avx2", "avx512"};
    for (int l = 0; l < 3; l++) {
        const ns_level *level;
        ns_status status = ns_level_pick(&level, names[l]);
        ns_error_clear();
        if (status == NS_OK) check_level(trees, names[l], how, n);
    }
}

static const ns_prediction binary = {NS_BINARY, 1, 20};

static void trees_of_every_size(void **state)
{
    (void)state;
    const int32_t sizes[] = {1, 2, 3, 16, 17, 31, 32, 33, 64, 65, 255, 256, 257, 600};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint32_t lean = 0; lean <= 8; lean += 4) {
            int32_t three[3] = {sizes[s], sizes[s], sizes[s]};
            ns_trees *trees = make_trees(three, 3, lean, 1 << 20);
            check_all(trees, binary, 1027);
            ns_trees_destroy(&trees);
        }
}

/* As many choices as there are, of as many bits. */
static void full_trees(void **state)
{
    (void)state;
    static ns_node nodes[511];
    for (int32_t i = 0; i < 511; i++) nodes[i] = (ns_node){.feature = -1, .set = -1, .leaf = i};
    for (int32_t at = 0; at < 511; at++) { /* preorder of the full tree of depth 8 */
        int32_t size = 511, from = 0; /* of the subtree that holds it */
        while (from != at) {
            size /= 2;
            from += at > from + size ? 1 + size : 1;
        }
        if (size == 1) continue;
        nodes[at] = (ns_node){.feature = at % N_FEATURES < 5 ? at % N_FEATURES : 0, .set = -1, .right = at + 1 + size / 2,
                              .missing_left = at & 1};
        nodes[at].threshold = 1 + at % (n_cuts[nodes[at].feature] + 1);
    }
    ns_trees *trees;
    CHECK_OK(ns_trees_create(&trees));
    CHECK_OK(ns_trees_append(trees, nodes, 511, NULL, 0));
    check_all(trees, binary, 1000);
    ns_trees_destroy(&trees);
}

static void blocks_that_are_not_full(void **state)
{
    (void)state;
    int32_t sizes[40];
    for (int i = 0; i < 40; i++) sizes[i] = 1 + (int32_t)random_below(40);
    ns_trees *trees = make_trees(sizes, 40, 2, 1 << 16);
    const int64_t n[] = {0, 1, 15, 63, 64, 65, 511, 512, 513, 1023, 1024, 1025, 8191, MAX_ROWS};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) check_all(trees, binary, n[i]);
    ns_trees_destroy(&trees);
}

static void objectives_and_outputs(void **state)
{
    (void)state;
    int32_t sizes[30];
    for (int i = 0; i < 30; i++) sizes[i] = 2 + (int32_t)random_below(60);
    ns_trees *trees = make_trees(sizes, 30, 2, 1 << 20);
    const ns_prediction how[] = {{NS_MULTICLASS, 3, 20}, {NS_REGRESSION, 1, 20}, {NS_POISSON, 1, 20}, {NS_QUANTILE, 1, 20}};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) check_all(trees, how[i], 1001);
    ns_trees_destroy(&trees);
}

static void sums_beyond_32_bits(void **state)
{
    (void)state;
    int32_t sizes[9] = {31, 1, 300, 31, 31, 31, 2, 31, 31};
    ns_trees *trees = make_trees(sizes, 9, 2, INT32_MAX / 2);
    for (int64_t i = 0; i < trees->n_nodes; i++)
        if (trees->nodes[i].feature < 0) trees->nodes[i].leaf = i % 3 == 0 ? INT32_MIN : INT32_MAX;
    check_all(trees, binary, 600);
    check_all(trees, (ns_prediction){NS_MULTICLASS, 3, 31}, 600);
    ns_trees_destroy(&trees);
}

static void no_trees(void **state)
{
    (void)state;
    ns_trees *trees;
    CHECK_OK(ns_trees_create(&trees));
    check_all(trees, binary, 300);
    ns_trees_destroy(&trees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_of_every_size),    cmocka_unit_test(full_trees),
        cmocka_unit_test(blocks_that_are_not_full), cmocka_unit_test(objectives_and_outputs),
        cmocka_unit_test(sums_beyond_32_bits),    cmocka_unit_test(no_trees),
    };
    return cmocka_run_group_tests(tests, make_columns, NULL);
}
