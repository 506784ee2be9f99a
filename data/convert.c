#include "data/convert.h"

/*
 * Texts that have codes are converted once each, into a table; rows then look their value up, and only plain
 * texts are converted row by row. Rows go to the writer in blocks of one chunk.
 */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/values.h"

enum { BLOCK_ROWS = 65536, MAX_WORDS = 160 };

typedef struct value {
    union {
        float number;
        int64_t integer; /* time, int64 id */
    } is;
    ns_value_problem problem;
    bool noted; /* number: whole and rounded. time: without a zone */
} value;

/* A column on its way. */
typedef struct passage {
    const ns_conversion *what;
    const ns_cells *cells;
    ns_lines *lines;
    ns_cohort_writer *writer;
    bool all_whole; /* number: no value has a fraction or exponent */
    value missing;
    value *table; /* [texts that have codes] */
    int64_t n_noted;
} passage;

static value convert(const passage *p, const char *text, int64_t n_bytes)
{
    value result = p->missing;
    if (p->what->kind == NS_COL_NUMBER) {
        ns_number_text number;
        result.problem = ns_value_number(text, n_bytes, &number);
        if (result.problem != NS_VALUE_OK) return result;
        result.is.number = number.value;
        result.noted = number.whole && !number.fits;
        if (result.noted && p->all_whole) result.problem = NS_VALUE_INEXACT;
    } else if (p->what->kind == NS_COL_TIME) {
        int64_t seconds;
        bool has_zone = false;
        if (p->what->format == NULL)
            result.problem = ns_value_time(text, n_bytes, &seconds, &has_zone);
        else
            result.problem = ns_value_time_as(p->what->format, text, n_bytes, &seconds);
        if (result.problem != NS_VALUE_OK) return result;
        result.is.integer = seconds;
        result.noted = !has_zone;
    } else if (!ns_value_int64(text, n_bytes, &result.is.integer))
        result.problem = NS_VALUE_NOT_ONE;
    return result;
}

/* The problem in words that follow the column's name. */
static void word_problem(char words[MAX_WORDS], const ns_conversion *what, ns_value_problem problem)
{
    const char *said = "is not a plain decimal number";
    if (problem == NS_VALUE_OUT_OF_RANGE)
        said = what->kind == NS_COL_NUMBER ? "is a number beyond what float32 holds"
                                           : "is no day and time from 1800 to 2200";
    else if (problem == NS_VALUE_FRACTION)
        said = "has a fraction of a second; times are whole seconds";
    else if (problem == NS_VALUE_INEXACT)
        said = "is a whole number that float32 does not hold exactly; kind id or category keeps it";
    else if (what->kind == NS_COL_TIME && what->format == NULL)
        said = "is not an ISO 8601 time (2024-03-01, 2024-03-01T08:30:00, with Z or +hh:mm)";
    else if (what->kind == NS_COL_TIME) {
        snprintf(words, MAX_WORDS, "is not a time of the form \"%.100s\"", what->format);
        return;
    }
    snprintf(words, MAX_WORDS, "%s", said);
}

static bool all_numbers_whole(const ns_cells *cells)
{
    ns_cells_walk walk = {0};
    const char *text;
    int64_t n_bytes;
    while (ns_cells_next_text(cells, &walk, &text, &n_bytes)) {
        ns_number_text number;
        if (ns_value_number(text, n_bytes, &number) == NS_VALUE_OK && !number.whole) return false;
    }
    return true;
}

static ns_status fill_table(passage *p)
{
    const ns_texts *texts = ns_cells_texts(p->cells);
    p->table = malloc((size_t)(texts->n + 1) * sizeof *p->table);
    if (p->table == NULL) return ns_fail(NS_ENOMEM, "no memory for column '%s'", p->what->name);
    for (int64_t i = 0; i < texts->n; i++)
        p->table[i] = convert(p, texts->bytes + texts->offset[i], texts->offset[i + 1] - texts->offset[i]);
    return NS_OK;
}

/* The value of the next row, its problem told. */
static ns_status next_value(passage *p, ns_cells_walk *walk, int64_t row, value *result)
{
    ns_cell cell = ns_cells_next(p->cells, walk);
    if (cell.code >= 0)
        *result = p->table[cell.code];
    else
        *result = cell.code == NS_CELL_MISSING ? p->missing : convert(p, cell.text, cell.n_bytes);
    if (result->problem != NS_VALUE_OK) {
        char words[MAX_WORDS];
        word_problem(words, p->what, result->problem);
        NS_TRY(ns_lines_bad_cell(p->lines, row, p->what->column, p->what->name, words));
        *result = p->missing;
    }
    p->n_noted += result->noted;
    return NS_OK;
}

static ns_status write_numbers(passage *p, float *block)
{
    ns_cells_walk walk = {0};
    int64_t n_rows = ns_cells_n_rows(p->cells), n = 0;
    for (int64_t row = 0; row < n_rows; row++) {
        value v;
        NS_TRY(next_value(p, &walk, row, &v));
        block[n++] = v.is.number;
        if (n < BLOCK_ROWS && row + 1 < n_rows) continue;
        if (p->writer != NULL) NS_TRY(ns_cohort_writer_numbers(p->writer, block, n));
        n = 0;
    }
    return NS_OK;
}

static ns_status write_integers(passage *p, int64_t *block)
{
    ns_cells_walk walk = {0};
    int64_t n_rows = ns_cells_n_rows(p->cells), n = 0;
    bool is_time = p->what->kind == NS_COL_TIME;
    for (int64_t row = 0; row < n_rows; row++) {
        value v;
        NS_TRY(next_value(p, &walk, row, &v));
        block[n++] = v.is.integer;
        if (n < BLOCK_ROWS && row + 1 < n_rows) continue;
        if (p->writer != NULL)
            NS_TRY(is_time ? ns_cohort_writer_times(p->writer, block, n)
                           : ns_cohort_writer_id_ints(p->writer, block, n));
        n = 0;
    }
    return NS_OK;
}

/* Numbers, times and int64 ids. */
static ns_status convert_values(passage *p)
{
    bool is_number = p->what->kind == NS_COL_NUMBER;
    if (is_number) {
        p->missing.is.number = NAN;
        p->all_whole = all_numbers_whole(p->cells);
    } else
        p->missing.is.integer = NS_TIME_MISSING;
    void *block = malloc(BLOCK_ROWS * sizeof(int64_t));
    ns_status status =
        block == NULL ? ns_fail(NS_ENOMEM, "no memory for column '%s'", p->what->name) : fill_table(p);
    if (status == NS_OK) status = is_number ? write_numbers(p, block) : write_integers(p, block);
    free(block);
    free(p->table);
    return status;
}

static ns_status append_id(const ns_cells *cells, ns_cells_walk *walk, ns_texts *block)
{
    ns_cell cell = ns_cells_next(cells, walk);
    if (cell.code == NS_CELL_MISSING) return ns_texts_append(block, "", 0);
    if (cell.code == NS_CELL_PLAIN) return ns_texts_append(block, cell.text, cell.n_bytes);
    const ns_texts *texts = ns_cells_texts(cells);
    int64_t first = texts->offset[cell.code];
    return ns_texts_append(block, texts->bytes + first, texts->offset[cell.code + 1] - first);
}

/* Text ids: nothing can be bad; an empty text means missing. */
static ns_status convert_ids(const passage *p)
{
    if (p->writer == NULL) return NS_OK;
    ns_texts block = {0};
    ns_cells_walk walk = {0};
    int64_t n_rows = ns_cells_n_rows(p->cells);
    ns_status status = NS_OK;
    for (int64_t row = 0; row < n_rows && status == NS_OK; row++) {
        status = append_id(p->cells, &walk, &block);
        if (status != NS_OK || (block.n < BLOCK_ROWS && row + 1 < n_rows)) continue;
        status = ns_cohort_writer_id_texts(p->writer, &block);
        ns_texts_clear(&block);
    }
    ns_texts_destroy(&block);
    return status;
}

/* Levels sorted by bytes, and the level of every code: map has room for all codes. */
static ns_status make_levels(const passage *p, ns_texts *levels, int32_t *map)
{
    const ns_texts *texts = ns_cells_texts(p->cells);
    for (int pass = 0; pass < 2; pass++) { /* first gathers the levels, then finds them */
        for (int64_t i = 0; i < texts->n; i++) {
            const char *text = texts->bytes + texts->offset[i];
            int64_t n_bytes = texts->offset[i + 1] - texts->offset[i];
            if (p->what->prefix > 0) n_bytes = ns_utf8_prefix(text, n_bytes, p->what->prefix);
            if (pass == 0)
                NS_TRY(ns_texts_append(levels, text, n_bytes));
            else
                map[i] = (int32_t)ns_texts_find(levels, text, n_bytes);
        }
        if (pass == 0) NS_TRY(ns_texts_sort_unique(levels));
    }
    return NS_OK;
}

static ns_status write_codes(const passage *p, const int32_t *map, int32_t *block)
{
    ns_cells_walk walk = {0};
    int64_t n_rows = ns_cells_n_rows(p->cells), n = 0;
    for (int64_t row = 0; row < n_rows; row++) {
        ns_cell cell = ns_cells_next(p->cells, &walk);
        block[n++] = cell.code >= 0 ? map[cell.code] : -1;
        if (n < BLOCK_ROWS && row + 1 < n_rows) continue;
        NS_TRY(ns_cohort_writer_codes(p->writer, block, n));
        n = 0;
    }
    return NS_OK;
}

static ns_status convert_category(const passage *p, int64_t *n_levels)
{
    ns_texts levels = {0};
    int32_t *map = malloc((size_t)(ns_cells_texts(p->cells)->n + 1) * sizeof *map);
    int32_t *block = malloc(BLOCK_ROWS * sizeof *block);
    ns_status status = NS_OK;
    if (map == NULL || block == NULL) status = ns_fail(NS_ENOMEM, "no memory for column '%s'", p->what->name);
    if (status == NS_OK) status = make_levels(p, &levels, map);
    if (status == NS_OK && p->writer != NULL) status = write_codes(p, map, block);
    if (status == NS_OK && p->writer != NULL) status = ns_cohort_writer_levels(p->writer, &levels);
    *n_levels = levels.n;
    ns_texts_destroy(&levels);
    free(map);
    free(block);
    return status;
}

ns_status ns_convert_column(ns_conversion_counts *counts, const ns_conversion *what, const ns_cells *cells,
                            ns_lines *lines, ns_cohort_writer *writer)
{
    passage p = {.what = what, .cells = cells, .lines = lines, .writer = writer};
    *counts = (ns_conversion_counts){0};
    if (writer != NULL)
        NS_TRY(ns_cohort_writer_column(writer, what->name, what->kind,
                                       what->kind == NS_COL_ID && what->is_text, what->unit,
                                       what->description));
    if (what->kind == NS_COL_CATEGORY) return convert_category(&p, &counts->n_levels);
    if (what->kind == NS_COL_ID && what->is_text) return convert_ids(&p);
    ns_status status = convert_values(&p);
    if (what->kind == NS_COL_NUMBER) counts->n_inexact = p.n_noted;
    if (what->kind == NS_COL_TIME) counts->n_zoneless = p.n_noted;
    return status;
}
