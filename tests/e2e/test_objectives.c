/*
 * Every objective, by the jobs of jobs/examples: the same bytes on any ranks, threads, instruction sets and cuts of files, stopped,
 * killed and resumed, extended; what a score file and metrics hold; and what cannot be learned is refused in one line. With the word
 * "short" (builds with sanitizers) only a few of these.
 */
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>

#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/drive.h"

static const struct one_job {
    const char *job, *words; /* jobs/examples/JOB.yaml */
} jobs[] = {
    {"care", ""},
    {"cost", ""},
    {"cost-p90", ""},
    {"calls", ""},
    {"calls", "--set model.gradient_bits=wide --set model.monotone.falling=sodium --set model.row_sample=0.7"},
    {"risk", "--set model.positive_weight=4 --set model.monotone.rising=creatinine"},
    {"care", "--set data.label.column=calls --set 'data.label.classes=[0, 1, 2]' --set 'data.features.exclude=[readmitted, next_care, "
             "cost, calls, true_*]' --set model.column_sample=0.5"},
};
enum { N_JOBS = sizeof jobs / sizeof *jobs };

static const char *const compared[] = {"run/bundle", "run/evaluations/test/metrics.json", "scores.h5", "scores.csv", "scores.h5.manifest.json"};
enum { N_COMPARED = sizeof compared / sizeof *compared };

static void shell(const char *command)
{
    drive_result result = drive_shell(300, "%s", command);
    if (result.code != 0) fail_msg("%s: exit %d\n%s", command, result.code, result.err);
    drive_free(&result);
}

typedef struct one_run {
    int job, n_ranks, n_threads;
    const char *cohort;
} one_run;

static void words_of(char *out, size_t size, const char *name, const one_run *run)
{
    snprintf(out, size,
             "'%s.yaml' --quiet --set model.rounds=12 --set model.learning_rate=0.3 --set run.out=%s/run --set run.threads=%d --set "
             "'data.cohort=[%s]' --set 'score.cohort=[%s]' --set score.out=%s/scores.h5 --set score.csv=true %s",
             jobs[run->job].job, name, run->n_threads, run->cohort, run->cohort, name, jobs[run->job].words);
}

static void finish(const char *name, const one_run *run)
{
    char words[2048];
    words_of(words, sizeof words, name, run);
    drive_must(run->n_ranks, "train %s", words);
    drive_must(run->n_ranks, "evaluate %s", words);
    drive_must(run->n_ranks, "score %s --as-of 2026-11-20", words);
}

static void check_same(const char *name, const char *reference, const char *what)
{
    for (int i = 0; i < N_COMPARED; i++) {
        char path_a[256], path_b[256];
        snprintf(path_a, sizeof path_a, "%s/%s", name, compared[i]);
        snprintf(path_b, sizeof path_b, "%s/%s", reference, compared[i]);
        if (!drive_same(path_a, path_b)) fail_msg("%s: %s is not that of %s", what, compared[i], reference);
    }
}

static void check_run(const one_run *run, const char *what)
{
    char reference[16];
    snprintf(reference, sizeof reference, "ref%d", run->job);
    drive_remove("other");
    assert_int_equal(mkdir("other", 0777), 0);
    finish("other", run);
    check_same("other", reference, what);
}

static int make_references(void **state)
{
    (void)state;
    char command[2048];
    drive_enter("objectives");
    snprintf(command, sizeof command,
             "cp '%s'/care.yaml '%s'/cost.yaml '%s'/cost-p90.yaml '%s'/calls.yaml . && sed -e 's/objective: multiclass/objective: binary/' "
             "-e 's/label: .*/label: {column: readmitted, positive: [\"yes\"]}/' -e 's/readmitted, cost/next_care, cost/' care.yaml > risk.yaml && "
             "'%s' synth stays.h5 --rows 9000 --seed 3 --outcomes --true-risk --quiet && mkdir cut && "
             "'%s' stays.h5 cut/a.h5 --rows 0:3000 --levels 5 && '%s' stays.h5 cut/b.h5 --rows 3000:3001 && "
             "'%s' stays.h5 cut/c.h5 --rows 3001:9000 --chunk 999 --deflate 0",
             E2E_EXAMPLES, E2E_EXAMPLES, E2E_EXAMPLES, E2E_EXAMPLES, drive_program(), E2E_RECUT, E2E_RECUT, E2E_RECUT);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    shell(command);
    for (int i = 0; i < N_JOBS; i++) {
        char name[16];
        one_run run = {.job = i, .n_ranks = 0, .n_threads = 1, .cohort = "stays.h5"};
        snprintf(name, sizeof name, "ref%d", i);
        assert_int_equal(mkdir(name, 0777), 0);
        finish(name, &run);
    }
    return 0;
}

static int leave(void **state)
{
    (void)state;
    drive_leave();
    return 0;
}

/* --- what may not matter --- */

static void ranks_and_threads(void **state)
{
    (void)state;
    for (int i = 0; i < N_JOBS; i++)
        for (int ranks = i == 0 ? 1 : 2; ranks <= 3; ranks++) {
            one_run run = {.job = i, .n_ranks = ranks, .n_threads = 1 + ranks % 2, .cohort = "stays.h5"};
            check_run(&run, jobs[i].job);
        }
}

static void cuts_of_files(void **state)
{
    (void)state;
    for (int i = 0; i < N_JOBS; i++) {
        one_run run = {.job = i, .n_ranks = 2, .n_threads = 2, .cohort = "cut/*.h5"};
        check_run(&run, "other files");
    }
}

static void instruction_sets(void **state)
{
    (void)state;
    setenv("NIGHTSHIFT_CPU", "baseline", 1);
    for (int i = 0; i < 4; i++) {
        one_run run = {.job = i, .n_ranks = 0, .n_threads = 2, .cohort = "stays.h5"};
        check_run(&run, "baseline");
    }
    unsetenv("NIGHTSHIFT_CPU");
}

/* Killed in the middle of a checkpoint, stopped, and finished on other ranks from other files. */
static void stopped_and_resumed(void **state)
{
    (void)state;
    for (int i = 0; i < N_JOBS; i++) {
        char words[2048], reference[16];
        one_run run = {.job = i, .n_ranks = 3, .n_threads = 1, .cohort = "stays.h5"};
        snprintf(reference, sizeof reference, "ref%d", i);
        drive_remove("stopped");
        assert_int_equal(mkdir("stopped", 0777), 0);
        words_of(words, sizeof words, "stopped", &run);
        setenv("NIGHTSHIFT_TEST_FAULT", "write:checkpoint/state.safetensors#4:torn:kill", 1);
        drive_result killed = drive_ranks(0, "train %s --set run.checkpoint_every=0", words);
        unsetenv("NIGHTSHIFT_TEST_FAULT");
        assert_int_equal(killed.code, 128 + SIGKILL);
        drive_free(&killed);
        run = (one_run){.job = i, .n_ranks = 2, .n_threads = 2, .cohort = "cut/*.h5"};
        finish("stopped", &run);
        check_same("stopped", reference, "killed and resumed");
        char *lives = drive_read("stopped/run/run.json");
        assert_non_null(strstr(lives, "\"resumed_from\": 3"));
        free(lives);
    }
}

static void extended(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i += 2) {
        char words[2048], reference[16];
        one_run run = {.job = i, .n_ranks = 0, .n_threads = 1, .cohort = "stays.h5"};
        snprintf(reference, sizeof reference, "ref%d", i);
        drive_remove("extended");
        assert_int_equal(mkdir("extended", 0777), 0);
        words_of(words, sizeof words, "extended", &run);
        drive_must(0, "train %s --set model.rounds=5", words);
        drive_must(2, "train %s --extend", words);
        drive_must(0, "train %s", words); /* already trained */
        run.n_ranks = 2;
        finish("extended", &run);
        check_same("extended", reference, "extended");
    }
}

/* --- what is in the files --- */

static json_t *bundle_file(int job, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "ref%d/run/bundle/%s", job, name);
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    return json;
}

static double number_at(const json_t *object, const char *a, const char *b)
{
    return json_number_value(json_object_get(json_object_get(object, a), b));
}

static void metrics_say_what_they_should(void **state)
{
    (void)state;
    json_t *care = bundle_file(0, "metrics.json"), *cost = bundle_file(1, "metrics.json"), *p90 = bundle_file(2, "metrics.json"),
           *calls = bundle_file(3, "metrics.json"), *three = bundle_file(6, "metrics.json");
    assert_true(number_at(care, "test", "auroc_macro") > 0.6 && number_at(care, "test", "log_loss") < 1.2);
    const json_t *test = json_object_get(care, "test"), *classes = json_object_get(test, "classes");
    static const char *const names[] = {"emergency", "inpatient", "none", "outpatient"};
    assert_int_equal(json_array_size(classes), 4);
    int64_t events = 0;
    for (size_t c = 0; c < 4; c++) {
        assert_string_equal(json_string_value(json_object_get(json_array_get(classes, c), "class")), names[c]);
        events += json_integer_value(json_object_get(json_array_get(classes, c), "events"));
    }
    assert_int_equal(events, json_integer_value(json_object_get(test, "n")));
    const json_t *subgroup = json_array_get(json_object_get(test, "subgroups"), 0);
    assert_true(json_is_number(json_object_get(subgroup, "accuracy")) && json_object_get(subgroup, "classes") == NULL);
    assert_null(json_object_get(json_object_get(json_object_get(care, "parts"), "train"), "events"));
    assert_true(number_at(cost, "test", "r2") > 0.4);
    assert_true(number_at(p90, "test", "coverage") > 0.86 && number_at(p90, "test", "coverage") < 0.94);
    assert_true(fabs(number_at(calls, "test", "observed_expected") - 1) < 0.1 && number_at(calls, "test", "deviance_explained") > 0.03);
    assert_int_equal(json_array_size(json_object_get(json_object_get(three, "test"), "classes")), 3);
    assert_true(json_integer_value(json_object_get(json_object_get(three, "table"), "without_label")) > 100);
    json_decref(care);
    json_decref(cost);
    json_decref(p90);
    json_decref(calls);
    json_decref(three);
}

static void scores_have_the_right_columns(void **state)
{
    (void)state;
    static const char *const first[N_JOBS] = {"id,status,risk_emergency,risk_inpatient,risk_none,risk_outpatient,patient_id\n",
                                              "id,status,prediction,patient_id\n",
                                              "id,status,prediction,patient_id\n",
                                              "id,status,prediction,patient_id\n",
                                              "id,status,prediction,patient_id\n",
                                              "id,status,risk,patient_id\n",
                                              "id,status,risk_0,risk_1,risk_2,patient_id\n"};
    for (int i = 0; i < N_JOBS; i++) {
        char path[64];
        snprintf(path, sizeof path, "ref%d/scores.csv", i);
        char *text = drive_read(path);
        assert_non_null(text);
        if (strncmp(text, first[i], strlen(first[i])) != 0) fail_msg("%s begins with %.100s", path, text);
        free(text);
    }
    for (int i = 0; i < 2; i++) {
        drive_result inspected = drive_ranks(0, "inspect ref%d/scores.h5 --json", i);
        json_t *json = json_loads(inspected.out, 0, NULL);
        const json_t *value = json_array_get(json_object_get(json, "columns"), 2);
        assert_string_equal(json_string_value(json_object_get(value, "name")), i == 0 ? "risk" : "prediction");
        assert_int_equal(json_integer_value(json_object_get(value, "classes")), i == 0 ? 4 : 0);
        json_decref(json);
        drive_free(&inspected);
    }
    for (int i = 0; i < 4; i++) {
        drive_must(2, "verify ref%d/run/bundle --gold stays.h5 --expect ref%d/scores.h5", i, i);
        drive_result wrong = drive_ranks(0, "verify ref%d/run/bundle --gold stays.h5 --expect ref%d/scores.h5", i, i == 3 ? 0 : i + 1);
        assert_int_equal(wrong.code, 5);
        drive_free(&wrong);
    }
}

/* A weight of the outcome raises risks, and metrics show it. */
static void positive_weight_is_seen(void **state)
{
    (void)state;
    drive_must(0, "train risk.yaml --quiet --set model.rounds=12 --set model.learning_rate=0.3 --set run.out=even");
    json_t *even = json_load_file("even/bundle/metrics.json", 0, NULL), *weighted = bundle_file(5, "metrics.json");
    double fair = json_number_value(json_object_get(json_object_get(json_object_get(even, "test"), "calibration"), "observed_expected"));
    double high = json_number_value(json_object_get(json_object_get(json_object_get(weighted, "test"), "calibration"), "observed_expected"));
    assert_true(fair > 0.85 && fair < 1.2 && high < 0.6);
    json_decref(even);
    json_decref(weighted);
}

/* --- what cannot be --- */

static void poison(const char *file, const char *column, float value)
{
    file_copy("stays.h5", file);
    cohort_poke_float(file, column, 77, value);
}

static void refused_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *job, *words;
        int code;
        const char *says;
    } cases[] = {
        {"cost", "--set data.label.column=next_care", 3, "'next_care' is of kind category; model.objective: regression needs a number"},
        {"care", "--set data.label.column=cost", 3, "more than 1000 different values, too many classes"},
        {"care", "--set data.label.column=readmitted", 3, "2 classes by column 'readmitted'"},
        {"care", "--set model.category_min_rows=1000", 3, "2 of the 4 classes of column 'next_care' have fewer than 1000 training rows"},
        {"care", "--set 'data.label.classes=[none, outpatient, hospice]'", 3, "no level 'hospice'"},
        {"care", "--set data.label.column=calls --set 'data.label.classes=[0, one, 2]'", 3, "'one' is no number"},
        {"care", "--set data.label.column=calls --set 'data.label.classes=[0, 1, 1.0]'", 3, "names a value twice"},
        {"care", "--set train.stop_metric=auroc", 2, "train.stop_metric: auroc is used only with"},
        {"cost", "--set model.monotone.rising=unit", 3, "model.monotone.rising: column 'unit' is of kind category"},
        {"cost", "--set model.monotone.falling=nothing", 3, "model.monotone.falling: the cohort has no column 'nothing'"},
        {"cost", "--set model.monotone.falling=calls", 3, "model.monotone.falling: column 'calls' is not a feature"},
        {"cost", "--set data.cohort=infinite.h5", 3, "infinite.h5: column 'cost', row 77 (counting from 0): a label is a finite number"},
        {"calls", "--set data.cohort=negative.h5", 3, "negative.h5: column 'calls', row 77 (counting from 0): with model.objective: poisson"},
        {"calls", "--set 'data.where=calls = 0'", 3, "a count that never occurs cannot be learned"},
    };
    poison("infinite.h5", "cost", INFINITY);
    poison("negative.h5", "calls", -1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int ranks = 0; ranks <= 2; ranks += 2) {
            int n_lines;
            drive_result result = drive_ranks(ranks, "train %s.yaml --set run.out=refused %s", cases[i].job, cases[i].words);
            const char *line = drive_error_line(&result, &n_lines);
            if (result.code != cases[i].code || n_lines != 1 || strstr(line, cases[i].says) == NULL)
                fail_msg("%s %s: exit %d, %d lines: %s", cases[i].job, cases[i].words, result.code, n_lines, line);
            drive_free(&result);
        }
    drive_result other = drive_ranks(0, "evaluate cost.yaml --set run.out=ref0/run --set evaluate.bundle=ref0/run/bundle --set evaluate.cohort=stays.h5");
    assert_int_equal(other.code, 2);
    assert_non_null(strstr(drive_error_line(&other, NULL), "the bundle's objective is multiclass, the job's is regression"));
    drive_free(&other);
}

/* Another cohort has fewer classes, and one that the bundle never saw: its rows are left out. */
static void other_cohorts_are_evaluated(void **state)
{
    (void)state;
    drive_must(2, "evaluate care.yaml --quiet --set run.out=ref0/run --set evaluate.name=some --set evaluate.cohort=stays.h5 --set 'data.where=next_care != \"none\"'");
    json_t *some = json_load_file("ref0/run/evaluations/some/metrics.json", 0, NULL);
    const json_t *classes = json_object_get(json_object_get(some, "metrics"), "classes");
    assert_int_equal(json_array_size(classes), 4);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(classes, 2), "events")), 0);
    json_decref(some);
    drive_must(0, "evaluate care.yaml --quiet --set run.out=ref6/run --set evaluate.name=more --set evaluate.cohort=stays.h5 --set data.label.column=calls");
    json_t *more = json_load_file("ref6/run/evaluations/more/metrics.json", 0, NULL);
    assert_true(json_integer_value(json_object_get(more, "without_label")) > 100);
    json_decref(more);
}

int main(int argc, char **argv)
{
    setenv("OMP_WAIT_POLICY", "passive", 1);
    const struct CMUnitTest few[] = {cmocka_unit_test(metrics_say_what_they_should), cmocka_unit_test(cuts_of_files)};
    const struct CMUnitTest most[] = {
        cmocka_unit_test(metrics_say_what_they_should), cmocka_unit_test(scores_have_the_right_columns),
        cmocka_unit_test(ranks_and_threads),            cmocka_unit_test(cuts_of_files),
        cmocka_unit_test(instruction_sets),             cmocka_unit_test(stopped_and_resumed),
        cmocka_unit_test(extended),                     cmocka_unit_test(positive_weight_is_seen),
        cmocka_unit_test(other_cohorts_are_evaluated),  cmocka_unit_test(refused_in_one_line),
    };
    if (argc > 1 && strcmp(argv[1], "short") == 0) return cmocka_run_group_tests(few, make_references, leave);
    return cmocka_run_group_tests(most, make_references, leave);
}
