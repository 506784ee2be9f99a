#include "data/import.h"

/*
 * Read, decide, write. One pass over the CSVs fills the cells of every column that is kept: while one thread
 * cuts a block into records, the others take in the columns of the block before, each column by one thread,
 * so that a column sees its cells in order whatever the number of threads. Then bad lines are merged; then each
 * column gets its kind and is converted into the writer, and its cells are freed.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/log.h"
#include "cluster/stop.h"
#include "data/convert.h"
#include "data/durable.h"
#include "data/import_private.h"
#include "data/infer.h"

enum { REPORT_BYTES = 1 << 24 };

/* --- reading --- */

static ns_status note_bad_record(void *context, const ns_csv_bad_record *record)
{
    ns_import *in = context;
    const ns_lines_at at = {in->file, record->line, -1, record->text, record->n_bytes};
    return ns_lines_bad(in->lines, NS_LINES_RECORD, &at, record->problem);
}

/* Takes in the columns of one batch while the next is read. */
static ns_status take_batch(ns_import *in, const ns_csv_batch *batch, ns_csv_batch *next)
{
    ns_status read = NS_OK, taken = NS_OK;
    int64_t first = in->report.n_rows;
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = -1; i < in->n_kept; i++) {
        ns_status status;
        if (i < 0) {
            read = ns_csv_read(in->csv, next);
            continue;
        }
        const ns_passage *column = &in->columns[in->kept[i]];
        status = ns_cells_append_batch(column->cells, batch, column->place, first, in->file);
        if (status != NS_OK) {
#pragma omp atomic write
            taken = status;
        }
    }
    in->report.n_rows += batch->n_rows;
    in->report.files[in->file].n_rows += batch->n_rows;
    return read != NS_OK || taken != NS_OK ? ns_last_error()->code : NS_OK;
}

static ns_status read_rows(ns_import *in)
{
    int64_t read_before = in->report.n_bytes;
    ns_csv_batch *batch = &in->batches[0], *next = &in->batches[1];
    NS_TRY(ns_csv_read(in->csv, batch));
    while (batch->n_rows > 0) {
        NS_TRY(ns_stop_check());
        NS_TRY(take_batch(in, batch, next));
        ns_csv_batch *done = batch;
        batch = next;
        next = done;
        int64_t n_read = read_before + ns_csv_n_bytes(in->csv);
        if (n_read > REPORT_BYTES)
            ns_log_progress("read", n_read, n_read > in->n_expected ? n_read : in->n_expected, "rows=%" PRId64, in->report.n_rows);
    }
    in->report.n_bytes = read_before + ns_csv_n_bytes(in->csv);
    return NS_OK;
}

static ns_status read_file(ns_import *in, const char *path, const char *out)
{
    const ns_csv_options options = {.bad = note_bad_record, .context = in, .encoding = in->options->encoding,
                                    .block_bytes = in->options->block_bytes};
    NS_TRY(ns_csv_open(&in->csv, path, &options));
    const char *name = ns_csv_name(in->csv);
    NS_TRY(ns_texts_append(&in->names_of_files, name, (int64_t)strlen(name)));
    if (in->file == 0) NS_TRY(ns_import_begin_table(in, out));
    NS_TRY(ns_import_find_places(in));
    /* batches have room for their CSV's cells, and all CSVs have the same columns */
    ns_import_file_report *report = &in->report.files[in->file];
    report->separator = ns_csv_separator(in->csv);
    NS_TRY(read_rows(in));
    report->mixed_ends = ns_csv_mixed_ends(in->csv);
    ns_csv_close(&in->csv);
    return NS_OK;
}

/* --- bad lines --- */

/* Whole numbers that float32 does not hold are bad where the schema says number and all numbers are whole. */
static void condemn(ns_import *in)
{
    for (int64_t i = 0; i < in->n_kept; i++) {
        const ns_passage *column = &in->columns[in->kept[i]];
        if (column->wanted == NS_IMPORT_NUMBER && ns_cells_about(column->cells).all_whole)
            ns_lines_condemn(in->lines, in->kept[i]);
    }
}

static ns_status publish_rejects(const ns_import *in)
{
    const char *path = in->options->rejects;
    size_t room = strlen(path) + 5;
    char *temporary = malloc(room);
    if (temporary == NULL) return ns_fail(NS_ENOMEM, "no memory for '%s'", path);
    snprintf(temporary, room, "%s.tmp", path);
    FILE *to = fopen(temporary, "wb");
    ns_status status = to == NULL ? ns_fail(NS_EIO, "cannot write '%s'", path) : ns_lines_write(in->lines, to);
    if (to != NULL && fclose(to) != 0 && status == NS_OK) status = ns_fail(NS_EIO, "cannot write '%s'", path);
    if (status == NS_OK) status = ns_durable_sync(temporary, "rejects");
    if (status == NS_OK) status = ns_durable_rename(temporary, path, "rejects");
    if (status != NS_OK) unlink(temporary);
    free(temporary);
    return status;
}

static ns_status judge_lines(ns_import *in)
{
    condemn(in);
    NS_TRY(ns_lines_settle(in->lines));
    int64_t n_bad = ns_lines_n_bad(in->lines), n_lines = in->report.n_rows + ns_lines_n_records(in->lines);
    if (n_bad == 0) return NS_OK;
    ns_lines_show(in->lines, in->options->bad_line, in->options->context);
    char limit[100] = "";
    bool allowed = n_bad <= in->options->max_bad.lines && (double)n_bad <= in->options->max_bad.share * (double)n_lines;
    if (allowed) {
        in->report.n_bad = n_bad;
        return NS_OK;
    }
    if (in->options->max_bad.lines > 0)
        snprintf(limit, sizeof limit, "; %" PRId64 " of %" PRId64 " lines are more than --max-bad allows", n_bad, n_lines);
    return ns_lines_fail(in->lines, limit);
}

/* --- writing --- */

/* Decides, converts and reports one column; its cells are freed. */
static ns_status finish_column(ns_import *in, int64_t i, ns_cohort_writer *writer)
{
    ns_passage *column = &in->columns[i];
    ns_import_column_report *report = &in->report.columns[i];
    report->name = column->name;
    report->skipped = column->cells == NULL;
    if (report->skipped) return NS_OK;
    report->inferred = column->wanted == NS_IMPORT_INFER;
    if (report->inferred) NS_TRY(ns_cells_settle(column->cells));
    const ns_cells_facts facts = ns_cells_about(column->cells);
    ns_conversion what = {.name = column->name, .kind = report->inferred ? ns_infer_kind(&facts) : ns_import_column_kind(column->wanted)};
    if (column->schema != NULL) {
        what.prefix = column->schema->prefix;
        what.unit = column->schema->unit;
        what.description = column->schema->description;
    }
    if (column->like != NULL && what.unit == NULL) what.unit = column->like->unit;
    if (column->like != NULL && what.description == NULL) what.description = column->like->description;
    what.is_text = what.kind == NS_COL_ID && (column->like != NULL ? column->like->is_text : !facts.all_int64);
    what.dropped = ns_lines_rows(in->lines, &what.n_dropped);
    ns_conversion_counts counts;
    NS_TRY(ns_convert_column(&counts, &what, column->cells, writer));
    report->kind = what.kind;
    report->is_text = what.is_text;
    report->n_missing = counts.n_missing;
    report->n_distinct = facts.n_distinct;
    report->about = facts.about && what.kind != NS_COL_CATEGORY;
    if (what.kind == NS_COL_CATEGORY) report->n_distinct = counts.n_levels;
    report->n_inexact = facts.n_inexact;
    report->n_zoneless = facts.n_zoneless;
    if (report->inferred) report->advice = ns_advice_about(column->name, what.kind, column->cells);
    ns_cells_destroy(&column->cells);
    return NS_OK;
}

static ns_status write_columns(ns_import *in, const char *out)
{
    ns_cohort_writer *writer = NULL;
    const ns_cohort_options options = {.chunk_rows = 0, .deflate = -1};
    ns_status status = ns_cohort_writer_open(&writer, out, &options);
    for (int64_t i = 0; i < in->n_columns && status == NS_OK; i++) {
        status = finish_column(in, i, writer);
        if (in->report.n_bytes > REPORT_BYTES) ns_log_progress("write", i + 1, in->n_columns, "rows=%" PRId64, in->report.n_rows);
    }
    if (status == NS_OK && in->options->rejects != NULL && in->report.n_bad > 0) status = publish_rejects(in);
    if (status == NS_OK) status = ns_cohort_writer_finish(writer);
    ns_cohort_writer_close(&writer);
    return status;
}

static ns_status run_import(ns_import *in, const char *const *csvs, int64_t n_csvs, const char *out)
{
    if (in->schema != NULL) NS_TRY(ns_import_check_schema(in->schema));
    NS_TRY(ns_import_set_missing(in));
    in->report.n_files = n_csvs;
    in->report.files = calloc((size_t)n_csvs, sizeof *in->report.files);
    if (in->report.files == NULL) return ns_fail(NS_ENOMEM, "no memory for the report of %s", out);
    for (int64_t i = 0; i < n_csvs; i++) {
        struct stat facts;
        if (stat(csvs[i], &facts) == 0) in->n_expected += facts.st_size;
    }
    for (int64_t i = 0; i < n_csvs; i++) {
        in->file = (int32_t)i;
        NS_TRY(read_file(in, csvs[i], out));
    }
    for (int i = 0; i < 2; i++) ns_csv_batch_destroy(&in->batches[i]);
    NS_TRY(judge_lines(in));
    in->report.n_columns = in->n_columns;
    in->report.columns = calloc((size_t)in->n_columns, sizeof *in->report.columns);
    if (in->report.columns == NULL) return ns_fail(NS_ENOMEM, "no memory for the report of %s", out);
    int64_t n_dropped;
    ns_lines_rows(in->lines, &n_dropped);
    in->report.n_rows -= n_dropped;
    return write_columns(in, out);
}

ns_status ns_import_csv(ns_import_report *report, const char *const *csvs, int64_t n_csvs, const char *out,
                        const ns_import_options *options)
{
    static const ns_import_options plain = {0};
    ns_import in = {.options = options == NULL ? &plain : options};
    in.schema = in.options->schema;
    ns_status status = run_import(&in, csvs, n_csvs, out);
    for (int64_t i = 0; i < in.n_columns && in.columns != NULL; i++) {
        ns_cells_destroy(&in.columns[i].cells);
        ns_zone_close(&in.columns[i].zone);
    }
    free(in.columns);
    free(in.kept);
    for (int i = 0; i < 2; i++) ns_csv_batch_destroy(&in.batches[i]);
    ns_lines_destroy(&in.lines);
    ns_scratch_destroy(&in.scratch);
    ns_csv_close(&in.csv);
    ns_cohort_close(&in.like);
    ns_texts_destroy(&in.missing);
    ns_texts_destroy(&in.names_of_files);
    in.report.names = in.names;
    if (status != NS_OK) ns_import_report_free(&in.report);
    *report = in.report;
    return status;
}

void ns_import_report_free(ns_import_report *report)
{
    free(report->columns);
    free(report->files);
    free(report->names);
    *report = (ns_import_report){0};
}
