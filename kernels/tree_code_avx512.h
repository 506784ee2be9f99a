#ifndef NIGHTSHIFT_KERNELS_TREE_CODE_AVX512_H
#define NIGHTSHIFT_KERNELS_TREE_CODE_AVX512_H
/*
 * tree_code_lookup.h by AVX-512. Bytes of 64 rows are the sixteen 32-bit lanes of a register: row 16 j + l is byte j of
 * lane l. So four searches of sixteen values become 64 bytes by shifts, and the numbers of leaves go back into lanes by
 * shifts too: a permutation looks at the lowest bits of its lanes alone.
 */
#include <immintrin.h>
#include <stdint.h>

#include "kernels/tree_code.h"

static inline int lookup_place(int row)
{
    return (row & ~63) | (row & 15) << 2 | (row >> 4 & 3);
}

static inline __m512i four_to_bytes(const __m512i of[4])
{
    return _mm512_or_si512(_mm512_or_si512(of[0], _mm512_slli_epi32(of[1], 8)), _mm512_or_si512(_mm512_slli_epi32(of[2], 16), _mm512_slli_epi32(of[3], 24)));
}

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

static inline void bins_of(const ns_code_cuts *cuts, int n_levels, const float *x, uint8_t *out)
{
    __m512 cut[16];
    for (int i = 0; i < 16; i++) cut[i] = _mm512_loadu_ps(cuts->cut + 16 * i);
    __m512i one = _mm512_set1_epi32(1), base = _mm512_set1_epi32((1 << n_levels) - 1);
    for (int i = 0; i < NS_CODE_ROWS; i += 64) {
        __m512i bins[4];
        for (int j = 0; j < 4; j++) {
            __m512 value = _mm512_loadu_ps(x + i + 16 * j);
            __m512i h = one;
            for (int level = 0; level < n_levels; level++) {
                __mmask16 above = _mm512_cmp_ps_mask(level_cuts(cut, level, h), value, _CMP_LT_OQ);
                h = _mm512_add_epi32(h, h);
                h = _mm512_mask_add_epi32(h, above, h, one);
            }
            __mmask16 known = _mm512_cmp_ps_mask(value, value, _CMP_ORD_Q);
            bins[j] = _mm512_maskz_sub_epi32(known, h, base);
        }
        _mm512_storeu_si512(out + i, four_to_bytes(bins));
    }
}

/* Once for each depth, so that the levels unroll and the tables stay in registers. */
static inline void lookup_bins(const ns_code_cuts *cuts, const float *x, uint8_t *out)
{
    switch (cuts->n_levels) {
    case 0: bins_of(cuts, 0, x, out); return;
    case 1: bins_of(cuts, 1, x, out); return;
    case 2: bins_of(cuts, 2, x, out); return;
    case 3: bins_of(cuts, 3, x, out); return;
    case 4: bins_of(cuts, 4, x, out); return;
    case 5: bins_of(cuts, 5, x, out); return;
    case 6: bins_of(cuts, 6, x, out); return;
    case 7: bins_of(cuts, 7, x, out); return;
    default: bins_of(cuts, 8, x, out); return;
    }
}

static inline void lookup_bytes(const int32_t *bin, uint8_t *out)
{
    for (int i = 0; i < NS_CODE_ROWS; i += 64) {
        __m512i bins[4];
        for (int j = 0; j < 4; j++) bins[j] = _mm512_loadu_si512(bin + i + 16 * j);
        _mm512_storeu_si512(out + i, four_to_bytes(bins));
    }
}

/* The byte of a set that a bin is in, its highest bit telling the half; the bit in there. */
static inline void lookup_places(const uint8_t *bins, uint8_t *at, uint8_t *bit)
{
    __m512i bits = _mm512_set1_epi64((long long)0x8040201008040201);
    for (int i = 0; i < NS_CODE_ROWS; i += 64) {
        __m512i b = _mm512_loadu_si512(bins + i);
        __m512i byte = _mm512_and_si512(_mm512_srli_epi16(b, 3), _mm512_set1_epi8(15));
        _mm512_storeu_si512(at + i, _mm512_or_si512(byte, _mm512_and_si512(b, _mm512_set1_epi8(-128))));
        _mm512_storeu_si512(bit + i, _mm512_shuffle_epi8(bits, _mm512_and_si512(b, _mm512_set1_epi8(7))));
    }
}

static inline void lookup_set(const uint8_t *set, const uint8_t *at, const uint8_t *bit, ns_code_plane *out)
{
    __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)set));
    __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)(set + 16)));
    __m512i other = _mm512_set1_epi8(-128);
    for (int w = 0; w < NS_CODE_WORDS; w++) {
        __m512i a = _mm512_loadu_si512(at + 64 * w);
        __m512i byte = _mm512_or_si512(_mm512_shuffle_epi8(low, a), _mm512_shuffle_epi8(high, _mm512_xor_si512(a, other)));
        out->word[w] = _mm512_test_epi8_mask(byte, _mm512_loadu_si512(bit + 64 * w));
    }
}

static inline void lookup_limits(const uint8_t *bytes, uint8_t less, uint8_t mask, uint8_t limit, uint8_t step, int32_t n, uint64_t *out)
{
    __m512i value = _mm512_and_si512(_mm512_sub_epi8(_mm512_loadu_si512(bytes), _mm512_set1_epi8((char)less)), _mm512_set1_epi8((char)mask));
    __m512i most = _mm512_set1_epi8((char)limit), next = _mm512_set1_epi8((char)step);
    for (int32_t p = 0; p < n; p++) {
        out[(int64_t)p * NS_CODE_WORDS] = _mm512_cmple_epu8_mask(value, most);
        most = _mm512_add_epi8(most, next);
    }
}

/* Bits 0xf8 and 0xca: f(a, b, c) at 4 a + 2 b + c. */
static inline void plane_test(const ns_code_plane *lower, const ns_code_plane *upper, const ns_code_plane *low, ns_code_plane *out)
{
    _mm512_store_si512(out, _mm512_ternarylogic_epi64(_mm512_load_si512(lower), _mm512_load_si512(upper), _mm512_load_si512(low), 0xf8));
}

static inline void plane_choice(const ns_code_plane *m, const ns_code_plane *a, const ns_code_plane *b, ns_code_plane *out)
{
    _mm512_store_si512(out, _mm512_ternarylogic_epi64(_mm512_load_si512(m), _mm512_load_si512(a), _mm512_load_si512(b), 0xca));
}

/* The numbers of 64 rows, in bytes. */
static inline __m512i numbers_of(const ns_code_plane *planes, const uint16_t *bit, int n_bits, int w)
{
    __m512i number = _mm512_maskz_set1_epi8(planes[bit[0]].word[w], 1);
    for (int j = 1; j < n_bits; j++) number = _mm512_mask_add_epi8(number, planes[bit[j]].word[w], number, _mm512_set1_epi8((char)(1 << j)));
    return number;
}

/* Without optimisation gcc's gather is a macro that hands its mask on with another sign. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static inline __m512i gather_leaves(const int32_t *leaf, __m512i at)
{
    return _mm512_i32gather_epi32(at, leaf, 4);
}
#pragma GCC diagnostic pop

static inline void lookup_leaves(const int32_t *leaf, int32_t n_leaves, const ns_code_plane *planes, const uint16_t *bit, int32_t *sum)
{
    if (n_leaves > 64) {
        for (int i = 0; i < NS_CODE_ROWS; i += 16) {
            __m512i at = _mm512_srl_epi32(numbers_of(planes, bit, 8, i / 64), _mm_cvtsi32_si128(i / 2 & 24));
            at = _mm512_and_si512(at, _mm512_set1_epi32(255));
            _mm512_storeu_si512(sum + i, _mm512_add_epi32(_mm512_loadu_si512(sum + i), gather_leaves(leaf, at)));
        }
        return;
    }
    __m512i value[4];
    for (int i = 0; i < 4; i++) value[i] = _mm512_loadu_si512(leaf + 16 * i);
    for (int w = 0; w < NS_CODE_WORDS; w++) {
        __m512i at = n_leaves > 32 ? numbers_of(planes, bit, 6, w) : numbers_of(planes, bit, 5, w);
        for (int j = 0; j < 4; j++) {
            int32_t *to = sum + 64 * w + 16 * j;
            __m512i found = _mm512_permutex2var_epi32(value[0], at, value[1]);
            if (n_leaves > 32)
                found = _mm512_mask_blend_epi32(_mm512_test_epi32_mask(at, _mm512_set1_epi32(32)), found,
                                                _mm512_permutex2var_epi32(value[2], at, value[3]));
            _mm512_storeu_si512(to, _mm512_add_epi32(_mm512_loadu_si512(to), found));
            at = _mm512_srli_epi32(at, 8);
        }
    }
}
#endif
