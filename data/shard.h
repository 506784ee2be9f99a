#ifndef NIGHTSHIFT_DATA_SHARD_H
#define NIGHTSHIFT_DATA_SHARD_H
/*
 * Which rows each rank reads: contiguous, in rank order, cut at borders of blocks of 1,024 global rows, so that the rows
 * that `where` keeps balance. Pure.
 */
#include <stdint.h>

enum { NS_BLOCK_ROWS = 1024 };

typedef struct ns_shard {
    int64_t first_row; /* global row number, a multiple of NS_BLOCK_ROWS */
    int64_t n_rows;    /* 0 where there are more ranks than blocks */
} ns_shard;

/* Blocks of a table: ceil(n_rows / NS_BLOCK_ROWS). */
int64_t ns_n_blocks(int64_t n_rows);

/*
 * The shard of one rank; over all ranks the shards cover [0, n_rows) exactly once.
 *   kept     in  [ns_n_blocks(n_rows)] rows kept in each block; NULL: all of them
 * A border stands where the running count of kept rows first reaches rank/n_ranks of all kept rows, so that a shard's kept
 * rows differ from an equal share by less than one block's. Where no row at all is kept, all rows count.
 */
ns_shard ns_shard_of(const int64_t *kept, int64_t n_rows, int rank, int n_ranks);
#endif
