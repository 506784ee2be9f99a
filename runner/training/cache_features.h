#ifndef NIGHTSHIFT_RUNNER_TRAINING_CACHE_FEATURES_H
#define NIGHTSHIFT_RUNNER_TRAINING_CACHE_FEATURES_H
/* What a table's features have learned, as an entry of a bin cache, and back. */
#include "runner/training/cache_entry.h"
#include "runner/training/table.h"
#include "runner/training/training_data.h"

/* From loaded features; members about rows are left 0. entry is zeroed before; table->digests is known. NS_ENOMEM. Local. */
ns_status ns_cache_features_of(ns_cache_entry *entry, const ns_training_data *data, const ns_table *table, int64_t n_parts, int64_t n_sums);

/* Encodings and distributions of the features. False: the entry has not this table's features, or no memory; then nothing
   is set. Local. */
bool ns_cache_features_set(const ns_cache_entry *entry, ns_training_data *data, ns_table *table);

/* Takes those back, for features that are to be learned after all. Local. */
void ns_cache_features_forget(ns_training_data *data, ns_table *table);

/* The cuts of the number features into the forest, which was created with those encodings. Local. */
void ns_cache_features_put_cuts(const ns_cache_entry *entry, const ns_training_data *data, const ns_table *table);

/* The features' parts of the table's fingerprint. Local. */
void ns_cache_features_know(const ns_cache_entry *entry, ns_table *table);
#endif
