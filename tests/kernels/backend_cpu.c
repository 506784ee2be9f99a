#include "tests/kernels/backend.h"

const char *test_backend = "cpu";

ns_status test_open(ns_device **out, int n_threads, const ns_link *link)
{
    return ns_device_open(out, "cpu", n_threads, link);
}
