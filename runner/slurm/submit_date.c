#include "runner/slurm/submit_date.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/zone.h"
#include "runner/night/night_job.h"

ns_status ns_day_of(char out[NS_DATE_ROOM], int64_t seconds, const char *zone, ns_which_day day)
{
    struct tm local;
    time_t at = (time_t)seconds;
    if (zone != NULL) {
        ns_zone *known = NULL; /* the C library takes a zone that it does not know for UTC */
        NS_TRY(ns_zone_open(&known, zone));
        ns_zone_close(&known);
        setenv("TZ", zone, 1);
    }
    tzset();
    if (localtime_r(&at, &local) == NULL) return ns_fail(NS_EINVAL, "--as-of: the clock shows no date");
    struct tm noon = {.tm_year = local.tm_year, .tm_mon = local.tm_mon, .tm_mday = local.tm_mday - (day == NS_YESTERDAY), .tm_hour = 12, .tm_isdst = -1};
    if (mktime(&noon) == (time_t)-1 || strftime(out, NS_DATE_ROOM, "%Y-%m-%d", &noon) == 0)
        return ns_fail(NS_EINVAL, "--as-of: the clock shows no date");
    return NS_OK;
}

ns_status ns_submit_date(char out[NS_DATE_ROOM], const ns_args *args, const ns_job *job)
{
    const char *word = ns_args_value(args, "--as-of"), *date = NULL, *zone = ns_job_text(job, "run.time_zone");
    out[0] = '\0';
    bool yesterday = word != NULL && strcmp(word, "yesterday") == 0, today = word != NULL && strcmp(word, "today") == 0;
    if (!yesterday && !today) {
        NS_TRY(ns_night_date(&date, args));
        snprintf(out, NS_DATE_ROOM, "%s", date != NULL ? date : "");
        return NS_OK;
    }
    ns_status status = ns_day_of(out, (int64_t)time(NULL), zone, yesterday ? NS_YESTERDAY : NS_TODAY);
    if (status != NS_EINVAL || zone == NULL) return status;
    ns_error first = *ns_last_error();
    ns_error_clear();
    return ns_fail(NS_EINVAL, "%s: run.time_zone: %.1000s", ns_job_place(job, "run.time_zone"), first.message);
}
