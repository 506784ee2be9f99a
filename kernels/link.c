#include "kernels/link.h"

static void leave_i64(void *context, int64_t *values, int64_t n)
{
    (void)context, (void)values, (void)n;
}

static void leave_i128(void *context, ns_i128 *values, int64_t n)
{
    (void)context, (void)values, (void)n;
}

ns_link ns_link_alone(void)
{
    return (ns_link){.n_ranks = 1, .sum_i64 = leave_i64, .max_i64 = leave_i64, .sum_i128 = leave_i128};
}
