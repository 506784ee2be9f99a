#ifndef NIGHTSHIFT_KERNELS_PHILOX_H
#define NIGHTSHIFT_KERNELS_PHILOX_H
/*
 * Random numbers that belong to what they are used for, not to who draws them: Philox4x32-10 of Salmon,
 * Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. A block of four 32-bit words
 * is a pure function of a 128-bit counter and a 64-bit key.
 *
 * One stream is (seed, purpose, step, output), where step is the boosting round:
 *     key      seed & 0xffffffff, seed >> 32
 *     counter  block & 0xffffffff, block >> 32, step & 0xffffffff, purpose | output << 8
 * Word i of a stream is word i & 3 of block i >> 2. For rows i is the global row number, for columns the
 * feature.
 */
#include "kernels/numerics.h"

/* What a stream is for; part of the numerics version. */
enum {
    NS_RANDOM_GRADIENT = 1,     /* stochastic rounding: low 16 bits for g, high 16 for h */
    NS_RANDOM_ROWS = 2,         /* row sampling */
    NS_RANDOM_COLUMNS_TREE = 3, /* column sampling per tree */
    NS_RANDOM_COLUMNS_NODE = 4  /* column sampling per node */
};

typedef struct ns_stream {
    uint32_t key[2];
    uint32_t step, place; /* counter words 2 and 3 */
} ns_stream;

typedef struct ns_block {
    uint32_t word[4];
} ns_block;

/* Ten rounds over the counter in x, key k0, k1. */
NS_INLINE ns_block ns_philox(ns_block x, uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t a = UINT64_C(0xD2511F53) * x.word[0];
        uint64_t b = UINT64_C(0xCD9E8D57) * x.word[2];
        uint32_t x0 = (uint32_t)(b >> 32) ^ x.word[1] ^ k0;
        uint32_t x2 = (uint32_t)(a >> 32) ^ x.word[3] ^ k1;
        x.word[0] = x0;
        x.word[1] = (uint32_t)b;
        x.word[2] = x2;
        x.word[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return x;
}

/* The stream of a purpose; output < 2^24 counts the trees of one round. */
NS_INLINE ns_stream ns_stream_of(uint64_t seed, uint32_t purpose, int64_t step, uint32_t output)
{
    ns_stream s;
    s.key[0] = (uint32_t)seed;
    s.key[1] = (uint32_t)(seed >> 32);
    s.step = (uint32_t)step;
    s.place = purpose | output << 8;
    return s;
}

/* Four words at once: those of i = 4 block .. 4 block + 3. */
NS_INLINE ns_block ns_stream_block(const ns_stream *s, uint64_t block)
{
    ns_block counter;
    counter.word[0] = (uint32_t)block;
    counter.word[1] = (uint32_t)(block >> 32);
    counter.word[2] = s->step;
    counter.word[3] = s->place;
    return ns_philox(counter, s->key[0], s->key[1]);
}

/* Word i of the stream. */
NS_INLINE uint32_t ns_stream_word(const ns_stream *s, uint64_t i)
{
    return ns_stream_block(s, i >> 2).word[i & 3];
}

/*
 * A stream of its own for each value of a 64-bit name within a stream (the hash of a node's path): its key is
 * the first two words of the parent stream's block `name`.
 */
NS_INLINE ns_stream ns_stream_within(const ns_stream *s, uint64_t name)
{
    ns_block block = ns_stream_block(s, name);
    ns_stream inner = *s;
    inner.key[0] = block.word[0];
    inner.key[1] = block.word[1];
    return inner;
}

/* The hash of a node's path: the root's is 1, a child's the mix (Stafford's variant 13) of twice its
 * parent's, + 1 right. */
NS_INLINE uint64_t ns_path_hash(uint64_t parent, int right)
{
    uint64_t z = 2 * parent + (right != 0) + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
#endif
