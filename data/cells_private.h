#ifndef NIGHTSHIFT_DATA_CELLS_PRIVATE_H
#define NIGHTSHIFT_DATA_CELLS_PRIVATE_H
/*
 * What the sources of data/cells.h share: cells_append.c takes rows in, cells_mean.c finds out what texts mean, cells.c holds the
 * distinct texts and answers.
 *
 * Distinct texts are found by an open-addressed table of (hash, code) pairs; the text of the row before is
 * tried first, since most columns repeat it often. The hash decides only where an entry lies: codes count
 * texts in order of first appearance. What a text means is found out once for each code. Short texts are looked up in a small
 * table before, whole in one word.
 *
 * Behind the limit of codes a row is a value, a text (length + 1 in 7 bits a byte, the lowest first, so that a
 * lone 0 is a missing cell), or both: while all cells so far are numbers (or times) both streams are written,
 * so that neither a number is read twice nor a text is lost when the last row turns out to be a word.
 */
#include <string.h>

#include "data/cells.h"
#include "data/distinct.h"

enum { NS_CELLS_MISSING16 = 65535 };

typedef struct ns_cells_slot {
    uint32_t hash;
    int32_t code; /* + 1; 0: empty */
} ns_cells_slot;

/* What a text means. */
typedef struct ns_meaning {
    union {
        float number;
        int64_t integer; /* time */
    } is;
    uint8_t problem; /* ns_value_problem: the cell is bad */
    bool noted;      /* number: whole and rounded. time: without a zone */
} ns_meaning;

enum { NS_CELLS_RECENT = 128 };

/* A text of at most 8 bytes met lately, of which nothing is to be told. */
typedef struct ns_cells_recent {
    uint64_t word; /* its bytes (data/short_number.h); 0: none, since no text has a NUL */
    int32_t code;  /* -1: missing */
} ns_cells_recent;

struct ns_cells {
    ns_cells_want want;
    const ns_texts *missing;
    bool begins_missing[256]; /* first bytes of the missing texts */
    ns_scratch *scratch;
    ns_lines *lines;
    bool wide;  /* codes are int32 */
    bool plain; /* codes have run out */
    bool with_values, with_texts;
    ns_cells_facts facts;

    ns_texts texts;
    int64_t limit; /* of the texts */
    ns_meaning *meanings;
    int64_t room_meanings;
    ns_cells_slot *slots;
    int64_t n_slots;      /* a power of two, more than twice the texts */
    int32_t last;         /* code that was met last, -1 at first */
    int64_t last_missing; /* index of the missing text that was met last */
    ns_cells_recent recent[NS_CELLS_RECENT];

    ns_distinct distinct; /* values; not begun: all have codes */

    ns_scratch_stream codes, values, plains;
};

/* --- texts --- */

static inline uint64_t ns_cells_load(const char *p, size_t n_bytes)
{
    uint64_t word = 0;
    memcpy(&word, p, n_bytes);
    return word;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    return a ^ (a >> 29);
}

static inline uint64_t ns_cells_hash(const char *text, int64_t n_bytes)
{
    uint64_t hash = (uint64_t)n_bytes * UINT64_C(0xd6e8feb86659fd93);
    int64_t i = 0;
    for (; n_bytes - i > 8; i += 8) hash = mix(hash, ns_cells_load(text + i, 8));
    if (n_bytes >= 8)
        hash = mix(hash, ns_cells_load(text + n_bytes - 8, 8));
    else if (n_bytes >= 4)
        hash = mix(hash, ns_cells_load(text, 4) | ns_cells_load(text + n_bytes - 4, 4) << 32);
    else if (n_bytes > 0)
        hash = mix(hash, (uint64_t)(unsigned char)text[0] | (uint64_t)(unsigned char)text[n_bytes / 2] << 8 |
                             (uint64_t)(unsigned char)text[n_bytes - 1] << 16);
    return mix(hash, hash >> 32);
}

/* memcmp(a, b, n_bytes) == 0 without a call: nearly all cells have a few bytes. */
static inline bool ns_cells_same_bytes(const char *a, const char *b, int64_t n_bytes)
{
    if (n_bytes >= 8) {
        uint64_t differ = 0;
        for (int64_t i = 0; n_bytes - i > 8; i += 8) differ |= ns_cells_load(a + i, 8) ^ ns_cells_load(b + i, 8);
        return (differ | (ns_cells_load(a + n_bytes - 8, 8) ^ ns_cells_load(b + n_bytes - 8, 8))) == 0;
    }
    if (n_bytes >= 4) return ((ns_cells_load(a, 4) ^ ns_cells_load(b, 4)) | (ns_cells_load(a + n_bytes - 4, 4) ^ ns_cells_load(b + n_bytes - 4, 4))) == 0;
    return n_bytes == 0 || (a[0] == b[0] && a[n_bytes / 2] == b[n_bytes / 2] && a[n_bytes - 1] == b[n_bytes - 1]);
}

static inline bool ns_cells_is_text(const ns_texts *texts, int64_t i, const char *text, int64_t n_bytes)
{
    int64_t first = texts->offset[i];
    return texts->offset[i + 1] - first == n_bytes && ns_cells_same_bytes(texts->bytes + first, text, n_bytes);
}

/* Most texts end the search at their first byte. */

/* Most texts end the search at their first byte. */
static inline bool may_be_missing(const ns_cells *cells, const char *text, int64_t n_bytes)
{
    return n_bytes == 0 || cells->begins_missing[(unsigned char)text[0]];
}

static inline bool ns_cells_is_missing(ns_cells *cells, const char *text, int64_t n_bytes)
{
    if (!may_be_missing(cells, text, n_bytes)) return false;
    for (int64_t i = 0; i < cells->missing->n; i++) {
        if (!ns_cells_is_text(cells->missing, i, text, n_bytes)) continue;
        cells->last_missing = i;
        return true;
    }
    return false;
}

ns_status ns_cells_no_memory(const ns_cells *cells);

/* The slot that holds a text, or the empty one where it would go. */
static inline int64_t ns_cells_slot_of(const ns_cells *cells, uint32_t hash, const char *text, int64_t n_bytes)
{
    int64_t at = hash & (cells->n_slots - 1);
    for (; cells->slots[at].code != 0; at = (at + 1) & (cells->n_slots - 1))
        if (cells->slots[at].hash == hash && ns_cells_is_text(&cells->texts, cells->slots[at].code - 1, text, n_bytes)) break;
    return at;
}

/* A new text at its slot: the next code. NS_ENOMEM. */
ns_status ns_cells_add_text(ns_cells *cells, int64_t at, uint32_t hash, const char *text, int64_t n_bytes);

/* --- meanings --- */

/* What a text means; the facts of the column learn from it. */
ns_meaning ns_cells_mean(ns_cells *cells, const char *text, int64_t n_bytes);

/* What a row's meaning adds to the facts; *good is false for a bad cell, which is told. NS_EIO, NS_ENOMEM. */
ns_status ns_cells_count(ns_cells *cells, const ns_meaning *m, const ns_lines_at *at, bool *good);

/* Whether the values are numbers, as far as is known; the same of times. */
static inline bool ns_cells_are_numbers(const ns_cells *cells)
{
    return cells->want.inferred ? cells->facts.all_numbers : cells->want.kind == NS_COL_NUMBER;
}

static inline bool ns_cells_are_times(const ns_cells *cells)
{
    return cells->want.inferred ? cells->facts.all_times : cells->want.kind == NS_COL_TIME;
}
#endif
