/* Plain C without branches that compilers turn into vectors; NS_LEVEL names the instruction set (CMakeLists.txt). */
#include "data/cell_loops.h"

#include <math.h>
#include <string.h>

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

const ns_cell_loops EXPAND(ns_cell_loops, NS_LEVEL) = {.canonical = canonical, .canonical_and_look = canonical_and_look};
