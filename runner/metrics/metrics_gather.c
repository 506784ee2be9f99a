#include "runner/metrics/metrics_gather.h"

#include <stddef.h>

#include "cluster/agree.h"

/* MPI counts are int: longer arrays go in pieces. */
enum { PIECE = 1 << 27, TAG = 41 };

typedef enum direction { SEND, RECEIVE } direction;

static void move(direction way, void *values, int64_t n, size_t size, MPI_Datatype type, int other,
                 MPI_Comm comm)
{
    char *at = values;
    for (int64_t done = 0; done < n; done += PIECE) {
        int count = (int)(n - done < PIECE ? n - done : PIECE);
        void *piece = at + (size_t)done * size;
        if (way == SEND)
            MPI_Send(piece, count, type, other, TAG, comm);
        else
            MPI_Recv(piece, count, type, other, TAG, comm, MPI_STATUS_IGNORE);
    }
}

static void move_table(direction way, ns_risk_table *table, int other, MPI_Comm comm)
{
    move(way, table->risk, table->n, sizeof *table->risk, MPI_FLOAT, other, comm);
    move(way, table->negative, table->n, sizeof *table->negative, MPI_INT64_T, other, comm);
    move(way, table->positive, table->n, sizeof *table->positive, MPI_INT64_T, other, comm);
}

/* Takes and adds another rank's table. The sender learns first whether there is room, so that neither waits
 * for ever. */
static ns_status receive(ns_risk_table *table, int other, MPI_Comm comm)
{
    int64_t n = 0;
    MPI_Recv(&n, 1, MPI_INT64_T, other, TAG, comm, MPI_STATUS_IGNORE);
    ns_risk_table theirs;
    ns_status status = ns_risk_table_alloc(&theirs, n);
    int have_room = status == NS_OK;
    MPI_Send(&have_room, 1, MPI_INT, other, TAG, comm);
    if (!have_room) return status;
    move_table(RECEIVE, &theirs, other, comm);
    status = ns_risk_table_add(table, &theirs);
    ns_risk_table_destroy(&theirs);
    return status;
}

static void send(ns_risk_table *table, int other, MPI_Comm comm)
{
    int have_room = 0;
    MPI_Send(&table->n, 1, MPI_INT64_T, other, TAG, comm);
    MPI_Recv(&have_room, 1, MPI_INT, other, TAG, comm, MPI_STATUS_IGNORE);
    if (have_room) move_table(SEND, table, other, comm);
}

ns_status ns_risk_table_gather(ns_risk_table *table, MPI_Comm comm)
{
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    ns_status status = NS_OK;
    for (int step = 1; step < n_ranks; step *= 2) {
        if (rank % (2 * step) == step) {
            send(table, rank - step, comm);
            break;
        }
        if (rank + step >= n_ranks) continue;
        ns_status mine = receive(table, rank + step, comm);
        if (status == NS_OK) status = mine;
    }
    if (rank != 0) ns_risk_table_destroy(table);
    return ns_agree(status, comm);
}
