#ifndef NIGHTSHIFT_RUNNER_NIGHT_UNSEEN_H
#define NIGHTSHIFT_RUNNER_NIGHT_UNSEEN_H
/*
 * What of a night's cohort the model does not know: columns that data.features of its bundle would take and training did not
 * have; levels of its categories that were in no training row, or in fewer than model.category_min_rows (the model keeps no
 * trace of those); features that the cohort lacks. Names of levels go into a file of the run folder and nowhere else, the first
 * 1,000 of a column in bytewise order.
 */
#include <jansson.h>

#include "runner/night/night.h"

typedef struct ns_unseen {
    json_t *counts;  /* for the manifest: {"columns": n, "levels": {COLUMN: {"levels": n, "rows": n}}, "missing_columns": [NAME]} */
    json_t *names;   /* for unseen.json, rank 0: new_columns, missing_columns, levels with their rows; NULL: nothing is unseen */
    int64_t n_columns, n_levels, n_rows, n_missing; /* n_rows: cells that hold such a level */
} ns_unseen;

/*
 *   night  in  scored, with names_unknown
 *   as_of  in  "" where the night has no date
 * Local; rank 0. NS_ENOMEM. Destroy in either case.
 */
ns_status ns_unseen_of(ns_unseen *out, const ns_night *night, const char *as_of);

/* Features that an opened night's cohort lacks, by name: {NAME, …}. NULL without memory. Local. */
json_t *ns_unseen_missing(const ns_night *night);
void ns_unseen_destroy(ns_unseen *unseen);
#endif
