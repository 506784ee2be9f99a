#ifndef NIGHTSHIFT_CLUSTER_GPU_METER_H
#define NIGHTSHIFT_CLUSTER_GPU_METER_H
/*
 * How busy the GPUs of a run were and what energy they took, as NVML tells it: libnvidia-ml.so.1, which comes with the driver and is
 * opened at run time (NIGHTSHIFT_NVML names another file). Where it is not there, or a GPU does not tell, nothing is measured.
 *
 * Both are of the whole GPU, whoever else uses it: the utilisation is the mean over looks, one a second at most, of the share of time
 * in which a kernel ran shortly before (nvmlDeviceGetUtilizationRates); the energy is the difference of two readings of the GPU's own
 * counter (nvmlDeviceGetTotalEnergyConsumption, from Volta on).
 */
#include <mpi.h>
#include <stdbool.h>

#include "cluster/usage.h"

/*
 * Measures, from now on, the GPU at a PCI address such as "0000:3b:00.0"; "" or NULL: none. Begins anew where it did before.
 * Local; not while another thread looks.
 */
void ns_gpu_meter_open(const char *bus);

/* Reads the utilisation, where a second has gone by since it was last read. Local; from any thread. */
void ns_gpu_meter_look(void);

typedef struct ns_gpu_meters {
    int n_gpus;                       /* different ones; ranks that share one count it once */
    bool has_utilisation, has_energy; /* some GPU told */
    ns_spread utilisation;            /* 0 to 1, over the GPUs that told */
    double energy_j;                  /* of all that told */
} ns_gpu_meters;

/* What was measured until now, over all ranks. Collective over comm: the same on every rank. NS_ENOMEM, likewise. */
ns_status ns_gpu_meters_gather(ns_gpu_meters *out, MPI_Comm comm);
#endif
