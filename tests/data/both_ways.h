#ifndef NIGHTSHIFT_TESTS_DATA_BOTH_WAYS_H
#define NIGHTSHIFT_TESTS_DATA_BOTH_WAYS_H
/* Reads every cell of a cohort past HDF5 and through H5Dread, and compares bytes. */
#include <stdbool.h>
#include <stdint.h>

/* What share of the bytes goes past HDF5. */
typedef enum expected_share { ALL_FAST, NONE_FAST, ANY_SHARE } expected_share;

/*
 * Every column of the file in every way that its kind allows, over many ranges of rows, one column at a time and all at once, on
 * 1 and 3 threads: the same bytes, counts of inexact cells and failures both ways. Fails the running test otherwise.
 */
void check_both_ways(const char *path, expected_share share);

/* The cohort's failure, which must be the same both ways, into message (1500 bytes). */
void check_same_failure(const char *path, char *message);
#endif
