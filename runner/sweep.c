/*
 * Sweeps: each member is a training as `train` with the member's settings as --set makes it, in a run folder of its own, one after
 * another on the ranks there are. A member that fails is noted and the sweep goes on; a stop, and whatever keeps rank 0 from writing
 * the note, ends it. The same command again goes on where it was: members that are done stay, others are tried (again).
 *
 * All that is known of a member is in its folder, so that members may as well be trained by others, on other nodes, in any order
 * (--member), and be gathered in the end (--gather).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/lock.h"
#include "cluster/log.h"
#include "cluster/stop.h"
#include "data/durable.h"
#include "runner/context.h"
#include "runner/json.h"
#include "runner/training/plan.h"
#include "runner/run_folder.h"
#include "runner/sweep/sweep_gather.h"
#include "runner/sweep/sweep_member.h"
#include "runner/sweep/sweep_plan.h"
#include "runner/sweep/sweep_record.h"
#include "runner/writable.h"

typedef struct sweep_run {
    ns_context *context;
    ns_job_texts texts;
    ns_job *job;
    ns_sweep_plan plan;
    char *path;      /* of the run folder */
    ns_sweep common; /* of the members */
    ns_lock *lock;   /* rank 0 */
    int n_made;      /* rank 0: folders at the end of RUN/members that this life made */
    uint8_t *state;  /* [n_members] ns_member_state before this life, the same on all ranks */
    int64_t n_tried; /* by this life */
    ns_sweep_gathered gathered; /* rank 0 */
} sweep_run;

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "no memory for the sweep");
}

/* --- the sweep's folder --- */

static ns_status take_lock(sweep_run *run, const char *members)
{
    char taken_over[256] = "", *path = ns_path_join(members, "lock");
    ns_status status = path == NULL ? no_memory() : ns_lock_take(&run->lock, path, "the sweep", taken_over, sizeof taken_over);
    if (status == NS_OK && taken_over[0] != '\0') ns_log_event(NS_LOG_WARN, "lock", "taken_over=\"%s\"", taken_over);
    free(path);
    return status;
}

/* --restart: a member that somebody trains just now would lose its folder. */
static ns_status check_idle(const sweep_run *run)
{
    ns_status status = NS_OK;
    for (int64_t i = 1; i <= run->plan.n_members && status == NS_OK; i++) {
        char *member = ns_sweep_member_path(run->path, i), *path = member == NULL ? NULL : ns_path_join(member, "lock"), taken_over[256];
        ns_lock *lock = NULL;
        if (path == NULL) status = no_memory();
        else if (ns_path_exists(path)) status = ns_lock_take(&lock, path, "the run folder of a member", taken_over, sizeof taken_over);
        ns_lock_release(&lock);
        free(path);
        free(member);
    }
    return status;
}

/* --restart: sweep.json goes to the members it tells of, these to RUN/members.1; a training in RUN itself stays. */
static ns_status set_aside(sweep_run *run, const char *members)
{
    char *table = ns_path_join(run->path, "sweep.json"), *old_table = ns_path_join(members, "sweep.json"), *aside = NULL, quoted[1200];
    ns_status status = table == NULL || old_table == NULL ? no_memory() : check_idle(run);
    if (status == NS_OK && ns_path_exists(table)) status = ns_durable_rename(table, old_table, "sweep");
    if (status == NS_OK) status = ns_plan_free_name(&aside, members);
    if (status == NS_OK) {
        ns_lock_release(&run->lock);
        status = ns_durable_rename(members, aside, "members");
    }
    if (status == NS_OK) ns_log_event(NS_LOG_INFO, "restart", "old_members=%s", ns_log_value(quoted, sizeof quoted, aside));
    if (status == NS_OK) status = ns_durable_mkdir(members, "members");
    if (status == NS_OK) status = take_lock(run, members);
    free(table);
    free(old_table);
    free(aside);
    return status;
}

static ns_status check_members(const sweep_run *run)
{
    ns_status status = NS_OK;
    ns_job_sources sources = run->texts.sources;
    sources.sets = run->context->args->sets;
    sources.n_sets = run->context->args->n_sets;
    for (int64_t i = 1; i <= run->plan.n_members && status == NS_OK; i++) {
        ns_sweep_member member = ns_sweep_member_of(&run->plan, i);
        char *path = ns_sweep_member_path(run->path, i);
        status = path == NULL ? no_memory() : ns_member_check(path, &run->plan, &member, &sources);
        free(path);
    }
    return status;
}

typedef enum sweep_use { USE_ALL, USE_GATHER } sweep_use;

/* Rank 0: folder, lock, and that what stands there is of this sweep. */
static ns_status enter(sweep_run *run, sweep_use use)
{
    char *members = ns_sweep_members_path(run->path);
    ns_status status = members == NULL ? no_memory() : NS_OK;
    bool is_there = status == NS_OK && ns_path_exists(members);
    if (status == NS_OK && use == USE_GATHER && !is_there)
        status = ns_fail(NS_EINVAL, "--gather: '%s' is not there; no member was begun", members);
    if (status == NS_OK) status = ns_writable_folder(members, "the folder of the sweep");
    run->n_made = members != NULL ? ns_writable_n_missing(members) : 0;
    if (status == NS_OK) status = ns_durable_mkdir(members, "members");
    if (status == NS_OK) status = take_lock(run, members);
    if (status == NS_OK && is_there && ns_args_value(run->context->args, "--restart") != NULL) status = set_aside(run, members);
    if (status == NS_OK) status = check_members(run);
    free(members);
    return status;
}

/* What earlier lives left, for all ranks. Collective. */
static ns_status look(sweep_run *run)
{
    ns_context *context = run->context;
    run->state = calloc((size_t)run->plan.n_members, 1);
    ns_status status = run->state == NULL ? no_memory() : NS_OK;
    if (status == NS_OK && context->rank == 0) status = ns_sweep_gather(&run->gathered, &run->plan, run->path);
    status = ns_agree(status, context->comm);
    if (status != NS_OK) return status;
    for (int64_t i = 0; i < run->plan.n_members && context->rank == 0; i++) run->state[i] = (uint8_t)run->gathered.records[i].state;
    MPI_Bcast(run->state, (int)run->plan.n_members, MPI_BYTE, 0, context->comm); /* at most NS_SWEEP_MOST */
    ns_sweep_gathered_forget(&run->gathered);
    return NS_OK;
}

/* --- all members --- */

/* The first member that is done is looked at by its training: were the rows others by now, it says so before anything is trained. */
static ns_status check_rows(sweep_run *run)
{
    for (int64_t i = 0; i < run->plan.n_members; i++) {
        if (run->state[i] != NS_MEMBER_DONE) continue;
        ns_sweep_member member = ns_sweep_member_of(&run->plan, i + 1);
        return ns_sweep_train_quietly(&run->common, &member);
    }
    return NS_OK;
}

static ns_status train_all(sweep_run *run)
{
    ns_context *context = run->context;
    NS_TRY(check_rows(run));
    for (int64_t i = 1; i <= run->plan.n_members; i++) {
        if (run->state[i - 1] == NS_MEMBER_DONE) continue;
        if (ns_stop_agreed(context->comm))
            return ns_agree(ns_fail(NS_ESTOPPED, "stopped on request before member %04" PRId64 " of the sweep; run the same command again", i),
                            context->comm);
        ns_status failure;
        ns_log_event(NS_LOG_INFO, "member", "member=%04" PRId64 " of=%" PRId64 " status=begins", i, run->plan.n_members);
        run->n_tried++;
        NS_TRY(ns_sweep_try_member(&run->common, i, &failure, NULL, NULL));
        ns_error_clear();
    }
    return NS_OK;
}

/* --- the end --- */

static ns_status publish(const sweep_run *run)
{
    ns_status status = NS_OK;
    json_t *document = ns_sweep_json(&status, &run->gathered, run->job);
    char *path = ns_path_join(run->path, "sweep.json"), *text = NULL, *old = NULL, quoted[1200];
    size_t n_old = 0;
    bool found = false;
    if (status == NS_OK && path == NULL) status = no_memory();
    if (status == NS_OK) status = ns_json_dump(document, &text);
    if (status == NS_OK) status = ns_read_whole(path, &old, &n_old, &found);
    bool is_same = status == NS_OK && found && n_old == strlen(text) && memcmp(old, text, n_old) == 0;
    if (status == NS_OK && !ns_lock_still_mine(run->lock))
        status = ns_fail(NS_EINVAL, "the sweep in '%s' was taken over by another process; this one writes nothing more", run->path);
    if (status == NS_OK && !is_same) {
        status = ns_durable_publish(path, text, strlen(text), "sweep");
        if (status == NS_OK) ns_log_event(NS_LOG_INFO, "publish", "path=%s", ns_log_value(quoted, sizeof quoted, path));
    }
    json_decref(document);
    free(path);
    free(text);
    free(old);
    return status;
}

static ns_status summarise(const sweep_run *run)
{
    ns_context *context = run->context;
    const ns_sweep_gathered *g = &run->gathered;
    json_t *summary = context->summary;
    char *path = ns_path_join(run->path, "sweep.json");
    ns_status status = path == NULL ? no_memory() : NS_OK;
    ns_json_add(&status, summary, "metric", json_string(run->plan.metric));
    ns_json_add(&status, summary, "members", json_integer(run->plan.n_members));
    for (int state = NS_N_MEMBER_STATES - 1; state >= 0; state--)
        ns_json_add(&status, summary, ns_member_state_name((ns_member_state)state), json_integer(g->n_in[state]));
    ns_json_add(&status, summary, "tried", json_integer(run->n_tried));
    ns_json_add(&status, summary, "best", ns_sweep_best_json(&status, g));
    ns_json_add(&status, summary, "out", path != NULL ? ns_json_path(path) : json_null());
    snprintf(context->counts, sizeof context->counts, "members=%" PRId64 " done=%" PRId64 " failed=%" PRId64 " tried=%" PRId64, run->plan.n_members,
             g->n_in[NS_MEMBER_DONE], g->n_in[NS_MEMBER_FAILED], run->n_tried);
    fprintf(context->text, "swept %s: ", ns_job_text(run->job, "name"));
    if (status == NS_OK) status = ns_sweep_print(context->text, g, run->path, context->args->positional[0]);
    free(path);
    return status;
}

/* Where nothing succeeded the table is there all the same, and this is why. */
static ns_status verdict(const ns_sweep_gathered *g)
{
    if (g->n_in[NS_MEMBER_DONE] > 0) return NS_OK;
    for (int64_t i = 0; i < g->plan->n_members; i++)
        if (g->records[i].state == NS_MEMBER_FAILED)
            return ns_fail(NS_EHELD, "none of the %" PRId64 " members of the sweep succeeded; member %04" PRId64 ": %.1000s", g->plan->n_members, i + 1,
                           g->records[i].message);
    return ns_fail(NS_EHELD, "none of the %" PRId64 " members of the sweep succeeded; none ended at all", g->plan->n_members);
}

static ns_status gather(sweep_run *run)
{
    ns_status status = ns_sweep_gather(&run->gathered, &run->plan, run->path);
    if (status == NS_OK) status = publish(run);
    if (status == NS_OK) status = summarise(run);
    return status == NS_OK ? verdict(&run->gathered) : status;
}

/* --- the whole --- */

static ns_status start(sweep_run *run, int64_t *member)
{
    const ns_args *args = run->context->args;
    static const char *const alone[] = {"--member", "--gather", "--restart"};
    for (int i = 0, n = 0; i < 3; i++)
        if (ns_args_value(args, alone[i]) != NULL && n++ > 0) return ns_fail(NS_EINVAL, "sweep: --member, --gather and --restart exclude one another");
    NS_TRY(ns_plan_train_options(run->job));
    NS_TRY(ns_sweep_plan_make(&run->plan, run->job));
    NS_TRY(ns_args_integer(member, args, "--member", 0, 1, run->plan.n_members));
    return ns_plan_run_path(&run->path, run->job);
}

static ns_status one_member(sweep_run *run, int64_t number)
{
    ns_context *context = run->context;
    ns_status failure = NS_OK, status = NS_OK;
    ns_sweep_member member = ns_sweep_member_of(&run->plan, number);
    if (context->rank == 0) {
        ns_job_sources sources = run->texts.sources;
        char *path = ns_sweep_member_path(run->path, number);
        sources.sets = context->args->sets;
        sources.n_sets = context->args->n_sets;
        status = path == NULL ? no_memory() : ns_member_check(path, &run->plan, &member, &sources);
        free(path);
    }
    NS_TRY(ns_agree(status, context->comm));
    json_object_set_new(context->summary, "member", json_integer(number));
    NS_TRY(ns_sweep_try_member(&run->common, number, &failure, context->summary, context->text));
    return failure;
}

static ns_status sweep(sweep_run *run)
{
    ns_context *context = run->context;
    int64_t member = 0;
    NS_TRY(ns_context_sources(&run->texts, context));
    context->texts = &run->texts; /* an edit of the file changes nothing any more */
    NS_TRY(ns_context_job(&run->job, context));
    NS_TRY(ns_agree(start(run, &member), context->comm));
    run->common = (ns_sweep){.context = context, .job = run->job, .plan = &run->plan, .path = run->path};
    if (member > 0) return one_member(run, member);
    bool only_gather = ns_args_value(context->args, "--gather") != NULL;
    NS_TRY(ns_agree(context->rank == 0 ? enter(run, only_gather ? USE_GATHER : USE_ALL) : NS_OK, context->comm));
    if (!only_gather) {
        NS_TRY(look(run));
        NS_TRY(train_all(run));
    }
    return ns_agree(context->rank == 0 ? gather(run) : NS_OK, context->comm);
}

/* Folders that nothing was put into go again. */
static void leave(sweep_run *run)
{
    char *members = run->n_made > 0 ? ns_sweep_members_path(run->path) : NULL;
    ns_lock_release(&run->lock);
    if (members != NULL) ns_writable_unmake(members, run->n_made);
    free(members);
}

ns_status ns_verb_sweep(ns_context *context)
{
    sweep_run run = {.context = context};
    ns_status status = sweep(&run);
    context->texts = NULL;
    leave(&run);
    ns_sweep_gathered_forget(&run.gathered);
    ns_sweep_plan_forget(&run.plan);
    free(run.state);
    free(run.path);
    ns_job_destroy(&run.job);
    ns_job_texts_free(&run.texts);
    return status;
}
