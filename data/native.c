#include "data/native.h"

#include <string.h>

hid_t ns_memory_type(ns_memory memory)
{
    switch (memory) {
    case NS_AS_UINT64:
        return H5T_NATIVE_UINT64;
    case NS_AS_FLOAT:
        return H5T_NATIVE_FLOAT;
    case NS_AS_DOUBLE:
        return H5T_NATIVE_DOUBLE;
    case NS_AS_LONG_DOUBLE:
        return H5T_NATIVE_LDOUBLE;
    case NS_AS_INT64:
        break;
    }
    return H5T_NATIVE_INT64;
}

size_t ns_memory_bytes(ns_memory memory)
{
    return memory == NS_AS_FLOAT ? sizeof(float) : memory == NS_AS_LONG_DOUBLE ? sizeof(long double) : sizeof(int64_t);
}

void ns_cells_turn(void *cells, const ns_cell *cell, int64_t n)
{
    if (!cell->swapped) return;
    if (cell->n_bytes == 2) {
        uint16_t *at = cells;
        for (int64_t i = 0; i < n; i++) at[i] = __builtin_bswap16(at[i]);
    } else if (cell->n_bytes == 4) {
        uint32_t *at = cells;
        for (int64_t i = 0; i < n; i++) at[i] = __builtin_bswap32(at[i]);
    } else if (cell->n_bytes == 8) {
        uint64_t *at = cells;
        for (int64_t i = 0; i < n; i++) at[i] = __builtin_bswap64(at[i]);
    }
}

/* IEEE 754 binary16, exactly; a NaN keeps its fraction. */
static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023u, bits;
    float value;
    if (exponent == 0) { /* zero and subnormals: fraction * 2^-24 */
        value = (float)fraction * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
    } else {
        bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void widen_signed(int64_t *out, const void *cells, size_t n_bytes, int64_t n)
{
    const int8_t *one = cells;
    const int16_t *two = cells;
    const int32_t *four = cells;
    const int64_t *eight = cells;
    if (n_bytes == 1)
        for (int64_t i = 0; i < n; i++) out[i] = one[i];
    else if (n_bytes == 2)
        for (int64_t i = 0; i < n; i++) out[i] = two[i];
    else if (n_bytes == 4)
        for (int64_t i = 0; i < n; i++) out[i] = four[i];
    else
        for (int64_t i = 0; i < n; i++) out[i] = eight[i];
}

/* As int64 the same bits: only 8 bytes hold more, and they are asked for as uint64. */
static void widen_unsigned(uint64_t *out, const void *cells, size_t n_bytes, int64_t n)
{
    const uint8_t *one = cells;
    const uint16_t *two = cells;
    const uint32_t *four = cells;
    const uint64_t *eight = cells;
    if (n_bytes == 1)
        for (int64_t i = 0; i < n; i++) out[i] = one[i];
    else if (n_bytes == 2)
        for (int64_t i = 0; i < n; i++) out[i] = two[i];
    else if (n_bytes == 4)
        for (int64_t i = 0; i < n; i++) out[i] = four[i];
    else
        for (int64_t i = 0; i < n; i++) out[i] = eight[i];
}

static void widen_to_float(float *out, const void *cells, size_t n_bytes, int64_t n)
{
    const uint16_t *half = cells;
    const float *single = cells;
    if (n_bytes == 2)
        for (int64_t i = 0; i < n; i++) out[i] = half_to_float(half[i]);
    else
        for (int64_t i = 0; i < n; i++) out[i] = single[i];
}

static void widen_to_double(double *out, const void *cells, size_t n_bytes, int64_t n)
{
    const uint16_t *half = cells;
    const float *single = cells;
    const double *wide = cells;
    if (n_bytes == 2)
        for (int64_t i = 0; i < n; i++) out[i] = (double)half_to_float(half[i]);
    else if (n_bytes == 4)
        for (int64_t i = 0; i < n; i++) out[i] = (double)single[i];
    else
        for (int64_t i = 0; i < n; i++) out[i] = wide[i];
}

void ns_cells_widen(void *out, ns_memory memory, const void *cells, const ns_cell *cell, int64_t n)
{
    switch (memory) {
    case NS_AS_INT64:
    case NS_AS_UINT64:
        if (cell->class == NS_CELL_SIGNED)
            widen_signed(out, cells, cell->n_bytes, n);
        else
            widen_unsigned(out, cells, cell->n_bytes, n);
        break;
    case NS_AS_FLOAT:
        widen_to_float(out, cells, cell->n_bytes, n);
        break;
    case NS_AS_DOUBLE:
        widen_to_double(out, cells, cell->n_bytes, n);
        break;
    case NS_AS_LONG_DOUBLE:
        break; /* never fits */
    }
}
