#include "runner/training/parts.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "data/patients.h"
#include "runner/training/table.h"

static const char *const part_names[] = {"none", "train", "valid", "test"};
static const char *const left_names[NS_N_LEFT_OUT] = {"", "without_time", "window_open", "after_until"};

/* --- the rule --- */

/* The parts that a split column's levels name, by level; other levels belong to no part. */
static ns_status learn_levels(ns_part_rule *rule, const ns_table *table)
{
    const ns_texts *levels = ns_cohort_column(table->cohort, table->split_column)->levels;
    rule->level_part = calloc((size_t)levels->n + 1, 1);
    if (rule->level_part == NULL) return ns_fail(NS_ENOMEM, "no memory for the split");
    for (int part = NS_PART_TRAIN; part <= NS_PART_TEST; part++) {
        int64_t level = ns_texts_find(levels, part_names[part], (int64_t)strlen(part_names[part]));
        if (level >= 0) rule->level_part[level] = (uint8_t)part;
    }
    return NS_OK;
}

static int64_t date_of(const ns_job *job, const char *key)
{
    return ns_job_given(job, key) ? ns_job_time(job, key) : NS_TIME_NEVER;
}

ns_status ns_part_rule_learn(ns_part_rule *rule, const ns_table *table)
{
    const ns_job *job = table->job;
    const char *by = ns_job_text(job, "data.split.by");
    memset(rule, 0, sizeof *rule);
    rule->time = (ns_time_split){.valid_from = date_of(job, "data.split.valid_from"), .test_from = date_of(job, "data.split.test_from"),
                                 .until = date_of(job, "data.split.until"), .window = (int64_t)ns_job_number(job, "data.label.window")};
    if (by == NULL) rule->by = table->group >= 0 ? NS_SPLIT_GROUP : NS_SPLIT_ROW;
    else rule->by = strcmp(by, "group") == 0 ? NS_SPLIT_GROUP : strcmp(by, "row") == 0 ? NS_SPLIT_ROW
                  : strcmp(by, "time") == 0 ? NS_SPLIT_TIME : NS_SPLIT_COLUMN;
    rule->uses_time = rule->by == NS_SPLIT_TIME || rule->time.until != NS_TIME_NEVER;
    return rule->by == NS_SPLIT_COLUMN ? learn_levels(rule, table) : NS_OK;
}

void ns_part_rule_forget(ns_part_rule *rule)
{
    free(rule->level_part);
    rule->level_part = NULL;
}

/* --- rows --- */

void ns_part_take(ns_table *table, const ns_part_rule *rule, int64_t at, int64_t time, int32_t code)
{
    ns_part part = NS_PART_NONE;
    ns_left_out why = NS_LEFT_NOT;
    if (rule->by == NS_SPLIT_TIME) part = ns_split_by_time(&rule->time, time, &why);
    else if (rule->uses_time) why = ns_split_until(&rule->time, time);
    if (at < 0) {
        if (rule->by == NS_SPLIT_TIME) table->parts.n_unlabelled[part]++;
        return;
    }
    if (rule->by == NS_SPLIT_COLUMN) part = code < 0 ? NS_PART_NONE : rule->level_part[code];
    table->part[at] = (uint8_t)part;
    if (table->left != NULL) table->left[at] = (uint8_t)why;
    table->parts.left[why]++;
}

static ns_status check_torn(ns_table *table)
{
    int32_t *value = malloc(((size_t)table->n_kept + 1) * sizeof *value);
    ns_status status = ns_agree(value == NULL ? ns_fail(NS_ENOMEM, "no memory for the split") : NS_OK, table->comm);
    int64_t torn = 0;
    if (status == NS_OK) {
        for (int64_t i = 0; i < table->n_kept; i++) value[i] = table->part[i];
        status = ns_count_torn_patients(table->patient, value, table->n_kept, &torn, table->comm);
    }
    free(value);
    if (status != NS_OK || torn == 0) return status;
    return ns_agree(ns_fail(NS_EFORMAT, "%s: data.split.column: column '%s' puts the rows of %lld %s in more than one part",
                            ns_job_place(table->job, "data.split.column"), ns_cohort_column(table->cohort, table->split_column)->name,
                            (long long)torn, torn == 1 ? "patient" : "patients"), table->comm);
}

static void draw_parts(ns_table *table, const ns_part_rule *rule)
{
    const ns_job *job = table->job;
    const char *seed = ns_job_given(job, "data.split.seed") ? "data.split.seed" : "train.seed";
    ns_split split = {.seed = (uint64_t)ns_job_integer(job, seed), .train = ns_job_number(job, "data.split.train"),
                      .valid = ns_job_number(job, "data.split.valid"), .test = ns_job_number(job, "data.split.test")};
    for (int64_t i = 0; i < table->n_kept; i++)
        table->part[i] = (uint8_t)(rule->by == NS_SPLIT_GROUP ? ns_split_by_group(&split, table->patient[i], table->row[i])
                                                              : ns_split_by_row(&split, table->row[i]));
}

/* Cross-validation: all that is not tested is dealt out anew. Rows are still in their parts here, also those that are left out below. */
static void deal_folds(ns_table *table)
{
    const ns_job *job = table->job;
    if (!ns_job_given(job, "data.split.folds")) return;
    uint64_t seed = (uint64_t)ns_job_integer(job, "train.seed");
    int32_t n_folds = (int32_t)ns_job_integer(job, "data.split.folds"), held_out = (int32_t)ns_job_integer(job, "data.split.fold") - 1;
    for (int64_t i = 0; i < table->n_kept; i++) {
        if (table->part[i] != NS_PART_TRAIN && table->part[i] != NS_PART_VALID) continue;
        int32_t fold = ns_split_fold(seed, n_folds, table->patient[i], table->row[i]);
        table->part[i] = fold == held_out ? NS_PART_VALID : NS_PART_TRAIN;
    }
}

static const char *returning_policy(const ns_job *job)
{
    const char *policy = ns_job_text(job, "data.split.returning");
    return policy == NULL ? "drop" : policy;
}

/* Rows of patients who are in an earlier part already. */
static ns_status settle_returning(ns_table *table)
{
    const ns_job *job = table->job;
    const char *policy = returning_policy(job);
    uint8_t *lowest = malloc((size_t)table->n_kept + 1);
    ns_status status = ns_agree(lowest == NULL ? ns_fail(NS_ENOMEM, "no memory for the split") : NS_OK, table->comm);
    if (status == NS_OK)
        status = ns_lowest_of_patient(table->patient, table->part, table->n_kept, lowest, &table->parts.n_returning_patients, table->comm);
    int64_t n_rows = 0;
    for (int64_t i = 0; i < table->n_kept && status == NS_OK; i++) {
        if (lowest[i] == table->part[i]) continue;
        n_rows++;
        if (strcmp(policy, "drop") == 0) table->part[i] = NS_PART_NONE;
    }
    free(lowest);
    if (status != NS_OK) return status;
    ns_sum_i64(&n_rows, 1, table->comm);
    table->parts.n_returning_rows = n_rows;
    if (n_rows == 0 || strcmp(policy, "error") != 0) return NS_OK;
    return ns_agree(ns_fail(NS_EFORMAT, "%s: data.split.returning: %lld rows of %lld %s of an earlier part are in a later one; drop leaves them out",
                            ns_job_place(job, "data.split.returning"), (long long)n_rows, (long long)table->parts.n_returning_patients,
                            table->parts.n_returning_patients == 1 ? "patient" : "patients"), table->comm);
}

static void count_parts(ns_table *table)
{
    int64_t counts[8] = {0};
    for (int64_t i = 0; i < table->n_kept; i++) {
        counts[table->part[i]]++;
        if (table->label[i] > 0) counts[4 + table->part[i]]++;
    }
    memcpy(table->n_part_local, counts, sizeof table->n_part_local);
    ns_sum_i64(counts, 8, table->comm);
    memcpy(table->n_part_global, counts, sizeof table->n_part_global);
    memcpy(table->n_events_global, counts + 4, sizeof table->n_events_global);
}

ns_status ns_parts_assign(ns_table *table, const ns_part_rule *rule)
{
    if (rule->by == NS_SPLIT_NONE) memset(table->part, NS_PART_TEST, (size_t)table->n_kept);
    if (rule->by == NS_SPLIT_GROUP || rule->by == NS_SPLIT_ROW) draw_parts(table, rule);
    if (rule->by == NS_SPLIT_COLUMN) NS_TRY(check_torn(table)); /* before rows are left out: that tears nobody */
    if (rule->by != NS_SPLIT_NONE) deal_folds(table);
    if (table->left != NULL)
        for (int64_t i = 0; i < table->n_kept; i++)
            if (table->left[i] != NS_LEFT_NOT) table->part[i] = NS_PART_NONE;
    ns_sum_i64(table->parts.left, NS_N_LEFT_OUT, table->comm);
    ns_sum_i64(table->parts.n_unlabelled, 4, table->comm);
    if (rule->by == NS_SPLIT_TIME && table->group >= 0) NS_TRY(settle_returning(table));
    count_parts(table);
    return NS_OK;
}

/* --- what is said of it --- */

static bool is_by_time(const ns_table *table)
{
    const char *by = ns_job_text(table->job, "data.split.by");
    return table->left != NULL && by != NULL && strcmp(by, "time") == 0;
}

static int64_t n_dropped(const ns_table *table)
{
    return strcmp(returning_policy(table->job), "drop") == 0 ? table->parts.n_returning_rows : 0;
}

ns_status ns_parts_check(const ns_table *table)
{
    static const char *const opens[] = {"", "", "data.split.valid_from", "data.split.test_from"};
    const ns_job *job = table->job;
    if (!is_by_time(table)) return NS_OK;
    for (int part = NS_PART_TRAIN; part <= NS_PART_TEST; part++) {
        const char *key = opens[part];
        if (part == NS_PART_TRAIN) key = ns_job_given(job, opens[NS_PART_VALID]) ? opens[NS_PART_VALID] : opens[NS_PART_TEST];
        if (!ns_job_given(job, key) || table->n_part_global[part] > 0) continue;
        const ns_part_counts *c = &table->parts;
        return ns_fail(NS_EFORMAT, "%s: %s: no row is left for the %s part; left out: %lld rows without a time, %lld with an open outcome "
                       "window, %lld after data.split.until, %lld of returning patients; %lld of that time have no label",
                       ns_job_place(job, key), key, part == NS_PART_TRAIN ? "training" : part == NS_PART_VALID ? "validation" : "test",
                       (long long)c->left[NS_LEFT_NO_TIME], (long long)c->left[NS_LEFT_WINDOW_OPEN], (long long)c->left[NS_LEFT_AFTER_UNTIL],
                       (long long)n_dropped(table), (long long)c->n_unlabelled[part]);
    }
    return NS_OK;
}

void ns_parts_log(const ns_table *table)
{
    const ns_part_counts *c = &table->parts;
    if (table->left == NULL) return;
    ns_log_event(NS_LOG_INFO, "split", "by=%s without_time=%lld window_open=%lld after_until=%lld returning=%s returning_rows=%lld returning_patients=%lld",
                 is_by_time(table) ? "time" : "other", (long long)c->left[NS_LEFT_NO_TIME], (long long)c->left[NS_LEFT_WINDOW_OPEN],
                 (long long)c->left[NS_LEFT_AFTER_UNTIL], returning_policy(table->job), (long long)c->n_returning_rows,
                 (long long)c->n_returning_patients);
    for (int part = NS_PART_TRAIN; part <= NS_PART_TEST; part++) {
        int64_t without = c->n_unlabelled[part], all = without + table->n_part_global[part];
        if (without > 0 && without >= all / 10) /* early outcomes come with a label, late ones not yet: what is left is no fair sample */
            ns_log_event(NS_LOG_WARN, "late_labels", "part=%s rows=%lld without_label=%lld cure=\"set data.split.until to the time up to which labels are complete, and data.label.window\"",
                         part_names[part], (long long)all, (long long)without);
    }
}

void ns_parts_print(const ns_table *table, FILE *to)
{
    const ns_part_counts *c = &table->parts;
    if (table->left == NULL) return;
    fprintf(to, "  split     left out: %lld rows without a time, %lld whose outcome window was open, %lld after data.split.until\n",
            (long long)c->left[NS_LEFT_NO_TIME], (long long)c->left[NS_LEFT_WINDOW_OPEN], (long long)c->left[NS_LEFT_AFTER_UNTIL]);
    if (!is_by_time(table)) return;
    if (table->group >= 0)
        fprintf(to, "            %s: %lld rows of %lld patients of an earlier part\n", n_dropped(table) > 0 ? "dropped" : "returning",
                (long long)c->n_returning_rows, (long long)c->n_returning_patients);
    fprintf(to, "            without a label: %lld train, %lld valid, %lld test\n", (long long)c->n_unlabelled[NS_PART_TRAIN],
            (long long)c->n_unlabelled[NS_PART_VALID], (long long)c->n_unlabelled[NS_PART_TEST]);
}

json_t *ns_parts_json(const ns_table *table)
{
    const ns_part_counts *c = &table->parts;
    if (table->left == NULL) return NULL;
    json_t *out = json_object(), *left = json_object();
    for (int why = NS_LEFT_NO_TIME; why < NS_N_LEFT_OUT; why++) json_object_set_new(left, left_names[why], json_integer(c->left[why]));
    json_object_set_new(out, "left_out", left);
    if (!is_by_time(table)) return out;
    if (table->group >= 0)
        json_object_set_new(out, "returning", json_pack("{s:s, s:I, s:I}", "policy", returning_policy(table->job), "rows",
                                                        (json_int_t)c->n_returning_rows, "patients", (json_int_t)c->n_returning_patients));
    json_t *without = json_object();
    for (int part = NS_PART_TRAIN; part <= NS_PART_TEST; part++)
        json_object_set_new(without, part_names[part], json_integer(c->n_unlabelled[part]));
    json_object_set_new(out, "without_label", without);
    return out;
}
