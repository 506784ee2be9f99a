#ifndef NIGHTSHIFT_CLUSTER_USAGE_H
#define NIGHTSHIFT_CLUSTER_USAGE_H
/*
 * What the ranks of a run used. Every process counts for itself from its start on; what it waits for others and hands to them is
 * told by reduce.h and agree.h, which are nearly all that ranks say to one another.
 */
#include <mpi.h>
#include <stddef.h>

#include "cluster/status.h"

typedef struct ns_usage {
    double cpu_s;       /* processor time of all threads, user and system */
    double waiting_s;   /* wall time in reductions and agreements: others are late, or the network is slow */
    double peak_bytes;  /* largest resident memory; 0 where the kernel does not say */
    double read_bytes;  /* read with system calls, from disk or from the file cache; 0 where the kernel does not say */
    double sent_bytes;  /* handed to reductions (cluster/README.md) */
} ns_usage;

/* Of this process since its start. Local. */
ns_usage ns_usage_now(void);

/* Adds a meeting with other ranks that began at `since` (ns_seconds) and ends now. Local; of the thread that speaks MPI. */
void ns_usage_met(double since, size_t sent_bytes);

/* The same figure of all ranks: the least, the median (of an even number the lower one of the two) and the most. */
typedef struct ns_spread {
    double least, median, most;
} ns_spread;

/*
 * The spreads of n figures.
 *   values  in   [n] this rank's, in the same order on every rank
 *   out     out  [n] on rank 0; elsewhere left alone
 * Collective over comm. NS_ENOMEM, the same on every rank.
 */
ns_status ns_usage_spread(const double *values, int n, ns_spread *out, MPI_Comm comm);
#endif
