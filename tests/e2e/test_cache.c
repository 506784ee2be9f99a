/*
 * The bin cache: a training out of it, into it and without it leave the same bundle, on any number of ranks on either side;
 * what an entry was not made for does not use it; what is damaged is noticed and made anew; and whatever stops the making of
 * an entry, the training does not fail and nobody ever sees half an entry.
 */
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/drive.h"

/* More than two segments of 65,536 rows in all, so that ranks' rows begin inside of segments; of 720 wards, so that their
   bins take two bytes. */
enum { ROWS = 72000 };
static const cohort_style style = {.mark = NULL, .rows_per_patient = 2, .patients_per_level = 100};

static const char job[] =
    "name: case\n"
    "data:\n"
    "  cohort: [\"files/*.h5\"]\n"
    "  id: encounter_id\n"
    "  group: patient_id\n"
    "  where: \"age != 40\"\n"
    "  label: {column: readmitted, positive: [yes]}\n"
    "  features: {include: [age, lab, sex, ward]}\n"
    "  split: {by: column, column: part}\n"
    "model: {rounds: 4, max_leaves: 7, category_min_rows: 20}\n"
    "evaluate: {subgroups: [sex]}\n"
    "run: {out: run, threads: 2, cache: cache}\n";

/* The last life of run.json; freed by the caller. */
static json_t *last_life(const char *run)
{
    char path[200];
    snprintf(path, sizeof path, "%s/run.json", run);
    json_t *all = json_load_file(path, 0, NULL), *lives = json_object_get(all, "lives");
    if (json_array_size(lives) == 0) fail_msg("'%s' has no lives", path);
    json_t *life = json_incref(json_array_get(lives, json_array_size(lives) - 1));
    json_decref(all);
    return life;
}

static void check_state(const char *run, const char *state, bool replaced)
{
    json_t *life = last_life(run), *cache = json_object_get(life, "cache");
    const char *is = json_string_value(json_object_get(cache, "state"));
    if (is == NULL || strcmp(is, state) != 0) fail_msg("%s: the cache is %s, not %s", run, is == NULL ? "not told of" : is, state);
    if (json_boolean_value(json_object_get(cache, "replaced_damaged")) != replaced) fail_msg("%s: replaced_damaged is not %d", run, replaced);
    json_decref(life);
}

/* Trains into run `name` with these words; the bundle must be `bundle` ("": any), the cache's state in run.json `state`. */
static void train(int n_ranks, const char *words, const char *bundle, const char *state, bool replaced)
{
    char hash[65];
    drive_remove("run");
    drive_must(n_ranks, "train job.yaml --quiet %s", words);
    check_state("run", state, replaced);
    drive_hash(hash, "run/bundle");
    if (bundle[0] != '\0' && strcmp(hash, bundle) != 0) fail_msg("'%s' on %d ranks, %s: another bundle", words, n_ranks, state);
}

/* The bundle of these words without a cache. */
static void bundle_of(char hash[65], const char *words)
{
    drive_remove("run");
    drive_must(0, "train job.yaml --quiet --set run.cache= %s", words);
    check_state("run", "off", false);
    drive_hash(hash, "run/bundle");
}

/* Names in the cache's folder that are not whole entries; entries is how many are. */
static int left_over(int *entries)
{
    int n = 0;
    *entries = 0;
    DIR *folder = opendir("cache");
    for (struct dirent *name = folder != NULL ? readdir(folder) : NULL; name != NULL; name = readdir(folder)) {
        if (name->d_name[0] == '.') continue;
        if (strchr(name->d_name, '.') != NULL) n++;
        else ++*entries;
    }
    if (folder != NULL) closedir(folder);
    return n;
}

/* The path of a file of the only entry. */
static void path_in_entry(char path[300], const char *file)
{
    DIR *folder = opendir("cache");
    path[0] = '\0';
    for (struct dirent *name = folder != NULL ? readdir(folder) : NULL; name != NULL; name = readdir(folder))
        if (strlen(name->d_name) == 32) snprintf(path, 300, "cache/%.32s/%s", name->d_name, file);
    if (folder != NULL) closedir(folder);
    if (path[0] == '\0') fail_msg("the cache has no entry");
}

static int64_t bytes_read(void)
{
    json_t *life = last_life("run");
    int64_t n = json_integer_value(json_object_get(json_object_get(life, "reading"), "bytes"));
    json_decref(life);
    return n;
}

static void test_same_bytes(void **state)
{
    (void)state;
    char bundle[65];
    bundle_of(bundle, "");
    int64_t all = bytes_read();
    static const int writers[] = {0, 2, 3}, readers[] = {0, 1, 2, 3};
    for (int w = 0; w < 3; w++) {
        drive_remove("cache");
        train(writers[w], "", bundle, "made", false);
        for (int r = 0; r < 4; r++) train(readers[r], "", bundle, "hit", false);
        assert_true(bytes_read() < all - 4 * 2 * ROWS); /* age is read for `where`, lab and the categories are not */
        int entries;
        assert_int_equal(left_over(&entries), 0);
        assert_int_equal(entries, 1);
    }
    struct stat info;
    char path[300];
    path_in_entry(path, "part-000002.bins");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    train(0, "--set run.threads=1", bundle, "hit", false);
}

static void test_what_hits(void **state)
{
    (void)state;
    static const char *const hits[] = {"--set train.seed=9 --set model.row_sample=0.5", "--set model.rounds=2",
                                       "--set model.max_leaves=15 --set model.learning_rate=0.3", "--set data.weight=weight",
                                       "--set model.positive_weight=3", "--set evaluate.subgroups=[ward]",
                                       "--set model.monotone.rising=[age]"};
    static const char *const misses[] = {"--set model.max_bins=63", "--set data.features.include=[age,lab,sex]", "--set data.where=",
                                         "--set data.split.by=row --set data.split.column=", "--set model.category_min_rows=300",
                                         "--set evaluate.min_cell=12", "--set data.infinite=missing", "--set data.group="};
    char bundle[65];
    drive_remove("cache");
    train(0, "", "", "made", false);
    for (size_t i = 0; i < sizeof hits / sizeof hits[0]; i++) {
        bundle_of(bundle, hits[i]);
        train(2, hits[i], bundle, "hit", false);
    }
    for (size_t i = 0; i < sizeof misses / sizeof misses[0]; i++) {
        bundle_of(bundle, misses[i]);
        train(2, misses[i], bundle, "made", false);
        train(0, misses[i], bundle, "hit", false);
    }
    train(0, "", "", "hit", false); /* the first is still there */
}

static void test_changed_files(void **state)
{
    (void)state;
    char before[65], after[65];
    drive_remove("cache");
    train(0, "", "", "made", false);
    drive_hash(before, "run/bundle");
    cohort_poke_float("files/b.h5", "lab", 17, 1234.5f);
    bundle_of(after, "");
    assert_string_not_equal(before, after);
    train(0, "", after, "made", false);

    /* Written to, and the time of writing set back. */
    drive_shell(20, "cp -p files/b.h5 stamp");
    cohort_poke_float("files/b.h5", "lab", 18, 4321.5f);
    drive_result touched = drive_shell(20, "touch -r stamp files/b.h5");
    drive_free(&touched);
    bundle_of(before, "");
    assert_string_not_equal(before, after);
    train(0, "", before, "made", false);

    /* Equal files under other names are other files, of which nothing is known. */
    drive_result copied = drive_shell(20, "mkdir other && cp files/*.h5 other/");
    drive_free(&copied);
    train(0, "--set 'data.cohort=[other/*.h5]'", before, "made", false);
    drive_remove("other");
}

static void test_damage(void **state)
{
    (void)state;
    char bundle[65], path[300];
    bundle_of(bundle, "");
    static const char *const files[] = {"entry", "part-000000.bins", "part-000001.bins"};
    for (int i = 0; i < 3; i++)
        for (int how = 0; how < 3; how++) { /* a byte in the middle, a shorter file, none */
            drive_remove("cache");
            train(2, "", bundle, "made", false);
            path_in_entry(path, files[i]);
            if (how == 0) file_flip(path, file_size(path) / 2);
            else if (how == 1) file_cut(path, file_size(path) - 1);
            else drive_remove(path);
            train(2, "", bundle, "made", true);
            train(0, "", bundle, "hit", false);
        }
    drive_remove("cache");
    train(0, "", bundle, "made", false);
    path_in_entry(path, "part-000000.bins");
    file_flip(path, file_size(path) - 1);
    drive_remove("run");
    drive_result result = drive_ranks(2, "train job.yaml");
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.err, "level=warn"));
    assert_non_null(strstr(result.err, "event=cache state=damaged"));
    drive_free(&result);
    check_state("run", "made", true);
}

/* A training with one operation struck; n_ranks as in drive_ranks. */
static drive_result struck(const char *fault, int n_ranks)
{
    drive_remove("run");
    setenv("NIGHTSHIFT_TEST_FAULT", fault, 1);
    drive_result result = drive_ranks(n_ranks, "train job.yaml");
    unsetenv("NIGHTSHIFT_TEST_FAULT");
    return result;
}

static const char *const operations[] = {"mkdir:cache",      "syncdir:cache",    "write:cache_part",  "sync:cache_part",
                                         "write:cache_entry", "sync:cache_entry", "rename:cache"};
enum { N_OPERATIONS = sizeof operations / sizeof operations[0] };

static void test_disk_full(void **state)
{
    (void)state;
    char bundle[65], hash[65], fault[100];
    bundle_of(bundle, "");
    for (int i = 0; i < N_OPERATIONS; i++)
        for (int n_ranks = 0; n_ranks <= 2; n_ranks += 2) {
            int entries;
            drive_remove("cache");
            snprintf(fault, sizeof fault, "%s:before:fail", operations[i]);
            drive_result result = struck(fault, n_ranks);
            if (result.code != 0 || strstr(result.err, "state=not_kept") == NULL) fail_msg("%s: exit %d\n%s", fault, result.code, result.err);
            assert_non_null(strstr(result.err, "No space left on device"));
            drive_free(&result);
            check_state("run", "not_kept", false);
            drive_hash(hash, "run/bundle");
            assert_string_equal(hash, bundle);
            assert_int_equal(left_over(&entries), 0);
            assert_int_equal(entries, 0);
        }
    train(2, "", bundle, "made", false);
}

static void test_killed(void **state)
{
    (void)state;
    char bundle[65], fault[100];
    bundle_of(bundle, "");
    for (int i = 0; i < N_OPERATIONS; i++)
        for (int after = 0; after <= 1; after++) {
            int entries;
            drive_remove("cache");
            snprintf(fault, sizeof fault, "%s:%s:kill", operations[i], after ? "after" : "before");
            drive_result result = struck(fault, 0);
            if (result.code == 0) fail_msg("%s: was not killed", fault);
            drive_free(&result);
            bool whole = strcmp(operations[i], "rename:cache") == 0 && after;
            train(2, "", bundle, whole ? "hit" : "made", false);
            int left = left_over(&entries);
            if (left > 1 || (left == 1 && !whole)) fail_msg("%s: %d names are left over", fault, left); /* the lock of the dead */
            assert_int_equal(entries, 1);
            train(0, "", bundle, "hit", false);
        }
}

static void test_bad_folder(void **state)
{
    (void)state;
    drive_write("file", "no folder\n");
    static const char *const verbs[] = {"train", "check"};
    for (int i = 0; i < 2; i++) {
        drive_remove("run");
        drive_result result = drive_ranks(0, "%s job.yaml --quiet --set run.cache=file/cache", verbs[i]);
        int n_lines;
        const char *line = drive_error_line(&result, &n_lines);
        if (result.code != 2 || n_lines != 1 || strstr(line, "run.cache") == NULL || strstr(line, "is not a folder") == NULL)
            fail_msg("%s: exit %d: %s", verbs[i], result.code, result.err);
        drive_free(&result);
        assert_int_equal(access("run", F_OK), -1);
    }
    drive_must(0, "check job.yaml --quiet --set run.cache=not/there/yet");
    assert_int_equal(access("not", F_OK), -1);
}

int main(void)
{
    drive_enter("cache");
    mkdir("files", 0700);
    cohort_write("files/a.h5", &style, 0, ROWS);
    cohort_write("files/b.h5", &style, ROWS, ROWS);
    drive_write("job.yaml", "%s", job);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_what_hits), cmocka_unit_test(test_changed_files), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_disk_full),  cmocka_unit_test(test_killed),    cmocka_unit_test(test_bad_folder),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drive_leave();
    return failed;
}
