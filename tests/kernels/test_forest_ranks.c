/* Training over ranks: the bytes of one rank that has all rows, and failures of one rank alike on all. */
#include "tests/check.h"

#include <mpi.h>

#include "tests/kernels/backend.h"
#include "tests/kernels/ranks.h"
#include "tests/kernels/table.h"

static MPI_Comm comm;

static const test_recipe recipes[] = {
    {.n_train = 6000, .n_valid = 800, .steep = 1.0},
    {.n_train = 6000, .n_valid = 800, .steep = 8.0, .weights = WEIGHTS_MILD},
    {.n_train = 6000, .n_valid = 800, .steep = 1.0, .offset = -6.0},
    {.n_train = 6000, .n_valid = 800, .steep = 1.0, .weights = WEIGHTS_SIX_ORDERS},
    {.n_train = 1500, .n_valid = 300, .steep = 1.0, .objective = NS_REGRESSION, .monotone = true},
    {.n_train = 1500, .n_valid = 300, .steep = 1.0, .objective = NS_REGRESSION, .label_scale = 1e30},
    {.n_train = 1500, .n_valid = 300, .steep = 1.0, .objective = NS_POISSON, .offset = -2.0},
    {.n_train = 1500,
     .n_valid = 400,
     .steep = 1.0,
     .objective = NS_MULTICLASS,
     .n_classes = 5,
     .weights = WEIGHTS_MILD},
    {.n_train = 1500, .n_valid = 300, .steep = 1.0, .objective = NS_QUANTILE, .monotone = true},
    {.n_train = 1500, .n_valid = 300, .steep = 1.0, .objective = NS_QUANTILE, .weights = WEIGHTS_SIX_ORDERS},
    {.n_train = 3, .n_valid = 1, .steep = 1.0, .objective = NS_REGRESSION},
    {.n_train = 3, .n_valid = 1, .steep = 1.0, .objective = NS_QUANTILE},
};

static void ranks_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        test_table table;
        test_result alone, together;
        ns_forest_settings s = test_settings_for(&recipes[i]);
        if (i % 2 == 1) {
            s.row_sample = 0.7;
            s.column_sample = 0.8;
            s.batch = 5;
        }
        test_way way = test_plain_way();
        test_table_make(&table, &recipes[i]);
        test_train(&alone, &table, &s, 5, &way);
        way.link = test_link(&comm);
        way.rank_of = test_rank_of;
        way.n_threads = 1 + way.link.rank % 2;
        way.shuffle = 5;
        way.slab = 1000;
        way.resume_at = 3;
        test_train(&together, &table, &s, 5, &way);
        assert_int_equal(together.hash, alone.hash);
        for (int64_t r = 0; r < table.n_rows; r++) {
            bool here = test_rank_of(r, way.link.n_ranks) == way.link.rank;
            for (int64_t m = r * alone.n_outputs; m < (r + 1) * alone.n_outputs; m++)
                assert_int_equal(together.margin[m], here ? alone.margin[m] : INT64_MIN);
        }
        test_result_free(&alone);
        test_result_free(&together);
        test_table_free(&table);
    }
}

/* A forest of rows that only rank 0 has: labels 0, 1, … as given. */
static ns_status create_on_first(ns_objective objective, const float *label, int64_t n)
{
    const test_recipe recipe = {.objective = objective, .n_classes = 3};
    ns_device *device;
    ns_forest *forest;
    ns_link link = test_link(&comm);
    int64_t row_number[4] = {0, 1, 2, 3};
    CHECK_OK(test_open(&device, 1, &link));
    ns_forest_plan plan = {.settings = test_settings_for(&recipe),
                           .n_train = link.rank == 0 ? n : 0,
                           .n_train_global = n,
                           .row_number = row_number,
                           .label = label};
    ns_status status = device->forest->create(&forest, device, &plan);
    device->forest->destroy(&forest);
    ns_device_close(&device);
    return status;
}

static void failures_are_alike(void **state)
{
    (void)state;
    const float ones[4] = {1, 1, 1, 1}, both[4] = {0, 1, 0, 1};
    int rank;
    MPI_Comm_rank(comm, &rank);
    const float zeros[4] = {0, 0, 0, 0};
    CHECK_FAILS(create_on_first(NS_BINARY, ones, 4), NS_ENUMERIC, "only one class of the label");
    CHECK_FAILS(create_on_first(NS_MULTICLASS, ones, 4), NS_ENUMERIC, "only one class of the label");
    CHECK_FAILS(create_on_first(NS_POISSON, zeros, 4), NS_ENUMERIC, "all 0");
    CHECK_FAILS(create_on_first(NS_BINARY, both, UINT32_MAX), NS_EINVAL,
                rank == 0 ? "use more ranks" : "another rank");
    for (ns_objective o = NS_BINARY; o <= NS_QUANTILE; o++) CHECK_OK(create_on_first(o, both, 4));
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    comm = MPI_COMM_WORLD;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_do_not_matter),
        cmocka_unit_test(failures_are_alike),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
