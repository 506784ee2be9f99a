#include "data/shard.h"

#include <stddef.h>

#include "cluster/int128.h"

int64_t ns_n_blocks(int64_t n_rows)
{
    return n_rows / NS_BLOCK_ROWS + (n_rows % NS_BLOCK_ROWS != 0);
}

/* The first block border at which at least rank/n_ranks of all rows lie before it. */
static int64_t even_border(int64_t n_rows, int rank, int n_ranks)
{
    ns_i128 wanted = (ns_i128)n_rows * rank, step = (ns_i128)NS_BLOCK_ROWS * n_ranks;
    return (int64_t)((wanted + step - 1) / step);
}

static int64_t border(const int64_t *kept, int64_t n_blocks, ns_i128 total, int rank, int n_ranks)
{
    if (rank == n_ranks) return n_blocks; /* blocks at the end without a kept row belong to the last rank */
    ns_i128 before = 0;
    int64_t block = 0;
    while (before * n_ranks < total * rank) before += kept[block++];
    return block;
}

ns_shard ns_shard_of(const int64_t *kept, int64_t n_rows, int rank, int n_ranks)
{
    int64_t n_blocks = ns_n_blocks(n_rows), first, end;
    ns_i128 total = 0;
    for (int64_t i = 0; kept != NULL && i < n_blocks; i++) total += kept[i];
    if (total == 0) {
        first = even_border(n_rows, rank, n_ranks);
        end = even_border(n_rows, rank + 1, n_ranks);
    } else {
        first = border(kept, n_blocks, total, rank, n_ranks);
        end = border(kept, n_blocks, total, rank + 1, n_ranks);
    }
    int64_t first_row = first * NS_BLOCK_ROWS, end_row = end * NS_BLOCK_ROWS;
    if (first_row > n_rows) first_row = n_rows;
    if (end_row > n_rows) end_row = n_rows;
    return (ns_shard){.first_row = first_row, .n_rows = end_row - first_row};
}
