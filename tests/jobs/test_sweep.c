/* The section sweep of a job: its axes, their order and echo, and what is wrong with them. */
#include "tests/check.h"

#include "jobs/sweep.h"
#include "tests/jobs/sources.h"

static ns_job *parse(const char *text, const char *const *sets, int32_t n_sets)
{
    ns_job *job;
    const ns_job_sources sources = sources_of(text, NULL, sets, n_sets);
    CHECK_OK(ns_job_parse(&job, &sources));
    return job;
}

/* "grid model.max_leaves: 15 31; random model.l2: 0.1..10 log; " */
static void describe(char out[512], const ns_job *job)
{
    const ns_sweep_axis *axes;
    int32_t n = ns_job_sweep(job, &axes);
    size_t at = 0;
    out[0] = '\0';
    for (int32_t i = 0; i < n; i++) {
        at += (size_t)snprintf(out + at, 512 - at, "%s %s:", axes[i].is_random ? "random" : "grid", ns_options[axes[i].option].key);
        for (int64_t k = 0; k < axes[i].n_words; k++) at += (size_t)snprintf(out + at, 512 - at, " %s", axes[i].words[k]);
        if (axes[i].is_range) at += (size_t)snprintf(out + at, 512 - at, " %g..%g%s", axes[i].least, axes[i].most, axes[i].is_log ? " log" : "");
        at += (size_t)snprintf(out + at, 512 - at, "; ");
    }
}

static const char whole[] = "sweep:\n"
                            "  folds: 5\n"
                            "  random: {members: 3, model.min_rows: [5, 50], model: {l2: [0.1, 10, log]}, model.gradient_bits: [narrow, wide]}\n"
                            "  grid:\n"
                            "    train.stop_metric: [auroc, loss]\n"
                            "    model.learning_rate: [0.10, 5e-2]\n"
                            "    model: {max_leaves: ['031', 15]}\n"
                            "  seeds: 2\n"
                            "train: {stop_after: 5}\n";

static const char whole_axes[] = "grid model.learning_rate: 0.1 0.05; grid model.max_leaves: 31 15; grid train.stop_metric: auroc loss; "
                                 "random model.l2: 0.1..10 log; random model.min_rows: 5..50; random model.gradient_bits: narrow wide; ";

/* The order is that of the table, whatever that of the file; values are as short as numbers can be. */
static void test_axes(void **state)
{
    (void)state;
    char text[512];
    ns_job *job = parse(whole, NULL, 0);
    describe(text, job);
    assert_string_equal(text, whole_axes);
    assert_int_equal(ns_job_sweep_members(job), 8 * 3 * 2 * 5);
    ns_job_destroy(&job);

    job = parse("name: x\n", NULL, 0);
    describe(text, job);
    assert_string_equal(text, "");
    assert_int_equal(ns_job_sweep_members(job), 1);
    ns_job_destroy(&job);

    job = parse("sweep: {grid: , seeds: 4}\n", NULL, 0); /* a section with nothing below it */
    assert_int_equal(ns_job_sweep_members(job), 4);
    ns_job_destroy(&job);
}

static void test_set_replaces_and_unsets(void **state)
{
    (void)state;
    char text[512];
    const char *const sets[] = {"sweep.grid.model.max_leaves=[4, 8, 16]", "sweep.grid.train.stop_metric=", "sweep.random.model.l2=[1, 2]",
                                "sweep.grid.model.l1=[0, 1]", "sweep.grid.model.learning_rate=~", "sweep.random.members=7"};
    ns_job *job = parse(whole, sets, 6);
    describe(text, job);
    assert_string_equal(text, "grid model.max_leaves: 4 8 16; grid model.l1: 0 1; random model.l2: 1..2; random model.min_rows: 5..50; "
                              "random model.gradient_bits: narrow wide; ");
    assert_int_equal(ns_job_sweep_members(job), 6 * 7 * 2 * 5);
    ns_job_destroy(&job);
}

static void test_echo_reads_back(void **state)
{
    (void)state;
    char text[512], *first, *second, *bundle, *plain;
    ns_job *job = parse(whole, NULL, 0), *without = parse("train: {stop_after: 5}\n", NULL, 0);
    CHECK_OK(ns_job_echo(&first, job, NS_ECHO_ALL));
    assert_non_null(strstr(first, "sweep:\n  seeds: 2\n  folds: 5\n  grid:\n    model:\n      learning_rate: [0.1, 0.05]\n      max_leaves: [31, 15]\n"
                                  "    train:\n      stop_metric: [auroc, loss]\n  random:\n    members: 3\n    model:\n      l2: [0.1, 10, log]\n"
                                  "      min_rows: [5, 50]\n      gradient_bits: [narrow, wide]\nrun:\n"));
    ns_job *again = parse(first, NULL, 0);
    CHECK_OK(ns_job_echo(&second, again, NS_ECHO_ALL));
    assert_string_equal(first, second);
    describe(text, again);
    assert_string_equal(text, whole_axes);
    CHECK_OK(ns_job_echo(&bundle, job, NS_ECHO_BUNDLE)); /* what a sweep tries decides no model */
    CHECK_OK(ns_job_echo(&plain, without, NS_ECHO_BUNDLE));
    assert_string_equal(bundle, plain);
    free(first);
    free(second);
    free(bundle);
    free(plain);
    ns_job_destroy(&job);
    ns_job_destroy(&again);
    ns_job_destroy(&without);
}

static const struct {
    const char *job, *set, *message;
} mistakes[] = {
    {"sweep:\n  grid:\n    model.max_leaves: [15,\n      1]\n", NULL, "readmission.yaml:4: sweep.grid.model.max_leaves: 1 is not from 2 to 65536"},
    {"sweep:\n  grid:\n    model.max_leafs: [15]\n", NULL,
     "readmission.yaml:3: sweep.grid.model.max_leafs: names no option; the nearest is model.max_leaves"},
    {"sweep:\n  grid:\n    max_leaves: [15]\n", NULL, "readmission.yaml:3: sweep.grid.max_leaves: names no option; the nearest is model.max_leaves"},
    {"sweep:\n  gird: {model.max_leaves: [15]}\n", NULL, "readmission.yaml:2: sweep.gird.model.max_leaves: unknown key; the nearest is sweep.grid"},
    {"sweep:\n  fold: 5\n", NULL, "readmission.yaml:2: sweep.fold: unknown key; the nearest is sweep.folds"},
    {"sweep: {grid: 5}\n", NULL, "readmission.yaml:1: sweep.grid: is a section"},
    {"sweep: {random: 5}\n", NULL, "readmission.yaml:1: sweep.random: is a section"},
    {"sweep: 5\n", NULL, "readmission.yaml:1: sweep: is a section"},
    {"sweep: {grid: {model: 5}}\n", NULL, "readmission.yaml:1: sweep.grid.model: names no option"},
    {"sweep: {grid: {model.max_leaves: {a: 5}}}\n", NULL, "readmission.yaml:1: sweep.grid.model.max_leaves.a: names no option"},
    {"sweep:\n  grid: {model.max_leaves: []}\n", NULL, "readmission.yaml:2: sweep.grid.model.max_leaves: is an empty list"},
    {"sweep:\n  grid: {model.max_leaves: 15}\n", NULL, "readmission.yaml:2: sweep.grid.model.max_leaves: takes a list"},
    {"sweep:\n  grid: {model.max_leaves: [15, 015]}\n", NULL, "readmission.yaml:2: sweep.grid.model.max_leaves: 15 stands twice"},
    {"sweep:\n  grid: {model.l2: [1, x]}\n", NULL, "readmission.yaml:2: sweep.grid.model.l2: 'x' is not a number"},
    {"sweep:\n  grid: {model.l2: [1, ~]}\n", NULL, "readmission.yaml:2: sweep.grid.model.l2: is empty"},
    {"sweep:\n  grid: {run.out: [a, b]}\n", NULL, "readmission.yaml:2: sweep.grid.run.out: may not be swept: options of model and train"},
    {"sweep:\n  grid: {run.threads: [1, 2]}\n", NULL, "readmission.yaml:2: sweep.grid.run.threads: may not be swept"},
    {"sweep:\n  grid: {data.where: [a > 1]}\n", NULL, "readmission.yaml:2: sweep.grid.data.where: may not be swept"},
    {"sweep:\n  grid: {model.objective: [binary]}\n", NULL, "readmission.yaml:2: sweep.grid.model.objective: may not be swept"},
    {"sweep:\n  grid: {model.monotone.rising: [a]}\n", NULL, "readmission.yaml:2: sweep.grid.model.monotone.rising: may not be swept"},
    {"sweep:\n  grid: {train.seed: [1, 2]}\n", NULL, "readmission.yaml:2: sweep.grid.train.seed: may not be swept: sweep.seeds says"},
    {"sweep:\n  random: {members: 3}\n", NULL, "readmission.yaml:2: sweep.random.members: needs options to draw"},
    {"sweep:\n  random: {model.l2: [1, 2]}\n", NULL, "readmission.yaml:2: sweep.random.model.l2: needs sweep.random.members"},
    {"sweep:\n  random: {members: 3, model.l2: [1, 2, 3]}\n", NULL, "readmission.yaml:2: sweep.random.model.l2: takes the two ends of a range"},
    {"sweep:\n  random: {members: 3, model.l2: [1]}\n", NULL, "readmission.yaml:2: sweep.random.model.l2: takes the two ends of a range"},
    {"sweep:\n  random: {members: 3, model.l2: [2, 1]}\n", NULL, "readmission.yaml:2: sweep.random.model.l2: takes a range that begins below"},
    {"sweep:\n  random: {members: 3, model.l2: [0, 1, log]}\n", NULL, "readmission.yaml:2: sweep.random.model.l2: takes with log only a range above 0"},
    {"sweep:\n  random: {members: 3, model.l2: [-1, 1]}\n", NULL, "readmission.yaml:2: sweep.random.model.l2: -1 is not from 0"},
    {"sweep:\n  random: {members: 0, model.l2: [1, 2]}\n", NULL, "readmission.yaml:2: sweep.random.members: 0 is not from 1 to 9999"},
    {"sweep:\n  grid: {model.l2: [1, 2]}\n  random: {members: 3, model.l2: [1, 2]}\n", NULL, "readmission.yaml:3: sweep.random.model.l2: stands in sweep.grid too"},
    {"sweep: {folds: 1}\n", NULL, "readmission.yaml:1: sweep.folds: 1 is not from 2 to 100"},
    {"sweep: {folds: 100, seeds: 100}\n", NULL, "readmission.yaml:1: sweep.seeds: settings times seeds times folds are more than 9999 members"},
    {"sweep:\n  folds: 100\n  seeds: 10\n  grid:\n    model.l2: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n", NULL,
     "readmission.yaml:5: sweep.grid.model.l2: settings times seeds times folds are more than 9999 members"},
    {"sweep: {metric: f1}\n", NULL, "readmission.yaml:1: sweep.metric: 'f1' is not one of log_loss, auroc"},
    {"sweep: {metric: rmse}\n", NULL, "readmission.yaml:1: sweep.metric: with model.objective: binary it is one of log_loss auroc auprc brier"},
    {"sweep: {metric: auroc}\nmodel: {objective: poisson}\n", NULL, "readmission.yaml:1: sweep.metric: with model.objective: poisson it is one of deviance mae"},
    {"sweep: {folds: 3}\ndata: {time: t, split: {by: time, test_from: 2024-01-01}}\n", NULL, "readmission.yaml:1: sweep.folds: is not used with data.split.by: time"},
    {"data: {split: {folds: 3}}\n", NULL, "readmission.yaml:1: data.split.folds: needs data.split.fold"},
    {"data: {split: {fold: 3}}\n", NULL, "readmission.yaml:1: data.split.fold: needs data.split.folds"},
    {"data: {split: {folds: 3, fold: 4}}\n", NULL, "readmission.yaml:1: data.split.fold: is above data.split.folds"},
    {"data: {time: t, split: {by: time, test_from: 2024-01-01, folds: 3, fold: 1}}\n", NULL, "readmission.yaml:1: data.split.folds: is not used with data.split.by: time"},
    {"name: x\n", "sweep.grid.model.l2=[1, x]", "--set: sweep.grid.model.l2: 'x' is not a number"},
    {"name: x\n", "sweep.grid.model.l2=1", "--set: sweep.grid.model.l2: takes a list"},
    {"model.l2: 1\n", NULL, "readmission.yaml:1: model.l2: a key has no dots"},
    {"sweep: {seeds.x: 1}\n", NULL, "readmission.yaml:1: seeds.x: a key has no dots"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        ns_job *job;
        const ns_job_sources sources = sources_of(mistakes[i].job, NULL, &mistakes[i].set, mistakes[i].set != NULL);
        ns_error_clear();
        if (ns_job_parse(&job, &sources) != NS_EINVAL) fail_msg("case %zu passes: %s", i, mistakes[i].job);
        assert_null(job);
        const char *message = ns_last_error()->message;
        if (strncmp(message, mistakes[i].message, strlen(mistakes[i].message)) != 0)
            fail_msg("case %zu: %s\nnot %s", i, message, mistakes[i].message);
        if (strchr(message, '\n') != NULL) fail_msg("case %zu: more than a line: %s", i, message);
    }
    ns_error_clear();
    ns_job *job;
    const ns_job_sources site = sources_of("name: x\n", "sweep: {grid: {model.l2: [1, 2]}}\n", NULL, 0);
    CHECK_FAILS(ns_job_parse(&job, &site), NS_EINVAL, "site.yaml:1: sweep.grid.model.l2: cannot stand in a site file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_axes), cmocka_unit_test(test_set_replaces_and_unsets), cmocka_unit_test(test_echo_reads_back),
                                       cmocka_unit_test(test_mistakes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
