/*
 * A job against its cohort, without running anything: every problem, with file and line; the plan; where each value came
 * from. Problems of the job file first; where there are none, the cohort's schema; where that fits too, the plan. Nothing
 * is written, and no row is read but where the split goes by dates: then the rows of each part are counted.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/machine.h"
#include "runner/night/check_night.h"
#include "runner/context.h"
#include "runner/models/gbdt.h"
#include "runner/training/plan.h"
#include "runner/sweep/sweep_plan.h"

typedef struct check_run {
    ns_context *context;
    ns_job *job;
    ns_table table;
    ns_device *device;
    json_t *problems;  /* rank 0 prints it; the same on all */
    ns_status worst;   /* of the problems: the first one's */
} check_run;

static void note_problem(void *context, const char *message)
{
    check_run *run = context;
    json_array_append_new(run->problems, json_string(message));
}

/* A failure becomes a problem of the list, and the check goes on. */
static void settle(check_run *run, ns_status status)
{
    if (status == NS_OK) return;
    if (run->worst == NS_OK) run->worst = status;
    note_problem(run, ns_last_error()->message);
    ns_error_clear();
}

static ns_status check_job(check_run *run)
{
    ns_job_texts texts;
    ns_status status = ns_context_sources(&texts, run->context);
    if (status == NS_OK) {
        status = ns_job_check(&texts.sources, note_problem, run);
        if (status == NS_EINVAL) {
            run->worst = NS_EINVAL;
            status = NS_OK;
        }
        status = ns_agree(status, run->context->comm);
    }
    ns_job_texts_free(&texts);
    return status;
}

/* Where every value that is no default came from. */
static void print_sources(const ns_job *job, FILE *to)
{
    fprintf(to, "  values not from the defaults\n");
    for (int32_t i = 0; i < ns_n_options; i++)
        if (ns_job_given(job, ns_options[i].key)) fprintf(to, "    %-26s %s\n", ns_options[i].key, ns_job_place(job, ns_options[i].key));
}

static void report_plan(check_run *run, ns_memory_plan memory)
{
    ns_context *context = run->context;
    const ns_table *t = &run->table;
    json_t *summary = context->summary, *sources = json_object();
    int64_t n_rows = ns_cohort_n_rows(t->cohort), per_rank = (n_rows + context->n_ranks - 1) / context->n_ranks;
    int32_t n_numbers = 0;
    for (int32_t i = 0; i < t->features.n; i++) n_numbers += t->features.list[i].kind == NS_NUMBER;
    for (int32_t i = 0; i < ns_n_options; i++)
        if (ns_job_has(run->job, ns_options[i].key))
            json_object_set_new(sources, ns_options[i].key, json_string(ns_job_place(run->job, ns_options[i].key)));
    json_object_set_new(summary, "rows", json_integer(n_rows));
    json_object_set_new(summary, "rows_per_rank", json_integer(per_rank));
    json_object_set_new(summary, "features", json_integer(t->features.n));
    json_object_set_new(summary, "memory_bytes_per_rank", json_integer(memory.needed));
    json_object_set_new(summary, "memory_available_per_rank", json_integer(memory.available));
    json_object_set_new(summary, "device", json_string(run->device->name));
    json_object_set_new(summary, "sources", sources);
    fprintf(context->text, "  rows      %lld in %d files; %lld for each of %d ranks\n", (long long)n_rows, ns_cohort_n_files(t->cohort),
            (long long)per_rank, context->n_ranks);
    fprintf(context->text, "  features  %d: %d numbers, %d categories\n", t->features.n, n_numbers, t->features.n - n_numbers);
    fprintf(context->text, "  memory    %lld MiB for each rank, %s gives %lld MiB\n", (long long)(memory.needed >> 20), memory.from,
            (long long)(memory.available >> 20));
    fprintf(context->text, "  device    %s (%s), %d threads\n", run->device->name, run->device->level, run->device->n_threads);
    print_sources(run->job, context->text);
}

static bool is_by_time(const ns_job *job)
{
    const char *by = ns_job_text(job, "data.split.by");
    return by != NULL && strcmp(by, "time") == 0;
}

/* How many rows the dates of a split give to each part. */
static ns_status report_parts(check_run *run)
{
    ns_table *t = &run->table;
    FILE *to = run->context->text;
    NS_TRY(ns_table_read(t, NS_TABLE_TRAIN));
    json_t *parts = json_pack("{s:I, s:I, s:I}", "train", (json_int_t)t->n_part_global[NS_PART_TRAIN], "valid",
                              (json_int_t)t->n_part_global[NS_PART_VALID], "test", (json_int_t)t->n_part_global[NS_PART_TEST]);
    json_object_set_new(run->context->summary, "parts", parts);
    json_object_set_new(run->context->summary, "split", ns_parts_json(t));
    fprintf(to, "  parts     %lld train, %lld valid, %lld test; %lld outside data.where, %lld without a label\n",
            (long long)t->n_part_global[NS_PART_TRAIN], (long long)t->n_part_global[NS_PART_VALID],
            (long long)t->n_part_global[NS_PART_TEST], (long long)t->n_outside_global, (long long)t->n_unlabelled_global);
    ns_parts_print(t, to);
    return ns_parts_check(t);
}

/* The cohort's schema against the job, and the plan. A problem ends it, since the rest would only follow from it. */
static ns_status check_cohort(check_run *run)
{
    ns_context *context = run->context;
    NS_TRY(ns_plan_train_options(run->job));
    NS_TRY(ns_agree(context->rank == 0 ? ns_plan_check_cache(run->job) : NS_OK, context->comm));
    NS_TRY(ns_table_open(&run->table, run->job, "data.cohort", NS_TABLE_TRAIN, context->comm));
    ns_forest_settings settings = ns_gbdt_settings(run->job);
    ns_memory_plan memory = ns_plan_memory(&run->table, &settings, context);
    report_plan(run, memory);
    NS_TRY(ns_table_check_rules(&run->table));
    NS_TRY(ns_plan_check_memory(&run->table, &settings, context));
    return ns_job_given(run->job, "data.split.until") || is_by_time(run->job) ? report_parts(run) : NS_OK;
}

/* What `sweep` would train. */
static ns_status check_sweep(check_run *run)
{
    ns_sweep_plan plan;
    ns_status status = ns_sweep_plan_make(&plan, run->job);
    if (status == NS_OK) {
        json_object_set_new(run->context->summary, "sweep_members", json_integer(plan.n_members));
        fprintf(run->context->text, "  sweep     %lld members: %lld settings, %lld seeds, %lld folds, by %s\n", (long long)plan.n_members,
                (long long)plan.n_settings, (long long)plan.n_seeds, (long long)plan.n_folds, plan.metric);
    }
    ns_sweep_plan_forget(&plan);
    return status;
}

static void settle_night(void *run, ns_status status)
{
    settle(run, status);
}

/* The parts of a job that lead to something: training, unless the job can only score; and the night. */
static void check_parts_of_job(check_run *run)
{
    ns_context *context = run->context;
    ns_status status = ns_context_job(&run->job, context);
    if (status == NS_OK) status = ns_context_device(&run->device, context, run->job);
    settle(run, status);
    if (status != NS_OK) return;
    bool only_scores = !ns_job_has(run->job, "data.cohort") && ns_job_has(run->job, "score.cohort");
    if (!only_scores) settle(run, ns_agree(check_cohort(run), context->comm));
    if (ns_sweep_is_asked(run->job)) settle(run, ns_agree(check_sweep(run), context->comm));
    ns_check_night(context, run->job, run->device, settle_night, run);
}

ns_status ns_verb_check(ns_context *context)
{
    check_run run = {.context = context, .problems = json_array()};
    ns_status status = check_job(&run);
    FILE *to = context->text;
    fprintf(to, "checked %s\n", context->args->positional[0]);
    if (status == NS_OK && run.worst == NS_OK) check_parts_of_job(&run);
    ns_device_close(&run.device);
    ns_table_close(&run.table);
    ns_job_destroy(&run.job);
    if (status != NS_OK) {
        json_decref(run.problems);
        return status;
    }
    size_t i, n = json_array_size(run.problems);
    json_t *problem;
    if (n == 0) fprintf(to, "  problems  none\n");
    json_array_foreach(run.problems, i, problem) fprintf(to, "  problem   %s\n", json_string_value(problem));
    const char *first = n > 0 ? json_string_value(json_array_get(run.problems, 0)) : NULL;
    if (run.worst != NS_OK)
        status = n == 1 ? ns_fail(run.worst, "%s", first) : ns_fail(run.worst, "%zu problems, the first: %s", n, first);
    json_object_set_new(context->summary, "problems", run.problems);
    return status;
}
