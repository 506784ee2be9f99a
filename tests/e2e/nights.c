#include "tests/e2e/nights.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "tests/check.h"

void night_prepare(void)
{
    drive_must(0, "synth train.h5 --rows 3000 --seed 1 --numbers 4 --categories 3 --quiet");
    drive_job("job.yaml", "night", "train.h5",
              "  where: \"age >= 18\"\n"
              "model: {rounds: 6, max_leaves: 7}\n"
              "score:\n"
              "  bundle: runs/a/bundle\n"
              "  cohort: [\"tonight/{as_of}.h5\"]\n"
              "  out: \"scores/{as_of}.h5\"\n"
              "  keep: [patient_id, unit, age, admitted_at]\n"
              "run: {out: runs/night, threads: 1}\n");
    drive_edit("job.yaml", "[true_risk]", "[none*]"); /* a pattern: these cohorts have no such column */
    drive_must(0, "train job.yaml --quiet --set run.out=runs/a");
    drive_must(0, "train job.yaml --quiet --set run.out=runs/b --set train.seed=5");
    mkdir("tonight", 0777);
}

void night_extract(const char *date, int seed, int n_rows, int n_duplicates)
{
    drive_must(0, "synth tonight/%s.h5 --rows %d --seed %d --numbers 4 --categories 3 --duplicate-ids %d --quiet", date, n_rows, seed, n_duplicates);
}

void night_date(char out[11], int day)
{
    assert_in_range(day, 0, NIGHTS - 1);
    memcpy(out, "2026-10-00", 11);
    out[8] = (char)(out[8] + (day + 1) / 10);
    out[9] = (char)(out[9] + (day + 1) % 10);
}

void night_hash(char hex[65], const char *date)
{
    char path[64];
    snprintf(path, sizeof path, "scores/%s.h5", date);
    drive_hash(hex, path);
}

json_t *night_json(const char *path)
{
    char *text = drive_read(path);
    json_t *document = text != NULL ? json_loads(text, 0, NULL) : NULL;
    if (document == NULL) fail_msg("'%s' is not there or no JSON", path);
    free(text);
    return document;
}

json_t *night_record(const char *date, const char *name)
{
    char path[600] = "";
    DIR *dir = opendir("runs/night/nights");
    for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir))
        if (strncmp(entry->d_name, date, strlen(date)) == 0) snprintf(path, sizeof path, "runs/night/nights/%s/%s", entry->d_name, name);
    if (dir != NULL) closedir(dir);
    char *text = path[0] != '\0' ? drive_read(path) : NULL;
    bool found = text != NULL;
    free(text);
    return found ? night_json(path) : NULL;
}

void night_score(int code, const char *says, const char *format, ...)
{
    char words[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    drive_result result = drive_ranks(0, "score job.yaml --quiet %s", words);
    int n_lines;
    const char *line = drive_error_line(&result, &n_lines);
    if (result.code != code || n_lines != (code != 0) || strstr(line, says) == NULL)
        fail_msg("score %s: exit %d, not %d with '%s'\n%s", words, result.code, code, says, result.err);
    drive_free(&result);
}
