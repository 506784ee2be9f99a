#ifndef NIGHTSHIFT_TESTS_GPU_RATES_H
#define NIGHTSHIFT_TESTS_GPU_RATES_H
/* What a GPU can do of the few things that bound the kernels: floors are worked out from it. */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "cluster/status.h"

struct ns_cuda;

/* Every thread adds to three sums of a cell of its block's shared memory, `times` times; as a narrow histogram does, at cells in no order.
   *n: atomics in all. */
ns_status rates_atomics(struct ns_cuda *cuda, int32_t times, int32_t *out, int64_t *n);

/* to[i] = from[i] for n words of 8 bytes. */
ns_status rates_copy(struct ns_cuda *cuda, const int64_t *from, int64_t *to, int64_t n);

/* Reads 4 bytes of every 32, in no order. */
ns_status rates_gather(struct ns_cuda *cuda, const int32_t *from, int64_t n_sectors, int32_t *out);

ns_status rates_nothing(struct ns_cuda *cuda, int32_t *out);

#ifdef __cplusplus
}
#endif
#endif
