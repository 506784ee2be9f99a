#include "kernels/columns.h"

#include <string.h>

/* The rank-th smallest of n different keys, rank from 0; keys are reordered. Bits from the top decide, one at
 * a time. */
static uint64_t nth(uint64_t *keys, int32_t n, int32_t rank)
{
    int32_t first = 0, last = n;
    for (uint64_t bit = UINT64_C(1) << 63; last - first > 1; bit >>= 1) {
        int32_t ones = first;
        for (int32_t i = first; i < last; i++) {
            uint64_t key = keys[i];
            if ((key & bit) != 0) continue;
            keys[i] = keys[ones];
            keys[ones++] = key;
        }
        if (rank < ones)
            last = ones;
        else
            first = ones;
    }
    return keys[first];
}

int32_t ns_columns_sample(const ns_stream *stream, const int32_t *from, int32_t n, double fraction,
                          uint64_t *keys, int32_t *out)
{
    if (n <= 0) return 0;
    int32_t wanted = ns_floor_i32(fraction * (double)n + 0.5);
    wanted = wanted < 1 ? 1 : wanted > n ? n : wanted;
    if (wanted == n) {
        memmove(out, from, (size_t)n * sizeof *out);
        return n;
    }
    for (int32_t i = 0; i < n; i++)
        keys[i] = (uint64_t)ns_stream_word(stream, (uint64_t)from[i]) << 32 | (uint32_t)from[i];
    memcpy(keys + n, keys, (size_t)n * sizeof *keys);
    uint64_t last = nth(keys + n, n, wanted - 1);
    int32_t taken = 0;
    for (int32_t i = 0; i < n; i++)
        if (keys[i] <= last) out[taken++] = from[i];
    return taken;
}
