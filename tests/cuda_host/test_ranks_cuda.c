/* Several ranks on the cuda backend, whose sums go through the host or through NCCL (a stand-in for it, fake_nccl.c): the bytes of
   one rank of the cpu, and failures of one rank alike on all. */
#include "tests/check.h"

#include <mpi.h>

#include "tests/cuda_host/runtime.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/ranks.h"

static MPI_Comm comm;

static void compare_with_one_rank(void)
{
    const char *const names[] = {"categories", "weights over six orders", "sampled columns", "multiclass, weights", "quantile, monotone", "hardly any rows"};
    for (int i = 0; i < test_n_cases; i++)
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            const test_case *c = &test_cases[i];
            if (strcmp(c->name, names[n]) != 0) continue;
            test_table table;
            test_result alone, together;
            ns_link link = ns_link_alone();
            test_table_make(&table, &c->recipe);
            test_backend = "cpu";
            test_case_train(c, &table, &link, NULL, &alone);
            test_backend = "cuda";
            link = test_link(&comm);
            test_case_train(c, &table, &link, test_rank_of, &together);
            if (together.hash != alone.hash) fail_msg("%s: other trees than on one rank", c->name);
            for (int64_t r = 0; r < table.n_rows; r++) {
                bool here = test_rank_of(r, link.n_ranks) == link.rank;
                for (int64_t m = r * alone.n_outputs; m < (r + 1) * alone.n_outputs; m++)
                    assert_int_equal(together.margin[m], here ? alone.margin[m] : INT64_MIN);
            }
            test_result_free(&alone);
            test_result_free(&together);
            test_table_free(&table);
        }
}

static void ranks_do_not_matter(void **state)
{
    (void)state;
    compare_with_one_rank();
}

/* How a training went, and how it added up over ranks. */
typedef struct outcome {
    ns_status status;
    ns_device_use use;
} outcome;

/* Four rows a rank; where name is set, the environment of rank 0 (or of all) says what goes wrong. */
static outcome train_with(const char *name, const char *value, bool on_all)
{
    ns_link link = test_link(&comm);
    ns_device *device;
    ns_forest *forest;
    ns_trees *trees;
    ns_round round;
    int64_t row_number[4] = {0, 1, 2, 3};
    float label[4] = {0, 1, 1, 0}, x[4] = {1, 2, 3, 4};
    ns_feature_kind kind = NS_NUMBER;
    int32_t n_bins = 0;
    bool more = true;
    if (name != NULL && (link.rank == 0 || on_all)) setenv(name, value, 1);
    CHECK_OK(test_open(&device, 1, &link));
    CHECK_OK(ns_trees_create(&trees));
    ns_forest_plan plan = {.settings = test_settings(), .n_train = 4, .n_train_global = 4 * link.n_ranks, .n_features = 1, .kind = &kind,
                           .n_bins = &n_bins, .row_number = row_number, .label = label};
    outcome out = {.status = device->forest->create(&forest, device, &plan)};
    ns_slab slab = {.n_rows = 4, .number = x};
    while (out.status == NS_OK && more) {
        CHECK_OK(device->forest->count_slab(forest, &slab));
        out.status = device->forest->count_done(forest, 0, 1, &more);
    }
    if (out.status == NS_OK) out.status = device->forest->bin_slab(forest, &slab);
    if (out.status == NS_OK) out.status = device->forest->seal(forest, trees);
    if (out.status == NS_OK) out.status = device->forest->round(forest, 0, trees, &round);
    assert_int_equal(trees->n_trees, out.status == NS_OK);
    out.use = *device->use;
    device->forest->destroy(&forest);
    ns_trees_destroy(&trees);
    ns_device_close(&device);
    if (name != NULL) unsetenv(name);
    return out;
}

static void failures_are_alike(void **state)
{
    (void)state;
    int rank;
    MPI_Comm_rank(comm, &rank);
    CHECK_FAILS(train_with("NIGHTSHIFT_CUDA_BYTES", "1000", false).status, NS_ENOMEM, rank == 0 ? "GPU: not enough memory" : "another rank failed");
}

/* The device stays lost, so this comes last. */
static void a_lost_gpu_ends_all_alike(void **state)
{
    (void)state;
    int rank;
    MPI_Comm_rank(comm, &rank);
    char launch[32];
    unsetenv("NIGHTSHIFT_CUDA_DEVICES"); /* through the host: who waits for a lost GPU within NCCL waits for the watchdog */
    long before = ns_host_n_launches();
    CHECK_OK(train_with(NULL, NULL, false).status);
    long whole = ns_host_n_launches() - before;
    snprintf(launch, sizeof launch, "%ld", before + whole + whole - 6); /* in the round */
    CHECK_FAILS(train_with("NIGHTSHIFT_CUDA_LOST", launch, false).status, NS_EDEVICE, rank == 0 ? "GPU: " : "another rank failed");
}

static void ranks_that_share_add_up_on_the_host(void **state)
{
    (void)state;
    setenv("NIGHTSHIFT_NCCL", FAKE_NCCL, 1);
    outcome out = train_with(NULL, NULL, false);
    CHECK_OK(out.status);
    assert_string_equal(out.use.sums, "host");
    assert_string_equal(out.use.why_host, "ranks share a GPU");
}

/* From here on each rank has a GPU. */
static void nccl_gives_the_same_bytes(void **state)
{
    (void)state;
    char n[16];
    int n_ranks;
    MPI_Comm_size(comm, &n_ranks);
    snprintf(n, sizeof n, "%d", n_ranks);
    setenv("NIGHTSHIFT_CUDA_DEVICES", n, 1);
    outcome out = train_with(NULL, NULL, false);
    CHECK_OK(out.status);
    assert_string_equal(out.use.sums, "nccl");
    assert_string_equal(out.use.why_host, "");
    compare_with_one_rank();
}

static void where_nccl_fails_the_host_adds_up(void **state)
{
    (void)state;
    int rank;
    MPI_Comm_rank(comm, &rank);
    const char *const wrong[3][3] = {{"id", "NCCL: unhandled system error", "another rank cannot"}, {"init", "another rank cannot", "another rank cannot"},
                                     {"sums", "NCCL does not add up", "NCCL does not add up"}};
    for (int i = 0; i < 3; i++) {
        outcome out = train_with("NIGHTSHIFT_FAKE_NCCL", wrong[i][0], true);
        CHECK_OK(out.status);
        assert_string_equal(out.use.sums, "host");
        if (rank != 1 || i != 1) assert_string_equal(out.use.why_host, wrong[i][rank == 0 ? 1 : 2]);
    }
    const char *const names[3][2] = {{"/nowhere/libnccl.so.2", "there is no libnccl.so.2"}, {"libm.so.6", "libnccl.so.2 is none that is known"}, {"0", "NIGHTSHIFT_NCCL is 0"}};
    for (int i = 0; i < 3; i++) {
        outcome out = train_with("NIGHTSHIFT_NCCL", names[i][0], true);
        setenv("NIGHTSHIFT_NCCL", FAKE_NCCL, 1);
        CHECK_OK(out.status);
        assert_string_equal(out.use.sums, "host");
        assert_string_equal(out.use.why_host, names[i][1]);
    }
}

static void a_sum_that_fails_later_ends_all_alike(void **state)
{
    (void)state;
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    CHECK_FAILS(train_with("NIGHTSHIFT_FAKE_NCCL", "late", true).status, NS_EDEVICE, rank == n_ranks - 1 ? "NCCL: unhandled system error" : "another rank failed");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    comm = MPI_COMM_WORLD;
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranks_do_not_matter),
                                       cmocka_unit_test(failures_are_alike),
                                       cmocka_unit_test(ranks_that_share_add_up_on_the_host),
                                       cmocka_unit_test(nccl_gives_the_same_bytes),
                                       cmocka_unit_test(where_nccl_fails_the_host_adds_up),
                                       cmocka_unit_test(a_sum_that_fails_later_ends_all_alike),
                                       cmocka_unit_test(a_lost_gpu_ends_all_alike)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
