/* Numbers, ids and times as a CSV writes them. */
#include "tests/check.h"

#include <inttypes.h>
#include <math.h>

#include "data/values.h"

#define TEXT(literal) (literal), (int64_t)(sizeof(literal) - 1)

static void numbers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ns_value_problem problem;
        float value;
        bool leading_zero, whole, fits;
    } cases[] = {
        {"0", NS_VALUE_OK, 0.0F, false, true, true},
        {"-0", NS_VALUE_OK, 0.0F, false, true, true},
        {"+5", NS_VALUE_OK, 5.0F, false, true, true},
        {"007", NS_VALUE_OK, 7.0F, true, true, true},
        {"-01.5", NS_VALUE_OK, -1.5F, true, false, true},
        {"0.5", NS_VALUE_OK, 0.5F, false, false, true},
        {".5", NS_VALUE_OK, 0.5F, false, false, true},
        {"5.", NS_VALUE_OK, 5.0F, false, true, true},
        {"5.000", NS_VALUE_OK, 5.0F, false, true, true},
        {"16777216", NS_VALUE_OK, 16777216.0F, false, true, true},
        {"16777217", NS_VALUE_OK, 16777216.0F, false, true, false},
        {"16777217.000", NS_VALUE_OK, 16777216.0F, false, true, false},
        {"16777218", NS_VALUE_OK, 16777218.0F, false, true, true},
        {"10000000000", NS_VALUE_OK, 1e10F, false, true, true},
        {"100000000000", NS_VALUE_OK, 1e11F, false, true, false},
        {"123456789012345678901234567890", NS_VALUE_OK, 1.2345679e29F, false, true, false},
        {"1e+05", NS_VALUE_OK, 100000.0F, false, false, true},
        {"1E-3", NS_VALUE_OK, 0.001F, false, false, true},
        {"72.33333333333333", NS_VALUE_OK, 72.333336F, false, false, true},
        {"1234567890.5", NS_VALUE_OK, 1234567936.0F, false, false, false},
        {"3.4028235e38", NS_VALUE_OK, 3.4028235e38F, false, false, false},
        {"3.5e38", NS_VALUE_OUT_OF_RANGE, 0.0F, false, false, false},
        {"1e99999999999", NS_VALUE_OUT_OF_RANGE, 0.0F, false, false, false},
        {"1e-60", NS_VALUE_OK, 0.0F, false, false, true},
        {"1e-40", NS_VALUE_OK, 1e-40F, false, false, true},
        /* just above the middle between two float32: rounding by way of double would go down */
        {"1.00000005960464477540", NS_VALUE_OK, 1.00000012F, false, false, true},
        {"1.000000059604644775390625", NS_VALUE_OK, 1.0F, false, false, true},
        {"", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {".", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"-", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {" 5", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"5 ", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"1,5", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"1e", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"1e+", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"0x10", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"inf", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"nan", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"--5", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
        {"<5", NS_VALUE_NOT_ONE, 0.0F, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ns_number_text number;
        ns_value_problem problem = ns_value_number(cases[i].text, (int64_t)strlen(cases[i].text), &number);
        if (problem != cases[i].problem) fail_msg("'%s': problem %d", cases[i].text, (int)problem);
        if (problem != NS_VALUE_OK) continue;
        if (memcmp(&number.value, &cases[i].value, sizeof(float)) != 0)
            fail_msg("'%s': %.9g, not %.9g", cases[i].text, (double)number.value, (double)cases[i].value);
        if (number.leading_zero != cases[i].leading_zero || number.whole != cases[i].whole ||
            number.fits != cases[i].fits)
            fail_msg("'%s': leading zero %d, whole %d, fits %d", cases[i].text, number.leading_zero,
                     number.whole, number.fits);
    }
    char longest[402];
    memset(longest, '1', sizeof longest);
    ns_number_text number;
    assert_int_equal(ns_value_number(longest, 401, &number), NS_VALUE_NOT_ONE);
}

/* The short way and strtof agree, on texts of every length around float32's precision. */
static void numbers_are_rounded_as_strtof_rounds(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252U;
    for (int i = 0; i < 300000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        char text[64];
        uint64_t digits = x >> (20 + i % 40);
        int n = i % 3 == 0
                    ? snprintf(text, sizeof text, "%" PRIu64 ".%03d", digits % 100000000, (int)(x % 1000))
                : i % 3 == 1 ? snprintf(text, sizeof text, "%" PRIu64 "e%d", digits, (int)(x % 60) - 45)
                             : snprintf(text, sizeof text, "0.%" PRIu64, digits);
        float want = strtof(text, NULL);
        ns_number_text number;
        ns_value_problem problem = ns_value_number(text, n, &number);
        if (isinf(want) ? problem != NS_VALUE_OUT_OF_RANGE : problem != NS_VALUE_OK || number.value != want)
            fail_msg("'%s': %.9g, not %.9g", text, (double)number.value, (double)want);
    }
}

/* Every short text of digits, points and signs, whichever way it takes, is what its characters say. */
static void short_numbers_are_what_they_say(void **state)
{
    (void)state;
    static const char alphabet[] = "0011223456789.....--+ e";
    uint64_t x = 88172645463325252U;
    int n_valid = 0;
    for (int i = 0; i < 2000000; i++) {
        char text[16] = "";
        int n = 0, n_points = 0, n_digits = 0, n_others = 0;
        bool fraction = false;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        int length = 1 + (int)(x % 11);
        uint64_t y = x / 11;
        for (; n < length; n++, y /= 19) { /* behind the first byte mostly digits and points */
            char c = alphabet[n == 0 ? y % (sizeof alphabet - 1) : y % 19 < 17 || i % 16 == 0 ? y % 19 : y % 13];
            bool sign = n == 0 && (c == '-' || c == '+');
            if (c == '.') n_points++;
            else if (c >= '0' && c <= '9') n_digits++, fraction = fraction || (n_points > 0 && c != '0');
            else if (!sign) n_others++;
            text[n] = c;
        }
        ns_number_text number;
        ns_value_problem problem = ns_value_number(text, n, &number);
        if (strchr(text, 'e') != NULL) continue;
        bool valid = n_points <= 1 && n_digits > 0 && n_others == 0;
        if ((problem == NS_VALUE_OK) != valid) fail_msg("'%s': problem %d", text, (int)problem);
        if (!valid) continue;
        n_valid++;
        float want = strtof(text, NULL);
        double wide = strtod(text, NULL);
        const char *first = text + (text[0] == '-' || text[0] == '+');
        bool zero = first[0] == '0' && first[1] >= '0' && first[1] <= '9';
        bool fits = fraction ? true : wide == (double)want; /* at most 10 digits: off by less than one where it has a fraction */
        if (fraction && fabs(wide - (double)want) >= 1) fits = number.fits;
        if (number.value != want || (want == 0.0F && signbit(number.value)) || number.whole == fraction ||
            number.leading_zero != zero || number.fits != fits)
            fail_msg("'%s': %.9g, leading zero %d, whole %d, fits %d", text, (double)number.value, number.leading_zero,
                     number.whole, number.fits);
    }
    assert_true(n_valid > 200000);
}

static void whole_ids_are_their_own_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-5", true, -5},
        {"9223372036854775807", true, INT64_MAX},
        {"12345678901", true, 12345678901},
        {"-9223372036854775807", true, -INT64_MAX},
        {"-9223372036854775808", false, 0},
        {"9223372036854775808", false, 0},
        {"10000000000000000000", false, 0},
        {"99999999999999999999", false, 0},
        {"007", false, 0},
        {"-0", false, 0},
        {"+5", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"1.0", false, 0},
        {" 1", false, 0},
        {"00", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        bool is = ns_value_int64(cases[i].text, (int64_t)strlen(cases[i].text), &value);
        if (is != cases[i].is || (is && value != cases[i].value)) fail_msg("'%s': %d", cases[i].text, is);
    }
}

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ns_value_problem problem;
        int64_t seconds;
        bool has_zone;
    } cases[] = {
        {"1970-01-01", NS_VALUE_OK, 0, false},
        {"2024-02-29", NS_VALUE_OK, 1709164800, false},
        {"1800-01-01", NS_VALUE_OK, -5364662400, false},
        {"2200-12-31T23:59:59Z", NS_VALUE_OK, 7289654399, true},
        {"2024-03-01T08:30", NS_VALUE_OK, 1709281800, false},
        {"2024-03-01 08:30:15", NS_VALUE_OK, 1709281815, false},
        {"2024-03-01T08:30:15.000", NS_VALUE_OK, 1709281815, false},
        {"2024-03-01T08:30+01:00", NS_VALUE_OK, 1709278200, true},
        {"2024-03-01T08:30-0530", NS_VALUE_OK, 1709301600, true},
        {"2024-03-01T08:30+02", NS_VALUE_OK, 1709274600, true},
        {"2024-03-01T08:30:15.5", NS_VALUE_FRACTION, 0, false},
        {"2023-02-29", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"1900-02-29", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"2024-13-01", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"2024-00-01", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"2024-01-32", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"1799-12-31", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"2201-01-01", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"2024-01-01T24:00", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"2024-01-01T23:60", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"2024-01-01T23:00+24:00", NS_VALUE_OUT_OF_RANGE, 0, false},
        {"2024-1-1", NS_VALUE_NOT_ONE, 0, false},
        {"2024-01-01T", NS_VALUE_NOT_ONE, 0, false},
        {"2024-01-01T8:30", NS_VALUE_NOT_ONE, 0, false},
        {"2024-01-01T08:30:15.", NS_VALUE_NOT_ONE, 0, false},
        {"2024-01-01T08:30z", NS_VALUE_NOT_ONE, 0, false},
        {"2024-01-01T08:30Z ", NS_VALUE_NOT_ONE, 0, false},
        {"01.03.2024", NS_VALUE_NOT_ONE, 0, false},
        {"", NS_VALUE_NOT_ONE, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t seconds = 0;
        bool has_zone = false;
        ns_value_problem problem =
            ns_value_time(cases[i].text, (int64_t)strlen(cases[i].text), &seconds, &has_zone);
        if (problem != cases[i].problem) fail_msg("'%s': problem %d", cases[i].text, (int)problem);
        if (problem != NS_VALUE_OK) continue;
        if (seconds != cases[i].seconds || has_zone != cases[i].has_zone)
            fail_msg("'%s': %" PRId64 ", zone %d", cases[i].text, seconds, has_zone);
    }
}

static void times_are_read_by_a_format(void **state)
{
    (void)state;
    static const struct {
        const char *format, *text;
        ns_value_problem problem;
        int64_t seconds;
    } cases[] = {
        {"%d.%m.%Y %H:%M", "01.03.2024 08:30", NS_VALUE_OK, 1709281800},
        {"%m/%d/%Y", "3/1/2024", NS_VALUE_OK, 1709251200},
        {"%Y%m%d%H%M%S", "20240301083015", NS_VALUE_OK, 1709281815},
        {"%d/%m/%y", "29/02/68", NS_VALUE_OK, 3097699200},
        {"%d/%m/%y", "01/01/69", NS_VALUE_OK, -31536000},
        {"100%% %Y-%m-%d", "100% 2024-03-01", NS_VALUE_OK, 1709251200},
        {"%d.%m.%Y", "31.02.2024", NS_VALUE_OUT_OF_RANGE, 0},
        {"%d.%m.%Y", "01.03.24", NS_VALUE_NOT_ONE, 0},
        {"%d.%m.%Y", "01.03.2024 ", NS_VALUE_NOT_ONE, 0},
        {"%d.%m.%Y", "01/03/2024", NS_VALUE_NOT_ONE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t seconds = 0;
        assert_null(ns_time_format_check(cases[i].format));
        ns_value_problem problem =
            ns_value_time_as(cases[i].format, cases[i].text, (int64_t)strlen(cases[i].text), &seconds);
        if (problem != cases[i].problem || (problem == NS_VALUE_OK && seconds != cases[i].seconds))
            fail_msg("'%s': problem %d, %" PRId64, cases[i].text, (int)problem, seconds);
    }
    assert_non_null(strstr(ns_time_format_check("%d.%m.%Y %I"), "only %Y"));
    assert_non_null(strstr(ns_time_format_check("%d.%m.%Y %"), "only %Y"));
    assert_non_null(strstr(ns_time_format_check("%d.%d.%m.%Y"), "twice"));
    assert_non_null(strstr(ns_time_format_check("%d.%m"), "one of %Y and %y"));
    assert_non_null(strstr(ns_time_format_check("%d.%m.%Y.%y"), "one of %Y and %y"));
    assert_non_null(strstr(ns_time_format_check("%Y %H"), "%m and %d"));
}

static void utf8_is_checked_and_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t n_bytes, bad_at; /* -1: good */
    } cases[] = {
        {TEXT("plain"), -1},
        {TEXT("gr\xc3\xbc\xc3\x9f"), -1},
        {TEXT("\xe2\x82\xac"), -1},
        {TEXT("\xf0\x9f\x92\x89"), -1},
        {TEXT("\xf4\x8f\xbf\xbf"), -1},
        {TEXT("a\xfc"), 1},
        {TEXT("\xc3"), 0},
        {TEXT("\xc3("), 0},
        {TEXT("\xc0\x80"), 0},
        {TEXT("\xe0\x80\x80"), 0},
        {TEXT("ab\xed\xa0\x80"), 2},
        {TEXT("\xf4\x90\x80\x80"), 0},
        {TEXT("\xf0\x80\x80\x80"), 0},
        {TEXT("\x80"), 0},
        {TEXT("\xff"), 0},
        {TEXT(""), -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t bad_at = -1;
        bool good = ns_utf8_valid(cases[i].text, cases[i].n_bytes, &bad_at);
        if (good != (cases[i].bad_at < 0) || bad_at != cases[i].bad_at)
            fail_msg("case %zu: %d at %" PRId64, i, good, bad_at);
    }
    assert_int_equal(ns_utf8_prefix(TEXT("gr\xc3\xbc\xc3\x9f"), 3), 4);
    assert_int_equal(ns_utf8_prefix(TEXT("ab"), 3), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(numbers_are_rounded_as_strtof_rounds),
        cmocka_unit_test(short_numbers_are_what_they_say),
        cmocka_unit_test(whole_ids_are_their_own_text),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(times_are_read_by_a_format),
        cmocka_unit_test(utf8_is_checked_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
