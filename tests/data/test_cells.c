/* The texts of a column, held small, and the kind that is inferred from them. */
#include "tests/check.h"

#include <inttypes.h>

#include "data/cells.h"
#include "data/infer.h"
#include "data/text_index.h"

/* Row i of the made-up column: one in seven is missing, the rest takes one of n_distinct texts of different
 * lengths. */
static int made_text(char text[200], int64_t i, int64_t n_distinct)
{
    if (i % 7 == 3) return snprintf(text, 200, "%s", i % 2 == 0 ? "NA" : "");
    int64_t which = i * 7919 % n_distinct;
    return snprintf(text, 200, "%0*" PRId64, (int)(1 + which % 150), which);
}

static ns_cells *open_column(ns_scratch *scratch, const ns_texts *missing)
{
    static const ns_cells_want want = {.name = "made", .inferred = true};
    ns_cells *cells;
    CHECK_OK(ns_cells_create(&cells, &want, missing, scratch, NULL));
    return cells;
}

static void append(ns_cells *cells, const char *text, int64_t n_bytes)
{
    const ns_lines_at at = {0};
    CHECK_OK(ns_cells_append(cells, text, n_bytes, &at));
}

/* A row as a walk meets it; false: missing. */
static bool met_text(const ns_cells *cells, const ns_run *run, int64_t i, int64_t *at, const char **text, int64_t *n_bytes)
{
    if (run->form == NS_RUN_TEXTS) return ns_run_text(run, at, text, n_bytes);
    assert_int_equal(run->form, NS_RUN_CODES16);
    uint16_t code = ((const uint16_t *)run->cells)[i];
    if (code == 65535) return false;
    *text = ns_text_at(ns_cells_texts(cells), code, n_bytes);
    return true;
}

static void check_walk(const ns_cells *cells, int64_t n_rows, int64_t n_distinct)
{
    ns_cells_walk walk = {0};
    ns_run run;
    int64_t row = 0;
    for (;;) {
        CHECK_OK(ns_cells_next(cells, &walk, &run));
        if (run.n_bytes == 0) break;
        int64_t at = 0, n = run.form == NS_RUN_TEXTS ? run.n_bytes : run.n_rows;
        for (int64_t i = 0; i < n; i = run.form == NS_RUN_TEXTS ? at : i + 1, row++) {
            char want[200];
            int n_want = made_text(want, row, n_distinct);
            const char *text = "";
            int64_t n_bytes = 0;
            bool there = met_text(cells, &run, i, &at, &text, &n_bytes);
            bool missing = n_want == 0 || strcmp(want, "NA") == 0;
            if (there == missing || (there && (n_bytes != n_want || memcmp(text, want, (size_t)n_want) != 0)))
                fail_msg("row %" PRId64 " of %" PRId64 " distinct", row, n_distinct);
        }
    }
    ns_cells_walk_end(&walk);
    assert_int_equal(row, n_rows);
}

/* Few and many distinct texts, pieces of the temporary file from tiny to large, with and without missing texts. */
static void cells_give_back_what_they_got(void **state)
{
    (void)state;
    static const int64_t distinct[] = {1, 5, 300, NS_CELLS_FEW, NS_CELLS_DISTINCT - 1, NS_CELLS_DISTINCT, 100000};
    static const int64_t pieces[] = {1, 100, 65536};
    enum { N = 150000 };
    for (size_t d = 0; d < sizeof distinct / sizeof distinct[0]; d++) {
        int64_t piece = pieces[d % 3];
        int64_t n_rows = piece == 1 ? 5000 : N;
        ns_texts missing = {0};
        ns_scratch *scratch;
        CHECK_OK(ns_texts_append(&missing, "", 0));
        CHECK_OK(ns_texts_append(&missing, "NA", 2));
        CHECK_OK(ns_scratch_create(&scratch, "/tmp/nightshift-test-cells", piece));
        ns_cells *cells = open_column(scratch, &missing);
        bool *met = calloc((size_t)distinct[d], 1);
        int64_t n_met = 0;
        assert_non_null(met);
        for (int64_t i = 0; i < n_rows; i++) {
            char text[200];
            append(cells, text, made_text(text, i, distinct[d]));
            int64_t which = i * 7919 % distinct[d];
            if (i % 7 == 3 || met[which]) continue;
            met[which] = true;
            n_met++;
        }
        free(met);
        CHECK_OK(ns_cells_settle(cells));
        ns_cells_facts facts = ns_cells_about(cells);
        assert_int_equal(facts.n_rows, n_rows);
        assert_int_equal(facts.n_missing, (n_rows + 3) / 7);
        assert_int_equal(facts.many_texts, n_met > NS_CELLS_DISTINCT);
        assert_int_equal(facts.about, n_met > NS_CELLS_DISTINCT);
        if (facts.about)
            assert_true(facts.n_distinct > n_met * 9 / 10 && facts.n_distinct < n_met * 11 / 10);
        else
            assert_int_equal(facts.n_distinct, n_met);
        check_walk(cells, n_rows, distinct[d]);
        ns_cells_destroy(&cells);
        ns_scratch_destroy(&scratch);
        ns_texts_destroy(&missing);
    }
}

/* A column that looks like numbers, or times, for a long time, and then is neither: nothing is lost. */
static void late_words_are_found(void **state)
{
    (void)state;
    static const char *const forms[] = {"%" PRId64, "%" PRId64 ".25", "2024-01-01T%02" PRId64 ":00:00", "1.%06" PRId64};
    static const int64_t distinct[] = {50, 2000, 20000, 70000};
    enum { N = 140000 };
    ns_texts missing = {0};
    for (int f = 0; f < 8; f++) {
        int64_t n_distinct = f % 4 == 2 ? 24 : distinct[f % 4];
        ns_scratch *scratch;
        CHECK_OK(ns_scratch_create(&scratch, "/tmp/nightshift-test-cells", 1000));
        ns_cells *cells = open_column(scratch, &missing);
        for (int64_t i = 0; i < N; i++) {
            char text[64];
            int n = i == N - 5 && f >= 4 ? snprintf(text, sizeof text, "word")
                                         : snprintf(text, sizeof text, forms[f % 4], i % n_distinct);
            append(cells, text, n);
        }
        CHECK_OK(ns_cells_settle(cells));
        ns_cells_facts facts = ns_cells_about(cells);
        ns_column_kind kind = ns_infer_kind(&facts);
        if (f < 4)
            assert_int_equal(kind, f == 2 ? NS_COL_TIME : NS_COL_NUMBER);
        else {
            assert_int_equal(kind, n_distinct > NS_INFER_LEVELS ? NS_COL_ID : NS_COL_CATEGORY);
            if (kind == NS_COL_CATEGORY) assert_int_equal(facts.n_distinct, n_distinct + 1);
            ns_cells_walk walk = {0};
            ns_run run;
            int64_t n_rows = 0;
            for (;;) {
                CHECK_OK(ns_cells_next(cells, &walk, &run));
                if (run.n_bytes == 0) break;
                int64_t at = 0, n = run.form == NS_RUN_TEXTS ? run.n_bytes : run.n_rows;
                for (int64_t i = 0; i < n; i = run.form == NS_RUN_TEXTS ? at : i + 1, n_rows++) {
                    const char *text = "";
                    int64_t n_bytes = 0;
                    char want[64];
                    met_text(cells, &run, i, &at, &text, &n_bytes);
                    int length = n_rows == N - 5 ? snprintf(want, sizeof want, "word")
                                                 : snprintf(want, sizeof want, forms[f % 4], n_rows % n_distinct);
                    if (n_bytes != length || memcmp(text, want, (size_t)length) != 0) fail_msg("row %" PRId64, n_rows);
                }
            }
            ns_cells_walk_end(&walk);
            assert_int_equal(n_rows, N);
        }
        ns_cells_destroy(&cells);
        ns_scratch_destroy(&scratch);
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
        ns_scratch *scratch;
        CHECK_OK(ns_scratch_create(&scratch, "/tmp/nightshift-test-cells", 65536));
        ns_cells *cells = open_column(scratch, &missing);
        for (int64_t r = 0; r < cases[c].repeats; r++) {
            for (const char *p = cases[c].texts;; p++) {
                size_t n = strcspn(p, ";");
                append(cells, p, (int64_t)n);
                p += n;
                if (*p == '\0') break;
            }
        }
        CHECK_OK(ns_cells_settle(cells));
        ns_cells_facts facts = ns_cells_about(cells);
        if (ns_infer_kind(&facts) != cases[c].kind || facts.all_int64 != cases[c].int64)
            fail_msg("%s: kind %d, int64 %d", cases[c].texts, (int)ns_infer_kind(&facts), facts.all_int64);
        ns_cells_destroy(&cells);
        ns_scratch_destroy(&scratch);
    }
    ns_texts_destroy(&missing);
}

static void very_many_levels_are_an_id(void **state)
{
    (void)state;
    ns_texts missing = {0};
    for (int64_t n_distinct = NS_INFER_LEVELS; n_distinct <= NS_INFER_LEVELS + 1; n_distinct++) {
        ns_scratch *scratch;
        CHECK_OK(ns_scratch_create(&scratch, "/tmp/nightshift-test-cells", 65536));
        ns_cells *cells = open_column(scratch, &missing);
        for (int64_t i = 0; i < 3 * n_distinct; i++) {
            char text[32];
            append(cells, text, snprintf(text, sizeof text, "L%" PRId64, i % n_distinct));
        }
        CHECK_OK(ns_cells_settle(cells));
        ns_cells_facts facts = ns_cells_about(cells);
        assert_int_equal(ns_infer_kind(&facts), n_distinct == NS_INFER_LEVELS ? NS_COL_CATEGORY : NS_COL_ID);
        ns_cells_destroy(&cells);
        ns_scratch_destroy(&scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_give_back_what_they_got),
        cmocka_unit_test(late_words_are_found),
        cmocka_unit_test(kinds_are_inferred),
        cmocka_unit_test(very_many_levels_are_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
