/*
 * One night: scores of a cohort, published whole under score.out with a manifest beside it (runner/night/published.h). The run folder
 * keeps a record of the night (runner/night/night_record.h). The lock of the score file is taken before anything is decided.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/lock.h"
#include "cluster/log.h"
#include "cluster/watchdog.h"
#include "data/durable.h"
#include "runner/context.h"
#include "runner/json.h"
#include "runner/life.h"
#include "runner/night/night_record.h"
#include "runner/night/published.h"
#include "runner/night/score_output.h"
#include "runner/night/unseen.h"
#include "runner/used.h"
#include "runner/writable.h"

typedef struct score_run {
    ns_context *context;
    ns_job *job;
    ns_device *device;
    ns_bundle bundle;
    ns_night night;
    ns_night_job plan;
    const char *where_key;
    const ns_job *where_job;   /* the job with score.where, else the bundle's with data.where */
    ns_published published;    /* what follows: rank 0 */
    ns_unseen unseen;
    ns_lock *lock;
    char *folder;              /* of the score file */
    int n_made;                /* folders at its end that this life made */
    ns_night_record record;
    ns_score_output output;
} score_run;

static ns_status read_job(score_run *run)
{
    const char *as_of = NULL;
    NS_TRY(ns_night_date(&as_of, run->context->args));
    if (as_of != NULL) snprintf(run->context->counts, sizeof run->context->counts, "as_of=%s", as_of); /* the log's last line, however it ends */
    return ns_night_job_open(&run->plan, run->job, as_of);
}

/* Rank 0: folder and lock of the score file. */
static ns_status take_out(score_run *run)
{
    const char *out = run->plan.out;
    size_t room = strlen(out) + sizeof ".lock";
    char *lock = malloc(room), taken_over[256] = "";
    run->folder = strdup(out);
    ns_status status = run->folder == NULL || lock == NULL ? ns_fail(NS_ENOMEM, "no memory for the paths") : NS_OK;
    if (status == NS_OK) {
        snprintf(lock, room, "%s.lock", out);
        char *slash = strrchr(run->folder, '/');
        slash[slash == run->folder] = '\0';
        status = ns_writable_file(out, "score.out");
        run->n_made = ns_writable_n_missing(run->folder);
        if (status == NS_OK) status = ns_durable_mkdir(run->folder, "scores");
    }
    if (status == NS_OK) status = ns_lock_take(&run->lock, lock, "the score file", taken_over, sizeof taken_over);
    if (taken_over[0] != '\0') ns_log_event(NS_LOG_WARN, "lock", "taken_over=\"%s\"", taken_over);
    free(lock);
    return status;
}

/* The bundle of this night, as its record or score.bundle says. */
static ns_status open_bundle(score_run *run)
{
    ns_context *context = run->context;
    void *path = NULL;
    size_t n = 0;
    ns_status status = NS_OK;
    if (context->rank == 0) {
        status = take_out(run);
        if (status == NS_OK) status = ns_night_record_open(&run->record, &run->plan);
        if (status == NS_OK) {
            path = strdup(run->record.bundle);
            n = path != NULL ? strlen(path) + 1 : 0;
            if (path == NULL) status = ns_fail(NS_ENOMEM, "no memory for the paths");
        }
    }
    status = ns_agree(status, context->comm);
    if (status == NS_OK) status = ns_share_bytes(&path, &n, 0, context->comm);
    if (status == NS_OK) status = ns_bundle_load(&run->bundle, path, context->comm);
    free(path);
    return status;
}

static ns_status open_night(score_run *run)
{
    ns_context *context = run->context;
    const ns_job *job = run->job;
    bool own_where = ns_job_has(job, "score.where");
    run->where_job = own_where ? job : run->bundle.job;
    run->where_key = own_where ? "score.where" : "data.where";
    ns_texts files = {0};
    const char *const *keep;
    int64_t n_keep = ns_job_list(job, "score.keep", &keep);
    ns_status status = ns_agree(context->rank == 0 ? ns_night_job_files(&files, &run->plan) : NS_OK, context->comm);
    if (status == NS_OK) {
        ns_layout layout = strcmp(ns_job_text(job, "data.layout"), "matrix") == 0 ? NS_LAYOUT_MATRIX : NS_LAYOUT_COLUMNS;
        ns_absent absent = strcmp(ns_job_text(job, "score.missing_columns"), "as_missing") == 0 ? NS_ABSENT_MISSING : NS_ABSENT_ERROR;
        ns_night_plan plan = {.bundle = &run->bundle, .job = job, .where_job = run->where_job, .where_key = run->where_key,
                              .id_name = ns_job_text(job, "data.id"), .keep = keep, .n_keep = n_keep, .layout = layout, .absent = absent,
                              .names_unknown = true};
        status = ns_night_open(&run->night, context->rank == 0 ? &files : NULL, &plan, run->device, context->comm);
    }
    ns_texts_destroy(&files);
    if (status == NS_OK) status = ns_agree(ns_night_job_rows(&run->plan, run->night.stripes.n_rows), context->comm);
    return status;
}

/* The night has begun: its cohort is there and complete. Rank 0. */
static ns_status begin(score_run *run)
{
    json_t *life = json_pack("{s:s}", "life", run->context->life);
    ns_status status = life == NULL ? ns_fail(NS_ENOMEM, "no memory for the record of the night")
                                    : ns_life_describe(life, run->context, run->device, run->night.cohort);
    if (status == NS_OK) return ns_night_record_begin(&run->record, run->bundle.id, life);
    json_decref(life);
    return status;
}

/* Whether this night is already published as it would be now; fails where something else is and may not be replaced. */
static ns_status look_for_published(score_run *run, bool *done)
{
    ns_context *context = run->context;
    json_t *manifest = context->rank == 0 ? ns_published_manifest(&run->plan) : NULL;
    int found = manifest != NULL;
    MPI_Bcast(&found, 1, MPI_INT, 0, context->comm);
    *done = false;
    ns_status status = found ? ns_night_fingerprint(&run->night) : NS_OK;
    run->published = (ns_published){.plan = &run->plan, .night = &run->night, .id_name = ns_job_text(run->job, "data.id"),
                                    .where = ns_job_text(run->where_job, run->where_key)};
    if (status == NS_OK && context->rank == 0) {
        bool replace = ns_args_value(context->args, "--replace") != NULL;
        status = ns_published_look(&run->published, manifest, replace, done, run->night.counts);
    }
    json_decref(manifest);
    status = ns_agree(status, context->comm);
    MPI_Bcast(done, 1, MPI_C_BOOL, 0, context->comm);
    return status;
}

/* --- stages --- */

/* Which stage bounds: on a GPU scoring is gathering columns on the host, copying both ways and the kernel, all at the same time. */
static const char *bound_of(const ns_night_seconds *s, const ns_device_use *use)
{
    const char *bound = ns_night_bound(s);
    if (use == NULL || strcmp(bound, "score") != 0) return bound;
    return use->gather_s >= use->copy_s && use->gather_s >= use->score_s ? "gather" : use->copy_s >= use->score_s ? "copy" : "score";
}

/* Which stage bounds, into log and record; into the record also how the cohort was read. */
static void note_stages(score_run *run)
{
    const ns_night_seconds *s = &run->night.seconds;
    const ns_device_use *use = run->device->use;
    char on_gpu[96] = "";
    if (use != NULL) snprintf(on_gpu, sizeof on_gpu, " gather_s=%.3f copy_s=%.3f kernel_s=%.3f", use->gather_s, use->copy_s, use->score_s);
    ns_log_event(NS_LOG_INFO, "stages", "prepare_s=%.3f read_s=%.3f hash_s=%.3f score_s=%.3f%s write_s=%.3f bound=%s", s->prepare, s->read, s->hash,
                 s->score, on_gpu, s->write, bound_of(s, use));
    if (run->record.life == NULL) return;
    ns_status status = NS_OK;
    ns_json_add(&status, run->record.life, "stages",
                json_pack("{s:f, s:f, s:f, s:f, s:f, s:s}", "prepare_s", s->prepare, "read_s", s->read, "hash_s", s->hash, "score_s", s->score,
                          "write_s", s->write, "bound", bound_of(s, use)));
    ns_reading all = ns_cohort_reading_of_all(run->night.cohort); /* as in run.json; without stages, which overlap here */
    ns_json_add(&status, run->record.life, "reading",
                json_pack("{s:I,s:I,s:f,s:f}", "bytes", (json_int_t)(all.fast_bytes + all.hdf5_bytes), "stored_bytes_past_hdf5",
                          (json_int_t)all.stored_bytes, "past_hdf5", ns_reading_share(&all), "seconds", all.seconds));
    if (status != NS_OK) ns_error_clear(); /* the night is no worse without */
}

/* --- publishing --- */

static int64_t rejected(const score_run *run)
{
    int64_t n = 0;
    for (int s = NS_ID_MISSING; s < NS_N_STATUS; s++) n += run->night.counts[s];
    return n;
}

/* Too many rejects: everything is kept for a look, nothing is published. */
static ns_status hold(score_run *run)
{
    char *held = NULL, quoted[1200];
    long long n_rejected = rejected(run), n_rows = run->night.stripes.n_rows;
    ns_status status = ns_published_hold(&run->published, &held);
    if (status == NS_OK) {
        ns_log_event(NS_LOG_WARN, "hold", "path=%s rejected=%lld rows=%lld", ns_log_value(quoted, sizeof quoted, held), n_rejected, n_rows);
        status = ns_fail(NS_EHELD, "%lld of %lld rows are rejected, more than score.max_rejected %g allows; the scores are held in '%s'", n_rejected,
                         n_rows, ns_job_number(run->job, "score.max_rejected"), held);
    }
    free(held);
    return status;
}

/* Names into the run folder, counts into log and manifest. */
static ns_status note_unseen(score_run *run)
{
    const char *as_of = run->plan.as_of != NULL ? run->plan.as_of : "";
    char quoted[1200];
    NS_TRY(ns_unseen_of(&run->unseen, &run->night, as_of));
    run->published.unseen = run->unseen.counts;
    if (run->unseen.names != NULL)
        ns_log_event(NS_LOG_WARN, "unseen", "columns=%lld missing_columns=%lld levels=%lld cells=%lld named_in=%s", (long long)run->unseen.n_columns,
                     (long long)run->unseen.n_missing, (long long)run->unseen.n_levels, (long long)run->unseen.n_rows,
                     ns_log_value(quoted, sizeof quoted, run->plan.record));
    return ns_night_record_unseen(&run->record, run->unseen.names);
}

static ns_status publish(score_run *run)
{
    ns_published *published = &run->published;
    double start = ns_seconds();
    NS_TRY(ns_score_output_finish(&run->output, published->content));
    run->night.seconds.write += ns_seconds() - start;
    note_stages(run);
    NS_TRY(note_unseen(run));
    double limit = ns_job_number(run->job, "score.max_rejected");
    if ((double)rejected(run) > limit * (double)run->night.stripes.n_rows) return hold(run);
    if (run->output.csv != NULL) NS_TRY(ns_score_csv_finish(run->output.csv, published->csv_sha256, &published->csv_bytes));
    if (!ns_lock_still_mine(run->lock)) return ns_fail(NS_EINVAL, "'%s' was taken over by another process; this one publishes nothing", run->plan.out);
    NS_TRY(ns_published_place(published));
    char quoted[1200];
    ns_log_event(NS_LOG_INFO, "publish", "path=%s rows=%lld content=%.16s", ns_log_value(quoted, sizeof quoted, run->plan.out),
                 (long long)run->night.stripes.n_rows, published->content);
    return NS_OK;
}

/* --- summary --- */

static json_t *counts_json(const score_run *run)
{
    json_t *counts = json_object();
    for (int s = 0; s < NS_N_STATUS; s++)
        json_object_set_new(counts, ns_score_status_name((ns_score_status)s), json_integer(run->night.counts[s]));
    return counts;
}

static void summarise_json(const score_run *run, bool already)
{
    json_t *summary = run->context->summary;
    const ns_night *night = &run->night;
    const ns_night_job *plan = &run->plan;
    json_object_set_new(summary, "as_of", plan->as_of != NULL ? json_string(plan->as_of) : json_null());
    json_object_set_new(summary, "rows", json_integer(night->stripes.n_rows));
    json_object_set_new(summary, "scored", json_integer(night->counts[NS_SCORED]));
    json_object_set_new(summary, "outside", json_integer(night->counts[NS_OUTSIDE_COHORT]));
    json_object_set_new(summary, "rejected", json_integer(rejected(run)));
    json_object_set_new(summary, "reasons", counts_json(run));
    json_object_set_new(summary, "out", ns_json_path(plan->out));
    json_object_set_new(summary, "csv", plan->csv_wanted ? ns_json_path(plan->csv) : json_null());
    json_object_set_new(summary, "bundle_id", json_string(run->bundle.id));
    json_object_set_new(summary, "content", json_string(run->published.content));
    json_object_set_new(summary, "unseen", run->unseen.counts != NULL ? json_incref(run->unseen.counts) : json_null());
    json_object_set_new(summary, "record", ns_json_path(plan->record));
    json_object_set_new(summary, "already", json_boolean(already));
}

static void summarise(score_run *run, bool already)
{
    const ns_night *night = &run->night;
    const ns_night_job *plan = &run->plan;
    long long n = night->stripes.n_rows, bad = rejected(run), scored = night->counts[NS_SCORED], outside = night->counts[NS_OUTSIDE_COHORT];
    summarise_json(run, already);
    snprintf(run->context->counts, sizeof run->context->counts, "%s%s%srows=%lld scored=%lld outside=%lld rejected=%lld",
             plan->as_of != NULL ? "as_of=" : "", plan->as_of != NULL ? plan->as_of : "", plan->as_of != NULL ? " " : "", n, scored, outside, bad);
    FILE *to = run->context->text;
    fprintf(to, "%s%s%s\n", already ? "already scored" : "scored", plan->as_of != NULL ? " the night of " : "", plan->as_of != NULL ? plan->as_of : "");
    fprintf(to, "  rows      %lld = %lld scored + %lld outside the cohort + %lld rejected\n", n, scored, outside, bad);
    if (bad > 0) {
        fprintf(to, "  rejected ");
        for (int s = NS_ID_MISSING; s < NS_N_STATUS; s++)
            if (night->counts[s] > 0) fprintf(to, " %s %lld", ns_score_status_name((ns_score_status)s), (long long)night->counts[s]);
        fprintf(to, "\n");
    }
    if (run->unseen.names != NULL)
        fprintf(to, "  unseen    %lld new columns, %lld missing columns, %lld levels the model does not know: %s/unseen.json\n",
                (long long)run->unseen.n_columns, (long long)run->unseen.n_missing, (long long)run->unseen.n_levels, plan->record);
    fprintf(to, "  out       %s\n", plan->out);
    if (plan->csv_wanted) fprintf(to, "  csv       %s\n", plan->csv);
    fprintf(to, "  content   %s\n  bundle    %s\n", run->published.content, run->bundle.id);
}

/* --- the whole --- */

static ns_status score_night(score_run *run)
{
    ns_context *context = run->context;
    bool first = context->rank == 0, done = false;
    NS_TRY(ns_context_job(&run->job, context));
    NS_TRY(ns_agree(read_job(run), context->comm));
    NS_TRY(ns_context_device(&run->device, context, run->job));
    NS_TRY(open_bundle(run));
    NS_TRY(open_night(run));
    NS_TRY(look_for_published(run, &done));
    if (done) {
        char quoted[1200];
        summarise(run, true);
        if (first) ns_night_record_tidy(&run->record);
        ns_log_event(NS_LOG_INFO, "already_scored", "path=%s", ns_log_value(quoted, sizeof quoted, run->plan.out));
        return NS_OK;
    }
    NS_TRY(ns_agree(first ? begin(run) : NS_OK, context->comm));
    ns_watchdog_phase("prepare", 0);
    NS_TRY(ns_night_prepare(&run->night));
    ns_watchdog_phase("score", 0);
    const char *as_of = run->plan.as_of != NULL ? run->plan.as_of : "", *csv = run->plan.csv_wanted ? run->plan.csv_temporary : NULL;
    NS_TRY(ns_agree(first ? ns_score_output_open(&run->output, &run->night, run->plan.temporary, csv, as_of) : NS_OK, context->comm));
    NS_TRY(ns_night_score(&run->night, ns_score_output_take, &run->output));
    ns_watchdog_phase("publish", 0);
    ns_status status = ns_agree(first ? publish(run) : NS_OK, context->comm);
    if (status == NS_OK || status == NS_EHELD) summarise(run, false);
    return status;
}

/* What the ranks used, where the night was scored or asked to stop. Collective. */
static ns_status note_use(score_run *run, ns_status status, json_t **used)
{
    const ns_night_seconds *s = &run->night.seconds;
    if ((status != NS_OK && status != NS_EHELD && status != NS_ESTOPPED) || run->device == NULL) return status;
    json_t *phases = json_pack("{s:f, s:f, s:f, s:f, s:f}", "prepare", s->prepare, "read", s->read, "hash", s->hash, "score", s->score, "write", s->write);
    ns_error first = *ns_last_error();
    ns_status gathered = ns_agree(phases == NULL ? ns_fail(NS_ENOMEM, "no memory for what the night used") : NS_OK, run->context->comm);
    if (gathered == NS_OK) gathered = ns_used_gather(used, run->context, run->job, phases);
    if (*used != NULL && run->record.life != NULL) json_object_set(run->record.life, "used", *used);
    json_decref(phases);
    if (status == NS_OK) return gathered;
    *ns_last_error() = first;
    return status;
}

/* Rank 0: how this life ended, into the record. A failure to write it is told where it is the first. */
static ns_status end_life(score_run *run, ns_status status)
{
    ns_error first = *ns_last_error();
    ns_error_clear();
    bool known = status == NS_OK || status == NS_EHELD;
    ns_life_add_gpu(run->record.life, run->device);
    ns_status written = ns_night_record_end(&run->record, status, known ? counts_json(run) : NULL);
    if (written != NS_OK && known) return written; /* the machine failed, if only now */
    *ns_last_error() = first;
    return status;
}

static void close_run(score_run *run)
{
    ns_score_output_close(&run->output);
    ns_night_close(&run->night);
    ns_bundle_close(&run->bundle);
    ns_device_close(&run->device);
    ns_night_record_close(&run->record);
    ns_unseen_destroy(&run->unseen);
    if (run->lock != NULL) ns_lock_release(&run->lock);
    if (run->folder != NULL) ns_writable_unmake(run->folder, run->n_made);
    free(run->folder);
    ns_night_job_close(&run->plan);
    ns_job_destroy(&run->job);
}

ns_status ns_verb_score(ns_context *context)
{
    score_run run = {.context = context};
    json_t *used = NULL;
    ns_status status = note_use(&run, score_night(&run), &used);
    if (context->rank == 0) status = end_life(&run, status);
    if (context->rank == 0) ns_used_publish(context, run.job, used, ns_exit_code(status));
    json_decref(used);
    close_run(&run);
    return status;
}
