/* MPI_Init, and a message to everybody at once. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int rank, n_ranks, sum = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0) printf("sum=%d\n", sum);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return sum == n_ranks * (n_ranks - 1) / 2 ? 0 : 1;
}
