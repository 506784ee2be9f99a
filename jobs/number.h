#ifndef NIGHTSHIFT_JOBS_NUMBER_H
#define NIGHTSHIFT_JOBS_NUMBER_H
/* Numbers as text, the same in every locale. All are local and cannot fail. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NS_NUMBER_ROOM = 32 };

/* The whole text as a decimal number: sign, digits with or without a point, exponent. False: it is not one
   (nan and inf are words, not numbers), or it is too large for a double. */
bool ns_number_read(const char *text, size_t n_bytes, double *out);

/* The whole text as a whole number: sign and digits. False: it is not one, or too large for an int64. */
bool ns_integer_read(const char *text, size_t n_bytes, int64_t *out);

/* The shortest text that reads back as this (finite) number; whole numbers below 2^53 without point and
 * exponent. */
void ns_number_write(char out[NS_NUMBER_ROOM], double value);
#endif
