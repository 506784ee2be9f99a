#ifndef NIGHTSHIFT_TESTS_CUDA_HOST_MACHINE_H
#define NIGHTSHIFT_TESTS_CUDA_HOST_MACHINE_H
/*
 * CUDA's execution of a grid, on one thread of the host. Each CUDA thread is a coroutine; the seed decides how many
 * blocks are resident (1 to 4), in which order blocks, warps and lanes run, and where an atomic hands over to another
 * thread. Shared memory is filled with junk before a block starts and has poisoned gaps (address sanitizer).
 *
 * Wrong programs stop with one line on stderr and abort(): a deadlock, barriers at different lines, masks that name
 * threads that left, shuffles that read outside of their mask, host pointers as direct arguments of a kernel.
 *
 * Not modelled: weak memory, a missing fence, a missing wait of one stream for another, launch bounds, pointers inside structs.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { NS_HOST_LANES = 32, NS_HOST_MAX_THREADS = 1024, NS_HOST_SHARED_BYTES = 227 << 10 };

typedef struct ns_host_index {
    unsigned x, y, z;
} ns_host_index;

/* What a running CUDA thread sees. */
extern ns_host_index threadIdx, blockIdx, blockDim, gridDim;

typedef struct ns_host_grid {
    const char *kernel;
    ns_host_index grid;
    unsigned n_threads; /* of a block, 1..1024 */
    size_t shared_bytes; /* dynamic */
} ns_host_grid;

/* Runs body(arguments) once for every thread of the grid. */
void ns_host_run(const ns_host_grid *grid, void (*body)(void *arguments), void *arguments);

/* From now on grids run in the order of this seed. At first it is NIGHTSHIFT_CUDA_SEED, or 1. */
void ns_host_seed(uint64_t seed);

/* Stops with "cuda on host: KERNEL: …". */
void ns_host_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Of a running thread: */
typedef enum ns_host_op { NS_HOST_SYNC, NS_HOST_BALLOT, NS_HOST_SHUFFLE, NS_HOST_UP, NS_HOST_DOWN, NS_HOST_XOR } ns_host_op;
void ns_host_barrier(int line);
uint64_t ns_host_warp(ns_host_op op, unsigned mask, uint64_t value, int which, int line);
void *ns_host_shared(const void *declaration, size_t n_bytes);
void *ns_host_dynamic(void);

/* Before an atomic: may let others run. Size 4 or 8. */
void ns_host_atomic(const void *address, int size);

/* Of memory.c: */
void ns_host_open_memory(void);  /* a grid begins: device memory may be touched */
void ns_host_close_memory(void); /* and ends */
void ns_host_check_pointer(const void *pointer); /* a direct argument of a kernel */

/* Who is running, for the race detector; NULL outside of a grid. Epochs grow with each barrier of the block and
   with each __syncwarp of all of a warp's living lanes. */
typedef struct ns_host_thread {
    uint32_t block, thread;
    uint32_t block_epoch, warp_epoch;
} ns_host_thread;
extern const ns_host_thread *ns_host_running;
extern uint32_t ns_host_launch;
/* Memory to be watched, until forgotten; is_shared: of one block after the other. */
void ns_host_race_range(const void *from, size_t n_bytes, int is_shared);
void ns_host_race_forget(const void *from);
void ns_host_race_atomic(const void *address, int size);

#ifdef __cplusplus
}
#endif
#endif
