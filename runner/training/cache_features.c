#include "runner/training/cache_features.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST = 32 };

static void count_features(ns_cache_entry *entry, const ns_training_data *data, const ns_table *table)
{
    for (int32_t f = 0; f < table->features.n; f++) {
        const ns_feature *feature = &table->features.list[f];
        const float *cuts;
        int32_t n_cuts;
        if (feature->kind == NS_CATEGORY) {
            const ns_texts *levels = &feature->encoding.levels;
            entry->n_levels += levels->n;
            entry->n_level_bytes += levels->n > 0 ? levels->offset[levels->n] : 0;
        } else {
            data->device->forest->cuts(data->forest, f, &cuts, &n_cuts);
            entry->n_cuts += n_cuts;
        }
    }
}

static void take_category(ns_cache_entry *entry, int32_t f, const ns_texts *levels, const ns_distribution *d)
{
    int64_t at = entry->level_first[f], byte = entry->level_byte_first[at];
    for (int64_t i = 0; i < levels->n; i++) {
        entry->level_rows[at + i] = d->level_rows[i];
        entry->level_byte_first[at + i + 1] = byte + levels->offset[i + 1];
    }
    if (levels->n > 0) memcpy(entry->level_bytes + byte, levels->bytes, (size_t)levels->offset[levels->n]);
    entry->level_first[f + 1] = at + levels->n;
}

ns_status ns_cache_features_of(ns_cache_entry *entry, const ns_training_data *data, const ns_table *table, int64_t n_parts, int64_t n_sums)
{
    *entry = (ns_cache_entry){.n_features = table->features.n, .n_parts = n_parts, .n_sums = n_sums, .n_infinite = data->n_infinite};
    count_features(entry, data, table);
    NS_TRY(ns_cache_entry_take(entry));
    for (int32_t f = 0; f < table->features.n; f++) {
        const ns_feature *feature = &table->features.list[f];
        const ns_distribution *d = &data->distribution[f];
        int64_t *counts = entry->counts + (int64_t)f * NS_N_CACHE_COUNTS;
        entry->cut_first[f + 1] = entry->cut_first[f];
        entry->level_first[f + 1] = entry->level_first[f];
        if (feature->kind == NS_CATEGORY) {
            take_category(entry, f, &feature->encoding.levels, d);
        } else {
            const float *cuts;
            int32_t n_cuts;
            data->device->forest->cuts(data->forest, f, &cuts, &n_cuts);
            memcpy(entry->cut + entry->cut_first[f], cuts, (size_t)n_cuts * sizeof *cuts);
            entry->cut_first[f + 1] += n_cuts;
        }
        counts[NS_CACHE_MISSING] = d->n_missing;
        counts[NS_CACHE_VALUES] = d->n_values;
        counts[NS_CACHE_OTHER] = d->n_other;
        memcpy(entry->quantile + (int64_t)f * NS_N_PROFILE_PERCENTS, d->quantile, sizeof d->quantile);
        const char *hex = table->digests[ns_table_used_index(table, feature->column)];
        sodium_hex2bin(entry->digest + (int64_t)f * DIGEST, DIGEST, hex, 2 * DIGEST, NULL, NULL, NULL);
    }
    return NS_OK;
}

/* Levels and their rows. */
static bool set_category(const ns_cache_entry *entry, int32_t f, ns_feature *feature, ns_distribution *d)
{
    int64_t first = entry->level_first[f], n = entry->level_first[f + 1] - first;
    d->level_rows = calloc((size_t)n + 1, sizeof *d->level_rows);
    if (d->level_rows == NULL) return false;
    for (int64_t i = 0; i < n; i++) {
        int64_t byte = entry->level_byte_first[first + i];
        if (ns_texts_append(&feature->encoding.levels, entry->level_bytes + byte, entry->level_byte_first[first + i + 1] - byte) != NS_OK)
            return false;
        d->level_rows[i] = entry->level_rows[first + i];
    }
    return true;
}

bool ns_cache_features_set(const ns_cache_entry *entry, ns_training_data *data, ns_table *table)
{
    bool fits = entry->n_features == table->features.n;
    int64_t max_bins = ns_job_integer(table->job, "model.max_bins");
    for (int32_t f = 0; f < table->features.n && fits; f++) {
        ns_feature *feature = &table->features.list[f];
        ns_distribution *d = &data->distribution[f];
        const int64_t *counts = entry->counts + (int64_t)f * NS_N_CACHE_COUNTS;
        d->n_missing = counts[NS_CACHE_MISSING];
        d->n_values = counts[NS_CACHE_VALUES];
        d->n_other = counts[NS_CACHE_OTHER];
        memcpy(d->quantile, entry->quantile + (int64_t)f * NS_N_PROFILE_PERCENTS, sizeof d->quantile);
        if (feature->kind == NS_CATEGORY) fits = entry->cut_first[f + 1] == entry->cut_first[f] && set_category(entry, f, feature, d);
        else fits = entry->level_first[f + 1] == entry->level_first[f] && entry->cut_first[f + 1] - entry->cut_first[f] < max_bins;
    }
    if (fits) return true;
    ns_error_clear();
    ns_cache_features_forget(data, table);
    return false;
}

void ns_cache_features_forget(ns_training_data *data, ns_table *table)
{
    for (int32_t f = 0; f < table->features.n; f++) {
        free(data->distribution[f].level_rows);
        memset(&data->distribution[f], 0, sizeof data->distribution[f]);
        ns_encoding_destroy(&table->features.list[f].encoding);
    }
}

void ns_cache_features_put_cuts(const ns_cache_entry *entry, const ns_training_data *data, const ns_table *table)
{
    for (int32_t f = 0; f < table->features.n; f++)
        if (table->features.list[f].kind == NS_NUMBER)
            data->device->forest->put_cuts(data->forest, f, entry->cut + entry->cut_first[f], (int32_t)(entry->cut_first[f + 1] - entry->cut_first[f]));
}

void ns_cache_features_know(const ns_cache_entry *entry, ns_table *table)
{
    for (int32_t f = 0; f < table->features.n; f++)
        ns_fingerprint_know(table->fingerprint, ns_table_used_index(table, table->features.list[f].column), entry->digest + (int64_t)f * DIGEST);
}
