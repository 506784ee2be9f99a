/*
 * A bundle on a labelled cohort: RUN/evaluations/NAME/metrics.json. Without evaluate.cohort it is the test part of
 * data.cohort, and then the bundle must come from this very job and table: else its patients could have been trained on.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/lock.h"
#include "cluster/log.h"
#include "data/durable.h"
#include "kernels/numerics.h"
#include "runner/bundle.h"
#include "runner/context.h"
#include "runner/evaluation.h"
#include "runner/identity.h"
#include "runner/json.h"
#include "runner/metrics/measure_text.h"
#include "runner/objective.h"
#include "runner/training/plan.h"
#include "runner/run_folder.h"

typedef struct evaluate_run {
    ns_context *context;
    ns_job *job;
    ns_device *device;
    ns_bundle bundle;
    ns_table table;
    char *run_path, *bundle_path, *out;
    bool own_test_part; /* data.cohort is evaluated */
    json_t *metrics;    /* rank 0 */
} evaluate_run;

static ns_status find_paths(evaluate_run *run)
{
    const ns_job *job = run->job;
    run->own_test_part = !ns_job_has(job, "evaluate.cohort");
    if (!ns_job_has(job, "name")) return ns_fail(NS_EINVAL, "name: is not set in the job; evaluate needs it");
    NS_TRY(ns_plan_run_path(&run->run_path, job));
    const char *bundle = ns_job_text(job, "evaluate.bundle");
    run->bundle_path = bundle != NULL ? strdup(bundle) : ns_path_join(run->run_path, "bundle");
    size_t n = strlen(run->run_path) + strlen(ns_job_text(job, "evaluate.name")) + 40;
    run->out = malloc(n);
    if (run->bundle_path == NULL || run->out == NULL) return ns_fail(NS_ENOMEM, "no memory for the paths");
    snprintf(run->out, n, "%s/evaluations/%s/metrics.json", run->run_path, ns_job_text(job, "evaluate.name"));
    return NS_OK;
}

/* The test part is only what this bundle never saw when split, seed and rows are the bundle's own. */
static ns_status compare_with_bundle(evaluate_run *run)
{
    char *echo = NULL, key[128];
    NS_TRY(ns_job_echo(&echo, run->job, NS_ECHO_BUNDLE));
    bool differs = ns_job_differs(echo, run->bundle.job_text, key);
    free(echo);
    if (!differs) return NS_OK;
    return ns_fail(NS_EINVAL, "the bundle was made with another %s, so its test part is not this job's; set it back, or name another cohort in evaluate.cohort",
                   key);
}

static ns_status compare_table(evaluate_run *run)
{
    ns_package package;
    ns_status status = ns_package_read(&package, run->bundle_path, "bundle");
    const char *fingerprint = json_string_value(json_object_get(json_object_get(package.manifest, "lineage"), "fingerprint"));
    if (status == NS_OK && (fingerprint == NULL || strcmp(fingerprint, run->table.digest) != 0))
        status = ns_fail(NS_EINVAL, "the bundle was trained on other data than data.cohort holds now, so its test part is unknown; name another cohort in evaluate.cohort");
    ns_package_destroy(&package);
    return status;
}

/* Of two evaluations with one name that end at the same moment the second fails. */
static ns_status publish_locked(const char *path, const char *text)
{
    size_t n = strlen(path) + sizeof ".lock";
    char *lock_path = malloc(n), taken_over[256];
    if (lock_path == NULL) return ns_fail(NS_ENOMEM, "no memory to write '%s'", path);
    snprintf(lock_path, n, "%s.lock", path);
    ns_lock *lock = NULL;
    ns_status status = ns_lock_take(&lock, lock_path, "the evaluation", taken_over, sizeof taken_over);
    if (status == NS_OK) status = ns_durable_publish(path, text, strlen(text), "evaluation");
    ns_lock_release(&lock);
    free(lock_path);
    return status;
}

static ns_status publish(evaluate_run *run)
{
    json_t *document = json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:O}", "kind", "evaluation", "format", 1, "name",
                                 ns_job_text(run->job, "evaluate.name"), "bundle_id", run->bundle.id, "fingerprint", run->table.digest,
                                 "numerics_version", NS_NUMERICS_VERSION, "rows", (json_int_t)run->table.n_rows_global, "outside",
                                 (json_int_t)run->table.n_outside_global, "without_label", (json_int_t)run->table.n_unlabelled_global,
                                 "metrics", run->metrics);
    char *text = NULL, *folder = strdup(run->out);
    ns_status status = folder == NULL ? ns_fail(NS_ENOMEM, "no memory for the metrics") : ns_json_dump(document, &text);
    if (status == NS_OK) {
        *strrchr(folder, '/') = '\0';
        status = ns_durable_mkdir(folder, "evaluation");
    }
    if (status == NS_OK) status = publish_locked(run->out, text);
    char quoted[1200];
    if (status == NS_OK) ns_log_event(NS_LOG_INFO, "publish", "path=%s", ns_log_value(quoted, sizeof quoted, run->out));
    json_decref(document);
    free(text);
    free(folder);
    return status;
}

/* The bundle's objective and classes decide what a label is; a job that means another is not this bundle's. */
static ns_status take_objective(evaluate_run *run)
{
    const ns_gbdt_model *model = run->bundle.model;
    const char *key = ns_job_has(run->job, "model.objective") ? "model.objective" : "evaluate.bundle";
    if (run->table.objective != model->objective)
        return ns_fail(NS_EINVAL, "%s: %s: the bundle's objective is %s, the job's is %s", ns_job_place(run->job, key), key,
                       ns_objective_name(model->objective), ns_objective_name(run->table.objective));
    if (model->objective == NS_QUANTILE && model->quantile != ns_quantile_of(run->job))
        return ns_fail(NS_EINVAL, "%s: model.quantile: the bundle's is %g, the job's is %g", ns_job_place(run->job, "model.quantile"), model->quantile,
                       ns_quantile_of(run->job));
    if (model->objective == NS_MULTICLASS) run->table.known_classes = &model->classes;
    return NS_OK;
}

static ns_status evaluate(evaluate_run *run)
{
    MPI_Comm comm = run->context->comm;
    ns_table *table = &run->table;
    NS_TRY(ns_context_job(&run->job, run->context));
    NS_TRY(ns_agree(find_paths(run), comm));
    NS_TRY(ns_context_device(&run->device, run->context, run->job));
    NS_TRY(ns_bundle_load(&run->bundle, run->bundle_path, comm));
    if (run->own_test_part) NS_TRY(ns_agree(compare_with_bundle(run), comm));
    ns_table_use use = run->own_test_part ? NS_TABLE_TRAIN : NS_TABLE_EVALUATE;
    NS_TRY(ns_table_open(table, run->job, run->own_test_part ? "data.cohort" : "evaluate.cohort", use, comm));
    NS_TRY(ns_agree(take_objective(run), comm));
    NS_TRY(ns_table_read(table, use));
    float *risk = malloc(((size_t)table->n_kept + 1) * (size_t)run->bundle.model->n_outputs * sizeof *risk);
    ns_status status = ns_agree(risk == NULL ? ns_fail(NS_ENOMEM, "no memory for the risks") : NS_OK, comm);
    if (status == NS_OK) status = ns_table_risks(table, run->bundle.model, run->device, risk);
    if (status == NS_OK) status = ns_cohort_check_exact(table->cohort, comm);
    if (status == NS_OK) status = ns_table_fingerprint(table);
    if (status == NS_OK) status = ns_cohort_unchanged(table->cohort, comm);
    if (status == NS_OK && run->own_test_part) status = ns_agree(run->context->rank == 0 ? compare_table(run) : NS_OK, comm);
    if (status == NS_OK && table->n_part_global[NS_PART_TEST] == 0)
        status = ns_agree(ns_fail(NS_EFORMAT, "%s: data.split: no row is in the test part", ns_job_place(run->job, "data.split.by")), comm);
    if (status == NS_OK) status = ns_table_metrics(&run->metrics, table, risk, NS_PART_TEST);
    free(risk);
    if (status == NS_OK) status = ns_agree(run->context->rank == 0 ? publish(run) : NS_OK, comm);
    return status;
}

static void summarise(evaluate_run *run)
{
    json_t *summary = run->context->summary;
    FILE *to = run->context->text;
    const json_t *m = run->metrics;
    json_object_set(summary, "metrics", run->metrics);
    json_object_set_new(summary, "bundle_id", json_string(run->bundle.id));
    json_object_set_new(summary, "out", json_string(run->out));
    fprintf(to, "evaluated %s\n", ns_job_text(run->job, "evaluate.name"));
    ns_measure_print(to, m, run->table.objective);
    fprintf(to, "  out       %s\n", run->out);
}

ns_status ns_verb_evaluate(ns_context *context)
{
    evaluate_run run = {.context = context};
    ns_status status = evaluate(&run);
    if (status == NS_OK && context->rank == 0) summarise(&run);
    ns_table_close(&run.table);
    ns_bundle_close(&run.bundle);
    ns_device_close(&run.device);
    json_decref(run.metrics);
    free(run.run_path);
    free(run.bundle_path);
    free(run.out);
    ns_job_destroy(&run.job);
    return status;
}
