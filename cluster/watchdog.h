#ifndef NIGHTSHIFT_CLUSTER_WATCHDOG_H
#define NIGHTSHIFT_CLUSTER_WATCHDOG_H
/*
 * No run hangs: a thread in every rank sees when a meeting of all ranks takes far longer than the steps before it, finds out who is
 * late, and past a limit ends the run with 76.
 *
 * Every rank counts the collective calls of MPI that it began (meetings.c stands between the program and the library). A rank that
 * waits in one for longer than NOTE_LEAST_S and ten times its longest step so far, or half the limit where that is less, writes a small
 * file of its own, and so does one that has been at work without a sign for as long. Who has no file, is not waiting or has begun
 * fewer meetings is late: a process that is stopped, a node that is gone, or one at work. Rank 0, or where it is late itself the
 * lowest waiting rank, says so in one line of the log (event=late), with the late rank, its node, whether it is silent, at work or
 * waits in an earlier meeting, and the phase that the others have done. Signs are meetings and looks at requests to stop (cluster/stop.h), of which every long loop makes many: a late rank that goes
 * on giving signs is waited for; one that gives none for the limit is given up, and the rank that spoke leaves with 76, upon which
 * every launcher ends the others. A run of one rank, and one in which nobody waits, is only told of.
 *
 * The files stand in a folder that all ranks see, made when it is first needed: beside the code file of a Slurm job (cluster/code_file.h),
 * else in the run folder. After a run that was given up the batch script removes it, or the next training in the run folder.
 *
 * For tests: NIGHTSHIFT_TEST_PACE="PHASE:MS" makes rank 0 wait at the beginning of each such phase;
 * NIGHTSHIFT_TEST_SIGNAL="PHASE:STEP:RANK:SIGNAL" sends the rank a signal at the beginning of that step, in the first life of a
 * Slurm job.
 */
#include <mpi.h>
#include <stdint.h>

#include "cluster/status.h"

/*
 * Starts the thread; a second call only sets the limit.
 *   folder   in  the run folder; "": none, so that only a code file's folder can serve. Copied
 *   limit_s  in  run.stall_limit; 0: the run is never ended
 * Collective over comm. NS_ENOMEM, the same on every rank.
 */
ns_status ns_watchdog_start(const char *folder, double limit_s, MPI_Comm comm);

/* Ends the thread and takes this rank's file away; nothing where none was started. Local, before MPI_Finalize. */
void ns_watchdog_stop(void);

/* What this rank does from here on, for messages: "read", "round" 17. phase is a literal. Local. */
void ns_watchdog_phase(const char *phase, int64_t step);

/* A sign of life. Local; from any thread. */
void ns_watchdog_sign(void);

/* Around each collective call of MPI: meetings.c. */
void ns_watchdog_meeting_begins(void);
void ns_watchdog_meeting_ended(void);
#endif
