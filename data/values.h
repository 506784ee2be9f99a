#ifndef NIGHTSHIFT_DATA_VALUES_H
#define NIGHTSHIFT_DATA_VALUES_H
/*
 * Values written as text in a CSV: numbers, whole ids and times. Every function is pure, takes exact bytes
 * (blanks around a value are part of it, so " 5" is not a number) and reads no locale.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef enum ns_value_problem {
    NS_VALUE_OK = 0,
    NS_VALUE_NOT_ONE,      /* not written as a value of the kind */
    NS_VALUE_OUT_OF_RANGE, /* number: beyond float32. time: no such day or hour, or not from 1800 to 2200 */
    NS_VALUE_FRACTION,     /* time: a fraction of a second other than zeros */
    NS_VALUE_NEVER,        /* time: its zone's clocks never show it; only from callers that know the zone */
    NS_VALUE_INEXACT       /* number: float32 does not hold it; only from callers that forbid it
                              (ns_number_text.fits) */
} ns_value_problem;

typedef struct ns_number_text {
    float value;       /* correctly rounded, -0 as +0 */
    bool leading_zero; /* "007", "-01.5": written as a code, not as a measurement */
    bool whole;        /* without exponent, and without a fraction other than zeros */
    /* Whether float32 holds what is written. whole: exactly. Else: at most 7 significant digits, or off by
       less than one unit: a mean such as 72.33333333333333 stays a number, 9876543210.5 does not. */
    bool fits;
} ns_number_text;

/*
 * [+-] digits [. digits] [e|E [+-] digits], with a digit before or after the point; at most 400 bytes.
 * Hexadecimal, inf, nan and digit grouping are not numbers.
 *   text  in  [n_bytes], not terminated
 */
ns_value_problem ns_value_number(const char *text, int64_t n_bytes, ns_number_text *out);

/* An int64 whose decimal text is this text: no plus, no leading zero, no "-0". The smallest int64 (which
   means missing) is none. */
bool ns_value_int64(const char *text, int64_t n_bytes, int64_t *out);

/*
 * ISO 8601: YYYY-MM-DD, then optionally T or one blank and HH:MM[:SS[.0…]], then optionally Z, +hh:mm, +hhmm
 * or +hh.
 *   seconds   out  since 1970 UTC; without a zone the text is taken as UTC
 *   has_zone  out  whether the text named one
 */
ns_value_problem ns_value_time(const char *text, int64_t n_bytes, int64_t *seconds, bool *has_zone);

/*
 * A time by a format: %Y (4 digits), %y (2: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068), %m %d %H
 * %M %S (1 or 2 digits), %% and any other byte for itself. UTC.
 *   format  in  checked by ns_time_format_check
 */
ns_value_problem ns_value_time_as(const char *format, const char *text, int64_t n_bytes, int64_t *seconds);

/*
 * NULL where the format can be used; else what is wrong with it: an unknown directive, one given twice, no
 * year, month or day. A static text.
 */
const char *ns_time_format_check(const char *format);

/* Days from 1970-01-01 to a day of the Gregorian calendar. year >= 0, month 1 to 12. */
int64_t ns_days_of(int64_t year, int64_t month, int64_t day);

/* Whether bytes are UTF-8 (no overlong forms, no surrogates, at most U+10FFFF); else *bad_at is the first bad
 * byte. */
bool ns_utf8_valid(const char *text, int64_t n_bytes, int64_t *bad_at);

/* Bytes of the first n_characters characters of valid UTF-8. */
int64_t ns_utf8_prefix(const char *text, int64_t n_bytes, int64_t n_characters);
#endif
