#include "kernels/bin.h"

#include <string.h>

#include "kernels/numerics.h"

void ns_pad_cuts(ns_padded_cuts *out, const float *cuts, int32_t n_cuts)
{
    for (int32_t i = 0; i < 256; i++) out->cut[i] = i < n_cuts ? cuts[i] : ns_from_bits_f32(0x7f800000u);
}
