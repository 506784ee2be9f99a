#ifndef NIGHTSHIFT_KERNELS_TAKE_H
#define NIGHTSHIFT_KERNELS_TAKE_H
/* One list of blocks, walked to take them or only to count their bytes: what is planned is what is taken. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ns_taker {
    int64_t n_bytes; /* counted so far */
    bool count_only;
    bool failed; /* a block could not be had; later ones are counted, not taken */
} ns_taker;

/*
 * A block of n elements of `size` bytes (n = 0: of one), all zero, from the border of a cache line on; from 4 MiB on in
 * pages of 2 MiB where the system has them, which it gives when they are first written. Returns NULL when only counting
 * and after a failure. The caller frees it. Local.
 */
void *ns_take(ns_taker *taker, int64_t n, size_t size);

/* Gives pages of what was freed back to the system, where the C library keeps them (glibc does, below the last block in use).
   Takes as long as there are such pages: for once before large blocks are taken. Local. */
void ns_give_freed_back(void);
#endif
