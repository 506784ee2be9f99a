#ifndef NIGHTSHIFT_CLUSTER_STOP_H
#define NIGHTSHIFT_CLUSTER_STOP_H
/*
 * Requests to stop: INT, TERM, USR1 and USR2 set a flag that rides in the next reduction, so that all ranks stop
 * at the same place, save, and leave with 75. A second signal ends the process at once.
 */
#include <mpi.h>
#include <stdbool.h>

/* Takes over the four signals. Call once, after MPI_Init (launchers install handlers of their own). */
void ns_stop_listen(void);

/* True once this process was asked to stop. Local; for the word that rides in a reduction. */
bool ns_stop_asked(void);

/* True on all ranks once any of them was asked to stop. Collective over comm. */
bool ns_stop_agreed(MPI_Comm comm);
#endif
