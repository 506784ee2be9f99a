#ifndef NIGHTSHIFT_RUNNER_TRAINING_LOAD_H
#define NIGHTSHIFT_RUNNER_TRAINING_LOAD_H
/*
 * What the sources of runner/training/training_data.h share: training_data.c (the whole), load_categories.c, load_numbers.c.
 * Nobody else includes it.
 */
#include "runner/training/forest_rows.h"
#include "runner/training/training_data.h"

typedef struct ns_load {
    ns_training_data *out;
    ns_table *table;
    const ns_forest_settings *settings;
    ns_forest_rows rows;
    int64_t n_local;      /* rows of the forest: n_train + n_valid + n_held */
    int32_t **codes;      /* [features] category: codes, then bins, of the forest's rows */
    ns_hash128 *patient;  /* [n_train] of the forest's training rows; NULL: each is a patient of its own. Until levels are learned */
    int64_t *row_number;
    float *label, *weight; /* by forest row, training and validation rows only */
    int64_t slab_rows;    /* read at once, so that every thread has a chunk to decode */
    void *slab;           /* [slab_rows] cells of 8 bytes */
} ns_load;

/* Rows of the slab that begins at a row of the cohort. */
int64_t ns_load_rows_at(const ns_load *l, int64_t at);

/* Threads take a slab's rows in pieces that stay in the cache, of as many blocks as are hashed side by side. */
enum { NS_LOAD_PIECE = NS_FOREST_ROWS_PIECE };

/* Reads the category columns, learns which levels get bins of their own, and turns codes into bins. Collective.
   NS_EFORMAT, NS_ENOMEM, NS_ESTOPPED. */
ns_status ns_load_categories(ns_load *l);

/* Puts these bins into the forest and frees them. Local. */
ns_status ns_load_category_bins(ns_load *l);

/* Reads, counts and bins the number columns. Collective. NS_EFORMAT, NS_ENOMEM, NS_ESTOPPED. */
ns_status ns_load_numbers(ns_load *l);

/* Number columns held at once: the same on all ranks, so it comes from the fullest one. */
int32_t ns_load_batch(int64_t most_rows);
#endif
