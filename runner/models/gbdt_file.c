/*
 * The arrays of structs that training and scoring use, as one array a member in the file, and back. Reading
 * copies first (only what is needed to copy safely is checked on the way: lengths and offsets), then
 * ns_gbdt_check looks at the whole.
 */
#include "runner/models/gbdt_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/number.h"
#include "kernels/numerics.h"
#include "runner/models/gbdt_names.h"
#include "runner/objective.h"

#define FORMAT "nightshift-gbdt"
enum { FORMAT_VERSION = 1, MOST_METADATA = 10, N_NUMBERS = 6, NUMBER_TEXT = NS_NUMBER_ROOM };

/* --- writing --- */

/* The file's arrays that a model does not hold as they are. */
typedef struct arrays {
    int64_t *node_rows, *name_first, *cut_first, *level_first, *level_byte_first;
    double *node_gain;
    int32_t *node_feature, *node_right, *node_threshold, *node_set, *node_leaf;
    float *cuts;
    uint8_t *node_missing_left, *kind, *name_bytes, *level_bytes;
    int64_t n_name_bytes, n_cuts, n_levels, n_level_bytes;
} arrays;

static void free_arrays(arrays *a)
{
    free(a->node_rows);
    free(a->name_first);
    free(a->cut_first);
    free(a->level_first);
    free(a->level_byte_first);
    free(a->node_gain);
    free(a->node_feature);
    free(a->node_right);
    free(a->node_threshold);
    free(a->node_set);
    free(a->node_leaf);
    free(a->cuts);
    free(a->node_missing_left);
    free(a->kind);
    free(a->name_bytes);
    free(a->level_bytes);
}

static int64_t n_text_bytes(const ns_texts *texts)
{
    return texts->n == 0 ? 0 : texts->offset[texts->n] - texts->offset[0];
}

static void *room(int64_t n, size_t size)
{
    return malloc(((size_t)n + 1) * size);
}

static ns_status allocate(arrays *a, const ns_gbdt_model *model)
{
    memset(a, 0, sizeof *a);
    for (int32_t f = 0; f < model->n_features; f++) {
        a->n_name_bytes += (int64_t)strlen(model->names[f]);
        a->n_cuts += model->n_cuts[f];
        a->n_levels += model->encodings[f].levels.n;
        a->n_level_bytes += n_text_bytes(&model->encodings[f].levels);
    }
    int64_t n_nodes = model->trees->n_nodes, n_features = model->n_features;
    a->node_rows = room(n_nodes, sizeof *a->node_rows);
    a->node_gain = room(n_nodes, sizeof *a->node_gain);
    a->node_feature = room(n_nodes, sizeof *a->node_feature);
    a->node_right = room(n_nodes, sizeof *a->node_right);
    a->node_threshold = room(n_nodes, sizeof *a->node_threshold);
    a->node_set = room(n_nodes, sizeof *a->node_set);
    a->node_leaf = room(n_nodes, sizeof *a->node_leaf);
    a->node_missing_left = room(n_nodes, sizeof *a->node_missing_left);
    a->kind = room(n_features, sizeof *a->kind);
    a->name_first = room(n_features, sizeof *a->name_first);
    a->cut_first = room(n_features, sizeof *a->cut_first);
    a->level_first = room(n_features, sizeof *a->level_first);
    a->level_byte_first = room(a->n_levels, sizeof *a->level_byte_first);
    a->cuts = room(a->n_cuts, sizeof *a->cuts);
    a->name_bytes = room(a->n_name_bytes, 1);
    a->level_bytes = room(a->n_level_bytes, 1);
    bool whole = a->node_rows != NULL && a->node_gain != NULL && a->node_feature != NULL &&
                 a->node_right != NULL && a->node_threshold != NULL && a->node_set != NULL &&
                 a->node_leaf != NULL && a->node_missing_left != NULL && a->kind != NULL &&
                 a->name_first != NULL && a->cut_first != NULL && a->level_first != NULL &&
                 a->level_byte_first != NULL && a->cuts != NULL && a->name_bytes != NULL &&
                 a->level_bytes != NULL;
    return whole ? NS_OK : ns_fail(NS_ENOMEM, "no memory to write a model of %lld nodes", (long long)n_nodes);
}

static void fill_nodes(arrays *a, const ns_trees *trees)
{
    for (int64_t i = 0; i < trees->n_nodes; i++) {
        const ns_node *node = &trees->nodes[i];
        a->node_rows[i] = node->n_rows;
        a->node_gain[i] = node->gain;
        a->node_feature[i] = node->feature;
        a->node_right[i] = node->right;
        a->node_threshold[i] = node->threshold;
        a->node_set[i] = node->set;
        a->node_leaf[i] = node->leaf;
        a->node_missing_left[i] = (uint8_t)node->missing_left;
    }
}

static void fill_features(arrays *a, const ns_gbdt_model *model)
{
    int64_t name_at = 0, cut_at = 0, level_at = 0, byte_at = 0;
    for (int32_t f = 0; f < model->n_features; f++) {
        a->kind[f] = (uint8_t)model->kinds[f];
        a->name_first[f] = name_at;
        a->cut_first[f] = cut_at;
        a->level_first[f] = level_at;
        size_t n_name = strlen(model->names[f]);
        memcpy(a->name_bytes + name_at, model->names[f], n_name);
        name_at += (int64_t)n_name;
        if (model->n_cuts[f] > 0)
            memcpy(a->cuts + cut_at, model->cuts[f], (size_t)model->n_cuts[f] * sizeof *a->cuts);
        cut_at += model->n_cuts[f];
        const ns_texts *levels = &model->encodings[f].levels;
        for (int64_t i = 0; i < levels->n; i++) {
            int64_t n_bytes = levels->offset[i + 1] - levels->offset[i];
            a->level_byte_first[level_at++] = byte_at;
            if (n_bytes > 0)
                memcpy(a->level_bytes + byte_at, levels->bytes + levels->offset[i], (size_t)n_bytes);
            byte_at += n_bytes;
        }
    }
    a->name_first[model->n_features] = name_at;
    a->cut_first[model->n_features] = cut_at;
    a->level_first[model->n_features] = level_at;
    a->level_byte_first[level_at] = byte_at;
}

static ns_tensor vector(const char *name, ns_dtype dtype, const void *data, int64_t n)
{
    return (ns_tensor){.name = name, .dtype = dtype, .n_dims = 1, .shape = {n, 0}, .data = data};
}

/* The model's tensors, then the extra ones; returns how many. */
static int32_t list_tensors(ns_tensor *out, const ns_gbdt_model *model, const arrays *a,
                            const ns_gbdt_extra *extra)
{
    const ns_trees *trees = model->trees;
    int64_t n_nodes = trees->n_nodes, n_features = model->n_features;
    int32_t n = 0;
    out[n++] = vector(TREE_FIRST, NS_I64, trees->first, trees->n_trees + 1);
    out[n++] = vector(NODE_ROWS, NS_I64, a->node_rows, n_nodes);
    out[n++] = vector(NODE_GAIN, NS_F64, a->node_gain, n_nodes);
    out[n++] = vector(FEATURE_NAME_FIRST, NS_I64, a->name_first, n_features + 1);
    out[n++] = vector(CUT_FIRST, NS_I64, a->cut_first, n_features + 1);
    out[n++] = vector(LEVEL_FIRST, NS_I64, a->level_first, n_features + 1);
    out[n++] = vector(LEVEL_BYTE_FIRST, NS_I64, a->level_byte_first, a->n_levels + 1);
    if (model->objective == NS_MULTICLASS) {
        out[n++] = vector(OUTPUT_BASE, NS_I64, model->base, model->n_outputs);
        out[n++] = vector(CLASS_BYTE_FIRST, NS_I64, model->classes.offset, model->n_outputs + 1);
    }
    out[n++] = vector(NODE_FEATURE, NS_I32, a->node_feature, n_nodes);
    out[n++] = vector(NODE_RIGHT, NS_I32, a->node_right, n_nodes);
    out[n++] = vector(NODE_THRESHOLD, NS_I32, a->node_threshold, n_nodes);
    out[n++] = vector(NODE_SET, NS_I32, a->node_set, n_nodes);
    out[n++] = vector(NODE_LEAF, NS_I32, a->node_leaf, n_nodes);
    out[n++] = vector(CUT_VALUES, NS_F32, a->cuts, a->n_cuts);
    out[n++] = vector(SET_WORDS, NS_U32, trees->sets, trees->n_set_words);
    out[n++] = vector(NODE_MISSING_LEFT, NS_U8, a->node_missing_left, n_nodes);
    out[n++] = vector(FEATURE_KIND, NS_U8, a->kind, n_features);
    out[n++] = vector(FEATURE_NAME_BYTES, NS_U8, a->name_bytes, a->n_name_bytes);
    out[n++] = vector(LEVEL_BYTES, NS_U8, a->level_bytes, a->n_level_bytes);
    if (model->objective == NS_MULTICLASS)
        out[n++] = vector(CLASS_BYTES, NS_U8, model->classes.bytes, n_text_bytes(&model->classes));
    for (int32_t i = 0; i < extra->n_tensors; i++) out[n++] = extra->tensors[i];
    return n;
}

static int32_t pair(const char **out, int32_t n, const char *key, const char *value)
{
    out[2 * n] = key;
    out[2 * n + 1] = value;
    return n + 1;
}

/* numbers: room for the texts of numbers. Returns how many pairs. */
static int32_t list_metadata(const char **out, char (*numbers)[NUMBER_TEXT], const ns_gbdt_model *model,
                             const ns_gbdt_extra *extra)
{
    int32_t n = 0;
    snprintf(numbers[0], NUMBER_TEXT, "%d", (int)model->k);
    snprintf(numbers[1], NUMBER_TEXT, "%" PRId64, model->base[0]);
    snprintf(numbers[2], NUMBER_TEXT, "%d", model->numerics_version);
    snprintf(numbers[3], NUMBER_TEXT, "%" PRId64, model->trees->n_trees);
    snprintf(numbers[4], NUMBER_TEXT, "%d", (int)model->n_features);
    n = pair(out, n, "format", FORMAT);
    n = pair(out, n, "format_version", "1");
    n = pair(out, n, "objective", ns_objective_name(model->objective));
    n = pair(out, n, "link", ns_objective_link(model->objective));
    n = pair(out, n, "k", numbers[0]);
    if (model->objective != NS_MULTICLASS) n = pair(out, n, "base", numbers[1]);
    n = pair(out, n, "numerics_version", numbers[2]);
    n = pair(out, n, "n_trees", numbers[3]);
    n = pair(out, n, "n_features", numbers[4]);
    if (model->objective == NS_MULTICLASS) {
        snprintf(numbers[5], NUMBER_TEXT, "%d", (int)model->n_outputs);
        n = pair(out, n, "n_outputs", numbers[5]);
    } else if (model->objective == NS_QUANTILE) {
        ns_number_write(numbers[5], model->quantile);
        n = pair(out, n, "quantile", numbers[5]);
    }
    for (int32_t i = 0; i < extra->n_metadata; i++) n = pair(out, n, extra->metadata[2 * i], extra->metadata[2 * i + 1]);
    return n;
}

ns_status ns_gbdt_build_with(const ns_gbdt_model *model, const ns_gbdt_extra *extra, uint8_t **bytes,
                             size_t *n_bytes)
{
    *bytes = NULL;
    *n_bytes = 0;
    arrays a;
    ns_status status = allocate(&a, model);
    ns_tensor *tensors = malloc((size_t)(N_TENSORS + extra->n_tensors) * sizeof *tensors);
    const char **metadata = malloc((size_t)(2 * (MOST_METADATA + extra->n_metadata)) * sizeof *metadata);
    if (status == NS_OK && (tensors == NULL || metadata == NULL))
        status = ns_fail(NS_ENOMEM, "no memory to write a model");
    if (status == NS_OK) {
        char numbers[N_NUMBERS][NUMBER_TEXT];
        fill_nodes(&a, model->trees);
        fill_features(&a, model);
        int32_t n_tensors = list_tensors(tensors, model, &a, extra);
        int32_t n_metadata = list_metadata(metadata, numbers, model, extra);
        status = ns_safetensors_build(bytes, n_bytes, metadata, n_metadata, tensors, n_tensors);
    }
    free(tensors);
    free(metadata);
    free_arrays(&a);
    return status;
}

ns_status ns_gbdt_build(const ns_gbdt_model *model, uint8_t **bytes, size_t *n_bytes)
{
    const ns_gbdt_extra none = {NULL, 0, NULL, 0};
    return ns_gbdt_build_with(model, &none, bytes, n_bytes);
}

/* --- reading --- */

/* A file being read: every tensor as found. */
typedef struct reader {
    const ns_safetensors *file;
    const char *name;
    int numerics_version;
    ns_objective objective;
    int32_t n_features, n_outputs;
    int64_t n_class_bytes;
    const int64_t *output_base, *class_byte_first; /* multiclass */
    const uint8_t *class_bytes;
    int64_t n_trees, n_nodes, n_set_words, n_cuts, n_levels, n_level_bytes, n_name_bytes;
    const int64_t *tree_first, *node_rows, *name_first, *cut_first, *level_first, *level_byte_first;
    const double *node_gain;
    const int32_t *node_feature, *node_right, *node_threshold, *node_set, *node_leaf;
    const float *cuts;
    const uint32_t *set_words;
    const uint8_t *node_missing_left, *kind, *name_bytes, *level_bytes;
} reader;

/* A whole number from least to most, written as we write it. */
static ns_status read_number(int64_t *out, const reader *r, const char *key, int64_t least, int64_t most)
{
    const char *text = ns_safetensors_metadata(r->file, key);
    char again[NUMBER_TEXT];
    *out = text == NULL ? 0 : strtoll(text, NULL, 10);
    snprintf(again, sizeof again, "%" PRId64, *out);
    if (text == NULL || strcmp(text, again) != 0 || *out < least || *out > most)
        return ns_fail(NS_EVERIFY, "'%s': its metadata have no '%s' from %" PRId64 " to %" PRId64, r->name,
                       key, least, most);
    return NS_OK;
}

static ns_status expect_text(const reader *r, const char *key, const char *want)
{
    const char *text = ns_safetensors_metadata(r->file, key);
    if (text != NULL && strcmp(text, want) == 0) return NS_OK;
    return ns_fail(NS_EVERIFY, "'%s': its metadata have no '%s' that is '%s'", r->name, key, want);
}

/* What is learned, before any tensor is looked for. */
static ns_status read_objective(reader *r)
{
    const char *text = ns_safetensors_metadata(r->file, "objective");
    int64_t n_outputs;
    if (text == NULL || !ns_objective_find(text, &r->objective))
        return ns_fail(NS_EVERIFY, "'%s': its metadata have no 'objective' that this program knows", r->name);
    NS_TRY(expect_text(r, "link", ns_objective_link(r->objective)));
    r->n_outputs = 1;
    if (r->objective != NS_MULTICLASS) return NS_OK;
    NS_TRY(read_number(&n_outputs, r, "n_outputs", 3, INT32_MAX - 1));
    r->n_outputs = (int32_t)n_outputs;
    return NS_OK;
}

static ns_status read_quantile(double *out, const reader *r)
{
    const char *text = ns_safetensors_metadata(r->file, "quantile");
    char again[NS_NUMBER_ROOM] = "";
    if (text != NULL && ns_number_read(text, strlen(text), out)) ns_number_write(again, *out);
    if (text != NULL && strcmp(text, again) == 0 && *out > 0 && *out < 1) return NS_OK;
    return ns_fail(NS_EVERIFY, "'%s': its metadata have no 'quantile' between 0 and 1", r->name);
}

static ns_status read_metadata(ns_gbdt_model *model, const reader *r)
{
    int64_t number;
    bool free_scale = r->objective == NS_REGRESSION || r->objective == NS_QUANTILE; /* labels of any size */
    model->objective = r->objective;
    NS_TRY(read_number(&number, r, "k", free_scale ? NS_LEAST_FREE_K : 0, free_scale ? NS_MOST_FREE_K : 62));
    model->k = (int32_t)number;
    if (r->objective != NS_MULTICLASS) NS_TRY(read_number(model->base, r, "base", INT64_MIN, INT64_MAX));
    if (r->objective == NS_QUANTILE) NS_TRY(read_quantile(&model->quantile, r));
    model->numerics_version = r->numerics_version;
    return NS_OK;
}

/* A tensor of n elements; n < 0: of any number, which *n_found receives. */
static ns_status get(const reader *r, const char *tensor, ns_dtype dtype, int64_t n, const void **data,
                     int64_t *n_found)
{
    return ns_safetensors_get(r->file, tensor, dtype, n, data, n_found);
}

static ns_status get_i64(const reader *r, const char *tensor, int64_t n, const int64_t **out)
{
    const void *data = NULL;
    NS_TRY(get(r, tensor, NS_I64, n, &data, NULL));
    *out = data;
    return NS_OK;
}

static ns_status get_i32(const reader *r, const char *tensor, int64_t n, const int32_t **out,
                         int64_t *n_found)
{
    const void *data = NULL;
    NS_TRY(get(r, tensor, NS_I32, n, &data, n_found));
    *out = data;
    return NS_OK;
}

static ns_status get_u8(const reader *r, const char *tensor, int64_t n, const uint8_t **out, int64_t *n_found)
{
    const void *data = NULL;
    NS_TRY(get(r, tensor, NS_U8, n, &data, n_found));
    *out = data;
    return NS_OK;
}

static ns_status find_tensors(reader *r)
{
    const void *data = NULL;
    if (r->objective == NS_MULTICLASS) {
        NS_TRY(get_i64(r, OUTPUT_BASE, r->n_outputs, &r->output_base));
        NS_TRY(get_i64(r, CLASS_BYTE_FIRST, (int64_t)r->n_outputs + 1, &r->class_byte_first));
        NS_TRY(get_u8(r, CLASS_BYTES, -1, &r->class_bytes, &r->n_class_bytes));
    }
    NS_TRY(get_i32(r, NODE_FEATURE, -1, &r->node_feature, &r->n_nodes));
    NS_TRY(get_i32(r, NODE_RIGHT, r->n_nodes, &r->node_right, NULL));
    NS_TRY(get_i32(r, NODE_THRESHOLD, r->n_nodes, &r->node_threshold, NULL));
    NS_TRY(get_i32(r, NODE_SET, r->n_nodes, &r->node_set, NULL));
    NS_TRY(get_i32(r, NODE_LEAF, r->n_nodes, &r->node_leaf, NULL));
    NS_TRY(get_u8(r, NODE_MISSING_LEFT, r->n_nodes, &r->node_missing_left, NULL));
    NS_TRY(get_i64(r, NODE_ROWS, r->n_nodes, &r->node_rows));
    NS_TRY(get(r, NODE_GAIN, NS_F64, r->n_nodes, &data, NULL));
    r->node_gain = data;
    NS_TRY(get_i64(r, TREE_FIRST, r->n_trees + 1, &r->tree_first));
    NS_TRY(get(r, SET_WORDS, NS_U32, -1, &data, &r->n_set_words));
    r->set_words = data;
    NS_TRY(get_u8(r, FEATURE_KIND, r->n_features, &r->kind, NULL));
    NS_TRY(get_i64(r, FEATURE_NAME_FIRST, r->n_features + 1, &r->name_first));
    NS_TRY(get_u8(r, FEATURE_NAME_BYTES, -1, &r->name_bytes, &r->n_name_bytes));
    NS_TRY(get_i64(r, CUT_FIRST, r->n_features + 1, &r->cut_first));
    NS_TRY(get(r, CUT_VALUES, NS_F32, -1, &data, &r->n_cuts));
    r->cuts = data;
    NS_TRY(get_i64(r, LEVEL_FIRST, r->n_features + 1, &r->level_first));
    NS_TRY(get_u8(r, LEVEL_BYTES, -1, &r->level_bytes, &r->n_level_bytes));
    r->n_levels = r->level_first[r->n_features];
    if (r->n_levels < 0 || r->n_levels > r->n_features * (int64_t)NS_MAX_LEVELS)
        return ns_fail(NS_EVERIFY, "'%s': tensor '%s' ends at no number of levels", r->name, LEVEL_FIRST);
    return get_i64(r, LEVEL_BYTE_FIRST, r->n_levels + 1, &r->level_byte_first);
}

/* first[0 .. n] cut [0, total) into n pieces. */
static ns_status check_pieces(const reader *r, const char *tensor, const int64_t *first, int64_t n,
                              int64_t total)
{
    bool good = first[0] == 0 && first[n] == total;
    for (int64_t i = 0; i < n && good; i++) good = first[i] <= first[i + 1];
    return good ? NS_OK
                : ns_fail(NS_EVERIFY, "'%s': tensor '%s' does not rise from 0 to %" PRId64, r->name, tensor,
                          total);
}

static ns_status read_trees(ns_trees *trees, const reader *r)
{
    NS_TRY(check_pieces(r, TREE_FIRST, r->tree_first, r->n_trees, r->n_nodes));
    int64_t *first = realloc(trees->first, ((size_t)r->n_trees + 1) * sizeof *first);
    if (first != NULL) trees->first = first;
    trees->nodes = malloc(((size_t)r->n_nodes + 1) * sizeof *trees->nodes);
    trees->sets = malloc(((size_t)r->n_set_words + 1) * sizeof *trees->sets);
    if (first == NULL || trees->nodes == NULL || trees->sets == NULL)
        return ns_fail(NS_ENOMEM, "no memory for the trees of '%s'", r->name);
    memcpy(trees->first, r->tree_first, ((size_t)r->n_trees + 1) * sizeof *first);
    if (r->n_set_words > 0) memcpy(trees->sets, r->set_words, (size_t)r->n_set_words * sizeof *trees->sets);
    for (int64_t i = 0; i < r->n_nodes; i++)
        trees->nodes[i] = (ns_node){.feature = r->node_feature[i],
                                    .right = r->node_right[i],
                                    .threshold = r->node_threshold[i],
                                    .set = r->node_set[i],
                                    .missing_left = r->node_missing_left[i],
                                    .leaf = r->node_leaf[i],
                                    .gain = r->node_gain[i],
                                    .n_rows = r->node_rows[i]};
    trees->n_trees = trees->room_trees = r->n_trees;
    trees->n_nodes = trees->room_nodes = r->n_nodes;
    trees->n_set_words = trees->room_set_words = r->n_set_words;
    return NS_OK;
}

static ns_status read_category(ns_gbdt_model *model, int32_t f, const char *feature, const reader *r)
{
    ns_texts levels = {0};
    ns_status status = NS_OK;
    for (int64_t i = r->level_first[f]; i < r->level_first[f + 1] && status == NS_OK; i++) {
        int64_t first = r->level_byte_first[i];
        status = ns_texts_append(&levels, (const char *)r->level_bytes + first,
                                 r->level_byte_first[i + 1] - first);
    }
    if (status == NS_OK) status = ns_gbdt_set_category(model, f, feature, &levels);
    ns_texts_destroy(&levels);
    return status;
}

static ns_status read_feature(ns_gbdt_model *model, int32_t f, const reader *r)
{
    int64_t n_name = r->name_first[f + 1] - r->name_first[f], n_cuts = r->cut_first[f + 1] - r->cut_first[f];
    const uint8_t *bytes = r->name_bytes + r->name_first[f];
    bool category = r->kind[f] == NS_CATEGORY;
    int64_t n_levels = r->level_first[f + 1] - r->level_first[f];
    if (r->kind[f] != NS_NUMBER && !category)
        return ns_fail(NS_EVERIFY, "'%s': feature %d is of no known kind", r->name, (int)f);
    if (n_name > 0 && memchr(bytes, 0, (size_t)n_name) != NULL)
        return ns_fail(NS_EVERIFY, "'%s': the name of feature %d holds a byte 0", r->name, (int)f);
    if ((category ? n_cuts : n_levels) != 0)
        return ns_fail(NS_EVERIFY, "'%s': feature %d has cuts or levels that its kind does not have", r->name,
                       (int)f);
    if (n_cuts > INT32_MAX - 2 || n_levels > NS_MAX_LEVELS)
        return ns_fail(NS_EVERIFY, "'%s': feature %d has too many cuts or levels", r->name, (int)f);
    char *feature = malloc((size_t)n_name + 1);
    if (feature == NULL) return ns_fail(NS_ENOMEM, "no memory for the features of '%s'", r->name);
    if (n_name > 0) memcpy(feature, bytes, (size_t)n_name);
    feature[n_name] = '\0';
    ns_status status =
        category ? read_category(model, f, feature, r)
                 : ns_gbdt_set_number(model, f, feature, r->cuts + r->cut_first[f], (int32_t)n_cuts);
    free(feature);
    return status;
}

static ns_status read_features(ns_gbdt_model *model, const reader *r)
{
    NS_TRY(check_pieces(r, FEATURE_NAME_FIRST, r->name_first, r->n_features, r->n_name_bytes));
    NS_TRY(check_pieces(r, CUT_FIRST, r->cut_first, r->n_features, r->n_cuts));
    NS_TRY(check_pieces(r, LEVEL_FIRST, r->level_first, r->n_features, r->n_levels));
    NS_TRY(check_pieces(r, LEVEL_BYTE_FIRST, r->level_byte_first, r->n_levels, r->n_level_bytes));
    for (int32_t f = 0; f < r->n_features; f++) NS_TRY(read_feature(model, f, r));
    return NS_OK;
}

/* Multiclass: what each output stands for, and its base. */
static ns_status read_classes(ns_gbdt_model *model, const reader *r)
{
    ns_texts classes = {0};
    ns_status status = check_pieces(r, CLASS_BYTE_FIRST, r->class_byte_first, r->n_outputs, r->n_class_bytes);
    for (int32_t i = 0; i < r->n_outputs && status == NS_OK; i++)
        status = ns_texts_append(&classes, (const char *)r->class_bytes + r->class_byte_first[i],
                                 r->class_byte_first[i + 1] - r->class_byte_first[i]);
    if (status == NS_OK) status = ns_gbdt_set_classes(model, &classes);
    if (status == NS_OK) memcpy(model->base, r->output_base, (size_t)r->n_outputs * sizeof *model->base);
    ns_texts_destroy(&classes);
    return status;
}

/* Whether it is a model of ours that this program knows. */
static ns_status check_format(reader *r)
{
    int64_t version;
    NS_TRY(expect_text(r, "format", FORMAT));
    NS_TRY(read_number(&version, r, "format_version", 1, INT32_MAX));
    if (version > FORMAT_VERSION)
        return ns_fail(NS_EINVAL, "'%s' has format version %" PRId64 "; this program reads up to %d: use a newer nightshift", r->name, version,
                       FORMAT_VERSION);
    NS_TRY(read_number(&version, r, "numerics_version", 1, 1000000));
    if (version > NS_NUMERICS_VERSION) /* its scores may follow from arithmetic that is not here */
        return ns_fail(NS_EINVAL, "'%s' is of numerics version %" PRId64 "; this program knows up to %d: use a newer nightshift", r->name,
                       version, NS_NUMERICS_VERSION);
    r->numerics_version = (int)version;
    return NS_OK;
}

ns_status ns_gbdt_read(ns_gbdt_model **out, const ns_safetensors *file, const char *name)
{
    *out = NULL;
    reader r = {.file = file, .name = name};
    NS_TRY(check_format(&r));
    NS_TRY(read_objective(&r));
    int64_t n_features;
    NS_TRY(read_number(&n_features, &r, "n_features", 1, INT64_C(1) << 24));
    NS_TRY(read_number(&r.n_trees, &r, "n_trees", 0, INT64_C(1) << 30));
    r.n_features = (int32_t)n_features;
    NS_TRY(find_tensors(&r)); /* from here the file's size vouches for every number above */

    ns_gbdt_model *model = NULL;
    NS_TRY(ns_gbdt_create(&model, r.n_features));
    ns_status status = r.objective == NS_MULTICLASS ? read_classes(model, &r) : NS_OK;
    if (status == NS_OK) status = read_metadata(model, &r);
    if (status == NS_OK) status = read_features(model, &r);
    if (status == NS_OK) status = read_trees(model->trees, &r);
    if (status == NS_OK) status = ns_gbdt_check(model, name);
    if (status != NS_OK) ns_gbdt_destroy(&model);
    *out = model;
    return status;
}

ns_status ns_gbdt_parse(ns_gbdt_model **out, const uint8_t *bytes, size_t n_bytes, const char *name)
{
    *out = NULL;
    ns_safetensors *file = NULL;
    NS_TRY(ns_safetensors_parse(&file, bytes, n_bytes, name));
    ns_status status = ns_gbdt_read(out, file, name);
    ns_safetensors_close(&file);
    return status;
}
