#ifndef NIGHTSHIFT_RUNNER_OBJECTIVE_H
#define NIGHTSHIFT_RUNNER_OBJECTIVE_H
/* The objectives of kernels/forest.h as jobs, model files, score files and messages name them. All local and pure. */
#include <stdbool.h>

#include "jobs/job.h"
#include "kernels/forest.h"

/* model.objective and model.quantile of a job: 0 where the objective is not quantile. */
ns_objective ns_objective_of(const ns_job *job);
double ns_quantile_of(const ns_job *job);

/* "binary", "multiclass", "regression", "poisson", "quantile"; and back, false for any other text. */
const char *ns_objective_name(ns_objective objective);
bool ns_objective_find(const char *name, ns_objective *out);

/* From margin to what is published: "sigmoid", "softmax", "identity", "exp", "identity". */
const char *ns_objective_link(ns_objective objective);

/* "risk" (binary, multiclass) or "prediction". */
const char *ns_objective_gives(ns_objective objective);
#endif
