#ifndef NIGHTSHIFT_DATA_COHORT_PRIVATE_H
#define NIGHTSHIFT_DATA_COHORT_PRIVATE_H
/*
 * What the sources of data/cohort.h share: cohort.c (life of the object), cohort_schema.c (what a file says
 * about itself), cohort_files.c (open files and data sets), cohort_levels.c (the common level lists),
 * cohort_read.c and cohort_matrix.c (rows). Nobody else includes it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/cohort.h"
#include "data/h5.h"
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

/* Level i of a file's own list is code[i] of the common list, or -1 where its text is empty. */
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

typedef struct ns_table_file {
    char *path;
    int64_t first_row, n_rows;
    int64_t n_bytes, seconds, nanoseconds; /* as rank 0 found it before it was opened */
    uint64_t inode;
    hid_t id;      /* -1 while closed */
    uint64_t used; /* when last, for closing the oldest */
    bool seen;     /* opened by this rank at some time */
} ns_table_file;

enum { NS_MAX_OPEN_FILES = 64, NS_MAX_OPEN_SETS = 64, NS_PIECE_ROWS = 65536 };

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

/* After a failed read: words it, naming a missing filter and its cure. Call right after the HDF5 call.
 * Returns NS_EFORMAT. */
ns_status ns_cohort_unreadable(hid_t dataset, const char *path, const char *column);

void ns_cohort_close_files(ns_cohort *cohort);

/* The file that holds a global row, 0 <= row < n_rows. */
int32_t ns_cohort_file_of(const ns_cohort *cohort, int64_t row);

/* ---- rows ---- */

/* A stretch of rows of one column in one file, at most NS_PIECE_ROWS. */
typedef struct ns_piece {
    ns_cohort *cohort;
    ns_table_column *column;
    int32_t file;
    hid_t dataset;
    int64_t row, n; /* rows [row, row + n) of the file */
    int64_t at;     /* where they stand in the caller's rows */
    void *out;      /* the caller's */
} ns_piece;

typedef ns_status (*ns_take)(const ns_piece *piece);

/* Calls take for rows [first, first + n) of a column, piece by piece in order. */
ns_status ns_cohort_each_piece(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, ns_take take,
                               void *out);

/* Reads the cells of a piece in a memory type into cells. NS_EFORMAT. */
ns_status ns_piece_read(const ns_piece *piece, hid_t memory_type, void *cells);

/* Appends the cells of a category as texts: texts as they are, whole numbers as decimals, -1 as the empty
 * text. */
ns_status ns_piece_texts(ns_texts *out, const ns_piece *piece);

/* The level list of one file, as it stands there. Not for NS_LEVELS_CELLS. NS_EFORMAT. */
ns_status ns_cohort_file_levels(ns_texts *out, ns_cohort *cohort, int32_t file,
                                const ns_table_column *column);

/* What was met while numbers were narrowed to float32. */
typedef struct ns_narrowing {
    int64_t n_inexact;
    bool has_fraction;
} ns_narrowing;

/* The HDF5 memory type that a stored number is read in, and its size in scratch. */
hid_t ns_stored_type(ns_storage storage);
size_t ns_stored_bytes(ns_storage storage);

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
