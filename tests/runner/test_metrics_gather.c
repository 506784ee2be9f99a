/* Rows dealt to ranks give the bytes of all rows on one; subgroups hide whom they must. */
#include <mpi.h>

#include "runner/json.h"
#include "runner/metrics/metrics.h"
#include "runner/metrics/metrics_gather.h"
#include "runner/metrics/subgroups.h"
#include "tests/check.h"
#include "tests/runner/metrics_golden.h"

enum { MOST_ROWS = 3000 };
static int rank, n_ranks;

typedef struct rows {
    int64_t n;
    float risk[MOST_ROWS];
    uint8_t label[MOST_ROWS];
    int32_t code[MOST_ROWS];
    ns_hash128 patient[MOST_ROWS];
} rows;

/* The labels as subgroups take them. */
static const float *numbers(const rows *r)
{
    static float label[MOST_ROWS];
    for (int64_t i = 0; i < r->n; i++) label[i] = r->label[i];
    return label;
}

typedef enum deal { ALL, ROUND_ROBIN, LAST_RANK_ONLY } deal;

static int is_mine(deal how, int64_t i)
{
    return how == ALL || (how == ROUND_ROBIN ? i % n_ranks == rank : rank == n_ranks - 1);
}

static void make_rows(rows *out, const golden_case *c, deal how)
{
    out->n = 0;
    for (int64_t i = 0; i < c->n_rows; i++) {
        if (!is_mine(how, i)) continue;
        make_row(c, i, &out->risk[out->n], &out->label[out->n]);
        out->n++;
    }
}

static char *text_of(const ns_risk_table *table)
{
    ns_metrics metrics;
    char *text = NULL;
    CHECK_OK(ns_metrics_compute(&metrics, table));
    json_t *json = ns_metrics_json(&metrics);
    CHECK_OK(ns_json_dump(json, &text));
    json_decref(json);
    return text;
}

static void gathered_bytes_are_those_of_one_rank(void **state)
{
    (void)state;
    static rows r;
    for (size_t c = 0; c < sizeof golden_cases / sizeof golden_cases[0]; c++) {
        ns_risk_table whole, part;
        make_rows(&r, &golden_cases[c], ALL);
        CHECK_OK(ns_risk_table_build(&whole, r.risk, r.label, NULL, r.n));
        char *want = text_of(&whole);
        for (deal how = ROUND_ROBIN; how <= LAST_RANK_ONLY; how++) {
            make_rows(&r, &golden_cases[c], how);
            CHECK_OK(ns_risk_table_build(&part, r.risk, r.label, NULL, r.n));
            CHECK_OK(ns_risk_table_gather(&part, MPI_COMM_WORLD));
            if (rank == 0) {
                char *got = text_of(&part);
                assert_string_equal(got, want);
                free(got);
            } else {
                assert_true(part.n == 0 && part.risk == NULL);
            }
            ns_risk_table_destroy(&part);
        }
        ns_risk_table_destroy(&whole);
        free(want);
    }
}

/* --- subgroups --- */

static void add_level(ns_texts *levels, const char *text)
{
    CHECK_OK(ns_texts_append(levels, text, (int64_t)strlen(text)));
}

/* Rows of each code (the last is the missing one), two a patient; rows dealt among ranks. */
static void make_groups(rows *out, const int64_t *n_rows, int n_cells)
{
    static const golden_case c = {.seed = 5, .n_levels = 50, .power = 1};
    int64_t i = 0;
    out->n = 0;
    for (int cell = 0; cell < n_cells; cell++) {
        for (int64_t k = 0; k < n_rows[cell]; k++, i++) {
            if (!is_mine(ROUND_ROBIN, i)) continue;
            make_row(&c, i, &out->risk[out->n], &out->label[out->n]);
            out->code[out->n] = cell == n_cells - 1 ? -1 : cell;
            out->patient[out->n] = (ns_hash128){(uint64_t)cell + 1, (uint64_t)(k / 2) + 1};
            out->n++;
        }
    }
}

/* On rank 0 the entries of a column with these rows; else NULL. */
static json_t *entries_of(const char *const *names, const int64_t *n_rows, int n_cells, int64_t min_cell)
{
    static rows r;
    ns_texts levels = {0};
    for (int i = 0; i < n_cells - 1; i++) add_level(&levels, names[i]);
    make_groups(&r, n_rows, n_cells);
    ns_outcomes all = {.n = r.n, .value = r.risk, .label = numbers(&r), .patient = r.patient};
    ns_subgroup_column column = {.name = "unit", .levels = &levels, .code = r.code};
    json_t *array = NULL;
    CHECK_OK(ns_subgroups_evaluate(&array, &all, &column, 1, min_cell, MPI_COMM_WORLD));
    assert_true((array != NULL) == (rank == 0));
    ns_texts_destroy(&levels);
    return array;
}

static const char *text_at(const json_t *array, size_t i, const char *key)
{
    return json_string_value(json_object_get(json_array_get(array, i), key));
}

static int64_t integer_at(const json_t *array, size_t i, const char *key)
{
    const json_t *value = json_object_get(json_array_get(array, i), key);
    if (!json_is_integer(value)) fail_msg("entry %d has no whole '%s'", (int)i, key);
    return json_integer_value(value);
}

static int flag_at(const json_t *array, size_t i, const char *key)
{
    return json_is_true(json_object_get(json_array_get(array, i), key));
}

static const char *const NAMES[] = {"Marker-A", "Marker-B", "Marker-C", "Marker-D"};

static void large_cells_are_told(void **state)
{
    (void)state;
    const int64_t n_rows[] = {40, 0, 60, 100, 30}; /* 20, 0, 30 and 50 patients; 15 without a level */
    json_t *array = entries_of(NAMES, n_rows, 5, 11);
    if (rank != 0) return;
    assert_int_equal(json_array_size(array), 4);
    assert_string_equal(text_at(array, 0, "column"), "unit");
    assert_string_equal(text_at(array, 0, "level"), "Marker-A");
    assert_int_equal(integer_at(array, 0, "patients"), 20);
    assert_int_equal(integer_at(array, 0, "n"), 40);
    assert_string_equal(text_at(array, 1, "level"), "Marker-C");
    assert_string_equal(text_at(array, 2, "level"), "Marker-D");
    assert_true(flag_at(array, 3, "missing") && !flag_at(array, 3, "suppressed"));
    assert_int_equal(integer_at(array, 3, "n"), 30);
    assert_true(json_is_real(json_object_get(json_array_get(array, 2), "auroc")));
    json_decref(array);
}

/* A single small cell takes the next smallest with it, since n minus the others would tell its size. */
static void one_small_cell_takes_another_along(void **state)
{
    (void)state;
    const int64_t n_rows[] = {8, 60, 30, 100, 0}; /* 4, 30, 15 and 50 patients */
    json_t *array = entries_of(NAMES, n_rows, 5, 11);
    if (rank != 0) return;
    assert_int_equal(json_array_size(array), 3);
    assert_string_equal(text_at(array, 0, "level"), "Marker-B");
    assert_string_equal(text_at(array, 1, "level"), "Marker-D");
    assert_true(flag_at(array, 2, "suppressed"));
    assert_int_equal(integer_at(array, 2, "cells"), 2);
    assert_int_equal(integer_at(array, 2, "patients"), 19);
    assert_int_equal(integer_at(array, 2, "n"), 38);
    char *text = NULL;
    CHECK_OK(ns_json_dump(array, &text));
    assert_null(strstr(text, "Marker-A"));
    assert_null(strstr(text, "Marker-C"));
    free(text);
    json_decref(array);
}

static void small_cells_that_are_few_together_take_another_along(void **state)
{
    (void)state;
    const int64_t n_rows[] = {8, 60, 100, 6, 0}; /* 4 + 3 patients are still fewer than 11 */
    json_t *array = entries_of(NAMES, n_rows, 5, 11);
    if (rank != 0) return;
    assert_int_equal(json_array_size(array), 2);
    assert_string_equal(text_at(array, 0, "level"), "Marker-C");
    assert_int_equal(integer_at(array, 1, "cells"), 3);
    assert_int_equal(integer_at(array, 1, "patients"), 37);
    json_decref(array);
}

static void two_small_cells_of_enough_patients_hide_each_other(void **state)
{
    (void)state;
    const int64_t n_rows[] = {18, 60, 100, 0, 16}; /* 9, and 8 without a level */
    json_t *array = entries_of(NAMES, n_rows, 5, 11);
    if (rank != 0) return;
    assert_int_equal(json_array_size(array), 3);
    assert_string_equal(text_at(array, 0, "level"), "Marker-B");
    assert_string_equal(text_at(array, 1, "level"), "Marker-C");
    assert_int_equal(integer_at(array, 2, "cells"), 2);
    assert_int_equal(integer_at(array, 2, "n"), 34);
    json_decref(array);
}

static void nothing_is_told_of_too_few(void **state)
{
    (void)state;
    const int64_t n_rows[] = {4, 6, 0, 0, 0};
    json_t *array = entries_of(NAMES, n_rows, 5, 11);
    if (rank != 0) return;
    assert_int_equal(json_array_size(array), 1);
    assert_true(flag_at(array, 0, "suppressed"));
    assert_true(json_is_null(json_object_get(json_array_get(array, 0), "n")));
    assert_true(json_is_null(json_object_get(json_array_get(array, 0), "patients")));
    assert_true(json_is_null(json_object_get(json_array_get(array, 0), "events")));
    json_decref(array);
}

/* Without patients every row is one; rows left out are in no cell; several columns stand one after the other.
 */
static void rows_are_patients_where_none_are_given(void **state)
{
    (void)state;
    static rows r;
    static uint8_t use[MOST_ROWS];
    const int64_t n_rows[] = {40, 60, 0};
    ns_texts levels = {0};
    add_level(&levels, "f");
    add_level(&levels, "m");
    make_groups(&r, n_rows, 3);
    for (int64_t i = 0; i < r.n; i++) use[i] = r.patient[i].lo <= 20; /* rows 0..39 of each cell */
    ns_outcomes all = {.n = r.n, .value = r.risk, .label = numbers(&r), .use = use};
    ns_subgroup_column columns[2] = {{"sex", &levels, r.code}, {"again", &levels, r.code}};
    json_t *array = NULL;
    CHECK_OK(ns_subgroups_evaluate(&array, &all, columns, 2, 11, MPI_COMM_WORLD));
    if (rank == 0) {
        assert_int_equal(json_array_size(array), 4);
        assert_int_equal(integer_at(array, 1, "patients"), 40);
        assert_int_equal(integer_at(array, 1, "n"), 40);
        assert_string_equal(text_at(array, 3, "column"), "again");
    }
    json_decref(array);
    ns_texts_destroy(&levels);
}

/* One rank alone holds what is wrong: every rank fails alike. */
static void failures_are_shared(void **state)
{
    (void)state;
    static rows r;
    const int64_t n_rows[] = {40, 60, 0};
    ns_texts levels = {0};
    add_level(&levels, "f");
    add_level(&levels, "\xff");
    make_groups(&r, n_rows, 3);
    ns_outcomes all = {.n = r.n, .value = r.risk, .label = numbers(&r)};
    ns_subgroup_column column = {"sex", &levels, r.code};
    json_t *array = NULL;
    CHECK_FAILS(ns_subgroups_evaluate(&array, &all, &column, 1, 11, MPI_COMM_WORLD), NS_EFORMAT,
                "'sex' has a level");
    assert_null(array);
    if (rank == n_ranks - 1) r.risk[r.n - 1] = 1.0f;
    CHECK_FAILS(ns_subgroups_evaluate(&array, &all, &column, 1, 11, MPI_COMM_WORLD), NS_ENUMERIC,
                "no risk above 0");
    assert_null(array);
    ns_texts_destroy(&levels);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathered_bytes_are_those_of_one_rank),
        cmocka_unit_test(large_cells_are_told),
        cmocka_unit_test(one_small_cell_takes_another_along),
        cmocka_unit_test(small_cells_that_are_few_together_take_another_along),
        cmocka_unit_test(two_small_cells_of_enough_patients_hide_each_other),
        cmocka_unit_test(nothing_is_told_of_too_few),
        cmocka_unit_test(rows_are_patients_where_none_are_given),
        cmocka_unit_test(failures_are_shared),
    };
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
