/*
 * Scoring from memory, timed: reads the features of a bundle's model from a cohort, then scores all rows several
 * times and prints one JSON object with the wall and processor seconds of each. Beside it stand other libraries in score.py.
 *
 *   bench_scoring BUNDLE COHORT THREADS RUNS
 *
 * hash is over all risks: two builds, levels or numbers of threads must print the same.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/cohort.h"
#include "data/hash.h"
#include "kernels/device.h"
#include "kernels/scorer.h"
#include "runner/bundle.h"
#include "runner/rater.h"

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void need(ns_status status)
{
    if (status == NS_OK) return;
    fprintf(stderr, "bench_scoring: %s\n", ns_last_error()->message);
    exit(1);
}

static void *memory(size_t n, size_t size)
{
    void *block = calloc(n + 1, size);
    if (block == NULL) need(ns_fail(NS_ENOMEM, "not enough memory"));
    return block;
}

/* Floats of numbers, bins of categories, of all rows. */
static const void **read_features(const ns_gbdt_model *model, ns_cohort *cohort, int64_t n_rows)
{
    const void **out = memory((size_t)model->n_features, sizeof *out);
    int32_t *columns = memory((size_t)model->n_features, sizeof *columns);
    need(ns_rater_columns(columns, model, cohort, NS_ABSENT_ERROR));
    for (int32_t f = 0; f < model->n_features; f++) {
        if (model->kinds[f] == NS_NUMBER) {
            float *values = memory((size_t)n_rows, sizeof *values);
            need(ns_cohort_read_number(cohort, columns[f], 0, n_rows, values));
            out[f] = values;
            continue;
        }
        int32_t *codes = memory((size_t)n_rows, sizeof *codes);
        need(ns_cohort_prepare(cohort, &columns[f], 1, MPI_COMM_WORLD));
        need(ns_cohort_read_codes(cohort, columns[f], 0, n_rows, codes));
        const ns_texts *levels = ns_cohort_column(cohort, columns[f])->levels;
        int32_t *bin_of = memory((size_t)levels->n, sizeof *bin_of);
        ns_encoding_map(&model->encodings[f], levels, bin_of);
        ns_encoding_apply(bin_of, codes, n_rows, codes);
        free(bin_of);
        out[f] = codes;
    }
    free(columns);
    return out;
}

/* Without the warm-up. */
static void print_runs(const char *name, const double *seconds_of, int n)
{
    printf("\"%s\": [", name);
    for (int run = 1; run <= n; run++) printf("%s%.5f", run > 1 ? ", " : "", seconds_of[run]);
    printf("], ");
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "bench_scoring BUNDLE COHORT THREADS RUNS\n");
        return 2;
    }
    MPI_Init(&argc, &argv);
    ns_bundle bundle = {0};
    ns_texts files = {0};
    ns_cohort *cohort;
    const char *path = argv[2];
    need(ns_bundle_load(&bundle, argv[1], MPI_COMM_WORLD));
    need(ns_cohort_expand(&files, &path, 1, "COHORT"));
    need(ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_WORLD));
    const ns_gbdt_model *model = bundle.model;
    int64_t n_rows = ns_cohort_n_rows(cohort);
    const void **features = read_features(model, cohort, n_rows);
    float *risk = memory((size_t)(n_rows * model->n_outputs), sizeof *risk);
    ns_link alone = ns_link_alone();
    ns_device *device;
    need(ns_device_open(&device, "cpu", atoi(argv[3]), &alone));
    ns_scorer_plan plan = {.trees = model->trees, .n_features = model->n_features, .kind = model->kinds,
                           .cuts = (const float *const *)model->cuts, .n_cuts = model->n_cuts, .n_bins = model->n_bins,
                           .objective = model->objective, .n_outputs = model->n_outputs, .base = model->base, .k = model->k};
    printf("{\"rows\": %lld, \"trees\": %lld, \"level\": \"%s\", ", (long long)n_rows,
           (long long)model->trees->n_trees, device->level);
    int n_runs = atoi(argv[4]) > 0 ? atoi(argv[4]) : 1;
    double *wall = memory((size_t)n_runs + 1, sizeof *wall), *cpu = memory((size_t)n_runs + 1, sizeof *cpu);
    for (int run = 0; run <= n_runs; run++) { /* the first is a warm-up */
        ns_scorer *scorer;
        ns_score_slab slab = {.n_rows = n_rows, .columns = features, .risk = risk};
        double start = seconds(CLOCK_MONOTONIC), start_cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        need(device->scorer->create(&scorer, device, &plan));
        need(device->scorer->score_slab(scorer, &slab));
        need(device->scorer->wait(scorer, 0));
        device->scorer->destroy(&scorer);
        wall[run] = seconds(CLOCK_MONOTONIC) - start;
        cpu[run] = seconds(CLOCK_PROCESS_CPUTIME_ID) - start_cpu;
    }
    print_runs("seconds", wall, n_runs);
    print_runs("cpu", cpu, n_runs);
    char hash[65];
    ns_sha256_hex(hash, risk, (size_t)(n_rows * model->n_outputs) * sizeof *risk);
    printf("\"hash\": \"%.16s\"}\n", hash);
    for (int32_t f = 0; f < model->n_features; f++) free((void *)(uintptr_t)features[f]);
    free(features);
    free(risk);
    free(wall);
    free(cpu);
    ns_device_close(&device);
    ns_cohort_close(&cohort);
    ns_texts_destroy(&files);
    ns_bundle_close(&bundle);
    MPI_Finalize();
    return 0;
}
