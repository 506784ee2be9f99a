#include "kernels/device.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda_module.h"
#include "kernels/forest.h"
#include "kernels/level.h"
#include "kernels/numerics.h"
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

/* --- the module of the cuda backend ----------------------------------------------------------------------------------- */

/* Where the module is. False: NIGHTSHIFT_CUDA does not say, and it lies at none of the usual places. */
static bool find_module(char *path, size_t size)
{
    static const char *const places[] = {"", "../lib/"};
    const char *said = getenv("NIGHTSHIFT_CUDA");
    if (said != NULL && said[0] != '\0') return snprintf(path, size, "%s", said) < (int)size;
    char folder[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (n <= 0) return false;
    folder[n] = '\0';
    *strrchr(folder, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (snprintf(path, size, "%s/%snightshift_cuda.so", folder, places[i]) < (int)size && access(path, R_OK) == 0) return true;
    return false;
}

/* The module, loaded once and never unloaded: libraries that it brings keep threads. */
static ns_status load_module(const ns_cuda_module **out)
{
    static const ns_cuda_module *loaded;
    char path[PATH_MAX];
    *out = loaded;
    if (loaded != NULL) return NS_OK;
    if (!find_module(path, sizeof path))
        return ns_fail(NS_EUNAVAILABLE, "device cuda: there is no nightshift_cuda.so beside this program");
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) return ns_fail(NS_EUNAVAILABLE, "device cuda: nightshift_cuda.so cannot be loaded: %s", dlerror());
    const ns_cuda_module *table = dlsym(module, "ns_cuda_module_table");
    if (table == NULL || table->stamp != NS_CUDA_MODULE_STAMP || table->numerics_version != NS_NUMERICS_VERSION) {
        dlclose(module);
        return ns_fail(NS_EUNAVAILABLE, "device cuda: '%s' is of another build than this program", path);
    }
    *out = loaded = table;
    return NS_OK;
}

ns_status ns_device_look_for_cuda(char *text, size_t size)
{
    const ns_cuda_module *module;
    NS_TRY(load_module(&module));
    return module->look(text, size);
}

static ns_status open_cuda(ns_device *device)
{
    const ns_cuda_module *module;
    NS_TRY(load_module(&module));
    NS_TRY(ns_device_check(device)); /* libraries may have changed the arithmetic */
    return module->open(device, device->link.rank_on_node);
}

/* A GPU where there is one; where there is none, the device stays the cpu and remembers why. */
static void try_cuda(ns_device *device)
{
    if (open_cuda(device) == NS_OK) return;
    snprintf(device->why_not, sizeof device->why_not, "%.255s", ns_last_error()->message);
    ns_error_clear();
}

ns_status ns_device_open(ns_device **out, const char *name, int n_threads, const ns_link *link)
{
    *out = NULL;
    bool is_auto = strcmp(name, "auto") == 0, is_cuda = strcmp(name, "cuda") == 0;
    if (!is_auto && !is_cuda && strcmp(name, "cpu") != 0)
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
    if (status == NS_OK && is_cuda) status = open_cuda(device);
    if (status == NS_OK && is_auto) try_cuda(device);
    if (status != NS_OK) ns_device_close(&device);
    *out = device;
    return status;
}

void ns_device_close(ns_device **device)
{
    if (*device != NULL && (*device)->close != NULL) (*device)->close(*device);
    free(*device);
    *device = NULL;
}
