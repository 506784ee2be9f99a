#include "runner/night/check_night.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "data/durable.h"
#include "runner/json.h"
#include "runner/night/night.h"
#include "runner/night/night_record.h"
#include "runner/training/plan.h"
#include "runner/run_folder.h"
#include "runner/night/unseen.h"
#include "runner/writable.h"

typedef struct night_check {
    ns_context *context;
    const ns_job *job;
    ns_device *device;
    void (*problem)(void *to, ns_status status);
    void *to;
    json_t *summary;
    ns_night_job plan;
    ns_night_record record; /* rank 0 */
    ns_bundle bundle;
    ns_night night;
    bool has_bundle;
} night_check;

/* The same on all ranks, as a problem of the list. */
static bool settled(night_check *check, ns_status mine)
{
    ns_status status = ns_agree(mine, check->context->comm);
    if (status != NS_OK) check->problem(check->to, status);
    return status == NS_OK;
}

/* Whether a path of the night has {as_of} in it. */
static bool wants_date(const ns_job *job)
{
    static const char mark[] = "{as_of}";
    static const char *const keys[] = {"score.out", "score.bundle", "score.expect.ready"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (ns_job_has(job, keys[i]) && strstr(ns_job_text(job, keys[i]), mark) != NULL) return true;
    const char *const *patterns;
    int64_t n = ns_job_list(job, "score.cohort", &patterns);
    for (int64_t i = 0; i < n; i++)
        if (strstr(patterns[i], mark) != NULL) return true;
    return false;
}

/* Whether the bundle is the one that the job's own run makes. */
static bool is_own(const night_check *check)
{
    char *run = NULL, *own = NULL;
    if (ns_plan_run_path(&run, check->job) == NS_OK) own = ns_path_join(run, "bundle");
    bool same = own != NULL && strcmp(own, check->plan.bundle) == 0;
    ns_error_clear();
    free(own);
    free(run);
    return same;
}

/* Where the bundle of the night is; rank 0 looks. A bundle of the job's own run need not be there yet. */
static ns_status find_bundle(night_check *check, void **path, size_t *n)
{
    ns_context *context = check->context;
    ns_status status = NS_OK;
    if (context->rank == 0) {
        status = ns_night_record_open(&check->record, &check->plan);
        bool to_come = status == NS_OK && is_own(check) && !ns_path_exists(check->record.bundle);
        if (status == NS_OK && !to_come) *path = strdup(check->record.bundle);
        if (status == NS_OK && !to_come && *path == NULL) status = ns_fail(NS_ENOMEM, "no memory for the paths");
        *n = *path != NULL ? strlen(*path) + 1 : 0;
    }
    status = ns_agree(status, context->comm);
    return status == NS_OK ? ns_share_bytes(path, n, 0, context->comm) : status;
}

static void check_bundle(night_check *check)
{
    void *path = NULL;
    size_t n = 0;
    ns_status status = find_bundle(check, &path, &n);
    bool is_there = n > 0;
    if (status == NS_OK && is_there) status = ns_bundle_load(&check->bundle, path, check->context->comm);
    check->has_bundle = settled(check, status) && is_there;
    json_object_set_new(check->summary, "bundle_id", check->has_bundle ? json_string(check->bundle.id) : json_null());
    FILE *to = check->context->text;
    if (check->has_bundle) fprintf(to, "  bundle    %s, %d features: %s\n", check->bundle.id, check->bundle.model->n_features, (const char *)path);
    else if (status == NS_OK) fprintf(to, "  bundle    not trained yet\n");
    free(path);
}

static ns_status open_night(night_check *check, const ns_texts *files)
{
    const ns_job *job = check->job;
    bool own_where = ns_job_has(job, "score.where");
    const char *const *keep;
    int64_t n_keep = ns_job_list(job, "score.keep", &keep);
    ns_layout layout = strcmp(ns_job_text(job, "data.layout"), "matrix") == 0 ? NS_LAYOUT_MATRIX : NS_LAYOUT_COLUMNS;
    ns_absent absent = strcmp(ns_job_text(job, "score.missing_columns"), "as_missing") == 0 ? NS_ABSENT_MISSING : NS_ABSENT_ERROR;
    ns_night_plan plan = {.bundle = &check->bundle, .job = job, .where_job = own_where ? job : check->bundle.job,
                          .where_key = own_where ? "score.where" : "data.where", .id_name = ns_job_text(job, "data.id"), .keep = keep,
                          .n_keep = n_keep, .layout = layout, .absent = absent};
    return ns_night_open(&check->night, files, &plan, check->device, check->context->comm);
}

/* Cohort and expectations; the columns where a bundle says which are needed. */
static void check_cohort(night_check *check)
{
    ns_context *context = check->context;
    ns_texts files = {0};
    ns_status status = ns_agree(context->rank == 0 ? ns_night_job_files(&files, &check->plan) : NS_OK, context->comm);
    bool good = status == NS_OK;
    if (!good && check->plan.as_of == NULL) { /* nobody said that it is the hour of the night */
        ns_error_clear();
        fprintf(context->text, "  night     its cohort is not there yet\n");
    } else if (!good) {
        check->problem(check->to, status);
    }
    if (good && check->has_bundle && settled(check, open_night(check, context->rank == 0 ? &files : NULL))) {
        int64_t n_rows = check->night.stripes.n_rows;
        json_t *missing = ns_unseen_missing(&check->night);
        settled(check, ns_night_job_rows(&check->plan, n_rows));
        fprintf(context->text, "  night     %lld rows in %d files\n", (long long)n_rows, ns_cohort_n_files(check->night.cohort));
        if (json_array_size(missing) > 0) fprintf(context->text, "  absent    %zu columns of the model count as missing\n", json_array_size(missing));
        int64_t memory = ns_night_memory((n_rows + context->n_ranks - 1) / context->n_ranks);
        fprintf(context->text, "  memory    %lld MiB for each rank of the night\n", (long long)(memory >> 20));
        json_object_set_new(check->summary, "rows", json_integer(n_rows));
        json_object_set_new(check->summary, "memory_bytes_per_rank", json_integer(memory));
        json_object_set_new(check->summary, "missing_columns", missing);
    }
    ns_texts_destroy(&files);
}

static void check_all(night_check *check)
{
    ns_context *context = check->context;
    const char *as_of = NULL;
    if (!settled(check, ns_night_date(&as_of, context->args))) return;
    json_object_set_new(check->summary, "as_of", as_of != NULL ? json_string(as_of) : json_null());
    bool dated = as_of != NULL || !wants_date(check->job);
    /* any date of the calendar shows whether the paths can be made; what stands under them is looked at with the night's own */
    if (!settled(check, ns_night_job_open(&check->plan, check->job, dated ? as_of : "2000-01-01"))) return;
    if (dated) {
        settled(check, context->rank == 0 ? ns_writable_file(check->plan.out, "score.out") : NS_OK);
        fprintf(context->text, "  scores    %s\n", check->plan.out);
        json_object_set_new(check->summary, "out", ns_json_path(check->plan.out));
    }
    const char *bundle = ns_job_text(check->job, "score.bundle");
    if (dated || bundle == NULL || strstr(bundle, "{as_of}") == NULL) check_bundle(check);
    if (dated) check_cohort(check);
    else fprintf(context->text, "  night     not looked at; with --as-of DATE its cohort is\n");
}

void ns_check_night(ns_context *context, const ns_job *job, ns_device *device, void (*problem)(void *to, ns_status status), void *to)
{
    night_check check = {.context = context, .job = job, .device = device, .problem = problem, .to = to, .summary = json_object()};
    bool cohort = ns_job_has(job, "score.cohort"), scores = cohort && ns_job_has(job, "score.out");
    if (scores) check_all(&check);
    else if (cohort) fprintf(context->text, "  night     not looked at; score.out is not set\n");
    json_object_set_new(context->summary, "night", scores ? json_incref(check.summary) : json_null());
    json_decref(check.summary);
    ns_night_close(&check.night);
    ns_bundle_close(&check.bundle);
    ns_night_record_close(&check.record);
    ns_night_job_close(&check.plan);
}
