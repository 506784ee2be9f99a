#ifndef NIGHTSHIFT_RUNNER_TRAINING_PROGRESS_H
#define NIGHTSHIFT_RUNNER_TRAINING_PROGRESS_H
/*
 * Where a training stands: which round was best so far, and when to stop. Pure; the same on every rank, since it sees
 * only global sums.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster/int128.h"
#include "cluster/status.h"

typedef struct ns_progress {
    int64_t n_rounds;      /* done */
    int64_t best_round;    /* rounds up to the best one; 0: none yet */
    ns_i128 best_value;    /* smaller is better: a loss sum, or minus a sum of placements */
    int64_t stop_after;    /* 0: no early stopping */
} ns_progress;

/* Notes a finished round's value; only a strictly smaller one is better, so the first of equals is kept. */
void ns_progress_note(ns_progress *progress, ns_i128 value);

/* Whether stop_after rounds have passed since the best one. */
bool ns_progress_exhausted(const ns_progress *progress);

/* Rounds that belong into the bundle: up to the best one with early stopping, else all. */
int64_t ns_progress_bundle_rounds(const ns_progress *progress);

/* As part of a checkpoint's manifest, and back. NULL without memory; NS_EVERIFY. */
json_t *ns_progress_json(const ns_progress *progress);
ns_status ns_progress_parse(ns_progress *out, const json_t *json);
#endif
