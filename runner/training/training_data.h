#ifndef NIGHTSHIFT_RUNNER_TRAINING_TRAINING_DATA_H
#define NIGHTSHIFT_RUNNER_TRAINING_TRAINING_DATA_H
/*
 * A table's features on their way into a forest: each column is read once, hashed for the fingerprint, learned (levels,
 * cuts, training distribution) and binned; no more floats are held than one batch of columns.
 */
#include "kernels/forest.h"
#include "runner/training/profile.h"
#include "runner/training/table.h"

/* The training distribution of one feature, the same on every rank. */
typedef struct ns_distribution {
    int64_t n_missing;                 /* training rows */
    float quantile[NS_N_PROFILE_PERCENTS];    /* number */
    int64_t n_values;                  /* number: training rows that are not missing */
    int64_t *level_rows;               /* category: [kept levels] training rows of each level with a bin of its own */
    int64_t n_other;                   /* category: training rows of all other levels */
} ns_distribution;

/* What the bin cache of run.cache (runner/training/bin_cache.h) did for a table. */
typedef enum ns_cache_state { NS_CACHE_OFF = 0, NS_CACHE_HIT, NS_CACHE_MADE, NS_CACHE_NOT_KEPT } ns_cache_state;
typedef struct ns_bin_cache {
    char *folder;      /* run.cache; NULL: off */
    char key[33];      /* of the entry: 32 hex */
    ns_cache_state state;
    bool damaged;      /* an entry was there that could not be used */
    int64_t n_bytes;   /* of this rank's bins */
    double seconds;    /* spent on it */
} ns_bin_cache;

typedef struct ns_training_data {
    ns_device *device;                 /* borrowed */
    ns_forest *forest;                 /* binned, not yet sealed */
    int64_t n_train, n_valid, n_held;  /* this rank's training, validation and test rows: the forest's, in this order */
    int64_t *place;                    /* [table->n_kept] forest row of each kept row, -1: in no part */
    int32_t n_features;
    ns_distribution *distribution;     /* [n_features] */
    int64_t n_infinite;                /* data.infinite: missing: cells made missing, over all ranks */
    int64_t max_patient_rows;          /* most training rows that any patient has, over all ranks */
    int32_t batch;                     /* number columns held at once */
    ns_bin_cache cache;
} ns_training_data;

/*
 * Reads every feature of the table into a new forest, or its bins from the job's bin cache; ends with table->digest known.
 * Collective. NS_EFORMAT (unreadable, infinite values), NS_ENUMERIC (one class), NS_ENOMEM, NS_ESTOPPED. Close in either case.
 */
ns_status ns_training_data_load(ns_training_data *out, ns_table *table, ns_device *device, const ns_forest_settings *settings);
void ns_training_data_close(ns_training_data *data);

/* Bytes that a rank with n_rows rows of this table will hold at its fullest, for check and train. */
int64_t ns_training_data_memory(const ns_table *table, const ns_forest_settings *settings, int64_t n_rows, int64_t n_global);
#endif
