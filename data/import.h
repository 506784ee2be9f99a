#ifndef NIGHTSHIFT_DATA_IMPORT_H
#define NIGHTSHIFT_DATA_IMPORT_H
/*
 * One or more CSV files become a cohort file. Every CSV is read once (data/csv.h says what is taken), kinds come
 * from the schema, from the cohort that is appended to, or are inferred over all rows (data/infer.h); then the
 * file is written column by column. What is written depends on the bytes of the CSVs and the schema alone, not
 * on threads or blocks.
 *
 *   number    plain decimal numbers, rounded correctly to float32
 *   category  every text, or its first `prefix` characters, is a level
 *   id        int64 where every value is an int64 that is its own decimal text, else the texts
 *   time      ISO 8601, or by `format`; without a zone it is in `zone` (data/zone.h), else UTC, which is counted
 *   skip      left out, read only for the form of its lines
 *
 * Several CSVs have the same columns, in any order; the first one's order counts. While blocks are cut into
 * records by one thread, the columns of the block before are taken in by the others (OpenMP).
 *
 * Memory does not grow with the rows: cells wait in a temporary file beside the output (data/scratch.h), which
 * has about the bytes of the CSV at most. It holds some 8 MiB of blocks, 16 MiB of pieces of that file, 3 MiB of
 * chunks a thread (at most 48 MiB), and for each column its distinct texts (data/cells.h): at most 65,535 of them,
 * or all levels where the schema says category. Beyond that 8 bytes for each bad line that was allowed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/cohort.h"
#include "data/advice.h"
#include "data/csv.h"
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
    const char *zone;               /* time: of values that name none; NULL: UTC */
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
    ns_csv_encoding encoding;
    /* How many bad lines are left out and told, rather than fatal: both must hold. {0}: none. */
    struct {
        int64_t lines; /* at most so many */
        double share;  /* of all lines with records; lines must allow as many */
    } max_bad;
    const char *rejects; /* where the bad lines go that max_bad allowed, as file,line,problem,record; may be NULL */
    const char *like;    /* a cohort file whose columns and kinds the table must have; NULL: none */
    /* Each of the first NS_LINES_KEPT (20) bad lines in the order of the files, where there are any:
       "IN.csv line 17: has 4 fields, the header has 5". Called before the import returns. May be NULL. */
    void (*bad_line)(void *context, const char *message);
    void *context;
    int64_t block_bytes; /* of a CSV read at a time; 0: 1 MiB */
    int64_t piece_bytes; /* of a column in memory; 0: 64 KiB, less where there are many columns */
} ns_import_options;

/* What became of one column of the CSV. */
typedef struct ns_import_column_report {
    const char *name;
    ns_column_kind kind;
    bool skipped, inferred;
    bool is_text; /* id: texts rather than int64 */
    int64_t n_missing;
    int64_t n_distinct; /* values, of a category its levels */
    bool about;         /* n_distinct is an estimate: there are more than 1,024 */
    int64_t n_inexact;  /* number: whole numbers that float32 rounded (among others with a fraction) */
    int64_t n_zoneless; /* time: values without a zone, taken as UTC */
    unsigned advice;    /* set of ns_advice: what a reader may want to correct */
} ns_import_column_report;

/* What was found about one CSV. */
typedef struct ns_import_file_report {
    char separator;
    bool mixed_ends; /* LF and CRLF */
    int64_t n_rows;  /* good records */
} ns_import_file_report;

typedef struct ns_import_report {
    int64_t n_rows, n_bytes; /* of the cohort; of the CSVs, unpacked */
    int64_t n_bad;           /* lines left out */
    int64_t n_files;
    ns_import_file_report *files; /* in the order given */
    int64_t n_columns;
    ns_import_column_report *columns; /* in the order of the first CSV */
    char *names;                      /* the memory of their names */
} ns_import_report;

/*
 * Reads CSVs and writes a cohort file.
 *   report   out  freed with ns_import_report_free; {0} on failure
 *   csvs     in   [n_csvs] paths; "-" is standard input. n_csvs >= 1
 *   out      in   the cohort file; it appears whole or not at all (data/cohort_writer.h)
 *   options  in   may be NULL
 * Local. Fails with
 *   NS_EINVAL   a schema's format, zone or prefix that cannot be used, or one that skips every column
 *   NS_EFORMAT  what ns_csv_open and ns_csv_read find; a column of the schema that the CSV lacks; CSVs whose columns differ; a
 *               column that `like` lacks or has more, or whose schema says another kind; bad lines, more than allowed: the
 *               message names the first and says how many there are: a bad record, or a value that is not of its schema's
 *               kind (in a number column of whole numbers only, also one that float32 does not hold exactly)
 *   NS_EIO      read or write error. NS_ENOMEM
 * Nothing stands under `out` then that did not stand there before.
 */
ns_status ns_import_csv(ns_import_report *report, const char *const *csvs, int64_t n_csvs, const char *out,
                        const ns_import_options *options);
void ns_import_report_free(ns_import_report *report);
#endif
