#include "tests/kernels/backend.h"

#include <string.h>

#include "kernels/cuda_module.h"

const char *test_backend = "cuda";

ns_status test_open(ns_device **out, int n_threads, const ns_link *link)
{
    ns_status status = ns_device_open(out, "cpu", n_threads, link);
    if (status != NS_OK || strcmp(test_backend, "cpu") == 0) return status;
    status = ns_cuda_module_table.open(*out, link->rank);
    if (status != NS_OK) ns_device_close(out);
    return status;
}
