#ifndef NIGHTSHIFT_RUNNER_METRICS_METRICS_GATHER_H
#define NIGHTSHIFT_RUNNER_METRICS_METRICS_GATHER_H
/* Risk tables of all ranks, added up on rank 0. */
#include <mpi.h>

#include "runner/metrics/risk_table.h"

/*
 * Rank 0's table becomes the sum over ranks, the same for any number of ranks; the others' become {0}.
 * Neighbours are added in pairs, then pairs of pairs: no rank takes more than log2(n_ranks) tables.
 * Collective over comm. Fails with NS_ENOMEM on every rank where one has no room for the sum.
 */
ns_status ns_risk_table_gather(ns_risk_table *table, MPI_Comm comm);
#endif
