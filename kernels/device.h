#ifndef NIGHTSHIFT_KERNELS_DEVICE_H
#define NIGHTSHIFT_KERNELS_DEVICE_H
/*
 * One device of one rank, and the tables of operations that a backend offers on it. The cpu backend is always
 * there and defines what every operation means; others must give its bytes.
 */
#include <stddef.h>
#include <stdint.h>

#include "cluster/status.h"
#include "kernels/link.h"

struct ns_forest_ops;
struct ns_level;
struct ns_scorer_ops;

/* What was done on a GPU since it was opened. */
typedef struct ns_device_launches {
    const char *kernel;
    int64_t n;
    double seconds; /* with NIGHTSHIFT_PROFILE=1, else 0 */
} ns_device_launches;

typedef struct ns_device_use {
    char gpu[128];      /* its name: "NVIDIA H200" */
    char bus[32];       /* its PCI address: "0000:3b:00.0" */
    const char *sums;   /* over ranks: "none" (one rank), "host", "nccl" */
    char why_host[128]; /* why not nccl; empty with one rank, or with nccl */
    const ns_device_launches *launches; /* [n_kernels] each kernel that was launched, in graphs or by itself */
    int n_kernels;
    int64_t graph_launches; /* each stands for several launches of kernels */
    int64_t copies_in, copies_out, bytes_in, bytes_out;
    int64_t waits; /* of the host for the GPU */
    int64_t histogram_rows, parted_rows; /* that training added to histograms, and parted: what its floors follow from */
    /* Scoring, seconds: the host gathered columns, copies both ways, the kernel; they overlap. */
    double gather_s, copy_s, score_s;
} ns_device_use;

typedef struct ns_device {
    const char *name;  /* "cpu" or "cuda" */
    const char *level; /* the instruction set in use: "baseline", "avx2", "avx512"; cuda: "sm_90" and the like */
    ns_link link;
    int n_threads; /* > 0 */
    const struct ns_forest_ops *forest;
    const struct ns_scorer_ops *scorer;
    const struct ns_level *loops; /* cpu: its inner loops for that instruction set */
    const ns_device_use *use;     /* NULL for cpu; grows as the device is used */
    char why_not[256];            /* auto: why there is no GPU; else empty */
    void *state;                  /* the backend's own, NULL for cpu */
    void (*close)(struct ns_device *device); /* gives state back; NULL for cpu */
} ns_device;

/*
 * Opens the device of this rank and checks the arithmetic of every thread (ns_device_check). A GPU is used through
 * nightshift_cuda.so: the file in NIGHTSHIFT_CUDA, or the one that lies beside the program, or in ../lib of its folder.
 * Rank r of a node takes GPU r modulo the number of GPUs, so several ranks may share one.
 *   out        out  owned by the caller, closed with ns_device_close; NULL on failure
 *   name       in   "cpu"; "cuda"; "auto": cuda where there is one, else cpu, and why_not says why
 *   n_threads  in   threads that kernels may use, > 0
 *   link       in   copied
 * Local. Fails with NS_EUNAVAILABLE (no such device; NIGHTSHIFT_CPU names a level this processor has not; a
 * thread's arithmetic is not IEEE 754), NS_EINVAL (name is none of the three; NIGHTSHIFT_CPU is not baseline,
 * avx2 or avx512), NS_ENOMEM or NS_EDEVICE.
 */
ns_status ns_device_open(ns_device **out, const char *name, int n_threads, const ns_link *link);
void ns_device_close(ns_device **device);

/*
 * One line on the GPUs of this machine, for ns_program_version: "2 x sm_90, driver for CUDA 13.0". Local. NS_EUNAVAILABLE: there is
 * none that could be used, and why.
 */
ns_status ns_device_look_for_cuda(char *text, size_t size);

/*
 * Whether on every thread doubles and floats round to nearest and subnormals are neither flushed nor taken
 * for zero. Libraries change this when they are loaded: to be called again after each dlopen. Local.
 * NS_EUNAVAILABLE, naming what is wrong.
 */
ns_status ns_device_check(const ns_device *device);
#endif
