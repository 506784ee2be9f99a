#include "runner/sweep/sweep_member.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "runner/sweep/sweep_record.h"

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "no memory for the sweep");
}

/* The command line of a member's training; its words are borrowed but for the block. A --restart is passed on to folders that are not
   there any more, which is nothing. */
static ns_status member_args(ns_args *out, char **block, char **run_out, const ns_sweep *sweep, const ns_sweep_member *member)
{
    const ns_args *mine = sweep->context->args;
    char **sets = NULL, *path = ns_sweep_member_path(sweep->path, member->number);
    int32_t n = 0;
    *out = *mine;
    out->verb = "train";
    ns_status status = path == NULL ? no_memory() : ns_sweep_member_sets(&sets, &n, sweep->plan, member);
    if (status == NS_OK) {
        size_t n_path = strlen(path) + sizeof "run.out=";
        const char **all = malloc(((size_t)mine->n_sets + (size_t)n + 1) * sizeof *all);
        *run_out = malloc(n_path);
        out->sets = all;
        out->n_sets = mine->n_sets + n + 1;
        if (all == NULL || *run_out == NULL) {
            status = no_memory();
        } else {
            snprintf(*run_out, n_path, "run.out=%s", path);
            for (int i = 0; i < mine->n_sets; i++) all[i] = mine->sets[i];
            for (int i = 0; i < n; i++) all[mine->n_sets + i] = sets[i];
            all[mine->n_sets + n] = *run_out;
        }
    }
    *block = (char *)sets;
    free(path);
    return status;
}

/* Trains one member in this process. Collective: the status of its training, with its message on record. */
static ns_status train_member(const ns_sweep *sweep, const ns_sweep_member *member, json_t *summary, FILE *text)
{
    ns_context *context = sweep->context;
    ns_args args = {0};
    char *block = NULL, *run_out = NULL;
    ns_status status = ns_agree(member_args(&args, &block, &run_out, sweep, member), context->comm);
    if (status == NS_OK) {
        ns_context child = *context;
        child.args = &args;
        child.started = ns_seconds();
        child.used_before = ns_usage_now();
        child.summary = summary;
        child.text = text;
        child.counts[0] = '\0';
        status = ns_agree(ns_verb_train(&child), context->comm);
        ns_context_log(context, sweep->job); /* the log was the training's */
    }
    if (args.sets != context->args->sets) free(args.sets);
    free(block);
    free(run_out);
    return status;
}

ns_status ns_sweep_train_quietly(const ns_sweep *sweep, const ns_sweep_member *member)
{
    json_t *summary = json_object();
    char *unread = NULL;
    size_t n = 0;
    FILE *text = open_memstream(&unread, &n);
    ns_status status = ns_agree(summary == NULL || text == NULL ? no_memory() : NS_OK, sweep->context->comm);
    if (status == NS_OK) status = train_member(sweep, member, summary, text);
    if (text != NULL) fclose(text);
    free(unread);
    json_decref(summary);
    return status;
}

/* What ends a sweep, rather than a member: the next life goes on with this one. */
static bool ends_all(ns_status status)
{
    return status == NS_ESTOPPED || status == NS_ESTUCK;
}

static ns_status note_failure(const ns_sweep *sweep, const ns_sweep_member *member, ns_status failure)
{
    char *path = ns_sweep_member_path(sweep->path, member->number), quoted[1200];
    ns_log_event(NS_LOG_WARN, "member", "member=%04" PRId64 " status=failed exit=%d why=%s", member->number, ns_exit_code(failure),
                 ns_log_value(quoted, sizeof quoted, ns_last_error()->message));
    ns_status status = path == NULL ? no_memory() : ns_member_keep_failure(path, failure);
    free(path);
    return status;
}

static ns_status drop_old_failure(const ns_sweep *sweep, int64_t number)
{
    char *path = ns_sweep_member_path(sweep->path, number);
    ns_status status = path == NULL ? no_memory() : ns_member_drop_failure(path);
    free(path);
    return status;
}

ns_status ns_sweep_try_member(const ns_sweep *sweep, int64_t number, ns_status *failure, json_t *summary, FILE *text)
{
    ns_context *context = sweep->context;
    ns_sweep_member member = ns_sweep_member_of(sweep->plan, number);
    *failure = NS_OK;
    NS_TRY(ns_agree(context->rank == 0 ? drop_old_failure(sweep, number) : NS_OK, context->comm));
    ns_status status = text == NULL ? ns_sweep_train_quietly(sweep, &member) : train_member(sweep, &member, summary, text);
    if (status == NS_OK || ends_all(status)) return status;
    ns_error error = *ns_last_error();
    ns_status noted = context->rank == 0 ? note_failure(sweep, &member, status) : NS_OK;
    if (context->rank != 0) ns_error_clear();
    NS_TRY(ns_agree(noted, context->comm));
    *failure = status;
    *ns_last_error() = error;
    return NS_OK;
}
