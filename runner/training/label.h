#ifndef NIGHTSHIFT_RUNNER_TRAINING_LABEL_H
#define NIGHTSHIFT_RUNNER_TRAINING_LABEL_H
/*
 * How the cells of a label column become what a model learns (ns_objective in kernels/forest.h):
 *   binary      1 where the cell is one of data.label.positive (without it: where the number is 1), else 0
 *   multiclass  the place of the cell's class: classes stand in bytewise order of text, those of a number column by value. They are
 *               data.label.classes, or all that kept rows have (at most NS_MAX_CLASSES); a cell of another class has no label
 *   others      the number, finite; for poisson at least 0
 * NaN where there is no label.
 */
#include <mpi.h>
#include <stdbool.h>

#include "data/cohort.h"
#include "jobs/job.h"
#include "kernels/forest.h"

enum { NS_MAX_CLASSES = 1000 };

typedef struct ns_label_rule {
    const ns_job *job;
    ns_cohort *cohort;
    int32_t column;
    ns_objective objective;
    bool is_category;
    bool settled;       /* multiclass: the classes are known */
    const ns_texts *known; /* multiclass: a bundle's classes, or NULL */
    float *class_of;    /* category: [levels] what each level becomes, NaN: no label */
    int64_t *level_rows;/* multiclass category, before it is settled: [levels] kept rows */
    float *values;      /* binary number: positive values; multiclass number: values of the classes, ascending */
    int64_t n_values;
    int64_t n_strangers; /* multiclass: kept rows so far that are of no class */
} ns_label_rule;

/*
 * Before rows are read.
 *   objective  in  what is learned, or what a bundle has learned
 *   classes    in  multiclass: a bundle's classes; NULL: the job's, or those that rows have
 * Local. NS_EINVAL, NS_EFORMAT (a level or value that the column cannot have), NS_ENOMEM. Forget in either case.
 */
ns_status ns_label_learn(ns_label_rule *rule, const ns_job *job, ns_cohort *cohort, int32_t column, ns_objective objective,
                         const ns_texts *classes);
/* Multiclass, before any row is read: about how many classes there will be, for plans of memory; 3 to NS_MAX_CLASSES. Local. */
int32_t ns_label_expected_classes(const ns_job *job, const ns_cohort *cohort, int32_t column);

void ns_label_forget(ns_label_rule *rule);

/*
 * Labels of rows [first, first + n). Before a multiclass rule is settled they are 0 or NaN, and what classes kept rows have is noted.
 *   keep     in   [n] 0: the row does not belong, whatever its label
 *   label    out  [n]
 *   scratch  out  [n]
 * Local. NS_EFORMAT: a number that cannot be a label, named by file and row; more than NS_MAX_CLASSES values.
 */
ns_status ns_label_read(ns_label_rule *rule, int64_t first, int64_t n, const uint8_t *keep, float *label, int32_t *scratch);

/*
 * After every row was read once: the classes, the same on every rank.
 *   classes  out  multiclass: their texts in order; else empty. Freed by the caller
 * Collective. NS_EFORMAT: fewer than three classes, more than NS_MAX_CLASSES, or texts too long for a score file. NS_ENOMEM.
 */
ns_status ns_label_settle(ns_label_rule *rule, ns_texts *classes, MPI_Comm comm);
#endif
