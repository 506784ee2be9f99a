#ifndef NIGHTSHIFT_DATA_COHORT_WRITER_H
#define NIGHTSHIFT_DATA_COHORT_WRITER_H
/*
 * Writes a cohort file column by column in blocks of rows: chunks of 65,536 rows, shuffle + deflate 1, object times off.
 * The file stands under its own name only after finish: until then it is PATH.tmp. The writer
 * holds the lock PATH.lock (cluster/lock.h) from open to close, so that a path has one at a time. Local.
 */
#include <stdint.h>

#include "cluster/status.h"
#include "data/cohort.h"
#include "data/texts.h"

typedef struct ns_cohort_writer ns_cohort_writer;

typedef struct ns_cohort_options {
    int64_t chunk_rows;   /* 0: 65,536 */
    int32_t deflate;      /* 1 to 9; 0: no filter; -1: the default, 1 */
} ns_cohort_options;

/* options may be NULL: chunks of 65,536 rows, deflate 1. NS_EIO: cannot create. NS_EINVAL: held by another writer. NS_ENOMEM. */
ns_status ns_cohort_writer_open(ns_cohort_writer **out, const char *path, const ns_cohort_options *options);

/* Begins a column; its rows are appended in order by the calls below, then the next begins. unit, description may be NULL.
   A name with '/' is written as %2F. NS_EIO. NS_EINVAL: the column before has another number of rows than the first, or is a
   category without levels. */
ns_status ns_cohort_writer_column(ns_cohort_writer *writer, const char *name, ns_column_kind kind, bool is_text,
                                  const char *unit, const char *description);

/* Says of a text id column just begun that it will have n_rows texts of at most n_bytes: it is then written as it comes, not
   gathered in memory. NS_EIO; NS_EINVAL: another kind of column, or rows were given already. */
ns_status ns_cohort_writer_text_size(ns_cohort_writer *writer, int64_t n_bytes, int64_t n_rows);

/* Says of a category just begun how many levels it will have: its codes, all below that, then take one byte or two in the file
   rather than four. NS_EINVAL: another kind of column, or rows were given already. */
ns_status ns_cohort_writer_n_levels(ns_cohort_writer *writer, int64_t n_levels);

/* Append n rows to the column last begun. NS_EIO; NS_EINVAL: the column is of another kind, or a text is longer
   than was said. Packing takes OpenMP's threads. */
ns_status ns_cohort_writer_numbers(ns_cohort_writer *writer, const float *values, int64_t n);
ns_status ns_cohort_writer_codes(ns_cohort_writer *writer, const int32_t *codes, int64_t n);
ns_status ns_cohort_writer_times(ns_cohort_writer *writer, const int64_t *times, int64_t n);
ns_status ns_cohort_writer_id_ints(ns_cohort_writer *writer, const int64_t *ids, int64_t n);
ns_status ns_cohort_writer_id_texts(ns_cohort_writer *writer, const ns_texts *ids);

/* The levels of the category column just written, in the order of its codes; once for each. NS_EIO; NS_EINVAL: not a category. */
ns_status ns_cohort_writer_levels(ns_cohort_writer *writer, const ns_texts *levels);

/* Closes, syncs, reads back, renames. NS_EIO (also after any failure before), NS_EINVAL as for a column, or no column at all;
   the file is removed then and what stood under PATH stays. After it only close may be called.
   Test hook (data/durable.h): write:cohort, sync:cohort, rename:cohort, syncdir:cohort. */
ns_status ns_cohort_writer_finish(ns_cohort_writer *writer);
void ns_cohort_writer_close(ns_cohort_writer **writer); /* of an unfinished writer: abandons and deletes */
#endif
