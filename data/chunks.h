#ifndef NIGHTSHIFT_DATA_CHUNKS_H
#define NIGHTSHIFT_DATA_CHUNKS_H
/*
 * Where the cells of one data set stand in its file, so that threads can read and decode them without HDF5 (whose one lock
 * lets no two threads decode). Built once for a data set, by the one thread that may call HDF5, and read-only after. A data
 * set is `simple` where the index proves it: one dimension of integers, IEEE floats, booleans or fixed-length
 * strings, contiguous, compact or in chunks, filters only shuffle, deflate and Fletcher-32. Everything else is read with
 * H5Dread, and `slow` says why.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/h5.h"
#include "data/inflate.h"

typedef enum ns_cell_class { NS_CELL_SIGNED, NS_CELL_UNSIGNED, NS_CELL_FLOAT, NS_CELL_TEXT } ns_cell_class;

/* One cell as it lies in the file. */
typedef struct ns_cell {
    ns_cell_class class;
    size_t n_bytes;    /* numbers: 1, 2, 4 or 8; floats from 2 */
    bool swapped;      /* in the other byte order than this machine's */
    H5T_str_t padding; /* texts */
} ns_cell;

#define NS_CHUNK_ABSENT UINT64_MAX

typedef struct ns_chunk {
    uint64_t address; /* first byte in the file, user block included; NS_CHUNK_ABSENT: never written, holds the fill value */
    uint32_t n_bytes; /* as stored */
    uint32_t mask;    /* bit i: filter i was not applied */
} ns_chunk;

/* Bounds of what is simple: a decoded chunk, and how many a data set has (64 MiB of index). */
enum { NS_MAX_CHUNK_BYTES = 64 << 20, NS_MAX_CHUNKS = 1 << 22 };

/* What stands in the way of reading past HDF5; the higher one is the one to speak of. */
typedef enum ns_slow {
    NS_SLOW_NONE = 0,
    NS_SLOW_ASKED,     /* the environment asks for HDF5 */
    NS_SLOW_MATRIX,    /* /x of a plain matrix, whose chunks hold several columns */
    NS_SLOW_UNDECODED, /* a chunk that only HDF5 could read */
    NS_SLOW_UNWRITTEN, /* cells that were never written, without a fill value */
    NS_SLOW_NUMBERS,   /* numbers of an unusual type */
    NS_SLOW_LAYOUT,    /* a layout or shape that is not understood */
    NS_SLOW_INDEX,     /* very many chunks under an index that only HDF5 reads */
    NS_SLOW_SMALL,     /* more than NS_MAX_CHUNKS chunks */
    NS_SLOW_LARGE,     /* a chunk of more than NS_MAX_CHUNK_BYTES */
    NS_SLOW_FILTER,    /* szip, n-bit, scale-offset, or one that is no part of HDF5 */
    NS_SLOW_EXTERNAL,  /* cells in other files */
    NS_SLOW_VIRTUAL,   /* a view of other files */
    NS_SLOW_TEXTS,     /* strings of variable length */
    NS_N_SLOW
} ns_slow;

/* "szip or another filter …": why, for a log line. Never NULL. */
const char *ns_slow_words(ns_slow slow);

/* The words of h5repack that cure it, together with `-l CHUNK=ROWS`; "" where h5repack cannot. ROWS must not pass the rows of the
   table: h5repack says nothing then, and copies what is there. */
const char *ns_slow_cure(ns_slow slow);

typedef struct ns_chunks {
    bool simple;
    ns_slow slow; /* why it is not simple */
    int64_t n_rows;
    ns_cell cell;
    bool contiguous;    /* then chunk[0] is all of it, and chunk_rows is n_rows */
    int64_t chunk_rows; /* chunk i holds rows [i * chunk_rows, (i + 1) * chunk_rows), the last one beyond n_rows */
    int64_t n_chunks;
    size_t chunk_bytes; /* decoded */
    ns_pipeline pipeline;
    unsigned char *fill; /* [cell.n_bytes] of the fill value */
    ns_chunk *chunk;     /* [n_chunks] */
} ns_chunks;

/*
 * Looks at an open data set. descriptor: its file, open for reading, for the parts of the index that HDF5 does not give at a
 * bearable price (data/chunk_tree.h). One thread at a time.
 * NS_ENOMEM. What cannot be understood is no failure: *out is then not simple.
 */
ns_status ns_chunks_create(ns_chunks **out, hid_t file, hid_t dataset, int descriptor);
void ns_chunks_destroy(ns_chunks **chunks);
#endif
