/* Rows of a CSV into a column's streams; cells_private.h says how they lie there. */
#include <math.h>

#include "data/cells_private.h"
#include "data/short_number.h"
#include "data/values.h"

enum { LENGTH_BYTES = 10 };

static void see_meaning(ns_cells *cells, const ns_meaning *m, const char *text, int64_t n_bytes)
{
    uint32_t bits;
    memcpy(&bits, &m->is.number, sizeof bits);
    ns_distinct_see(&cells->distinct, ns_cells_are_numbers(cells) ? bits
                                      : ns_cells_are_times(cells) ? (uint64_t)m->is.integer & INT64_MAX
                                                                  : ns_cells_hash(text, n_bytes));
}

/* From here on rows have no codes. */
static ns_status begin_plain(ns_cells *cells)
{
    const ns_cells_want *want = &cells->want;
    const ns_texts *texts = &cells->texts;
    bool values = want->inferred ? cells->facts.all_numbers || cells->facts.all_times
                                 : want->kind == NS_COL_NUMBER || want->kind == NS_COL_TIME;
    cells->plain = true;
    cells->with_values = values;
    cells->with_texts = want->inferred || want->kind == NS_COL_ID;
    cells->facts.many_texts = texts->n >= NS_CELLS_DISTINCT;
    if (!ns_distinct_begin(&cells->distinct)) return ns_cells_no_memory(cells);
    for (int64_t i = 0; i < texts->n; i++)
        if (cells->meanings[i].problem == NS_VALUE_OK)
            see_meaning(cells, &cells->meanings[i], texts->bytes + texts->offset[i], texts->offset[i + 1] - texts->offset[i]);
    return NS_OK;
}

/* The code of a text, a new one if need be; -1 for a missing text. No code where codes have run out: the column is plain then. */
static ns_status find_code(ns_cells *cells, const char *text, int64_t n_bytes, int32_t *code)
{
    uint32_t hash = (uint32_t)(ns_cells_hash(text, n_bytes) >> 32);
    int64_t at = ns_cells_slot_of(cells, hash, text, n_bytes);
    if (cells->slots[at].code != 0) {
        *code = cells->slots[at].code - 1;
        return NS_OK;
    }
    *code = -1;
    if (ns_cells_is_missing(cells, text, n_bytes)) return NS_OK;
    int64_t n = cells->texts.n;
    bool short_list = n >= NS_CELLS_FEW && (cells->facts.all_numbers || cells->facts.all_times);
    if (n == cells->limit || (cells->want.inferred && short_list)) {
        if (cells->wide) return ns_fail(NS_EFORMAT, "column '%s' has more than 2^31 distinct texts", cells->want.name);
        return begin_plain(cells);
    }
    *code = (int32_t)n;
    return ns_cells_add_text(cells, at, hash, text, n_bytes);
}

/* The code of a text that is among those met last; false where it is not. */
static bool find_recent(const ns_cells *cells, const char *text, int64_t n_bytes, int32_t *code)
{
    *code = cells->last;
    if (cells->last >= 0 && ns_cells_is_text(&cells->texts, cells->last, text, n_bytes)) return true;
    *code = -1;
    return cells->missing->n > 0 && ns_cells_is_text(cells->missing, cells->last_missing, text, n_bytes);
}

static ns_status append_plain_text(ns_cells *cells, const char *text, int64_t n_bytes, bool missing)
{
    char *place = NULL;
    NS_TRY(ns_scratch_room(&place, &cells->plains, cells->scratch, LENGTH_BYTES + n_bytes));
    uint64_t length = missing ? 0 : (uint64_t)n_bytes + 1;
    int64_t used = 0;
    for (; length > 127; length >>= 7) place[used++] = (char)((length & 127) | 128);
    place[used++] = (char)length;
    if (!missing) {
        memcpy(place + used, text, (size_t)n_bytes);
        used += n_bytes;
    }
    ns_scratch_took(&cells->plains, used);
    return NS_OK;
}

static ns_status append_value(ns_cells *cells, const ns_meaning *m, bool missing)
{
    bool number = ns_cells_are_numbers(cells);
    float value = missing ? NAN : m->is.number;
    int64_t time = missing ? NS_TIME_MISSING : m->is.integer;
    int64_t n_bytes = number ? (int64_t)sizeof value : (int64_t)sizeof time;
    char *place = NULL;
    NS_TRY(ns_scratch_room(&place, &cells->values, cells->scratch, n_bytes));
    if (number)
        memcpy(place, &value, sizeof value);
    else
        memcpy(place, &time, sizeof time);
    ns_scratch_took(&cells->values, n_bytes);
    return NS_OK;
}

static ns_status append_plain(ns_cells *cells, const char *text, int64_t n_bytes, const ns_lines_at *at)
{
    ns_meaning m = {.problem = NS_VALUE_OK};
    bool missing = ns_cells_is_missing(cells, text, n_bytes), good = true;
    if (!missing && n_bytes > cells->facts.longest) cells->facts.longest = n_bytes;
    if (missing)
        cells->facts.n_missing++;
    else {
        m = ns_cells_mean(cells, text, n_bytes);
        NS_TRY(ns_cells_count(cells, &m, at, &good));
        if (good) see_meaning(cells, &m, text, n_bytes);
    }
    if (cells->with_values && cells->want.inferred && !cells->facts.all_numbers && !cells->facts.all_times) {
        cells->with_values = false; /* the texts stay */
        ns_scratch_stream_destroy(&cells->values);
    }
    if (cells->with_values) NS_TRY(append_value(cells, &m, missing || !good));
    return cells->with_texts ? append_plain_text(cells, text, n_bytes, missing || !good) : NS_OK;
}

static inline ns_status put_code(ns_cells *cells, int32_t code)
{
    char *place = NULL;
    uint16_t half = code < 0 ? NS_CELLS_MISSING16 : (uint16_t)code;
    int64_t n_bytes = cells->wide ? (int64_t)sizeof code : (int64_t)sizeof half;
    NS_TRY(ns_scratch_room(&place, &cells->codes, cells->scratch, n_bytes));
    if (cells->wide)
        memcpy(place, &code, sizeof code);
    else
        memcpy(place, &half, sizeof half);
    ns_scratch_took(&cells->codes, n_bytes);
    return NS_OK;
}

static inline ns_cells_recent *recent_of(ns_cells *cells, uint64_t word)
{
    return &cells->recent[word * UINT64_C(0x9e3779b97f4a7c15) >> 57];
}
_Static_assert(NS_CELLS_RECENT == 1 << (64 - 57), "the hash is an index into recent");

static ns_status append(ns_cells *cells, const char *text, int64_t n_bytes, const ns_lines_at *at)
{
    int32_t code = -1;
    bool good = true, silent = true;
    if (!cells->plain && !find_recent(cells, text, n_bytes, &code)) NS_TRY(find_code(cells, text, n_bytes, &code));
    cells->facts.n_rows++;
    if (cells->plain) return append_plain(cells, text, n_bytes, at);
    if (code < 0)
        cells->facts.n_missing++;
    else {
        cells->last = code;
        const ns_meaning *m = &cells->meanings[code];
        silent = !m->noted && m->problem == NS_VALUE_OK;
        if (!silent) NS_TRY(ns_cells_count(cells, m, at, &good));
        if (!good) code = -1;
    }
    if (silent && n_bytes >= 1 && n_bytes <= 8) {
        uint64_t word = ns_short_word(text, n_bytes);
        *recent_of(cells, word) = (ns_cells_recent){word, code};
    }
    return put_code(cells, code);
}

/* Rows from *row on whose texts were met lately; *row is then the first that was not. */
static ns_status append_recent(ns_cells *cells, const ns_csv_batch *batch, const ns_csv_cell *cell, int64_t *row)
{
    int64_t r = *row, n_missing = 0;
    ns_status status = NS_OK;
    for (; r < batch->n_rows && status == NS_OK; r++) {
        if (cell[r].n_bytes - 1 > 7) break;
        uint64_t word = ns_short_word_of_8(ns_csv_text(batch, cell[r]), cell[r].n_bytes);
        const ns_cells_recent *known = recent_of(cells, word);
        if (known->word != word) break;
        n_missing += known->code < 0;
        status = put_code(cells, known->code);
    }
    cells->facts.n_rows += r - *row;
    cells->facts.n_missing += n_missing;
    *row = r;
    return status;
}

/* --- numbers behind the codes: most of the bytes of most tables --- */

/* Whether rows may take the short way below. A number is never a time. */
static bool takes_numbers(const ns_cells *cells)
{
    return cells->plain && cells->with_values && ns_cells_are_numbers(cells) && !(cells->want.inferred && cells->facts.all_times);
}

/* Copies a text of a batch by whole words, so that no branch depends on its length; to has room for LENGTH_BYTES - 1 more. */
static inline void copy_words(char *to, const char *from, int64_t n_bytes)
{
    _Static_assert(LENGTH_BYTES > 8 && NS_CSV_BEHIND >= 16, "a word, or two behind the first 8 bytes, fit");
    memcpy(to, from, 8);
    if (n_bytes > 8) memcpy(to + 8, from + 8, 8);
    if (n_bytes > 16) memcpy(to + 16, from + 16, (size_t)n_bytes - 16);
}

/* One row into the streams, as append_value and append_plain_text do it. */
static inline ns_status put_number(ns_cells *cells, const char *text, int64_t n_bytes, bool missing, float value)
{
    char *place = NULL;
    NS_TRY(ns_scratch_room(&place, &cells->values, cells->scratch, sizeof value));
    memcpy(place, &value, sizeof value);
    ns_scratch_took(&cells->values, sizeof value);
    if (!cells->with_texts) return NS_OK;
    if (missing || n_bytes > 126) return append_plain_text(cells, text, n_bytes, missing);
    NS_TRY(ns_scratch_room(&place, &cells->plains, cells->scratch, LENGTH_BYTES + n_bytes));
    place[0] = (char)(n_bytes + 1);
    copy_words(place + 1, text, n_bytes);
    ns_scratch_took(&cells->plains, 1 + n_bytes);
    return NS_OK;
}

/*
 * Rows from *row on while they are numbers, or missing, of which nothing is to be told and which leave the column one of numbers;
 * *row is then the first that is not, to be appended as any other. The facts they change are held here meanwhile.
 */
static ns_status append_numbers(ns_cells *cells, const ns_csv_batch *batch, const ns_csv_cell *cell, int64_t *row)
{
    ns_cells_facts *facts = &cells->facts;
    int64_t r = *row, n_missing = 0, longest = facts->longest, integer;
    double least = facts->least, most = facts->most;
    bool whole = facts->all_whole, inferred = cells->want.inferred;
    ns_status status = NS_OK;
    for (; r < batch->n_rows && status == NS_OK; r++) {
        const char *text = ns_csv_text(batch, cell[r]);
        int64_t n_bytes = cell[r].n_bytes;
        ns_number_text number = {.value = NAN};
        bool missing = ns_cells_is_missing(cells, text, n_bytes);
        if (!missing) {
            bool negative = *text == '-';
            int64_t n_short = n_bytes - negative;
            if ((n_short < 1 || n_short > 8 || !ns_short_value(ns_short_word_of_8(text + negative, n_short), n_short, negative, &number)) &&
                ns_value_number(text, n_bytes, &number) != NS_VALUE_OK)
                break;
            if (inferred ? number.leading_zero || !number.fits : number.whole && !number.fits) break;
            uint32_t bits;
            memcpy(&bits, &number.value, sizeof bits);
            ns_distinct_see(&cells->distinct, bits);
            whole = whole && number.whole;
            if (inferred && facts->all_int64) facts->all_int64 = number.whole && ns_value_int64(text, n_bytes, &integer);
            if ((double)number.value < least) least = (double)number.value;
            if ((double)number.value > most) most = (double)number.value;
            if (n_bytes > longest) longest = n_bytes;
        }
        n_missing += missing;
        status = put_number(cells, text, n_bytes, missing, number.value);
    }
    facts->n_rows += r - *row;
    facts->n_missing += n_missing;
    facts->longest = longest;
    facts->least = least;
    facts->most = most;
    facts->all_whole = whole;
    *row = r;
    return status;
}

ns_status ns_cells_append(ns_cells *cells, const char *text, int64_t n_bytes, const ns_lines_at *at)
{
    return append(cells, text, n_bytes, at);
}

ns_status ns_cells_append_batch(ns_cells *cells, const ns_csv_batch *batch, int64_t column, int64_t first_row, int32_t file)
{
    const ns_csv_cell *cell = batch->cells + column * batch->room_rows;
    ns_lines_at at = {.file = file};
    for (int64_t r = 0; r < batch->n_rows; r++) {
        if (takes_numbers(cells))
            NS_TRY(append_numbers(cells, batch, cell, &r));
        else if (!cells->plain)
            NS_TRY(append_recent(cells, batch, cell, &r));
        if (r == batch->n_rows) break;
        at.line = batch->line[r];
        at.row = first_row + r;
        at.text = batch->bytes + batch->text[r].start;
        at.n_bytes = batch->text[r].n_bytes;
        NS_TRY(append(cells, ns_csv_text(batch, cell[r]), cell[r].n_bytes, &at));
    }
    return NS_OK;
}
