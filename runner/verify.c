/*
 * Whether a bundle is what it was when it was published: every file against the manifest, the model parsed; with --gold a
 * frozen cohort scored again, in memory of the job that the bundle carries, and compared with the scores it once gave.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/agree.h"
#include "data/durable.h"
#include "runner/context.h"
#include "runner/night/night.h"
#include "runner/package.h"
#include "runner/night/score_output.h"

typedef struct verify_run {
    ns_context *context;
    ns_bundle bundle;
    ns_device *device;
    ns_night night;
    ns_score_output output;
    const char *gold, *expect;
    char temporary[4096];
    char content[65];
    ns_scores_info expected;
} verify_run;

static ns_status expect_scores(verify_run *run)
{
    if (!ns_path_exists(run->expect)) return ns_fail(NS_EINVAL, "--expect: '%s' is not there", run->expect);
    NS_TRY(ns_scores_inspect(&run->expected, run->expect));
    const char *folder = getenv("TMPDIR");
    ns_durable_share(NS_SHARE_PRIVATE); /* it holds ids, and stands in a folder of everybody's */
    snprintf(run->temporary, sizeof run->temporary, "%s/nightshift-gold-%ld.h5", folder != NULL ? folder : "/tmp", (long)getpid());
    return NS_OK;
}

static ns_status compare(verify_run *run)
{
    NS_TRY(ns_score_output_finish(&run->output, run->content));
    unlink(run->temporary);
    if (strcmp(run->content, run->expected.content) == 0) return NS_OK;
    if (run->expected.n_rows != run->night.stripes.n_rows)
        return ns_fail(NS_EVERIFY, "the gold cohort has %lld rows, '%s' has %lld", (long long)run->night.stripes.n_rows, run->expect,
                       (long long)run->expected.n_rows);
    return ns_fail(NS_EVERIFY, "the gold cohort's scores differ from '%s': content %.16s, expected %.16s", run->expect, run->content,
                   run->expected.content);
}

static ns_status score_gold(verify_run *run)
{
    ns_context *context = run->context;
    const ns_job *job = run->bundle.job;
    ns_texts files = {0};
    ns_status status = context->rank == 0 ? expect_scores(run) : NS_OK;
    if (status == NS_OK && context->rank == 0) status = ns_cohort_expand(&files, &run->gold, 1, "--gold");
    status = ns_agree(status, context->comm);
    if (status == NS_OK) status = ns_context_device(&run->device, context, job);
    if (status == NS_OK) {
        ns_night_plan plan = {.bundle = &run->bundle, .job = job, .where_job = job, .where_key = "data.where", .id_name = ns_job_text(job, "data.id")};
        status = ns_night_open(&run->night, context->rank == 0 ? &files : NULL, &plan, run->device, context->comm);
    }
    ns_texts_destroy(&files);
    if (status == NS_OK) status = ns_night_prepare(&run->night);
    if (status == NS_OK)
        status = ns_agree(context->rank == 0 ? ns_score_output_open(&run->output, &run->night, run->temporary, NULL, "") : NS_OK, context->comm);
    if (status == NS_OK) status = ns_night_score(&run->night, ns_score_output_take, &run->output);
    if (status == NS_OK) status = ns_agree(context->rank == 0 ? compare(run) : NS_OK, context->comm);
    return status;
}

static ns_status verify(verify_run *run)
{
    ns_context *context = run->context;
    const char *path = context->args->positional[0];
    run->gold = ns_args_value(context->args, "--gold");
    run->expect = ns_args_value(context->args, "--expect");
    if ((run->gold == NULL) != (run->expect == NULL))
        return ns_agree(ns_fail(NS_EINVAL, "verify takes --gold COHORT and --expect SCORES.h5 together"), context->comm);
    NS_TRY(ns_bundle_load(&run->bundle, path, context->comm));
    if (run->gold != NULL) NS_TRY(score_gold(run));
    json_object_set_new(context->summary, "bundle_id", json_string(run->bundle.id));
    json_object_set_new(context->summary, "gold", run->gold != NULL ? json_string(run->content) : json_null());
    fprintf(context->text, "verified %s\n  id        %s\n  model     %lld trees of %d features\n", path, run->bundle.id,
            (long long)run->bundle.model->trees->n_trees, run->bundle.model->n_features);
    if (run->gold != NULL)
        fprintf(context->text, "  gold      %lld rows scored again, every byte the same (%s)\n", (long long)run->night.stripes.n_rows, run->content);
    return NS_OK;
}

ns_status ns_verb_verify(ns_context *context)
{
    verify_run run = {.context = context};
    ns_status status = verify(&run);
    ns_score_output_close(&run.output);
    ns_night_close(&run.night);
    ns_bundle_close(&run.bundle);
    ns_device_close(&run.device);
    return status;
}
