/* What the text of a cell means in its column, and how a bad one is told. */
#include <inttypes.h>
#include <stdio.h>

#include "data/cells_private.h"
#include "data/values.h"

enum { MAX_WORDS = 200 };

static void note_number(ns_cells_facts *facts, float value)
{
    if ((double)value < facts->least) facts->least = (double)value;
    if ((double)value > facts->most) facts->most = (double)value;
}

/* Of a column whose kind is open: what it still can be. */
static void mean_open(ns_cells *cells, const char *text, int64_t n_bytes, ns_meaning *m)
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

static void mean_number(ns_cells *cells, const char *text, int64_t n_bytes, ns_meaning *m)
{
    ns_number_text number;
    m->problem = (uint8_t)ns_value_number(text, n_bytes, &number);
    if (m->problem != NS_VALUE_OK) return;
    m->is.number = number.value;
    m->noted = number.whole && !number.fits;
    cells->facts.all_whole = cells->facts.all_whole && number.whole;
    note_number(&cells->facts, number.value);
}

static void mean_time(const ns_cells *cells, const char *text, int64_t n_bytes, ns_meaning *m)
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

ns_meaning ns_cells_mean(ns_cells *cells, const char *text, int64_t n_bytes)
{
    ns_meaning m = {.problem = NS_VALUE_OK};
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
static ns_status tell(ns_cells *cells, const ns_meaning *m, const ns_lines_at *at)
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
ns_status ns_cells_count(ns_cells *cells, const ns_meaning *m, const ns_lines_at *at, bool *good)
{
    *good = m->problem == NS_VALUE_OK;
    if (*good && !m->noted) return NS_OK;
    if (m->noted && (cells->want.inferred || cells->want.kind == NS_COL_TIME)) cells->facts.n_zoneless++;
    if (cells->want.inferred) return NS_OK;
    if (m->noted && cells->want.kind == NS_COL_NUMBER) cells->facts.n_inexact++;
    return tell(cells, m, at);
}
