#include "data/convert.h"

/*
 * A column is walked run by run. A run is cut at the rows that are left out and at the end of the block that
 * goes to the writer; what is between is converted in one loop. Codes have their values in a table.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/text_index.h"
#include "data/values.h"

enum { BLOCK_ROWS = 65536, MISSING16 = 65535 };

/* A column on its way. */
typedef struct passage {
    const ns_conversion *what;
    const ns_cells *cells;
    ns_cohort_writer *writer;
    ns_conversion_counts *counts;
    union {
        float *number;
        int64_t *integer;
        int32_t *level; /* of a code */
    } table;
    void *block; /* [BLOCK_ROWS] of the kind's cells */
    int64_t n;   /* in it */
    int64_t row, next_drop; /* index into what->dropped */
} passage;

static int64_t code_of(const ns_run *run, int64_t i)
{
    if (run->form == NS_RUN_CODES32) return ((const int32_t *)run->cells)[i];
    uint16_t code = ((const uint16_t *)run->cells)[i];
    return code == MISSING16 ? -1 : code;
}

/* Whether the row is left out; steps over it then. */
static bool is_dropped(passage *p)
{
    if (p->next_drop == p->what->n_dropped || p->what->dropped[p->next_drop] != p->row) return false;
    p->next_drop++;
    p->row++;
    return true;
}

/* Rows from here to the next one left out, at most so many. */
static int64_t rows_ahead(const passage *p, int64_t most)
{
    if (p->next_drop == p->what->n_dropped) return most;
    int64_t ahead = p->what->dropped[p->next_drop] - p->row;
    return ahead < most ? ahead : most;
}

static ns_status flush(passage *p)
{
    int64_t n = p->n;
    p->n = 0;
    switch (p->what->kind) {
    case NS_COL_NUMBER:
        return ns_cohort_writer_numbers(p->writer, p->block, n);
    case NS_COL_CATEGORY:
        return ns_cohort_writer_codes(p->writer, p->block, n);
    case NS_COL_TIME:
        return ns_cohort_writer_times(p->writer, p->block, n);
    case NS_COL_ID:
        break;
    }
    return ns_cohort_writer_id_ints(p->writer, p->block, n);
}

/* --- runs of cells that have one size --- */

static void put_numbers(passage *p, const ns_run *run, int64_t from, int64_t n)
{
    float *out = (float *)p->block + p->n;
    int64_t n_missing = 0;
    if (run->form == NS_RUN_NUMBERS)
        memcpy(out, (const float *)run->cells + from, (size_t)n * sizeof *out);
    else
        for (int64_t i = 0; i < n; i++) {
            int64_t code = code_of(run, from + i);
            out[i] = code < 0 ? NAN : p->table.number[code];
        }
    for (int64_t i = 0; i < n; i++) n_missing += isnan(out[i]) != 0;
    p->counts->n_missing += n_missing;
}

static void put_integers(passage *p, const ns_run *run, int64_t from, int64_t n)
{
    int64_t *out = (int64_t *)p->block + p->n, n_missing = 0;
    if (run->form == NS_RUN_INTEGERS)
        memcpy(out, (const int64_t *)run->cells + from, (size_t)n * sizeof *out);
    else
        for (int64_t i = 0; i < n; i++) {
            int64_t code = code_of(run, from + i);
            out[i] = code < 0 ? NS_TIME_MISSING : p->table.integer[code];
        }
    for (int64_t i = 0; i < n; i++) n_missing += out[i] == NS_TIME_MISSING;
    p->counts->n_missing += n_missing;
}

static void put_levels(passage *p, const ns_run *run, int64_t from, int64_t n)
{
    int32_t *out = (int32_t *)p->block + p->n;
    int64_t n_missing = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t code = code_of(run, from + i);
        out[i] = code < 0 ? -1 : p->table.level[code];
        n_missing += code < 0;
    }
    p->counts->n_missing += n_missing;
}

static ns_status put_run(passage *p, const ns_run *run)
{
    for (int64_t i = 0; i < run->n_rows;) {
        if (is_dropped(p)) {
            i++;
            continue;
        }
        int64_t most = run->n_rows - i < BLOCK_ROWS - p->n ? run->n_rows - i : BLOCK_ROWS - p->n;
        int64_t n = rows_ahead(p, most);
        if (p->what->kind == NS_COL_NUMBER)
            put_numbers(p, run, i, n);
        else if (p->what->kind == NS_COL_CATEGORY)
            put_levels(p, run, i, n);
        else
            put_integers(p, run, i, n);
        i += n;
        p->row += n;
        p->n += n;
        if (p->n == BLOCK_ROWS) NS_TRY(flush(p));
    }
    return NS_OK;
}

/* --- runs of texts --- */

static void put_text(passage *p, const char *text, int64_t n_bytes, bool there)
{
    if (p->what->kind == NS_COL_CATEGORY) {
        int64_t code = there ? ns_cells_find(p->cells, text, n_bytes) : -1;
        ((int32_t *)p->block)[p->n] = code < 0 ? -1 : p->table.level[code];
    } else {
        int64_t *out = (int64_t *)p->block + p->n;
        if (!there || !ns_value_int64(text, n_bytes, out)) *out = NS_TIME_MISSING;
    }
    p->counts->n_missing += !there;
    p->n++;
}

static ns_status put_texts(passage *p, const ns_run *run)
{
    for (int64_t at = 0; at < run->n_bytes;) {
        const char *text;
        int64_t n_bytes;
        bool there = ns_run_text(run, &at, &text, &n_bytes);
        if (is_dropped(p)) continue;
        put_text(p, text, n_bytes, there);
        p->row++;
        if (p->n == BLOCK_ROWS) NS_TRY(flush(p));
    }
    return NS_OK;
}

static ns_status write_cells(passage *p)
{
    ns_cells_walk walk = {.values = p->what->kind == NS_COL_NUMBER || p->what->kind == NS_COL_TIME};
    ns_run run;
    ns_status status = NS_OK;
    p->row = p->next_drop = 0;
    for (;;) {
        status = ns_cells_next(p->cells, &walk, &run);
        if (status != NS_OK || run.n_bytes == 0) break;
        status = run.form == NS_RUN_TEXTS ? put_texts(p, &run) : put_run(p, &run);
        if (status != NS_OK) break;
    }
    ns_cells_walk_end(&walk);
    return status == NS_OK && p->n > 0 ? flush(p) : status;
}

/* --- text ids: nothing can be bad; an empty text means missing --- */

static ns_status append_id(passage *p, const ns_run *run, int64_t i, int64_t *at, ns_texts *block)
{
    const char *text = "";
    int64_t n_bytes = 0;
    if (run->form == NS_RUN_TEXTS)
        ns_run_text(run, at, &text, &n_bytes);
    else {
        int64_t code = code_of(run, i);
        if (code >= 0) text = ns_text_at(ns_cells_texts(p->cells), code, &n_bytes);
    }
    if (is_dropped(p)) return NS_OK;
    p->row++;
    p->counts->n_missing += n_bytes == 0;
    NS_TRY(ns_texts_append(block, text, n_bytes));
    if (block->n < BLOCK_ROWS) return NS_OK;
    NS_TRY(ns_cohort_writer_id_texts(p->writer, block));
    ns_texts_clear(block);
    return NS_OK;
}

static ns_status write_ids(passage *p)
{
    ns_texts block = {0};
    ns_cells_walk walk = {0};
    ns_run run;
    ns_status status = NS_OK;
    for (;;) {
        status = ns_cells_next(p->cells, &walk, &run);
        if (status != NS_OK || run.n_bytes == 0) break;
        int64_t at = 0, n = run.form == NS_RUN_TEXTS ? run.n_bytes : run.n_rows;
        for (int64_t i = 0; i < n && status == NS_OK; i = run.form == NS_RUN_TEXTS ? at : i + 1)
            status = append_id(p, &run, i, &at, &block);
        if (status != NS_OK) break;
    }
    if (status == NS_OK && block.n > 0) status = ns_cohort_writer_id_texts(p->writer, &block);
    ns_cells_walk_end(&walk);
    ns_texts_destroy(&block);
    return status;
}

/* --- tables --- */

/* Which codes stand in rows that are kept. */
static ns_status mark_used(passage *p, bool *used)
{
    ns_cells_walk walk = {0};
    ns_run run;
    ns_status status;
    while ((status = ns_cells_next(p->cells, &walk, &run)) == NS_OK && run.n_bytes > 0) {
        int64_t at = 0, n = run.form == NS_RUN_TEXTS ? run.n_bytes : run.n_rows;
        for (int64_t i = 0; i < n; i = run.form == NS_RUN_TEXTS ? at : i + 1) {
            const char *text;
            int64_t n_bytes, code;
            if (run.form != NS_RUN_TEXTS)
                code = code_of(&run, i);
            else
                code = ns_run_text(&run, &at, &text, &n_bytes) ? ns_cells_find(p->cells, text, n_bytes) : -1;
            if (is_dropped(p)) continue;
            p->row++;
            if (code >= 0) used[code] = true;
        }
    }
    ns_cells_walk_end(&walk);
    return status;
}

/* Levels sorted by bytes, and the level of every code. */
static ns_status make_levels(const passage *p, const bool *used, ns_texts *levels)
{
    const ns_texts *texts = ns_cells_texts(p->cells);
    for (int pass = 0; pass < 2; pass++) { /* first gathers the levels, then finds them */
        for (int64_t i = 0; i < texts->n; i++) {
            int64_t n_bytes;
            const char *text = ns_text_at(texts, i, &n_bytes);
            if (!used[i]) continue;
            if (p->what->prefix > 0) n_bytes = ns_utf8_prefix(text, n_bytes, p->what->prefix);
            if (pass == 0)
                NS_TRY(ns_texts_append(levels, text, n_bytes));
            else
                p->table.level[i] = (int32_t)ns_texts_find(levels, text, n_bytes);
        }
        if (pass == 0) NS_TRY(ns_texts_sort_unique(levels));
    }
    return NS_OK;
}

static ns_status fill_levels(passage *p, ns_texts *levels)
{
    int64_t n_codes = ns_cells_texts(p->cells)->n;
    bool *used = malloc((size_t)n_codes + 1);
    if (used == NULL) return ns_fail(NS_ENOMEM, "no memory for column '%s'", p->what->name);
    memset(used, p->what->n_dropped == 0, (size_t)n_codes + 1);
    ns_status status = p->what->n_dropped > 0 ? mark_used(p, used) : NS_OK;
    if (status == NS_OK) status = make_levels(p, used, levels);
    free(used);
    return status;
}

static void fill_values(passage *p)
{
    const ns_texts *texts = ns_cells_texts(p->cells);
    for (int64_t i = 0; i < texts->n; i++) {
        int64_t n_bytes;
        const char *text = ns_text_at(texts, i, &n_bytes);
        if (p->what->kind == NS_COL_NUMBER)
            p->table.number[i] = ns_cells_number(p->cells, i);
        else if (p->what->kind == NS_COL_TIME)
            p->table.integer[i] = ns_cells_time(p->cells, i);
        else if (!ns_value_int64(text, n_bytes, &p->table.integer[i]))
            p->table.integer[i] = NS_TIME_MISSING; /* a bad cell's: no row has it */
    }
}

static ns_status convert(passage *p)
{
    const ns_conversion *what = p->what;
    ns_texts levels = {0};
    ns_status status = NS_OK;
    if (what->kind == NS_COL_CATEGORY)
        status = fill_levels(p, &levels);
    else
        fill_values(p);
    if (status == NS_OK && what->kind == NS_COL_CATEGORY) status = ns_cohort_writer_n_levels(p->writer, levels.n);
    if (status == NS_OK) status = write_cells(p);
    if (status == NS_OK && what->kind == NS_COL_CATEGORY) status = ns_cohort_writer_levels(p->writer, &levels);
    p->counts->n_levels = levels.n;
    ns_texts_destroy(&levels);
    return status;
}

ns_status ns_convert_column(ns_conversion_counts *counts, const ns_conversion *what, const ns_cells *cells,
                            ns_cohort_writer *writer)
{
    passage p = {.what = what, .cells = cells, .writer = writer, .counts = counts};
    bool texts = what->kind == NS_COL_ID && what->is_text;
    *counts = (ns_conversion_counts){0};
    NS_TRY(ns_cohort_writer_column(writer, what->name, what->kind, texts, what->unit, what->description));
    if (texts) {
        ns_cells_facts facts = ns_cells_about(cells);
        NS_TRY(ns_cohort_writer_text_size(writer, facts.longest, facts.n_rows - what->n_dropped));
        return write_ids(&p);
    }
    void *table = malloc((size_t)(ns_cells_texts(cells)->n + 1) * sizeof(int64_t));
    p.table.integer = table;
    p.block = malloc(BLOCK_ROWS * sizeof(int64_t));
    ns_status status =
        table == NULL || p.block == NULL ? ns_fail(NS_ENOMEM, "no memory for column '%s'", what->name) : convert(&p);
    free(p.block);
    free(table);
    return status;
}
