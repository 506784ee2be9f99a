/*
 * Writes FOLDER/model.safetensors, FOLDER/columns.json and FOLDER/risks.f32: a drawn model, rows for it, and
 * the risks of a plain walk over the model's definition (kernels/trees.h). tests/peers/check_read_model.py
 * compares its reader with them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/numerics.h"
#include "runner/json.h"
#include "tests/check.h"
#include "tests/runner/metrics_rows.h"
#include "tests/runner/random_model.h"

enum { N_ROWS = 10000 };

/* A number as a cohort may hold it: values between and exactly on cuts, both zeros, huge ones, missing. */
static float draw_number(uint64_t word)
{
    static const float special[] = {0.0f, -0.0f, 3.0e38f, -3.0e38f, 1e-45f, -37.5f, 0.375f};
    if (word % 8 == 0) return NAN;
    if (word % 8 == 1) return special[word / 8 % 7];
    float on_grid = (float)((int)(word / 8 % 400) - 200) * 0.375f;
    return word % 8 < 5 ? on_grid : on_grid + (float)(word / 8192 % 1000) * 1e-4f;
}

static int32_t bin_of_number(const ns_gbdt_model *model, int32_t f, float x)
{
    if (isnan(x)) return 0;
    int32_t below = 0;
    for (int32_t i = 0; i < model->n_cuts[f]; i++) below += model->cuts[f][i] < x;
    return 1 + below;
}

static int32_t bin_of_text(const ns_gbdt_model *model, int32_t f, const char *text)
{
    if (text == NULL) return NS_BIN_MISSING;
    int64_t at = ns_texts_find(&model->encodings[f].levels, text, (int64_t)strlen(text));
    return at < 0 ? NS_BIN_OTHER : (int32_t)at + NS_BIN_FIRST_LEVEL;
}

static int32_t leaf_of(const ns_gbdt_model *model, int64_t tree, const int32_t *bins)
{
    const ns_node *nodes = model->trees->nodes + model->trees->first[tree];
    int32_t at = 0;
    while (nodes[at].feature >= 0) {
        const ns_node *node = &nodes[at];
        int32_t bin = bins[node->feature];
        int left = bin == 0 ? node->missing_left : bin <= node->threshold;
        if (node->set >= 0) left = model->trees->sets[node->set + bin / 32] >> bin % 32 & 1;
        at = left ? at + 1 : node->right;
    }
    return nodes[at].leaf;
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static const char *folder;

static void write_everything(void **state)
{
    (void)state;
    static float risks[N_ROWS];
    static int64_t margins[N_ROWS];
    ns_gbdt_model *model = random_model(42, 200, 30);
    /* margins from about -30 to 30: beyond where a risk is clamped */
    model->base[0] -= INT64_C(115000000);
    model->k = 22;
    json_t *columns = json_object();
    for (int32_t f = 0; f < model->n_features; f++)
        assert_int_equal(json_object_set_new(columns, model->names[f], json_array()), 0);
    for (int64_t i = 0; i < N_ROWS; i++) {
        int32_t bins[RANDOM_N_FEATURES];
        for (int32_t f = 0; f < model->n_features; f++) {
            uint64_t word = splitmix((uint64_t)i * 64 + (uint64_t)f);
            json_t *cell;
            if (model->kinds[f] == NS_NUMBER) {
                float x = draw_number(word);
                bins[f] = bin_of_number(model, f, x);
                cell = isnan(x) ? json_null() : json_real((double)x);
            } else {
                char buffer[24];
                const char *text =
                    word % 10 == 0 ? NULL : random_level(buffer, (int)(word / 16 % (RANDOM_MOST_LEVELS + 9)));
                bins[f] = bin_of_text(model, f, text);
                cell = text == NULL ? json_null() : json_string(text);
            }
            assert_int_equal(json_array_append_new(json_object_get(columns, model->names[f]), cell), 0);
        }
        margins[i] = model->base[0];
        for (int64_t t = 0; t < model->trees->n_trees; t++) margins[i] += leaf_of(model, t, bins);
        risks[i] = ns_risk(margins[i], ns_power_of_two(-model->k));
    }
    uint8_t *bytes = NULL;
    size_t n = 0;
    char *text = NULL;
    CHECK_OK(ns_gbdt_build(model, &bytes, &n));
    CHECK_OK(ns_json_dump(columns, &text));
    write_file(folder, "model.safetensors", bytes, n);
    write_file(folder, "columns.json", text, strlen(text));
    write_file(folder, "risks.f32", risks, sizeof risks);
    json_decref(columns);
    free(bytes);
    free(text);
    ns_gbdt_destroy(&model);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(write_everything)};
    folder = argc == 2 ? argv[1] : ".";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
