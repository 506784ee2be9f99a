#ifndef NIGHTSHIFT_RUNNER_MODELS_GBDT_NAMES_H
#define NIGHTSHIFT_RUNNER_MODELS_GBDT_NAMES_H
/* The tensors of model.safetensors (runner/models/README.md says what each holds). */
#define TREE_FIRST         "tree.first"
#define NODE_FEATURE       "node.feature"
#define NODE_RIGHT         "node.right"
#define NODE_THRESHOLD     "node.threshold"
#define NODE_SET           "node.set"
#define NODE_MISSING_LEFT  "node.missing_left"
#define NODE_LEAF          "node.leaf"
#define NODE_GAIN          "node.gain"
#define NODE_ROWS          "node.rows"
#define SET_WORDS          "set.words"
#define FEATURE_KIND       "feature.kind"
#define FEATURE_NAME_FIRST "feature.name_first"
#define FEATURE_NAME_BYTES "feature.name_bytes"
#define CUT_FIRST          "cut.first"
#define CUT_VALUES         "cut.values"
#define LEVEL_FIRST        "level.first"
#define LEVEL_BYTE_FIRST   "level.byte_first"
#define LEVEL_BYTES        "level.bytes"
/* Only where there is more than one output. */
#define OUTPUT_BASE      "output.base"
#define CLASS_BYTE_FIRST "class.byte_first"
#define CLASS_BYTES      "class.bytes"
enum { N_TENSORS = 21 };

/* Margins of regression and quantile are in units of the labels' own size: float32 has exponents from -149 to 127. */
enum { NS_LEAST_FREE_K = -128, NS_MOST_FREE_K = 192 };
#endif
