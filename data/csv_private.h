#ifndef NIGHTSHIFT_DATA_CSV_PRIVATE_H
#define NIGHTSHIFT_DATA_CSV_PRIVATE_H
/* What the sources of data/csv.h share: csv.c makes batches, csv_cut.c cuts records, csv_header.c opens a file and reads its header. */
#include "data/csv.h"
#include "data/source.h"

enum {
    NS_CSV_MAX_PROBLEM = 512,
    NS_CSV_SLACK = 80 /* allocated behind a buffer: the NUL, what a look at 64 bytes may pass it by, or NS_CSV_BEHIND */
};

/* Byte classes: where the loop over an unquoted field stops, and where the one over a quoted field does. */
enum { STOPS_PLAIN = 1, STOPS_QUOTED = 2 };

/* A field as it lies in the buffer, quotes taken off. */
typedef struct ns_csv_span {
    int64_t start, end;
    bool doubled; /* holds doubled quotes */
} ns_csv_span;

/* How a record ended. */
typedef enum ns_csv_outcome { RECORD_WHOLE, RECORD_NEEDS_MORE, RECORD_BAD } ns_csv_outcome;

struct ns_csv {
    ns_source *source;
    bool at_end;  /* the source is */
    bool started; /* the header is read: records have its number of fields */
    char separator;
    ns_csv_options options;
    uint8_t class[256];

    char *buffer;              /* of the batch in work */
    int64_t room, filled, pos; /* bytes: allocated without the NUL, read, of them done with */
    char *carry;               /* what the last batch left over */
    int64_t n_carry, room_carry;
    int64_t want;   /* bytes to have in the buffer when a batch begins */
    int64_t offset; /* of buffer[0] in the file */
    int64_t line;   /* of buffer[pos] */
    int64_t n_bad;
    int64_t n_empty, empty_line; /* empty lines met last, not known yet to stand before a record; the first one */
    bool ends_lf, ends_crlf;     /* lines were met that end so */

    ns_texts header;
    int64_t n_fields, room_fields; /* of the record in work: seen; stored are at most room_fields */
    ns_csv_span *spans;

    int64_t next, lines; /* RECORD_WHOLE: where the next begins and how many line ends this one has */
    int64_t end;         /* and where its last field ends */
    bool high;           /* it has bytes above 127 */
    int64_t bad_at;      /* RECORD_BAD: in the line of this byte; reading goes on behind that line */
    char problem[NS_CSV_MAX_PROBLEM];
};

/* Fills the buffer up to n_bytes, growing it as needed. NS_EFORMAT, NS_EIO, NS_ENOMEM as ns_csv_read. */
ns_status ns_csv_fill(ns_csv *csv, int64_t n_bytes);

/* Reads more behind the record at pos, of which no batch holds anything yet. The same. */
ns_status ns_csv_read_more(ns_csv *csv);

/* Takes in whole records from pos on while they have no quotes, no bytes above 127 and the right number of fields; where the next
   has, or the buffer or the batch ends, it stops before it. False: not one was taken. */
bool ns_csv_take_plain(ns_csv *csv, ns_csv_batch *batch);

/* Cuts the record at pos into spans. */
ns_csv_outcome ns_csv_cut_record(ns_csv *csv);

/* The fields of the record that was cut as cells, each of them stride behind the one before. *good is false where one is not
   in the encoding, with the problem worded. NS_ENOMEM. */
ns_status ns_csv_make_cells(ns_csv *csv, ns_csv_batch *batch, ns_csv_cell *cells, int64_t stride, bool *good);

/* Steps over the record that was cut; the line in which it began. */
int64_t ns_csv_step(ns_csv *csv);

/* Opens the source and reads the header; the buffer is then csv's own. Fails as ns_csv_open. */
ns_status ns_csv_begin(ns_csv *csv, const char *path, const ns_csv_options *options);
#endif
