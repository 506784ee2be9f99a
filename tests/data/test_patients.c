/* Every rank knows the whole table, so it can count by itself what the ranks are to find together. */
#include "tests/check.h"

#include <mpi.h>

#include "data/patients.h"

/* No message of the address sanitizer where a test asks for more memory than there is. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

enum { N_CELLS = 7 };
static int rank, n_ranks;

/* Row i of a table of n: its patient (-1: none) and cell. Patient 0 has a third of the rows. */
typedef struct table {
    int64_t n, n_patients;
} table;

static int64_t patient_at(table t, int64_t row)
{
    uint64_t mixed = (uint64_t)row * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    if (mixed % 10 == 9) return -1;
    return mixed % 3 == 0 ? 0 : (int64_t)(mixed / 30 % (uint64_t)t.n_patients);
}

static int32_t cell_at(int64_t row)
{
    return (int32_t)((uint64_t)row * UINT64_C(0xd1342543de82ef95) >> 40) % (N_CELLS + 1) - 1;
}

/* Among the hashes are pairs that differ in their low half only. */
static ns_hash128 hash_of(int64_t patient)
{
    if (patient < 0) return (ns_hash128){0, 0};
    ns_hash128 hash = ns_hash128_of_int(patient / 2);
    hash.lo ^= (uint64_t)(patient % 2);
    return hash;
}

/* The first rank holds most rows, the second none: borders of this rank's part. */
static void my_rows(int64_t n, int64_t *first, int64_t *end)
{
    int64_t most = n_ranks == 1 ? n : n * 3 / 5;
    int others = n_ranks - 2;
    *first = rank == 0 ? 0 : most;
    *end = rank == 0 ? most : rank == 1 && others > 0 ? most : n;
    if (rank < 2) return;
    *first = most + (n - most) * (rank - 2) / others;
    *end = most + (n - most) * (rank - 1) / others;
}

typedef struct part {
    int64_t n, first;
    ns_hash128 *hash;
    int32_t *cell;
} part;

static part make_part(table t)
{
    int64_t first, end;
    my_rows(t.n, &first, &end);
    part p = {.n = end - first, .first = first};
    p.hash = malloc(((size_t)p.n + 1) * sizeof *p.hash);
    p.cell = malloc(((size_t)p.n + 1) * sizeof *p.cell);
    for (int64_t i = 0; i < p.n; i++) {
        p.hash[i] = hash_of(patient_at(t, first + i));
        p.cell[i] = cell_at(first + i);
    }
    return p;
}

static void free_part(part *p)
{
    free(p->hash);
    free(p->cell);
}

/* The last size sends more than one piece between every two of four ranks. */
static const table tables[] = {{0, 1}, {1, 1}, {31, 10}, {257, 100}, {5000, 3000}, {700000, 90000}};
enum { N_TABLES = sizeof tables / sizeof tables[0] };

/* values[p]: the set of cells + 1 of patient p */
static uint16_t *cells_of_patients(table t, int64_t alone[N_CELLS])
{
    uint16_t *sets = calloc((size_t)t.n_patients, sizeof *sets);
    for (int64_t row = 0; row < t.n; row++) {
        int64_t patient = patient_at(t, row);
        int32_t cell = cell_at(row);
        if (patient >= 0)
            sets[patient] = (uint16_t)(sets[patient] | 1U << (cell + 1));
        else if (cell >= 0)
            alone[cell]++;
    }
    return sets;
}

static void test_count_patients(void **state)
{
    (void)state;
    for (int k = 0; k < N_TABLES; k++) {
        table t = tables[k];
        int64_t want[N_CELLS] = {0}, got[N_CELLS + 1];
        uint16_t *sets = cells_of_patients(t, want);
        for (int64_t p = 0; p < t.n_patients; p++)
            for (int c = 0; c < N_CELLS; c++) want[c] += sets[p] >> (c + 1) & 1;
        memset(got, 'x', sizeof got);
        int64_t guard = got[N_CELLS];
        part p = make_part(t);
        CHECK_OK(ns_count_patients(p.hash, p.cell, p.n, N_CELLS, got, MPI_COMM_WORLD));
        for (int c = 0; c < N_CELLS; c++) assert_int_equal(got[c], want[c]);
        assert_true(got[N_CELLS] == guard);
        free_part(&p);
        free(sets);
    }
    CHECK_OK(ns_count_patients(NULL, NULL, 0, 0, (int64_t[]){0}, MPI_COMM_WORLD));
}

static void test_count_torn_patients(void **state)
{
    (void)state;
    for (int k = 0; k < N_TABLES; k++) {
        table t = tables[k];
        int64_t want = 0, got = -1, alone[N_CELLS] = {0};
        uint16_t *sets = cells_of_patients(t, alone);
        for (int64_t p = 0; p < t.n_patients; p++) want += (sets[p] & (sets[p] - 1)) != 0;
        part p = make_part(t);
        CHECK_OK(ns_count_torn_patients(p.hash, p.cell, p.n, &got, MPI_COMM_WORLD));
        assert_int_equal(got, want);
        for (int64_t i = 0; i < p.n; i++) p.cell[i] = 3;
        CHECK_OK(ns_count_torn_patients(p.hash, p.cell, p.n, &got, MPI_COMM_WORLD));
        assert_int_equal(got, 0);
        free_part(&p);
        free(sets);
    }
}

static void test_max_rows_per_patient(void **state)
{
    (void)state;
    for (int k = 0; k < N_TABLES; k++) {
        table t = tables[k];
        int64_t *n_of = calloc((size_t)t.n_patients, sizeof *n_of), want = 1, got = -1;
        for (int64_t row = 0; row < t.n; row++) {
            int64_t patient = patient_at(t, row);
            if (patient >= 0 && ++n_of[patient] > want) want = n_of[patient];
        }
        part p = make_part(t);
        CHECK_OK(ns_max_rows_per_patient(p.hash, p.n, &got, MPI_COMM_WORLD));
        assert_int_equal(got, want);
        for (int64_t i = 0; i < p.n; i++) p.hash[i] = (ns_hash128){0, 0};
        CHECK_OK(ns_max_rows_per_patient(p.hash, p.n, &got, MPI_COMM_WORLD));
        assert_int_equal(got, 1); /* rows without a patient are patients of their own */
        free_part(&p);
        free(n_of);
    }
}

/* Values 0 to N_CELLS of rows: cell + 1. The lowest above 0 of a patient, by walking the whole table. */
static void test_lowest_of_patient(void **state)
{
    (void)state;
    for (int k = 0; k < N_TABLES; k++) {
        table t = tables[k];
        int64_t alone[N_CELLS] = {0}, want = 0, got = -1;
        uint16_t *sets = cells_of_patients(t, alone);
        for (int64_t p = 0; p < t.n_patients; p++) {
            unsigned values = sets[p] & ~1U; /* bit v: a row of value v; value 0 takes no part */
            want += (values & (values - 1)) != 0;
        }
        part p = make_part(t);
        uint8_t *value = malloc((size_t)p.n + 1), *lowest = malloc((size_t)p.n + 1);
        for (int64_t i = 0; i < p.n; i++) value[i] = (uint8_t)(p.cell[i] + 1);
        memset(lowest, 0xcc, (size_t)p.n + 1);
        CHECK_OK(ns_lowest_of_patient(p.hash, value, p.n, lowest, &got, MPI_COMM_WORLD));
        assert_int_equal(got, want);
        for (int64_t i = 0; i < p.n; i++) {
            int64_t who = patient_at(t, p.first + i);
            int expect = value[i];
            for (int v = 1; who >= 0 && value[i] != 0 && v < expect; v++)
                if (sets[who] >> v & 1) expect = v;
            if (lowest[i] != expect) fail_msg("table %d, row %lld: %d, not %d", k, (long long)i, lowest[i], expect);
        }
        assert_int_equal(lowest[p.n], 0xcc);
        free(value);
        free(lowest);
        free_part(&p);
        free(sets);
    }
}

/* One rank cannot hold its rows: all ranks say so. The rows themselves are never looked at. */
static void test_no_memory(void **state)
{
    (void)state;
    int64_t n = rank == n_ranks - 1 ? INT64_MAX / 16 : 0, found, count[N_CELLS];
    ns_hash128 hash[1] = {{1, 1}};
    int32_t cell[1] = {0};
    uint8_t duplicate[1];
    CHECK_FAILS(ns_count_patients(hash, cell, n, N_CELLS, count, MPI_COMM_WORLD), NS_ENOMEM,
                "no memory to compare");
    CHECK_FAILS(ns_count_torn_patients(hash, cell, n, &found, MPI_COMM_WORLD), NS_ENOMEM,
                "no memory to compare");
    CHECK_FAILS(ns_max_rows_per_patient(hash, n, &found, MPI_COMM_WORLD), NS_ENOMEM, "no memory to compare");
    CHECK_FAILS(ns_lowest_of_patient(hash, duplicate, n, duplicate, &found, MPI_COMM_WORLD), NS_ENOMEM,
                "no memory to compare");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count_patients),       cmocka_unit_test(test_count_torn_patients),
        cmocka_unit_test(test_max_rows_per_patient), cmocka_unit_test(test_lowest_of_patient),
        cmocka_unit_test(test_no_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
