#include "data/import.h"

/*
 * Read, decide, write. One pass over the CSVs fills the cells of every column that is kept: while one thread
 * cuts a block into records, the others take in the columns of the block before, each column by one thread,
 * so that a column sees its cells in order whatever the number of threads. Then bad lines are merged; then each
 * column gets its kind and is converted into the writer, and its cells are freed.
 */

#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/log.h"
#include "cluster/stop.h"
#include "data/cells.h"
#include "data/convert.h"
#include "data/durable.h"
#include "data/infer.h"
#include "data/scratch.h"
#include "data/values.h"
#include "data/zone.h"

enum { PIECE_BYTES = 1 << 16, LEAST_PIECE_BYTES = 1 << 12, PIECES_BYTES = 1 << 24, REPORT_BYTES = 1 << 24 };

/* One column of the table on its way. */
typedef struct passage {
    const char *name;
    const ns_import_column *schema; /* NULL: not named there */
    const ns_column *like;          /* NULL: nothing to be like */
    ns_import_kind wanted;
    ns_zone *zone;
    ns_cells *cells; /* NULL: skipped, or done */
    int64_t place;   /* in the CSV in work */
} passage;

typedef struct import {
    const ns_import_options *options;
    const ns_import_schema *schema; /* NULL: none */
    ns_texts missing, names_of_files;
    ns_cohort *like;
    ns_scratch *scratch;
    ns_lines *lines;
    ns_csv *csv;
    ns_csv_batch batches[2];
    int32_t file;
    passage *columns;
    int64_t n_columns, *kept, n_kept; /* kept: indices of columns that are not skipped */
    char *names;                      /* the columns' names, terminated, one after another */
    int64_t n_expected;               /* bytes that the CSVs have on disk, for progress; less where they are packed or piped */
    ns_import_report report;
} import;

/* --- what is asked --- */

static ns_status check_column(const ns_import_schema *schema, const ns_import_column *column)
{
    if (column->prefix < 0)
        return ns_fail(NS_EINVAL, "%s:%" PRId64 ": column '%s': prefix must be at least 1", schema->path,
                       column->line, column->name);
    const char *problem = column->format == NULL ? NULL : ns_time_format_check(column->format);
    if (problem != NULL)
        return ns_fail(NS_EINVAL, "%s:%" PRId64 ": column '%s': the format cannot be used: %s", schema->path,
                       column->line, column->name, problem);
    return NS_OK;
}

static ns_status open_zone(const import *in, passage *column)
{
    const ns_import_column *said = column->schema;
    if (said == NULL || said->zone == NULL) return NS_OK;
    ns_status status = ns_zone_open(&column->zone, said->zone);
    if (status != NS_EINVAL) return status;
    char why[1000];
    snprintf(why, sizeof why, "%.900s", ns_last_error()->message);
    ns_error_clear();
    return ns_fail(NS_EINVAL, "%s:%" PRId64 ": column '%s': %s", in->schema->path, said->line, said->name, why);
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

/* --- columns --- */

/* Names of the header as terminated texts, and a passage for each. */
static ns_status make_columns(import *in)
{
    const ns_texts *header = ns_csv_header(in->csv);
    in->n_columns = header->n;
    in->columns = calloc((size_t)header->n, sizeof *in->columns);
    in->kept = calloc((size_t)header->n, sizeof *in->kept);
    in->names = malloc((size_t)(header->offset[header->n] + header->n));
    if (in->columns == NULL || in->kept == NULL || in->names == NULL)
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

static ns_import_kind import_kind(ns_column_kind kind)
{
    static const ns_import_kind kinds[] = {[NS_COL_NUMBER] = NS_IMPORT_NUMBER, [NS_COL_CATEGORY] = NS_IMPORT_CATEGORY,
                                           [NS_COL_ID] = NS_IMPORT_ID, [NS_COL_TIME] = NS_IMPORT_TIME};
    return kinds[kind];
}

static ns_column_kind column_kind(ns_import_kind kind)
{
    switch (kind) {
    case NS_IMPORT_CATEGORY:
        return NS_COL_CATEGORY;
    case NS_IMPORT_ID:
        return NS_COL_ID;
    case NS_IMPORT_TIME:
        return NS_COL_TIME;
    default:
        return NS_COL_NUMBER;
    }
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
        NS_TRY(open_zone(in, &in->columns[i]));
    }
    return NS_OK;
}

/* The columns and kinds of the cohort that is appended to. */
static ns_status match_like(import *in)
{
    const char *path = in->options->like;
    ns_texts files = {0};
    NS_TRY(ns_texts_append(&files, path, (int64_t)strlen(path)));
    ns_status status = ns_cohort_open(&in->like, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF);
    ns_texts_destroy(&files);
    NS_TRY(status);
    int64_t n_met = 0;
    for (int64_t i = 0; i < in->n_columns; i++) {
        passage *column = &in->columns[i];
        if (column->wanted == NS_IMPORT_SKIP) continue;
        int32_t at = ns_cohort_find(in->like, column->name);
        if (at < 0)
            return ns_fail(NS_EFORMAT, "%s has a column '%s', which %s has not; kind skip leaves it out", ns_csv_name(in->csv),
                           column->name, path);
        column->like = ns_cohort_column(in->like, at);
        ns_import_kind kind = import_kind(column->like->kind);
        if (column->wanted != NS_IMPORT_INFER && column->wanted != kind)
            return ns_fail(NS_EFORMAT, "%s:%" PRId64 ": column '%s' is of kind %s here, and of kind %s in %s", in->schema->path,
                           column->schema->line, column->name, ns_column_kind_name(column_kind(column->wanted)),
                           ns_column_kind_name(column->like->kind), path);
        column->wanted = kind;
        n_met++;
    }
    for (int32_t i = 0; n_met < ns_cohort_n_columns(in->like) && i < ns_cohort_n_columns(in->like); i++) {
        const char *name = ns_cohort_column(in->like, i)->name;
        bool met = false;
        for (int64_t k = 0; k < in->n_columns; k++)
            met = met || (in->columns[k].like != NULL && strcmp(in->columns[k].name, name) == 0);
        if (!met) return ns_fail(NS_EFORMAT, "%s has no column '%s', which %s has", ns_csv_name(in->csv), name, path);
    }
    return NS_OK;
}

static ns_status make_cells(import *in)
{
    for (int64_t i = 0; i < in->n_columns; i++) {
        passage *column = &in->columns[i];
        if (column->wanted == NS_IMPORT_SKIP) continue;
        in->kept[in->n_kept++] = i;
        const ns_cells_want want = {.name = column->name,
                                    .column = i,
                                    .inferred = column->wanted == NS_IMPORT_INFER,
                                    .kind = column_kind(column->wanted),
                                    .whole_ids = column->like != NULL && column->like->kind == NS_COL_ID && !column->like->is_text,
                                    .format = column->schema == NULL ? NULL : column->schema->format,
                                    .zone = column->zone};
        NS_TRY(ns_cells_create(&column->cells, &want, &in->missing, in->scratch, in->lines));
    }
    if (in->n_kept == 0)
        return ns_fail(NS_EINVAL, "%s skips every column of %s", in->schema->path, ns_csv_name(in->csv));
    return NS_OK;
}

/* Of the first CSV: what the table is. */
static ns_status begin_table(import *in, const char *out)
{
    NS_TRY(make_columns(in));
    NS_TRY(match_schema(in));
    if (in->options->like != NULL) NS_TRY(match_like(in));
    int64_t piece = in->options->piece_bytes;
    if (piece <= 0) {
        piece = PIECES_BYTES / (2 * in->n_columns);
        piece = piece > PIECE_BYTES ? PIECE_BYTES : piece < LEAST_PIECE_BYTES ? LEAST_PIECE_BYTES : piece;
    }
    NS_TRY(ns_scratch_create(&in->scratch, out, piece));
    bool go_on = in->options->max_bad.lines > 0;
    NS_TRY(ns_lines_create(&in->lines, &in->names_of_files, in->scratch, in->n_columns, go_on ? NS_LINES_TEXT : NS_LINES_COUNT));
    return make_cells(in);
}

/* Where each column of the table stands in this CSV. */
static ns_status find_places(import *in)
{
    const ns_texts *header = ns_csv_header(in->csv);
    for (int64_t i = 0; i < in->n_columns; i++) {
        const char *name = in->columns[i].name;
        int64_t n_bytes = (int64_t)strlen(name), at = 0;
        while (at < header->n && (header->offset[at + 1] - header->offset[at] != n_bytes ||
                                  memcmp(header->bytes + header->offset[at], name, (size_t)n_bytes) != 0))
            at++;
        if (at == header->n)
            return ns_fail(NS_EFORMAT, "%s has no column '%s', which the first CSV has", ns_csv_name(in->csv), name);
        in->columns[i].place = at;
    }
    if (header->n > in->n_columns)
        return ns_fail(NS_EFORMAT, "%s has %" PRId64 " columns, the first CSV has %" PRId64, ns_csv_name(in->csv), header->n,
                       in->n_columns);
    return NS_OK;
}

/* --- reading --- */

static ns_status note_bad_record(void *context, const ns_csv_bad_record *record)
{
    import *in = context;
    const ns_lines_at at = {in->file, record->line, -1, record->text, record->n_bytes};
    return ns_lines_bad(in->lines, NS_LINES_RECORD, &at, record->problem);
}

/* Takes in the columns of one batch while the next is read. */
static ns_status take_batch(import *in, const ns_csv_batch *batch, ns_csv_batch *next)
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
        const passage *column = &in->columns[in->kept[i]];
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

static ns_status read_rows(import *in)
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

static ns_status read_file(import *in, const char *path, const char *out)
{
    const ns_csv_options options = {.bad = note_bad_record, .context = in, .encoding = in->options->encoding,
                                    .block_bytes = in->options->block_bytes};
    NS_TRY(ns_csv_open(&in->csv, path, &options));
    const char *name = ns_csv_name(in->csv);
    NS_TRY(ns_texts_append(&in->names_of_files, name, (int64_t)strlen(name)));
    if (in->file == 0) NS_TRY(begin_table(in, out));
    NS_TRY(find_places(in));
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
static void condemn(import *in)
{
    for (int64_t i = 0; i < in->n_kept; i++) {
        const passage *column = &in->columns[in->kept[i]];
        if (column->wanted == NS_IMPORT_NUMBER && ns_cells_about(column->cells).all_whole)
            ns_lines_condemn(in->lines, in->kept[i]);
    }
}

static ns_status publish_rejects(const import *in)
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

static ns_status judge_lines(import *in)
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
static ns_status finish_column(import *in, int64_t i, ns_cohort_writer *writer)
{
    passage *column = &in->columns[i];
    ns_import_column_report *report = &in->report.columns[i];
    report->name = column->name;
    report->skipped = column->cells == NULL;
    if (report->skipped) return NS_OK;
    report->inferred = column->wanted == NS_IMPORT_INFER;
    if (report->inferred) NS_TRY(ns_cells_settle(column->cells));
    const ns_cells_facts facts = ns_cells_about(column->cells);
    ns_conversion what = {.name = column->name, .kind = report->inferred ? ns_infer_kind(&facts) : column_kind(column->wanted)};
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

static ns_status write_columns(import *in, const char *out)
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

static ns_status run_import(import *in, const char *const *csvs, int64_t n_csvs, const char *out)
{
    for (int64_t i = 0; in->schema != NULL && i < in->schema->n_columns; i++)
        NS_TRY(check_column(in->schema, &in->schema->columns[i]));
    NS_TRY(set_missing(in));
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
    import in = {.options = options == NULL ? &plain : options};
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
