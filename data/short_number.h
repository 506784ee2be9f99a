#ifndef NIGHTSHIFT_DATA_SHORT_NUMBER_H
#define NIGHTSHIFT_DATA_SHORT_NUMBER_H
/*
 * Numbers of at most eight bytes behind a sign, digits and perhaps a point between digits: most cells of most tables. The bytes
 * stand in one word, the last digit in its highest byte; the point is taken out, and three multiplications add the
 * digits up. Eight digits and a power of ten are exact doubles, so their quotient is rounded once; the rounding to float32
 * after it is right unless the quotient lies exactly between two float32 (data/values.c), which the long way decides.
 */
#include <string.h>

#include "data/values.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a text's first byte is the lowest of a word");

/* The 1 to 8 bytes of a text as a word, its last byte the highest. Reads no byte outside the text. */
static inline uint64_t ns_short_word(const char *text, int64_t n_bytes)
{
    if (n_bytes >= 4) {
        uint32_t first, last;
        memcpy(&first, text, sizeof first);
        memcpy(&last, text + n_bytes - 4, sizeof last);
        return (uint64_t)last << 32 | (uint64_t)first << (64 - 8 * n_bytes);
    }
    uint64_t word = (uint64_t)(unsigned char)text[0] << (64 - 8 * n_bytes) | (uint64_t)(unsigned char)text[n_bytes - 1] << 56;
    return n_bytes == 3 ? word | (uint64_t)(unsigned char)text[1] << 48 : word;
}

/* The same where 8 bytes can be read from the text's first on, whatever they are. */
static inline uint64_t ns_short_word_of_8(const char *text, int64_t n_bytes)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return word << (64 - 8 * n_bytes);
}

/* The number of a word of 1 to 8 bytes; false: not of this form, nothing is known. */
static inline bool ns_short_value(uint64_t word, int64_t n_bytes, bool negative, ns_number_text *out)
{
    static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7};
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t digits = word ^ ((ones * '0') << (64 - 8 * n_bytes)); /* bytes before the text: 0 */
    bool first_is_0 = (digits >> (64 - 8 * n_bytes) & 255) == 0;
    uint64_t differs = digits ^ ones * ('.' ^ '0'), points = (differs - ones) & ~differs & ones * 0x80;
    int64_t n_whole = n_bytes, n_fraction = 0;
    bool whole = true;
    if (points != 0) { /* its lowest bit is right: the first point */
        int at = __builtin_ctzll(points) & ~7; /* bit of the point's byte */
        n_fraction = 7 - at / 8;
        n_whole = n_bytes - 1 - n_fraction;
        if (n_fraction == 0 || n_whole == 0) return false;
        uint64_t above = digits >> at >> 8 << 8 << at;
        whole = above == 0;
        digits = above | (digits & ((UINT64_C(1) << at) - 1)) << 8;
    }
    if (((digits + ones * 0x76) | digits) & ones * 0x80) return false; /* a byte above 9 */
    digits = digits * 10 + (digits >> 8); /* pairs in every other byte */
    uint64_t sum = ((digits & UINT64_C(0xff000000ff)) * UINT64_C(0xf424000000064) +
                    ((digits >> 16) & UINT64_C(0xff000000ff)) * UINT64_C(0x271000000001)) >> 32;
    double wide = (double)(uint32_t)sum / power[n_fraction];
    float value = (float)wide;
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    if (n_fraction > 0 && (bits & UINT64_C(0x1fffffff)) == UINT64_C(0x10000000)) return false;
    *out = (ns_number_text){.value = negative && sum != 0 ? -value : value,
                            .leading_zero = n_whole > 1 && first_is_0,
                            .whole = whole,
                            .fits = !whole || (double)value == wide};
    return true;
}

/* As ns_value_number; false: not of this form, nothing is known. */
static inline bool ns_short_number(const char *text, int64_t n_bytes, ns_number_text *out)
{
    bool negative = n_bytes > 0 && *text == '-';
    n_bytes -= negative;
    return n_bytes >= 1 && n_bytes <= 8 && ns_short_value(ns_short_word(text + negative, n_bytes), n_bytes, negative, out);
}
#endif
