#ifndef NIGHTSHIFT_DATA_CELL_LOOPS_H
#define NIGHTSHIFT_DATA_CELL_LOOPS_H
/*
 * What is done to every float32 that is read, compiled for each instruction set; the same bits from each. After inflating, these
 * loops are most of what reading costs.
 */
#include <stdint.h>

typedef struct ns_cell_loops {
    /* out[i] = cells[i], -0 as +0, every NaN as 0x7fc00000; out may be cells */
    void (*canonical)(float *out, const float *cells, int64_t n);
    /* The same; returns 1 where any finite cell has a fraction, else 0. */
    int (*canonical_and_look)(float *out, const float *cells, int64_t n);
} ns_cell_loops;

/* The widest that this processor has and NIGHTSHIFT_CPU allows (an unknown word there allows all). The same on every call. */
const ns_cell_loops *ns_cell_loops_here(void);

extern const ns_cell_loops ns_cell_loops_baseline, ns_cell_loops_avx2, ns_cell_loops_avx512; /* the last two: x86-64 only */
#endif
