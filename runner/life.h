#ifndef NIGHTSHIFT_RUNNER_LIFE_H
#define NIGHTSHIFT_RUNNER_LIFE_H
/* What every record of a run says of one life: where, with what and on which files it ran. */
#include <jansson.h>

#include "data/cohort.h"
#include "kernels/device.h"
#include "runner/context.h"

/*
 * Adds verb, began, host, ranks, threads, device, level, versions and the cohort's files to life. Local; rank 0. NS_ENOMEM.
 */
ns_status ns_life_describe(json_t *life, const ns_context *context, const ns_device *device, const ns_cohort *cohort);

/*
 * "gpu" into life, where the device is one: its name, how sums over ranks were taken ("none", "host" with why, "nccl"), how often each
 * kernel was launched, copies and their bytes each way, how often the host waited, rows added to histograms and parted, with
 * NIGHTSHIFT_PROFILE=1 the seconds of each kernel; all of rank 0, since the device was
 * opened. Where memory does not suffice, life stays without. Local; device may be NULL.
 */
void ns_life_add_gpu(json_t *life, const ns_device *device);

/* How sums over ranks are taken on GPUs, as one event of the log; nothing with one rank or without a GPU. Local. */
void ns_life_log_sums(const ns_device *device);
#endif
