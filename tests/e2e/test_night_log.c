/*
 * What a site reads in the morning: the logs of a month of nights, in both formats, line by line into a table with start, end,
 * exit and counts of every night. One night has a broken extract, one is held, one is killed and run again.
 */
#include <ctype.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/nights.h"

enum { ROWS = 200, BROKEN = 11, HELD = 17, KILLED = 23, MOST_LIVES = 40 };

/* One life of a night, as its log tells. */
typedef struct life {
    char run[17], start[21], end[21], as_of[11];
    int exit; /* -1: no end */
    long long rows, scored, outside, rejected;
    double seconds;
    int n_lines;
} life;

typedef struct table {
    int n;
    life lives[MOST_LIVES];
} table;

/* --- one line, in either format, to an object of texts and numbers --- */

/* key=value key="a b": a backslash in quotes stands before a quote or a backslash. NULL where the line is not so. */
static json_t *read_text(const char *line)
{
    json_t *out = json_object();
    const char *c = line;
    while (*c != '\0') {
        char key[64], value[4096];
        size_t n = 0, m = 0;
        while ((isalnum((unsigned char)*c) || *c == '_') && n < sizeof key - 1) key[n++] = *c++;
        key[n] = '\0';
        if (n == 0 || *c++ != '=') goto bad;
        bool quoted = *c == '"';
        if (quoted) c++;
        while (*c != '\0' && *c != (quoted ? '"' : ' ') && m < sizeof value - 1) {
            if (quoted && *c == '\\') c++;
            if ((unsigned char)*c < ' ' || (!quoted && *c == '"')) goto bad;
            value[m++] = *c++;
        }
        value[m] = '\0';
        if (quoted && *c++ != '"') goto bad;
        if (*c == ' ' && c[1] != '\0') c++;
        else if (*c != '\0') goto bad;
        if (json_object_get(out, key) != NULL) goto bad; /* a key twice */
        json_object_set_new(out, key, json_string(value));
    }
    return out;
bad:
    json_decref(out);
    return NULL;
}

static json_t *read_line(const char *line, bool json)
{
    return json ? json_loads(line, JSON_REJECT_DUPLICATES, NULL) : read_text(line);
}

static const char *text_of(const json_t *line, const char *key, const char *whole)
{
    const json_t *value = json_object_get(line, key);
    if (!json_is_string(value)) fail_msg("no text '%s' in: %s", key, whole);
    return json_string_value(value);
}

/* A number: in JSON one, else a text that is one. */
static double number_of(const json_t *line, const char *key, const char *whole)
{
    const json_t *value = json_object_get(line, key);
    char *end = NULL;
    if (json_is_number(value)) return json_number_value(value);
    double number = json_is_string(value) ? strtod(json_string_value(value), &end) : 0;
    if (end == NULL || *end != '\0' || end == json_string_value(value)) fail_msg("no number '%s' in: %s", key, whole);
    return number;
}

static void check_time(const char *ts, const char *whole)
{
    static const char pattern[] = "dddd-dd-ddTdd:dd:ddZ";
    if (strlen(ts) != sizeof pattern - 1) fail_msg("'%s' is no time: %s", ts, whole);
    for (size_t i = 0; i < sizeof pattern - 1; i++)
        if (pattern[i] == 'd' ? !isdigit((unsigned char)ts[i]) : ts[i] != pattern[i]) fail_msg("'%s' is no time: %s", ts, whole);
}

static void add_line(table *t, const char *text, bool json)
{
    json_t *line = read_line(text, json);
    if (!json_is_object(line)) fail_msg("not a line of the log: %s", text);
    const char *ts = text_of(line, "ts", text), *event = text_of(line, "event", text), *level = text_of(line, "level", text);
    check_time(ts, text);
    assert_string_equal(text_of(line, "verb", text), "score");
    assert_true(strcmp(level, "info") == 0 || strcmp(level, "warn") == 0);
    if (strcmp(event, "start") == 0) {
        assert_in_range(t->n, 0, MOST_LIVES - 1);
        life *begun = &t->lives[t->n++];
        begun->exit = -1;
        snprintf(begun->run, sizeof begun->run, "%s", text_of(line, "run", text));
        snprintf(begun->start, sizeof begun->start, "%s", ts);
    }
    assert_true(t->n > 0);
    life *now = &t->lives[t->n - 1];
    now->n_lines++;
    assert_string_equal(text_of(line, "run", text), now->run);
    assert_int_equal(now->exit, -1); /* the end is the last line */
    if (strcmp(event, "end") == 0) {
        snprintf(now->end, sizeof now->end, "%s", ts);
        now->exit = (int)number_of(line, "exit", text);
        now->seconds = number_of(line, "seconds", text);
        if (json_object_get(line, "as_of") != NULL) snprintf(now->as_of, sizeof now->as_of, "%s", text_of(line, "as_of", text));
        if (json_object_get(line, "rows") != NULL) {
            now->rows = (long long)number_of(line, "rows", text);
            now->scored = (long long)number_of(line, "scored", text);
            now->outside = (long long)number_of(line, "outside", text);
            now->rejected = (long long)number_of(line, "rejected", text);
        }
    }
    json_decref(line);
}

/* Every line is a line of the log, but for the one error line of a life that failed. */
static int read_log(table *t, const char *path, bool json)
{
    char *log = drive_read(path), *rest = log;
    int n_errors = 0;
    assert_non_null(log);
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        if (*line == '\0' && rest == NULL) break;
        if (strncmp(line, "nightshift: ", 12) == 0) n_errors++;
        else add_line(t, line, json);
    }
    free(log);
    return n_errors;
}

/* --- the month --- */

static void play_month(const char *format)
{
    drive_result result = drive_shell(200,
                                      "night() { ( exec '%s' score job.yaml --as-of $date --set log.format=%s --set 'score.out=%s/{as_of}.h5' >>%s.out 2>>%s.log ); }\n"
                                      "day=1; while [ $day -le %d ]; do\n"
                                      "  date=2026-10-$(printf %%02d $day)\n"
                                      "  NIGHTSHIFT_TEST_FAULT=; [ $day -ne %d ] || NIGHTSHIFT_TEST_FAULT=rename:scores:before:kill\n"
                                      "  export NIGHTSHIFT_TEST_FAULT\n"
                                      "  night; [ $? -ne 137 ] || { NIGHTSHIFT_TEST_FAULT=; night; }\n"
                                      "  day=$((day + 1))\ndone",
                                      drive_program(), format, format, format, format, NIGHTS, KILLED);
    if (result.code != 0) fail_msg("the month: exit %d: %s", result.code, result.err);
    drive_free(&result);
}

static void check_month(const table *t, int n_errors)
{
    assert_int_equal(t->n, NIGHTS + 1); /* the killed one has two lives */
    assert_int_equal(n_errors, 2);
    int day = 0, n_done = 0, n_without_end = 0;
    for (int i = 0; i < t->n; i++) {
        const life *l = &t->lives[i];
        char date[11];
        night_date(date, day);
        assert_true(l->n_lines >= 2 || l->exit < 0);
        if (l->exit < 0) { /* killed: no end, and the next life is of the same night */
            assert_int_equal(day + 1, KILLED);
            n_without_end++;
            continue;
        }
        assert_true(strcmp(l->start, l->end) <= 0);
        assert_true(l->seconds >= 0);
        assert_int_equal(l->exit, day + 1 == BROKEN ? 3 : day + 1 == HELD ? 4 : 0);
        assert_string_equal(l->as_of, date);
        if (l->exit != 3) {
            assert_int_equal(l->rows, ROWS + day);
            assert_int_equal(l->rows, l->scored + l->outside + l->rejected);
            assert_int_equal(l->rejected, day + 1 == HELD ? 20 : 0);
        }
        n_done += l->exit == 0;
        day++;
    }
    assert_int_equal(day, NIGHTS);
    assert_int_equal(n_done, NIGHTS - 2);
    assert_int_equal(n_without_end, 1);
}

static void test_month(void **state)
{
    (void)state;
    static const char *const formats[] = {"text", "json"};
    static table tables[2];
    for (int day = 0; day < NIGHTS; day++) {
        char date[11];
        night_date(date, day);
        night_extract(date, 300 + day, ROWS + day, day + 1 == HELD ? 10 : 0);
    }
    file_cut("tonight/2026-10-11.h5", 3000);
    for (int f = 0; f < 2; f++) {
        char path[32];
        snprintf(path, sizeof path, "%s.log", formats[f]);
        play_month(formats[f]);
        check_month(&tables[f], read_log(&tables[f], path, f == 1));
    }
    for (int i = 0; i < tables[0].n; i++) { /* both say the same */
        assert_int_equal(tables[0].lives[i].exit, tables[1].lives[i].exit);
        assert_int_equal(tables[0].lives[i].scored, tables[1].lives[i].scored);
        assert_int_equal(tables[0].lives[i].n_lines, tables[1].lives[i].n_lines);
    }
}

/* A site decides the format for all of its jobs. */
static void test_site(void **state)
{
    (void)state;
    table t = {0};
    night_extract("2026-12-01", 1, ROWS, 0);
    drive_write("site.yaml", "log: {format: json}\n");
    drive_result result = drive_shell(60, "NIGHTSHIFT_SITE=site.yaml '%s' score job.yaml --as-of 2026-12-01 2>site.log", drive_program());
    assert_int_equal(result.code, 0);
    drive_free(&result);
    assert_int_equal(read_log(&t, "site.log", true), 0);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.lives[0].exit, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_month), cmocka_unit_test(test_site)};
    drive_enter("night-log");
    night_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drive_leave();
    return failed;
}
