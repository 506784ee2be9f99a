#ifndef NIGHTSHIFT_RUNNER_METRICS_SUBGROUPS_H
#define NIGHTSHIFT_RUNNER_METRICS_SUBGROUPS_H
/*
 * Metrics of every subgroup: each level of some category columns, and the rows where the column is missing. A
 * cell with fewer than min_cell patients is suppressed, and its level never named. Totals are published, so
 * what is suppressed could be found by subtraction: where a single cell of a column is suppressed, or all of
 * them together have fewer than min_cell patients, the smallest of the others joins them (by patients; ties:
 * the later level, a missing value counting as the last).
 */
#include <jansson.h>
#include <mpi.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"
#include "runner/metrics/measure.h"

typedef struct ns_subgroup_column {
    const char *name;
    const ns_texts *levels; /* the same on every rank */
    const int32_t *code;    /* [n] index of the level, or -1: missing */
} ns_subgroup_column;

/*
 * An array: for each column in the order given, its cells in the order of levels, then the missing one, then,
 * where there are any, one entry for all that are suppressed:
 *   {"column", "level": text, "missing": false, "suppressed": false, "patients", … as in measure.h}
 *   {"column", "level": null, "missing": true, "suppressed": false, "patients", … as in measure.h}
 *   {"column", "level": null, "missing": false, "suppressed": true, "cells", "patients", "n", "events"}
 * with "events" for binary only.
 * The counts of the last are null where all of them together have fewer than min_cell patients. Levels
 * without rows have no entry.
 *   out       out  rank 0: owned by the caller; others, and on failure: NULL
 *   min_cell  in   >= 1
 * Collective over comm: the same bytes for any number of ranks. Fails with NS_ENUMERIC (ns_measure),
 * NS_EFORMAT (a level that would be named is not UTF-8) or NS_ENOMEM.
 */
ns_status ns_subgroups_evaluate(json_t **out, const ns_outcomes *rows, const ns_subgroup_column *columns,
                                int32_t n_columns, int64_t min_cell, MPI_Comm comm);

/*
 * Which cells are suppressed, in two steps since the second needs the patients of all that the first hides.
 *   patients  in     [n_cells] patients of each cell; cells with 0 do not exist
 *   hidden    inout  [n_cells] 0 or 1
 * ns_suppress_small marks cells with fewer than min_cell; ns_suppress_more adds one where subtraction tells.
 * Pure.
 */
void ns_suppress_small(uint8_t *hidden, const int64_t *patients, int64_t n_cells, int64_t min_cell);
void ns_suppress_more(uint8_t *hidden, const int64_t *patients, int64_t n_cells, int64_t hidden_patients,
                      int64_t min_cell);
#endif
