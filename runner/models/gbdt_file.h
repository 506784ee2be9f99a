#ifndef NIGHTSHIFT_RUNNER_MODELS_GBDT_FILE_H
#define NIGHTSHIFT_RUNNER_MODELS_GBDT_FILE_H
/*
 * The tree model in memory, and as model.safetensors: what a bundle and a checkpoint hold. The format, tensor
 * by tensor, and how to score from it are in runner/models/README.md. Equal models give equal bytes.
 */
#include <jansson.h>

#include "data/encoding.h"
#include "data/safetensors.h"
#include "kernels/forest.h"
#include "kernels/trees.h"

/* Owns all its memory. Features stand in ascending bytewise order of name. */
typedef struct ns_gbdt_model {
    ns_objective objective;
    double quantile;      /* objective quantile: in (0, 1); else 0 */
    int numerics_version; /* kernels/numerics.h of the program that trained it */
    int32_t n_outputs;    /* multiclass: classes; else 1. Tree t belongs to output t % n_outputs */
    int64_t *base;        /* [n_outputs] margins before the first tree, in units of 2^-k */
    int32_t k;
    ns_texts classes;     /* multiclass: [n_outputs] in the order of labels; else empty */
    int32_t n_features;     /* > 0 */
    char **names;           /* [n_features] */
    ns_feature_kind *kinds; /* [n_features] */
    float **cuts;           /* [n_features] number: finite, strictly ascending; category: NULL or empty */
    int32_t *n_cuts;        /* [n_features] number: 0..254; category: 0 */
    int32_t *n_bins;        /* [n_features] number: n_cuts + 2; category: levels + 2 */
    ns_encoding *encodings; /* [n_features] category: its levels; number: none */
    ns_trees *trees;
} ns_gbdt_model;

/*
 * A binary model without trees, of base 0, whose n_features features are still unset.
 *   out  out  destroyed with ns_gbdt_destroy; NULL on failure
 * Local. NS_ENOMEM.
 */
ns_status ns_gbdt_create(ns_gbdt_model **out, int32_t n_features);
void ns_gbdt_destroy(ns_gbdt_model **model);

/* Makes it multiclass, with these classes and bases of 0. Copied. Local. NS_ENOMEM. */
ns_status ns_gbdt_set_classes(ns_gbdt_model *model, const ns_texts *classes);

/* Sets feature f; everything is copied. levels: sorted by bytes, without repeats. Local. NS_ENOMEM. */
ns_status ns_gbdt_set_number(ns_gbdt_model *model, int32_t f, const char *name, const float *cuts,
                             int32_t n_cuts);
ns_status ns_gbdt_set_category(ns_gbdt_model *model, int32_t f, const char *name, const ns_texts *levels);

/* What a checkpoint holds beside the model; written behind the model's own entries. All borrowed. */
typedef struct ns_gbdt_extra {
    const char *const *metadata; /* [2 * n_metadata] key, value, …; no key of the model's */
    int32_t n_metadata;
    const ns_tensor *tensors; /* no name of the model's */
    int32_t n_tensors;
} ns_gbdt_extra;

/*
 *   bytes  out  the whole file, freed by the caller; NULL on failure
 * Local. NS_ENOMEM.
 */
ns_status ns_gbdt_build(const ns_gbdt_model *model, uint8_t **bytes, size_t *n_bytes);
ns_status ns_gbdt_build_with(const ns_gbdt_model *model, const ns_gbdt_extra *extra, uint8_t **bytes,
                             size_t *n_bytes);

/*
 * A model from a file's bytes. Nothing in the file is trusted: what is accepted can be walked for any row.
 *   out   out  destroyed with ns_gbdt_destroy; NULL on failure
 *   name  in   of the file, for messages
 * Local. Fails with
 *   NS_EVERIFY  not safetensors, not such a model, or holding what no model can have; names tensor and place
 *   NS_EINVAL   a format_version or numerics_version newer than this program's
 *   NS_ENOMEM
 */
ns_status ns_gbdt_parse(ns_gbdt_model **out, const uint8_t *bytes, size_t n_bytes, const char *name);

/* The same from a file already open, whose extra entries the caller reads itself. */
ns_status ns_gbdt_read(ns_gbdt_model **out, const ns_safetensors *file, const char *name);

/*
 * Whether a model is one that this header describes and that every row can walk: features, and trees as
 * kernels/trees.h has them. Local. NS_EVERIFY, NS_ENOMEM. ns_gbdt_read ends with it.
 */
ns_status ns_gbdt_check(const ns_gbdt_model *model, const char *name);

/*
 * [{"feature", "gain", "splits"}]: sum of gains and number of splits of every feature, by falling gain, then
 * by name. Doubles are summed in the order of the nodes. NULL without memory.
 */
json_t *ns_gbdt_importance(const ns_gbdt_model *model);
#endif
