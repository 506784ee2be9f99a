#ifndef NIGHTSHIFT_RUNNER_TRAINING_TRAINING_RISKS_H
#define NIGHTSHIFT_RUNNER_TRAINING_TRAINING_RISKS_H
/*
 * What a model gives for the rows that it was trained, validated and tested on, from the margins and bins that the forest
 * holds: no file is read again, and no row walks through trees that it went through in training. A bin stands for all values in it, since the model's cuts are the forest's; so the risks are those of
 * ns_table_risks (runner/evaluation.h), bit by bit.
 */
#include "runner/models/gbdt_file.h"
#include "runner/training/table.h"
#include "runner/training/training_data.h"

/* Whether the margins that the forest holds of training and validation rows are the model's: its rounds are all that were run. */
typedef enum ns_margins { NS_MARGINS_OF_MODEL, NS_MARGINS_OF_MORE_ROUNDS } ns_margins;

/*
 *   model  in   its features, cuts and levels are the table's (ns_gbdt_assemble)
 *   risk   out  [table->n_kept][model->n_outputs] risks or predictions; NaN for rows in no part
 * Collective. NS_ENOMEM, NS_ESTOPPED.
 */
ns_status ns_training_risks(const ns_training_data *data, const ns_table *table, const ns_gbdt_model *model, ns_margins margins,
                            float *risk);
#endif
