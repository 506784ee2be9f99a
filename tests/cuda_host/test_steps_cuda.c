/* A step of growing as a graph, and one call after the other: the same trees by the same launches, which are counted. */
#include "tests/check.h"

#include "tests/cuda_host/runtime.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/table.h"

typedef struct outcome {
    ns_trees *trees;
    ns_device_use sealed, use; /* before the rounds, and after */
    ns_device_launches launches[64];
    long n_launches; /* that the device saw */
} outcome;

/* Three rounds of a table of numbers; name: of the environment, or NULL. */
static outcome train_with(const char *name, const char *value)
{
    enum { N = 500, N_FEATURES = 3 };
    test_table t;
    test_table_make(&t, &(test_recipe){.n_train = N, .n_valid = 100, .steep = 1, .no_categories = true});
    ns_link link = ns_link_alone();
    ns_device *device;
    ns_forest *forest;
    ns_round round;
    outcome out;
    bool more = true;
    if (name != NULL) setenv(name, value, 1);
    CHECK_OK(test_open(&device, 1, &link));
    out.n_launches = ns_host_n_launches();
    int64_t opened = 0;
    for (int i = 0; i < device->use->n_kernels; i++) opened += device->use->launches[i].n;
    CHECK_OK(ns_trees_create(&out.trees));
    ns_forest_plan plan = {.settings = test_settings(), .n_train = t.n_train, .n_valid = t.n_valid, .n_train_global = t.n_train, .n_features = N_FEATURES,
                           .kind = t.kind, .n_bins = t.n_bins, .row_number = t.row_number, .label = t.label};
    plan.settings.max_leaves = 31;
    plan.settings.batch = 4;
    plan.settings.min_rows = 2;
    CHECK_OK(device->forest->create(&forest, device, &plan));
    while (more) {
        for (int32_t f = 0; f < N_FEATURES; f++)
            CHECK_OK(device->forest->count_slab(forest, &(ns_slab){.feature = f, .n_rows = t.n_train, .number = t.number[f]}));
        CHECK_OK(device->forest->count_done(forest, 0, N_FEATURES, &more));
    }
    for (int32_t f = 0; f < N_FEATURES; f++)
        CHECK_OK(device->forest->bin_slab(forest, &(ns_slab){.feature = f, .n_rows = t.n_rows, .number = t.number[f]}));
    CHECK_OK(device->forest->seal(forest, out.trees));
    out.sealed = *device->use;
    for (int64_t i = 0; i < 3; i++) CHECK_OK(device->forest->round(forest, i, out.trees, &round));
    out.use = *device->use;
    memcpy(out.launches, device->use->launches, (size_t)out.use.n_kernels * sizeof *out.launches);
    out.n_launches = ns_host_n_launches() - out.n_launches + opened;
    device->forest->destroy(&forest);
    ns_device_close(&device);
    test_table_free(&t);
    if (name != NULL) unsetenv(name);
    return out;
}

static int64_t launches_of(const outcome *o, const char *kernel)
{
    for (int i = 0; i < o->use.n_kernels; i++)
        if (strcmp(o->launches[i].kernel, kernel) == 0) return o->launches[i].n;
    return 0;
}

static void check_alike(const outcome *a, const outcome *b)
{
    assert_int_equal(a->trees->n_nodes, b->trees->n_nodes);
    for (int64_t i = 0; i < a->trees->n_nodes; i++) {
        assert_int_equal(a->trees->nodes[i].feature, b->trees->nodes[i].feature);
        assert_int_equal(a->trees->nodes[i].threshold, b->trees->nodes[i].threshold);
        assert_int_equal(a->trees->nodes[i].leaf, b->trees->nodes[i].leaf);
    }
    assert_int_equal(a->use.n_kernels, b->use.n_kernels);
    for (int i = 0; i < a->use.n_kernels; i++) assert_int_equal(a->launches[i].n, launches_of(b, a->launches[i].kernel));
}

static void graphs_change_nothing(void **state)
{
    (void)state;
    outcome graphs = train_with(NULL, NULL);
    assert_true(graphs.use.graph_launches >= 2 * 3); /* the first tree goes without */
    const char *const off[][2] = {{"NIGHTSHIFT_GRAPHS", "0"}, {"NIGHTSHIFT_SYNC", "1"}, {"NIGHTSHIFT_CUDA_CAPTURE", "no"}, {"NIGHTSHIFT_CUDA_CAPTURE", "late"}};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        outcome plain = train_with(off[i][0], off[i][1]);
        assert_int_equal(plain.use.graph_launches, 0);
        check_alike(&graphs, &plain);
        ns_trees_destroy(&plain.trees);
    }
    ns_trees_destroy(&graphs.trees);
}

/* What run.json says is what the device saw; once a round begins, the host copies nothing in and waits once a step. */
static void what_was_done_is_counted(void **state)
{
    (void)state;
    outcome o = train_with(NULL, NULL);
    int64_t n = 0;
    for (int i = 0; i < o.use.n_kernels; i++) n += o.launches[i].n;
    assert_int_equal(n, o.n_launches);
    assert_int_equal(launches_of(&o, "take_gradients"), 3);
    assert_int_equal(launches_of(&o, "fill_leaves"), 3);
    int64_t n_steps = launches_of(&o, "choose");
    assert_true(o.use.graph_launches > 0 && o.use.graph_launches < n_steps);
    assert_int_equal(launches_of(&o, "part"), n_steps);
    assert_int_equal(launches_of(&o, "settle"), n_steps + 3); /* and the roots */
    assert_int_equal(o.use.copies_in, o.sealed.copies_in);
    assert_int_equal(o.use.waits - o.sealed.waits, n_steps);
    assert_string_equal(o.use.sums, "none");
    assert_true(o.use.bytes_in > 0 && o.use.bytes_out > 0);
    ns_trees_destroy(&o.trees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(graphs_change_nothing), cmocka_unit_test(what_was_done_is_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
