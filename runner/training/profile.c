#include "runner/training/profile.h"

#include <stdbool.h>
#include <stdlib.h>

#include "runner/json.h"

const int32_t ns_profile_percents[NS_N_PROFILE_PERCENTS] = {1, 5, 10, 25, 50, 75, 90, 95, 99};

struct ns_profile {
    json_t *document, *features; /* features is borrowed from document */
    int64_t min_cell;
};

/* Whether a count singles somebody out. */
static bool is_small(ns_profile_count count, int64_t min_cell)
{
    return count.n_rows > 0 && count.n_patients < min_cell;
}

static json_t *count_json(int64_t n_rows, bool hidden)
{
    return hidden ? json_null() : json_integer(n_rows);
}

/* The q-quantile is the ceil(q n)-th smallest of n: that many rows lie at or below it, n - that + 1 at or
 * above. */
static json_t *quantiles_json(ns_status *status, const float *quantile, int64_t n_rows, int64_t min_cell)
{
    json_t *array = json_array();
    for (int i = 0; i < NS_N_PROFILE_PERCENTS; i++) {
        int64_t at =
            (n_rows / 100) * ns_profile_percents[i] + ((n_rows % 100) * ns_profile_percents[i] + 99) / 100;
        bool hidden = at < min_cell || n_rows - at + 1 < min_cell;
        ns_json_append(status, array, hidden ? json_null() : ns_json_real((double)quantile[i]));
    }
    return array;
}

static json_t *label_json(ns_status *status, ns_profile_count rows, ns_profile_count events,
                          ns_profile_count others, int64_t min_cell)
{
    bool hidden = is_small(events, min_cell) || is_small(others, min_cell) || rows.n_rows == 0;
    json_t *label = json_object();
    ns_json_add(status, label, "events", count_json(events.n_rows, hidden));
    ns_json_add(status, label, "prevalence",
                hidden ? json_null() : ns_json_real((double)events.n_rows / (double)rows.n_rows));
    return label;
}

ns_status ns_profile_create(ns_profile **out, ns_profile_count rows, ns_profile_count events,
                            ns_profile_count others, int64_t min_cell)
{
    ns_status status = NS_OK;
    *out = NULL;
    ns_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) return ns_fail(NS_ENOMEM, "no memory for a profile");
    json_t *percent = json_array();
    for (int i = 0; i < NS_N_PROFILE_PERCENTS; i++)
        ns_json_append(&status, percent, json_integer(ns_profile_percents[i]));
    profile->min_cell = min_cell;
    profile->document = json_object();
    profile->features = json_array();
    ns_json_add(&status, profile->document, "profile_version", json_integer(1));
    ns_json_add(&status, profile->document, "rows", count_json(rows.n_rows, is_small(rows, min_cell)));
    ns_json_add(&status, profile->document, "label", label_json(&status, rows, events, others, min_cell));
    ns_json_add(&status, profile->document, "percent", percent);
    ns_json_add(&status, profile->document, "features", profile->features);
    if (status != NS_OK) ns_profile_destroy(&profile);
    *out = profile;
    return status;
}

void ns_profile_destroy(ns_profile **profile)
{
    if (*profile == NULL) return;
    json_decref((*profile)->document);
    free(*profile);
    *profile = NULL;
}

/* jansson takes nothing but UTF-8, and says no more than NULL: tells that apart from having no memory. */
static json_t *text_json(ns_status *status, const char *text, int64_t n_bytes, const char *what)
{
    json_t *json = json_stringn(text, (size_t)n_bytes);
    if (json != NULL || *status != NS_OK) return json;
    json_t *unchecked = json_stringn_nocheck(text, (size_t)n_bytes);
    *status = unchecked == NULL
                  ? ns_fail(NS_ENOMEM, "no memory for a profile")
                  : ns_fail(NS_EFORMAT, "%s is not UTF-8, so the training profile cannot name it", what);
    json_decref(unchecked);
    return NULL;
}

static json_t *begin_feature(ns_status *status, const char *name, const char *kind)
{
    json_t *feature = json_object();
    int64_t n_bytes = 0;
    while (name[n_bytes] != '\0') n_bytes++;
    ns_json_add(status, feature, "name", text_json(status, name, n_bytes, "the name of a feature"));
    ns_json_add(status, feature, "kind", json_string(kind));
    return feature;
}

ns_status ns_profile_add_number(ns_profile *profile, const char *name, const float *quantile,
                                ns_profile_count values, ns_profile_count missing)
{
    ns_status status = NS_OK;
    bool few = is_small(values, profile->min_cell);
    json_t *feature = begin_feature(&status, name, "number");
    ns_json_add(&status, feature, "missing",
                count_json(missing.n_rows, few || is_small(missing, profile->min_cell)));
    ns_json_add(&status, feature, "quantiles",
                quantiles_json(&status, quantile, few ? 0 : values.n_rows, profile->min_cell));
    ns_json_append(&status, profile->features, feature);
    return status;
}

/* What of a category feature may be said. */
typedef struct choice {
    bool *named; /* [levels] */
    ns_profile_count other;
    bool hide_rest; /* missing and other */
} choice;

/* Moves the smallest named level (by rows, ties: the last) into other; false where none is left. */
static bool pool_smallest(choice *what, const ns_profile_levels *levels, int64_t min_cell)
{
    int64_t smallest = -1;
    for (int64_t i = 0; i < levels->texts->n; i++)
        if (what->named[i] && (smallest < 0 || levels->rows[i] <= levels->rows[smallest])) smallest = i;
    if (smallest < 0) return false;
    what->named[smallest] = false;
    what->other.n_rows += levels->rows[smallest];
    what->other.n_patients = min_cell; /* named levels have at least that */
    return true;
}

static void choose(choice *what, const ns_profile_levels *levels, ns_profile_count missing, int64_t min_cell)
{
    what->other = levels->other;
    for (int64_t i = 0; i < levels->texts->n; i++) {
        what->named[i] = levels->patients == NULL || levels->patients[i] >= min_cell;
        if (levels->rows[i] == 0) what->named[i] = false;
        if (what->named[i]) continue;
        /* patients of different levels may be the same ones: the larger number is all that is sure */
        int64_t patients = levels->patients == NULL ? 0 : levels->patients[i];
        what->other.n_rows += levels->rows[i];
        if (patients > what->other.n_patients) what->other.n_patients = patients;
    }
    bool few_missing = is_small(missing, min_cell);
    /* missing is hidden behind other, so other must be large enough to hide in */
    if (is_small(what->other, min_cell) || (few_missing && what->other.n_rows == 0))
        pool_smallest(what, levels, min_cell);
    what->hide_rest = few_missing || is_small(what->other, min_cell);
}

ns_status ns_profile_add_category(ns_profile *profile, const char *name, const ns_profile_levels *levels,
                                  ns_profile_count missing)
{
    ns_status status = NS_OK;
    choice what = {.named = malloc((size_t)levels->texts->n + 1)};
    if (what.named == NULL) return ns_fail(NS_ENOMEM, "no memory for a profile");
    choose(&what, levels, missing, profile->min_cell);

    json_t *feature = begin_feature(&status, name, "category"), *list = json_array();
    ns_json_add(&status, feature, "missing", count_json(missing.n_rows, what.hide_rest));
    for (int64_t i = 0; i < levels->texts->n; i++) {
        if (!what.named[i]) continue;
        int64_t first = levels->texts->offset[i];
        json_t *level = json_object();
        ns_json_add(&status, level, "level",
                    text_json(&status, levels->texts->bytes + first, levels->texts->offset[i + 1] - first,
                              "a level of a category feature"));
        ns_json_add(&status, level, "rows", json_integer(levels->rows[i]));
        ns_json_append(&status, list, level);
    }
    ns_json_add(&status, feature, "levels", list);
    ns_json_add(&status, feature, "other", count_json(what.other.n_rows, what.hide_rest));
    ns_json_append(&status, profile->features, feature);
    free(what.named);
    return status;
}

/* document[key] = {"quantiles": […]} */
static ns_status set_quantiles(ns_profile *profile, const char *key, const float *quantile, int64_t n_rows)
{
    ns_status status = NS_OK;
    json_t *object = json_object();
    ns_json_add(&status, object, "quantiles", quantiles_json(&status, quantile, n_rows, profile->min_cell));
    ns_json_add(&status, profile->document, key, object);
    return status;
}

ns_status ns_profile_set_risk(ns_profile *profile, const float *quantile, int64_t n_rows)
{
    return set_quantiles(profile, "risk", quantile, n_rows);
}

ns_status ns_profile_set_label(ns_profile *profile, const float *quantile, int64_t n_rows)
{
    return set_quantiles(profile, "label", quantile, n_rows);
}

ns_status ns_profile_set_prediction(ns_profile *profile, const float *quantile, int64_t n_rows)
{
    return set_quantiles(profile, "prediction", quantile, n_rows);
}

/* The list document[key]["classes"], made where it is not there. Borrowed; NULL without memory. */
static json_t *class_list(ns_status *status, ns_profile *profile, const char *key)
{
    json_t *list = json_object_get(json_object_get(profile->document, key), "classes");
    if (list != NULL) return list;
    json_t *object = json_object();
    ns_json_add(status, object, "classes", json_array());
    ns_json_add(status, profile->document, key, object);
    return *status == NS_OK ? json_object_get(object, "classes") : NULL;
}

static json_t *class_entry(ns_status *status, ns_profile_class class, const char *key, json_t *value)
{
    json_t *entry = json_object();
    ns_json_add(status, entry, "class", text_json(status, class.text, class.n_bytes, "a class of the label column"));
    ns_json_add(status, entry, key, value);
    return entry;
}

ns_status ns_profile_add_class(ns_profile *profile, ns_profile_class class, const float *quantile, int64_t n_rows)
{
    ns_status status = NS_OK;
    json_t *labels = class_list(&status, profile, "label"), *risks = class_list(&status, profile, "risk");
    ns_json_append(&status, labels, class_entry(&status, class, "rows", json_integer(class.rows)));
    json_t *quantiles = quantiles_json(&status, quantile, n_rows, profile->min_cell);
    ns_json_append(&status, risks, class_entry(&status, class, "quantiles", quantiles));
    return status;
}

json_t *ns_profile_finish(ns_profile *profile)
{
    json_t *document = profile->document;
    profile->document = profile->features = NULL;
    return document;
}
