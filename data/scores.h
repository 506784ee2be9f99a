#ifndef NIGHTSHIFT_DATA_SCORES_H
#define NIGHTSHIFT_DATA_SCORES_H
/*
 * A score file (design.md, section 6): HDF5, contiguous, unfiltered, object times off everywhere, library bounds V18.
 * /id, /status (uint8), /risk or /prediction (data/score_values.h), the columns of score.keep; one row for each row in.
 */
#include <stdint.h>

#include "cluster/status.h"
#include "data/cohort.h"
#include "data/score_values.h"
#include "data/texts.h"

typedef enum ns_score_status {
    NS_SCORED = 0, NS_OUTSIDE_COHORT = 1, NS_ID_MISSING = 2, NS_ID_DUPLICATE = 3, NS_VALUE_INFINITE = 4, NS_N_STATUS = 5
} ns_score_status;

/* The root attribute nightshift_scores. */
enum { NS_SCORES_FORMAT = 1 };

/* "scored", "outside_cohort", "id_missing", "id_duplicate", "value_infinite" */
const char *ns_score_status_name(ns_score_status status);

typedef struct ns_keep_column {
    const char *name;
    ns_column_kind kind;
    bool is_text;           /* id */
    const ns_texts *levels; /* category: codes in /keep/NAME, levels in /levels/NAME, as in a cohort */
    int64_t text_bytes;     /* id text: the longest over all rows */
} ns_keep_column;

typedef struct ns_scores_setup {
    const char *path;            /* written directly under this name; the caller renames */
    int64_t n_rows;
    bool id_is_text;
    int64_t id_bytes;            /* text ids: the longest over all rows (at least 1) */
    ns_score_kind kind;
    const ns_texts *classes;     /* NS_SCORE_CLASS_RISKS: in the order of the columns; else NULL */
    const char *name, *version, *bundle_id, *as_of; /* attributes; as_of may be "" */
    const ns_keep_column *keep;
    int32_t n_keep;
} ns_scores_setup;

/* The cells of one block of rows, in file order; borrowed for the call. */
typedef struct ns_scores_block {
    int64_t n_rows;
    const int64_t *id_int;   /* one of the two */
    const ns_texts *id_text;
    const uint64_t *id_word; /* [n_rows] ns_hash64_each of id_text, or NULL: not known yet */
    const uint8_t *status;
    const float *risk;       /* [n_rows], or [n_rows][classes->n]; risks or predictions */
    const void *const *keep; /* [n_keep] float *, int32_t * codes, int64_t * (time, int id) or ns_texts * (text id) */
} ns_scores_block;

/*
 * Open makes the file with room for all rows; append adds blocks of any size, in order, without a call of HDF5: it may run beside
 * other uses of that. All local.
 * NS_EIO: cannot create or write, a text longer than was announced. NS_EINVAL: more rows than announced, unknown status.
 * NS_ENOMEM. Test hook (data/durable.h): write:scores, sync:scores.
 */
typedef struct ns_scores_writer ns_scores_writer;
ns_status ns_scores_writer_open(ns_scores_writer **out, const ns_scores_setup *setup);
ns_status ns_scores_writer_append(ns_scores_writer *writer, const ns_scores_block *block);
/* Writes the attribute reasons (counts by status), closes every object, syncs, reads back and compares the content hash.
   content: 65 bytes: BLAKE2b-256 hex over (id cell, status byte, bits of all of the row's risks or its prediction little-endian, one NaN) in row order, an id cell being 8 bytes as in a fingerprint.
   Fails with NS_EIO (also after any failure before), NS_EINVAL where rows are lacking; the file is removed then. */
ns_status ns_scores_writer_finish(ns_scores_writer *writer, char content[65]);
void ns_scores_writer_close(ns_scores_writer **writer); /* unfinished: deletes the file */

typedef struct ns_scores_info {
    int64_t n_rows, counts[NS_N_STATUS];
    ns_score_kind kind;
    int32_t n_values; /* of a row: 1, or the classes */
    char name[256], version[64], bundle_id[65], as_of[32], content[65];
} ns_scores_info;

/* Reads a score file block by block and recomputes its content hash. NS_EVERIFY: absent, not a score file, torn, counts that
   differ from the attribute reasons. NS_ENOMEM. */
ns_status ns_scores_inspect(ns_scores_info *out, const char *path);

/* Whether a file is a score file, without reading its rows. */
bool ns_scores_is(const char *path);
#endif
