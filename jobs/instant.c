#include "jobs/instant.h"

#include <stdio.h>

typedef struct cursor {
    const char *at, *end;
} cursor;

/* Exactly n digits with a value from least to most. */
static bool digits(cursor *c, int n, int least, int most, int *out)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9') return false;
        value = value * 10 + (*c->at++ - '0');
    }
    *out = value;
    return value >= least && value <= most;
}

static bool skip(cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days since 1970-01-01 of a day of the Gregorian calendar. */
static int64_t day_number(int year, int month, int day)
{
    static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t past = year - 1; /* whole years since 0001-01-01, which is day -719162 */
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400 - 719162;
    return days + before[month - 1] + (month > 2 && is_leap(year) ? 1 : 0) + day - 1;
}

static bool read_day(cursor *c, int64_t *days)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!digits(c, 4, 1, 9999, &year) || !skip(c, '-') || !digits(c, 2, 1, 12, &month) || !skip(c, '-') ||
        !digits(c, 2, 1, 31, &day))
        return false;
    *days = day_number(year, month, day);
    return day <= lengths[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Seconds to take off for the zone: 0 for Z and where none is written. */
static bool read_zone(cursor *c, int64_t *offset)
{
    *offset = 0;
    if (c->at == c->end) return true;
    if (skip(c, 'Z') || skip(c, 'z')) return c->at == c->end;
    int sign = *c->at == '-' ? -1 : 1, hours, minutes;
    if (!skip(c, '+') && !skip(c, '-')) return false;
    if (!digits(c, 2, 0, 23, &hours) || !skip(c, ':') || !digits(c, 2, 0, 59, &minutes)) return false;
    *offset = sign * ((int64_t)hours * 3600 + (int64_t)minutes * 60);
    return c->at == c->end;
}

bool ns_instant_read(const char *text, size_t n_bytes, int64_t *seconds)
{
    cursor c = {text, text + n_bytes};
    int64_t days, offset = 0;
    int hour = 0, minute = 0, second = 0;
    if (!read_day(&c, &days)) return false;
    if (c.at != c.end) {
        if (!skip(&c, 'T') && !skip(&c, 't') && !skip(&c, ' ')) return false;
        if (!digits(&c, 2, 0, 23, &hour)) return false;
        if (skip(&c, ':')) {
            if (!digits(&c, 2, 0, 59, &minute)) return false;
            if (skip(&c, ':') && !digits(&c, 2, 0, 59, &second)) return false;
        }
        if (!read_zone(&c, &offset)) return false;
    }
    *seconds = days * 86400 + (int64_t)hour * 3600 + (int64_t)minute * 60 + second - offset;
    return true;
}

void ns_instant_write(char out[NS_INSTANT_ROOM], int64_t seconds)
{
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int year = (int)((days + 719162) / 365) + 1, month = 12; /* never too low: no year has less than 365 days */
    while (year > 1 && day_number(year, 1, 1) > days) year--;
    while (day_number(year, month, 1) > days) month--;
    int day = (int)(days - day_number(year, month, 1)) + 1, second = (int)rest;
    if (rest == 0)
        snprintf(out, NS_INSTANT_ROOM, "%04d-%02d-%02d", year % 10000, month % 100, day % 100);
    else
        snprintf(out, NS_INSTANT_ROOM, "%04d-%02d-%02dT%02d:%02d:%02dZ", year % 10000, month % 100, day % 100, second / 3600 % 24,
                 second / 60 % 60, second % 60);
}
