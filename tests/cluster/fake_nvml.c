/*
 * An NVML of GPUs that are not there, for tests: any address below bus 0xf0 is one. Its busyness goes 0.4, 0.6, 0.4, …; each reading
 * of its energy is FAKE_NVML_JOULES (1) above the one before, and FAKE_NVML_ENERGY=0 makes it an old GPU that has no counter.
 */
#include <stdio.h>
#include <stdlib.h>

typedef struct device {
    unsigned n_looks;
    unsigned long long millijoules;
} device;

typedef struct utilisation {
    unsigned gpu, memory;
} utilisation;

enum { SUCCESS = 0, UNINITIALISED = 1, NOT_SUPPORTED = 3, NOT_FOUND = 6 };
static device gpus[0xf0];
static int is_open;

int nvmlInit_v2(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, device **out);
int nvmlDeviceGetUtilizationRates(device *gpu, utilisation *now);
int nvmlDeviceGetTotalEnergyConsumption(device *gpu, unsigned long long *millijoules);

int nvmlInit_v2(void)
{
    is_open = 1;
    return SUCCESS;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, device **out)
{
    unsigned domain, number;
    if (!is_open) return UNINITIALISED;
    if (sscanf(bus, "%x:%x:", &domain, &number) != 2 || number >= 0xf0) return NOT_FOUND;
    *out = &gpus[number];
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(device *gpu, utilisation *now)
{
    now->gpu = gpu->n_looks++ % 2 == 0 ? 40 : 60;
    now->memory = 5;
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(device *gpu, unsigned long long *millijoules)
{
    const char *step = getenv("FAKE_NVML_JOULES"), *has = getenv("FAKE_NVML_ENERGY");
    if (has != NULL && *has == '0') return NOT_SUPPORTED;
    gpu->millijoules += 1000 * (step != NULL ? strtoull(step, NULL, 10) : 1);
    *millijoules = gpu->millijoules;
    return SUCCESS;
}
