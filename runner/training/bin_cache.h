#ifndef NIGHTSHIFT_RUNNER_TRAINING_BIN_CACHE_H
#define NIGHTSHIFT_RUNNER_TRAINING_BIN_CACHE_H
/*
 * The bin cache of run.cache: a second training of the same rows reads no feature again. FOLDER/KEY is one entry:
 *   entry              what the features have learned (runner/training/cache_entry.h)
 *   part-000000.bins   the bins of the rows that rank 0 had when it was made, and so on (runner/training/cache_rows.h)
 * It holds no value of a number feature but the cuts, no id and no time; levels by name and the bins of each row, so it is as
 * private as the cohort.
 *
 * KEY is a hash of all that decides what is in it: the cohort's files (data/cohort_identity.h), which rows belong and the part
 * of the split of each, names and kinds of the features, data.infinite, data.group, model.max_bins, model.category_min_rows,
 * evaluate.min_cell, and the program's version. Another of these is another entry; seed, rounds, weights, subgroups, number of
 * ranks and threads are not among them. The label, the ids and the columns of `where`, group and split are read as ever, since
 * they tell which rows belong; the fingerprint is of all columns used, those of the features out of the entry, each kept from
 * when it was made.
 *
 * An entry appears whole, by one rename of KEY.tmp, and is never written to again. What is damaged is found out by check sums,
 * said, and made anew. A cache that cannot be written is a warning, never a failure. Two trainings make one entry only once:
 * KEY.lock says who does.
 */
#include <jansson.h>

#include "runner/training/cache_entry.h"
#include "runner/training/table.h"
#include "runner/training/training_data.h"

/*
 * Names the entry of this table. cache is zeroed before; off where the job has no run.cache.
 * Collective, after ns_table_read. NS_ENOMEM, NS_EFORMAT (a file changed). Close in either case.
 */
ns_status ns_bin_cache_open(ns_bin_cache *cache, const ns_table *table);
void ns_bin_cache_close(ns_bin_cache *cache);

/*
 * Reads what the entry knows of the features.
 *   found  out  false: there is none, or none that is whole (then cache->damaged)
 * Collective. NS_ENOMEM.
 */
ns_status ns_bin_cache_look(ns_bin_cache *cache, ns_cache_entry *entry, bool *found, const ns_table *table);

/*
 * Reads the bins of this rank's rows into data->forest, whose cuts are known.
 *   whole  out  false: damaged; what the forest holds is of no use then
 * Collective. Cannot fail.
 */
void ns_bin_cache_read(ns_bin_cache *cache, const ns_cache_entry *entry, bool *whole, const ns_training_data *data, const ns_table *table);

/* Makes the entry, in the place of a damaged one. Where that fails it is said in the log, and nothing of it stays. Collective. */
void ns_bin_cache_keep(ns_bin_cache *cache, const ns_training_data *data, const ns_table *table);

/* For run.json: {"state": "off" | "hit" | "made" | "not_kept", "entry", "replaced_damaged", "bytes", "seconds"}. NULL without
   memory. bytes: of this rank's bins, read or written; seconds: of looking, reading and writing. */
json_t *ns_bin_cache_json(const ns_bin_cache *cache);
#endif
