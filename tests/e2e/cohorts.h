#ifndef NIGHTSHIFT_TESTS_E2E_COHORTS_H
#define NIGHTSHIFT_TESTS_E2E_COHORTS_H
/*
 * Small cohorts whose every cell a test knows, and ways to spoil a file of one. The columns:
 *   encounter_id id, whole numbers   patient_id id, texts    age, lab numbers     outcome number 0 or 1
 *   weight number above 0            sex, ward categories    readmitted category yes, no
 *   note category, a text of its own for every row           admitted_at time     part category train, valid,
 * test All of these stop the test with a message where they cannot do what they are for.
 */
#include <stdint.h>

typedef struct cohort_style {
    const char
        *mark; /* begins every text: ids of patients, levels; NULL: none. The label's yes and no stay bare */
    int64_t rows_per_patient;   /* of consecutive rows */
    int64_t patients_per_level; /* of ward; of sex twice as many */
} cohort_style;

/* Two rows a patient, sex F and M, 30 wards. */
extern const cohort_style cohort_plain;

/* Rows [first_row, first_row + n_rows) of the table of this style, in one file. */
void cohort_write(const char *path, const cohort_style *style, int64_t first_row, int64_t n_rows);

/* One cell of a column of floats, integers or codes. row counts within the file. */
void cohort_poke_float(const char *path, const char *column, int64_t row, float value);
void cohort_poke_int(const char *path, const char *column, int64_t row, int64_t value);
/* All cells of such a column. */
void cohort_fill(const char *path, const char *column, float value);

/* The column anew, uncompressed: n_rows cells that all hold value; kind NULL: without the attribute. */
void cohort_replace_float(const char *path, const char *column, const char *kind, int64_t n_rows,
                          float value);
void cohort_replace_int(const char *path, const char *column, const char *kind, int64_t n_rows,
                        int64_t value);
void cohort_replace_uint(const char *path, const char *column, const char *kind, int64_t n_rows,
                         uint64_t value);
void cohort_replace_text(const char *path, const char *column, const char *kind, int64_t n_rows,
                         const char *value);
/* The same with another text, value and a number, every rows_each rows. */
void cohort_replace_texts(const char *path, const char *column, const char *kind, int64_t n_rows,
                          const char *value, int64_t rows_each);
/* The float column anew with n_columns cells a row. */
void cohort_replace_wide(const char *path, const char *column, int64_t n_rows, int64_t n_columns);
/* The float column anew in one chunk with a checksum, or with a filter of this number that no HDF5 has; its
 * cells are 1. */
void cohort_replace_checked(const char *path, const char *column, int64_t n_rows);
void cohort_replace_filtered(const char *path, const char *column, int64_t n_rows, int filter);
void cohort_drop(const char *path, const char *link);
void cohort_set_levels(const char *path, const char *column, const char *a, const char *b);
void cohort_set_root(const char *path, const char *attribute, int64_t value);
void cohort_drop_root(const char *path, const char *attribute);
void cohort_set_kind(const char *path, const char *column, const char *kind);

/* Where the first chunk of a column lies in the file. */
void cohort_chunk(const char *path, const char *column, int64_t *offset, int64_t *n_bytes);

void file_flip(const char *path, int64_t offset); /* every bit of one byte */
int64_t file_size(const char *path);
void file_cut(const char *path, int64_t n_bytes);
void file_copy(const char *from, const char *to);
#endif
