#include "cluster/agree.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>


ns_status ns_agree(ns_status mine, MPI_Comm comm)
{
    int rank, first;
    MPI_Comm_rank(comm, &rank);
    int bid = mine == NS_OK ? INT_MAX : rank;
    MPI_Allreduce(&bid, &first, 1, MPI_INT, MPI_MIN, comm);
    if (first == INT_MAX) return NS_OK;

    ns_error *error = ns_last_error();
    if (rank == first) {
        if (error->rank < 0) error->rank = rank; /* agreed before: keep the first origin */
        error->code = mine;
    }
    MPI_Bcast(error, sizeof *error, MPI_BYTE, first, comm);
    return error->code;
}

ns_status ns_share_bytes(void **bytes, size_t *n_bytes, int root, MPI_Comm comm)
{
    int rank;
    MPI_Comm_rank(comm, &rank);
    int64_t n = rank == root ? (int64_t)*n_bytes : 0;
    MPI_Bcast(&n, 1, MPI_INT64_T, root, comm);

    ns_status status = NS_OK;
    char *block = rank == root ? *bytes : malloc((size_t)n + 1);
    if (rank != root && block == NULL)
        status = ns_fail(NS_ENOMEM, "no memory for %lld bytes from rank %d", (long long)n, root);
    status = ns_agree(status, comm);
    if (status != NS_OK) {
        if (rank != root) free(block);
        return status;
    }
    enum { PIECE = 1 << 30 }; /* MPI counts are int */
    for (int64_t at = 0; at < n; at += PIECE)
        MPI_Bcast(block + at, (int)(n - at < PIECE ? n - at : PIECE), MPI_BYTE, root, comm);
    if (rank != root) {
        block[n] = '\0';
        *bytes = block;
        *n_bytes = (size_t)n;
    }
    return NS_OK;
}

ns_status ns_agree_text(const char *what, const char *text, MPI_Comm comm)
{
    /* A 64-bit FNV-1a hash of each text, compared with rank 0's. */
    uint64_t hash = 1469598103934665603u;
    for (const char *c = text; *c != '\0'; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    int rank;
    MPI_Comm_rank(comm, &rank);
    uint64_t first = hash;
    MPI_Bcast(&first, 1, MPI_UINT64_T, 0, comm);
    ns_status status = NS_OK;
    if (first != hash) status = ns_fail(NS_EINVAL, "%s of rank %d and rank 0 differ", what, rank);
    return ns_agree(status, comm);
}
