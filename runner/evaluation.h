#ifndef NIGHTSHIFT_RUNNER_EVALUATION_H
#define NIGHTSHIFT_RUNNER_EVALUATION_H
/* A model on the labelled rows of a table: risks from its files, metrics of a part for all and for every subgroup. */
#include <jansson.h>

#include "cluster/int128.h"
#include "kernels/device.h"
#include "runner/models/gbdt_file.h"
#include "runner/training/table.h"
#include "runner/training/training_data.h"

/*
 * Risks of the table's kept rows, from its files; all features' rows are added to the table's fingerprint on the way, also
 * those that the model does not use.
 *   risk  out  [table->n_kept][model->n_outputs] risks or predictions
 * Collective. NS_EFORMAT (unreadable, infinite where that is refused, a column that the model needs is absent), NS_ENOMEM.
 */
ns_status ns_table_risks(ns_table *table, const ns_gbdt_model *model, ns_device *device, float *risk);

/*
 * Metrics of one part from its risks: for all rows, and "subgroups" for every level of the job's evaluate.subgroups.
 *   out  out  rank 0: a new object; other ranks: NULL
 * Collective. NS_ENOMEM, NS_EFORMAT.
 */
ns_status ns_table_metrics(json_t **out, ns_table *table, const float *risk, ns_part part);

/*
 * The sum over validation rows with an event of 2 * (other rows at lower risk) + (other rows at the same risk): AUROC times
 * twice events times others, exactly. Greater is better.
 *   out  out  the same on every rank
 * Collective. NS_ENOMEM.
 */
ns_status ns_valid_placements(ns_i128 *out, const ns_table *table, const ns_training_data *data);
#endif
