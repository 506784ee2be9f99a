#ifndef NIGHTSHIFT_KERNELS_CUDA_MODULE_H
#define NIGHTSHIFT_KERNELS_CUDA_MODULE_H
/*
 * What nightshift_cuda.so offers to the program that loads it: one symbol, ns_cuda_module. The module calls back into
 * the program (ns_fail and the pure functions of kernels/), so both must be of one build: `stamp` says so.
 */
#include "kernels/device.h"

/* Raised whenever a structure changes that the program and the module share. */
#define NS_CUDA_MODULE_STAMP 2

typedef struct ns_cuda_module {
    int stamp, numerics_version;
    /* One line on the runtime, the driver and the devices found; why there is none otherwise. Local. */
    ns_status (*look)(char *text, size_t size);
    /* Makes `device`, opened by the cpu backend for the same link, one on the GPU of this rank: rank_on_node modulo
       the GPUs that there are. Local. NS_EUNAVAILABLE: no driver, one too old, no GPU; NS_ENOMEM; NS_EDEVICE. */
    ns_status (*open)(ns_device *device, int rank_on_node);
} ns_cuda_module;

extern const ns_cuda_module ns_cuda_module_table;
#endif
