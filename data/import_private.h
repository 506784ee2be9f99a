#ifndef NIGHTSHIFT_DATA_IMPORT_PRIVATE_H
#define NIGHTSHIFT_DATA_IMPORT_PRIVATE_H
/* What the sources of data/import.h share: import.c reads and writes, import_columns.c finds out what the columns are to be. */
#include "data/cells.h"
#include "data/import.h"
#include "data/scratch.h"
#include "data/zone.h"

/* One column of the table on its way. */
typedef struct ns_passage {
    const char *name;
    const ns_import_column *schema; /* NULL: not named there */
    const ns_column *like;          /* NULL: nothing to be like */
    ns_import_kind wanted;
    ns_zone *zone;
    ns_cells *cells; /* NULL: skipped, or done */
    int64_t place;   /* in the CSV in work */
} ns_passage;

typedef struct ns_import {
    const ns_import_options *options;
    const ns_import_schema *schema; /* NULL: none */
    ns_texts missing, names_of_files;
    ns_cohort *like;
    ns_scratch *scratch;
    ns_lines *lines;
    ns_csv *csv;
    ns_csv_batch batches[2];
    int32_t file;
    ns_passage *columns;
    int64_t n_columns, *kept, n_kept; /* kept: indices of columns that are not skipped */
    char *names;                      /* the columns' names, terminated, one after another */
    int64_t n_expected;               /* bytes that the CSVs have on disk, for progress; less where they are packed or piped */
    ns_import_report report;
} ns_import;

/* Refuses a schema that cannot be used. NS_EINVAL. */
ns_status ns_import_check_schema(const ns_import_schema *schema);

/* The texts that mean missing. NS_ENOMEM. */
ns_status ns_import_set_missing(ns_import *in);

/* Of the first CSV, which is open: what the table is. out: the cohort file. Fails as ns_import_csv. */
ns_status ns_import_begin_table(ns_import *in, const char *out);

/* Where each column of the table stands in the CSV that is open. NS_EFORMAT. */
ns_status ns_import_find_places(ns_import *in);

/* The kind of a cohort's column; of one that is to be inferred a number, until it is. */
ns_column_kind ns_import_column_kind(ns_import_kind kind);
#endif
