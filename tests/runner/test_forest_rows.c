/* Cells at their rows of the forest, against the table's own list of places; parts of all sizes, rows that are not kept, the last piece short. */
#include "tests/check.h"

#include <stdlib.h>

#include "runner/training/forest_rows.h"

enum { ROWS = 3 * NS_FOREST_ROWS_PIECE + 1029, FIRST = 5 * NS_BLOCK_ROWS };

static void build(ns_table *table, int kept_of, int test_of)
{
    *table = (ns_table){.shard = {.first_row = FIRST, .n_rows = ROWS}};
    table->row = malloc(ROWS * sizeof *table->row);
    table->part = malloc(ROWS);
    for (int64_t i = 0; i < ROWS; i++) {
        if (kept_of > 0 && i * 7919 % kept_of != 0) continue;
        uint8_t part = test_of == 0 ? NS_PART_TRAIN : i * 31 % test_of == 0 ? NS_PART_TEST : i % 11 == 0 ? NS_PART_VALID : i % 13 == 0 ? NS_PART_NONE : NS_PART_TRAIN;
        table->row[table->n_kept] = FIRST + i;
        table->part[table->n_kept++] = part;
        table->n_part_local[part]++;
    }
}

static void check(int kept_of, int test_of)
{
    ns_table table;
    ns_forest_rows rows = {0};
    build(&table, kept_of, test_of);
    CHECK_OK(ns_forest_rows_create(&rows, &table));
    int64_t n = rows.n_train + rows.n_valid + rows.n_held, next[4] = {0};
    next[NS_PART_VALID] = rows.n_train;
    next[NS_PART_TEST] = rows.n_train + rows.n_valid;
    float *cells = malloc(ROWS * sizeof *cells), *got = malloc((size_t)(n + 1) * sizeof *got), *want = malloc((size_t)(n + 1) * sizeof *want);
    for (int64_t i = 0; i < ROWS; i++) cells[i] = (float)i;
    for (int64_t i = 0; i <= n; i++) got[i] = want[i] = -1.0f;
    for (int64_t k = 0; k < table.n_kept; k++)
        if (table.part[k] != NS_PART_NONE) want[next[table.part[k]]++] = cells[table.row[k] - FIRST];
    for (int64_t at = 2 * NS_FOREST_ROWS_PIECE; at < ROWS; at += NS_FOREST_ROWS_PIECE) { /* in any order */
        int64_t here = ROWS - at < NS_FOREST_ROWS_PIECE ? ROWS - at : NS_FOREST_ROWS_PIECE;
        ns_forest_rows_put(&rows, FIRST + at, here, cells + at, got);
    }
    ns_forest_rows_put(&rows, FIRST, 2 * NS_FOREST_ROWS_PIECE, cells, got);
    for (int64_t i = 0; i <= n; i++)
        if (got[i] != want[i]) fail_msg("row %lld of the forest is %g, must be %g", (long long)i, (double)got[i], (double)want[i]);
    ns_forest_rows_destroy(&rows);
    assert_null(rows.part);
    free(cells);
    free(got);
    free(want);
    free(table.row);
    free(table.part);
}

static void cells_reach_their_rows(void **state)
{
    (void)state;
    static const int kept[] = {0, 2, 3, 1000, ROWS + 1}, tests[] = {0, 2, 10};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        for (size_t j = 0; j < sizeof tests / sizeof *tests; j++) check(kept[i], tests[j]);
}

static void an_empty_shard(void **state)
{
    (void)state;
    ns_table table = {.shard = {.first_row = FIRST, .n_rows = 0}};
    ns_forest_rows rows = {0};
    CHECK_OK(ns_forest_rows_create(&rows, &table));
    assert_int_equal(rows.n_train, 0);
    ns_forest_rows_destroy(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cells_reach_their_rows), cmocka_unit_test(an_empty_shard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
