#ifndef NIGHTSHIFT_DATA_CSV_H
#define NIGHTSHIFT_DATA_CSV_H
/*
 * A CSV file as batches of records, read once and in blocks, so that standard input will do, and packed with
 * gzip or not. RFC 4180: fields in double quotes may hold separators, line ends and doubled quotes; lines end
 * with LF or CRLF; the last one may lack it; a UTF-8 byte order mark is dropped. Blanks are part of a field.
 * The separator is the comma; where the header line has none outside quotes, the most frequent of ; tab and |;
 * a first line "sep=X", as spreadsheets write it, decides. Empty lines at the end belong to no record.
 *
 * A bad record is handed to a callback and left out: the wrong number of fields, an empty line between
 * records (in a file of one column that is an empty field), a quote inside a field without quotes, something
 * other than a separator behind a closing quote, a quote never closed, a NUL byte, a carriage return that
 * ends no line, invalid UTF-8. Reading goes on with the line after the one in which the bad field began.
 * Lines are physical lines of the file, from 1. Messages name line and column, never what stands there.
 *
 * Memory: two blocks and what cells a batch of them has; one record may be as long as record_bytes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"

typedef struct ns_csv ns_csv;

typedef enum ns_csv_encoding {
    NS_CSV_UTF8,
    /* Every byte is a character, which becomes UTF-8: ISO 8859-1, and from 0x80 to 0x9f, where that has no
       letters, Windows-1252; its five unassigned bytes are bad. */
    NS_CSV_LATIN1
} ns_csv_encoding;

/* One bad record: in words "has 4 fields, the header has 5", as it stands in the file without its line end (empty unless
   options.keep_text). Lives for the call. */
typedef struct ns_csv_bad_record {
    int64_t line;
    const char *problem;
    const char *text;
    int64_t n_bytes;
} ns_csv_bad_record;
typedef ns_status ns_csv_bad(void *context, const ns_csv_bad_record *record);

typedef struct ns_csv_options {
    ns_csv_bad *bad; /* may be NULL: bad records are counted only */
    void *context;
    int64_t block_bytes;  /* read at a time; 0: 1 MiB */
    int64_t record_bytes; /* the longest record; 0: 16 MiB */
    ns_csv_encoding encoding;
} ns_csv_options;

/* A cell: bytes [start, start + n_bytes) of the batch, valid UTF-8 without NUL, not terminated. */
typedef struct ns_csv_cell {
    uint32_t start; /* with NS_CSV_ASIDE: into aside, else into bytes */
    uint32_t n_bytes;
} ns_csv_cell;
#define NS_CSV_ASIDE UINT32_C(0x80000000)

/* So many bytes behind the end of a cell can be read, whatever they are. */
enum { NS_CSV_BEHIND = 16 };

/* Records side by side, column by column. {0} at first; its memory is freed with ns_csv_batch_destroy. */
typedef struct ns_csv_batch {
    int64_t n_rows, room_rows;
    ns_csv_cell *cells; /* of row r and column c: cells[c * room_rows + r] */
    ns_csv_cell *text;  /* [n_rows] the whole record as it stands in the file, without its line end */
    int64_t *line;      /* [n_rows] in which it begins */
    char *bytes, *aside; /* aside: what does not stand in the file as it is meant */
    int64_t room_bytes, room_aside, used_aside;
} ns_csv_batch;
void ns_csv_batch_destroy(ns_csv_batch *batch);

static inline const char *ns_csv_text(const ns_csv_batch *batch, ns_csv_cell cell)
{
    return (cell.start & NS_CSV_ASIDE) != 0 ? batch->aside + (cell.start & ~NS_CSV_ASIDE) : batch->bytes + cell.start;
}

/*
 * Opens a file and reads its header.
 *   path     in  "-": standard input, called "standard input" in messages. copied
 *   options  in  NULL: the defaults
 * NS_EFORMAT: absent or unreadable, a folder, empty, damaged gzip, packed otherwise or UTF-16 or HDF5 (what it seems to be, and
 * the cure), a bad header line, a header name that is empty, twice there, longer than 255 bytes, "." or with
 * control characters. NS_EIO: read error. NS_ENOMEM. *out is NULL on failure.
 */
ns_status ns_csv_open(ns_csv **out, const char *path, const ns_csv_options *options);
void ns_csv_close(ns_csv **csv);

const char *ns_csv_name(const ns_csv *csv); /* the path, or "standard input" */
const ns_texts *ns_csv_header(const ns_csv *csv);
char ns_csv_separator(const ns_csv *csv);

/*
 * The next good records, at least one unless the file is at its end. What the batch held before is gone; batches may take
 * turns, so that one is used while the next is read by another thread. Which records stand together means nothing.
 * NS_EFORMAT: a record is longer than record_bytes, damaged gzip. NS_EIO: read error. NS_ENOMEM. What bad returns.
 */
ns_status ns_csv_read(ns_csv *csv, ns_csv_batch *batch);

int64_t ns_csv_n_bad(const ns_csv *csv);   /* bad records so far */
int64_t ns_csv_n_bytes(const ns_csv *csv); /* bytes taken so far, unpacked */
bool ns_csv_mixed_ends(const ns_csv *csv); /* some lines so far ended with LF, some with CRLF */
#endif
