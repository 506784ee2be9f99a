#include "tests/runner/random_model.h"

#include "kernels/numerics.h"
#include "tests/check.h"
#include "tests/runner/metrics_rows.h"

enum { MOST_NODES = 512, MOST_WORDS = 4096 };

typedef struct tree {
    uint64_t seed;
    int32_t n_nodes, n_words, splits_left;
    ns_node nodes[MOST_NODES];
    uint32_t words[MOST_WORDS];
} tree;

static uint64_t draw(tree *t)
{
    return splitmix(t->seed++);
}

/* Appends a subtree in preorder. */
static void grow(tree *t, const ns_gbdt_model *model, int64_t n_rows)
{
    int32_t at = t->n_nodes++;
    ns_node *node = &t->nodes[at];
    *node = (ns_node){
        .feature = -1, .set = -1, .leaf = (int32_t)(draw(t) % (1u << 24)) - (1 << 23), .n_rows = n_rows};
    if (t->splits_left == 0 || draw(t) % 4 == 0) return;
    t->splits_left--;
    node->leaf = 0;
    node->feature = (int32_t)(draw(t) % RANDOM_N_FEATURES);
    node->gain = (double)(draw(t) % 100000) / 64.0;
    int32_t n_bins = model->n_bins[node->feature];
    if (model->kinds[node->feature] == NS_NUMBER) {
        node->threshold = (int32_t)(draw(t) % (uint64_t)n_bins);
        node->missing_left = (int32_t)(draw(t) % 2);
    } else {
        node->set = t->n_words;
        for (int32_t b = 0; b < n_bins; b += 32) {
            uint32_t word = (uint32_t)draw(t);
            t->words[t->n_words++] = n_bins - b >= 32 ? word : word & ((1u << (n_bins - b)) - 1);
        }
        node->missing_left = (int32_t)(t->words[node->set] & 1);
    }
    grow(t, model, n_rows / 2);
    node->right = t->n_nodes;
    grow(t, model, n_rows - n_rows / 2);
}

const char *random_level(char *buffer, int i)
{
    static const char *const special[] = {"", "\xc3\xa9", "a", "ab", "NO", "00123", "x y\"z"};
    if (i < 7) return special[i];
    snprintf(buffer, 24, "level %d", i);
    return buffer;
}

static void set_levels(ns_gbdt_model *model, int32_t f, const char *name, int n)
{
    char buffer[24];
    ns_texts levels = {0};
    for (int i = 0; i < n; i++) {
        const char *text = random_level(buffer, i);
        CHECK_OK(ns_texts_append(&levels, text, (int64_t)strlen(text)));
    }
    CHECK_OK(ns_texts_sort_unique(&levels));
    CHECK_OK(ns_gbdt_set_category(model, f, name, &levels));
    ns_texts_destroy(&levels);
}

ns_gbdt_model *random_model(uint64_t seed, int64_t n_trees, int32_t most_splits)
{
    static tree t;
    float cuts[254];
    for (int i = 0; i < 254; i++) cuts[i] = (float)(i - 100) * 0.375f;
    ns_gbdt_model *model = NULL;
    CHECK_OK(ns_gbdt_create(&model, RANDOM_N_FEATURES));
    CHECK_OK(ns_gbdt_set_number(model, 0, "Age", cuts, 254));
    set_levels(model, 1, "\xc3\xa9tage", RANDOM_MOST_LEVELS);
    CHECK_OK(ns_gbdt_set_number(model, 1, "crp", cuts + 99, 3)); /* set again: the levels are gone */
    set_levels(model, 2, "empty", 0);
    CHECK_OK(ns_gbdt_set_number(model, 3, "flat", NULL, 0));
    set_levels(model, 4, "sex", 3);
    set_levels(model, 5, "unit", RANDOM_MOST_LEVELS);
    model->objective = NS_BINARY;
    model->numerics_version = NS_NUMERICS_VERSION;
    model->k = 26;
    model->base[0] = (int64_t)(splitmix(seed) % (1u << 28)) - (1 << 27);
    t.seed = seed * 1000;
    for (int64_t i = 0; i < n_trees; i++) {
        t.n_nodes = t.n_words = 0;
        t.splits_left = i % 5 == 4 ? 0 : most_splits;
        grow(&t, model, 1000);
        CHECK_OK(ns_trees_append(model->trees, t.nodes, t.n_nodes, t.words, t.n_words));
    }
    return model;
}
