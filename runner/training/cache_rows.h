#ifndef NIGHTSHIFT_RUNNER_TRAINING_CACHE_ROWS_H
#define NIGHTSHIFT_RUNNER_TRAINING_CACHE_ROWS_H
/*
 * The bins of a forest's rows between memory and the files of a bin cache. The rows of an entry are those of the training,
 * validation and test parts in the table's order, numbered from 0 over all ranks. A rank that writes puts its own rows into
 * one file: column after column, a byte a row where a feature has at most NS_BYTE_BINS bins, else two. A rank that reads
 * takes its rows out of the files that have them, whoever wrote those.
 */
#include "runner/training/cache_entry.h"
#include "runner/training/table.h"
#include "runner/training/training_data.h"

/* "FOLDER/part-000003.bins", freed by the caller; NULL without memory. */
char *ns_cache_part_path(const char *folder, int64_t part);

/*
 * Writes this rank's rows.
 *   sums     out  [ns_cache_segments(rows)][n_features]
 *   n_bytes  out  of the file
 * Local. NS_EIO (then there is no file), NS_ENOMEM.
 */
ns_status ns_cache_rows_write(const char *folder, const ns_training_data *data, const ns_table *table, uint32_t *sums, int64_t *n_bytes);

/*
 * Reads this rank's rows into the forest, whose cuts are known.
 *   first    in   number of this rank's first row over all ranks
 *   n_bytes  out  of this rank's bins
 * Local. False: a file is absent, cannot be read or has not its check sums, or there is no memory.
 */
bool ns_cache_rows_read(const char *folder, const ns_cache_entry *entry, int64_t first, const ns_training_data *data, const ns_table *table,
                        int64_t *n_bytes);
#endif
