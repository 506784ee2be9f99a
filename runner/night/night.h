#ifndef NIGHTSHIFT_RUNNER_NIGHT_NIGHT_H
#define NIGHTSHIFT_RUNNER_NIGHT_NIGHT_H
/*
 * Scoring a cohort with a bundle: duplicate ids are looked for first, then waves of slabs get their statuses and are
 * scored on all ranks and handed to rank 0 in the table's order. Used by `score` and by `verify --gold`.
 */
#include "data/scores.h"
#include "data/stripes.h"
#include "kernels/device.h"
#include "runner/bundle.h"
#include "runner/filter.h"
#include "runner/rater.h"

/* Wall seconds of this rank by stage: looking for duplicates and the longest texts; reading and decoding; hashing for the
   fingerprint; binning and scoring; on rank 0 handing rows on: for `score`, reading what is kept, what writing and the content hash
   take longer than the next wave's reading and scoring beside them, sync, reading back. */
typedef struct ns_night_seconds {
    double prepare, read, hash, score, write;
} ns_night_seconds;

typedef struct ns_night {
    MPI_Comm comm;
    const ns_bundle *bundle;
    ns_cohort *cohort;
    ns_filter *filter;
    ns_rater *rater;
    int32_t id;              /* column, -1: the row number is the id */
    int32_t n_keep;
    int32_t *keep;           /* [n_keep] columns copied into the score file */
    int32_t *features;       /* [model features] columns, -1: absent */
    int32_t n_used;
    int32_t *used;           /* [n_used] all of the above and those of `where`, in name order */
    int32_t *used_of_feature;/* [model features] index into used, for the fingerprint; -1: absent */
    ns_stripes stripes;
    ns_fingerprint *fingerprint;
    char (*digests)[65];
    char digest[65];
    uint8_t *outside;        /* bit w * slab_rows + i: row i of this rank's slab of wave w is not of the cohort (`where`) ... */
    int64_t n_waves_filtered;/* ... known for so many waves from the first on: `where` is evaluated once a row */
    uint8_t *duplicate;      /* likewise: its id is there twice */
    int64_t counts[NS_N_STATUS]; /* over all ranks, after ns_night_score */
    int64_t id_bytes;        /* longest text id of the table */
    int64_t *keep_bytes;     /* [n_keep] likewise */
    ns_night_seconds seconds;
} ns_night;

/* What a night is made of. */
typedef struct ns_night_plan {
    const ns_bundle *bundle;
    const ns_job *job;       /* for messages: where id and keep stand */
    const ns_job *where_job; /* whose expression holds: the job's score.where, or the bundle's data.where */
    const char *where_key;
    const char *id_name;     /* NULL: row numbers */
    const char *const *keep; /* names */
    int64_t n_keep;
    ns_layout layout;
    ns_absent absent;        /* what an absent feature is: an error, or missing */
    bool names_unknown;      /* levels that the model does not know are counted (ns_night_unknown) */
} ns_night_plan;

/*
 * Opens the cohort and finds its columns.
 *   files  in  rank 0: expanded list; other ranks: NULL
 * Collective. NS_EFORMAT, NS_EINVAL, NS_ENOMEM. Close in either case; start from a zeroed one.
 */
ns_status ns_night_open(ns_night *night, const ns_texts *files, const ns_night_plan *plan, ns_device *device, MPI_Comm comm);

/* The fingerprint of the columns used, without scoring: digest and digests. Collective. NS_EFORMAT, NS_ENOMEM. */
ns_status ns_night_fingerprint(ns_night *night);

/* Duplicate ids, and the longest texts: id_bytes and keep_bytes. One bit a row stays. Collective. NS_EFORMAT, NS_ENOMEM, NS_ESTOPPED. */
ns_status ns_night_prepare(ns_night *night);

/* Rows on their way out; they stay as they are until the next call of take. */
typedef struct ns_night_rows {
    int64_t first, n;        /* global rows [first, first + n) */
    const uint8_t *status;   /* [n] */
    const float *risk;       /* [n][n_outputs] risks or predictions, NaN where not scored */
    const int64_t *id_int;   /* [n] or NULL */
    const ns_texts *id_text; /* n or NULL; with both NULL the ids were not read, for another rank had these rows */
    const uint64_t *id_word; /* [n] ns_hash64 of text ids, or NULL */
} ns_night_rows;

/*
 * After ns_night_prepare: statuses and risks, slab by slab. On rank 0 `take` gets every row once, in order, and NULL at the end, also
 * after a failure: no rows may be in use when it returns from that. It may fail; then all ranks fail. Ends with counts and digest known. Collective. NS_EFORMAT, NS_ENOMEM, NS_ESTOPPED, what take gives.
 */
typedef ns_status (*ns_night_take)(void *context, const ns_night_rows *rows);
ns_status ns_night_score(ns_night *night, ns_night_take take, void *context);

/* After ns_night_score, where the plan asked for it: the sums over all ranks of ns_rater_unknown for a feature; NULL: the model
   knows every level. Borrowed. */
const int64_t *ns_night_unknown(const ns_night *night, int32_t feature);

/* The name of the stage that took longest: what a faster night would have to begin with. */
const char *ns_night_bound(const ns_night_seconds *seconds);

void ns_night_close(ns_night *night);

/*
 * What a rank of a night takes beside the libraries and the model: two slabs, one on its way out, and for each of its rows the bits
 * and the hash of the id. Measured: 95 MB in all for 400,000 rows of 200 columns, 48 MB for 3,000,000 rows of 5. Pure.
 *   n_rows  in  of this rank
 */
int64_t ns_night_memory(int64_t n_rows);
#endif
