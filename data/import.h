#ifndef NIGHTSHIFT_DATA_IMPORT_H
#define NIGHTSHIFT_DATA_IMPORT_H
/*
 * A CSV becomes a cohort file. The CSV is read once (data/csv.h says what is taken), its columns are held in
 * memory (data/cells.h), kinds come from the schema or are inferred over all rows (data/infer.h), and the
 * file is written column by column. What is written depends on the bytes of the CSV and the schema alone.
 *
 *   number    plain decimal numbers, rounded correctly to float32
 *   category  every text, or its first `prefix` characters, is a level
 *   id        int64 where every value is an int64 that is its own decimal text, else the texts
 *   time      ISO 8601, or by `format`; without a zone it is UTC, which is counted
 *   skip      left out, read only for the form of its lines
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/cohort.h"
#include "data/lines.h"

typedef enum ns_import_kind {
    NS_IMPORT_INFER = 0,
    NS_IMPORT_NUMBER,
    NS_IMPORT_CATEGORY,
    NS_IMPORT_ID,
    NS_IMPORT_TIME,
    NS_IMPORT_SKIP
} ns_import_kind;

/* What a schema says of one column. */
typedef struct ns_import_column {
    const char *name;
    ns_import_kind kind;
    int64_t prefix;                 /* category: characters kept; 0: all */
    const char *format;             /* time: as ns_value_time_as; NULL: ISO 8601 */
    const char *zone;               /* time: NULL or "UTC" */
    const char *unit, *description; /* passed on; may be NULL */
    int64_t line;                   /* of the schema file, for messages */
} ns_import_column;

typedef struct ns_import_schema {
    const char *path;           /* of the schema file, for messages */
    const char *const *missing; /* texts that mean missing; NULL: "", "?", "NA", "NaN", "nan", "NULL" */
    int64_t n_missing;
    const ns_import_column *columns; /* any order, names differ; columns not named are inferred */
    int64_t n_columns;
} ns_import_schema;

typedef struct ns_import_options {
    const ns_import_schema *schema; /* NULL: everything is inferred */
    /* Each of the first NS_LINES_KEPT (20) bad lines in the order of the file, where there are any:
       "IN.csv line 17: has 4 fields, the header has 5". Called before the import returns. May be NULL. */
    void (*bad_line)(void *context, const char *message);
    void *context;
} ns_import_options;

/* What became of one column of the CSV. */
typedef struct ns_import_column_report {
    const char *name;
    ns_column_kind kind;
    bool skipped, inferred;
    bool is_text; /* id: texts rather than int64 */
    int64_t n_missing;
    int64_t n_distinct; /* values, of a category its levels; -1: more than 65,535 */
    int64_t n_inexact;  /* number: whole numbers that float32 rounded (among others with a fraction) */
    int64_t n_zoneless; /* time: values without a zone, taken as UTC */
} ns_import_column_report;

typedef struct ns_import_report {
    int64_t n_rows, n_bytes; /* of the CSV */
    char separator;
    int64_t n_columns;
    ns_import_column_report *columns; /* in the order of the CSV */
    char *names;                      /* the memory of their names */
} ns_import_report;

/*
 * Reads a CSV and writes a cohort file.
 *   report   out  freed with ns_import_report_free; {0} on failure
 *   csv      in   a path, or "-" for standard input
 *   out      in   the cohort file; it appears whole or not at all (data/cohort_writer.h)
 *   options  in   may be NULL
 * Local. Fails with
 *   NS_EINVAL   a schema's format, zone or prefix that cannot be used (also a named zone: only UTC is known),
 * or one that skips every column NS_EFORMAT  what ns_csv_open and ns_csv_next find; a column of the schema
 * that the CSV lacks; bad lines: the message names the first and says how many there are: a bad record, or a
 * value that is not of its schema's kind (in a number column of whole numbers only, also one that float32
 * does not hold exactly) NS_EIO      read or write error. NS_ENOMEM Nothing stands under `out` then that did
 * not stand there before.
 */
ns_status ns_import_csv(ns_import_report *report, const char *csv, const char *out,
                        const ns_import_options *options);
void ns_import_report_free(ns_import_report *report);
#endif
