#ifndef NIGHTSHIFT_DATA_COHORT_PRIVATE_H
#define NIGHTSHIFT_DATA_COHORT_PRIVATE_H
/*
 * What the sources of data/cohort.h share: cohort.c (life of the object), cohort_schema.c (what a file says
 * about itself), cohort_files.c (open files and data sets), cohort_levels.c (the common level lists),
 * cohort_pieces.c (rows in threads or through HDF5), cohort_read.c and cohort_matrix.c (what rows become).
 * Nobody else includes it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/chunks.h"
#include "data/cohort.h"
#include "data/h5.h"
#include "data/inflate.h"
#include "data/native.h"
#include "data/text_index.h"

/* How the cells of a column lie in one file. */
typedef enum ns_storage {
    NS_STORED_INT = 0, /* fits int64 (a boolean too) */
    NS_STORED_UINT64,
    NS_STORED_FLOAT32, /* and narrower: exact as float32 */
    NS_STORED_FLOAT64,
    NS_STORED_WIDER, /* floats of more than 8 bytes */
    NS_STORED_TEXT
} ns_storage;

/* Where the levels of a category column stand in one file. */
typedef enum ns_level_source {
    NS_LEVELS_NONE = 0,
    NS_LEVELS_DATASET,   /* /levels/NAME */
    NS_LEVELS_ATTRIBUTE, /* attribute `levels` of the column */
    NS_LEVELS_CELLS      /* the cells themselves: texts, or whole numbers by their decimal text */
} ns_level_source;

/* ---- what one file says (cohort_schema.c) ---- */

typedef struct ns_column_schema {
    char *name;
    ns_column_kind kind;
    bool declared; /* kind by attribute, not by type */
    ns_storage storage;
    ns_level_source levels;
} ns_column_schema;

typedef struct ns_file_schema {
    int64_t n_rows;
    int32_t n_columns;
    ns_column_schema *columns; /* in bytewise order of name */
} ns_file_schema;

/* Reads the schema of an open file. NS_EFORMAT, NS_ENOMEM. *out is destroyed by the caller in both cases. */
ns_status ns_file_schema_read(ns_file_schema *out, hid_t file, const char *path, ns_layout layout);
void ns_file_schema_destroy(ns_file_schema *schema);

/* The same for a cohort's own column names: "column 'age'" for messages; text holds at least 300 bytes.
 * Returns text. */
char *ns_column_words(char *text, const char *name);

/* ---- the object ---- */

/* Level i of a file's own list is code[i + 1] of the common list, or -1 where its text is empty; code[0] is -1, for missing. */
typedef struct ns_level_map {
    int64_t n;
    int32_t *code;
} ns_level_map;

typedef struct ns_table_column {
    ns_column shown;   /* its pointers belong to this struct */
    char *link;        /* "/columns/NAME", "/x", "/y" */
    int32_t slot;      /* which data set of a file: columns of /x share one */
    int32_t matrix_at; /* column of /x, or -1 */
    uint8_t *storage;  /* [n_files] ns_storage */
    uint8_t *source;   /* [n_files] ns_level_source */

    /* after ns_cohort_prepare */
    bool prepared;
    ns_texts levels;
    ns_text_index index;
    ns_hash128 *level_hash; /* [levels.n] */
    ns_level_map *maps;     /* the different level lists among the files */
    int32_t n_maps;
    int32_t *map_of_file; /* [n_files] index into maps, -1: levels are in the cells */

    /* what this rank saw while reading */
    int64_t n_inexact;
    bool has_fraction;
} ns_table_column;

/* What this rank knows of one data set of one file, and the decoded chunk that its last reader left half-read. */
typedef struct ns_stored_set {
    ns_chunks *chunks; /* NULL until first read */
    unsigned char *kept;
    int64_t kept_chunk;           /* -1: none */
    uint64_t kept_wave, kept_used; /* when it was decoded, and last used */
    size_t kept_bytes;
} ns_stored_set;

typedef struct ns_table_file {
    char *path;
    int64_t first_row, n_rows;
    int64_t n_bytes, seconds, nanoseconds; /* as rank 0 found it before it was opened */
    uint64_t inode;
    hid_t id;      /* -1 while closed */
    uint64_t used; /* when last, for closing the oldest */
    bool seen;     /* opened by this rank at some time */

    int descriptor;           /* -1 while closed: for reading past HDF5 */
    uint64_t descriptor_used; /* when last */
    ns_stored_set *sets;      /* [n_columns], by slot; NULL until first read */
    ns_slow slow;             /* why some of it went through HDF5 */
    bool slow_named;          /* in the log */
} ns_table_file;

enum { NS_MAX_OPEN_FILES = 64, NS_MAX_OPEN_SETS = 64, NS_PIECE_ROWS = 65536 };

typedef struct ns_pool ns_pool; /* threads' decoders and buffers (cohort_pieces.c) */

typedef struct ns_open_set {
    int32_t file, slot;
    hid_t id;
    size_t cache_bytes;
    uint64_t used;
} ns_open_set;

/* Columns of /x of one stretch of rows, read together since the file holds them row by row (cohort_matrix.c).
 */
typedef struct ns_matrix_window {
    int64_t first, n;      /* rows; n = 0: nothing is held */
    int32_t column, width; /* columns [column, column + width) of /x */
    float *values;         /* [width][n] */
    int64_t *n_inexact;    /* [width] */
    bool *has_fraction;    /* [width] */
} ns_matrix_window;

struct ns_cohort {
    ns_layout layout;
    int32_t n_files, n_columns;
    int64_t n_rows;
    ns_table_file *files;
    ns_table_column *columns;

    ns_open_set sets[NS_MAX_OPEN_SETS];
    int32_t n_sets, n_open_files;
    size_t cache_bytes; /* chunk caches of all open sets */
    uint64_t clock;
    void *scratch; /* NS_PIECE_ROWS cells of any stored number */
    ns_matrix_window window;

    bool hdf5_only; /* NIGHTSHIFT_READ=hdf5 */
    ns_pool *pool;
    ns_reading reading;     /* of this rank */
    ns_reading all_reading; /* of all ranks, as last reported */
    int32_t n_descriptors; /* open */
};

/* ---- open files (cohort_files.c) ---- */

/* Fills size, time and inode. NS_EFORMAT: not there. */
ns_status ns_cohort_file_facts(ns_table_file *file);

/* NS_EFORMAT where the file is not what it was when the cohort was opened. */
ns_status ns_cohort_file_unchanged(const ns_table_file *file);

/* The open data set of a column in a file, checked for change; stays open until others push it out.
 * NS_EFORMAT. */
ns_status ns_cohort_dataset(hid_t *out, ns_cohort *cohort, int32_t file, const ns_table_column *column);

/* The open file, checked for change. NS_EFORMAT. */
ns_status ns_cohort_open_file(hid_t *out, ns_cohort *cohort, int32_t file);

/* The same for reading past HDF5: a descriptor, and what is known of a column's data set, made when first asked for.
 * The last NS_MAX_OPEN_FILES / 2 descriptors that were asked for stay open. NS_EFORMAT, NS_ENOMEM. */
ns_status ns_cohort_stored(ns_stored_set **out, int *descriptor, ns_cohort *cohort, int32_t file,
                           const ns_table_column *column);

/* After a failed read: words it, naming a missing filter and its cure. Call right after the HDF5 call.
 * Returns NS_EFORMAT. */
ns_status ns_cohort_unreadable(hid_t dataset, const char *path, const char *column);

void ns_cohort_close_files(ns_cohort *cohort);

/* The file that holds a global row, 0 <= row < n_rows. */
int32_t ns_cohort_file_of(const ns_cohort *cohort, int64_t row);

/* ---- rows ---- */

/* What was met while numbers were narrowed to float32. */
typedef struct ns_narrowing {
    int64_t n_inexact;
    bool has_fraction;
} ns_narrowing;

/* A stretch of rows of one column in one file, at most NS_PIECE_ROWS. Pieces are converted in threads: a take writes only
 * to its own rows of `out`, to seen and to scratch. */
typedef struct ns_piece {
    const ns_cohort *cohort;
    const ns_table_column *column;
    int32_t file;
    int64_t row, n; /* rows [row, row + n) of the file */
    int64_t at;     /* where they stand in the caller's rows */
    void *out;      /* the caller's */
    const void *cells;  /* decoded, in this machine's byte order; NULL: they are read with HDF5 */
    const ns_cell *cell;
    hid_t dataset;      /* where cells is NULL */
    void *scratch;      /* NS_PIECE_ROWS cells of any stored number, this thread's */
    ns_narrowing *seen; /* added to the column's when the piece is done */
} ns_piece;

typedef ns_status (*ns_take)(const ns_piece *piece);

/* NS_IN_ORDER: pieces are taken one after the other, in order of rows, by the caller's thread; decoding is in threads. */
typedef enum ns_take_order { NS_IN_ANY_ORDER, NS_IN_ORDER } ns_take_order;

/* One column wanted: take is called for each of its pieces. */
typedef struct ns_want {
    int32_t column; /* not of /x */
    ns_take take;
    ns_take_order order;
    void *out;
} ns_want;

/* Rows [first, first + n) of some columns, on all threads. The failure is that of the first piece in order of wants, then rows,
 * whatever the number of threads. Local; one caller at a time. */
ns_status ns_cohort_read_wants(ns_cohort *cohort, const ns_want *wants, int32_t n_wants, int64_t first, int64_t n);

void ns_pool_destroy(ns_pool **pool);
void ns_cohort_forget_kept(ns_cohort *cohort); /* frees decoded chunks and indexes */

/* Sums what was read over ranks, and logs it: see ns_cohort_unchanged. Collective. NS_ENOMEM. */
ns_status ns_cohort_report_reading(ns_cohort *cohort, MPI_Comm comm);

/* Notes that bytes of a file came through HDF5, and why. */
void ns_cohort_note_slow(ns_cohort *cohort, int32_t file, int64_t n_bytes, ns_slow why);

/*
 * The cells of a piece as `memory`.
 *   cells  out  where they are: in room, or where they lie already
 *   room   out  [piece->n] cells of `memory`
 * NS_EFORMAT.
 */
ns_status ns_piece_cells(const void **cells, const ns_piece *piece, ns_memory memory, void *room);

/* The same, in room. NS_EFORMAT. */
ns_status ns_piece_read(const ns_piece *piece, ns_memory memory, void *room);

/* Appends the cells of a category as texts: texts as they are, whole numbers as decimals, -1 as the empty
 * text. */
ns_status ns_piece_texts(ns_texts *out, const ns_piece *piece);

/*
 * The different texts of a piece of fixed-length strings whose cells are decoded, as they come, the empty one among them; one
 * may come again.
 *   out    inout  texts are appended
 *   same   out    [n] which of the texts appended each row has
 *   first  out    [n] the row of each text appended
 * NS_ENOMEM.
 */
ns_status ns_piece_different(ns_texts *out, const ns_piece *piece, int32_t *same, int32_t *first);

/* The level list of one file, as it stands there. Not for NS_LEVELS_CELLS. NS_EFORMAT. */
ns_status ns_cohort_file_levels(ns_texts *out, ns_cohort *cohort, int32_t file,
                                const ns_table_column *column);

/* What a stored number is read as before it is narrowed. */
ns_memory ns_stored_memory(ns_storage storage);

/* out[i] = float32 of cells[i * stride] of a stored type, -0 as +0, one NaN. */
void ns_narrow(float *out, const void *cells, ns_storage storage, int64_t n, int64_t stride,
               ns_narrowing *seen);

/* Column of /x: rows [first, first + n). */
ns_status ns_matrix_read(ns_cohort *cohort, ns_table_column *column, int64_t first, int64_t n, float *out);
void ns_matrix_forget(ns_cohort *cohort); /* frees the window */

/* ---- bytes that travel between ranks (cohort_pack.c) ---- */

typedef struct ns_pack {
    char *bytes;
    size_t n, room;
    size_t at;   /* reading position */
    bool failed; /* no memory; later puts do nothing */
} ns_pack;

void ns_pack_int(ns_pack *pack, int64_t value);
void ns_pack_bytes(ns_pack *pack, const void *bytes, size_t n);
void ns_pack_text(ns_pack *pack, const char *text);
void ns_pack_texts(ns_pack *pack, const ns_texts *texts);

/* Reading what was put, in the same order. A returned pointer lies in the pack; texts are followed by a 0. */
int64_t ns_unpack_int(ns_pack *pack);
const void *ns_unpack_bytes(ns_pack *pack, size_t n);
const char *ns_unpack_text(ns_pack *pack);
ns_status ns_unpack_texts(ns_texts *out, ns_pack *pack);
#endif
