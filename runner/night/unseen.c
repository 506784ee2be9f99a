#include "runner/night/unseen.h"

#include <string.h>

#include "data/text_index.h"
#include "runner/features.h"
#include "runner/json.h"

enum { MOST_NAMED = 1000 }; /* levels of a column: more are a text that somebody wrote, and nobody's list */

/* A level may hold bytes that are no UTF-8, which JSON cannot. */
static json_t *level_text(const ns_texts *levels, int64_t i)
{
    int64_t n = 0;
    const char *text = ns_text_at(levels, i, &n);
    json_t *value = json_stringn(text, (size_t)n);
    return value != NULL ? value : json_string("(not UTF-8)");
}

/* Names in the cohort's order, which is bytewise. */
static json_t *new_columns(const ns_night *night, ns_status *status)
{
    const ns_gbdt_model *model = night->bundle->model;
    json_t *names = json_array();
    for (int32_t i = 0; i < ns_cohort_n_columns(night->cohort); i++) {
        const ns_column *column = ns_cohort_column(night->cohort, i);
        bool known = !ns_features_takes(night->bundle->job, column);
        for (int32_t f = 0; f < model->n_features && !known; f++) known = strcmp(model->names[f], column->name) == 0;
        if (!known) ns_json_append(status, names, ns_json_path(column->name));
    }
    return names;
}

json_t *ns_unseen_missing(const ns_night *night)
{
    ns_status status = NS_OK;
    json_t *names = json_array();
    for (int32_t f = 0; f < night->bundle->model->n_features; f++)
        if (night->features[f] < 0) ns_json_append(&status, names, ns_json_path(night->bundle->model->names[f]));
    return names;
}

/* One feature's levels that rows hold and the model does not know. */
static void add_feature(ns_unseen *out, ns_status *status, const ns_night *night, int32_t f, json_t *counts, json_t *names)
{
    const int64_t *rows = ns_night_unknown(night, f);
    if (rows == NULL) return;
    const ns_texts *levels = ns_cohort_column(night->cohort, night->features[f])->levels;
    json_t *list = json_array();
    int64_t n_levels = 0, n_rows = 0;
    for (int64_t i = 0; i < levels->n; i++) {
        if (rows[i] == 0) continue;
        n_levels++;
        n_rows += rows[i];
        if (n_levels > MOST_NAMED) continue;
        ns_json_append(status, list, json_pack("{s:o, s:I}", "level", level_text(levels, i), "rows", (json_int_t)rows[i]));
    }
    if (n_levels == 0) {
        json_decref(list);
        return;
    }
    const char *name = night->bundle->model->names[f];
    ns_json_add(status, counts, name, json_pack("{s:I, s:I}", "levels", (json_int_t)n_levels, "rows", (json_int_t)n_rows));
    ns_json_add(status, names, name, list);
    out->n_levels += n_levels;
    out->n_rows += n_rows;
}

ns_status ns_unseen_of(ns_unseen *out, const ns_night *night, const char *as_of)
{
    ns_status status = NS_OK;
    *out = (ns_unseen){.counts = json_object(), .names = json_object()};
    json_t *columns = new_columns(night, &status), *missing = ns_unseen_missing(night), *counts = json_object(), *names = json_object();
    for (int32_t f = 0; f < night->bundle->model->n_features; f++) add_feature(out, &status, night, f, counts, names);
    out->n_columns = (int64_t)json_array_size(columns);
    out->n_missing = (int64_t)json_array_size(missing);
    ns_json_add(&status, out->counts, "columns", json_integer(out->n_columns));
    ns_json_add(&status, out->counts, "levels", counts);
    ns_json_add(&status, out->counts, "missing_columns", json_incref(missing));
    ns_json_add(&status, out->names, "kind", json_string("unseen"));
    ns_json_add(&status, out->names, "format", json_integer(1));
    ns_json_add(&status, out->names, "as_of", json_string(as_of));
    ns_json_add(&status, out->names, "bundle_id", json_string(night->bundle->id));
    ns_json_add(&status, out->names, "new_columns", columns);
    ns_json_add(&status, out->names, "missing_columns", missing);
    ns_json_add(&status, out->names, "levels", names);
    if (status == NS_OK && out->n_columns + out->n_missing + out->n_levels == 0) {
        json_decref(out->names);
        out->names = NULL;
    }
    return status;
}

void ns_unseen_destroy(ns_unseen *unseen)
{
    json_decref(unseen->counts);
    json_decref(unseen->names);
    *unseen = (ns_unseen){0};
}
