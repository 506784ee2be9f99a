#include "data/cells.h"

/*
 * Distinct texts are found by an open-addressed table of (hash, code) pairs; the text of the row before is
 * tried first, since most columns repeat it often. The hash decides only where an entry lies: codes count
 * texts in order of first appearance. Codes and plain texts lie in blocks that never move; a plain text is a
 * length (7 bits a byte, the lowest first; length + 1, so that a lone 0 is a missing cell) and its bytes.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CODES_IN_BLOCK = 65536, BYTES_IN_BLOCK = 1 << 20, LENGTH_BYTES = 10, FIRST_SLOTS = 64 };

typedef struct slot {
    uint32_t hash;
    int32_t code; /* + 1; 0: empty */
} slot;

typedef struct block {
    char *bytes;
    int64_t used, room;
} block;

struct ns_cells {
    ns_cells_form form;
    const ns_texts *missing;
    int64_t n_rows, n_missing;
    int64_t n_coded; /* rows that have codes; those behind it are plain */
    bool overflowed;

    ns_texts texts;
    slot *slots;
    int64_t n_slots;      /* a power of two, more than twice the texts */
    int32_t last;         /* code that was met last, NS_CELL_MISSING at first */
    int64_t last_missing; /* index of the missing text that was met last */

    int32_t **codes; /* blocks of CODES_IN_BLOCK */
    int64_t n_code_blocks;
    block *plain;
    int64_t n_plain;
};

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

static uint32_t hash_of(const char *text, int64_t n_bytes)
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
    hash = mix(hash, hash >> 32);
    return (uint32_t)(hash >> 32);
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

ns_status ns_cells_create(ns_cells **out, ns_cells_form form, const ns_texts *missing)
{
    ns_cells *cells = calloc(1, sizeof *cells);
    *out = cells;
    if (cells == NULL) return ns_fail(NS_ENOMEM, "no memory for a column");
    cells->form = form;
    cells->missing = missing;
    cells->last = NS_CELL_MISSING;
    cells->n_slots = FIRST_SLOTS;
    cells->slots = calloc((size_t)cells->n_slots, sizeof *cells->slots);
    if (cells->slots != NULL) return NS_OK;
    ns_cells_destroy(out);
    return ns_fail(NS_ENOMEM, "no memory for a column");
}

void ns_cells_destroy(ns_cells **cells)
{
    ns_cells *c = *cells;
    if (c == NULL) return;
    for (int64_t i = 0; i < c->n_code_blocks; i++) free(c->codes[i]);
    for (int64_t i = 0; i < c->n_plain; i++) free(c->plain[i].bytes);
    free(c->codes);
    free(c->plain);
    free(c->slots);
    ns_texts_destroy(&c->texts);
    free(c);
    *cells = NULL;
}

static ns_status no_memory(const ns_cells *cells)
{
    return ns_fail(NS_ENOMEM, "no memory for a column of more than %" PRId64 " rows", cells->n_rows);
}

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

/* The code of a text, a new one if need be; NS_CELL_MISSING for a missing text; NS_CELL_PLAIN where codes
 * have run out. */
static ns_status find_code(ns_cells *cells, const char *text, int64_t n_bytes, int32_t *code)
{
    uint32_t hash = hash_of(text, n_bytes);
    int64_t at = hash & (cells->n_slots - 1);
    for (; cells->slots[at].code != 0; at = (at + 1) & (cells->n_slots - 1)) {
        int32_t found = cells->slots[at].code - 1;
        if (cells->slots[at].hash != hash || !is_text(&cells->texts, found, text, n_bytes)) continue;
        *code = found;
        return NS_OK;
    }
    *code = NS_CELL_MISSING;
    if (is_missing(cells, text, n_bytes)) return NS_OK;
    if (cells->form == NS_CELLS_MIXED && cells->texts.n == NS_CELLS_DISTINCT) {
        cells->overflowed = true;
        *code = NS_CELL_PLAIN;
        return NS_OK;
    }
    if (cells->texts.n == INT32_MAX - 1)
        return ns_fail(NS_EFORMAT, "a column has more than 2^31 distinct texts");
    *code = (int32_t)cells->texts.n;
    NS_TRY(ns_texts_append(&cells->texts, text, n_bytes));
    cells->slots[at] = (slot){hash, *code + 1};
    return cells->texts.n * 2 > cells->n_slots ? double_slots(cells) : NS_OK;
}

static ns_status append_code(ns_cells *cells, int32_t code)
{
    int64_t in_block = cells->n_coded % CODES_IN_BLOCK;
    if (in_block == 0) {
        int32_t **blocks = realloc(cells->codes, (size_t)(cells->n_code_blocks + 1) * sizeof *blocks);
        if (blocks == NULL) return no_memory(cells);
        cells->codes = blocks;
        int32_t *codes = malloc(CODES_IN_BLOCK * sizeof *codes);
        if (codes == NULL) return no_memory(cells);
        cells->codes[cells->n_code_blocks++] = codes;
    }
    cells->codes[cells->n_code_blocks - 1][in_block] = code;
    cells->n_coded++;
    return NS_OK;
}

static ns_status room_for_plain(ns_cells *cells, int64_t n_bytes)
{
    if (cells->n_plain > 0) {
        const block *last = &cells->plain[cells->n_plain - 1];
        if (last->room - last->used >= n_bytes) return NS_OK;
    }
    block *blocks = realloc(cells->plain, (size_t)(cells->n_plain + 1) * sizeof *blocks);
    if (blocks == NULL) return no_memory(cells);
    cells->plain = blocks;
    block *added = &blocks[cells->n_plain];
    added->used = 0;
    added->room = n_bytes > BYTES_IN_BLOCK ? n_bytes : BYTES_IN_BLOCK;
    added->bytes = malloc((size_t)added->room);
    if (added->bytes == NULL) return no_memory(cells);
    cells->n_plain++;
    return NS_OK;
}

static ns_status append_plain(ns_cells *cells, const char *text, int64_t n_bytes)
{
    bool missing = is_missing(cells, text, n_bytes);
    NS_TRY(room_for_plain(cells, LENGTH_BYTES + n_bytes));
    block *last = &cells->plain[cells->n_plain - 1];
    uint64_t length = missing ? 0 : (uint64_t)n_bytes + 1;
    for (; length > 127; length >>= 7) last->bytes[last->used++] = (char)((length & 127) | 128);
    last->bytes[last->used++] = (char)length;
    if (!missing) {
        memcpy(last->bytes + last->used, text, (size_t)n_bytes);
        last->used += n_bytes;
    }
    cells->n_missing += missing;
    return NS_OK;
}

/* The code of a text that is among those met last; false where it is not. */
static bool find_recent(const ns_cells *cells, const char *text, int64_t n_bytes, int32_t *code)
{
    *code = cells->last;
    if (cells->last >= 0 && is_text(&cells->texts, cells->last, text, n_bytes)) return true;
    *code = NS_CELL_MISSING;
    return cells->missing->n > 0 && is_text(cells->missing, cells->last_missing, text, n_bytes);
}

ns_status ns_cells_append(ns_cells *cells, const char *text, int64_t n_bytes)
{
    int32_t code = NS_CELL_PLAIN;
    if (!cells->overflowed && !find_recent(cells, text, n_bytes, &code))
        NS_TRY(find_code(cells, text, n_bytes, &code));
    if (cells->overflowed)
        NS_TRY(append_plain(cells, text, n_bytes));
    else {
        NS_TRY(append_code(cells, code));
        if (code == NS_CELL_MISSING)
            cells->n_missing++;
        else
            cells->last = code;
    }
    cells->n_rows++;
    return NS_OK;
}

int64_t ns_cells_n_rows(const ns_cells *cells)
{
    return cells->n_rows;
}

int64_t ns_cells_n_missing(const ns_cells *cells)
{
    return cells->n_missing;
}

int64_t ns_cells_n_distinct(const ns_cells *cells)
{
    return cells->texts.n + cells->overflowed;
}

const ns_texts *ns_cells_texts(const ns_cells *cells)
{
    return &cells->texts;
}

/* The plain text at the walk's place; code says whether it is missing. */
static ns_cell next_plain(const ns_cells *cells, ns_cells_walk *walk)
{
    if (walk->byte == cells->plain[walk->block].used) {
        walk->block++;
        walk->byte = 0;
    }
    const char *p = cells->plain[walk->block].bytes + walk->byte;
    uint64_t length = 0;
    int shift = 0;
    for (; ((unsigned char)*p & 128) != 0; p++, shift += 7)
        length |= (uint64_t)((unsigned char)*p & 127) << shift;
    length |= (uint64_t)(unsigned char)*p++ << shift;
    ns_cell cell = {length == 0 ? NS_CELL_MISSING : NS_CELL_PLAIN, p, length == 0 ? 0 : (int64_t)length - 1};
    walk->byte = p + cell.n_bytes - cells->plain[walk->block].bytes;
    walk->row++;
    return cell;
}

ns_cell ns_cells_next(const ns_cells *cells, ns_cells_walk *walk)
{
    if (walk->row >= cells->n_coded) return next_plain(cells, walk);
    int64_t row = walk->row++;
    return (ns_cell){cells->codes[row / CODES_IN_BLOCK][row % CODES_IN_BLOCK], NULL, 0};
}

bool ns_cells_next_text(const ns_cells *cells, ns_cells_walk *walk, const char **text, int64_t *n_bytes)
{
    const ns_texts *texts = &cells->texts;
    if (walk->row < texts->n) {
        int64_t i = walk->row++;
        *text = texts->bytes + texts->offset[i];
        *n_bytes = texts->offset[i + 1] - texts->offset[i];
        return true;
    }
    int64_t n_plain_rows = cells->n_rows - cells->n_coded;
    while (walk->row < texts->n + n_plain_rows) {
        ns_cell cell = next_plain(cells, walk);
        if (cell.code == NS_CELL_MISSING) continue;
        *text = cell.text;
        *n_bytes = cell.n_bytes;
        return true;
    }
    return false;
}
