/* The training profile: its form, and what it must not tell. */
#include <math.h>

#include "runner/json.h"
#include "runner/training/profile.h"
#include "tests/check.h"

enum { MIN_CELL = 11 };

static ns_profile *begin(void)
{
    ns_profile *profile = NULL;
    CHECK_OK(ns_profile_create(&profile, (ns_profile_count){1000, 600}, (ns_profile_count){100, 90},
                               (ns_profile_count){900, 580}, MIN_CELL));
    return profile;
}

static char *finish(ns_profile *profile)
{
    json_t *json = ns_profile_finish(profile);
    char *text = NULL;
    CHECK_OK(ns_json_dump(json, &text));
    json_decref(json);
    ns_profile_destroy(&profile);
    return text;
}

static void check_holds(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("no %s in\n%s", part, text);
}

static const float QUANTILES[NS_N_PROFILE_PERCENTS] = {1, 2, 3, 4, 5, 6, 7, 8, 9.5f};

static void the_whole_document(void **state)
{
    (void)state;
    ns_profile *profile = begin();
    ns_texts levels = {0};
    CHECK_OK(ns_texts_append(&levels, "ICU", 3));
    CHECK_OK(ns_texts_append(&levels, "ward", 4));
    const int64_t rows[2] = {300, 600};
    const ns_profile_levels category = {&levels, rows, NULL, {60, 30}};
    CHECK_OK(ns_profile_add_category(profile, "unit", &category, (ns_profile_count){40, 35}));
    CHECK_OK(ns_profile_add_number(profile, "age", QUANTILES, (ns_profile_count){1100, 600},
                                   (ns_profile_count){0, 0}));
    CHECK_OK(ns_profile_set_risk(profile, QUANTILES, 2000));
    char *text = finish(profile);
    assert_string_equal(
        text,
        "{\n \"profile_version\": 1,\n \"rows\": 1000,\n \"label\": {\n  \"events\": 100,\n  \"prevalence\": "
        "0.10000000000000001\n },\n \"percent\": [\n  1,\n  5,\n  10,\n  25,\n  50,\n  75,\n  90,\n  95,\n  "
        "99\n ],\n"
        " \"features\": [\n  {\n   \"name\": \"unit\",\n   \"kind\": \"category\",\n   \"missing\": 40,\n"
        "   \"levels\": [\n    {\n     \"level\": \"ICU\",\n     \"rows\": 300\n    },\n    {\n     "
        "\"level\": \"ward\",\n"
        "     \"rows\": 600\n    }\n   ],\n   \"other\": 60\n  },\n  {\n   \"name\": \"age\",\n   \"kind\": "
        "\"number\",\n"
        "   \"missing\": 0,\n   \"quantiles\": [\n    1.0,\n    2.0,\n    3.0,\n    4.0,\n    5.0,\n    "
        "6.0,\n    7.0,\n"
        "    8.0,\n    9.5\n   ]\n  }\n ],\n \"risk\": {\n  \"quantiles\": [\n   1.0,\n   2.0,\n   3.0,\n   "
        "4.0,\n   5.0,\n"
        "   6.0,\n   7.0,\n   8.0,\n   9.5\n  ]\n }\n}\n");
    free(text);
    ns_texts_destroy(&levels);
}

/* The feature added last, of a document that the caller frees. */
static json_t *number_feature(json_t **document, ns_profile_count values, ns_profile_count missing)
{
    ns_profile *profile = begin();
    CHECK_OK(ns_profile_add_number(profile, "x", QUANTILES, values, missing));
    *document = ns_profile_finish(profile);
    ns_profile_destroy(&profile);
    return json_array_get(json_object_get(*document, "features"), 0);
}

/* Quantile i of a column with so many rows is told or not: at least 11 rows on each side of it. */
static void quantiles_near_the_ends_are_hidden(void **state)
{
    (void)state;
    static const struct {
        int64_t n_rows;
        int first, last; /* told */
    } cases[] = {{100, 3, 6},  {200, 2, 7},  {220, 1, 7}, {999, 1, 7},
                 {1000, 1, 8}, {1001, 0, 8}, {10, 9, -1}, {0, 9, -1}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        json_t *document,
            *feature = number_feature(&document, (ns_profile_count){cases[c].n_rows, cases[c].n_rows},
                                      (ns_profile_count){0, 0});
        for (int i = 0; i < NS_N_PROFILE_PERCENTS; i++) {
            int64_t n = cases[c].n_rows, at = (int64_t)ceil((double)(n * ns_profile_percents[i]) / 100.0);
            int told = json_is_real(json_array_get(json_object_get(feature, "quantiles"), (size_t)i));
            int want = i >= cases[c].first && i <= cases[c].last;
            if (told != want || want != (at >= MIN_CELL && n - at + 1 >= MIN_CELL))
                fail_msg("%d rows: quantile %d is %s", (int)n, i, told ? "told" : "hidden");
        }
        json_decref(document);
    }
}

static void numbers_of_few_patients_are_hidden(void **state)
{
    (void)state;
    json_t *document,
        *feature = number_feature(&document, (ns_profile_count){990, 590}, (ns_profile_count){10, 10});
    assert_true(json_is_null(json_object_get(feature, "missing")));
    json_decref(document);
    feature = number_feature(&document, (ns_profile_count){980, 590}, (ns_profile_count){20, 11});
    assert_int_equal(json_integer_value(json_object_get(feature, "missing")), 20);
    json_decref(document);
    /* 5 patients have all the values: neither their quantiles nor, by subtraction, their number */
    feature = number_feature(&document, (ns_profile_count){500, 5}, (ns_profile_count){500, 595});
    assert_true(json_is_null(json_object_get(feature, "missing")));
    for (size_t i = 0; i < NS_N_PROFILE_PERCENTS; i++)
        assert_true(json_is_null(json_array_get(json_object_get(feature, "quantiles"), i)));
    json_decref(document);
}

typedef struct category_case {
    int64_t rows[3], patients[3];
    ns_profile_count other, missing;
    const char *named;                /* letters of the levels that are told */
    int64_t want_other, want_missing; /* -1: null */
} category_case;

static const category_case CATEGORY_CASES[] = {
    {{50, 60, 70}, {50, 60, 70}, {0, 0}, {0, 0}, "abc", 0, 0},
    {{50, 60, 70}, {50, 60, 70}, {30, 20}, {15, 11}, "abc", 30, 15},
    /* b is small and alone: a joins it */
    {{50, 5, 70}, {50, 5, 70}, {0, 0}, {0, 0}, "c", 55, 0},
    /* b and the unnamed are enough together only if sure: the larger of 5 and 9 is not, so a joins them */
    {{50, 5, 70}, {50, 5, 70}, {9, 9}, {0, 0}, "c", 64, 0},
    /* the unnamed are enough to hide b */
    {{50, 5, 70}, {50, 5, 70}, {12, 12}, {0, 0}, "ac", 17, 0},
    /* few missing hide behind other; where there is none, the smallest level becomes it */
    {{50, 60, 70}, {50, 60, 70}, {30, 20}, {3, 3}, "abc", -1, -1},
    {{50, 60, 40}, {50, 60, 40}, {0, 0}, {3, 3}, "ab", -1, -1},
    {{50, 50, 50}, {50, 50, 50}, {0, 0}, {3, 3}, "ab", -1, -1},
    /* many rows of few patients */
    {{500, 60, 70}, {4, 60, 70}, {0, 0}, {0, 0}, "c", 560, 0},
    /* nothing is left to hide behind */
    {{5, 0, 0}, {5, 0, 0}, {0, 0}, {100, 90}, "", -1, -1},
};

static void small_levels_are_pooled_without_names(void **state)
{
    (void)state;
    ns_texts levels = {0};
    for (int i = 0; i < 3; i++) CHECK_OK(ns_texts_append(&levels, &"abc"[i], 1));
    for (size_t c = 0; c < sizeof CATEGORY_CASES / sizeof CATEGORY_CASES[0]; c++) {
        const category_case *it = &CATEGORY_CASES[c];
        ns_profile *profile = begin();
        const ns_profile_levels category = {&levels, it->rows, it->patients, it->other};
        CHECK_OK(ns_profile_add_category(profile, "x", &category, it->missing));
        json_t *document = ns_profile_finish(profile),
               *feature = json_array_get(json_object_get(document, "features"), 0);
        json_t *list = json_object_get(feature, "levels");
        const json_t *other = json_object_get(feature, "other"),
                     *missing = json_object_get(feature, "missing");
        char named[4] = "";
        int64_t sum = 0;
        for (size_t i = 0; i < json_array_size(list); i++) {
            named[i] = json_string_value(json_object_get(json_array_get(list, i), "level"))[0];
            named[i + 1] = '\0';
            sum += json_integer_value(json_object_get(json_array_get(list, i), "rows"));
        }
        if (strcmp(named, it->named) != 0) fail_msg("case %d names '%s', not '%s'", (int)c, named, it->named);
        assert_int_equal(json_is_null(other) ? -1 : json_integer_value(other), it->want_other);
        assert_int_equal(json_is_null(missing) ? -1 : json_integer_value(missing), it->want_missing);
        if (it->want_other >= 0) /* no row is lost */
            assert_int_equal(sum + it->want_other,
                             it->rows[0] + it->rows[1] + it->rows[2] + it->other.n_rows);
        json_decref(document);
        ns_profile_destroy(&profile);
    }
    ns_texts_destroy(&levels);
}

static void few_events_are_hidden(void **state)
{
    (void)state;
    static const ns_profile_count events[] = {{10, 10}, {990, 590}};
    for (int i = 0; i < 2; i++) {
        ns_profile *profile = NULL;
        CHECK_OK(
            ns_profile_create(&profile, (ns_profile_count){1000, 600}, events[i], events[1 - i], MIN_CELL));
        char *text = finish(profile);
        check_holds(text, "\"events\": null");
        check_holds(text, "\"prevalence\": null");
        free(text);
    }
}

static void names_must_be_utf8(void **state)
{
    (void)state;
    ns_profile *profile = begin();
    ns_texts levels = {0};
    CHECK_OK(ns_texts_append(&levels, "\xff\xfe", 2));
    const int64_t rows[1] = {300}, few[1] = {3};
    ns_profile_levels category = {&levels, rows, NULL, {700, 600}};
    CHECK_FAILS(ns_profile_add_number(profile, "\xff", QUANTILES, (ns_profile_count){100, 100},
                                      (ns_profile_count){0, 0}),
                NS_EFORMAT, "the name of a feature is not UTF-8");
    CHECK_FAILS(ns_profile_add_category(profile, "x", &category, (ns_profile_count){0, 0}), NS_EFORMAT,
                "a level of a category feature is not UTF-8");
    category.patients = few; /* pooled, so never written */
    CHECK_OK(ns_profile_add_category(profile, "x", &category, (ns_profile_count){0, 0}));
    ns_profile_destroy(&profile);
    ns_texts_destroy(&levels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_document),
        cmocka_unit_test(quantiles_near_the_ends_are_hidden),
        cmocka_unit_test(numbers_of_few_patients_are_hidden),
        cmocka_unit_test(small_levels_are_pooled_without_names),
        cmocka_unit_test(few_events_are_hidden),
        cmocka_unit_test(names_must_be_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
