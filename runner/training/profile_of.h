#ifndef NIGHTSHIFT_RUNNER_TRAINING_PROFILE_OF_H
#define NIGHTSHIFT_RUNNER_TRAINING_PROFILE_OF_H
/* The profile of a training: what training_data.h learned of the features, and the risks or predictions of the training rows. */
#include <jansson.h>

#include "runner/training/training_data.h"

/*
 *   risk  in   [table->n_kept][n_outputs] risks or predictions
 *   out   out  rank 0: owned by the caller; other ranks: NULL
 * Collective. NS_ENOMEM, NS_EFORMAT (a level or name that is not UTF-8).
 */
ns_status ns_profile_of(json_t **out, const ns_table *table, const ns_training_data *data, const float *risk);
#endif
