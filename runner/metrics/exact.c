#include "runner/metrics/exact.h"

#include <math.h>
#include <stdint.h>

double ns_u128_to_double(ns_u128 value)
{
    /* The top 64 bits, with a sticky last bit for all that is cut off: 64 bits are 11 more than a double
       holds, so rounding them is rounding the whole. The scale is a power of two, below 2^65. */
    double scale = 1.0;
    ns_u128 top = value;
    int shift = 0;
    while (top >> 64 != 0) {
        top >>= 1;
        shift++;
        scale *= 2.0;
    }
    uint64_t bits = (uint64_t)top;
    if (((ns_u128)bits << shift) != value) bits |= 1;
    return (double)bits * scale;
}

double ns_i128_to_double(ns_i128 value)
{
    return value < 0 ? -ns_u128_to_double(-(ns_u128)value) : ns_u128_to_double((ns_u128)value);
}

double ns_square_root(double value)
{
    return sqrt(value);
}
