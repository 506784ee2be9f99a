/*
 * Night after night: a month scored by a loop, the loop run again, and what happens to single nights: replaced, with a broken
 * extract, held, killed and continued on the next day, with a champion that changed meanwhile.
 */
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/nights.h"
#include "tests/e2e/whole.h"

enum { ROWS = 300 };
static const double MOST_SECONDS = 1.0; /* of a night that is done already */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Every file of a folder with its bytes, time and number: one that was written anew with the same bytes shows too. */
static void fingerprint(char hex[65], const char *folder)
{
    char all[65];
    drive_hash(all, folder);
    drive_result result = drive_shell(20, "find %s -type f -printf '%%p %%T@ %%i\\n' | sort", folder);
    drive_write("listing", "%s%s", all, result.out);
    drive_hash(hex, "listing");
    drive_free(&result);
}

static void test_month(void **state)
{
    (void)state;
    char date[11], before[2][65], after[2][65], words[300] = "";
    for (int day = 0; day < NIGHTS; day++) {
        night_date(date, day);
        night_extract(date, 100 + day, ROWS + day, 0);
        snprintf(words + strlen(words), sizeof words - strlen(words), "%s%02d", day > 0 ? " " : "", day + 1);
    }
    char loop[1500];
    snprintf(loop, sizeof loop, "set -e; for day in %s; do '%s' score job.yaml --as-of 2026-10-$day --quiet >>month.out; done", words, drive_program());
    drive_result first = drive_shell(120, "%s", loop);
    if (first.code != 0) fail_msg("the loop: exit %d: %s", first.code, first.err);
    drive_free(&first);
    for (int day = 0; day < NIGHTS; day++) {
        char path[64];
        night_date(date, day);
        snprintf(path, sizeof path, "scores/%s.h5", date);
        if (day % 7 == 0) whole_scores(path, "after the loop"); /* reads it to its end */
        snprintf(path, sizeof path, "scores/%s.h5.manifest.json", date);
        json_t *manifest = night_json(path);
        assert_string_equal(json_string_value(json_object_get(manifest, "as_of")), date);
        assert_int_equal(json_integer_value(json_object_get(manifest, "n_rows")), ROWS + day);
        json_decref(manifest);
    }
    fingerprint(before[0], "scores");
    fingerprint(before[1], "runs/night");
    double began = now();
    drive_result second = drive_shell(120, "%s", loop);
    double each = (now() - began) / NIGHTS;
    assert_int_equal(second.code, 0);
    drive_free(&second);
    print_message("the loop again: %.3f s a night\n", each);
    if (!(each < MOST_SECONDS)) fail_msg("%.3f s for a night that is done", each);
    fingerprint(after[0], "scores");
    fingerprint(after[1], "runs/night");
    assert_string_equal(before[0], after[0]);
    assert_string_equal(before[1], after[1]);
    assert_int_equal(whole_count_names("scores", ".h5.manifest.json"), NIGHTS);
    assert_int_equal(whole_count_names("scores", ".tmp"), 0);
    assert_int_equal(whole_count_names("scores", ".lock"), 0);
}

/* A hospital sends a corrected extract for a night that is out. */
static void test_replaced(void **state)
{
    (void)state;
    char first[65], second[65], kept[65];
    night_extract("2026-11-01", 1, ROWS, 0);
    night_score(0, "", "--as-of 2026-11-01 --set score.csv=true");
    night_hash(first, "2026-11-01");
    night_extract("2026-11-01", 2, ROWS, 0);
    night_score(2, "scores/2026-11-01.h5' is published and column 'admitted_at' of the cohort differs; --replace", "--as-of 2026-11-01 --set score.csv=true");
    night_hash(second, "2026-11-01");
    assert_string_equal(first, second);
    night_score(0, "", "--as-of 2026-11-01 --replace --set score.csv=true");
    night_hash(second, "2026-11-01");
    assert_string_not_equal(first, second);
    drive_hash(kept, "scores/2026-11-01.h5.1");
    assert_string_equal(first, kept);
    assert_int_equal(access("scores/2026-11-01.csv.1", F_OK), 0);
    /* the same again with the same words changes nothing: a requeued --replace */
    night_score(0, "", "--as-of 2026-11-01 --replace --set score.csv=true");
    assert_int_equal(access("scores/2026-11-01.h5.2", F_OK), -1);
    whole_scores("scores/2026-11-01.h5", "replaced");
    /* new scores without a CSV do not stand beside the CSV of the old ones */
    night_extract("2026-11-01", 3, ROWS, 0);
    night_score(0, "", "--as-of 2026-11-01 --replace");
    assert_int_equal(access("scores/2026-11-01.csv", F_OK), -1);
    assert_int_equal(access("scores/2026-11-01.csv.2", F_OK), 0);
}

static void test_broken_extract(void **state)
{
    (void)state;
    night_extract("2026-11-02", 2, ROWS, 0);
    file_copy("tonight/2026-11-02.h5", "whole.h5");
    file_cut("tonight/2026-11-02.h5", file_size("whole.h5") / 2);
    night_score(3, "tonight/2026-11-02.h5: ", "--as-of 2026-11-02 --set 'score.out=fresh/{as_of}.h5'");
    assert_int_equal(access("fresh", F_OK), -1); /* nothing is left of a refused night, not even its folder */
    assert_null(night_record("2026-11-02", "night.json"));
    unlink("tonight/2026-11-02.h5");
    night_score(3, "tonight/2026-11-02.h5", "--as-of 2026-11-02");
    night_score(3, "'", "--as-of 2026-11-02 --set 'score.expect.ready=tonight/{as_of}.done'");
    assert_int_equal(access("scores/2026-11-02.h5", F_OK), -1);
    file_copy("whole.h5", "tonight/2026-11-02.h5");
    night_score(0, "", "--as-of 2026-11-02");
    whole_scores("scores/2026-11-02.h5", "mended");
}

static void test_held(void **state)
{
    (void)state;
    night_extract("2026-11-03", 3, ROWS, 20);
    night_score(4, "40 of 300 rows are rejected, more than score.max_rejected 0.01 allows", "--as-of 2026-11-03 --set score.csv=true");
    assert_int_equal(access("scores/2026-11-03.h5", F_OK), -1);
    assert_int_equal(access("scores/2026-11-03.csv", F_OK), -1);
    assert_int_equal(access("scores/2026-11-03.h5.manifest.json", F_OK), -1);
    assert_int_equal(access("scores/2026-11-03.h5.held", F_OK), 0);
    whole_scores("scores/2026-11-03.h5", "held");
    json_t *record = night_record("2026-11-03", "night.json");
    const json_t *life = json_array_get(json_object_get(record, "lives"), 0);
    assert_string_equal(json_string_value(json_object_get(life, "status")), "held");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(life, "counts"), "id_duplicate")), 40);
    const json_t *reading = json_object_get(life, "reading");
    assert_true(json_integer_value(json_object_get(reading, "bytes")) >= ROWS * 8);
    assert_true(json_real_value(json_object_get(reading, "past_hdf5")) == 1.0);
    json_decref(record);
    night_extract("2026-11-03", 3, ROWS, 0);
    night_score(0, "", "--as-of 2026-11-03");
    whole_scores("scores/2026-11-03.h5", "let go");
}

/* Killed before midnight, continued after it: the date is the night's own. The clock is set a day on by a library. */
static void test_across_midnight(void **state)
{
    (void)state;
    char reference[65], hex[65];
    night_extract("2026-11-04", 4, ROWS, 0);
    night_score(0, "", "--as-of 2026-11-04");
    night_hash(reference, "2026-11-04");
    drive_remove("scores/2026-11-04.h5");
    drive_remove("scores/2026-11-04.h5.manifest.json");
    drive_result first = drive_shell(60, "NIGHTSHIFT_TEST_FAULT=rename:scores:before:kill NIGHTSHIFT_AS_OF=2026-11-04 '%s' score job.yaml", drive_program());
    assert_int_equal(first.code, 128 + 9);
    assert_int_equal(access("scores/2026-11-04.h5", F_OK), -1);
    drive_result second = drive_shell(60, "LD_PRELOAD='%s' FAULTS_CLOCK=86400 NIGHTSHIFT_AS_OF=2026-11-04 '%s' score job.yaml", E2E_FAULTS, drive_program());
    if (second.code != 0) fail_msg("%s", second.err);
    assert_non_null(strstr(second.out, "scored the night of 2026-11-04"));
    assert_non_null(strstr(first.err, "ts="));
    assert_true(strncmp(strstr(first.err, "ts="), strstr(second.err, "ts="), 13) != 0); /* another day */
    night_hash(hex, "2026-11-04");
    assert_string_equal(reference, hex);
    drive_free(&first);
    drive_free(&second);
    /* without a date there is no night, whatever the clock says */
    night_score(2, "{as_of} needs the date of the night", "--set score.csv=false");
}

static void move_link(const char *to)
{
    unlink("champion.new");
    assert_int_equal(symlink(to, "champion.new"), 0);
    assert_int_equal(rename("champion.new", "champion"), 0);
}

static void check_bundle(const char *date, const char *run)
{
    char path[64], manifest_path[64], id[65];
    snprintf(path, sizeof path, "runs/%s/bundle/manifest.json", run);
    drive_hash(id, path);
    snprintf(manifest_path, sizeof manifest_path, "scores/%s.h5.manifest.json", date);
    json_t *manifest = night_json(manifest_path);
    assert_string_equal(json_string_value(json_object_get(manifest, "bundle_id")), id);
    json_decref(manifest);
}

/* The site points at its champion by a link, and moves it between two lives of a night. */
static void test_champion(void **state)
{
    (void)state;
    static const char with[] = "--set score.bundle=champion/bundle";
    move_link("runs/a");
    night_extract("2026-11-05", 5, ROWS, 0);
    night_extract("2026-11-06", 6, ROWS, 0);
    drive_result first = drive_shell(60, "NIGHTSHIFT_TEST_FAULT=write:scores:before:kill '%s' score job.yaml --as-of 2026-11-05 %s", drive_program(), with);
    assert_int_equal(first.code, 128 + 9);
    drive_free(&first);
    move_link("runs/b");
    drive_result second = drive_ranks(3, "score job.yaml --as-of 2026-11-05 %s", with);
    if (second.code != 0 || strstr(second.err, "event=bundle kept=") == NULL) fail_msg("exit %d, or a kept bundle is not said: %s", second.code, second.err);
    drive_free(&second);
    check_bundle("2026-11-05", "a");
    night_score(0, "", "--as-of 2026-11-05 %s", with); /* already scored, by the bundle that it began with */
    night_score(0, "", "--as-of 2026-11-06 %s", with); /* a new date follows the link anew */
    check_bundle("2026-11-06", "b");
    json_t *record = night_record("2026-11-05", "night.json");
    assert_int_equal(json_array_size(json_object_get(record, "bundles")), 1);
    assert_int_equal(json_array_size(json_object_get(record, "lives")), 2);
    json_decref(record);
    /* a replaced night is still that night; another bundle is for the user to name */
    night_extract("2026-11-05", 7, ROWS, 0);
    night_score(0, "", "--as-of 2026-11-05 %s --replace", with);
    check_bundle("2026-11-05", "a");
    night_score(2, "the bundle differs; --replace", "--as-of 2026-11-05 --set score.bundle=runs/b/bundle");
    night_score(0, "", "--as-of 2026-11-05 --set score.bundle=runs/b/bundle --replace");
    check_bundle("2026-11-05", "b");
    /* the bundle of a begun night is gone: nothing else is taken in its place */
    assert_int_equal(rename("runs/a", "runs/away"), 0);
    night_score(2, "the night of 2026-11-05 was begun with bundle ", "--as-of 2026-11-05 %s", with);
    move_link("runs/away"); /* the same bundle at another place is the same */
    night_score(0, "", "--as-of 2026-11-05 %s --replace", with);
    assert_int_equal(rename("runs/away", "runs/a"), 0);
    check_bundle("2026-11-05", "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_month),  cmocka_unit_test(test_replaced),        cmocka_unit_test(test_broken_extract),
                                       cmocka_unit_test(test_held),   cmocka_unit_test(test_across_midnight), cmocka_unit_test(test_champion)};
    drive_enter("nights");
    night_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drive_leave();
    return failed;
}
