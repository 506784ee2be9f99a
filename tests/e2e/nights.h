#ifndef NIGHTSHIFT_TESTS_E2E_NIGHTS_H
#define NIGHTSHIFT_TESTS_E2E_NIGHTS_H
/*
 * A hospital's night for the tests: a job, a bundle to score with, and nights of a few hundred rows. Everything stands in
 * the current folder (drive_enter).
 */
#include <jansson.h>
#include <stdint.h>

#include "tests/e2e/drive.h"

/*
 * train.h5, job.yaml, runs/a/bundle and runs/b/bundle (another seed). The job's bundle is runs/a/bundle, its cohort
 * tonight/{as_of}.h5, its scores scores/{as_of}.h5, its run folder runs/night.
 */
void night_prepare(void);

/* tonight/DATE.h5 of some rows; n_duplicates rows share an id with another (1 % of rejects is too many). */
void night_extract(const char *date, int seed, int n_rows, int n_duplicates);

/* "2026-10-01" to "2026-10-30": day 0 to 29. */
enum { NIGHTS = 30 };
void night_date(char out[11], int day);

/* The hash of scores/DATE.h5; "absent". */
void night_hash(char hex[65], const char *date);

/* A JSON file; fails the test where it is none. Freed with json_decref. */
json_t *night_json(const char *path);

/* The record of a night in runs/night, and a file in it; NULL where there is none. Freed with json_decref. */
json_t *night_record(const char *date, const char *name);

/* Runs score with these words and requires the exit code and, for one that is not 0, one error line that says this. */
void night_score(int code, const char *says, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif
