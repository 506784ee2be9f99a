#include "cluster/reduce.h"

#include <stdio.h>
#include <string.h>

#include "cluster/usage.h"

/* MPI counts are int: longer arrays go in pieces. */
enum { PIECE = 1 << 27 };

/* Aborts when ranks meet in a reduction that they called from different places, or with arrays of different
   lengths: a bug of ours, not of input. */
static void check_line(int64_t n, MPI_Comm comm, const char *file, int line)
{
#ifdef NS_CHECK_CALLS
    uint64_t hash = ((uint64_t)line << 32) ^ (uint64_t)n;
    for (const char *c = file; *c != '\0'; c++) hash = hash * 31 + (unsigned char)*c;
    int64_t place = (int64_t)(hash >> 2); /* its negative must exist */
    int64_t bounds[2] = {place, -place};
    MPI_Allreduce(MPI_IN_PLACE, bounds, 2, MPI_INT64_T, MPI_MAX, comm);
    if (bounds[0] != -bounds[1]) {
        fprintf(stderr, "nightshift: bug: ranks meet in different reductions, this one at %s:%d\n", file,
                line);
        MPI_Abort(comm, 70);
    }
#else
    (void)n, (void)comm, (void)file, (void)line;
#endif
}

static void reduce(void *values, int64_t n, size_t size, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    char *at = values;
    for (int64_t done = 0; done < n; done += PIECE) {
        int count = (int)(n - done < PIECE ? n - done : PIECE);
        MPI_Allreduce(MPI_IN_PLACE, at + (size_t)done * size, count, type, op, comm);
    }
    ns_usage_sent((size_t)n * size);
}

void ns_sum_i64_at(int64_t *values, int64_t n, MPI_Comm comm, const char *file, int line)
{
    check_line(n, comm, file, line);
    reduce(values, n, sizeof *values, MPI_INT64_T, MPI_SUM, comm);
}

void ns_max_i64_at(int64_t *values, int64_t n, MPI_Comm comm, const char *file, int line)
{
    check_line(n, comm, file, line);
    reduce(values, n, sizeof *values, MPI_INT64_T, MPI_MAX, comm);
}

/* MPI's signature for user operations. To MPI the elements are bytes: its buffers need not be aligned for
 * them. */
static void add_i128(void *in, void *inout, int *n, MPI_Datatype *type)
{
    (void)type;
    const char *from = in;
    char *to = inout;
    for (int i = 0; i < *n; i++) {
        ns_u128 a, b;
        memcpy(&a, from + (size_t)i * sizeof a, sizeof a);
        memcpy(&b, to + (size_t)i * sizeof b, sizeof b);
        b += a;
        memcpy(to + (size_t)i * sizeof b, &b, sizeof b);
    }
}

void ns_sum_i128_at(ns_i128 *values, int64_t n, MPI_Comm comm, const char *file, int line)
{
    check_line(n, comm, file, line);
    MPI_Datatype type;
    MPI_Op op;
    MPI_Type_contiguous((int)sizeof *values, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    MPI_Op_create(add_i128, 1, &op);
    reduce(values, n, sizeof *values, type, op, comm);
    MPI_Op_free(&op);
    MPI_Type_free(&type);
}
