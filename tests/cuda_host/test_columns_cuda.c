/*
 * Columns prepared on the GPU against the cpu's: cuts, quantiles and bins of every shape, from any slabs, batches and threads; bins
 * that do not fit there; a GPU that is lost on the way.
 */
#include "tests/check.h"

#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cuda_forest.h"
#include "kernels/cuda_score.h"
#include "tests/cuda_host/runtime.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/columns.h"
#include "tests/kernels/table.h"

enum { N_CATEGORIES = 4, MOST_COLUMNS = N_SHAPES + N_CATEGORIES, N_PERCENT = 3, GUARD = 0xa5 };
static const int32_t category_bins[N_CATEGORIES] = {2, 256, 257, 65536};
static const int32_t percents[N_PERCENT] = {1, 50, 99};

/* Columns of every shape, categories between them. */
typedef struct columns {
    int64_t n_train, n_valid, n_held, n_rows;
    int32_t n;
    ns_feature_kind kind[MOST_COLUMNS];
    int32_t n_bins[MOST_COLUMNS];
    float *number[MOST_COLUMNS];
    int32_t *bin[MOST_COLUMNS];
    float *label;
    int64_t *row_number;
    int32_t max_bins, max_leaves, gradient_bits;
} columns;

static void make(columns *c, int64_t n_train, int64_t n_valid, int64_t n_held, int32_t n_shapes)
{
    int64_t n = n_train + n_valid + n_held;
    *c = (columns){.n_train = n_train, .n_valid = n_valid, .n_held = n_held, .n_rows = n, .max_bins = 255, .max_leaves = 8};
    c->label = malloc((size_t)n * sizeof *c->label);
    c->row_number = malloc((size_t)n * sizeof *c->row_number);
    for (int32_t s = 0; s < n_shapes; s++) {
        float *number = c->number[c->n++] = malloc((size_t)n * sizeof *number);
        for (int64_t i = 0; i < n; i++) number[i] = test_value((test_shape)s, 3, i);
        if (s % 3 != 2 || s / 3 >= N_CATEGORIES) continue;
        int32_t *bin = malloc((size_t)n * sizeof *bin), bins = category_bins[s / 3];
        for (int64_t i = 0; i < n; i++) bin[i] = i == 0 ? bins - 1 : (int32_t)((i * i + 7 * i) % bins);
        c->kind[c->n] = NS_CATEGORY;
        c->n_bins[c->n] = bins;
        c->bin[c->n++] = bin;
    }
    for (int64_t i = 0; i < n; i++) {
        c->label[i] = c->number[0][i] + (float)(i % 7) / 10.0f > 1.6f;
        c->row_number[i] = 5 * i + 2;
    }
}

static void drop(columns *c)
{
    for (int32_t f = 0; f < c->n; f++) {
        free(c->number[f]);
        free(c->bin[f]);
    }
    free(c->label);
    free(c->row_number);
}

/* How a forest is fed. */
typedef struct way {
    const char *backend;
    int n_threads;
    int64_t slab;
    int32_t batch;
    const ns_forest *from; /* its cuts are known, and bins are made from numbers without counting */
    const ns_forest_ops *from_ops;
} way;

static ns_slab slab_of(const columns *c, int32_t f, int64_t first, int64_t n)
{
    ns_slab slab = {.feature = f, .first_row = first, .n_rows = n};
    if (c->kind[f] == NS_NUMBER) slab.number = c->number[f] + first;
    else slab.bin = c->bin[f] + first;
    return slab;
}

/* From the last rows to the first, to be unlike what callers do. */
static ns_status feed(ns_forest *forest, ns_status (*take)(ns_forest *, const ns_slab *), const columns *c, int32_t f, int64_t n_rows, int64_t slab_rows)
{
    for (int64_t end = n_rows; end > 0; end -= slab_rows) {
        int64_t first = end > slab_rows ? end - slab_rows : 0;
        ns_slab slab = slab_of(c, f, first, end - first);
        NS_TRY(take(forest, &slab));
    }
    return NS_OK;
}

static ns_status learn(ns_forest *forest, const ns_forest_ops *ops, const columns *c, const way *w)
{
    for (int32_t first = 0; first < c->n; first += w->batch) {
        int32_t n = c->n - first < w->batch ? c->n - first : w->batch;
        int failed = 0;
        for (bool more = w->from == NULL; more;) {
#pragma omp parallel for schedule(dynamic) num_threads(w->n_threads) reduction(| : failed)
            for (int32_t f = first; f < first + n; f++)
                if (c->kind[f] == NS_NUMBER) failed |= feed(forest, ops->count_slab, c, f, c->n_train, w->slab) != NS_OK;
            if (failed != 0) return ns_last_error()->code;
            NS_TRY(ops->count_done(forest, first, n, &more));
        }
        for (int32_t f = first; f < first + n; f++) {
            const float *cuts;
            int32_t n_cuts;
            if (w->from != NULL) w->from_ops->cuts(w->from, f, &cuts, &n_cuts);
            if (w->from != NULL && c->kind[f] == NS_NUMBER) ops->put_cuts(forest, f, cuts, n_cuts);
            NS_TRY(feed(forest, ops->bin_slab, c, f, c->n_rows, w->slab));
        }
    }
    return NS_OK;
}

static ns_status create(ns_forest **out, ns_device *device, const columns *c)
{
    ns_forest_plan plan = {.settings = test_settings(), .n_train = c->n_train, .n_valid = c->n_valid, .n_held = c->n_held, .n_train_global = c->n_train,
                           .n_features = c->n, .kind = c->kind, .n_bins = c->n_bins, .row_number = c->row_number, .label = c->label,
                           .percent = percents, .n_percent = N_PERCENT};
    plan.settings.max_bins = c->max_bins;
    plan.settings.max_leaves = c->max_leaves;
    plan.settings.gradient_bits = c->gradient_bits;
    return device->forest->create(out, device, &plan);
}

/* A forest and its device. */
typedef struct learned {
    ns_device *device;
    ns_forest *forest;
} learned;

static learned open_and_learn(const columns *c, const way *w)
{
    learned l;
    ns_link alone = ns_link_alone();
    test_backend = w->backend;
    CHECK_OK(test_open(&l.device, w->n_threads, &alone));
    CHECK_OK(create(&l.forest, l.device, c));
    CHECK_OK(learn(l.forest, l.device->forest, c, w));
    return l;
}

static void close_learned(learned *l)
{
    l->device->forest->destroy(&l->forest);
    ns_device_close(&l->device);
}

static size_t width_of(const columns *c, int32_t f)
{
    return c->kind[f] == NS_CATEGORY && c->n_bins[f] > NS_BYTE_BINS ? 2 : 1;
}

/* Bins of all rows, read in two pieces. */
static void compare_bins(const columns *c, const learned *want, const learned *got, int32_t f)
{
    size_t width = width_of(c, f), n_bytes = (size_t)c->n_rows * width;
    int64_t some = c->n_rows / 3;
    uint8_t *a = malloc(n_bytes + 1), *b = malloc(n_bytes + 1);
    a[n_bytes] = b[n_bytes] = GUARD;
    CHECK_OK(want->device->forest->read_bins(want->forest, f, 0, c->n_rows, a));
    CHECK_OK(got->device->forest->read_bins(got->forest, f, 0, some, b));
    CHECK_OK(got->device->forest->read_bins(got->forest, f, some, c->n_rows - some, b + (size_t)some * width));
    for (size_t i = 0; i < n_bytes; i++)
        if (a[i] != b[i]) fail_msg("feature %d: row %d is in bin %d, not %d", (int)f, (int)(i / width), b[i], a[i]);
    assert_int_equal(b[n_bytes], GUARD);
    free(a);
    free(b);
}

static void compare(const columns *c, const way *w, const learned *want, const learned *got)
{
    for (int32_t f = 0; f < c->n; f++) {
        const float *a, *b;
        int32_t n_a, n_b;
        int64_t values_a, values_b;
        want->device->forest->cuts(want->forest, f, &a, &n_a);
        got->device->forest->cuts(got->forest, f, &b, &n_b);
        if (n_a != n_b || memcmp(a, b, (size_t)n_a * sizeof *a) != 0) fail_msg("feature %d: other cuts than the cpu's (%d, not %d)", (int)f, n_b, n_a);
        compare_bins(c, want, got, f);
        if (c->kind[f] == NS_CATEGORY || w->from != NULL) continue; /* nothing was counted */
        want->device->forest->quantiles(want->forest, f, &a, &values_a);
        got->device->forest->quantiles(got->forest, f, &b, &values_b);
        assert_int_equal(values_a, values_b);
        assert_memory_equal(a, b, N_PERCENT * sizeof *a);
    }
}

static void columns_are_the_cpus(void **state)
{
    (void)state;
    columns c;
    make(&c, 700, 100, 50, N_SHAPES);
    way cpu = {.backend = "cpu", .n_threads = 1, .slab = INT64_MAX, .batch = MOST_COLUMNS};
    learned want = open_and_learn(&c, &cpu);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        ns_host_seed(seed);
        way w = {.backend = "cuda", .n_threads = 1 + (int)(seed % 3), .slab = seed % 2 == 0 ? 1000 : 97, .batch = seed % 4 == 0 ? 3 : MOST_COLUMNS};
        learned got = open_and_learn(&c, &w);
        compare(&c, &w, &want, &got);
        w.from = want.forest;
        w.from_ops = want.device->forest;
        learned second = open_and_learn(&c, &w);
        compare(&c, &w, &want, &second);
        close_learned(&second);
        close_learned(&got);
    }
    close_learned(&want);
    drop(&c);
}

/* Columns of more than a slab, so many values that blocks count in shared memory, and tables of more than one group; histograms of
   more rows than their sums have room for: half of the labels but one are 1, so that the lower halves of all wide gradients
   are nearly as large as they can be, and most rows are left of the first split. */
enum { LONG_COLUMN = 4 };

static int64_t *margins_of_a_tree(const columns *c, const learned *l, double *gain)
{
    int64_t n = c->n_train + c->n_valid, *margin = malloc((size_t)n * sizeof *margin);
    ns_trees *trees;
    ns_round result;
    CHECK_OK(ns_trees_create(&trees));
    CHECK_OK(l->device->forest->seal(l->forest, trees));
    CHECK_OK(l->device->forest->round(l->forest, 0, trees, &result));
    CHECK_OK(l->device->forest->read_margins(l->forest, 0, n, margin));
    assert_int_equal(trees->nodes[0].feature, LONG_COLUMN);
    *gain = trees->nodes[0].gain;
    ns_trees_destroy(&trees);
    return margin;
}

static void long_columns_are_the_cpus(void **state)
{
    (void)state;
    columns c;
    make(&c, NS_CUDA_SLAB_BYTES / 4 + 20000, 1000, 500, 6);
    for (int64_t i = 0; i < c.n_rows; i++) c.label[i] = (float)(i > 1 ? i % 2 : 0);
    for (int64_t i = 0; i < c.n_rows; i++) c.number[LONG_COLUMN][i] = (i % 2 == 0) == (i % 16 < 15) ? -2.5f : 7.0f;
    c.gradient_bits = 30;
    c.max_leaves = 4;
    way cpu = {.backend = "cpu", .n_threads = 1, .slab = INT64_MAX, .batch = MOST_COLUMNS};
    learned want = open_and_learn(&c, &cpu);
    double want_gain, gain;
    int64_t *want_margin = margins_of_a_tree(&c, &want, &want_gain);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        ns_host_seed(seed);
        way w = {.backend = "cuda", .n_threads = 3, .slab = seed == 1 ? c.n_rows : 100001, .batch = seed == 1 ? MOST_COLUMNS : 2};
        learned got = open_and_learn(&c, &w);
        compare(&c, &w, &want, &got);
        int64_t *margin = margins_of_a_tree(&c, &got, &gain);
        assert_true(gain == want_gain);
        assert_memory_equal(margin, want_margin, (size_t)(c.n_train + c.n_valid) * sizeof *margin);
        free(margin);
        close_learned(&got);
    }
    free(want_margin);
    close_learned(&want);
    drop(&c);
}

/* --- bins that do not fit ------------------------------------------------------------------------------------------- */

typedef struct trained {
    int64_t *margin;
    uint8_t *bins; /* of all columns as read */
    int32_t n_nodes;
    bool rows_on_host, bins_on_host, bins_never_there;
} trained;

static ns_status train(trained *t, const char *backend, const columns *c)
{
    ns_link alone = ns_link_alone();
    learned l = {NULL, NULL};
    ns_trees *trees = NULL;
    ns_round result;
    way w = {.backend = backend, .n_threads = 2, .slab = 1500, .batch = MOST_COLUMNS};
    test_backend = backend;
    ns_status status = test_open(&l.device, w.n_threads, &alone);
    if (status != NS_OK) return status;
    const ns_forest_ops *ops = l.device->forest;
    CHECK_OK(ns_trees_create(&trees));
    status = create(&l.forest, l.device, c);
    if (status == NS_OK && strcmp(backend, "cuda") == 0) t->bins_never_there = ns_cuda_columns_bins(l.forest->cuda->columns).on_host;
    if (status == NS_OK) status = learn(l.forest, ops, c, &w);
    if (status == NS_OK) status = ops->seal(l.forest, trees);
    for (int64_t r = 0; r < 2 && status == NS_OK; r++) status = ops->round(l.forest, r, trees, &result);
    if (status == NS_OK) status = ops->read_margins(l.forest, 0, c->n_train + c->n_valid, t->margin);
    for (int32_t f = 0; f < c->n && status == NS_OK; f++) status = ops->read_bins(l.forest, f, 0, c->n_rows, t->bins + 2 * f * c->n_rows);
    if (status == NS_OK && strcmp(backend, "cuda") == 0) {
        t->rows_on_host = l.forest->cuda->rows_on_host;
        t->bins_on_host = ns_cuda_columns_bins(l.forest->cuda->columns).on_host;
    }
    t->n_nodes = (int32_t)trees->n_nodes;
    if (l.forest != NULL) ops->destroy(&l.forest);
    ns_trees_destroy(&trees);
    ns_device_close(&l.device);
    return status;
}

static trained room_for(const columns *c)
{
    return (trained){.margin = calloc((size_t)c->n_rows, sizeof(int64_t)), .bins = calloc((size_t)(2 * c->n_rows), (size_t)c->n)};
}

/* How often it was what, over all memories from too little to enough. */
typedef struct outcomes {
    int too_little, never_there, moved, rows_alone, all_there;
} outcomes;

/* Whatever memory the device has, the bytes are the same or there is too little: never other bytes. */
static outcomes with_any_memory(const columns *c)
{
    trained want = room_for(c), got = room_for(c);
    outcomes o = {0};
    char text[32];
    CHECK_OK(train(&want, "cpu", c));
    assert_true(want.n_nodes > 2);
    for (long n_bytes = 300000; o.all_there < 2; n_bytes += n_bytes / 35) {
        assert_true(n_bytes < 100000000);
        snprintf(text, sizeof text, "%ld", (long)ns_cuda_scoring_bytes(c->n, 1) + n_bytes);
        setenv("NIGHTSHIFT_CUDA_BYTES", text, 1);
        ns_host_seed((uint64_t)n_bytes);
        ns_status status = train(&got, "cuda", c);
        unsetenv("NIGHTSHIFT_CUDA_BYTES");
        o.too_little += status != NS_OK;
        if (status != NS_OK) {
            assert_int_equal(status, NS_ENOMEM);
            ns_error_clear();
            continue;
        }
        assert_memory_equal(got.margin, want.margin, (size_t)(c->n_train + c->n_valid) * sizeof(int64_t));
        assert_memory_equal(got.bins, want.bins, (size_t)(2 * c->n_rows * c->n));
        assert_int_equal(got.n_nodes, want.n_nodes);
        assert_true(!got.bins_on_host || got.rows_on_host);
        if (got.bins_never_there) o.never_there++;
        else if (got.bins_on_host) o.moved++;
        else if (got.rows_on_host) o.rows_alone++;
        else o.all_there++;
    }
    setenv("NIGHTSHIFT_STREAM", "rows", 1);
    CHECK_OK(train(&got, "cuda", c));
    assert_true(got.rows_on_host && !got.bins_on_host);
    assert_memory_equal(got.margin, want.margin, (size_t)(c->n_train + c->n_valid) * sizeof(int64_t));
    setenv("NIGHTSHIFT_STREAM", "bins", 1);
    CHECK_OK(train(&got, "cuda", c));
    unsetenv("NIGHTSHIFT_STREAM");
    assert_true(got.rows_on_host && got.bins_on_host);
    assert_memory_equal(got.margin, want.margin, (size_t)(c->n_train + c->n_valid) * sizeof(int64_t));
    print_message("bins never there %d times, moved away %d, rows alone on the host %d, too little memory %d\n", o.never_there, o.moved, o.rows_alone, o.too_little);
    for (int i = 0; i < 2; i++) {
        free((i == 0 ? &want : &got)->margin);
        free((i == 0 ? &want : &got)->bins);
    }
    return o;
}

static void bins_that_do_not_fit_are_streamed(void **state)
{
    (void)state;
    columns c;
    make(&c, 12000, 300, 100, 5); /* small trees: what is left free is more than they take */
    c.max_bins = 6;
    c.max_leaves = 2;
    outcomes o = with_any_memory(&c);
    assert_true(o.too_little > 0 && o.never_there > 0);
    drop(&c);
    make(&c, 12000, 300, 100, 9); /* wide categories, large trees: that too little is left shows when they are planned */
    c.max_bins = 6;
    c.max_leaves = 2;
    o = with_any_memory(&c);
    assert_true(o.too_little > 0 && o.moved > 0 && o.rows_alone > 0);
    drop(&c);
}

/* --- a GPU that is lost --------------------------------------------------------------------------------------------- */

/* At its n-th launch from here; 0 where nothing failed, 1 where that was said as it should be, 2 otherwise. */
static int lose(const columns *c, long n)
{
    pid_t child = fork();
    if (child == 0) {
        char text[32];
        trained got = room_for(c);
        snprintf(text, sizeof text, "%ld", ns_host_n_launches() + n);
        setenv("NIGHTSHIFT_CUDA_LOST", text, 1);
        ns_status status = train(&got, "cuda", c);
        bool is_said = status == NS_EDEVICE && strncmp(ns_last_error()->message, "GPU: ", 5) == 0;
        _exit(status == NS_OK ? 0 : is_said ? 1 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static void a_lost_gpu_is_said(void **state)
{
    (void)state;
    columns c;
    make(&c, 200, 20, 10, 3);
    assert_int_equal(lose(&c, 1000000), 0);
    for (long n = 2; n < 24; n++) assert_int_equal(lose(&c, n), 1); /* the first is of opening the device */
    drop(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_gpu_is_said), /* first: its children cannot have threads that this process had */
        cmocka_unit_test(columns_are_the_cpus),
        cmocka_unit_test(long_columns_are_the_cpus),
        cmocka_unit_test(bins_that_do_not_fit_are_streamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
