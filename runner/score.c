/*
 * One night: scores of a cohort, published whole under score.out with a manifest beside it. The order of publishing is
 * OUT (by rename from OUT.tmp), then OUT.manifest.json; a night is done when the manifest is there and matches. What an
 * earlier life left without a manifest is scored again. A file that would be written over is kept under another name unless
 * it has the new one's bytes: so nothing is lost, wherever a life was killed.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/lock.h"
#include "cluster/log.h"
#include "data/durable.h"
#include "kernels/numerics.h"
#include "runner/context.h"
#include "runner/json.h"
#include "runner/night.h"
#include "runner/plan.h"
#include "runner/run_folder.h"
#include "runner/score_output.h"
#include "runner/writable.h"

typedef struct score_run {
    ns_context *context;
    ns_job *job;
    ns_device *device;
    ns_bundle bundle;
    ns_night night;
    const char *as_of;         /* NULL: none given */
    const char *id_name, *where_key;
    const ns_job *where_job;   /* the job with score.where, else the bundle's with data.where */
    char *bundle_path, *out, *temporary, *manifest_path;
    ns_lock *lock;             /* rank 0 */
    ns_score_output output;    /* rank 0 */
    char content[65];
} score_run;

static int number_at(const char *digits, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) value = 10 * value + (digits[i] - '0');
    return value;
}

/* 2026-11-20 or 2026-11-20T06, a day that the calendar has */
static bool is_date(const char *text)
{
    static const char pattern[] = "dddd-dd-ddTdd";
    size_t n = strlen(text);
    if (n != 10 && n != 13) return false;
    for (size_t i = 0; i < n; i++)
        if (pattern[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != pattern[i]) return false;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = number_at(text, 4), month = number_at(text + 5, 2), day = number_at(text + 8, 2), hour = n == 13 ? number_at(text + 11, 2) : 0;
    if (month < 1 || month > 12 || day < 1 || hour > 23) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap);
}

static ns_status find_date(score_run *run)
{
    const char *from = "--as-of";
    run->as_of = ns_args_value(run->context->args, from);
    if (run->as_of == NULL) {
        from = "NIGHTSHIFT_AS_OF";
        run->as_of = getenv(from);
    }
    if (run->as_of != NULL && run->as_of[0] == '\0') run->as_of = NULL;
    if (run->as_of != NULL && !is_date(run->as_of))
        return ns_fail(NS_EINVAL, "%s: '%.40s' is not a date such as 2026-11-20 or 2026-11-20T06", from, run->as_of);
    return NS_OK;
}

static ns_status need(const ns_job *job, const char *key)
{
    if (ns_job_has(job, key)) return NS_OK;
    return ns_fail(NS_EINVAL, "%s: is not set in the job; score needs it", key);
}

static char *with_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path) + strlen(suffix) + 1;
    char *out = malloc(n);
    if (out != NULL) snprintf(out, n, "%s%s", path, suffix);
    return out;
}

/* The bundle of the job's own run. */
static ns_status own_bundle(char **out, const ns_job *job)
{
    char *run = NULL;
    if (!ns_job_has(job, "name") && !ns_job_has(job, "run.out"))
        return ns_fail(NS_EINVAL, "score.bundle: is not set in the job, nor is run.out or name, which would tell its own run");
    NS_TRY(ns_plan_run_path(&run, job));
    *out = ns_path_join(run, "bundle");
    free(run);
    return *out == NULL ? ns_fail(NS_ENOMEM, "no memory for the paths") : NS_OK;
}

static ns_status find_paths(score_run *run)
{
    const ns_job *job = run->job;
    NS_TRY(need(job, "score.cohort"));
    NS_TRY(need(job, "score.out"));
    NS_TRY(find_date(run));
    const char *bundle = ns_job_text(job, "score.bundle");
    if (bundle != NULL) NS_TRY(ns_job_dated_path(&run->bundle_path, job, "score.bundle", bundle, run->as_of));
    else NS_TRY(own_bundle(&run->bundle_path, job));
    NS_TRY(ns_job_dated_path(&run->out, job, "score.out", ns_job_text(job, "score.out"), run->as_of));
    run->temporary = with_suffix(run->out, ".tmp");
    run->manifest_path = with_suffix(run->out, ".manifest.json");
    run->id_name = ns_job_text(job, "data.id");
    if (run->temporary == NULL || run->manifest_path == NULL) return ns_fail(NS_ENOMEM, "no memory for the paths");
    if (ns_job_list(job, "score.keep", &(const char *const *){NULL}) > NS_MOST_KEEP)
        return ns_fail(NS_EINVAL, "%s: score.keep: names more than %d columns", ns_job_place(job, "score.keep"), NS_MOST_KEEP);
    return NS_OK;
}

/* The cohort's files on rank 0, and what score.expect asks of them. */
static ns_status find_files(score_run *run, ns_texts *files)
{
    const ns_job *job = run->job;
    const char *const *patterns;
    int64_t n = ns_job_list(job, "score.cohort", &patterns);
    char **dated = calloc((size_t)n + 1, sizeof *dated);
    ns_status status = dated == NULL ? ns_fail(NS_ENOMEM, "no memory for the paths") : NS_OK;
    for (int64_t i = 0; i < n && status == NS_OK; i++)
        status = ns_job_dated_path(&dated[i], job, "score.cohort", patterns[i], run->as_of);
    if (status == NS_OK && run->context->rank == 0 && ns_job_has(job, "score.expect.ready")) {
        char *ready = NULL;
        status = ns_job_dated_path(&ready, job, "score.expect.ready", ns_job_text(job, "score.expect.ready"), run->as_of);
        if (status == NS_OK && !ns_path_exists(ready))
            status = ns_fail(NS_EFORMAT, "%s: score.expect.ready: '%s' is not there yet", ns_job_place(job, "score.expect.ready"), ready);
        free(ready);
    }
    if (status == NS_OK && run->context->rank == 0) {
        status = ns_cohort_expand(files, (const char *const *)dated, n, "score.cohort");
        int64_t want = ns_job_has(job, "score.expect.files") ? ns_job_integer(job, "score.expect.files") : files->n;
        if (status == NS_OK && files->n != want)
            status = ns_fail(NS_EFORMAT, "%s: score.expect.files: %lld files are there, %lld are expected",
                             ns_job_place(job, "score.expect.files"), (long long)files->n, (long long)want);
    }
    for (int64_t i = 0; i < n && dated != NULL; i++) free(dated[i]);
    free(dated);
    return status;
}

static ns_status open_night(score_run *run)
{
    ns_context *context = run->context;
    ns_texts files = {0};
    const char *const *keep;
    int64_t n_keep = ns_job_list(run->job, "score.keep", &keep);
    ns_status status = ns_agree(find_files(run, &files), context->comm);
    if (status == NS_OK) {
        ns_layout layout = strcmp(ns_job_text(run->job, "data.layout"), "matrix") == 0 ? NS_LAYOUT_MATRIX : NS_LAYOUT_COLUMNS;
        ns_night_plan plan = {.bundle = &run->bundle, .job = run->job, .where_job = run->where_job, .where_key = run->where_key, .id_name = run->id_name,
                              .keep = keep, .n_keep = n_keep, .layout = layout};
        status = ns_night_open(&run->night, context->rank == 0 ? &files : NULL, &plan, run->device, context->comm);
    }
    ns_texts_destroy(&files);
    if (status != NS_OK) return status;
    int64_t n_rows = run->night.stripes.n_rows;
    int64_t least = ns_job_has(run->job, "score.expect.min_rows") ? ns_job_integer(run->job, "score.expect.min_rows") : 0;
    if (n_rows < least)
        return ns_agree(ns_fail(NS_EFORMAT, "%s: score.expect.min_rows: the cohort has %lld rows, at least %lld are expected",
                                ns_job_place(run->job, "score.expect.min_rows"), (long long)n_rows, (long long)least), context->comm);
    return NS_OK;
}

/* --- what an earlier life published --- */

/* What, beside the cohort, decides the score file; part of the manifest, so that a change is noticed. */
static json_t *settings_json(const score_run *run)
{
    json_t *keep = json_array();
    const char *const *names;
    int64_t n = ns_job_list(run->job, "score.keep", &names);
    for (int64_t i = 0; i < n; i++) json_array_append_new(keep, json_string(names[i]));
    const char *where = ns_job_text(run->where_job, run->where_key);
    return json_pack("{s:s?, s:s?, s:o}", "id", run->id_name, "where", where, "keep", keep);
}

static json_t *read_json(const char *path)
{
    char *text = NULL;
    size_t n = 0;
    bool found = false;
    json_t *document = NULL;
    if (ns_read_whole(path, &text, &n, &found) == NS_OK && found) document = json_loadb(text, n, 0, NULL);
    ns_error_clear();
    free(text);
    return document;
}

/* Rank 0: what of a published night differs from this one, or NULL; a column's name is worded into text. */
static const char *difference(const score_run *run, const json_t *manifest, char text[300])
{
    const char *bundle_id = json_string_value(json_object_get(manifest, "bundle_id"));
    if (bundle_id == NULL || strcmp(bundle_id, run->bundle.id) != 0) return "the bundle";
    const char *as_of = json_string_value(json_object_get(manifest, "as_of"));
    if (as_of == NULL || strcmp(as_of, run->as_of != NULL ? run->as_of : "") != 0) return "as_of";
    json_t *settings = settings_json(run);
    bool same = json_equal(settings, json_object_get(manifest, "settings"));
    json_decref(settings);
    if (!same) return "score.where, score.keep or data.id";
    const char *digest = json_string_value(json_object_get(manifest, "fingerprint"));
    if (digest != NULL && strcmp(digest, run->night.digest) == 0) return NULL;
    const json_t *columns = json_object_get(manifest, "columns");
    for (int32_t i = 0; i < run->night.n_used; i++) {
        const char *name = ns_cohort_column(run->night.cohort, run->night.used[i])->name;
        const char *other = json_string_value(json_object_get(columns, name));
        if (other != NULL && strcmp(other, run->night.digests[i]) == 0) continue;
        snprintf(text, 300, "column '%.250s' of the cohort", name);
        return text;
    }
    return "the set of the cohort's columns";
}

static bool file_matches(const char *path, const json_t *manifest)
{
    char *bytes = NULL, hex[65] = "";
    size_t n = 0;
    bool found = false;
    if (ns_read_whole(path, &bytes, &n, &found) == NS_OK && found) ns_sha256_hex(hex, bytes, n);
    ns_error_clear();
    free(bytes);
    const char *want = json_string_value(json_object_get(manifest, "sha256"));
    return want != NULL && strcmp(want, hex) == 0;
}

/* Whether this night is already published as it would be now; fails where something else is and may not be replaced. */
static ns_status look_for_published(score_run *run, bool *done)
{
    ns_context *context = run->context;
    json_t *manifest = context->rank == 0 ? read_json(run->manifest_path) : NULL;
    int found = manifest != NULL;
    MPI_Bcast(&found, 1, MPI_INT, 0, context->comm);
    *done = false;
    bool replace = ns_args_value(context->args, "--replace") != NULL;
    ns_status status = found ? ns_night_fingerprint(&run->night) : NS_OK;
    if (status == NS_OK && context->rank == 0) {
        char text[300];
        const char *differs = found ? difference(run, manifest, text) : NULL;
        if (found && differs == NULL && file_matches(run->out, manifest)) *done = true;
        else if (replace) status = NS_OK; /* whatever is there is kept under another name */
        else if (found && differs != NULL)
            status = ns_fail(NS_EINVAL, "'%s' is published and %s differs; --replace publishes over it and keeps the old as '%s.1'", run->out, differs, run->out);
        else if (found && ns_path_exists(run->out))
            status = ns_fail(NS_EINVAL, "'%s' was altered after it was published; --replace publishes over it", run->out);
        else if (!found && ns_path_exists(run->out)) {
            ns_scores_info info;
            bool ours = ns_scores_inspect(&info, run->out) == NS_OK && strcmp(info.bundle_id, run->bundle.id) == 0;
            ns_error_clear();
            if (!ours) status = ns_fail(NS_EINVAL, "'%s' is there and is not this night's; --replace publishes over it", run->out);
        }
        const char *content = json_string_value(json_object_get(manifest, "content"));
        if (*done) snprintf(run->content, sizeof run->content, "%s", content != NULL ? content : "");
        const json_t *counts = json_object_get(manifest, "counts");
        for (int s = 0; s < NS_N_STATUS && *done; s++)
            run->night.counts[s] = json_integer_value(json_object_get(counts, ns_score_status_name((ns_score_status)s)));
    }
    json_decref(manifest);
    status = ns_agree(status, context->comm);
    MPI_Bcast(done, 1, MPI_C_BOOL, 0, context->comm);
    return status;
}

/* --- writing --- */

static int64_t rejected(const score_run *run)
{
    int64_t n = 0;
    for (int s = NS_ID_MISSING; s < NS_N_STATUS; s++) n += run->night.counts[s];
    return n;
}

static json_t *counts_json(const score_run *run)
{
    json_t *counts = json_object();
    for (int s = 0; s < NS_N_STATUS; s++)
        json_object_set_new(counts, ns_score_status_name((ns_score_status)s), json_integer(run->night.counts[s]));
    return counts;
}

static ns_status write_manifest(score_run *run, const char *path, const char *scores_path)
{
    char *bytes = NULL, hex[65] = "", *text = NULL;
    size_t n = 0;
    bool found = false;
    NS_TRY(ns_read_whole(scores_path, &bytes, &n, &found));
    ns_sha256_hex(hex, bytes != NULL ? bytes : "", n);
    free(bytes);
    json_t *columns = json_object();
    for (int32_t i = 0; i < run->night.n_used; i++)
        json_object_set_new(columns, ns_cohort_column(run->night.cohort, run->night.used[i])->name, json_string(run->night.digests[i]));
    json_t *manifest = json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:o, s:o, s:s, s:o, s:s, s:I, s:s, s:i}", "kind", "scores", "format", 1,
                                 "name", ns_job_text(run->bundle.job, "name"), "bundle_id", run->bundle.id, "as_of",
                                 run->as_of != NULL ? run->as_of : "", "n_rows", (json_int_t)run->night.stripes.n_rows, "counts",
                                 counts_json(run), "settings", settings_json(run), "fingerprint", run->night.digest, "columns", columns,
                                 "content", run->content, "bytes", (json_int_t)n, "sha256", hex, "numerics_version", NS_NUMERICS_VERSION);
    ns_status status = manifest == NULL ? ns_fail(NS_ENOMEM, "no memory for the manifest") : ns_json_dump(manifest, &text);
    if (status == NS_OK) status = ns_durable_publish(path, text, strlen(text), "scores_manifest");
    free(text);
    json_decref(manifest);
    return status;
}

/* Rank 0: too many rejects: everything is kept for a look, nothing is published. */
static ns_status hold(score_run *run)
{
    char *held = with_suffix(run->out, ".held"), *manifest = with_suffix(run->out, ".held.manifest.json");
    ns_status status = held == NULL || manifest == NULL ? ns_fail(NS_ENOMEM, "no memory for the paths") : NS_OK;
    if (status == NS_OK) status = ns_durable_remove(manifest, "old_held_manifest"); /* of another file than the new one */
    if (status == NS_OK) status = ns_durable_rename(run->temporary, held, "held");
    if (status == NS_OK) status = write_manifest(run, manifest, held);
    if (status == NS_OK) {
        char quoted[1200];
        ns_log_event(NS_LOG_WARN, "hold", "path=%s rejected=%lld rows=%lld", ns_log_value(quoted, sizeof quoted, held), (long long)rejected(run), (long long)run->night.stripes.n_rows);
        status = ns_fail(NS_EHELD, "%lld of %lld rows are rejected, more than score.max_rejected %g allows; the scores are held in '%s'",
                         (long long)rejected(run), (long long)run->night.stripes.n_rows, ns_job_number(run->job, "score.max_rejected"), held);
    }
    free(held);
    free(manifest);
    return status;
}

/* Whether two files hold the same bytes; no where one cannot be read. */
static bool same_bytes(const char *path_a, const char *path_b)
{
    static char a[1 << 16], b[1 << 16];
    FILE *file_a = fopen(path_a, "rbe"), *file_b = fopen(path_b, "rbe");
    bool same = file_a != NULL && file_b != NULL;
    for (size_t n = 1; same && n > 0;) {
        n = fread(a, 1, sizeof a, file_a);
        same = fread(b, 1, sizeof b, file_b) == n && memcmp(a, b, n) == 0 && !ferror(file_a) && !ferror(file_b);
    }
    if (file_a != NULL) fclose(file_a);
    if (file_b != NULL) fclose(file_b);
    return same;
}

/* The finished file under its name. */
static ns_status place(const score_run *run)
{
    /* While an old manifest stands it vouches for the old file; it goes first, so that no reader sees a wrong pair. */
    NS_TRY(ns_durable_remove(run->manifest_path, "old_manifest"));
    if (!ns_path_exists(run->out) || same_bytes(run->temporary, run->out))
        return ns_durable_rename(run->temporary, run->out, "scores");
    char *kept = NULL;
    NS_TRY(ns_plan_free_name(&kept, run->out));
    ns_status status = ns_durable_replace(run->temporary, run->out, kept, "scores");
    free(kept);
    return status;
}

static ns_status publish(score_run *run)
{
    NS_TRY(ns_score_output_finish(&run->output, run->content));
    double limit = ns_job_number(run->job, "score.max_rejected");
    if ((double)rejected(run) > limit * (double)run->night.stripes.n_rows) return hold(run);
    if (!ns_lock_still_mine(run->lock)) return ns_fail(NS_EINVAL, "'%s' was taken over by another process; this one publishes nothing", run->out);
    NS_TRY(place(run));
    NS_TRY(write_manifest(run, run->manifest_path, run->out));
    char quoted[1200];
    ns_log_event(NS_LOG_INFO, "publish", "path=%s rows=%lld content=%.16s", ns_log_value(quoted, sizeof quoted, run->out), (long long)run->night.stripes.n_rows, run->content);
    return NS_OK;
}

/* Rank 0: folder and lock of the score file. */
static ns_status take_out(score_run *run)
{
    char *folder = strdup(run->out), *lock = with_suffix(run->out, ".lock"), taken_over[256] = "";
    ns_status status = folder == NULL || lock == NULL ? ns_fail(NS_ENOMEM, "no memory for the paths") : NS_OK;
    if (status == NS_OK) {
        *strrchr(folder, '/') = '\0';
        status = ns_writable_file(run->out, "score.out");
        if (status == NS_OK && folder[0] != '\0') status = ns_durable_mkdir(folder, "scores");
    }
    if (status == NS_OK) status = ns_lock_take(&run->lock, lock, "the score file", taken_over, sizeof taken_over);
    if (taken_over[0] != '\0') ns_log_event(NS_LOG_WARN, "lock", "taken_over=\"%s\"", taken_over);
    free(folder);
    free(lock);
    return status;
}

/* --- summary --- */

static void summarise(score_run *run, bool already)
{
    json_t *summary = run->context->summary;
    const ns_night *night = &run->night;
    int64_t n = night->stripes.n_rows, bad = rejected(run);
    json_object_set_new(summary, "as_of", run->as_of != NULL ? json_string(run->as_of) : json_null());
    json_object_set_new(summary, "rows", json_integer(n));
    json_object_set_new(summary, "scored", json_integer(night->counts[NS_SCORED]));
    json_object_set_new(summary, "outside", json_integer(night->counts[NS_OUTSIDE_COHORT]));
    json_object_set_new(summary, "rejected", json_integer(bad));
    json_object_set_new(summary, "reasons", counts_json(run));
    json_object_set_new(summary, "out", json_string(run->out));
    json_object_set_new(summary, "bundle_id", json_string(run->bundle.id));
    json_object_set_new(summary, "content", json_string(run->content));
    json_object_set_new(summary, "already", json_boolean(already));
    snprintf(run->context->counts, sizeof run->context->counts, "rows=%lld scored=%lld outside=%lld rejected=%lld", (long long)n,
             (long long)night->counts[NS_SCORED], (long long)night->counts[NS_OUTSIDE_COHORT], (long long)bad);
    FILE *to = run->context->text;
    fprintf(to, "%s%s%s\n", already ? "already scored" : "scored", run->as_of != NULL ? " the night of " : "", run->as_of != NULL ? run->as_of : "");
    fprintf(to, "  rows      %lld = %lld scored + %lld outside the cohort + %lld rejected\n", (long long)n,
            (long long)night->counts[NS_SCORED], (long long)night->counts[NS_OUTSIDE_COHORT], (long long)bad);
    if (bad > 0) {
        fprintf(to, "  rejected ");
        for (int s = NS_ID_MISSING; s < NS_N_STATUS; s++)
            if (night->counts[s] > 0) fprintf(to, " %s %lld", ns_score_status_name((ns_score_status)s), (long long)night->counts[s]);
        fprintf(to, "\n");
    }
    fprintf(to, "  out       %s\n  content   %s\n  bundle    %s\n", run->out, run->content, run->bundle.id);
}

static ns_status score_night(score_run *run)
{
    ns_context *context = run->context;
    bool done = false;
    NS_TRY(ns_context_job(&run->job, context));
    NS_TRY(ns_agree(find_paths(run), context->comm));
    NS_TRY(ns_context_device(&run->device, context, run->job));
    NS_TRY(ns_bundle_load(&run->bundle, run->bundle_path, context->comm));
    bool own_where = ns_job_has(run->job, "score.where");
    run->where_job = own_where ? run->job : run->bundle.job;
    run->where_key = own_where ? "score.where" : "data.where";
    NS_TRY(ns_agree(context->rank == 0 ? take_out(run) : NS_OK, context->comm));
    NS_TRY(open_night(run));
    NS_TRY(look_for_published(run, &done));
    if (done) {
        summarise(run, true);
        char quoted[1200];
        ns_log_event(NS_LOG_INFO, "already_scored", "path=%s", ns_log_value(quoted, sizeof quoted, run->out));
        return NS_OK;
    }
    NS_TRY(ns_night_statuses(&run->night));
    const char *as_of = run->as_of != NULL ? run->as_of : "";
    NS_TRY(ns_agree(context->rank == 0 ? ns_score_output_open(&run->output, &run->night, run->temporary, as_of) : NS_OK, context->comm));
    NS_TRY(ns_night_score(&run->night, ns_score_output_take, &run->output));
    ns_status status = ns_agree(context->rank == 0 ? publish(run) : NS_OK, context->comm);
    if (status == NS_OK || status == NS_EHELD) summarise(run, false);
    return status;
}

static void close_run(score_run *run)
{
    ns_score_output_close(&run->output);
    ns_night_close(&run->night);
    ns_bundle_close(&run->bundle);
    ns_device_close(&run->device);
    if (run->lock != NULL) ns_lock_release(&run->lock);
    free(run->bundle_path);
    free(run->out);
    free(run->temporary);
    free(run->manifest_path);
    ns_job_destroy(&run->job);
}

ns_status ns_verb_score(ns_context *context)
{
    score_run run = {.context = context};
    ns_status status = score_night(&run);
    close_run(&run);
    return status;
}
