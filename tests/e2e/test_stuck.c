/* A rank that stops, wherever it is: the others name it, the run ends with 76 within its limit, and the same command continues to the
   same bytes. One that is only slow is waited for. */
#include <signal.h>

#include "tests/check.h"
#include "tests/e2e/drive.h"

enum { ROUNDS = 30 };
static const char TRAIN[] = "train job.yaml --set run.stall_limit=6s --set run.checkpoint_every=0";

static int setup(void **state)
{
    (void)state;
    drive_enter("stuck");
    drive_must(0, "synth cohort.h5 --rows 3000 --seed 5 --true-risk");
    drive_job("job.yaml", "run", "cohort.h5", "model: {rounds: 30, max_leaves: 7}\nrun: {out: run, threads: 1}\n");
    drive_must(1, "%s --set run.out=one", TRAIN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drive_leave();
    return 0;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) n++;
    return n;
}

static void test_stopped_ranks(void **state)
{
    (void)state;
    static const struct {
        const char *hook, *late, *phase;
    } cases[] = {{"read:0:0:19", "rank=0", "phase=read"}, {"round:11:1:19", "rank=1", "phase=round step=11"}, {"checkpoint:5:2:19", "rank=2", "phase=checkpoint step=5"},
                 {"finish:30:0:19", "rank=0", "phase=finish"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int n_lines;
        char wanted[100];
        drive_remove("run");
        setenv("NIGHTSHIFT_TEST_SIGNAL", cases[i].hook, 1);
        drive_result result = drive_ranks(3, "%s", TRAIN);
        unsetenv("NIGHTSHIFT_TEST_SIGNAL");
        snprintf(wanted, sizeof wanted, "event=late %s ", cases[i].late);
        bool good = result.code == 76 && !result.timed_out && count(result.err, "event=late") == 1 && strstr(result.err, wanted) != NULL &&
                    strstr(result.err, cases[i].phase) != NULL && strstr(drive_error_line(&result, &n_lines), "run.stall_limit") != NULL && n_lines == 1;
        if (!good) fail_msg("%s: code %d\n%s", cases[i].hook, result.code, result.err);
        drive_free(&result);
        drive_must(2, "%s", TRAIN);
        assert_true(drive_same("run/bundle", "one/bundle"));
        result = drive_shell(10, "ls -d run/late.* 2>/dev/null");
        if (result.out[0] != '\0') fail_msg("%s: left %s", cases[i].hook, result.out);
        drive_free(&result);
    }
}

/* Rank 0 takes far longer than before, but less than the limit: said once, and no more. */
static void test_slow_rank(void **state)
{
    (void)state;
    drive_remove("run");
    setenv("NIGHTSHIFT_TEST_PACE", "finish:5000", 1);
    drive_result result = drive_ranks(2, "%s", TRAIN);
    unsetenv("NIGHTSHIFT_TEST_PACE");
    if (result.code != 0 || count(result.err, "event=late rank=0 ") != 1) fail_msg("code %d\n%s", result.code, result.err);
    drive_free(&result);
    assert_true(drive_same("run/bundle", "one/bundle"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stopped_ranks), cmocka_unit_test(test_slow_rank)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
