#include "kernels/level.h"

#include <stddef.h>
#include <string.h>

/* Processors other than x86: the plain loops, with whatever vectors the compiler's default target has. */
static const ns_level baseline = {.name = "baseline",
                                  .bin = &ns_bin_baseline,
                                  .gradient = &ns_gradient_baseline,
                                  .histogram = &ns_histogram_baseline,
                                  .partition = &ns_partition_baseline,
                                  .split = &ns_split_baseline,
                                  .leaf = &ns_leaf_baseline,
                                  .loss = &ns_loss_baseline,
                                  .walk = &ns_walk_baseline,
                                  .code = &ns_tree_code_baseline};

ns_status ns_level_pick(const ns_level **out, const char *name)
{
    *out = NULL;
    if (name != NULL && (strcmp(name, "avx2") == 0 || strcmp(name, "avx512") == 0))
        return ns_fail(NS_EUNAVAILABLE, "NIGHTSHIFT_CPU asks for %s, which this processor has not", name);
    if (name != NULL && strcmp(name, "baseline") != 0)
        return ns_fail(NS_EINVAL, "NIGHTSHIFT_CPU is '%s', must be baseline, avx2 or avx512", name);
    *out = &baseline;
    return NS_OK;
}
