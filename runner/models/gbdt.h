#ifndef NIGHTSHIFT_RUNNER_MODELS_GBDT_H
#define NIGHTSHIFT_RUNNER_MODELS_GBDT_H
/* Boosted trees between a job and kernels/forest.h. */
#include "jobs/job.h"
#include "kernels/forest.h"
#include "runner/models/gbdt_file.h"
#include "runner/training/table.h"

/* The settings of kernels/forest.h that a job asks for. multiclass: n_classes is 0, known only after a look at the rows. */
ns_forest_settings ns_gbdt_settings(const ns_job *job);

/*
 * A model of the trees of the first n_rounds rounds over a table's features; everything is copied.
 *   forest  in  whose cuts and base hold
 * Local. NS_ENOMEM. Freed with ns_gbdt_destroy.
 */
ns_status ns_gbdt_assemble(ns_gbdt_model **out, const ns_table *table, const ns_device *device, const ns_forest *forest,
                           const ns_trees *trees, int64_t n_rounds);
#endif
