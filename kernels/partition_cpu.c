#include "kernels/partition.h"

#include <stddef.h>
#include <string.h>

#include "kernels/level_name.h"

/* Every row is written to both ends and only one end moves: which way rows go is as good as random to the
 * processor. */
static int64_t bytes(const uint8_t *column, const uint8_t left[NS_BYTE_BINS], const uint32_t *row, int64_t n,
                     uint32_t *out)
{
    int64_t n_left = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i + NS_AHEAD < n) NS_PREFETCH(column + row[i + NS_AHEAD]);
        uint32_t r = row[i];
        int64_t goes = left[column[r]];
        out[n_left] = r;
        out[n - 1 - (i - n_left)] = r; /* where both are one place, it is the last row's */
        n_left += goes;
    }
    return n_left;
}

static int64_t wide(const uint16_t *bin, const uint32_t *set, const uint32_t *row, int64_t n, uint32_t *out)
{
    int64_t n_left = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t r = row[i];
        int64_t goes = set[bin[r] >> 5] >> (bin[r] & 31) & 1;
        out[n_left] = r;
        out[n - 1 - (i - n_left)] = r;
        n_left += goes;
    }
    return n_left;
}

static void place(const uint32_t *out, int64_t n, int64_t n_left, uint32_t *left, uint32_t *right)
{
    memcpy(left, out, (size_t)n_left * sizeof *left);
    for (int64_t i = 0; i < n - n_left; i++) right[i] = out[n - 1 - i];
}

const ns_partition_loops NS_AT_LEVEL(ns_partition) = {.bytes = bytes, .wide = wide, .place = place};
