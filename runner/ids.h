#ifndef NIGHTSHIFT_RUNNER_IDS_H
#define NIGHTSHIFT_RUNNER_IDS_H
/* The ids of some rows of a cohort at a time, numbers or texts, for those who look for duplicates (data/duplicates.h). */
#include "data/cohort.h"
#include "data/duplicates.h"

typedef struct ns_id_reader {
    ns_cohort *cohort; /* borrowed */
    int32_t column;    /* -1: rows have no ids */
    int64_t *number;   /* [room] or NULL: texts */
    ns_texts text;
    uint8_t *use; /* [room] for the caller: 1 where a row belongs */
} ns_id_reader;

/*
 * From a zeroed one; close in either case.
 *   room  in  most rows of a read
 * Local. NS_ENOMEM.
 */
ns_status ns_id_reader_open(ns_id_reader *reader, ns_cohort *cohort, int32_t column, int64_t room);
void ns_id_reader_close(ns_id_reader *reader);

/* Reads the ids of rows [first, first + n); does nothing without a column. Local. NS_EFORMAT: cannot be read. NS_ENOMEM. */
ns_status ns_id_reader_read(ns_id_reader *reader, int64_t first, int64_t n);

/* Whether row i of the last read has an id; there must be a column. */
static inline bool ns_id_reader_has(const ns_id_reader *reader, int64_t i)
{
    return reader->number != NULL ? reader->number[i] != INT64_MIN : reader->text.offset[i + 1] > reader->text.offset[i];
}

/* The last read as a piece of an ns_id_source, `at` being where its rows stand there. Rows without an id are taken out of use. */
ns_id_piece ns_id_reader_piece(ns_id_reader *reader, int64_t at, int64_t n);
#endif
