/*
 * submit: the verbs of a job as Slurm jobs, one after the other. What they are is frozen in the run folder (runner/slurm/submission.h), so
 * that editing the job file later changes nothing in the queue.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/machine.h"
#include "cluster/program.h"
#include "runner/context.h"
#include "runner/json.h"
#include "runner/night/night_job.h"
#include "runner/slurm/nightly.h"
#include "runner/training/plan.h"
#include "runner/slurm/submission.h"
#include "runner/slurm/submit_date.h"
#include "runner/slurm/submit_plan.h"
#include "runner/sweep/sweep_plan.h"

typedef struct submit_run {
    ns_context *context;
    ns_job *job;               /* with run.out, whether the job gave it or not */
    char as_of[NS_DATE_ROOM];  /* "": none */
    ns_submit_verb verbs[NS_N_SUBMIT];
    int n_verbs;
    bool only;                 /* one verb was named */
    char array[32];            /* the members of a sweep */
    ns_submission submission;
    char *scripts[NS_N_SUBMIT];
    char *job_path, *site_path;/* frozen */
    int64_t ids[NS_N_SUBMIT];
    int n_queued;
    ns_live_job *live;         /* of earlier submissions */
    int n_live;
} submit_run;

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "no memory for a submission");
}

/* --- what is asked for --- */

/* The job as any verb reads it, and with the path of its run folder said, since the frozen file stands elsewhere. */
static ns_status read_job(submit_run *run)
{
    ns_context *context = run->context;
    ns_job *plain = NULL;
    char *path = NULL, *set = NULL;
    ns_job_texts texts;
    const char **sets = calloc((size_t)context->args->n_sets + 1, sizeof *sets);
    if (sets == NULL) return no_memory();
    ns_status status = ns_context_job(&plain, context);
    if (status == NS_OK && ns_job_text(plain, "run.out") == NULL && ns_job_text(plain, "name") == NULL)
        status = ns_fail(NS_EINVAL, "name: is not set in the job; submit needs it");
    if (status == NS_OK) status = ns_plan_run_path(&path, plain);
    ns_job_destroy(&plain);
    if (status == NS_OK && (set = malloc(strlen(path) + sizeof "run.out=")) == NULL) status = no_memory();
    if (status == NS_OK) {
        sprintf(set, "run.out=%s", path);
        status = ns_context_sources(&texts, context);
        for (int i = 0; i < context->args->n_sets; i++) sets[i] = context->args->sets[i];
        sets[context->args->n_sets] = set;
        texts.sources.sets = sets;
        texts.sources.n_sets = context->args->n_sets + 1;
        if (status == NS_OK) status = ns_job_parse(&run->job, &texts.sources);
        ns_job_texts_free(&texts);
    }
    free(path);
    free(set);
    free(sets);
    return status;
}

/* Which verbs, in the order they run. `all` scores where the job says what. */
static ns_status choose_verbs(submit_run *run)
{
    const ns_args *args = run->context->args;
    const char *word = args->n_positional > 1 ? args->positional[1] : ns_args_value(args, "--nightly") != NULL ? "score" : "all";
    if (strcmp(word, "all") == 0) {
        run->verbs[run->n_verbs++] = NS_SUBMIT_TRAIN;
        run->verbs[run->n_verbs++] = NS_SUBMIT_EVALUATE;
        if (ns_job_has(run->job, "score.cohort")) run->verbs[run->n_verbs++] = NS_SUBMIT_SCORE;
        return NS_OK;
    }
    if (strcmp(word, "sweep") == 0) {
        run->verbs[run->n_verbs++] = NS_SUBMIT_SWEEP;
        run->verbs[run->n_verbs++] = NS_SUBMIT_GATHER;
        ns_sweep_plan plan;
        ns_status status = ns_sweep_plan_make(&plan, run->job);
        int64_t most = status == NS_OK ? ns_slurm_most_members() : INT64_MAX;
        if (plan.n_members > most)
            status = ns_fail(NS_EINVAL, "sweep: has %" PRId64 " members, and a job array of this Slurm at most %" PRId64 " (MaxArraySize): fewer settings, seeds or folds, "
                             "or 'nightshift sweep' within a job of your own, which runs them one after another", plan.n_members, most);
        snprintf(run->array, sizeof run->array, "1-%" PRId64, plan.n_members);
        ns_sweep_plan_forget(&plan);
        return status;
    }
    run->only = true;
    for (int v = 0; v < NS_SUBMIT_SWEEP; v++)
        if (strcmp(word, ns_submit_verb_name((ns_submit_verb)v)) == 0) {
            run->verbs[run->n_verbs++] = (ns_submit_verb)v;
            return NS_OK;
        }
    return ns_fail(NS_EINVAL, "submit: '%.40s' is not one of train, score, evaluate, all, sweep", word);
}

static bool submits(const submit_run *run, ns_submit_verb verb)
{
    for (int i = 0; i < run->n_verbs; i++)
        if (run->verbs[i] == verb) return true;
    return false;
}

/* What the night needs of the job, before anything is queued. */
static ns_status check_night(submit_run *run)
{
    if (!submits(run, NS_SUBMIT_SCORE)) return NS_OK;
    ns_night_job night;
    ns_status status = ns_night_job_open(&night, run->job, run->as_of[0] != '\0' ? run->as_of : NULL);
    ns_night_job_close(&night);
    return status;
}

/* --- scripts --- */

static ns_status name_paths(submit_run *run)
{
    run->job_path = ns_submission_path(&run->submission, "job.yaml");
    run->site_path = ns_submission_path(&run->submission, "site.yaml");
    return run->job_path == NULL || run->site_path == NULL ? no_memory() : NS_OK;
}

static ns_status make_script(submit_run *run, ns_submit_verb verb, char **script)
{
    const ns_job *job = run->job;
    const char *name = ns_job_text(job, "name"), *words[6], *verb_name = ns_submit_verb_name(verb);
    char file[24], title[160];
    int n = 0;
    ns_submit_plan plan;
    const ns_submit_of of = {.job = job, .run = run->submission.run, .as_of = run->as_of[0] != '\0' ? run->as_of : NULL};
    NS_TRY(ns_submit_plan_of(&plan, verb, &of, run->context));
    bool sweeps = verb == NS_SUBMIT_SWEEP || verb == NS_SUBMIT_GATHER;
    words[n++] = run->submission.program;
    words[n++] = sweeps ? "sweep" : verb_name;
    words[n++] = run->job_path;
    if (verb == NS_SUBMIT_GATHER) words[n++] = "--gather";
    if (verb == NS_SUBMIT_SWEEP) {
        words[n++] = "--member";
        words[n++] = "%a";
    }
    if (verb == NS_SUBMIT_SCORE && run->as_of[0] != '\0') {
        words[n++] = "--as-of";
        words[n++] = run->as_of;
    }
    snprintf(file, sizeof file, "%s%s.log", verb_name, verb == NS_SUBMIT_SWEEP ? ".%a" : "");
    snprintf(title, sizeof title, "%s-%s", name != NULL ? name : "nightshift", verb_name);
    char *log = ns_submission_path(&run->submission, file);
    if (log == NULL) return no_memory();
    ns_slurm_job slurm = {.name = title, .folder = run->submission.folder, .log = log,
                          .partition = ns_job_text(job, "slurm.partition"), .account = ns_job_text(job, "slurm.account"),
                          .qos = ns_job_text(job, "slurm.qos"), .time = ns_job_text(job, "slurm.time"), .launcher = ns_job_text(job, "slurm.launcher"),
                          .n_nodes = plan.n_nodes, .tasks_per_node = plan.tasks_per_node, .cpus_per_task = plan.cpus_per_task,
                          .gpus_per_node = plan.gpus_per_node, .memory_bytes = plan.memory_bytes, .lead_s = plan.lead_s,
                          .max_requeues = (int)ns_job_integer(job, "slurm.max_requeues"), .site_file = run->site_path, .words = words, .n_words = n,
                          .array = verb == NS_SUBMIT_SWEEP ? run->array : NULL};
    slurm.n_setup = ns_job_list(job, "slurm.setup", &slurm.setup);
    slurm.n_extra = ns_job_list(job, "slurm.extra", &slurm.extra);
    ns_status status = ns_slurm_script(script, &slurm);
    free(log);
    return status;
}

static ns_status make_scripts(submit_run *run)
{
    for (int i = 0; i < run->n_verbs; i++) NS_TRY(make_script(run, run->verbs[i], &run->scripts[i]));
    return NS_OK;
}

/* --- the queue --- */

/* Refuses where an earlier submission of the run is in the queue, unless --after; then they are waited for. */
static ns_status look_at_queue(submit_run *run)
{
    NS_TRY(ns_submission_live(&run->live, &run->n_live, run->submission.run));
    if (run->n_live == 0 || ns_args_value(run->context->args, "--after") != NULL) return NS_OK;
    const ns_live_job *first = &run->live[0];
    bool night = strcmp(first->verb, "score") == 0 && first->as_of[0] != '\0';
    return ns_fail(NS_EINVAL, "%s%s%s of this run is still in the queue as Slurm job %" PRId64 " (%s); nothing was submitted. Wait for it, cancel it, or go behind it with --after",
                   night ? "the night of " : "", night ? first->as_of : first->verb, night ? "" : ", of an earlier submission,", first->id, first->state);
}

/* What the job at place i waits for; "" where for nothing. NULL without memory. */
static char *dependency_of(const submit_run *run, int i)
{
    size_t room = 64 + 24 * (size_t)run->n_live, n;
    char *text = malloc(room);
    if (text == NULL) return NULL;
    if (i > 0) { /* members that failed stand in the table that is gathered */
        snprintf(text, room, "%s:%" PRId64, run->verbs[i] == NS_SUBMIT_GATHER ? "afterany" : "afterok", run->ids[i - 1]);
        return text;
    }
    n = 0;
    text[0] = '\0';
    for (int k = 0; k < run->n_live; k++)
        n += (size_t)snprintf(text + n, room - n, "%s:%" PRId64, n == 0 ? "afterany" : "", run->live[k].id);
    return text;
}

/* Queues one script. Its id is on record before the next is queued, so that a killed submit leaves nothing unknown. */
static ns_status queue_one(submit_run *run, int i)
{
    const char *verb = ns_submit_verb_name(run->verbs[i]);
    char file[24];
    snprintf(file, sizeof file, "%s.sh", verb);
    char *path = ns_submission_path(&run->submission, file), *dependency = dependency_of(run, i);
    ns_status status = path == NULL || dependency == NULL ? no_memory() : NS_OK;
    if (status == NS_OK) status = ns_slurm_submit(&run->ids[i], path, dependency[0] != '\0' ? dependency : NULL);
    if (status == NS_OK) {
        run->n_queued++;
        json_array_append_new(json_object_get(run->submission.record, "jobs"), json_pack("{s:s, s:I}", "verb", verb, "id", (json_int_t)run->ids[i]));
        status = ns_submission_write_record(&run->submission);
        ns_log_event(NS_LOG_INFO, "submit", "job=%" PRId64 " what=%s", run->ids[i], verb);
    }
    free(dependency);
    free(path);
    return status;
}

static ns_status write_folder(submit_run *run)
{
    ns_submission *s = &run->submission;
    char *echo = NULL, now[21], host[256], file[24];
    ns_host_name(host, sizeof host);
    json_object_set_new(s->record, "kind", json_string("submission"));
    json_object_set_new(s->record, "format", json_integer(1));
    json_object_set_new(s->record, "submitted", json_string(ns_utc_now(now)));
    json_object_set_new(s->record, "host", json_string(host));
    json_object_set_new(s->record, "job_file", ns_json_path(run->context->args->positional[0]));
    json_object_set_new(s->record, "program_version", json_string(ns_program_version()));
    json_object_set_new(s->record, "as_of", run->as_of[0] != '\0' ? json_string(run->as_of) : json_null());
    json_object_set_new(s->record, "jobs", json_array());
    NS_TRY(ns_submission_freeze(s));
    NS_TRY(ns_job_echo(&echo, run->job, NS_ECHO_ALL));
    ns_status status = ns_submission_write(s, "job.yaml", echo);
    free(echo);
    if (status == NS_OK) status = ns_submission_write(s, "site.yaml", "# The site's options stand in job.yaml, as they were when this was submitted.\n");
    for (int i = 0; status == NS_OK && i < run->n_verbs; i++) {
        snprintf(file, sizeof file, "%s.sh", ns_submit_verb_name(run->verbs[i]));
        status = ns_submission_write(s, file, run->scripts[i]);
    }
    return status;
}

/* All of them or none: where one is refused, those before it leave the queue. */
static ns_status queue_all(submit_run *run)
{
    ns_status status = write_folder(run);
    for (int i = 0; status == NS_OK && i < run->n_verbs; i++) status = queue_one(run, i);
    if (status == NS_OK) return NS_OK;
    for (int i = run->n_queued - 1; i >= 0; i--) ns_slurm_cancel(run->ids[i]);
    if (run->n_queued == 0) ns_submission_abandon(&run->submission);
    return status;
}

/* Nodes that do not see the run folder cannot even write down why a job failed. */
static void warn_of_own_folder(const submit_run *run)
{
    enum { TMPFS = 0x01021994 }; /* linux/magic.h */
    const char *path = run->submission.run;
    struct statfs info;
    bool is_memory = statfs(path, &info) == 0 && info.f_type == TMPFS;
    if (!is_memory && strncmp(path, "/tmp/", 5) != 0 && strncmp(path, "/var/tmp/", 9) != 0) return;
    char quoted[4200];
    ns_log_event(NS_LOG_WARN, "own_folder", "run=%s hint=\"the nodes must see it under this path, and this looks like a folder of this machine alone\"",
                 ns_log_value(quoted, sizeof quoted, path));
}

/* --- nightly --- */

/* The words of the line: this command's own, with the job's absolute path, and a date that the night itself gives. */
static ns_status nightly_words(const submit_run *run, const char ***out, char **job_path)
{
    const ns_args *args = run->context->args;
    const char *as_of = ns_args_value(args, "--as-of");
    if (as_of != NULL && strcmp(as_of, "yesterday") != 0 && strcmp(as_of, "today") != 0)
        return ns_fail(NS_EINVAL, "--nightly: --as-of must be yesterday or today, since '%.40s' would be the same every night", as_of);
    const char **words = calloc((size_t)args->n_sets * 2 + 8, sizeof *words);
    *out = words;
    *job_path = realpath(args->positional[0], NULL);
    if (words == NULL || *job_path == NULL) return no_memory();
    int n = 0;
    words[n++] = "submit";
    words[n++] = *job_path;
    words[n++] = run->only ? ns_submit_verb_name(run->verbs[0]) : args->n_positional > 1 ? args->positional[1] : "score";
    if (submits(run, NS_SUBMIT_SCORE)) {
        words[n++] = "--as-of";
        words[n++] = as_of != NULL ? as_of : "yesterday";
    }
    for (int i = 0; i < args->n_sets; i++) {
        words[n++] = "--set";
        words[n++] = args->sets[i];
    }
    return NS_OK;
}

static ns_status print_nightly(submit_run *run, const char *when)
{
    bool clock_change = false;
    const char **words = NULL;
    char *job_path = NULL, *lines = NULL, program[PATH_MAX];
    NS_TRY(ns_nightly_check(&clock_change, when));
    NS_TRY(ns_program_starter(program, sizeof program));
    ns_status status = nightly_words(run, &words, &job_path);
    ns_nightly nightly = {.when = when, .program = program, .words = words, .partition = ns_job_text(run->job, "slurm.partition"),
                          .account = ns_job_text(run->job, "slurm.account")};
    if (status == NS_OK) status = ns_nightly_lines(&lines, &nightly);
    if (status == NS_OK && clock_change)
        ns_log_event(NS_LOG_WARN, "daylight_saving", "when=\"%s\" hint=\"between 01:00 and 03:00 clocks are changed: one night a year is left out, one comes twice; a time outside is safe\"", when);
    if (status == NS_OK) {
        fputs(lines, run->context->text);
        json_object_set_new(run->context->summary, "lines", json_string(lines));
        json_object_set_new(run->context->summary, "clock_change", json_boolean(clock_change));
    }
    free(lines);
    free(job_path);
    free(words);
    return status;
}

/* --- summary --- */

static void summarise(const submit_run *run, bool dry)
{
    json_t *summary = run->context->summary, *jobs = json_array();
    for (int i = 0; i < run->n_verbs; i++) {
        const char *verb = ns_submit_verb_name(run->verbs[i]);
        json_t *job = json_pack("{s:s, s:o}", "verb", verb, "id", dry ? json_null() : json_integer(run->ids[i]));
        if (dry) json_object_set_new(job, "script", json_string(run->scripts[i]));
        json_array_append_new(jobs, job);
        if (dry) fprintf(run->context->text, "%s%s", i > 0 ? "\n" : "", run->scripts[i]);
        else fprintf(run->context->text, "%" PRId64 "\n", run->ids[i]);
    }
    json_object_set_new(summary, "jobs", jobs);
    json_object_set_new(summary, "as_of", run->as_of[0] != '\0' ? json_string(run->as_of) : json_null());
    json_object_set_new(summary, "folder", ns_json_path(run->submission.folder));
    json_object_set_new(summary, "run", ns_json_path(run->submission.run));
}

static ns_status submit(submit_run *run)
{
    const ns_args *args = run->context->args;
    const char *nightly = ns_args_value(args, "--nightly");
    bool dry = ns_args_value(args, "--dry-run") != NULL;
    NS_TRY(read_job(run));
    NS_TRY(choose_verbs(run));
    if (nightly != NULL) return print_nightly(run, nightly);
    NS_TRY(ns_submit_date(run->as_of, args, run->job));
    NS_TRY(check_night(run));
    NS_TRY(ns_submission_open(&run->submission, ns_job_text(run->job, "run.out"), dry ? NS_SUBMISSION_DRY : NS_SUBMISSION_REAL));
    ns_status status = dry ? NS_OK : look_at_queue(run);
    if (status == NS_OK) status = name_paths(run);
    if (status == NS_OK) status = make_scripts(run);
    if (status != NS_OK) {
        ns_submission_abandon(&run->submission);
        return status;
    }
    if (!dry) NS_TRY(queue_all(run));
    if (!dry) warn_of_own_folder(run);
    summarise(run, dry);
    return NS_OK;
}

ns_status ns_verb_submit(ns_context *context)
{
    submit_run run = {.context = context};
    if (context->n_ranks != 1) return ns_fail(NS_EINVAL, "submit is one process, not %d ranks: it starts the ranks through Slurm", context->n_ranks);
    ns_status status = submit(&run);
    ns_submission_close(&run.submission);
    for (int i = 0; i < NS_N_SUBMIT; i++) free(run.scripts[i]);
    free(run.job_path);
    free(run.site_path);
    free(run.live);
    ns_job_destroy(&run.job);
    return status;
}
