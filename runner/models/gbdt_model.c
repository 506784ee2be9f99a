#include "runner/models/gbdt_file.h"

#include <stdlib.h>
#include <string.h>

ns_status ns_gbdt_create(ns_gbdt_model **out, int32_t n_features)
{
    *out = NULL;
    size_t n = (size_t)n_features + 1;
    ns_gbdt_model *model = calloc(1, sizeof *model);
    if (model == NULL) return ns_fail(NS_ENOMEM, "no memory for a model");
    model->n_features = n_features;
    model->names = calloc(n, sizeof *model->names);
    model->kinds = calloc(n, sizeof *model->kinds);
    model->cuts = calloc(n, sizeof *model->cuts);
    model->n_cuts = calloc(n, sizeof *model->n_cuts);
    model->n_bins = calloc(n, sizeof *model->n_bins);
    model->encodings = calloc(n, sizeof *model->encodings);
    model->n_outputs = 1;
    model->base = calloc(1, sizeof *model->base);
    ns_status status = ns_trees_create(&model->trees);
    if (status == NS_OK && (model->names == NULL || model->kinds == NULL || model->cuts == NULL ||
                            model->n_cuts == NULL || model->n_bins == NULL || model->encodings == NULL || model->base == NULL))
        status = ns_fail(NS_ENOMEM, "no memory for a model of %d features", (int)n_features);
    if (status != NS_OK) ns_gbdt_destroy(&model);
    *out = model;
    return status;
}

void ns_gbdt_destroy(ns_gbdt_model **out)
{
    ns_gbdt_model *model = *out;
    if (model == NULL) return;
    for (int32_t f = 0; f < model->n_features; f++) {
        if (model->names != NULL) free(model->names[f]);
        if (model->cuts != NULL) free(model->cuts[f]);
        if (model->encodings != NULL) ns_encoding_destroy(&model->encodings[f]);
    }
    free(model->names);
    free(model->kinds);
    free(model->cuts);
    free(model->n_cuts);
    free(model->n_bins);
    free(model->encodings);
    free(model->base);
    ns_texts_destroy(&model->classes);
    ns_trees_destroy(&model->trees);
    free(model);
    *out = NULL;
}

ns_status ns_gbdt_set_classes(ns_gbdt_model *model, const ns_texts *classes)
{
    int64_t *base = calloc((size_t)classes->n + 1, sizeof *base);
    if (base == NULL) return ns_fail(NS_ENOMEM, "no memory for a model of %lld classes", (long long)classes->n);
    free(model->base);
    model->base = base;
    model->objective = NS_MULTICLASS;
    model->n_outputs = (int32_t)classes->n;
    ns_texts_clear(&model->classes);
    for (int64_t i = 0; i < classes->n; i++)
        NS_TRY(ns_texts_append(&model->classes, classes->bytes + classes->offset[i], classes->offset[i + 1] - classes->offset[i]));
    return NS_OK;
}

/* Back to unset, under a new name. */
static ns_status rename_feature(ns_gbdt_model *model, int32_t f, const char *name)
{
    free(model->names[f]);
    free(model->cuts[f]);
    model->cuts[f] = NULL;
    model->n_cuts[f] = 0;
    ns_encoding_destroy(&model->encodings[f]);
    model->names[f] = strdup(name);
    return model->names[f] != NULL ? NS_OK : ns_fail(NS_ENOMEM, "no memory for feature '%s'", name);
}

ns_status ns_gbdt_set_number(ns_gbdt_model *model, int32_t f, const char *name, const float *cuts,
                             int32_t n_cuts)
{
    NS_TRY(rename_feature(model, f, name));
    model->kinds[f] = NS_NUMBER;
    model->n_bins[f] = n_cuts + 2;
    if (n_cuts == 0) return NS_OK;
    model->cuts[f] = malloc((size_t)n_cuts * sizeof *cuts);
    if (model->cuts[f] == NULL) return ns_fail(NS_ENOMEM, "no memory for the cuts of '%s'", name);
    memcpy(model->cuts[f], cuts, (size_t)n_cuts * sizeof *cuts);
    model->n_cuts[f] = n_cuts;
    return NS_OK;
}

ns_status ns_gbdt_set_category(ns_gbdt_model *model, int32_t f, const char *name, const ns_texts *levels)
{
    NS_TRY(rename_feature(model, f, name));
    model->kinds[f] = NS_CATEGORY;
    model->n_bins[f] = NS_BIN_FIRST_LEVEL + (int32_t)levels->n;
    for (int64_t i = 0; i < levels->n; i++) {
        int64_t first = levels->offset[i];
        NS_TRY(ns_texts_append(&model->encodings[f].levels, levels->bytes + first,
                               levels->offset[i + 1] - first));
    }
    return NS_OK;
}
