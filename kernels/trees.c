#include "kernels/trees.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Arrays grow by doubling; room_* never shrinks. `first` always has room for one entry more than trees. */

/* Gives *array room for `wanted` elements of `size` bytes; *room is what it has. */
static ns_status widen(void **array, int64_t *room, int64_t wanted, size_t size)
{
    if (wanted <= *room) return NS_OK;
    int64_t grown = 2 * *room < wanted ? wanted : 2 * *room;
    void *moved = realloc(*array, (size_t)grown * size);
    if (moved == NULL)
        return ns_fail(NS_ENOMEM, "not enough memory for trees: %lld bytes",
                       (long long)grown * (long long)size);
    *array = moved;
    *room = grown;
    return NS_OK;
}

ns_status ns_trees_create(ns_trees **out)
{
    ns_trees *trees = calloc(1, sizeof *trees);
    int64_t *first = calloc(1, sizeof *first);
    *out = trees;
    if (trees != NULL && first != NULL) {
        trees->first = first;
        return NS_OK;
    }
    free(trees);
    free(first);
    *out = NULL;
    return ns_fail(NS_ENOMEM, "not enough memory for an empty forest");
}

void ns_trees_destroy(ns_trees **trees)
{
    if (*trees == NULL) return;
    free((*trees)->first);
    free((*trees)->nodes);
    free((*trees)->sets);
    free(*trees);
    *trees = NULL;
}

ns_status ns_trees_reserve(ns_trees *trees, int64_t n_nodes, int64_t n_set_words)
{
    if (trees->n_set_words + n_set_words > INT32_MAX) /* ns_node.set is an int32_t */
        return ns_fail(NS_ENOMEM,
                       "the sets of category splits outgrow 2^31 words: use fewer rounds or leaves");
    int64_t room_first = trees->room_trees + 1;
    void *first = trees->first, *nodes = trees->nodes, *sets = trees->sets;
    ns_status status = widen(&first, &room_first, trees->n_trees + 2, sizeof *trees->first);
    trees->first = first;
    trees->room_trees = room_first - 1;
    if (status == NS_OK)
        status = widen(&nodes, &trees->room_nodes, trees->n_nodes + n_nodes, sizeof *trees->nodes);
    trees->nodes = nodes;
    if (status == NS_OK)
        status = widen(&sets, &trees->room_set_words, trees->n_set_words + n_set_words, sizeof *trees->sets);
    trees->sets = sets;
    return status;
}

ns_status ns_trees_append(ns_trees *trees, const ns_node *nodes, int64_t n_nodes, const uint32_t *sets,
                          int64_t n_set_words)
{
    NS_TRY(ns_trees_reserve(trees, n_nodes, n_set_words));
    memcpy(trees->nodes + trees->n_nodes, nodes, (size_t)n_nodes * sizeof *nodes);
    if (n_set_words > 0) memcpy(trees->sets + trees->n_set_words, sets, (size_t)n_set_words * sizeof *sets);
    for (int64_t i = trees->n_nodes; i < trees->n_nodes + n_nodes; i++)
        if (trees->nodes[i].set >= 0) trees->nodes[i].set += (int32_t)trees->n_set_words;
    trees->n_nodes += n_nodes;
    trees->n_set_words += n_set_words;
    trees->n_trees++;
    trees->first[trees->n_trees] = trees->n_nodes;
    return NS_OK;
}

void ns_trees_truncate(ns_trees *trees, int64_t n_trees)
{
    assert(0 <= n_trees && n_trees <= trees->n_trees);
    /* Sets lie in the order of their nodes, so the first dropped node with a set says where the kept words
     * end. */
    for (int64_t i = trees->first[n_trees]; i < trees->n_nodes; i++) {
        if (trees->nodes[i].set < 0) continue;
        trees->n_set_words = trees->nodes[i].set;
        break;
    }
    trees->n_trees = n_trees;
    trees->n_nodes = trees->first[n_trees];
}

ns_status ns_trees_append_all(ns_trees *trees, const ns_trees *from)
{
    int64_t first_node = trees->n_nodes, first_tree = trees->n_trees;
    int32_t first_word = (int32_t)trees->n_set_words;
    NS_TRY(ns_trees_reserve(trees, from->n_nodes, from->n_set_words));
    int64_t *first = realloc(trees->first, ((size_t)(first_tree + from->n_trees) + 2) * sizeof *first);
    if (first == NULL)
        return ns_fail(NS_ENOMEM, "not enough memory for %lld trees",
                       (long long)(first_tree + from->n_trees));
    trees->first = first;
    if (trees->room_trees < first_tree + from->n_trees + 1)
        trees->room_trees = first_tree + from->n_trees + 1;
    if (from->n_nodes > 0)
        memcpy(trees->nodes + first_node, from->nodes, (size_t)from->n_nodes * sizeof *trees->nodes);
    if (from->n_set_words > 0)
        memcpy(trees->sets + first_word, from->sets, (size_t)from->n_set_words * sizeof *trees->sets);
    for (int64_t i = first_node; i < first_node + from->n_nodes; i++)
        if (trees->nodes[i].set >= 0) trees->nodes[i].set += first_word;
    for (int64_t t = 1; t <= from->n_trees; t++) trees->first[first_tree + t] = first_node + from->first[t];
    trees->n_trees += from->n_trees;
    trees->n_nodes += from->n_nodes;
    trees->n_set_words += from->n_set_words;
    return NS_OK;
}
