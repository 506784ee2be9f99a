/*
 * Two passes over the columns that decide who belongs. The first, over an even cut, counts kept rows per block of 1,024;
 * the shards are cut so that these balance; the second reads the rows of the final shard. With one rank the first is the
 * second. Every rank takes every decision from the same global counts.
 */
#include "runner/training/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "runner/ids.h"
#include "runner/training/label.h"
#include "runner/objective.h"
#include "runner/training/parts.h"

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
    table->objective = ns_objective_of(job);
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

/* --- the two passes --- */

typedef struct row_tally {
    int64_t *kept; /* per block, [n_blocks] */
    int64_t outside, unlabelled;
} row_tally;

/* What keep[i] says of a row. */
enum { ROW_OUTSIDE = 0, ROW_KEPT = 1, ROW_UNLABELLED = 2 };

/* Which rows of [first, first + n) belong: keep[i] and, where it is ROW_KEPT, label[i]. */
static ns_status decide_rows(ns_table *table, ns_label_rule *rule, int64_t first, int64_t n, uint8_t *keep, float *label,
                             int32_t *scratch, row_tally *tally)
{
    NS_TRY(ns_stop_check());
    NS_TRY(ns_filter_rows(table->filter, table->cohort, first, n, keep));
    NS_TRY(ns_label_read(rule, first, n, keep, label, scratch));
    for (int64_t i = 0; i < n; i++) {
        if (!keep[i]) tally->outside++;
        else if (isnan(label[i])) {
            tally->unlabelled++;
            keep[i] = ROW_UNLABELLED;
        }
        if (keep[i] == ROW_KEPT) tally->kept[(first + i) / NS_BLOCK_ROWS]++;
    }
    return NS_OK;
}

typedef struct slab_buffers {
    uint8_t *keep;
    float *label, *weight;
    int32_t *code;
    int64_t *time;
    ns_hash128 *hash;
} slab_buffers;

static ns_status take_buffers(slab_buffers *b)
{
    size_t n = NS_SLAB_ROWS;
    *b = (slab_buffers){malloc(n), malloc(n * sizeof(float)), malloc(n * sizeof(float)), calloc(n, sizeof(int32_t)),
                        calloc(n, sizeof(int64_t)), malloc(n * sizeof(ns_hash128))};
    if (b->keep == NULL || b->label == NULL || b->weight == NULL || b->code == NULL || b->time == NULL || b->hash == NULL)
        return ns_fail(NS_ENOMEM, "no memory for a slab of rows");
    return NS_OK;
}

static void free_buffers(slab_buffers *b)
{
    free(b->keep);
    free(b->label);
    free(b->weight);
    free(b->code);
    free(b->time);
    free(b->hash);
}

static int64_t slab_rows(ns_shard shard, int64_t at)
{
    int64_t left = shard.first_row + shard.n_rows - at;
    return left < NS_SLAB_ROWS ? left : NS_SLAB_ROWS;
}

static ns_status count_shard(ns_table *table, ns_label_rule *rule, ns_shard shard, slab_buffers *b, row_tally *tally)
{
    for (int64_t at = shard.first_row; at < shard.first_row + shard.n_rows; at += NS_SLAB_ROWS)
        NS_TRY(decide_rows(table, rule, at, slab_rows(shard, at), b->keep, b->label, b->code, tally));
    return NS_OK;
}

static ns_status take_rows(ns_table *table, const ns_part_rule *parts, int64_t n)
{
    size_t room = (size_t)n + 1;
    table->row = malloc(room * sizeof *table->row);
    table->label = malloc(room * sizeof *table->label);
    table->weight = table->weight_column >= 0 ? malloc(room * sizeof *table->weight) : NULL;
    table->patient = calloc(room, sizeof *table->patient);
    table->part = calloc(room, 1);
    table->left = parts->uses_time ? calloc(room, 1) : NULL;
    if ((parts->uses_time && table->left == NULL) || table->row == NULL || table->label == NULL || table->patient == NULL || table->part == NULL ||
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

/* The rows of one slab that belong, appended to the table's arrays from *at on. */
static ns_status fill_slab(ns_table *table, ns_label_rule *rule, const ns_part_rule *parts, int64_t first, int64_t n,
                           slab_buffers *b, row_tally *tally, int64_t *at)
{
    NS_TRY(decide_rows(table, rule, first, n, b->keep, b->label, b->code, tally));
    if (table->weight_column >= 0) NS_TRY(ns_cohort_read_number(table->cohort, table->weight_column, first, n, b->weight));
    if (table->group >= 0) NS_TRY(ns_cohort_read_hash(table->cohort, table->group, first, n, b->hash));
    if (parts->level_part != NULL) NS_TRY(ns_cohort_read_codes(table->cohort, table->split_column, first, n, b->code));
    if (parts->uses_time) NS_TRY(ns_cohort_read_time(table->cohort, table->time, first, n, b->time));
    for (int64_t i = 0; i < n; i++) {
        if (b->keep[i] == ROW_UNLABELLED) ns_part_take(table, parts, -1, b->time[i], b->code[i]);
        if (b->keep[i] != ROW_KEPT) continue;
        int64_t k = (*at)++;
        table->row[k] = first + i;
        table->label[k] = b->label[i];
        if (table->weight_column >= 0) {
            NS_TRY(check_weight(table, b->weight[i], first + i));
            table->weight[k] = b->weight[i];
        }
        if (table->group >= 0) table->patient[k] = b->hash[i];
        ns_part_take(table, parts, k, b->time[i], b->code[i]);
    }
    return NS_OK;
}

static ns_status fill_shard(ns_table *table, ns_label_rule *rule, const ns_part_rule *parts, slab_buffers *b, row_tally *tally)
{
    int64_t at = 0, end = table->shard.first_row + table->shard.n_rows;
    ns_status status = NS_OK;
    for (int64_t row = table->shard.first_row; row < end && status == NS_OK; row += NS_SLAB_ROWS)
        status = fill_slab(table, rule, parts, row, slab_rows(table->shard, row), b, tally, &at);
    return status;
}

/* --- ids --- */

/* Ids of kept rows, slab by slab of the shard; the others are nobody's duplicates. */
typedef struct id_slabs {
    ns_table *table;
    ns_id_reader ids;
} id_slabs;

int64_t ns_table_kept_from(const ns_table *table, int64_t row)
{
    int64_t low = 0, high = table->n_kept;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (table->row[middle] < row) low = middle + 1;
        else high = middle;
    }
    return low;
}

static ns_status read_slab_ids(void *context, int64_t slab, ns_id_piece *out)
{
    id_slabs *s = context;
    ns_table *t = s->table;
    int64_t at = t->shard.first_row + slab * NS_SLAB_ROWS, n = slab_rows(t->shard, at);
    NS_TRY(ns_id_reader_read(&s->ids, at, n));
    memset(s->ids.use, 0, (size_t)n);
    for (int64_t k = ns_table_kept_from(t, at); k < t->n_kept && t->row[k] < at + n; k++) s->ids.use[t->row[k] - at] = 1;
    *out = ns_id_reader_piece(&s->ids, slab * NS_SLAB_ROWS, n);
    return NS_OK;
}

static ns_status name_duplicate(const ns_table *table, const uint8_t *duplicate, int64_t n_found)
{
    int64_t last = -INT64_MAX; /* the first such row, as a maximum */
    for (int64_t i = 0; i < table->shard.n_rows && last == -INT64_MAX; i++)
        if ((duplicate[i >> 3] >> (i & 7) & 1) != 0) last = -(table->shard.first_row + i);
    ns_max_i64(&last, 1, table->comm);
    char what[100];
    snprintf(what, sizeof what, "its id stands on another row too; %lld rows share theirs", (long long)n_found);
    return ns_agree(ns_cohort_bad_row(table->cohort, table->id, -last, what), table->comm);
}

/* An id stands on one row. */
static ns_status check_ids(ns_table *table)
{
    if (table->id < 0) return NS_OK;
    id_slabs slabs = {.table = table};
    int64_t n_rows = table->shard.n_rows, n_found = 0;
    uint8_t *duplicate = calloc((size_t)n_rows / 8 + 2, 1);
    ns_status status = ns_id_reader_open(&slabs.ids, table->cohort, table->id, NS_SLAB_ROWS);
    if (duplicate == NULL) status = ns_fail(NS_ENOMEM, "no memory for the duplicates among %lld rows", (long long)n_rows);
    status = ns_agree(status, table->comm);
    ns_id_source source = {.n_pieces = (n_rows + NS_SLAB_ROWS - 1) / NS_SLAB_ROWS, .n_rows = n_rows, .is_text = slabs.ids.number == NULL,
                           .read = read_slab_ids, .context = &slabs};
    if (status == NS_OK) status = ns_duplicates_find(&source, &ns_duplicates_default, duplicate, &n_found, table->comm);
    if (status == NS_OK && n_found > 0) status = name_duplicate(table, duplicate, n_found);
    ns_id_reader_close(&slabs.ids);
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
        int64_t stretch = ns_cohort_stretch();
        for (int64_t at = table->shard.first_row; at < end; at += stretch)
            NS_TRY(ns_hash_column(table->fingerprint, i, table->cohort, table->used[i], at, end - at < stretch ? end - at : stretch));
    }
    return NS_OK;
}

/* First pass: kept rows of every block and their classes, and from them this rank's shard. *counted stays for the second pass. */
static ns_status cut_shards(ns_table *table, ns_label_rule *rule, slab_buffers *b, row_tally *tally, int64_t n_blocks)
{
    int rank, n_ranks;
    MPI_Comm_rank(table->comm, &rank);
    MPI_Comm_size(table->comm, &n_ranks);
    ns_shard even = ns_shard_of(NULL, table->n_rows_global, rank, n_ranks);
    NS_TRY(ns_agree(count_shard(table, rule, even, b, tally), table->comm));
    NS_TRY(ns_label_settle(rule, &table->classes, table->comm));
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

static ns_status read_with(ns_table *table, ns_label_rule *rule, const ns_part_rule *parts, slab_buffers *b, row_tally *tally, int64_t n_blocks)
{
    NS_TRY(cut_shards(table, rule, b, tally, n_blocks));
    if (table->n_kept_global == 0)
        return ns_agree(ns_fail(NS_EFORMAT, "%s: %s: no row of the cohort is left: %lld rows, %lld outside data.where, %lld without a label",
                                ns_job_place(table->job, table->cohort_key), table->cohort_key, (long long)table->n_rows_global,
                                (long long)table->n_outside_global, (long long)table->n_unlabelled_global), table->comm);
    memset(tally->kept, 0, (size_t)n_blocks * sizeof *tally->kept);
    ns_status status = take_rows(table, parts, table->n_kept);
    if (status == NS_OK) status = fill_shard(table, rule, parts, b, tally);
    if (status == NS_OK) status = create_fingerprint(table);
    if (status == NS_OK) status = hash_others(table);
    NS_TRY(ns_agree(status, table->comm));
    NS_TRY(check_ids(table));
    return ns_parts_assign(table, parts);
}

ns_status ns_table_check_rules(const ns_table *table)
{
    ns_label_rule rule = {0};
    ns_part_rule parts = {0};
    ns_status status = ns_label_learn(&rule, table->job, table->cohort, table->label_column, table->objective, table->known_classes);
    if (status == NS_OK) status = ns_part_rule_learn(&parts, table);
    ns_label_forget(&rule);
    ns_part_rule_forget(&parts);
    return ns_agree(status, table->comm);
}

ns_status ns_table_read(ns_table *table, ns_table_use use)
{
    table->n_rows_global = ns_cohort_n_rows(table->cohort);
    int64_t n_blocks = ns_n_blocks(table->n_rows_global);
    ns_label_rule rule = {0};
    ns_part_rule parts = {0};
    slab_buffers buffers = {0};
    row_tally tally = {.kept = calloc((size_t)n_blocks + 1, sizeof *tally.kept)};
    ns_status status = tally.kept == NULL ? ns_fail(NS_ENOMEM, "no memory for %lld blocks", (long long)n_blocks) : NS_OK;
    if (status == NS_OK) status = take_buffers(&buffers);
    if (status == NS_OK) status = ns_label_learn(&rule, table->job, table->cohort, table->label_column, table->objective, table->known_classes);
    if (status == NS_OK && use == NS_TABLE_TRAIN) status = ns_part_rule_learn(&parts, table);
    status = ns_agree(status, table->comm);
    if (status == NS_OK) status = read_with(table, &rule, &parts, &buffers, &tally, n_blocks);
    ns_label_forget(&rule);
    ns_part_rule_forget(&parts);
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
    (*out)[levels->n] = 0;
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
        if (status == NS_OK && texts.n > 0) ns_hash64_each(words, texts.bytes, texts.offset, texts.n);
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
    ns_texts_destroy(&table->classes);
    free(table->used);
    free(table->digests);
    free(table->row);
    free(table->label);
    free(table->weight);
    free(table->patient);
    free(table->part);
    free(table->left);
    memset(table, 0, sizeof *table);
}
