#include "runner/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/where.h"

struct ns_filter {
    ns_where *where; /* NULL: every row passes */
    const char *key, *place;
    int32_t n_columns;
    int32_t *column; /* [n_columns] of the cohort */
};

ns_status ns_filter_open(ns_filter **out, const ns_job *job, const char *key, const ns_cohort *cohort)
{
    *out = NULL;
    ns_filter *filter = calloc(1, sizeof *filter);
    if (filter == NULL) return ns_fail(NS_ENOMEM, "no memory for %s", key);
    filter->key = key;
    filter->place = ns_job_place(job, key);
    ns_status status = NS_OK;
    const char *text = ns_job_text(job, key);
    if (text == NULL) goto done;

    char place[600];
    snprintf(place, sizeof place, "%s: %s", filter->place, key);
    status = ns_where_parse(&filter->where, text, place);
    if (status != NS_OK) goto done;
    filter->n_columns = ns_where_n_columns(filter->where);
    filter->column = calloc((size_t)filter->n_columns + 1, sizeof *filter->column);
    if (filter->column == NULL) {
        status = ns_fail(NS_ENOMEM, "no memory for %s", key);
        goto done;
    }
    for (int32_t i = 0; i < filter->n_columns && status == NS_OK; i++) {
        const char *name = ns_where_column_name(filter->where, i);
        filter->column[i] = ns_cohort_find(cohort, name);
        if (filter->column[i] < 0) status = ns_fail(NS_EFORMAT, "%s: the cohort has no column '%s'", place, name);
    }
done:
    if (status != NS_OK) ns_filter_close(&filter);
    *out = filter;
    return status;
}

void ns_filter_close(ns_filter **filter)
{
    if (*filter == NULL) return;
    ns_where_destroy(&(*filter)->where);
    free((*filter)->column);
    free(*filter);
    *filter = NULL;
}

int32_t ns_filter_n_columns(const ns_filter *filter)
{
    return filter->n_columns;
}

int32_t ns_filter_column(const ns_filter *filter, int32_t i)
{
    return filter->column[i];
}

/* ns_where's view of a column's levels. */
static const char *level_text(const void *context, int64_t index, int64_t *n_bytes)
{
    const ns_texts *levels = context;
    *n_bytes = levels->offset[index + 1] - levels->offset[index];
    return levels->bytes + levels->offset[index];
}

static ns_where_kind where_kind(const ns_column *column)
{
    switch (column->kind) {
    case NS_COL_NUMBER: return NS_WHERE_NUMBER;
    case NS_COL_CATEGORY: return NS_WHERE_CATEGORY;
    case NS_COL_TIME: return NS_WHERE_TIME;
    case NS_COL_ID: break;
    }
    return column->is_text ? NS_WHERE_ID_TEXT : NS_WHERE_ID_INT;
}

ns_status ns_filter_bind(ns_filter *filter, const ns_cohort *cohort)
{
    if (filter->where == NULL) return NS_OK;
    ns_where_column *columns = calloc((size_t)filter->n_columns + 1, sizeof *columns);
    if (columns == NULL) return ns_fail(NS_ENOMEM, "no memory for %s", filter->key);
    for (int32_t i = 0; i < filter->n_columns; i++) {
        const ns_column *column = ns_cohort_column(cohort, filter->column[i]);
        columns[i] = (ns_where_column){.kind = where_kind(column), .level = level_text, .context = column->levels,
                                       .n_levels = column->levels != NULL ? column->levels->n : 0};
    }
    ns_status status = ns_where_bind(filter->where, columns);
    free(columns);
    return status;
}

/* Reads the cells of one column into fresh memory that `blocks` keeps for the caller to free. */
static ns_status read_cells(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, ns_where_cells *cells, void **block,
                            ns_texts *texts)
{
    const ns_column *what = ns_cohort_column(cohort, column);
    ns_where_kind kind = where_kind(what);
    if (kind == NS_WHERE_ID_TEXT) {
        NS_TRY(ns_cohort_read_id_text(cohort, column, first, n, texts));
        cells->text = texts->bytes;
        cells->offset = texts->offset;
        return NS_OK;
    }
    *block = malloc((size_t)(n + 1) * sizeof(int64_t));
    if (*block == NULL) return ns_fail(NS_ENOMEM, "no memory for column '%s'", what->name);
    switch (kind) {
    case NS_WHERE_NUMBER: cells->number = *block; return ns_cohort_read_number(cohort, column, first, n, *block);
    case NS_WHERE_CATEGORY: cells->code = *block; return ns_cohort_read_codes(cohort, column, first, n, *block);
    case NS_WHERE_TIME: cells->integer = *block; return ns_cohort_read_time(cohort, column, first, n, *block);
    case NS_WHERE_ID_INT:
    case NS_WHERE_ID_TEXT: break;
    }
    cells->integer = *block;
    return ns_cohort_read_id_int(cohort, column, first, n, *block);
}

ns_status ns_filter_rows(ns_filter *filter, ns_cohort *cohort, int64_t first, int64_t n, uint8_t *pass)
{
    if (filter->where == NULL) {
        memset(pass, 1, (size_t)n);
        return NS_OK;
    }
    ns_status status = NS_OK;
    size_t count = (size_t)filter->n_columns + 1;
    ns_where_cells *cells = calloc(count, sizeof *cells);
    void **blocks = calloc(count, sizeof *blocks);
    ns_texts *texts = calloc(count, sizeof *texts);
    if (cells == NULL || blocks == NULL || texts == NULL) status = ns_fail(NS_ENOMEM, "no memory for %s", filter->key);
    for (int32_t i = 0; i < filter->n_columns && status == NS_OK; i++)
        status = read_cells(cohort, filter->column[i], first, n, &cells[i], &blocks[i], &texts[i]);
    if (status == NS_OK) ns_where_eval(filter->where, cells, n, pass);
    for (int32_t i = 0; i < filter->n_columns; i++) {
        if (blocks != NULL) free(blocks[i]);
        if (texts != NULL) ns_texts_destroy(&texts[i]);
    }
    free(cells);
    free(blocks);
    free(texts);
    return status;
}
