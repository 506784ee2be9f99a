#include "runner/context.h"

#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/agree.h"
#include "cluster/gpu_meter.h"
#include "cluster/log.h"
#include "cluster/machine.h"
#include "cluster/reduce.h"
#include "cluster/watchdog.h"
#include "data/durable.h"
#include "runner/training/plan.h"

/* What rank 0 finds before all ranks parse the same: texts and folders. */
typedef struct ns_found {
    char *job_text, *job_folder, *site_path, *site_text, *site_folder, *working_folder;
} ns_found;

/* The absolute folder that holds a file; NULL without memory or where it does not exist. */
static char *folder_of(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL) return NULL;
    char *slash = strrchr(copy, '/');
    if (slash == copy) slash[1] = '\0';
    else if (slash != NULL) *slash = '\0';
    char *folder = realpath(slash != NULL ? copy : ".", NULL);
    free(copy);
    return folder;
}

static ns_status find_sources(ns_found *found, const char *job_path)
{
    char working[PATH_MAX];
    if (getcwd(working, sizeof working) == NULL)
        return ns_fail(NS_EINVAL, "the current folder cannot be named: %s", strerror(errno));
    found->working_folder = strdup(working);

    size_t n;
    bool is_there;
    struct stat info;
    if (stat(job_path, &info) == 0 && S_ISDIR(info.st_mode))
        return ns_fail(NS_EINVAL, "%s: is a folder, not a job file", job_path);
    if (ns_read_whole(job_path, &found->job_text, &n, &is_there) != NS_OK || !is_there) {
        int why = is_there ? EIO : ENOENT;
        ns_error_clear();
        return ns_fail(NS_EINVAL, "%s: the job file cannot be read: %s", job_path, strerror(why));
    }
    if (strlen(found->job_text) != n) return ns_fail(NS_EINVAL, "%s: holds a NUL byte, so it is not a job file", job_path);
    found->job_folder = folder_of(job_path);

    const char *site = getenv("NIGHTSHIFT_SITE");
    const char *site_path = site != NULL && site[0] != '\0' ? site : "/etc/nightshift/site.yaml";
    if (ns_read_whole(site_path, &found->site_text, &n, &is_there) != NS_OK) {
        ns_error_clear();
        return ns_fail(NS_EINVAL, "the site file '%s' (NIGHTSHIFT_SITE) cannot be read", site_path);
    }
    if (!is_there && site != NULL && site[0] != '\0')
        return ns_fail(NS_EINVAL, "NIGHTSHIFT_SITE: '%s' is not there", site);
    if (is_there && strlen(found->site_text) != n) return ns_fail(NS_EINVAL, "%s: holds a NUL byte, so it is not a site file", site_path);
    if (is_there) {
        found->site_path = strdup(site_path);
        found->site_folder = folder_of(site_path);
    }
    if (found->working_folder == NULL || found->job_folder == NULL || (is_there && found->site_folder == NULL))
        return ns_fail(NS_ENOMEM, "no memory for the job file");
    return NS_OK;
}

ns_status ns_context_sources(ns_job_texts *out, ns_context *context)
{
    memset(out, 0, sizeof *out);
    ns_found found = {0};
    const char *job_path = context->args->positional[0];
    ns_status status = NS_OK;
    if (context->rank == 0) status = find_sources(&found, job_path);
    status = ns_agree(status, context->comm);
    char *texts[6] = {found.job_text, found.job_folder, found.site_path, found.site_text, found.site_folder, found.working_folder};
    for (int i = 0; i < 6; i++) out->blocks[i] = texts[i];
    if (status != NS_OK) return status;
    int has_site = found.site_text != NULL;
    MPI_Bcast(&has_site, 1, MPI_INT, 0, context->comm);
    for (int i = 0; i < 6; i++) {
        if (!has_site && i >= 2 && i <= 4) continue;
        size_t n = context->rank == 0 ? strlen(out->blocks[i]) : 0;
        NS_TRY(ns_share_bytes(&out->blocks[i], &n, 0, context->comm));
    }
    out->sources = (ns_job_sources){.job_path = job_path, .job_text = out->blocks[0], .job_folder = out->blocks[1],
                                    .site_path = out->blocks[2], .site_text = out->blocks[3], .site_folder = out->blocks[4],
                                    .working_folder = out->blocks[5], .sets = context->args->sets, .n_sets = context->args->n_sets};
    return NS_OK;
}

void ns_job_texts_free(ns_job_texts *texts)
{
    for (int i = 0; i < 6; i++) free(texts->blocks[i]);
    memset(texts, 0, sizeof *texts);
}

void ns_context_log(const ns_context *context, const ns_job *job)
{
    ns_log_setup log = {.verb = context->args->verb, .speaks = context->rank == 0, .quiet = context->args->quiet,
                        .format = job != NULL && strcmp(ns_job_text(job, "log.format"), "json") == 0 ? NS_LOG_JSON : NS_LOG_TEXT};
    memcpy(log.run, context->life, sizeof log.run);
    ns_log_open(&log);
}

/* A job that cannot be read: what the site says of logs still holds. The failure stays on record. */
static void apply_site(const ns_job_sources *sources, const ns_context *context)
{
    ns_error first = *ns_last_error();
    ns_job *site = NULL;
    ns_job_sources only_site = *sources;
    only_site.job_text = NULL;
    only_site.n_sets = 0;
    ns_error_clear();
    if (ns_job_parse(&site, &only_site) != NS_OK) ns_error_clear();
    ns_context_log(context, site);
    ns_job_destroy(&site);
    *ns_last_error() = first;
}

/* umask and log format: what a job decides for the whole process. */
static void apply_job(const ns_job *job, const ns_context *context)
{
    ns_durable_share(strcmp(ns_job_text(job, "run.share"), "group") == 0 ? NS_SHARE_GROUP : NS_SHARE_PRIVATE);
    ns_context_log(context, job);
}

static ns_status start_watchdog(const ns_job *job, const ns_context *context)
{
    char *run = NULL;
    bool known = ns_job_text(job, "run.out") != NULL || ns_job_text(job, "name") != NULL;
    ns_status status = ns_agree(known ? ns_plan_run_path(&run, job) : NS_OK, context->comm);
    if (status == NS_OK) status = ns_watchdog_start(run != NULL ? run : "", ns_job_number(job, "run.stall_limit"), context->comm);
    free(run);
    return status;
}

ns_status ns_context_job(ns_job **out, ns_context *context)
{
    *out = NULL;
    ns_job_texts texts;
    memset(&texts, 0, sizeof texts);
    ns_status status = NS_OK;
    if (context->texts == NULL) status = ns_context_sources(&texts, context);
    if (status == NS_OK) {
        ns_job_sources sources = context->texts == NULL ? texts.sources : context->texts->sources;
        sources.sets = context->args->sets;
        sources.n_sets = context->args->n_sets;
        status = ns_agree(ns_job_parse(out, &sources), context->comm);
        if (status != NS_OK) apply_site(&sources, context);
    }
    ns_job_texts_free(&texts);
    if (status != NS_OK) return status;
    char *echo = NULL;
    status = ns_agree(ns_job_echo(&echo, *out, NS_ECHO_ALL), context->comm);
    if (status == NS_OK) status = ns_agree_text("the resolved jobs", echo, context->comm); /* an environment may differ */
    free(echo);
    if (status == NS_OK) apply_job(*out, context);
    if (status == NS_OK) status = start_watchdog(*out, context);
    return status;
}

static void link_sum_i64(void *context, int64_t *values, int64_t n)
{
    ns_sum_i64(values, n, *(MPI_Comm *)context);
}

static void link_max_i64(void *context, int64_t *values, int64_t n)
{
    ns_max_i64(values, n, *(MPI_Comm *)context);
}

static void link_sum_i128(void *context, ns_i128 *values, int64_t n)
{
    ns_sum_i128(values, n, *(MPI_Comm *)context);
}

ns_status ns_context_device(ns_device **out, ns_context *context, const ns_job *job)
{
    *out = NULL;
    ns_link link = {.rank = context->rank, .n_ranks = context->n_ranks, .context = &context->comm,
                    .sum_i64 = link_sum_i64, .max_i64 = link_max_i64, .sum_i128 = link_sum_i128};
    ns_node_place place = ns_place_on_node(context->comm);
    int on_node = place.n_ranks;
    link.rank_on_node = place.rank;
    int cores = ns_usable_cores();
    int64_t asked = ns_job_integer(job, "run.threads");
    int n_threads = asked > 0 ? (int)asked : cores / on_node > 0 ? cores / on_node : 1;
    omp_set_num_threads(n_threads); /* what reads and hashes outside the device takes no more either */
    ns_status status = ns_agree(ns_device_open(out, ns_job_text(job, "run.device"), n_threads, &link), context->comm);
    if (status != NS_OK) return status;
    ns_gpu_meter_open((*out)->use != NULL ? (*out)->use->bus : NULL);
    status = ns_agree(ns_device_check(*out), context->comm); /* a library may have been loaded */
    if (status != NS_OK) return status;
    bool is_cpu = strcmp((*out)->name, "cpu") == 0;
    ns_log_event(NS_LOG_INFO, "device", "device=%s %s=%s threads=%d ranks_on_node=%d cores=%d%s%s%s", (*out)->name, is_cpu ? "cpu" : "gpu",
                 (*out)->level, n_threads, on_node, cores, (*out)->why_not[0] != '\0' ? " why=\"" : "", (*out)->why_not,
                 (*out)->why_not[0] != '\0' ? "\"" : "");
    if (asked == 0 && cores < on_node)
        ns_log_event(NS_LOG_WARN, "bound", "cores=%d ranks_on_node=%d hint=\"start with --bind-to none\"", cores, on_node);
    return NS_OK;
}
