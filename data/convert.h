#ifndef NIGHTSHIFT_DATA_CONVERT_H
#define NIGHTSHIFT_DATA_CONVERT_H
/* One column of cells becomes a column of a cohort file. */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/cells.h"
#include "data/cohort.h"
#include "data/cohort_writer.h"

typedef struct ns_conversion {
    const char *name;
    ns_column_kind kind; /* as the cells were made for, or as they turned out */
    bool is_text;        /* id: texts rather than int64; int64 where every value is one */
    int64_t prefix;      /* category: characters kept; 0: all */
    const char *unit, *description;
    const int64_t *dropped; /* [n_dropped] rows that are left out, ascending */
    int64_t n_dropped;
} ns_conversion;

typedef struct ns_conversion_counts {
    int64_t n_levels;  /* category */
    int64_t n_missing; /* cells written as missing */
} ns_conversion_counts;

/* Writes a column. A level that stands in dropped rows only is none. NS_EIO, NS_ENOMEM. */
ns_status ns_convert_column(ns_conversion_counts *counts, const ns_conversion *what, const ns_cells *cells,
                            ns_cohort_writer *writer);
#endif
