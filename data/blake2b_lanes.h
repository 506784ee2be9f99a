#ifndef NIGHTSHIFT_DATA_BLAKE2B_LANES_H
#define NIGHTSHIFT_DATA_BLAKE2B_LANES_H
/*
 * BLAKE2b-256 (RFC 7693; unkeyed) of several messages at once, one in each 64-bit lane of the registers: 4 with AVX2, 8 with
 * AVX-512. One message alone leaves most of a register's work unused, since every step waits for the one before it.
 * data/hash.h has the functions for everyone; this is what they choose from.
 */
#include <stdint.h>
#include <stddef.h>

enum { NS_BLAKE2B_BLOCK = 128, NS_BLAKE2B_MOST_LANES = 8 };

typedef struct ns_blake2b_lanes {
    int n; /* messages at once */
    /*
     *   digest   out  [n][32]
     *   message  in   [n][n_bytes], n_bytes a multiple of NS_BLAKE2B_BLOCK and not 0
     */
    void (*whole)(uint8_t *digest, const uint8_t *message, size_t n_bytes);
    /*
     *   first    out  [n] the first 8 bytes of each digest, little-endian
     *   second   out  [n] the next 8
     *   block    in   [n][NS_BLAKE2B_BLOCK] messages, filled up with 0
     *   n_bytes  in   [n] of the messages, at most NS_BLAKE2B_BLOCK
     */
    void (*brief)(uint64_t *first, uint64_t *second, const uint8_t *block, const uint64_t *n_bytes);
} ns_blake2b_lanes;

/* The widest that this processor has and NIGHTSHIFT_CPU allows (an unknown word there allows all); NULL: none. The same on
   every call. */
const ns_blake2b_lanes *ns_blake2b_lanes_here(void);

extern const ns_blake2b_lanes ns_blake2b_lanes_avx2, ns_blake2b_lanes_avx512; /* x86-64 only */
#endif
