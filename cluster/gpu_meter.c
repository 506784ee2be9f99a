#include "cluster/gpu_meter.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/machine.h"

/* --- NVML, as its reference manual has it: every call answers 0 where it succeeded --- */

typedef struct nvml_device nvml_device;
typedef struct nvml_utilisation {
    unsigned gpu, memory; /* percent */
} nvml_utilisation;

static struct {
    int (*init)(void);
    int (*find)(const char *bus, nvml_device **device);
    int (*utilisation)(nvml_device *device, nvml_utilisation *now);
    int (*energy)(nvml_device *device, unsigned long long *millijoules);
} nvml;

/* C has no conversion from a symbol's address to a function's; POSIX has the same bytes for both. */
static bool take(void *library, const char *name, void *function, size_t size)
{
    void *object = dlsym(library, name);
    if (object == NULL) return false;
    memcpy(function, &object, size);
    return true;
}

/* Whether it is there; tried once. */
static bool has_nvml(void)
{
    static enum { UNKNOWN, ABSENT, THERE } found;
    if (found != UNKNOWN) return found == THERE;
    found = ABSENT;
    const char *path = getenv("NIGHTSHIFT_NVML");
    void *library =
        dlopen(path != NULL && path[0] != '\0' ? path : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return false;
    bool whole = take(library, "nvmlInit_v2", &nvml.init, sizeof nvml.init) &&
                 take(library, "nvmlDeviceGetHandleByPciBusId_v2", &nvml.find, sizeof nvml.find) &&
                 take(library, "nvmlDeviceGetUtilizationRates", &nvml.utilisation, sizeof nvml.utilisation) &&
                 take(library, "nvmlDeviceGetTotalEnergyConsumption", &nvml.energy, sizeof nvml.energy);
    if (whole && nvml.init() == 0) found = THERE;
    return found == THERE;
}

/* --- this rank's GPU --- */

static struct {
    pthread_mutex_t mutex;
    char bus[32];        /* "": none */
    nvml_device *device; /* NULL: nothing is measured */
    double looked;
    double sum; /* of utilisations */
    int n_looks;
    bool has_energy;
    unsigned long long energy_then;
} meter = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void ns_gpu_meter_open(const char *bus)
{
    pthread_mutex_lock(&meter.mutex);
    snprintf(meter.bus, sizeof meter.bus, "%s", bus != NULL ? bus : "");
    meter.device = NULL;
    meter.looked = ns_seconds(); /* the first look is at a time in which the run was there */
    meter.sum = 0;
    meter.n_looks = 0;
    meter.has_energy = false;
    if (meter.bus[0] != '\0' && has_nvml() && nvml.find(meter.bus, &meter.device) == 0)
        meter.has_energy = nvml.energy(meter.device, &meter.energy_then) == 0;
    else
        meter.device = NULL;
    pthread_mutex_unlock(&meter.mutex);
}

static void look(void)
{
    nvml_utilisation now = {0};
    meter.looked = ns_seconds();
    if (nvml.utilisation(meter.device, &now) != 0 || now.gpu > 100) return;
    meter.sum += now.gpu / 100.0;
    meter.n_looks++;
}

void ns_gpu_meter_look(void)
{
    pthread_mutex_lock(&meter.mutex);
    if (meter.device != NULL && ns_seconds() - meter.looked >= 1) look();
    pthread_mutex_unlock(&meter.mutex);
}

/* --- all ranks --- */

/* What a rank says of its GPU. Negative: not measured. */
typedef struct account {
    double utilisation, energy_j;
    char place[96]; /* host and address; "": no GPU */
} account;

static account account_of_this_rank(void)
{
    account mine = {.utilisation = -1, .energy_j = -1};
    char host[256];
    unsigned long long energy;
    pthread_mutex_lock(&meter.mutex);
    ns_host_name(host, sizeof host);
    if (meter.bus[0] != '\0') snprintf(mine.place, sizeof mine.place, "%.60s %s", host, meter.bus);
    if (meter.device != NULL && meter.n_looks == 0) look(); /* a run of less than a second */
    if (meter.n_looks > 0) mine.utilisation = meter.sum / meter.n_looks;
    if (meter.has_energy && nvml.energy(meter.device, &energy) == 0 && energy >= meter.energy_then)
        mine.energy_j = (double)(energy - meter.energy_then) / 1e3;
    pthread_mutex_unlock(&meter.mutex);
    return mine;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool is_told_before(const account *all, int r)
{
    for (int q = 0; q < r; q++)
        if (strcmp(all[q].place, all[r].place) == 0) return true;
    return false;
}

static void add_up(ns_gpu_meters *out, const account *all, int n_ranks, double *utilisations)
{
    int n = 0;
    for (int r = 0; r < n_ranks; r++) {
        if (all[r].place[0] == '\0' || is_told_before(all, r)) continue;
        out->n_gpus++;
        if (all[r].utilisation >= 0) utilisations[n++] = all[r].utilisation;
        if (all[r].energy_j >= 0) {
            out->has_energy = true;
            out->energy_j += all[r].energy_j;
        }
    }
    if (n == 0) return;
    qsort(utilisations, (size_t)n, sizeof *utilisations, by_value);
    out->has_utilisation = true;
    out->utilisation = (ns_spread){utilisations[0], utilisations[(n - 1) / 2], utilisations[n - 1]};
}

ns_status ns_gpu_meters_gather(ns_gpu_meters *out, MPI_Comm comm)
{
    int n_ranks;
    MPI_Comm_size(comm, &n_ranks);
    memset(out, 0, sizeof *out);
    account mine = account_of_this_rank(), *all = calloc((size_t)n_ranks, sizeof *all);
    double *utilisations = calloc((size_t)n_ranks, sizeof *utilisations);
    ns_status status = ns_agree(
        all == NULL || utilisations == NULL ? ns_fail(NS_ENOMEM, "no memory for what the GPUs did") : NS_OK,
        comm);
    if (status == NS_OK) {
        MPI_Allgather(&mine, (int)sizeof mine, MPI_BYTE, all, (int)sizeof mine, MPI_BYTE, comm);
        add_up(out, all, n_ranks, utilisations);
    }
    free(all);
    free(utilisations);
    return status;
}
