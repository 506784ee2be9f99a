#ifndef NIGHTSHIFT_KERNELS_LINK_H
#define NIGHTSHIFT_KERNELS_LINK_H
/*
 * How a device reaches the other ranks. kernels/ knows no MPI: the runner fills this in. All callbacks are
 * collective over the ranks of the link, exact, in place, and leave the same integers on every rank.
 */
#include <stddef.h>
#include <stdint.h>

#include "cluster/int128.h"

typedef struct ns_link {
    int rank, n_ranks;
    int rank_on_node; /* among the ranks of this machine: which of its GPUs is taken */
    void *context; /* handed to every callback; borrowed for the life of the device */
    void (*sum_i64)(void *context, int64_t *values, int64_t n);
    void (*max_i64)(void *context, int64_t *values, int64_t n);
    void (*sum_i128)(void *context, ns_i128 *values, int64_t n);
} ns_link;

/* A link of one rank: every reduction leaves its values as they are. */
ns_link ns_link_alone(void);
#endif
