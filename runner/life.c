#include "runner/life.h"

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

#include "cluster/log.h"
#include "cluster/machine.h"
#include "kernels/numerics.h"
#include "runner/json.h"

static json_t *files_json(const ns_cohort *cohort)
{
    json_t *files = json_array();
    for (int32_t i = 0; i < ns_cohort_n_files(cohort); i++) {
        int64_t first, n_rows, n_bytes;
        const char *path = ns_cohort_file(cohort, i, &first, &n_rows, &n_bytes);
        json_array_append_new(files, json_pack("{s:o, s:I, s:I}", "path", ns_json_path(path), "rows", (json_int_t)n_rows, "bytes", (json_int_t)n_bytes));
    }
    return files;
}

ns_status ns_life_describe(json_t *life, const ns_context *context, const ns_device *device, const ns_cohort *cohort)
{
    char began[21], hdf5[48], mpi[MPI_MAX_LIBRARY_VERSION_STRING], host[256];
    unsigned major, minor, release;
    int length;
    ns_status status = NS_OK;
    ns_host_name(host, sizeof host);
    H5get_libversion(&major, &minor, &release);
    snprintf(hdf5, sizeof hdf5, "%u.%u.%u", major, minor, release);
    MPI_Get_library_version(mpi, &length);
    mpi[strcspn(mpi, ",\n")] = '\0';
    ns_json_add(&status, life, "verb", json_string(context->args->verb));
    ns_json_add(&status, life, "began", json_string(ns_utc_now(began)));
    ns_json_add(&status, life, "host", json_string(host));
    ns_json_add(&status, life, "ranks", json_integer(context->n_ranks));
    ns_json_add(&status, life, "threads", json_integer(device->n_threads));
    ns_json_add(&status, life, "device", json_string(device->name));
    ns_json_add(&status, life, "level", json_string(device->level));
    ns_json_add(&status, life, "program_version", json_string(ns_program_version()));
    ns_json_add(&status, life, "numerics_version", json_integer(NS_NUMERICS_VERSION));
    ns_json_add(&status, life, "hdf5", json_string(hdf5));
    ns_json_add(&status, life, "mpi", json_string(mpi));
    ns_json_add(&status, life, "files", files_json(cohort));
    return status;
}

void ns_life_add_gpu(json_t *life, const ns_device *device)
{
    if (life == NULL || device == NULL || device->use == NULL) return;
    const ns_device_use *use = device->use;
    ns_status status = NS_OK;
    double seconds = 0; /* all of them 0: not profiled */
    json_t *gpu = json_object(), *launches = json_object(), *took = json_object();
    for (int i = 0; i < use->n_kernels; i++) {
        seconds += use->launches[i].seconds;
        ns_json_add(&status, launches, use->launches[i].kernel, json_integer(use->launches[i].n));
        ns_json_add(&status, took, use->launches[i].kernel, json_real(use->launches[i].seconds));
    }
    ns_json_add(&status, gpu, "name", json_string(use->gpu));
    ns_json_add(&status, gpu, "sums", json_string(use->sums));
    if (use->why_host[0] != '\0') ns_json_add(&status, gpu, "sums_why", json_string(use->why_host));
    ns_json_add(&status, gpu, "launches", launches);
    if (seconds > 0) ns_json_add(&status, gpu, "kernel_s", took);
    else json_decref(took);
    ns_json_add(&status, gpu, "graph_launches", json_integer(use->graph_launches));
    ns_json_add(&status, gpu, "copies_in", json_integer(use->copies_in));
    ns_json_add(&status, gpu, "bytes_in", json_integer(use->bytes_in));
    ns_json_add(&status, gpu, "copies_out", json_integer(use->copies_out));
    ns_json_add(&status, gpu, "bytes_out", json_integer(use->bytes_out));
    ns_json_add(&status, gpu, "waits", json_integer(use->waits));
    ns_json_add(&status, gpu, "histogram_rows", json_integer(use->histogram_rows));
    ns_json_add(&status, gpu, "parted_rows", json_integer(use->parted_rows));
    ns_json_add(&status, life, "gpu", gpu);
    if (status != NS_OK) ns_error_clear(); /* the run is no worse without */
}

void ns_life_log_sums(const ns_device *device)
{
    const ns_device_use *use = device->use;
    char quoted[160];
    if (use == NULL || device->link.n_ranks == 1) return;
    if (use->why_host[0] == '\0')
        ns_log_event(NS_LOG_INFO, "sums", "over_ranks=%s", use->sums);
    else
        ns_log_event(NS_LOG_INFO, "sums", "over_ranks=%s why=%s", use->sums, ns_log_value(quoted, sizeof quoted, use->why_host));
}
