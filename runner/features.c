#include "runner/features.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/log.h"

static bool is_pattern(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

/* Whether any of the texts names the column: 2 exactly, 1 by a pattern, 0 not. */
static int named(const char *const *patterns, int64_t n, const char *column)
{
    int found = 0;
    for (int64_t i = 0; i < n; i++) {
        if (strcmp(patterns[i], column) == 0) return 2;
        if (is_pattern(patterns[i]) && fnmatch(patterns[i], column, 0) == 0) found = 1;
    }
    return found;
}

/* The option by which a column has a role of its own, or NULL. */
static const char *role(const ns_job *job, const char *column)
{
    static const char *const keys[] = {"data.id", "data.group", "data.time", "data.weight", "data.label.column", "data.split.column"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *name = ns_job_text(job, keys[i]);
        if (name != NULL && strcmp(name, column) == 0) return keys[i];
    }
    return NULL;
}

static ns_status check_exact_names(const ns_job *job, const ns_cohort *cohort, const char *key)
{
    const char *const *names;
    int64_t n = ns_job_list(job, key, &names);
    for (int64_t i = 0; i < n; i++)
        if (!is_pattern(names[i]) && ns_cohort_find(cohort, names[i]) < 0)
            return ns_fail(NS_EFORMAT, "%s: %s: the cohort has no column '%s'", ns_job_place(job, key), key, names[i]);
    return NS_OK;
}

/* Whether column is a feature. */
static ns_status wants(const ns_job *job, const ns_column *column, bool *out)
{
    const char *const *include, *const *exclude;
    int64_t n_include = ns_job_list(job, "data.features.include", &include);
    int64_t n_exclude = ns_job_list(job, "data.features.exclude", &exclude);
    int how = named(include, n_include, column->name);
    *out = false;
    if (how == 0 || named(exclude, n_exclude, column->name) > 0) return NS_OK;
    const char *taken = role(job, column->name);
    if (taken != NULL && how < 2) return NS_OK;
    if (column->kind != NS_COL_NUMBER && column->kind != NS_COL_CATEGORY) {
        if (how < 2) return NS_OK;
        return ns_fail(NS_EFORMAT, "%s: data.features.include: column '%s' is of kind %s; a feature is a number or a category",
                       ns_job_place(job, "data.features.include"), column->name, ns_column_kind_name(column->kind));
    }
    if (taken != NULL) ns_log_event(NS_LOG_WARN, "feature", "column=%s hint=\"it is also %s\"", column->name, taken);
    *out = true;
    return NS_OK;
}

bool ns_features_takes(const ns_job *job, const ns_column *column)
{
    const char *const *include, *const *exclude;
    int64_t n_include = ns_job_list(job, "data.features.include", &include);
    int64_t n_exclude = ns_job_list(job, "data.features.exclude", &exclude);
    int how = named(include, n_include, column->name);
    bool possible = column->kind == NS_COL_NUMBER || column->kind == NS_COL_CATEGORY;
    return possible && how > 0 && named(exclude, n_exclude, column->name) == 0 && (how == 2 || role(job, column->name) == NULL);
}

/* model.monotone: each column named is a number feature. */
static ns_status mark_monotone(ns_features *features, const ns_job *job, const ns_cohort *cohort, const char *key, int8_t direction)
{
    const char *const *names;
    int64_t n = ns_job_list(job, key, &names);
    for (int64_t i = 0; i < n; i++) {
        const char *place = ns_job_place(job, key);
        int32_t column = ns_cohort_find(cohort, names[i]);
        if (column < 0) return ns_fail(NS_EFORMAT, "%s: %s: the cohort has no column '%s'", place, key, names[i]);
        ns_feature *feature = NULL;
        for (int32_t f = 0; f < features->n; f++)
            if (features->list[f].column == column) feature = &features->list[f];
        if (feature == NULL) return ns_fail(NS_EFORMAT, "%s: %s: column '%s' is not a feature", place, key, names[i]);
        if (feature->kind != NS_NUMBER)
            return ns_fail(NS_EFORMAT, "%s: %s: column '%s' is of kind category, whose levels have no order; only a number rises or falls", place,
                           key, names[i]);
        feature->monotone = direction;
    }
    return NS_OK;
}

ns_status ns_features_select(ns_features *out, const ns_job *job, const ns_cohort *cohort)
{
    memset(out, 0, sizeof *out);
    NS_TRY(check_exact_names(job, cohort, "data.features.include"));
    NS_TRY(check_exact_names(job, cohort, "data.features.exclude"));
    int32_t n = ns_cohort_n_columns(cohort);
    out->list = calloc((size_t)n + 1, sizeof *out->list);
    if (out->list == NULL) return ns_fail(NS_ENOMEM, "no memory for %d columns", n);
    for (int32_t i = 0; i < n; i++) {
        const ns_column *column = ns_cohort_column(cohort, i);
        bool is_feature = false;
        NS_TRY(wants(job, column, &is_feature));
        if (!is_feature) continue;
        out->list[out->n++] = (ns_feature){.column = i, .name = column->name,
                                           .kind = column->kind == NS_COL_NUMBER ? NS_NUMBER : NS_CATEGORY};
    }
    if (out->n == 0)
        return ns_fail(NS_EFORMAT, "%s: data.features: no column of the cohort is a feature", ns_job_place(job, "data.features.include"));
    NS_TRY(mark_monotone(out, job, cohort, "model.monotone.rising", 1));
    return mark_monotone(out, job, cohort, "model.monotone.falling", -1);
}

void ns_features_destroy(ns_features *features)
{
    for (int32_t i = 0; i < features->n; i++) ns_encoding_destroy(&features->list[i].encoding);
    free(features->list);
    memset(features, 0, sizeof *features);
}
