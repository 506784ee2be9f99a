#ifndef NIGHTSHIFT_KERNELS_LEVEL_H
#define NIGHTSHIFT_KERNELS_LEVEL_H
/*
 * The instruction sets of the cpu backend. The sources with inner loops (bin, gradient, histogram, partition,
 * search, leaf, loss, walk, tree_code) are compiled once for each level; each exports a table of functions whose name ends in
 * the level's. The loops are serial and work on a range of rows: threads are the callers' affair. All levels
 * give the same bytes, since none of them may contract or reorder floating point.
 */
#include "kernels/bin.h"
#include "kernels/gradient.h"
#include "kernels/histogram.h"
#include "kernels/leaf.h"
#include "kernels/loss.h"
#include "kernels/partition.h"
#include "kernels/split.h"
#include "kernels/tree_code.h"
#include "kernels/walk.h"

typedef struct ns_level {
    const char *name; /* "baseline", "avx2", "avx512" */
    const ns_bin_loops *bin;
    const ns_gradient_loops *gradient;
    const ns_histogram_loops *histogram;
    const ns_partition_loops *partition;
    const ns_split_loops *split;
    const ns_leaf_loops *leaf;
    const ns_loss_loops *loss;
    const ns_walk_loops *walk;
    const ns_tree_code_loops *code;
} ns_level;

/*
 * The level to use: the highest that this processor has, or the one named.
 *   out   out  static
 *   name  in   "baseline", "avx2", "avx512", or NULL: the highest
 * Local. NS_EINVAL: no such name. NS_EUNAVAILABLE: this processor, or this build, has it not.
 */
ns_status ns_level_pick(const ns_level **out, const char *name);
#endif
