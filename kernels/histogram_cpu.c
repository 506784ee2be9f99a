#include "kernels/histogram.h"

#include <stddef.h>
#include <string.h>

#include "kernels/level_name.h"

/* Signed parts sit on top of their word, so that a borrow leaves it and lower parts are never negative. */
enum { COUNT_BITS = 13, NARROW_H_BITS = 25, NARROW_G_AT = COUNT_BITS + NARROW_H_BITS };

static void gather_narrow(const int32_t *word, const uint32_t *row, int64_t n, uint64_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t w = word[row[i]];
        int32_t h = w & 4095;
        out[i] =
            ((uint64_t)(int64_t)((w - h) / 4096) << NARROW_G_AT) + ((uint64_t)(uint32_t)h << COUNT_BITS) + 1;
    }
}

static void gather_wide(const int64_t *word, const uint32_t *row, int64_t n, uint64_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t w = word[row[i]];
        int64_t h = w & INT64_C(0xffffffff);
        out[2 * i] = (uint64_t)((w - h) / (INT64_C(1) << 32));
        out[2 * i + 1] = ((uint64_t)h << COUNT_BITS) + 1;
    }
}

/*
 * Some of a tile's sixteen bytes come from a register, the rest from memory: either alone keeps one part of the
 * processor busier than the others (0.35 ns an add on a Zen 4; all from memory 0.39, all from registers 0.38).
 */
/* All tiles that lie abreast: the next one finds the row in the second-level cache. */
static inline void prefetch_row(const uint8_t *bytes, size_t step)
{
    NS_PREFETCH(bytes);
    NS_PREFETCH(bytes + step - 1);
}

static inline void add_two(uint64_t *sums, uint64_t bytes, uint64_t value)
{
    sums[(uint8_t)bytes] += value;
    sums[NS_BYTE_BINS + (uint8_t)(bytes >> 8)] += value;
}

/* The first n_lanes lanes, a constant where it is inlined: 4, 8, 12 or 16. */
static inline void first_lanes(int n_lanes, const ns_tile_view *tile, const uint32_t *row, const uint64_t *add,
                               int64_t n, uint64_t *sums)
{
    const uint8_t *bytes = tile->bytes;
    size_t step = (size_t)tile->step;
    for (int64_t i = 0; i < n; i++) {
        if (i + NS_AHEAD < n) prefetch_row(bytes + row[i + NS_AHEAD] * step, step);
        const uint8_t *bin = bytes + row[i] * step;
        uint64_t value = add[i], eight;
        memcpy(&eight, bin, sizeof eight);
        int n_held = n_lanes < 8 ? n_lanes : 8;
        for (int l = 0; l < n_held; l += 2, eight >>= 16) add_two(sums + l * NS_BYTE_BINS, eight, value);
        for (int l = 8; l < n_lanes; l++) sums[l * NS_BYTE_BINS + bin[l]] += value;
    }
}

static void chosen_lanes(const ns_tile_view *tile, const uint32_t *row, const uint64_t *add, int64_t n, uint64_t *sums)
{
    size_t step = (size_t)tile->step;
    for (int64_t i = 0; i < n; i++) {
        if (i + NS_AHEAD < n) prefetch_row(tile->bytes + row[i + NS_AHEAD] * step, step);
        const uint8_t *bin = tile->bytes + row[i] * step;
        uint64_t value = add[i];
        for (int32_t l = 0; l < tile->n_lanes; l++) sums[l * NS_BYTE_BINS + bin[tile->lane[l]]] += value;
    }
}

/* Lanes without a gap from the first: with those up to the next multiple of four, whose sums are dropped after. */
static void tile_narrow(const ns_tile_view *tile, const uint32_t *row, const uint64_t *add, int64_t n,
                        uint64_t *sums)
{
    int32_t n_lanes = tile->n_lanes, most = (n_lanes + 3) / 4 * 4;
    if (n_lanes == 0 || tile->lane[n_lanes - 1] != n_lanes - 1) {
        chosen_lanes(tile, row, add, n, sums);
        return;
    }
    if (most == 16)
        first_lanes(16, tile, row, add, n, sums);
    else if (most == 12)
        first_lanes(12, tile, row, add, n, sums);
    else if (most == 8)
        first_lanes(8, tile, row, add, n, sums);
    else
        first_lanes(4, tile, row, add, n, sums);
    if (n_lanes < most) memset(sums + n_lanes * NS_BYTE_BINS, 0, (size_t)(most - n_lanes) * NS_BYTE_BINS * sizeof *sums);
}

static void tile_wide(const ns_tile_view *tile, const uint32_t *row, const uint64_t *add, int64_t n,
                      uint64_t *sums)
{
    size_t step = (size_t)tile->step;
    for (int64_t i = 0; i < n; i++) {
        if (i + NS_AHEAD < n) prefetch_row(tile->bytes + row[i + NS_AHEAD] * step, step);
        const uint8_t *bin = tile->bytes + row[i] * step;
        uint64_t g = add[2 * i], h = add[2 * i + 1];
        for (int32_t l = 0; l < tile->n_lanes; l++) {
            uint64_t *sum = sums + 2 * (l * NS_BYTE_BINS + bin[tile->lane[l]]);
            sum[0] += g;
            sum[1] += h;
        }
    }
}

static void column_narrow(const uint16_t *bin, const uint32_t *row, const uint64_t *add, int64_t n,
                          uint64_t *sums)
{
    for (int64_t i = 0; i < n; i++) {
        if (i + NS_AHEAD < n) NS_PREFETCH(bin + row[i + NS_AHEAD]);
        sums[bin[row[i]]] += add[i];
    }
}

static void column_wide(const uint16_t *bin, const uint32_t *row, const uint64_t *add, int64_t n,
                        uint64_t *sums)
{
    for (int64_t i = 0; i < n; i++) {
        if (i + NS_AHEAD < n) NS_PREFETCH(bin + row[i + NS_AHEAD]);
        uint64_t *sum = sums + 2 * (size_t)bin[row[i]];
        sum[0] += add[2 * i];
        sum[1] += add[2 * i + 1];
    }
}

/* The signed number in the top 26 bits. */
static inline int64_t top_of(uint64_t word)
{
    uint64_t top = word >> NARROW_G_AT;
    return (int64_t)(top ^ (UINT64_C(1) << 25)) - (INT64_C(1) << 25);
}

static inline int64_t middle_of(uint64_t word)
{
    return (int64_t)(word >> COUNT_BITS & ((UINT64_C(1) << NARROW_H_BITS) - 1));
}

static inline int64_t count_of(uint64_t word)
{
    return (int64_t)(word & ((UINT64_C(1) << COUNT_BITS) - 1));
}

static void fold_narrow(const uint64_t *restrict sums, int32_t lane_bins, int32_t stride, int32_t n_bins,
                        uint64_t *restrict into)
{
    for (int32_t b = 0; b < n_bins; b++) into[b] = 0;
    for (int32_t from = 0; from < lane_bins; from += stride * n_bins)
        for (int32_t b = 0; b < n_bins; b++)
            for (int32_t i = 0; i < stride; i++) into[b] += sums[from + b * stride + i];
}

static void fold_wide(const uint64_t *restrict sums, int32_t lane_bins, int32_t stride, int32_t n_bins,
                      uint64_t *restrict into)
{
    for (int32_t b = 0; b < 2 * n_bins; b++) into[b] = 0;
    for (int32_t from = 0; from < lane_bins; from += stride * n_bins)
        for (int32_t b = 0; b < n_bins; b++)
            for (int32_t i = 0; i < stride; i++) {
                const uint64_t *sum = sums + 2 * (from + b * stride + i);
                into[2 * b] += sum[0];
                into[2 * b + 1] += sum[1];
            }
}

static void flush_narrow(uint64_t *restrict sums, int32_t n_bins, ns_planes planes)
{
    int64_t *restrict g = planes.g, *restrict h = planes.h, *restrict n = planes.n;
    for (int32_t b = 0; b < n_bins; b++) {
        uint64_t word = sums[b];
        g[b] += top_of(word);
        h[b] += middle_of(word);
        n[b] += count_of(word);
        sums[b] = 0;
    }
}

static void flush_wide(uint64_t *restrict sums, int32_t n_bins, ns_planes planes)
{
    int64_t *restrict g = planes.g, *restrict h = planes.h, *restrict n = planes.n;
    for (int32_t b = 0; b < n_bins; b++) {
        g[b] += (int64_t)sums[2 * b];
        h[b] += (int64_t)(sums[2 * b + 1] >> COUNT_BITS);
        n[b] += count_of(sums[2 * b + 1]);
        sums[2 * b] = sums[2 * b + 1] = 0;
    }
}

static void flush_packed(uint64_t *restrict sums, int32_t n_bins, uint64_t *restrict words)
{
    for (int32_t b = 0; b < n_bins; b++) {
        words[b] += sums[b];
        sums[b] = 0;
    }
}

static void unpack(const uint64_t *restrict words, int32_t n_bins, ns_planes planes)
{
    int64_t *restrict g = planes.g, *restrict h = planes.h, *restrict n = planes.n;
    for (int32_t b = 0; b < n_bins; b++) {
        g[b] = top_of(words[b]);
        h[b] = middle_of(words[b]);
        n[b] = count_of(words[b]);
    }
}

static void pack(ns_planes planes, int32_t n_bins, uint64_t *restrict words)
{
    const int64_t *restrict g = planes.g, *restrict h = planes.h, *restrict n = planes.n;
    for (int32_t b = 0; b < n_bins; b++)
        words[b] = ((uint64_t)g[b] << NARROW_G_AT) + ((uint64_t)h[b] << COUNT_BITS) + (uint64_t)n[b];
}

static void subtract(uint64_t *restrict parent, const uint64_t *restrict smaller, int64_t n)
{
    for (int64_t i = 0; i < n; i++) parent[i] -= smaller[i];
}

const ns_histogram_loops NS_AT_LEVEL(ns_histogram) = {
    .gather_narrow = gather_narrow,
    .gather_wide = gather_wide,
    .tile_narrow = tile_narrow,
    .tile_wide = tile_wide,
    .column_narrow = column_narrow,
    .column_wide = column_wide,
    .fold_narrow = fold_narrow,
    .fold_wide = fold_wide,
    .flush_narrow = flush_narrow,
    .flush_wide = flush_wide,
    .flush_packed = flush_packed,
    .unpack = unpack,
    .pack = pack,
    .subtract = subtract,
};
