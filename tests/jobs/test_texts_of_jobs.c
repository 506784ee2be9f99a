/* The small pure parts of jobs/: numbers, times, distances, cuts. */
#include "tests/check.h"

#include <locale.h>

#include "jobs/instant.h"
#include "jobs/number.h"
#include "jobs/page.h"
#include "jobs/words.h"

static void test_numbers_are_read_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        double value;
    } cases[] = {
        {"0", true, 0},       {"-0", true, 0},        {"12", true, 12},    {"+5", true, 5},
        {"-1.5", true, -1.5}, {".5", true, 0.5},      {"5.", true, 5},     {"1e-3", true, 1e-3},
        {"2E+3", true, 2000}, {"1e308", true, 1e308}, {"1e400", false, 0}, {"", false, 0},
        {".", false, 0},      {"-", false, 0},        {"1e", false, 0},    {"1e+", false, 0},
        {"0x10", false, 0},   {"nan", false, 0},      {"inf", false, 0},   {" 1", false, 0},
        {"1 ", false, 0},     {"1,5", false, 0},      {"1_000", false, 0}, {"--1", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = -77;
        bool ok = ns_number_read(cases[i].text, strlen(cases[i].text), &value);
        if (ok != cases[i].ok || (ok && value != cases[i].value))
            fail_msg("'%s': %d %g", cases[i].text, ok, value);
        if (!ok) assert_true(value == -77);
    }
    char many[200];
    memset(many, '1', sizeof many);
    double value;
    assert_false(ns_number_read(many, sizeof many, &value)); /* longer than any number anyone writes */
    assert_true(ns_number_read("12abc", 2, &value));         /* n_bytes counts, not a terminating 0 */
    assert_true(value == 12);
}

static void test_whole_numbers(void **state)
{
    (void)state;
    int64_t value;
    assert_true(ns_integer_read("9223372036854775807", 19, &value));
    assert_true(value == INT64_MAX);
    assert_true(ns_integer_read("-9223372036854775808", 20, &value));
    assert_true(value == INT64_MIN);
    assert_true(ns_integer_read("+007", 4, &value));
    assert_true(value == 7);
    static const char *const wrong[] = {
        "9223372036854775808", "-9223372036854775809", "", "-", "+", "1.0", "1e3", " 1", "0x1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (ns_integer_read(wrong[i], strlen(wrong[i]), &value)) fail_msg("'%s' was taken", wrong[i]);
}

static void test_shortest_texts(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "0"},
                 {0.05, "0.05"},
                 {1e-6, "1e-06"},
                 {100000, "100000"},
                 {1e9, "1000000000"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e300, "1e+300"},
                 {-2.5, "-2.5"},
                 {0x1p53, "9007199254740992"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[NS_NUMBER_ROOM];
        ns_number_write(text, cases[i].value);
        assert_string_equal(text, cases[i].text);
        double back;
        assert_true(ns_number_read(text, strlen(text), &back));
        assert_true(back == cases[i].value);
    }
}

/* A locale with a decimal comma changes nothing; where the machine has none of these there is nothing to tell
 * apart. */
static void test_numbers_without_locale(void **state)
{
    (void)state;
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "de_AT.utf8", "fr_FR.utf8", "de_DE"};
    bool found = false;
    for (size_t i = 0; i < sizeof commas / sizeof *commas && !found; i++)
        found = setlocale(LC_ALL, commas[i]) != NULL;
    double value = 0;
    char text[NS_NUMBER_ROOM];
    assert_true(ns_number_read("1.5", 3, &value));
    assert_true(value == 1.5);
    ns_number_write(text, 1.5);
    assert_string_equal(text, "1.5");
    setlocale(LC_ALL, "C");
    if (!found) print_message("no locale with a decimal comma on this machine\n");
}

static void test_instants(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t seconds;
    } cases[] = {
        {"1970-01-01", true, 0},
        {"1969-12-31T23:59:59Z", true, -1},
        {"2000-02-29", true, 951782400},
        {"2024-03-01", true, 1709251200},
        {"2024-03-01T08:30", true, 1709281800},
        {"2024-03-01 08:30:15", true, 1709281815},
        {"2024-03-01T08", true, 1709280000},
        {"2024-03-01T08:30Z", true, 1709281800},
        {"2024-03-01T08:30+01:00", true, 1709278200},
        {"2024-03-01T08:30-05:30", true, 1709301600},
        {"0001-01-01", true, -62135596800},
        {"9999-12-31T23:59:59", true, 253402300799},
        {"2024-02-30", false, 0},
        {"2023-02-29", false, 0},
        {"1900-02-29", false, 0},
        {"2024-13-01", false, 0},
        {"2024-00-01", false, 0},
        {"2024-01-00", false, 0},
        {"0000-01-01", false, 0},
        {"2024-1-1", false, 0},
        {"24-01-01", false, 0},
        {"2024-01-01T", false, 0},
        {"2024-01-01T24:00", false, 0},
        {"2024-01-01T08:60", false, 0},
        {"2024-01-01T08:30:60", false, 0},
        {"2024-01-01T08:30+1", false, 0},
        {"2024-01-01T08:30+0100", false, 0},
        {"2024-01-01T08:30Zx", false, 0},
        {"2024-01-01x", false, 0},
        {"", false, 0},
        {"20240101", false, 0},
        {"2024-01-01Z", false, 0},
        {"01.02.2024", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t seconds = 0;
        bool ok = ns_instant_read(cases[i].text, strlen(cases[i].text), &seconds);
        if (ok != cases[i].ok || (ok && seconds != cases[i].seconds))
            fail_msg("'%s': %d %lld", cases[i].text, ok, (long long)seconds);
    }
}

static void test_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int32_t distance;
    } cases[] = {{"", "", 0},
                 {"", "abc", 3},
                 {"rounds", "rounds", 0},
                 {"round", "rounds", 1},
                 {"ruonds", "rounds", 1},
                 {"rouds", "rounds", 1},
                 {"Rounds", "rOUNDS", 0},
                 {"kitten", "sitting", 3},
                 {"ab", "ba", 1},
                 {"abc", "", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (ns_distance(cases[i].a, cases[i].b) != cases[i].distance ||
            ns_distance(cases[i].b, cases[i].a) != cases[i].distance)
            fail_msg("%s %s: %d", cases[i].a, cases[i].b, (int)ns_distance(cases[i].a, cases[i].b));
    }
    char lengthy[400];
    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    assert_int_equal(ns_distance(lengthy, ""), 100); /* the first 100 bytes count */
}

static void test_cut(void **state)
{
    (void)state;
    char out[NS_CUT_ROOM], text[200];
    assert_string_equal(ns_cut(out, "short", 5), "short");
    memset(text, 'a', sizeof text);
    ns_cut(out, text, 60);
    assert_int_equal(strlen(out), 60);
    ns_cut(out, text, 61);
    assert_int_equal(strlen(out), 63);
    assert_string_equal(out + 60, "...");
    memcpy(text + 59, "\xC3\xA4", 2); /* a character that would be cut in two */
    ns_cut(out, text, 100);
    assert_string_equal(out + 59, "...");
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
    } cases[] = {{"", 1},
                 {"a", 1},
                 {"\xC3\xA4", 2},
                 {"\xE2\x82\xAC", 3},
                 {"\xF0\x9F\x98\x80", 4},
                 {"\x80", 0},
                 {"\xC0\x80", 0},
                 {"\xC3", 0},
                 {"\xC3(", 0},
                 {"\xE0\x80\x80", 0},
                 {"\xED\xA0\x80", 0},
                 {"\xF0\x80\x80\x80", 0},
                 {"\xF4\x90\x80\x80", 0},
                 {"\xFF", 0},
                 {"\xE2\x82", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ns_utf8_length(cases[i].text) != cases[i].n) fail_msg("case %d", (int)i);
}

static void test_page(void **state)
{
    (void)state;
    ns_page page = {0};
    char *text;
    CHECK_OK(ns_page_take(&page, &text));
    assert_string_equal(text, "");
    free(text);
    for (int i = 0; i < 1000; i++) ns_page_add(&page, "%d,", i % 10);
    CHECK_OK(ns_page_take(&page, &text));
    assert_int_equal(strlen(text), 2000);
    assert_memory_equal(text + 1990, "5,6,7,8,9,", 10);
    free(text);
    page = (ns_page){.failed = true}; /* as after a lack of memory */
    ns_page_add(&page, "more");
    CHECK_FAILS(ns_page_take(&page, &text), NS_ENOMEM, "out of memory");
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_read_whole),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_shortest_texts),
        cmocka_unit_test(test_numbers_without_locale),
        cmocka_unit_test(test_instants),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
