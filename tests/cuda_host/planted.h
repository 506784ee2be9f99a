#ifndef NIGHTSHIFT_TESTS_CUDA_HOST_PLANTED_H
#define NIGHTSHIFT_TESTS_CUDA_HOST_PLANTED_H
#include <stdbool.h>

typedef enum planted {
    PLANT_NOTHING,
    PLANT_BARRIER,       /* no __syncthreads between warps' sums and who reads them */
    PLANT_WARP_BARRIER,  /* no __syncwarp between lanes */
    PLANT_PLAIN_ADD,     /* blocks add to one place without an atomic */
    PLANT_NOT_ZEROED,    /* shared memory is added to before it is written */
    PLANT_LEFT,          /* a mask names a thread that left */
    PLANT_DIVERGENT,     /* barriers of different lines */
    PLANT_OUTSIDE,       /* a shuffle from a lane outside of the mask */
    PLANT_SHARED_BEYOND, /* a write beyond dynamic shared memory */
    PLANT_DEVICE_BEYOND, /* and beyond device memory */
    PLANT_WARP_DEADLOCK, /* a lane waits at the block's barrier, the others for the lane */
    PLANT_HOST_POINTER,  /* a kernel is given host memory */
    PLANT_EARLY_READ,    /* what was copied from the device is read before anybody waited */
    PLANT_EARLY_WRITE,   /* what is being copied to the device is changed before anybody waited */
    PLANT_OTHER_MARK,    /* waited for an event that was recorded before the copy */
    PLANT_NO_DEVICE,     /* a thread of its own has not said which device it means */
    N_PLANTED
} planted;

#ifdef __cplusplus
extern "C"
#endif
    bool planted_run(planted what);
#endif
