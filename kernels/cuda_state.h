#ifndef NIGHTSHIFT_KERNELS_CUDA_STATE_H
#define NIGHTSHIFT_KERNELS_CUDA_STATE_H
/*
 * The cuda backend's device: one GPU of one rank, its streams, and the few calls of CUDA's runtime that the C sources of
 * the backend (kernels/cuda_*.c) make. Nothing here is collective. Failures: NS_ENOMEM, or NS_EDEVICE naming what was
 * being done; after NS_EDEVICE the device is of no more use, but destroy and close are safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/device.h"

typedef struct ns_cuda ns_cuda;

/* Multiprocessors, and the largest dynamic shared memory of a block. */
int ns_cuda_multiprocessors(const ns_cuda *cuda);
size_t ns_cuda_shared_bytes(const ns_cuda *cuda);

/* The bus it is on, to tell GPUs of a machine apart; the stream in use, as libraries take it. */
ns_status ns_cuda_bus(const ns_cuda *cuda, char *text, int size);
void *ns_cuda_stream_handle(const ns_cuda *cuda);

/* What others count or keep for the device. */
typedef struct ns_cuda_ranks ns_cuda_ranks;
ns_cuda_ranks **ns_cuda_ranks_of(ns_cuda *cuda);
ns_device_use *ns_cuda_use_of(ns_cuda *cuda);

/* Blocks of memory with one lifetime. Once one cannot be had, the rest are only counted. */
typedef struct ns_cuda_memory {
    ns_cuda *cuda;
    int64_t n_bytes; /* asked for so far */
    bool failed;
    int n_blocks, room;
    void **block;
    bool *is_pinned;
} ns_cuda_memory;

/* A block of n elements of `size` bytes on the device, or on the host where it cannot be paged; n = 0: of one. Not
   zeroed. NULL after a failure. */
void *ns_cuda_take(ns_cuda_memory *memory, int64_t n, size_t size);
void *ns_cuda_take_pinned(ns_cuda_memory *memory, int64_t n, size_t size);
void ns_cuda_give_all(ns_cuda_memory *memory);

/* The calls of this thread are for this GPU from now on; the thread that opened it need not say so. */
ns_status ns_cuda_enter(const ns_cuda *cuda);

/* Which stream calls are queued on from now on: 0, the one of training, or those of the slabs being scored. */
enum { NS_CUDA_STREAMS = 3 };
void ns_cuda_use_stream(ns_cuda *cuda, int stream);

/* Queued on the stream in use; the host's side must stay until ns_cuda_wait. */
ns_status ns_cuda_copy_in(ns_cuda *cuda, void *to, const void *from, size_t n_bytes);
ns_status ns_cuda_copy_out(ns_cuda *cuda, void *to, const void *from, size_t n_bytes);
ns_status ns_cuda_zero(ns_cuda *cuda, void *at, size_t n_bytes);
ns_status ns_cuda_fill(ns_cuda *cuda, void *at, int byte, size_t n_bytes);

/* Until all that was queued on the stream in use is done. */
ns_status ns_cuda_wait(ns_cuda *cuda);

/*
 * A sequence of calls that is queued again and again as one (a CUDA graph). Between begin and end, calls on the stream in use are
 * kept instead of done; pointers and sizes stay as they were then.
 *   ns_cuda_may_record  whether to try: not with NIGHTSHIFT_GRAPHS=0 or NIGHTSHIFT_SYNC=1
 *   ns_cuda_record_end  *out NULL where begin, a call between or the driver refused: the calls were not done, and are to be
 *                       made one by one from then on. Freed with ns_cuda_sequence_destroy.
 */
typedef struct ns_cuda_sequence ns_cuda_sequence;
bool ns_cuda_may_record(const ns_cuda *cuda);
void ns_cuda_record_begin(ns_cuda *cuda);
void ns_cuda_record_end(ns_cuda *cuda, ns_status calls, ns_cuda_sequence **out);
ns_status ns_cuda_queue_sequence(ns_cuda *cuda, const ns_cuda_sequence *sequence);
void ns_cuda_sequence_destroy(ns_cuda_sequence **sequence);

/* A mark in the stream in use; waiting for one that was never set returns at once. Those from NS_CUDA_MARKS_OF_COLUMNS
   and NS_CUDA_MARKS_OF_SLABS on are of prepare_cuda.c and slabs_cuda.c. */
enum {
    NS_CUDA_MARKS_OF_COLUMNS = 6,
    NS_CUDA_MARKS_OF_SLABS = NS_CUDA_MARKS_OF_COLUMNS + 2,
    NS_CUDA_SLAB_MARKS = 16,
    NS_CUDA_MARKS = NS_CUDA_MARKS_OF_SLABS + NS_CUDA_SLAB_MARKS
};
ns_status ns_cuda_mark(ns_cuda *cuda, int mark);
ns_status ns_cuda_wait_mark(ns_cuda *cuda, int mark);

#ifdef __cplusplus
}

/* For .cu files. */
#include "kernels/cuda.h"

cudaStream_t ns_cuda_stream(const ns_cuda *cuda);

/* What every launch ends in: it is counted, and with NIGHTSHIFT_SYNC=1 waited for. kernel: a literal. */
ns_status ns_cuda_launched(ns_cuda *cuda, const char *kernel);

/* cudaSuccess, or NS_ENOMEM or NS_EDEVICE in words. */
ns_status ns_cuda_check(cudaError_t result, const char *doing);

/* Blocks of NS_CUDA_THREADS for n elements, one each, but no more than 2^20: kernels stride. At least one. */
enum { NS_CUDA_THREADS = 256, NS_CUDA_WARPS = NS_CUDA_THREADS / 32 };
static inline unsigned ns_cuda_blocks_for(int64_t n)
{
    int64_t wanted = (n + NS_CUDA_THREADS - 1) / NS_CUDA_THREADS;
    return (unsigned)(wanted < 1 ? 1 : wanted > (1 << 20) ? 1 << 20 : wanted);
}
#endif
#endif
