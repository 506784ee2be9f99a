/* Builds without the race detector: nothing is watched. */
#include "tests/cuda_host/machine.h"

void ns_host_race_range(const void *from, size_t n_bytes, int is_shared)
{
    (void)is_shared;
    (void)from;
    (void)n_bytes;
}

void ns_host_race_forget(const void *from)
{
    (void)from;
}

void ns_host_race_atomic(const void *address, int size)
{
    (void)address;
    (void)size;
}
