#include "data/float_text.h"

/*
 * Decimals of 9 digits tell all float32 apart, and where d digits do, d + 1 do; so few lengths need a look. A candidate
 * m * 10^-p is read back as the float32 of the double m / 10^p: m < 10^9 and 10^p up to 10^22 are exact in double, so the
 * quotient is rounded once, and rounding it again is wrong only where it falls on the middle between two float32; there, and
 * for exponents beyond 22, the C library reads the digits.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIGITS = 9, EXACT_POWERS = 22 };

static const double power[EXACT_POWERS + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The float32 that "m e-p" is read as. */
static float read_decimal(int64_t m, int p)
{
    if (p >= -EXACT_POWERS && p <= EXACT_POWERS) {
        double value = p >= 0 ? (double)m / power[p] : (double)m * power[-p];
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        /* the 29 bits that float32 has not: 1000… is the middle. Below 2^-126 float32 has fewer bits still. */
        if ((bits & 0x1fffffff) != 0x10000000 && value > 1e-37 && (p >= 0 || value < 9007199254740992.0)) return (float)value;
    }
    char text[40];
    snprintf(text, sizeof text, "%" PRId64 "e%d", m, -p);
    return strtof(text, NULL);
}

/* Whether d digits are enough for value > 0, whose first digit stands for 10^exponent: *m digits then, value = m * 10^-*p. */
static bool fits(float value, int exponent, int digits, int64_t *m, int *p)
{
    *p = digits - 1 - exponent;
    int step = *p;
    double scaled = value; /* a little off is enough: the neighbours are tried too */
    for (; step > EXACT_POWERS; step -= EXACT_POWERS) scaled *= power[EXACT_POWERS];
    for (; step < -EXACT_POWERS; step += EXACT_POWERS) scaled /= power[EXACT_POWERS];
    scaled = step >= 0 ? scaled * power[step] : scaled / power[-step];
    int64_t near = (int64_t)floor(scaled + 0.5);
    int64_t side = scaled >= (double)near ? 1 : -1; /* the nearer of the two neighbours comes first */
    const int64_t candidates[] = {near, near + side, near - side};
    for (int i = 0; i < 3; i++) {
        if (candidates[i] <= 0 || read_decimal(candidates[i], *p) != value) continue;
        *m = candidates[i];
        return true;
    }
    return false;
}

static int first_exponent(float value)
{
    char text[NS_FLOAT_TEXT];
    if (value >= 1e-20f && value < 1e20f) {
        int exponent = 0;
        double v = value;
        for (; v < 1; v *= 10) exponent--;
        for (; v >= 10; v /= 10) exponent++;
        return exponent;
    }
    snprintf(text, sizeof text, "%.16e", (double)value);
    return atoi(strchr(text, 'e') + 1);
}

/* digits * 10^-p as text, n of them. */
static int layout(char *out, const char *digits, int n, int exponent)
{
    char *at = out;
    if (exponent < -5 || exponent > 15) {
        *at++ = digits[0];
        if (n > 1) *at++ = '.';
        memcpy(at, digits + 1, (size_t)n - 1);
        at += n - 1;
        return (int)(at - out) + snprintf(at, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    }
    for (int i = exponent; i < 0; i++) {
        *at++ = '0';
        if (i == exponent) *at++ = '.';
    }
    for (int i = 0; i < n || i <= exponent; i++) {
        if (i == exponent + 1 && exponent >= 0) *at++ = '.';
        *at++ = i < n ? digits[i] : '0';
    }
    *at = '\0';
    return (int)(at - out);
}

int ns_float_text(char out[NS_FLOAT_TEXT], float value)
{
    if (isnan(value)) return snprintf(out, NS_FLOAT_TEXT, "nan");
    int sign = signbit(value) ? 1 : 0;
    if (sign) out[0] = '-';
    if (isinf(value)) return sign + snprintf(out + sign, NS_FLOAT_TEXT - 1, "inf");
    float size = fabsf(value);
    if (size == 0) return sign + snprintf(out + sign, NS_FLOAT_TEXT - 1, "0");
    int exponent = first_exponent(size), best_p = 0, p = 0;
    int64_t best = 0, m = 0;
    /* most float32 need 8 digits, whole and rounded values few */
    int digits = fits(size, exponent, 6, &m, &p) ? 6 : 7;
    if (digits == 7)
        while (digits < MOST_DIGITS && !fits(size, exponent, digits, &m, &p)) digits++;
    if (!fits(size, exponent, digits, &best, &best_p)) digits = MOST_DIGITS;
    for (; digits > 1 && fits(size, exponent, digits - 1, &m, &p); digits--) {
        best = m;
        best_p = p;
    }
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, best);
    exponent = n - 1 - best_p;
    while (n > 1 && text[n - 1] == '0') n--;
    return sign + layout(out + sign, text, n, exponent);
}
