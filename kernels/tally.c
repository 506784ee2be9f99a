#include "kernels/tally.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/numerics.h"

/*
 * A key is top(12) middle(10) low(10). One table of the top bits; a middle table for each top prefix asked
 * for; a low table for each 22-bit prefix asked for. While a pass runs, tables from `fresh` on hold this
 * rank's counts; collect sums them over ranks and turns each into running sums, so that a rank is found by
 * bisection.
 */
enum { TOP = 1 << 12, STEP = 1 << 10, NONE = -1 };

/* Tables come in groups of this many: few moves, little to spare. */
enum { GROWTH = 32 };

typedef struct table {
    int64_t count[STEP]; /* running sums once collected */
} table;

/* Middle tables carry the index of a low table for each of their entries. */
typedef struct level {
    table *tables;
    int64_t n, fresh, room;
} level;

struct ns_tally {
    int64_t top[TOP];
    bool top_known;
    bool failed;
    int32_t middle_of[TOP];
    level middle, low;
    int32_t (*low_of)[STEP]; /* [middle.room] */
};

ns_status ns_tally_create(ns_tally **out)
{
    ns_tally *tally = calloc(1, sizeof *tally);
    *out = tally;
    if (tally == NULL)
        return ns_fail(NS_ENOMEM, "not enough memory to count values: %zu bytes", sizeof *tally);
    for (int i = 0; i < TOP; i++) tally->middle_of[i] = NONE;
    return NS_OK;
}

void ns_tally_destroy(ns_tally **tally)
{
    if (*tally == NULL) return;
    free((*tally)->middle.tables);
    free((*tally)->low.tables);
    free((*tally)->low_of);
    free(*tally);
    *tally = NULL;
}

int64_t ns_tally_memory(int64_t n_middle, int64_t n_low)
{
    int64_t middle_bytes = (int64_t)(sizeof(table) + STEP * sizeof(int32_t)),
            low_bytes = (int64_t)sizeof(table);
    return (int64_t)sizeof(ns_tally) + (n_middle + GROWTH) * middle_bytes + (n_low + GROWTH) * low_bytes;
}

ns_status ns_tally_status(const ns_tally *tally)
{
    return tally->failed ? ns_fail(NS_ENOMEM, "not enough memory to count the values of a column") : NS_OK;
}

bool ns_tally_is_waiting(const ns_tally *tally)
{
    return !tally->top_known || tally->middle.fresh < tally->middle.n || tally->low.fresh < tally->low.n;
}

int64_t ns_tally_total(const ns_tally *tally)
{
    return tally->top[TOP - 1];
}

/*
 * Values that follow one another are often equal, and an addition waits for the last one to the same counter:
 * neighbours count in tables of their own. NaN adds 0, since a branch would be guessed wrong for every few of
 * them. Values come in pieces of at most this many, so that 32 bits hold their counts.
 */
enum { APART = 2, PIECE = 1 << 16 };

/* So few values that preparing tables for them would take longer than counting them. */
enum { FEW = 4096 };

static void add_few(ns_tally *tally, const float *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (values[i] != values[i]) continue;
        uint32_t key = ns_key_of(values[i]);
        if (!tally->top_known) {
            tally->top[key >> 20]++;
            continue;
        }
        int32_t m = tally->middle_of[key >> 20];
        if (m == NONE) continue;
        uint32_t entry = key >> 10 & (STEP - 1);
        if (m >= tally->middle.fresh) tally->middle.tables[m].count[entry]++;
        int32_t l = tally->low_of[m][entry];
        if (l >= tally->low.fresh) tally->low.tables[l].count[key & (STEP - 1)]++; /* NONE is below any fresh */
    }
}

static void add_top(ns_tally *tally, const float *values, int64_t n)
{
    uint32_t count[APART][TOP] = {{0}};
    int64_t i = 0;
    for (; i + APART <= n; i += APART)
        for (int a = 0; a < APART; a++)
            count[a][ns_key_of(values[i + a]) >> 20] += values[i + a] == values[i + a];
    for (; i < n; i++) count[0][ns_key_of(values[i]) >> 20] += values[i] == values[i];
    for (int t = 0; t < TOP; t++)
        for (int a = 0; a < APART; a++) tally->top[t] += count[a][t];
}

/*
 * Keys of NaN (quiet, as ns_key_of makes them) are beyond those of infinities, where no count was and so no
 * table is. What has no table is counted in one that nobody looks at, again for want of a branch.
 */
static void add_middle(ns_tally *tally, const float *values, int64_t n)
{
    int64_t unasked[STEP] = {0}, *count[TOP];
    for (int t = 0; t < TOP; t++) {
        int32_t m = tally->middle_of[t];
        count[t] = m >= tally->middle.fresh ? tally->middle.tables[m].count : unasked;
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t key = ns_key_of(values[i]);
        count[key >> 20][key >> 10 & (STEP - 1)]++;
    }
}

/* NONE is below any fresh. Without a branch this takes as long: it waits for the tables. */
static void add_low(ns_tally *tally, const float *values, int64_t n)
{
    const int32_t fresh = (int32_t)tally->low.fresh;
    int32_t unasked[STEP];
    const int32_t *low_of[TOP];
    for (int i = 0; i < STEP; i++) unasked[i] = NONE;
    for (int t = 0; t < TOP; t++) low_of[t] = tally->middle_of[t] == NONE ? unasked : tally->low_of[tally->middle_of[t]];
    for (int64_t i = 0; i < n; i++) {
        uint32_t key = ns_key_of(values[i]);
        int32_t l = low_of[key >> 20][key >> 10 & (STEP - 1)];
        if (l >= fresh) tally->low.tables[l].count[key & (STEP - 1)]++;
    }
}

void ns_tally_add(ns_tally *tally, const float *values, int64_t n)
{
    for (int64_t at = 0; at < n; at += PIECE) {
        int64_t here = n - at < PIECE ? n - at : PIECE;
        bool middle = tally->middle.fresh < tally->middle.n, low = tally->low.fresh < tally->low.n;
        if (here < FEW) add_few(tally, values + at, here);
        else if (!tally->top_known) add_top(tally, values + at, here);
        else {
            if (middle) add_middle(tally, values + at, here);
            if (low) add_low(tally, values + at, here);
        }
    }
}

/* --- counts from elsewhere --- */

int64_t ns_tally_n_wanted(const ns_tally *tally, ns_tally_step step)
{
    if (step == NS_TALLY_TOP) return !tally->top_known;
    const level *l = step == NS_TALLY_MIDDLE ? &tally->middle : &tally->low;
    return l->n - l->fresh;
}

void ns_tally_wanted(const ns_tally *tally, ns_tally_step step, uint32_t *prefix, uint32_t *index)
{
    int64_t n = 0;
    if (step == NS_TALLY_TOP) prefix[0] = index[0] = 0;
    for (uint32_t top = 0; top < TOP && step != NS_TALLY_TOP; top++) {
        int32_t m = tally->middle_of[top];
        if (m == NONE) continue;
        for (uint32_t entry = 0; entry < STEP && step == NS_TALLY_LOW; entry++) {
            int32_t l = tally->low_of[m][entry];
            if (l < tally->low.fresh) continue; /* NONE is below any fresh */
            prefix[n] = top << 10 | entry;
            index[n++] = (uint32_t)(l - tally->low.fresh);
        }
        if (step != NS_TALLY_MIDDLE || m < tally->middle.fresh) continue;
        prefix[n] = top;
        index[n++] = (uint32_t)(m - tally->middle.fresh);
    }
}

void ns_tally_put(ns_tally *tally, ns_tally_step step, const uint32_t *count)
{
    int64_t n = ns_tally_n_wanted(tally, step) << ns_tally_bits(step);
    if (n == 0) return;
    int64_t *to = step == NS_TALLY_TOP      ? tally->top
                  : step == NS_TALLY_MIDDLE ? tally->middle.tables[tally->middle.fresh].count
                                            : tally->low.tables[tally->low.fresh].count;
    for (int64_t i = 0; i < n; i++) to[i] += count[i];
}

/* Counts of one table of this rank to running sums over all ranks. */
static void accumulate(int64_t *count, int64_t n)
{
    for (int64_t i = 1; i < n; i++) count[i] += count[i - 1];
}

static void collect_level(level *l, const ns_link *link)
{
    if (l->fresh == l->n) return;
    link->sum_i64(link->context, l->tables[l->fresh].count, (l->n - l->fresh) * STEP);
    for (; l->fresh < l->n; l->fresh++) accumulate(l->tables[l->fresh].count, STEP);
}

void ns_tally_collect(ns_tally *tally, const ns_link *link)
{
    if (!tally->top_known) {
        link->sum_i64(link->context, tally->top, TOP);
        accumulate(tally->top, TOP);
        tally->top_known = true;
        return;
    }
    collect_level(&tally->middle, link);
    collect_level(&tally->low, link);
}

/* Room for one more table, all zero; its index, or NONE without memory. */
static int32_t add_table(level *l)
{
    if (l->n == l->room) {
        int64_t room = l->room + GROWTH;
        table *moved = realloc(l->tables, (size_t)room * sizeof *moved);
        if (moved == NULL) return NONE;
        l->tables = moved;
        l->room = room;
    }
    memset(&l->tables[l->n], 0, sizeof(table));
    return (int32_t)l->n++;
}

/* The middle table of a top prefix, counted; NULL when it is only now asked for. */
static const table *middle_at(ns_tally *tally, uint32_t top, int32_t *index)
{
    int32_t m = tally->middle_of[top];
    if (m == NONE && !tally->failed) {
        int64_t room = tally->middle.room;
        m = add_table(&tally->middle);
        if (m != NONE && tally->middle.room != room) {
            void *moved = realloc(tally->low_of, (size_t)tally->middle.room * sizeof *tally->low_of);
            if (moved != NULL)
                tally->low_of = moved;
            else
                m = NONE;
        }
        if (m == NONE) {
            tally->failed = true;
            return NULL;
        }
        for (int i = 0; i < STEP; i++) tally->low_of[m][i] = NONE;
        tally->middle_of[top] = m;
    }
    *index = m;
    return m != NONE && m < tally->middle.fresh ? &tally->middle.tables[m] : NULL;
}

static const table *low_at(ns_tally *tally, int32_t middle, uint32_t entry)
{
    int32_t l = tally->low_of[middle][entry];
    if (l == NONE && !tally->failed) {
        l = add_table(&tally->low);
        if (l == NONE) tally->failed = true;
        tally->low_of[middle][entry] = l;
    }
    return l != NONE && l < tally->low.fresh ? &tally->low.tables[l] : NULL;
}

/* The first entry whose running sum reaches rank. */
static uint32_t reach(const int64_t *sums, uint32_t n, int64_t rank)
{
    uint32_t first = 0;
    for (uint32_t half = n / 2; half > 0; half /= 2)
        if (sums[first + half - 1] < rank) first += half;
    return first;
}

bool ns_tally_at(ns_tally *tally, int64_t rank, uint32_t *key)
{
    uint32_t top = reach(tally->top, TOP, rank);
    if (top > 0) rank -= tally->top[top - 1];
    int32_t m;
    const table *middle = middle_at(tally, top, &m);
    if (middle == NULL) return false;
    uint32_t entry = reach(middle->count, STEP, rank);
    if (entry > 0) rank -= middle->count[entry - 1];
    const table *low = low_at(tally, m, entry);
    if (low == NULL) return false;
    *key = top << 20 | entry << 10 | reach(low->count, STEP, rank);
    return true;
}

static int64_t entry_count(const int64_t *sums, uint32_t i)
{
    return sums[i] - (i > 0 ? sums[i - 1] : 0);
}

static int64_t entries_reaching(const int64_t *sums, uint32_t n, int64_t least)
{
    int64_t found = 0;
    for (uint32_t i = 0; i < n; i++) found += entry_count(sums, i) >= least;
    return found;
}

/*
 * A key with `least` values makes every prefix of it have as many, so only such prefixes are followed; where
 * a table is not known yet, its prefix stands for at least one key, which is what lets `more than room` be
 * answered early when least is 1.
 */
bool ns_tally_runs(ns_tally *tally, int64_t least, ns_run *runs, int64_t room, int64_t *n)
{
    *n = room + 1;
    if (least == 1 && entries_reaching(tally->top, TOP, 1) > room) return true;
    bool known = true;
    int64_t prefixes = 0; /* 22-bit prefixes, or shorter where the table is not known yet */
    for (uint32_t top = 0; top < TOP; top++) {
        if (entry_count(tally->top, top) < least) continue;
        int32_t m;
        const table *middle = middle_at(tally, top, &m);
        prefixes += middle == NULL ? 1 : entries_reaching(middle->count, STEP, least);
        known = known && middle != NULL;
    }
    if (least == 1 && prefixes > room) return true;
    int64_t found = 0;
    for (uint32_t top = 0; top < TOP; top++) {
        int32_t m = tally->middle_of[top];
        if (entry_count(tally->top, top) < least || m == NONE || m >= tally->middle.fresh) continue;
        const table *middle = &tally->middle.tables[m];
        for (uint32_t entry = 0; entry < STEP; entry++) {
            if (entry_count(middle->count, entry) < least) continue;
            const table *low = low_at(tally, m, entry);
            known = known && low != NULL;
            if (low == NULL) continue;
            int64_t before = (top > 0 ? tally->top[top - 1] : 0) + (entry > 0 ? middle->count[entry - 1] : 0);
            for (uint32_t i = 0; i < STEP; i++) {
                int64_t count = entry_count(low->count, i);
                if (count < least) continue;
                if (found < room)
                    runs[found] = (ns_run){.key = top << 20 | entry << 10 | i,
                                           .below = before + (i > 0 ? low->count[i - 1] : 0),
                                           .count = count};
                found++;
            }
        }
    }
    if (known) *n = found <= room ? found : room + 1;
    return known || (least == 1 && found > room);
}
