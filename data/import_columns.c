/* Which columns an import makes of its CSVs: from the schema, from the cohort that is appended to, or to be inferred. */
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/import_private.h"
#include "data/values.h"

enum { PIECE_BYTES = 1 << 16, LEAST_PIECE_BYTES = 1 << 12, PIECES_BYTES = 1 << 24 };

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

ns_status ns_import_check_schema(const ns_import_schema *schema)
{
    for (int64_t i = 0; i < schema->n_columns; i++) NS_TRY(check_column(schema, &schema->columns[i]));
    return NS_OK;
}

static ns_status open_zone(const ns_import *in, ns_passage *column)
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

ns_status ns_import_set_missing(ns_import *in)
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
static ns_status make_columns(ns_import *in)
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

ns_column_kind ns_import_column_kind(ns_import_kind kind)
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

static ns_status match_schema(ns_import *in)
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
static ns_status match_like(ns_import *in)
{
    const char *path = in->options->like;
    ns_texts files = {0};
    NS_TRY(ns_texts_append(&files, path, (int64_t)strlen(path)));
    ns_status status = ns_cohort_open(&in->like, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF);
    ns_texts_destroy(&files);
    NS_TRY(status);
    int64_t n_met = 0;
    for (int64_t i = 0; i < in->n_columns; i++) {
        ns_passage *column = &in->columns[i];
        if (column->wanted == NS_IMPORT_SKIP) continue;
        int32_t at = ns_cohort_find(in->like, column->name);
        if (at < 0)
            return ns_fail(NS_EFORMAT, "%s has a column '%s', which %s has not; kind skip leaves it out", ns_csv_name(in->csv),
                           column->name, path);
        column->like = ns_cohort_column(in->like, at);
        ns_import_kind kind = import_kind(column->like->kind);
        if (column->wanted != NS_IMPORT_INFER && column->wanted != kind)
            return ns_fail(NS_EFORMAT, "%s:%" PRId64 ": column '%s' is of kind %s here, and of kind %s in %s", in->schema->path,
                           column->schema->line, column->name, ns_column_kind_name(ns_import_column_kind(column->wanted)),
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

static ns_status make_cells(ns_import *in)
{
    for (int64_t i = 0; i < in->n_columns; i++) {
        ns_passage *column = &in->columns[i];
        if (column->wanted == NS_IMPORT_SKIP) continue;
        in->kept[in->n_kept++] = i;
        const ns_cells_want want = {.name = column->name,
                                    .column = i,
                                    .inferred = column->wanted == NS_IMPORT_INFER,
                                    .kind = ns_import_column_kind(column->wanted),
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
ns_status ns_import_begin_table(ns_import *in, const char *out)
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
ns_status ns_import_find_places(ns_import *in)
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
