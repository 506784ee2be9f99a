#include "kernels/level.h"

#include <stddef.h>
#include <string.h>

#define TABLE(level)                                                                                         \
    {                                                                                                        \
        .name = #level, .bin = &ns_bin_##level, .gradient = &ns_gradient_##level,                            \
        .histogram = &ns_histogram_##level, .partition = &ns_partition_##level, .split = &ns_split_##level, .leaf = &ns_leaf_##level,    \
        .loss = &ns_loss_##level, .walk = &ns_walk_##level, .code = &ns_tree_code_##level                                                   \
    }

enum { BASELINE, AVX2, AVX512, N_LEVELS };
static const ns_level levels[N_LEVELS] = {TABLE(baseline), TABLE(avx2), TABLE(avx512)};

/* All of x86-64-v3 and -v4 that the compiler may use, not only the name-giving part. */
static bool has(int level)
{
    __builtin_cpu_init();
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
              __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    return level == BASELINE || (level == AVX2 && v3) || (level == AVX512 && v4);
}

ns_status ns_level_pick(const ns_level **out, const char *name)
{
    int level = N_LEVELS - 1;
    *out = NULL;
    if (name == NULL) {
        while (!has(level)) level--;
    } else {
        while (level >= 0 && strcmp(levels[level].name, name) != 0) level--;
        if (level < 0)
            return ns_fail(NS_EINVAL, "NIGHTSHIFT_CPU is '%s', must be baseline, avx2 or avx512", name);
        if (!has(level))
            return ns_fail(NS_EUNAVAILABLE, "NIGHTSHIFT_CPU asks for %s, which this processor has not", name);
    }
    *out = &levels[level];
    return NS_OK;
}
