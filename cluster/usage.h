#ifndef NIGHTSHIFT_CLUSTER_USAGE_H
#define NIGHTSHIFT_CLUSTER_USAGE_H
/*
 * What the ranks of a run used. Every process counts for itself from its start on; how long it is in meetings with others
 * meetings.c sees, and what it hands to them the reductions tell (reduce.h), which are nearly all that ranks send one another.
 */
#include <mpi.h>
#include <stddef.h>

#include "cluster/status.h"

typedef struct ns_usage {
    double cpu_s;       /* processor time of all threads, user and system */
    double waiting_s;   /* wall time in collective calls of MPI: others are late, or the network is slow */
    double peak_bytes;  /* largest resident memory; 0 where the kernel does not say */
    double read_bytes;  /* read with system calls, from disk or from the file cache; 0 where the kernel does not say */
    double sent_bytes;  /* handed to reductions (cluster/README.md) */
} ns_usage;

/* Of this process since its start. Local. */
ns_usage ns_usage_now(void);

/* Around each collective call of MPI: meetings.c. Local; of the thread that speaks MPI. */
void ns_usage_meeting_begins(void);
void ns_usage_meeting_ended(void);

/* Adds what is handed to a reduction. Local; of the thread that speaks MPI. */
void ns_usage_sent(size_t n_bytes);

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
