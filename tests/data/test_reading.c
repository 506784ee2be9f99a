/*
 * The two ways of reading cells give the same bytes: a zoo of files, each written here with HDF5 itself. Rows are few, but
 * chunks are small, so that every file has whole, partial and missing ones.
 */
#include <mpi.h>
#include <unistd.h>

#include "data/h5.h"
#include "tests/check.h"
#include "tests/data/both_ways.h"

enum { N = 2503 };

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- writing ---- */

typedef enum file_kind { PLAIN, USER_BLOCK, LATEST } file_kind;

static hid_t start_file(const char *name, file_kind kind)
{
    hid_t create = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    if (kind == USER_BLOCK) H5Pset_userblock(create, 2048);
    if (kind == LATEST) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    hid_t file = H5Fcreate(in_folder(name), H5F_ACC_TRUNC, create, access);
    assert_true(file >= 0);
    H5Pclose(create);
    H5Pclose(access);
    CHECK_OK(ns_h5_write_int_attribute(file, "nightshift_cohort", 1, name));
    CHECK_OK(ns_h5_write_int_attribute(file, "n_rows", N, name));
    H5Gclose(H5Gcreate2(file, "columns", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    return file;
}

static hid_t create_set(hid_t file, const char *name, const char *kind, hid_t type, hid_t list, hsize_t most)
{
    char link[80];
    snprintf(link, sizeof link, "/columns/%s", name);
    hsize_t n = N;
    hid_t space = H5Screate_simple(1, &n, most > 0 ? &most : NULL);
    hid_t set = H5Dcreate2(file, link, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(set >= 0);
    if (kind != NULL) CHECK_OK(ns_h5_write_text_attribute(set, "kind", kind, link));
    H5Sclose(space);
    return set;
}

static void write_rows(hid_t set, hid_t memory, hsize_t first, hsize_t n, const void *cells)
{
    hid_t space = H5Dget_space(set), rows = H5Screate_simple(1, &n, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &first, NULL, &n, NULL);
    assert_true(H5Dwrite(set, memory, rows, space, H5P_DEFAULT, cells) >= 0);
    H5Sclose(rows);
    H5Sclose(space);
}

/* Small whole numbers, halves, extremes, NaN, infinities, zeros of both signs and subnormals. */
static double *make_values(bool whole)
{
    double *values = malloc(N * sizeof *values);
    const double odd[] = {-0.0, 0.0, 1e-41, -1e-42, 0.1, 65504, 1e30, 1.0 / 0.0, -1.0 / 0.0, 0.0 / 0.0, 16777217, 6e-8};
    for (int i = 0; i < N; i++) {
        values[i] = (double)((i * 7919) % 101);
        if (!whole && i % 3 == 0) values[i] += 0.5;
        if (!whole && i % 17 == 0) values[i] = odd[(i / 17) % 12];
    }
    return values;
}

static hid_t half_type(H5T_order_t order)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_precision(type, 16);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    H5Tset_order(type, order);
    return type;
}

/* Every type in one layout. Names tell the layout, the type, and so the column of a failure. */
static void put_types(hid_t file, const char *layout, hid_t list, hsize_t most)
{
    hid_t halves[2] = {half_type(H5T_ORDER_LE), half_type(H5T_ORDER_BE)};
    const hid_t wholes[] = {H5T_STD_I8LE,  H5T_STD_U8LE,  H5T_STD_I16LE, H5T_STD_I16BE, H5T_STD_U16LE, H5T_STD_U16BE, H5T_STD_I32LE,
                            H5T_STD_I32BE, H5T_STD_U32LE, H5T_STD_U32BE, H5T_STD_I64LE, H5T_STD_I64BE, H5T_STD_U64LE, H5T_STD_U64BE};
    const hid_t floats[] = {H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE, halves[0], halves[1]};
    double *whole = make_values(true), *any = make_values(false);
    char name[60];
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
        static const char *const kinds[] = {"number", "category", "id", "time"};
        snprintf(name, sizeof name, "%s-int%02zu", layout, i);
        hid_t set = create_set(file, name, kinds[i % 4], wholes[i], list, most);
        write_rows(set, H5T_NATIVE_DOUBLE, 0, N, whole);
        H5Dclose(set);
    }
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        snprintf(name, sizeof name, "%s-float%zu", layout, i);
        hid_t set = create_set(file, name, "number", floats[i], list, most);
        write_rows(set, H5T_NATIVE_DOUBLE, 0, N, any);
        H5Dclose(set);
    }
    H5Tclose(halves[0]);
    H5Tclose(halves[1]);
    free(whole);
    free(any);
}

/* Fixed-length strings with each padding, and booleans. */
static void put_texts(hid_t file, const char *layout, hid_t list, hsize_t most)
{
    static const H5T_str_t paddings[] = {H5T_STR_NULLTERM, H5T_STR_NULLPAD, H5T_STR_SPACEPAD};
    char name[60], (*cells)[5] = calloc(N, 5);
    for (int i = 0; i < N; i++) snprintf(cells[i], 5, "%.*s", i % 5, "abcd");
    for (int p = 0; p < 3; p++) {
        hid_t type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, 5);
        H5Tset_strpad(type, paddings[p]);
        snprintf(name, sizeof name, "%s-text%d", layout, p);
        hid_t set = create_set(file, name, p == 1 ? "category" : "id", type, list, most);
        write_rows(set, type, 0, N, cells);
        H5Dclose(set);
        H5Tclose(type);
    }
    free(cells);
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    int8_t value = 0, *truths = calloc(N, 1);
    H5Tenum_insert(type, "FALSE", &value);
    value = 1;
    H5Tenum_insert(type, "TRUE", &value);
    for (int i = 0; i < N; i++) truths[i] = i % 3 == 0;
    snprintf(name, sizeof name, "%s-truth", layout);
    hid_t set = create_set(file, name, NULL, type, list, most);
    write_rows(set, type, 0, N, truths);
    H5Dclose(set);
    H5Tclose(type);
    free(truths);
}

static void put_all(hid_t file, const char *layout, hid_t list, hsize_t most)
{
    put_types(file, layout, list, most);
    put_texts(file, layout, list, most);
    H5Pclose(list);
}

static hid_t chunked(hsize_t rows)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (rows > 0) H5Pset_chunk(list, 1, &rows);
    return list;
}

/* "sdf": shuffle, deflate, Fletcher-32, in the order of the letters. */
static hid_t filtered(hsize_t rows, const char *filters)
{
    hid_t list = chunked(rows);
    for (; *filters != '\0'; filters++) {
        if (*filters == 's') H5Pset_shuffle(list);
        if (*filters == 'd') H5Pset_deflate(list, 1);
        if (*filters == 'f') H5Pset_fletcher32(list);
    }
    return list;
}

static void put_layouts(hid_t file)
{
    put_all(file, "contiguous", chunked(0), 0);
    put_all(file, "raw", chunked(1000), 0);
    put_all(file, "sd", filtered(1000, "sd"), 0);
    put_all(file, "ds", filtered(999, "ds"), 0);
    put_all(file, "sdf", filtered(1024, "sdf"), 0);
    put_all(file, "fsd", filtered(1001, "fsd"), 0);
    put_all(file, "f", filtered(997, "f"), 0);
    put_all(file, "tiny", filtered(7, "sd"), 0);
    put_all(file, "one", filtered(N, "sd"), 0);
    put_all(file, "growing", filtered(3000, "sd"), H5S_UNLIMITED);
    put_all(file, "grown", filtered(800, "dsf"), H5S_UNLIMITED);
}

/* ---- cases ---- */

static void reads_types_and_layouts(void **state)
{
    (void)state;
    hid_t file = start_file("plain.h5", PLAIN);
    put_layouts(file);
    H5Fclose(file);
    check_both_ways(in_folder("plain.h5"), ALL_FAST);
}

static void reads_behind_a_user_block(void **state)
{
    (void)state;
    hid_t file = start_file("block.h5", USER_BLOCK);
    put_all(file, "contiguous", chunked(0), 0);
    put_all(file, "raw", chunked(1000), 0);
    put_all(file, "sd", filtered(1000, "sd"), 0);
    H5Fclose(file);
    check_both_ways(in_folder("block.h5"), ALL_FAST);
}

static void reads_newer_formats(void **state)
{
    (void)state;
    hid_t file = start_file("latest.h5", LATEST);
    put_layouts(file);
    hid_t early = chunked(1000);
    H5Pset_alloc_time(early, H5D_ALLOC_TIME_EARLY);
    put_all(file, "implicit", early, 0);
    H5Fclose(file);
    check_both_ways(in_folder("latest.h5"), ALL_FAST);
}

/* Chunks that were never written hold the fill value. */
static void reads_missing_chunks(void **state)
{
    (void)state;
    hid_t file = start_file("missing.h5", PLAIN);
    double *values = make_values(true);
    const float fill = 2.5f;
    const uint16_t code = 3;
    for (int i = 0; i < 4; i++) {
        char name[40];
        hid_t list = i % 2 == 0 ? filtered(500, "sd") : chunked(500);
        snprintf(name, sizeof name, "hole%d", i);
        if (i >= 2) H5Pset_fill_value(list, H5T_NATIVE_FLOAT, &fill);
        hid_t set = create_set(file, name, "number", i == 3 ? H5T_IEEE_F64BE : H5T_IEEE_F32LE, list, 0);
        write_rows(set, H5T_NATIVE_DOUBLE, 700, 900, values);
        write_rows(set, H5T_NATIVE_DOUBLE, N - 3, 2, values);
        H5Dclose(set);
        H5Pclose(list);
    }
    hid_t list = filtered(250, "sdf");
    H5Pset_fill_value(list, H5T_NATIVE_UINT16, &code);
    H5Dclose(create_set(file, "nothing", "category", H5T_STD_U16BE, list, 0));
    H5Pclose(list);
    H5Dclose(create_set(file, "unwritten", "number", H5T_IEEE_F32LE, H5P_DEFAULT, 0));
    H5Fclose(file);
    free(values);
    check_both_ways(in_folder("missing.h5"), ALL_FAST);
}

/* Cells of which HDF5 itself says that they are undefined are left to it. */
static void leaves_undefined_cells_to_hdf5(void **state)
{
    (void)state;
    hid_t file = start_file("undefined.h5", PLAIN), list = filtered(500, "sd");
    double *values = make_values(true);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
    hid_t set = create_set(file, "whole", "number", H5T_IEEE_F32LE, list, 0);
    write_rows(set, H5T_NATIVE_DOUBLE, 0, N, values);
    H5Dclose(set);
    H5Pclose(list);
    H5Fclose(file);
    free(values);
    check_both_ways(in_folder("undefined.h5"), ALL_FAST); /* but all are written here */
}

/* A chunk may say that a filter was not applied to it. */
static void reads_masked_chunks(void **state)
{
    (void)state;
    hid_t file = start_file("masked.h5", PLAIN), list = filtered(1000, "sd");
    float *cells = calloc(1000, sizeof *cells);
    for (int i = 0; i < 1000; i++) cells[i] = (float)i;
    hid_t set = create_set(file, "v", "number", H5T_IEEE_F32LE, list, 0);
    double *values = make_values(true);
    write_rows(set, H5T_NATIVE_DOUBLE, 0, N, values);
    for (hsize_t at = 1000; at < N; at += 2000) assert_true(H5Dwrite_chunk(set, H5P_DEFAULT, 3, &at, 4000, cells) >= 0);
    H5Dclose(set);
    H5Pclose(list);
    H5Fclose(file);
    free(values);
    free(cells);
    check_both_ways(in_folder("masked.h5"), ALL_FAST);
}

/* Rows that were cut off, and rows added after. */
static void reads_resized_sets(void **state)
{
    (void)state;
    hid_t file = start_file("resized.h5", PLAIN), list = filtered(700, "sd");
    double *values = make_values(true);
    hid_t set = create_set(file, "v", "number", H5T_IEEE_F32LE, list, H5S_UNLIMITED);
    hsize_t sizes[] = {1500, N};
    write_rows(set, H5T_NATIVE_DOUBLE, 0, N, values);
    for (int i = 0; i < 2; i++) assert_true(H5Dset_extent(set, &sizes[i]) >= 0);
    H5Dclose(set);
    H5Pclose(list);
    H5Fclose(file);
    free(values);
    check_both_ways(in_folder("resized.h5"), ALL_FAST);
}

static void reads_compact_sets(void **state)
{
    (void)state;
    for (int kind = PLAIN; kind <= LATEST; kind++) {
        hid_t file = start_file("compact.h5", (file_kind)kind), list = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_layout(list, H5D_COMPACT);
        put_all(file, "compact", list, 0);
        H5Fclose(file);
        check_both_ways(in_folder("compact.h5"), kind == LATEST ? ANY_SHARE : ALL_FAST);
    }
}

/* ---- what only HDF5 reads ---- */

static void write_slow(const char *name, hid_t type, hid_t list)
{
    hid_t file = start_file(name, PLAIN);
    double *values = make_values(true);
    hid_t set = create_set(file, "v", "number", type, list, 0);
    write_rows(set, H5T_NATIVE_DOUBLE, 0, N, values);
    H5Dclose(set);
    H5Fclose(file);
    free(values);
}

static void leaves_the_rest_to_hdf5(void **state)
{
    (void)state;
    hid_t list = chunked(1000);
    H5Pset_scaleoffset(list, H5Z_SO_INT, 8);
    write_slow("scale.h5", H5T_STD_I32LE, list);
    check_both_ways(in_folder("scale.h5"), NONE_FAST);
    H5Pclose(list);

    list = chunked(1000);
    H5Pset_nbit(list);
    hid_t narrow = H5Tcopy(H5T_STD_I32LE);
    H5Tset_precision(narrow, 17);
    H5Tset_offset(narrow, 4);
    write_slow("nbit.h5", narrow, list);
    check_both_ways(in_folder("nbit.h5"), NONE_FAST);
    H5Pclose(list);
    write_slow("narrow.h5", narrow, H5P_DEFAULT);
    check_both_ways(in_folder("narrow.h5"), NONE_FAST);
    H5Tclose(narrow);

    write_slow("wide.h5", H5T_NATIVE_LDOUBLE, H5P_DEFAULT);
    check_both_ways(in_folder("wide.h5"), NONE_FAST);

    list = H5Pcreate(H5P_DATASET_CREATE);
    char outside[200];
    snprintf(outside, sizeof outside, "%s", in_folder("outside.bin"));
    H5Pset_external(list, outside, 0, N * sizeof(float));
    write_slow("external.h5", H5T_IEEE_F32LE, list);
    check_both_ways(in_folder("external.h5"), NONE_FAST);
    H5Pclose(list);

    hsize_t n = N;
    hid_t all = H5Screate_simple(1, &n, NULL), virtual = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(virtual, all, in_folder("wide.h5"), "/columns/v", all);
    hid_t file = start_file("virtual.h5", PLAIN);
    H5Dclose(create_set(file, "v", "number", H5T_NATIVE_LDOUBLE, virtual, 0));
    H5Fclose(file);
    H5Pclose(virtual);
    H5Sclose(all);
    check_both_ways(in_folder("virtual.h5"), NONE_FAST);
}

static void leaves_variable_texts_to_hdf5(void **state)
{
    (void)state;
    hid_t file = start_file("variable.h5", PLAIN), type = H5Tcopy(H5T_C_S1), list = filtered(1000, "d");
    H5Tset_size(type, H5T_VARIABLE);
    const char **cells = malloc(N * sizeof *cells);
    for (int i = 0; i < N; i++) cells[i] = &"abcdef"[i % 7];
    hid_t set = create_set(file, "v", "id", type, list, 0);
    write_rows(set, type, 0, N, cells);
    H5Dclose(set);
    H5Pclose(list);
    H5Tclose(type);
    H5Fclose(file);
    free(cells);
    check_both_ways(in_folder("variable.h5"), NONE_FAST);
}

/* ---- damage ---- */

/* Turns one bit of the stored bytes of chunk `number` of column v. */
static void damage(const char *name, hsize_t number)
{
    hid_t file = H5Fopen(in_folder(name), H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "/columns/v", H5P_DEFAULT);
    hid_t space = H5Dget_space(set);
    hsize_t offset, n_bytes;
    unsigned mask;
    haddr_t address;
    assert_true(H5Dget_chunk_info(set, space, number, &offset, &mask, &address, &n_bytes) >= 0);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    FILE *raw = fopen(in_folder(name), "r+b");
    fseek(raw, (long)(address + n_bytes / 2), SEEK_SET);
    int byte = fgetc(raw);
    fseek(raw, -1, SEEK_CUR);
    fputc(byte ^ 0x10, raw);
    fclose(raw);
}

static void fails_alike_on_damage(void **state)
{
    (void)state;
    char message[1500];
    static const char *const filters[] = {"f", "sdf", "sd"};
    for (int i = 0; i < 3; i++) {
        hid_t list = filtered(1000, filters[i]);
        write_slow("damaged.h5", H5T_IEEE_F32LE, list);
        H5Pclose(list);
        damage("damaged.h5", 1);
        check_same_failure(in_folder("damaged.h5"), message);
        assert_non_null(strstr(message, "damaged.h5: cannot read column 'v'"));
    }
}

/* A bad value is named by its first row, whichever thread met another one first. */
static void names_the_first_bad_row(void **state)
{
    (void)state;
    hid_t file = start_file("codes.h5", PLAIN), list = filtered(100, "sd");
    int32_t *codes = calloc(N, sizeof *codes);
    for (int i = 1234; i < N; i += 3) codes[i] = 7;
    const char levels[2][2] = {"a", "b"};
    hsize_t n = 2;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &n, NULL);
    H5Tset_size(type, 2);
    H5Gclose(H5Gcreate2(file, "levels", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    hid_t set = H5Dcreate2(file, "/levels/c", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, levels);
    H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
    set = create_set(file, "c", "category", H5T_STD_I32LE, list, 0);
    write_rows(set, H5T_NATIVE_INT32, 0, N, codes);
    H5Dclose(set);
    H5Pclose(list);
    H5Fclose(file);
    free(codes);
    check_both_ways(in_folder("codes.h5"), ANY_SHARE); /* compares the failures too */
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    ns_h5_quiet();
    snprintf(folder, sizeof folder, "/tmp/nightshift-reading-XXXXXX");
    if (mkdtemp(folder) == NULL) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_types_and_layouts), cmocka_unit_test(reads_behind_a_user_block),
        cmocka_unit_test(reads_newer_formats), cmocka_unit_test(reads_missing_chunks),
        cmocka_unit_test(leaves_undefined_cells_to_hdf5), cmocka_unit_test(reads_masked_chunks),
        cmocka_unit_test(reads_resized_sets), cmocka_unit_test(reads_compact_sets),
        cmocka_unit_test(leaves_the_rest_to_hdf5), cmocka_unit_test(leaves_variable_texts_to_hdf5),
        cmocka_unit_test(fails_alike_on_damage), cmocka_unit_test(names_the_first_bad_row),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0) result = 1;
    MPI_Finalize();
    return result;
}
