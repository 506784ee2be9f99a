/* Time zones: local times to UTC over clock changes, compared with the C library's opposite way, UTC to local. */
#include "tests/check.h"

#include <inttypes.h>
#include <time.h>

#include "data/values.h"
#include "data/zone.h"

/* A time as it stands in a CSV. */
static int64_t local(const char *text)
{
    int64_t seconds;
    bool has_zone;
    assert_int_equal(ns_value_time(text, (int64_t)strlen(text), &seconds, &has_zone), NS_VALUE_OK);
    return seconds;
}

static void changes_of_clocks(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *local, *utc; /* utc NULL: never */
    } cases[] = {
        {"UTC", "2024-06-01T12:00", "2024-06-01T12:00"},
        {"Europe/Vienna", "2024-01-15T12:00", "2024-01-15T11:00"},
        {"Europe/Vienna", "2024-07-15T12:00", "2024-07-15T10:00"},
        {"Europe/Vienna", "2024-03-31T01:59:59", "2024-03-31T00:59:59"},
        {"Europe/Vienna", "2024-03-31T02:00", NULL},
        {"Europe/Vienna", "2024-03-31T02:59:59", NULL},
        {"Europe/Vienna", "2024-03-31T03:00", "2024-03-31T01:00"},
        {"Europe/Vienna", "2024-10-27T01:59:59", "2024-10-26T23:59:59"},
        {"Europe/Vienna", "2024-10-27T02:00", "2024-10-27T00:00"}, /* the first of two */
        {"Europe/Vienna", "2024-10-27T02:59:59", "2024-10-27T00:59:59"},
        {"Europe/Vienna", "2024-10-27T03:00", "2024-10-27T02:00"},
        {"America/New_York", "2024-03-10T02:30", NULL},
        {"America/New_York", "2024-11-03T01:30", "2024-11-03T05:30"},
        {"America/New_York", "1850-06-01T12:00", "1850-06-01T16:56:02"}, /* local mean time */
        {"America/New_York", "2150-07-01T12:00", "2150-07-01T16:00"},    /* the rule goes on */
        {"America/New_York", "2199-03-10T02:30", NULL},
        {"Australia/Lord_Howe", "2024-04-07T01:45", "2024-04-06T14:45"}, /* half an hour back */
        {"Australia/Lord_Howe", "2024-10-06T02:15", NULL},
        {"Europe/Dublin", "2024-07-01T12:00", "2024-07-01T11:00"}, /* winter is the exception there */
        {"Europe/Dublin", "2100-01-15T12:00", "2100-01-15T12:00"},
        {"Asia/Kolkata", "2024-07-01T12:00", "2024-07-01T06:30"},
        {"Pacific/Apia", "2011-12-30T12:00", NULL}, /* a day left out */
        {"Pacific/Apia", "2011-12-31T00:00", "2011-12-30T10:00"},
        {"America/Sao_Paulo", "2018-11-04T00:30", NULL}, /* midnight left out */
        {"Africa/Casablanca", "2024-03-10T02:30", "2024-03-10T01:30"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ns_zone *zone;
        int64_t utc = 0;
        CHECK_OK(ns_zone_open(&zone, cases[i].zone));
        bool found = ns_zone_utc(zone, local(cases[i].local), &utc);
        if (found != (cases[i].utc != NULL) || (found && utc != local(cases[i].utc)))
            fail_msg("%s %s: %d, %" PRId64, cases[i].zone, cases[i].local, found, utc);
        ns_zone_close(&zone);
    }
}

/* Seconds by which the zone in TZ is east of UTC at a time. */
static int64_t east_at(int64_t utc)
{
    struct tm parts;
    time_t t = (time_t)utc;
    assert_non_null(localtime_r(&t, &parts));
    return ns_days_of(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday) * 86400 + parts.tm_hour * 3600 + parts.tm_min * 60 +
           parts.tm_sec - utc;
}

/* What the C library shows at a time must lead back to that time, or to the same local time earlier. */
static void the_library_agrees(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Vienna", "America/New_York", "Asia/Kolkata", "Australia/Sydney", "Africa/Cairo",
                                        "America/Santiago", "Asia/Tehran", "Pacific/Chatham", "Europe/Dublin", "Asia/Tokyo"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ns_zone *zone;
        CHECK_OK(ns_zone_open(&zone, names[i]));
        setenv("TZ", names[i], 1);
        tzset();
        for (int64_t utc = local("1890-01-01"); utc < local("2195-01-01"); utc += 5 * 86400 + 12345) {
            int64_t found = 0, shown = utc + east_at(utc);
            if (!ns_zone_utc(zone, shown, &found)) fail_msg("%s: %" PRId64 " is never", names[i], utc);
            if (found != utc && !(found < utc && found + east_at(found) == shown))
                fail_msg("%s: %" PRId64 ", not %" PRId64, names[i], found, utc);
        }
        ns_zone_close(&zone);
    }
    unsetenv("TZ");
}

static void unknown_zones_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Wien", "", "../etc/passwd", "/etc/passwd", "Europe", "CET!", "Europe/../Europe/Vienna",
                                        "zone.tab", "right/Europe/Vienna"};
    ns_zone *zone;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) CHECK_FAILS(ns_zone_open(&zone, names[i]), NS_EINVAL, "");
    CHECK_FAILS(ns_zone_open(&zone, "Europe/Wien"), NS_EINVAL, "zone 'Europe/Wien' is not in the time zone database at ");
    setenv("TZDIR", "/nowhere", 1);
    CHECK_FAILS(ns_zone_open(&zone, "Europe/Vienna"), NS_EINVAL, "there is no time zone database at /nowhere");
    CHECK_OK(ns_zone_open(&zone, "UTC"));
    ns_zone_close(&zone);
    unsetenv("TZDIR");
}

/* Every cut and every flipped byte of a file is refused or read, and no byte beyond it is. */
static void damaged_files_are_refused(void **state)
{
    (void)state;
    FILE *file = fopen("/usr/share/zoneinfo/Europe/Vienna", "rb");
    if (file == NULL) skip();
    char bytes[8192];
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    ns_zone *zone;
    CHECK_OK(ns_zone_parse(&zone, bytes, (int64_t)n, "whole"));
    ns_zone_close(&zone);
    for (size_t length = 0; length < n; length++) {
        char *cut = malloc(length + 1);
        assert_non_null(cut);
        memcpy(cut, bytes, length);
        CHECK_FAILS(ns_zone_parse(&zone, cut, (int64_t)length, "cut"), NS_EFORMAT, "cut is not a time zone file");
        free(cut);
    }
    for (size_t i = 0; i < n; i++) {
        char kept = bytes[i];
        bytes[i] = (char)(kept ^ 0xff);
        if (ns_zone_parse(&zone, bytes, (int64_t)n, "flipped") == NS_OK) {
            int64_t utc;
            ns_zone_utc(zone, 0, &utc);
            ns_zone_close(&zone);
        }
        bytes[i] = kept;
        ns_error_clear();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_of_clocks),
        cmocka_unit_test(the_library_agrees),
        cmocka_unit_test(unknown_zones_are_refused),
        cmocka_unit_test(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
