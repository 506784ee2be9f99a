#ifndef NIGHTSHIFT_TESTS_KERNELS_RANKS_H
#define NIGHTSHIFT_TESTS_KERNELS_RANKS_H
/* A link over MPI for tests, and an uneven way to deal rows to ranks: with three ranks or more, rank 1 gets
 * none. */
#include <mpi.h>

#include "cluster/reduce.h"
#include "kernels/link.h"

static void test_sum_i64(void *context, int64_t *values, int64_t n)
{
    ns_sum_i64(values, n, *(MPI_Comm *)context);
}

static void test_max_i64(void *context, int64_t *values, int64_t n)
{
    ns_max_i64(values, n, *(MPI_Comm *)context);
}

static void test_sum_i128(void *context, ns_i128 *values, int64_t n)
{
    ns_sum_i128(values, n, *(MPI_Comm *)context);
}

static inline ns_link test_link(MPI_Comm *comm)
{
    ns_link link = {
        .context = comm, .sum_i64 = test_sum_i64, .max_i64 = test_max_i64, .sum_i128 = test_sum_i128};
    MPI_Comm_rank(*comm, &link.rank);
    MPI_Comm_size(*comm, &link.n_ranks);
    return link;
}

static inline int test_rank_of(int64_t row, int n_ranks)
{
    int rank = (int)(row * row % 7 % n_ranks);
    return n_ranks > 2 && rank == 1 ? 0 : rank;
}
#endif
