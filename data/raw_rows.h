#ifndef NIGHTSHIFT_DATA_RAW_ROWS_H
#define NIGHTSHIFT_DATA_RAW_ROWS_H
/*
 * Rows of contiguous, unfiltered data sets of a file that is being made, written past HDF5 to where HDF5 has given them place. So a
 * thread can write while another is in HDF5. Cells are little-endian, whatever the machine. Local.
 */
#include <hdf5.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"

typedef struct ns_raw_file {
    int descriptor;   /* -1: closed */
    const char *path; /* borrowed; for messages */
} ns_raw_file;

typedef struct ns_raw_rows {
    int64_t at;   /* in the file, of row 0; -1: no place, for there are no rows */
    size_t width; /* bytes of a row */
} ns_raw_rows;

/* Opens a file that is there. NS_EIO. Closing it answers what the system says of the writes before. */
ns_status ns_raw_open(ns_raw_file *file, const char *path);
ns_status ns_raw_close(ns_raw_file *file);

/* The place of a data set whose space was allocated early, as H5Dcreate2 leaves it. NS_EIO. */
ns_status ns_raw_find(ns_raw_rows *rows, hid_t dataset, const char *path);

/* Rows [first, first + n); the calls below may come from any thread, for different rows. NS_EIO, NS_ENOMEM. */
/*   cells  in  [n][rows->width / cell_bytes] cells of 1, 4 or 8 bytes */
ns_status ns_raw_write(const ns_raw_file *file, const ns_raw_rows *rows, int64_t first, int64_t n, const void *cells, size_t cell_bytes);
/* float32 with NaN as one pattern (ns_score_bits) */
ns_status ns_raw_write_floats(const ns_raw_file *file, const ns_raw_rows *rows, int64_t first, int64_t n, const float *values);
/* texts padded with 0; NS_EIO also where one is longer than the rows are wide. what: for messages */
ns_status ns_raw_write_texts(const ns_raw_file *file, const ns_raw_rows *rows, int64_t first, int64_t n, const ns_texts *texts, const char *what);
#endif
