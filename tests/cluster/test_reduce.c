/* Exact reductions against loops over all ranks' values. */
#include "tests/check.h"

#include <stdbool.h>

#include "cluster/reduce.h"

static int rank, n_ranks;

static const int64_t SIZES[] = {0, 1, 31, 257, 100003};
enum { N_SIZES = sizeof SIZES / sizeof SIZES[0] };

/* Some value of rank r at place i: of either sign, large. */
static int64_t value(int r, int64_t i)
{
    uint64_t x = (uint64_t)i * 0x9E3779B97F4A7C15u + (uint64_t)r * 0xD1B54A32D192ED03u + 1;
    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9u;
    return (int64_t)(x >> 3) - ((int64_t)1 << 60);
}

/* About 2^104, of either sign. */
static ns_i128 wide_value(int r, int64_t i)
{
    return (ns_i128)value(r, i) * (((int64_t)1 << 44) + 1) + r;
}

static void sums(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES; s++) {
        int64_t n = SIZES[s], *values = malloc((size_t)(n + 1) * sizeof *values);
        assert_non_null(values);
        for (int64_t i = 0; i < n; i++) values[i] = value(rank, i) / 8; /* so that 8 ranks fit */
        values[n] = 4711;
        ns_sum_i64(values, n, MPI_COMM_WORLD);
        for (int64_t i = 0; i < n; i++) {
            int64_t want = 0;
            for (int r = 0; r < n_ranks; r++) want += value(r, i) / 8;
            assert_true(values[i] == want);
        }
        assert_true(values[n] == 4711);
        free(values);
    }
}

static void maxima(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES; s++) {
        int64_t n = SIZES[s], *values = malloc((size_t)(n + 1) * sizeof *values);
        assert_non_null(values);
        for (int64_t i = 0; i < n; i++) values[i] = i % 7 == 0 ? -(rank + 1) : value(rank, i);
        values[n] = 4711;
        ns_max_i64(values, n, MPI_COMM_WORLD);
        for (int64_t i = 0; i < n; i++) {
            int64_t want = INT64_MIN;
            for (int r = 0; r < n_ranks; r++) {
                int64_t v = i % 7 == 0 ? -(r + 1) : value(r, i);
                if (v > want) want = v;
            }
            assert_true(values[i] == want);
        }
        assert_true(values[n] == 4711);
        free(values);
    }
}

static void wide_sums(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES; s++) {
        int64_t n = SIZES[s];
        ns_i128 *values = malloc((size_t)(n + 1) * sizeof *values);
        assert_non_null(values);
        for (int64_t i = 0; i < n; i++) values[i] = wide_value(rank, i);
        values[n] = 4711;
        ns_sum_i128(values, n, MPI_COMM_WORLD);
        bool above = false, below = false;
        for (int64_t i = 0; i < n; i++) {
            ns_i128 want = 0;
            for (int r = 0; r < n_ranks; r++) want += wide_value(r, i);
            assert_true(values[i] == want);
            above = above || want > (ns_i128)INT64_MAX;
            below = below || want < (ns_i128)INT64_MIN;
        }
        if (n > 100) assert_true(above && below);
        assert_true(values[n] == 4711);
        free(values);
    }
}

/* Carries from the low word into the high one, and borrows. */
static void carries(void **state)
{
    (void)state;
    ns_i128 one = 1;
    ns_i128 values[4] = {(one << 64) - 1, -1, rank == 0 ? -(one << 100) : 1,
                         rank == n_ranks - 1 ? one << 126 : 0};
    ns_sum_i128(values, 4, MPI_COMM_WORLD);
    assert_true(values[0] == ((one << 64) - 1) * n_ranks);
    assert_true(values[1] == -(ns_i128)n_ranks);
    assert_true(values[2] == -(one << 100) + (n_ranks - 1));
    assert_true(values[3] == one << 126);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),
        cmocka_unit_test(maxima),
        cmocka_unit_test(wide_sums),
        cmocka_unit_test(carries),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
