/*
 * Splits by time and cohorts whose labels come late. The test makes the rows, so it knows every time, patient and label, and
 * works out by itself, row by row, which part each is in: the program's counts must be those, and its model that of a split by
 * a column that holds these parts.
 */
#include <jansson.h>
#include <time.h>
#include <unistd.h>

#include "data/cohort_writer.h"
#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/drive.h"

enum { N_ROWS = 9000, N_FILES = 3, N_PATIENTS = 4000, DAY = 86400 };
static const int64_t first_day = 1672531200; /* 2023-01-01 */

typedef struct row {
    int64_t time;    /* INT64_MIN: missing */
    int32_t patient; /* -1: missing */
    int32_t label;   /* -1: missing */
    float age, lab;
} row;
static row rows[N_ROWS];

static uint32_t mixed(int64_t i, uint32_t salt)
{
    uint32_t x = (uint32_t)i * 2654435761u + salt * 40503u + 977u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    x *= 3266489917u;
    return x ^ x >> 16;
}

/* Two years, in no order; a patient's rows lie in different files. In the last 60 days an outcome has a label at once, and its
   absence not yet. */
static void make_rows(void)
{
    for (int64_t i = 0; i < N_ROWS; i++) {
        row *r = &rows[i];
        int64_t second = (int64_t)(mixed(i, 1) % (730u * DAY));
        r->time = mixed(i, 2) % 50 == 0 ? INT64_MIN : first_day + second;
        r->patient = mixed(i, 3) % 20 == 0 ? -1 : (int32_t)(mixed(i, 4) % N_PATIENTS);
        r->age = (float)(18 + mixed(i, 5) % 70u);
        r->lab = (float)(mixed(i, 6) % 1000u) / 8.0f;
        r->label = mixed(i, 7) % 100u < 10u + (r->age > 60 ? 25u : 0u);
        bool is_late = r->time != INT64_MIN && second >= 670 * DAY;
        if ((is_late && r->label == 0) || mixed(i, 8) % 40 == 0) r->label = -1;
    }
}

static void write_ids(ns_cohort_writer *writer, int64_t first, int64_t n)
{
    ns_texts patients = {0};
    int64_t *ids = malloc((size_t)n * sizeof *ids), *times = malloc((size_t)n * sizeof *times);
    for (int64_t i = 0; i < n; i++) {
        char text[20] = "";
        int length = rows[first + i].patient < 0 ? 0 : snprintf(text, sizeof text, "P%05d", rows[first + i].patient);
        CHECK_OK(ns_texts_append(&patients, text, length));
        ids[i] = first + i;
        times[i] = rows[first + i].time;
    }
    CHECK_OK(ns_cohort_writer_column(writer, "encounter_id", NS_COL_ID, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_id_ints(writer, ids, n));
    CHECK_OK(ns_cohort_writer_column(writer, "patient_id", NS_COL_ID, true, NULL, NULL));
    CHECK_OK(ns_cohort_writer_id_texts(writer, &patients));
    CHECK_OK(ns_cohort_writer_column(writer, "admitted_at", NS_COL_TIME, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_times(writer, times, n));
    ns_texts_destroy(&patients);
    free(ids);
    free(times);
}

static void write_category(ns_cohort_writer *writer, const char *name, const int32_t *codes, int64_t n, const char *const *levels,
                           int n_levels)
{
    ns_texts texts = {0};
    for (int i = 0; i < n_levels; i++) CHECK_OK(ns_texts_append(&texts, levels[i], (int64_t)strlen(levels[i])));
    CHECK_OK(ns_cohort_writer_column(writer, name, NS_COL_CATEGORY, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_codes(writer, codes, n));
    CHECK_OK(ns_cohort_writer_levels(writer, &texts));
    ns_texts_destroy(&texts);
}

/* Rows [first, first + n); part[i] of row i, 0 none, 1 train, 2 valid, 3 test. */
static void write_file(const char *path, const int *part, int64_t first, int64_t n)
{
    static const char *const answers[] = {"no", "yes"}, *const parts[] = {"train", "valid", "test"};
    ns_cohort_writer *writer;
    float *values = malloc((size_t)n * sizeof *values);
    int32_t *codes = malloc((size_t)n * sizeof *codes);
    CHECK_OK(ns_cohort_writer_open(&writer, path, NULL));
    write_ids(writer, first, n);
    for (int64_t i = 0; i < n; i++) values[i] = rows[first + i].age;
    CHECK_OK(ns_cohort_writer_column(writer, "age", NS_COL_NUMBER, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_numbers(writer, values, n));
    for (int64_t i = 0; i < n; i++) values[i] = rows[first + i].lab;
    CHECK_OK(ns_cohort_writer_column(writer, "lab", NS_COL_NUMBER, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_numbers(writer, values, n));
    for (int64_t i = 0; i < n; i++) codes[i] = rows[first + i].label;
    write_category(writer, "readmitted", codes, n, answers, 2);
    for (int64_t i = 0; i < n; i++) codes[i] = part[first + i] - 1;
    write_category(writer, "part", codes, n, parts, 3);
    CHECK_OK(ns_cohort_writer_finish(writer));
    ns_cohort_writer_close(&writer);
    free(values);
    free(codes);
}

/* --- the test's own split --- */

typedef struct dates { /* days since first_day; 0: not set */
    int valid, test, until, window;
    const char *returning; /* "": no data.group */
} dates;

typedef struct wanted {
    int part[N_ROWS];
    int64_t n_rows[4], n_events[4], without_time, open, after, n_unlabelled[4], returning_rows, returning_patients;
} wanted;

/* One row's part by its time alone; or 0 and -1 no time, -2 window open, -3 after until. */
static int part_by_time(const dates *d, int64_t time, int *why)
{
    *why = 0;
    int borders[] = {d->valid, d->test, d->until};
    if (time == INT64_MIN) return *why = -1, 0;
    if (d->until != 0 && time >= first_day + (int64_t)d->until * DAY) return *why = -3, 0;
    int part = d->test != 0 && time >= first_day + (int64_t)d->test * DAY      ? 3
               : d->valid != 0 && time >= first_day + (int64_t)d->valid * DAY ? 2
                                                                              : 1;
    for (int b = 0; b < 3; b++) { /* the first border after the row; within the window before it nothing is known yet */
        int64_t border = first_day + (int64_t)borders[b] * DAY;
        if (borders[b] == 0 || border <= time) continue;
        if (d->window > 0 && time + (int64_t)d->window * DAY >= border) *why = -2;
        break;
    }
    return *why == 0 ? part : 0;
}

static void work_out(const dates *d, wanted *w)
{
    memset(w, 0, sizeof *w);
    for (int64_t i = 0; i < N_ROWS; i++) {
        int why;
        int part = part_by_time(d, rows[i].time, &why);
        if (rows[i].label < 0) {
            w->n_unlabelled[part]++;
            continue;
        }
        w->without_time += why == -1;
        w->open += why == -2;
        w->after += why == -3;
        w->part[i] = part;
    }
    for (int p = 0; p < N_PATIENTS && d->returning[0] != '\0'; p++) {
        int lowest = 0, highest = 0;
        for (int64_t i = 0; i < N_ROWS; i++) {
            if (rows[i].patient != p || w->part[i] == 0) continue;
            if (lowest == 0 || w->part[i] < lowest) lowest = w->part[i];
            if (w->part[i] > highest) highest = w->part[i];
        }
        w->returning_patients += highest > lowest;
        for (int64_t i = 0; i < N_ROWS && highest > lowest; i++)
            if (rows[i].patient == p && w->part[i] > lowest) {
                w->returning_rows++;
                if (strcmp(d->returning, "keep") != 0) w->part[i] = 0;
            }
    }
    for (int64_t i = 0; i < N_ROWS; i++) {
        w->n_rows[w->part[i]]++;
        w->n_events[w->part[i]] += w->part[i] > 0 && rows[i].label == 1;
    }
}

/* --- the program's --- */

static void write_job(const char *path, const dates *d, const char *by)
{
    char split[400] = "";
    size_t n = 0;
    const struct {
        const char *key;
        int day;
    } options[] = {{"valid_from", d->valid}, {"test_from", d->test}, {"until", d->until}};
    for (int i = 0; i < 3; i++) {
        if (options[i].day == 0) continue;
        time_t at = (time_t)(first_day + (int64_t)options[i].day * DAY);
        struct tm *day = gmtime(&at);
        n += (size_t)snprintf(split + n, sizeof split - n, ", %s: %04d-%02d-%02d", options[i].key, day->tm_year + 1900,
                              day->tm_mon + 1, day->tm_mday);
    }
    if (d->returning[0] != '\0' && strcmp(d->returning, "default") != 0)
        snprintf(split + n, sizeof split - n, ", returning: %s", d->returning);
    char window[60] = "";
    if (d->window > 0) snprintf(window, sizeof window, ", window: %dd", d->window);
    bool by_column = strcmp(by, "column") == 0;
    drive_write(path,
                "name: times\n"
                "data:\n"
                "  cohort: [%s]\n"
                "  id: encounter_id\n"
                "%s%s"
                "  label: {column: readmitted, positive: [yes]%s}\n"
                "  features: {include: [age, lab]}\n"
                "  split: {by: %s%s}\n"
                "model: {rounds: 4, max_leaves: 7}\n",
                "cut/*.h5", d->returning[0] == '\0' || by_column ? "" : "  group: patient_id\n",
                by_column ? "" : "  time: admitted_at\n", by_column ? "" : window, by, by_column ? ", column: part" : split);
}

static json_t *report(int n_ranks, const char *words)
{
    drive_result result = drive_ranks(n_ranks, "%s --quiet --json", words);
    json_error_t error;
    json_t *out = json_loads(result.out, 0, &error);
    if (result.code != 0 || out == NULL) fail_msg("%s: exit %d: %s", words, result.code, result.err);
    drive_free(&result);
    return out;
}

static int64_t number_at(const json_t *from, const char *path)
{
    char name[200];
    for (const char *at = path; *at != '\0';) {
        size_t n = strcspn(at, "/");
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        from = json_object_get(from, name);
        at += n + (at[n] == '/');
    }
    if (!json_is_integer(from)) fail_msg("there is no %s", path);
    return json_integer_value(from);
}

static void check_number(const json_t *from, const char *path, int64_t want, int which)
{
    int64_t got = number_at(from, path);
    if (got != want) fail_msg("case %d: %s is %lld, not %lld", which, path, (long long)got, (long long)want);
}

static void check_counts(const json_t *split, const dates *d, const wanted *w, int which)
{
    check_number(split, "left_out/without_time", w->without_time, which);
    check_number(split, "left_out/window_open", w->open, which);
    check_number(split, "left_out/after_until", w->after, which);
    check_number(split, "without_label/train", w->n_unlabelled[1], which);
    check_number(split, "without_label/valid", w->n_unlabelled[2], which);
    check_number(split, "without_label/test", w->n_unlabelled[3], which);
    assert_int_equal(d->returning[0] != '\0', json_object_get(split, "returning") != NULL);
    if (d->returning[0] == '\0') return;
    check_number(split, "returning/rows", w->returning_rows, which);
    check_number(split, "returning/patients", w->returning_patients, which);
}

static const dates cases[] = {
    {500, 600, 0, 0, "default"}, {500, 600, 700, 30, "drop"}, {500, 600, 670, 45, "keep"},
    {0, 450, 0, 30, ""},         {600, 0, 0, 0, "drop"},
};
enum { N_CASES = sizeof cases / sizeof cases[0] };

static void write_cut(const wanted *w, int n_files)
{
    drive_remove("cut");
    drive_result made = drive_shell(10, "mkdir cut");
    drive_free(&made);
    for (int f = 0; f < n_files; f++) {
        char path[40];
        snprintf(path, sizeof path, "cut/%d.h5", f);
        write_file(path, w->part, N_ROWS * f / n_files, N_ROWS * (f + 1) / n_files - N_ROWS * f / n_files);
    }
}

/* Counts, model and bundle of each case, on 1 to 4 ranks, from one file and from three. */
static void test_against_own_split(void **state)
{
    (void)state;
    static wanted w;
    for (int c = 0; c < N_CASES; c++) {
        const dates *d = &cases[c];
        work_out(d, &w);
        assert_true(w.n_rows[1] > 1000 && (d->test == 0 || w.n_rows[3] > 200) && w.without_time > 50);
        write_cut(&w, N_FILES);
        write_job("time.yaml", d, "time");
        write_job("column.yaml", d, "column");
        drive_remove("runs");
        json_t *trained = report(0, "train time.yaml --set run.out=runs/one"), *checked = report(2, "check time.yaml");
        check_counts(json_object_get(json_object_get(json_object_get(trained, "metrics"), "table"), "split"), d, &w, c);
        check_counts(json_object_get(checked, "split"), d, &w, c);
        static const char *const names[] = {"none", "train", "valid", "test"};
        for (int part = 1; part <= 3; part++) {
            char path[60];
            snprintf(path, sizeof path, "metrics/parts/%s/rows", names[part]);
            check_number(trained, path, w.n_rows[part], c);
            snprintf(path, sizeof path, "metrics/parts/%s/events", names[part]);
            check_number(trained, path, w.n_events[part], c);
            snprintf(path, sizeof path, "parts/%s", names[part]);
            check_number(checked, path, w.n_rows[part], c);
        }
        json_decref(trained);
        json_decref(checked);
        if (d->test != 0) { /* the bundle's own test part is found again */
            json_t *evaluated = report(3, "evaluate time.yaml --set run.out=runs/one");
            check_number(evaluated, "metrics/n", w.n_rows[3], c);
            check_number(evaluated, "metrics/events", w.n_events[3], c);
            json_decref(evaluated);
        }
        drive_must(2, "train column.yaml --quiet --set run.out=runs/column");
        if (!drive_same("runs/one/bundle/model.safetensors", "runs/column/bundle/model.safetensors"))
            fail_msg("case %d: the model is not that of the same parts by column", c);
        for (int n_ranks = 2; n_ranks <= 4; n_ranks++) {
            char out[40], bundle[60];
            snprintf(out, sizeof out, "runs/%d", n_ranks);
            snprintf(bundle, sizeof bundle, "%s/bundle", out);
            if (n_ranks == 4) write_cut(&w, 1);
            drive_must(n_ranks, "train time.yaml --quiet --set run.out=%s", out);
            if (!drive_same("runs/one/bundle", bundle)) fail_msg("case %d: another bundle on %d ranks", c, n_ranks);
        }
    }
}

/* until with a split by patients: rows whose outcome is not known yet are in no part, the others where they were. */
static void test_until_with_other_splits(void **state)
{
    (void)state;
    static wanted w;
    const dates d = {0, 0, 700, 30, ""};
    work_out(&d, &w);
    write_cut(&w, N_FILES);
    drive_write("until.yaml",
                "name: until\ndata: {cohort: [cut/*.h5], id: encounter_id, group: patient_id, time: admitted_at,\n"
                "  label: {column: readmitted, positive: [yes], window: 30d}, features: {include: [age, lab]},\n"
                "  split: {until: 2024-12-01}}\nmodel: {rounds: 2}\n");
    drive_remove("runs");
    json_t *got = report(3, "train until.yaml");
    const json_t *metrics = json_object_get(got, "metrics"), *left = json_object_get(json_object_get(metrics, "table"), "split");
    check_number(left, "left_out/without_time", w.without_time, 0);
    check_number(left, "left_out/window_open", w.open, 0);
    check_number(left, "left_out/after_until", w.after, 0);
    assert_true(w.open > 30 && w.after > 10);
    int64_t in_parts = number_at(metrics, "parts/train/rows") + number_at(metrics, "parts/valid/rows") + number_at(metrics, "parts/test/rows");
    assert_int_equal(in_parts, w.n_rows[1]);
    json_decref(got);
    /* the echo in the run folder is a job that says the same */
    drive_must(0, "check runs/until/job.yaml --quiet");
}

/* A split column that is whole stays so when late rows are left out of it: that tears no patient. */
static void test_until_tears_nobody(void **state)
{
    (void)state;
    static wanted w;
    memset(&w, 0, sizeof w);
    for (int i = 0; i < N_ROWS; i++) w.part[i] = rows[i].patient % 3 == 2 ? 3 : 1;
    write_cut(&w, N_FILES);
    drive_write("whole.yaml",
                "name: whole\ndata: {cohort: [cut/*.h5], id: encounter_id, group: patient_id, time: admitted_at,\n"
                "  label: {column: readmitted, positive: [yes]}, features: {include: [age, lab]},\n"
                "  split: {by: column, column: part, until: 2024-10-01}}\nmodel: {rounds: 2}\n");
    drive_remove("runs");
    drive_must(2, "train whole.yaml --quiet");
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        int code;
        const char *says;
    } refused[] = {
        {"--set data.split.returning=error", 3, "--set: data.split.returning: "},
        {"--set data.split.valid_from=2022-06-01", 3, "--set: data.split.valid_from: no row is left for the training part; left out: "},
        {"--set data.split.test_from=2025-06-01", 3, "--set: data.split.test_from: no row is left for the test part; left out: "},
        {"--set data.time=", 2, "data.split.by: time needs data.time"},
        {"--set data.time=age", 3, "data.time: column 'age' is of kind number, not time"},
        {"--set data.time=discharged_at", 3, "data.time: the cohort has no column 'discharged_at'"},
        {"--set data.split.until=2024-01-01", 2, "--set: data.split.until: must be after data.split.test_from"},
        {"--set data.split.test_from=soon", 2, "--set: data.split.test_from: 'soon' is not a time such as"},
        {"--set data.label.window=1000d", 2, "--set: data.label.window: is as long as the validation part"},
    };
    static wanted w;
    const dates d = {500, 600, 0, 0, "default"};
    work_out(&d, &w);
    write_cut(&w, N_FILES);
    write_job("time.yaml", &d, "time");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        for (int n_ranks = 0; n_ranks <= 3; n_ranks += 3)
            for (int verb = 0; verb < 2; verb++) {
                drive_remove("runs");
                int n_lines;
                drive_result result = drive_ranks(n_ranks, "%s time.yaml --quiet %s", verb == 0 ? "train" : "check", refused[i].words);
                const char *line = drive_error_line(&result, &n_lines);
                if (result.code != refused[i].code || n_lines != 1 || strstr(line, refused[i].says) == NULL)
                    fail_msg("%s on %d ranks: exit %d, not %d with '%s'\n%s", refused[i].words, n_ranks, result.code, refused[i].code,
                             refused[i].says, result.err);
                assert_int_equal(access("runs/times/bundle", F_OK), -1);
                drive_free(&result);
            }
}

/* Labels that come late are told: on the validation part of the last 60 days only outcomes have one. */
static void test_late_labels_are_told(void **state)
{
    (void)state;
    static wanted w;
    const dates d = {500, 670, 0, 0, "drop"};
    work_out(&d, &w);
    write_cut(&w, N_FILES);
    write_job("time.yaml", &d, "time");
    drive_remove("runs");
    drive_result result = drive_ranks(2, "train time.yaml --quiet");
    assert_int_equal(result.code, 0);
    if (strstr(result.err, "event=late_labels part=test") == NULL) fail_msg("no word of late labels:\n%s", result.err);
    assert_null(strstr(result.err, "event=late_labels part=train"));
    drive_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_own_split),  cmocka_unit_test(test_until_with_other_splits),
        cmocka_unit_test(test_until_tears_nobody), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_late_labels_are_told),
    };
    drive_enter("time_split");
    make_rows();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drive_leave();
    return failed;
}
