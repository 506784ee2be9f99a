/*
 * Boosting rounds from memory, timed: reads every number and category column of a cohort, counts, bins, trains on all its
 * rows, and prints one JSON object. Beside it stand other libraries in train.py.
 *
 *   bench_rounds COHORT LABEL LEVEL [name=value …]     the outcome is: category LABEL has LEVEL; *: its levels are classes
 *     threads= rounds= leaves= bins= rate= min_rows= batch= bits= rows=SAMPLE columns=SAMPLE
 *
 * Under mpirun the rows are parted over the ranks. sent_mb: what one rank hands to reductions in all rounds; least_mb and most_mb:
 * what cluster/README.md says of these trees, without leaves opened ahead for nothing and with two batches of them a tree.
 * hash is over all trees: two builds or two ways of the same arithmetic must print the same.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "cluster/reduce.h"
#include "cluster/status.h"
#include "data/cohort.h"
#include "kernels/device.h"
#include "kernels/forest.h"
#include "kernels/histogram.h"
#include "kernels/philox.h"

typedef struct clock_pair {
    double wall, cpu; /* seconds, of the whole process */
} clock_pair;

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static clock_pair now(void)
{
    return (clock_pair){seconds_of(CLOCK_MONOTONIC), seconds_of(CLOCK_PROCESS_CPUTIME_ID)};
}

static bool is_speaker = true; /* rank 0 */

static void print_since(const char *name, clock_pair start)
{
    clock_pair end = now();
    if (!is_speaker) return;
    printf(" \"%s\": %.4f, \"%s_cpu\": %.4f,", name, end.wall - start.wall, name, end.cpu - start.cpu);
}

static void need(ns_status status)
{
    if (status == NS_OK) return;
    fprintf(stderr, "bench_rounds: %s\n", ns_last_error()->message);
    exit(1);
}

/* Reductions over all ranks, their bytes counted. */
static int64_t n_bytes_sent;

static void sum_i64(void *context, int64_t *values, int64_t n)
{
    (void)context;
    n_bytes_sent += n * (int64_t)sizeof *values;
    ns_sum_i64(values, n, MPI_COMM_WORLD);
}

static void max_i64(void *context, int64_t *values, int64_t n)
{
    (void)context;
    n_bytes_sent += n * (int64_t)sizeof *values;
    ns_max_i64(values, n, MPI_COMM_WORLD);
}

static void sum_i128(void *context, ns_i128 *values, int64_t n)
{
    (void)context;
    n_bytes_sent += n * (int64_t)sizeof *values;
    ns_sum_i128(values, n, MPI_COMM_WORLD);
}

static ns_link link_of_world(void)
{
    ns_link link = {.sum_i64 = sum_i64, .max_i64 = max_i64, .sum_i128 = sum_i128};
    MPI_Comm_rank(MPI_COMM_WORLD, &link.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &link.n_ranks);
    return link;
}

static void *memory(size_t n, size_t size)
{
    void *block = calloc(n + 1, size);
    if (block == NULL) need(ns_fail(NS_ENOMEM, "not enough memory"));
    return block;
}

typedef struct options {
    ns_forest_settings settings;
    int n_threads;
    int64_t n_rounds;
} options;

static options read_options(char **words, int n)
{
    options o = {.settings = {.objective = NS_BINARY, .seed = 7, .learning_rate = 0.1, .max_leaves = 31, .l2 = 1.0, .min_rows = 20,
                              .min_hessian = 1e-3, .max_bins = 255, .category_smoothing = 200.0, .category_l2 = 10.0,
                              .category_split_rows = 100, .row_sample = 1.0, .column_sample = 1.0,
                              .column_sample_node = 1.0, .batch = 8},
                 .n_threads = 1,
                 .n_rounds = 20};
    for (int i = 0; i < n; i++) {
        const char *equals = strchr(words[i], '=');
        if (equals == NULL) need(ns_fail(NS_EINVAL, "%s: not name=value", words[i]));
        size_t length = (size_t)(equals - words[i]);
        double value = strtod(equals + 1, NULL);
        char name[16] = "";
        memcpy(name, words[i], length < 15 ? length : 15);
        if (strcmp(name, "threads") == 0) o.n_threads = (int)value;
        else if (strcmp(name, "rounds") == 0) o.n_rounds = (int64_t)value;
        else if (strcmp(name, "leaves") == 0) o.settings.max_leaves = (int32_t)value;
        else if (strcmp(name, "bins") == 0) o.settings.max_bins = (int32_t)value;
        else if (strcmp(name, "rate") == 0) o.settings.learning_rate = value;
        else if (strcmp(name, "min_rows") == 0) o.settings.min_rows = (int64_t)value;
        else if (strcmp(name, "batch") == 0) o.settings.batch = (int32_t)value;
        else if (strcmp(name, "bits") == 0) o.settings.gradient_bits = (int32_t)value;
        else if (strcmp(name, "rows") == 0) o.settings.row_sample = value;
        else if (strcmp(name, "columns") == 0) o.settings.column_sample = value;
        else need(ns_fail(NS_EINVAL, "%s: no such option", words[i]));
    }
    return o;
}

/* All columns in memory: floats of numbers, bins of categories. */
typedef struct table {
    int64_t n_rows, n_rows_global;
    int32_t n_features;
    ns_feature_kind *kind;
    int32_t *n_bins;
    float **number;
    int32_t **bin;
    float *label;
    int32_t n_classes; /* 0: two, one of which is the outcome */
    int64_t *row_number;
} table;

/* Codes to bins as training makes them: levels with fewer than 20 rows are "other". */
static int32_t bin_codes(int32_t *codes, int64_t n, int64_t n_levels)
{
    int64_t *rows = memory((size_t)n_levels, sizeof *rows);
    int32_t n_bins = 2;
    for (int64_t i = 0; i < n; i++)
        if (codes[i] >= 0) rows[codes[i]]++;
    ns_sum_i64(rows, n_levels, MPI_COMM_WORLD);
    for (int64_t l = 0; l < n_levels; l++) rows[l] = rows[l] < 20 ? 1 : n_bins++;
    for (int64_t i = 0; i < n; i++) codes[i] = codes[i] < 0 ? 0 : (int32_t)rows[codes[i]];
    free(rows);
    return n_bins;
}

static void take_label(table *t, const int32_t *codes, const ns_texts *levels, const char *level)
{
    if (strcmp(level, "*") == 0) {
        t->n_classes = (int32_t)levels->n;
        for (int64_t i = 0; i < t->n_rows; i++) t->label[i] = (float)codes[i];
        return;
    }
    int64_t wanted = ns_texts_find(levels, level, (int64_t)strlen(level));
    if (wanted < 0) need(ns_fail(NS_EFORMAT, "no level '%s'", level));
    for (int64_t i = 0; i < t->n_rows; i++) t->label[i] = codes[i] == wanted ? 1.0f : 0.0f;
}

static void load(table *t, const char *path, const char *label, const char *level, const ns_link *link)
{
    ns_cohort *cohort;
    ns_texts files = {0};
    need(ns_cohort_expand(&files, &path, 1, "COHORT"));
    need(ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_WORLD));
    int32_t n = ns_cohort_n_columns(cohort);
    int64_t n_global = ns_cohort_n_rows(cohort);
    int64_t first = n_global * link->rank / link->n_ranks, end = n_global * (link->rank + 1) / link->n_ranks;
    size_t rows = (size_t)(end - first), room = (size_t)n;
    *t = (table){.n_rows = end - first, .n_rows_global = n_global, .kind = memory(room, sizeof *t->kind), .n_bins = memory(room, sizeof *t->n_bins),
                 .number = memory(room, sizeof *t->number), .bin = memory(room, sizeof *t->bin),
                 .label = memory(rows, sizeof *t->label), .row_number = memory(rows, sizeof *t->row_number)};
    for (int64_t i = 0; i < t->n_rows; i++) t->row_number[i] = first + i;
    for (int32_t c = 0; c < n; c++) {
        const ns_column *column = ns_cohort_column(cohort, c);
        int32_t f = t->n_features;
        if (strcmp(column->name, "part") == 0) continue; /* which rows are for tests: train.py puts it there */
        if (column->kind == NS_COL_NUMBER) {
            t->number[f] = memory(rows, sizeof **t->number);
            need(ns_cohort_read_number(cohort, c, first, t->n_rows, t->number[f]));
            t->n_features++;
        } else if (column->kind == NS_COL_CATEGORY) {
            int32_t *codes = memory(rows, sizeof *codes);
            need(ns_cohort_prepare(cohort, &c, 1, MPI_COMM_WORLD));
            need(ns_cohort_read_codes(cohort, c, first, t->n_rows, codes));
            if (strcmp(column->name, label) == 0) {
                take_label(t, codes, column->levels, level);
                free(codes);
                continue;
            }
            t->kind[f] = NS_CATEGORY;
            t->n_bins[f] = bin_codes(codes, t->n_rows, column->levels->n);
            t->bin[f] = codes;
            t->n_features++;
        }
    }
    ns_cohort_close(&cohort);
    ns_texts_destroy(&files);
}

static void prepare(ns_forest *forest, const ns_forest_ops *ops, const table *t)
{
    clock_pair start = now();
    for (bool more = true; more;) {
        for (int32_t f = 0; f < t->n_features; f++) {
            ns_slab slab = {.feature = f, .n_rows = t->n_rows, .number = t->number[f]};
            if (slab.number != NULL) need(ops->count_slab(forest, &slab));
        }
        need(ops->count_done(forest, 0, t->n_features, &more));
    }
    print_since("count", start);
    start = now();
    for (int32_t f = 0; f < t->n_features; f++) {
        ns_slab slab = {.feature = f, .n_rows = t->n_rows, .number = t->number[f], .bin = t->bin[f]};
        need(ops->bin_slab(forest, &slab));
    }
    print_since("bin", start);
}

static uint64_t hash_of(const ns_trees *trees)
{
    uint64_t h = 1;
    for (int64_t i = 0; i < trees->n_nodes; i++) {
        const ns_node *n = &trees->nodes[i];
        const int64_t fields[] = {n->feature, n->right, n->threshold, n->missing_left, n->leaf, n->n_rows, (int64_t)ns_bits(n->gain)};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) h = ns_path_hash(h ^ (uint64_t)fields[k], 1);
    }
    for (int64_t i = 0; i < trees->n_set_words; i++) h = ns_path_hash(h ^ trees->sets[i], 1);
    return h;
}

/* Words a cell. */
static int64_t words_of(const ns_forest_settings *s, int64_t n_rows)
{
    return s->gradient_bits != 30 && n_rows <= NS_HISTOGRAM_ROWS ? 1 : 3;
}

/* Of the smaller children of all splits of a tree, in words a cell; nothing where the larger cannot be split again. */
static int64_t words_opened(const ns_forest_settings *s, const ns_node *nodes, int64_t n)
{
    int64_t words = 0;
    for (int64_t i = 0; i < n; i++) {
        if (nodes[i].feature < 0) continue;
        int64_t left = nodes[i + 1].n_rows, right = nodes[nodes[i].right].n_rows;
        int64_t large = left > right ? left : right, small = left > right ? right : left;
        if (large >= 2 * s->min_rows) words += words_of(s, small);
    }
    return words;
}

static void print_formula(const ns_forest *forest, const ns_device *device, const table *t, const options *o, const ns_trees *trees)
{
    const ns_forest_settings *s = &o->settings;
    int64_t cells = 0, least = 0, most = 0;
    for (int32_t f = 0; f < t->n_features; f++) {
        const float *cuts;
        int32_t n_cuts;
        device->forest->cuts(forest, f, &cuts, &n_cuts);
        cells += t->kind[f] == NS_CATEGORY ? t->n_bins[f] : n_cuts + 2;
    }
    for (int64_t i = 0; i < trees->n_trees; i++) {
        int64_t n_nodes = trees->first[i + 1] - trees->first[i];
        int64_t words = words_of(s, t->n_rows_global) + words_opened(s, trees->nodes + trees->first[i], n_nodes);
        int64_t last = (n_nodes + 1) / 2 == s->max_leaves ? 3 : 0; /* of the last split of a full tree no child is looked at */
        least += (words - last) * cells + 3 * n_nodes;
        most += (words + 2 * s->batch * 3) * cells + 3 * n_nodes;
    }
    int64_t rounds = (24 + 32) * o->n_rounds;
    printf(" \"least_mb\": %.3f, \"most_mb\": %.3f,", 1e-6 * (double)(8 * least + rounds), 1e-6 * (double)(8 * most + rounds));
}

static void print_rest(const ns_device *device, const table *t, const ns_round *result, const ns_trees *trees)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf(" \"level\": \"%s\", \"rows\": %lld, \"features\": %d, \"loss\": %.17g, \"peak_mb\": %ld, \"sent_mb\": %.3f,"
           " \"hash\": \"%016llx\"}\n",
           device->level, (long long)t->n_rows_global, (int)t->n_features, (double)result->train_loss / (double)result->train_weight,
           usage.ru_maxrss / 1024, 1e-6 * (double)n_bytes_sent, (unsigned long long)hash_of(trees));
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "bench_rounds COHORT LABEL LEVEL [name=value …]\n");
        return 2;
    }
    MPI_Init(&argc, &argv);
    options o = read_options(argv + 4, argc - 4);
    table t = {0};
    ns_link link = link_of_world();
    is_speaker = link.rank == 0;
    if (is_speaker) putchar('{');
    clock_pair start = now();
    load(&t, argv[1], argv[2], argv[3], &link);
    print_since("read", start);
    if (t.n_classes > 0) {
        o.settings.objective = NS_MULTICLASS;
        o.settings.n_classes = t.n_classes;
    }
    ns_device *device;
    ns_forest *forest;
    ns_trees *trees;
    need(ns_device_open(&device, "cpu", o.n_threads, &link));
    need(ns_trees_create(&trees));
    ns_forest_plan plan = {.settings = o.settings, .n_train = t.n_rows, .n_train_global = t.n_rows_global,
                           .n_features = t.n_features, .kind = t.kind, .n_bins = t.n_bins, .row_number = t.row_number,
                           .label = t.label};
    need(device->forest->create(&forest, device, &plan));
    prepare(forest, device->forest, &t);
    start = now();
    need(device->forest->seal(forest, trees));
    print_since("seal", start);
    MPI_Barrier(MPI_COMM_WORLD);
    n_bytes_sent = 0;
    start = now();
    ns_round result = {0};
    for (int64_t r = 0; r < o.n_rounds; r++) need(device->forest->round(forest, r, trees, &result));
    MPI_Barrier(MPI_COMM_WORLD);
    print_since("train", start);
    if (is_speaker) print_formula(forest, device, &t, &o, trees);
    if (is_speaker) print_rest(device, &t, &result, trees);
    device->forest->destroy(&forest);
    ns_trees_destroy(&trees);
    ns_device_close(&device);
    MPI_Finalize();
    return 0;
}
