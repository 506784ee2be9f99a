/*
 * The collective calls of MPI that the program makes, each counted and timed for the watchdog and for what a rank used on its way to the library: MPI gives
 * every function a second name, PMPI_…, for this. One that is not here is not seen; its ranks then seem to be at work.
 */
#include <mpi.h>

#include "cluster/usage.h"
#include "cluster/watchdog.h"

static void meet(void)
{
    ns_usage_meeting_begins();
    ns_watchdog_meeting_begins();
}

static int met(int result)
{
    ns_watchdog_meeting_ended();
    ns_usage_meeting_ended();
    return result;
}

int MPI_Barrier(MPI_Comm comm)
{
    meet();
    return met(PMPI_Barrier(comm));
}

int MPI_Bcast(void *buffer, int count, MPI_Datatype type, int root, MPI_Comm comm)
{
    meet();
    return met(PMPI_Bcast(buffer, count, type, root, comm));
}

int MPI_Allreduce(const void *from, void *to, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    meet();
    return met(PMPI_Allreduce(from, to, count, type, op, comm));
}

int MPI_Exscan(const void *from, void *to, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    meet();
    return met(PMPI_Exscan(from, to, count, type, op, comm));
}

int MPI_Allgather(const void *from, int n_from, MPI_Datatype from_type, void *to, int n_to, MPI_Datatype to_type, MPI_Comm comm)
{
    meet();
    return met(PMPI_Allgather(from, n_from, from_type, to, n_to, to_type, comm));
}

int MPI_Allgatherv(const void *from, int n_from, MPI_Datatype from_type, void *to, const int *n_to, const int *places, MPI_Datatype to_type,
                   MPI_Comm comm)
{
    meet();
    return met(PMPI_Allgatherv(from, n_from, from_type, to, n_to, places, to_type, comm));
}

int MPI_Gather(const void *from, int n_from, MPI_Datatype from_type, void *to, int n_to, MPI_Datatype to_type, int root, MPI_Comm comm)
{
    meet();
    return met(PMPI_Gather(from, n_from, from_type, to, n_to, to_type, root, comm));
}

int MPI_Gatherv(const void *from, int n_from, MPI_Datatype from_type, void *to, const int *n_to, const int *places, MPI_Datatype to_type, int root,
                MPI_Comm comm)
{
    meet();
    return met(PMPI_Gatherv(from, n_from, from_type, to, n_to, places, to_type, root, comm));
}

int MPI_Alltoall(const void *from, int n_from, MPI_Datatype from_type, void *to, int n_to, MPI_Datatype to_type, MPI_Comm comm)
{
    meet();
    return met(PMPI_Alltoall(from, n_from, from_type, to, n_to, to_type, comm));
}

int MPI_Alltoallv(const void *from, const int *n_from, const int *from_places, MPI_Datatype from_type, void *to, const int *n_to,
                  const int *to_places, MPI_Datatype to_type, MPI_Comm comm)
{
    meet();
    return met(PMPI_Alltoallv(from, n_from, from_places, from_type, to, n_to, to_places, to_type, comm));
}
