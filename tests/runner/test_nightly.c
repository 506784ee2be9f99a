/* The lines of submit --nightly, and the day that yesterday and today name. */
#include "tests/check.h"

#include "runner/slurm/nightly.h"
#include "runner/slurm/submit_date.h"

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *when;
        int change; /* -1: none of cron's */
    } cases[] = {{"30 3 * * *", 0},       {"30 2 * * *", 1},        {"0 1 * * *", 1},     {"59 0 * * *", 0},    {"0 * * * *", 1},
                 {"0 */3 * * *", 0},      {"0 */2 * * *", 1},       {"5,10 4-6 * * mon-fri", 0}, {"5 22,1 1 jan 7", 1}, {" 0  3 * * * ", 0},
                 {"0 0-4/4 * * *", 0},    {"0 3 * *", -1},          {"0 3 * * * x", -1},  {"60 3 * * *", -1},   {"0 24 * * *", -1},
                 {"0 3 0 * *", -1},       {"0 3 * 13 *", -1},       {"0 3 * * 8", -1},    {"0 3-1 * * *", -1},  {"0 3/2 * * *", -1},
                 {"0 */0 * * *", -1},     {"@daily", -1},           {"", -1},             {"a 3 * * *", -1},    {"0 3 * * mo", -1},
                 {"0 3, * * *", -1},      {"0 3 * * *\n* * * * *", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool change = false;
        ns_error_clear();
        ns_status status = ns_nightly_check(&change, cases[i].when);
        if (cases[i].change < 0 ? status != NS_EINVAL : status != NS_OK || change != cases[i].change) fail_msg("'%s': %d %d", cases[i].when, (int)status, change);
    }
    ns_error_clear();
}

static void test_lines(void **state)
{
    (void)state;
    const char *words[] = {"submit", "/a b/100%'s.yaml", "score", NULL}, *broken[] = {"submit", "a\nb", NULL};
    ns_nightly nightly = {.when = "30 3 * * *", .program = "/bin/nightshift", .words = words, .partition = "night"};
    char *lines;
    CHECK_OK(ns_nightly_lines(&lines, &nightly));
    assert_non_null(strstr(lines, "\n30 3 * * * /bin/nightshift submit '/a b/100\\%'\\''s.yaml' score\n"));
    assert_non_null(strstr(lines, "#SCRON --partition=night\n30 3 * * * /bin/nightshift submit '/a b/100%'\\''s.yaml' score\n"));
    free(lines);
    nightly.words = broken;
    CHECK_FAILS(ns_nightly_lines(&lines, &nightly), NS_EINVAL, "line end");
}

static void test_days(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *zone, *today, *yesterday;
    } cases[] = {
        {1793491200, "UTC", "2026-11-01", "2026-10-31"},
        {1793491200 - 1, "UTC", "2026-10-31", "2026-10-30"},
        {1793491200 - 1, "Europe/Vienna", "2026-11-01", "2026-10-31"},          /* 00:59:59 there */
        {1793491200 + 3 * 3600, "America/New_York", "2026-10-31", "2026-10-30"}, /* 23:00 there */
        {1774746000 + 1800, "Europe/Vienna", "2026-03-29", "2026-03-28"},        /* the hour after 02:00 was left out */
        {1792890000, "Europe/Vienna", "2026-10-25", "2026-10-24"},               /* 02:00, the second time */
        {1709164800, "UTC", "2024-02-29", "2024-02-28"},
        {1709251200, "UTC", "2024-03-01", "2024-02-29"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char today[NS_DATE_ROOM], yesterday[NS_DATE_ROOM];
        ns_error_clear();
        ns_status status = ns_day_of(today, cases[i].seconds, cases[i].zone, NS_TODAY);
        if (status == NS_EINVAL && strcmp(cases[i].zone, "UTC") != 0) continue; /* no database of time zones */
        CHECK_OK(ns_day_of(yesterday, cases[i].seconds, cases[i].zone, NS_YESTERDAY));
        if (strcmp(today, cases[i].today) != 0 || strcmp(yesterday, cases[i].yesterday) != 0)
            fail_msg("%lld in %s: %s, %s", (long long)cases[i].seconds, cases[i].zone, today, yesterday);
    }
    char out[NS_DATE_ROOM];
    CHECK_FAILS(ns_day_of(out, 0, "Mars/Base", NS_TODAY), NS_EINVAL, "Mars/Base");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_times), cmocka_unit_test(test_lines), cmocka_unit_test(test_days)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
