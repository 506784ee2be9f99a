#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "data/blake2b_lanes.h"
#include "data/cell_loops.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const ns_blake2b_lanes *chosen;
static const ns_cell_loops *chosen_loops = &ns_cell_loops_baseline;

/* All of x86-64-v3 and -v4 that the compiler may use, as in kernels/levels_x86.c. */
static void choose(void)
{
    const char *allowed = getenv("NIGHTSHIFT_CPU");
    bool only_v3 = allowed != NULL && strcmp(allowed, "avx2") == 0;
    if (allowed != NULL && strcmp(allowed, "baseline") == 0) return;
    __builtin_cpu_init();
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
              __builtin_cpu_supports("fma");
    bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (v3) chosen = v4 && !only_v3 ? &ns_blake2b_lanes_avx512 : &ns_blake2b_lanes_avx2;
    if (v3) chosen_loops = v4 && !only_v3 ? &ns_cell_loops_avx512 : &ns_cell_loops_avx2;
}

const ns_blake2b_lanes *ns_blake2b_lanes_here(void)
{
    pthread_once(&once, choose);
    return chosen;
}

const ns_cell_loops *ns_cell_loops_here(void)
{
    pthread_once(&once, choose);
    return chosen_loops;
}
