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
#endif
