#ifndef NIGHTSHIFT_DATA_LINES_H
#define NIGHTSHIFT_DATA_LINES_H
/*
 * On which line of a CSV each row stands, and which lines are bad. Rows usually follow line by line, so only
 * the rows that do not are remembered. Of bad lines the first NS_LINES_KEPT in the order of the file are kept
 * in words, all are counted. Words name line and column, never what stands there.
 */
#include <stdint.h>

#include "cluster/status.h"

enum { NS_LINES_KEPT = 20 };

typedef struct ns_lines ns_lines;

/* name: of the CSV, for messages; borrowed. NS_ENOMEM. */
ns_status ns_lines_create(ns_lines **out, const char *name);
void ns_lines_destroy(ns_lines **lines);

/* The next row, from 0, begins on this line; lines only grow. NS_ENOMEM. */
ns_status ns_lines_add_row(ns_lines *lines, int64_t line);
int64_t ns_lines_of_row(const ns_lines *lines, int64_t row);

/* A line that holds no row: "has 4 fields, the header has 5". Each line at most once. */
void ns_lines_bad_record(ns_lines *lines, int64_t line, const char *problem);

/* A cell that is not of its kind: column 'NAME' PROBLEM. Of several on one line the first column is kept. To
   be called after the last row was added. NS_ENOMEM. */
ns_status ns_lines_bad_cell(ns_lines *lines, int64_t row, int64_t column, const char *name,
                            const char *problem);

int64_t ns_lines_n_bad(const ns_lines *lines);

/*
 * NS_OK where no line is bad. Else hands the kept ones to show (may be NULL) in the order of the file and
 * fails with NS_EFORMAT: the first, and how many there are.
 */
ns_status ns_lines_check(const ns_lines *lines, void (*show)(void *context, const char *message),
                         void *context);
#endif
