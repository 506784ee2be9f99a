#include "tests/data/table_text.h"

#include "tests/check.h"

#include <inttypes.h>
#include <math.h>
#include <mpi.h>

void note(table *t, const char *text, int64_t n_bytes)
{
    assert_true(t->length + (size_t)n_bytes < sizeof t->text);
    memcpy(t->text + t->length, text, (size_t)n_bytes);
    t->length += (size_t)n_bytes;
    t->text[t->length] = '\0';
}

static void note_int(table *t, int64_t value)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%" PRId64, value);
    note(t, text, n);
}

static void note_text(table *t, const ns_texts *texts, int64_t i)
{
    note(t, texts->bytes + texts->offset[i], texts->offset[i + 1] - texts->offset[i]);
}

/* One cell in words. */
static void note_cell(table *t, ns_cohort *cohort, int32_t column, int64_t row)
{
    const ns_column *c = ns_cohort_column(cohort, column);
    int64_t integer = NS_TIME_MISSING;
    note(t, " ", 1);
    if (c->kind == NS_COL_NUMBER) {
        float value;
        char text[32];
        CHECK_OK(ns_cohort_read_number(cohort, column, row, 1, &value));
        if (isnan(value))
            note(t, "-", 1);
        else
            note(t, text, snprintf(text, sizeof text, "%.9g", (double)value));
    } else if (c->kind == NS_COL_CATEGORY) {
        int32_t code;
        CHECK_OK(ns_cohort_read_codes(cohort, column, row, 1, &code));
        if (code < 0)
            note(t, "-", 1);
        else
            note_text(t, c->levels, code);
    } else if (c->kind == NS_COL_ID && c->is_text) {
        ns_texts texts = {0};
        CHECK_OK(ns_cohort_read_id_text(cohort, column, row, 1, &texts));
        if (texts.offset[1] == 0)
            note(t, "-", 1);
        else
            note_text(t, &texts, 0);
        ns_texts_destroy(&texts);
    } else {
        if (c->kind == NS_COL_ID)
            CHECK_OK(ns_cohort_read_id_int(cohort, column, row, 1, &integer));
        else
            CHECK_OK(ns_cohort_read_time(cohort, column, row, 1, &integer));
        if (integer == NS_TIME_MISSING)
            note(t, "-", 1);
        else
            note_int(t, integer);
    }
}

ns_cohort *open_cohort(const char *path)
{
    ns_texts files = {0};
    ns_cohort *cohort;
    CHECK_OK(ns_texts_append(&files, path, (int64_t)strlen(path)));
    CHECK_OK(ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF));
    ns_texts_destroy(&files);
    int32_t n = ns_cohort_n_columns(cohort);
    int32_t *all = malloc((size_t)n * sizeof *all);
    assert_non_null(all);
    for (int32_t i = 0; i < n; i++) all[i] = i;
    CHECK_OK(ns_cohort_prepare(cohort, all, n, MPI_COMM_SELF));
    free(all);
    return cohort;
}

void read_table(table *t, const ns_import_report *report, const char *path)
{
    ns_cohort *cohort = open_cohort(path);
    *t = (table){0};
    assert_int_equal(ns_cohort_n_rows(cohort), report->n_rows);
    for (int64_t i = 0; i < report->n_columns; i++) {
        const ns_import_column_report *r = &report->columns[i];
        int32_t column = ns_cohort_find(cohort, r->name);
        if (r->skipped) {
            assert_int_equal(column, -1);
            continue;
        }
        assert_true(column >= 0);
        const ns_column *c = ns_cohort_column(cohort, column);
        assert_int_equal(c->kind, r->kind);
        if (c->kind == NS_COL_ID) assert_int_equal(c->is_text, r->is_text);
        const char *kind = ns_column_kind_name(c->kind);
        note(t, r->name, (int64_t)strlen(r->name));
        note(t, " ", 1);
        note(t, kind, (int64_t)strlen(kind));
        note(t, ":", 1);
        for (int64_t row = 0; row < report->n_rows; row++) note_cell(t, cohort, column, row);
        note(t, "\n", 1);
    }
    ns_cohort_close(&cohort);
}

void write_file(const char *path, const char *bytes, int64_t n_bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, (size_t)n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}
