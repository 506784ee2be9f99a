#include "kernels/bin.h"

#include <string.h>

#include "kernels/numerics.h"

void ns_pad_cuts(ns_padded_cuts *out, const float *cuts, int32_t n_cuts)
{
    for (int32_t i = 0; i < 256; i++) out->cut[i] = i < n_cuts ? cuts[i] : ns_from_bits_f32(0x7f800000u);
}

/* Columns of few bins first and then by number, so that as many as can share; each joins the open lane or opens
 * the next. */
void ns_bins_share_lanes(ns_bins *bins, const int32_t *n_bins)
{
    bins->n_lanes = 0;
    for (int32_t wanted = 2; wanted <= NS_BYTE_BINS; wanted++)
        for (int32_t f = 0; f < bins->n_features; f++) {
            if (bins->place[f] < 0 || n_bins[f] != wanted) continue;
            ns_lane *lane = bins->n_lanes > 0 ? &bins->lane[bins->n_lanes - 1] : NULL;
            if (lane == NULL || lane->n_bins * wanted > NS_BYTE_BINS) {
                lane = &bins->lane[bins->n_lanes++];
                *lane = (ns_lane){.n_bins = 1};
            }
            lane->feature[lane->n_columns] = f;
            lane->stride[lane->n_columns++] = lane->n_bins;
            lane->n_bins *= wanted;
        }
    bins->n_tiles = (bins->n_lanes + NS_LANES - 1) / NS_LANES;
}
