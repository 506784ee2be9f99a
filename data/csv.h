#ifndef NIGHTSHIFT_DATA_CSV_H
#define NIGHTSHIFT_DATA_CSV_H
/*
 * A CSV file as a stream of records, read once and in blocks, so that standard input will do. RFC 4180:
 * fields in double quotes may hold separators, line ends and doubled quotes; lines end with LF or CRLF; the
 * last one may lack it; a UTF-8 byte order mark is dropped. Blanks are part of a field. The separator is the
 * comma; where the header line has none outside quotes, the most frequent of ; tab and |. Empty lines at the
 * end belong to no record.
 *
 * A bad record is handed to a callback and left out: the wrong number of fields, an empty line between
 * records (in a file of one column that is an empty field), a quote inside a field without quotes, something
 * other than a separator behind a closing quote, a quote never closed, a NUL byte, a carriage return that
 * ends no line, invalid UTF-8. Reading goes on with the line after the one in which the bad field began.
 * Lines are physical lines of the file, from 1. Messages name line and column, never what stands there.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"

typedef struct ns_csv ns_csv;

/* One bad record: "has 4 fields, the header has 5"; the text lives for the call. */
typedef void ns_csv_bad(void *context, int64_t line, const char *problem);

typedef struct ns_csv_options {
    ns_csv_bad *bad; /* may be NULL: bad records are counted only */
    void *context;
    int64_t block_bytes;  /* read at a time; 0: 1 MiB */
    int64_t record_bytes; /* the longest record; 0: 16 MiB */
} ns_csv_options;

typedef struct ns_csv_field {
    const char *text; /* valid UTF-8 without NUL, not terminated */
    int64_t n_bytes;
} ns_csv_field;

typedef struct ns_csv_record {
    int64_t line;               /* in which it begins */
    const ns_csv_field *fields; /* [columns of the header]; valid until the next call */
} ns_csv_record;

/*
 * Opens a file and reads its header.
 *   path     in  "-": standard input, called "standard input" in messages. copied
 *   options  in  NULL: the defaults
 * NS_EFORMAT: absent or unreadable, a folder, empty, compressed or UTF-16 or HDF5 (what it seems to be, and
 * the cure), a bad header line, a header name that is empty, twice there, longer than 255 bytes, "." or with
 * control characters. NS_EIO: read error. NS_ENOMEM. *out is NULL on failure.
 */
ns_status ns_csv_open(ns_csv **out, const char *path, const ns_csv_options *options);
void ns_csv_close(ns_csv **csv);

const char *ns_csv_name(const ns_csv *csv); /* the path, or "standard input" */
const ns_texts *ns_csv_header(const ns_csv *csv);
char ns_csv_separator(const ns_csv *csv);

/*
 * The next good record; *found is false at the end.
 * NS_EFORMAT: a record is longer than record_bytes. NS_EIO: read error. NS_ENOMEM.
 */
ns_status ns_csv_next(ns_csv *csv, ns_csv_record *record, bool *found);

int64_t ns_csv_n_bad(const ns_csv *csv);   /* bad records so far */
int64_t ns_csv_n_bytes(const ns_csv *csv); /* bytes taken so far */
#endif
