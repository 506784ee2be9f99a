#include "data/split.h"

#include <stdbool.h>
#include <stddef.h>

static void store(uint8_t *to, uint64_t word)
{
    for (int i = 0; i < 8; i++) to[i] = (uint8_t)(word >> 8 * i);
}

/* Whether u / 2^64 < fraction. The product is exact: a double times a power of two. */
static bool is_below(uint64_t u, double fraction)
{
    if (!(fraction > 0)) return false;
    double limit = fraction * 18446744073709551616.0;
    return limit >= 18446744073709551616.0 || u < (uint64_t)limit;
}

static uint64_t word_of(const uint8_t *key, size_t n_bytes)
{
    uint8_t digest[32];
    ns_blake2b(digest, key, n_bytes);
    uint64_t u = 0;
    for (int i = 7; i >= 0; i--) u = u << 8 | digest[i];
    return u;
}

static ns_part part_of(const ns_split *split, const uint8_t *key, size_t n_bytes)
{
    uint64_t u = word_of(key, n_bytes);
    if (is_below(u, split->train)) return NS_PART_TRAIN;
    if (is_below(u, split->train + split->valid)) return NS_PART_VALID;
    /* 0.7 + 0.1 + 0.2 is 1 only nearly: what rounding leaves over is never given to a part of size 0 */
    if (split->test > 0) return NS_PART_TEST;
    return split->valid > 0 ? NS_PART_VALID : NS_PART_TRAIN;
}

ns_part ns_split_by_group(const ns_split *split, ns_hash128 group, int64_t row_number)
{
    if (group.hi == 0 && group.lo == 0) return ns_split_by_row(split, row_number);
    uint8_t key[24];
    store(key, split->seed);
    store(key + 8, group.hi);
    store(key + 16, group.lo);
    return part_of(split, key, sizeof key);
}

ns_part ns_split_by_row(const ns_split *split, int64_t row_number)
{
    uint8_t key[16];
    store(key, split->seed);
    store(key + 8, (uint64_t)row_number);
    return part_of(split, key, sizeof key);
}

int32_t ns_split_fold(uint64_t seed, int32_t n_folds, ns_hash128 group, int64_t row_number)
{
    static const uint64_t fold = UINT64_C(0x646c6f66);
    uint8_t key[32];
    size_t n_bytes = 24;
    store(key, seed);
    if (group.hi == 0 && group.lo == 0) {
        store(key + 8, (uint64_t)row_number);
        store(key + 16, fold);
    } else {
        store(key + 8, group.hi);
        store(key + 16, group.lo);
        store(key + 24, fold);
        n_bytes = 32;
    }
    /* the high half of a product of 64 and 31 bits, from two that fit */
    uint64_t u = word_of(key, n_bytes), n = (uint64_t)n_folds;
    return (int32_t)(((u >> 32) * n + ((u & 0xffffffff) * n >> 32)) >> 32);
}

/* Whether an outcome that may take `window` seconds is known before `end`. Subtracted from the end, which is a date that
   somebody wrote and leaves room; the time may be any number. */
static bool is_known(int64_t time, int64_t window, int64_t end)
{
    return window == 0 || end == NS_TIME_NEVER || time < end - window;
}

ns_left_out ns_split_until(const ns_time_split *split, int64_t time)
{
    if (time == INT64_MIN) return NS_LEFT_NO_TIME;
    if (time >= split->until) return NS_LEFT_AFTER_UNTIL;
    return is_known(time, split->window, split->until) ? NS_LEFT_NOT : NS_LEFT_WINDOW_OPEN;
}

ns_part ns_split_by_time(const ns_time_split *split, int64_t time, ns_left_out *why)
{
    *why = ns_split_until(split, time);
    if (*why != NS_LEFT_NOT) return NS_PART_NONE;
    if (time >= split->test_from) return NS_PART_TEST;
    ns_part part = time >= split->valid_from ? NS_PART_VALID : NS_PART_TRAIN;
    int64_t end = part == NS_PART_TRAIN && split->valid_from != NS_TIME_NEVER ? split->valid_from : split->test_from;
    if (is_known(time, split->window, end)) return part;
    *why = NS_LEFT_WINDOW_OPEN;
    return NS_PART_NONE;
}
