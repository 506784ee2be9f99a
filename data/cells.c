#include "data/cells.h"

/*
 * Distinct texts are found by an open-addressed table of (hash, code) pairs; the text of the row before is
 * tried first, since most columns repeat it often. The hash decides only where an entry lies: codes count
 * texts in order of first appearance. What a text means is found out once for each code.
 *
 * Behind the limit of codes a row is a value, a text (length + 1 in 7 bits a byte, the lowest first, so that a
 * lone 0 is a missing cell), or both: while all cells so far are numbers (or times) both streams are written,
 * so that neither a number is read twice nor a text is lost when the last row turns out to be a word.
 */

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/values.h"

enum { LENGTH_BYTES = 10, FIRST_SLOTS = 64, MISSING16 = 65535, MAX_WORDS = 200, SEEN_SLOTS = 4096, SEEN_MOST = 2048 };

typedef struct slot {
    uint32_t hash;
    int32_t code; /* + 1; 0: empty */
} slot;

/* What a text means. */
typedef struct meaning {
    union {
        float number;
        int64_t integer; /* time */
    } is;
    uint8_t problem; /* ns_value_problem: the cell is bad */
    bool noted;      /* number: whole and rounded. time: without a zone */
} meaning;

struct ns_cells {
    ns_cells_want want;
    const ns_texts *missing;
    ns_scratch *scratch;
    ns_lines *lines;
    bool wide;  /* codes are int32 */
    bool plain; /* codes have run out */
    bool with_values, with_texts;
    ns_cells_facts facts;

    ns_texts texts;
    int64_t limit; /* of the texts */
    meaning *meanings;
    int64_t room_meanings;
    slot *slots;
    int64_t n_slots;      /* a power of two, more than twice the texts */
    int32_t last;         /* code that was met last, -1 at first */
    int64_t last_missing; /* index of the missing text that was met last */

    uint64_t *seen; /* [SEEN_SLOTS] a sample of the distinct values; NULL: all have codes */
    int64_t n_seen;
    int level;

    ns_scratch_stream codes, values, plains;
};

/* --- texts and their codes --- */

static uint64_t load(const char *p, size_t n_bytes)
{
    uint64_t word = 0;
    memcpy(&word, p, n_bytes);
    return word;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    return a ^ (a >> 29);
}

static uint64_t hash_of(const char *text, int64_t n_bytes)
{
    uint64_t hash = (uint64_t)n_bytes * UINT64_C(0xd6e8feb86659fd93);
    int64_t i = 0;
    for (; n_bytes - i > 8; i += 8) hash = mix(hash, load(text + i, 8));
    if (n_bytes >= 8)
        hash = mix(hash, load(text + n_bytes - 8, 8));
    else if (n_bytes >= 4)
        hash = mix(hash, load(text, 4) | load(text + n_bytes - 4, 4) << 32);
    else if (n_bytes > 0)
        hash = mix(hash, (uint64_t)(unsigned char)text[0] | (uint64_t)(unsigned char)text[n_bytes / 2] << 8 |
                             (uint64_t)(unsigned char)text[n_bytes - 1] << 16);
    return mix(hash, hash >> 32);
}

static bool is_text(const ns_texts *texts, int64_t i, const char *text, int64_t n_bytes)
{
    int64_t first = texts->offset[i];
    return texts->offset[i + 1] - first == n_bytes &&
           memcmp(texts->bytes + first, text, (size_t)n_bytes) == 0;
}

static bool is_missing(ns_cells *cells, const char *text, int64_t n_bytes)
{
    for (int64_t i = 0; i < cells->missing->n; i++) {
        if (!is_text(cells->missing, i, text, n_bytes)) continue;
        cells->last_missing = i;
        return true;
    }
    return false;
}

static ns_status no_memory(const ns_cells *cells)
{
    return ns_fail(NS_ENOMEM, "no memory for column '%s'", cells->want.name);
}

ns_status ns_cells_create(ns_cells **out, const ns_cells_want *want, const ns_texts *missing, ns_scratch *scratch,
                          ns_lines *lines)
{
    ns_cells *cells = calloc(1, sizeof *cells);
    *out = cells;
    if (cells == NULL) return ns_fail(NS_ENOMEM, "no memory for column '%s'", want->name);
    cells->want = *want;
    cells->missing = missing;
    cells->scratch = scratch;
    cells->lines = lines;
    cells->last = -1;
    cells->wide = !want->inferred && want->kind == NS_COL_CATEGORY;
    cells->limit = cells->wide ? INT32_MAX - 1 : want->inferred ? NS_CELLS_DISTINCT : NS_CELLS_FEW;
    cells->facts = (ns_cells_facts){.all_numbers = true, .all_times = true, .all_int64 = true, .all_whole = true,
                                     .least = INFINITY, .most = -INFINITY};
    cells->n_slots = FIRST_SLOTS;
    cells->slots = calloc((size_t)cells->n_slots, sizeof *cells->slots);
    if (cells->slots != NULL) return NS_OK;
    ns_cells_destroy(out);
    return ns_fail(NS_ENOMEM, "no memory for column '%s'", want->name);
}

void ns_cells_destroy(ns_cells **cells)
{
    ns_cells *c = *cells;
    if (c == NULL) return;
    ns_scratch_stream_destroy(&c->codes);
    ns_scratch_stream_destroy(&c->values);
    ns_scratch_stream_destroy(&c->plains);
    free(c->slots);
    free(c->meanings);
    free(c->seen);
    ns_texts_destroy(&c->texts);
    free(c);
    *cells = NULL;
}

/* --- what texts mean --- */

static void note_number(ns_cells_facts *facts, float value)
{
    if ((double)value < facts->least) facts->least = (double)value;
    if ((double)value > facts->most) facts->most = (double)value;
}

/* Of a column whose kind is open: what it still can be. */
static void mean_open(ns_cells *cells, const char *text, int64_t n_bytes, meaning *m)
{
    ns_cells_facts *facts = &cells->facts;
    int64_t integer;
    if (facts->all_numbers) {
        ns_number_text number;
        facts->all_numbers = ns_value_number(text, n_bytes, &number) == NS_VALUE_OK && !number.leading_zero && number.fits;
        m->is.number = number.value;
        if (facts->all_numbers) {
            facts->all_whole = facts->all_whole && number.whole;
            note_number(facts, number.value);
        }
    }
    if (facts->all_times) {
        bool has_zone;
        facts->all_times = ns_value_time(text, n_bytes, &integer, &has_zone) == NS_VALUE_OK;
        m->noted = facts->all_times && !has_zone;
        if (facts->all_times) m->is.integer = integer;
    }
    if (facts->all_int64) facts->all_int64 = ns_value_int64(text, n_bytes, &integer);
}

static void mean_number(ns_cells *cells, const char *text, int64_t n_bytes, meaning *m)
{
    ns_number_text number;
    m->problem = (uint8_t)ns_value_number(text, n_bytes, &number);
    if (m->problem != NS_VALUE_OK) return;
    m->is.number = number.value;
    m->noted = number.whole && !number.fits;
    cells->facts.all_whole = cells->facts.all_whole && number.whole;
    note_number(&cells->facts, number.value);
}

static void mean_time(const ns_cells *cells, const char *text, int64_t n_bytes, meaning *m)
{
    bool has_zone = false;
    const char *format = cells->want.format;
    m->problem = (uint8_t)(format == NULL ? ns_value_time(text, n_bytes, &m->is.integer, &has_zone)
                                          : ns_value_time_as(format, text, n_bytes, &m->is.integer));
    if (m->problem != NS_VALUE_OK || has_zone) return;
    if (cells->want.zone == NULL)
        m->noted = true;
    else if (!ns_zone_utc(cells->want.zone, m->is.integer, &m->is.integer))
        m->problem = NS_VALUE_NEVER;
}

static meaning mean(ns_cells *cells, const char *text, int64_t n_bytes)
{
    meaning m = {.problem = NS_VALUE_OK};
    if (cells->want.inferred)
        mean_open(cells, text, n_bytes, &m);
    else if (cells->want.kind == NS_COL_NUMBER)
        mean_number(cells, text, n_bytes, &m);
    else if (cells->want.kind == NS_COL_TIME)
        mean_time(cells, text, n_bytes, &m);
    else if (cells->want.kind == NS_COL_ID && (cells->facts.all_int64 || cells->want.whole_ids)) {
        int64_t integer;
        bool whole = ns_value_int64(text, n_bytes, &integer);
        if (cells->want.whole_ids && !whole)
            m.problem = NS_VALUE_NOT_ONE;
        else
            cells->facts.all_int64 = cells->facts.all_int64 && whole;
    }
    return m;
}

/* The problem in words: "column 'age' is not a plain decimal number". */
static void word_problem(char words[MAX_WORDS + 300], const ns_cells *cells, ns_value_problem problem)
{
    const ns_cells_want *want = &cells->want;
    const char *said = "is not a plain decimal number";
    char form[MAX_WORDS];
    if (problem == NS_VALUE_OUT_OF_RANGE)
        said = want->kind == NS_COL_NUMBER ? "is a number beyond what float32 holds"
                                           : "is no day and time from 1800 to 2200";
    else if (problem == NS_VALUE_FRACTION)
        said = "has a fraction of a second; times are whole seconds";
    else if (problem == NS_VALUE_NEVER)
        said = "is a time that the clocks of its zone never showed: they were put forward over it";
    else if (problem == NS_VALUE_INEXACT)
        said = "is a whole number that float32 does not hold exactly; kind id or category keeps it";
    else if (want->kind == NS_COL_ID)
        said = "is not a whole number, as the ids of the cohort are that it is appended to";
    else if (want->kind == NS_COL_TIME && want->format == NULL)
        said = "is not an ISO 8601 time (2024-03-01, 2024-03-01T08:30:00, with Z or +hh:mm)";
    else if (want->kind == NS_COL_TIME) {
        snprintf(form, sizeof form, "is not a time of the form \"%.100s\"", want->format);
        said = form;
    }
    snprintf(words, MAX_WORDS + 300, "column '%.255s' %s", want->name, said);
}

/* Tells a cell that is bad, or that is if all numbers of the column are whole. */
static ns_status tell(ns_cells *cells, const meaning *m, const ns_lines_at *at)
{
    char words[MAX_WORDS + 300];
    if (m->problem != NS_VALUE_OK) {
        word_problem(words, cells, (ns_value_problem)m->problem);
        return ns_lines_bad(cells->lines, cells->want.column, at, words);
    }
    if (cells->want.kind != NS_COL_NUMBER || !cells->facts.all_whole) return NS_OK;
    word_problem(words, cells, NS_VALUE_INEXACT);
    return ns_lines_maybe(cells->lines, cells->want.column, at, words);
}

/* What a row's meaning adds to the facts; *good is false for a bad cell. */
static ns_status count_cell(ns_cells *cells, const meaning *m, const ns_lines_at *at, bool *good)
{
    *good = m->problem == NS_VALUE_OK;
    if (*good && !m->noted) return NS_OK;
    if (m->noted && (cells->want.inferred || cells->want.kind == NS_COL_TIME)) cells->facts.n_zoneless++;
    if (cells->want.inferred) return NS_OK;
    if (m->noted && cells->want.kind == NS_COL_NUMBER) cells->facts.n_inexact++;
    return tell(cells, m, at);
}

/* --- distinct values behind the codes --- */

/*
 * Adaptive sampling (Wegman; Flajolet, "On adaptive sampling", 1990): of all distinct hashes those with `level` zeros at
 * their end are held, and the level rises when there are too many. How many there are at which level depends on the set of
 * values alone, and tells how large it is within some percent.
 */
static void thin_out(ns_cells *cells)
{
    uint64_t kept[SEEN_MOST + 1];
    int64_t n = 0;
    cells->level++;
    for (int64_t i = 0; i < SEEN_SLOTS; i++)
        if (cells->seen[i] != 0 && (cells->seen[i] & ((UINT64_C(1) << cells->level) - 1)) == 0) kept[n++] = cells->seen[i];
    memset(cells->seen, 0, SEEN_SLOTS * sizeof *cells->seen);
    for (int64_t i = 0; i < n; i++) {
        uint64_t at = kept[i] >> 40 & (SEEN_SLOTS - 1);
        while (cells->seen[at] != 0) at = (at + 1) & (SEEN_SLOTS - 1);
        cells->seen[at] = kept[i];
    }
    cells->n_seen = n;
}

static void see(ns_cells *cells, uint64_t key)
{
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    key = (key ^ (key >> 31)) | UINT64_C(1) << 63; /* never 0 */
    if ((key & ((UINT64_C(1) << cells->level) - 1)) != 0 || cells->seen == NULL) return;
    uint64_t at = key >> 40 & (SEEN_SLOTS - 1);
    for (; cells->seen[at] != 0; at = (at + 1) & (SEEN_SLOTS - 1))
        if (cells->seen[at] == key) return;
    cells->seen[at] = key;
    if (++cells->n_seen > SEEN_MOST) thin_out(cells);
}

static void see_meaning(ns_cells *cells, const meaning *m, const char *text, int64_t n_bytes)
{
    uint32_t bits;
    bool number = cells->want.inferred ? cells->facts.all_numbers : cells->want.kind == NS_COL_NUMBER;
    bool time = cells->want.inferred ? cells->facts.all_times : cells->want.kind == NS_COL_TIME;
    memcpy(&bits, &m->is.number, sizeof bits);
    see(cells, number ? bits : time ? (uint64_t)m->is.integer & INT64_MAX : hash_of(text, n_bytes));
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
    cells->seen = calloc(SEEN_SLOTS, sizeof *cells->seen);
    if (cells->seen == NULL) return no_memory(cells);
    for (int64_t i = 0; i < texts->n; i++)
        if (cells->meanings[i].problem == NS_VALUE_OK)
            see_meaning(cells, &cells->meanings[i], texts->bytes + texts->offset[i], texts->offset[i + 1] - texts->offset[i]);
    return NS_OK;
}

/* --- appending --- */

static ns_status double_slots(ns_cells *cells)
{
    int64_t n_slots = cells->n_slots * 2;
    slot *slots = calloc((size_t)n_slots, sizeof *slots);
    if (slots == NULL) return no_memory(cells);
    for (int64_t i = 0; i < cells->n_slots; i++) {
        if (cells->slots[i].code == 0) continue;
        int64_t at = cells->slots[i].hash & (n_slots - 1);
        while (slots[at].code != 0) at = (at + 1) & (n_slots - 1);
        slots[at] = cells->slots[i];
    }
    free(cells->slots);
    cells->slots = slots;
    cells->n_slots = n_slots;
    return NS_OK;
}

/* The slot that holds a text, or the empty one where it would go. */
static int64_t slot_of(const ns_cells *cells, uint32_t hash, const char *text, int64_t n_bytes)
{
    int64_t at = hash & (cells->n_slots - 1);
    for (; cells->slots[at].code != 0; at = (at + 1) & (cells->n_slots - 1))
        if (cells->slots[at].hash == hash && is_text(&cells->texts, cells->slots[at].code - 1, text, n_bytes)) break;
    return at;
}

static ns_status add_text(ns_cells *cells, int64_t at, uint32_t hash, const char *text, int64_t n_bytes)
{
    if (cells->texts.n == cells->room_meanings) {
        int64_t room = cells->room_meanings == 0 ? 16 : cells->room_meanings * 2;
        meaning *meanings = realloc(cells->meanings, (size_t)room * sizeof *meanings);
        if (meanings == NULL) return no_memory(cells);
        cells->meanings = meanings;
        cells->room_meanings = room;
    }
    cells->meanings[cells->texts.n] = mean(cells, text, n_bytes);
    if (n_bytes > cells->facts.longest) cells->facts.longest = n_bytes;
    NS_TRY(ns_texts_append(&cells->texts, text, n_bytes));
    cells->slots[at] = (slot){hash, (int32_t)cells->texts.n};
    return cells->texts.n * 2 > cells->n_slots ? double_slots(cells) : NS_OK;
}

/* The code of a text, a new one if need be; -1 for a missing text. No code where codes have run out: the column is plain then. */
static ns_status find_code(ns_cells *cells, const char *text, int64_t n_bytes, int32_t *code)
{
    uint32_t hash = (uint32_t)(hash_of(text, n_bytes) >> 32);
    int64_t at = slot_of(cells, hash, text, n_bytes);
    if (cells->slots[at].code != 0) {
        *code = cells->slots[at].code - 1;
        return NS_OK;
    }
    *code = -1;
    if (is_missing(cells, text, n_bytes)) return NS_OK;
    int64_t n = cells->texts.n;
    bool short_list = n >= NS_CELLS_FEW && (cells->facts.all_numbers || cells->facts.all_times);
    if (n == cells->limit || (cells->want.inferred && short_list)) {
        if (cells->wide) return ns_fail(NS_EFORMAT, "column '%s' has more than 2^31 distinct texts", cells->want.name);
        return begin_plain(cells);
    }
    *code = (int32_t)n;
    return add_text(cells, at, hash, text, n_bytes);
}

/* The code of a text that is among those met last; false where it is not. */
static bool find_recent(const ns_cells *cells, const char *text, int64_t n_bytes, int32_t *code)
{
    *code = cells->last;
    if (cells->last >= 0 && is_text(&cells->texts, cells->last, text, n_bytes)) return true;
    *code = -1;
    return cells->missing->n > 0 && is_text(cells->missing, cells->last_missing, text, n_bytes);
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

static ns_status append_value(ns_cells *cells, const meaning *m, bool missing)
{
    bool number = cells->want.inferred ? cells->facts.all_numbers : cells->want.kind == NS_COL_NUMBER;
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
    meaning m = {.problem = NS_VALUE_OK};
    bool missing = is_missing(cells, text, n_bytes), good = true;
    if (!missing && n_bytes > cells->facts.longest) cells->facts.longest = n_bytes;
    if (missing)
        cells->facts.n_missing++;
    else {
        m = mean(cells, text, n_bytes);
        NS_TRY(count_cell(cells, &m, at, &good));
        if (good) see_meaning(cells, &m, text, n_bytes);
    }
    if (cells->with_values && cells->want.inferred && !cells->facts.all_numbers && !cells->facts.all_times) {
        cells->with_values = false; /* the texts stay */
        ns_scratch_stream_destroy(&cells->values);
    }
    if (cells->with_values) NS_TRY(append_value(cells, &m, missing || !good));
    return cells->with_texts ? append_plain_text(cells, text, n_bytes, missing || !good) : NS_OK;
}

static inline ns_status append(ns_cells *cells, const char *text, int64_t n_bytes, const ns_lines_at *at)
{
    int32_t code = -1;
    bool good = true;
    if (!cells->plain && !find_recent(cells, text, n_bytes, &code)) NS_TRY(find_code(cells, text, n_bytes, &code));
    cells->facts.n_rows++;
    if (cells->plain) return append_plain(cells, text, n_bytes, at);
    if (code < 0)
        cells->facts.n_missing++;
    else {
        cells->last = code;
        const meaning *m = &cells->meanings[code];
        if (m->noted || m->problem != NS_VALUE_OK) NS_TRY(count_cell(cells, m, at, &good));
        if (!good) code = -1;
    }
    char *place = NULL;
    if (cells->wide) {
        NS_TRY(ns_scratch_room(&place, &cells->codes, cells->scratch, sizeof code));
        memcpy(place, &code, sizeof code);
        ns_scratch_took(&cells->codes, sizeof code);
    } else {
        uint16_t half = code < 0 ? MISSING16 : (uint16_t)code;
        NS_TRY(ns_scratch_room(&place, &cells->codes, cells->scratch, sizeof half));
        memcpy(place, &half, sizeof half);
        ns_scratch_took(&cells->codes, sizeof half);
    }
    return NS_OK;
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
        at.line = batch->line[r];
        at.row = first_row + r;
        at.text = batch->bytes + batch->text[r].start;
        at.n_bytes = batch->text[r].n_bytes;
        NS_TRY(append(cells, ns_csv_text(batch, cell[r]), cell[r].n_bytes, &at));
    }
    return NS_OK;
}

/* --- what is known at the end --- */

ns_cells_facts ns_cells_about(const ns_cells *cells)
{
    ns_cells_facts facts = cells->facts;
    int64_t n_bad = 0;
    for (int64_t i = 0; i < cells->texts.n; i++) n_bad += cells->meanings[i].problem != NS_VALUE_OK;
    facts.n_distinct = cells->seen != NULL ? cells->n_seen << cells->level : cells->texts.n - n_bad;
    facts.about = cells->seen != NULL && cells->level > 0;
    if (facts.n_distinct > facts.n_rows - facts.n_missing) facts.n_distinct = facts.n_rows - facts.n_missing;
    if (cells->want.inferred ? !facts.all_times : cells->want.kind != NS_COL_TIME) facts.n_zoneless = 0;
    return facts;
}

ns_status ns_cells_settle(ns_cells *cells)
{
    if (!cells->plain || !cells->want.inferred || cells->texts.n == NS_CELLS_DISTINCT || cells->facts.all_numbers ||
        cells->facts.all_times)
        return NS_OK;
    ns_cells_walk walk = {.part = 1}; /* codes went before */
    ns_run run;
    ns_status status;
    bool room = true;
    while ((status = ns_cells_next(cells, &walk, &run)) == NS_OK && run.n_bytes > 0 && room) {
        for (int64_t at = 0; at < run.n_bytes && room && status == NS_OK;) {
            const char *text;
            int64_t n_bytes;
            if (!ns_run_text(&run, &at, &text, &n_bytes)) continue;
            uint32_t hash = (uint32_t)(hash_of(text, n_bytes) >> 32);
            int64_t place = slot_of(cells, hash, text, n_bytes);
            if (cells->slots[place].code != 0) continue;
            room = cells->texts.n < NS_CELLS_DISTINCT;
            if (room) status = add_text(cells, place, hash, text, n_bytes);
        }
        if (status != NS_OK) break;
    }
    ns_cells_walk_end(&walk);
    cells->facts.many_texts = !room;
    if (room) { /* all have codes now, though not all rows */
        free(cells->seen);
        cells->seen = NULL;
    }
    return status;
}

const ns_texts *ns_cells_texts(const ns_cells *cells)
{
    return &cells->texts;
}

float ns_cells_number(const ns_cells *cells, int64_t code)
{
    return cells->meanings[code].problem == NS_VALUE_OK ? cells->meanings[code].is.number : NAN;
}

int64_t ns_cells_time(const ns_cells *cells, int64_t code)
{
    return cells->meanings[code].problem == NS_VALUE_OK ? cells->meanings[code].is.integer : NS_TIME_MISSING;
}

int64_t ns_cells_find(const ns_cells *cells, const char *text, int64_t n_bytes)
{
    uint32_t hash = (uint32_t)(hash_of(text, n_bytes) >> 32);
    return (int64_t)cells->slots[slot_of(cells, hash, text, n_bytes)].code - 1;
}

/* --- walking --- */

ns_status ns_cells_next(const ns_cells *cells, ns_cells_walk *walk, ns_run *run)
{
    for (; walk->part < 2; walk->part++) {
        bool values = walk->part == 1 && walk->values;
        const ns_scratch_stream *stream = walk->part == 0 ? &cells->codes : values ? &cells->values : &cells->plains;
        const char *bytes = NULL;
        *run = (ns_run){.form = walk->part == 0 ? cells->wide ? NS_RUN_CODES32 : NS_RUN_CODES16 : NS_RUN_TEXTS};
        NS_TRY(ns_scratch_next(stream, cells->scratch, &walk->stream, &bytes, &run->n_bytes));
        run->cells = bytes;
        if (values) {
            bool numbers = cells->want.inferred ? cells->facts.all_numbers : cells->want.kind == NS_COL_NUMBER;
            run->form = numbers ? NS_RUN_NUMBERS : NS_RUN_INTEGERS;
        }
        static const int64_t size[] = {[NS_RUN_CODES16] = 2, [NS_RUN_CODES32] = 4, [NS_RUN_NUMBERS] = 4, [NS_RUN_INTEGERS] = 8,
                                       [NS_RUN_TEXTS] = INT64_MAX};
        run->n_rows = run->n_bytes / size[run->form];
        if (run->n_bytes > 0) return NS_OK;
        walk->stream.piece = 0;
    }
    return NS_OK;
}

void ns_cells_walk_end(ns_cells_walk *walk)
{
    ns_scratch_walk_end(&walk->stream);
}

bool ns_run_text(const ns_run *run, int64_t *at, const char **text, int64_t *n_bytes)
{
    const unsigned char *p = (const unsigned char *)run->cells + *at;
    uint64_t length = 0;
    int shift = 0;
    for (; (*p & 128) != 0; p++, shift += 7) length |= (uint64_t)(*p & 127) << shift;
    length |= (uint64_t)*p++ << shift;
    *text = (const char *)p;
    *n_bytes = length == 0 ? 0 : (int64_t)length - 1;
    *at = (const char *)p + *n_bytes - (const char *)run->cells;
    return length != 0;
}
