/* Compiled once for each width, see CMakeLists.txt. Symbols are those of RFC 7693, section 3. */
#include "data/blake2b_lanes.h"

#include <immintrin.h>
#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 8 };
typedef __m512i lanes;

static inline lanes load(const void *at) { return _mm512_loadu_si512(at); }
static inline void store(void *at, lanes x) { _mm512_storeu_si512(at, x); }
static inline lanes all(uint64_t x) { return _mm512_set1_epi64((long long)x); }
static inline lanes add(lanes a, lanes b) { return _mm512_add_epi64(a, b); }
static inline lanes xor(lanes a, lanes b) { return _mm512_xor_si512(a, b); }
static inline lanes turn32(lanes x) { return _mm512_ror_epi64(x, 32); }
static inline lanes turn24(lanes x) { return _mm512_ror_epi64(x, 24); }
static inline lanes turn16(lanes x) { return _mm512_ror_epi64(x, 16); }
static inline lanes turn63(lanes x) { return _mm512_ror_epi64(x, 63); }

/* out[w] = word w of each of the 8 rows, which begin row_bytes apart. */
static inline void gather_words(lanes out[LANES], const uint8_t *row, size_t row_bytes)
{
    lanes t[8];
    for (int i = 0; i < 8; i += 2) {
        lanes a = load(row + (size_t)i * row_bytes), b = load(row + (size_t)(i + 1) * row_bytes);
        t[i] = _mm512_unpacklo_epi64(a, b);
        t[i + 1] = _mm512_unpackhi_epi64(a, b);
    }
    for (int odd = 0; odd < 2; odd++) {
        lanes low = _mm512_shuffle_i64x2(t[odd], t[2 + odd], 0x88), high = _mm512_shuffle_i64x2(t[4 + odd], t[6 + odd], 0x88);
        lanes low2 = _mm512_shuffle_i64x2(t[odd], t[2 + odd], 0xdd), high2 = _mm512_shuffle_i64x2(t[4 + odd], t[6 + odd], 0xdd);
        out[odd] = _mm512_shuffle_i64x2(low, high, 0x88);
        out[4 + odd] = _mm512_shuffle_i64x2(low, high, 0xdd);
        out[2 + odd] = _mm512_shuffle_i64x2(low2, high2, 0x88);
        out[6 + odd] = _mm512_shuffle_i64x2(low2, high2, 0xdd);
    }
}
#else
enum { LANES = 4 };
typedef __m256i lanes;

static inline lanes load(const void *at) { return _mm256_loadu_si256(at); }
static inline void store(void *at, lanes x) { _mm256_storeu_si256(at, x); }
static inline lanes all(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
static inline lanes add(lanes a, lanes b) { return _mm256_add_epi64(a, b); }
static inline lanes xor(lanes a, lanes b) { return _mm256_xor_si256(a, b); }
static inline lanes turn32(lanes x) { return _mm256_shuffle_epi32(x, 0xb1); }
static inline lanes turn24(lanes x)
{
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10));
}
static inline lanes turn16(lanes x)
{
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9));
}
static inline lanes turn63(lanes x) { return _mm256_or_si256(_mm256_srli_epi64(x, 63), _mm256_add_epi64(x, x)); }

static inline void gather_words(lanes out[LANES], const uint8_t *row, size_t row_bytes)
{
    lanes t[4];
    for (int i = 0; i < 4; i += 2) {
        lanes a = load(row + (size_t)i * row_bytes), b = load(row + (size_t)(i + 1) * row_bytes);
        t[i] = _mm256_unpacklo_epi64(a, b);
        t[i + 1] = _mm256_unpackhi_epi64(a, b);
    }
    for (int odd = 0; odd < 2; odd++) {
        out[odd] = _mm256_permute2x128_si256(t[odd], t[2 + odd], 0x20);
        out[2 + odd] = _mm256_permute2x128_si256(t[odd], t[2 + odd], 0x31);
    }
}
#endif

enum { ROUNDS = 12, WORDS = 16 };

static const uint64_t IV[8] = {UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b),
                               UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
                               UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179)};

/* Rounds 10 and 11 are 0 and 1 again. */
static const uint8_t SIGMA[ROUNDS][WORDS] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

/* G of the RFC. */
static inline void mix(lanes v[WORDS], int a, int b, int c, int d, lanes x, lanes y)
{
    v[a] = add(add(v[a], v[b]), x);
    v[d] = turn32(xor(v[d], v[a]));
    v[c] = add(v[c], v[d]);
    v[b] = turn24(xor(v[b], v[c]));
    v[a] = add(add(v[a], v[b]), y);
    v[d] = turn16(xor(v[d], v[a]));
    v[c] = add(v[c], v[d]);
    v[b] = turn63(xor(v[b], v[c]));
}

/* F of the RFC: t bytes came so far; last is all ones at a message's last block. Rows of 128 bytes begin row_bytes apart. */
static inline void compress(lanes h[8], const uint8_t *row, size_t row_bytes, lanes t, lanes last)
{
    lanes m[WORDS], v[WORDS];
    for (int at = 0; at < WORDS; at += LANES) gather_words(m + at, row + (size_t)at * 8, row_bytes);
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[8 + i] = all(IV[i]);
    }
    v[12] = xor(v[12], t);
    v[14] = xor(v[14], last);
    for (int r = 0; r < ROUNDS; r++) {
        const uint8_t *s = SIGMA[r];
        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++) h[i] = xor(h[i], xor(v[i], v[8 + i]));
}

/* Digests of 32 bytes, no key. */
static inline void begin(lanes h[8])
{
    for (int i = 0; i < 8; i++) h[i] = all(IV[i]);
    h[0] = xor(h[0], all(UINT64_C(0x01010020)));
}

static void whole(uint8_t *digest, const uint8_t *message, size_t n_bytes)
{
    lanes h[8];
    uint64_t word[LANES];
    begin(h);
    for (size_t at = 0; at < n_bytes; at += NS_BLAKE2B_BLOCK) {
        size_t done = at + NS_BLAKE2B_BLOCK;
        compress(h, message + at, n_bytes, all(done), all(done == n_bytes ? UINT64_MAX : 0));
    }
    for (int i = 0; i < 4; i++) {
        store(word, h[i]);
        for (int l = 0; l < LANES; l++) memcpy(digest + 32 * l + 8 * i, &word[l], 8);
    }
}

static void brief(uint64_t *first, uint64_t *second, const uint8_t *block, const uint64_t *n_bytes)
{
    lanes h[8];
    begin(h);
    compress(h, block, NS_BLAKE2B_BLOCK, load(n_bytes), all(UINT64_MAX));
    store(first, h[0]);
    store(second, h[1]);
}

#if defined(__AVX512F__)
const ns_blake2b_lanes ns_blake2b_lanes_avx512 = {.n = LANES, .whole = whole, .brief = brief};
#else
const ns_blake2b_lanes ns_blake2b_lanes_avx2 = {.n = LANES, .whole = whole, .brief = brief};
#endif
