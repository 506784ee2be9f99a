/* The tree model's file for every objective: there and back, the bytes of binary untouched, and what outputs cannot be. */
#include "runner/models/gbdt_file.h"
#include "runner/objective.h"
#include "tests/check.h"
#include "tests/runner/random_model.h"

static const char NAME[] = "model.safetensors";

static ns_gbdt_model *model_of(ns_objective objective, int64_t n_trees)
{
    ns_gbdt_model *model = random_model(5, n_trees, 9);
    static const char *const names[] = {"home", "hospice", "\xc3\xbc"};
    ns_texts classes = {0};
    for (int i = 0; i < 3; i++) CHECK_OK(ns_texts_append(&classes, names[i], (int64_t)strlen(names[i])));
    if (objective == NS_MULTICLASS) {
        CHECK_OK(ns_gbdt_set_classes(model, &classes));
        for (int i = 0; i < 3; i++) model->base[i] = 1000 * (i - 1) - 7;
    }
    model->objective = objective;
    model->quantile = objective == NS_QUANTILE ? 0.1 + 0.2 : 0; /* 0.30000000000000004 */
    model->k = objective == NS_REGRESSION ? -9 : objective == NS_QUANTILE ? 150 : 26;
    ns_texts_destroy(&classes);
    return model;
}

static void there_and_back(void **state)
{
    (void)state;
    for (int o = NS_BINARY; o <= NS_QUANTILE; o++) {
        ns_gbdt_model *model = model_of((ns_objective)o, 12), *read = NULL;
        uint8_t *bytes, *again;
        size_t n, n_again;
        CHECK_OK(ns_gbdt_build(model, &bytes, &n));
        CHECK_OK(ns_gbdt_parse(&read, bytes, n, NAME));
        assert_int_equal(read->objective, o);
        assert_int_equal(read->n_outputs, o == NS_MULTICLASS ? 3 : 1);
        assert_int_equal(read->k, model->k);
        assert_true(read->quantile == model->quantile);
        assert_memory_equal(read->base, model->base, (size_t)model->n_outputs * sizeof *model->base);
        assert_int_equal(read->classes.n, model->classes.n);
        for (int64_t i = 0; i < read->classes.n; i++) assert_int_equal(ns_texts_compare(&read->classes, i, &model->classes, i), 0);
        CHECK_OK(ns_gbdt_build(read, &again, &n_again));
        assert_int_equal(n, n_again);
        assert_memory_equal(bytes, again, n);
        ns_gbdt_destroy(&read);
        for (size_t cut = 0; cut < n; cut += n / 97 + 1) {
            assert_int_equal(ns_gbdt_parse(&read, bytes, cut, NAME), NS_EVERIFY);
            assert_null(read);
        }
        ns_gbdt_destroy(&model);
        free(bytes);
        free(again);
    }
    ns_error_clear();
}

/* Metadata of a file of ours, and tensors, as texts to look for. */
static bool holds(const uint8_t *bytes, size_t n, const char *text)
{
    size_t n_text = strlen(text);
    for (size_t i = 0; i + n_text <= n; i++)
        if (memcmp(bytes + i, text, n_text) == 0) return true;
    return false;
}

static void binary_has_no_word_of_the_others(void **state)
{
    (void)state;
    for (int o = NS_BINARY; o <= NS_QUANTILE; o++) {
        ns_gbdt_model *model = model_of((ns_objective)o, 3);
        uint8_t *bytes;
        size_t n;
        CHECK_OK(ns_gbdt_build(model, &bytes, &n));
        assert_int_equal(holds(bytes, n, "n_outputs"), o == NS_MULTICLASS);
        assert_int_equal(holds(bytes, n, "output.base"), o == NS_MULTICLASS);
        assert_int_equal(holds(bytes, n, "\"base\""), o != NS_MULTICLASS);
        assert_int_equal(holds(bytes, n, "\"quantile\":"), o == NS_QUANTILE);
        assert_true(holds(bytes, n, ns_objective_link((ns_objective)o)));
        ns_gbdt_destroy(&model);
        free(bytes);
    }
}

static void objective_unknown(ns_gbdt_model *m)
{
    m->objective = (ns_objective)7;
}
static void same_class_twice(ns_gbdt_model *m)
{
    memcpy(m->classes.bytes, "homehome", 8);
    m->classes.offset[2] = 8;
}
static void class_empty(ns_gbdt_model *m)
{
    m->classes.offset[1] = 0;
}
static void outputs_too_many(ns_gbdt_model *m)
{
    m->n_outputs = 4;
}
static void base_too_large(ns_gbdt_model *m)
{
    m->base[2] = -(INT64_C(1) << 62);
}
static void round_torn(ns_gbdt_model *m)
{
    ns_trees_truncate(m->trees, 10);
}
static void k_beyond(ns_gbdt_model *m)
{
    m->k = 63;
}
static void k_far_beyond(ns_gbdt_model *m)
{
    m->k = -129;
}
static void quantile_of_none(ns_gbdt_model *m)
{
    m->quantile = 0;
}
static void quantile_of_regression(ns_gbdt_model *m)
{
    m->quantile = 0.5;
}

static void impossible_outputs_are_refused(void **state)
{
    (void)state;
    static const struct {
        ns_objective objective;
        void (*spoil)(ns_gbdt_model *model);
        const char *message;
    } cases[] = {
        {NS_BINARY, objective_unknown, "unknown objective"},
        {NS_MULTICLASS, same_class_twice, "two classes have the same text"},
        {NS_MULTICLASS, class_empty, "class 0 has no text"},
        {NS_MULTICLASS, outputs_too_many, "4 outputs and 3 classes"},
        {NS_MULTICLASS, base_too_large, "base is not from"},
        {NS_MULTICLASS, round_torn, "not a tree for each of 3 outputs"},
        {NS_MULTICLASS, k_beyond, "k is 63"},
        {NS_POISSON, k_beyond, "k is 63"},
        {NS_REGRESSION, k_far_beyond, "k is -129"},
        {NS_QUANTILE, quantile_of_none, "quantile"},
        {NS_REGRESSION, quantile_of_regression, "quantile"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ns_gbdt_model *model = model_of(cases[i].objective, 12);
        CHECK_OK(ns_gbdt_check(model, NAME));
        cases[i].spoil(model);
        CHECK_FAILS(ns_gbdt_check(model, NAME), NS_EVERIFY, cases[i].message);
        if (model->objective == cases[i].objective && cases[i].spoil == round_torn) {
            uint8_t *bytes;
            size_t n;
            ns_gbdt_model *read = NULL;
            CHECK_OK(ns_gbdt_build(model, &bytes, &n));
            CHECK_FAILS(ns_gbdt_parse(&read, bytes, n, NAME), NS_EVERIFY, cases[i].message);
            free(bytes);
        }
        ns_gbdt_destroy(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(binary_has_no_word_of_the_others),
        cmocka_unit_test(impossible_outputs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
