/*
 * Training: run folder and lock, table, features, rounds with checkpoints, metrics, bundle. Rank 0 alone looks at the run
 * folder and tells the others; every rank takes every decision from the same global numbers.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <hdf5.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/machine.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "cluster/watchdog.h"
#include "data/durable.h"
#include "data/patients.h"
#include "kernels/numerics.h"
#include "runner/training/bin_cache.h"
#include "runner/context.h"
#include "runner/evaluation.h"
#include "runner/identity.h"
#include "runner/json.h"
#include "runner/life.h"
#include "runner/metrics/measure_text.h"
#include "runner/models/gbdt.h"
#include "runner/objective.h"
#include "runner/training/plan.h"
#include "runner/training/profile_of.h"
#include "runner/training/progress.h"
#include "runner/run_folder.h"
#include "runner/training/training_data.h"
#include "runner/training/training_risks.h"
#include "runner/used.h"

typedef struct train_run {
    ns_context *context;
    ns_job *job;
    ns_device *device;
    ns_run_folder folder;      /* rank 0 */
    char *path;                /* of the run folder */
    ns_table table;
    ns_training_data data;
    ns_forest_settings settings;
    char *echo;                /* the job's part that decides the model */
    ns_identity identity;
    ns_trees *trees;
    ns_progress progress;
    int64_t n_rounds;          /* asked for */
    int64_t resumed_from;      /* rounds of the checkpoint, -1: none */
    int64_t saved;             /* rounds of the last checkpoint, -1: none */
    double longest_round, longest_checkpoint; /* seconds: a life in Slurm must be told to stop so much earlier */
    ns_round last;
    json_t *stages;            /* seconds */
    double stage_began;
    json_t *reading;           /* by stage: what this rank read of the cohort */
    ns_reading read_before;
    json_t *metrics, *old_metrics; /* rank 0 */
    json_t *used;              /* rank 0 */
    char bundle_id[65];
    bool already, replaces_bundle;
    bool begins_anew;          /* rank 0: --restart, and there is a run to set aside */
} train_run;

static void end_stage(train_run *run, const char *name)
{
    double now = ns_seconds();
    json_object_set_new(run->stages, name, json_real(now - run->stage_began));
    run->stage_began = now;
    if (run->table.cohort == NULL) return;
    ns_reading all = ns_cohort_reading(run->table.cohort);
    double n_bytes = (double)(all.fast_bytes + all.hdf5_bytes - run->read_before.fast_bytes - run->read_before.hdf5_bytes);
    double seconds = all.seconds - run->read_before.seconds;
    run->read_before = all;
    if (n_bytes > 0)
        json_object_set_new(run->reading, name, json_pack("{s:f,s:f,s:f}", "bytes", n_bytes, "seconds", seconds, "mb_per_s",
                                                          seconds > 0 ? n_bytes / seconds / 1e6 : 0.0));
}

/* run.json: how the cohort was read. Bytes are of cells as they are stored, decoded; past_hdf5 is the share of all ranks' that
   threads decoded (data/chunks.h), the stages are rank 0's. */
static json_t *reading_json(const train_run *run)
{
    ns_reading all = run->table.cohort != NULL ? ns_cohort_reading_of_all(run->table.cohort) : (ns_reading){0};
    return json_pack("{s:I,s:I,s:f,s:f,s:O}", "bytes", (json_int_t)(all.fast_bytes + all.hdf5_bytes), "stored_bytes_past_hdf5",
                     (json_int_t)all.stored_bytes, "past_hdf5", ns_reading_share(&all), "seconds", all.seconds, "stages", run->reading);
}

static ns_status start(train_run *run)
{
    ns_context *context = run->context;
    NS_TRY(ns_context_job(&run->job, context));
    NS_TRY(ns_agree(ns_plan_train_options(run->job), context->comm));
    run->n_rounds = ns_job_integer(run->job, "model.rounds");
    run->progress.stop_after = ns_job_integer(run->job, "train.stop_after");
    run->settings = ns_gbdt_settings(run->job);
    ns_status status = ns_job_echo(&run->echo, run->job, NS_ECHO_BUNDLE);
    if (status == NS_OK) status = ns_plan_run_path(&run->path, run->job);
    if (status == NS_OK) status = ns_trees_create(&run->trees);
    if (status == NS_OK && context->rank == 0) status = ns_plan_check_cache(run->job);
    if (status == NS_OK && context->rank == 0) {
        run->begins_anew = ns_args_value(context->args, "--restart") != NULL && ns_path_exists(run->path);
        status = ns_run_folder_open(&run->folder, run->path, context->life);
    }
    return ns_agree(status, context->comm);
}

/* run.json: what this life is. */
static ns_status describe_life(train_run *run)
{
    if (run->context->rank != 0) return NS_OK;
    json_t *life = run->folder.life;
    NS_TRY(ns_life_describe(life, run->context, run->device, run->table.cohort));
    json_object_set_new(life, "status", json_string("running"));
    return ns_run_folder_write_lives(&run->folder);
}

/* job.yaml, once this life is known to be of the same run: a life that is refused leaves that of the run. */
static ns_status write_job(train_run *run)
{
    if (run->context->rank != 0) return NS_OK;
    char *echo = NULL;
    NS_TRY(ns_job_echo(&echo, run->job, NS_ECHO_ALL));
    ns_status status = ns_run_folder_write_job(&run->folder, echo);
    free(echo);
    return status;
}

/* --restart: the old run goes to RUN.1 now that the job and all its rows are known to be good, so that a slip costs nobody
   the bundle that stands there. */
static ns_status begin_anew(train_run *run)
{
    ns_run_folder_close(&run->folder);
    NS_TRY(ns_run_folder_set_aside(run->path));
    NS_TRY(ns_run_folder_open(&run->folder, run->path, run->context->life));
    return describe_life(run);
}

static ns_status make_identity(train_run *run)
{
    json_t *columns = json_object();
    for (int32_t i = 0; i < run->table.n_used; i++)
        json_object_set_new(columns, ns_cohort_column(run->table.cohort, run->table.used[i])->name, json_string(run->table.digests[i]));
    run->identity = (ns_identity){.job = run->echo, .fingerprint = run->table.digest, .columns = columns,
                                  .numerics_version = NS_NUMERICS_VERSION};
    return columns == NULL ? ns_fail(NS_ENOMEM, "no memory for the identity") : NS_OK;
}

/* --- what earlier lives left --- */

static char *text_of(const ns_package *package, const char *name)
{
    const ns_package_file *file = ns_package_find(package, name);
    return file != NULL ? strdup(file->bytes) : NULL;
}

/* Rank 0: a published bundle of this run: equal means done. *extends: equal but for more rounds, and --extend was given. */
static ns_status compare_bundle(train_run *run, bool *done, bool *extends)
{
    char *path = ns_path_join(run->path, "bundle"), *job = NULL;
    *done = *extends = false;
    if (path == NULL) return ns_fail(NS_ENOMEM, "no memory for the paths");
    if (!ns_path_exists(path)) {
        free(path);
        return NS_OK;
    }
    ns_package package;
    char what[600];
    bool may_extend = ns_args_value(run->context->args, "--extend") != NULL;
    snprintf(what, sizeof what, "the bundle of run '%.500s'", run->path);
    ns_status status = ns_package_read(&package, path, "bundle");
    if (status == NS_OK && (job = text_of(&package, "job.yaml")) == NULL) status = ns_fail(NS_EVERIFY, "'%s' has no job.yaml", path);
    const json_t *lineage = json_object_get(package.manifest, "lineage");
    if (status == NS_OK)
        status = ns_identity_compare(&run->identity, job, lineage, what, may_extend ? NS_COMPARE_BUT_ROUNDS : NS_COMPARE_ALL);
    if (status == NS_OK) {
        *done = strcmp(job, run->echo) == 0;
        *extends = !*done;
        memcpy(run->bundle_id, package.id, sizeof run->bundle_id);
        const ns_package_file *metrics = ns_package_find(&package, "metrics.json");
        if (metrics != NULL) run->old_metrics = json_loadb(metrics->bytes, metrics->n_bytes, 0, NULL);
    }
    ns_package_destroy(&package);
    free(job);
    free(path);
    return status;
}

/* Rank 0: the newest good checkpoint, if it belongs to this run: its state and progress. */
static ns_status read_checkpoint(train_run *run, void **state, size_t *n_state, ns_compare how)
{
    ns_package package;
    int64_t n_rounds;
    char what[600], *job = NULL;
    ns_status status = ns_run_folder_newest(&package, &n_rounds, &run->folder);
    if (status == NS_OK && n_rounds >= 0) {
        snprintf(what, sizeof what, "the checkpoint of run '%.500s'", run->path);
        const json_t *progress = json_object_get(package.manifest, "progress");
        const ns_package_file *file = ns_package_find(&package, "state.safetensors");
        job = text_of(&package, "job.yaml");
        if (file == NULL || job == NULL) status = ns_fail(NS_EVERIFY, "%s lacks its state", what);
        if (status == NS_OK) status = ns_identity_compare(&run->identity, job, json_object_get(package.manifest, "identity"), what, how);
        if (status == NS_OK) status = ns_progress_parse(&run->progress, progress);
        if (status == NS_OK && run->progress.n_rounds > run->n_rounds)
            status = ns_fail(NS_EINVAL, "%s has %lld rounds, the job asks for %lld; begin anew with --restart", what,
                             (long long)run->progress.n_rounds, (long long)run->n_rounds);
        if (status == NS_OK) {
            *n_state = file->n_bytes;
            *state = malloc(file->n_bytes + 1);
            if (*state == NULL) status = ns_fail(NS_ENOMEM, "no memory for the checkpoint");
            else memcpy(*state, file->bytes, file->n_bytes);
            run->resumed_from = run->saved = n_rounds;
        }
    }
    ns_package_destroy(&package);
    free(job);
    return status;
}

/* Where this life begins: done already, after a checkpoint, or at the start. */
static ns_status find_beginning(train_run *run)
{
    ns_context *context = run->context;
    bool done = false, extends = false;
    void *state = NULL;
    size_t n_state = 0;
    ns_status status = make_identity(run);
    if (status == NS_OK && context->rank == 0) {
        status = compare_bundle(run, &done, &extends);
        if (status == NS_OK && !done)
            status = read_checkpoint(run, &state, &n_state, extends ? NS_COMPARE_BUT_ROUNDS : NS_COMPARE_ALL);
        if (status == NS_OK && !done) status = ns_run_folder_cut_log(&run->folder, run->resumed_from > 0 ? run->resumed_from : 0);
    }
    status = ns_agree(status, context->comm);
    if (status != NS_OK) goto out;
    int64_t words[3] = {done, extends, run->resumed_from};
    MPI_Bcast(words, 3, MPI_INT64_T, 0, context->comm);
    run->already = words[0] != 0;
    run->replaces_bundle = words[1] != 0;
    run->resumed_from = run->saved = words[2];
    if (run->resumed_from >= 0) {
        MPI_Bcast(&run->progress, sizeof run->progress, MPI_BYTE, 0, context->comm);
        status = ns_share_bytes(&state, &n_state, 0, context->comm);
        if (status != NS_OK) goto out;
        ns_gbdt_model *model = NULL;
        status = ns_gbdt_parse(&model, state, n_state, "state.safetensors");
        if (status == NS_OK && (model->objective != run->table.objective ||
                                model->trees->n_trees != run->progress.n_rounds * ns_table_outputs(&run->table)))
            status = ns_fail(NS_EVERIFY, "the checkpoint of run '%.500s' has not the trees of its rounds", run->path);
        if (status == NS_OK) { /* the checkpoint's trees are this life's */
            ns_trees_destroy(&run->trees);
            run->trees = model->trees;
            model->trees = NULL;
        }
        ns_gbdt_destroy(&model);
        status = ns_agree(status, context->comm);
        if (status == NS_OK) ns_log_event(NS_LOG_INFO, "resume", "rounds=%lld of=%lld", (long long)run->resumed_from, (long long)run->n_rounds);
    }
out:
    free(state);
    return status;
}

/* --- checkpoints --- */

/* Rank 0: everything a later life needs, under checkpoints/NNNNNN. */
static ns_status save_here(train_run *run)
{
    uint8_t *state = NULL;
    size_t n_state = 0;
    ns_gbdt_model *model = NULL;
    json_t *manifest = NULL;
    ns_status status = ns_gbdt_assemble(&model, &run->table, run->device, run->data.forest, run->trees, run->progress.n_rounds);
    if (status == NS_OK) status = ns_gbdt_build(model, &state, &n_state);
    if (status == NS_OK) {
        manifest = json_pack("{s:s, s:i, s:s, s:o, s:o}", "kind", "checkpoint", "format", 1, "name", ns_job_text(run->job, "name"),
                             "progress", ns_progress_json(&run->progress), "identity", ns_identity_json(&run->identity));
        if (manifest == NULL) status = ns_fail(NS_ENOMEM, "no memory for a checkpoint");
    }
    if (status == NS_OK) status = ns_run_folder_flush_log(&run->folder);
    if (status == NS_OK) {
        ns_package_file files[] = {{"state.safetensors", state, n_state}, {"job.yaml", run->echo, strlen(run->echo)}};
        status = ns_run_folder_save(&run->folder, run->progress.n_rounds, files, 2, manifest);
    }
    if (status == NS_OK) ns_log_event(NS_LOG_INFO, "checkpoint", "round=%lld bytes=%zu", (long long)run->progress.n_rounds, n_state);
    json_decref(manifest);
    free(state);
    ns_gbdt_destroy(&model);
    return status;
}

static void keep_longest(double *longest, double seconds)
{
    if (seconds > *longest) *longest = seconds;
}

static ns_status save(train_run *run)
{
    if (run->saved == run->progress.n_rounds) return NS_OK;
    ns_watchdog_phase("checkpoint", run->progress.n_rounds);
    double began = ns_seconds();
    NS_TRY(ns_agree(run->context->rank == 0 ? save_here(run) : NS_OK, run->context->comm));
    keep_longest(&run->longest_checkpoint, ns_seconds() - began);
    run->saved = run->progress.n_rounds;
    return NS_OK;
}

/* --- rounds --- */

static double mean(ns_i128 sum, ns_i128 weight, double unit)
{
    return weight > 0 ? unit * ((double)sum / (double)weight) : 0;
}

static ns_status log_round(train_run *run, double seconds)
{
    const ns_round *r = &run->last;
    bool has_valid = r->valid_weight > 0;
    double train_loss = mean(r->train_loss, r->train_weight, r->loss_unit), valid_loss = mean(r->valid_loss, r->valid_weight, r->loss_unit);
    ns_log_progress("round", run->progress.n_rounds, run->n_rounds, "train_loss=%.6g valid_loss=%.6g", train_loss, valid_loss);
    json_t *line = json_pack("{s:I, s:f, s:o, s:i, s:f}", "round", (json_int_t)run->progress.n_rounds, "train_loss",
                             train_loss, "valid_loss", has_valid ? json_real(valid_loss) : json_null(), "leaves", (int)r->n_leaves,
                             "seconds", seconds);
    return line == NULL ? ns_fail(NS_ENOMEM, "no memory for a log line") : ns_run_folder_log(&run->folder, line);
}

/* What early stopping looks at: smaller is better. */
static ns_status stop_value(train_run *run, ns_i128 *value)
{
    if (strcmp(ns_job_text(run->job, "train.stop_metric"), "auroc") != 0 || run->progress.stop_after == 0) {
        *value = run->last.valid_weight > 0 ? run->last.valid_loss : run->last.train_loss;
        return NS_OK;
    }
    ns_i128 placements = 0;
    NS_TRY(ns_valid_placements(&placements, &run->table, &run->data));
    *value = -placements;
    return NS_OK;
}

enum { ASKED_STOP, ASKED_SAVE, N_ASKED };

static ns_status train_rounds(train_run *run)
{
    ns_context *context = run->context;
    double every = ns_job_number(run->job, "run.checkpoint_every"), saved_at = ns_seconds(), flushed_at = saved_at;
    while (run->progress.n_rounds < run->n_rounds && !ns_progress_exhausted(&run->progress)) {
        double began = ns_seconds();
        ns_watchdog_phase("round", run->progress.n_rounds);
        NS_TRY(ns_agree(run->device->forest->round(run->data.forest, run->progress.n_rounds, run->trees, &run->last), context->comm));
        ns_i128 value;
        NS_TRY(stop_value(run, &value));
        ns_progress_note(&run->progress, value);
        double now = ns_seconds();
        keep_longest(&run->longest_round, now - began);
        ns_status status = NS_OK;
        if (context->rank == 0) {
            status = log_round(run, now - began);
            if (status == NS_OK && now - flushed_at >= 0.1) {
                status = ns_run_folder_flush_log(&run->folder);
                flushed_at = now;
            }
        }
        NS_TRY(ns_agree(status, context->comm));
        int64_t asked[N_ASKED] = {ns_stop_asked(), context->rank == 0 && now - saved_at >= every};
        ns_max_i64(asked, N_ASKED, context->comm);
        if (asked[ASKED_STOP] || asked[ASKED_SAVE]) {
            NS_TRY(save(run));
            saved_at = ns_seconds();
        }
        if (asked[ASKED_STOP])
            return ns_fail(NS_ESTOPPED, "stopped on request after round %lld; the checkpoint is saved, run the same command again",
                           (long long)run->progress.n_rounds);
    }
    return save(run);
}

/* --- bundle --- */

static json_t *bundle_metrics(const train_run *run, json_t *valid, json_t *test, const ns_gbdt_model *model)
{
    const ns_table *t = &run->table;
    json_t *rows = json_object();
    static const char *const names[] = {"none", "train", "valid", "test"};
    for (int p = NS_PART_TRAIN; p <= NS_PART_TEST; p++) {
        json_t *part = json_pack("{s:I}", "rows", (json_int_t)t->n_part_global[p]);
        if (t->objective == NS_BINARY) json_object_set_new(part, "events", json_integer(t->n_events_global[p]));
        json_object_set_new(rows, names[p], part);
    }
    json_t *importance = ns_gbdt_importance(model);
    return json_pack("{s:i, s:I, s:I, s:{s:I, s:I, s:I, s:o*}, s:o, s:o*, s:o*, s:o}", "format", 1, "rounds", (json_int_t)run->progress.n_rounds,
                     "best_round", (json_int_t)ns_progress_bundle_rounds(&run->progress), "table", "rows", (json_int_t)t->n_rows_global,
                     "outside", (json_int_t)t->n_outside_global, "without_label", (json_int_t)t->n_unlabelled_global, "split",
                     ns_parts_json(t), "parts", rows, "valid", valid, "test", test, "importance", importance);
}

/* Rank 0: the five files of a bundle, published by one rename. */
static ns_status publish_here(train_run *run, const ns_gbdt_model *model, json_t *profile)
{
    uint8_t *state = NULL;
    size_t n_state = 0;
    char *metrics = NULL, *profile_text = NULL, *path = ns_path_join(run->path, "bundle");
    json_t *manifest = NULL;
    ns_status status = path == NULL ? ns_fail(NS_ENOMEM, "no memory for the bundle") : ns_gbdt_build(model, &state, &n_state);
    if (status == NS_OK) status = ns_json_dump(run->metrics, &metrics);
    if (status == NS_OK) status = ns_json_dump(profile, &profile_text);
    if (status == NS_OK) {
        json_t *lineage = ns_identity_json(&run->identity);
        json_object_set_new(lineage, "seed", json_integer(ns_job_integer(run->job, "train.seed")));
        json_object_set_new(lineage, "program_version", json_string(ns_program_version()));
        json_object_set_new(lineage, "parent_bundle", json_null());
        manifest = json_pack("{s:s, s:i, s:s, s:o}", "kind", "bundle", "format", 1, "name", ns_job_text(run->job, "name"), "lineage", lineage);
        if (manifest == NULL) status = ns_fail(NS_ENOMEM, "no memory for the bundle");
        else if (run->table.objective != NS_BINARY) json_object_set_new(manifest, "objective", json_string(ns_objective_name(run->table.objective)));
    }
    if (status == NS_OK) status = ns_run_folder_check_lock(&run->folder);
    if (status == NS_OK) {
        ns_package_file files[] = {{"model.safetensors", state, n_state},
                                   {"job.yaml", run->echo, strlen(run->echo)},
                                   {"metrics.json", metrics, strlen(metrics)},
                                   {"profile.json", profile_text, strlen(profile_text)}};
        status = run->replaces_bundle ? ns_package_replace(path, files, 4, manifest, "bundle", run->bundle_id)
                                      : ns_package_publish(path, files, 4, manifest, "bundle", run->bundle_id);
    }
    char quoted[1200];
    if (status == NS_OK) ns_log_event(NS_LOG_INFO, "publish", "bundle=%.16s path=%s", run->bundle_id, ns_log_value(quoted, sizeof quoted, path));
    json_decref(manifest);
    free(state);
    free(metrics);
    free(profile_text);
    free(path);
    return status;
}

static ns_status finish(train_run *run)
{
    ns_context *context = run->context;
    ns_table *table = &run->table;
    ns_gbdt_model *model = NULL;
    json_t *valid = NULL, *test = NULL, *profile = NULL;
    float *risk = malloc(((size_t)table->n_kept + 1) * (size_t)ns_table_outputs(table) * sizeof *risk);
    ns_status status = risk == NULL ? ns_fail(NS_ENOMEM, "no memory for the risks") : NS_OK;
    if (status == NS_OK)
        status = ns_gbdt_assemble(&model, table, run->device, run->data.forest, run->trees, ns_progress_bundle_rounds(&run->progress));
    status = ns_agree(status, context->comm);
    bool all_rounds = ns_progress_bundle_rounds(&run->progress) == run->progress.n_rounds;
    if (status == NS_OK)
        status = ns_training_risks(&run->data, table, model, all_rounds ? NS_MARGINS_OF_MODEL : NS_MARGINS_OF_MORE_ROUNDS, risk);
    if (status == NS_OK && table->n_part_global[NS_PART_VALID] > 0) status = ns_table_metrics(&valid, table, risk, NS_PART_VALID);
    if (status == NS_OK && table->n_part_global[NS_PART_TEST] > 0) status = ns_table_metrics(&test, table, risk, NS_PART_TEST);
    if (status == NS_OK) status = ns_profile_of(&profile, table, &run->data, risk);
    if (status == NS_OK) status = ns_cohort_unchanged(table->cohort, context->comm);
    end_stage(run, "evaluate");
    if (status == NS_OK) {
        if (context->rank == 0) {
            run->metrics = bundle_metrics(run, valid, test, model);
            valid = test = NULL;
            status = run->metrics == NULL ? ns_fail(NS_ENOMEM, "no memory for the metrics") : publish_here(run, model, profile);
        }
        status = ns_agree(status, context->comm);
    }
    end_stage(run, "publish");
    json_decref(valid);
    json_decref(test);
    json_decref(profile);
    free(risk);
    ns_gbdt_destroy(&model);
    return status;
}

/* --- the whole --- */

/* The first option of the split that the job gives. */
static const char *split_key(const ns_job *job)
{
    static const char *const keys[] = {"data.split.train", "data.split.valid", "data.split.test", "data.split.column", "data.split.until"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (ns_job_given(job, keys[i])) return keys[i];
    return "data.split.by";
}

static ns_status check_parts(const train_run *run)
{
    const ns_table *t = &run->table;
    const char *split = split_key(run->job), *label = "data.label.column";
    int64_t n_rows = t->n_part_global[NS_PART_TRAIN], n_events = t->n_events_global[NS_PART_TRAIN];
    NS_TRY(ns_parts_check(t));
    if (n_rows == 0)
        return ns_fail(NS_EFORMAT, "%s: %s: no row is left for training (%lld valid, %lld test)", ns_job_place(run->job, split), split,
                       (long long)t->n_part_global[NS_PART_VALID], (long long)t->n_part_global[NS_PART_TEST]);
    if (t->objective == NS_BINARY && (n_events == 0 || n_events == n_rows))
        return ns_fail(NS_EFORMAT, "%s: %s: of the %lld training rows %s has the outcome by column '%s'; a model needs rows with it and rows without",
                       ns_job_place(run->job, label), label, (long long)n_rows, n_events == 0 ? "none" : "every one", ns_job_text(run->job, label));
    if (t->objective == NS_POISSON && n_events == 0)
        return ns_fail(NS_EFORMAT, "%s: %s: all of the %lld training rows have 0 in column '%s'; a count that never occurs cannot be learned",
                       ns_job_place(run->job, label), label, (long long)n_rows, ns_job_text(run->job, label));
    if (run->progress.stop_after > 0 && t->n_part_global[NS_PART_VALID] == 0)
        return ns_fail(NS_EINVAL, "%s: train.stop_after: early stopping needs validation rows, and data.split gives none",
                       ns_job_place(run->job, "train.stop_after"));
    return NS_OK;
}

/* Multiclass: models, metrics and score files name classes, so each needs rows and patients enough. Collective. */
static ns_status check_classes(const train_run *run)
{
    const ns_table *t = &run->table;
    if (t->objective != NS_MULTICLASS) return NS_OK;
    int64_t n = t->classes.n, few = 0, min_rows = ns_job_integer(run->job, "model.category_min_rows"),
            min_patients = ns_job_integer(run->job, "evaluate.min_cell");
    int64_t *counts = calloc(2 * (size_t)n, sizeof *counts);
    int32_t *cell = malloc(((size_t)t->n_kept + 1) * sizeof *cell);
    ns_status status = ns_agree(counts == NULL || cell == NULL ? ns_fail(NS_ENOMEM, "no memory for the classes") : NS_OK, t->comm);
    if (status == NS_OK) {
        for (int64_t i = 0; i < t->n_kept; i++) {
            cell[i] = t->part[i] == NS_PART_TRAIN ? (int32_t)t->label[i] : -1;
            if (cell[i] >= 0) counts[cell[i]]++;
        }
        ns_sum_i64(counts, n, t->comm);
        status = ns_count_patients(t->patient, cell, t->n_kept, n, counts + n, t->comm);
    }
    for (int64_t c = 0; c < n && status == NS_OK; c++) few += counts[c] < min_rows || counts[n + c] < min_patients;
    free(counts);
    free(cell);
    if (status != NS_OK || few == 0) return status;
    const char *key = "data.label.column";
    return ns_agree(ns_fail(NS_EFORMAT, "%s: %s: %lld of the %lld classes of column '%s' have fewer than %lld training rows (model.category_min_rows) "
                            "or %lld patients (evaluate.min_cell); name those to learn in data.label.classes, or merge rare ones",
                            ns_job_place(run->job, key), key, (long long)few, (long long)n, ns_job_text(run->job, key), (long long)min_rows,
                            (long long)min_patients), t->comm);
}

/* Every class, for the others any, needs a training row that weighs something. Collective. */
static ns_status check_weights(const train_run *run)
{
    const ns_table *t = &run->table;
    if (t->weight == NULL) return NS_OK;
    const char *name = ns_job_text(run->job, "data.weight"), *place = ns_job_place(run->job, "data.weight");
    bool classes = t->objective == NS_MULTICLASS, binary = t->objective == NS_BINARY;
    int64_t n = classes ? t->classes.n : binary ? 2 : 1, lacking = 0;
    int64_t *weighs = calloc((size_t)n, sizeof *weighs);
    NS_TRY(ns_agree(weighs == NULL ? ns_fail(NS_ENOMEM, "no memory for the weights") : NS_OK, t->comm));
    for (int64_t i = 0; i < t->n_kept; i++)
        if (t->part[i] == NS_PART_TRAIN && t->weight[i] > 0) weighs[classes || binary ? (int64_t)t->label[i] : 0] = 1;
    ns_max_i64(weighs, n, t->comm);
    for (int64_t c = 0; c < n; c++) lacking += weighs[c] == 0;
    const char *of = !binary || lacking == 2 ? "of the cohort" : weighs[0] ? "with the outcome" : "without the outcome";
    free(weighs);
    if (lacking == 0) return NS_OK;
    if (classes && lacking < n)
        return ns_agree(ns_fail(NS_EFORMAT, "%s: data.weight: by column '%s' every training row of %lld classes weighs 0", place, name, (long long)lacking), t->comm);
    return ns_agree(ns_fail(NS_EFORMAT, "%s: data.weight: by column '%s' every training row %s weighs 0", place, name, of), t->comm);
}

static ns_status train(train_run *run)
{
    ns_context *context = run->context;
    NS_TRY(start(run));
    NS_TRY(ns_context_device(&run->device, context, run->job));
    ns_watchdog_phase("open", 0);
    NS_TRY(ns_table_open(&run->table, run->job, "data.cohort", NS_TABLE_TRAIN, context->comm));
    NS_TRY(ns_plan_check_memory(&run->table, &run->settings, context));
    NS_TRY(ns_agree(run->begins_anew ? NS_OK : describe_life(run), context->comm));
    ns_watchdog_phase("rows", 0);
    NS_TRY(ns_table_read(&run->table, NS_TABLE_TRAIN));
    ns_log_event(NS_LOG_INFO, "table", "rows=%lld kept=%lld outside=%lld without_label=%lld train=%lld valid=%lld test=%lld features=%d",
           (long long)run->table.n_rows_global, (long long)run->table.n_kept_global, (long long)run->table.n_outside_global,
           (long long)run->table.n_unlabelled_global, (long long)run->table.n_part_global[NS_PART_TRAIN],
           (long long)run->table.n_part_global[NS_PART_VALID], (long long)run->table.n_part_global[NS_PART_TEST], run->table.features.n);
    ns_parts_log(&run->table);
    NS_TRY(ns_agree(check_parts(run), context->comm));
    NS_TRY(check_classes(run));
    NS_TRY(check_weights(run));
    if (run->table.objective == NS_MULTICLASS) NS_TRY(ns_plan_check_memory(&run->table, &run->settings, context)); /* now that classes are known */
    ns_watchdog_phase("read", 0);
    NS_TRY(ns_training_data_load(&run->data, &run->table, run->device, &run->settings));
    end_stage(run, "read");
    NS_TRY(ns_agree(run->begins_anew ? begin_anew(run) : NS_OK, context->comm));
    NS_TRY(find_beginning(run));
    if (run->already) return NS_OK;
    NS_TRY(ns_agree(write_job(run), context->comm));
    NS_TRY(ns_agree(run->device->forest->seal(run->data.forest, run->trees), context->comm));
    ns_life_log_sums(run->device);
    NS_TRY(train_rounds(run));
    end_stage(run, "train");
    ns_watchdog_phase("finish", run->progress.n_rounds);
    return finish(run);
}

/* Rank 0: how this life ended, into run.json. A failure to write it is told where it is the first. */
static ns_status end_life(train_run *run, ns_status status)
{
    if (run->folder.life == NULL || json_object_get(run->folder.life, "began") == NULL) return status;
    char ended[21];
    json_object_set_new(run->folder.life, "ended", json_string(ns_utc_now(ended)));
    json_object_set_new(run->folder.life, "status", json_string(status == NS_OK ? run->already ? "already trained" : "done" : status == NS_ESTOPPED ? "stopped" : "failed"));
    json_object_set_new(run->folder.life, "exit", json_integer(ns_exit_code(status)));
    json_object_set_new(run->folder.life, "resumed_from", run->resumed_from >= 0 ? json_integer(run->resumed_from) : json_null());
    json_object_set_new(run->folder.life, "rounds", json_integer(run->progress.n_rounds));
    json_object_set_new(run->folder.life, "longest_round_s", json_real(run->longest_round));
    json_object_set_new(run->folder.life, "longest_checkpoint_s", json_real(run->longest_checkpoint));
    json_object_set(run->folder.life, "stages", run->stages);
    ns_life_add_gpu(run->folder.life, run->device);
    json_object_set_new(run->folder.life, "reading", reading_json(run));
    if (run->used != NULL) json_object_set(run->folder.life, "used", run->used);
    json_object_set_new(run->folder.life, "cache", ns_bin_cache_json(&run->data.cache));
    ns_error first = *ns_last_error();
    ns_error_clear();
    ns_status written = ns_run_folder_check_lock(&run->folder);
    if (written == NS_OK) written = ns_run_folder_flush_log(&run->folder);
    if (written == NS_OK) written = ns_run_folder_write_lives(&run->folder);
    if (status == NS_OK) return written;
    *ns_last_error() = first;
    return status;
}

static void summarise(train_run *run)
{
    json_t *summary = run->context->summary, *metrics = run->metrics != NULL ? run->metrics : run->old_metrics;
    char *bundle = ns_path_join(run->path, "bundle");
    int64_t rounds = run->already ? json_integer_value(json_object_get(metrics, "rounds")) : run->progress.n_rounds;
    json_object_set_new(summary, "rounds", json_integer(rounds));
    json_object_set_new(summary, "best_round", json_incref(json_object_get(metrics, "best_round")));
    json_object_set_new(summary, "resumed_from", run->resumed_from >= 0 ? json_integer(run->resumed_from) : json_null());
    json_object_set_new(summary, "already", json_boolean(run->already));
    json_object_set_new(summary, "bundle", json_string(bundle != NULL ? bundle : ""));
    json_object_set_new(summary, "bundle_id", json_string(run->bundle_id));
    json_object_set(summary, "metrics", metrics);
    snprintf(run->context->counts, sizeof run->context->counts, "rounds=%lld train=%lld valid=%lld test=%lld", (long long)rounds,
             (long long)run->table.n_part_global[NS_PART_TRAIN], (long long)run->table.n_part_global[NS_PART_VALID],
             (long long)run->table.n_part_global[NS_PART_TEST]);
    FILE *to = run->context->text;
    fprintf(to, "%s %s: %lld rounds", run->already ? "already trained" : "trained", ns_job_text(run->job, "name"), (long long)rounds);
    if (run->resumed_from >= 0) fprintf(to, ", resumed from %lld", (long long)run->resumed_from);
    int64_t best = json_integer_value(json_object_get(metrics, "best_round"));
    if (best != rounds) fprintf(to, ", the best is %lld", (long long)best);
    fprintf(to, "\n");
    ns_measure_print_line(to, "valid", json_object_get(metrics, "valid"), run->table.objective);
    ns_measure_print_line(to, "test", json_object_get(metrics, "test"), run->table.objective);
    ns_parts_print(&run->table, to);
    fprintf(to, "  bundle    %s\n  id        %s\n", bundle != NULL ? bundle : "", run->bundle_id);
    free(bundle);
}

/*
 * Columns come and go in blocks of many megabytes. By default each is given back to the system when it is freed, and taken
 * again page by page, which costs as much as reading it; kept, it is there for the next one.
 */
#if defined(__GLIBC__)
static void keep_freed_memory(void)
{
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
}
#else
static void keep_freed_memory(void)
{
}
#endif

ns_status ns_verb_train(ns_context *context)
{
    keep_freed_memory();
    train_run run = {.context = context, .resumed_from = -1, .saved = -1, .stages = json_object(), .reading = json_object(), .stage_began = ns_seconds()};
    ns_status status = train(&run);
    if ((status == NS_OK || status == NS_ESTOPPED) && run.device != NULL) {
        ns_error first = *ns_last_error();
        ns_status gathered = ns_used_gather(&run.used, context, run.job, run.stages);
        if (status == NS_OK) status = gathered;
        else *ns_last_error() = first;
    }
    if (context->rank == 0) {
        status = end_life(&run, status);
        ns_used_publish(context, run.job, run.used, ns_exit_code(status));
        if (status == NS_OK) summarise(&run);
    }
    ns_run_folder_close(&run.folder);
    ns_training_data_close(&run.data);
    ns_table_close(&run.table);
    ns_device_close(&run.device);
    ns_trees_destroy(&run.trees);
    json_decref(run.identity.columns);
    json_decref(run.metrics);
    json_decref(run.old_metrics);
    json_decref(run.stages);
    json_decref(run.used);
    json_decref(run.reading);
    free(run.echo);
    free(run.path);
    ns_job_destroy(&run.job);
    return status;
}
