#include "data/import.h"

/*
 * Read, decide, write: one pass over the CSV fills the cells of every column that is kept; then each column
 * gets its kind; then it is converted into the writer, and its cells are freed. Once a line is bad there is
 * no writer any more, and the rest of the columns are only checked, so that all bad lines are known at the
 * end.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/stop.h"
#include "data/cells.h"
#include "data/convert.h"
#include "data/csv.h"
#include "data/infer.h"
#include "data/values.h"

/* One column of the CSV on its way. */
typedef struct passage {
    const char *name;
    const ns_import_column *schema; /* NULL: not named there */
    ns_import_kind wanted;
    ns_cells *cells; /* NULL: skipped, or done */
} passage;

typedef struct import {
    const ns_import_options *options;
    const ns_import_schema *schema; /* NULL: none */
    ns_texts missing;
    ns_csv *csv;
    ns_lines *lines;
    passage *columns;
    int64_t n_columns;
    char *names; /* the columns' names, terminated, one after another */
    ns_import_report report;
} import;

static ns_status check_column(const ns_import_schema *schema, const ns_import_column *column)
{
    if (column->prefix < 0)
        return ns_fail(NS_EINVAL, "%s:%" PRId64 ": column '%s': prefix must be at least 1", schema->path,
                       column->line, column->name);
    if (column->zone != NULL && strcmp(column->zone, "UTC") != 0)
        return ns_fail(NS_EINVAL,
                       "%s:%" PRId64 ": column '%s': a named zone is not supported yet; only UTC is",
                       schema->path, column->line, column->name);
    const char *problem = column->format == NULL ? NULL : ns_time_format_check(column->format);
    if (problem != NULL)
        return ns_fail(NS_EINVAL, "%s:%" PRId64 ": column '%s': the format cannot be used: %s", schema->path,
                       column->line, column->name, problem);
    return NS_OK;
}

static ns_status set_missing(import *in)
{
    static const char *const usual[] = {"", "?", "NA", "NaN", "nan", "NULL"};
    bool given = in->schema != NULL && in->schema->missing != NULL;
    const char *const *texts = given ? in->schema->missing : usual;
    int64_t n = given ? in->schema->n_missing : (int64_t)(sizeof usual / sizeof usual[0]);
    for (int64_t i = 0; i < n; i++)
        NS_TRY(ns_texts_append(&in->missing, texts[i], (int64_t)strlen(texts[i])));
    return NS_OK;
}

static void note_bad_record(void *context, int64_t line, const char *problem)
{
    ns_lines_bad_record(((import *)context)->lines, line, problem);
}

/* Names of the header as terminated texts, and a passage for each. */
static ns_status make_columns(import *in)
{
    const ns_texts *header = ns_csv_header(in->csv);
    in->n_columns = header->n;
    in->columns = calloc((size_t)header->n, sizeof *in->columns);
    in->names = malloc((size_t)(header->offset[header->n] + header->n));
    if (in->columns == NULL || in->names == NULL)
        return ns_fail(NS_ENOMEM, "no memory for %" PRId64 " columns", header->n);
    char *name = in->names;
    for (int64_t i = 0; i < header->n; i++) {
        int64_t n_bytes = header->offset[i + 1] - header->offset[i];
        memcpy(name, header->bytes + header->offset[i], (size_t)n_bytes);
        name[n_bytes] = '\0';
        in->columns[i].name = name;
        name += n_bytes + 1;
    }
    return NS_OK;
}

/* A prefix or a format without a kind says which kind is meant. */
static ns_import_kind kind_wanted(const ns_import_column *column)
{
    if (column->kind != NS_IMPORT_INFER) return column->kind;
    if (column->prefix > 0) return NS_IMPORT_CATEGORY;
    return column->format != NULL || column->zone != NULL ? NS_IMPORT_TIME : NS_IMPORT_INFER;
}

static ns_status match_schema(import *in)
{
    for (int64_t s = 0; in->schema != NULL && s < in->schema->n_columns; s++) {
        const ns_import_column *column = &in->schema->columns[s];
        int64_t i = 0;
        while (i < in->n_columns && strcmp(in->columns[i].name, column->name) != 0) i++;
        if (i == in->n_columns)
            return ns_fail(NS_EFORMAT, "%s has no column '%s', which %s:%" PRId64 " names",
                           ns_csv_name(in->csv), column->name, in->schema->path, column->line);
        in->columns[i].schema = column;
        in->columns[i].wanted = kind_wanted(column);
    }
    int64_t n_kept = 0;
    for (int64_t i = 0; i < in->n_columns; i++) {
        passage *column = &in->columns[i];
        if (column->wanted == NS_IMPORT_SKIP) continue;
        n_kept++;
        ns_cells_form form = column->wanted == NS_IMPORT_CATEGORY ? NS_CELLS_CODES : NS_CELLS_MIXED;
        NS_TRY(ns_cells_create(&column->cells, form, &in->missing));
    }
    if (n_kept == 0)
        return ns_fail(NS_EINVAL, "%s skips every column of %s", in->schema->path, ns_csv_name(in->csv));
    return NS_OK;
}

static ns_status read_rows(import *in)
{
    ns_csv_record record;
    bool found;
    for (;;) {
        NS_TRY(ns_csv_next(in->csv, &record, &found));
        if (!found) return NS_OK;
        NS_TRY(ns_stop_check());
        NS_TRY(ns_lines_add_row(in->lines, record.line));
        for (int64_t i = 0; i < in->n_columns; i++)
            if (in->columns[i].cells != NULL)
                NS_TRY(
                    ns_cells_append(in->columns[i].cells, record.fields[i].text, record.fields[i].n_bytes));
        in->report.n_rows++;
    }
}

static ns_column_kind kind_of(const passage *column)
{
    switch (column->wanted) {
    case NS_IMPORT_NUMBER:
        return NS_COL_NUMBER;
    case NS_IMPORT_CATEGORY:
        return NS_COL_CATEGORY;
    case NS_IMPORT_ID:
        return NS_COL_ID;
    case NS_IMPORT_TIME:
        return NS_COL_TIME;
    default:
        return ns_infer_kind(column->cells);
    }
}

/* Decides, converts and reports one column; its cells are freed. */
static ns_status finish_column(import *in, int64_t i, ns_cohort_writer *writer)
{
    passage *column = &in->columns[i];
    ns_import_column_report *report = &in->report.columns[i];
    report->name = column->name;
    report->skipped = column->cells == NULL;
    if (report->skipped) return NS_OK;
    ns_conversion what = {.name = column->name, .column = i, .kind = kind_of(column)};
    if (column->schema != NULL) {
        what.prefix = column->schema->prefix;
        what.format = column->schema->format;
        what.unit = column->schema->unit;
        what.description = column->schema->description;
    }
    what.is_text = what.kind == NS_COL_ID && !ns_infer_int64(column->cells);
    ns_conversion_counts counts;
    NS_TRY(ns_convert_column(&counts, &what, column->cells, in->lines, writer));
    report->kind = what.kind;
    report->inferred = column->wanted == NS_IMPORT_INFER;
    report->is_text = what.is_text;
    report->n_missing = ns_cells_n_missing(column->cells);
    int64_t n_distinct = ns_cells_n_distinct(column->cells);
    report->n_distinct = what.kind == NS_COL_CATEGORY     ? counts.n_levels
                         : n_distinct > NS_CELLS_DISTINCT ? -1
                                                          : n_distinct;
    report->n_inexact = counts.n_inexact;
    report->n_zoneless = counts.n_zoneless;
    ns_cells_destroy(&column->cells);
    return NS_OK;
}

static ns_status write_columns(import *in, const char *out)
{
    ns_cohort_writer *writer = NULL;
    ns_status status = NS_OK;
    if (ns_lines_n_bad(in->lines) == 0) {
        const ns_cohort_options options = {.chunk_rows = 0, .deflate = -1};
        status = ns_cohort_writer_open(&writer, out, &options);
    }
    for (int64_t i = 0; i < in->n_columns && status == NS_OK; i++) {
        status = finish_column(in, i, writer);
        if (ns_lines_n_bad(in->lines) > 0) ns_cohort_writer_close(&writer); /* deletes what it wrote */
    }
    if (status == NS_OK) status = ns_lines_check(in->lines, in->options->bad_line, in->options->context);
    if (status == NS_OK) status = ns_cohort_writer_finish(writer);
    ns_cohort_writer_close(&writer);
    return status;
}

static ns_status run_import(import *in, const char *csv, const char *out)
{
    for (int64_t i = 0; in->schema != NULL && i < in->schema->n_columns; i++)
        NS_TRY(check_column(in->schema, &in->schema->columns[i]));
    NS_TRY(set_missing(in));
    const ns_csv_options options = {.bad = note_bad_record, .context = in};
    NS_TRY(ns_csv_open(&in->csv, csv, &options));
    NS_TRY(ns_lines_create(&in->lines, ns_csv_name(in->csv)));
    NS_TRY(make_columns(in));
    NS_TRY(match_schema(in));
    NS_TRY(read_rows(in));
    in->report.n_bytes = ns_csv_n_bytes(in->csv);
    in->report.separator = ns_csv_separator(in->csv);
    in->report.n_columns = in->n_columns;
    in->report.columns = calloc((size_t)in->n_columns, sizeof *in->report.columns);
    if (in->report.columns == NULL) return ns_fail(NS_ENOMEM, "no memory for the report of %s", csv);
    return write_columns(in, out);
}

ns_status ns_import_csv(ns_import_report *report, const char *csv, const char *out,
                        const ns_import_options *options)
{
    static const ns_import_options plain = {0};
import in = {.options = options == NULL ? & plain:options };
    in.schema = in.options->schema;
    ns_status status = run_import(&in, csv, out);
    for (int64_t i = 0; i < in.n_columns; i++) ns_cells_destroy(&in.columns[i].cells);
    free(in.columns);
    ns_lines_destroy(&in.lines);
    ns_csv_close(&in.csv);
    ns_texts_destroy(&in.missing);
    in.report.names = in.names;
    if (status != NS_OK) ns_import_report_free(&in.report);
    *report = in.report;
    return status;
}

void ns_import_report_free(ns_import_report *report)
{
    free(report->columns);
    free(report->names);
    *report = (ns_import_report){0};
}
