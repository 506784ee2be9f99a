#include "runner/night/night_job.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/cohort.h"
#include "data/durable.h"
#include "data/hash.h"
#include "runner/training/plan.h"
#include "runner/run_folder.h"

static int number_at(const char *digits, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) value = 10 * value + (digits[i] - '0');
    return value;
}

/* 2026-11-20 or 2026-11-20T06, a day that the calendar has */
static bool is_date(const char *text)
{
    static const char pattern[] = "dddd-dd-ddTdd";
    size_t n = strlen(text);
    if (n != 10 && n != 13) return false;
    for (size_t i = 0; i < n; i++)
        if (pattern[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != pattern[i]) return false;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = number_at(text, 4), month = number_at(text + 5, 2), day = number_at(text + 8, 2), hour = n == 13 ? number_at(text + 11, 2) : 0;
    if (month < 1 || month > 12 || day < 1 || hour > 23) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap);
}

ns_status ns_night_date(const char **out, const ns_args *args)
{
    const char *from = "--as-of", *date = ns_args_value(args, from);
    if (date == NULL) {
        from = "NIGHTSHIFT_AS_OF";
        date = getenv(from);
    }
    *out = date != NULL && date[0] != '\0' ? date : NULL;
    if (*out != NULL && !is_date(*out))
        return ns_fail(NS_EINVAL, "%s: '%.40s' is not a date such as 2026-11-20 or 2026-11-20T06", from, *out);
    return NS_OK;
}

static ns_status need(const ns_job *job, const char *key)
{
    if (ns_job_has(job, key)) return NS_OK;
    return ns_fail(NS_EINVAL, "%s: is not set in the job; score needs it", key);
}

static char *with_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path) + strlen(suffix) + 1;
    char *out = malloc(n);
    if (out != NULL) snprintf(out, n, "%s%s", path, suffix);
    return out;
}

/* scores/2026-11-20.h5 to scores/2026-11-20.csv; a name of another ending keeps it. */
static char *csv_beside(const char *out)
{
    size_t n = strlen(out);
    char *csv = with_suffix(out, ".csv");
    if (csv != NULL && n > 3 && strcmp(out + n - 3, ".h5") == 0 && out[n - 4] != '/') memcpy(csv + n - 3, ".csv", sizeof ".csv");
    return csv;
}

/* Names the run folder, which the own bundle and the record are in. */
static ns_status run_path(char **out, const ns_job *job)
{
    if (!ns_job_has(job, "name") && !ns_job_has(job, "run.out"))
        return ns_fail(NS_EINVAL, "name: is not set in the job, nor is run.out; score keeps its record, and looks for its bundle, in the run folder");
    return ns_plan_run_path(out, job);
}

/* RUN/nights/2026-11-20-3fa1b2c4: the digits stand for the path of the score file, so that two score files of one night never
   share a folder. */
static ns_status record_path(ns_night_job *night, const char *run)
{
    char hex[65];
    ns_sha256_hex(hex, night->out, strlen(night->out));
    size_t room = strlen(run) + sizeof "/nights/2026-11-20T06-12345678";
    night->record = malloc(room);
    if (night->record == NULL) return ns_fail(NS_ENOMEM, "no memory for the paths");
    snprintf(night->record, room, "%s/nights/%s-%.8s", run, night->as_of != NULL ? night->as_of : "undated", hex);
    return NS_OK;
}

/* The cohort's patterns and the file that is waited for, with the date in them. */
static ns_status date_cohort(ns_night_job *night)
{
    const ns_job *job = night->job;
    const char *const *patterns, *ready = "score.expect.ready";
    int64_t n = ns_job_list(job, "score.cohort", &patterns);
    night->cohort = calloc((size_t)n + 1, sizeof *night->cohort);
    if (night->cohort == NULL) return ns_fail(NS_ENOMEM, "no memory for the paths");
    for (; night->n_cohort < n; night->n_cohort++)
        NS_TRY(ns_job_dated_path(&night->cohort[night->n_cohort], job, "score.cohort", patterns[night->n_cohort], night->as_of));
    if (!ns_job_has(job, ready)) return NS_OK;
    return ns_job_dated_path(&night->ready, job, ready, ns_job_text(job, ready), night->as_of);
}

ns_status ns_night_job_open(ns_night_job *out, const ns_job *job, const char *as_of)
{
    *out = (ns_night_job){.job = job, .as_of = as_of, .csv_wanted = ns_job_flag(job, "score.csv")};
    NS_TRY(need(job, "score.cohort"));
    NS_TRY(need(job, "score.out"));
    if (ns_job_list(job, "score.keep", &(const char *const *){NULL}) > NS_MOST_KEEP)
        return ns_fail(NS_EINVAL, "%s: score.keep: names more than %d columns", ns_job_place(job, "score.keep"), NS_MOST_KEEP);
    NS_TRY(ns_job_dated_path(&out->out, job, "score.out", ns_job_text(job, "score.out"), as_of));
    NS_TRY(date_cohort(out));
    const char *bundle = ns_job_text(job, "score.bundle");
    if (bundle != NULL) NS_TRY(ns_job_dated_path(&out->bundle, job, "score.bundle", bundle, as_of));
    char *run = NULL;
    NS_TRY(run_path(&run, job));
    if (bundle == NULL) out->bundle = ns_path_join(run, "bundle");
    ns_status status = record_path(out, run);
    free(run);
    out->temporary = with_suffix(out->out, ".tmp");
    out->manifest = with_suffix(out->out, ".manifest.json");
    out->csv = csv_beside(out->out);
    if (out->csv != NULL) out->csv_temporary = with_suffix(out->csv, ".tmp");
    if (out->bundle == NULL || out->temporary == NULL || out->manifest == NULL || out->csv_temporary == NULL)
        status = ns_fail(NS_ENOMEM, "no memory for the paths");
    return status;
}

ns_status ns_night_job_files(ns_texts *files, const ns_night_job *night)
{
    const ns_job *job = night->job;
    const char *key = "score.expect.files", *ready = "score.expect.ready";
    if (night->ready != NULL && !ns_path_exists(night->ready))
        return ns_fail(NS_EFORMAT, "%s: %s: '%s' is not there yet", ns_job_place(job, ready), ready, night->ready);
    NS_TRY(ns_cohort_expand(files, (const char *const *)night->cohort, night->n_cohort, "score.cohort"));
    int64_t want = ns_job_has(job, key) ? ns_job_integer(job, key) : files->n;
    if (files->n == want) return NS_OK;
    return ns_fail(NS_EFORMAT, "%s: %s: %lld files are there, %lld are expected", ns_job_place(job, key), key, (long long)files->n, (long long)want);
}

ns_status ns_night_job_rows(const ns_night_job *night, int64_t n_rows)
{
    const char *key = "score.expect.min_rows";
    int64_t least = ns_job_has(night->job, key) ? ns_job_integer(night->job, key) : 0;
    if (n_rows >= least) return NS_OK;
    return ns_fail(NS_EFORMAT, "%s: %s: the cohort has %lld rows, at least %lld are expected", ns_job_place(night->job, key), key, (long long)n_rows,
                   (long long)least);
}

void ns_night_job_close(ns_night_job *night)
{
    for (int64_t i = 0; i < night->n_cohort; i++) free(night->cohort[i]);
    free(night->cohort);
    free(night->ready);
    free(night->out);
    free(night->temporary);
    free(night->manifest);
    free(night->csv);
    free(night->csv_temporary);
    free(night->bundle);
    free(night->record);
    *night = (ns_night_job){0};
}
