#include "kernels/bin.h"

#include <string.h>

#include "kernels/level_name.h"

/*
 * Eight halvings without a branch, LANES values side by side: each waits for its own table look-ups, together
 * they keep the processor busy (or become vector gathers).
 */
enum { LANES = 16 };

static inline void search(const ns_padded_cuts *cuts, const float *x, uint32_t *below)
{
    for (int i = 0; i < LANES; i++) below[i] = 0;
    for (uint32_t half = 128; half > 0; half /= 2)
        for (int i = 0; i < LANES; i++) below[i] += cuts->cut[below[i] + half - 1] < x[i] ? half : 0;
    for (int i = 0; i < LANES; i++) below[i] = x[i] == x[i] ? below[i] + 1 : 0;
}

static void number(const ns_padded_cuts *cuts, const float *x, int64_t n, uint8_t *out, int64_t step)
{
    uint32_t bin[LANES];
    int64_t whole = n - n % LANES;
    for (int64_t from = 0; from < whole; from += LANES) {
        search(cuts, x + from, bin);
        for (int i = 0; i < LANES; i++) out[(from + i) * step] = (uint8_t)bin[i];
    }
    if (whole == n) return;
    float rest[LANES] = {0};
    memcpy(rest, x + whole, (size_t)(n - whole) * sizeof *rest);
    search(cuts, rest, bin);
    for (int64_t i = whole; i < n; i++) out[i * step] = (uint8_t)bin[i - whole];
}

/* Some rows of all lanes at a time, so that what is turned stays in the first-level cache. */
enum { TURNED = 256 };

static void tile(const ns_bins *bins, int32_t index, int64_t first, int64_t last)
{
    uint8_t lanes[NS_LANES][TURNED];
    memset(lanes, 0, sizeof lanes);
    int64_t step;
    uint8_t *to = ns_bins_tile(bins, index, &step) + first * step;
    for (int64_t from = first; from < last; from += TURNED) {
        int32_t n = (int32_t)(last - from < TURNED ? last - from : TURNED);
        for (int32_t l = 0; l < NS_LANES && index * NS_LANES + l < bins->n_lanes; l++) {
            const ns_lane *lane = &bins->lane[index * NS_LANES + l];
            for (int32_t c = 0; c < lane->n_columns; c++) {
                const uint8_t *bin = ns_bins_bytes(bins, lane->feature[c]) + from;
                for (int32_t i = 0; i < n; i++)
                    lanes[l][i] = (uint8_t)((c == 0 ? 0 : lanes[l][i]) + bin[i] * lane->stride[c]);
            }
        }
        for (int32_t i = 0; i < n; i++, to += step)
            for (int l = 0; l < NS_LANES; l++) to[l] = lanes[l][i];
    }
}

const ns_bin_loops NS_AT_LEVEL(ns_bin) = {.number = number, .tile = tile};
