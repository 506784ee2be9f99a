#ifndef NIGHTSHIFT_KERNELS_TREE_CODE_LOOKUP_H
#define NIGHTSHIFT_KERNELS_TREE_CODE_LOOKUP_H
/*
 * The look-ups of tree_code_cpu.c, each in small tables: plain C, and by the permutations of AVX2 and
 * AVX-512, which hold a table in registers. Compilers do not find those by themselves: they gather, lane by lane.
 *   lookup_bins     n values, n a multiple of LOOKUP_LANES: ns_tree_code_loops.bin
 *   lookup_set      out[i] = bit bin[i] of set is 1 ? 0 : 1, for all rows of a block
 *   lookup_leaves   sum[i] += leaf[index[i]], for all rows of a block; leaf is filled up to a multiple of 64
 */
#include <stdint.h>

#include "kernels/tree_code.h"

enum { LOOKUP_LANES = 16 };

#if defined(__AVX512BW__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512BW__)
/* The cuts at places h, all of one level: level l fills 2^l places from 2^l on, of which the permutations look at
   the low bits alone. */
static inline __m512 level_cuts(const __m512 *cut, int level, __m512i h)
{
    if (level < 5) return _mm512_permutexvar_ps(h, cut[level < 4 ? 0 : 1]);
    if (level == 5) return _mm512_permutex2var_ps(cut[2], h, cut[3]);
    __mmask16 second = _mm512_test_epi32_mask(h, _mm512_set1_epi32(32));
    const __m512 *four = cut + (level == 6 ? 4 : 8);
    __m512 found = _mm512_mask_blend_ps(second, _mm512_permutex2var_ps(four[0], h, four[1]),
                                        _mm512_permutex2var_ps(four[2], h, four[3]));
    if (level == 6) return found;
    __mmask16 third = _mm512_test_epi32_mask(h, _mm512_set1_epi32(64));
    return _mm512_mask_blend_ps(third, found,
                                _mm512_mask_blend_ps(second, _mm512_permutex2var_ps(four[4], h, four[5]),
                                                     _mm512_permutex2var_ps(four[6], h, four[7])));
}

static inline void bins_of(const ns_code_cuts *cuts, int n_levels, const float *x, int64_t n, uint8_t *out)
{
    __m512 cut[16];
    for (int i = 0; i < 16; i++) cut[i] = _mm512_loadu_ps(cuts->cut + 16 * i);
    for (int64_t i = 0; i < n; i += 16) {
        __m512 value = _mm512_loadu_ps(x + i);
        __m512i h = _mm512_set1_epi32(1);
        for (int level = 0; level < n_levels; level++) {
            __mmask16 above = _mm512_cmp_ps_mask(level_cuts(cut, level, h), value, _CMP_LT_OQ);
            h = _mm512_add_epi32(h, h);
            h = _mm512_mask_add_epi32(h, above, h, _mm512_set1_epi32(1));
        }
        h = _mm512_sub_epi32(h, _mm512_set1_epi32((1 << n_levels) - 1));
        __mmask16 known = _mm512_cmp_ps_mask(value, value, _CMP_ORD_Q);
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm512_cvtepi32_epi8(_mm512_maskz_mov_epi32(known, h)));
    }
}

/* Once for each depth, so that the levels unroll and the tables stay in registers. */
static inline void lookup_bins(const ns_code_cuts *cuts, const float *x, int64_t n, uint8_t *out)
{
    switch (cuts->n_levels) {
    case 0: bins_of(cuts, 0, x, n, out); return;
    case 1: bins_of(cuts, 1, x, n, out); return;
    case 2: bins_of(cuts, 2, x, n, out); return;
    case 3: bins_of(cuts, 3, x, n, out); return;
    case 4: bins_of(cuts, 4, x, n, out); return;
    case 5: bins_of(cuts, 5, x, n, out); return;
    case 6: bins_of(cuts, 6, x, n, out); return;
    case 7: bins_of(cuts, 7, x, n, out); return;
    default: bins_of(cuts, 8, x, n, out); return;
    }
}

static inline void lookup_set(const uint8_t *set, const uint8_t *bin, uint8_t *out)
{
    __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)set));
    __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)(set + 16)));
    __m512i bits = _mm512_broadcast_i32x4(_mm_set1_epi64x((long long)0x8040201008040201));
    for (int i = 0; i < NS_CODE_ROWS; i += 64) {
        __m512i b = _mm512_loadu_si512(bin + i);
        __m512i at = _mm512_and_si512(_mm512_srli_epi16(b, 3), _mm512_set1_epi8(15));
        __m512i byte = _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(low, at), _mm512_movepi8_mask(b), high, at);
        __m512i bit = _mm512_shuffle_epi8(bits, _mm512_and_si512(b, _mm512_set1_epi8(7)));
        __mmask64 out_of = _mm512_testn_epi8_mask(byte, bit);
        _mm512_storeu_si512(out + i, _mm512_maskz_set1_epi8(out_of, 1));
    }
}

static inline void lookup_leaves(const int32_t *leaf, int32_t n_leaves, const uint8_t *index, int32_t *sum)
{
    if (n_leaves > 64) {
        for (int i = 0; i < NS_CODE_ROWS; i++) sum[i] += leaf[index[i]];
        return;
    }
    __m512i value[4];
    for (int i = 0; i < 4; i++) value[i] = _mm512_loadu_si512(leaf + 16 * i);
    for (int i = 0; i < NS_CODE_ROWS; i += 16) {
        __m512i at = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(index + i)));
        __m512i found = _mm512_permutex2var_epi32(value[0], at, value[1]);
        if (n_leaves > 32)
            found = _mm512_mask_blend_epi32(_mm512_test_epi32_mask(at, _mm512_set1_epi32(32)), found,
                                            _mm512_permutex2var_epi32(value[2], at, value[3]));
        _mm512_storeu_si512(sum + i, _mm512_add_epi32(_mm512_loadu_si512(sum + i), found));
    }
}
#else
/* The same walk of the cuts for LANES values side by side, which wait for their own cuts alone. */
static inline void lookup_bins(const ns_code_cuts *cuts, const float *x, int64_t n, uint8_t *out)
{
    uint32_t h[LOOKUP_LANES], base = (1u << cuts->n_levels) - 1;
    for (int64_t from = 0; from < n; from += LOOKUP_LANES) {
        for (int i = 0; i < LOOKUP_LANES; i++) h[i] = 1;
        for (int level = 0; level < cuts->n_levels; level++)
            for (int i = 0; i < LOOKUP_LANES; i++) h[i] = 2 * h[i] + (cuts->cut[h[i]] < x[from + i] ? 1 : 0);
        for (int i = 0; i < LOOKUP_LANES; i++)
            out[from + i] = (uint8_t)(x[from + i] == x[from + i] ? h[i] - base : 0);
    }
}

static inline void lookup_leaves(const int32_t *leaf, int32_t n_leaves, const uint8_t *index, int32_t *sum)
{
    (void)n_leaves;
    for (int i = 0; i < NS_CODE_ROWS; i++) sum[i] += leaf[index[i]];
}
#endif

#if !defined(__AVX512BW__) && defined(__AVX2__)
static inline void lookup_set(const uint8_t *set, const uint8_t *bin, uint8_t *out)
{
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)set));
    __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(set + 16)));
    __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201);
    for (int i = 0; i < NS_CODE_ROWS; i += 32) {
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(bin + i));
        __m256i at = _mm256_and_si256(_mm256_srli_epi16(b, 3), _mm256_set1_epi8(15));
        __m256i byte = _mm256_blendv_epi8(_mm256_shuffle_epi8(low, at), _mm256_shuffle_epi8(high, at), b);
        __m256i bit = _mm256_shuffle_epi8(bits, _mm256_and_si256(b, _mm256_set1_epi8(7)));
        __m256i out_of = _mm256_cmpeq_epi8(_mm256_and_si256(byte, bit), _mm256_setzero_si256());
        _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm256_and_si256(out_of, _mm256_set1_epi8(1)));
    }
}
#elif !defined(__AVX512BW__)
static inline void lookup_set(const uint8_t *set, const uint8_t *bin, uint8_t *out)
{
    for (int i = 0; i < NS_CODE_ROWS; i++) out[i] = (uint8_t)((set[bin[i] >> 3] >> (bin[i] & 7) & 1) ^ 1);
}
#endif
#endif
