/* The tree model's file: there and back, and every way in which a file can be wrong. */
#include <math.h>

#include "kernels/numerics.h"
#include "runner/json.h"
#include "runner/models/gbdt_file.h"
#include "tests/check.h"
#include "tests/runner/random_model.h"

static const char NAME[] = "model.safetensors";

static void build(const ns_gbdt_model *model, uint8_t **bytes, size_t *n)
{
    CHECK_OK(ns_gbdt_build(model, bytes, n));
}

static void check_equal(const ns_gbdt_model *a, const ns_gbdt_model *b)
{
    assert_int_equal(a->objective, b->objective);
    assert_int_equal(a->numerics_version, b->numerics_version);
    assert_int_equal(a->k, b->k);
    assert_true(a->base[0] == b->base[0]);
    assert_int_equal(a->n_features, b->n_features);
    for (int32_t f = 0; f < a->n_features; f++) {
        const ns_texts *x = &a->encodings[f].levels, *y = &b->encodings[f].levels;
        assert_string_equal(a->names[f], b->names[f]);
        assert_int_equal(a->kinds[f], b->kinds[f]);
        assert_int_equal(a->n_bins[f], b->n_bins[f]);
        assert_int_equal(a->n_cuts[f], b->n_cuts[f]);
        if (a->n_cuts[f] > 0)
            assert_memory_equal(a->cuts[f], b->cuts[f], (size_t)a->n_cuts[f] * sizeof(float));
        assert_int_equal(x->n, y->n);
        for (int64_t i = 0; i < x->n; i++) assert_int_equal(ns_texts_compare(x, i, y, i), 0);
    }
    assert_int_equal(a->trees->n_trees, b->trees->n_trees);
    assert_int_equal(a->trees->n_nodes, b->trees->n_nodes);
    assert_int_equal(a->trees->n_set_words, b->trees->n_set_words);
    assert_memory_equal(a->trees->first, b->trees->first, (size_t)(a->trees->n_trees + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < a->trees->n_nodes; i++)
        assert_memory_equal(&a->trees->nodes[i], &b->trees->nodes[i], sizeof(ns_node));
    for (int64_t i = 0; i < a->trees->n_set_words; i++)
        assert_int_equal(a->trees->sets[i], b->trees->sets[i]);
}

static void there_and_back(void **state)
{
    (void)state;
    for (int64_t n_trees = 0; n_trees < 40; n_trees += 3) {
        uint8_t *bytes, *again;
        size_t n, n_again;
        ns_gbdt_model *model = random_model((uint64_t)n_trees + 1, n_trees, 12), *read = NULL;
        build(model, &bytes, &n);
        CHECK_OK(ns_gbdt_parse(&read, bytes, n, NAME));
        check_equal(model, read);
        build(read, &again, &n_again);
        assert_int_equal(n, n_again);
        assert_memory_equal(bytes, again, n);
        /* what was read can grow and be cut back like what was trained */
        const ns_node leaf = {.feature = -1, .set = -1, .leaf = 5};
        CHECK_OK(ns_trees_append(read->trees, &leaf, 1, NULL, 0));
        CHECK_OK(ns_gbdt_check(read, NAME));
        ns_trees_truncate(read->trees, n_trees);
        free(again);
        build(read, &again, &n_again);
        assert_int_equal(n, n_again);
        assert_memory_equal(bytes, again, n);
        free(bytes);
        free(again);
        ns_gbdt_destroy(&model);
        ns_gbdt_destroy(&read);
        assert_null(read);
    }
}

static void extra_entries_travel_along(void **state)
{
    (void)state;
    const int64_t losses[3] = {7, -8, 9};
    const char *const metadata[] = {"round", "12", "best", "3"};
    const ns_tensor tensor = {
        .name = "log.loss", .dtype = NS_I64, .n_dims = 1, .shape = {3, 0}, .data = losses};
    const ns_gbdt_extra extra = {metadata, 2, &tensor, 1};
    ns_gbdt_model *model = random_model(3, 5, 6), *read = NULL;
    ns_safetensors *file = NULL;
    uint8_t *bytes;
    size_t n;
    const void *data = NULL;
    CHECK_OK(ns_gbdt_build_with(model, &extra, &bytes, &n));
    CHECK_OK(ns_safetensors_parse(&file, bytes, n, NAME));
    CHECK_OK(ns_gbdt_read(&read, file, NAME));
    check_equal(model, read);
    assert_string_equal(ns_safetensors_metadata(file, "best"), "3");
    CHECK_OK(ns_safetensors_get(file, "log.loss", NS_I64, 3, &data, NULL));
    assert_memory_equal(data, losses, sizeof losses);
    ns_safetensors_close(&file);
    ns_gbdt_destroy(&read);
    ns_gbdt_destroy(&model);
    free(bytes);
}

/* --- models that no training makes: written as they are, refused when read --- */

static int64_t first_split(const ns_gbdt_model *model, ns_feature_kind kind)
{
    for (int64_t i = 0; i < model->trees->n_nodes; i++) {
        int32_t f = model->trees->nodes[i].feature;
        if (f >= 0 && model->kinds[f] == kind) return i;
    }
    fail_msg("the model has no such split");
    return -1;
}

static ns_node *split_of(ns_gbdt_model *model, ns_feature_kind kind)
{
    return &model->trees->nodes[first_split(model, kind)];
}

static ns_node *leaf_of(ns_gbdt_model *model)
{
    ns_node *node = model->trees->nodes;
    while (node->feature >= 0) node++;
    return node;
}

static void bad_feature(ns_gbdt_model *m)
{
    split_of(m, NS_NUMBER)->feature = RANDOM_N_FEATURES;
}
static void bad_leaf_feature(ns_gbdt_model *m)
{
    leaf_of(m)->feature = -2;
}
static void bad_right(ns_gbdt_model *m)
{
    split_of(m, NS_NUMBER)->right++;
}
static void right_to_itself(ns_gbdt_model *m)
{
    ns_node *node = split_of(m, NS_NUMBER);
    node->right = (int32_t)(node - m->trees->nodes);
}
static void right_far_away(ns_gbdt_model *m)
{
    split_of(m, NS_CATEGORY)->right = INT32_MAX;
}
static void right_before(ns_gbdt_model *m)
{
    split_of(m, NS_NUMBER)->right = -1;
}
static void leaf_with_right(ns_gbdt_model *m)
{
    leaf_of(m)->right = 1;
}
static void leaf_with_set(ns_gbdt_model *m)
{
    leaf_of(m)->set = 0;
}
static void split_with_leaf(ns_gbdt_model *m)
{
    split_of(m, NS_NUMBER)->leaf = 1;
}
static void high_threshold(ns_gbdt_model *m)
{
    ns_node *node = split_of(m, NS_NUMBER);
    node->threshold = m->n_bins[node->feature];
}
static void low_threshold(ns_gbdt_model *m)
{
    split_of(m, NS_NUMBER)->threshold = -1;
}
static void number_with_set(ns_gbdt_model *m)
{
    split_of(m, NS_NUMBER)->set = 0;
}
static void category_with_threshold(ns_gbdt_model *m)
{
    split_of(m, NS_CATEGORY)->threshold = 1;
}
static void category_without_set(ns_gbdt_model *m)
{
    split_of(m, NS_CATEGORY)->set = -1;
}
static void set_beyond(ns_gbdt_model *m)
{
    split_of(m, NS_CATEGORY)->set = (int32_t)m->trees->n_set_words;
}
static void set_too_short(ns_gbdt_model *m)
{
    m->trees->n_set_words--;
}
static void missing_of_two(ns_gbdt_model *m)
{
    split_of(m, NS_NUMBER)->missing_left = 2;
}
static void missing_not_the_bit(ns_gbdt_model *m)
{
    split_of(m, NS_CATEGORY)->missing_left ^= 1;
}
static void infinite_gain(ns_gbdt_model *m)
{
    split_of(m, NS_NUMBER)->gain = INFINITY;
}
static void negative_rows(ns_gbdt_model *m)
{
    leaf_of(m)->n_rows = -1;
}
static void empty_tree(ns_gbdt_model *m)
{
    m->trees->first[1] = 0;
}
static void falling_trees(ns_gbdt_model *m)
{
    m->trees->first[2] = m->trees->n_nodes + 5;
}
static void trees_too_few(ns_gbdt_model *m)
{
    m->trees->first[m->trees->n_trees]--;
}
static void torn_tree(ns_gbdt_model *m)
{
    int64_t t = 0;
    while (m->trees->first[t + 1] - m->trees->first[t] < 3) t++;
    m->trees->first[t + 1]--;
}
static void equal_cuts(ns_gbdt_model *m)
{
    m->cuts[0][7] = m->cuts[0][6];
}
static void nan_cut(ns_gbdt_model *m)
{
    m->cuts[0][0] = NAN;
}
static void infinite_cut(ns_gbdt_model *m)
{
    m->cuts[0][253] = INFINITY;
}
static void levels_out_of_order(ns_gbdt_model *m)
{
    ns_texts *levels = &m->encodings[5].levels;
    levels->bytes[levels->offset[levels->n - 1]] = 'A';
}
static void names_out_of_order(ns_gbdt_model *m)
{
    m->names[3][0] = 'z';
}
static void name_twice(ns_gbdt_model *m)
{
    memcpy(m->names[3], "crp", 4);
    memcpy(m->names[2], "crp", 4);
}
static void name_empty(ns_gbdt_model *m)
{
    m->names[0][0] = '\0';
}
static void unknown_kind(ns_gbdt_model *m)
{
    m->kinds[3] = (ns_feature_kind)2;
}
static void cuts_of_a_category(ns_gbdt_model *m)
{
    m->kinds[0] = NS_CATEGORY;
}
static void levels_of_a_number(ns_gbdt_model *m)
{
    m->kinds[4] = NS_NUMBER;
}
static void large_k(ns_gbdt_model *m)
{
    m->k = 63;
}
static void negative_k(ns_gbdt_model *m)
{
    m->k = -1;
}
static void large_base(ns_gbdt_model *m)
{
    m->base[0] = (INT64_C(1) << 61) + 1;
}
static void old_numerics(ns_gbdt_model *m)
{
    m->numerics_version = 0;
}

static const struct {
    void (*spoil)(ns_gbdt_model *model);
    const char *message;
} SPOILED[] = {
    {bad_feature, "its feature is not one of the model's"},
    {bad_leaf_feature, "neither -1 nor one"},
    {bad_right, "preorder"},
    {right_to_itself, "preorder"},
    {right_far_away, "preorder"},
    {right_before, "preorder"},
    {leaf_with_right, "a leaf with parts of a split"},
    {leaf_with_set, "a leaf with parts of a split"},
    {split_with_leaf, "a split with a leaf's value"},
    {high_threshold, "threshold is not a bin"},
    {low_threshold, "threshold is not a bin"},
    {number_with_set, "a split of a number with a set"},
    {category_with_threshold, "a split of a category with a threshold"},
    {category_without_set, "its set does not lie"},
    {set_beyond, "its set does not lie"},
    {set_too_short, "its set does not lie"},
    {missing_of_two, "neither 0 nor 1"},
    {missing_not_the_bit, "not the set's bit"},
    {infinite_gain, "gain is not finite"},
    {negative_rows, "rows is below 0"},
    {empty_tree, "tree 0 has no nodes"},
    {falling_trees, "'tree.first' does not rise"},
    {trees_too_few, "'tree.first' does not rise"},
    {torn_tree, "preorder"},
    {equal_cuts, "cut 7 of feature 0"},
    {nan_cut, "cut 0 of feature 0"},
    {infinite_cut, "cut 253 of feature 0"},
    {levels_out_of_order, "of feature 5 does not stand behind"},
    {names_out_of_order, "the name of feature 4 does not stand behind"},
    {name_twice, "the name of feature 2 does not stand behind"},
    {name_empty, "feature 0 has no name"},
    {unknown_kind, "feature 3 is of no known kind"},
    {cuts_of_a_category, "feature 0 has cuts or levels"},
    {levels_of_a_number, "feature 4 has cuts or levels"},
    {large_k, "'k' from 0 to 62"},
    {negative_k, "'k' from 0 to 62"},
    {large_base, "base is not from"},
    {old_numerics, "'numerics_version' from 1"},
};

static void impossible_models_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof SPOILED / sizeof SPOILED[0]; i++) {
        ns_gbdt_model *model = random_model(8, 12, 12), *read = NULL;
        uint8_t *bytes;
        size_t n;
        CHECK_OK(ns_gbdt_check(model, NAME));
        SPOILED[i].spoil(model);
        build(model, &bytes, &n);
        CHECK_FAILS(ns_gbdt_parse(&read, bytes, n, NAME), NS_EVERIFY, SPOILED[i].message);
        assert_null(read);
        free(bytes);
        ns_gbdt_destroy(&model);
    }
}

/* Their scores may follow from arithmetic that is not here. */
static void newer_numerics_are_refused(void **state)
{
    (void)state;
    ns_gbdt_model *model = random_model(8, 12, 12), *read = NULL;
    uint8_t *bytes;
    size_t n;
    model->numerics_version = NS_NUMERICS_VERSION + 1;
    build(model, &bytes, &n);
    CHECK_FAILS(ns_gbdt_parse(&read, bytes, n, NAME), NS_EINVAL, "this program knows up to");
    assert_null(read);
    free(bytes);
    ns_gbdt_destroy(&model);
}

static void too_many_cuts_are_refused(void **state)
{
    (void)state;
    ns_gbdt_model *model = random_model(8, 0, 0);
    float cuts[255];
    for (int i = 0; i < 255; i++) cuts[i] = (float)i;
    CHECK_OK(ns_gbdt_set_number(model, 0, "Age", cuts, 255));
    CHECK_FAILS(ns_gbdt_check(model, NAME), NS_EVERIFY, "has 255 cuts");
    CHECK_OK(ns_gbdt_set_number(model, 0, "Age", cuts, 254));
    model->n_bins[0] = 7;
    CHECK_FAILS(ns_gbdt_check(model, NAME), NS_EVERIFY, "feature 0 has cuts or levels");
    model->objective = (ns_objective)99;
    CHECK_FAILS(ns_gbdt_check(model, NAME), NS_EVERIFY, "objective");
    ns_gbdt_destroy(&model);
}

/* --- files that no program of ours writes --- */

/* Replaces a text of the header by one of the same length. */
static void replace(uint8_t *bytes, size_t n, const char *from, const char *to)
{
    size_t length = strlen(from);
    assert_int_equal(length, strlen(to));
    for (size_t i = 0; i + length <= n; i++) {
        if (memcmp(bytes + i, from, length) != 0) continue;
        memcpy(bytes + i, to, length);
        return;
    }
    fail_msg("the file does not hold %s", from);
}

static const struct {
    const char *from, *to;
    ns_status status;
    const char *message;
} HEADERS[] = {
    {"\"nightshift-gbdt\"", "\"nightshift-mlps\"", NS_EVERIFY, "'format' that is 'nightshift-gbdt'"},
    {"\"format\"", "\"fromat\"", NS_EVERIFY, "'format'"},
    {"\"format_version\":\"1\"", "\"format_version\":\"2\"", NS_EINVAL, "format version 2"},
    {"\"format_version\":\"1\"", "\"format_version\":\"x\"", NS_EVERIFY, "format_version"},
    {"\"binary\"", "\"ternar\"", NS_EVERIFY, "'objective'"},
    {"\"sigmoid\"", "\"softmax\"", NS_EVERIFY, "'link'"},
    {"\"k\":\"26\"", "\"k\":\"+6\"", NS_EVERIFY, "'k'"},
    {"\"k\":\"26\"", "\"k\":\"06\"", NS_EVERIFY, "'k'"},
    {"\"n_trees\":\"12\"", "\"n_trees\":\"13\"", NS_EVERIFY, "tree.first"},
    {"\"n_trees\":\"12\"", "\"n_trees\":\"-1\"", NS_EVERIFY, "n_trees"},
    {"\"n_features\":\"6\"", "\"n_features\":\"7\"", NS_EVERIFY, "feature.kind"},
    {"\"n_features\":\"6\"", "\"n_features\":\"0\"", NS_EVERIFY, "n_features"},
    {"\"node.right\"", "\"node.wrong\"", NS_EVERIFY, "node.right"},
    {"\"cut.values\"", "\"cut.valves\"", NS_EVERIFY, "cut.values"},
};

static void foreign_headers_are_refused(void **state)
{
    (void)state;
    ns_gbdt_model *model = random_model(8, 12, 12), *read = NULL;
    for (size_t i = 0; i < sizeof HEADERS / sizeof HEADERS[0]; i++) {
        uint8_t *bytes;
        size_t n;
        build(model, &bytes, &n);
        replace(bytes, n, HEADERS[i].from, HEADERS[i].to);
        CHECK_FAILS(ns_gbdt_parse(&read, bytes, n, NAME), HEADERS[i].status, HEADERS[i].message);
        assert_null(read);
        free(bytes);
    }
    ns_gbdt_destroy(&model);
}

/* Where the data of an int64 tensor begin in the file. */
static uint8_t *data_of(uint8_t *bytes, const char *tensor)
{
    size_t n_header = 0;
    for (int i = 7; i >= 0; i--) n_header = n_header << 8 | bytes[i];
    json_t *header = json_loadb((const char *)bytes + 8, n_header, 0, NULL);
    const json_t *offsets = json_object_get(json_object_get(header, tensor), "data_offsets");
    uint8_t *at = bytes + 8 + n_header + json_integer_value(json_array_get(offsets, 0));
    json_decref(header);
    return at;
}

static const struct {
    const char *tensor;
    int index;
    int64_t value;
    const char *message;
} OFFSETS[] = {
    {"feature.name_first", 0, 1, "'feature.name_first' does not rise"},
    {"feature.name_first", 2, -5, "'feature.name_first' does not rise"},
    {"feature.name_first", 3, INT64_MAX, "'feature.name_first' does not rise"},
    {"cut.first", 1, 1000000, "'cut.first' does not rise"},
    {"cut.first", RANDOM_N_FEATURES, 256, "'cut.first' does not rise"},
    {"level.first", RANDOM_N_FEATURES, -1, "'level.first' ends at no number"},
    {"level.first", RANDOM_N_FEATURES, INT64_MAX, "'level.first' ends at no number"},
    {"level.first", RANDOM_N_FEATURES, 72, "level.byte_first"},
    {"level.first", 5, 74, "'level.first' does not rise"},
    {"level.byte_first", 9, 1 << 20, "'level.byte_first' does not rise"},
    {"tree.first", 3, -1, "'tree.first' does not rise"},
};

static void wrong_offsets_are_refused(void **state)
{
    (void)state;
    ns_gbdt_model *model = random_model(8, 12, 12), *read = NULL;
    for (size_t i = 0; i < sizeof OFFSETS / sizeof OFFSETS[0]; i++) {
        uint8_t *bytes;
        size_t n;
        build(model, &bytes, &n);
        memcpy(data_of(bytes, OFFSETS[i].tensor) + 8 * OFFSETS[i].index, &OFFSETS[i].value, 8);
        CHECK_FAILS(ns_gbdt_parse(&read, bytes, n, NAME), NS_EVERIFY, OFFSETS[i].message);
        free(bytes);
    }
    uint8_t *bytes;
    size_t n;
    build(model, &bytes, &n);
    data_of(bytes, "feature.name_bytes")[1] = 0;
    CHECK_FAILS(ns_gbdt_parse(&read, bytes, n, NAME), NS_EVERIFY, "holds a byte 0");
    free(bytes);
    ns_gbdt_destroy(&model);
}

/* Whatever is in a file, reading ends, and what it gives can be walked: the sanitizers watch. */
static void damaged_files_do_no_harm(void **state)
{
    (void)state;
    ns_gbdt_model *model = random_model(2, 4, 5), *read = NULL;
    uint8_t *bytes;
    size_t n;
    build(model, &bytes, &n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *damaged = malloc(n); /* of its own, so that reading behind it is noticed */
        assert_non_null(damaged);
        memcpy(damaged, bytes, n);
        damaged[i] ^= (uint8_t)(1u << (i * 7 % 8));
        ns_error_clear();
        ns_status status = ns_gbdt_parse(&read, damaged, n, NAME);
        if (status == NS_OK)
            CHECK_OK(ns_gbdt_check(read, NAME));
        else if (status != NS_EVERIFY && status != NS_EINVAL)
            fail_msg("byte %zu: status %d", i, (int)status);
        assert_true((read == NULL) == (status != NS_OK));
        ns_gbdt_destroy(&read);
        free(damaged);
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t *cut = malloc(i + 1);
        assert_non_null(cut);
        memcpy(cut, bytes, i);
        CHECK_FAILS(ns_gbdt_parse(&read, cut, i, NAME), NS_EVERIFY, "model.safetensors");
        free(cut);
    }
    free(bytes);
    ns_gbdt_destroy(&model);
}

static void importance_is_sorted(void **state)
{
    (void)state;
    ns_gbdt_model *model = random_model(6, 30, 10);
    double gain[RANDOM_N_FEATURES] = {0};
    int64_t n_splits[RANDOM_N_FEATURES] = {0};
    for (int64_t i = 0; i < model->trees->n_nodes; i++) {
        const ns_node *node = &model->trees->nodes[i];
        if (node->feature == 0) model->trees->nodes[i].gain = model->trees->nodes[i].gain + 0.5;
        if (node->feature == 2 || node->feature == 3)
            model->trees->nodes[i].gain = 0.0; /* a tie, told by name */
        if (node->feature < 0) continue;
        gain[node->feature] += node->gain;
        n_splits[node->feature]++;
    }
    json_t *list = ns_gbdt_importance(model);
    assert_int_equal(json_array_size(list), RANDOM_N_FEATURES);
    double last = INFINITY;
    const char *last_name = "";
    for (size_t i = 0; i < RANDOM_N_FEATURES; i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(one, "feature"));
        int f = 0;
        while (f < RANDOM_N_FEATURES && strcmp(model->names[f], name) != 0) f++;
        assert_true(f < RANDOM_N_FEATURES);
        assert_true(json_real_value(json_object_get(one, "gain")) == gain[f]);
        assert_int_equal(json_integer_value(json_object_get(one, "splits")), n_splits[f]);
        assert_true(gain[f] < last || (gain[f] == last && strcmp(last_name, name) < 0));
        last = gain[f];
        last_name = name;
    }
    json_decref(list);
    ns_gbdt_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(extra_entries_travel_along),
        cmocka_unit_test(impossible_models_are_refused),
        cmocka_unit_test(newer_numerics_are_refused),
        cmocka_unit_test(too_many_cuts_are_refused),
        cmocka_unit_test(foreign_headers_are_refused),
        cmocka_unit_test(wrong_offsets_are_refused),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(importance_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
