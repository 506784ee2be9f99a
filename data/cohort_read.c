/*
 * What the rows of one column become. Each public function is one `take` that converts a piece; how the cells of a piece are
 * got, and in which thread, is decided in cohort_pieces.c. So both ways of reading share every conversion.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/cell_loops.h"
#include "data/cohort_private.h"
#include "data/same_cells.h"

/* ---- pieces ---- */

/* One column on all threads. */
static ns_status read_column(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, ns_take take, void *out)
{
    ns_want want = {.column = column, .take = take, .out = out};
    return ns_cohort_read_wants(cohort, &want, 1, first, n);
}

static const char *path_of(const ns_piece *piece)
{
    return piece->cohort->files[piece->file].path;
}

static ns_storage storage_of(const ns_piece *piece)
{
    return (ns_storage)piece->column->storage[piece->file];
}

ns_status ns_piece_cells(const void **cells, const ns_piece *piece, ns_memory memory, void *room)
{
    *cells = room;
    if (piece->cells != NULL) {
        if (piece->cell->n_bytes == ns_memory_bytes(memory)) /* cells that fit and are as wide are the same */
            *cells = piece->cells;
        else
            ns_cells_widen(room, memory, piece->cells, piece->cell, piece->n);
        return NS_OK;
    }
    if (ns_h5_read_rows(piece->dataset, ns_memory_type(memory), piece->row, piece->n, room) >= 0) return NS_OK;
    return ns_cohort_unreadable(piece->dataset, path_of(piece), piece->column->shown.name);
}

ns_status ns_piece_read(const ns_piece *piece, ns_memory memory, void *room)
{
    const void *cells;
    NS_TRY(ns_piece_cells(&cells, piece, memory, room));
    if (cells != room) memcpy(room, cells, (size_t)piece->n * ns_memory_bytes(memory));
    return NS_OK;
}

static ns_status read_texts(ns_texts *out, const ns_piece *piece)
{
    if (piece->cells != NULL)
        return ns_h5_append_cells(out, piece->cells, piece->cell->n_bytes, piece->cell->padding, piece->n);
    char words[300];
    ns_column_words(words, piece->column->shown.name);
    int64_t had = out->n;
    ns_status status =
        ns_h5_read_texts(out, piece->dataset, piece->row, piece->n, path_of(piece), words, NS_EFORMAT);
    /* A missing filter is named with its cure, in place of HDF5's words. */
    if (status == NS_EFORMAT && out->n < had + piece->n) {
        ns_error first = *ns_last_error();
        ns_error_clear();
        H5Eclear2(H5E_DEFAULT);
        ns_cohort_unreadable(piece->dataset, path_of(piece), piece->column->shown.name);
        if (strstr(ns_last_error()->message, "h5repack") == NULL) *ns_last_error() = first;
    }
    return status;
}

/* Names a cell by its row in the file, never by its value. */
static ns_status bad_cell(const ns_piece *piece, int64_t i, const char *what)
{
    return ns_fail(NS_EFORMAT, "%s: column '%s', row %" PRId64 " (counting from 0): %s", path_of(piece),
                   piece->column->shown.name, piece->row + i, what);
}

ns_status ns_cohort_bad_row(const ns_cohort *cohort, int32_t column, int64_t row, const char *what)
{
    const ns_table_file *file = &cohort->files[ns_cohort_file_of(cohort, row)];
    if (column < 0)
        return ns_fail(NS_EFORMAT, "%s: row %" PRId64 " (counting from 0): %s", file->path,
                       row - file->first_row, what);
    return ns_fail(NS_EFORMAT, "%s: column '%s', row %" PRId64 " (counting from 0): %s", file->path,
                   cohort->columns[column].shown.name, row - file->first_row, what);
}

/* ---- whole numbers ---- */

/* The cells of a piece as int64; what: the message for one above the largest int64. */
static ns_status read_wholes(const ns_piece *piece, int64_t *cells, const char *what)
{
    if (storage_of(piece) == NS_STORED_INT) return ns_piece_read(piece, NS_AS_INT64, cells);
    uint64_t *wide = (uint64_t *)(void *)cells; /* signed and unsigned share a place */
    NS_TRY(ns_piece_read(piece, NS_AS_UINT64, wide));
    for (int64_t i = 0; i < piece->n; i++)
        if (wide[i] > INT64_MAX) return bad_cell(piece, i, what);
    return NS_OK;
}

ns_status ns_piece_texts(ns_texts *out, const ns_piece *piece)
{
    if (storage_of(piece) == NS_STORED_TEXT) return read_texts(out, piece);
    int64_t *cells = piece->scratch;
    NS_TRY(read_wholes(piece, cells, "a code above the largest int64"));
    for (int64_t i = 0; i < piece->n; i++) {
        char text[24] = "";
        int n = cells[i] == -1 ? 0 : snprintf(text, sizeof text, "%" PRId64, cells[i]);
        NS_TRY(ns_texts_append(out, text, n));
    }
    return NS_OK;
}

/* ---- numbers ---- */

ns_memory ns_stored_memory(ns_storage storage)
{
    switch (storage) {
    case NS_STORED_UINT64:
        return NS_AS_UINT64;
    case NS_STORED_FLOAT32:
        return NS_AS_FLOAT;
    case NS_STORED_FLOAT64:
        return NS_AS_DOUBLE;
    case NS_STORED_WIDER:
        return NS_AS_LONG_DOUBLE;
    default:
        return NS_AS_INT64;
    }
}

/* -0 is +0, and there is one NaN, so that equal tables have equal bits. */
static float canonical(float value)
{
    return isnan(value) ? NAN : value + 0.0f;
}

static float narrow_int(int64_t cell, ns_narrowing *seen)
{
    float value = (float)cell;
    /* Up to 2^24 every integer is a float. Above, 2^63 itself does not convert back. */
    if (cell > 16777216 || cell < -16777216)
        seen->n_inexact += value >= 9223372036854775808.0f || (int64_t)value != cell;
    return value;
}

static float narrow_uint(uint64_t cell, ns_narrowing *seen)
{
    float value = (float)cell;
    if (cell > 16777216) seen->n_inexact += value >= 18446744073709551616.0f || (uint64_t)value != cell;
    return value;
}

/* Doubles have a fraction that float32 may lose, so it is looked for before the conversion. */
static float narrow_double(double cell, ns_narrowing *seen)
{
    float value = (float)cell;
    if (isnan(cell)) return NAN;
    seen->n_inexact += (double)value != cell;
    if (!seen->has_fraction && cell > -4503599627370496.0 && cell < 4503599627370496.0)
        seen->has_fraction = (double)(int64_t)cell != cell;
    return value;
}

static float narrow_wider(long double cell, ns_narrowing *seen)
{
    float value = (float)cell;
    if (isnan(cell)) return NAN;
    seen->n_inexact += (long double)value != cell;
    if (!seen->has_fraction && cell > -9.2e18L && cell < 9.2e18L)
        seen->has_fraction = (long double)(int64_t)cell != cell;
    return value;
}

static void narrow_single(float *out, const float *cells, int64_t n, int64_t stride, ns_narrowing *seen)
{
    const ns_cell_loops *loops = ns_cell_loops_here();
    if (stride != 1) {
        for (int64_t i = 0; i < n; i++) out[i] = cells[i * stride];
        cells = out;
    }
    if (seen->has_fraction)
        loops->canonical(out, cells, n);
    else
        seen->has_fraction = loops->canonical_and_look(out, cells, n) != 0;
}

void ns_narrow(float *out, const void *cells, ns_storage storage, int64_t n, int64_t stride,
               ns_narrowing *seen)
{
    switch (storage) {
    case NS_STORED_INT:
        for (int64_t i = 0; i < n; i++) out[i] = narrow_int(((const int64_t *)cells)[i * stride], seen);
        break;
    case NS_STORED_UINT64:
        for (int64_t i = 0; i < n; i++) out[i] = narrow_uint(((const uint64_t *)cells)[i * stride], seen);
        break;
    case NS_STORED_FLOAT32:
        narrow_single(out, cells, n, stride, seen);
        break;
    case NS_STORED_FLOAT64:
        for (int64_t i = 0; i < n; i++)
            out[i] = canonical(narrow_double(((const double *)cells)[i * stride], seen));
        break;
    case NS_STORED_WIDER:
        for (int64_t i = 0; i < n; i++)
            out[i] = canonical(narrow_wider(((const long double *)cells)[i * stride], seen));
        break;
    case NS_STORED_TEXT:
        break; /* never of kind number */
    }
}

static ns_status take_number(const ns_piece *piece)
{
    ns_storage storage = storage_of(piece);
    float *out = (float *)piece->out + piece->at;
    /* Narrow floats are read in place. */
    void *room = storage == NS_STORED_FLOAT32 ? (void *)out : piece->scratch;
    const void *cells;
    NS_TRY(ns_piece_cells(&cells, piece, ns_stored_memory(storage), room));
    ns_narrow(out, cells, storage, piece->n, 1, piece->seen);
    return NS_OK;
}

ns_status ns_cohort_read_number(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, float *out)
{
    ns_table_column *from = &cohort->columns[column];
    if (from->matrix_at >= 0) return ns_matrix_read(cohort, from, first, n, out);
    return read_column(cohort, column, first, n, take_number, out);
}

/* ---- categories ---- */

/* Codes stored in at most 4 bytes, as int32_t; false where they are not. */
static bool narrow_codes(int32_t *out, const ns_piece *piece)
{
    const ns_cell *cell = piece->cell;
    if (piece->cells == NULL || cell->n_bytes > 4 || (cell->n_bytes == 4 && cell->class != NS_CELL_SIGNED)) return false;
    const int8_t *one = piece->cells;
    const int16_t *two = piece->cells;
    const uint8_t *one_unsigned = piece->cells;
    const uint16_t *two_unsigned = piece->cells;
    bool is_signed = cell->class == NS_CELL_SIGNED;
    if (cell->n_bytes == 4)
        memcpy(out, piece->cells, (size_t)piece->n * sizeof *out);
    else if (cell->n_bytes == 2 && is_signed)
        for (int64_t i = 0; i < piece->n; i++) out[i] = two[i];
    else if (cell->n_bytes == 2)
        for (int64_t i = 0; i < piece->n; i++) out[i] = two_unsigned[i];
    else if (is_signed)
        for (int64_t i = 0; i < piece->n; i++) out[i] = one[i];
    else
        for (int64_t i = 0; i < piece->n; i++) out[i] = one_unsigned[i];
    return true;
}

/* Codes of a file's own list to codes of the common one. */
static ns_status map_codes(const ns_piece *piece, const ns_level_map *map, int32_t *codes)
{
    if (narrow_codes(codes, piece)) {
        uint32_t n = map->n < INT32_MAX ? (uint32_t)map->n : INT32_MAX, beyond = 0;
        for (int64_t i = 0; i < piece->n; i++) { /* without branches: missing cells stand anywhere */
            uint32_t at = (uint32_t)codes[i] + 1;
            beyond |= at > n;
            codes[i] = map->code[at > n ? 0 : at];
        }
        if (!beyond) return NS_OK;
    }
    int64_t *cells = piece->scratch;
    NS_TRY(read_wholes(piece, cells, "a code without a level"));
    for (int64_t i = 0; i < piece->n; i++) {
        if (cells[i] < -1 || cells[i] >= map->n) return bad_cell(piece, i, "a code without a level (-1 is missing)");
        codes[i] = map->code[cells[i] + 1];
    }
    return NS_OK;
}

/* Codes of texts; the one of row i is codes[i], or -1 where it is empty. */
static ns_status find_texts(const ns_piece *piece, const ns_texts *texts, const int32_t *row, int32_t *codes)
{
    for (int64_t i = 0; i < texts->n; i++) {
        int64_t n_bytes;
        const char *text = ns_text_at(texts, i, &n_bytes);
        codes[i] = n_bytes > 0 ? (int32_t)ns_text_index_find(&piece->column->index, text, n_bytes) : -1;
        if (n_bytes > 0 && codes[i] < 0)
            return bad_cell(piece, row != NULL ? row[i] : i, "a level that was not there before: the file changed");
    }
    return NS_OK;
}

ns_status ns_piece_different(ns_texts *out, const ns_piece *piece, int32_t *same, int32_t *first)
{
    int64_t n = ns_same_cells(same, first, piece->cells, piece->cell->n_bytes, piece->n);
    for (int64_t i = 0; i < n; i++)
        NS_TRY(ns_h5_append_cells(out, (const char *)piece->cells + (size_t)first[i] * piece->cell->n_bytes, piece->cell->n_bytes,
                                  piece->cell->padding, 1));
    return NS_OK;
}

static ns_status find_codes(const ns_piece *piece, int32_t *codes)
{
    ns_texts texts = {0};
    bool in_cells = piece->cells != NULL && storage_of(piece) == NS_STORED_TEXT;
    int32_t *first = piece->scratch, *of_first = first + piece->n;
    ns_status status = in_cells ? ns_piece_different(&texts, piece, codes, first) : ns_piece_texts(&texts, piece);
    if (status == NS_OK) status = find_texts(piece, &texts, in_cells ? first : NULL, in_cells ? of_first : codes);
    for (int64_t i = 0; i < piece->n && in_cells && status == NS_OK; i++) codes[i] = of_first[codes[i]];
    ns_texts_destroy(&texts);
    return status;
}

static ns_status piece_codes(const ns_piece *piece, int32_t *codes)
{
    const ns_table_column *column = piece->column;
    if (!column->prepared)
        return ns_fail(NS_EINVAL, "column '%s': its levels were not prepared before reading",
                       column->shown.name);
    int32_t map = column->map_of_file[piece->file];
    return map >= 0 ? map_codes(piece, &column->maps[map], codes) : find_codes(piece, codes);
}

static ns_status take_codes(const ns_piece *piece)
{
    return piece_codes(piece, (int32_t *)piece->out + piece->at);
}

ns_status ns_cohort_read_codes(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, int32_t *out)
{
    return read_column(cohort, column, first, n, take_codes, out);
}

/* ---- times ---- */

static ns_status take_time(const ns_piece *piece)
{
    int64_t *out = (int64_t *)piece->out + piece->at;
    ns_storage storage = storage_of(piece);
    if (storage == NS_STORED_INT || storage == NS_STORED_UINT64)
        return read_wholes(piece, out, "a time beyond int64 seconds");
    double *cells = piece->scratch;
    NS_TRY(ns_piece_read(piece, NS_AS_DOUBLE, cells));
    for (int64_t i = 0; i < piece->n; i++) {
        if (isnan(cells[i])) {
            out[i] = NS_TIME_MISSING;
            continue;
        }
        if (!(cells[i] > -9223372036854775808.0 && cells[i] < 9223372036854775808.0))
            return bad_cell(piece, i, "a time beyond int64 seconds");
        out[i] = (int64_t)cells[i];
        if ((double)out[i] != cells[i]) {
            piece->seen->n_inexact++;
            if ((double)out[i] > cells[i]) out[i]--; /* downwards before 1970 too */
        }
    }
    return NS_OK;
}

ns_status ns_cohort_read_time(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, int64_t *out)
{
    return read_column(cohort, column, first, n, take_time, out);
}

/* ---- ids ---- */

static const char WIDE_ID[] = "an id above the largest int64";

static ns_status take_id_int(const ns_piece *piece)
{
    return read_wholes(piece, (int64_t *)piece->out + piece->at, WIDE_ID);
}

ns_status ns_cohort_read_id_int(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, int64_t *out)
{
    return read_column(cohort, column, first, n, take_id_int, out);
}

static ns_status take_id_text(const ns_piece *piece)
{
    return read_texts(piece->out, piece);
}

ns_status ns_cohort_read_id_text(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, ns_texts *out)
{
    ns_want want = {.column = column, .take = take_id_text, .order = NS_IN_ORDER, .out = out};
    return ns_cohort_read_wants(cohort, &want, 1, first, n);
}

/* ---- hashes ---- */

static const ns_hash128 MISSING = {0, 0};

/* Whole values as decimals, so that a group stored as float or as integer is the same group. No locale's
 * point. */
static ns_hash128 hash_double(double cell)
{
    if (isnan(cell)) return MISSING;
    if (cell > -9223372036854775808.0 && cell < 9223372036854775808.0 && (double)(int64_t)cell == cell)
        return ns_hash128_of_int((int64_t)cell);
    char text[40];
    int n = snprintf(text, sizeof text, "%.9g", (double)(float)cell);
    for (int i = 0; i < n; i++)
        if (text[i] == ',') text[i] = '.';
    return ns_hash128_of(text, (size_t)n);
}

static ns_status hash_numbers(const ns_piece *piece, ns_hash128 *out)
{
    ns_storage storage = storage_of(piece);
    if (storage == NS_STORED_INT) {
        int64_t *cells = piece->scratch;
        NS_TRY(ns_piece_read(piece, NS_AS_INT64, cells));
        ns_hash128_of_ints(out, cells, piece->n, NS_SMALLEST_IS_A_VALUE);
    } else if (storage == NS_STORED_UINT64) {
        uint64_t *cells = piece->scratch;
        NS_TRY(ns_piece_read(piece, NS_AS_UINT64, cells));
        for (int64_t i = 0; i < piece->n; i++) {
            char text[24];
            int n = snprintf(text, sizeof text, "%" PRIu64, cells[i]);
            out[i] = ns_hash128_of(text, (size_t)n);
        }
    } else {
        double *cells = piece->scratch;
        NS_TRY(ns_piece_read(piece, NS_AS_DOUBLE, cells));
        for (int64_t i = 0; i < piece->n; i++) out[i] = hash_double(cells[i]);
    }
    return NS_OK;
}

static ns_status hash_texts(const ns_piece *piece, ns_hash128 *out)
{
    ns_texts texts = {0};
    ns_status status = ns_piece_texts(&texts, piece);
    if (status == NS_OK) ns_hash128_each(out, texts.bytes, texts.offset, piece->n);
    ns_texts_destroy(&texts);
    return status;
}

/* Ids and times; the smallest int64 is missing. */
static ns_status hash_wholes(const ns_piece *piece, ns_hash128 *out)
{
    int64_t *cells = malloc((size_t)piece->n * sizeof *cells);
    if (cells == NULL) return ns_fail(NS_ENOMEM, "no memory to hash %" PRId64 " rows", piece->n);
    ns_piece here = *piece;
    here.out = cells;
    here.at = 0;
    ns_status status = piece->column->shown.kind == NS_COL_TIME ? take_time(&here) : take_id_int(&here);
    if (status == NS_OK) ns_hash128_of_ints(out, cells, piece->n, NS_SMALLEST_IS_MISSING);
    free(cells);
    return status;
}

/* The hashes of the common levels, made when first asked for, before threads need them. */
static ns_status hash_levels(ns_table_column *column)
{
    if (column->level_hash != NULL) return NS_OK;
    column->level_hash = malloc((size_t)(column->levels.n + 1) * sizeof *column->level_hash);
    if (column->level_hash == NULL)
        return ns_fail(NS_ENOMEM, "no memory for the levels of column '%s'", column->shown.name);
    for (int64_t i = 0; i < column->levels.n; i++) {
        int64_t n_bytes;
        const char *text = ns_text_at(&column->levels, i, &n_bytes);
        column->level_hash[i] = ns_hash128_of(text, (size_t)n_bytes);
    }
    return NS_OK;
}

static ns_status hash_codes(const ns_piece *piece, ns_hash128 *out)
{
    int32_t *codes = malloc((size_t)piece->n * sizeof *codes);
    if (codes == NULL) return ns_fail(NS_ENOMEM, "no memory to hash %" PRId64 " rows", piece->n);
    ns_status status = piece_codes(piece, codes);
    for (int64_t i = 0; i < piece->n && status == NS_OK; i++)
        out[i] = codes[i] < 0 ? MISSING : piece->column->level_hash[codes[i]];
    free(codes);
    return status;
}

static ns_status take_hash(const ns_piece *piece)
{
    ns_hash128 *out = (ns_hash128 *)piece->out + piece->at;
    const ns_table_column *column = piece->column;
    switch (column->shown.kind) {
    case NS_COL_NUMBER:
        return hash_numbers(piece, out);
    case NS_COL_TIME:
        return hash_wholes(piece, out);
    case NS_COL_ID:
        return storage_of(piece) == NS_STORED_TEXT ? hash_texts(piece, out) : hash_wholes(piece, out);
    case NS_COL_CATEGORY:
        break;
    }
    return column->source[piece->file] == NS_LEVELS_CELLS ? hash_texts(piece, out) : hash_codes(piece, out);
}

ns_status ns_cohort_read_hash(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, ns_hash128 *out)
{
    ns_table_column *from = &cohort->columns[column];
    if (from->matrix_at < 0) {
        if (from->shown.kind == NS_COL_CATEGORY && from->prepared) NS_TRY(hash_levels(from));
        return read_column(cohort, column, first, n, take_hash, out);
    }
    /* A column of /x passes through float32, as a feature does. */
    float values[4096];
    for (int64_t at = 0; at < n; at += 4096) {
        int64_t rows = n - at < 4096 ? n - at : 4096;
        NS_TRY(ns_matrix_read(cohort, from, first + at, rows, values));
        for (int64_t i = 0; i < rows; i++) out[at + i] = hash_double((double)values[i]);
    }
    return NS_OK;
}

/* ---- several columns ---- */

static ns_take take_of(ns_read_as as)
{
    switch (as) {
    case NS_READ_CODES:
        return take_codes;
    case NS_READ_TIME:
        return take_time;
    case NS_READ_HASH:
        return take_hash;
    case NS_READ_ID_INT:
        return take_id_int;
    case NS_READ_NUMBER:
        break;
    }
    return take_number;
}

/* Columns of /x share a window, and are read one after the other. */
static ns_status read_matrix_columns(ns_cohort *cohort, const ns_column_read *reads, int32_t n_reads, int64_t first, int64_t n)
{
    for (int32_t i = 0; i < n_reads; i++) {
        if (reads[i].as == NS_READ_HASH)
            NS_TRY(ns_cohort_read_hash(cohort, reads[i].column, first, n, reads[i].out));
        else
            NS_TRY(ns_cohort_read_number(cohort, reads[i].column, first, n, reads[i].out));
    }
    return NS_OK;
}

ns_status ns_cohort_read_columns(ns_cohort *cohort, const ns_column_read *reads, int32_t n_reads, int64_t first, int64_t n)
{
    if (cohort->layout == NS_LAYOUT_MATRIX) return read_matrix_columns(cohort, reads, n_reads, first, n);
    ns_want *wants = malloc(((size_t)n_reads + 1) * sizeof *wants);
    ns_status status = wants == NULL ? ns_fail(NS_ENOMEM, "no memory to read %d columns", n_reads) : NS_OK;
    for (int32_t i = 0; i < n_reads && status == NS_OK; i++) {
        ns_table_column *column = &cohort->columns[reads[i].column];
        wants[i] = (ns_want){.column = reads[i].column, .take = take_of(reads[i].as), .out = reads[i].out};
        if (reads[i].as == NS_READ_HASH && column->shown.kind == NS_COL_CATEGORY && column->prepared) status = hash_levels(column);
    }
    if (status == NS_OK) status = ns_cohort_read_wants(cohort, wants, n_reads, first, n);
    free(wants);
    return status;
}
