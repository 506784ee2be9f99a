#include "tests/data/both_ways.h"

#include <mpi.h>
#include <omp.h>

#include "data/cohort.h"
#include "data/shard.h"
#include "tests/check.h"

static ns_cohort *open_way(const char *path, const char *way)
{
    ns_cohort *cohort;
    ns_texts files = {0};
    if (way != NULL) setenv("NIGHTSHIFT_READ", way, 1);
    else unsetenv("NIGHTSHIFT_READ");
    CHECK_OK(ns_texts_append(&files, path, (int64_t)strlen(path)));
    CHECK_OK(ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF));
    ns_texts_destroy(&files);
    unsetenv("NIGHTSHIFT_READ");
    return cohort;
}

static void prepare(ns_cohort *cohort)
{
    int32_t n = ns_cohort_n_columns(cohort), *columns = malloc((size_t)n * sizeof *columns);
    for (int32_t i = 0; i < n; i++) columns[i] = i;
    CHECK_OK(ns_cohort_prepare(cohort, columns, n, MPI_COMM_SELF));
    free(columns);
}

/* What the kind of a column is read as; the hash of any comes besides. */
static ns_read_as way_of(const ns_column *column)
{
    switch (column->kind) {
    case NS_COL_CATEGORY:
        return NS_READ_CODES;
    case NS_COL_TIME:
        return NS_READ_TIME;
    case NS_COL_ID:
        return column->is_text ? NS_READ_HASH : NS_READ_ID_INT;
    case NS_COL_NUMBER:
        break;
    }
    return NS_READ_NUMBER;
}

static ns_status read_as(ns_cohort *cohort, int32_t column, ns_read_as as, int64_t first, int64_t n, void *out)
{
    switch (as) {
    case NS_READ_NUMBER:
        return ns_cohort_read_number(cohort, column, first, n, out);
    case NS_READ_CODES:
        return ns_cohort_read_codes(cohort, column, first, n, out);
    case NS_READ_TIME:
        return ns_cohort_read_time(cohort, column, first, n, out);
    case NS_READ_ID_INT:
        return ns_cohort_read_id_int(cohort, column, first, n, out);
    case NS_READ_HASH:
        break;
    }
    return ns_cohort_read_hash(cohort, column, first, n, out);
}

/* One way of reading rows [first, first + n) of a column; both cohorts must say the same. */
static void compare_range(ns_cohort *fast, ns_cohort *slow, int32_t column, ns_read_as as, int64_t first, int64_t n)
{
    size_t n_bytes = (size_t)(n > 0 ? n : 1) * sizeof(ns_hash128);
    unsigned char *a = malloc(n_bytes), *b = malloc(n_bytes);
    memset(a, 0x5a, n_bytes);
    memset(b, 0x5a, n_bytes);
    int64_t inexact = ns_cohort_inexact(fast, column) - ns_cohort_inexact(slow, column);
    ns_status x = read_as(fast, column, as, first, n, a);
    ns_error why = *ns_last_error();
    ns_error_clear();
    ns_status y = read_as(slow, column, as, first, n, b);
    const char *name = ns_cohort_column(fast, column)->name;
    if (x != y || strcmp(why.message, ns_last_error()->message) != 0)
        fail_msg("column %s, rows %lld + %lld: %d '%s', with H5Dread %d '%s'", name, (long long)first, (long long)n, (int)x, why.message,
                 (int)y, ns_last_error()->message);
    ns_error_clear();
    if (x == NS_OK && memcmp(a, b, n_bytes) != 0)
        fail_msg("column %s as %d: rows %lld + %lld differ from H5Dread's", name, (int)as, (long long)first, (long long)n);
    if (inexact != ns_cohort_inexact(fast, column) - ns_cohort_inexact(slow, column)) fail_msg("column %s: inexact cells differ", name);
    free(a);
    free(b);
}

static void compare_texts(ns_cohort *fast, ns_cohort *slow, int32_t column, int64_t first, int64_t n)
{
    ns_texts a = {0}, b = {0};
    CHECK_OK(ns_cohort_read_id_text(fast, column, first, n, &a));
    CHECK_OK(ns_cohort_read_id_text(slow, column, first, n, &b));
    assert_int_equal(a.n, n);
    assert_int_equal(b.n, n);
    if (n > 0) assert_memory_equal(a.offset, b.offset, (size_t)(n + 1) * sizeof *a.offset);
    if (n > 0 && a.offset[n] > 0) assert_memory_equal(a.bytes, b.bytes, (size_t)a.offset[n]);
    ns_texts_destroy(&a);
    ns_texts_destroy(&b);
}

static void compare_column(ns_cohort *fast, ns_cohort *slow, int32_t column)
{
    int64_t n = ns_cohort_n_rows(fast);
    const ns_column *what = ns_cohort_column(fast, column);
    const int64_t ranges[][2] = {{0, n}, {0, 1}, {n - 1, 1}, {n / 3, n / 2}, {n / 7, 3}, {n / 2, n - n / 2}, {n / 5 + 1, 0}};
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        if (ranges[r][0] < 0 || ranges[r][0] + ranges[r][1] > n) continue;
        compare_range(fast, slow, column, way_of(what), ranges[r][0], ranges[r][1]);
        compare_range(fast, slow, column, NS_READ_HASH, ranges[r][0], ranges[r][1]);
        if (what->kind == NS_COL_ID && what->is_text) compare_texts(fast, slow, column, ranges[r][0], ranges[r][1]);
    }
    /* In steps that end in the middle of chunks, as slabs do; and backwards. */
    int64_t step = n / 5 + 1;
    for (int64_t at = 0; at < n; at += step) compare_range(fast, slow, column, way_of(what), at, n - at < step ? n - at : step);
    for (int64_t at = n - n % step; at >= 0; at -= step) compare_range(fast, slow, column, way_of(what), at, n - at < step ? n - at : step);
}

/* All columns of some rows in one call. */
static void compare_together(ns_cohort *fast, ns_cohort *slow, int64_t first, int64_t n)
{
    int32_t n_columns = ns_cohort_n_columns(fast);
    ns_column_read *reads = calloc((size_t)n_columns, sizeof *reads);
    size_t n_bytes = (size_t)n * sizeof(ns_hash128);
    unsigned char *want = malloc(n_bytes);
    for (int32_t i = 0; i < n_columns; i++)
        reads[i] = (ns_column_read){.column = i, .as = way_of(ns_cohort_column(fast, i)), .out = calloc(n_bytes, 1)};
    ns_status status = ns_cohort_read_columns(fast, reads, n_columns, first, n);
    ns_error why = *ns_last_error();
    ns_error_clear();
    ns_status wanted = NS_OK;
    for (int32_t i = 0; i < n_columns && wanted == NS_OK; i++) {
        memset(want, 0, n_bytes);
        wanted = read_as(slow, i, reads[i].as, first, n, want);
        if (wanted == NS_OK && memcmp(want, reads[i].out, n_bytes) != 0) fail_msg("columns together: column %d differs", i);
    }
    if (status != wanted || strcmp(why.message, ns_last_error()->message) != 0)
        fail_msg("columns together: '%s', one by one with H5Dread '%s'", why.message, ns_last_error()->message);
    ns_error_clear();
    for (int32_t i = 0; i < n_columns; i++) free(reads[i].out);
    free(reads);
    free(want);
}

void check_both_ways(const char *path, expected_share share)
{
    int threads_before = omp_get_max_threads();
    for (int threads = 1; threads <= 3; threads += 2) {
        omp_set_num_threads(threads);
        ns_cohort *fast = open_way(path, NULL), *slow = open_way(path, "hdf5");
        prepare(fast);
        prepare(slow);
        for (int32_t i = 0; i < ns_cohort_n_columns(fast); i++) {
            const ns_texts *a = ns_cohort_column(fast, i)->levels, *b = ns_cohort_column(slow, i)->levels;
            if (a != NULL) assert_int_equal(a->n, b->n);
            if (a != NULL && a->n > 0) assert_memory_equal(a->bytes, b->bytes, (size_t)a->offset[a->n]);
            compare_column(fast, slow, i);
        }
        int64_t n = ns_cohort_n_rows(fast);
        compare_together(fast, slow, n / 3, n - n / 3);
        for (int64_t at = 0; at < n; at += n / 4 + 1) compare_together(fast, slow, at, n - at < n / 4 + 1 ? n - at : n / 4 + 1);
        ns_reading done = ns_cohort_reading(fast), through = ns_cohort_reading(slow);
        if (share == ALL_FAST && (done.hdf5_bytes > 0 || (done.fast_bytes == 0 && n > 0)))
            fail_msg("%s: %lld bytes went through HDF5", path, (long long)done.hdf5_bytes);
        if (share == NONE_FAST) assert_int_equal(done.fast_bytes, 0);
        assert_int_equal(through.fast_bytes, 0);
        assert_int_equal(done.fast_bytes + done.hdf5_bytes, through.hdf5_bytes);
        ns_cohort_close(&fast);
        ns_cohort_close(&slow);
    }
    omp_set_num_threads(threads_before);
}

void check_same_failure(const char *path, char *message)
{
    ns_cohort *fast = open_way(path, NULL), *slow = open_way(path, "hdf5");
    int64_t n = ns_cohort_n_rows(fast);
    float *out = malloc((size_t)n * sizeof *out);
    ns_status a = ns_cohort_read_number(fast, 0, 0, n, out);
    snprintf(message, 1500, "%s", ns_last_error()->message);
    ns_error_clear();
    ns_status b = ns_cohort_read_number(slow, 0, 0, n, out);
    assert_int_equal(a, b);
    assert_int_not_equal(a, NS_OK);
    assert_string_equal(message, ns_last_error()->message);
    ns_error_clear();
    free(out);
    ns_cohort_close(&fast);
    ns_cohort_close(&slow);
}
