/*
 * Everything that scoring, resuming and reporting take for granted about a model, checked. Preorder: a
 * split's left child is the next node, its right child the one behind the left subtree. Walking the nodes in
 * order with a stack of the right children still to come, each leaf must be followed by the top of the stack,
 * and the last by nothing: then every node is reached once and every walk ends.
 */
#include "runner/models/gbdt_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runner/models/gbdt_names.h"

enum { MOST_CUTS = 254, MOST_K = 62, MOST_TREES = 1 << 30 };

/* Margins: |base| <= 2^61 and 2^30 leaves below 2^31 stay within int64. */
static const int64_t MOST_BASE = INT64_C(1) << 61;

static ns_status wrong(const char *file, int64_t node, const char *what)
{
    return ns_fail(NS_EVERIFY, "'%s': node %lld: %s", file, (long long)node, what);
}

static bool is_finite(double x)
{
    return x - x == 0.0;
}

static ns_status check_cuts(const ns_gbdt_model *model, int32_t f, const char *file)
{
    const float *cuts = model->cuts[f];
    int32_t n = model->n_cuts[f];
    if (n < 0 || n > MOST_CUTS)
        return ns_fail(NS_EVERIFY, "'%s': feature %d has %d cuts, not 0 to %d", file, (int)f, (int)n,
                       MOST_CUTS);
    for (int32_t i = 0; i < n; i++)
        if (!is_finite((double)cuts[i]) || (i > 0 && !(cuts[i - 1] < cuts[i])))
            return ns_fail(NS_EVERIFY,
                           "'%s': cut %d of feature %d is not finite, or not above the one before it", file,
                           (int)i, (int)f);
    return NS_OK;
}

static ns_status check_levels(const ns_gbdt_model *model, int32_t f, const char *file)
{
    const ns_texts *levels = &model->encodings[f].levels;
    if (levels->n > NS_MAX_LEVELS)
        return ns_fail(NS_EVERIFY, "'%s': feature %d has %lld levels, more than %d", file, (int)f,
                       (long long)levels->n, NS_MAX_LEVELS);
    for (int64_t i = 1; i < levels->n; i++)
        if (ns_texts_compare(levels, i - 1, levels, i) >= 0)
            return ns_fail(NS_EVERIFY,
                           "'%s': level %lld of feature %d does not stand behind the one before it", file,
                           (long long)i, (int)f);
    return NS_OK;
}

static ns_status check_features(const ns_gbdt_model *model, const char *file)
{
    if (model->n_features < 1) return ns_fail(NS_EVERIFY, "'%s' has no features", file);
    for (int32_t f = 0; f < model->n_features; f++) {
        if (model->names[f] == NULL || model->names[f][0] == '\0')
            return ns_fail(NS_EVERIFY, "'%s': feature %d has no name", file, (int)f);
        if (f > 0 && strcmp(model->names[f - 1], model->names[f]) >= 0)
            return ns_fail(NS_EVERIFY, "'%s': the name of feature %d does not stand behind the one before it",
                           file, (int)f);
        bool number = model->kinds[f] == NS_NUMBER;
        if (!number && model->kinds[f] != NS_CATEGORY)
            return ns_fail(NS_EVERIFY, "'%s': feature %d is of no known kind", file, (int)f);
        NS_TRY(check_cuts(model, f, file));
        NS_TRY(check_levels(model, f, file));
        int64_t n_levels = model->encodings[f].levels.n;
        int64_t n_bins = number ? model->n_cuts[f] + 2 : n_levels + NS_BIN_FIRST_LEVEL;
        if ((number && n_levels != 0) || (!number && model->n_cuts[f] != 0) || model->n_bins[f] != n_bins)
            return ns_fail(NS_EVERIFY, "'%s': feature %d has cuts or levels that its kind does not have",
                           file, (int)f);
    }
    return NS_OK;
}

/* *set_end: the end of the sets seen so far; sets stand in the order of their nodes (ns_trees_truncate needs
 * that). */
static ns_status check_split(const ns_gbdt_model *model, int64_t at, int64_t *set_end, const char *file)
{
    const ns_node *node = &model->trees->nodes[at];
    if (node->feature >= model->n_features) return wrong(file, at, "its feature is not one of the model's");
    if (!is_finite(node->gain)) return wrong(file, at, "its gain is not finite");
    if (node->leaf != 0) return wrong(file, at, "a split with a leaf's value");
    if (node->missing_left != 0 && node->missing_left != 1)
        return wrong(file, at, "missing_left is neither 0 nor 1");
    int32_t n_bins = model->n_bins[node->feature];
    if (model->kinds[node->feature] == NS_NUMBER) {
        if (node->set != -1) return wrong(file, at, "a split of a number with a set");
        if (node->threshold < 0 || node->threshold >= n_bins)
            return wrong(file, at, "its threshold is not a bin of its feature");
        return NS_OK;
    }
    int64_t n_words = (n_bins + 31) / 32;
    if (node->threshold != 0) return wrong(file, at, "a split of a category with a threshold");
    if (node->set < *set_end || node->set > model->trees->n_set_words - n_words)
        return wrong(file, at, "its set does not lie behind the one before it and within the sets");
    if ((int32_t)(model->trees->sets[node->set] & 1) != node->missing_left)
        return wrong(file, at, "missing_left is not the set's bit for missing");
    *set_end = node->set + n_words;
    return NS_OK;
}

static ns_status check_leaf(const ns_node *node, int64_t at, const char *file)
{
    if (node->feature != -1) return wrong(file, at, "its feature is neither -1 nor one of the model's");
    if (node->right != 0 || node->threshold != 0 || node->set != -1 || node->missing_left != 0 ||
        node->gain != 0.0)
        return wrong(file, at, "a leaf with parts of a split");
    return NS_OK;
}

/* One tree; stack has room for its nodes. */
static ns_status check_tree(const ns_gbdt_model *model, int64_t tree, int32_t *stack, int64_t *set_end,
                            const char *file)
{
    static const char *const NOT_PREORDER = "the nodes of its tree are not in preorder";
    int64_t first = model->trees->first[tree], n = model->trees->first[tree + 1] - first;
    int64_t depth = 0;
    for (int64_t i = 0; i < n; i++) {
        const ns_node *node = &model->trees->nodes[first + i];
        if (node->n_rows < 0) return wrong(file, first + i, "its number of rows is below 0");
        if (node->feature >= 0) {
            NS_TRY(check_split(model, first + i, set_end, file));
            stack[depth++] = node->right;
            continue;
        }
        NS_TRY(check_leaf(node, first + i, file));
        int64_t next = depth > 0 ? stack[--depth] : n;
        if (next != i + 1) return wrong(file, first + i, NOT_PREORDER);
    }
    /* a split as the last node leaves the stack full */
    return depth == 0 ? NS_OK : wrong(file, first + n - 1, NOT_PREORDER);
}

static ns_status check_trees(const ns_gbdt_model *model, const char *file)
{
    const ns_trees *trees = model->trees;
    if (trees->n_trees > MOST_TREES) return ns_fail(NS_EVERIFY, "'%s' has more than 2^30 trees", file);
    if (trees->first[0] != 0 || trees->first[trees->n_trees] != trees->n_nodes)
        return ns_fail(NS_EVERIFY, "'%s': its trees do not cover its nodes", file);
    int64_t most = 0;
    for (int64_t t = 0; t < trees->n_trees; t++) {
        /* each end is checked against the whole before a node is looked at */
        int64_t n = trees->first[t + 1] - trees->first[t];
        if (n < 1 || n > INT32_MAX || trees->first[t + 1] > trees->n_nodes)
            return ns_fail(NS_EVERIFY, "'%s': tree %lld has no nodes, or more than there are", file,
                           (long long)t);
        most = n > most ? n : most;
    }
    int32_t *stack = malloc(((size_t)most + 1) * sizeof *stack);
    if (stack == NULL) return ns_fail(NS_ENOMEM, "no memory to check '%s'", file);
    ns_status status = NS_OK;
    int64_t set_end = 0;
    for (int64_t t = 0; t < trees->n_trees && status == NS_OK; t++)
        status = check_tree(model, t, stack, &set_end, file);
    free(stack);
    return status;
}

/* Each class is known by its text. */
static ns_status check_classes(const ns_gbdt_model *model, const char *file)
{
    ns_texts sorted = {0};
    ns_status status = NS_OK;
    for (int64_t i = 0; i < model->classes.n && status == NS_OK; i++) {
        int64_t n = model->classes.offset[i + 1] - model->classes.offset[i];
        if (n == 0) status = ns_fail(NS_EVERIFY, "'%s': class %lld has no text", file, (long long)i);
        else status = ns_texts_append(&sorted, model->classes.bytes + model->classes.offset[i], n);
    }
    if (status == NS_OK) status = ns_texts_sort_unique(&sorted);
    if (status == NS_OK && sorted.n != model->classes.n) status = ns_fail(NS_EVERIFY, "'%s': two classes have the same text", file);
    ns_texts_destroy(&sorted);
    return status;
}

static ns_status check_outputs(const ns_gbdt_model *model, const char *file)
{
    bool multiclass = model->objective == NS_MULTICLASS;
    if (model->n_outputs != (multiclass ? model->classes.n : 1) || (multiclass && model->n_outputs < 3))
        return ns_fail(NS_EVERIFY, "'%s' has %d outputs and %lld classes", file, (int)model->n_outputs, (long long)model->classes.n);
    if (model->trees->n_trees % model->n_outputs != 0)
        return ns_fail(NS_EVERIFY, "'%s': its last round has not a tree for each of %d outputs", file, (int)model->n_outputs);
    for (int32_t i = 0; i < model->n_outputs; i++)
        if (model->base[i] < -MOST_BASE || model->base[i] > MOST_BASE)
            return ns_fail(NS_EVERIFY, "'%s': base is not from -2^61 to 2^61", file);
    return multiclass ? check_classes(model, file) : NS_OK;
}

ns_status ns_gbdt_check(const ns_gbdt_model *model, const char *name)
{
    if (model->objective < NS_BINARY || model->objective > NS_QUANTILE)
        return ns_fail(NS_EVERIFY, "'%s' has an unknown objective", name);
    bool free_scale = model->objective == NS_REGRESSION || model->objective == NS_QUANTILE;
    int least_k = free_scale ? NS_LEAST_FREE_K : 0, most_k = free_scale ? NS_MOST_FREE_K : MOST_K;
    if (model->k < least_k || model->k > most_k)
        return ns_fail(NS_EVERIFY, "'%s': k is %d, not from %d to %d", name, (int)model->k, least_k, most_k);
    if (model->objective == NS_QUANTILE ? !(model->quantile > 0 && model->quantile < 1) : model->quantile != 0)
        return ns_fail(NS_EVERIFY, "'%s': its quantile is not that of its objective", name);
    NS_TRY(check_outputs(model, name));
    NS_TRY(check_features(model, name));
    return check_trees(model, name);
}
