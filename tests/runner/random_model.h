#ifndef NIGHTSHIFT_TESTS_RUNNER_RANDOM_MODEL_H
#define NIGHTSHIFT_TESTS_RUNNER_RANDOM_MODEL_H
/*
 * Tree models drawn from a seed: numbers with many, one and no cuts, categories with 0, 3 and 70 levels,
 * trees of one leaf and of many nodes.
 */
#include "runner/models/gbdt_file.h"

enum { RANDOM_N_FEATURES = 6, RANDOM_MOST_LEVELS = 70 };

/* A model of n_trees trees, each of at most 2 * most_splits + 1 nodes. Fails the test without memory. */
ns_gbdt_model *random_model(uint64_t seed, int64_t n_trees, int32_t most_splits);

/* The text of level i of a category of n levels; buffer holds 24 bytes. */
const char *random_level(char *buffer, int i);
#endif
