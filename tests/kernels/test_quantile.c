/* Quantiles against sorting, over ranks that hold uneven parts of the column. */
#include "tests/check.h"

#include <math.h>
#include <mpi.h>

#include "cluster/reduce.h"
#include "kernels/numerics.h"
#include "kernels/quantile.h"
#include "tests/kernels/columns.h"
#include "tests/kernels/ranks.h"

enum { MAX_ROWS = 20000 };

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void quantiles_are_those_of_sorting(void **state)
{
    (void)state;
    static float all[MAX_ROWS], mine[MAX_ROWS];
    MPI_Comm comm = MPI_COMM_WORLD;
    ns_link link = test_link(&comm);
    int32_t percent[99];
    for (int32_t i = 0; i < 99; i++) percent[i] = i + 1;
    const int64_t sizes[] = {0, 1, 2, 31, 33, 257, MAX_ROWS};
    for (int shape = 0; shape < N_SHAPES; shape++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            int64_t n = 0, n_mine = 0, n_values = -1;
            for (int64_t i = 0; i < sizes[s]; i++) {
                float x = test_value((test_shape)shape, 21, i);
                if (test_rank_of(i, link.n_ranks) == link.rank) mine[n_mine++] = x;
                if (!isnan(x)) all[n++] = x + 0.0f;
            }
            qsort(all, (size_t)n, sizeof *all, by_value);
            float got[100];
            got[99] = -77.0f;
            CHECK_OK(ns_quantiles(mine, n_mine, percent, 99, got, &n_values, &link));
            assert_int_equal(n_values, n);
            assert_true(got[99] == -77.0f);
            for (int32_t i = 0; i < 99; i++) {
                int64_t rank = (n * percent[i] + 99) / 100;
                if (n == 0)
                    assert_true(isnan(got[i]));
                else
                    assert_int_equal(ns_bits_f32(got[i]), ns_bits_f32(all[rank - 1]));
            }
        }
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(quantiles_are_those_of_sorting)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
