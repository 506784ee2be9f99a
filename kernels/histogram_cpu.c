#include "kernels/histogram.h"

#include <stddef.h>

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

/* A full tile is the common case; its constant trip count lets the compiler unroll the sixteen adds. */
static void tile_narrow(const ns_tile_view *tile, const uint32_t *row, const uint64_t *add, int64_t n,
                        uint64_t *sums)
{
    if (tile->n_lanes == NS_LANES) {
        for (int64_t i = 0; i < n; i++) {
            if (i + NS_AHEAD < n) NS_PREFETCH(tile->bytes + (size_t)row[i + NS_AHEAD] * NS_LANES);
            const uint8_t *bin = tile->bytes + (size_t)row[i] * NS_LANES;
            uint64_t value = add[i];
            for (int l = 0; l < NS_LANES; l++) sums[l * NS_BYTE_BINS + bin[l]] += value;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (i + NS_AHEAD < n) NS_PREFETCH(tile->bytes + (size_t)row[i + NS_AHEAD] * NS_LANES);
        const uint8_t *bin = tile->bytes + (size_t)row[i] * NS_LANES;
        uint64_t value = add[i];
        for (int32_t l = 0; l < tile->n_lanes; l++) sums[l * NS_BYTE_BINS + bin[tile->lane[l]]] += value;
    }
}

static void tile_wide(const ns_tile_view *tile, const uint32_t *row, const uint64_t *add, int64_t n,
                      uint64_t *sums)
{
    for (int64_t i = 0; i < n; i++) {
        if (i + NS_AHEAD < n) NS_PREFETCH(tile->bytes + (size_t)row[i + NS_AHEAD] * NS_LANES);
        const uint8_t *bin = tile->bytes + (size_t)row[i] * NS_LANES;
        uint64_t g = add[2 * i], h = add[2 * i + 1];
        for (int32_t l = 0; l < tile->n_lanes; l++) {
            uint64_t *sum = sums + 2 * (l * NS_BYTE_BINS + bin[tile->lane[l]]);
            sum[0] += g;
            sum[1] += h;
        }
    }
}

/* The signed number in the top 26 bits. */
static inline int64_t top_of(uint64_t word)
{
    uint64_t top = word >> NARROW_G_AT;
    return (int64_t)(top ^ (UINT64_C(1) << 25)) - (INT64_C(1) << 25);
}

static void flush_narrow(uint64_t *sums, int32_t n_bins, ns_cell *cell)
{
    for (int32_t b = 0; b < n_bins; b++) {
        uint64_t word = sums[b];
        cell[b].g += top_of(word);
        cell[b].h += (int64_t)(word >> COUNT_BITS & ((UINT64_C(1) << NARROW_H_BITS) - 1));
        cell[b].n += (int64_t)(word & ((UINT64_C(1) << COUNT_BITS) - 1));
        sums[b] = 0;
    }
}

static void flush_wide(uint64_t *sums, int32_t n_bins, ns_cell *cell)
{
    for (int32_t b = 0; b < n_bins; b++) {
        cell[b].g += (int64_t)sums[2 * b];
        cell[b].h += (int64_t)(sums[2 * b + 1] >> COUNT_BITS);
        cell[b].n += (int64_t)(sums[2 * b + 1] & ((UINT64_C(1) << COUNT_BITS) - 1));
        sums[2 * b] = sums[2 * b + 1] = 0;
    }
}

static void column_narrow(const uint16_t *bin, const int32_t *word, const uint32_t *row, int64_t n,
                          ns_cell *cell)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t w = word[row[i]], h = w & 4095;
        ns_cell *c = &cell[bin[row[i]]];
        c->g += (w - h) / 4096;
        c->h += h;
        c->n += 1;
    }
}

static void column_wide(const uint16_t *bin, const int64_t *word, const uint32_t *row, int64_t n,
                        ns_cell *cell)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t w = word[row[i]], h = w & INT64_C(0xffffffff);
        ns_cell *c = &cell[bin[row[i]]];
        c->g += (w - h) / (INT64_C(1) << 32);
        c->h += h;
        c->n += 1;
    }
}

static void subtract(ns_cell *parent, const ns_cell *smaller, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        parent[i].g -= smaller[i].g;
        parent[i].h -= smaller[i].h;
        parent[i].n -= smaller[i].n;
    }
}

const ns_histogram_loops NS_AT_LEVEL(ns_histogram) = {
    .gather_narrow = gather_narrow,
    .gather_wide = gather_wide,
    .tile_narrow = tile_narrow,
    .tile_wide = tile_wide,
    .flush_narrow = flush_narrow,
    .flush_wide = flush_wide,
    .column_narrow = column_narrow,
    .column_wide = column_wide,
    .subtract = subtract,
};
