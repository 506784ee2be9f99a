/*
 * /x holds its rows one after another, so one column costs a pass over the file. As many columns as fit
 * WINDOW_BYTES are read in one pass, from the one asked for on: callers ask for the same rows of all columns
 * in order of name, which is the order in /x. What was lost by narrowing counts for a column only when it is
 * asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "data/cohort_private.h"
#include "data/crash.h"

static const int64_t WINDOW_BYTES = (int64_t)256 << 20;
static const int64_t SCRATCH_CELLS = NS_PIECE_ROWS; /* of the widest number */

static void forget(ns_matrix_window *window)
{
    free(window->values);
    free(window->n_inexact);
    free(window->has_fraction);
    *window = (ns_matrix_window){0};
}

/* Rows [row, row + n) and the window's columns of one file into cells, row by row. */
static ns_status read_block(const ns_piece *piece, const ns_matrix_window *window, ns_storage storage)
{
    hsize_t start[2] = {(hsize_t)piece->row, (hsize_t)window->column};
    hsize_t count[2] = {(hsize_t)piece->n, (hsize_t)window->width};
    hid_t file_space = H5Dget_space(piece->dataset), memory_space = -1;
    herr_t result = -1;
    /* Memory and file selections have the same rank: with different ones HDF5 is slower by orders of
     * magnitude. */
    if (file_space >= 0 && H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0)
        memory_space = H5Screate_simple(2, count, NULL);
    if (memory_space >= 0)
        result = H5Dread(piece->dataset, ns_memory_type(ns_stored_memory(storage)), memory_space, file_space, H5P_DEFAULT,
                         piece->out);
    ns_h5_close_space(memory_space);
    ns_h5_close_space(file_space);
    if (result >= 0) return NS_OK;
    return ns_cohort_unreadable(piece->dataset, piece->cohort->files[piece->file].path,
                                piece->column->shown.name);
}

static ns_status fill_piece(ns_cohort *cohort, const ns_piece *piece, ns_matrix_window *window)
{
    ns_storage storage = (ns_storage)piece->column->storage[piece->file];
    NS_TRY(read_block(piece, window, storage));
    ns_cohort_note_slow(cohort, piece->file, piece->n * window->width * (int64_t)ns_memory_bytes(ns_stored_memory(storage)),
                        NS_SLOW_MATRIX);
    for (int32_t j = 0; j < window->width; j++) {
        ns_narrowing seen = {.has_fraction = window->has_fraction[j]};
        const char *cells = (const char *)piece->out + (size_t)j * ns_memory_bytes(ns_stored_memory(storage));
        ns_narrow(window->values + (int64_t)j * window->n + piece->at, cells, storage, piece->n,
                  window->width, &seen);
        window->n_inexact[j] += seen.n_inexact;
        window->has_fraction[j] = seen.has_fraction;
    }
    return NS_OK;
}

static ns_status fill_window(ns_cohort *cohort, ns_table_column *column, ns_matrix_window *window)
{
    int64_t piece_rows = SCRATCH_CELLS / window->width;
    if (piece_rows < 1) piece_rows = 1;
    ns_piece piece = {.cohort = cohort, .column = column, .out = cohort->scratch};
    for (int64_t at = 0; at < window->n; at += piece.n) {
        piece.file = ns_cohort_file_of(cohort, window->first + at);
        const ns_table_file *file = &cohort->files[piece.file];
        piece.at = at;
        piece.row = window->first + at - file->first_row;
        piece.n = file->n_rows - piece.row;
        if (piece.n > window->n - at) piece.n = window->n - at;
        if (piece.n > piece_rows) piece.n = piece_rows;
        const char *before = ns_crash_watch(file->path);
        ns_status status = ns_cohort_dataset(&piece.dataset, cohort, piece.file, column);
        if (status == NS_OK) status = fill_piece(cohort, &piece, window);
        ns_crash_watch(before);
        if (status != NS_OK) return status;
    }
    return NS_OK;
}

static ns_status open_window(ns_cohort *cohort, ns_table_column *column, int64_t first, int64_t n)
{
    ns_matrix_window *window = &cohort->window;
    forget(window);
    int64_t n_columns = 0; /* of /x: /y is not among them */
    for (int32_t i = 0; i < cohort->n_columns; i++) n_columns += cohort->columns[i].matrix_at >= 0;
    int64_t width = WINDOW_BYTES / (n * (int64_t)sizeof(float));
    if (width < 1) width = 1;
    if (width > n_columns - column->matrix_at) width = n_columns - column->matrix_at;
    if (width > SCRATCH_CELLS) width = SCRATCH_CELLS;
    *window =
        (ns_matrix_window){.first = first, .n = n, .column = column->matrix_at, .width = (int32_t)width};
    window->values = malloc((size_t)(width * n) * sizeof *window->values);
    window->n_inexact = calloc((size_t)width, sizeof *window->n_inexact);
    window->has_fraction = calloc((size_t)width, sizeof *window->has_fraction);
    ns_status status = NS_OK;
    if (window->values == NULL || window->n_inexact == NULL || window->has_fraction == NULL)
        status = ns_fail(NS_ENOMEM, "no memory to read %lld rows of /x", (long long)n);
    if (status == NS_OK) status = fill_window(cohort, column, window);
    if (status != NS_OK) forget(window);
    return status;
}

ns_status ns_matrix_read(ns_cohort *cohort, ns_table_column *column, int64_t first, int64_t n, float *out)
{
    if (n == 0) return NS_OK;
    const ns_matrix_window *window = &cohort->window;
    int32_t at = column->matrix_at;
    bool held = window->n == n && window->first == first && at >= window->column &&
                at < window->column + window->width;
    if (!held) NS_TRY(open_window(cohort, column, first, n));
    int32_t j = at - window->column;
    memcpy(out, window->values + (int64_t)j * n, (size_t)n * sizeof *out);
    column->n_inexact += window->n_inexact[j];
    column->has_fraction = column->has_fraction || window->has_fraction[j];
    return NS_OK;
}

void ns_matrix_forget(ns_cohort *cohort)
{
    forget(&cohort->window);
}
