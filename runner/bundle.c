#include "runner/bundle.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "runner/package.h"

/* Copies of what the other ranks need. */
static ns_status read_bundle(const char *path, char id[65], void **model, size_t *n_model, void **job, size_t *n_job)
{
    ns_package package;
    ns_status status = ns_package_read(&package, path, "bundle");
    if (status == NS_OK) {
        const ns_package_file *model_file = ns_package_find(&package, "model.safetensors");
        const ns_package_file *job_file = ns_package_find(&package, "job.yaml");
        if (model_file == NULL || job_file == NULL) {
            status = ns_fail(NS_EVERIFY, "'%s' has no %s", path, model_file == NULL ? "model.safetensors" : "job.yaml");
        } else {
            memcpy(id, package.id, 65);
            *n_model = model_file->n_bytes;
            *n_job = job_file->n_bytes;
            *model = malloc(*n_model + 1);
            *job = malloc(*n_job + 1);
            if (*model == NULL || *job == NULL) status = ns_fail(NS_ENOMEM, "no memory for bundle '%s'", path);
            else {
                memcpy(*model, model_file->bytes, *n_model + 1);
                memcpy(*job, job_file->bytes, *n_job + 1);
            }
        }
    }
    ns_package_destroy(&package);
    return status;
}

static ns_status parse_job(ns_bundle *out, const char *path)
{
    ns_job_sources sources = {.job_path = "job.yaml", .job_text = out->job_text, .job_folder = "/", .working_folder = "/"};
    ns_status status = ns_job_parse(&out->job, &sources);
    if (status == NS_OK) return NS_OK;
    ns_error error = *ns_last_error();
    ns_error_clear();
    return ns_fail(NS_EVERIFY, "'%s/job.yaml' cannot be understood: %.600s", path, error.message);
}

ns_status ns_bundle_load(ns_bundle *out, const char *path, MPI_Comm comm)
{
    memset(out, 0, sizeof *out);
    int rank;
    MPI_Comm_rank(comm, &rank);
    void *model = NULL, *job = NULL;
    size_t n_model = 0, n_job = 0;
    ns_status status = rank == 0 ? read_bundle(path, out->id, &model, &n_model, &job, &n_job) : NS_OK;
    status = ns_agree(status, comm);
    if (status == NS_OK) status = ns_share_bytes(&model, &n_model, 0, comm);
    if (status == NS_OK) status = ns_share_bytes(&job, &n_job, 0, comm);
    out->job_text = job;
    if (status == NS_OK) {
        MPI_Bcast(out->id, sizeof out->id, MPI_CHAR, 0, comm);
        status = ns_gbdt_parse(&out->model, model, n_model, "model.safetensors");
        if (status == NS_OK) status = parse_job(out, path);
        status = ns_agree(status, comm);
    }
    free(model);
    return status;
}

void ns_bundle_close(ns_bundle *bundle)
{
    ns_gbdt_destroy(&bundle->model);
    ns_job_destroy(&bundle->job);
    free(bundle->job_text);
    memset(bundle, 0, sizeof *bundle);
}
