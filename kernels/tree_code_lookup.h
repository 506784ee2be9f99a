#ifndef NIGHTSHIFT_KERNELS_TREE_CODE_LOOKUP_H
#define NIGHTSHIFT_KERNELS_TREE_CODE_LOOKUP_H
/*
 * What tree_code_cpu.c does to the rows of a block, for each level: plain C here, and by AVX-512, whose permutations hold
 * tables in registers, whose comparisons give bits, and which has choices of three operands (tree_code_avx512.h). Compilers do not find
 * those by themselves. AVX2 has its own ways from bytes to bits and back.
 *   lookup_place    where row i of a block stands among its bytes
 *   lookup_bins     ns_tree_code_loops.bin of numbers, into the bytes of a block: isnan(x) ? 0 : 1 + the number of cuts < x
 *   lookup_bytes    bins that are below 256, likewise
 *   lookup_places   where in a set the bins of bytes stand, for lookup_set
 *   lookup_set      the plane of a set: 1 where bit `bin` of it is 1
 *   lookup_limits   word i * NS_CODE_WORDS of out, i < n: 1 where ((byte - less) & mask) <= limit + i * step, of 64 bytes
 *   lookup_leaves   sum[i] += leaf[number of row i], for all rows of a block; leaf is filled up to a multiple of 64
 *   plane_test, plane_choice  as in ns_code_test and ns_code_choice
 */
#include <stdint.h>
#include <string.h>

#include "kernels/tree_code.h"

#if defined(__AVX512BW__)
#include "kernels/tree_code_avx512.h"
#else
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { LOOKUP_LANES = 16 };

static inline int lookup_place(int row)
{
    return row;
}

/* The walk of the cuts for LANES values side by side, which wait for their own cuts alone. */
static inline void lookup_bins(const ns_code_cuts *cuts, const float *x, uint8_t *out)
{
    uint32_t h[LOOKUP_LANES], base = (1u << cuts->n_levels) - 1;
    for (int from = 0; from < NS_CODE_ROWS; from += LOOKUP_LANES) {
        for (int i = 0; i < LOOKUP_LANES; i++) h[i] = 1;
        for (int level = 0; level < cuts->n_levels; level++)
            for (int i = 0; i < LOOKUP_LANES; i++) h[i] = 2 * h[i] + (cuts->cut[h[i]] < x[from + i] ? 1 : 0);
        for (int i = 0; i < LOOKUP_LANES; i++)
            out[from + i] = (uint8_t)(x[from + i] == x[from + i] ? h[i] - base : 0);
    }
}

static inline void lookup_bytes(const int32_t *bin, uint8_t *out)
{
    for (int i = 0; i < NS_CODE_ROWS; i++) out[i] = (uint8_t)bin[i];
}

/* The highest bits of 64 bytes. */
static inline uint64_t bits_of(const uint8_t *byte)
{
    uint64_t bits = 0;
#if defined(__AVX2__)
    for (int i = 0; i < 2; i++)
        bits |= (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_loadu_si256((const __m256i *)(const void *)(byte + 32 * i))) << (32 * i);
#elif defined(__SSE2__)
    for (int i = 0; i < 4; i++)
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(byte + 16 * i))) << (16 * i);
#else
    for (int i = 0; i < 64; i++) bits |= (uint64_t)(byte[i] >> 7) << i;
#endif
    return bits;
}

static inline void lookup_limits(const uint8_t *bytes, uint8_t less, uint8_t mask, uint8_t limit, uint8_t step, int32_t n, uint64_t *out)
{
    uint8_t value[64], flag[64];
    for (int i = 0; i < 64; i++) value[i] = (uint8_t)((bytes[i] - less) & mask);
    for (int32_t p = 0; p < n; p++, limit = (uint8_t)(limit + step)) {
#pragma omp simd
        for (int i = 0; i < 64; i++) flag[i] = value[i] <= limit ? 255 : 0;
        out[(int64_t)p * NS_CODE_WORDS] = bits_of(flag);
    }
}

static inline void plane_test(const ns_code_plane *lower, const ns_code_plane *upper, const ns_code_plane *low, ns_code_plane *out)
{
    for (int w = 0; w < NS_CODE_WORDS; w++) out->word[w] = lower->word[w] | (upper->word[w] & low->word[w]);
}

static inline void plane_choice(const ns_code_plane *m, const ns_code_plane *a, const ns_code_plane *b, ns_code_plane *out)
{
    for (int w = 0; w < NS_CODE_WORDS; w++) out->word[w] = b->word[w] ^ (m->word[w] & (a->word[w] ^ b->word[w]));
}

#if defined(__AVX2__)
/* The byte of a set that a bin is in, its highest bit telling the half; the bit in there. */
static inline void lookup_places(const uint8_t *bins, uint8_t *at, uint8_t *bit)
{
    for (int i = 0; i < NS_CODE_ROWS; i++) {
        at[i] = (uint8_t)((bins[i] >> 3 & 15) | (bins[i] & 128));
        bit[i] = (uint8_t)(1 << (bins[i] & 7));
    }
}

static inline void lookup_set(const uint8_t *set, const uint8_t *at, const uint8_t *bit, ns_code_plane *out)
{
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)set));
    __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(set + 16)));
    __m256i other = _mm256_set1_epi8(-128);
    for (int i = 0; i < NS_CODE_ROWS; i += 32) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(at + i)), b = _mm256_loadu_si256((const __m256i *)(const void *)(bit + i));
        __m256i byte = _mm256_or_si256(_mm256_shuffle_epi8(low, a), _mm256_shuffle_epi8(high, _mm256_xor_si256(a, other)));
        __m256i in = _mm256_cmpeq_epi8(_mm256_and_si256(byte, b), b);
        uint64_t bits = (uint32_t)_mm256_movemask_epi8(in);
        out->word[i / 64] = i % 64 == 0 ? bits : out->word[i / 64] | bits << 32;
    }
}

/* 32 rows at a time: a bit to a byte of ones, of which the bit of the number stays. */
static inline void numbers_of(const ns_code_plane *planes, const uint16_t *bit, int n_bits, uint8_t *number)
{
    __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    __m256i each = _mm256_set1_epi64x((long long)0x8040201008040201);
    for (int i = 0; i < NS_CODE_ROWS; i += 32) {
        __m256i sum = _mm256_setzero_si256();
        for (int j = 0; j < n_bits; j++) {
            uint32_t bits = (uint32_t)(planes[bit[j]].word[i / 64] >> (i % 64));
            __m256i byte = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int32_t)bits), spread), each);
            sum = _mm256_or_si256(sum, _mm256_and_si256(_mm256_cmpeq_epi8(byte, each), _mm256_set1_epi8((char)(1 << j))));
        }
        _mm256_storeu_si256((__m256i *)(void *)(number + i), sum);
    }
}
#else
static inline void lookup_places(const uint8_t *bins, uint8_t *at, uint8_t *bit)
{
    for (int i = 0; i < NS_CODE_ROWS; i++) {
        at[i] = bins[i] >> 3;
        bit[i] = bins[i] & 7;
    }
}

static inline void lookup_set(const uint8_t *set, const uint8_t *at, const uint8_t *bit, ns_code_plane *out)
{
    uint8_t flag[NS_CODE_ROWS];
    for (int i = 0; i < NS_CODE_ROWS; i++) flag[i] = (uint8_t)(set[at[i]] >> bit[i] << 7);
    for (int w = 0; w < NS_CODE_WORDS; w++) out->word[w] = bits_of(flag + 64 * w);
}

/* 8 rows at a time: bit i of a byte to the lowest bit of byte i of a word. */
static inline void numbers_of(const ns_code_plane *planes, const uint16_t *bit, int n_bits, uint8_t *number)
{
    for (int i = 0; i < NS_CODE_ROWS; i += 8) {
        uint64_t sum = 0;
        for (int j = 0; j < n_bits; j++) {
            uint64_t byte = planes[bit[j]].word[i / 64] >> (i % 64) & 255;
            uint64_t alone = (byte * 0x0101010101010101) & 0x8040201008040201;
            uint64_t any = ((alone & 0x7f7f7f7f7f7f7f7f) + 0x7f7f7f7f7f7f7f7f) | alone;
            sum |= (any >> 7 & 0x0101010101010101) << j;
        }
        for (int r = 0; r < 8; r++) number[i + r] = (uint8_t)(sum >> (8 * r));
    }
}
#endif

static inline void lookup_leaves(const int32_t *leaf, int32_t n_leaves, const ns_code_plane *planes, const uint16_t *bit, int32_t *sum)
{
    uint8_t number[NS_CODE_ROWS];
    int n_bits = 0;
    while (1 << n_bits < n_leaves) n_bits++;
    numbers_of(planes, bit, n_bits, number);
    for (int i = 0; i < NS_CODE_ROWS; i++) sum[i] += leaf[number[i]];
}
#endif
#endif
