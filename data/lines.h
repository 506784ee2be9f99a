#ifndef NIGHTSHIFT_DATA_LINES_H
#define NIGHTSHIFT_DATA_LINES_H
/*
 * The bad lines of one or more CSV files: records that are none, and cells that are not of their kind. They
 * are told by the readers of columns, each in the order of the file and by threads of their own, and merged at
 * the end: of several bad cells on a line the one of the first column counts, a line counts once. Of the
 * first NS_LINES_KEPT lines the words are kept, of all lines under --max-bad the text too, for the file of
 * rejects. Words name file, line and column, never what stands there.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cluster/status.h"
#include "data/scratch.h"
#include "data/texts.h"

enum { NS_LINES_KEPT = 20, NS_LINES_RECORD = -1 };

typedef enum ns_lines_form {
    NS_LINES_COUNT, /* any bad line ends it: the first ones in words, all counted */
    NS_LINES_TEXT   /* the import goes on: every bad line with its text */
} ns_lines_form;

typedef struct ns_lines ns_lines;

/*
 *   files      in  names of the CSVs, for messages; borrowed
 *   scratch      in  where long lists go; borrowed
 *   n_columns  in  of the table
 * NS_ENOMEM.
 */
ns_status ns_lines_create(ns_lines **out, const ns_texts *files, ns_scratch *scratch, int64_t n_columns, ns_lines_form form);
void ns_lines_destroy(ns_lines **lines);

/* A place in the CSVs. */
typedef struct ns_lines_at {
    int32_t file; /* index into files */
    int64_t line;
    int64_t row;      /* of the table, counting the rows of bad cells; -1: the record is no row */
    const char *text; /* the record as it stands in the file, without its line end; [n_bytes] */
    int64_t n_bytes;
} ns_lines_at;

/*
 * A bad record (column NS_LINES_RECORD): "has 4 fields, the header has 5"; or a cell of a column: "column 'age' is not a
 * plain decimal number". Of one column in the order of the file; different columns by different threads. NS_EIO, NS_ENOMEM.
 */
ns_status ns_lines_bad(ns_lines *lines, int64_t column, const ns_lines_at *at, const char *words);

/* The same for a cell that is bad only if ns_lines_condemn says so of its column later; else it never was. */
ns_status ns_lines_maybe(ns_lines *lines, int64_t column, const ns_lines_at *at, const char *words);
void ns_lines_condemn(ns_lines *lines, int64_t column);

/* Merges; after the last row. From here the functions below may be used. NS_EIO, NS_ENOMEM. */
ns_status ns_lines_settle(ns_lines *lines);

int64_t ns_lines_n_bad(const ns_lines *lines);     /* lines */
int64_t ns_lines_n_records(const ns_lines *lines); /* of them, those that are no rows */

/* The rows of the table that bad cells take away, ascending. */
const int64_t *ns_lines_rows(const ns_lines *lines, int64_t *n_rows);

/* Hands the first lines to show (may be NULL) in the order of the files: "IN.csv line 17: has 4 fields, …". */
void ns_lines_show(const ns_lines *lines, void (*show)(void *context, const char *message), void *context);

/* Fails with NS_EFORMAT: the first bad line, and how many there are; suffix (may be "") behind that. There is one at least. */
ns_status ns_lines_fail(const ns_lines *lines, const char *suffix);

/* Every bad line as CSV: file,line,problem,record; record is the line as it stands in the file. Form NS_LINES_TEXT.
   NS_EIO (also of the stream), NS_ENOMEM. */
ns_status ns_lines_write(const ns_lines *lines, FILE *to);
#endif
