#ifndef NIGHTSHIFT_KERNELS_CUDA_SLABS_H
#define NIGHTSHIFT_KERNELS_CUDA_SLABS_H
/*
 * The way between the caller's memory, which may be paged, and the device: a few slabs that cannot be paged. While one slab
 * crosses, threads fill the others. All that is queued goes to the stream in use, in the order in which it is queued; calls
 * may come from several threads at once.
 *
 * A slab of 1 MiB crosses PCIe 5 in 20 us at 55 GB/s and is filled in about 100 us by one thread at 10 GB/s: six threads keep
 * the wire busy, and 10,000,000 x 50 floats (2 GB) cross in 40 ms.
 */
#include <omp.h>

#include "kernels/cuda_state.h"

enum { NS_CUDA_SLAB_BYTES = 1 << 20 };

typedef struct ns_cuda_slab {
    void *bytes;
    omp_lock_t lock; /* of the thread that fills or reads it */
} ns_cuda_slab;

typedef struct ns_cuda_slabs {
    ns_cuda *cuda;
    ns_cuda_memory memory;
    int n, n_threads;
    unsigned next;
    omp_lock_t queue; /* of the thread that queues */
    ns_cuda_slab slab[NS_CUDA_SLAB_MARKS];
} ns_cuda_slabs;

/* What the host's values become on the way. */
typedef enum ns_cuda_way {
    NS_CUDA_AS_BYTES,   /* from: n elements of 1 byte, as they are */
    NS_CUDA_AS_PAIRS,   /* of 2 bytes */
    NS_CUDA_AS_WORDS,   /* of 4 bytes */
    NS_CUDA_TO_BYTES,   /* from: int32_t, below 2^8; to: uint8_t */
    NS_CUDA_TO_PAIRS    /* from: int32_t, below 2^16; to: uint16_t */
} ns_cuda_way;

/* NS_ENOMEM. Nothing to close is left behind then. n_threads: that fill slabs. Local. */
ns_status ns_cuda_slabs_open(ns_cuda_slabs *slabs, ns_cuda *cuda, int n_threads);
void ns_cuda_slabs_close(ns_cuda_slabs *slabs);

/* From and to where a queue of launches is one thread's own; the calling thread is then on the device. Not from within. */
ns_status ns_cuda_slabs_begin(ns_cuda_slabs *slabs);
void ns_cuda_slabs_end(ns_cuda_slabs *slabs);

/* n elements to the device; queued, and `from` may be changed as soon as it returns. Threads of OpenMP take part. */
ns_status ns_cuda_slabs_send(ns_cuda_slabs *slabs, void *dev_to, const void *from, int64_t n, ns_cuda_way way);

/* n_bytes from the device; they have arrived when it returns. */
ns_status ns_cuda_slabs_fetch(ns_cuda_slabs *slabs, void *to, const void *dev_from, size_t n_bytes);

/* The same on the host's side alone: to is the host's. */
void ns_cuda_convert(void *to, const void *from, int64_t n, ns_cuda_way way);

/* Bytes of one element where it goes to. */
size_t ns_cuda_way_bytes(ns_cuda_way way);
#endif
