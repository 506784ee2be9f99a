#ifndef NIGHTSHIFT_DATA_CELL_LOOPS_H
#define NIGHTSHIFT_DATA_CELL_LOOPS_H
/*
 * What is done to every cell that is read, compiled for each instruction set; the same bits from each. After inflating, these
 * loops are most of what reading costs.
 */
#include <stdint.h>

typedef struct ns_cell_loops {
    /* out[i] = cells[i], -0 as +0, every NaN as 0x7fc00000; out may be cells */
    void (*canonical)(float *out, const float *cells, int64_t n);
    /* The same; returns 1 where any finite cell has a fraction, else 0. */
    int (*canonical_and_look)(float *out, const float *cells, int64_t n);
    /*
     * Parts cells of 4 bytes, in their order: cell i goes to to[part[i]], which then stands behind it.
     *   to    inout  [4]; to[0] is not used: cells of part 0 go nowhere
     *   part  in     [n] 0 to 3
     */
    void (*part)(unsigned char *to[4], const void *cells, const uint8_t *part, int64_t n);
} ns_cell_loops;

/* The widest that this processor has and NIGHTSHIFT_CPU allows (an unknown word there allows all). The same on every call. */
const ns_cell_loops *ns_cell_loops_here(void);

extern const ns_cell_loops ns_cell_loops_baseline, ns_cell_loops_avx2, ns_cell_loops_avx512; /* the last two: x86-64 only */
#endif
