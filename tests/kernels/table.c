#include "tests/kernels/table.h"

#include <math.h>

#include "kernels/numerics.h"
#include "kernels/philox.h"
#include "tests/check.h"
#include "tests/kernels/backend.h"

/* Tables are the same everywhere: no library mathematics but floor. Uniform in [0, 1). */
static double uniform(uint32_t column, int64_t row)
{
    ns_stream stream = ns_stream_of(2026, 200 + column, 0, 0);
    return ns_stream_word(&stream, (uint64_t)row) * 0x1p-32;
}

enum { N_NUMBERS = 8, N_CATEGORIES = 3 };
static const int32_t category_bins[N_CATEGORIES] = {9, 256, 700};

static float number_at(int32_t f, int64_t row, bool coarse)
{
    double u = uniform((uint32_t)f, row);
    if (coarse) return (float)floor(4.0 * u);
    switch (f) {
    case 0:
        return (float)(20.0 + 70.0 * u);
    case 1:
        return (float)floor(100.0 * u);
    case 2:
        return uniform(50, row) < 0.3 ? NAN : (float)(u * u * u);
    case 3:
        return u < 0.7 ? 0.0f : (float)u;
    case 4:
        return u < 0.5 ? 1.0f : -0.0f;
    case 5:
        return 3.0f;
    case 6:
        return NAN;
    default:
        return u < 0.9 ? NAN : (float)u;
    }
}

/* Bin 0 is missing, 1 other; few levels hold most rows. */
static int32_t bin_at(int32_t c, int64_t row)
{
    double u = uniform(20 + (uint32_t)c, row);
    if (u < 0.1) return 0;
    if (u < 0.15) return 1;
    double v = (u - 0.15) / 0.85;
    return 2 + (int32_t)(v * v * v * v * (category_bins[c] - 2));
}

static double logit_at(const test_table *t, int64_t row)
{
    double x = t->number[0][row] / 30.0 - 1.8 + (t->number[1][row] > 60.0f ? 0.8 : -0.3);
    if (isnan(t->number[2][row])) x += 0.7;
    if (t->number[3][row] == 0.0f) x -= 0.4;
    for (int32_t f = N_NUMBERS; f < t->n_features; f++)
        x += 1.4 * (uniform(40 + (uint32_t)f, t->bin[f][row]) - 0.5); /* each level's own share */
    return x;
}

static float weight_at(test_weights weights, int64_t row)
{
    if (row % 31 == 7) return 0.0f;
    return (float)(weights == WEIGHTS_MILD ? 0.5 + uniform(61, row) : ns_exp(14.0 * uniform(61, row) - 4.0));
}

/* A label that follows the true logit, with noise. */
static float label_at(const test_recipe *recipe, double risk, double logit, int64_t row)
{
    double u = uniform(60, row), scale = recipe->label_scale == 0.0 ? 1.0 : recipe->label_scale;
    switch (recipe->objective) {
    case NS_BINARY:
        break;
    case NS_MULTICLASS:
        return (float)floor((0.6 * risk + 0.4 * u) * (1.0 - 0x1p-20) * recipe->n_classes);
    case NS_REGRESSION:
        return (float)(scale * (logit + 2.0 * u * u) + recipe->label_shift);
    case NS_POISSON:
        return (float)(scale * floor(2.5 * u * ns_exp(logit)));
    case NS_QUANTILE: /* every third is a multiple of 1/4: residuals tie */
        return (float)(scale * (row % 3 == 0 ? floor(4.0 * (logit + u)) / 4.0 : logit + 2.0 * u) +
                       recipe->label_shift);
    }
    return u < risk ? 1.0f : 0.0f;
}

void test_table_make(test_table *t, const test_recipe *recipe)
{
    static const int8_t monotone[N_NUMBERS] = {1, -1, 1, -1, 0, 1, 0, 1};
    memset(t, 0, sizeof *t);
    t->n_train = recipe->n_train;
    t->n_valid = recipe->n_valid;
    t->n_rows = t->n_train + t->n_valid;
    t->n_features = recipe->no_categories ? N_NUMBERS : N_NUMBERS + N_CATEGORIES;
    t->is_constrained = recipe->monotone;
    if (recipe->monotone) memcpy(t->monotone, monotone, sizeof monotone);
    size_t rows = (size_t)t->n_rows;
    t->label = calloc(rows, sizeof *t->label);
    t->weight = recipe->weights == WEIGHTS_NONE ? NULL : calloc(rows, sizeof *t->weight);
    t->risk = calloc(rows, sizeof *t->risk);
    t->row_number = calloc(rows, sizeof *t->row_number);
    for (int32_t f = 0; f < t->n_features; f++) {
        t->kind[f] = f < N_NUMBERS ? NS_NUMBER : NS_CATEGORY;
        if (f < N_NUMBERS)
            t->number[f] = calloc(rows, sizeof **t->number);
        else
            t->bin[f] = calloc(rows, sizeof **t->bin);
        if (f >= N_NUMBERS) t->n_bins[f] = category_bins[f - N_NUMBERS];
        for (int64_t i = 0; i < t->n_rows; i++) {
            if (f < N_NUMBERS)
                t->number[f][i] = number_at(f, i, recipe->coarse);
            else
                t->bin[f][i] = bin_at(f - N_NUMBERS, i);
        }
    }
    for (int64_t i = 0; i < t->n_rows; i++) {
        t->row_number[i] = 3 * i + (i % 2) + (i % 5 == 0 ? INT64_C(1) << 33 : 0);
        double logit = recipe->steep * logit_at(t, i) + recipe->offset;
        t->risk[i] = ns_sigmoid(logit);
        t->label[i] = label_at(recipe, t->risk[i], logit, i);
        if (t->weight != NULL) t->weight[i] = weight_at(recipe->weights, i);
    }
}

void test_table_free(test_table *t)
{
    for (int32_t f = 0; f < t->n_features; f++) {
        free(t->number[f]);
        free(t->bin[f]);
    }
    free(t->label);
    free(t->weight);
    free(t->risk);
    free(t->row_number);
    memset(t, 0, sizeof *t);
}

ns_forest_settings test_settings(void)
{
    return (ns_forest_settings){.objective = NS_BINARY,
                                .seed = 7,
                                .learning_rate = 0.1,
                                .max_leaves = 31,
                                .l2 = 1.0,
                                .min_rows = 20,
                                .min_hessian = 1e-3,
                                .max_bins = 255,
                                .category_smoothing = 200.0,
                                .category_l2 = 10.0,
                                .category_split_rows = 100,
                                .row_sample = 1.0,
                                .column_sample = 1.0,
                                .column_sample_node = 1.0,
                                .batch = 8};
}

ns_forest_settings test_settings_for(const test_recipe *recipe)
{
    ns_forest_settings s = test_settings();
    s.objective = recipe->objective;
    if (recipe->objective == NS_MULTICLASS) s.n_classes = recipe->n_classes;
    if (recipe->objective == NS_QUANTILE) s.quantile = 0.8;
    return s;
}

test_way test_plain_way(void)
{
    return (test_way){.n_threads = 1, .link = ns_link_alone(), .slab = INT64_MAX};
}

/* This rank's rows: indices into the table, training rows first. */
typedef struct local {
    int64_t *row, n_train, n_valid;
    int64_t *row_number;
    float *label, *weight, *number;
    int32_t *bin;
} local;

static void shuffle(int64_t *rows, int64_t n, uint32_t seed)
{
    for (int64_t i = n - 1; i > 0 && seed != 0; i--) {
        seed = seed * 1664525u + 1013904223u;
        int64_t j = (int64_t)(seed >> 4) % (i + 1), held = rows[i];
        rows[i] = rows[j];
        rows[j] = held;
    }
}

static void local_make(local *l, const test_table *t, const test_way *way)
{
    size_t room = (size_t)t->n_rows + 1;
    *l = (local){.row = calloc(room, sizeof *l->row),
                 .row_number = calloc(room, sizeof *l->row_number),
                 .label = calloc(room, sizeof *l->label),
                 .weight = calloc(room, sizeof *l->weight),
                 .number = calloc(room, sizeof *l->number),
                 .bin = calloc(room, sizeof *l->bin)};
    for (int64_t i = 0; i < t->n_rows; i++) {
        if (way->rank_of != NULL && way->rank_of(i, way->link.n_ranks) != way->link.rank) continue;
        l->row[l->n_train + l->n_valid] = i;
        if (i < t->n_train)
            l->n_train++;
        else
            l->n_valid++;
    }
    shuffle(l->row, l->n_train, way->shuffle);
    shuffle(l->row + l->n_train, l->n_valid, way->shuffle);
    for (int64_t i = 0; i < l->n_train + l->n_valid; i++) {
        l->row_number[i] = t->row_number[l->row[i]];
        l->label[i] = t->label[l->row[i]];
        l->weight[i] = t->weight == NULL ? 1.0f : t->weight[l->row[i]];
    }
}

static void local_free(local *l)
{
    free(l->row);
    free(l->row_number);
    free(l->label);
    free(l->weight);
    free(l->number);
    free(l->bin);
}

typedef enum pass { COUNT, BIN } pass;

static void feed(ns_forest *f, const ns_forest_ops *ops, const test_table *t, local *l, int32_t feature,
                 pass what, int64_t slab_rows)
{
    int64_t n = what == COUNT ? l->n_train : l->n_train + l->n_valid;
    for (int64_t i = 0; i < n; i++) {
        if (t->kind[feature] == NS_NUMBER)
            l->number[i] = t->number[feature][l->row[i]];
        else
            l->bin[i] = t->bin[feature][l->row[i]];
    }
    for (int64_t from = 0; from < n; from += slab_rows) {
        ns_slab slab = {
            .feature = feature, .first_row = from, .n_rows = n - from < slab_rows ? n - from : slab_rows};
        if (t->kind[feature] == NS_NUMBER)
            slab.number = l->number + from;
        else
            slab.bin = l->bin + from;
        if (what == COUNT)
            CHECK_OK(ops->count_slab(f, &slab));
        else
            CHECK_OK(ops->bin_slab(f, &slab));
        if (n - from <= slab_rows) break;
    }
}

static void prepare(ns_forest **f, ns_device *device, const test_table *t, local *l,
                    const ns_forest_settings *settings, const test_way *way)
{
    const ns_forest_ops *ops = device->forest;
    ns_forest_plan plan = {.settings = *settings,
                           .n_train = l->n_train,
                           .n_valid = l->n_valid,
                           .n_train_global = t->n_train,
                           .n_features = t->n_features,
                           .kind = t->kind,
                           .n_bins = t->n_bins,
                           .row_number = l->row_number,
                           .monotone = t->is_constrained ? t->monotone : NULL,
                           .label = l->label,
                           .weight = t->weight == NULL ? NULL : l->weight};
    CHECK_OK(ops->create(f, device, &plan));
    int32_t batch = way->slab < 1000 ? 3 : t->n_features;
    for (int32_t first = 0; first < t->n_features; first += batch) {
        int32_t n = t->n_features - first < batch ? t->n_features - first : batch;
        bool more = true;
        for (int passes = 0; more; passes++) {
            assert_true(passes < 5);
            for (int32_t i = first; i < first + n; i++)
                if (t->kind[i] == NS_NUMBER) feed(*f, ops, t, l, i, COUNT, way->slab);
            CHECK_OK(ops->count_done(*f, first, n, &more));
        }
    }
    for (int32_t i = 0; i < t->n_features; i++) feed(*f, ops, t, l, i, BIN, way->slab);
}

static uint64_t mixed(uint64_t hash, uint64_t x)
{
    return ns_path_hash(hash ^ x, 1);
}

static uint64_t hash_of(const test_result *r, int32_t n_features)
{
    uint64_t h = mixed(0, (uint64_t)r->base[0]);
    for (int32_t o = 1; o < r->n_outputs; o++) h = mixed(h, (uint64_t)r->base[o]);
    for (int64_t t = 0; t <= r->trees->n_trees; t++) h = mixed(h, (uint64_t)r->trees->first[t]);
    for (int64_t i = 0; i < r->trees->n_nodes; i++) {
        const ns_node *n = &r->trees->nodes[i];
        const int64_t fields[] = {n->feature,      n->right, n->threshold, n->set,
                                  n->missing_left, n->leaf,  n->n_rows};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) h = mixed(h, (uint64_t)fields[k]);
        h = mixed(h, ns_bits(n->gain));
    }
    for (int64_t i = 0; i < r->trees->n_set_words; i++) h = mixed(h, r->trees->sets[i]);
    for (int32_t f = 0; f < n_features; f++)
        for (int32_t c = 0; c < r->n_cuts[f]; c++) h = mixed(h, ns_bits_f32(r->cuts[f][c]));
    for (int64_t i = 0; i < r->n_rounds; i++) {
        const ns_i128 sums[] = {r->rounds[i].train_loss, r->rounds[i].valid_loss, r->rounds[i].train_weight,
                                r->rounds[i].valid_weight};
        for (int k = 0; k < 4; k++) h = mixed(mixed(h, (uint64_t)sums[k]), (uint64_t)(sums[k] >> 64));
        if (r->objective != NS_BINARY) h = mixed(mixed(h, ns_bits(r->rounds[i].loss_unit)), (uint64_t)r->k);
    }
    return h;
}

static void read_back(test_result *r, const ns_forest_ops *ops, ns_forest *f, const local *l,
                      const test_table *t)
{
    int64_t n = l->n_train + l->n_valid;
    int64_t *margin = malloc((size_t)(n * r->n_outputs + 1) * sizeof *margin);
    int64_t some = n / 3; /* in two parts */
    margin[n * r->n_outputs] = 4711;
    CHECK_OK(ops->read_margins(f, 0, some, margin));
    CHECK_OK(ops->read_margins(f, some, n - some, margin + some * r->n_outputs));
    assert_int_equal(margin[n * r->n_outputs], 4711);
    for (int64_t i = 0; i < n; i++)
        for (int32_t o = 0; o < r->n_outputs; o++)
            r->margin[l->row[i] * r->n_outputs + o] = margin[i * r->n_outputs + o];
    free(margin);
    for (int32_t i = 0; i < t->n_features; i++) {
        const float *cuts;
        ops->cuts(f, i, &cuts, &r->n_cuts[i]);
        memcpy(r->cuts[i], cuts, (size_t)r->n_cuts[i] * sizeof *cuts);
    }
    r->base[r->n_outputs] = 4711;
    ops->base(f, r->base, &r->k);
    assert_int_equal(r->base[r->n_outputs], 4711);
    r->base[r->n_outputs] = 0;
}

void test_train(test_result *r, const test_table *t, const ns_forest_settings *settings, int64_t n_rounds,
                const test_way *way)
{
    ns_device *device;
    ns_forest *f;
    local l;
    memset(r, 0, sizeof *r);
    CHECK_OK(test_open(&device, way->n_threads, &way->link));
    local_make(&l, t, way);
    CHECK_OK(ns_trees_create(&r->trees));
    r->n_rounds = n_rounds;
    r->rounds = calloc((size_t)n_rounds + 1, sizeof *r->rounds);
    r->objective = settings->objective;
    r->n_outputs = ns_n_outputs(settings);
    r->margin = malloc((size_t)(t->n_rows * r->n_outputs + 1) * sizeof *r->margin);
    for (int64_t i = 0; i < t->n_rows * r->n_outputs; i++) r->margin[i] = INT64_MIN;
    prepare(&f, device, t, &l, settings, way);
    CHECK_OK(device->forest->seal(f, r->trees));
    for (int64_t i = 0; i < n_rounds; i++) {
        if (i == way->resume_at && i > 0) {
            device->forest->destroy(&f);
            assert_null(f);
            prepare(&f, device, t, &l, settings, way);
            CHECK_OK(device->forest->seal(f, r->trees));
        }
        CHECK_OK(device->forest->round(f, i, r->trees, &r->rounds[i]));
        assert_int_equal(r->trees->n_trees, (i + 1) * r->n_outputs);
    }
    read_back(r, device->forest, f, &l, t);
    r->hash = hash_of(r, t->n_features);
    local_free(&l);
    device->forest->destroy(&f);
    ns_device_close(&device);
}

void test_result_free(test_result *r)
{
    ns_trees_destroy(&r->trees);
    free(r->rounds);
    free(r->margin);
    memset(r, 0, sizeof *r);
}

/* In three slabs, of which two are under way; a slab's columns are spoilt as soon as they are taken. */
static void score_slabs(ns_device *device, ns_scorer *scorer, const test_table *t, int32_t n_outputs, int64_t *margin, float *risk)
{
    int64_t each = t->n_rows / 3 + 1;
    uint32_t *cells = malloc((size_t)(t->n_features * each + 1) * sizeof *cells);
    const void *columns[16];
    assert_non_null(cells);
    for (int32_t f = 0; f < t->n_features; f++) columns[f] = cells + f * each;
    for (int64_t first = 0; first < t->n_rows; first += each) {
        int64_t n = t->n_rows - first < each ? t->n_rows - first : each;
        for (int32_t f = 0; f < t->n_features; f++) {
            const void *from = t->kind[f] == NS_NUMBER ? (const void *)(t->number[f] + first) : (const void *)(t->bin[f] + first);
            memcpy(cells + f * each, from, (size_t)n * sizeof *cells);
        }
        ns_score_slab slab = {.n_rows = n, .columns = columns};
        if (margin != NULL) slab.margin = margin + first * n_outputs;
        if (risk != NULL) slab.risk = risk + first * n_outputs;
        CHECK_OK(device->scorer->score_slab(scorer, &slab));
        memset(cells, 0x55, (size_t)(t->n_features * each) * sizeof *cells);
        CHECK_OK(device->scorer->wait(scorer, 1));
    }
    CHECK_OK(device->scorer->wait(scorer, 0));
    free(cells);
}

void test_score(const test_result *r, const test_table *t, int n_threads, int64_t *margin, float *risk)
{
    const float *cuts[16];
    for (int32_t f = 0; f < t->n_features; f++) cuts[f] = r->cuts[f];
    ns_scorer_plan plan = {.trees = r->trees,
                           .n_features = t->n_features,
                           .kind = t->kind,
                           .cuts = cuts,
                           .n_cuts = r->n_cuts,
                           .n_bins = t->n_bins,
                           .objective = r->objective,
                           .n_outputs = r->n_outputs,
                           .base = r->base,
                           .k = r->k};
    ns_link alone = ns_link_alone();
    ns_device *device;
    ns_scorer *scorer;
    CHECK_OK(test_open(&device, n_threads, &alone));
    CHECK_OK(device->scorer->create(&scorer, device, &plan));
    score_slabs(device, scorer, t, r->n_outputs, margin, risk);
    device->scorer->destroy(&scorer);
    assert_null(scorer);
    ns_device_close(&device);
}
