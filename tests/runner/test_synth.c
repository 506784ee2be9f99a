/* The synthetic cohort: its values belong to (seed, row) alone, its risks are true, its oddities are as many
 * as asked for. */
#include "tests/check.h"

#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <unistd.h>

#include "data/cohort.h"
#include "data/hash.h"
#include "runner/synth.h"
#include "runner/synth_world.h"

typedef struct places {
    char folder[64], out[96];
} places;

static ns_cohort *open_cohort(const char *path)
{
    ns_texts files = {0};
    ns_cohort *cohort;
    CHECK_OK(ns_texts_append(&files, path, (int64_t)strlen(path)));
    CHECK_OK(ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF));
    ns_texts_destroy(&files);
    int32_t n = ns_cohort_n_columns(cohort);
    int32_t *all = malloc((size_t)n * sizeof *all);
    assert_non_null(all);
    for (int32_t i = 0; i < n; i++) all[i] = i;
    CHECK_OK(ns_cohort_prepare(cohort, all, n, MPI_COMM_SELF));
    free(all);
    return cohort;
}

static int32_t column(const ns_cohort *cohort, const char *name)
{
    int32_t at = ns_cohort_find(cohort, name);
    if (at < 0) fail_msg("no column '%s'", name);
    return at;
}

static void *rows_of(int64_t n, size_t size)
{
    void *rows = malloc((size_t)(n + 1) * size);
    assert_non_null(rows);
    return rows;
}

/* BLAKE2b over the cells of every column in name order, as the readers give them. */
static void hash_cohort(char hex[65], const char *path)
{
    ns_cohort *cohort = open_cohort(path);
    int64_t n = ns_cohort_n_rows(cohort);
    int32_t n_columns = ns_cohort_n_columns(cohort);
    uint8_t *digests = rows_of(n_columns, 32);
    for (int32_t i = 0; i < n_columns; i++) {
        const ns_column *c = ns_cohort_column(cohort, i);
        if (c->kind == NS_COL_NUMBER) {
            float *cells = rows_of(n, sizeof *cells);
            CHECK_OK(ns_cohort_read_number(cohort, i, 0, n, cells));
            for (int64_t r = 0; r < n; r++)
                if (isnan(cells[r])) cells[r] = -1e30F;
            ns_blake2b(digests + 32 * i, cells, (size_t)n * sizeof *cells);
            free(cells);
        } else {
            ns_hash128 *cells = rows_of(n, sizeof *cells);
            CHECK_OK(ns_cohort_read_hash(cohort, i, 0, n, cells));
            ns_blake2b(digests + 32 * i, cells, (size_t)n * sizeof *cells);
            free(cells);
        }
    }
    ns_sha256_hex(hex, digests, (size_t)n_columns * 32);
    free(digests);
    ns_cohort_close(&cohort);
}

static ns_synth_options some(int64_t n_rows)
{
    ns_synth_options o = ns_synth_defaults();
    o.n_rows = n_rows;
    o.true_risk = true;
    return o;
}

/* The content is pinned: it may depend on no compiler and no library. A deliberate change of the world
 * changes it. */
static void content_is_the_same_everywhere(void **state)
{
    const places *at = *state;
    ns_synth_options o = some(3000);
    o.n_duplicate_ids = 5;
    o.n_missing_ids = 4;
    o.n_infinite = 3;
    o.n_numbers = 22;
    o.n_categories = 7;
    char first[65], again[65], other[65];
    CHECK_OK(ns_synth(at->out, &o));
    hash_cohort(first, at->out);
    CHECK_OK(ns_synth(at->out, &o));
    hash_cohort(again, at->out);
    assert_string_equal(first, again);
    assert_string_equal(first, "9dc10d1b49dc788c8fa699cb576fc4c6790e0006c5666bef919126848c22ebcc");
    o.seed = 2;
    CHECK_OK(ns_synth(at->out, &o));
    hash_cohort(other, at->out);
    assert_string_not_equal(first, other);
}

static int compare_ids(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void oddities_are_as_many_as_asked_for(void **state)
{
    const places *at = *state;
    enum { N = 1001 };
    static const int64_t wanted[][3] = {{0, 0, 0}, {42, 31, 12}, {500, 0, 0}, {0, 500, 0}, {200, 100, 200}};
    for (size_t w = 0; w < sizeof wanted / sizeof wanted[0]; w++) {
        ns_synth_options o = some(N);
        o.n_duplicate_ids = wanted[w][0];
        o.n_missing_ids = wanted[w][1];
        o.n_infinite = wanted[w][2];
        CHECK_OK(ns_synth(at->out, &o));
        ns_cohort *cohort = open_cohort(at->out);
        int64_t ids[N], n_missing = 0, n_shared = 0, n_infinite = 0;
        float creatinine[N];
        CHECK_OK(ns_cohort_read_id_int(cohort, column(cohort, "encounter_id"), 0, N, ids));
        CHECK_OK(ns_cohort_read_number(cohort, column(cohort, "creatinine"), 0, N, creatinine));
        for (int i = 0; i < N; i++) n_missing += ids[i] == NS_TIME_MISSING;
        for (int i = 0; i < N; i++) n_infinite += isinf(creatinine[i]) != 0;
        qsort(ids, N, sizeof ids[0], compare_ids);
        for (int i = 1; i < N; i++) n_shared += ids[i] == ids[i - 1] && ids[i] != NS_TIME_MISSING;
        assert_int_equal(n_shared, wanted[w][0]);
        assert_int_equal(n_missing, wanted[w][1]);
        assert_int_equal(n_infinite, wanted[w][2]);
        ns_cohort_close(&cohort);
    }
}

/* AUROC by ranks: the part of (positive, negative) pairs in the right order. */
typedef struct scored {
    float risk;
    int32_t label;
} scored;

static int compare_scored(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    return (x->risk > y->risk) - (x->risk < y->risk);
}

static double auroc(scored *rows, int64_t n)
{
    double below = 0.0, pairs = 0.0, n_negative = 0.0;
    qsort(rows, (size_t)n, sizeof *rows, compare_scored);
    for (int64_t i = 0; i < n; i++) {
        if (rows[i].label)
            below += n_negative;
        else
            n_negative += 1.0;
    }
    pairs = n_negative * ((double)n - n_negative);
    return below / pairs;
}

static void risks_are_true(void **state)
{
    const places *at = *state;
    enum { N = 60000 };
    ns_synth_options o = some(N);
    CHECK_OK(ns_synth(at->out, &o));
    ns_cohort *cohort = open_cohort(at->out);
    float *risk = rows_of(N, sizeof *risk);
    int32_t *label = rows_of(N, sizeof *label);
    scored *rows = rows_of(N, sizeof *rows);
    CHECK_OK(ns_cohort_read_number(cohort, column(cohort, "true_risk"), 0, N, risk));
    CHECK_OK(ns_cohort_read_codes(cohort, column(cohort, "readmitted"), 0, N, label));
    double sum = 0.0, n_yes = 0.0, tenth_sum[10] = {0}, tenth_yes[10] = {0};
    for (int i = 0; i < N; i++) {
        assert_true(risk[i] > 0.0F && risk[i] < 1.0F);
        rows[i] = (scored){risk[i], label[i]};
        sum += (double)risk[i];
        n_yes += label[i];
    }
    /* Four deviations of a mean of N draws, and of the 4,096 rows that the intercept came from. */
    assert_true(fabs(sum / N - o.prevalence) < 4.0 * 0.12 / 64.0);
    assert_true(fabs(n_yes - sum) < 4.0 * sqrt(N * 0.1));
    double area = auroc(rows, N);
    if (!(area > 0.775 && area < 0.805)) fail_msg("AUROC of the true risks: %.4f", area);
    for (int i = 0; i < N; i++) { /* rows are sorted by risk now */
        tenth_sum[i / (N / 10)] += (double)rows[i].risk;
        tenth_yes[i / (N / 10)] += rows[i].label;
    }
    for (int i = 0; i < 10; i++)
        if (!(fabs(tenth_yes[i] - tenth_sum[i]) < 4.0 * sqrt(tenth_sum[i]) + 1.0))
            fail_msg("tenth %d: %g readmitted, %g expected", i, tenth_yes[i], tenth_sum[i]);
    free(risk);
    free(label);
    free(rows);
    ns_cohort_close(&cohort);
}

static void patients_return(void **state)
{
    const places *at = *state;
    enum { N = 20000, N_PATIENTS = 12000 };
    ns_synth_options o = some(N);
    CHECK_OK(ns_synth(at->out, &o));
    ns_cohort *cohort = open_cohort(at->out);
    ns_texts ids = {0};
    int64_t *times = rows_of(N, sizeof *times);
    CHECK_OK(ns_cohort_read_id_text(cohort, column(cohort, "patient_id"), 0, N, &ids));
    CHECK_OK(ns_cohort_read_time(cohort, column(cohort, "admitted_at"), 0, N, times));
    CHECK_OK(ns_texts_sort_unique(&ids));
    assert_int_equal(ids.n, N_PATIENTS);
    for (int i = 1; i < N; i++) assert_true(times[i] >= times[i - 1]);
    assert_true(times[0] >= 1732060800 && times[0] < 1732060800 + 86400);
    assert_true(times[N - 1] < 1732060800 + 730 * 86400 && times[N - 1] > 1732060800 + 729 * 86400);
    ns_texts_destroy(&ids);
    free(times);
    ns_cohort_close(&cohort);
}

static void missing_cells_follow_the_fraction(void **state)
{
    const places *at = *state;
    enum { N = 20000 };
    static const double fractions[] = {0.0, 0.1, 0.4};
    for (size_t f = 0; f < sizeof fractions / sizeof fractions[0]; f++) {
        ns_synth_options o = some(N);
        o.missing = fractions[f];
        CHECK_OK(ns_synth(at->out, &o));
        ns_cohort *cohort = open_cohort(at->out);
        float *cells = rows_of(N, sizeof *cells);
        int32_t *codes = rows_of(N, sizeof *codes);
        int64_t n_missing = 0, n_cells = 0;
        for (int32_t c = NS_PRIOR_STAYS + 1; c < o.n_numbers; c++) {
            char name[16];
            CHECK_OK(
                ns_cohort_read_number(cohort, column(cohort, ns_world_number_name(c, name)), 0, N, cells));
            for (int i = 0; i < N; i++) n_missing += isnan(cells[i]) != 0;
            n_cells += N;
        }
        double part = (double)n_missing / (double)n_cells;
        if (!(fabs(part - fractions[f]) <= 0.05 * fractions[f]))
            fail_msg("%g of the cells are missing", part);
        CHECK_OK(ns_cohort_read_codes(cohort, column(cohort, "diagnosis"), 0, N, codes));
        n_missing = 0;
        for (int i = 0; i < N; i++) n_missing += codes[i] < 0;
        assert_true((n_missing > 0) == (fractions[f] > 0.0));
        CHECK_OK(ns_cohort_read_number(cohort, column(cohort, "age"), 0, N, cells));
        int64_t n_children = 0;
        for (int i = 0; i < N; i++) {
            assert_true(cells[i] >= 0.0F && cells[i] <= 101.0F);
            n_children += cells[i] < 18.0F;
        }
        assert_true(n_children > N / 100 && n_children < N / 40);
        free(cells);
        free(codes);
        ns_cohort_close(&cohort);
    }
}

static void columns_are_as_asked_for(void **state)
{
    const places *at = *state;
    static const struct {
        int64_t n_rows;
        int32_t n_numbers, n_categories;
    } cases[] = {{0, 20, 5}, {1, 1, 0}, {2, 2, 1}, {100, 16, 5}, {100, 30, 12}, {70000, 3, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ns_synth_options o = some(cases[i].n_rows);
        o.n_numbers = cases[i].n_numbers;
        o.n_categories = cases[i].n_categories;
        o.true_risk = i % 2 == 0;
        CHECK_OK(ns_synth(at->out, &o));
        ns_cohort *cohort = open_cohort(at->out);
        assert_int_equal(ns_cohort_n_rows(cohort), cases[i].n_rows);
        assert_int_equal(ns_cohort_n_columns(cohort),
                         cases[i].n_numbers + cases[i].n_categories + 4 + (i % 2 == 0));
        assert_int_equal(ns_cohort_find(cohort, "true_risk") >= 0, i % 2 == 0);
        for (int32_t c = 0; c < cases[i].n_categories; c++) {
            char name[16];
            const ns_column *category =
                ns_cohort_column(cohort, column(cohort, ns_world_category_name(c, name)));
            assert_int_equal(category->kind, NS_COL_CATEGORY);
            assert_int_equal(category->levels->n, ns_world_n_levels(c));
        }
        ns_cohort_close(&cohort);
    }
}

static void options_out_of_range_are_refused(void **state)
{
    const places *at = *state;
    static const struct {
        ns_synth_options o;
        const char *word;
    } cases[] = {
        {{.n_rows = -1, .n_numbers = 1, .prevalence = 0.1}, "--rows"},
        {{.n_rows = 10, .n_patients = 11, .n_numbers = 1, .prevalence = 0.1}, "--patients"},
        {{.n_rows = 10, .n_patients = -1, .n_numbers = 1, .prevalence = 0.1}, "--patients"},
        {{.n_rows = 10, .n_numbers = 0, .prevalence = 0.1}, "--numbers"},
        {{.n_rows = 10, .n_numbers = 1, .n_categories = -1, .prevalence = 0.1}, "--categories"},
        {{.n_rows = 10, .n_numbers = 1, .prevalence = 0.0}, "--prevalence"},
        {{.n_rows = 10, .n_numbers = 1, .prevalence = (double)NAN}, "--prevalence"},
        {{.n_rows = 10, .n_numbers = 1, .prevalence = 0.1, .missing = 0.7}, "--missing"},
        {{.n_rows = 10, .n_numbers = 1, .prevalence = 0.1, .n_infinite = 6}, "--infinite"},
        {{.n_rows = 10, .n_numbers = 1, .prevalence = 0.1, .n_missing_ids = 3, .n_duplicate_ids = 3},
         "--missing-ids"},
        {{.n_rows = 10, .n_numbers = 1, .prevalence = 0.1, .n_duplicate_ids = -1}, "--duplicate-ids"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_FAILS(ns_synth(at->out, &cases[i].o), NS_EINVAL, cases[i].word);
    ns_synth_options o = some(10);
    CHECK_FAILS(ns_synth("/nowhere/out.h5", &o), NS_EIO, "/nowhere/out.h5");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    places at = {.folder = "/tmp/nightshift-test-synth-XXXXXX"};
    if (mkdtemp(at.folder) == NULL) return 1;
    snprintf(at.out, sizeof at.out, "%s/out.h5", at.folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(content_is_the_same_everywhere, &at),
        cmocka_unit_test_prestate(oddities_are_as_many_as_asked_for, &at),
        cmocka_unit_test_prestate(risks_are_true, &at),
        cmocka_unit_test_prestate(patients_return, &at),
        cmocka_unit_test_prestate(missing_cells_follow_the_fraction, &at),
        cmocka_unit_test_prestate(columns_are_as_asked_for, &at),
        cmocka_unit_test_prestate(options_out_of_range_are_refused, &at),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(at.out);
    if (rmdir(at.folder) != 0) failed = 1;
    MPI_Finalize();
    return failed;
}
