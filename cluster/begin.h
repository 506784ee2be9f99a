#ifndef NIGHTSHIFT_CLUSTER_BEGIN_H
#define NIGHTSHIFT_CLUSTER_BEGIN_H
/*
 * Under Slurm's srun MPI_Init may let a rank go before those of other nodes can be spoken to.
 *
 * Open MPI ends MPI_Init with a fence of PMIx that carries no data, so that nobody sends to a rank that has not yet said what is to
 * become of messages; one that comes sooner calls a null pointer there (seen with 4.1.4; open-mpi/ompi issue 12495 tells of it with 5.0.3). Slurm
 * runs such a fence along a tree of the step's nodes, and builds none where these are fewer than TreeWidth, 50 by default: each node
 * is then a root without children and passes alone (22.05.8: reverse_tree_info in src/common/reverse_tree.c, asked by
 * pmixp_coll_tree_init). A fence that carries data goes round a ring of the nodes, and holds.
 */

/* Where srun is asked for the ring at every fence (SLURM_PMIX_FENCE=ring), MPI_Init is as it should be. */
#define NS_PMIX_FENCE_VARIABLE "SLURM_PMIX_FENCE"
#define NS_PMIX_FENCE_RING     "ring"

/*
 * Waits for all ranks of a step of several nodes that srun started through PMIx, by a fence that carries data. Does nothing
 * elsewhere, and where the MPI library brought no libpmix.so.2. Collective over all ranks, between MPI_Init and the first message.
 * Cannot fail: where PMIx refuses, things are as they would be without.
 */
void ns_begin_together(void);
#endif
