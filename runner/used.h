#ifndef NIGHTSHIFT_RUNNER_USED_H
#define NIGHTSHIFT_RUNNER_USED_H
/*
 * What a run used, over all ranks: in the record of its life, in the log, and for Prometheus.
 *
 * "used" in run.json or night.json: wall_s; and as {least, median, most} of the ranks cpu_s, waiting_share (of the wall time, in
 * reductions and agreements: others are late, or the network is slow), peak_bytes, read_bytes (system calls, from disk or file
 * cache), sent_bytes (to reductions, cluster/README.md), and in phases the seconds of each; gpus (ranks that share one count it once),
 * gpu_hours (wall time of all GPUs), where NVML is there gpu_utilization (of a GPU, 0 to 1) and gpu_energy_j (of all GPUs;
 * cluster/gpu_meter.h), and cost where run.cost_per_gpu_hour is given.
 */
#include <jansson.h>

#include "jobs/job.h"
#include "runner/context.h"

/*
 * Gathers it at the end of a run that is done or was asked to stop.
 *   used    out  rank 0: a new reference; NULL elsewhere
 *   phases  in   {name: seconds} of this rank, the same names in the same order on all ranks
 * Also logs event=used. Collective. NS_ENOMEM.
 */
ns_status ns_used_gather(json_t **used, const ns_context *context, const ns_job *job, json_t *phases);

/*
 * Writes run.prometheus_dir/nightshift_NAME_VERB.prom by rename, in Prometheus's text format 0.0.4 as node_exporter's textfile
 * collector reads it, readable by everybody: it holds no patient's data. Does nothing without that option. A failure is a warning:
 * a night is worth more than its figures. Rank 0.
 */
void ns_used_publish(const ns_context *context, const ns_job *job, const json_t *used, int exit_code);

/* The text of that file; freed by the caller, NULL without memory. ended: seconds since 1970. Pure. */
char *ns_used_prometheus(const json_t *used, const char *name, const char *verb, int exit_code, double ended);
#endif
