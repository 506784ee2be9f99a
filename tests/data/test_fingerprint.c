/* The fingerprint against a plain computation from the layout in data/fingerprint.h, on any number of ranks.
 */
#include "tests/check.h"

#include <mpi.h>
#include <sodium.h>

#include "data/fingerprint.h"
#include "data/hash.h"

/* No message of the address sanitizer where a test asks for more memory than there is. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

enum { N_COLUMNS = 4 };
static const char *const names[N_COLUMNS] = {"weight", "sex", "admitted", "Z"};
static const ns_column_kind kinds[N_COLUMNS] = {NS_COL_NUMBER, NS_COL_CATEGORY, NS_COL_TIME, NS_COL_ID};
static const char *const kind_names[N_COLUMNS] = {"number", "category", "time", "id"};
static const int name_order[N_COLUMNS] = {3, 2, 1, 0};

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* Cells of a table; zeros of both signs and several NaNs among the numbers. */
static float number_at(int64_t row)
{
    if (row % 7 == 0) return row % 2 == 0 ? -0.0f : 0.0f;
    if (row % 11 == 0) return float_of(row % 2 == 0 ? 0x7fc00001U : 0xffc12345U);
    return (float)(row * 3 - 1000) / 8;
}

static uint64_t word_at(int column, int64_t row)
{
    if (column == 1) return row % 5 == 0 ? 0 : ns_hash64(row % 2 == 0 ? "f" : "m", 1);
    if (column == 2) return row % 13 == 0 ? (uint64_t)NS_TIME_MISSING : (uint64_t)(1700000000 - row * 3600);
    return (uint64_t)row * UINT64_C(0x9e3779b97f4a7c15);
}

static void put_cell(crypto_generichash_state *to, int column, int64_t row)
{
    uint8_t bytes[8];
    uint64_t word;
    if (column == 0) {
        float value = number_at(row);
        uint32_t bits;
        memcpy(&bits, &value, 4);
        if ((bits & 0x7fffffff) == 0) bits = 0;
        if ((bits & 0x7fffffff) > 0x7f800000) bits = 0x7fc00000;
        word = bits;
    } else {
        word = word_at(column, row);
    }
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(word >> 8 * i);
    crypto_generichash_update(to, bytes, column == 0 ? 4 : 8);
}

/* From the header's words, one row at a time. */
static void plain_column(uint8_t digest[32], int column, int64_t n_rows)
{
    crypto_generichash_state rows, block, whole;
    uint8_t found[32];
    crypto_generichash_init(&rows, NULL, 0, 32);
    for (int64_t row = 0; row < n_rows; row++) {
        if (row % 1024 == 0) crypto_generichash_init(&block, NULL, 0, 32);
        put_cell(&block, column, row);
        if (row % 1024 != 1023 && row != n_rows - 1) continue;
        crypto_generichash_final(&block, found, 32);
        crypto_generichash_update(&rows, found, 32);
    }
    crypto_generichash_final(&rows, found, 32);
    crypto_generichash_init(&whole, NULL, 0, 32);
    crypto_generichash_update(&whole, (const uint8_t *)names[column], strlen(names[column]) + 1);
    crypto_generichash_update(&whole, (const uint8_t *)kind_names[column], strlen(kind_names[column]) + 1);
    crypto_generichash_update(&whole, found, 32);
    crypto_generichash_final(&whole, digest, 32);
}

static void plain_table(char digests[N_COLUMNS][65], char table[65], int64_t n_rows)
{
    uint8_t column[N_COLUMNS][32], whole[32];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    for (int c = 0; c < N_COLUMNS; c++) {
        plain_column(column[c], c, n_rows);
        ns_hex(digests[c], column[c], 32);
    }
    for (int c = 0; c < N_COLUMNS; c++) crypto_generichash_update(&state, column[name_order[c]], 32);
    crypto_generichash_final(&state, whole, 32);
    ns_hex(table, whole, 32);
}

/* Rows of one column in calls of `step` rows, the last call first. */
static void add_column(ns_fingerprint *fingerprint, int32_t column, ns_shard shard, int64_t step)
{
    for (int64_t at = (shard.n_rows - 1) / step * step; shard.n_rows > 0 && at >= 0; at -= step) {
        int64_t n = shard.n_rows - at < step ? shard.n_rows - at : step;
        float *numbers = malloc((size_t)n * sizeof *numbers);
        uint64_t *words = malloc((size_t)n * sizeof *words);
        for (int64_t i = 0; i < n; i++) {
            numbers[i] = number_at(shard.first_row + at + i);
            words[i] = word_at(column, shard.first_row + at + i);
        }
        if (column == 0)
            ns_fingerprint_numbers(fingerprint, column, shard.first_row + at, n, numbers);
        else
            ns_fingerprint_words(fingerprint, column, shard.first_row + at, n, words);
        free(numbers);
        free(words);
    }
}

static void compute(char digests[N_COLUMNS][65], char table[65], int64_t n_rows, const int64_t *kept,
                    int64_t step)
{
    int rank, n_ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    ns_shard shard = ns_shard_of(kept, n_rows, rank, n_ranks);
    ns_fingerprint *fingerprint;
    CHECK_OK(ns_fingerprint_create(&fingerprint, names, kinds, N_COLUMNS, n_rows, shard));
#pragma omp parallel for
    for (int32_t c = 0; c < N_COLUMNS; c++) add_column(fingerprint, c, shard, step);
    memset(digests, 'x', N_COLUMNS * 65);
    CHECK_OK(ns_fingerprint_finish(fingerprint, digests, table, MPI_COMM_WORLD));
    ns_fingerprint_destroy(&fingerprint);
    assert_null(fingerprint);
    ns_fingerprint_destroy(&fingerprint);
}

static void test_as_written_down(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 1023, 1024, 1025, 5000, 33 * 1024 + 257};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        char want[N_COLUMNS][65], got[N_COLUMNS][65], want_table[65], got_table[65];
        plain_table(want, want_table, sizes[s]);
        for (int64_t step = 1024; step <= 4096; step += 3072) {
            compute(got, got_table, sizes[s], NULL, step);
            for (int c = 0; c < N_COLUMNS; c++) assert_string_equal(got[c], want[c]);
            assert_string_equal(got_table, want_table);
        }
    }
}

/* Unequal shards, some of them empty, change nothing. */
static void test_any_cut(void **state)
{
    (void)state;
    int64_t kept[6] = {0, 0, 1, 0, 0, 0};
    char even[N_COLUMNS][65], odd[N_COLUMNS][65], even_table[65], odd_table[65];
    compute(even, even_table, 5500, NULL, 1024);
    compute(odd, odd_table, 5500, kept, 2048);
    assert_memory_equal(even, odd, sizeof even);
    assert_string_equal(even_table, odd_table);
}

/* Rows dealt out in waves of slabs are the same table. */
static void test_striped(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 1024, 2049, 5000, 12 * 1024, 40000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int64_t slab_rows = 1024; slab_rows <= 3072; slab_rows += 2048) {
            char want[N_COLUMNS][65], got[N_COLUMNS][65], want_table[65], got_table[65];
            plain_table(want, want_table, sizes[s]);
            ns_stripes stripes = {.n_rows = sizes[s], .slab_rows = slab_rows};
            MPI_Comm_rank(MPI_COMM_WORLD, &stripes.rank);
            MPI_Comm_size(MPI_COMM_WORLD, &stripes.n_ranks);
            ns_fingerprint *fingerprint;
            CHECK_OK(ns_fingerprint_create_striped(&fingerprint, names, kinds, N_COLUMNS, &stripes));
            for (int64_t w = 0; w < ns_n_waves(&stripes); w++) {
                ns_piece piece = ns_wave_piece(&stripes, w, stripes.rank);
                ns_shard rows = {.first_row = piece.first_row, .n_rows = piece.n_rows};
                for (int32_t c = N_COLUMNS - 1; c >= 0; c--) add_column(fingerprint, c, rows, 2048);
                ns_fingerprint_end_wave(fingerprint, MPI_COMM_WORLD);
            }
            CHECK_OK(ns_fingerprint_finish(fingerprint, got, got_table, MPI_COMM_WORLD));
            for (int c = 0; c < N_COLUMNS; c++) assert_string_equal(got[c], want[c]);
            assert_string_equal(got_table, want_table);
            ns_fingerprint_destroy(&fingerprint);
        }
}

/* Made with Python's hashlib from the layout in the header. */
static void test_golden(void **state)
{
    (void)state;
    char digests[N_COLUMNS][65], table[65];
    compute(digests, table, 3000, NULL, 1024);
    assert_string_equal(digests[0], "4ef36b8cb89200ecba7258a591d1732acea2a6429e1d9253afbdec92942eaf9a");
    assert_string_equal(table, "a9f7572f3e2d125b4a52053c9a52208a75fdf7ab65cebe27ab651e488d788b88");
}

/* A column whose digest is known need not be added. */
static void test_known_column(void **state)
{
    (void)state;
    int rank, n_ranks;
    char want[N_COLUMNS][65], got[N_COLUMNS][65], want_table[65], got_table[65];
    uint8_t digest[32];
    compute(want, want_table, 5000, NULL, 1024);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    ns_shard shard = ns_shard_of(NULL, 5000, rank, n_ranks);
    for (int change = 0; change <= 1; change++) {
        ns_fingerprint *fingerprint;
        CHECK_OK(ns_fingerprint_create(&fingerprint, names, kinds, N_COLUMNS, 5000, shard));
        for (int i = 0; i < 32; i++) {
            char byte[3] = {want[1][2 * i], want[1][2 * i + 1], '\0'};
            digest[i] = (uint8_t)(strtoul(byte, NULL, 16) ^ (unsigned)(change && i == 31));
        }
        ns_fingerprint_know(fingerprint, 1, digest);
        for (int32_t c = 0; c < N_COLUMNS; c++)
            if (c != 1) add_column(fingerprint, c, shard, 1024);
        CHECK_OK(ns_fingerprint_finish(fingerprint, got, got_table, MPI_COMM_WORLD));
        assert_int_equal(strcmp(got_table, want_table) == 0, !change);
        for (int c = 0; c < N_COLUMNS; c++) assert_int_equal(strcmp(got[c], want[c]) == 0, c != 1 || !change);
        ns_fingerprint_destroy(&fingerprint);
    }
}

static void test_no_columns(void **state)
{
    (void)state;
    int rank, n_ranks;
    char digests[1][65], table[65];
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    ns_fingerprint *fingerprint;
    CHECK_OK(
        ns_fingerprint_create(&fingerprint, NULL, NULL, 0, 2000, ns_shard_of(NULL, 2000, rank, n_ranks)));
    CHECK_OK(ns_fingerprint_finish(fingerprint, digests, table, MPI_COMM_WORLD));
    assert_string_equal(table, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    ns_fingerprint_destroy(&fingerprint);
}

static void test_no_memory(void **state)
{
    (void)state;
    ns_fingerprint *fingerprint = NULL;
    ns_shard huge = {.first_row = 0, .n_rows = INT64_C(1) << 62};
    CHECK_FAILS(ns_fingerprint_create(&fingerprint, names, kinds, N_COLUMNS, huge.n_rows, huge), NS_ENOMEM,
                "4 columns");
    assert_null(fingerprint);
    char digests[N_COLUMNS][65], table[65];
    ns_shard empty = {0, 0};
    ns_stripes striped = {.n_rows = INT64_C(1) << 60, .slab_rows = INT64_C(1) << 58, .rank = 0, .n_ranks = 1};
    CHECK_FAILS(ns_fingerprint_create_striped(&fingerprint, names, kinds, N_COLUMNS, &striped), NS_ENOMEM,
                "4 columns");
    CHECK_OK(ns_fingerprint_create(&fingerprint, names, kinds, N_COLUMNS, INT64_C(1) << 60, empty));
    CHECK_FAILS(ns_fingerprint_finish(fingerprint, digests, table, MPI_COMM_WORLD), NS_ENOMEM,
                "no memory to gather");
    ns_fingerprint_destroy(&fingerprint);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_written_down), cmocka_unit_test(test_any_cut),
        cmocka_unit_test(test_striped),         cmocka_unit_test(test_golden),
        cmocka_unit_test(test_known_column), cmocka_unit_test(test_no_columns),      cmocka_unit_test(test_no_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
