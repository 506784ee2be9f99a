/* What a process used, and the spread over ranks. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "cluster/usage.h"

static int rank, n_ranks;

static void counts_what_is_sent(void **state)
{
    (void)state;
    int64_t values[100] = {0};
    ns_i128 wide[3] = {0};
    ns_usage before = ns_usage_now();
    ns_sum_i64(values, 100, MPI_COMM_WORLD);
    ns_max_i64(values, 1, MPI_COMM_WORLD);
    ns_sum_i128(wide, 3, MPI_COMM_WORLD);
    ns_usage after = ns_usage_now();
    assert_true(after.sent_bytes - before.sent_bytes == 100 * 8 + 8 + 3 * 16);
    assert_true(after.waiting_s > before.waiting_s);
    assert_true(after.cpu_s >= before.cpu_s && after.cpu_s > 0);
}

/* Whoever is there first waits for rank 0, in every kind of meeting. */
static void counts_what_is_waited(void **state)
{
    (void)state;
    enum { LATE_MS = 200, KINDS = 3 };
    ns_usage before = ns_usage_now();
    int64_t value = 1;
    for (int kind = 0; kind < KINDS; kind++) {
        MPI_Barrier(MPI_COMM_WORLD);
        if (rank == 0) usleep(LATE_MS * 1000);
        if (kind == 0) ns_sum_i64(&value, 1, MPI_COMM_WORLD);
        else if (kind == 1) MPI_Bcast(&value, 1, MPI_INT64_T, 0, MPI_COMM_WORLD);
        else assert_int_equal(ns_agree(NS_OK, MPI_COMM_WORLD), NS_OK);
    }
    double waited = ns_usage_now().waiting_s - before.waiting_s;
    if (rank > 0) assert_true(waited > 0.9e-3 * KINDS * LATE_MS);
    else if (n_ranks == 1) assert_true(waited < 0.5e-3 * KINDS * LATE_MS); /* its own sleep is none */
}

static void knows_its_peak(void **state)
{
    (void)state;
    size_t n = 64 << 20;
    char *block = malloc(n);
    assert_non_null(block);
    memset(block, 1, n);
    assert_true(block[n / 2] == 1);
    free(block);
    assert_true(ns_usage_now().peak_bytes > (double)n); /* stays when the memory is given back */
}

static void counts_what_is_read(void **state)
{
    (void)state;
    if (access("/proc/self/io", R_OK) != 0) return; /* some containers hide it; then the figure is 0 */
    static char bytes[1 << 20];
    double before = ns_usage_now().read_bytes;
    FILE *zero = fopen("/dev/zero", "r");
    assert_non_null(zero);
    assert_int_equal(fread(bytes, 1, sizeof bytes, zero), sizeof bytes);
    fclose(zero);
    assert_true(ns_usage_now().read_bytes - before >= (double)sizeof bytes);
}

/* Rank r has r * r and -r. */
static void spreads(void **state)
{
    (void)state;
    double mine[2] = {(double)(rank * rank), (double)-rank};
    ns_spread out[2] = {{-1, -1, -1}, {-1, -1, -1}};
    assert_int_equal(ns_usage_spread(mine, 2, out, MPI_COMM_WORLD), NS_OK);
    if (rank > 0) {
        assert_true(out[0].most == -1); /* left alone */
        return;
    }
    int last = n_ranks - 1, middle = last / 2;
    assert_true(out[0].least == 0 && out[0].median == middle * middle && out[0].most == last * last);
    assert_true(out[1].least == -last && out[1].median == -(last - middle) && out[1].most == 0);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_sent),
        cmocka_unit_test(counts_what_is_waited),
        cmocka_unit_test(knows_its_peak),
        cmocka_unit_test(counts_what_is_read),
        cmocka_unit_test(spreads),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return n_failed;
}
