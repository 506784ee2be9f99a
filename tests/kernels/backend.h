#ifndef NIGHTSHIFT_TESTS_KERNELS_BACKEND_H
#define NIGHTSHIFT_TESTS_KERNELS_BACKEND_H
/*
 * The backend that a test program runs its cases on. Test programs are linked once with backend_cpu.c and once with
 * backend_cuda.c, which opens the cuda backend on whatever runs its kernels: the machine of tests/cuda_host, or a GPU.
 */
#include "kernels/device.h"

ns_status test_open(ns_device **out, int n_threads, const ns_link *link);

/* Its name: "cpu" or "cuda"; with backend_cuda.c a test may set it to "cpu" to compare. */
extern const char *test_backend;
#endif
