#ifndef NIGHTSHIFT_CLUSTER_STOP_H
#define NIGHTSHIFT_CLUSTER_STOP_H
/*
 * Requests to stop: INT, TERM, USR1 and USR2 set a flag that rides in the next reduction, so that all ranks
 * stop at the same place, save, and leave with 75. A second signal, half a second or more after the first,
 * ends the process at once with 75.
 */
#include <mpi.h>
#include <stdbool.h>

#include "cluster/status.h"

/* Takes over the four signals and ignores PIPE. Call first thing, and again after MPI_Init: some MPI
   libraries install handlers of their own. What was asked in between is kept. */
void ns_stop_listen(void);

/* True once this process was asked to stop. Local; for the word that rides in a reduction. */
bool ns_stop_asked(void);

/* NS_ESTOPPED, in words, once this process was asked to stop: for loops whose status the ranks agree on afterwards. Local. */
ns_status ns_stop_check(void);

/* True on all ranks once any of them was asked to stop. Collective over comm. */
bool ns_stop_agreed(MPI_Comm comm);
#endif
