/*
 * A zoo of cohort files, written here with HDF5 itself: every way in which a cell may be stored, files that
 * keep their levels in different ways, and every fault that data/cohort.h names. Every rank does all of it
 * and must see the same.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/cohort.h"
#include "data/h5.h"
#include "tests/check.h"

static char folder[64]; /* of this run, made by rank 0 */
static int rank, n_ranks;

static const char *in_folder(const char *name)
{
    static char paths[4][200];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

/* ---- writing files ---- */

static hid_t start_file(const char *name, int64_t n_rows)
{
    hid_t file = H5Fcreate(in_folder(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    CHECK_OK(ns_h5_write_int_attribute(file, "nightshift_cohort", 1, name));
    CHECK_OK(ns_h5_write_int_attribute(file, "n_rows", n_rows, name));
    H5Gclose(H5Gcreate2(file, "columns", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Gclose(H5Gcreate2(file, "levels", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    return file;
}

/* A data set of n cells; kind NULL: no attribute. list: creation properties or H5P_DEFAULT. */
static void put_with(hid_t list, hid_t file, const char *link, const char *kind, hid_t type, hid_t memory,
                     hsize_t n, const void *cells)
{
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t set = H5Dcreate2(file, link, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(set >= 0);
    if (n > 0) assert_true(H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) >= 0);
    if (kind != NULL) CHECK_OK(ns_h5_write_text_attribute(set, "kind", kind, link));
    H5Dclose(set);
    H5Sclose(space);
}

static void put(hid_t file, const char *link, const char *kind, hid_t type, hid_t memory, hsize_t n,
                const void *cells)
{
    put_with(H5P_DEFAULT, file, link, kind, type, memory, n, cells);
}

static hid_t string_type(size_t size, H5T_str_t padding, H5T_cset_t set)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    H5Tset_strpad(type, padding);
    H5Tset_cset(type, set);
    return type;
}

/* Fixed-length strings of 8 bytes. */
static void put_fixed(hid_t file, const char *link, const char *kind, H5T_str_t padding, hsize_t n,
                      const char (*cells)[8])
{
    hid_t type = string_type(8, padding, H5T_CSET_UTF8);
    put(file, link, kind, type, type, n, cells);
    H5Tclose(type);
}

static void put_variable(hid_t file, const char *link, const char *kind, hsize_t n, const char *const *cells)
{
    hid_t type = string_type(H5T_VARIABLE, H5T_STR_NULLTERM, H5T_CSET_ASCII);
    put(file, link, kind, type, type, n, cells);
    H5Tclose(type);
}

/* A text attribute as h5py writes it. */
static void put_variable_attribute(hid_t object, const char *name, const char *text)
{
    hid_t type = string_type(H5T_VARIABLE, H5T_STR_NULLTERM, H5T_CSET_UTF8), space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, &text) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void finish_file(hid_t file)
{
    assert_true(H5Fclose(file) >= 0);
}

/* All ranks wait until rank 0 has written. */
static void written(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

static ns_status open_named(ns_cohort **out, int n, const char *const *names, ns_layout layout)
{
    ns_texts files = {0};
    for (int i = 0; i < n; i++) {
        const char *path = in_folder(names[i]);
        CHECK_OK(ns_texts_append(&files, path, (int64_t)strlen(path)));
    }
    ns_status status = ns_cohort_open(out, rank == 0 ? &files : NULL, layout, MPI_COMM_WORLD);
    ns_texts_destroy(&files);
    return status;
}

static ns_cohort *open_one(const char *name)
{
    ns_cohort *cohort = NULL;
    written();
    CHECK_OK(open_named(&cohort, 1, &name, NS_LAYOUT_COLUMNS));
    return cohort;
}

static void prepare_all(ns_cohort *cohort)
{
    int32_t columns[64], n = ns_cohort_n_columns(cohort);
    assert_true(n <= 64);
    for (int32_t i = 0; i < n; i++) columns[i] = i;
    CHECK_OK(ns_cohort_prepare(cohort, columns, n, MPI_COMM_WORLD));
}

/* ---- names of files ---- */

static void expands_patterns(void **state)
{
    (void)state;
    static const char *const names[] = {"exp-b.h5", "exp-a.h5", "exp-[1].h5"};
    for (int i = 0; i < 3 && rank == 0; i++) close(open(in_folder(names[i]), O_CREAT | O_WRONLY, 0666));
    if (rank == 0) assert_int_equal(mkdir(in_folder("exp-dir.h5"), 0777), 0);
    written();
    char glob[200], plain[200], bracket[200], absent[200], none[200], sub[200];
    snprintf(glob, sizeof glob, "%s/exp-?.h5", folder);
    snprintf(plain, sizeof plain, "%s/exp-a.h5", folder);
    snprintf(bracket, sizeof bracket, "%s/exp-[1].h5", folder);
    snprintf(absent, sizeof absent, "%s/exp-c.h5", folder);
    snprintf(none, sizeof none, "%s/no-*.h5", folder);
    snprintf(sub, sizeof sub, "%s/exp-d*.h5", folder);
    const char *const patterns[] = {glob, bracket, plain};
    ns_texts files = {0};
    CHECK_OK(ns_cohort_expand(&files, patterns, 3, "data.cohort"));
    assert_int_equal(files.n, 3); /* sorted, exp-a.h5 once, the folder not */
    char joined[800];
    snprintf(joined, sizeof joined, "%s%s/exp-a.h5%s/exp-b.h5", bracket, folder, folder);
    assert_int_equal(files.offset[3], strlen(joined));
    assert_memory_equal(files.bytes, joined, strlen(joined));
    ns_texts_destroy(&files);
    const char *const bad[] = {absent, none, folder, sub};
    CHECK_FAILS(ns_cohort_expand(&files, &bad[0], 1, "job.yaml:3: data.cohort"), NS_EFORMAT,
                "job.yaml:3: data.cohort: '");
    CHECK_FAILS(ns_cohort_expand(&files, &bad[0], 1, "data.cohort"), NS_EFORMAT, "exp-c.h5': no such file");
    CHECK_FAILS(ns_cohort_expand(&files, &bad[1], 1, "data.cohort"), NS_EFORMAT, "matches no file");
    CHECK_FAILS(ns_cohort_expand(&files, &bad[2], 1, "data.cohort"), NS_EFORMAT, "is a folder");
    CHECK_FAILS(ns_cohort_expand(&files, &bad[3], 1, "data.cohort"), NS_EFORMAT, "matches no file");
    ns_texts_destroy(&files);
}

/* ---- numbers ---- */

enum { N = 7 };
static const double VALUES[N] = {0, 1, 2, 100, 127, 5, 3};

/* The narrow float types that HDF5 converts in software. */
static hid_t half_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_precision(type, 16);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

static hid_t boolean_type(void)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    int8_t value = 0;
    H5Tenum_insert(type, "FALSE", &value);
    value = 1;
    H5Tenum_insert(type, "TRUE", &value);
    return type;
}

static void reads_every_number_type(void **state)
{
    (void)state;
    hid_t types[] = {H5T_STD_I8LE,   H5T_STD_U8LE,   H5T_STD_I16BE,  H5T_STD_U16LE,      H5T_STD_I32LE,
                     H5T_STD_U32BE,  H5T_STD_I64BE,  H5T_STD_U64LE,  H5T_STD_U64BE,      H5T_IEEE_F32LE,
                     H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE, H5T_NATIVE_LDOUBLE, half_type()};
    int32_t n_types = (int32_t)(sizeof types / sizeof *types);
    if (rank == 0) {
        hid_t file = start_file("types.h5", N);
        for (int32_t i = 0; i < n_types; i++) {
            char link[40];
            snprintf(link, sizeof link, "/columns/t%02d", i);
            put(file, link, i % 2 == 0 ? "number" : NULL, types[i], H5T_NATIVE_DOUBLE, N, VALUES);
        }
        hid_t boolean = boolean_type();
        int8_t truths[N] = {0, 1, 1, 0, 1, 0, 0};
        put(file, "/columns/truth", NULL, boolean, boolean, N, truths);
        H5Tclose(boolean);
        finish_file(file);
    }
    H5Tclose(types[n_types - 1]);
    ns_cohort *cohort = open_one("types.h5");
    assert_int_equal(ns_cohort_n_columns(cohort), n_types + 1);
    assert_int_equal(ns_cohort_n_rows(cohort), N);
    for (int32_t i = 0; i < n_types; i++) {
        float out[N];
        ns_hash128 hash[N];
        assert_int_equal(ns_cohort_column(cohort, i)->kind, NS_COL_NUMBER);
        CHECK_OK(ns_cohort_read_number(cohort, i, 0, N, out));
        CHECK_OK(ns_cohort_read_hash(cohort, i, 0, N, hash));
        for (int k = 0; k < N; k++) {
            assert_true((double)out[k] == VALUES[k]);
            ns_hash128 want = ns_hash128_of_int((int64_t)VALUES[k]);
            assert_true(hash[k].hi == want.hi && hash[k].lo == want.lo);
        }
        assert_int_equal(ns_cohort_inexact(cohort, i), 0);
    }
    float truths[3];
    int32_t truth = ns_cohort_find(cohort, "truth");
    CHECK_OK(ns_cohort_read_number(cohort, truth, 0, 3, truths));
    assert_true(truths[0] == 0.0f && truths[1] == 1.0f && truths[2] == 1.0f);
    CHECK_OK(ns_cohort_check_exact(cohort, MPI_COMM_WORLD));
    assert_int_equal(ns_cohort_find(cohort, "nothing"), -1);
    ns_cohort_close(&cohort);
    assert_null(cohort);
}

static void has_one_nan_and_one_zero(void **state)
{
    (void)state;
    uint32_t bits[4] = {0xffc00123u, 0x80000000u, 0x7f800000u, 0x3dcccccdu};
    if (rank == 0) {
        float floats[4];
        memcpy(floats, bits, sizeof bits);
        double doubles[4] = {-(double)NAN, -0.0, INFINITY, 0.1};
        hid_t file = start_file("bits.h5", 4);
        put(file, "/columns/f", NULL, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 4, floats);
        put(file, "/columns/g", NULL, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 4, doubles);
        finish_file(file);
    }
    ns_cohort *cohort = open_one("bits.h5");
    static const uint32_t want[4] = {0x7fc00000u, 0, 0x7f800000u, 0x3dcccccdu};
    for (int32_t column = 0; column < 2; column++) {
        uint32_t out[4];
        ns_hash128 hash[4];
        CHECK_OK(ns_cohort_read_number(cohort, column, 0, 4, (float *)(void *)out));
        assert_memory_equal(out, want, sizeof want);
        CHECK_OK(ns_cohort_read_hash(cohort, column, 0, 4, hash));
        ns_hash128 tenth = ns_hash128_of("0.100000001", 11), zero = ns_hash128_of("0", 1);
        assert_true(hash[0].hi == 0 && hash[0].lo == 0);
        assert_true(hash[1].hi == zero.hi && hash[1].lo == zero.lo);
        assert_true(hash[3].hi == tenth.hi && hash[3].lo == tenth.lo);
    }
    assert_int_equal(ns_cohort_inexact(cohort, 0), 0);
    assert_int_equal(ns_cohort_inexact(cohort, 1), 1);
    CHECK_OK(ns_cohort_check_exact(cohort, MPI_COMM_WORLD)); /* 0.1 is a measurement */
    ns_cohort_close(&cohort);
}

static void counts_what_float32_cannot_hold(void **state)
{
    (void)state;
    static const int64_t ids[4] = {16777216, 16777217, INT64_MAX, -9007199254740993};
    static const uint64_t big[4] = {UINT64_MAX, 16777217, (uint64_t)1 << 63, 0};
    static const double wide[4] = {1e300, 16777217, 1, 2}, mixed[4] = {16777217, 0.5, 1, 2};
    if (rank == 0) {
        hid_t file = start_file("inexact.h5", 4);
        put(file, "/columns/big", NULL, H5T_STD_U64LE, H5T_NATIVE_UINT64, 4, big);
        put(file, "/columns/ids", NULL, H5T_STD_I64LE, H5T_NATIVE_INT64, 4, ids);
        put(file, "/columns/mixed", NULL, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 4, mixed);
        put(file, "/columns/wide", NULL, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 4, wide);
        finish_file(file);
    }
    ns_cohort *cohort = open_one("inexact.h5");
    float out[4];
    ns_hash128 hash[4];
    static const int64_t want[4] = {2, 3, 1, 2};
    /* mixed: what decides may have been seen by different ranks */
    CHECK_OK(
        ns_cohort_read_number(cohort, 2, rank == 0 ? 0 : 1, rank == 0 ? (n_ranks == 1 ? 4 : 1) : 3, out));
    CHECK_OK(ns_cohort_check_exact(cohort, MPI_COMM_WORLD));
    assert_int_equal(ns_cohort_inexact(cohort, 2), rank == 0 ? 1 : 0);
    for (int32_t column = 0; column < 4; column++) {
        if (column == 2) continue;
        CHECK_OK(ns_cohort_read_number(cohort, column, 0, 4, out));
        assert_int_equal(ns_cohort_inexact(cohort, column), want[column]);
    }
    assert_true(isinf(out[0]));
    CHECK_FAILS(ns_cohort_check_exact(cohort, MPI_COMM_WORLD), NS_EFORMAT, "column 'big'");
    CHECK_OK(ns_cohort_read_hash(cohort, 1, 0, 4, hash)); /* as a group, no digit is lost */
    ns_hash128 wanted = ns_hash128_of_int(ids[3]);
    assert_true(hash[3].hi == wanted.hi && hash[3].lo == wanted.lo);
    ns_cohort_close(&cohort);
    cohort = open_one("inexact.h5");
    if (rank == n_ranks - 1) CHECK_OK(ns_cohort_read_number(cohort, 3, 1, 1, out));
    CHECK_FAILS(ns_cohort_check_exact(cohort, MPI_COMM_WORLD), NS_EFORMAT, "give it the kind id or category");
    ns_cohort_close(&cohort);
}

/* ---- categories ---- */

static const char TEXTS[6][8] = {"b", "", "a", "\xc3\xa9", "a", "c"};

/* Six cells, the third file has none; each file keeps its levels in a way and an order of its own. */
static void write_levels_zoo(void)
{
    hid_t file = start_file("lev-1.h5", 6);
    static const int8_t first[6] = {2, -1, 0, 3, 0, 1};
    static const char levels[4][8] = {"a", "c", "b", "\xc3\xa9"};
    put(file, "/columns/c", "category", H5T_STD_I8LE, H5T_NATIVE_INT8, 6, first);
    put_fixed(file, "/levels/c", NULL, H5T_STR_NULLPAD, 4, levels);
    finish_file(file);

    file = start_file("lev-2.h5", 6);
    static const int64_t second[6] = {1, 0, 3, 2, 3, 4};
    static const char *const variable[5] = {"", "b", "\xc3\xa9", "a", "c"};
    put(file, "/columns/c", "category", H5T_STD_I64BE, H5T_NATIVE_INT64, 6, second);
    hid_t set = H5Dopen2(file, "/columns/c", H5P_DEFAULT),
          type = string_type(H5T_VARIABLE, H5T_STR_NULLTERM, H5T_CSET_UTF8);
    hsize_t n = 5;
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t attribute = H5Acreate2(set, "levels", type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, variable) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
    finish_file(file);

    file = start_file("lev-3.h5", 0); /* says nothing about types */
    put(file, "/columns/c", NULL, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 0, NULL);
    finish_file(file);

    static const H5T_str_t paddings[3] = {H5T_STR_NULLPAD, H5T_STR_NULLTERM, H5T_STR_SPACEPAD};
    for (int i = 0; i < 3; i++) {
        char name[40], cells[6][8];
        snprintf(name, sizeof name, "lev-%d.h5", 4 + i);
        memcpy(cells, TEXTS, sizeof cells);
        for (int k = 0; k < 6 && paddings[i] == H5T_STR_SPACEPAD; k++)
            for (size_t c = strlen(TEXTS[k]); c < 8; c++) cells[k][c] = ' ';
        file = start_file(name, 6);
        put_fixed(file, "/columns/c", NULL, paddings[i], 6, (const char(*)[8])cells);
        finish_file(file);
    }
    file = start_file("lev-7.h5", 6);
    const char *pointers[6];
    for (int k = 0; k < 6; k++) pointers[k] = TEXTS[k];
    put_variable(file, "/columns/c", "category", 6, pointers);
    finish_file(file);
}

static void joins_levels_by_text(void **state)
{
    (void)state;
    if (rank == 0) write_levels_zoo();
    written();
    static const char *const names[7] = {"lev-1.h5", "lev-2.h5", "lev-3.h5", "lev-4.h5",
                                         "lev-5.h5", "lev-6.h5", "lev-7.h5"};
    ns_cohort *cohort;
    CHECK_OK(open_named(&cohort, 7, names, NS_LAYOUT_COLUMNS));
    assert_int_equal(ns_cohort_n_rows(cohort), 36);
    assert_int_equal(ns_cohort_n_files(cohort), 7);
    int64_t first, rows, bytes;
    assert_non_null(strstr(ns_cohort_file(cohort, 3, &first, &rows, &bytes), "lev-4.h5"));
    assert_true(first == 12 && rows == 6 && bytes > 0);
    const ns_column *column = ns_cohort_column(cohort, 0);
    assert_int_equal(column->kind, NS_COL_CATEGORY);
    assert_null(column->levels);
    int32_t codes[36];
    CHECK_FAILS(ns_cohort_read_codes(cohort, 0, 0, 36, codes), NS_EINVAL, "not prepared");
    prepare_all(cohort);
    prepare_all(cohort);                    /* again: nothing to do */
    assert_int_equal(column->levels->n, 4); /* a b c é: by bytes, the empty text is none */
    assert_memory_equal(column->levels->bytes, "abc\xc3\xa9", 5);
    CHECK_OK(ns_cohort_read_codes(cohort, 0, 0, 36, codes));
    ns_hash128 hash[36];
    CHECK_OK(ns_cohort_read_hash(cohort, 0, 0, 36, hash));
    static const int32_t want[6] = {1, -1, 0, 3, 0, 2};
    for (int i = 0; i < 36; i++) {
        const char *text = TEXTS[i % 6];
        ns_hash128 wanted = {0, 0};
        if (text[0] != '\0') wanted = ns_hash128_of(text, strlen(text));
        assert_int_equal(codes[i], want[i % 6]);
        assert_true(hash[i].hi == wanted.hi && hash[i].lo == wanted.lo);
    }
    ns_cohort_close(&cohort);
}

static void takes_whole_numbers_for_levels(void **state)
{
    (void)state;
    static const int16_t codes[5] = {11, -1, 9, 11, -3};
    static const int8_t truths[5] = {1, 0, 1, 1, 0};
    if (rank == 0) {
        hid_t file = start_file("bare.h5", 5), boolean = boolean_type();
        put(file, "/columns/c", "category", H5T_STD_I16LE, H5T_NATIVE_INT16, 5, codes);
        put(file, "/columns/t", "category", boolean, boolean, 5, truths);
        H5Tclose(boolean);
        finish_file(file);
    }
    ns_cohort *cohort = open_one("bare.h5");
    prepare_all(cohort);
    assert_int_equal(ns_cohort_column(cohort, 0)->levels->n, 3);
    assert_memory_equal(ns_cohort_column(cohort, 0)->levels->bytes, "-3119", 5);
    assert_memory_equal(ns_cohort_column(cohort, 1)->levels->bytes, "01", 2);
    int32_t out[5], flags[5];
    CHECK_OK(ns_cohort_read_codes(cohort, 0, 0, 5, out));
    CHECK_OK(ns_cohort_read_codes(cohort, 1, 0, 5, flags));
    static const int32_t want[5] = {1, -1, 2, 1, 0}, want_flags[5] = {1, 0, 1, 1, 0};
    assert_memory_equal(out, want, sizeof want);
    assert_memory_equal(flags, want_flags, sizeof want_flags);
    ns_cohort_close(&cohort);
}

/* ---- times and ids ---- */

static void reads_times_and_ids(void **state)
{
    (void)state;
    static const int64_t times[4] = {0, -5, INT64_MIN, 1700000000};
    static const double seconds[4] = {1.5, -1.5, NAN, 7}, far[4] = {0, 0, 0, 1e19};
    static const int64_t ids[4] = {7, -7, INT64_MIN, 123456789012345};
    static const uint64_t wide[4] = {1, 2, 3, UINT64_MAX};
    static const char *const texts[4] = {"p1", "", "pp", "\xc3\xa9"};
    if (rank == 0) {
        hid_t file = start_file("ids.h5", 4);
        put(file, "/columns/far", "time", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 4, far);
        put(file, "/columns/i", "id", H5T_STD_I64LE, H5T_NATIVE_INT64, 4, ids);
        put(file, "/columns/s", "time", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 4, seconds);
        put(file, "/columns/t", "time", H5T_STD_I64BE, H5T_NATIVE_INT64, 4, times);
        put_variable(file, "/columns/u", "id", 4, texts);
        put(file, "/columns/w", "id", H5T_STD_U64LE, H5T_NATIVE_UINT64, 4, wide);
        hid_t set = H5Dopen2(file, "/columns/t", H5P_DEFAULT);
        put_variable_attribute(set, "unit", "s");
        CHECK_OK(ns_h5_write_text_attribute(set, "description", "when admitted", "ids.h5"));
        H5Dclose(set);
        finish_file(file);
    }
    ns_cohort *cohort = open_one("ids.h5");
    int64_t out[4];
    ns_hash128 hash[4];
    CHECK_OK(ns_cohort_read_time(cohort, 3, 0, 4, out));
    assert_memory_equal(out, times, sizeof times);
    assert_string_equal(ns_cohort_column(cohort, 3)->unit, "s");
    assert_string_equal(ns_cohort_column(cohort, 3)->description, "when admitted");
    assert_string_equal(ns_cohort_column(cohort, 1)->unit, "");
    static const int64_t whole[4] = {1, -2, NS_TIME_MISSING, 7};
    CHECK_OK(ns_cohort_read_time(cohort, 2, 0, 4, out));
    assert_memory_equal(out, whole, sizeof whole);
    assert_int_equal(ns_cohort_inexact(cohort, 2), 2);
    CHECK_OK(ns_cohort_read_hash(cohort, 3, 0, 4, hash));
    assert_true(hash[2].hi == 0 && hash[2].lo == 0 && hash[1].lo == ns_hash128_of("-5", 2).lo);
    CHECK_FAILS(ns_cohort_read_time(cohort, 0, 0, 4, out), NS_EFORMAT,
                "column 'far', row 3 (counting from 0)");

    assert_false(ns_cohort_column(cohort, 1)->is_text);
    CHECK_OK(ns_cohort_read_id_int(cohort, 1, 1, 3, out));
    assert_memory_equal(out, ids + 1, 3 * sizeof *ids);
    CHECK_OK(ns_cohort_read_hash(cohort, 1, 0, 4, hash));
    assert_true(hash[2].lo == 0 && hash[2].hi == 0 && hash[3].lo == ns_hash128_of_int(ids[3]).lo);
    CHECK_OK(ns_cohort_read_id_int(cohort, 5, 0, 3, out));
    CHECK_FAILS(ns_cohort_read_id_int(cohort, 5, 0, 4, out), NS_EFORMAT,
                "row 3 (counting from 0): an id above");
    CHECK_FAILS(ns_cohort_read_hash(cohort, 5, 0, 4, hash), NS_EFORMAT, "an id above the largest int64");

    assert_true(ns_cohort_column(cohort, 4)->is_text);
    ns_texts read = {0};
    CHECK_OK(ns_cohort_read_id_text(cohort, 4, 0, 2, &read));
    CHECK_OK(ns_cohort_read_id_text(cohort, 4, 2, 2, &read));
    assert_int_equal(read.n, 4);
    assert_memory_equal(read.bytes, "p1pp\xc3\xa9", 6);
    CHECK_OK(ns_cohort_read_hash(cohort, 4, 0, 4, hash));
    assert_true(hash[1].hi == 0 && hash[1].lo == 0 && hash[2].hi == ns_hash128_of("pp", 2).hi);
    ns_texts_destroy(&read);
    ns_cohort_close(&cohort);
}

/* ---- many rows, many files ---- */

enum { MANY = 200000, FILES = 150 };

static float many_value(int64_t row)
{
    return (float)((row * 7919) % 100003) / 8.0f;
}

static void write_many(void)
{
    static const int64_t cut[4] = {0, 70001, 70002, MANY};
    float *values = malloc(MANY * sizeof *values);
    int32_t *codes = malloc(MANY * sizeof *codes);
    for (int64_t i = 0; i < MANY; i++) {
        values[i] = many_value(i);
        codes[i] = (int32_t)(i % 1000);
    }
    for (int f = 0; f < 3; f++) {
        char name[20];
        snprintf(name, sizeof name, "many-%d.h5", f);
        hsize_t n = (hsize_t)(cut[f + 1] - cut[f]), chunk = f == 0 ? 1000 : f == 1 ? 1 : 99999;
        hid_t file = start_file(name, (int64_t)n), list = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(list, 1, &chunk);
        H5Pset_shuffle(list);
        H5Pset_deflate(list, 1);
        if (f == 2) H5Pset_fletcher32(list);
        put_with(list, file, "/columns/v", NULL, H5T_IEEE_F64LE, H5T_NATIVE_FLOAT, n, values + cut[f]);
        put_with(list, file, "/columns/c", "category", H5T_STD_I32LE, H5T_NATIVE_INT32, n, codes + cut[f]);
        H5Pclose(list);
        finish_file(file);
    }
    free(values);
    free(codes);
}

static void reads_any_range(void **state)
{
    (void)state;
    if (rank == 0) write_many();
    written();
    static const char *const names[3] = {"many-0.h5", "many-1.h5", "many-2.h5"};
    ns_cohort *cohort;
    CHECK_OK(open_named(&cohort, 3, names, NS_LAYOUT_COLUMNS));
    prepare_all(cohort);
    assert_int_equal(ns_cohort_column(cohort, 0)->levels->n, 1000);
    static const int64_t ranges[][2] = {{0, MANY},     {69999, 5},     {70001, 1},     {1, 0},
                                        {MANY - 1, 1}, {65535, 65538}, {12345, 150000}};
    float *values = malloc(MANY * sizeof *values);
    int32_t *codes = malloc(MANY * sizeof *codes);
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        int64_t first = ranges[r][0], n = ranges[r][1];
        CHECK_OK(ns_cohort_read_number(cohort, 1, first, n, values));
        CHECK_OK(ns_cohort_read_codes(cohort, 0, first, n, codes));
        for (int64_t i = 0; i < n; i++) {
            char text[20];
            int length = snprintf(text, sizeof text, "%" PRId64, (first + i) % 1000);
            assert_true(values[i] == many_value(first + i));
            if (i % 997 == 0)
                assert_int_equal(codes[i], ns_texts_find(ns_cohort_column(cohort, 0)->levels, text, length));
        }
    }
    free(values);
    free(codes);
    CHECK_OK(ns_cohort_unchanged(cohort, MPI_COMM_WORLD));
    ns_cohort_close(&cohort);
}

static void opens_more_files_than_it_keeps(void **state)
{
    (void)state;
    ns_texts files = {0};
    for (int f = 0; f < FILES; f++) {
        char name[20];
        snprintf(name, sizeof name, "f%03d.h5", f);
        if (rank == 0) {
            double cells[2] = {f, f + 0.5};
            hid_t file = start_file(name, 2);
            put(file, "/columns/a", NULL, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, cells);
            put(file, "/columns/b", NULL, H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, 2, cells);
            finish_file(file);
        }
        CHECK_OK(ns_texts_append(&files, in_folder(name), (int64_t)strlen(in_folder(name))));
    }
    written();
    ns_cohort *cohort;
    CHECK_OK(ns_cohort_open(&cohort, rank == 0 ? &files : NULL, NS_LAYOUT_COLUMNS, MPI_COMM_WORLD));
    for (int round = 0; round < 2; round++)
        for (int32_t column = 0; column < 2; column++) {
            float out[2 * FILES];
            CHECK_OK(ns_cohort_read_number(cohort, column, 0, 2 * FILES, out));
            for (int f = 0; f < FILES; f++)
                assert_true(out[2 * f] == (float)f && out[2 * f + 1] == (float)f + 0.5f);
        }
    ns_cohort_close(&cohort);
    ns_texts_destroy(&files);
}

static void reads_no_rows(void **state)
{
    (void)state;
    if (rank == 0) {
        hid_t file = start_file("none.h5", 0);
        put(file, "/columns/v", NULL, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 0, NULL);
        put_variable(file, "/columns/w", NULL, 0, NULL);
        finish_file(file);
    }
    ns_cohort *cohort = open_one("none.h5");
    prepare_all(cohort);
    assert_int_equal(ns_cohort_n_rows(cohort), 0);
    assert_int_equal(ns_cohort_column(cohort, 1)->levels->n, 0);
    CHECK_OK(ns_cohort_read_number(cohort, 0, 0, 0, NULL));
    CHECK_OK(ns_cohort_check_exact(cohort, MPI_COMM_WORLD));
    ns_cohort_close(&cohort);
}

static void decodes_names(void **state)
{
    (void)state;
    float one = 1;
    if (rank == 0) {
        hid_t file = start_file("names.h5", 1);
        static const char *const links[3] = {"/columns/a%2Fb", "/columns/a%1", "/columns/a-b"};
        for (int i = 0; i < 3; i++) put(file, links[i], NULL, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 1, &one);
        finish_file(file);
    }
    ns_cohort *cohort = open_one("names.h5");
    static const char *const want[3] = {"a%1", "a-b", "a/b"}; /* in the order of the decoded names */
    for (int32_t i = 0; i < 3; i++) {
        float out;
        assert_string_equal(ns_cohort_column(cohort, i)->name, want[i]);
        CHECK_OK(ns_cohort_read_number(cohort, i, 0, 1, &out));
    }
    ns_cohort_close(&cohort);
}

/* ---- matrix ---- */

enum { WIDTH = 12, HEIGHT = 500 };

static void write_matrix(const char *name, hid_t type, hsize_t rows, hsize_t width, double from)
{
    hid_t file = H5Fcreate(in_folder(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
          list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t dims[2] = {rows, width}, chunk[2] = {rows < 64 ? rows : 64, 5};
    H5Pset_chunk(list, 2, chunk);
    H5Pset_deflate(list, 1);
    double *cells = malloc(rows * width * sizeof *cells), *y = malloc(rows * sizeof *y);
    for (hsize_t i = 0; i < rows * width; i++) cells[i] = from + (double)i;
    for (hsize_t i = 0; i < rows; i++) y[i] = (double)(i % 2);
    hid_t space = H5Screate_simple(2, dims, NULL),
          set = H5Dcreate2(file, "x", type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(list);
    put(file, "y", NULL, H5T_STD_U8LE, H5T_NATIVE_DOUBLE, rows, y);
    finish_file(file);
    free(cells);
    free(y);
}

static void reads_a_matrix(void **state)
{
    (void)state;
    if (rank == 0) {
        write_matrix("m1.h5", H5T_IEEE_F64LE, HEIGHT, WIDTH, 0.25);
        write_matrix("m2.h5", H5T_STD_I64LE, HEIGHT, WIDTH, 16777210);
        write_matrix("m3.h5", H5T_IEEE_F64LE, 3, WIDTH - 2, 0);
    }
    written();
    static const char *const names[2] = {"m1.h5", "m2.h5"}, *const unequal[2] = {"m1.h5", "m3.h5"};
    ns_cohort *cohort;
    CHECK_OK(open_named(&cohort, 2, names, NS_LAYOUT_MATRIX));
    assert_int_equal(ns_cohort_n_columns(cohort), WIDTH + 1);
    assert_string_equal(ns_cohort_column(cohort, 2)->name, "x02");
    assert_string_equal(ns_cohort_column(cohort, WIDTH)->name, "y");
    static const int64_t ranges[3][2] = {{0, 2 * HEIGHT}, {HEIGHT - 3, 7}, {9, 0}};
    float out[2 * HEIGHT];
    for (int r = 0; r < 3; r++)
        for (int32_t column = WIDTH; column >= 0; column--) {
            int64_t first = ranges[r][0], n = ranges[r][1];
            CHECK_OK(ns_cohort_read_number(cohort, column, first, n, out));
            for (int64_t i = 0; i < n; i++) {
                int64_t row = (first + i) % HEIGHT;
                double cell = (first + i < HEIGHT ? 0.25 : 16777210) + (double)(row * WIDTH + column);
                assert_true(out[i] == (float)(column == WIDTH ? (double)(row % 2) : cell));
            }
        }
    assert_int_equal(ns_cohort_inexact(cohort, WIDTH), 0);
    assert_true(ns_cohort_inexact(cohort, 3) > 0);
    CHECK_OK(ns_cohort_check_exact(cohort, MPI_COMM_WORLD)); /* 0.25 was seen */
    ns_cohort_close(&cohort);
    static const char *const second[1] = {"m2.h5"};
    CHECK_OK(open_named(&cohort, 1, second, NS_LAYOUT_MATRIX));
    CHECK_OK(ns_cohort_read_number(cohort, 1, 0, HEIGHT, out));
    CHECK_FAILS(ns_cohort_check_exact(cohort, MPI_COMM_WORLD), NS_EFORMAT, "column 'x01'");
    ns_hash128 hash[2];
    CHECK_OK(ns_cohort_read_hash(cohort, 1, 0, 2, hash));
    assert_true(hash[0].lo == ns_hash128_of("16777211", 8).lo);
    ns_cohort_close(&cohort);
    CHECK_FAILS(open_named(&cohort, 2, unequal, NS_LAYOUT_MATRIX), NS_EFORMAT, "has 11 columns in /x and /y");
}

/* ---- files that cannot be opened ---- */

static const float THREE[3] = {1, 2, 3};

static void put_three(hid_t file, const char *link, const char *kind)
{
    put(file, link, kind, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, THREE);
}

static hid_t bare_file(const char *name)
{
    return H5Fcreate(in_folder(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
}

static void mark_group(hid_t file, const char *name, const char *attribute)
{
    hid_t group = H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute != NULL) CHECK_OK(ns_h5_write_text_attribute(group, attribute, "frame", name));
    H5Gclose(group);
}

static void write_plain(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_not_hdf5(const char *name)
{
    write_plain(name, "id,age\n1,70\n");
}

static void make_empty(const char *name)
{
    write_plain(name, "");
}

static void make_truncated(const char *name)
{
    hid_t file = start_file(name, 3);
    put_three(file, "/columns/v", NULL);
    finish_file(file);
    struct stat facts;
    assert_int_equal(stat(in_folder(name), &facts), 0);
    assert_int_equal(truncate(in_folder(name), facts.st_size - 100), 0);
}

static void make_pandas(const char *name)
{
    hid_t file = bare_file(name);
    mark_group(file, "df", "pandas_type");
    finish_file(file);
}

static void make_anndata(const char *name)
{
    hid_t file = bare_file(name);
    mark_group(file, "X", NULL);
    mark_group(file, "obs", NULL);
    mark_group(file, "var", NULL);
    finish_file(file);
}

static void make_matrix(const char *name)
{
    hid_t file = bare_file(name);
    put_three(file, "x", NULL);
    finish_file(file);
}

static void make_scores(const char *name)
{
    hid_t file = bare_file(name);
    CHECK_OK(ns_h5_write_int_attribute(file, "nightshift_scores", 1, name));
    finish_file(file);
}

static void make_unmarked(const char *name)
{
    hid_t file = bare_file(name);
    mark_group(file, "columns", NULL);
    finish_file(file);
}

static void make_unknown(const char *name)
{
    finish_file(bare_file(name));
}

static void make_newer(const char *name)
{
    hid_t file = bare_file(name);
    CHECK_OK(ns_h5_write_int_attribute(file, "nightshift_cohort", 2, name));
    finish_file(file);
}

static void make_text_version(const char *name)
{
    hid_t file = bare_file(name);
    CHECK_OK(ns_h5_write_text_attribute(file, "nightshift_cohort", "1", name));
    finish_file(file);
}

static void make_uncounted(const char *name)
{
    hid_t file = bare_file(name);
    CHECK_OK(ns_h5_write_int_attribute(file, "nightshift_cohort", 1, name));
    finish_file(file);
}

static void make_negative(const char *name)
{
    finish_file(start_file(name, -1));
}

static void make_no_columns(const char *name)
{
    finish_file(start_file(name, 0));
}

static void make_no_group(const char *name)
{
    hid_t file = bare_file(name);
    CHECK_OK(ns_h5_write_int_attribute(file, "nightshift_cohort", 1, name));
    CHECK_OK(ns_h5_write_int_attribute(file, "n_rows", 0, name));
    finish_file(file);
}

static void make_ragged(const char *name)
{
    hid_t file = start_file(name, 4);
    put_three(file, "/columns/v", NULL);
    finish_file(file);
}

static void make_unknown_kind(const char *name)
{
    hid_t file = start_file(name, 3);
    put_three(file, "/columns/v", "numeric");
    finish_file(file);
}

static void make_kind_not_text(const char *name)
{
    hid_t file = start_file(name, 3);
    put_three(file, "/columns/v", NULL);
    hid_t set = H5Dopen2(file, "/columns/v", H5P_DEFAULT);
    CHECK_OK(ns_h5_write_int_attribute(set, "kind", 1, name));
    H5Dclose(set);
    finish_file(file);
}

static void make_float_id(const char *name)
{
    hid_t file = start_file(name, 3);
    put_three(file, "/columns/v", "id");
    finish_file(file);
}

static void make_float_category(const char *name)
{
    hid_t file = start_file(name, 3);
    put_three(file, "/columns/v", "category");
    finish_file(file);
}

static void make_text_number(const char *name)
{
    static const char *const texts[3] = {"1", "2", "3"};
    hid_t file = start_file(name, 3);
    put_variable(file, "/columns/v", "number", 3, texts);
    finish_file(file);
}

static void make_text_time(const char *name)
{
    static const char *const texts[3] = {"1", "2", "3"};
    hid_t file = start_file(name, 3);
    put_variable(file, "/columns/v", "time", 3, texts);
    finish_file(file);
}

static void make_kindless_levels(const char *name)
{
    static const int32_t codes[3] = {0, 1, 0};
    static const char levels[2][8] = {"a", "b"};
    hid_t file = start_file(name, 3);
    put(file, "/columns/v", NULL, H5T_STD_I32LE, H5T_NATIVE_INT32, 3, codes);
    put_fixed(file, "/levels/v", NULL, H5T_STR_NULLPAD, 2, levels);
    finish_file(file);
}

static void make_group_column(const char *name)
{
    hid_t file = start_file(name, 3);
    mark_group(file, "columns/v", NULL);
    finish_file(file);
}

static void make_lost_link(const char *name)
{
    hid_t file = start_file(name, 3);
    assert_true(H5Lcreate_soft("/nowhere", file, "/columns/v", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    finish_file(file);
}

static void make_two_dimensions(const char *name)
{
    hid_t file = start_file(name, 3);
    hsize_t dims[2] = {3, 1};
    hid_t space = H5Screate_simple(2, dims, NULL);
    H5Dclose(H5Dcreate2(file, "/columns/v", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    finish_file(file);
}

static void make_compound(const char *name)
{
    hid_t file = start_file(name, 3), type = H5Tcreate(H5T_COMPOUND, 4);
    H5Tinsert(type, "a", 0, H5T_STD_I32LE);
    int32_t cells[3] = {0};
    put(file, "/columns/v", NULL, type, type, 3, cells);
    H5Tclose(type);
    finish_file(file);
}

static void make_enumeration(const char *name)
{
    hid_t file = start_file(name, 3), type = H5Tenum_create(H5T_STD_I8LE);
    int8_t value = 0, cells[3] = {0};
    H5Tenum_insert(type, "RED", &value);
    put(file, "/columns/v", NULL, type, type, 3, cells);
    H5Tclose(type);
    finish_file(file);
}

static void make_control_name(const char *name)
{
    hid_t file = start_file(name, 3);
    put_three(file, "/columns/v\nw", NULL);
    finish_file(file);
}

static void make_good(const char *name)
{
    hid_t file = start_file(name, 3);
    put_three(file, "/columns/v", NULL);
    finish_file(file);
}

static void make_flat_matrix(const char *name)
{
    make_matrix(name);
}

static void make_text_matrix(const char *name)
{
    static const char *const texts[3] = {"1", "2", "3"};
    hid_t file = bare_file(name);
    put_variable(file, "x", NULL, 3, texts);
    finish_file(file);
}

static void make_ragged_matrix(const char *name)
{
    hid_t file = bare_file(name);
    hsize_t dims[2] = {4, 2};
    hid_t space = H5Screate_simple(2, dims, NULL);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    put_three(file, "y", NULL);
    finish_file(file);
}

typedef struct fault {
    void (*make)(const char *name);
    ns_layout layout;
    const char *text;
} fault;

static const fault FAULTS[] = {
    {NULL, NS_LAYOUT_COLUMNS, "fault.h5: no such file"},
    {make_not_hdf5, NS_LAYOUT_COLUMNS, "fault.h5: is not an HDF5 file"},
    {make_empty, NS_LAYOUT_COLUMNS, "fault.h5: is empty"},
    {make_truncated, NS_LAYOUT_COLUMNS, "fault.h5: is a truncated or damaged HDF5 file: truncated file"},
    {make_pandas, NS_LAYOUT_COLUMNS, "it seems to be written by pandas to_hdf; pandas.read_hdf("},
    {make_anndata, NS_LAYOUT_COLUMNS, "it seems to be AnnData; "},
    {make_matrix, NS_LAYOUT_COLUMNS, "it seems to be a plain matrix; set data.layout: matrix"},
    {make_scores, NS_LAYOUT_COLUMNS, "it seems to be a score file of this program"},
    {make_unmarked, NS_LAYOUT_COLUMNS, "set the root attributes nightshift_cohort = 1"},
    {make_unknown, NS_LAYOUT_COLUMNS, "is not a cohort: no root attribute nightshift_cohort"},
    {make_newer, NS_LAYOUT_COLUMNS,
     "is a cohort of a newer format: nightshift_cohort = 2, this program reads 1"},
    {make_text_version, NS_LAYOUT_COLUMNS, "attribute 'nightshift_cohort' is not one whole number"},
    {make_uncounted, NS_LAYOUT_COLUMNS, "has no root attribute n_rows"},
    {make_negative, NS_LAYOUT_COLUMNS, "n_rows = -1, must be at least 0"},
    {make_no_columns, NS_LAYOUT_COLUMNS, "has no columns: /columns is empty"},
    {make_no_group, NS_LAYOUT_COLUMNS, "has no group /columns"},
    {make_ragged, NS_LAYOUT_COLUMNS, "column 'v' has 3 rows, attribute n_rows says 4"},
    {make_unknown_kind, NS_LAYOUT_COLUMNS, "column 'v': attribute kind must be number, category, id or time"},
    {make_kind_not_text, NS_LAYOUT_COLUMNS, "attribute 'kind' is not one text"},
    {make_float_id, NS_LAYOUT_COLUMNS,
     "column 'v' is of kind id but holds floats; it must hold integers or strings"},
    {make_float_category, NS_LAYOUT_COLUMNS,
     "is of kind category but holds floats; it must hold integer codes or strings"},
    {make_text_number, NS_LAYOUT_COLUMNS, "is of kind number but holds strings"},
    {make_text_time, NS_LAYOUT_COLUMNS, "is of kind time but holds strings"},
    {make_kindless_levels, NS_LAYOUT_COLUMNS, "column 'v' has levels but no attribute kind"},
    {make_group_column, NS_LAYOUT_COLUMNS, "'v' in /columns is not a data set"},
    {make_lost_link, NS_LAYOUT_COLUMNS, "fault.h5: cannot open column 'v' (its link leads nowhere"},
    {make_two_dimensions, NS_LAYOUT_COLUMNS, "column 'v' has 2 dimensions, must have one"},
    {make_compound, NS_LAYOUT_COLUMNS, "column 'v' holds compound values"},
    {make_enumeration, NS_LAYOUT_COLUMNS, "an enumeration that is not FALSE = 0, TRUE = 1"},
    {make_control_name, NS_LAYOUT_COLUMNS, "the name of column 1 in /columns has"},
    {make_good, NS_LAYOUT_MATRIX, "has no data set /x; it is a cohort of columns"},
    {make_unknown, NS_LAYOUT_MATRIX, "has no data set /x, which"},
    {make_flat_matrix, NS_LAYOUT_MATRIX, "/x has 1 dimensions, must have two"},
    {make_text_matrix, NS_LAYOUT_MATRIX, "/x holds strings, must hold numbers"},
    {make_ragged_matrix, NS_LAYOUT_MATRIX, "/y has 3 rows, /x has 4"},
};

static void names_the_fault_of_a_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
        const char *name = "fault.h5";
        ns_cohort *cohort = (ns_cohort *)(void *)&name; /* must become NULL */
        if (rank == 0) {
            unlink(in_folder(name));
            if (FAULTS[i].make != NULL) FAULTS[i].make(name);
        }
        written();
        CHECK_FAILS(open_named(&cohort, 1, &name, FAULTS[i].layout), NS_EFORMAT, FAULTS[i].text);
        assert_null(cohort);
    }
    const char *none = NULL;
    ns_cohort *cohort;
    CHECK_FAILS(open_named(&cohort, 0, &none, NS_LAYOUT_COLUMNS), NS_EFORMAT, "at least one file");
}

/* Files that are right, each by itself, but not one table. */
static void names_files_that_differ(void **state)
{
    (void)state;
    static const char *const texts[3] = {"1", "2", "3"};
    static const int32_t ids[3] = {1, 2, 3};
    if (rank == 0) {
        hid_t file = start_file("dif-1.h5", 3);
        put_three(file, "/columns/a", NULL);
        put_three(file, "/columns/b", NULL);
        put(file, "/columns/i", "id", H5T_STD_I32LE, H5T_NATIVE_INT32, 3, ids);
        finish_file(file);
        for (int i = 2; i < 6; i++) {
            char name[20];
            snprintf(name, sizeof name, "dif-%d.h5", i);
            file = start_file(name, 3);
            put_three(file, "/columns/a", NULL);
            if (i == 3) put_three(file, "/columns/aa", NULL);
            if (i == 4)
                put_variable(file, "/columns/b", NULL, 3, texts);
            else if (i != 2)
                put_three(file, "/columns/b", NULL);
            if (i == 5)
                put_variable(file, "/columns/i", "id", 3, texts);
            else
                put(file, "/columns/i", "id", H5T_STD_I32LE, H5T_NATIVE_INT32, 3, ids);
            finish_file(file);
        }
    }
    written();
    static const char *const want[] = {
        "dif-2.h5: has no column 'b', which ", "dif-1.h5: has no column 'aa', which ",
        "dif-4.h5: column 'b' is of kind category, in ", "dif-5.h5: column 'i' holds strings, in "};
    for (int i = 2; i < 6; i++) {
        char second[20];
        snprintf(second, sizeof second, "dif-%d.h5", i);
        const char *names[2] = {"dif-1.h5", second};
        ns_cohort *cohort;
        CHECK_FAILS(open_named(&cohort, 2, names, NS_LAYOUT_COLUMNS), NS_EFORMAT, want[i - 2]);
    }
}

/* ---- cells that cannot be read ---- */

static ns_status prepare_one(ns_cohort *cohort, const char *name)
{
    int32_t column = ns_cohort_find(cohort, name);
    return ns_cohort_prepare(cohort, &column, 1, MPI_COMM_WORLD);
}

static void names_bad_levels(void **state)
{
    (void)state;
    static const int32_t codes[3] = {0, -1, 1}, high[3] = {0, 1, 2}, low[3] = {0, -2, 1};
    static const uint64_t wide[3] = {0, UINT64_MAX, 1};
    static const char twice[3][8] = {"a", "b", "a"}, levels[2][8] = {"a", "b"};
    if (rank == 0) {
        hid_t file = start_file("badlev.h5", 3);
        put(file, "/columns/high", "category", H5T_STD_I32LE, H5T_NATIVE_INT32, 3, high);
        put(file, "/columns/low", "category", H5T_STD_I32LE, H5T_NATIVE_INT32, 3, low);
        put(file, "/columns/numbers", "category", H5T_STD_I32LE, H5T_NATIVE_INT32, 3, codes);
        put(file, "/columns/twice", "category", H5T_STD_I32LE, H5T_NATIVE_INT32, 3, codes);
        put(file, "/columns/wide", "category", H5T_STD_U64LE, H5T_NATIVE_UINT64, 3, wide);
        put_fixed(file, "/levels/high", NULL, H5T_STR_NULLPAD, 2, levels);
        put_fixed(file, "/levels/low", NULL, H5T_STR_NULLPAD, 2, levels);
        put_fixed(file, "/levels/wide", NULL, H5T_STR_NULLPAD, 2, levels);
        put_fixed(file, "/levels/twice", NULL, H5T_STR_NULLPAD, 3, twice);
        put_three(file, "/levels/numbers", NULL);
        finish_file(file);
    }
    ns_cohort *cohort = open_one("badlev.h5");
    int32_t out[3];
    CHECK_FAILS(prepare_one(cohort, "twice"), NS_EFORMAT,
                "column 'twice' has a level twice: entries 0 and 2");
    CHECK_FAILS(prepare_one(cohort, "numbers"), NS_EFORMAT,
                "the levels of column 'numbers' must be a one-dimensional list");
    CHECK_OK(prepare_one(cohort, "high"));
    CHECK_OK(prepare_one(cohort, "low"));
    CHECK_OK(prepare_one(cohort, "wide"));
    CHECK_FAILS(ns_cohort_read_codes(cohort, 0, 0, 3, out), NS_EFORMAT,
                "column 'high', row 2 (counting from 0): a code without");
    CHECK_FAILS(ns_cohort_read_codes(cohort, 1, 0, 3, out), NS_EFORMAT,
                "column 'low', row 1 (counting from 0): a code without");
    CHECK_FAILS(ns_cohort_read_codes(cohort, 4, 0, 3, out), NS_EFORMAT,
                "column 'wide', row 1 (counting from 0): a code without");
    ns_cohort_close(&cohort);
}

/* A filter that is there only while the file is written. */
static size_t copy_through(unsigned flags, size_t n, const unsigned values[], size_t bytes, size_t *room,
                           void **buffer)
{
    (void)flags;
    (void)n;
    (void)values;
    (void)room;
    (void)buffer;
    return bytes;
}

static void names_a_missing_filter(void **state)
{
    (void)state;
    static const char cells[3][8] = {"a", "b", "a"};
    if (rank == 0) {
        static const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 32000, 1,    1,
                                            "made up",        NULL,  NULL, copy_through};
        assert_true(H5Zregister(&filter) >= 0);
        hid_t file = start_file("filter.h5", 3), list = H5Pcreate(H5P_DATASET_CREATE), type;
        hsize_t chunk = 3;
        H5Pset_chunk(list, 1, &chunk);
        H5Pset_filter(list, 32000, H5Z_FLAG_MANDATORY, 0, NULL);
        put_with(list, file, "/columns/v", NULL, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, THREE);
        type = string_type(8, H5T_STR_NULLPAD, H5T_CSET_UTF8);
        put_with(list, file, "/columns/w", NULL, type, type, 3, cells);
        H5Tclose(type);
        H5Pclose(list);
        finish_file(file);
        assert_true(H5Zunregister(32000) >= 0);
    }
    ns_cohort *cohort = open_one("filter.h5");
    float out[3];
    CHECK_FAILS(ns_cohort_read_number(cohort, 0, 0, 3, out), NS_EFORMAT,
                "column 'v' is compressed with a filter that this HDF5 lacks: lzf (32000)");
    CHECK_FAILS(ns_cohort_read_number(cohort, 0, 0, 3, out), NS_EFORMAT, "h5repack -f GZIP=1 /");
    CHECK_FAILS(prepare_one(cohort, "w"), NS_EFORMAT,
                "column 'w' is compressed with a filter that this HDF5 lacks: lzf");
    ns_cohort_close(&cohort);
}

static int64_t find_bytes(const char *name, const void *bytes, size_t n)
{
    FILE *file = fopen(in_folder(name), "rb");
    static char whole[1 << 20];
    size_t size = fread(whole, 1, sizeof whole, file);
    fclose(file);
    for (size_t i = 0; i + n <= size; i++)
        if (memcmp(whole + i, bytes, n) == 0) return (int64_t)i;
    return -1;
}

static void finds_a_flipped_bit(void **state)
{
    (void)state;
    if (rank == 0) {
        float cells[1000];
        for (int i = 0; i < 1000; i++) cells[i] = (float)i;
        hid_t file = start_file("flip.h5", 1000), list = H5Pcreate(H5P_DATASET_CREATE);
        hsize_t chunk = 1000;
        H5Pset_chunk(list, 1, &chunk);
        H5Pset_fletcher32(list);
        put_with(list, file, "/columns/v", NULL, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 1000, cells);
        H5Pclose(list);
        finish_file(file);
        int64_t at = find_bytes("flip.h5", cells + 500, 40);
        assert_true(at > 0);
        int fd = open(in_folder("flip.h5"), O_RDWR);
        unsigned char byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
    }
    ns_cohort *cohort = open_one("flip.h5");
    float out[1000];
    CHECK_FAILS(ns_cohort_read_number(cohort, 0, 0, 1000, out), NS_EFORMAT,
                "flip.h5: cannot read column 'v': ");
    ns_cohort_close(&cohort);
}

/* Whatever is cut off, the answer is a status. */
static void survives_any_truncation(void **state)
{
    (void)state;
    if (rank != 0) return;
    static const char *const texts[3] = {"a", "bb", "ccc"};
    hid_t file = start_file("cut.h5", 3);
    put_three(file, "/columns/v", NULL);
    put_variable(file, "/columns/w", NULL, 3, texts);
    finish_file(file);
    struct stat facts;
    assert_int_equal(stat(in_folder("cut.h5"), &facts), 0);
    char path[200];
    snprintf(path, sizeof path, "%s", in_folder("cut.h5"));
    for (off_t size = facts.st_size - 1; size >= 0; size -= 37) {
        ns_texts files = {0};
        ns_cohort *cohort;
        CHECK_OK(ns_texts_append(&files, path, (int64_t)strlen(path)));
        assert_int_equal(truncate(path, size), 0);
        CHECK_FAILS(ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF), NS_EFORMAT,
                    "cut.h5: ");
        ns_texts_destroy(&files);
    }
}

/* ---- change ---- */

static ns_cohort *open_changing(void)
{
    if (rank == 0) make_good("change.h5");
    return open_one("change.h5");
}

static void notices_change(void **state)
{
    (void)state;
    float out[3];
    static const struct timespec past[2] = {{.tv_sec = 1, .tv_nsec = 1}, {.tv_sec = 1, .tv_nsec = 1}};
    for (int way = 0; way < 4; way++) {
        ns_cohort *cohort = open_changing();
        CHECK_OK(ns_cohort_read_number(cohort, 0, 0, 3, out));
        CHECK_OK(ns_cohort_unchanged(cohort, MPI_COMM_WORLD));
        written();
        if (rank == 0) {
            if (way == 0) assert_int_equal(utimensat(AT_FDCWD, in_folder("change.h5"), past, 0), 0);
            if (way == 1) assert_int_equal(truncate(in_folder("change.h5"), 100), 0);
            if (way == 2) {
                make_good("other.h5");
                assert_int_equal(rename(in_folder("other.h5"), in_folder("change.h5")), 0);
            }
            if (way == 3) assert_int_equal(unlink(in_folder("change.h5")), 0);
        }
        written();
        static const char *const want[4] = {"it was written to", "its size changed", "it was replaced",
                                            "no such file"};
        CHECK_FAILS(ns_cohort_read_number(cohort, 0, 0, 3, out), NS_EFORMAT, want[way]);
        CHECK_FAILS(ns_cohort_unchanged(cohort, MPI_COMM_WORLD), NS_EFORMAT, want[way]);
        ns_cohort_close(&cohort);
        written();
    }
}

/* One rank alone sees the fault: all get its status and its words. */
static void one_rank_fails_for_all(void **state)
{
    (void)state;
    static const char *const texts[3] = {"a", "b", "c"};
    static const float cells[3] = {0};
    if (rank == 0) {
        hid_t file = start_file("last.h5", 3);
        put_variable(file, "/columns/w", NULL, 3, texts);
        put(file, "/columns/v", NULL, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, cells);
        finish_file(file);
    }
    ns_cohort *cohort = open_one("last.h5");
    float out[3];
    CHECK_OK(ns_cohort_read_number(cohort, 0, 0, 3, out)); /* every rank has the file open */
    written();
    if (rank == 0) assert_int_equal(truncate(in_folder("last.h5"), 200), 0);
    written();
    CHECK_FAILS(prepare_one(cohort, "w"), NS_EFORMAT, "last.h5: changed while it was read");
    ns_cohort_close(&cohort);
}

/* Handles of HDF5 keep files open: none is left, after failures too. */
static void leaves_nothing_open(void **state)
{
    (void)state;
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    snprintf(folder, sizeof folder, "/tmp/nightshift-cohort-XXXXXX");
    if (rank == 0 && mkdtemp(folder) == NULL) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(folder, (int)sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    ns_h5_quiet();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expands_patterns),
        cmocka_unit_test(reads_every_number_type),
        cmocka_unit_test(has_one_nan_and_one_zero),
        cmocka_unit_test(counts_what_float32_cannot_hold),
        cmocka_unit_test(joins_levels_by_text),
        cmocka_unit_test(takes_whole_numbers_for_levels),
        cmocka_unit_test(reads_times_and_ids),
        cmocka_unit_test(reads_any_range),
        cmocka_unit_test(opens_more_files_than_it_keeps),
        cmocka_unit_test(reads_no_rows),
        cmocka_unit_test(decodes_names),
        cmocka_unit_test(reads_a_matrix),
        cmocka_unit_test(names_the_fault_of_a_file),
        cmocka_unit_test(names_files_that_differ),
        cmocka_unit_test(names_bad_levels),
        cmocka_unit_test(names_a_missing_filter),
        cmocka_unit_test(finds_a_flipped_bit),
        cmocka_unit_test(survives_any_truncation),
        cmocka_unit_test(notices_change),
        cmocka_unit_test(one_rank_fails_for_all),
        cmocka_unit_test(leaves_nothing_open),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (rank == 0 && system(command) != 0) failed++;
    MPI_Finalize();
    return failed;
}
