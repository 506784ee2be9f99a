/*
 * Same bytes: every file of a bundle, the score file and its manifest, whatever may not matter: ranks,
 * threads, instruction sets, how the rows lie in files, stops. On data that break sums of floats
 * (bytes/cohorts.sh, bytes/NAME.yaml). bytes/models.sha256 holds the models of this numerics version, so that
 * every build and machine is compared with all others. With the word "short" (builds with sanitizers, which
 * are slow) only a few of these are run.
 */
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>

#include "kernels/numerics.h"
#include "tests/check.h"
#include "tests/e2e/drive.h"

enum { ROWS = 16000 };

/* One training, one evaluation and one night. */
typedef struct one_run {
    const char *job;    /* bytes/JOB.yaml */
    const char *cohort; /* pattern; NULL: JOB.h5 */
    const char *night;  /* pattern; NULL: night.h5 */
    int n_ranks, n_threads;
    const char *words; /* further words of train; "" for none */
} one_run;

/* Below the folder of a run. "run/bundle" stands for all that may be added to it. */
static const char *const compared[] = {"run/bundle/model.safetensors",
                                       "run/bundle/metrics.json",
                                       "run/bundle/profile.json",
                                       "run/bundle/job.yaml",
                                       "run/bundle/manifest.json",
                                       "run/bundle",
                                       "run/evaluations/test/metrics.json",
                                       "scores.h5",
                                       "scores.h5.manifest.json"};
enum { N_COMPARED = sizeof compared / sizeof *compared };

/* --- running and comparing
 * -------------------------------------------------------------------------------------------- */

static void words_of(char *out, size_t size, const char *name, const one_run *run)
{
    char cohort[64];
    snprintf(cohort, sizeof cohort, "%s.h5", run->job);
    snprintf(out, size,
             "'%s/bytes/%s.yaml' --quiet --set run.out=%s/run --set run.threads=%d --set 'data.cohort=[%s]' "
             "--set 'score.cohort=[%s]' --set score.out=%s/scores.h5",
             E2E_FOLDER, run->job, name, run->n_threads, run->cohort != NULL ? run->cohort : cohort,
             run->night != NULL ? run->night : "night.h5", name);
}

static void finish(const char *name, const one_run *run)
{
    char words[2048];
    words_of(words, sizeof words, name, run);
    drive_must(run->n_ranks, "train %s %s", words, run->words);
    drive_must(run->n_ranks, "evaluate %s %s", words, run->words);
    drive_must(run->n_ranks, "score %s --as-of 2026-11-20", words);
}

static void make(const char *name, const one_run *run)
{
    assert_int_equal(mkdir(name, 0777), 0);
    finish(name, run);
}

static bool same(const char *a, const char *b, const char *file)
{
    char path_a[256], path_b[256];
    snprintf(path_a, sizeof path_a, "%s/%s", a, file);
    snprintf(path_b, sizeof path_b, "%s/%s", b, file);
    return drive_same(path_a, path_b);
}

/* Every file of the run `name` is that of the run `reference`; `what` it was that may not matter. */
static void check_same(const char *name, const char *reference, const char *what)
{
    char list[1024] = "";
    for (int i = 0; i < N_COMPARED; i++) {
        size_t n = strlen(list);
        if (!same(name, reference, compared[i])) snprintf(list + n, sizeof list - n, " %s", compared[i]);
    }
    if (list[0] != '\0') fail_msg("%s (run %s, not as %s): these differ:%s", what, name, reference, list);
}

static void shell(const char *command)
{
    drive_result result = drive_shell(600, "%s", command);
    if (result.code != 0) fail_msg("%s: exit %d\n%s", command, result.code, result.err);
    drive_free(&result);
}

/* Makes a run and compares it with the run `reference`; its folder goes, so that many runs do not fill a
 * small disk. */
static void check_run(const char *reference, const one_run *run, const char *what)
{
    shell("rm -rf other");
    make("other", run);
    check_same("other", reference, what);
    shell("rm -rf other");
}

static bool file_has(const char *path, const char *text)
{
    char *content = drive_read(path);
    bool has = content != NULL && strstr(content, text) != NULL;
    free(content);
    return has;
}

static void shapes_of(const char *cohort, int n_rows)
{
    char command[1024];
    snprintf(command, sizeof command, "sh '%s/bytes/shapes.sh' '%s' %s.h5 %d %s-shapes", E2E_FOLDER,
             E2E_RECUT, cohort, n_rows, cohort);
    shell(command);
}

/* --- the runs that all others are compared with
 * ----------------------------------------------------------------------- */

static const char *const jobs[] = {"plain", "steep", "rare", "weights"};
enum { N_JOBS = sizeof jobs / sizeof *jobs };

static int make_references(void **state)
{
    (void)state;
    char command[1024];
    drive_enter("bytes");
    snprintf(command, sizeof command, "sh '%s/bytes/cohorts.sh' '%s' '%s' %d", E2E_FOLDER, drive_program(),
             E2E_RECUT, (int)ROWS);
    shell(command);
    shapes_of("night", ROWS / 2);
    for (int i = 0; i < N_JOBS; i++) {
        one_run run = {.job = jobs[i], .n_ranks = 0, .n_threads = 1, .words = ""};
        make(jobs[i], &run);
    }
    return 0;
}

static int leave(void **state)
{
    (void)state;
    drive_leave();
    return 0;
}

/* The data are what they are made for, else equal bytes would say little. */
static void the_data_are_hard(void **state)
{
    (void)state;
    assert_true(file_has("steep/run/bundle/metrics.json",
                         "\"threshold\": 0.9999999403953")); /* sigmoid(16.6), the clamp */
    json_t *metrics = json_load_file("rare/run/bundle/metrics.json", 0, NULL);
    json_int_t rows = 0, events = 0;
    const char *name;
    json_t *part;
    json_object_foreach(json_object_get(metrics, "parts"), name, part)
    {
        json_int_t n = json_integer_value(json_object_get(part, "events"));
        assert_true(n > 0);
        rows += json_integer_value(json_object_get(part, "rows"));
        events += n;
    }
    json_decref(metrics);
    assert_in_range(events * 10000, rows - 10000, rows + 10000);
    assert_true(file_has("weights/run/bundle/job.yaml", "weight: weight"));
    assert_false(same("weights", "plain", "run/bundle/model.safetensors"));
    assert_true(file_has("plain/scores.h5.manifest.json", "\"id_missing\": 7"));
    assert_true(file_has("plain/scores.h5.manifest.json", "\"value_infinite\": 5"));
    assert_false(file_has("plain/scores.h5.manifest.json", "\"id_duplicate\": 0"));
    assert_false(file_has("plain/scores.h5.manifest.json", "\"outside_cohort\": 0"));
    /* The best round came before the last: early stopping did stop. */
    assert_false(file_has("plain/run/bundle/metrics.json", "\"best_round\": 60"));
}

/* Another seed, and a row less, must change what they can change; else the comparisons above could not fail.
 */
static void other_runs_differ(void **state)
{
    (void)state;
    one_run seed = {.job = "plain", .n_ranks = 0, .n_threads = 1, .words = "--set train.seed=12"};
    one_run row = {.job = "plain",
                   .cohort = "shorter.h5",
                   .night = "shorter-night.h5",
                   .n_ranks = 0,
                   .n_threads = 1,
                   .words = ""};
    char command[1024];
    make("seed", &seed);
    for (int i = 0; i < N_COMPARED; i++) assert_false(same("seed", "plain", compared[i]));
    snprintf(command, sizeof command,
             "'%s' plain.h5 shorter.h5 --rows 0:%d && '%s' night.h5 shorter-night.h5 --rows 1:%d", E2E_RECUT,
             ROWS - 1, E2E_RECUT, ROWS / 2);
    shell(command);
    make("row", &row);
    for (int i = 0; i < N_COMPARED; i++) {
        bool want = strcmp(compared[i], "run/bundle/job.yaml") == 0;
        if (same("row", "plain", compared[i]) != want)
            fail_msg("%s of a cohort with a row less", compared[i]);
    }
    assert_true(file_has("row/run/bundle/manifest.json", "\"fingerprint\""));
}

/* --- what may not matter
 * ---------------------------------------------------------------------------------------------- */

static void ranks_and_threads(void **state)
{
    (void)state;
    const int ranks[] = {1, 2, 3, 4, 7};
    for (int i = 0; i < 5; i++)
        for (int threads = 1; threads <= 2; threads++) {
            char what[64];
            one_run run = {.job = "plain", .n_ranks = ranks[i], .n_threads = threads, .words = ""};
            snprintf(what, sizeof what, "%d ranks, %d threads", ranks[i], threads);
            check_run("plain", &run, what);
        }
}

static void ranks_on_hard_data(void **state)
{
    (void)state;
    for (int i = 1; i < N_JOBS; i++) {
        one_run run = {.job = jobs[i], .n_ranks = 3, .n_threads = 2, .words = ""};
        check_run(jobs[i], &run, "3 ranks, 2 threads");
    }
}

static void instruction_sets(void **state)
{
    (void)state;
    const char *const levels[] = {"baseline", "avx2", "avx512"};
    int n_run = 0;
    for (int i = 0; i < 3; i++) {
        one_run run = {.job = i == 0 ? "steep" : "plain", .n_ranks = 0, .n_threads = 1, .words = ""};
        setenv("NIGHTSHIFT_CPU", levels[i], 1);
        drive_result probe =
            drive_ranks(0, "check '%s/bytes/plain.yaml' --set data.cohort=plain.h5", E2E_FOLDER);
        if (probe.code != 0) {
            assert_int_equal(probe.code, 2);
            assert_non_null(strstr(drive_error_line(&probe, NULL), "which this processor has not"));
            print_message("%s: not on this processor\n", levels[i]);
        } else {
            check_run(run.job, &run, levels[i]);
            n_run++;
        }
        drive_free(&probe);
    }
    unsetenv("NIGHTSHIFT_CPU");
    assert_true(n_run > 0);
}

static void shapes_of_files(void **state)
{
    (void)state;
    const char *const shapes[] = {"five", "chunks", "packed", "unpacked", "levels", "all"};
    shapes_of("plain", ROWS);
    for (int i = 0; i < 6; i++) {
        char cohort[64], night[64];
        one_run run = {
            .job = "plain", .cohort = cohort, .night = night, .n_ranks = i % 3, .n_threads = 1, .words = ""};
        snprintf(cohort, sizeof cohort, "plain-shapes/%s/*.h5", shapes[i]);
        snprintf(night, sizeof night, "night-shapes/%s/*.h5", shapes[i]);
        check_run("plain", &run, shapes[i]);
    }
}

static void shapes_of_hard_data(void **state)
{
    (void)state;
    for (int i = 1; i < N_JOBS; i++) {
        char cohort[64];
        one_run run = {.job = jobs[i],
                       .cohort = cohort,
                       .night = "night-shapes/all/*.h5",
                       .n_ranks = 2,
                       .n_threads = 1,
                       .words = ""};
        snprintf(cohort, sizeof cohort, "%s-shapes/all/*.h5", jobs[i]);
        shapes_of(jobs[i], strcmp(jobs[i], "rare") == 0 ? 4 * ROWS : ROWS);
        check_run(jobs[i], &run, "all shapes at once");
    }
}

/* 2,500 rows are three blocks of 1,024, the unit of shards: some ranks have nothing. A night may have a row,
 * or none. */
static void more_ranks_than_blocks(void **state)
{
    (void)state;
    char command[1024];
    const char *const nights[] = {"small.h5", "single.h5", "none.h5"};
    snprintf(command, sizeof command,
             "'%s' night.h5 single.h5 --rows 5:6 && '%s' night.h5 none.h5 --rows 0:0", E2E_RECUT, E2E_RECUT);
    shell(command);
    for (int i = 0; i < 3; i++) {
        char reference[16];
        one_run run = {.job = "plain",
                       .cohort = "small.h5",
                       .night = nights[i],
                       .n_ranks = 0,
                       .n_threads = 1,
                       .words = ""};
        snprintf(reference, sizeof reference, "small%d", i);
        make(reference, &run);
        run.n_ranks = i == 1 ? 4 : 7;
        check_run(reference, &run, nights[i]);
    }
    assert_true(file_has("small2/scores.h5.manifest.json", "\"n_rows\": 0,"));
}

static void other_seeds(void **state)
{
    (void)state;
    const char *const seeds[] = {"--set train.seed=9007199254740991", "--set train.seed=0"};
    for (int i = 0; i < 2; i++) {
        char reference[16];
        one_run run = {.job = "plain", .n_ranks = 0, .n_threads = 1, .words = seeds[i]};
        snprintf(reference, sizeof reference, "seed%d", i);
        make(reference, &run);
        run.n_ranks = 3;
        check_run(reference, &run, seeds[i]);
    }
    assert_false(same("seed0", "seed1", "run/bundle/model.safetensors"));
}

/* Ways through the program that the four jobs do not take. */
static void other_settings(void **state)
{
    (void)state;
    static const struct {
        const char *job, *words;
    } cases[] = {
        {"plain",
         "--set train.stop_metric=auroc --set model.gradient_bits=wide --set model.category_smoothing=0"},
        {"plain",
         "--set data.split.by=row --set model.max_bins=16 --set model.l1=0.5 --set model.max_depth=4"},
        {"weights",
         "--set train.stop_after=5 --set train.stop_metric=auroc --set model.gradient_bits=narrow"},
    };
    for (int i = 0; i < 3; i++) {
        char reference[16], cohort[64];
        one_run run = {.job = cases[i].job, .n_ranks = 0, .n_threads = 1, .words = cases[i].words};
        snprintf(reference, sizeof reference, "setting%d", i);
        make(reference, &run);
        assert_false(same(reference, cases[i].job, "run/bundle/model.safetensors"));
        run.n_ranks = 3;
        run.cohort = cohort;
        snprintf(cohort, sizeof cohort, "%s-shapes/all/*.h5", cases[i].job);
        check_run(reference, &run, cases[i].words);
    }
}

/* Stopped by a request on three ranks, killed in the middle of a checkpoint on one, finished on two, from
 * other files. */
static void stopped_and_resumed(void **state)
{
    (void)state;
    char words[2048], command[2200];
    one_run first = {.job = "steep", .n_ranks = 3, .n_threads = 1, .words = ""};
    one_run last = {.job = "steep",
                    .cohort = "steep-shapes/all/*.h5",
                    .night = "night-shapes/five/*.h5",
                    .n_ranks = 2,
                    .n_threads = 2,
                    .words = ""};
    assert_int_equal(mkdir("stopped", 0777), 0);
    words_of(words, sizeof words, "stopped", &first);
    snprintf(command, sizeof command, "train %s --set run.checkpoint_every=0", words);
    pid_t pid = drive_start(first.n_ranks, command);
    assert_true(drive_wait_for("stopped/run/log.jsonl", "\"round\":5,", 100));
    kill(pid, SIGTERM);
    assert_int_equal(drive_wait(pid, 100), 75);

    setenv("NIGHTSHIFT_TEST_FAULT", "write:checkpoint/state.safetensors#3:torn:kill", 1);
    drive_result killed = drive_ranks(0, "%s", command);
    unsetenv("NIGHTSHIFT_TEST_FAULT");
    assert_int_equal(killed.code, 128 + SIGKILL);
    drive_free(&killed);
    assert_false(same("stopped", "steep", "run/bundle"));
    finish("stopped", &last);
    check_same("stopped", "steep", "stopped and resumed");
    assert_true(file_has("stopped/run/run.json", "\"resumed_from\""));
}

/* --- the same on every build and machine
 * ------------------------------------------------------------------------------ */

static void models_of_this_version(void **state)
{
    (void)state;
    char path[512], line[256];
    snprintf(path, sizeof path, "%s/bytes/models.sha256", E2E_FOLDER);
    for (int i = 0; i < N_JOBS; i++) {
        char file[64], hex[65];
        snprintf(file, sizeof file, "%s/run/bundle/model.safetensors", jobs[i]);
        drive_hash(hex, file);
        snprintf(line, sizeof line, "%d %s %s\n", NS_NUMERICS_VERSION, jobs[i], hex);
        if (!file_has(path, line))
            fail_msg("the model '%s' of numerics version %d is not the one in %s. Where results changed on "
                     "purpose, raise "
                     "NS_NUMERICS_VERSION and add the line\n%s",
                     jobs[i], NS_NUMERICS_VERSION, path, line);
    }
}

/* For builds with sanitizers: train, evaluate and score on one rank (the references) and on three. */
static void three_ranks(void **state)
{
    (void)state;
    one_run run = {.job = "plain",
                   .cohort = "plain-shapes/all/*.h5",
                   .night = "night-shapes/all/*.h5",
                   .n_ranks = 3,
                   .n_threads = 2,
                   .words = ""};
    shapes_of("plain", ROWS);
    check_run("plain", &run, "3 ranks, 2 threads, files in all shapes");
}

int main(int argc, char **argv)
{
    setenv("OMP_WAIT_POLICY", "passive",
           1); /* more threads than cores: one that waits must not take a core */
    const struct CMUnitTest few[] = {cmocka_unit_test(the_data_are_hard), cmocka_unit_test(three_ranks),
                                     cmocka_unit_test(models_of_this_version)};
    const struct CMUnitTest most[] = {
        cmocka_unit_test(the_data_are_hard),   cmocka_unit_test(other_runs_differ),
        cmocka_unit_test(ranks_and_threads),   cmocka_unit_test(ranks_on_hard_data),
        cmocka_unit_test(instruction_sets),    cmocka_unit_test(shapes_of_files),
        cmocka_unit_test(shapes_of_hard_data), cmocka_unit_test(more_ranks_than_blocks),
        cmocka_unit_test(other_seeds),         cmocka_unit_test(other_settings),
        cmocka_unit_test(stopped_and_resumed), cmocka_unit_test(models_of_this_version),
    };
    if (argc > 1 && strcmp(argv[1], "short") == 0) return cmocka_run_group_tests(few, make_references, leave);
    return cmocka_run_group_tests(most, make_references, leave);
}
