#include "runner/sweep/sweep_record.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/durable.h"
#include "runner/json.h"
#include "runner/package.h"
#include "runner/run_folder.h"

const char *ns_member_state_name(ns_member_state state)
{
    static const char *const names[NS_N_MEMBER_STATES] = {"missing", "unfinished", "failed", "done"};
    return names[state];
}

char *ns_sweep_members_path(const char *run_path)
{
    return ns_path_join(run_path, "members");
}

char *ns_sweep_member_path(const char *run_path, int64_t number)
{
    char name[40];
    snprintf(name, sizeof name, "members/%04" PRId64, number);
    return ns_path_join(run_path, name);
}

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "no memory for the sweep");
}

/* --- done --- */

static ns_status fail_member(ns_member_record *out, int exit, const char *message)
{
    out->state = NS_MEMBER_FAILED;
    out->exit = exit;
    out->message = strdup(message);
    return out->message != NULL ? NS_OK : no_memory();
}

static void copy_text(char out[65], const json_t *text)
{
    snprintf(out, 65, "%s", json_is_string(text) ? json_string_value(text) : "");
}

static ns_status read_metrics(ns_member_record *out, const ns_package *package, const char *metric)
{
    const ns_package_file *file = ns_package_find(package, "metrics.json");
    json_t *metrics = file != NULL ? json_loadb(file->bytes, file->n_bytes, 0, NULL) : NULL;
    const json_t *valid = json_object_get(metrics, "valid"), *value = json_object_get(valid, metric);
    const json_t *why = json_object_get(json_object_get(valid, "undefined"), metric);
    char text[200];
    ns_status status = NS_OK;
    out->rounds = json_integer_value(json_object_get(metrics, "rounds"));
    out->best_round = json_integer_value(json_object_get(metrics, "best_round"));
    out->metric = json_number_value(value);
    if (valid == NULL) {
        status = fail_member(out, 3, "there are no validation rows to choose by");
    } else if (!json_is_number(value) || !isfinite(out->metric)) {
        snprintf(text, sizeof text, "%s of its validation rows is not defined%s%.100s", metric, json_is_string(why) ? ": " : "",
                 json_is_string(why) ? json_string_value(why) : "");
        status = fail_member(out, 3, text);
    } else {
        out->state = NS_MEMBER_DONE;
    }
    json_decref(metrics);
    return status;
}

static ns_status look_at_bundle(ns_member_record *out, const char *bundle, const char *metric)
{
    ns_package package;
    ns_status status = ns_package_read(&package, bundle, "bundle");
    if (status == NS_OK) {
        const json_t *lineage = json_object_get(package.manifest, "lineage");
        memcpy(out->bundle_id, package.id, sizeof out->bundle_id);
        copy_text(out->fingerprint, json_object_get(lineage, "fingerprint"));
        out->numerics_version = (int)json_integer_value(json_object_get(lineage, "numerics_version"));
        status = read_metrics(out, &package, metric);
    } else if (status != NS_ENOMEM) {
        status = fail_member(out, ns_exit_code(status), ns_last_error()->message);
        ns_error_clear();
    }
    ns_package_destroy(&package);
    return status;
}

/* --- failed --- */

static ns_status look_at_failure(ns_member_record *out, const char *file)
{
    char *text = NULL;
    size_t n = 0;
    bool found = false;
    ns_status status = ns_read_whole(file, &text, &n, &found);
    if (status == NS_OK) {
        json_t *failure = json_loadb(text, n, 0, NULL);
        const char *message = json_string_value(json_object_get(failure, "message"));
        status = fail_member(out, (int)json_integer_value(json_object_get(failure, "exit")), message != NULL ? message : "failed.json cannot be read");
        json_decref(failure);
    }
    free(text);
    return status;
}

ns_status ns_member_look(ns_member_record *out, const char *path, const char *metric)
{
    memset(out, 0, sizeof *out);
    char *bundle = ns_path_join(path, "bundle"), *failed = ns_path_join(path, "failed.json");
    ns_status status = bundle == NULL || failed == NULL ? no_memory() : NS_OK;
    if (status == NS_OK) {
        if (ns_path_exists(bundle)) status = look_at_bundle(out, bundle, metric);
        else if (ns_path_exists(failed)) status = look_at_failure(out, failed);
        else if (ns_path_exists(path)) out->state = NS_MEMBER_UNFINISHED;
    }
    free(bundle);
    free(failed);
    return status;
}

void ns_member_forget(ns_member_record *record)
{
    free(record->message);
    memset(record, 0, sizeof *record);
}

ns_status ns_member_keep_failure(const char *path, ns_status failure)
{
    ns_error error = *ns_last_error();
    ns_error_clear();
    json_t *document = json_object();
    char *file = ns_path_join(path, "failed.json"), *text = NULL;
    ns_status status = file == NULL ? no_memory() : NS_OK;
    ns_json_add(&status, document, "kind", json_string("failure"));
    ns_json_add(&status, document, "format", json_integer(1));
    ns_json_add(&status, document, "exit", json_integer(ns_exit_code(failure)));
    ns_json_add(&status, document, "message", ns_json_path(error.message));
    if (status == NS_OK) status = ns_json_dump(document, &text);
    if (status == NS_OK) status = ns_durable_mkdir(path, "run");
    if (status == NS_OK) status = ns_durable_publish(file, text, strlen(text), "failure");
    json_decref(document);
    free(text);
    free(file);
    return status;
}

ns_status ns_member_drop_failure(const char *path)
{
    char *file = ns_path_join(path, "failed.json");
    if (file == NULL) return no_memory();
    ns_status status = ns_durable_remove(file, "failure");
    free(file);
    return status;
}

/* --- identity --- */

static ns_status echo_of(char **echo, const ns_job_sources *sources)
{
    ns_job *job = NULL;
    ns_status status = ns_job_parse(&job, sources);
    if (status == NS_OK) status = ns_job_echo(echo, job, NS_ECHO_BUNDLE);
    ns_job_destroy(&job);
    return status;
}

/* The part that decides the model, of the job.yaml that a training left. */
static ns_status read_echo(char **echo, const char *file)
{
    char *text = NULL;
    size_t n = 0;
    bool found = false;
    ns_status status = ns_read_whole(file, &text, &n, &found);
    if (status == NS_OK && found) {
        const ns_job_sources sources = {.job_path = file, .job_text = text, .job_folder = "", .site_folder = "", .working_folder = ""};
        status = echo_of(echo, &sources);
    }
    free(text);
    return status;
}

ns_status ns_member_check(const char *path, const ns_sweep_plan *plan, const ns_sweep_member *member, const ns_job_sources *sources)
{
    char *file = ns_path_join(path, "job.yaml"), *theirs = NULL, *mine = NULL, **sets = NULL, key[128];
    int32_t n = 0;
    ns_status status = file == NULL ? no_memory() : ns_path_exists(file) ? read_echo(&theirs, file) : NS_OK;
    if (status == NS_OK && theirs != NULL) status = ns_sweep_member_sets(&sets, &n, plan, member);
    if (status == NS_OK && theirs != NULL) {
        ns_job_sources with = *sources;
        const char **all = malloc(((size_t)sources->n_sets + (size_t)n) * sizeof *all + 1);
        if (all != NULL) {
            for (int32_t i = 0; i < sources->n_sets; i++) all[i] = sources->sets[i];
            for (int32_t i = 0; i < n; i++) all[sources->n_sets + i] = sets[i];
            with.sets = all;
            with.n_sets = sources->n_sets + n;
        }
        status = all == NULL ? no_memory() : echo_of(&mine, &with);
        free(all);
    }
    if (status == NS_OK && theirs != NULL && ns_job_differs(mine, theirs, key))
        status = ns_fail(NS_EINVAL, "member %04" PRId64 " of the sweep in '%s' was made with another %s; set it back, or begin anew with --restart",
                         member->number, path, key);
    free(file);
    free(theirs);
    free(mine);
    free(sets);
    return status;
}
