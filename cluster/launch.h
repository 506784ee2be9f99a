#ifndef NIGHTSHIFT_CLUSTER_LAUNCH_H
#define NIGHTSHIFT_CLUSTER_LAUNCH_H
/* `nightshift run -n N VERB …`: the ranks of one run on this machine, started with the launcher of the MPI built with. */
#include <stdbool.h>
#include <stddef.h>

#include "cluster/status.h"

/*
 * Starts n_ranks processes "program words…" under mpirun or mpiexec and waits for them. Root and more ranks
 * than cores are allowed, nothing is bound, and inside a Slurm job the ranks still stay on this machine.
 * Standard input goes to rank 0, unless it is a terminal.
 *   program  in   path of what to start; without a slash it is the program that is running
 *   words    in   NULL-terminated, the verb first
 *   code     out  the ranks' exit code, 0 to 5, 75 and 76 as they are; 128+n where the launcher says that a
 *                 rank died by signal n or died so itself; else the launcher's own
 * INT, TERM, USR1 and USR2 to this process reach every rank as one USR2, as soon as it listens, so that the
 * run saves and stops with 75. A second one, at least half a second later, kills: 75 too. If this process
 * dies, the launcher is told to stop.
 * Local, before MPI_Init. NS_EINVAL (no such program), NS_EUNAVAILABLE (no launcher, or it cannot be
 * started), NS_ENOMEM.
 */
ns_status ns_launch(const char *program, int n_ranks, const char *const *words, int *code);

/* The set variable by which ns_launch tells the ranks how many they must be. */
#define NS_RANKS_VARIABLE "NIGHTSHIFT_RANKS"

/*
 * True where a launcher promised another number of ranks than MPI's world has: then every rank believes to be alone.
 *   ntasks   in   SLURM_NTASKS, or NULL; believed only where procid (SLURM_PROCID) is set too: srun started this process
 *   message  out  size bytes; one line, says what to do
 * Pure.
 */
bool ns_launched_size_mismatch(const char *ntasks, const char *procid, int n_ranks, char *message,
                               size_t size);

/* The same for NS_RANKS_VARIABLE. Pure. */
bool ns_run_size_mismatch(const char *promised, int n_ranks, char *message, size_t size);
#endif
