#ifndef NIGHTSHIFT_RUNNER_TRAINING_TABLE_H
#define NIGHTSHIFT_RUNNER_TRAINING_TABLE_H
/*
 * The training or evaluation table of a job: the cohort's rows that `where` and the label keep, cut into shards, with
 * label, weight, patient and part of each. Features are read later, by those who use them (training_data.h, rater.h);
 * the fingerprint is shared, so that every column used is hashed once.
 */
#include <mpi.h>

#include "data/cohort.h"
#include "data/fingerprint.h"
#include "data/shard.h"
#include "data/split.h"
#include "jobs/job.h"
#include "kernels/forest.h"
#include "runner/features.h"
#include "runner/filter.h"
#include "runner/training/parts.h"

typedef struct ns_table {
    MPI_Comm comm;
    const ns_job *job;
    const char *cohort_key;  /* the option that names the files */
    ns_cohort *cohort;
    ns_objective objective; /* the job's; who evaluates a bundle sets its own before ns_table_read */
    const ns_texts *known_classes; /* multiclass: a bundle's, set before ns_table_read; NULL: the job's, or those of the rows */
    ns_texts classes;      /* multiclass: after ns_table_read */
    ns_features features;
    ns_filter *filter;
    int32_t id, group, time, weight_column, label_column, split_column; /* of the cohort; -1: none */

    /* Columns used, in name order: the fingerprint's. */
    int32_t n_used;
    int32_t *used;         /* [n_used] columns of the cohort */
    ns_fingerprint *fingerprint;
    char (*digests)[65];   /* [n_used] after ns_table_fingerprint */
    char digest[65];       /* of the table */

    ns_shard shard;
    int64_t n_kept;        /* this shard's rows that belong, in order; the arrays below are [n_kept] */
    int64_t *row;          /* global row number */
    float *label;          /* as runner/training/label.h says, never missing */
    float *weight;         /* NULL: 1 */
    ns_hash128 *patient;   /* {0, 0}: a patient of its own */
    uint8_t *part;         /* ns_part */
    uint8_t *left;         /* ns_left_out; NULL: the split uses no time */

    int64_t n_rows_global, n_kept_global, n_outside_global, n_unlabelled_global;
    int64_t n_part_local[4], n_part_global[4], n_events_global[4];
    ns_part_counts parts;
} ns_table;

typedef enum ns_table_use { NS_TABLE_TRAIN, NS_TABLE_EVALUATE } ns_table_use;

/*
 * Opens the cohort and settles the roles of its columns.
 *   cohort_key  in  "data.cohort" or "evaluate.cohort"
 * Collective. NS_EINVAL (options missing or at odds), NS_EFORMAT (files, columns, kinds), NS_ENOMEM. The table must be
 * closed with ns_table_close in either case; start from a zeroed one.
 */
ns_status ns_table_open(ns_table *table, const ns_job *job, const char *cohort_key, ns_table_use use, MPI_Comm comm);

/* What can be told of label and split before any row is read, for check: levels and numbers that the columns cannot have.
   Collective. NS_EINVAL, NS_EFORMAT, NS_ENOMEM. */
ns_status ns_table_check_rules(const ns_table *table);

/*
 * Reads label, weight, group, id and the columns of `where`; cuts the shards; finds duplicate ids and torn patients.
 * For NS_TABLE_EVALUATE every kept row is a test row unless data.cohort itself is evaluated.
 * Collective. NS_EFORMAT: bad values, labels that are none (runner/training/label.h), no rows kept, duplicate ids, a split column that tears a patient, patients that return in
 * a later part where the job forbids it. NS_ENOMEM.
 */
ns_status ns_table_read(ns_table *table, ns_table_use use);

/* The first kept row at or after a row of the cohort: an index into the arrays above. Local. */
int64_t ns_table_kept_from(const ns_table *table, int64_t row);

/* Index of a cohort column among `used`, for the fingerprint; -1: not used. */
int32_t ns_table_used_index(const ns_table *table, int32_t column);

/*
 * Adds a column's rows to the fingerprint from values that the caller has read: number or words, see data/fingerprint.h.
 * level_words: [levels + 1] ns_hash64 of each level, made by ns_level_words; the last is 0, so that there is a first.
 */
ns_status ns_level_words(uint64_t **out, const ns_texts *levels);

/* Reads a column's rows and adds them to the fingerprint; for columns that nobody else reads. Local. */
ns_status ns_hash_column(ns_fingerprint *fingerprint, int32_t index, ns_cohort *cohort, int32_t column, int64_t first, int64_t n);

/* After all used columns were added: digests and digest. Collective. */
ns_status ns_table_fingerprint(ns_table *table);

void ns_table_close(ns_table *table);

/* Numbers that a model of this table gives for a row: classes, or 1. After ns_table_read. */
static inline int32_t ns_table_outputs(const ns_table *table)
{
    return table->objective == NS_MULTICLASS ? (int32_t)table->classes.n : 1;
}

/* Rows a reader takes at once: a multiple of NS_BLOCK_ROWS and the default chunk. */
enum { NS_SLAB_ROWS = 65536 };
#endif
