#include "runner/training/forest_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "data/cell_loops.h"

enum { N_PARTS = 4, CELL_BYTES = 4 };

ns_status ns_forest_rows_create(ns_forest_rows *out, const ns_table *table)
{
    int64_t n = table->shard.n_rows, n_pieces = (n + NS_FOREST_ROWS_PIECE - 1) / NS_FOREST_ROWS_PIECE;
    *out = (ns_forest_rows){.shard = table->shard,
                            .n_train = table->n_part_local[NS_PART_TRAIN],
                            .n_valid = table->n_part_local[NS_PART_VALID],
                            .n_held = table->n_part_local[NS_PART_TEST],
                            .part = calloc((size_t)n + 1, 1),
                            .next = calloc((size_t)n_pieces + 1, sizeof *out->next)};
    if (out->part == NULL || out->next == NULL) return ns_fail(NS_ENOMEM, "no memory for %lld rows", (long long)n);
    for (int64_t k = 0; k < table->n_kept; k++) out->part[table->row[k] - table->shard.first_row] = table->part[k];
    int64_t next[N_PARTS] = {[NS_PART_VALID] = out->n_train, [NS_PART_TEST] = out->n_train + out->n_valid};
    for (int64_t i = 0; i < n; i++) {
        if (i % NS_FOREST_ROWS_PIECE == 0) memcpy(out->next[i / NS_FOREST_ROWS_PIECE], next, sizeof next);
        next[out->part[i]]++;
    }
    return NS_OK;
}

void ns_forest_rows_destroy(ns_forest_rows *rows)
{
    free(rows->part);
    free(rows->next);
    *rows = (ns_forest_rows){0};
}

void ns_forest_rows_put(const ns_forest_rows *rows, int64_t first, int64_t n, const void *cells, void *out)
{
    int64_t at = first - rows->shard.first_row;
    const int64_t *next = rows->next[at / NS_FOREST_ROWS_PIECE];
    assert(at >= 0 && at % NS_FOREST_ROWS_PIECE == 0 && at + n <= rows->shard.n_rows);
    unsigned char *to[N_PARTS];
    for (int p = 0; p < N_PARTS; p++) to[p] = (unsigned char *)out + (p == NS_PART_NONE ? 0 : next[p]) * CELL_BYTES;
    ns_cell_loops_here()->part(to, cells, rows->part + at, n);
}
