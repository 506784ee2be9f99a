#ifndef NIGHTSHIFT_DATA_DUPLICATES_H
#define NIGHTSHIFT_DATA_DUPLICATES_H
/*
 * Ids that stand on more than one row, over all ranks, in memory that hardly grows with the rows: one bit a
 * row and what the caller allows. Ids are read again and again instead of being held: once or twice where
 * their distinct values fit, or where they stand in ascending order, else four times or more.
 */
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "data/texts.h"

/* The ids of some rows; one of number and text is set. Borrowed until the next read. */
typedef struct ns_id_piece {
    int64_t first,
        n; /* rows [first, first + n) of this rank's, counted as the caller likes: bits of `duplicate` */
    const int64_t *number;
    const ns_texts *text;
    const uint8_t *use; /* [n] 0: the row takes no part (no id, or not of the cohort) */
} ns_id_piece;

typedef struct ns_id_source {
    int64_t n_pieces; /* of this rank; pieces cover different rows */
    int64_t n_rows;   /* first + n of any piece is at most this */
    bool is_text;     /* the same on every rank */
    ns_status (*read)(void *context, int64_t piece, ns_id_piece *out); /* local; always gives the same rows */
    void *context;
} ns_id_source;

/* What the search may take on each rank beside the bits, and how many bits of a text's hash it uses (128;
   fewer in tests, where different texts then meet under one hash). */
typedef struct ns_duplicates_limits {
    int64_t memory_bytes;
    int hash_bits;
} ns_duplicates_limits;

/* 64 MB and 128 bits. */
extern const ns_duplicates_limits ns_duplicates_default;

/*
 *   duplicate  inout [(n_rows + 7) / 8], all 0 before (from calloc, pages without duplicates take no memory); bit i & 7 of byte i >> 3 is 1 where row i's id stands on another row
 * too, on any rank; equal hashes are confirmed on the text itself n_found    out  rows so marked, over all
 * ranks Collective. NS_ENOMEM, and what read gives.
 */
ns_status ns_duplicates_find(const ns_id_source *source, const ns_duplicates_limits *limits,
                             uint8_t *duplicate, int64_t *n_found, MPI_Comm comm);
#endif
