#include "tests/e2e/cohorts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/cohort_writer.h"
#include "data/h5.h"
#include "tests/check.h"

const cohort_style cohort_plain = {.mark = NULL, .rows_per_patient = 2, .patients_per_level = 0};

/* ---- writing ---- */

typedef struct table {
    const cohort_style *style;
    int64_t first_row, n_rows;
    ns_cohort_writer *writer;
} table;

/* Numbers that look drawn: the same on every machine. */
static uint32_t mixed(int64_t row, uint32_t salt)
{
    uint32_t x = (uint32_t)row * 2654435761u + salt * 40503u + 12345u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    x *= 3266489917u;
    return x ^ x >> 16;
}

static int64_t patient(const table *t, int64_t row)
{
    return row / t->style->rows_per_patient;
}

static float age(int64_t row)
{
    return 18.0f + (float)(mixed(row, 1) % 70u);
}

static float lab(int64_t row)
{
    return mixed(row, 2) % 8u == 0 ? NAN : (float)(mixed(row, 3) % 1000u) / 8.0f;
}

static bool outcome(int64_t row)
{
    return mixed(row, 4) % 100u < 10u + (age(row) > 60 ? 25u : 0u);
}

static int64_t n_levels(const table *t, int64_t per_level, int64_t usual)
{
    if (t->style->patients_per_level == 0) return usual;
    return patient(t, t->first_row + t->n_rows - 1) / per_level + 1;
}

static int64_t level_of(const table *t, int64_t row, int64_t per_level, int64_t usual)
{
    return t->style->patients_per_level == 0 ? (int64_t)(mixed(patient(t, row), 5) % (uint32_t)usual)
                                             : patient(t, row) / per_level;
}

static void write_numbers(table *t, const char *name, float (*cell)(int64_t row))
{
    float *values = malloc((size_t)t->n_rows * sizeof *values);
    CHECK_OK(ns_cohort_writer_column(t->writer, name, NS_COL_NUMBER, false, NULL, NULL));
    for (int64_t i = 0; i < t->n_rows; i++) values[i] = cell(t->first_row + i);
    CHECK_OK(ns_cohort_writer_numbers(t->writer, values, t->n_rows));
    free(values);
}

static float outcome_number(int64_t row)
{
    return outcome(row) ? 1.0f : 0.0f;
}

static float weight(int64_t row)
{
    return 1.0f + (float)(mixed(row, 6) % 4u);
}

/* A category; names[i] of its levels, or mark, word and number where names is NULL. */
static void write_category(table *t, const char *name, const int32_t *codes, int64_t n, const char *word,
                           const char *const *names)
{
    ns_texts levels = {0};
    const char *mark =
        t->style->mark != NULL && (names == NULL || strcmp(name, "sex") == 0) ? t->style->mark : "";
    for (int64_t i = 0; i < n; i++) {
        char text[80];
        int length = names != NULL ? snprintf(text, sizeof text, "%s%s", mark, names[i])
                                   : snprintf(text, sizeof text, "%s%s%05lld", mark, word, (long long)i);
        CHECK_OK(ns_texts_append(&levels, text, length));
    }
    CHECK_OK(ns_cohort_writer_column(t->writer, name, NS_COL_CATEGORY, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_codes(t->writer, codes, t->n_rows));
    CHECK_OK(ns_cohort_writer_levels(t->writer, &levels));
    ns_texts_destroy(&levels);
}

static void write_categories(table *t)
{
    static const char *const sexes[] = {"F", "M"}, *const answers[] = {"no", "yes"},
                             *const parts[] = {"test", "train", "valid"};
    int32_t *codes = malloc((size_t)t->n_rows * sizeof *codes);
    int64_t per = t->style->patients_per_level, many = 30;
    for (int64_t i = 0; i < t->n_rows; i++) codes[i] = (int32_t)level_of(t, t->first_row + i, 2 * per, 2);
    write_category(t, "sex", codes, n_levels(t, 2 * per, 2), "S", per == 0 ? sexes : NULL);
    for (int64_t i = 0; i < t->n_rows; i++) codes[i] = (int32_t)level_of(t, t->first_row + i, per, many);
    write_category(t, "ward", codes, n_levels(t, per, many), "W", NULL);
    for (int64_t i = 0; i < t->n_rows; i++) codes[i] = outcome(t->first_row + i);
    write_category(t, "readmitted", codes, 2, "", answers);
    for (int64_t i = 0; i < t->n_rows; i++) {
        uint32_t draw = mixed(patient(t, t->first_row + i), 7) % 10u;
        codes[i] = draw < 7 ? 1 : draw < 8 ? 2 : 0;
    }
    write_category(t, "part", codes, 3, "", parts);
    free(codes);
}

static void write_texts(table *t)
{
    ns_texts patients = {0}, notes = {0};
    const char *mark = t->style->mark != NULL ? t->style->mark : "";
    int32_t *codes = malloc((size_t)t->n_rows * sizeof *codes);
    for (int64_t i = 0; i < t->n_rows; i++) {
        char text[80];
        int n = snprintf(text, sizeof text, "%sP%06lld", mark, (long long)patient(t, t->first_row + i));
        CHECK_OK(ns_texts_append(&patients, text, n));
        n = snprintf(text, sizeof text, "%snote %06lld", mark, (long long)(t->first_row + i));
        CHECK_OK(ns_texts_append(&notes, text, n));
        codes[i] = (int32_t)i;
    }
    CHECK_OK(ns_cohort_writer_column(t->writer, "patient_id", NS_COL_ID, true, NULL, NULL));
    CHECK_OK(ns_cohort_writer_id_texts(t->writer, &patients));
    CHECK_OK(ns_cohort_writer_column(t->writer, "note", NS_COL_CATEGORY, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_codes(t->writer, codes, t->n_rows));
    CHECK_OK(ns_cohort_writer_levels(t->writer, &notes));
    ns_texts_destroy(&patients);
    ns_texts_destroy(&notes);
    free(codes);
}

static void write_ids_and_times(table *t)
{
    int64_t *values = malloc((size_t)t->n_rows * sizeof *values);
    const char *mark = t->style->mark;
    if (mark == NULL) {
        for (int64_t i = 0; i < t->n_rows; i++) values[i] = 700001 + t->first_row + i;
        CHECK_OK(ns_cohort_writer_column(t->writer, "encounter_id", NS_COL_ID, false, NULL, NULL));
        CHECK_OK(ns_cohort_writer_id_ints(t->writer, values, t->n_rows));
    } else {
        ns_texts ids = {0};
        for (int64_t i = 0; i < t->n_rows; i++) {
            char text[80];
            int n = snprintf(text, sizeof text, "%sE%06lld", mark, (long long)(t->first_row + i));
            CHECK_OK(ns_texts_append(&ids, text, n));
        }
        CHECK_OK(ns_cohort_writer_column(t->writer, "encounter_id", NS_COL_ID, true, NULL, NULL));
        CHECK_OK(ns_cohort_writer_id_texts(t->writer, &ids));
        ns_texts_destroy(&ids);
    }
    for (int64_t i = 0; i < t->n_rows; i++) values[i] = 1700000000 + 3600 * (t->first_row + i);
    CHECK_OK(ns_cohort_writer_column(t->writer, "admitted_at", NS_COL_TIME, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_times(t->writer, values, t->n_rows));
    free(values);
}

void cohort_write(const char *path, const cohort_style *style, int64_t first_row, int64_t n_rows)
{
    table t = {.style = style, .first_row = first_row, .n_rows = n_rows};
    const ns_cohort_options options = {.chunk_rows = 1000, .deflate = 1};
    CHECK_OK(ns_cohort_writer_open(&t.writer, path, &options));
    write_ids_and_times(&t);
    write_texts(&t);
    write_numbers(&t, "age", age);
    write_numbers(&t, "lab", lab);
    write_numbers(&t, "outcome", outcome_number);
    write_numbers(&t, "weight", weight);
    write_categories(&t);
    CHECK_OK(ns_cohort_writer_finish(t.writer));
    ns_cohort_writer_close(&t.writer);
}

/* ---- spoiling ---- */

/* Stops the test where a call of HDF5 failed; gives its result back. */
static hid_t must(int64_t result, const char *what, const char *path)
{
    if (result < 0) fail_msg("cannot %s in '%s'", what, path);
    return (hid_t)result;
}

static hid_t open_file(const char *path)
{
    hid_t access = must(H5Pcreate(H5P_FILE_ACCESS), "prepare", path);
    must(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "prepare", path);
    must(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "prepare", path);
    hid_t file = must(H5Fopen(path, H5F_ACC_RDWR, access), "open the file", path);
    H5Pclose(access);
    return file;
}

static void close_file(hid_t file, const char *path)
{
    must(H5Fclose(file), "close the file", path);
}

static hid_t open_column(hid_t file, const char *column, const char *path)
{
    char link[128];
    snprintf(link, sizeof link, "/columns/%s", column);
    return must(H5Dopen2(file, link, H5P_DEFAULT), "open a column", path);
}

static void poke(const char *path, const char *column, int64_t row, hid_t type, void *value)
{
    hid_t file = open_file(path), set = open_column(file, column, path);
    must(ns_h5_write_rows(set, type, row, 1, value), "write a cell", path);
    close_file(file, path);
}

void cohort_poke_float(const char *path, const char *column, int64_t row, float value)
{
    poke(path, column, row, H5T_NATIVE_FLOAT, &value);
}

void cohort_poke_int(const char *path, const char *column, int64_t row, int64_t value)
{
    poke(path, column, row, H5T_NATIVE_INT64, &value);
}

void cohort_fill(const char *path, const char *column, float value)
{
    hid_t file = open_file(path), set = open_column(file, column, path);
    int64_t n = ns_h5_length(H5Dget_space(set));
    for (int64_t i = 0; i < n; i++)
        must(ns_h5_write_rows(set, H5T_NATIVE_FLOAT, i, 1, &value), "write a cell", path);
    close_file(file, path);
}

/* A fresh data set in the place of a column, left open. */
static hid_t replace(hid_t file, const char *column, const char *kind, hid_t type, int n_dims,
                     const hsize_t *dims, hid_t create)
{
    char link[128];
    snprintf(link, sizeof link, "/columns/%s", column);
    if (H5Lexists(file, link, H5P_DEFAULT) > 0)
        must(H5Ldelete(file, link, H5P_DEFAULT), "remove a column", link);
    hid_t space = must(H5Screate_simple(n_dims, dims, NULL), "make a space", link);
    hid_t set =
        must(H5Dcreate2(file, link, type, space, H5P_DEFAULT, create, H5P_DEFAULT), "create a column", link);
    if (kind != NULL) CHECK_OK(ns_h5_write_text_attribute(set, "kind", kind, link));
    H5Sclose(space);
    return set;
}

static void replace_all(const char *path, const char *column, const char *kind, int64_t n_rows, hid_t type,
                        const void *value, size_t size)
{
    char *cells = malloc((size_t)n_rows * size);
    for (int64_t i = 0; i < n_rows; i++) memcpy(cells + (size_t)i * size, value, size);
    hid_t file = open_file(path),
          set = replace(file, column, kind, type, 1, (hsize_t[]){(hsize_t)n_rows}, H5P_DEFAULT);
    must(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells), "write a column", path);
    close_file(file, path);
    free(cells);
}

void cohort_replace_float(const char *path, const char *column, const char *kind, int64_t n_rows, float value)
{
    replace_all(path, column, kind, n_rows, H5T_NATIVE_FLOAT, &value, sizeof value);
}

void cohort_replace_int(const char *path, const char *column, const char *kind, int64_t n_rows, int64_t value)
{
    replace_all(path, column, kind, n_rows, H5T_NATIVE_INT64, &value, sizeof value);
}

void cohort_replace_uint(const char *path, const char *column, const char *kind, int64_t n_rows,
                         uint64_t value)
{
    replace_all(path, column, kind, n_rows, H5T_NATIVE_UINT64, &value, sizeof value);
}

void cohort_replace_text(const char *path, const char *column, const char *kind, int64_t n_rows,
                         const char *value)
{
    hid_t type = must(ns_h5_text_type((int64_t)strlen(value)), "make a type", path);
    replace_all(path, column, kind, n_rows, type, value, strlen(value));
    H5Tclose(type);
}

void cohort_replace_texts(const char *path, const char *column, const char *kind, int64_t n_rows,
                          const char *value, int64_t rows_each)
{
    enum { WIDTH = 64 };
    ns_texts texts = {0};
    for (int64_t i = 0; i < n_rows; i++) {
        char text[WIDTH];
        int n = snprintf(text, sizeof text, "%s%06lld", value, (long long)(i / rows_each));
        CHECK_OK(ns_texts_append(&texts, text, n));
    }
    hid_t type = must(ns_h5_text_type(WIDTH), "make a type", path), file = open_file(path);
    hid_t set = replace(file, column, kind, type, 1, (hsize_t[]){(hsize_t)n_rows}, H5P_DEFAULT);
    CHECK_OK(ns_h5_write_texts(set, 0, &texts, 0, n_rows, path, column));
    close_file(file, path);
    H5Tclose(type);
    ns_texts_destroy(&texts);
}

void cohort_replace_wide(const char *path, const char *column, int64_t n_rows, int64_t n_columns)
{
    hid_t file = open_file(path);
    replace(file, column, "number", H5T_NATIVE_FLOAT, 2, (hsize_t[]){(hsize_t)n_rows, (hsize_t)n_columns},
            H5P_DEFAULT);
    close_file(file, path);
}

/* One chunk of ones through the filters of `create`. */
static void replace_chunked(const char *path, const char *column, int64_t n_rows, hid_t create)
{
    float *cells = malloc((size_t)n_rows * sizeof *cells);
    for (int64_t i = 0; i < n_rows; i++) cells[i] = 1;
    hsize_t dims[1] = {(hsize_t)n_rows};
    must(H5Pset_chunk(create, 1, dims), "set a chunk", path);
    hid_t file = open_file(path), set = replace(file, column, "number", H5T_NATIVE_FLOAT, 1, dims, create);
    must(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells), "write a column", path);
    close_file(file, path);
    free(cells);
}

void cohort_replace_checked(const char *path, const char *column, int64_t n_rows)
{
    hid_t create = must(ns_h5_plain_list(H5P_DATASET_CREATE), "prepare", path);
    must(H5Pset_fletcher32(create), "set a checksum", path);
    replace_chunked(path, column, n_rows, create);
    H5Pclose(create);
}

/* A filter that changes nothing. */
static size_t pass_through(unsigned flags, size_t n_values, const unsigned *values, size_t n_bytes,
                           size_t *room, void **buffer)
{
    (void)flags, (void)n_values, (void)values, (void)room, (void)buffer;
    return n_bytes;
}

void cohort_replace_filtered(const char *path, const char *column, int64_t n_rows, int filter)
{
    const H5Z_class2_t made_up = {.version = H5Z_CLASS_T_VERS,
                                  .id = filter,
                                  .encoder_present = 1,
                                  .decoder_present = 1,
                                  .name = "made up",
                                  .filter = pass_through};
    must(H5Zregister(&made_up), "register a filter", path);
    hid_t create = must(ns_h5_plain_list(H5P_DATASET_CREATE), "prepare", path);
    must(H5Pset_filter(create, filter, 0, 0, NULL), "set a filter", path);
    replace_chunked(path, column, n_rows, create);
    H5Pclose(create);
}

void cohort_drop(const char *path, const char *link)
{
    hid_t file = open_file(path);
    must(H5Ldelete(file, link, H5P_DEFAULT), "remove a link", path);
    close_file(file, path);
}

void cohort_set_levels(const char *path, const char *column, const char *a, const char *b)
{
    char link[128];
    snprintf(link, sizeof link, "/levels/%s", column);
    ns_texts texts = {0};
    CHECK_OK(ns_texts_append(&texts, a, (int64_t)strlen(a)));
    CHECK_OK(ns_texts_append(&texts, b, (int64_t)strlen(b)));
    size_t n = strlen(a) > strlen(b) ? strlen(a) : strlen(b);
    hid_t file = open_file(path);
    must(H5Ldelete(file, link, H5P_DEFAULT), "remove the levels", path);
    hid_t type = must(ns_h5_text_type((int64_t)n), "make a type", path),
          space = must(H5Screate_simple(1, (hsize_t[]){2}, NULL), "make a space", path);
    hid_t set = must(H5Dcreate2(file, link, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                     "create the levels", path);
    CHECK_OK(ns_h5_write_texts(set, 0, &texts, 0, 2, path, "the levels"));
    H5Sclose(space);
    H5Tclose(type);
    close_file(file, path);
    ns_texts_destroy(&texts);
}

void cohort_set_root(const char *path, const char *attribute, int64_t value)
{
    hid_t file = open_file(path);
    if (H5Aexists(file, attribute) > 0) must(H5Adelete(file, attribute), "remove an attribute", path);
    CHECK_OK(ns_h5_write_int_attribute(file, attribute, value, path));
    close_file(file, path);
}

void cohort_drop_root(const char *path, const char *attribute)
{
    hid_t file = open_file(path);
    must(H5Adelete(file, attribute), "remove an attribute", path);
    close_file(file, path);
}

void cohort_set_kind(const char *path, const char *column, const char *kind)
{
    hid_t file = open_file(path), set = open_column(file, column, path);
    must(H5Adelete(set, "kind"), "remove an attribute", path);
    CHECK_OK(ns_h5_write_text_attribute(set, "kind", kind, path));
    close_file(file, path);
}

void cohort_chunk(const char *path, const char *column, int64_t *offset, int64_t *n_bytes)
{
    hid_t file = open_file(path), set = open_column(file, column, path);
    hsize_t at[1], size;
    haddr_t address;
    unsigned mask;
    hid_t space = H5Dget_space(set);
    must(H5Dget_chunk_info(set, space, 0, at, &mask, &address, &size), "find a chunk", path);
    H5Sclose(space);
    *offset = (int64_t)address;
    *n_bytes = (int64_t)size;
    close_file(file, path);
}

/* ---- bytes ---- */

void file_flip(const char *path, int64_t offset)
{
    FILE *file = fopen(path, "r+b");
    if (file == NULL || fseek(file, (long)offset, SEEK_SET) != 0) fail_msg("cannot open '%s'", path);
    int byte = fgetc(file);
    if (byte == EOF || fseek(file, (long)offset, SEEK_SET) != 0)
        fail_msg("'%s' has no byte %lld", path, (long long)offset);
    fputc(byte ^ 0xff, file);
    if (fclose(file) != 0) fail_msg("cannot write '%s'", path);
}

int64_t file_size(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) fail_msg("'%s' is not there", path);
    return (int64_t)info.st_size;
}

void file_cut(const char *path, int64_t n_bytes)
{
    if (truncate(path, (off_t)n_bytes) != 0) fail_msg("cannot cut '%s'", path);
}

void file_copy(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    if (in == NULL || out == NULL) fail_msg("cannot copy '%s' to '%s'", from, to);
    char block[65536];
    for (size_t n = fread(block, 1, sizeof block, in); n > 0; n = fread(block, 1, sizeof block, in))
        fwrite(block, 1, n, out);
    fclose(in);
    if (fclose(out) != 0) fail_msg("cannot write '%s'", to);
}
