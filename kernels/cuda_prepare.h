#ifndef NIGHTSHIFT_KERNELS_CUDA_PREPARE_H
#define NIGHTSHIFT_KERNELS_CUDA_PREPARE_H
/*
 * What is done to a column of floats on a GPU before training: counted for its cuts, and binned. Formulas: kernels/tally.h,
 * kernels/bin.h. Calls are queued on the stream in use. Failures as kernels/cuda_state.h.
 */
#include <stdint.h>

#include "kernels/cuda_state.h"

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/bin.h"
#include "kernels/tally.h"

/* One step of a pass; all pointers are to the device. */
typedef struct ns_cuda_counting {
    const float *value; /* [n] NaN is left out */
    int64_t n;          /* below 2^32 */
    int shift, bits;    /* of the step */
    int64_t n_tables;
    const uint32_t *prefix, *index; /* [n_tables] as ns_tally_wanted gives them */
    uint32_t *count;                /* [n_tables][1 << bits], added to */
} ns_cuda_counting;
ns_status ns_cuda_count(ns_cuda *cuda, const ns_cuda_counting *step);

/* From so many values on blocks count in shared memory, and with fewer at once in the tables: the tests have both. */
enum { NS_CUDA_FEW_VALUES = 8192 };

/* out[i] = isnan(value[i]) ? 0 : 1 + the number of cuts < value[i]. */
typedef struct ns_cuda_binning {
    ns_padded_cuts cuts;
    const float *value; /* [n] */
    int64_t n;
    uint8_t *out; /* [n] on the device, or on the host where it cannot be paged */
} ns_cuda_binning;
ns_status ns_cuda_bin(ns_cuda *cuda, const ns_cuda_binning *binning);

#ifdef __cplusplus
}
#endif
#endif
