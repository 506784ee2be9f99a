#ifndef NIGHTSHIFT_DATA_STRIPES_H
#define NIGHTSHIFT_DATA_STRIPES_H
/*
 * A night's rows over the ranks: waves of slabs in the table's order, so that memory does not grow with the table and rank 0
 * can write while all score. Wave w gives rank r the slab that begins at row (w * n_ranks + r) * slab_rows. Pure.
 */
#include <stdint.h>

typedef struct ns_stripes {
    int64_t n_rows;    /* of the whole table */
    int64_t slab_rows; /* a multiple of NS_BLOCK_ROWS (data/shard.h), the same on all ranks */
    int rank, n_ranks;
} ns_stripes;

typedef struct ns_piece {
    int64_t first_row, n_rows; /* n_rows 0: the table ends before */
} ns_piece;

int64_t ns_n_waves(const ns_stripes *stripes);
ns_piece ns_wave_piece(const ns_stripes *stripes, int64_t wave, int rank);
#endif
