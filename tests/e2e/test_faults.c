/*
 * A network file system on a bad day (faults.c): handles that are out of date, calls cut short by signals, reads and writes that do
 * part of what they were asked for. Training, stopping and resuming, scoring, replacing and verifying give the bytes of a good day.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/nights.h"
#include "tests/e2e/whole.h"

enum { ROWS = 2000, SEEDS = 4 };

static long n_stale, n_interrupted, n_short;

/* Runs the program under the faults of one seed. */
static void bad_day(const char *folder, int seed, int n_ranks, const char *words)
{
    char launcher[64] = "";
    if (n_ranks > 0) snprintf(launcher, sizeof launcher, "run -n %d", n_ranks);
    drive_result result = drive_shell(120, "LD_PRELOAD='%s' FAULTS_UNDER='%s' FAULTS_SEED=%d FAULTS_COUNTS='%s/counts' exec '%s' %s %s", E2E_FAULTS, folder, seed,
                                      folder, drive_program(), launcher, words);
    if (result.code != 0) fail_msg("seed %d, %d ranks: %s: exit %d\n%s", seed, n_ranks, words, result.code, result.err);
    drive_free(&result);
}

static void count_faults(void)
{
    char *text = drive_read("counts"), *rest = text;
    assert_non_null(text); /* the library was there, and struck */
    for (char *line = strsep(&rest, "\n"); line != NULL && *line != '\0'; line = strsep(&rest, "\n")) {
        long stale, interrupted, cut;
        assert_int_equal(sscanf(line, "stale=%ld interrupted=%ld short=%ld", &stale, &interrupted, &cut), 3);
        n_stale += stale;
        n_interrupted += interrupted;
        n_short += cut;
    }
    free(text);
}

static void test_same_bytes(void **state)
{
    const char *folder = *state;
    static const char *const files[] = {"scores/2026-11-20.h5", "scores/2026-11-20.csv", "scores/2026-11-20.h5.manifest.json", "runs/a/bundle"};
    enum { N_FILES = sizeof files / sizeof files[0] };
    char good[N_FILES][65], hex[65], words[200];
    static const char night[] = "score job.yaml --as-of 2026-11-20 --quiet --set score.csv=true";
    night_extract("2026-11-20", 20, ROWS, 0);
    drive_must(0, "%s", night);
    for (int i = 0; i < N_FILES; i++) drive_hash(good[i], files[i]);
    for (int seed = 1; seed <= SEEDS; seed++) {
        static const int ranks[] = {0, 3};
        drive_remove("scores");
        drive_remove("runs");
        bad_day(folder, seed, ranks[seed % 2], "train job.yaml --quiet --set run.out=runs/a --set run.checkpoint_every=0");
        bad_day(folder, seed, 0, "verify runs/a/bundle --quiet");
        snprintf(words, sizeof words, "%s --set score.keep=age", night);
        bad_day(folder, seed, 0, words);
        snprintf(words, sizeof words, "%s --replace", night);
        bad_day(folder, seed, ranks[(seed + 1) % 2], words);
        bad_day(folder, seed, 0, night); /* already scored */
        bad_day(folder, seed, 0, "check job.yaml --as-of 2026-11-20 --quiet --set run.out=runs/a");
        for (int i = 0; i < N_FILES; i++) {
            drive_hash(hex, files[i]);
            if (strcmp(hex, good[i]) != 0) fail_msg("seed %d: '%s' differs", seed, files[i]);
        }
        whole_run("runs/a", "on a bad day");
        whole_scores("scores/2026-11-20.h5", "on a bad day");
        assert_int_equal(whole_count_names(".", ".tmp"), 0);
        assert_int_equal(whole_count_names(".", ".lock"), 0);
    }
    count_faults();
    print_message("handles out of date %ld, calls interrupted %ld, short reads and writes %ld\n", n_stale, n_interrupted, n_short);
    assert_true(n_stale >= 50 && n_interrupted >= 50 && n_short >= 50);
}

/* The import of a CSV and the inspection of what is there. */
static void test_import(void **state)
{
    const char *folder = *state;
    char good[65], hex[65];
    FILE *csv = fopen("t.csv", "w");
    assert_non_null(csv);
    fprintf(csv, "id,age,ward\n");
    for (int i = 0; i < 20000; i++) fprintf(csv, "e%d,%d,w%d\n", i, 20 + i % 70, i % 13);
    fclose(csv);
    drive_must(0, "import t.csv t.h5 --quiet");
    drive_hash(good, "t.h5");
    for (int seed = 1; seed <= SEEDS; seed++) {
        unlink("t.h5");
        bad_day(folder, seed, 0, "import t.csv t.h5 --quiet");
        drive_hash(hex, "t.h5");
        assert_string_equal(hex, good);
        bad_day(folder, seed, 0, "inspect t.h5 --quiet");
    }
}

int main(void)
{
    static char folder[512];
    snprintf(folder, sizeof folder, "%s", drive_enter("faults"));
    night_prepare();
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_same_bytes, folder), cmocka_unit_test_prestate(test_import, folder)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drive_leave();
    return failed;
}
