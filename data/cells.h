#ifndef NIGHTSHIFT_DATA_CELLS_H
#define NIGHTSHIFT_DATA_CELLS_H
/*
 * One column of a CSV between reading and writing: its cells in the order of the rows, in bounded memory, and
 * what can be said of all of them. Cells that differ little are held as codes into a list of texts; behind
 * the list's limit (below), the further rows are held as values, as texts, or as both while the kind of the
 * column is open. A cell whose text is one of the missing texts is missing.
 *
 * Of a column whose kind is known, every cell that is not of its kind is told to the lines (data/lines.h).
 *
 * Memory: 65,535 texts where the kind is open (1,024 of numbers and times), all levels of a category, else
 * 1,024 texts; 32 KiB to estimate distinct values; two pieces of the scratch.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/cohort.h"
#include "data/csv.h"
#include "data/lines.h"
#include "data/scratch.h"
#include "data/texts.h"
#include "data/zone.h"

enum { NS_CELLS_DISTINCT = 65535, NS_CELLS_FEW = 1024 };

/* What a column is to be. */
typedef struct ns_cells_want {
    const char *name;  /* for messages */
    int64_t column;    /* its place in the table */
    bool inferred;     /* the kind is open; then nothing below counts */
    ns_column_kind kind;
    bool whole_ids;      /* id: only int64 will do */
    const char *format;  /* time: NULL: ISO 8601 */
    const ns_zone *zone; /* time: of values without one; NULL: UTC, which is counted */
} ns_cells_want;

typedef struct ns_cells ns_cells;

/*
 *   want     in  copied; what it points to is borrowed until destroy
 *   missing  in  texts that mean a missing cell; borrowed until destroy
 *   scratch    in  where long columns go; borrowed until destroy
 *   lines    in  where bad cells are told; NULL where the kind is open
 * NS_ENOMEM.
 */
ns_status ns_cells_create(ns_cells **out, const ns_cells_want *want, const ns_texts *missing, ns_scratch *scratch,
                          ns_lines *lines);
void ns_cells_destroy(ns_cells **cells);

/* Appends one row. NS_EIO, NS_ENOMEM. */
ns_status ns_cells_append(ns_cells *cells, const char *text, int64_t n_bytes, const ns_lines_at *at);

/* Appends a column of a batch: row r stands in row first_row + r of the table, in this file. NS_EIO, NS_ENOMEM. */
ns_status ns_cells_append_batch(ns_cells *cells, const ns_csv_batch *batch, int64_t column, int64_t first_row, int32_t file);

/* What is known of all cells together. Cells that were told as bad have no part in it. */
typedef struct ns_cells_facts {
    int64_t n_rows, n_missing;
    int64_t n_distinct;  /* texts; of numbers and times behind NS_CELLS_FEW, values */
    bool about;          /* n_distinct is an estimate, mostly within 5 % */
    bool many_texts;     /* of a column whose kind is open, settled: more than NS_CELLS_DISTINCT distinct texts */
    int64_t n_zoneless;  /* time: values without a zone, taken as UTC */
    int64_t n_inexact;   /* number: whole numbers that float32 rounded */
    bool all_numbers;    /* every value is a plain number without leading zeros that float32 holds */
    bool all_times;      /* every value is an ISO 8601 time */
    bool all_int64;      /* every value is an int64 that is its own text */
    bool all_whole;      /* every number is whole; of a column of numbers */
    double least, most;  /* of a column of numbers, where there is one */
    int64_t longest;     /* bytes of its longest text */
} ns_cells_facts;
ns_cells_facts ns_cells_about(const ns_cells *cells);

/*
 * After the last row: finds the distinct texts of a column that was taken for numbers or times at first and is neither.
 * Before that n_distinct counts them not. NS_EIO, NS_ENOMEM.
 */
ns_status ns_cells_settle(ns_cells *cells);

/* The distinct texts of the rows that have codes, in order of first appearance; code c is text c. */
const ns_texts *ns_cells_texts(const ns_cells *cells);
/* The number, or the time, of a code, where the column is of that kind; missing where it is bad. */
float ns_cells_number(const ns_cells *cells, int64_t code);
int64_t ns_cells_time(const ns_cells *cells, int64_t code);

/* Rows side by side, all held in the same way. */
typedef enum ns_run_form {
    NS_RUN_CODES16, /* uint16, 65535 missing */
    NS_RUN_CODES32, /* int32, -1 missing */
    NS_RUN_NUMBERS, /* float, NaN missing */
    NS_RUN_INTEGERS,/* int64 times, NS_TIME_MISSING missing */
    NS_RUN_TEXTS    /* each with its length + 1 before it, 0 alone for missing: see ns_run_text */
} ns_run_form;

typedef struct ns_run {
    ns_run_form form;
    int64_t n_rows; /* 0: the end. Of texts: not known, as many as the bytes hold */
    const void *cells;
    int64_t n_bytes;
} ns_run;

/* A walk over the rows in order, starts as {.values = whether numbers or times are wanted rather than texts}. */
typedef struct ns_cells_walk {
    bool values;
    int part;
    ns_scratch_walk stream;
} ns_cells_walk;
ns_status ns_cells_next(const ns_cells *cells, ns_cells_walk *walk, ns_run *run); /* NS_EIO, NS_ENOMEM; n_bytes 0: the end */
void ns_cells_walk_end(ns_cells_walk *walk);

/* The text at *at of a run of texts, and *at behind it; false: missing. */
bool ns_run_text(const ns_run *run, int64_t *at, const char **text, int64_t *n_bytes);

/* The index of a text among ns_cells_texts, or -1. */
int64_t ns_cells_find(const ns_cells *cells, const char *text, int64_t n_bytes);
#endif
