#ifndef NIGHTSHIFT_TESTS_TABLE_TEXT_H
#define NIGHTSHIFT_TESTS_TABLE_TEXT_H
/* Tables as text, so that a test can say what it wants in a line. */
#include <stddef.h>
#include <stdint.h>

#include "data/cohort.h"
#include "data/import.h"

/* What the columns of a cohort hold, one line each in the order of the CSV: "age number: 41 - 0.5"; - is
 * missing. */
typedef struct table {
    char text[8192];
    size_t length;
} table;

void note(table *t, const char *text, int64_t n_bytes);

/* A cohort file, its columns prepared. */
ns_cohort *open_cohort(const char *path);

/* The table of a cohort file that was imported with this report. */
void read_table(table *t, const ns_import_report *report, const char *path);

void write_file(const char *path, const char *bytes, int64_t n_bytes);
#endif
