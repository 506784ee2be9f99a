#ifndef NIGHTSHIFT_DATA_CELLS_H
#define NIGHTSHIFT_DATA_CELLS_H
/*
 * The texts of one column in the order of its rows, held small: while few texts differ, each distinct text
 * once and a code a row; behind the NS_CELLS_DISTINCT-th distinct text, every further row's text by itself. A
 * column of ids costs its bytes and one more a row, a category four bytes a row. A row whose text is one of
 * the missing texts holds none.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"

enum { NS_CELLS_DISTINCT = 65535 };

typedef enum ns_cells_form {
    NS_CELLS_MIXED, /* codes, then plain texts once more than NS_CELLS_DISTINCT texts differ */
    NS_CELLS_CODES  /* codes only, however many texts differ */
} ns_cells_form;

typedef struct ns_cells ns_cells;

/*
 *   missing  in  texts that mean a missing cell; borrowed until destroy
 * NS_ENOMEM.
 */
ns_status ns_cells_create(ns_cells **out, ns_cells_form form, const ns_texts *missing);
void ns_cells_destroy(ns_cells **cells);

/* Appends one row. NS_ENOMEM. */
ns_status ns_cells_append(ns_cells *cells, const char *text, int64_t n_bytes);

int64_t ns_cells_n_rows(const ns_cells *cells);
int64_t ns_cells_n_missing(const ns_cells *cells);
/* Distinct texts that are not missing; NS_CELLS_DISTINCT + 1 where there are more than NS_CELLS_DISTINCT and
   the form is MIXED. */
int64_t ns_cells_n_distinct(const ns_cells *cells);
/* The distinct texts of the rows that have codes, in order of first appearance; code c is text c. */
const ns_texts *ns_cells_texts(const ns_cells *cells);

/* A walk over the rows in order; starts as {0}. */
typedef struct ns_cells_walk {
    int64_t row, block, byte;
} ns_cells_walk;

/* What a row holds. */
typedef struct ns_cell {
    int32_t code;     /* index into ns_cells_texts, NS_CELL_MISSING or NS_CELL_PLAIN */
    const char *text; /* NS_CELL_PLAIN: its text */
    int64_t n_bytes;
} ns_cell;
enum { NS_CELL_MISSING = -1, NS_CELL_PLAIN = -2 };

/* The next row; to be called at most n_rows times. */
ns_cell ns_cells_next(const ns_cells *cells, ns_cells_walk *walk);

/* The next text that is not missing: each distinct one that has a code, then every plain one. Starts as {0};
   false at the end. */
bool ns_cells_next_text(const ns_cells *cells, ns_cells_walk *walk, const char **text, int64_t *n_bytes);
#endif
