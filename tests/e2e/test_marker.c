/*
 * Nothing of a patient leaves a cohort but in scores. Every id, text and level of this cohort begins with a
 * mark, and every level is held by fewer patients than evaluate.min_cell, many by more rows than
 * model.category_min_rows: so no rule about rows alone keeps them out of a model. After every verb, on right
 * and on wrong input, the mark stands in nothing that the program printed and in no file that it left, but
 * score files, imported cohorts and the one list of levels that a model does not know.
 */
#include <dirent.h>
#include <math.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "data/cohort_writer.h"
#include "data/h5.h"
#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/drive.h"

enum { ROWS = 2048 };

/* "MARKER" is looked for in any case, so that a text cut short or turned to lower letters is found too. */
static const char looked_for[] = "MARKER";
static const cohort_style marked = {.mark = "XMARKERX0001", .rows_per_patient = 8, .patients_per_level = 3};

static const char job[] =
    "name: case\n"
    "data:\n"
    "  cohort: [cohort/*.h5]\n"
    "  id: encounter_id\n"
    "  group: patient_id\n"
    "  time: admitted_at\n"
    "  label: {column: outcome}\n"
    "  features: {include: [age, lab, sex, ward, note]}\n"
    "model: {rounds: 12, max_leaves: 15, min_rows: 1, category_min_rows: 1, category_split_rows: 1, "
    "category_smoothing: 0}\n"
    "evaluate: {subgroups: [sex, ward, note], min_cell: 11}\n"
    "score: {cohort: [cohort/*.h5], out: scores/night.h5, keep: [patient_id, note, ward]}\n"
    "run: {out: left/run, threads: 1, checkpoint_every: 0}\n";

/* --- looking for the mark --- */

static bool holds(const char *bytes, size_t n_bytes)
{
    size_t n = sizeof looked_for - 1;
    for (size_t i = 0; i + n <= n_bytes; i++)
        if (strncasecmp(bytes + i, looked_for, n) == 0) return true;
    return false;
}

static bool file_holds(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail_msg("cannot read '%s'", path);
    int64_t n = file_size(path);
    char *bytes = malloc((size_t)n + 1);
    if (fread(bytes, 1, (size_t)n, file) != (size_t)n) fail_msg("cannot read '%s'", path);
    fclose(file);
    bool found = holds(bytes, (size_t)n);
    free(bytes);
    return found;
}

/* Scores hold the ids of their rows: scores/NAME.h5, NAME.h5.held, NAME.h5.1. What is beside them does not. A night's
 * unseen.json names levels for the site.
 */
static bool may_hold(const char *path)
{
    size_t n = strlen(path);
    bool list = strstr(path, "/nights/") != NULL && n > 12 && strcmp(path + n - 12, "/unseen.json") == 0;
    return list || (strncmp(path, "scores/", 7) == 0 &&
                    (strcmp(path + n - 3, ".h5") == 0 || strcmp(path + n - 5, ".held") == 0 ||
                     strcmp(path + n - 2, ".1") == 0));
}

/* How many files below a folder were looked at. */
static int look_below(const char *folder, const char *after)
{
    int n = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) return 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[1024];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (holds(path, strlen(path))) fail_msg("after %s: the mark is in the name '%s'", after, path);
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
            n += look_below(path, after);
        } else if (!may_hold(path)) {
            if (file_holds(path)) fail_msg("after %s: the mark is in '%s'", after, path);
            n++;
        }
    }
    closedir(dir);
    return n;
}

static int n_files; /* looked at after the last command */

/* Runs a command and looks at everything that it printed and left; the result is the caller's. */
static drive_result watched(int n_ranks, int code, const char *words)
{
    drive_result result = drive_ranks(n_ranks, "%s", words);
    if (getenv("NIGHTSHIFT_SHOW") != NULL)
        print_message("%d ranks: %s: %d %s\n", n_ranks, words, result.code, drive_error_line(&result, NULL));
    if (result.code != code) fail_msg("%s: exit %d, not %d\n%s", words, result.code, code, result.err);
    if (holds(result.out, strlen(result.out))) fail_msg("%s: the mark is on stdout:\n%s", words, result.out);
    if (holds(result.err, strlen(result.err))) fail_msg("%s: the mark is on stderr:\n%s", words, result.err);
    n_files = look_below("left", words) + look_below("scores", words);
    return result;
}

/* On one rank and on three, with the summary as text and as JSON. */
static void watch(int code, const char *words)
{
    char json[1000];
    snprintf(json, sizeof json, "%s --json", words);
    drive_result result = watched(0, code, words);
    drive_free(&result);
    result = watched(3, code, json);
    drive_free(&result);
}

/* --- the cohort --- */

static void make_cohort(const char *folder)
{
    char path[64];
    drive_remove(folder);
    mkdir(folder, 0700);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%c.h5", folder, "abc"[i]);
        if (access("cohort/c.h5", F_OK) != 0 || strcmp(folder, "cohort") == 0)
            cohort_write(path, &marked, i * ROWS, ROWS);
        else {
            char from[64];
            snprintf(from, sizeof from, "cohort/%c.h5", "abc"[i]);
            file_copy(from, path);
        }
    }
}

/* The test can fail: the mark is in the columns that the program reads, and in what it may leave them in. */
static void test_mark_is_there(void **state)
{
    (void)state;
    static const char *const links[] = {"/levels/ward", "/levels/sex", "/levels/note",
                                        "/columns/encounter_id", "/columns/patient_id"};
    hid_t file = -1;
    CHECK_OK(ns_h5_open_read(&file, "cohort/c.h5", NS_EFORMAT));
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        hid_t set = H5Dopen2(file, links[i], H5P_DEFAULT);
        ns_texts texts = {0};
        CHECK_OK(ns_h5_read_texts(&texts, set, 0, 10, "cohort/c.h5", links[i], NS_EFORMAT));
        assert_true(holds(texts.bytes, (size_t)texts.offset[texts.n]));
        ns_texts_destroy(&texts);
    }
    H5Fclose(file);
    /* and with another rule about small cells it would stand in all of these */
    drive_must(0, "train job.yaml --quiet --set run.out=named/run --set evaluate.min_cell=1");
    assert_true(file_holds("named/run/bundle/model.safetensors"));
    assert_true(file_holds("named/run/bundle/metrics.json"));
    assert_true(file_holds("named/run/bundle/profile.json"));
    assert_true(file_holds("named/run/checkpoints/000012/state.safetensors"));
    assert_true(holds("see XMarkerX", 12));
    assert_false(holds("see XMarkeX", 11));
}

/* --- right input --- */

/* All of a subgroup's levels are held back. */
static void check_suppressed(const json_t *metrics)
{
    const json_t *cells = json_object_get(metrics, "subgroups");
    static const char *const columns[] = {"sex", "ward", "note"};
    assert_int_equal(json_array_size(cells), 3); /* one for each column: all its levels together */
    for (size_t i = 0; i < 3; i++) {
        const json_t *cell = json_array_get(cells, i);
        assert_string_equal(json_string_value(json_object_get(cell, "column")), columns[i]);
        assert_true(json_is_true(json_object_get(cell, "suppressed")));
        assert_true(json_is_null(json_object_get(cell, "level")));
        assert_true(json_integer_value(json_object_get(cell, "cells")) > 10);
        assert_null(json_object_get(cell, "auroc"));
    }
}

static void test_train(void **state)
{
    (void)state;
    watch(0, "inspect cohort/a.h5");
    watch(0, "check job.yaml");
    watch(0, "train job.yaml");
    assert_true(n_files >= 9);
    watch(0, "train job.yaml --restart --set log.format=json");
    watch(0, "train job.yaml --set model.rounds=14 --extend");
    watch(0, "inspect left/run");
    watch(0, "inspect left/run/bundle");
    watch(0, "inspect left/run/checkpoints/000014");
    watch(0, "verify left/run/bundle");
    watch(0, "train job.yaml --set run.out=left/number --set model.rounds=14");
    watch(0, "train job.yaml --set run.out=left/row --set data.split.by=row --set data.weight=weight --set "
             "train.stop_after=3 --set train.stop_metric=auroc");
    watch(0,
          "train job.yaml --set run.out=left/part --set data.split.by=column --set data.split.column=part");
    watch(0, "train job.yaml --set run.out=left/time --set data.split.by=time --set data.split.test_from=2023-11-25");
    watch(0, "check job.yaml --set data.split.by=time --set data.split.test_from=2023-11-25");
    watch(0, "train job.yaml --set run.out=left/in --set \"data.where=ward not in ('A') and note is not "
             "missing\"");
}

static void test_killed(void **state)
{
    (void)state;
    static const char *const faults[] = {"write:checkpoint/state.safetensors#3:torn:kill",
                                         "rename:checkpoint#5:before:kill", "write:run.json#1:after:kill",
                                         "rename:bundle:before:kill", "rename:bundle:after:kill"};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        setenv("NIGHTSHIFT_TEST_FAULT", faults[i], 1);
        drive_result result = drive_ranks(0, "train job.yaml --set run.out=left/killed");
        unsetenv("NIGHTSHIFT_TEST_FAULT");
        if (i < 4) assert_int_equal(result.code, 128 + 9);
        assert_false(holds(result.err, strlen(result.err)));
        drive_free(&result);
        look_below("left", faults[i]);
    }
    watch(0, "train job.yaml --set run.out=left/killed");
    watch(0, "inspect left/killed");
}

static void test_evaluate(void **state)
{
    (void)state;
    watch(0, "evaluate job.yaml --set model.rounds=14");
    watch(0, "evaluate job.yaml --set model.rounds=14 --set evaluate.name=all --set "
             "'evaluate.cohort=[cohort/*.h5]'");
    static const char *const files[] = {"left/run/bundle/metrics.json",
                                        "left/run/evaluations/test/metrics.json",
                                        "left/run/evaluations/all/metrics.json"};
    for (int i = 0; i < 3; i++) {
        json_t *document = json_load_file(files[i], 0, NULL);
        assert_non_null(document);
        const json_t *metrics = json_object_get(document, i == 0 ? "test" : "metrics");
        check_suppressed(metrics);
        json_decref(document);
    }
}

static void test_score(void **state)
{
    (void)state;
    watch(0, "score job.yaml --as-of 2026-11-20");
    assert_true(file_holds("scores/night.h5")); /* its rows have ids: data did come this way */
    watch(0, "score job.yaml --as-of 2026-11-20 --set score.where='age > 40' --replace");
    watch(0, "inspect scores/night.h5");
    watch(0, "score job.yaml --set score.out=scores/gold.h5 --set score.keep=[]");
    watch(0, "verify left/run/bundle --gold 'cohort/*.h5' --expect scores/gold.h5");
    watch(2, "score job.yaml --as-of 2026-11-21");
    make_cohort("odd");
    cohort_poke_float("odd/c.h5", "lab", 100, INFINITY);
    cohort_replace_text("odd/b.h5", "encounter_id", "id", ROWS,
                        "XMARKERX0001E000001"); /* all the same, and of a row of a */
    watch(0, "score job.yaml --set score.out=scores/odd.h5 --set 'score.cohort=[odd/*.h5]' --set "
             "score.max_rejected=1");
    watch(4, "score job.yaml --set score.out=scores/held.h5 --set 'score.cohort=[odd/*.h5]'");
    watch(0, "inspect scores/held.h5.held");
    watch(5, "verify left/run/bundle --gold 'odd/*.h5' --expect scores/gold.h5");
    cohort_poke_float("odd/a.h5", "age", 3, 99);
    watch(2, "score job.yaml --set score.out=scores/odd.h5 --set 'score.cohort=[odd/*.h5]' --set "
             "score.max_rejected=1");
}

/* --- wrong input --- */

static void same_id(void)
{
    cohort_replace_text("odd/c.h5", "encounter_id", "id", ROWS, "XMARKERX0001E000001");
}
static void infinite(void)
{
    cohort_poke_float("odd/c.h5", "lab", 100, INFINITY);
}
static void bad_code(void)
{
    cohort_poke_int("odd/c.h5", "ward", 100, 100000);
}
static void bad_weight(void)
{
    cohort_poke_float("odd/c.h5", "weight", 100, NAN);
}
static void bad_label(void)
{
    cohort_poke_float("odd/c.h5", "outcome", 100, 7);
}
static void levels_twice(void)
{
    cohort_set_levels("odd/c.h5", "sex", "XMARKERX0001S", "XMARKERX0001S");
}
static void text_number(void)
{
    cohort_replace_text("odd/c.h5", "lab", "number", ROWS, "XMARKERX0001");
}
static void text_time(void)
{
    cohort_replace_text("odd/c.h5", "admitted_at", "time", ROWS, "XMARKERX0001");
}
static void unknown_kind(void)
{
    cohort_set_kind("odd/c.h5", "ward", "wards");
}
static void no_ward(void)
{
    cohort_drop("odd/c.h5", "/columns/ward");
}
static void text_ward(void)
{
    cohort_replace_texts("odd/c.h5", "ward", "category", ROWS, "XMARKERX0001 in a cell ", 24);
}
static void cut(void)
{
    file_cut("odd/c.h5", file_size("odd/c.h5") / 2);
}
static void torn_patient(void)
{
    cohort_poke_int("odd/c.h5", "part", 0, 0), cohort_poke_int("odd/c.h5", "part", 1, 1);
}

static void flipped_ids(void)
{
    int64_t offset, n_bytes;
    cohort_chunk("odd/c.h5", "encounter_id", &offset, &n_bytes);
    file_flip("odd/c.h5", offset + n_bytes / 2);
}

static void changed_row(void)
{
    cohort_poke_float("odd/a.h5", "age", 3, 99);
}

#define TRAIN "train job.yaml --set run.out=left/wrong --set 'data.cohort=[odd/*.h5]'"

static void test_wrong_cohorts(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(void);
        const char *words;
        int code;
    } wrong[] = {
        {same_id, TRAIN, 3},
        {infinite, TRAIN, 3},
        {bad_code, TRAIN, 3},
        {bad_weight, TRAIN " --set data.weight=weight", 3},
        {bad_label, TRAIN, 3},
        {levels_twice, TRAIN, 3},
        {text_number, TRAIN, 3},
        {text_time, TRAIN, 3},
        {unknown_kind, TRAIN, 3},
        {no_ward, TRAIN, 3},
        {cut, TRAIN, 3},
        {flipped_ids, TRAIN, 3},
        {torn_patient, TRAIN " --set data.split.by=column --set data.split.column=part", 3},
        {text_ward, TRAIN, 0},
        {changed_row, TRAIN, 2}, /* of the run that the case before it made */
        {NULL, TRAIN " --set data.label.column=ward --set 'data.label.positive=[yes]'", 3},
        {NULL, TRAIN " --set data.label.column=patient_id", 3},
        {NULL, TRAIN " --set data.weight=ward", 3},
        {NULL, TRAIN " --set data.where='ward > 3'", 3},
        {NULL, TRAIN " --set data.where='patient_id == 3'", 3},
        {NULL, TRAIN " --set data.where='age > 1000'", 3},
        {NULL, TRAIN " --set 'data.features.include=[patient_id]'", 3},
        {NULL, "check job.yaml --set run.memory=1MiB", 2},
        {NULL, "check job.yaml --set data.weight=ward", 3},
        {infinite,
         "evaluate job.yaml --set model.rounds=14 --set evaluate.name=odd --set 'evaluate.cohort=[odd/*.h5]'",
         3},
        {bad_code, "score job.yaml --set score.out=scores/no.h5 --set 'score.cohort=[odd/*.h5]'", 3},
        {no_ward, "score job.yaml --set score.out=scores/no.h5 --set 'score.cohort=[odd/*.h5]'", 3},
        {flipped_ids, "score job.yaml --set score.out=scores/no.h5 --set 'score.cohort=[odd/*.h5]'", 3},
        {NULL, "inspect odd/a.h5", 0},
        {cut, "inspect odd/c.h5", 3},
        {text_ward, "inspect odd/c.h5", 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        make_cohort("odd");
        if (wrong[i].spoil != NULL) wrong[i].spoil();
        watch(wrong[i].code, wrong[i].words);
    }
}

/* --- CSV --- */

#define M "XMARKERX0001"

static void test_import(void **state)
{
    (void)state;
    mkdir("csv", 0700);
    drive_write("csv/good.csv", "id,ward,age,at,note\n" M "1," M "A,30,2026-01-01,\"" M ", quoted\"\n" M
                                "2," M "B,31,2026-01-02T03:04," M " two\n" M "3,,,,\n");
    drive_write("csv/ragged.csv", "id,ward\n" M "1," M "A\n" M "2," M "B," M "C\n" M "3\n");
    drive_write("csv/number.csv", "id,age\n" M "1," M "\n" M "2,3" M "\n");
    drive_write("csv/quote.csv", "id,ward\n" M "1,\"" M "\" A\n" M "2,a\"" M "\n" M "3,\"" M "\n");
    drive_write("csv/utf8.csv", "id,ward\n" M "1," M "\xff\n" M "\xfe,A\n");
    drive_write("csv/nul.csv", "id,ward\n" M "1," M "%c" M "\n", 0);
    drive_write("csv/return.csv", "id,ward\n" M "1," M "\r" M "\n");
    drive_write("csv/twice.csv", "id,at\n" M "1,2026-02-30 " M "\n" M "1," M "\n");
    drive_write("csv/s.yaml", "columns:\n  id: {kind: id}\n");
    drive_write("csv/age.yaml", "columns:\n  id: {kind: id}\n  age: {kind: number}\n");
    drive_write("csv/at.yaml", "columns:\n  id: {kind: id}\n  at: {kind: time}\n");
    drive_write("csv/format.yaml", "columns:\n  at: {kind: time, format: \"%%Y-%%m-%%d\"}\n");
    drive_write("csv/prefix.yaml", "columns:\n  ward: {kind: category, prefix: 8}\n");
    assert_true(file_holds("csv/good.csv"));
    watch(0, "import csv/good.csv scores/good.h5 --schema csv/s.yaml");
    watch(0, "inspect scores/good.h5");
    watch(0, "import csv/good.csv scores/good.h5");
    watch(0, "import csv/good.csv scores/good.h5 --schema csv/prefix.yaml");
    watch(3, "import csv/ragged.csv left/no.h5");
    watch(3, "import csv/number.csv left/no.h5 --schema csv/age.yaml");
    watch(3, "import csv/quote.csv left/no.h5");
    watch(3, "import csv/utf8.csv left/no.h5");
    watch(3, "import csv/nul.csv left/no.h5");
    watch(3, "import csv/return.csv left/no.h5");
    watch(3, "import csv/twice.csv left/no.h5 --schema csv/at.yaml");
    watch(3, "import csv/good.csv left/no.h5 --schema csv/format.yaml");
}

static int set_up(void **state)
{
    (void)state;
    drive_enter("patients"); /* its path is in messages, so it must not hold the mark */
    mkdir("left", 0700);
    mkdir("scores", 0700);
    make_cohort("cohort");
    drive_write("job.yaml", "%s", job);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drive_leave();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mark_is_there), cmocka_unit_test(test_train),
        cmocka_unit_test(test_killed),        cmocka_unit_test(test_evaluate),
        cmocka_unit_test(test_score),         cmocka_unit_test(test_wrong_cohorts),
        cmocka_unit_test(test_import),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
