#include "data/values.h"

/*
 * Numbers take a short way: up to 19 significant digits in an integer, one exact power of ten, one correctly
 * rounded double operation, one rounding to float32. Rounding twice is right unless the double lies exactly
 * between two float32 (real values just beside that point would go the other way); those, denormals and
 * longer texts go to strtof, which rounds correctly and which nobody's setlocale disturbs, since the program
 * never calls it.
 */

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "data/short_number.h"

enum { NUMBER_MAX_BYTES = 400, MAX_DIGITS = 19, FIRST_YEAR = 1800, LAST_YEAR = 2200 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What a number's text says, before any rounding: digits * 10^exponent. */
typedef struct decimal {
    uint64_t digits; /* the first 19 significant ones */
    int64_t exponent;
    int64_t significant; /* digits between the first and the last that is not zero */
    bool negative, cut, has_exponent, has_fraction,
        leading_zero; /* cut: digits beyond the 19th were dropped */
} decimal;

typedef struct digit_count {
    int64_t seen;     /* significant digits so far, trailing zeros included */
    int64_t trailing; /* zeros at the end of them */
} digit_count;

static void take_digit(decimal *number, digit_count *count, char c, bool after_point)
{
    if (after_point && c != '0') number->has_fraction = true;
    if (count->seen == 0 && c == '0') {
        number->exponent -= after_point;
        return;
    }
    count->seen++;
    count->trailing = c == '0' ? count->trailing + 1 : 0;
    if (count->seen <= MAX_DIGITS) {
        number->digits = number->digits * 10 + (uint64_t)(c - '0');
        number->exponent -= after_point;
    } else {
        number->cut = number->cut || c != '0';
        number->exponent += !after_point;
    }
}

/* The exponent behind 'e'; NULL where it is none. Large ones are held at 9999, which is beyond float32 either
 * way. */
static const char *take_exponent(const char *p, const char *end, int64_t *exponent)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end || !is_digit(*p)) return NULL;
    int64_t value = 0;
    for (; p < end && is_digit(*p); p++)
        if (value < 9999) value = value * 10 + (*p - '0');
    *exponent += negative ? -value : value;
    return p;
}

static bool read_decimal(const char *text, int64_t n_bytes, decimal *number)
{
    const char *p = text, *end = text + n_bytes;
    *number = (decimal){0};
    if (n_bytes > NUMBER_MAX_BYTES) return false;
    if (p < end && (*p == '+' || *p == '-')) number->negative = *p++ == '-';
    const char *first = p;
    digit_count count = {0};
    for (; p < end && is_digit(*p); p++) take_digit(number, &count, *p, false);
    int64_t n_digits = p - first;
    number->leading_zero = n_digits > 1 && *first == '0';
    if (p < end && *p == '.') {
        for (p++; p < end && is_digit(*p); p++, n_digits++) take_digit(number, &count, *p, true);
    }
    if (n_digits == 0) return false;
    number->significant = count.seen - count.trailing;
    if (p < end && (*p == 'e' || *p == 'E')) {
        number->has_exponent = true;
        p = take_exponent(p + 1, end, &number->exponent);
    }
    return p == end;
}

/* The short way; false where it may not round correctly. */
static bool round_short(const decimal *number, double *wide, float *value)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (number->cut || number->digits > (UINT64_C(1) << 53)) return false;
    if (number->exponent < -22 || number->exponent > 22) return false;
    double d = (double)number->digits;
    d = number->exponent < 0 ? d / power[-number->exponent] : d * power[number->exponent];
    if (d != 0.0 && (d < (double)FLT_MIN || d > (double)FLT_MAX)) return false;
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    if ((bits & UINT64_C(0x1fffffff)) == UINT64_C(0x10000000)) return false;
    *wide = number->negative ? -d : d;
    *value = (float)*wide;
    return true;
}

static void round_long(const char *text, int64_t n_bytes, double *wide, float *value)
{
    char copy[NUMBER_MAX_BYTES + 1];
    memcpy(copy, text, (size_t)n_bytes);
    copy[n_bytes] = '\0';
    *wide = strtod(copy, NULL);
    *value = strtof(copy, NULL);
}

/* Whether a whole number is exactly this float32. */
static bool whole_fits(const decimal *number, float value)
{
    if (number->cut) return false;
    uint64_t whole = number->digits;
    for (int64_t e = number->exponent; e > 0 && whole != 0; e--) {
        if (whole > UINT64_MAX / 10) return false;
        whole *= 10;
    }
    for (int64_t e = number->exponent; e < 0 && whole != 0; e++) whole /= 10; /* "5.00": zeros only */
    float size = value < 0.0F ? -value : value;
    return size < 18446744073709551616.0F && (uint64_t)size == whole;
}

/* Most numbers: up to 15 digits, perhaps a sign and a point. False: the long way decides. */
static bool read_plain(const char *text, int64_t n_bytes, ns_number_text *out)
{
    static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *p = text, *end = text + n_bytes;
    bool negative = n_bytes > 0 && *p == '-';
    p += negative;
    if (end - p < 1 || end - p > 15) return false;
    const char *first = p;
    uint64_t digits = 0;
    unsigned digit;
    for (; p < end; p++) {
        digit = (unsigned)(unsigned char)*p - '0';
        if (digit > 9) break;
        digits = digits * 10 + digit;
    }
    int64_t n_whole = p - first, n_fraction = 0;
    uint64_t whole = digits;
    if (p < end) {
        if (*p != '.' || n_whole == 0) return false;
        const char *point = p++;
        for (; p < end; p++) {
            digit = (unsigned)(unsigned char)*p - '0';
            if (digit > 9) return false;
            digits = digits * 10 + digit;
        }
        n_fraction = end - point - 1;
    }
    double wide = n_fraction > 0 ? (double)digits / power[n_fraction] : (double)digits; /* rounds once: both are exact */
    float value = (float)wide;
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    if (n_fraction > 0 && (bits & UINT64_C(0x1fffffff)) == UINT64_C(0x10000000)) return false; /* as in round_short */
    double gap = wide - (double)value;
    out->whole = wide == (double)whole;
    if (!out->whole && !(gap < 1.0 && gap > -1.0)) return false;
    if (digits != 0 && wide < (double)FLT_MIN) return false;
    out->value = negative && digits != 0 ? -value : value;
    out->leading_zero = n_whole > 1 && *first == '0';
    out->fits = !out->whole || gap == 0.0;
    return true;
}

ns_value_problem ns_value_number(const char *text, int64_t n_bytes, ns_number_text *out)
{
    decimal number;
    double wide;
    if (ns_short_number(text, n_bytes, out) || read_plain(text, n_bytes, out)) return NS_VALUE_OK;
    *out = (ns_number_text){0};
    if (!read_decimal(text, n_bytes, &number)) return NS_VALUE_NOT_ONE;
    if (!round_short(&number, &wide, &out->value)) round_long(text, n_bytes, &wide, &out->value);
    if (out->value > FLT_MAX || out->value < -FLT_MAX) return NS_VALUE_OUT_OF_RANGE;
    if (out->value == 0.0F) out->value = 0.0F; /* drops the sign of -0 */
    double gap = wide - (double)out->value;
    out->leading_zero = number.leading_zero;
    out->whole = !number.has_exponent && !number.has_fraction;
    out->fits =
        out->whole ? whole_fits(&number, out->value) : number.significant <= 7 || (gap < 1.0 && gap > -1.0);
    return NS_VALUE_OK;
}

bool ns_value_int64(const char *text, int64_t n_bytes, int64_t *out)
{
    const char *p = text, *end = text + n_bytes;
    bool negative = p < end && *p == '-';
    p += negative;
    if (p == end || end - p > 19 || (*p == '0' && (end - p > 1 || negative))) return false;
    uint64_t value = 0; /* 19 digits stay below 10^19 < 2^64 */
    for (; p < end; p++) {
        if (!is_digit(*p)) return false;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    if (value > (uint64_t)INT64_MAX) return false;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

/* A time taken apart. */
typedef struct clock_time {
    int64_t year, month, day, hour, minute, second;
} clock_time;

/* Days from 1970-01-01 in the Gregorian calendar: years counted from March, so that the leap day is the last.
 */
int64_t ns_days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int64_t days_in(int64_t year, int64_t month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static ns_value_problem seconds_of(const clock_time *time, int64_t *seconds)
{
    if (time->year < FIRST_YEAR || time->year > LAST_YEAR || time->month < 1 || time->month > 12)
        return NS_VALUE_OUT_OF_RANGE;
    if (time->day < 1 || time->day > days_in(time->year, time->month)) return NS_VALUE_OUT_OF_RANGE;
    if (time->hour > 23 || time->minute > 59 || time->second > 59) return NS_VALUE_OUT_OF_RANGE;
    *seconds = ns_days_of(time->year, time->month, time->day) * 86400 + time->hour * 3600 + time->minute * 60 +
               time->second;
    return NS_VALUE_OK;
}

/* From least to most digits as a number; false where there are fewer. */
static bool take_number(const char **p, const char *end, int least, int most, int64_t *out)
{
    int64_t value = 0;
    int n = 0;
    for (; n < most && *p < end && is_digit(**p); n++, (*p)++) value = value * 10 + (**p - '0');
    *out = value;
    return n >= least;
}

static bool take_byte(const char **p, const char *end, char c)
{
    if (*p == end || **p != c) return false;
    (*p)++;
    return true;
}

/* "Z", "+hh:mm", "+hhmm", "+hh" up to the end: seconds east of UTC. */
static bool take_zone(const char *p, const char *end, int64_t *offset, bool *in_range)
{
    *offset = 0;
    if (take_byte(&p, end, 'Z')) return p == end;
    bool west = *p == '-';
    if (!take_byte(&p, end, '+') && !take_byte(&p, end, '-')) return false;
    int64_t hours, minutes = 0;
    if (!take_number(&p, end, 2, 2, &hours)) return false;
    if (p < end) {
        if (*p == ':') p++;
        if (!take_number(&p, end, 2, 2, &minutes)) return false;
    }
    *in_range = hours <= 23 && minutes <= 59;
    *offset = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return p == end;
}

/* "HH:MM[:SS[.f]]"; *fraction tells of one that is not zero. */
static bool take_clock(const char **p, const char *end, clock_time *time, bool *fraction)
{
    if (!take_number(p, end, 2, 2, &time->hour) || !take_byte(p, end, ':')) return false;
    if (!take_number(p, end, 2, 2, &time->minute)) return false;
    if (!take_byte(p, end, ':')) return true;
    if (!take_number(p, end, 2, 2, &time->second)) return false;
    if (!take_byte(p, end, '.')) return true;
    const char *first = *p;
    for (; *p < end && is_digit(**p); (*p)++) *fraction = *fraction || **p != '0';
    return *p > first;
}

ns_value_problem ns_value_time(const char *text, int64_t n_bytes, int64_t *seconds, bool *has_zone)
{
    const char *p = text, *end = text + n_bytes;
    clock_time time = {0};
    int64_t offset = 0;
    bool fraction = false, zone_in_range = true;
    *has_zone = false;
    if (!take_number(&p, end, 4, 4, &time.year) || !take_byte(&p, end, '-')) return NS_VALUE_NOT_ONE;
    if (!take_number(&p, end, 2, 2, &time.month) || !take_byte(&p, end, '-')) return NS_VALUE_NOT_ONE;
    if (!take_number(&p, end, 2, 2, &time.day)) return NS_VALUE_NOT_ONE;
    if (p < end) {
        if (!take_byte(&p, end, 'T') && !take_byte(&p, end, ' ')) return NS_VALUE_NOT_ONE;
        if (!take_clock(&p, end, &time, &fraction)) return NS_VALUE_NOT_ONE;
    }
    if (p < end) {
        if (!take_zone(p, end, &offset, &zone_in_range)) return NS_VALUE_NOT_ONE;
        *has_zone = true;
    }
    if (!zone_in_range) return NS_VALUE_OUT_OF_RANGE;
    ns_value_problem problem = seconds_of(&time, seconds);
    if (problem != NS_VALUE_OK) return problem;
    *seconds -= offset;
    return fraction ? NS_VALUE_FRACTION : NS_VALUE_OK;
}

/* One directive's digits into its place; false where they are not there. */
static bool take_directive(char directive, const char **p, const char *end, clock_time *time)
{
    switch (directive) {
    case 'Y':
        return take_number(p, end, 4, 4, &time->year);
    case 'y':
        if (!take_number(p, end, 2, 2, &time->year)) return false;
        time->year += time->year < 69 ? 2000 : 1900;
        return true;
    case 'm':
        return take_number(p, end, 1, 2, &time->month);
    case 'd':
        return take_number(p, end, 1, 2, &time->day);
    case 'H':
        return take_number(p, end, 1, 2, &time->hour);
    case 'M':
        return take_number(p, end, 1, 2, &time->minute);
    case 'S':
        return take_number(p, end, 1, 2, &time->second);
    default:
        return take_byte(p, end, '%');
    }
}

ns_value_problem ns_value_time_as(const char *format, const char *text, int64_t n_bytes, int64_t *seconds)
{
    const char *p = text, *end = text + n_bytes;
    clock_time time = {0};
    for (const char *f = format; *f != '\0'; f++) {
        bool found;
        if (*f == '%')
            found = take_directive(*++f, &p, end, &time);
        else
            found = take_byte(&p, end, *f);
        if (!found) return NS_VALUE_NOT_ONE;
    }
    return p == end ? seconds_of(&time, seconds) : NS_VALUE_NOT_ONE;
}

const char *ns_time_format_check(const char *format)
{
    static const char known[] = "YymdHMS";
    bool seen[sizeof known] = {false};
    for (const char *f = format; *f != '\0'; f++) {
        if (*f != '%') continue;
        f++;
        if (*f == '%') continue;
        const char *at = *f == '\0' ? NULL : strchr(known, *f);
        if (at == NULL) return "only %Y %y %m %d %H %M %S and %% are known";
        if (seen[at - known]) return "it has one directive twice";
        seen[at - known] = true;
    }
    if (seen[0] == seen[1]) return "it needs one of %Y and %y";
    if (!seen[2] || !seen[3]) return "it needs %m and %d";
    return NULL;
}

/* Bytes of the character that begins here, 0 where it is none. */
static int64_t character_bytes(const unsigned char *p, int64_t n_bytes)
{
    unsigned char c = p[0];
    if (c < 0x80) return 1;
    int64_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || n > n_bytes) return 0;
    for (int64_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    bool overlong = (c == 0xe0 && p[1] < 0xa0) || (c == 0xf0 && p[1] < 0x90);
    bool outside = (c == 0xed && p[1] > 0x9f) || (c == 0xf4 && p[1] > 0x8f);
    return overlong || outside ? 0 : n;
}

bool ns_utf8_valid(const char *text, int64_t n_bytes, int64_t *bad_at)
{
    const unsigned char *p = (const unsigned char *)text;
    for (int64_t i = 0; i < n_bytes;) {
        int64_t n = character_bytes(p + i, n_bytes - i);
        if (n == 0) {
            *bad_at = i;
            return false;
        }
        i += n;
    }
    return true;
}

int64_t ns_utf8_prefix(const char *text, int64_t n_bytes, int64_t n_characters)
{
    int64_t i = 0;
    while (i < n_bytes && n_characters > 0) {
        i++;
        while (i < n_bytes && ((unsigned char)text[i] & 0xc0) == 0x80) i++;
        n_characters--;
    }
    return i;
}
