/*
 * Sweeps: the same winner and bytes on any ranks, in one run or in parts, however often killed; failures in the table; what a member is;
 * folds; refusals.
 */
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/drive.h"
#include "tests/e2e/whole.h"

enum { LIMIT_S = 90, N_MEMBERS = 8, FAILS = 5 };

static json_t *json_of(const char *path)
{
    json_t *json = json_load_file(path, 0, NULL);
    if (json == NULL) fail_msg("'%s' is no JSON", path);
    return json;
}

static bool is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static int64_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value)) fail_msg("no whole number '%s'", key);
    return json_integer_value(value);
}

static const json_t *member_of(const json_t *sweep, int i)
{
    return json_array_get(json_object_get(sweep, "members"), (size_t)i - 1);
}

/* What a command prints, with its exit code looked at. */
static char *run(int code, int n_ranks, const char *words)
{
    int n;
    drive_result result = drive_ranks(n_ranks, "%s", words);
    if (result.code != code) fail_msg("%s: exit %d, not %d\n%s", words, result.code, code, result.err);
    drive_error_line(&result, &n);
    if (n != (code != 0)) fail_msg("%s: %d error lines\n%s", words, n, result.err);
    char *out = result.out;
    result.out = NULL;
    drive_free(&result);
    return out;
}

static void refused(int code, const char *words, const char *text)
{
    int n;
    drive_result result = drive_ranks(0, "%s", words);
    const char *line = drive_error_line(&result, &n);
    if (result.code != code || n != 1 || strstr(line, text) == NULL) fail_msg("%s: exit %d, %d lines: %s\nnot '%s'", words, result.code, n, line, text);
    drive_free(&result);
}

/* --- eight members, one of which fails --- */

/* The table is right: counts, the failure with its reason, and the best by hand. */
static void check_eight(const char *path)
{
    json_t *sweep = json_of(path);
    assert_int_equal(number(sweep, "n_members"), N_MEMBERS);
    assert_int_equal(number(sweep, "done"), N_MEMBERS - 1);
    assert_int_equal(number(sweep, "failed"), 1);
    assert_int_equal(number(sweep, "missing") + number(sweep, "unfinished"), 0);
    double best = 0;
    int64_t best_at = 0;
    for (int i = 1; i <= N_MEMBERS; i++) {
        const json_t *member = member_of(sweep, i);
        const char *status = json_string_value(json_object_get(member, "status"));
        double metric = json_number_value(json_object_get(member, "metric"));
        assert_int_equal(number(member, "member"), i);
        assert_string_equal(status, i == FAILS ? "failed" : "done");
        if (i == FAILS) {
            assert_int_equal(number(member, "exit"), 3);
            assert_non_null(strstr(json_string_value(json_object_get(member, "message")), "fewer than 3000 training rows"));
            assert_true(json_is_null(json_object_get(member, "metric")));
            continue;
        }
        if (best_at == 0 || metric < best) best = metric, best_at = i;
    }
    const json_t *winner = json_object_get(sweep, "best");
    assert_int_equal(number(winner, "setting"), best_at);
    assert_true(json_number_value(json_object_get(winner, "mean")) == best);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(winner, "members"), 0)), best_at);
    json_decref(sweep);
}

static void check_same(const char *a, const char *b)
{
    char one[64], other[64];
    snprintf(one, sizeof one, "%s/sweep.json", a);
    snprintf(other, sizeof other, "%s/sweep.json", b);
    if (!drive_same(one, other)) fail_msg("%s and %s differ", one, other);
    for (int i = 1; i <= N_MEMBERS; i++) {
        snprintf(one, sizeof one, "%s/members/%04d/bundle", a, i);
        snprintf(other, sizeof other, "%s/members/%04d/bundle", b, i);
        if (i == FAILS ? is_there(one) || is_there(other) : !drive_same(one, other)) fail_msg("%s and %s differ", one, other);
    }
}

static void test_same_on_any_ranks(void **state)
{
    (void)state;
    for (int n_ranks = 2; n_ranks <= 3; n_ranks++) {
        char words[100], name[4] = {'r', (char)('0' + n_ranks), '\0'};
        snprintf(words, sizeof words, "sweep eight.yaml --set run.out=%s --quiet", name);
        free(run(0, n_ranks, words));
        check_same("eight", name);
    }
    char *out = run(0, 0, "sweep eight.yaml --set run.out=eight --quiet"); /* nothing is new but another try of what failed */
    assert_non_null(strstr(out, "8 members: 7 done, 1 failed"));
    assert_non_null(strstr(out, "failed    0005 (setting 5), exit 3: eight.yaml:6: data.label.column: "));
    assert_non_null(strstr(out, "bundle    "));
    free(out);
    check_same("eight", "r2");
}

/* A member is what train makes with its settings, and is as good as any bundle. */
static void test_a_member_is_a_training(void **state)
{
    (void)state;
    drive_must(0, "train eight.yaml --set model.category_min_rows=40 --set run.out=alone --quiet");
    assert_true(drive_same("alone/bundle", "eight/members/0006/bundle"));
    assert_false(drive_same("alone/bundle/model.safetensors", "eight/members/0001/bundle/model.safetensors"));
    whole_run("eight/members/0001", "a member");
    drive_must(0, "verify eight/members/0001/bundle --quiet");
    drive_must(0, "inspect eight/members/0001 --quiet");
    char *out = run(0, 0, "inspect eight --quiet");
    assert_non_null(strstr(out, "sweep\n  name     eight\n  members  8: 7 done, 1 failed, 0 still to do\n  best     setting "));
    free(out);
    out = run(0, 0, "check folds.yaml --quiet");
    assert_non_null(strstr(out, "  sweep     12 members: 2 settings, 2 seeds, 3 folds, by auroc\n"));
    free(out);
}

/* As a job array does it: in any order, on other ranks, one process a member, then gathered. */
static void test_in_parts(void **state)
{
    (void)state;
    char words[120], *out;
    for (int i = N_MEMBERS; i >= 1; i--) {
        snprintf(words, sizeof words, "sweep eight.yaml --set run.out=parts --member %d --json --quiet", i);
        out = run(i == FAILS ? 3 : 0, i % 3, words);
        json_t *summary = json_loads(out, 0, NULL);
        assert_int_equal(number(summary, "member"), i);
        if (i != FAILS) assert_int_equal(number(summary, "rounds"), 6);
        json_decref(summary);
        free(out);
        assert_false(is_there("parts/sweep.json") && i > 3);
        if (i != 3) continue;
        out = run(0, 0, "sweep eight.yaml --set run.out=parts --gather --json --quiet"); /* before all are there */
        summary = json_loads(out, 0, NULL);
        assert_int_equal(number(summary, "missing"), 2);
        assert_int_equal(number(summary, "done"), 5);
        assert_int_equal(number(summary, "tried"), 0);
        json_decref(summary);
        free(out);
    }
    free(run(0, 2, "sweep eight.yaml --set run.out=parts --gather --quiet"));
    check_same("eight", "parts");
    free(run(0, 0, "sweep eight.yaml --set run.out=parts --member 2 --quiet")); /* done already */
    check_same("eight", "parts");
}

/* The full job that a run leaves says the same of the sweep as the file that was written: a copy of it in a queue makes the same members. */
static void test_from_a_resolved_job(void **state)
{
    (void)state;
    if (system("mkdir frozen && cp eight/members/0001/job.yaml frozen/job.yaml") != 0) fail_msg("cannot copy");
    drive_must(0, "sweep frozen/job.yaml --set run.out=frozen/run --member 6 --quiet");
    drive_must(2, "sweep frozen/job.yaml --set run.out=frozen/run --quiet");
    for (int i = 1; i <= N_MEMBERS; i++) {
        char one[64], other[64];
        snprintf(one, sizeof one, "eight/members/%04d/bundle", i);
        snprintf(other, sizeof other, "frozen/run/members/%04d/bundle", i);
        if (i != FAILS && !drive_same(one, other)) fail_msg("%s and %s differ", one, other);
    }
    check_eight("frozen/run/sweep.json");
}

/* --- killed and stopped --- */

static int lives_of(const char *member)
{
    char path[100];
    snprintf(path, sizeof path, "%s/run.json", member);
    json_t *document = json_of(path);
    int n = (int)json_array_size(json_object_get(document, "lives"));
    json_decref(document);
    return n;
}

/* Wherever it is killed, the same command goes on to the same bytes, and what is done is not done again. */
static void test_killed_anywhere(void **state)
{
    (void)state;
    static const char *const faults[] = {"rename:bundle#3:before:kill", "rename:bundle#4:after:kill",  "mkdir:members:after:kill",
                                         "write:failure:torn:kill",     "rename:failure:after:kill",   "mkdir:run#6:after:kill",
                                         "rename:checkpoint#2:after:kill", "write:sweep:torn:kill",    "rename:sweep:after:kill"};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        drive_remove("k");
        setenv("NIGHTSHIFT_TEST_FAULT", faults[i], 1);
        drive_result result = drive_ranks(i % 2 == 0 ? 0 : 2, "sweep eight.yaml --set run.out=k --quiet");
        unsetenv("NIGHTSHIFT_TEST_FAULT");
        if (result.code == 0) fail_msg("%s was not reached", faults[i]);
        drive_free(&result);
        drive_must(i % 2 == 0 ? 2 : 0, "sweep eight.yaml --set run.out=k --quiet");
        check_same("eight", "k");
        if (i == 1) { /* four were done: the first was looked at again, the others were not */
            assert_int_equal(lives_of("k/members/0001"), 2);
            assert_int_equal(lives_of("k/members/0002"), 1);
            assert_int_equal(lives_of("k/members/0004"), 1);
            assert_int_equal(lives_of("k/members/0006"), 1);
        }
        if (whole_count_names("k", ".tmp") != 0) fail_msg("%s: something is left", faults[i]);
        assert_false(is_there("k/members/lock"));
    }
}

/* A disk that is full fails the member; where the failure cannot be written either, it ends the sweep. */
static void test_machine_fails(void **state)
{
    (void)state;
    drive_remove("f");
    setenv("NIGHTSHIFT_TEST_FAULT", "write:bundle/metrics.json#2:before:fail", 1);
    char *out = run(0, 0, "sweep eight.yaml --set run.out=f --quiet");
    if (strstr(out, "8 members: 6 done, 2 failed") == NULL || strstr(out, "failed    0002 (setting 2), exit 1: cannot write") == NULL) fail_msg("%s", out);
    free(out);
    setenv("NIGHTSHIFT_TEST_FAULT", "write:failure:before:fail", 1);
    refused(1, "sweep eight.yaml --set run.out=f --quiet", "failed.json': No space left on device");
    unsetenv("NIGHTSHIFT_TEST_FAULT");
    free(run(0, 2, "sweep eight.yaml --set run.out=f --quiet"));
    check_same("eight", "f");
}

static void test_stopped(void **state)
{
    (void)state;
    for (int n_ranks = 0; n_ranks <= 2; n_ranks += 2) {
        drive_remove("s");
        pid_t pid = drive_start(n_ranks, "sweep long.yaml --set run.out=s --quiet");
        if (!drive_wait_for("s/members/0001/log.jsonl", "\n", LIMIT_S)) fail_msg("the first member never began");
        drive_result second = drive_ranks(0, "sweep long.yaml --set run.out=s --quiet");
        int n;
        if (second.code != 2 || strstr(drive_error_line(&second, &n), "the sweep is held by process") == NULL) fail_msg("two at once: %d %s", second.code, second.err);
        drive_free(&second);
        if (!drive_wait_for("s/members/0002/log.jsonl", "\n", LIMIT_S)) fail_msg("the second member never began");
        kill(pid, SIGTERM);
        int code = drive_wait(pid, LIMIT_S);
        if (code != 75) fail_msg("stopped on %d ranks: exit %d", n_ranks, code);
        assert_true(is_there("s/members/0001/bundle"));
        assert_false(is_there("s/members/0002/bundle") || is_there("s/members/0002/failed.json") || is_there("s/sweep.json") || is_there("s/members/lock"));
        drive_must(2 - n_ranks, "sweep long.yaml --set run.out=s --quiet");
        if (n_ranks == 0) {
            if (rename("s", "long") != 0) fail_msg("cannot keep it");
        } else if (!drive_same("s/sweep.json", "long/sweep.json") || !drive_same("s/members/0002/bundle", "long/members/0002/bundle")) {
            fail_msg("after a stop the sweeps differ");
        }
    }
}

/* --- folds and seeds --- */

static int64_t rows_of(int member, const char *part)
{
    char path[100];
    snprintf(path, sizeof path, "folds/members/%04d/bundle/metrics.json", member);
    json_t *metrics = json_of(path);
    int64_t n = number(json_object_get(json_object_get(metrics, "parts"), part), "rows");
    json_decref(metrics);
    return n;
}

static void test_folds(void **state)
{
    (void)state;
    enum { N_FOLDS = 3, N_SEEDS = 2 };
    char *out = run(0, 2, "sweep folds.yaml --quiet");
    json_t *sweep = json_of("folds/sweep.json");
    assert_int_equal(number(sweep, "n_members"), 2 * N_SEEDS * N_FOLDS);
    assert_int_equal(number(sweep, "folds"), N_FOLDS);
    int64_t n_test = rows_of(1, "test"), n_pool = rows_of(1, "train") + rows_of(1, "valid");
    for (int s = 0; s < 2 * N_SEEDS; s++) { /* every row that is not tested is held out once by each setting and seed */
        int64_t n_held = 0;
        for (int f = 0; f < N_FOLDS; f++) {
            int i = s * N_FOLDS + f + 1;
            const json_t *member = member_of(sweep, i);
            assert_int_equal(number(member, "fold"), f + 1);
            assert_int_equal(number(member, "seed"), 7 + s % N_SEEDS);
            assert_int_equal(number(member, "setting"), 1 + s / N_SEEDS);
            assert_int_equal(rows_of(i, "test"), n_test);
            assert_int_equal(rows_of(i, "train") + rows_of(i, "valid"), n_pool);
            n_held += rows_of(i, "valid");
        }
        assert_int_equal(n_held, n_pool);
    }
    for (int s = 0; s < 2; s++) { /* mean and spread, by hand */
        const json_t *setting = json_array_get(json_object_get(sweep, "settings"), (size_t)s);
        double sum = 0, least = 2, most = -1, mean = json_number_value(json_object_get(setting, "mean")), squares = 0;
        for (int i = 1 + 6 * s; i <= 6 + 6 * s; i++) {
            double x = json_number_value(json_object_get(member_of(sweep, i), "metric"));
            sum += x;
            squares += (x - mean) * (x - mean);
            least = x < least ? x : least;
            most = x > most ? x : most;
        }
        double sd = json_number_value(json_object_get(setting, "sd"));
        assert_true(mean == sum / 6 && least == json_number_value(json_object_get(setting, "least")) && most == json_number_value(json_object_get(setting, "most")));
        assert_true(sd > 0 && sd * sd * 5 > squares * (1 - 1e-12) && sd * sd * 5 < squares * (1 + 1e-12));
    }
    bool first = json_number_value(json_object_get(json_array_get(json_object_get(sweep, "settings"), 0), "mean")) >=
                 json_number_value(json_object_get(json_array_get(json_object_get(sweep, "settings"), 1), "mean"));
    assert_string_equal(json_string_value(json_object_get(sweep, "better")), "larger");
    assert_int_equal(number(json_object_get(sweep, "best"), "setting"), first ? 1 : 2);
    json_decref(sweep);
    char command[200];
    snprintf(command, sizeof command, ": nightshift train folds.yaml --set model.max_leaves=%s\n", first ? "3" : "12");
    if (strstr(out, command) == NULL) fail_msg("no '%s' in\n%s", command, out);
    free(out);
    drive_must(0, "%s --quiet", "train folds.yaml --set model.max_leaves=3"); /* beside its members, in the same run folder */
    assert_true(is_there("folds/bundle") && is_there("folds/members/0001/bundle"));
    drive_must(2, "train folds.yaml --set model.max_leaves=12 --set train.seed=8 --set data.split.seed=7 --set data.split.folds=3 --set data.split.fold=2 "
                  "--set run.out=one --quiet");
    assert_true(drive_same("one/bundle", "folds/members/0011/bundle"));
}

/* --- when nothing works, and refusals --- */

static void test_none_succeeds(void **state)
{
    (void)state;
    int n;
    drive_result result = drive_ranks(2, "sweep eight.yaml --set 'sweep.grid.model.category_min_rows=[3000, 3001]' --set run.out=none --quiet");
    const char *line = drive_error_line(&result, &n);
    if (result.code != 4 || n != 1) fail_msg("exit %d, %d lines\n%s", result.code, n, result.err);
    assert_non_null(strstr(line, "none of the 2 members of the sweep succeeded; member 0001: eight.yaml:6: data.label.column"));
    assert_non_null(strstr(result.out, "2 members: 0 done, 2 failed"));
    drive_free(&result);
    json_t *sweep = json_of("none/sweep.json");
    assert_true(json_is_null(json_object_get(sweep, "best")));
    json_decref(sweep);
    /* a metric that the validation rows do not define is a failure too: no outcome is among them */
    refused(4, "sweep plain.yaml --set sweep.seeds=2 --set sweep.metric=auroc --set data.split.train=0.7 --set data.split.valid=0.002 "
               "--set data.split.test=0.298 --quiet", "member 0001: auroc of its validation rows is not defined");
}

static void test_refusals(void **state)
{
    (void)state;
    refused(2, "sweep plain.yaml --quiet", "sweep: is not set in the job");
    refused(2, "sweep eight.yaml --member 9 --quiet", "--member: '9' is not a whole number from 1 to 8");
    refused(2, "sweep eight.yaml --member 0 --quiet", "--member: '0' is not a whole number from 1 to 8");
    refused(2, "sweep eight.yaml --member 1 --gather --quiet", "--member, --gather and --restart exclude one another");
    refused(2, "sweep eight.yaml --set run.out=nowhere --gather --quiet", "nowhere/members' is not there");
    refused(2, "sweep eight.yaml --set run.out=eight.yaml --quiet", "eight.yaml' is not a folder");
    refused(2, "sweep eight.yaml --set 'sweep.grid.run.out=[a]' --quiet", "--set: sweep.grid.run.out: may not be swept");
    refused(2, "sweep eight.yaml --set 'sweep.metric=auroc' --quiet", "sweep.metric: with model.objective: multiclass it is one of log_loss");
    refused(2, "sweep eight.yaml --set data.split.train=0.8 --set data.split.valid=0 --set data.split.test=0.2 --set run.out=nowhere --quiet",
            "data.split.valid: a sweep chooses by validation rows");
    refused(2, "sweep nofile.yaml --quiet", "nofile.yaml: the job file cannot be read");
    assert_false(is_there("nowhere"));
}

/* Another job or other rows under the same members: refused, naming what differs, before anything is touched. */
static void test_identity(void **state)
{
    (void)state;
    char before[65], after[65];
    drive_hash(before, "r2/sweep.json");
    refused(2, "sweep eight.yaml --set run.out=r2 --set model.learning_rate=0.2 --quiet", "was made with another model.learning_rate");
    refused(2, "sweep eight.yaml --set run.out=r2 --set model.learning_rate=0.2 --gather --quiet", "was made with another model.learning_rate");
    refused(2, "sweep eight.yaml --set run.out=r2 --set model.learning_rate=0.2 --member 2 --quiet", "was made with another model.learning_rate");
    refused(2, "sweep eight.yaml --set run.out=r2 --set 'sweep.grid.model.max_leaves=[5, 8]' --quiet", "was made with another model.max_leaves");
    refused(2, "sweep eight.yaml --set run.out=r2 --set 'data.cohort=[other.h5]' --quiet", "was made from other data: column ");
    drive_hash(after, "r2/sweep.json");
    assert_string_equal(before, after);
    /* a member of other data between the others is found when they are gathered */
    drive_must(0, "sweep eight.yaml --set run.out=mixed --member 1 --quiet");
    drive_must(0, "sweep eight.yaml --set run.out=mixed --set 'data.cohort=[other.h5]' --member 2 --quiet");
    refused(2, "sweep eight.yaml --set run.out=mixed --gather --quiet", "member 0002 of the sweep was made from other data than member 0001");
    /* a damaged bundle is no member that is done */
    if (system("cp -r r2 torn && truncate -s -1 torn/members/0001/bundle/model.safetensors") != 0) fail_msg("cannot copy");
    char *out = run(0, 0, "sweep eight.yaml --set run.out=torn --gather --quiet");
    assert_non_null(strstr(out, "failed    0001 (setting 1), exit 5:"));
    free(out);
    /* more of the same only adds members; --restart sets the old ones aside */
    free(run(0, 0, "sweep eight.yaml --set run.out=r2 --set sweep.seeds=1 --restart --quiet"));
    check_same("eight", "r2");
    assert_true(is_there("r2/members.1/0001/bundle") && is_there("r2/members.1/sweep.json"));
    assert_true(drive_same("r2/members.1/0001/bundle", "r2/members/0001/bundle"));
}

/* --- set-up --- */

static int set_up(void **state)
{
    (void)state;
    drive_enter("sweep");
    drive_must(0, "synth c.h5 --rows 3000 --seed 1 --numbers 4 --categories 2 --outcomes --quiet");
    drive_must(0, "synth other.h5 --rows 3000 --seed 2 --numbers 4 --categories 2 --outcomes --quiet");
    drive_write("eight.yaml", "name: eight\n"
                              "data:\n"
                              "  cohort: [c.h5]\n"
                              "  id: encounter_id\n"
                              "  group: patient_id\n"
                              "  label: {column: next_care}\n"
                              "  features: {exclude: [cost, calls, readmitted]}\n"
                              "model: {objective: multiclass, rounds: 6}\n"
                              "sweep:\n"
                              "  grid: {model.category_min_rows: [1, 10, 20, 30, 3000, 40, 50, 60]}\n"
                              "run: {out: eight, threads: 1, checkpoint_every: 0}\n");
    drive_job("long.yaml", "long", "c.h5",
              "model: {rounds: 12000}\nsweep: {grid: {model.max_leaves: [4, 5]}}\nrun: {out: long0, threads: 1, checkpoint_every: 1h}\n");
    drive_job("plain.yaml", "plain", "c.h5", "model: {rounds: 5}\nrun: {out: plain, threads: 1}\n");
    drive_job("folds.yaml", "folds", "c.h5",
              "model: {rounds: 8}\ntrain: {seed: 7, stop_after: 4}\n"
              "sweep: {folds: 3, seeds: 2, metric: auroc, grid: {model.max_leaves: [3, 12]}}\nrun: {out: folds, threads: 1}\n");
    static const char *const binary[] = {"long.yaml", "plain.yaml", "folds.yaml"};
    for (int i = 0; i < 3; i++) drive_edit(binary[i], "exclude: [true_risk]", "exclude: [next_care, cost, calls]");
    drive_must(0, "sweep eight.yaml --quiet");
    check_eight("eight/sweep.json");
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
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_on_any_ranks), cmocka_unit_test(test_a_member_is_a_training), cmocka_unit_test(test_in_parts),
        cmocka_unit_test(test_from_a_resolved_job),
        cmocka_unit_test(test_killed_anywhere),   cmocka_unit_test(test_machine_fails),          cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_folds),             cmocka_unit_test(test_none_succeeds),          cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
