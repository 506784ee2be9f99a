#ifndef NIGHTSHIFT_RUNNER_SLURM_SUBMIT_PLAN_H
#define NIGHTSHIFT_RUNNER_SLURM_SUBMIT_PLAN_H
/* What a job asks of Slurm: nodes, ranks, CPUs and memory, and how early it wants to be told that its time ends. */
#include "cluster/slurm.h"
#include "runner/context.h"

typedef enum ns_submit_verb { NS_SUBMIT_TRAIN, NS_SUBMIT_EVALUATE, NS_SUBMIT_SCORE, NS_SUBMIT_SWEEP, NS_SUBMIT_GATHER, NS_N_SUBMIT } ns_submit_verb;

/* "train", "evaluate", "score"; "sweep", the members as an array, and "gather", which compares them */
const char *ns_submit_verb_name(ns_submit_verb verb);

typedef struct ns_submit_plan {
    int n_nodes, tasks_per_node, cpus_per_task, gpus_per_node; /* 0 CPUs: not said */
    int64_t memory_bytes;                                      /* per node */
    int lead_s;
} ns_submit_plan;

/* What is planned for. */
typedef struct ns_submit_of {
    const ns_job *job;
    const char *run;   /* the run folder */
    const char *as_of; /* of the night; NULL: none */
} ns_submit_of;

/*
 * Ranks on a node: slurm.tasks_per_node, else one for each GPU, else one. CPUs of a rank: slurm.cpus_per_task, else run.threads, else
 * its share of the partition's smallest node. Nodes: slurm.nodes, else the fewest on which the plan of `check` fits into the memory
 * of that node. Memory: slurm.memory, else what the plan needs and a tenth, and RANK_BASE for each rank. A night is planned by the rows
 * of its cohort where that is there already, else by those of data.cohort, and takes UNKNOWN_NIGHT where neither can be seen from here.
 * Where sinfo tells nothing: one node.
 * Lead: slurm.signal_lead, else 60 s and twice the longest round and checkpoint that earlier lives of the run measured.
 * A member of a sweep is as a training; gathering is one process.
 * Opens the cohort of the verb. Collective over one rank.
 * NS_EINVAL: it fits nowhere, no such time. NS_EFORMAT: the cohort. NS_ENOMEM.
 */
ns_status ns_submit_plan_of(ns_submit_plan *out, ns_submit_verb verb, const ns_submit_of *of, ns_context *context);
#endif
