/*
 * What a night leaves beside its scores: the CSV with the same content, counts of what the model does not know, its names in the
 * run folder and nowhere else; what `check` says the evening before.
 */
#include <hdf5.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/nights.h"
#include "tests/e2e/whole.h"

enum { ROWS = 400, FIELDS = 7 };

/* --- CSV --- */

/* The fields of the next line, quotes taken off; *rest goes on behind it. NULL at the end. quoted[i]: the field stood in quotes. */
static bool next_line(char **rest, char *fields[FIELDS], bool quoted[FIELDS])
{
    char *c = *rest, *to = c;
    int n = 0;
    if (*c == '\0') return false;
    for (;;) {
        assert_in_range(n, 0, FIELDS - 1);
        fields[n] = to;
        quoted[n] = *c == '"';
        if (quoted[n]) {
            for (c++; !(*c == '"' && c[1] != '"'); *to++ = *c++) c += *c == '"';
            c++;
        } else {
            while (*c != ',' && *c != '\n') *to++ = *c++;
        }
        n++;
        char end = *c++;
        *to++ = '\0';
        if (end == '\n') break;
        assert_int_equal(end, ',');
    }
    assert_int_equal(n, FIELDS);
    *rest = c;
    return true;
}

static hid_t open_scores(const char *path)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void read_column(hid_t file, const char *name, hid_t type, void *cells)
{
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(set >= 0 && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) >= 0);
    H5Dclose(set);
}

static bool same_float(const char *text, float value)
{
    char *end;
    float read = strtof(text, &end);
    if (isnan(value)) return *text == '\0';
    return *text != '\0' && *end == '\0' && memcmp(&read, &value, sizeof read) == 0;
}

static void test_csv(void **state)
{
    (void)state;
    static int64_t id[ROWS], admitted[ROWS];
    static uint8_t status[ROWS];
    static float risk[ROWS], age[ROWS];
    char *fields[FIELDS], hex[65];
    bool quoted[FIELDS];
    drive_must(0, "synth tonight/2026-11-10.h5 --rows %d --seed 9 --numbers 4 --categories 3 --missing-ids 2 --infinite 1 --quiet", ROWS);
    night_score(0, "", "--as-of 2026-11-10 --set score.csv=true");
    hid_t file = open_scores("scores/2026-11-10.h5");
    read_column(file, "id", H5T_NATIVE_INT64, id);
    read_column(file, "status", H5T_NATIVE_UINT8, status);
    read_column(file, "risk", H5T_NATIVE_FLOAT, risk);
    read_column(file, "keep/age", H5T_NATIVE_FLOAT, age);
    read_column(file, "keep/admitted_at", H5T_NATIVE_INT64, admitted);
    H5Fclose(file);
    char *csv = drive_read("scores/2026-11-10.csv"), *rest = csv;
    assert_non_null(csv);
    static const char *const names[FIELDS] = {"id", "status", "risk", "patient_id", "unit", "age", "admitted_at"};
    assert_true(next_line(&rest, fields, quoted));
    for (int i = 0; i < FIELDS; i++) assert_string_equal(fields[i], names[i]);
    int n_missing = 0, n_not_scored = 0;
    for (int row = 0; row < ROWS; row++) {
        assert_true(next_line(&rest, fields, quoted));
        n_missing += fields[0][0] == '\0';
        n_not_scored += fields[2][0] == '\0';
        if (status[row] != 2) assert_int_equal(strtoll(fields[0], NULL, 10), id[row]);
        else assert_string_equal(fields[0], "");
        assert_int_equal(fields[1][0] - '0', status[row]);
        assert_true(same_float(fields[2], risk[row]));
        assert_true(strlen(fields[2]) <= 14); /* 1.2345678e-05 is the longest: no digit too many */
        assert_true(same_float(fields[5], age[row]));
        int year, month, day, hour, minute, second;
        assert_int_equal(sscanf(fields[6], "%4d-%2d-%2dT%2d:%2d:%2dZ", &year, &month, &day, &hour, &minute, &second), 6);
        assert_int_equal(hour * 3600 + minute * 60 + second, admitted[row] % 86400);
    }
    assert_false(next_line(&rest, fields, quoted));
    assert_int_equal(n_missing, 2);
    assert_true(n_not_scored >= 3);
    free(csv);
    json_t *manifest = night_json("scores/2026-11-10.h5.manifest.json");
    drive_hash(hex, "scores/2026-11-10.csv");
    assert_string_equal(json_string_value(json_object_get(json_object_get(manifest, "csv"), "sha256")), hex);
    json_decref(manifest);
}

/* A CSV that is not what was published is noticed as scores are; one that is lacking is made. */
static void test_csv_matches(void **state)
{
    (void)state;
    char before[65], after[65];
    static const char night[] = "--as-of 2026-11-11 --set score.csv=true";
    night_extract("2026-11-11", 11, ROWS, 0);
    night_score(0, "", "--as-of 2026-11-11");
    night_score(2, "is published and score.csv differs; --replace", "%s", night);
    night_score(0, "", "%s --replace", night);
    drive_hash(before, "scores/2026-11-11.csv");
    file_flip("scores/2026-11-11.csv", 100);
    night_score(2, "scores/2026-11-11.csv' was altered after it was published", "%s", night);
    unlink("scores/2026-11-11.csv");
    night_score(0, "", "%s", night);
    drive_hash(after, "scores/2026-11-11.csv");
    assert_string_equal(before, after);
    drive_must(3, "score job.yaml --quiet %s --replace --set 'score.out=three/{as_of}.h5'", night);
    assert_true(drive_same("three/2026-11-11.csv", "scores/2026-11-11.csv"));
    assert_true(drive_same("three/2026-11-11.h5.manifest.json", "scores/2026-11-11.h5.manifest.json"));
}

/* Texts with commas, quotes and line ends: read back they are what they were. */
static void test_csv_texts(void **state)
{
    (void)state;
    char *fields[FIELDS];
    bool quoted[FIELDS];
    night_extract("2026-11-12", 12, ROWS, 0);
    cohort_replace_text("tonight/2026-11-12.h5", "unit", NULL, ROWS, "ward \"7\", left\nwing");
    night_score(0, "", "--as-of 2026-11-12 --set score.csv=true");
    char *csv = drive_read("scores/2026-11-12.csv"), *rest = csv;
    assert_true(next_line(&rest, fields, quoted));
    for (int row = 0; row < ROWS; row++) {
        assert_true(next_line(&rest, fields, quoted));
        assert_true(quoted[4]);
        assert_string_equal(fields[4], "ward \"7\", left\nwing");
    }
    free(csv);
}

/* --- what the model does not know --- */

static void test_missing_columns(void **state)
{
    (void)state;
    night_extract("2026-11-13", 13, ROWS, 0);
    cohort_drop("tonight/2026-11-13.h5", "/columns/sex");
    cohort_drop("tonight/2026-11-13.h5", "/columns/creatinine");
    night_score(3, "tonight/2026-11-13.h5: has no columns 'creatinine', 'sex', which the model needs", "--as-of 2026-11-13");
    night_score(0, "", "--as-of 2026-11-13 --set score.missing_columns=as_missing");
    json_t *manifest = night_json("scores/2026-11-13.h5.manifest.json");
    const json_t *missing = json_object_get(json_object_get(manifest, "unseen"), "missing_columns");
    assert_int_equal(json_array_size(missing), 2);
    assert_string_equal(json_string_value(json_array_get(missing, 1)), "sex");
    json_decref(manifest);
    /* the same as columns in which every cell is missing */
    night_extract("2026-11-14", 13, ROWS, 0);
    cohort_fill("tonight/2026-11-14.h5", "sex", -1);
    cohort_fill("tonight/2026-11-14.h5", "creatinine", NAN);
    night_score(0, "", "--as-of 2026-11-14");
    static float a[ROWS], b[ROWS];
    hid_t file = open_scores("scores/2026-11-13.h5");
    read_column(file, "risk", H5T_NATIVE_FLOAT, a);
    H5Fclose(file);
    file = open_scores("scores/2026-11-14.h5");
    read_column(file, "risk", H5T_NATIVE_FLOAT, b);
    H5Fclose(file);
    assert_memory_equal(a, b, sizeof a);
    drive_must(3, "score job.yaml --quiet --as-of 2026-11-13 --set score.missing_columns=as_missing --set 'score.out=three/{as_of}.h5'");
    assert_true(drive_same("three/2026-11-13.h5.manifest.json", "scores/2026-11-13.h5.manifest.json"));
    /* what the night cannot do without: a column of where, the id */
    night_extract("2026-11-15", 13, ROWS, 0);
    cohort_drop("tonight/2026-11-15.h5", "/columns/age");
    night_score(3, "the cohort has no column 'age'", "--as-of 2026-11-15 --set score.missing_columns=as_missing --set score.keep=unit");
}

static void test_unseen(void **state)
{
    (void)state;
    static const char marker[] = "Zzyx ward of nobody";
    night_extract("2026-11-16", 16, ROWS, 0);
    cohort_replace_texts("tonight/2026-11-16.h5", "unit", NULL, ROWS, marker, 10); /* 40 levels of 10 rows each */
    cohort_replace_float("tonight/2026-11-16.h5", "new_lab", "number", ROWS, 1);
    drive_result result = drive_ranks(2, "score job.yaml --as-of 2026-11-16 --set score.keep=age --json");
    if (result.code != 0) fail_msg("%s", result.err);
    json_t *manifest = night_json("scores/2026-11-16.h5.manifest.json"), *names = night_record("2026-11-16", "unseen.json");
    const json_t *unseen = json_object_get(manifest, "unseen"), *unit = json_object_get(json_object_get(unseen, "levels"), "unit");
    assert_int_equal(json_integer_value(json_object_get(unseen, "columns")), 1);
    int64_t n_levels = json_integer_value(json_object_get(unit, "levels"));
    assert_true(n_levels > 1);
    const json_t *list = json_object_get(json_object_get(names, "levels"), "unit");
    assert_int_equal(json_array_size(list), n_levels);
    int64_t n_rows = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        assert_non_null(strstr(json_string_value(json_object_get(entry, "level")), "Zzyx"));
        n_rows += json_integer_value(json_object_get(entry, "rows"));
    }
    assert_int_equal(n_rows, json_integer_value(json_object_get(unit, "rows")));
    assert_int_equal(n_rows, json_integer_value(json_object_get(json_object_get(manifest, "counts"), "scored"))); /* only rows that were scored count */
    assert_string_equal(json_string_value(json_array_get(json_object_get(names, "new_columns"), 0)), "new_lab");
    json_decref(manifest);
    json_decref(names);
    /* names stand there and nowhere else */
    char *text = drive_read("scores/2026-11-16.h5.manifest.json");
    assert_null(strstr(text, "Zzyx"));
    assert_null(strstr(result.out, "Zzyx"));
    assert_null(strstr(result.err, "Zzyx"));
    assert_non_null(strstr(result.err, "event=unseen columns=1"));
    free(text);
    drive_free(&result);
    /* a night on which everything is known leaves no list, and takes an old one away */
    night_extract("2026-11-16", 16, ROWS, 0);
    night_score(0, "", "--as-of 2026-11-16 --replace");
    manifest = night_json("scores/2026-11-16.h5.manifest.json");
    unseen = json_object_get(json_object_get(manifest, "unseen"), "levels");
    names = night_record("2026-11-16", "unseen.json");
    assert_true((names != NULL) == (json_object_size(unseen) > 0));
    assert_null(json_object_get(unseen, "unit"));
    json_decref(names);
    json_decref(manifest);
}

/* --- check, the evening before --- */

static void check_says(int code, const char *says, const char *words)
{
    drive_result result = drive_ranks(0, "check job.yaml %s", words);
    if (result.code != code || strstr(result.out, says) == NULL)
        fail_msg("check %s: exit %d, not %d with '%s'\n%s%s", words, result.code, code, says, result.out, result.err);
    drive_free(&result);
}

static void test_check(void **state)
{
    (void)state;
    night_extract("2026-11-18", 18, ROWS, 0);
    check_says(0, "not looked at; with --as-of DATE", "");
    check_says(0, "night     400 rows in 1 files", "--as-of 2026-11-18");
    check_says(2, "--as-of: '2026-02-30' is not a date", "--as-of 2026-02-30");
    check_says(3, "tonight/2026-11-19.h5", "--as-of 2026-11-19");
    check_says(3, "score.expect.min_rows: the cohort has 400 rows", "--as-of 2026-11-18 --set score.expect.min_rows=500");
    check_says(3, "score.expect.files: 1 files are there, 2 are expected", "--as-of 2026-11-18 --set score.expect.files=2");
    check_says(2, "there is no bundle at", "--as-of 2026-11-18 --set score.bundle=runs/nowhere");
    check_says(3, "score.keep: the cohort has no column 'ward'", "--as-of 2026-11-18 --set score.keep=ward");
    check_says(2, "job.yaml' is not a folder", "--as-of 2026-11-18 --set score.out=job.yaml/s.h5");
    check_says(3, "nowhere.h5': no such file", "--as-of 2026-11-18 --set data.cohort=nowhere.h5");
    drive_result result = drive_ranks(3, "check job.yaml --as-of 2026-11-19 --set score.bundle=runs/nowhere --json");
    assert_int_equal(result.code, 2);
    json_t *summary = json_loads(result.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(summary, "problems")), 2); /* both are said */
    json_decref(summary);
    drive_free(&result);
    assert_int_equal(access("scores/2026-11-18.h5", F_OK), -1);
    assert_null(night_record("2026-11-18", "night.json"));
    /* a job that only scores */
    drive_write("only.yaml", "name: only\ndata: {id: encounter_id}\nscore: {bundle: runs/a/bundle, cohort: [\"tonight/{as_of}.h5\"], out: \"scores/{as_of}.h5\"}\n");
    drive_must(0, "check only.yaml --as-of 2026-11-18 --quiet");
    drive_must(0, "score only.yaml --as-of 2026-11-18 --quiet");
}

/* What is refused before a row is read leaves nothing, not even a folder. */
static void test_nothing_left(void **state)
{
    (void)state;
    drive_result result = drive_ranks(0, "train job.yaml --quiet --set run.out=empty/run --set data.cohort=nowhere.h5");
    assert_int_equal(result.code, 3);
    drive_free(&result);
    assert_int_equal(access("empty", F_OK), -1);
    night_score(2, "there is no bundle at", "--as-of 2026-11-18 --set score.bundle=runs/nowhere --set run.out=empty/run --set score.out=empty/s.h5");
    night_score(3, "score.keep", "--as-of 2026-11-18 --set score.keep=ward --set run.out=empty/run --set score.out=empty/s.h5");
    assert_int_equal(access("empty", F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_csv),    cmocka_unit_test(test_csv_matches), cmocka_unit_test(test_csv_texts), cmocka_unit_test(test_missing_columns),
                                       cmocka_unit_test(test_unseen), cmocka_unit_test(test_check),       cmocka_unit_test(test_nothing_left)};
    drive_enter("night-output");
    night_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drive_leave();
    return failed;
}
