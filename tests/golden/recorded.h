#ifndef NIGHTSHIFT_TESTS_GOLDEN_RECORDED_H
#define NIGHTSHIFT_TESTS_GOLDEN_RECORDED_H
/*
 * Hashes that stand in recorded.txt, a line each: VERSION NAME HASH, from NS_NUMERICS_VERSION = VERSION on. Lines are only added.
 * test_golden checks the file as a whole, and that the version moves with its lines.
 */
#include <stdint.h>

/* Fails, saying what to do, unless hash is that of the last line with this name. */
void recorded_check(const char *name, const char *hash);

/* The same for NAME/i of n numbers, written as 16 hex digits; tells of all that differ. */
void recorded_check_all(const char *name, const uint64_t *hashes, int n);

/* Fails unless versions of a name ascend to NS_NUMERICS_VERSION at most, each with a hash other than the one before. The number of
 * lines of a version. */
int recorded_lines_of(int version);
#endif
