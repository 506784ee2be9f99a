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
