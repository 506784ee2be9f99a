#ifndef NIGHTSHIFT_CLUSTER_SLURM_H
#define NIGHTSHIFT_CLUSTER_SLURM_H
/*
 * Slurm as a submission sees it: a batch script, sbatch, squeue, sinfo, scancel. All calls are local; one process makes them.
 *
 * A batch script runs one verb under a launcher and ends with the program's own code. Rank 0 leaves that code in a file, since
 * srun --kill-on-bad-exit may kill a rank that is on its way out and would then tell of that. These go back into the queue, at most
 * max_requeues times: 75; 76, which is also what the death of a rank by KILL means, or by a request to stop that came before it
 * listened; and a job's first crash of a rank (132, 134, 135, 136, 139: the launcher's code stands), since memory, libraries and file
 * systems fail once and not again. Nothing else does.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_slurm_job {
    const char *name;        /* of the job */
    const char *folder;      /* absolute; where the job runs and its log and code file stand */
    const char *log;         /* absolute; all lives append to it. In an array %a is the member's number */
    const char *partition, *account, *qos, *time; /* NULL: the site's defaults */
    int n_nodes, tasks_per_node;
    int cpus_per_task;       /* 0: not said */
    int gpus_per_node;       /* 0: none */
    int64_t memory_bytes;    /* per node; 0: not said */
    int lead_s;              /* USR2 comes so long before the time limit */
    int max_requeues;
    const char *array;       /* "1-8"; NULL: no array */
    const char *const *setup, *const *extra; /* lines of shell; options of sbatch */
    int64_t n_setup, n_extra;
    const char *launcher;    /* NULL: srun as it should be */
    const char *site_file;   /* absolute; stands for the site file */
    const char *const *words;/* [n_words] program and verb; in an array a word may hold "%a" */
    int n_words;
} ns_slurm_job;

/* NS_EINVAL: a text that no directive can hold (a line end, a quote). NS_ENOMEM. The script is freed by the caller. */
ns_status ns_slurm_script(char **script, const ns_slurm_job *job);

/* "30", "01:30:00", "2-00", "1-12:30", as sbatch --time takes it: seconds; false where it is none. Pure. */
bool ns_slurm_time(int64_t *seconds, const char *time);

/*
 * Queues a script.
 *   dependency  in  "afterok:12", NULL: none. A job whose dependency can never hold leaves the queue at once
 * NS_EINVAL: sbatch refused, in its words. NS_EUNAVAILABLE: no sbatch, no answer. NS_ENOMEM.
 */
ns_status ns_slurm_submit(int64_t *id, const char *script_path, const char *dependency);

/* Takes a job out of the queue; what cannot be taken out stays, and is said in the log. */
void ns_slurm_cancel(int64_t id);

/*
 * Ids of the jobs that are pending or running, of arrays the first id, and "PENDING", "RUNNING"….
 *   found  in  is called for each
 * NS_EUNAVAILABLE, NS_EINVAL, NS_ENOMEM.
 */
ns_status ns_slurm_queue(void (*found)(void *to, int64_t id, const char *state), void *to);

typedef struct ns_slurm_nodes {
    int64_t n_nodes, cpus, memory_bytes; /* of the smallest node */
} ns_slurm_nodes;

/* Members that a job array may have: MaxArraySize - 1. INT64_MAX where Slurm is not there or does not tell. */
int64_t ns_slurm_most_members(void);

/* What the nodes of a partition (NULL: the default one) have. False: Slurm is not there or says nothing. */
bool ns_slurm_look(ns_slurm_nodes *out, const char *partition);
#endif
