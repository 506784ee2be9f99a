#ifndef NIGHTSHIFT_KERNELS_CUDA_TURN_H
#define NIGHTSHIFT_KERNELS_CUDA_TURN_H
/*
 * What differs from tree to tree, on the device: kernels find it there, so that nothing of it goes by way of the host and a
 * step of growing is the same calls for every tree.
 */
#include "kernels/leaf.h"

typedef struct ns_cuda_turn {
    int64_t round;
    int64_t n_grown;         /* rows of this rank that the tree is grown from */
    int64_t max[2];          /* bits of the largest |g| and h: of this rank, then of all */
    int64_t losses[4];       /* of this rank: low and high words of the sums over training and validation rows */
    double scale_g, scale_h; /* of rounding */
    double unit_g, unit_h;   /* 1 / scale: of the sums that splits are chosen by */
    ns_leaf_scales leaf;
    uint32_t output;
} ns_cuda_turn;
#endif
