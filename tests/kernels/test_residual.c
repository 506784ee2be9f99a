/* Quantiles of residuals by group against sorting, over ranks that hold uneven parts of the rows. */
#include "tests/check.h"

#include <float.h>
#include <math.h>
#include <mpi.h>
#include <stdbool.h>

#include "kernels/numerics.h"
#include "kernels/residual.h"
#include "tests/kernels/columns.h"
#include "tests/kernels/ranks.h"

enum { MAX_ROWS = 20000, MAX_GROUPS = 300 };

typedef struct row {
    float residual;
    int64_t w;
    int32_t group;
} row;

static row all[MAX_ROWS];
static int64_t margin[MAX_ROWS];
static float label[MAX_ROWS], weight[MAX_ROWS];
static int32_t group[MAX_ROWS];

static int by_group_and_value(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return (x->residual > y->residual) - (x->residual < y->residual);
}

/* This rank's rows of n into the arrays above; all of them into `all`. Returns this rank's. */
static int64_t make_rows(test_shape shape, int64_t n, int32_t n_groups, bool weighted, const ns_link *link)
{
    int64_t n_mine = 0;
    int bits = 0;
    while ((INT64_C(1) << bits) < n) bits++;
    for (int64_t i = 0; i < n; i++) {
        float y = test_value(shape, 21, i);
        if (isnan(y)) y = 2.5f;
        if (isinf(y)) y = copysignf(FLT_MAX, y);
        int64_t m = i % 3 == 0 ? 0 : ((i * 7919) % 1000 - 500) * (INT64_C(1) << 22);
        int32_t g = (int32_t)(i * i % n_groups);
        float w = i % 31 == 7 ? 0.0f : 0.25f + (float)(i % 17);
        all[i] = (row){(float)fmin(FLT_MAX, fmax(-FLT_MAX, (double)y - (double)m * 0x1p-26)), 1, g};
        if (weighted) all[i].w = llrint(ldexp((double)w, 40 - 5));
        if (test_rank_of(i, link->n_ranks) != link->rank) continue;
        margin[n_mine] = m;
        label[n_mine] = y;
        weight[n_mine] = w;
        group[n_mine++] = g;
    }
    qsort(all, (size_t)n, sizeof *all, by_group_and_value);
    return n_mine;
}

static double slow_quantile(int64_t n, int32_t of, int64_t billionths)
{
    ns_i128 total = 0, below = 0;
    for (int64_t i = 0; i < n; i++) total += all[i].group == of ? all[i].w : 0;
    for (int64_t i = 0; i < n; i++) {
        if (all[i].group != of || all[i].w == 0) continue;
        below += all[i].w;
        if (below * 1000000000 >= total * billionths) return (double)all[i].residual;
    }
    return 0.0;
}

static void check(test_shape shape, int64_t n, int32_t n_groups, bool weighted, const ns_link *link)
{
    const double quantiles[] = {0.9, 1e-9, 0.5, 1.0 / 3.0, 0.999999999};
    const int64_t billionths[] = {900000000, 1, 500000000, 333333333, 999999999};
    int64_t n_mine = make_rows(shape, n, n_groups, weighted, link);
    static double out[MAX_GROUPS + 1];
    static int32_t wanted[MAX_GROUPS];
    int32_t n_wanted = 0;
    for (int32_t g = 0; g < n_groups; g++) /* not all of them, and backwards */
        if (g % 5 != 3) wanted[n_wanted++] = n_groups - 1 - g;
    ns_residual_plan plan = {
        .n_rows = n_mine, .n_rows_global = n, .max_groups = n_groups, .n_threads = 1 + link->rank % 2};
    ns_residuals *residuals;
    CHECK_OK(ns_residuals_create(&residuals, &plan));
    ns_residual_rows rows = {.margin = margin,
                             .label = label,
                             .weight = weighted ? weight : NULL,
                             .weight_scale = 0x1p-5,
                             .unit = 0x1p-26,
                             .group = group};
    for (int q = 0; q < 5; q++) {
        for (int32_t g = 0; g <= n_groups; g++) out[g] = 4711.0;
        ns_residual_quantiles(residuals, &rows, wanted, n_wanted, quantiles[q], link, out);
        for (int32_t g = 0; g <= n_groups; g++) {
            bool is_wanted = g < n_groups && (n_groups - 1 - g) % 5 != 3;
            assert_true(out[g] == (is_wanted ? slow_quantile(n, g, billionths[q]) : 4711.0));
        }
    }
    ns_residuals_destroy(&residuals);
    assert_null(residuals);
}

static void quantiles_are_those_of_sorting(void **state)
{
    (void)state;
    MPI_Comm comm = MPI_COMM_WORLD;
    ns_link link = test_link(&comm);
    for (int shape = 0; shape < N_SHAPES; shape++)
        for (int weighted = 0; weighted < 2; weighted++) {
            check((test_shape)shape, 10, 1, weighted != 0, &link);
            check((test_shape)shape, 1, 4, weighted != 0, &link);
            check((test_shape)shape, 1000, 20, weighted != 0, &link);
        }
    check(SHAPE_UNIFORM, 3000, MAX_GROUPS, true, &link);
    check(SHAPE_WIDE, MAX_ROWS, 7, true, &link);
    check(SHAPE_HEAVIES, MAX_ROWS, 31, false, &link);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(quantiles_are_those_of_sorting)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
