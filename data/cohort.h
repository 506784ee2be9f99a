#ifndef NIGHTSHIFT_DATA_COHORT_H
#define NIGHTSHIFT_DATA_COHORT_H
/*
 * A cohort: one or more HDF5 files read as one table (design.md, section 5; data/README.md). Files are concatenated in
 * bytewise order of their paths; columns match by name, levels by text. A row is known by its global row number.
 * Files are opened by each rank when it first reads from them, with HDF5's locking off, and checked for changes (size,
 * time, inode) on every later read and by ns_cohort_unchanged. Only one thread may be in here at a time (HDF5 is not
 * thread-safe). Inside, cells are read, decoded and converted on all OpenMP threads of the process, past HDF5, wherever the
 * places of chunks prove a data set simple (data/chunks.h), and with H5Dread elsewhere: the same cells either way.
 * NIGHTSHIFT_READ=hdf5 in the environment sends everything through H5Dread, to find out whose fault a fault is.
 * Memory: per thread three chunks (at most 64 MiB each, 768 KiB for chunks of 65,536 float32) and 32 KiB; per data set
 * 16 bytes a chunk; chunks that a caller left half-read are kept, at most 256 MiB in all. H5Dread's chunk caches: 128 MiB.
 * Messages name file, column and row number, never a value.
 */
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/hash.h"
#include "data/texts.h"

typedef enum ns_column_kind { NS_COL_NUMBER = 0, NS_COL_CATEGORY, NS_COL_ID, NS_COL_TIME } ns_column_kind;
typedef enum ns_layout { NS_LAYOUT_COLUMNS = 0, NS_LAYOUT_MATRIX } ns_layout;

#define NS_TIME_MISSING INT64_MIN

typedef struct ns_column {
    const char *name;
    ns_column_kind kind;
    bool is_text;          /* id: strings rather than int64 */
    const ns_texts *levels;/* category, after ns_cohort_prepare: every level of all files, sorted by bytes; else NULL */
    const char *unit, *description; /* "" where absent */
} ns_column;

typedef struct ns_cohort ns_cohort;

/* "number", "category", "id", "time" */
const char *ns_column_kind_name(ns_column_kind kind);

/*
 * Paths and glob patterns to files in bytewise order, without repeats. A path without a pattern character must exist.
 *   what  in  "data.cohort": for messages
 * Local (rank 0 calls it). NS_EFORMAT: a pattern matches nothing, a file is absent. NS_ENOMEM.
 */
ns_status ns_cohort_expand(ns_texts *out, const char *const *patterns, int64_t n_patterns, const char *what);

/*
 * Reads the schema of every file on rank 0 and gives it to all ranks.
 *   files  in  rank 0: the expanded list; other ranks: NULL. copied
 * Collective. NS_EFORMAT: not HDF5, truncated, of another kind (pandas to_hdf, AnnData: named, with the cure), no columns,
 * ragged lengths, a column absent from one of the files or of another kind there, unknown kind, cells that cannot be of
 * their kind, levels without a kind. A file without rows need only have the columns. NS_ENOMEM.
 */
ns_status ns_cohort_open(ns_cohort **out, const ns_texts *files, ns_layout layout, MPI_Comm comm);
void ns_cohort_close(ns_cohort **cohort);

int64_t ns_cohort_n_rows(const ns_cohort *cohort);
int32_t ns_cohort_n_columns(const ns_cohort *cohort);      /* in bytewise order of name */
const ns_column *ns_cohort_column(const ns_cohort *cohort, int32_t column);
int32_t ns_cohort_find(const ns_cohort *cohort, const char *name); /* -1 where absent */
int32_t ns_cohort_n_files(const ns_cohort *cohort);
const char *ns_cohort_file(const ns_cohort *cohort, int32_t file, int64_t *first_row, int64_t *n_rows, int64_t *n_bytes);

/*
 * Builds the common level list of category columns (from /levels, the levels attribute, or the strings themselves), so
 * that codes can be read. Columns of other kinds are passed over. Call with all columns that will be read.
 * An empty text is no level: it is missing. Collective. NS_EFORMAT: a level twice, a list that is not strings (codes outside
 * the list are found when read). NS_ENOMEM.
 */
ns_status ns_cohort_prepare(ns_cohort *cohort, const int32_t *columns, int32_t n_columns, MPI_Comm comm);

/*
 * Reading rows [first, first + n) of one column of the kind that the function names. Local. NS_EFORMAT: cannot be read (a
 * missing filter is named with the cure), a code without a level, an integer id or time beyond int64, a file that changed.
 * NS_EINVAL: a category that was not prepared. NS_ENOMEM.
 *   number  float32, NaN missing, -0 read as +0; other integer and float types are converted, inexact values counted
 *   codes   index into the column's levels, -1 missing
 *   time    seconds since 1970 UTC, NS_TIME_MISSING
 *   hash    of an id, category, time or number as text: whole numbers as decimals (all their digits, also where float32 has
 *           them not), others as "%.9g" of the float32; {0, 0} missing (empty text; smallest int64; -1; NaN)
 *   id_int  an int64 id; id_text: a text id, appended to out
 */
ns_status ns_cohort_read_number(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, float *out);
ns_status ns_cohort_read_codes(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, int32_t *out);
ns_status ns_cohort_read_time(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, int64_t *out);
ns_status ns_cohort_read_hash(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, ns_hash128 *out);
ns_status ns_cohort_read_id_int(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, int64_t *out);
ns_status ns_cohort_read_id_text(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, ns_texts *out);

/*
 * Several columns of the same rows at once: their chunks are decoded and converted side by side, so that threads have work
 * where one column's rows lie in one chunk. The result, and the failure, are those of reading one after the other.
 */
typedef enum ns_read_as { NS_READ_NUMBER, NS_READ_CODES, NS_READ_TIME, NS_READ_HASH, NS_READ_ID_INT } ns_read_as;
typedef struct ns_column_read {
    int32_t column;
    ns_read_as as;
    void *out; /* as the function of that name has it */
} ns_column_read;
ns_status ns_cohort_read_columns(ns_cohort *cohort, const ns_column_read *reads, int32_t n_reads, int64_t first, int64_t n);

/*
 * Rows to ask for at once of one column so that every thread of this process has chunks of the usual size to decode: 65,536 with
 * one thread, else 262,144 for each, at most 2,097,152; a multiple of 65,536.
 */
int64_t ns_cohort_stretch(void);

/* What has been read: bytes of cells as they are stored, decoded; of the compressed bytes only those read past HDF5. */
typedef struct ns_reading {
    int64_t fast_bytes;   /* read past HDF5 */
    int64_t hdf5_bytes;   /* through H5Dread */
    int64_t stored_bytes; /* taken from the disk for fast_bytes */
    double seconds;       /* inside this module's reading functions, this rank's clock */
} ns_reading;

/* Of this rank, since the cohort was opened. Local. */
ns_reading ns_cohort_reading(const ns_cohort *cohort);

/* Of all ranks, as of the last ns_cohort_unchanged: sums of bytes, the most seconds of a rank. Local. */
ns_reading ns_cohort_reading_of_all(const ns_cohort *cohort);

/* fast_bytes / (fast_bytes + hdf5_bytes); 1 where nothing was read. */
double ns_reading_share(const ns_reading *reading);

/* Cells that did not fit their kind exactly when this rank read them (float64 to float32, fractions of a second). Rows read
   twice are counted twice: a caller that reports a pass takes the difference. */
int64_t ns_cohort_inexact(const ns_cohort *cohort, int32_t column);

/* Fails with NS_EFORMAT about one cell: "FILE: column 'NAME', row N (counting from 0): WHAT", N counting within the file.
   column -1: about the row. Local. */
ns_status ns_cohort_bad_row(const ns_cohort *cohort, int32_t column, int64_t row, const char *what);

/* After all reading: NS_EFORMAT on all ranks where a number column held only whole values and one did not fit float32
   (an id or a code, not a measurement: it would silently change). Collective. NS_ENOMEM. */
ns_status ns_cohort_check_exact(ns_cohort *cohort, MPI_Comm comm);

/*
 * NS_EFORMAT on all ranks where a file's size, time or inode is not what it was at open. Called after a pass of reading, it also
 * logs what was read (event reading: bytes, past_hdf5: the share that went past HDF5, seconds, mb_per_s), and names each file of which
 * cells came through H5Dread, once in the life of the cohort (event slow_file: why, and the command that cures it). Collective.
 * NS_ENOMEM.
 */
ns_status ns_cohort_unchanged(ns_cohort *cohort, MPI_Comm comm);
#endif
