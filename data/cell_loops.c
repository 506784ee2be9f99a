/* Plain C without branches that compilers turn into vectors; NS_LEVEL names the instruction set (CMakeLists.txt). */
#include "data/cell_loops.h"

#include <math.h>
#include <string.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#ifndef NS_LEVEL
#define NS_LEVEL baseline
#endif
#define PASTE(stem, level)  stem##_##level
#define EXPAND(stem, level) PASTE(stem, level)

/* On integers: missing cells are many and stand anywhere. */
static inline float canonical_of(float cell)
{
    uint32_t bits, size;
    memcpy(&bits, &cell, sizeof bits);
    size = bits & 0x7fffffffu;
    bits = size == 0 ? 0 : bits;
    bits = size > 0x7f800000u ? 0x7fc00000u : bits;
    memcpy(&cell, &bits, sizeof bits);
    return cell;
}

static void canonical(float *out, const float *cells, int64_t n)
{
    if (out == cells) /* compilers must hear of it, else they take one cell at a time */
        for (int64_t i = 0; i < n; i++) out[i] = canonical_of(out[i]);
    else
        for (int64_t i = 0; i < n; i++) out[i] = canonical_of(cells[i]);
}

/* From 2^23 on no float has a fraction. Below, adding and taking away 2^23 rounds to whole. */
static inline int has_fraction(float cell)
{
    float size = fabsf(cell), whole = (size + 8388608.0f) - 8388608.0f;
    return (size < 8388608.0f) & (whole != size);
}

static int canonical_and_look(float *out, const float *cells, int64_t n)
{
    int found = 0;
    if (out == cells)
        for (int64_t i = 0; i < n; i++) {
            found |= has_fraction(out[i]);
            out[i] = canonical_of(out[i]);
        }
    else
        for (int64_t i = 0; i < n; i++) {
            found |= has_fraction(cells[i]);
            out[i] = canonical_of(cells[i]);
        }
    return found;
}

/* One after the other: each cell waits for where the one before it of its part went. */
static void part_each(unsigned char *to[4], const unsigned char *cells, const uint8_t *part, int64_t n)
{
    static const size_t step[4] = {0, 4, 4, 4};
    unsigned char nowhere[4], *at[4] = {nowhere, to[1], to[2], to[3]};
    for (int64_t i = 0; i < n; i++) {
        memcpy(at[part[i]], cells + 4 * i, 4);
        at[part[i]] += step[part[i]];
    }
    memcpy(to + 1, at + 1, 3 * sizeof *to);
}

#if defined(__AVX512F__)
/* Sixteen at a time. The cells of a part are brought together in a register: a compressing store is slow on some processors. */
static void part(unsigned char *to[4], const void *cells, const uint8_t *part, int64_t n)
{
    const unsigned char *from = cells;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i sixteen = _mm512_loadu_si512(from + 4 * i);
        __m128i parts = _mm_loadu_si128((const __m128i *)(const void *)(part + i));
        for (char p = 1; p < 4; p++) {
            __mmask16 mine = _mm_cmpeq_epi8_mask(parts, _mm_set1_epi8(p));
            int n_mine = __builtin_popcount(mine);
            _mm512_mask_storeu_epi32(to[(int)p], (__mmask16)((1u << n_mine) - 1u), _mm512_maskz_compress_epi32(mine, sixteen));
            to[(int)p] += 4 * n_mine;
        }
    }
    part_each(to, from + 4 * i, part + i, n - i);
}
#else
static void part(unsigned char *to[4], const void *cells, const uint8_t *part, int64_t n)
{
    part_each(to, cells, part, n);
}
#endif

const ns_cell_loops EXPAND(ns_cell_loops, NS_LEVEL) = {.canonical = canonical, .canonical_and_look = canonical_and_look, .part = part};
