#ifndef NIGHTSHIFT_KERNELS_NUMERICS_H
#define NIGHTSHIFT_KERNELS_NUMERICS_H
/*
 * The project's own exp, log and sigmoid: double only, from + - * /, comparisons and integer bit operations,
 * one text for C and CUDA. IEEE 754 fixes every one of these operations, so the bits are the same with every
 * compiler, every level of optimisation and every processor, as long as nothing is contracted
 * (-ffp-contract=off, -fmad=false), nothing is flushed to zero and rounding is to nearest. None of these
 * functions branches on its argument, so loops over them vectorise.
 *
 * exp in six lines of numpy (float64), for readers that must reproduce a risk to the last bit:
 *     x = minimum(maximum(x, -746.0), 710.0)
 *     k = rint(x * 1.4426950408889634)
 *     r = (x - k * float.fromhex('0x1.62e42feep-1')) - k * float.fromhex('0x1.a39ef35793c76p-33')
 *     p = 1.0 / 6227020800.0
 *     for n in (479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2): p = p * r + 1.0 / n
 *     j = floor(k / 2); return (1.0 + (r + r * r * p)) * 2.0**j * 2.0**(k - j)
 */
#include <float.h>
#include <stdint.h>
#include <string.h>

/* Raised whenever a formula that reaches a model, a metric or a score, or a default of an option of models, changes a bit.
   2: at most 16 levels on the smaller side of a category split, levels of 20 rows at a node take part (1: no limit; 100 rows). */
#define NS_NUMERICS_VERSION 2

#ifdef __CUDACC__
#define NS_INLINE static inline __host__ __device__
#else
#define NS_INLINE static inline
#ifndef __cplusplus
_Static_assert(FLT_EVAL_METHOD == 0, "double arithmetic must be done in double (no x87)");
#endif
#endif

/* 1.5 * 2^52: adding it to |x| < 2^51 leaves the nearest integer, ties to even, in the low bits. */
#define NS_SHIFTER      0x1.8p52
#define NS_SHIFTER_BITS UINT64_C(0x4338000000000000)

NS_INLINE uint64_t ns_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

NS_INLINE double ns_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

NS_INLINE uint32_t ns_bits_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

NS_INLINE float ns_from_bits_f32(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |x|, by clearing the sign bit. */
NS_INLINE double ns_abs(double x)
{
    return ns_from_bits(ns_bits(x) & ~(UINT64_C(1) << 63));
}

/* 2^e for -1022 <= e <= 1023. */
NS_INLINE double ns_power_of_two(int e)
{
    return ns_from_bits((uint64_t)(e + 1023) << 52);
}

/* The nearest integer to x, ties to even; |x| < 2^51. */
NS_INLINE double ns_rne(double x)
{
    return (x + NS_SHIFTER) - NS_SHIFTER;
}

/* As ns_rne, as an integer: read from the low bits, so that loops over it vectorise without a 64-bit
 * conversion. */
NS_INLINE int64_t ns_small_rne_i64(double x)
{
    return (int64_t)(ns_bits(x + NS_SHIFTER) - NS_SHIFTER_BITS);
}

/* The nearest integer to any x, ties to even, clamped to [-2^62, 2^62]; 0 for NaN. From 2^52 on every double
 * is whole. */
NS_INLINE int64_t ns_rne_i64(double x)
{
    double size = ns_abs(x);
    double whole = size < 0x1p52 ? (size + 0x1p52) - 0x1p52 : size;
    whole = whole < 0x1p62 ? whole : 0x1p62;
    if (x != x) whole = 0.0;
    int64_t n = (int64_t)whole;
    return x < 0.0 ? -n : n;
}

/* As ns_rne_i64, clamped to the range of int32. */
NS_INLINE int32_t ns_rne_i32(double x)
{
    int64_t n = ns_rne_i64(x);
    return (int32_t)(n > INT32_MAX ? INT32_MAX : n < INT32_MIN ? INT32_MIN : n);
}

/* The largest integer <= x, clamped to [-2^30, 2^30]; the lower bound for NaN. */
NS_INLINE int32_t ns_floor_i32(double x)
{
    x = x >= -0x1p30 ? x : -0x1p30;
    x = x <= 0x1p30 ? x : 0x1p30;
    int32_t n = (int32_t)x;
    return n - ((double)n > x);
}

/* An integer |n| < 2^51 as a double: exact, and unlike a cast it needs no 64-bit conversion instruction. */
NS_INLINE double ns_small_i64_to_f64(int64_t n)
{
    return ns_from_bits((uint64_t)n + NS_SHIFTER_BITS) - NS_SHIFTER;
}

/* The smallest e with x <= 2^e, for finite x > 0; never below -1022 (subnormals). */
NS_INLINE int ns_ceil_log2(double x)
{
    uint64_t bits = ns_bits(x);
    int e = (int)(bits >> 52) - 1023;
    if (e < -1022) return -1022;
    return e + ((bits & ((UINT64_C(1) << 52) - 1)) != 0);
}

/* The smallest e with n <= 2^e, for n >= 1. */
NS_INLINE int ns_ceil_log2_i64(int64_t n)
{
    int e = 0;
    while (e < 62 && (INT64_C(1) << e) < n) e++;
    return e;
}

/*
 * e^x within 1 ulp. Above 709.78 infinity, below -745.13 zero, subnormal results rounded once; NaN for NaN.
 * k = nearest integer to x/ln 2; r = x - k ln 2 with ln 2 in two parts, the first so short that k times it is
 * exact; Taylor's polynomial of degree 13 (next term: under 2^-57 for |r| <= 0.347); then times 2^k in two
 * steps.
 */
NS_INLINE double ns_exp(double x)
{
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    double shifted = x * 1.4426950408889634 + NS_SHIFTER;
    double k = shifted - NS_SHIFTER;
    double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = 1.0 + (r + r * r * p); /* the two largest terms last, so that little is lost beside them */
    /* k + 2048 is positive, so that a logical shift halves it downwards: k = j + (k - j), both within +-540.
     */
    uint64_t biased = ns_bits(shifted) - NS_SHIFTER_BITS + 2048;
    uint64_t j = biased >> 1;
    double first = ns_from_bits((j - 1024 + 1023) << 52);
    double second = ns_from_bits((biased - j - 1024 + 1023) << 52);
    return p * first * second;
}

/*
 * Natural logarithm within 1 ulp. -infinity for 0, NaN for negative x and NaN, infinity for infinity.
 * x = 2^k m with m in [sqrt(1/2), sqrt(2)); with f = m - 1 and s = f / (2 + f),
 * log m = 2 atanh s = f - f^2/2 + s (f^2/2 + R), R = 2/3 s^2 + 2/5 s^4 + … + 2/23 s^22 (next term: under
 * 2^-59).
 */
NS_INLINE double ns_log(double x)
{
    double scaled = x < 0x1p-1022 ? x * 0x1p54 : x;
    double lowered = x < 0x1p-1022 ? 54.0 : 0.0;
    uint64_t bits = ns_bits(scaled);
    uint64_t offset = bits - UINT64_C(0x3fe6a09e667f3bcd) + (UINT64_C(1024) << 52); /* sqrt(1/2) */
    uint64_t biased_k = offset >> 52;
    double k = ns_small_i64_to_f64((int64_t)biased_k - 1024) - lowered;
    double m = ns_from_bits(bits - ((biased_k - 1024) << 52));
    double f = m - 1.0;
    double s = f / (2.0 + f);
    double z = s * s;
    double series = 2.0 / 23.0;
    series = series * z + 2.0 / 21.0;
    series = series * z + 2.0 / 19.0;
    series = series * z + 2.0 / 17.0;
    series = series * z + 2.0 / 15.0;
    series = series * z + 2.0 / 13.0;
    series = series * z + 2.0 / 11.0;
    series = series * z + 2.0 / 9.0;
    series = series * z + 2.0 / 7.0;
    series = series * z + 2.0 / 5.0;
    series = series * z + 2.0 / 3.0;
    series = series * z;
    double half = 0.5 * f * f;
    double result = k * 0x1.62e42feep-1 - ((half - (s * (half + series) + k * 0x1.a39ef35793c76p-33)) - f);
    result = x == ns_from_bits(UINT64_C(0x7ff0000000000000)) ? x : result;
    result = x == 0.0 ? -ns_from_bits(UINT64_C(0x7ff0000000000000)) : result;
    return x >= 0.0 ? result : ns_from_bits(UINT64_C(0x7ff8000000000000));
}

/* log(1 + e^x) for any finite x, never overflowing: max(x, 0) + log(1 + a), a = e^-|x|; what 1 + a loses is
 * put back. */
NS_INLINE double ns_log1p_exp(double x)
{
    double a = ns_exp(-ns_abs(x));
    double u = 1.0 + a;
    double tail = ns_log(u) + (a - (u - 1.0)) / u;
    return (x > 0.0 ? x : 0.0) + tail;
}

/* 1 / (1 + e^-x), relative accuracy kept at both ends: (x >= 0 ? 1 : a) / (1 + a), a = e^-|x|. */
NS_INLINE double ns_sigmoid(double x)
{
    double a = ns_exp(-ns_abs(x));
    return (x >= 0.0 ? 1.0 : a) / (1.0 + a);
}

/* A probability as it is published: float32, never 0 or 1. */
NS_INLINE float ns_published_risk(double probability)
{
    float risk = (float)probability;
    risk = risk < 0x1p-24f ? 0x1p-24f : risk;
    return risk > 1.0f - 0x1p-24f ? 1.0f - 0x1p-24f : risk;
}

/* The risk that is published for a margin of `margin` units of `unit` (2^-k): that of the sigmoid. */
NS_INLINE float ns_risk(int64_t margin, double unit)
{
    return ns_published_risk(ns_sigmoid((double)margin * unit));
}

/* The same for one row of n classes, by the softmax. Terms are taken twice, so that no room is needed for them. */
NS_INLINE void ns_class_risks(const int64_t *margin, int32_t n, double unit, float *out)
{
    double top = (double)margin[0] * unit, norm = 0.0;
    for (int32_t c = 1; c < n; c++) {
        double m = (double)margin[c] * unit;
        top = m > top ? m : top;
    }
    for (int32_t c = 0; c < n; c++) norm = norm + ns_exp((double)margin[c] * unit - top);
    for (int32_t c = 0; c < n; c++) out[c] = ns_published_risk(ns_exp((double)margin[c] * unit - top) / norm);
}

/* x brought into [low, high]. */
NS_INLINE double ns_clamp(double x, double low, double high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* The expected count of a poisson model: e^m, m kept within +-30. */
NS_INLINE double ns_rate(double m)
{
    return ns_exp(ns_clamp(m, -30.0, 30.0));
}

/*
 * Order-preserving keys: a < b as floats exactly when key(a) < key(b). -0 gets the key of +0. Not for NaN.
 */
NS_INLINE uint32_t ns_key_of(float x)
{
    uint32_t bits = ns_bits_f32(x + 0.0f); /* -0 + +0 = +0 */
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

NS_INLINE float ns_value_of_key(uint32_t key)
{
    return ns_from_bits_f32((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}
#endif
