#ifndef NIGHTSHIFT_DATA_ENCODING_H
#define NIGHTSHIFT_DATA_ENCODING_H
/*
 * Categories of a cohort to bins of a model (kernels/trees.h says what bins 0 and 1 mean). A level has a bin of its own,
 * from 2 on in bytewise order of its text, when it has at least min_rows training rows (and at least one) and min_patients
 * training patients; of more than 65,534 such levels (so that every bin fits 16 bits) the most frequent keep theirs (ties:
 * bytewise first). All others are "other". Pure.
 */
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"

enum { NS_BIN_MISSING = 0, NS_BIN_OTHER = 1, NS_BIN_FIRST_LEVEL = 2, NS_MAX_LEVELS = 65534 };

typedef struct ns_encoding {
    ns_texts levels; /* kept, sorted by bytes; level i has bin i + 2 */
} ns_encoding;

/*
 *   levels       in   the cohort's, sorted by bytes
 *   rows         in   [levels->n] training rows of each level, over all ranks
 *   patients     in   [levels->n] training patients of each level, or NULL: not asked
 *   n_dropped    out  levels beyond NS_MAX_LEVELS that had enough rows; may be NULL
 * NS_ENOMEM.
 */
ns_status ns_encoding_learn(ns_encoding *out, const ns_texts *levels, const int64_t *rows, const int64_t *patients,
                            int64_t min_rows, int64_t min_patients, int64_t *n_dropped);
void ns_encoding_destroy(ns_encoding *encoding);

/* bin_of[i]: the bin of level i of a cohort's level list; levels the model never saw get NS_BIN_OTHER. */
void ns_encoding_map(const ns_encoding *encoding, const ns_texts *cohort_levels, int32_t *bin_of);

/* bins[i] = codes[i] < 0 ? NS_BIN_MISSING : bin_of[codes[i]]. codes and bins may be the same memory. */
void ns_encoding_apply(const int32_t *bin_of, const int32_t *codes, int64_t n, int32_t *bins);
#endif
