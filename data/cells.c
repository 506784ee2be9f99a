#include "data/cells.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/cells_private.h"
#include "data/values.h"

enum { FIRST_SLOTS = 64 };

ns_status ns_cells_no_memory(const ns_cells *cells)
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
    for (int64_t i = 0; i < missing->n; i++)
        if (missing->offset[i + 1] > missing->offset[i]) cells->begins_missing[(unsigned char)missing->bytes[missing->offset[i]]] = true;
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
    ns_distinct_end(&c->distinct);
    ns_texts_destroy(&c->texts);
    free(c);
    *cells = NULL;
}

/* --- distinct texts --- */

static ns_status double_slots(ns_cells *cells)
{
    int64_t n_slots = cells->n_slots * 2;
    ns_cells_slot *slots = calloc((size_t)n_slots, sizeof *slots);
    if (slots == NULL) return ns_cells_no_memory(cells);
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

ns_status ns_cells_add_text(ns_cells *cells, int64_t at, uint32_t hash, const char *text, int64_t n_bytes)
{
    if (cells->texts.n == cells->room_meanings) {
        int64_t room = cells->room_meanings == 0 ? 16 : cells->room_meanings * 2;
        ns_meaning *meanings = realloc(cells->meanings, (size_t)room * sizeof *meanings);
        if (meanings == NULL) return ns_cells_no_memory(cells);
        cells->meanings = meanings;
        cells->room_meanings = room;
    }
    cells->meanings[cells->texts.n] = ns_cells_mean(cells, text, n_bytes);
    if (n_bytes > cells->facts.longest) cells->facts.longest = n_bytes;
    NS_TRY(ns_texts_append(&cells->texts, text, n_bytes));
    cells->slots[at] = (ns_cells_slot){hash, (int32_t)cells->texts.n};
    return cells->texts.n * 2 > cells->n_slots ? double_slots(cells) : NS_OK;
}

/* --- what is known at the end --- */

ns_cells_facts ns_cells_about(const ns_cells *cells)
{
    ns_cells_facts facts = cells->facts;
    int64_t n_bad = 0;
    for (int64_t i = 0; i < cells->texts.n; i++) n_bad += cells->meanings[i].problem != NS_VALUE_OK;
    facts.n_distinct = cells->distinct.seen != NULL ? ns_distinct_count(&cells->distinct) : cells->texts.n - n_bad;
    facts.about = cells->distinct.seen != NULL && cells->distinct.level > 0;
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
            uint32_t hash = (uint32_t)(ns_cells_hash(text, n_bytes) >> 32);
            int64_t place = ns_cells_slot_of(cells, hash, text, n_bytes);
            if (cells->slots[place].code != 0) continue;
            room = cells->texts.n < NS_CELLS_DISTINCT;
            if (room) status = ns_cells_add_text(cells, place, hash, text, n_bytes);
        }
        if (status != NS_OK) break;
    }
    ns_cells_walk_end(&walk);
    cells->facts.many_texts = !room;
    if (room) { /* all have codes now, though not all rows */
        ns_distinct_end(&cells->distinct);
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
    uint32_t hash = (uint32_t)(ns_cells_hash(text, n_bytes) >> 32);
    return (int64_t)cells->slots[ns_cells_slot_of(cells, hash, text, n_bytes)].code - 1;
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
            run->form = ns_cells_are_numbers(cells) ? NS_RUN_NUMBERS : NS_RUN_INTEGERS;
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
