/*
 * Classes that the job does not name are those of the rows that belong, which only a pass over them tells: the table is read twice
 * anyway. The first pass counts rows of each level, or collects the values of a number column in a short sorted list; ranks then
 * join theirs.
 */
#include "runner/training/label.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "jobs/number.h"
#include "runner/objective.h"

/* A score file carries the classes as one attribute: n times the longest text stays below 64 KiB. */
enum { MOST_CLASS_BYTES = 60000 };

static const char *name_of(const ns_label_rule *rule)
{
    return ns_cohort_column(rule->cohort, rule->column)->name;
}

static ns_status no_memory(const ns_label_rule *rule)
{
    return ns_fail(NS_ENOMEM, "no memory for the label column '%s'", name_of(rule));
}

/* The numbers that an option's texts are. */
static ns_status read_values(ns_label_rule *rule, const char *key, const char *const *texts, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double value;
        if (!ns_number_read(texts[i], strlen(texts[i]), &value))
            return ns_fail(NS_EFORMAT, "%s: %s: '%.60s' is no number, but column '%s' is of kind number", ns_job_place(rule->job, key), key, texts[i],
                           name_of(rule));
        rule->values[i] = (float)value;
    }
    rule->n_values = n;
    return NS_OK;
}

/* Level i of the column becomes class_of[i]. */
static ns_status take_levels(ns_label_rule *rule, float to)
{
    const ns_texts *levels = ns_cohort_column(rule->cohort, rule->column)->levels;
    rule->class_of = malloc(((size_t)levels->n + 1) * sizeof *rule->class_of);
    if (rule->class_of == NULL) return no_memory(rule);
    for (int64_t i = 0; i < levels->n; i++) rule->class_of[i] = to;
    return NS_OK;
}

static ns_status learn_binary(ns_label_rule *rule)
{
    static const char key[] = "data.label.positive";
    const char *const *texts;
    int64_t n = ns_job_list(rule->job, key, &texts);
    if (!rule->is_category) {
        rule->values = calloc((size_t)n + 1, sizeof *rule->values);
        if (rule->values == NULL) return no_memory(rule);
        return read_values(rule, key, texts, n);
    }
    const ns_texts *levels = ns_cohort_column(rule->cohort, rule->column)->levels;
    if (n == 0)
        return ns_fail(NS_EINVAL, "%s: %s: column '%s' is a category, so say which of its levels are positive",
                       ns_job_place(rule->job, "data.label.column"), key, name_of(rule));
    NS_TRY(take_levels(rule, 0));
    for (int64_t i = 0; i < n; i++) {
        int64_t level = ns_texts_find(levels, texts[i], (int64_t)strlen(texts[i]));
        if (level < 0) return ns_fail(NS_EFORMAT, "%s: %s: column '%s' has no level '%.60s'", ns_job_place(rule->job, key), key, name_of(rule), texts[i]);
        rule->class_of[level] = 1;
    }
    return NS_OK;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Sorted, each once. */
static int64_t sort_values(float *values, int64_t n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (kept == 0 || values[i] != values[kept - 1]) values[kept++] = values[i];
    return kept;
}

/* Classes that are known before a row is read: a bundle's, or those of the job. */
static ns_status learn_known(ns_label_rule *rule, const ns_texts *classes, const char *key)
{
    rule->settled = true;
    if (!rule->is_category) {
        rule->values = calloc((size_t)classes->n + 1, sizeof *rule->values);
        const char **texts = calloc((size_t)classes->n + 1, sizeof *texts);
        char(*room)[NS_NUMBER_ROOM] = calloc((size_t)classes->n + 1, sizeof *room);
        ns_status status = rule->values == NULL || texts == NULL || room == NULL ? no_memory(rule) : NS_OK;
        for (int64_t i = 0; i < classes->n && status == NS_OK; i++) {
            int64_t n = classes->offset[i + 1] - classes->offset[i];
            snprintf(room[i], NS_NUMBER_ROOM, "%.*s", (int)(n < NS_NUMBER_ROOM ? n : NS_NUMBER_ROOM - 1), classes->bytes + classes->offset[i]);
            texts[i] = room[i];
        }
        if (status == NS_OK) status = read_values(rule, key, texts, classes->n);
        if (status == NS_OK && sort_values(rule->values, classes->n) != classes->n)
            status = ns_fail(NS_EFORMAT, "%s: %s: names a value twice", ns_job_place(rule->job, key), key);
        free(texts);
        free(room);
        return status;
    }
    const ns_texts *levels = ns_cohort_column(rule->cohort, rule->column)->levels;
    NS_TRY(take_levels(rule, NAN));
    for (int64_t i = 0; i < classes->n; i++) {
        int64_t level = ns_texts_find(levels, classes->bytes + classes->offset[i], classes->offset[i + 1] - classes->offset[i]);
        if (level >= 0) rule->class_of[level] = (float)i;
    }
    return NS_OK;
}

static ns_status learn_named(ns_label_rule *rule)
{
    static const char key[] = "data.label.classes";
    const char *const *texts;
    int64_t n = ns_job_list(rule->job, key, &texts);
    if (n > NS_MAX_CLASSES) return ns_fail(NS_EINVAL, "%s: %s: names more than %d classes", ns_job_place(rule->job, key), key, NS_MAX_CLASSES);
    const ns_texts *levels = ns_cohort_column(rule->cohort, rule->column)->levels;
    ns_texts named = {0};
    ns_status status = NS_OK;
    for (int64_t i = 0; i < n && status == NS_OK; i++) {
        if (rule->is_category && ns_texts_find(levels, texts[i], (int64_t)strlen(texts[i])) < 0)
            status = ns_fail(NS_EFORMAT, "%s: %s: column '%s' has no level '%.60s'", ns_job_place(rule->job, key), key, name_of(rule), texts[i]);
        if (status == NS_OK) status = ns_texts_append(&named, texts[i], (int64_t)strlen(texts[i]));
    }
    if (status == NS_OK && rule->is_category) status = ns_texts_sort_unique(&named);
    if (status == NS_OK) status = learn_known(rule, &named, key);
    ns_texts_destroy(&named);
    return status;
}

static ns_status learn_multiclass(ns_label_rule *rule, const ns_texts *classes)
{
    rule->known = classes;
    if (classes != NULL) return learn_known(rule, classes, "data.label.column");
    if (ns_job_has(rule->job, "data.label.classes")) return learn_named(rule);
    if (!rule->is_category) {
        rule->values = calloc(NS_MAX_CLASSES + 1, sizeof *rule->values);
        return rule->values == NULL ? no_memory(rule) : NS_OK;
    }
    const ns_texts *levels = ns_cohort_column(rule->cohort, rule->column)->levels;
    rule->level_rows = calloc((size_t)levels->n + 1, sizeof *rule->level_rows);
    return rule->level_rows == NULL ? no_memory(rule) : take_levels(rule, 0);
}

ns_status ns_label_learn(ns_label_rule *rule, const ns_job *job, ns_cohort *cohort, int32_t column, ns_objective objective,
                         const ns_texts *classes)
{
    *rule = (ns_label_rule){.job = job, .cohort = cohort, .column = column, .objective = objective, .settled = true,
                            .is_category = ns_cohort_column(cohort, column)->kind == NS_COL_CATEGORY};
    if (objective == NS_BINARY) return learn_binary(rule);
    if (objective != NS_MULTICLASS && rule->is_category)
        return ns_fail(NS_EFORMAT, "%s: data.label.column: column '%s' is of kind category; model.objective: %s needs a number",
                       ns_job_place(job, "data.label.column"), name_of(rule), ns_objective_name(objective));
    if (objective != NS_MULTICLASS) return NS_OK;
    rule->settled = false;
    return learn_multiclass(rule, classes);
}

int32_t ns_label_expected_classes(const ns_job *job, const ns_cohort *cohort, int32_t column)
{
    enum { OF_NUMBERS = 16 };
    const ns_texts *levels = ns_cohort_column(cohort, column)->levels;
    int64_t n = ns_job_list(job, "data.label.classes", &(const char *const *){NULL});
    if (n == 0) n = levels != NULL ? levels->n : OF_NUMBERS;
    return n < 3 ? 3 : n > NS_MAX_CLASSES ? NS_MAX_CLASSES : (int32_t)n;
}

void ns_label_forget(ns_label_rule *rule)
{
    free(rule->class_of);
    free(rule->level_rows);
    free(rule->values);
    memset(rule, 0, sizeof *rule);
}

/* --- rows --- */

static ns_status bad(const ns_label_rule *rule, int64_t row, const char *what)
{
    return ns_cohort_bad_row(rule->cohort, rule->column, row, what);
}

/* Place of a value in the sorted list, or where it would stand: -1 - place. */
static int64_t find_value(const ns_label_rule *rule, float value)
{
    int64_t low = 0, high = rule->n_values;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (rule->values[middle] < value) low = middle + 1;
        else high = middle;
    }
    return low < rule->n_values && rule->values[low] == value ? low : -1 - low;
}

static ns_status note_value(ns_label_rule *rule, float value)
{
    int64_t at = find_value(rule, value);
    if (at >= 0) return NS_OK;
    at = -1 - at;
    if (rule->n_values == NS_MAX_CLASSES)
        return ns_fail(NS_EFORMAT, "%s: data.label.column: column '%s' has more than %d different values, too many classes; is model.objective: regression meant?",
                       ns_job_place(rule->job, "data.label.column"), name_of(rule), NS_MAX_CLASSES);
    memmove(rule->values + at + 1, rule->values + at, (size_t)(rule->n_values - at) * sizeof *rule->values);
    rule->values[at] = value;
    rule->n_values++;
    return NS_OK;
}

static ns_status binary_number(const ns_label_rule *rule, int64_t row, float *label)
{
    float is = 0;
    for (int64_t j = 0; j < rule->n_values; j++)
        if (*label == rule->values[j]) is = 1;
    if (rule->n_values == 0) {
        if (*label != 0.0f && *label != 1.0f)
            return bad(rule, row, "a label of kind number is 0 or 1 unless data.label.positive says what counts");
        is = *label;
    }
    *label = is;
    return NS_OK;
}

/* One number that is not missing, of a row that belongs where keep is not 0. */
static ns_status take_number(ns_label_rule *rule, int64_t row, uint8_t keep, float *label)
{
    if (rule->objective == NS_BINARY) return binary_number(rule, row, label);
    if (!keep) return NS_OK;
    if (isinf(*label)) return bad(rule, row, "a label is a finite number; this one is infinite");
    if (rule->objective == NS_POISSON && *label < 0)
        return bad(rule, row, "with model.objective: poisson a label is a number from 0 on; this one is negative");
    if (rule->objective != NS_MULTICLASS) return NS_OK;
    if (!rule->settled) {
        NS_TRY(note_value(rule, *label));
        *label = 0;
        return NS_OK;
    }
    int64_t at = find_value(rule, *label);
    rule->n_strangers += at < 0;
    *label = at < 0 ? NAN : (float)at;
    return NS_OK;
}

ns_status ns_label_read(ns_label_rule *rule, int64_t first, int64_t n, const uint8_t *keep, float *label, int32_t *scratch)
{
    if (!rule->is_category) {
        NS_TRY(ns_cohort_read_number(rule->cohort, rule->column, first, n, label));
        for (int64_t i = 0; i < n; i++)
            if (!isnan(label[i])) NS_TRY(take_number(rule, first + i, keep[i], &label[i]));
        return NS_OK;
    }
    NS_TRY(ns_cohort_read_codes(rule->cohort, rule->column, first, n, scratch));
    for (int64_t i = 0; i < n; i++) {
        label[i] = scratch[i] < 0 ? NAN : rule->class_of[scratch[i]];
        if (scratch[i] < 0 || !keep[i]) continue;
        if (!rule->settled) rule->level_rows[scratch[i]]++;
        else rule->n_strangers += isnan(label[i]);
    }
    return NS_OK;
}

/* --- classes --- */

/* The values of all ranks in one list. Collective. */
static ns_status join_values(ns_label_rule *rule, MPI_Comm comm)
{
    int n_ranks, rank;
    MPI_Comm_size(comm, &n_ranks);
    MPI_Comm_rank(comm, &rank);
    int64_t *counts = calloc((size_t)n_ranks + 1, sizeof *counts);
    float *all = malloc((size_t)n_ranks * NS_MAX_CLASSES * sizeof *all + 1);
    ns_status status = ns_agree(counts == NULL || all == NULL ? no_memory(rule) : NS_OK, comm);
    if (status == NS_OK) {
        int64_t mine = rule->n_values, n = 0;
        MPI_Allgather(&mine, 1, MPI_INT64_T, counts, 1, MPI_INT64_T, comm);
        for (int r = 0; r < n_ranks; r++) {
            if (r == rank && mine > 0) memcpy(all + n, rule->values, (size_t)mine * sizeof *all);
            MPI_Bcast(all + n, (int)counts[r], MPI_FLOAT, r, comm);
            n += counts[r];
        }
        n = sort_values(all, n);
        if (n > NS_MAX_CLASSES) status = note_value(&(ns_label_rule){.job = rule->job, .cohort = rule->cohort, .column = rule->column, .values = all, .n_values = NS_MAX_CLASSES}, INFINITY);
        else if (n > 0) memcpy(rule->values, all, (size_t)n * sizeof *all);
        rule->n_values = n;
    }
    free(counts);
    free(all);
    return status;
}

static ns_status copy_texts(ns_texts *to, const ns_texts *from)
{
    for (int64_t i = 0; i < from->n; i++) NS_TRY(ns_texts_append(to, from->bytes + from->offset[i], from->offset[i + 1] - from->offset[i]));
    return NS_OK;
}

/* Levels that no kept row has are no classes. */
static ns_status settle_levels(ns_label_rule *rule, ns_texts *classes, MPI_Comm comm)
{
    const ns_texts *levels = ns_cohort_column(rule->cohort, rule->column)->levels;
    if (!rule->settled) {
        ns_sum_i64(rule->level_rows, levels->n, comm);
        float next = 0;
        for (int64_t i = 0; i < levels->n; i++) rule->class_of[i] = rule->level_rows[i] > 0 ? next++ : NAN;
    }
    for (int64_t i = 0; i < levels->n; i++)
        if (!isnan(rule->class_of[i])) NS_TRY(ns_texts_append(classes, levels->bytes + levels->offset[i], levels->offset[i + 1] - levels->offset[i]));
    return NS_OK;
}

static ns_status settle_values(const ns_label_rule *rule, ns_texts *classes)
{
    for (int64_t i = 0; i < rule->n_values; i++) {
        char text[NS_NUMBER_ROOM];
        ns_number_write(text, (double)rule->values[i]);
        NS_TRY(ns_texts_append(classes, text, (int64_t)strlen(text)));
    }
    return NS_OK;
}

static ns_status check_classes(const ns_label_rule *rule, const ns_texts *classes)
{
    static const char key[] = "data.label.column";
    const char *place = ns_job_place(rule->job, key);
    int64_t longest = 0;
    for (int64_t i = 0; i < classes->n; i++)
        if (classes->offset[i + 1] - classes->offset[i] > longest) longest = classes->offset[i + 1] - classes->offset[i];
    if (classes->n < 3)
        return ns_fail(NS_EFORMAT, "%s: %s: the rows of the cohort have %lld classes by column '%s'; multiclass needs three, model.objective: binary is for two",
                       place, key, (long long)classes->n, name_of(rule));
    if (classes->n > NS_MAX_CLASSES)
        return ns_fail(NS_EFORMAT, "%s: %s: column '%s' has %lld classes, more than %d; choose among them in data.label.classes", place, key,
                       name_of(rule), (long long)classes->n, NS_MAX_CLASSES);
    if (classes->n * longest > MOST_CLASS_BYTES)
        return ns_fail(NS_EFORMAT, "%s: %s: the classes of column '%s' have longer texts than a score file can carry (%lld times the longest must be at most %d bytes)",
                       place, key, name_of(rule), (long long)classes->n, MOST_CLASS_BYTES);
    return NS_OK;
}

ns_status ns_label_settle(ns_label_rule *rule, ns_texts *classes, MPI_Comm comm)
{
    if (rule->objective != NS_MULTICLASS) return NS_OK;
    bool found = !rule->settled;
    if (rule->known != NULL) return ns_agree(copy_texts(classes, rule->known), comm);
    if (found && !rule->is_category) NS_TRY(join_values(rule, comm));
    ns_status status = rule->is_category ? settle_levels(rule, classes, comm) : settle_values(rule, classes);
    if (status == NS_OK && found) status = check_classes(rule, classes);
    rule->settled = true;
    return ns_agree(status, comm);
}
