#include "runner/slurm/submit_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/log.h"
#include "runner/models/gbdt.h"
#include "runner/night/night.h"
#include "runner/night/night_job.h"
#include "runner/training/plan.h"
#include "runner/run_folder.h"
#include "runner/training/table.h"
#include "runner/training/training_data.h"

static const int64_t RANK_BASE = INT64_C(256) << 20;  /* MPI, HDF5, threads' stacks */
static const int64_t UNKNOWN_NIGHT = INT64_C(1024) << 20; /* 39 million rows on a rank */
enum { LEAST_LEAD_S = 60, MOST_NODES_TRIED = 4096 };

const char *ns_submit_verb_name(ns_submit_verb verb)
{
    static const char *const names[NS_N_SUBMIT] = {"train", "evaluate", "score", "sweep", "gather"};
    return names[verb];
}

/* What a verb's ranks need, by how many there are. */
typedef struct need {
    ns_submit_verb verb;
    ns_table table;
    ns_forest_settings settings;
    int64_t n_rows; /* -1: not known (a night's) */
} need;

static int64_t rank_bytes(const need *n, int64_t n_ranks)
{
    int64_t mine = (n->n_rows + n_ranks - 1) / n_ranks;
    if (n->verb == NS_SUBMIT_GATHER) return RANK_BASE;
    int64_t bytes = UNKNOWN_NIGHT;
    if (n->verb == NS_SUBMIT_EVALUATE) bytes = ns_night_memory(mine) + 64 * mine; /* risks, labels, and what the metrics sort */
    else if (n->verb != NS_SUBMIT_SCORE) bytes = ns_training_data_memory(&n->table, &n->settings, mine, n->n_rows);
    else if (n->n_rows >= 0) bytes = ns_night_memory(mine);
    return RANK_BASE + bytes + bytes / 10;
}

/* Rows of some files, which are given back; -1 where they cannot be read. */
static int64_t rows_of(ns_status expanded, ns_texts *files, const ns_job *job, ns_context *context)
{
    ns_cohort *cohort = NULL;
    ns_layout layout = strcmp(ns_job_text(job, "data.layout"), "matrix") == 0 ? NS_LAYOUT_MATRIX : NS_LAYOUT_COLUMNS;
    ns_status status = expanded == NS_OK ? ns_cohort_open(&cohort, files, layout, context->comm) : expanded;
    int64_t n = status == NS_OK ? ns_cohort_n_rows(cohort) : -1;
    if (status != NS_OK) ns_error_clear(); /* the night itself says what it lacks, when its time has come */
    ns_cohort_close(&cohort);
    ns_texts_destroy(files);
    return n;
}

static int64_t rows_of_night(const ns_submit_of *of, ns_context *context)
{
    ns_night_job night = {0};
    ns_texts files = {0}, trained = {0};
    const char *const *patterns;
    ns_status status = ns_night_job_open(&night, of->job, of->as_of);
    if (status == NS_OK) status = ns_night_job_files(&files, &night);
    int64_t n = rows_of(status, &files, of->job, context), n_patterns = ns_job_list(of->job, "data.cohort", &patterns);
    if (n < 0 && n_patterns > 0) n = rows_of(ns_cohort_expand(&trained, patterns, n_patterns, "data.cohort"), &trained, of->job, context);
    ns_night_job_close(&night);
    return n;
}

static ns_status open_need(need *n, const ns_submit_of *of, ns_context *context)
{
    const ns_job *job = of->job;
    if (n->verb == NS_SUBMIT_GATHER) return NS_OK;
    if (n->verb == NS_SUBMIT_SCORE) {
        n->n_rows = rows_of_night(of, context);
        return NS_OK;
    }
    bool trains = n->verb != NS_SUBMIT_EVALUATE, own = trains || !ns_job_has(job, "evaluate.cohort");
    if (trains) NS_TRY(ns_plan_train_options(job));
    NS_TRY(ns_table_open(&n->table, job, own ? "data.cohort" : "evaluate.cohort", trains ? NS_TABLE_TRAIN : NS_TABLE_EVALUATE, context->comm));
    n->n_rows = ns_cohort_n_rows(n->table.cohort);
    n->settings = ns_gbdt_settings(job);
    return NS_OK;
}

static ns_status choose_nodes(ns_submit_plan *plan, const need *n, const ns_job *job, const ns_slurm_nodes *nodes)
{
    bool given = ns_job_has(job, "slurm.nodes");
    int64_t asked = ns_job_integer(job, "slurm.memory");
    int64_t most = nodes->n_nodes < MOST_NODES_TRIED ? nodes->n_nodes : MOST_NODES_TRIED;
    plan->n_nodes = given ? (int)ns_job_integer(job, "slurm.nodes") : 1;
    for (;;) {
        int64_t needed = plan->tasks_per_node * rank_bytes(n, (int64_t)plan->n_nodes * plan->tasks_per_node);
        int64_t room = asked > 0 ? asked : nodes->memory_bytes;
        plan->memory_bytes = asked > 0 ? asked : needed;
        bool uncounted = asked == 0 && room <= 1 << 20; /* what sinfo says of nodes where a site counts no memory */
        if (given || nodes->n_nodes == 0 || uncounted || needed <= room) return NS_OK;
        if (plan->n_nodes >= most) {
            const char *key = asked > 0 ? "slurm.memory" : "slurm.partition";
            return ns_fail(NS_EINVAL, "%s: %s: %s would need %lld MiB on each of all %lld nodes and may have %lld MiB", ns_job_place(job, key), key,
                           ns_submit_verb_name(n->verb), (long long)(needed >> 20), (long long)most, (long long)(room >> 20));
        }
        plan->n_nodes++;
    }
}

/* The longest of a value over all lives of run.json; 0 where none says it. */
static double longest(const char *run, const char *key)
{
    char *path = ns_path_join(run, "run.json");
    json_t *document = path != NULL ? json_load_file(path, 0, NULL) : NULL;
    const json_t *life;
    size_t i;
    double most = 0;
    json_array_foreach(json_object_get(document, "lives"), i, life) {
        double value = json_number_value(json_object_get(life, key));
        if (value > most) most = value;
    }
    json_decref(document);
    free(path);
    return most;
}

static ns_status choose_lead(ns_submit_plan *plan, const ns_job *job, const char *run)
{
    double lead = LEAST_LEAD_S + 2 * (longest(run, "longest_round_s") + longest(run, "longest_checkpoint_s"));
    if (ns_job_has(job, "slurm.signal_lead")) lead = ns_job_number(job, "slurm.signal_lead");
    plan->lead_s = lead < 65535 ? (int)ceil(lead) : 65535; /* Slurm's most */
    const char *time = ns_job_text(job, "slurm.time");
    int64_t seconds = 0;
    if (time == NULL) return NS_OK;
    if (!ns_slurm_time(&seconds, time))
        return ns_fail(NS_EINVAL, "%s: slurm.time: '%.40s' is not a time such as 30, 02:00:00 or 1-12:00:00 (minutes; hours:minutes:seconds; with days)",
                       ns_job_place(job, "slurm.time"), time);
    if (seconds <= plan->lead_s)
        ns_log_event(NS_LOG_WARN, "short_time", "time_s=%lld signal_lead_s=%d hint=\"each life saves as soon as it is told, soon after it began\"",
                     (long long)seconds, plan->lead_s);
    return NS_OK;
}

ns_status ns_submit_plan_of(ns_submit_plan *out, ns_submit_verb verb, const ns_submit_of *of, ns_context *context)
{
    const ns_job *job = of->job;
    ns_slurm_nodes nodes;
    memset(out, 0, sizeof *out);
    ns_slurm_look(&nodes, ns_job_text(job, "slurm.partition"));
    out->gpus_per_node = (int)ns_job_integer(job, "slurm.gpus_per_node");
    out->tasks_per_node = out->gpus_per_node > 0 ? out->gpus_per_node : 1;
    if (ns_job_has(job, "slurm.tasks_per_node")) out->tasks_per_node = (int)ns_job_integer(job, "slurm.tasks_per_node");
    int64_t threads = ns_job_integer(job, "run.threads"), share = nodes.cpus / out->tasks_per_node;
    out->cpus_per_task = (int)(threads > 0 ? threads : share);
    if (ns_job_has(job, "slurm.cpus_per_task")) out->cpus_per_task = (int)ns_job_integer(job, "slurm.cpus_per_task");
    if (nodes.n_nodes > 0 && out->cpus_per_task == 0) out->cpus_per_task = 1;
    need n = {.verb = verb};
    ns_status status = open_need(&n, of, context);
    if (verb == NS_SUBMIT_GATHER) *out = (ns_submit_plan){.n_nodes = 1, .tasks_per_node = 1, .memory_bytes = rank_bytes(&n, 1)};
    else if (status == NS_OK) status = choose_nodes(out, &n, job, &nodes);
    ns_table_close(&n.table);
    if (status == NS_OK) status = choose_lead(out, job, of->run);
    return status;
}
