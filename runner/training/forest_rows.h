#ifndef NIGHTSHIFT_RUNNER_TRAINING_FOREST_ROWS_H
#define NIGHTSHIFT_RUNNER_TRAINING_FOREST_ROWS_H
/*
 * Which row of the forest each row of a shard becomes: the training rows come first, then the validation rows, then the test rows,
 * each in the shard's order. One byte a row is held, so that a column's cells go to their places at the speed of the cache.
 */
#include "runner/training/table.h"

/* Rows that a put may begin at a multiple of, counted from the shard's first. */
enum { NS_FOREST_ROWS_PIECE = 8 * NS_BLOCK_ROWS };

typedef struct ns_forest_rows {
    ns_shard shard;
    int64_t n_train, n_valid, n_held; /* rows of the forest */
    uint8_t *part;                    /* [shard.n_rows] ns_part; NS_PART_NONE: no row of the forest, kept or not */
    int64_t (*next)[4];               /* [pieces] by part: the forest row of the first such row in a piece */
} ns_forest_rows;

/* After ns_table_read; from a zeroed one, destroy in either case. Local. NS_ENOMEM. */
ns_status ns_forest_rows_create(ns_forest_rows *out, const ns_table *table);
void ns_forest_rows_destroy(ns_forest_rows *rows);

/*
 * Puts cells where they belong.
 *   first  in   row of the cohort, at a piece's beginning
 *   cells  in   [n] of 4 bytes each: float or int32_t
 *   out    out  [n_train + n_valid + n_held] of the same; only places of these rows are written
 * Local; different threads may put different pieces at once.
 */
void ns_forest_rows_put(const ns_forest_rows *rows, int64_t first, int64_t n, const void *cells, void *out);
#endif
