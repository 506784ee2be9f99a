#include "jobs/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* strtod and printf follow the thread's locale; both run between these two. */
static locale_t enter_c_locale(locale_t *before)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    *before = uselocale(c); /* c is never 0: the C locale is built into every C library */
    return c;
}

static void leave_c_locale(locale_t c, locale_t before)
{
    uselocale(before);
    freelocale(c);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t skip_digits(const char *text, size_t n_bytes, size_t at)
{
    while (at < n_bytes && is_digit(text[at])) at++;
    return at;
}

/* strtod alone would also take blanks, hexadecimal, nan and inf. */
static bool is_decimal(const char *text, size_t n_bytes)
{
    size_t at = n_bytes > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    size_t whole = skip_digits(text, n_bytes, at);
    size_t n_digits = whole - at;
    at = whole;
    if (at < n_bytes && text[at] == '.') {
        size_t part = skip_digits(text, n_bytes, at + 1);
        n_digits += part - (at + 1);
        at = part;
    }
    if (n_digits == 0) return false;
    if (at < n_bytes && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        if (at < n_bytes && (text[at] == '-' || text[at] == '+')) at++;
        size_t end = skip_digits(text, n_bytes, at);
        if (end == at) return false;
        at = end;
    }
    return at == n_bytes;
}

bool ns_number_read(const char *text, size_t n_bytes, double *out)
{
    char copy[128];
    if (n_bytes >= sizeof copy || !is_decimal(text, n_bytes)) return false;
    memcpy(copy, text, n_bytes);
    copy[n_bytes] = '\0';
    locale_t before, c = enter_c_locale(&before);
    double value = strtod(copy, NULL);
    leave_c_locale(c, before);
    if (!isfinite(value)) return false;
    *out = value == 0 ? 0 : value; /* no -0: it prints differently and means the same */
    return true;
}

bool ns_integer_read(const char *text, size_t n_bytes, int64_t *out)
{
    bool negative = n_bytes > 0 && text[0] == '-';
    size_t at = n_bytes > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    if (at == n_bytes) return false;
    int64_t value = 0; /* kept negative: the smallest int64 has no positive twin */
    for (; at < n_bytes; at++) {
        if (!is_digit(text[at])) return false;
        int64_t digit = text[at] - '0';
        if (value < (INT64_MIN + digit) / 10) return false;
        value = value * 10 - digit;
    }
    if (!negative && value == INT64_MIN) return false;
    *out = negative ? value : -value;
    return true;
}

void ns_number_write(char out[NS_NUMBER_ROOM], double value)
{
    locale_t before, c = enter_c_locale(&before);
    if (fabs(value) < 0x1p53 && value == (double)(int64_t)value) {
        snprintf(out, NS_NUMBER_ROOM, "%.0f", value == 0 ? 0 : value);
    } else {
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(out, NS_NUMBER_ROOM, "%.*g", digits, value);
            if (strtod(out, NULL) == value) break;
        }
    }
    leave_c_locale(c, before);
}
