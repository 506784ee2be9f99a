/*
 * How fast a cohort's columns are read: this program's reader on 1, 2, … threads against H5Dread, same file, warm page cache.
 *
 *   bench_read [ROWS COLUMNS GZIP]      default 2000000 20 1: a file that it writes
 *   bench_read FILE.h5 [KIND]           an existing cohort: its columns, or those of one kind (number, category, id, time)
 *
 * The file it writes: 40 % binary columns, 40 % laboratory values (35 % missing, three digits), 20 % dense; float32, chunks of
 * 65,536 rows, shuffle and gzip. One round reads it in each way once; a warm-up round, then five; the median and the spread
 * of MB/s of cells as they are stored, decoded, are shown, and the ratio of medians to H5Dread; then the same per second of processor time, all
 * threads together, which a busy machine disturbs less. H5Dread reads one chunk at a time, aligned.
 */
#include <math.h>
#include <mpi.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/log.h"
#include "data/cohort.h"
#include "data/h5.h"

enum { ROUNDS = 5, CHUNK = 65536, MAX_WAYS = 4 };

static uint64_t state = 88172645463325252u;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

static float cell(int column)
{
    switch (column % 5) {
    case 0:
    case 1:
        return uniform() < 0.1 ? 1.0f : 0.0f;
    case 2:
    case 3:
        return uniform() < 0.35 ? NAN : (float)(floor(1000 * uniform() * uniform()) / 10);
    default:
        return (float)(uniform() + uniform() - 1);
    }
}

static int write_file(const char *path, int64_t n_rows, int n_columns, unsigned level)
{
    hid_t file = -1;
    hsize_t n = (hsize_t)n_rows, chunk = n_rows < CHUNK ? n : CHUNK;
    float *cells = malloc((size_t)n_rows * sizeof *cells);
    if (cells == NULL || ns_h5_create(&file, path, path) != NS_OK) return 1;
    int failed = ns_h5_write_int_attribute(file, "nightshift_cohort", 1, path) != NS_OK ||
                 ns_h5_write_int_attribute(file, "n_rows", n_rows, path) != NS_OK;
    H5Gclose(H5Gcreate2(file, "columns", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    hid_t space = H5Screate_simple(1, &n, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &chunk);
    H5Pset_shuffle(list);
    H5Pset_deflate(list, level);
    for (int c = 0; c < n_columns && !failed; c++) {
        char link[40];
        snprintf(link, sizeof link, "/columns/c%04d", c);
        for (int64_t i = 0; i < n_rows; i++) cells[i] = cell(c);
        hid_t set = H5Dcreate2(file, link, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
        failed = H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) < 0;
        H5Dclose(set);
    }
    H5Pclose(list);
    H5Sclose(space);
    H5Fclose(file);
    free(cells);
    return failed;
}

static ns_cohort *open_way(const char *path, const char *way)
{
    ns_cohort *cohort = NULL;
    ns_texts files = {0};
    setenv("NIGHTSHIFT_READ", way, 1);
    if (ns_texts_append(&files, path, (int64_t)strlen(path)) != NS_OK ||
        ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF) != NS_OK)
        fprintf(stderr, "bench_read: %s\n", ns_last_error()->message);
    ns_texts_destroy(&files);
    return cohort;
}

static ns_status read_rows(ns_cohort *cohort, int32_t column, int64_t first, int64_t n, void *out, ns_texts *texts)
{
    const ns_column *what = ns_cohort_column(cohort, column);
    switch (what->kind) {
    case NS_COL_CATEGORY:
        return ns_cohort_read_codes(cohort, column, first, n, out);
    case NS_COL_TIME:
        return ns_cohort_read_time(cohort, column, first, n, out);
    case NS_COL_ID:
        ns_texts_clear(texts);
        if (what->is_text) return ns_cohort_read_id_text(cohort, column, first, n, texts);
        return ns_cohort_read_id_int(cohort, column, first, n, out);
    case NS_COL_NUMBER:
        break;
    }
    return ns_cohort_read_number(cohort, column, first, n, out);
}

static ns_status prepare(ns_cohort *cohort)
{
    int32_t n = ns_cohort_n_columns(cohort), *all = malloc((size_t)n * sizeof *all);
    for (int32_t i = 0; i < n; i++) all[i] = i;
    ns_status status = ns_cohort_prepare(cohort, all, n, MPI_COMM_SELF);
    free(all);
    return status;
}

/* The columns of a kind (NULL: all), one after the other, `step` rows at a time. Seconds; below 0 on failure. */
static double read_all(const char *path, const char *kind, int n_threads, const char *way, int64_t *n_bytes)
{
    omp_set_num_threads(n_threads);
    double began = ns_seconds();
    ns_cohort *cohort = open_way(path, way);
    if (cohort == NULL) return -1;
    int64_t n = ns_cohort_n_rows(cohort), step = strcmp(way, "hdf5") == 0 ? CHUNK : ns_cohort_stretch();
    int64_t *out = malloc((size_t)step * sizeof *out);
    ns_texts texts = {0};
    ns_status status = prepare(cohort);
    for (int32_t c = 0; c < ns_cohort_n_columns(cohort) && status == NS_OK; c++) {
        if (kind != NULL && strcmp(ns_column_kind_name(ns_cohort_column(cohort, c)->kind), kind) != 0) continue;
        for (int64_t at = 0; at < n && status == NS_OK; at += step)
            status = read_rows(cohort, c, at, n - at < step ? n - at : step, out, &texts);
    }
    ns_texts_destroy(&texts);
    ns_reading done = ns_cohort_reading(cohort);
    *n_bytes = done.fast_bytes + done.hdf5_bytes;
    if (status != NS_OK) fprintf(stderr, "bench_read: %s\n", ns_last_error()->message);
    free(out);
    ns_cohort_close(&cohort);
    return status == NS_OK ? ns_seconds() - began : -1;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    ns_h5_quiet();
    int64_t n_rows = argc == 4 ? atoll(argv[1]) : 2000000, n_bytes = 0;
    int n_columns = argc == 4 ? atoi(argv[2]) : 20, n_ways = 3, failed = 0;
    char made[] = "/tmp/nightshift-bench-XXXXXX.h5", *path = argc == 2 || argc == 3 ? argv[1] : made;
    const char *kind = argc == 3 ? argv[2] : NULL;
    if (path == made) {
        close(mkstemps(made, 3));
        failed = write_file(made, n_rows, n_columns, argc == 4 ? (unsigned)atoi(argv[3]) : 1);
    }
    int threads[MAX_WAYS] = {1, 1, 2, omp_get_num_procs()};
    if (threads[3] > 2) n_ways = 4;
    double rate[MAX_WAYS][ROUNDS + 1], effort[MAX_WAYS][ROUNDS + 1];
    for (int r = 0; r <= ROUNDS && !failed; r++)
        for (int w = 0; w < n_ways && !failed; w++) {
            clock_t began = clock();
            double seconds = read_all(path, kind, threads[w], w == 0 ? "hdf5" : "fast", &n_bytes);
            failed = seconds <= 0 || n_bytes == 0;
            effort[w][r] = (double)n_bytes * 1e-6 * CLOCKS_PER_SEC / (double)(clock() - began);
            rate[w][r] = (double)n_bytes * 1e-6 / seconds;
        }
    if (path == made) unlink(made);
    double reference = 0, reference_effort = 0;
    for (int w = 0; w < n_ways && !failed; w++) {
        qsort(rate[w] + 1, ROUNDS, sizeof rate[w][0], compare);
        qsort(effort[w] + 1, ROUNDS, sizeof effort[w][0], compare);
        double median = rate[w][1 + ROUNDS / 2], median_effort = effort[w][1 + ROUNDS / 2];
        if (w == 0) reference = median;
        if (w == 0) reference_effort = median_effort;
        printf("%-8s threads %-2d  %8.0f MB/s  (%.0f to %.0f)  %5.2f x   %8.0f MB/cpu s  %5.2f x\n", w == 0 ? "H5Dread" : "chunks",
               threads[w], median, rate[w][1], rate[w][ROUNDS], median / reference, median_effort, median_effort / reference_effort);
    }
    MPI_Finalize();
    return failed;
}
