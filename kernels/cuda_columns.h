#ifndef NIGHTSHIFT_KERNELS_CUDA_COLUMNS_H
#define NIGHTSHIFT_KERNELS_CUDA_COLUMNS_H
/*
 * The columns of a forest on a GPU: floats while they are counted and binned, and their bins until the forest is destroyed. The
 * bins lie column by column, as kernels/bin.h has them, on the device or, where its memory does not suffice, on the host
 * where it cannot be paged; there kernels read them through PCIe, at most 55 GB/s instead of 4,000.
 */
#include "kernels/cuda_prepare.h"
#include "kernels/cuda_slabs.h"
#include "kernels/forest_state.h"

typedef struct ns_cuda_columns ns_cuda_columns;

typedef struct ns_cuda_bins {
    uint8_t *bytes; /* [n_bytes][n_rows] */
    uint16_t *wide; /* [n_wide][n_rows] */
    bool on_host;
} ns_cuda_bins;

/* *out is to be destroyed after a failure too. Local. NS_ENOMEM: no room for the bins, neither there nor here. */
ns_status ns_cuda_columns_create(ns_cuda_columns **out, const ns_forest *forest);
void ns_cuda_columns_destroy(ns_cuda_columns **columns, int32_t n_features);

/* count_slab, count_done, bin_slab and read_bins of ns_forest_ops. */
ns_status ns_cuda_columns_count(ns_forest *forest, const ns_slab *slab);
ns_status ns_cuda_columns_count_done(ns_forest *forest, int32_t first, int32_t n, bool *more);
ns_status ns_cuda_columns_bin(ns_forest *forest, const ns_slab *slab);
ns_status ns_cuda_columns_read(const ns_forest *forest, int32_t feature, int64_t first, int64_t n, void *out);

/* All rows are binned: gives back what only that needed. */
void ns_cuda_columns_end(ns_cuda_columns *columns, int32_t n_features);

ns_cuda_bins ns_cuda_columns_bins(const ns_cuda_columns *columns);

/* The bins leave the device. Local. NS_ENOMEM, NS_EDEVICE: they are lost then. */
ns_status ns_cuda_columns_to_host(ns_forest *forest);

/* NIGHTSHIFT_STREAM=rows or bins: as if the packed rows, or the bins too, did not fit. For tests, and to measure what it costs. */
bool ns_cuda_is_to_stream(const char *what);

/* One line in the log: that kernels read something on the host. */
void ns_cuda_say_streams(const char *what, int64_t n_bytes);
#endif
