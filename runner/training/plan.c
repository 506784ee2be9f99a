#include "runner/training/plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cluster/agree.h"
#include "cluster/machine.h"
#include "cluster/reduce.h"
#include "data/durable.h"
#include "runner/training/training_data.h"
#include "runner/writable.h"

static ns_status need(const ns_job *job, const char *key)
{
    if (ns_job_has(job, key)) return NS_OK;
    return ns_fail(NS_EINVAL, "%s: is not set in the job; train needs it", key);
}

ns_status ns_plan_train_options(const ns_job *job)
{
    NS_TRY(need(job, "name"));
    NS_TRY(need(job, "data.cohort"));
    return need(job, "data.label.column");
}

ns_status ns_plan_run_path(char **out, const ns_job *job)
{
    const char *path = ns_job_text(job, "run.out");
    if (path != NULL) {
        *out = strdup(path);
    } else {
        const char *folder = ns_job_folder(job), *name = ns_job_text(job, "name");
        size_t n = strlen(folder) + strlen(name) + sizeof "/runs/";
        *out = malloc(n);
        if (*out != NULL) snprintf(*out, n, "%s/runs/%s", folder, name);
    }
    if (*out == NULL) return ns_fail(NS_ENOMEM, "no memory for the run folder");
    size_t n = strlen(*out);
    while (n > 1 && (*out)[n - 1] == '/') (*out)[--n] = '\0';
    return NS_OK;
}

ns_status ns_plan_check_cache(const ns_job *job)
{
    const char *path = ns_job_text(job, "run.cache");
    char what[600];
    if (path == NULL) return NS_OK;
    snprintf(what, sizeof what, "%.500s: run.cache", ns_job_place(job, "run.cache"));
    return ns_writable_folder(path, what);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

ns_status ns_plan_free_name(char **out, const char *path)
{
    size_t room = strlen(path) + 16;
    *out = malloc(room);
    if (*out == NULL) return ns_fail(NS_ENOMEM, "no memory for a path");
    for (int i = 1;; i++) {
        snprintf(*out, room, "%s.%d", path, i);
        if (!ns_path_exists(*out) || is_same_file(*out, path)) return NS_OK;
    }
}

ns_memory_plan ns_plan_memory(const ns_table *table, const ns_forest_settings *settings, ns_context *context)
{
    int64_t n_rows = ns_cohort_n_rows(table->cohort), asked = ns_job_integer(table->job, "run.memory");
    int64_t mine = (n_rows + context->n_ranks - 1) / context->n_ranks;
    ns_memory_plan plan = {.needed = ns_training_data_memory(table, settings, mine, n_rows), .from = asked > 0 ? "run.memory" : "this machine"};
    int64_t on_node = asked > 0 ? asked : ns_available_memory();
    int64_t most[2] = {plan.needed, -(on_node / ns_place_on_node(context->comm).n_ranks)};
    ns_max_i64(most, 2, context->comm);
    plan.needed = most[0];
    plan.available = -most[1];
    return plan;
}

ns_status ns_plan_check_memory(const ns_table *table, const ns_forest_settings *settings, ns_context *context)
{
    ns_memory_plan plan = ns_plan_memory(table, settings, context);
    if (plan.needed <= plan.available) return NS_OK;
    const char *key = "run.memory";
    const char *place = ns_job_place(table->job, key);
    bool asked = ns_job_integer(table->job, key) > 0;
    return ns_agree(ns_fail(NS_EINVAL, "%s%s%s: each rank would need %lld MiB and has %lld MiB; use more ranks or nodes, fewer features, or %s",
                            asked ? place : "", asked ? ": " : "", asked ? key : "too little memory", (long long)((plan.needed >> 20) + 1),
                            (long long)(plan.available >> 20), asked ? "allow more" : "set run.memory"), context->comm);
}
