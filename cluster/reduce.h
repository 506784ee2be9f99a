#ifndef NIGHTSHIFT_CLUSTER_REDUCE_H
#define NIGHTSHIFT_CLUSTER_REDUCE_H
/*
 * Exact reductions: integers only, so that neither the number of ranks nor the order of their messages can
 * change a bit. All are collective over comm, in place, and leave the same values on every rank.
 * Built with NIGHTSHIFT_CHECK_CALLS, every call checks that all ranks came from the same line, and aborts if
 * not.
 */
#include <mpi.h>
#include <stdint.h>

#include "cluster/int128.h"

#define ns_sum_i64(values, n, comm)  ns_sum_i64_at(values, n, comm, __FILE__, __LINE__)
#define ns_max_i64(values, n, comm)  ns_max_i64_at(values, n, comm, __FILE__, __LINE__)
#define ns_sum_i128(values, n, comm) ns_sum_i128_at(values, n, comm, __FILE__, __LINE__)

/* values[i] = sum over ranks of values[i]; the caller knows that it fits. n elements, any n >= 0. */
void ns_sum_i64_at(int64_t *values, int64_t n, MPI_Comm comm, const char *file, int line);

/* values[i] = maximum over ranks of values[i]. */
void ns_max_i64_at(int64_t *values, int64_t n, MPI_Comm comm, const char *file, int line);

/* As ns_sum_i64, for 128-bit integers. */
void ns_sum_i128_at(ns_i128 *values, int64_t n, MPI_Comm comm, const char *file, int line);
#endif
