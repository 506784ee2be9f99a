#include "kernels/device.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/forest.h"
#include "kernels/level.h"
#include "kernels/scorer.h"

/* Tested by doing: what the control register says is another matter on every architecture. Volatile, so that
   it is computed here and now. */
static const char *wrong_arithmetic(void)
{
    volatile double one = 1.0, half_ulp = 0x1p-53, more = 0x1.8p-53, least = 0x1p-1022, subnormal = 0x1p-1074;
    volatile float one_f = 1.0f, half_ulp_f = 0x1p-24f, least_f = 0x1p-126f, subnormal_f = 0x1p-149f;
    volatile double up = one + half_ulp, down = -one - half_ulp, next = one + more;
    volatile float up_f = one_f + half_ulp_f, down_f = -one_f - half_ulp_f;
    if (up != 1.0 || down != -1.0 || next != 1.0 + 0x1p-52 || up_f != 1.0f || down_f != -1.0f)
        return "does not round to nearest";
    volatile double flushed = least * 0.5;
    volatile float flushed_f = least_f * 0.5f;
    volatile double taken = subnormal * 0x1p100;
    volatile float taken_f = subnormal_f * 0x1p100f;
    if (taken == 0.0 || taken_f == 0.0f)
        return "takes subnormal numbers for zero"; /* first: == would do so too */
    if (flushed == 0.0 || flushed_f == 0.0f) return "flushes subnormal results to zero";
    return NULL;
}

ns_status ns_device_check(const ns_device *device)
{
    const char *wrong = NULL;
#pragma omp parallel num_threads(device->n_threads)
    {
        const char *here = wrong_arithmetic();
        if (here != NULL) {
#pragma omp critical
            wrong = here;
        }
    }
    if (wrong == NULL) return NS_OK;
    return ns_fail(NS_EUNAVAILABLE,
                   "the arithmetic of a thread %s, so results could not be reproduced: a library built with "
                   "-ffast-math or a preloaded one may have changed it",
                   wrong);
}

ns_status ns_device_open(ns_device **out, const char *name, int n_threads, const ns_link *link)
{
    *out = NULL;
    if (strcmp(name, "cuda") == 0)
        return ns_fail(NS_EUNAVAILABLE,
                       "device cuda: this program was built without a CUDA backend; use cpu or auto");
    if (strcmp(name, "cpu") != 0 && strcmp(name, "auto") != 0)
        return ns_fail(NS_EINVAL, "device is '%s', must be auto, cpu or cuda", name);
    const ns_level *level;
    NS_TRY(ns_level_pick(&level, getenv("NIGHTSHIFT_CPU")));
    ns_device *device = calloc(1, sizeof *device);
    if (device == NULL) return ns_fail(NS_ENOMEM, "not enough memory to open a device");
    *device = (ns_device){.name = "cpu",
                          .level = level->name,
                          .link = *link,
                          .n_threads = n_threads,
                          .forest = &ns_forest_cpu,
                          .scorer = &ns_scorer_cpu,
                          .loops = level};
    ns_status status = ns_device_check(device);
    if (status != NS_OK) ns_device_close(&device);
    *out = device;
    return status;
}

void ns_device_close(ns_device **device)
{
    free(*device);
    *device = NULL;
}
