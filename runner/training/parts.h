#ifndef NIGHTSHIFT_RUNNER_TRAINING_PARTS_H
#define NIGHTSHIFT_RUNNER_TRAINING_PARTS_H
/*
 * Which part of the split each row of a table is in, and how many rows are in none, by reason. Rows in no part stay in the
 * table and in its fingerprint; nothing learns from them and no metric sees them.
 */
#include <jansson.h>
#include <stdio.h>

#include "data/cohort.h"
#include "data/split.h"
#include "jobs/job.h"

struct ns_table;

/* How a job divides its rows, with what its cohort says to it. Zeroed: every row is in the test part. */
typedef struct ns_part_rule {
    enum { NS_SPLIT_NONE = 0, NS_SPLIT_GROUP, NS_SPLIT_ROW, NS_SPLIT_COLUMN, NS_SPLIT_TIME } by;
    bool uses_time;      /* by time, or with data.split.until */
    ns_time_split time;
    uint8_t *level_part; /* by column: ns_part of each level */
} ns_part_rule;

/* Rows in no part although they belong, over all ranks; and by time, rows without a label. */
typedef struct ns_part_counts {
    int64_t left[NS_N_LEFT_OUT];
    int64_t n_returning_rows, n_returning_patients; /* of patients who are in an earlier part too, dropped or kept */
    int64_t n_unlabelled[4];                        /* by the part that their time puts them in */
} ns_part_counts;

/* After ns_cohort_prepare. Local. NS_ENOMEM. Freed with ns_part_rule_forget in either case. */
ns_status ns_part_rule_learn(ns_part_rule *rule, const struct ns_table *table);
void ns_part_rule_forget(ns_part_rule *rule);

/*
 * One row as its slab is read.
 *   at    in  its place among the table's kept rows, or -1: it has no label, and is only counted
 *   time  in  used where the rule uses time
 *   code  in  of the split column, used where the rule splits by it
 * Local. Cannot fail.
 */
void ns_part_take(struct ns_table *table, const ns_part_rule *rule, int64_t at, int64_t time, int32_t code);

/*
 * After all rows were taken: the parts of those that time or column did not decide, returning patients, and the counts
 * n_part_local, n_part_global, n_events_global and `parts` of the table.
 * Collective. NS_EFORMAT: a split column that puts a patient in two parts, patients that return where the job forbids it.
 * NS_ENOMEM.
 */
ns_status ns_parts_assign(struct ns_table *table, const ns_part_rule *rule);

/* By time, every part that a date opens has rows; NS_EFORMAT names the date and the counts where not. Local, the same everywhere. */
ns_status ns_parts_check(const struct ns_table *table);

/* What is said of a table that uses time, and nothing of another: the log's events, the lines of a summary, the `split` of
   metrics.json (NULL where there is nothing to say). No time of a row is told, only the job's own dates and counts. */
void ns_parts_log(const struct ns_table *table);
void ns_parts_print(const struct ns_table *table, FILE *to);
json_t *ns_parts_json(const struct ns_table *table);
#endif
