#ifndef NIGHTSHIFT_DATA_CONVERT_H
#define NIGHTSHIFT_DATA_CONVERT_H
/* One column of texts becomes a column of a cohort file. */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/cells.h"
#include "data/cohort.h"
#include "data/cohort_writer.h"
#include "data/lines.h"

typedef struct ns_conversion {
    const char *name;
    int64_t column; /* its place in the CSV */
    ns_column_kind kind;
    bool is_text;       /* id: texts rather than int64 */
    int64_t prefix;     /* category: characters kept; 0: all */
    const char *format; /* time: NULL: ISO 8601 */
    const char *unit, *description;
} ns_conversion;

typedef struct ns_conversion_counts {
    int64_t n_levels;   /* category */
    int64_t n_inexact;  /* number: whole numbers that float32 rounded */
    int64_t n_zoneless; /* time: values without a zone */
} ns_conversion_counts;

/*
 * Writes a column; every cell that is not of its kind is told to lines and written as missing.
 *   what    in     a whole number that float32 does not hold is bad where all numbers of the column are whole
 *   cells   in     category: of the form NS_CELLS_CODES, or with at most NS_CELLS_DISTINCT distinct texts
 *   lines   inout
 *   writer  inout  NULL: nothing is written, cells are checked and counted
 * NS_EIO, NS_ENOMEM.
 */
ns_status ns_convert_column(ns_conversion_counts *counts, const ns_conversion *what, const ns_cells *cells,
                            ns_lines *lines, ns_cohort_writer *writer);
#endif
