/* The texts of a column, held small, and the kind that is inferred from them. */
#include "tests/check.h"

#include <inttypes.h>

#include "data/cells.h"
#include "data/infer.h"

static const char *cell_text(const ns_cells *cells, ns_cell cell, int64_t *n_bytes)
{
    *n_bytes = cell.n_bytes;
    if (cell.code < 0) return cell.text;
    const ns_texts *texts = ns_cells_texts(cells);
    *n_bytes = texts->offset[cell.code + 1] - texts->offset[cell.code];
    return texts->bytes + texts->offset[cell.code];
}

/* Row i of the made-up column: one in seven is missing, the rest takes one of n_distinct texts of different
 * lengths. */
static int made_text(char text[200], int64_t i, int64_t n_distinct)
{
    if (i % 7 == 3) return snprintf(text, 200, "%s", i % 2 == 0 ? "NA" : "");
    int64_t which = i * 7919 % n_distinct;
    return snprintf(text, 200, "%0*" PRId64, (int)(1 + which % 150), which);
}

static void cells_give_back_what_they_got(void **state)
{
    (void)state;
    static const struct {
        int64_t n_rows, n_distinct;
        ns_cells_form form;
    } cases[] = {
        {0, 1, NS_CELLS_MIXED},           {1000, 1, NS_CELLS_MIXED},       {200000, 30000, NS_CELLS_MIXED},
        {200000, 65535, NS_CELLS_MIXED},  {200000, 65536, NS_CELLS_MIXED}, {200000, 199999, NS_CELLS_MIXED},
        {200000, 199999, NS_CELLS_CODES},
    };
    ns_texts missing = {0};
    CHECK_OK(ns_texts_append(&missing, "", 0));
    CHECK_OK(ns_texts_append(&missing, "NA", 2));
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        ns_cells *cells;
        char *seen = calloc((size_t)cases[c].n_distinct, 1), text[200];
        int64_t n_missing = 0, n_distinct = 0;
        CHECK_OK(ns_cells_create(&cells, cases[c].form, &missing));
        for (int64_t i = 0; i < cases[c].n_rows; i++) {
            CHECK_OK(ns_cells_append(cells, text, made_text(text, i, cases[c].n_distinct)));
            n_missing += i % 7 == 3;
            if (i % 7 == 3) continue;
            n_distinct += !seen[i * 7919 % cases[c].n_distinct];
            seen[i * 7919 % cases[c].n_distinct] = 1;
        }
        free(seen);
        assert_int_equal(ns_cells_n_rows(cells), cases[c].n_rows);
        assert_int_equal(ns_cells_n_missing(cells), n_missing);
        bool over = n_distinct > NS_CELLS_DISTINCT && cases[c].form == NS_CELLS_MIXED;
        assert_int_equal(ns_cells_n_distinct(cells), over ? NS_CELLS_DISTINCT + 1 : n_distinct);
        ns_cells_walk walk = {0};
        for (int64_t i = 0; i < cases[c].n_rows; i++) {
            ns_cell cell = ns_cells_next(cells, &walk);
            if ((cell.code == NS_CELL_MISSING) != (i % 7 == 3))
                fail_msg("case %zu row %" PRId64 ": missing", c, i);
            if (cell.code == NS_CELL_MISSING) continue;
            int64_t n_bytes;
            const char *got = cell_text(cells, cell, &n_bytes);
            int length = made_text(text, i, cases[c].n_distinct);
            if (n_bytes != length || memcmp(got, text, (size_t)length) != 0)
                fail_msg("case %zu row %" PRId64, c, i);
        }
        ns_cells_walk texts = {0};
        const char *one;
        int64_t n_bytes, n_texts = 0;
        while (ns_cells_next_text(cells, &texts, &one, &n_bytes))
            n_texts += n_bytes > 0 && memcmp(one, "NA", 2) != 0;
        assert_true(over ? n_texts > NS_CELLS_DISTINCT : n_texts == n_distinct);
        ns_cells_destroy(&cells);
    }
    ns_texts_destroy(&missing);
}

static void kinds_are_inferred(void **state)
{
    (void)state;
    static const struct {
        const char *texts; /* separated by ';'; "" and "?" are missing */
        int64_t repeats;   /* the column is this list so many times */
        ns_column_kind kind;
        bool int64;
    } cases[] = {
        {"1;2;3.5;;-4", 1, NS_COL_NUMBER, false},
        {";?", 5, NS_COL_NUMBER, true},
        {"1;2;x", 1, NS_COL_CATEGORY, false},
        {"1;2;007", 1, NS_COL_CATEGORY, false},
        {"16777217", 1, NS_COL_CATEGORY, true},
        {"16777217;2", 30, NS_COL_CATEGORY, true},
        {"16777216;2", 30, NS_COL_NUMBER, true},
        {"72.33333333333333;1e-7", 1, NS_COL_NUMBER, false},
        {"2024-03-01;2024-03-01T08:30Z;?", 1, NS_COL_TIME, false},
        {"2024-03-01;2024-03-01T08:30:00.5", 1, NS_COL_CATEGORY, false},
        {"2024-03-01;01.03.2024", 1, NS_COL_CATEGORY, false},
        {"a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s;t", 1, NS_COL_CATEGORY, false},
        {"a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s;t;u", 1, NS_COL_ID, false},
        {"a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s;t;u", 2, NS_COL_CATEGORY, false},
        {"a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s;t;u;?;?;?;?;?;?;?;?;?;?;?;?;?;?;?;?;?;?;?;?;?;?", 1,
         NS_COL_ID, false},
    };
    ns_texts missing = {0};
    CHECK_OK(ns_texts_append(&missing, "", 0));
    CHECK_OK(ns_texts_append(&missing, "?", 1));
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        ns_cells *cells;
        CHECK_OK(ns_cells_create(&cells, NS_CELLS_MIXED, &missing));
        for (int64_t r = 0; r < cases[c].repeats; r++) {
            for (const char *p = cases[c].texts;; p++) {
                size_t n = strcspn(p, ";");
                CHECK_OK(ns_cells_append(cells, p, (int64_t)n));
                p += n;
                if (*p == '\0') break;
            }
        }
        if (ns_infer_kind(cells) != cases[c].kind || ns_infer_int64(cells) != cases[c].int64)
            fail_msg("%s: kind %d, int64 %d", cases[c].texts, (int)ns_infer_kind(cells),
                     ns_infer_int64(cells));
        ns_cells_destroy(&cells);
    }
    ns_texts_destroy(&missing);
}

static void very_many_levels_are_an_id(void **state)
{
    (void)state;
    ns_texts missing = {0};
    for (int64_t n_distinct = NS_INFER_LEVELS; n_distinct <= NS_INFER_LEVELS + 1; n_distinct++) {
        ns_cells *cells;
        CHECK_OK(ns_cells_create(&cells, NS_CELLS_MIXED, &missing));
        for (int64_t i = 0; i < 3 * n_distinct; i++) {
            char text[32];
            CHECK_OK(ns_cells_append(cells, text, snprintf(text, sizeof text, "L%" PRId64, i % n_distinct)));
        }
        assert_int_equal(ns_infer_kind(cells), n_distinct == NS_INFER_LEVELS ? NS_COL_CATEGORY : NS_COL_ID);
        ns_cells_destroy(&cells);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_give_back_what_they_got),
        cmocka_unit_test(kinds_are_inferred),
        cmocka_unit_test(very_many_levels_are_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
