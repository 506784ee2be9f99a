#include "runner/models/gbdt.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/numerics.h"
#include "runner/objective.h"

/* Leaves opened ahead per step (design.md, section 10): enough that few steps wait, few enough that little is
 * in vain. */
static int32_t batch_for(int64_t max_leaves)
{
    return max_leaves <= 64 ? 8 : 16;
}

ns_forest_settings ns_gbdt_settings(const ns_job *job)
{
    const char *bits = ns_job_text(job, "model.gradient_bits");
    return (ns_forest_settings){
        .objective = ns_objective_of(job),
        .quantile = ns_quantile_of(job),
        .seed = (uint64_t)ns_job_integer(job, "train.seed"),
        .learning_rate = ns_job_number(job, "model.learning_rate"),
        .max_leaves = (int32_t)ns_job_integer(job, "model.max_leaves"),
        .max_depth = (int32_t)ns_job_integer(job, "model.max_depth"),
        .l1 = ns_job_number(job, "model.l1"),
        .l2 = ns_job_number(job, "model.l2"),
        .min_gain = ns_job_number(job, "model.min_gain"),
        .min_rows = ns_job_integer(job, "model.min_rows"),
        .min_hessian = ns_job_number(job, "model.min_hessian"),
        .max_bins = (int32_t)ns_job_integer(job, "model.max_bins"),
        .category_smoothing = ns_job_number(job, "model.category_smoothing"),
        .category_l2 = ns_job_number(job, "model.category_l2"),
        .category_split_rows = ns_job_integer(job, "model.category_split_rows"),
        .category_max_levels = (int32_t)ns_job_integer(job, "model.category_max_levels"),
        .row_sample = ns_job_number(job, "model.row_sample"),
        .column_sample = ns_job_number(job, "model.column_sample"),
        .column_sample_node = ns_job_number(job, "model.column_sample_node"),
        .gradient_bits = strcmp(bits, "narrow") == 0 ? 12
                         : strcmp(bits, "wide") == 0 ? 30
                                                     : 0,
        .batch = batch_for(ns_job_integer(job, "model.max_leaves")),
    };
}

ns_status ns_gbdt_assemble(ns_gbdt_model **out, const ns_table *table, const ns_device *device, const ns_forest *forest,
                           const ns_trees *trees, int64_t n_rounds)
{
    const ns_features *features = &table->features;
    NS_TRY(ns_gbdt_create(out, features->n));
    ns_gbdt_model *model = *out;
    ns_status status = table->objective == NS_MULTICLASS ? ns_gbdt_set_classes(model, &table->classes) : NS_OK;
    if (status == NS_OK) device->forest->base(forest, model->base, &model->k);
    model->objective = table->objective;
    model->quantile = ns_quantile_of(table->job);
    model->numerics_version = NS_NUMERICS_VERSION;
    for (int32_t f = 0; f < features->n && status == NS_OK; f++) {
        const ns_feature *feature = &features->list[f];
        if (feature->kind == NS_CATEGORY) {
            status = ns_gbdt_set_category(model, f, feature->name, &feature->encoding.levels);
        } else {
            const float *cuts;
            int32_t n_cuts;
            device->forest->cuts(forest, f, &cuts, &n_cuts);
            status = ns_gbdt_set_number(model, f, feature->name, cuts, n_cuts);
        }
    }
    if (status == NS_OK && model->trees == NULL) status = ns_trees_create(&model->trees);
    if (status == NS_OK) status = ns_trees_append_all(model->trees, trees);
    if (status == NS_OK) ns_trees_truncate(model->trees, n_rounds * model->n_outputs);
    if (status != NS_OK) ns_gbdt_destroy(out);
    return status;
}
