#ifndef NIGHTSHIFT_TESTS_KERNELS_COLUMNS_H
#define NIGHTSHIFT_TESTS_KERNELS_COLUMNS_H
/* Made-up number columns for tests of counting: each shape breaks another shortcut. */
#include <math.h>
#include <stdint.h>

#include "kernels/philox.h"

typedef enum test_shape {
    SHAPE_UNIFORM,      /* all distinct, one binary exponent */
    SHAPE_WIDE,         /* many exponents, both signs */
    SHAPE_WHOLE,        /* 0..99 */
    SHAPE_TWO,          /* two values */
    SHAPE_ONE,          /* one value */
    SHAPE_ZEROS,        /* 60 % zeros, -0 among them, the rest distinct */
    SHAPE_HEAVIES,      /* many heavy values among distinct ones */
    SHAPE_NEARLY_HEAVY, /* values just below and just above the limit */
    SHAPE_MISSING,      /* 90 % NaN */
    SHAPE_NOTHING,      /* all NaN */
    SHAPE_INFINITE,     /* infinities among whole values */
    SHAPE_TINY,         /* subnormals and neighbours of zero */
    N_SHAPES
} test_shape;

/* Value `row` of a column. */
static inline float test_value(test_shape shape, uint64_t seed, int64_t row)
{
    ns_stream stream = ns_stream_of(seed, 100, (int64_t)shape, 0);
    ns_block block = ns_stream_block(&stream, (uint64_t)row);
    double u = block.word[0] * 0x1p-32, v = block.word[1] * 0x1p-32;
    switch (shape) {
    case SHAPE_UNIFORM:
        return (float)(1.0 + u);
    case SHAPE_WIDE:
        return (float)ldexp(v < 0.5 ? -u : u, (int)(block.word[2] % 60) - 30);
    case SHAPE_WHOLE:
        return (float)floor(u * 100.0);
    case SHAPE_TWO:
        return u < 0.3 ? -2.5f : 7.0f;
    case SHAPE_ONE:
        return 3.0f;
    case SHAPE_ZEROS:
        return v < 0.3 ? 0.0f : v < 0.6 ? -0.0f : (float)(u - 0.25);
    case SHAPE_HEAVIES:
        return v < 0.7 ? (float)floor(10.0 * u) : (float)(10.0 * u);
    case SHAPE_NEARLY_HEAVY:
        return v < 0.8 ? (float)floor(u * 24.0) : (float)(24.0 * u);
    case SHAPE_MISSING:
        return v < 0.9 ? NAN : (float)u;
    case SHAPE_NOTHING:
        return NAN;
    case SHAPE_INFINITE:
        return v < 0.1 ? INFINITY : v < 0.2 ? -INFINITY : (float)floor(u * 50.0);
    case SHAPE_TINY:
        return (float)ldexp(floor(u * 2000.0) - 1000.0, -149);
    case N_SHAPES:
        break;
    }
    return NAN;
}
#endif
