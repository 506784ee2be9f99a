/* Several ranks on the cuda backend: the bytes of one rank of the cpu, and failures of one rank alike on all. */
#include "tests/check.h"

#include <mpi.h>

#include "tests/cuda_host/runtime.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/ranks.h"

static MPI_Comm comm;

static void ranks_do_not_matter(void **state)
{
    (void)state;
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

/* The GPU of rank 0 has too little memory, or is lost in the first round: all ranks hear of it, none waits for ever. */
static ns_status train_with(const char *name, const char *value)
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
    if (link.rank == 0) setenv(name, value, 1);
    CHECK_OK(test_open(&device, 1, &link));
    CHECK_OK(ns_trees_create(&trees));
    ns_forest_plan plan = {.settings = test_settings(), .n_train = 4, .n_train_global = 4 * link.n_ranks, .n_features = 1, .kind = &kind,
                           .n_bins = &n_bins, .row_number = row_number, .label = label};
    CHECK_OK(device->forest->create(&forest, device, &plan));
    ns_slab slab = {.n_rows = 4, .number = x};
    while (more) {
        CHECK_OK(device->forest->count_slab(forest, &slab));
        CHECK_OK(device->forest->count_done(forest, 0, 1, &more));
    }
    CHECK_OK(device->forest->bin_slab(forest, &slab));
    ns_status status = device->forest->seal(forest, trees);
    if (status == NS_OK) status = device->forest->round(forest, 0, trees, &round);
    assert_int_equal(trees->n_trees, 0);
    device->forest->destroy(&forest);
    ns_trees_destroy(&trees);
    ns_device_close(&device);
    unsetenv(name);
    return status;
}

static void failures_are_alike(void **state)
{
    (void)state;
    int rank;
    MPI_Comm_rank(comm, &rank);
    CHECK_FAILS(train_with("NIGHTSHIFT_CUDA_BYTES", "1000"), NS_ENOMEM, rank == 0 ? "GPU: not enough memory" : "another rank failed");
    char launch[32];
    snprintf(launch, sizeof launch, "%ld", ns_host_n_launches() + 9);
    CHECK_FAILS(train_with("NIGHTSHIFT_CUDA_LOST", launch), NS_EDEVICE, rank == 0 ? "GPU: " : "another rank failed");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    comm = MPI_COMM_WORLD;
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranks_do_not_matter), cmocka_unit_test(failures_are_alike)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
