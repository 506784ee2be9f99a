#ifndef NIGHTSHIFT_DATA_FINGERPRINT_H
#define NIGHTSHIFT_DATA_FINGERPRINT_H
/*
 * The content fingerprint of a table (design.md, section 6): for each column, BLAKE2b-256 of every block of 1,024 global
 * rows, then of the block digests in order, then of (name, kind, that digest); the table's is BLAKE2b-256 of the column
 * digests in name order. Files, chunks, compression and level tables do not matter. Byte for byte:
 *   block   BLAKE2b(cells of rows [1024 b, 1024 b + 1024), the last block shorter)
 *   rows    BLAKE2b(block 0, block 1, …), of nothing where the table has no rows
 *   column  BLAKE2b(name, a 0 byte, "number" | "category" | "id" | "time", a 0 byte, rows)
 *   table   BLAKE2b(the columns in bytewise order of name)
 * every BLAKE2b being unkeyed with a digest of 32 bytes, passed on as those 32 bytes (hex only in what finish returns).
 *
 * Cells: number: float32 bits little-endian, -0 as +0, one NaN (0x7fc00000); 8 bytes little-endian for the rest: time and
 * int64 id: the value; category and text: ns_hash64 of the text, 0 where missing.
 */
#include <mpi.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/cohort.h"
#include "data/shard.h"
#include "data/stripes.h"

typedef struct ns_fingerprint ns_fingerprint;

/* columns in any order; names and kinds are copied. shard: the rows this rank will add. Local. NS_ENOMEM. */
ns_status ns_fingerprint_create(ns_fingerprint **out, const char *const *names, const ns_column_kind *kinds, int32_t n_columns,
                                int64_t n_rows_global, ns_shard shard);
/* The same for rows that are dealt out in waves of slabs (data/stripes.h). Rows are added wave by wave, in their order, and
   ns_fingerprint_end_wave ends each: memory does not grow with the table. Local. NS_ENOMEM. */
ns_status ns_fingerprint_create_striped(ns_fingerprint **out, const char *const *names, const ns_column_kind *kinds,
                                        int32_t n_columns, const ns_stripes *stripes);
void ns_fingerprint_destroy(ns_fingerprint **fingerprint);

/* Adds rows [first, first + n) of column index `column`: first and, unless it ends the shard or table, n are multiples of 1,024. Each
   row once, in any order of calls (striped: within its wave). Local; different columns and ranges may be added from different threads. Cannot fail. */
void ns_fingerprint_numbers(ns_fingerprint *fingerprint, int32_t column, int64_t first, int64_t n, const float *values);
void ns_fingerprint_words(ns_fingerprint *fingerprint, int32_t column, int64_t first, int64_t n, const uint64_t *words);

/* A column whose digest is known from earlier, with the same rows: it is not added. Not striped. Every rank. Cannot fail. */
void ns_fingerprint_know(ns_fingerprint *fingerprint, int32_t column, const uint8_t digest[32]);

/* Striped only: every rank has added its slab of the wave, all columns of it; each wave once, from 0 on. Collective. */
void ns_fingerprint_end_wave(ns_fingerprint *fingerprint, MPI_Comm comm);

/*
 * Gathers block digests; the shards of all ranks cover the table once, in rank order, or all waves of all ranks were ended.
 *   digests  out  [n_columns][65] hex, in the order given to create
 *   table    out  [65] hex
 * Collective: the same on every rank. NS_ENOMEM.
 */
ns_status ns_fingerprint_finish(ns_fingerprint *fingerprint, char (*digests)[65], char table[65], MPI_Comm comm);
#endif
