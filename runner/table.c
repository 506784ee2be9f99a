/*
 * Two passes over the columns that decide who belongs. The first, over an even cut, counts kept rows per block of 1,024;
 * the shards are cut so that these balance; the second reads the rows of the final shard. With one rank the first is the
 * second. Every rank takes every decision from the same global counts.
 */
#include "runner/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "data/patients.h"

/* The column that an option names; -1 where the option is unset. */
static ns_status find_role(int32_t *out, const ns_table *table, const char *key)
{
    *out = -1;
    const char *name = ns_job_text(table->job, key);
    if (name == NULL) return NS_OK;
    *out = ns_cohort_find(table->cohort, name);
    if (*out >= 0) return NS_OK;
    return ns_fail(NS_EFORMAT, "%s: %s: the cohort has no column '%s'", ns_job_place(table->job, key), key, name);
}

static ns_status wrong_kind(const ns_table *table, const char *key, int32_t column, const char *want)
{
    const ns_column *what = ns_cohort_column(table->cohort, column);
    return ns_fail(NS_EFORMAT, "%s: %s: column '%s' is of kind %s, not %s", ns_job_place(table->job, key), key, what->name,
                   ns_column_kind_name(what->kind), want);
}

static ns_column_kind kind_of(const ns_table *table, int32_t column)
{
    return ns_cohort_column(table->cohort, column)->kind;
}

static ns_status find_roles(ns_table *table)
{
    const ns_job *job = table->job;
    NS_TRY(find_role(&table->id, table, "data.id"));
    NS_TRY(find_role(&table->group, table, "data.group"));
    NS_TRY(find_role(&table->time, table, "data.time"));
    NS_TRY(find_role(&table->weight_column, table, "data.weight"));
    NS_TRY(find_role(&table->label_column, table, "data.label.column"));
    NS_TRY(find_role(&table->split_column, table, "data.split.column"));
    if (table->label_column < 0) return ns_fail(NS_EINVAL, "%s: data.label.column: is not set", ns_job_place(job, "data.label.column"));
    if (table->id >= 0 && kind_of(table, table->id) != NS_COL_ID)
        return wrong_kind(table, "data.id", table->id, "id (import with a schema that says so, or set its attribute kind)");
    if (table->time >= 0 && kind_of(table, table->time) != NS_COL_TIME) return wrong_kind(table, "data.time", table->time, "time");
    if (table->weight_column >= 0 && kind_of(table, table->weight_column) != NS_COL_NUMBER)
        return wrong_kind(table, "data.weight", table->weight_column, "number");
    ns_column_kind label = kind_of(table, table->label_column);
    if (label != NS_COL_NUMBER && label != NS_COL_CATEGORY)
        return wrong_kind(table, "data.label.column", table->label_column, "number or category");
    const char *by = ns_job_text(job, "data.split.by");
    if (by != NULL && strcmp(by, "column") == 0) {
        if (table->split_column < 0) return ns_fail(NS_EINVAL, "%s: data.split.by: column needs data.split.column", ns_job_place(job, "data.split.by"));
        if (kind_of(table, table->split_column) != NS_COL_CATEGORY)
            return wrong_kind(table, "data.split.column", table->split_column, "category");
    }
    if (by != NULL && strcmp(by, "group") == 0 && table->group < 0)
        return ns_fail(NS_EINVAL, "%s: data.split.by: group needs data.group", ns_job_place(job, "data.split.by"));
    return NS_OK;
}

static int by_index(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

/* All columns that this table reads, in name order (which is the cohort's order), each once. */
static ns_status list_used(ns_table *table, ns_table_use use)
{
    const char *const *subgroups;
    int64_t n_subgroups = ns_job_list(table->job, "evaluate.subgroups", &subgroups);
    int32_t roles[] = {table->id, table->group, table->time, table->weight_column, table->label_column, table->split_column};
    int32_t n_roles = sizeof roles / sizeof roles[0], n_where = ns_filter_n_columns(table->filter);
    int32_t *all = calloc((size_t)(n_roles + n_where + table->features.n) + (size_t)n_subgroups + 1, sizeof *all);
    if (all == NULL) return ns_fail(NS_ENOMEM, "no memory for the list of columns");
    int32_t n = 0;
    for (int32_t i = 0; i < n_roles; i++)
        if (roles[i] >= 0) all[n++] = roles[i];
    for (int32_t i = 0; i < n_where; i++) all[n++] = ns_filter_column(table->filter, i);
    for (int32_t i = 0; i < table->features.n; i++) all[n++] = table->features.list[i].column;
    table->used = all;
    for (int64_t i = 0; i < n_subgroups; i++) {
        int32_t column = ns_cohort_find(table->cohort, subgroups[i]);
        const char *place = ns_job_place(table->job, "evaluate.subgroups");
        if (column < 0) return ns_fail(NS_EFORMAT, "%s: evaluate.subgroups: the cohort has no column '%s'", place, subgroups[i]);
        if (kind_of(table, column) != NS_COL_CATEGORY) return wrong_kind(table, "evaluate.subgroups", column, "category");
        all[n++] = column;
    }
    (void)use;
    qsort(all, (size_t)n, sizeof *all, by_index);
    for (int32_t i = 0; i < n; i++)
        if (table->n_used == 0 || all[i] != all[table->n_used - 1]) all[table->n_used++] = all[i];
    return NS_OK;
}

ns_status ns_table_open(ns_table *table, const ns_job *job, const char *cohort_key, ns_table_use use, MPI_Comm comm)
{
    table->comm = comm;
    table->job = job;
    table->cohort_key = cohort_key;
    int rank;
    MPI_Comm_rank(comm, &rank);
    const char *const *patterns;
    int64_t n_patterns = ns_job_list(job, cohort_key, &patterns);
    if (n_patterns == 0)
        return ns_agree(ns_fail(NS_EINVAL, "%s: %s: is not set", ns_job_place(job, cohort_key), cohort_key), comm);

    ns_texts files = {0};
    ns_status status = NS_OK;
    if (rank == 0) status = ns_cohort_expand(&files, patterns, n_patterns, cohort_key);
    status = ns_agree(status, comm);
    ns_layout layout = strcmp(ns_job_text(job, "data.layout"), "matrix") == 0 ? NS_LAYOUT_MATRIX : NS_LAYOUT_COLUMNS;
    if (status == NS_OK) status = ns_cohort_open(&table->cohort, rank == 0 ? &files : NULL, layout, comm);
    ns_texts_destroy(&files);
    if (status != NS_OK) return status;

    status = find_roles(table);
    if (status == NS_OK) status = ns_features_select(&table->features, job, table->cohort);
    if (status == NS_OK) status = ns_filter_open(&table->filter, job, "data.where", table->cohort);
    if (status == NS_OK) status = list_used(table, use);
    NS_TRY(ns_agree(status, comm));
    NS_TRY(ns_cohort_prepare(table->cohort, table->used, table->n_used, comm));
    return ns_agree(ns_filter_bind(table->filter, table->cohort), comm);
}

/* --- labels --- */

/* How a label column's cells become 0, 1 or missing. */
typedef struct label_rule {
    bool is_category;
    int8_t *level_is;      /* category: 1 positive, 0 not, by level */
    float *positive;       /* number: the positive values */
    int64_t n_positive;
} label_rule;

static ns_status learn_numbers(label_rule *rule, const ns_table *table, const char *const *texts, int64_t n)
{
    rule->positive = calloc((size_t)n + 1, sizeof *rule->positive);
    if (rule->positive == NULL) return ns_fail(NS_ENOMEM, "no memory for the label's values");
    rule->positive[0] = 1.0f;
    rule->n_positive = n > 0 ? n : 1;
    for (int64_t i = 0; i < n; i++) {
        char *end;
        rule->positive[i] = strtof(texts[i], &end);
        if (end == texts[i] || *end != '\0')
            return ns_fail(NS_EFORMAT, "%s: data.label.positive: '%.60s' is no number, but column '%s' is of kind number",
                           ns_job_place(table->job, "data.label.positive"), texts[i],
                           ns_cohort_column(table->cohort, table->label_column)->name);
    }
    return NS_OK;
}

static ns_status learn_label(label_rule *rule, const ns_table *table)
{
    memset(rule, 0, sizeof *rule);
    const ns_column *column = ns_cohort_column(table->cohort, table->label_column);
    const char *const *texts;
    int64_t n = ns_job_list(table->job, "data.label.positive", &texts);
    rule->is_category = column->kind == NS_COL_CATEGORY;
    if (!rule->is_category) return learn_numbers(rule, table, texts, n);
    if (n == 0)
        return ns_fail(NS_EINVAL, "%s: data.label.positive: column '%s' is a category, so say which of its levels are positive",
                       ns_job_place(table->job, "data.label.column"), column->name);
    rule->level_is = calloc((size_t)column->levels->n + 1, 1);
    if (rule->level_is == NULL) return ns_fail(NS_ENOMEM, "no memory for the label's levels");
    for (int64_t i = 0; i < n; i++) {
        int64_t level = ns_texts_find(column->levels, texts[i], (int64_t)strlen(texts[i]));
        if (level < 0)
            return ns_fail(NS_EFORMAT, "%s: data.label.positive: column '%s' has no level '%.60s'",
                           ns_job_place(table->job, "data.label.positive"), column->name, texts[i]);
        rule->level_is[level] = 1;
    }
    return NS_OK;
}

static void forget_label(label_rule *rule)
{
    free(rule->level_is);
    free(rule->positive);
}

/* label[i] = 0, 1, or NaN where missing; scratch holds n words. */
static ns_status read_labels(const ns_table *table, const label_rule *rule, int64_t first, int64_t n, float *label, int32_t *scratch)
{
    if (rule->is_category) {
        NS_TRY(ns_cohort_read_codes(table->cohort, table->label_column, first, n, scratch));
        for (int64_t i = 0; i < n; i++) label[i] = scratch[i] < 0 ? NAN : (float)rule->level_is[scratch[i]];
        return NS_OK;
    }
    NS_TRY(ns_cohort_read_number(table->cohort, table->label_column, first, n, label));
    bool any_value = ns_job_list(table->job, "data.label.positive", &(const char *const *){NULL}) > 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(label[i])) continue;
        float is = 0;
        for (int64_t j = 0; j < rule->n_positive; j++)
            if (label[i] == rule->positive[j]) is = 1;
        if (!any_value && label[i] != 0.0f && label[i] != 1.0f)
            return ns_cohort_bad_row(table->cohort, table->label_column, first + i,
                                     "a label of kind number is 0 or 1 unless data.label.positive says what counts");
        label[i] = is;
    }
    return NS_OK;
}

/* --- the two passes --- */

typedef struct row_tally {
    int64_t *kept; /* per block, [n_blocks] */
    int64_t outside, unlabelled;
} row_tally;

/* Which rows of [first, first + n) belong: keep[i] and, where it is 1, label[i]. */
static ns_status decide_rows(ns_table *table, const label_rule *rule, int64_t first, int64_t n, uint8_t *keep, float *label,
                             int32_t *scratch, row_tally *tally)
{
    NS_TRY(ns_stop_check());
    NS_TRY(ns_filter_rows(table->filter, table->cohort, first, n, keep));
    NS_TRY(read_labels(table, rule, first, n, label, scratch));
    for (int64_t i = 0; i < n; i++) {
        if (!keep[i]) tally->outside++;
        else if (isnan(label[i])) {
            tally->unlabelled++;
            keep[i] = 0;
        }
        if (keep[i]) tally->kept[(first + i) / NS_BLOCK_ROWS]++;
    }
    return NS_OK;
}

typedef struct slab_buffers {
    uint8_t *keep;
    float *label, *weight;
    int32_t *code;
    ns_hash128 *hash;
} slab_buffers;

static ns_status take_buffers(slab_buffers *b)
{
    size_t n = NS_SLAB_ROWS;
    *b = (slab_buffers){malloc(n), malloc(n * sizeof(float)), malloc(n * sizeof(float)), malloc(n * sizeof(int32_t)),
                        malloc(n * sizeof(ns_hash128))};
    if (b->keep == NULL || b->label == NULL || b->weight == NULL || b->code == NULL || b->hash == NULL)
        return ns_fail(NS_ENOMEM, "no memory for a slab of rows");
    return NS_OK;
}

static void free_buffers(slab_buffers *b)
{
    free(b->keep);
    free(b->label);
    free(b->weight);
    free(b->code);
    free(b->hash);
}

static int64_t slab_rows(ns_shard shard, int64_t at)
{
    int64_t left = shard.first_row + shard.n_rows - at;
    return left < NS_SLAB_ROWS ? left : NS_SLAB_ROWS;
}

static ns_status count_shard(ns_table *table, const label_rule *rule, ns_shard shard, slab_buffers *b, row_tally *tally)
{
    for (int64_t at = shard.first_row; at < shard.first_row + shard.n_rows; at += NS_SLAB_ROWS)
        NS_TRY(decide_rows(table, rule, at, slab_rows(shard, at), b->keep, b->label, b->code, tally));
    return NS_OK;
}

static ns_status take_rows(ns_table *table, int64_t n)
{
    size_t room = (size_t)n + 1;
    table->row = malloc(room * sizeof *table->row);
    table->label = malloc(room * sizeof *table->label);
    table->weight = table->weight_column >= 0 ? malloc(room * sizeof *table->weight) : NULL;
    table->patient = calloc(room, sizeof *table->patient);
    table->part = calloc(room, 1);
    if (table->row == NULL || table->label == NULL || table->patient == NULL || table->part == NULL ||
        (table->weight_column >= 0 && table->weight == NULL))
        return ns_fail(NS_ENOMEM, "no memory for %lld rows", (long long)n);
    return NS_OK;
}

static ns_status check_weight(const ns_table *table, float weight, int64_t row)
{
    if (isfinite(weight) && weight >= 0) return NS_OK;
    char what[100];
    snprintf(what, sizeof what, "a weight is a finite number from 0 on; this one is %s",
             isnan(weight) ? "missing" : isinf(weight) ? "infinite" : "negative");
    return ns_cohort_bad_row(table->cohort, table->weight_column, row, what);
}

/* The parts that a split column's levels name, by level; other levels belong to no part. */
static ns_status split_levels(const ns_table *table, uint8_t **out)
{
    *out = NULL;
    const char *by = ns_job_text(table->job, "data.split.by");
    if (by == NULL || strcmp(by, "column") != 0) return NS_OK;
    const ns_texts *levels = ns_cohort_column(table->cohort, table->split_column)->levels;
    uint8_t *part = calloc((size_t)levels->n + 1, 1);
    if (part == NULL) return ns_fail(NS_ENOMEM, "no memory for the split");
    static const char *const names[] = {"train", "valid", "test"};
    for (int i = 0; i < 3; i++) {
        int64_t level = ns_texts_find(levels, names[i], (int64_t)strlen(names[i]));
        if (level >= 0) part[level] = (uint8_t)(NS_PART_TRAIN + i);
    }
    *out = part;
    return NS_OK;
}

/* The rows of one slab that belong, appended to the table's arrays from *at on. */
static ns_status fill_slab(ns_table *table, const label_rule *rule, const uint8_t *level_part, int64_t first, int64_t n,
                           slab_buffers *b, row_tally *tally, int64_t *at)
{
    NS_TRY(decide_rows(table, rule, first, n, b->keep, b->label, b->code, tally));
    if (table->weight_column >= 0) NS_TRY(ns_cohort_read_number(table->cohort, table->weight_column, first, n, b->weight));
    if (table->group >= 0) NS_TRY(ns_cohort_read_hash(table->cohort, table->group, first, n, b->hash));
    if (level_part != NULL) NS_TRY(ns_cohort_read_codes(table->cohort, table->split_column, first, n, b->code));
    for (int64_t i = 0; i < n; i++) {
        if (!b->keep[i]) continue;
        int64_t k = (*at)++;
        table->row[k] = first + i;
        table->label[k] = b->label[i];
        if (table->weight_column >= 0) {
            NS_TRY(check_weight(table, b->weight[i], first + i));
            table->weight[k] = b->weight[i];
        }
        if (table->group >= 0) table->patient[k] = b->hash[i];
        if (level_part != NULL) table->part[k] = b->code[i] < 0 ? NS_PART_NONE : level_part[b->code[i]];
    }
    return NS_OK;
}

static ns_status fill_shard(ns_table *table, const label_rule *rule, slab_buffers *b, row_tally *tally)
{
    uint8_t *level_part = NULL;
    int64_t at = 0, end = table->shard.first_row + table->shard.n_rows;
    ns_status status = split_levels(table, &level_part);
    for (int64_t row = table->shard.first_row; row < end && status == NS_OK; row += NS_SLAB_ROWS)
        status = fill_slab(table, rule, level_part, row, slab_rows(table->shard, row), b, tally, &at);
    free(level_part);
    return status;
}

/* --- parts and ids --- */

static ns_status assign_parts(ns_table *table, ns_table_use use)
{
    const ns_job *job = table->job;
    const char *by = ns_job_text(job, "data.split.by");
    if (use == NS_TABLE_EVALUATE) {
        memset(table->part, NS_PART_TEST, (size_t)table->n_kept);
    } else if (by != NULL && strcmp(by, "column") == 0) {
        int32_t *value = malloc(((size_t)table->n_kept + 1) * sizeof *value);
        ns_status status = ns_agree(value == NULL ? ns_fail(NS_ENOMEM, "no memory for the split") : NS_OK, table->comm);
        int64_t torn = 0;
        if (status == NS_OK) {
            for (int64_t i = 0; i < table->n_kept; i++) value[i] = table->part[i];
            status = ns_count_torn_patients(table->patient, value, table->n_kept, &torn, table->comm);
        }
        free(value);
        if (status != NS_OK) return status;
        if (torn > 0)
            return ns_agree(ns_fail(NS_EFORMAT, "%s: data.split.column: column '%s' puts the rows of %lld %s in more than one part",
                                    ns_job_place(job, "data.split.column"), ns_cohort_column(table->cohort, table->split_column)->name,
                                    (long long)torn, torn == 1 ? "patient" : "patients"), table->comm);
    } else {
        ns_split split = {.seed = (uint64_t)ns_job_integer(job, "train.seed"), .train = ns_job_number(job, "data.split.train"),
                          .valid = ns_job_number(job, "data.split.valid"), .test = ns_job_number(job, "data.split.test")};
        bool by_group = by != NULL ? strcmp(by, "group") == 0 : table->group >= 0;
        for (int64_t i = 0; i < table->n_kept; i++)
            table->part[i] = (uint8_t)(by_group ? ns_split_by_group(&split, table->patient[i], table->row[i])
                                                : ns_split_by_row(&split, table->row[i]));
    }
    return NS_OK;
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

/* An id stands on one row: kept rows only, since the others are nobody's patients here. */
static ns_status check_ids(ns_table *table)
{
    if (table->id < 0) return NS_OK;
    int64_t n = table->n_kept, found = 0, kept = 0;
    ns_hash128 *id = calloc((size_t)n + 1, sizeof *id), *slab = malloc(NS_SLAB_ROWS * sizeof *slab);
    uint8_t *duplicate = malloc((size_t)n + 1);
    ns_status status = NS_OK;
    if (id == NULL || slab == NULL || duplicate == NULL) status = ns_fail(NS_ENOMEM, "no memory for %lld ids", (long long)n);
    int64_t end = table->shard.first_row + table->shard.n_rows;
    for (int64_t at = table->shard.first_row; at < end && status == NS_OK; at += NS_SLAB_ROWS) {
        status = ns_cohort_read_hash(table->cohort, table->id, at, slab_rows(table->shard, at), slab);
        for (; status == NS_OK && kept < n && table->row[kept] < at + NS_SLAB_ROWS; kept++) id[kept] = slab[table->row[kept] - at];
    }
    status = ns_agree(status, table->comm);
    if (status == NS_OK) status = ns_find_duplicates(id, n, duplicate, &found, table->comm);
    if (status == NS_OK && found > 0) {
        int64_t last = -INT64_MAX; /* the first such row, as a maximum */
        for (int64_t i = 0; i < n && last == -INT64_MAX; i++)
            if (duplicate[i]) last = -table->row[i];
        ns_max_i64(&last, 1, table->comm);
        char what[100];
        snprintf(what, sizeof what, "its id stands on another row too; %lld rows share theirs", (long long)found);
        status = ns_agree(ns_cohort_bad_row(table->cohort, table->id, -last, what), table->comm);
    }
    free(id);
    free(slab);
    free(duplicate);
    return status;
}

static ns_status create_fingerprint(ns_table *table)
{
    const char **names = calloc((size_t)table->n_used + 1, sizeof *names);
    ns_column_kind *kinds = calloc((size_t)table->n_used + 1, sizeof *kinds);
    ns_status status = names == NULL || kinds == NULL ? ns_fail(NS_ENOMEM, "no memory for the fingerprint") : NS_OK;
    for (int32_t i = 0; i < table->n_used && status == NS_OK; i++) {
        names[i] = ns_cohort_column(table->cohort, table->used[i])->name;
        kinds[i] = ns_cohort_column(table->cohort, table->used[i])->kind;
    }
    if (status == NS_OK)
        status = ns_fingerprint_create(&table->fingerprint, names, kinds, table->n_used, table->n_rows_global, table->shard);
    free(names);
    free(kinds);
    return status;
}

/* The columns that are no feature are read by nobody after this: hash them now. */
static ns_status hash_others(ns_table *table)
{
    for (int32_t i = 0; i < table->n_used; i++) {
        bool is_feature = false;
        for (int32_t j = 0; j < table->features.n; j++) is_feature |= table->features.list[j].column == table->used[i];
        if (is_feature) continue;
        int64_t end = table->shard.first_row + table->shard.n_rows;
        for (int64_t at = table->shard.first_row; at < end; at += NS_SLAB_ROWS)
            NS_TRY(ns_hash_column(table->fingerprint, i, table->cohort, table->used[i], at, slab_rows(table->shard, at)));
    }
    return NS_OK;
}

/* First pass: kept rows of every block, and from them this rank's shard. *counted stays for the second pass. */
static ns_status cut_shards(ns_table *table, const label_rule *rule, slab_buffers *b, row_tally *tally, int64_t n_blocks)
{
    int rank, n_ranks;
    MPI_Comm_rank(table->comm, &rank);
    MPI_Comm_size(table->comm, &n_ranks);
    ns_shard even = ns_shard_of(NULL, table->n_rows_global, rank, n_ranks);
    NS_TRY(ns_agree(count_shard(table, rule, even, b, tally), table->comm));
    ns_sum_i64(tally->kept, n_blocks, table->comm);
    int64_t totals[2] = {tally->outside, tally->unlabelled};
    ns_sum_i64(totals, 2, table->comm);
    table->n_outside_global = totals[0];
    table->n_unlabelled_global = totals[1];
    for (int64_t i = 0; i < n_blocks; i++) table->n_kept_global += tally->kept[i];
    table->shard = ns_shard_of(tally->kept, table->n_rows_global, rank, n_ranks);
    int64_t end = table->shard.first_row + table->shard.n_rows;
    /* An empty shard may begin at the end of the table, which is no block border. */
    int64_t first_block = ns_n_blocks(table->shard.first_row);
    for (int64_t i = first_block; i * NS_BLOCK_ROWS < end; i++) table->n_kept += tally->kept[i];
    return NS_OK;
}

static ns_status read_with(ns_table *table, ns_table_use use, const label_rule *rule, slab_buffers *b, row_tally *tally, int64_t n_blocks)
{
    NS_TRY(cut_shards(table, rule, b, tally, n_blocks));
    if (table->n_kept_global == 0)
        return ns_agree(ns_fail(NS_EFORMAT, "%s: %s: no row of the cohort is left: %lld rows, %lld outside data.where, %lld without a label",
                                ns_job_place(table->job, table->cohort_key), table->cohort_key, (long long)table->n_rows_global,
                                (long long)table->n_outside_global, (long long)table->n_unlabelled_global), table->comm);
    memset(tally->kept, 0, (size_t)n_blocks * sizeof *tally->kept);
    ns_status status = take_rows(table, table->n_kept);
    if (status == NS_OK) status = fill_shard(table, rule, b, tally);
    if (status == NS_OK) status = create_fingerprint(table);
    if (status == NS_OK) status = hash_others(table);
    NS_TRY(ns_agree(status, table->comm));
    NS_TRY(check_ids(table));
    NS_TRY(assign_parts(table, use));
    count_parts(table);
    return NS_OK;
}

ns_status ns_table_read(ns_table *table, ns_table_use use)
{
    table->n_rows_global = ns_cohort_n_rows(table->cohort);
    int64_t n_blocks = ns_n_blocks(table->n_rows_global);
    label_rule rule = {0};
    slab_buffers buffers = {0};
    row_tally tally = {.kept = calloc((size_t)n_blocks + 1, sizeof *tally.kept)};
    ns_status status = tally.kept == NULL ? ns_fail(NS_ENOMEM, "no memory for %lld blocks", (long long)n_blocks) : NS_OK;
    if (status == NS_OK) status = take_buffers(&buffers);
    if (status == NS_OK) status = learn_label(&rule, table);
    status = ns_agree(status, table->comm);
    if (status == NS_OK) status = read_with(table, use, &rule, &buffers, &tally, n_blocks);
    forget_label(&rule);
    free_buffers(&buffers);
    free(tally.kept);
    return status;
}

int32_t ns_table_used_index(const ns_table *table, int32_t column)
{
    for (int32_t i = 0; i < table->n_used; i++)
        if (table->used[i] == column) return i;
    return -1;
}

ns_status ns_level_words(uint64_t **out, const ns_texts *levels)
{
    *out = malloc(((size_t)levels->n + 1) * sizeof **out);
    if (*out == NULL) return ns_fail(NS_ENOMEM, "no memory for %lld levels", (long long)levels->n);
    for (int64_t i = 0; i < levels->n; i++)
        (*out)[i] = ns_hash64(levels->bytes + levels->offset[i], (size_t)(levels->offset[i + 1] - levels->offset[i]));
    return NS_OK;
}

static ns_status hash_codes(ns_fingerprint *fingerprint, int32_t index, ns_cohort *cohort, int32_t column, int64_t first, int64_t n,
                            uint64_t *words)
{
    uint64_t *level_words = NULL;
    int32_t *codes = malloc(((size_t)n + 1) * sizeof *codes);
    ns_status status = codes == NULL ? ns_fail(NS_ENOMEM, "no memory for a slab of codes") : NS_OK;
    if (status == NS_OK) status = ns_level_words(&level_words, ns_cohort_column(cohort, column)->levels);
    if (status == NS_OK) status = ns_cohort_read_codes(cohort, column, first, n, codes);
    for (int64_t i = 0; i < n && status == NS_OK; i++) words[i] = codes[i] < 0 ? 0 : level_words[codes[i]];
    if (status == NS_OK) ns_fingerprint_words(fingerprint, index, first, n, words);
    free(codes);
    free(level_words);
    return status;
}

ns_status ns_hash_column(ns_fingerprint *fingerprint, int32_t index, ns_cohort *cohort, int32_t column, int64_t first, int64_t n)
{
    const ns_column *what = ns_cohort_column(cohort, column);
    uint64_t *words = malloc(((size_t)n + 1) * sizeof *words);
    if (words == NULL) return ns_fail(NS_ENOMEM, "no memory for a slab of column '%s'", what->name);
    ns_texts texts = {0};
    ns_status status = NS_OK;
    if (what->kind == NS_COL_NUMBER) {
        status = ns_cohort_read_number(cohort, column, first, n, (float *)words);
        if (status == NS_OK) ns_fingerprint_numbers(fingerprint, index, first, n, (const float *)words);
    } else if (what->kind == NS_COL_CATEGORY) {
        status = hash_codes(fingerprint, index, cohort, column, first, n, words);
    } else {
        if (what->kind == NS_COL_TIME) status = ns_cohort_read_time(cohort, column, first, n, (int64_t *)words);
        else if (!what->is_text) status = ns_cohort_read_id_int(cohort, column, first, n, (int64_t *)words);
        else status = ns_cohort_read_id_text(cohort, column, first, n, &texts);
        for (int64_t i = 0; i < texts.n && status == NS_OK; i++) {
            int64_t length = texts.offset[i + 1] - texts.offset[i];
            words[i] = length == 0 ? 0 : ns_hash64(texts.bytes + texts.offset[i], (size_t)length);
        }
        if (status == NS_OK) ns_fingerprint_words(fingerprint, index, first, n, words);
    }
    ns_texts_destroy(&texts);
    free(words);
    return status;
}

ns_status ns_table_fingerprint(ns_table *table)
{
    table->digests = calloc((size_t)table->n_used + 1, sizeof *table->digests);
    ns_status status = ns_agree(table->digests == NULL ? ns_fail(NS_ENOMEM, "no memory for the fingerprint") : NS_OK, table->comm);
    if (status == NS_OK) status = ns_fingerprint_finish(table->fingerprint, table->digests, table->digest, table->comm);
    return status;
}

void ns_table_close(ns_table *table)
{
    ns_fingerprint_destroy(&table->fingerprint);
    ns_filter_close(&table->filter);
    ns_features_destroy(&table->features);
    ns_cohort_close(&table->cohort);
    free(table->used);
    free(table->digests);
    free(table->row);
    free(table->label);
    free(table->weight);
    free(table->patient);
    free(table->part);
    memset(table, 0, sizeof *table);
}
