#ifndef NIGHTSHIFT_DATA_SCORE_VALUES_H
#define NIGHTSHIFT_DATA_SCORE_VALUES_H
/*
 * The numbers of a score file: /risk [n] (binary), /risk [n, k] with the attribute `classes` (k fixed-length UTF-8 texts, in the
 * order of the columns), or /prediction [n]; float32, contiguous, unfiltered, NaN (one) where not scored. All local.
 */
#include <hdf5.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"

typedef enum ns_score_kind { NS_SCORE_RISK = 0, NS_SCORE_CLASS_RISKS, NS_SCORE_PREDICTION } ns_score_kind;

/* "risk" or "prediction": the name of the data set. */
const char *ns_score_kind_link(ns_score_kind kind);

/* NaN as one pattern. */
uint32_t ns_score_bits(float value);

/*
 * Makes the data set with its place in the file, nothing written to it (data/raw_rows.h does).
 *   classes  in  NS_SCORE_CLASS_RISKS: their texts; else NULL
 * NS_EIO, NS_ENOMEM.
 */
ns_status ns_score_values_create(hid_t *out, hid_t file, ns_score_kind kind, const ns_texts *classes, int64_t n_rows, const char *path);

/*
 * Opens whichever is there; n_rows rows.
 *   kind, k  out  k is the numbers of a row: 1, or the classes
 *   classes  out  their texts, freed by the caller; empty for others
 * NS_EVERIFY: none, more than one, of another shape or type, classes that do not fit. NS_ENOMEM. *out is open or -1.
 */
ns_status ns_score_values_open(hid_t *out, ns_score_kind *kind, int32_t *k, ns_texts *classes, hid_t file, int64_t n_rows, const char *path);
ns_status ns_score_values_read(hid_t dataset, int64_t first, int64_t n, int32_t k, float *values, const char *path);
#endif
