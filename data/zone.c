#include "data/zone.h"

/*
 * A zone is a list of spans in the order of time; each has one distance from UTC. A span covers the local
 * times from its start plus its distance to its end plus its distance, so the first span that covers a local
 * time gives the first occurrence. Distances are below 26 hours, so only spans that begin near the time can.
 * The rule behind the last transition is written out as spans when the file is read.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/durable.h"
#include "data/values.h"

enum { HEADER_BYTES = 44, LAST_YEAR = 2201, MAX_NAME = 200 };
static const int64_t NEAR = 26 * 3600;

typedef struct span {
    int64_t start; /* UTC; it ends where the next one starts */
    int64_t east;  /* seconds to add to UTC */
} span;

struct ns_zone {
    int64_t n_spans, room;
    span *spans;
};

static ns_status add_span(ns_zone *zone, int64_t start, int64_t east)
{
    if (zone->n_spans == zone->room) {
        int64_t room = zone->room == 0 ? 64 : zone->room * 2;
        span *spans = realloc(zone->spans, (size_t)room * sizeof *spans);
        if (spans == NULL) return ns_fail(NS_ENOMEM, "no memory for a time zone");
        zone->spans = spans;
        zone->room = room;
    }
    zone->spans[zone->n_spans++] = (span){start, east};
    return NS_OK;
}

/* --- the rule at the end: "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX, with the hours of RFC 9636) --- */

typedef struct rule_day {
    char kind; /* 'M': month, week, day of the week; 'J': day from 1 without February 29; 'N': day from 0 */
    int64_t month, week, day, second;
} rule_day;

typedef struct rule {
    int64_t east, east_summer;
    bool has_summer;
    rule_day begin, end;
} rule;

static bool skip_name(const char **p)
{
    const char *first = *p;
    if (**p == '<') {
        while (**p != '\0' && **p != '>') (*p)++;
        return *(*p)++ == '>';
    }
    while (isalpha((unsigned char)**p)) (*p)++;
    return *p - first >= 3;
}

static bool take_whole(const char **p, int64_t most, int64_t *out)
{
    int64_t value = 0;
    const char *first = *p;
    for (; **p >= '0' && **p <= '9' && value <= most; (*p)++) value = value * 10 + (**p - '0');
    *out = value;
    return *p > first && value <= most;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool take_hours(const char **p, int64_t *seconds)
{
    bool negative = **p == '-';
    int64_t hours, part = 0;
    if (**p == '-' || **p == '+') (*p)++;
    if (!take_whole(p, 167, &hours)) return false;
    *seconds = hours * 3600;
    for (int64_t unit = 60; unit >= 1 && **p == ':'; unit /= 60) {
        (*p)++;
        if (!take_whole(p, 59, &part)) return false;
        *seconds += part * unit;
    }
    if (negative) *seconds = -*seconds;
    return true;
}

static bool take_rule_day(const char **p, rule_day *day)
{
    *day = (rule_day){.kind = 'N', .second = 7200};
    if (*(*p)++ != ',') return false;
    if (**p == 'M') {
        (*p)++;
        day->kind = 'M';
        if (!take_whole(p, 12, &day->month) || *(*p)++ != '.') return false;
        if (!take_whole(p, 5, &day->week) || *(*p)++ != '.') return false;
        if (!take_whole(p, 6, &day->day) || day->month < 1 || day->week < 1) return false;
    } else {
        if (**p == 'J') {
            (*p)++;
            day->kind = 'J';
        }
        if (!take_whole(p, 365, &day->day)) return false;
    }
    if (**p != '/') return true;
    (*p)++;
    return take_hours(p, &day->second);
}

static bool read_rule(const char *p, rule *out)
{
    *out = (rule){0};
    if (!skip_name(&p) || !take_hours(&p, &out->east)) return false;
    out->east = -out->east; /* POSIX counts to the west */
    if (*p == '\0') return true;
    out->has_summer = true;
    if (!skip_name(&p)) return false;
    out->east_summer = out->east + 3600;
    if (*p != ',' && *p != '\0') {
        if (!take_hours(&p, &out->east_summer)) return false;
        out->east_summer = -out->east_summer;
    }
    return take_rule_day(&p, &out->begin) && take_rule_day(&p, &out->end) && *p == '\0';
}

/* Local seconds since 1970 of a rule's day in a year. */
static int64_t rule_second(const rule_day *day, int64_t year)
{
    int64_t first = ns_days_of(year, 1, 1), at;
    if (day->kind == 'N') {
        at = first + day->day;
    } else if (day->kind == 'J') {
        bool leap = ns_days_of(year + 1, 1, 1) - first == 366;
        at = first + day->day - 1 + (leap && day->day >= 60);
    } else {
        int64_t month = ns_days_of(year, day->month, 1);
        int64_t next = day->month == 12 ? ns_days_of(year + 1, 1, 1) : ns_days_of(year, day->month + 1, 1);
        int64_t weekday = ((month + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        at = month + (day->day - weekday + 7) % 7 + (day->week - 1) * 7;
        while (at >= next) at -= 7;
    }
    return at * 86400 + day->second;
}

/* The spans that the rule makes behind the last transition. */
static ns_status apply_rule(ns_zone *zone, const rule *r)
{
    int64_t last = zone->spans[zone->n_spans - 1].start;
    if (!r->has_summer) {
        if (zone->n_spans == 1) zone->spans[0].east = r->east; /* a file without transitions */
        return NS_OK;
    }
    for (int64_t year = 1800; year <= LAST_YEAR; year++) {
        int64_t begin = rule_second(&r->begin, year) - r->east, end = rule_second(&r->end, year) - r->east_summer;
        bool begins_first = begin <= end;
        span two[2] = {{begins_first ? begin : end, begins_first ? r->east_summer : r->east},
                       {begins_first ? end : begin, begins_first ? r->east : r->east_summer}};
        for (int i = 0; i < 2; i++)
            if (two[i].start > last) NS_TRY(add_span(zone, two[i].start, two[i].east));
    }
    return NS_OK;
}

/* --- TZif --- */

static int64_t big_endian(const unsigned char *p, int n_bytes)
{
    uint64_t value = (p[0] & 0x80) != 0 ? ~UINT64_C(0) : 0;
    for (int i = 0; i < n_bytes; i++) value = value << 8 | p[i];
    return (int64_t)value;
}

typedef struct tzif {
    const unsigned char *data; /* behind the header */
    int64_t n_isut, n_isstd, n_leap, n_times, n_types, n_chars;
    int time_bytes;
} tzif;

static int64_t block_bytes(const tzif *t)
{
    return t->n_times * t->time_bytes + t->n_times + t->n_types * 6 + t->n_chars + t->n_leap * (t->time_bytes + 4) +
           t->n_isstd + t->n_isut;
}

static bool read_header(tzif *t, const unsigned char *p, int64_t left, int time_bytes)
{
    if (left < HEADER_BYTES || memcmp(p, "TZif", 4) != 0) return false;
    int64_t *counts[] = {&t->n_isut, &t->n_isstd, &t->n_leap, &t->n_times, &t->n_types, &t->n_chars};
    for (int i = 0; i < 6; i++) {
        *counts[i] = big_endian(p + 20 + 4 * i, 4);
        if (*counts[i] < 0 || *counts[i] > 1 << 20) return false;
    }
    t->data = p + HEADER_BYTES;
    t->time_bytes = time_bytes;
    return block_bytes(t) <= left - HEADER_BYTES && t->n_types > 0;
}

static bool add_transitions(ns_zone *zone, const tzif *t, ns_status *status)
{
    const unsigned char *kinds = t->data + t->n_times * t->time_bytes, *types = kinds + t->n_times;
    *status = add_span(zone, INT64_MIN / 2, big_endian(types, 4));
    for (int64_t i = 0; i < t->n_times && *status == NS_OK; i++) {
        int64_t start = big_endian(t->data + i * t->time_bytes, t->time_bytes);
        if (kinds[i] >= t->n_types) return false;
        int64_t east = big_endian(types + 6 * kinds[i], 4);
        if (east < -NEAR || east > NEAR) return false;
        if (start <= zone->spans[zone->n_spans - 1].start) { /* "since ever": the far past of fat files */
            if (i > 0) return false;
            zone->spans[0].east = east;
        } else
            *status = add_span(zone, start, east);
    }
    return true;
}

/* False: not a TZif file that we can use. */
static bool fill(ns_zone *zone, const unsigned char *p, int64_t n_bytes, ns_status *status)
{
    tzif t;
    if (!read_header(&t, p, n_bytes, 4) || t.n_leap != 0) return false;
    if (p[4] < '2') return add_transitions(zone, &t, status);
    int64_t at = HEADER_BYTES + block_bytes(&t);
    if (!read_header(&t, p + at, n_bytes - at, 8) || t.n_leap != 0) return false;
    at += HEADER_BYTES + block_bytes(&t);
    char footer[256] = "";
    int64_t n = n_bytes - at - 2;
    if (n < 0 || n >= (int64_t)sizeof footer || p[at] != '\n' || p[n_bytes - 1] != '\n') return false;
    memcpy(footer, p + at + 1, (size_t)n);
    rule r;
    if (!add_transitions(zone, &t, status)) return false;
    if (*status != NS_OK || footer[0] == '\0') return true;
    if (!read_rule(footer, &r)) return false;
    *status = apply_rule(zone, &r);
    return true;
}

ns_status ns_zone_parse(ns_zone **out, const void *bytes, int64_t n_bytes, const char *what)
{
    ns_zone *zone = calloc(1, sizeof *zone);
    ns_status status = NS_OK;
    *out = zone;
    if (zone == NULL) return ns_fail(NS_ENOMEM, "no memory for a time zone");
    if (!fill(zone, bytes, n_bytes, &status)) status = ns_fail(NS_EFORMAT, "%s is not a time zone file that can be used", what);
    if (status != NS_OK) ns_zone_close(out);
    return status;
}

void ns_zone_close(ns_zone **zone)
{
    if (*zone == NULL) return;
    free((*zone)->spans);
    free(*zone);
    *zone = NULL;
}

/* Names are paths below the database and nothing else. */
static bool is_name(const char *name)
{
    if (strlen(name) > MAX_NAME || !isalpha((unsigned char)name[0])) return false;
    for (const char *p = name; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("_+-/", *p) == NULL) return false;
    return true;
}

ns_status ns_zone_open(ns_zone **out, const char *name)
{
    *out = NULL;
    if (strcmp(name, "UTC") == 0) {
        *out = calloc(1, sizeof **out);
        return *out != NULL ? add_span(*out, INT64_MIN / 2, 0) : ns_fail(NS_ENOMEM, "no memory for a time zone");
    }
    const char *folder = getenv("TZDIR");
    if (folder == NULL || *folder == '\0') folder = "/usr/share/zoneinfo";
    struct stat facts;
    if (stat(folder, &facts) != 0)
        return ns_fail(NS_EINVAL, "zone '%.60s' cannot be looked up: there is no time zone database at %s; install tzdata, or set "
                                  "TZDIR to where it is", name, folder);
    char path[1000];
    snprintf(path, sizeof path, "%.700s/%.200s", folder, name);
    bool found = is_name(name) && stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
    char *bytes = NULL;
    size_t n_bytes = 0;
    if (found) NS_TRY(ns_read_whole(path, &bytes, &n_bytes, &found));
    ns_status status;
    if (!found)
        status = ns_fail(NS_EINVAL, "zone '%.60s' is not in the time zone database at %s (names are such as Europe/Vienna)", name,
                         folder);
    else {
        status = ns_zone_parse(out, bytes, (int64_t)n_bytes, path);
        if (status == NS_EFORMAT) ns_last_error()->code = status = NS_EINVAL;
    }
    free(bytes);
    return status;
}

bool ns_zone_utc(const ns_zone *zone, int64_t local, int64_t *seconds)
{
    int64_t low = 0, high = zone->n_spans; /* the last span that starts at or before local - NEAR is in [low, high) */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (zone->spans[middle].start <= local - NEAR)
            low = middle;
        else
            high = middle;
    }
    for (int64_t i = low; i < zone->n_spans && zone->spans[i].start <= local + NEAR; i++) {
        int64_t utc = local - zone->spans[i].east;
        if (utc < zone->spans[i].start || (i + 1 < zone->n_spans && utc >= zone->spans[i + 1].start)) continue;
        *seconds = utc;
        return true;
    }
    return false;
}
