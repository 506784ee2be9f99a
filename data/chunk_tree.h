#ifndef NIGHTSHIFT_DATA_CHUNK_TREE_H
#define NIGHTSHIFT_DATA_CHUNK_TREE_H
/*
 * The chunks of a data set as the file itself lists them: object header (versions 1 and 2), data layout message version 3,
 * version 1 B-tree of node type 1 (HDF5 File Format Specification 3.0, sections III.A.1, IV.A.1, IV.A.2.i). That is what HDF5
 * writes unless it is told libver "latest". HDF5 1.10 finds the n-th chunk by walking from the first, so asking it for all
 * costs n^2 / 2 steps: 5,000 chunks take a second for each column.
 */
#include <stdbool.h>
#include <stdint.h>

#include "data/chunks.h"

/* One file for reading: sizes of offsets and lengths are 8 bytes. */
typedef struct ns_raw_file {
    int descriptor;
    uint64_t base;    /* of all addresses: the user block */
    uint64_t n_bytes; /* of the file */
} ns_raw_file;

/*
 * Fills chunks->chunk, where n_rows, n_chunks, chunk_rows and cell are set and every entry is absent.
 *   header  in  address of the data set's object header, relative to base
 *   n_found out  chunks in the tree
 * Local. False: another version, a chunk out of bounds or twice, a damaged or unreadable part; chunks->chunk is undefined then.
 */
bool ns_chunk_tree_read(ns_chunks *chunks, const ns_raw_file *file, uint64_t header, int64_t *n_found);

/*
 * The bytes of a compact data set, which lie in its object header. False: not compact, or not understood.
 *   address  out  in the file, user block included
 */
bool ns_compact_find(const ns_raw_file *file, uint64_t header, uint64_t *address, uint64_t *n_bytes);
#endif
