/*
 * Requests to stop, and what else keeps two lives of a run apart: signals to one rank, to the launcher, twice, at the start,
 * while reading, while scoring; two trainings on one run folder; checkpoints that are torn; locks of the dead.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/drive.h"
#include "tests/e2e/whole.h"

enum { LIMIT_S = 90, MOST_RANKS = 8, LONG_ROUNDS = 3000, MOST_RESTARTS = 40 };

static void wait_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static void shell(const char *command)
{
    if (system(command) != 0) fail_msg("cannot: %s", command);
}

static bool is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static bool contains(const char *path, const char *text)
{
    char *content = drive_read(path);
    bool found = content != NULL && strstr(content, text) != NULL;
    free(content);
    return found;
}

static int count_lines(const char *path)
{
    char *text = drive_read(path);
    int n = 0;
    for (const char *c = text; c != NULL && *c != '\0'; c++) n += *c == '\n';
    free(text);
    return n;
}

/* Waits until a file has more lines than that. */
static void wait_for_lines(const char *path, int more_than)
{
    for (int ms = 0; count_lines(path) <= more_than; ms++) {
        if (ms > 1000 * LIMIT_S) fail_msg("'%s' never had more than %d lines", path, more_than);
        wait_ms(1);
    }
}

/* The rank processes in order of rank: the launcher starts them so. All of them must be there. */
static void find_ranks(pid_t pid, int n_ranks, pid_t ranks[MOST_RANKS])
{
    int n = drive_ranks_of(pid, ranks, MOST_RANKS);
    if (n != n_ranks) fail_msg("found %d rank processes of %d", n, n_ranks);
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && ranks[k - 1] > ranks[k]; k--) {
            pid_t other = ranks[k];
            ranks[k] = ranks[k - 1];
            ranks[k - 1] = other;
        }
}

/* What the life that was started last wrote: exactly one error line, which begins so. Its rest. */
static const char *stopped_line(const char *begin)
{
    static char line[512];
    drive_result result = {.err = drive_read("started.err")};
    int n;
    const char *found = drive_error_line(&result, &n);
    if (n != 1 || strncmp(found, begin, strlen(begin)) != 0) fail_msg("%d lines: '%s' in\n%s", n, found, result.err);
    snprintf(line, sizeof line, "%s", found + strlen(begin));
    drive_free(&result);
    return line;
}

/* --- stops between rounds --- */

typedef struct stop {
    int signal, n_ranks;
    int rank; /* that gets it; -1: `nightshift run` itself, or the bare program */
} stop;

static const stop stops[] = {
    {SIGTERM, 3, 0},  {SIGUSR2, 2, 1},  {SIGTERM, 3, 1}, {SIGUSR2, 2, 0}, {SIGTERM, 3, 2}, {SIGUSR2, 3, 0}, {SIGUSR1, 2, 1},
    {SIGUSR2, 3, 1},  {SIGINT, 2, 0},   {SIGUSR2, 3, 2}, {SIGTERM, 2, 1}, {SIGINT, 3, -1}, {SIGTERM, 2, -1}, {SIGUSR1, 3, -1},
    {SIGUSR2, 2, -1}, {SIGTERM, 0, -1}, {SIGINT, 0, -1},
};

static int newest_checkpoint(const char *run)
{
    char command[256], line[64] = "-1";
    snprintf(command, sizeof command, "ls '%s/checkpoints' | sort -n | tail -1", run);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || fgets(line, sizeof line, pipe) == NULL) fail_msg("'%s' has no checkpoint", run);
    pclose(pipe);
    return (int)strtol(line, NULL, 10);
}

/* One life that is stopped in its middle; all ranks leave after the same round, which is checkpointed. Returns the round, or -1
   where the training ended before the signal. */
static int stopped_life(const stop *how, int from)
{
    char what[128];
    snprintf(what, sizeof what, "signal %d to rank %d of %d after round %d", how->signal, how->rank, how->n_ranks, from);
    pid_t ranks[MOST_RANKS], pid = drive_start(how->n_ranks, "train long.yaml --set run.out=a --quiet");
    wait_for_lines("a/log.jsonl", from);
    if (how->n_ranks > 0) find_ranks(pid, how->n_ranks, ranks);
    kill(how->rank < 0 ? pid : ranks[how->rank], how->signal);
    int code = drive_wait(pid, LIMIT_S);
    if (is_there("a/bundle") || count_lines("a/log.jsonl") == LONG_ROUNDS) return -1;
    if (code != 75) fail_msg("%s: exit %d", what, code);
    int round = (int)strtol(stopped_line("nightshift: stopped on request after round "), NULL, 10);
    if (round <= from || round >= LONG_ROUNDS) fail_msg("%s: stopped after round %d", what, round);
    if (newest_checkpoint("a") != round) fail_msg("%s: stopped after round %d, saved %d", what, round, newest_checkpoint("a"));
    if (count_lines("a/log.jsonl") != round) fail_msg("%s: %d lines of log after round %d", what, count_lines("a/log.jsonl"), round);
    whole_run("a", what);
    assert_false(is_there("a/bundle") || is_there("a/lock"));
    assert_true(contains("a/run.json", "\"stopped\""));
    return round;
}

static void test_one_rank_stops_all(void **state)
{
    (void)state;
    int round = 0, n_restarts = 0;
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        while ((round = stopped_life(&stops[i], round)) < 0) {
            if (++n_restarts > MOST_RESTARTS) fail_msg("%d rounds are over too soon to be stopped", LONG_ROUNDS);
            shell("rm -rf a");
            round = 0;
        }
    drive_must(2, "train long.yaml --set run.out=a --quiet");
    if (!drive_same("a/bundle", "long/bundle")) fail_msg("after %zu stops the bundle differs", sizeof stops / sizeof stops[0]);
    assert_int_equal(count_lines("a/log.jsonl"), LONG_ROUNDS);
}

/* While a rank does not answer, the first request is waited for; the second one ends it: also 75, and the run continues. */
static void test_second_request(void **state)
{
    (void)state;
    static const int second[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        shell("rm -rf b");
        pid_t ranks[MOST_RANKS], pid = drive_start(2, "train long.yaml --set run.out=b --quiet");
        wait_for_lines("b/log.jsonl", 10);
        find_ranks(pid, 2, ranks);
        kill(ranks[1], SIGSTOP);
        kill(pid, SIGTERM);
        wait_ms(800); /* two requests are two only half a second apart */
        kill(pid, second[i]);
        int code = drive_wait(pid, LIMIT_S);
        if (code != 75) fail_msg("a second request: exit %d", code);
        whole_run("b", "a second request");
        assert_false(is_there("b/bundle"));
    }
    drive_must(0, "train long.yaml --set run.out=b --quiet");
    assert_true(drive_same("b/bundle", "long/bundle"));
}

/* A rank is gone and its launcher does not notice, as when a rank dies while MPI starts: 76, and the run continues. */
static void test_lost_rank(void **state)
{
    (void)state;
    shell("rm -rf l");
    pid_t ranks[MOST_RANKS], pid = drive_start(3, "train long.yaml --set run.out=l --quiet");
    wait_for_lines("l/log.jsonl", 10);
    find_ranks(pid, 3, ranks);
    kill(drive_parent_of(ranks[1]), SIGSTOP);
    kill(ranks[1], SIGKILL);
    int code = drive_wait(pid, LIMIT_S);
    if (code != 76) fail_msg("a lost rank: exit %d", code);
    for (int i = 0; i < 3; i++) /* killed, but a busy machine may take a moment to bury it */
        for (int ms = 0; drive_parent_of(ranks[i]) != 0; ms++) {
            if (ms > 1000 * LIMIT_S) fail_msg("rank %d is still there", i);
            wait_ms(1);
        }
    whole_run("l", "a lost rank");
    assert_false(is_there("l/bundle"));
    drive_must(2, "train long.yaml --set run.out=l --quiet");
    assert_true(drive_same("l/bundle", "long/bundle"));
}

/* --- stops before the first round --- */

static void test_stop_while_reading(void **state)
{
    (void)state;
    int n_reading = 0;
    for (int n_ranks = 0; n_ranks <= 3 || (n_reading == 0 && n_ranks < 20); n_ranks++) {
        shell("rm -rf c");
        pid_t ranks[MOST_RANKS], pid = drive_start(n_ranks % 4, "train wide.yaml --set run.out=c --quiet");
        if (!drive_wait_for("c/run.json", NULL, LIMIT_S)) fail_msg("no run.json");
        if (n_ranks % 4 > 0) find_ranks(pid, n_ranks % 4, ranks);
        kill(n_ranks % 4 > 0 ? ranks[n_ranks % 4 - 1] : pid, SIGTERM);
        int code = drive_wait(pid, LIMIT_S);
        if (code != 75) fail_msg("stopped while reading on %d ranks: exit %d", n_ranks % 4, code);
        stopped_line("nightshift: stopped on request");
        n_reading += !contains("started.err", "after round");
        assert_false(is_there("c/bundle"));
        whole_run("c", "stopped while reading");
    }
    assert_true(n_reading > 0);
    drive_must(2, "train wide.yaml --set run.out=c --quiet");
    assert_true(drive_same("c/bundle", "wide/bundle"));
}

/* From the first millisecond on: before the program listens the signal ends it, later it stops; it is never lost. */
static void test_stop_at_the_start(void **state)
{
    (void)state;
    int n_stopped = 0;
    for (int i = 0; i < 14; i++) {
        shell("rm -rf d");
        pid_t pid = drive_start(i % 2 == 0 ? 2 : 0, "train long.yaml --set run.out=d --quiet");
        wait_ms(i * i);
        kill(pid, SIGTERM);
        int code = drive_wait(pid, LIMIT_S);
        if (code != 75 && code != 128 + SIGTERM) fail_msg("TERM after %d ms: exit %d", i * i, code);
        n_stopped += code == 75;
        assert_false(is_there("d/bundle"));
        whole_run("d", "stopped at the start");
    }
    assert_true(n_stopped > 0);
}

/* --- scoring --- */

static void test_stop_while_scoring(void **state)
{
    (void)state;
    int n_stopped = 0;
    for (int i = 0; i < 20 && (i < 6 || n_stopped < 4); i++) {
        int n_ranks = 1 + i % 3, to = i / 3 % n_ranks;
        shell("rm -rf s && mkdir s");
        pid_t ranks[MOST_RANKS], pid = drive_start(n_ranks, "score long.yaml --set score.out=s/scores.h5 --quiet");
        if (!drive_wait_for("s/scores.h5.tmp", NULL, LIMIT_S)) fail_msg("scoring never began");
        if (drive_ranks_of(pid, ranks, MOST_RANKS) == n_ranks) {
            find_ranks(pid, n_ranks, ranks);
            kill(ranks[to], i % 2 == 0 ? SIGTERM : SIGUSR2);
        }
        int code = drive_wait(pid, LIMIT_S);
        if (code == 75) {
            n_stopped++;
            stopped_line("nightshift: stopped on request; run the same command again");
            if (whole_count_names("s", "") != 0) fail_msg("a stopped scoring leaves something behind");
        } else if (code != 0) {
            fail_msg("stopped while scoring on %d ranks: exit %d", n_ranks, code);
        }
        if (i % 2 == 0) continue;
        drive_must(i % 3, "score long.yaml --set score.out=s/scores.h5 --quiet");
        if (!drive_same("s/scores.h5", "long.h5")) fail_msg("after a stop the scores differ");
    }
    assert_true(n_stopped >= 4);
}

/* Verbs that keep nothing for the next life stop too, and leave nothing. The launcher tells the rank as soon as it listens. */
static void test_other_verbs(void **state)
{
    (void)state;
    static const char *const words[] = {"evaluate long.yaml --set run.out=long --set evaluate.cohort=[wide.h5] --quiet",
                                        "synth h/made.h5 --rows 3000000 --quiet", "import h.csv h/made.h5 --quiet"};
    shell("mkdir h && awk 'BEGIN { print \"id,a,b\"; for (i = 0; i < 400000; i++) print i \",\" i % 7 \",\" i % 11 }' > h.csv");
    for (int i = 0; i < 3; i++) {
        int code = 128 + SIGTERM; /* as long as the launcher itself does not listen */
        for (int tries = 0; code == 128 + SIGTERM && tries < 20; tries++) {
            pid_t pid = drive_start(i == 0 ? 2 : 1, words[i]);
            wait_ms(20 * (tries + 1));
            kill(pid, SIGTERM);
            code = drive_wait(pid, LIMIT_S);
        }
        if (code != 75) fail_msg("%s: exit %d", words[i], code);
        stopped_line("nightshift: stopped on request; run the same command again");
        if (whole_count_names("h", "") != 0 || is_there("long/evaluations/test")) fail_msg("%s: leaves something behind", words[i]);
    }
}

/* --- two at once --- */

static void refused(int n_ranks, const char *words, const char *text)
{
    int n;
    drive_result result = drive_ranks(n_ranks, "%s", words);
    const char *line = drive_error_line(&result, &n);
    if (result.code != 2 || n != 1 || strstr(line, text) == NULL) fail_msg("%s: exit %d, %d lines: %s", words, result.code, n, line);
    drive_free(&result);
}

static void test_two_at_once(void **state)
{
    (void)state;
    pid_t pid = drive_start(2, "train long.yaml --set run.out=e --quiet");
    wait_for_lines("e/log.jsonl", 3);
    refused(0, "train long.yaml --set run.out=e --quiet", "the run folder is held by process ");
    refused(2, "train long.yaml --set run.out=e --quiet --restart", "the run folder is held by process ");
    kill(pid, SIGTERM);
    assert_int_equal(drive_wait(pid, LIMIT_S), 75);
    assert_false(is_there("e.1"));
    pid = drive_start(2, "score long.yaml --set score.out=e/scores.h5 --quiet");
    if (!drive_wait_for("e/scores.h5.lock", "}", LIMIT_S)) fail_msg("scoring never took its lock");
    kill(-pid, SIGSTOP); /* the launcher; its ranks go on */
    drive_result result = drive_ranks(0, "score long.yaml --set score.out=e/scores.h5 --quiet");
    kill(-pid, SIGCONT);
    /* either it was still going on, or it had ended */
    if (result.code == 2 && strstr(result.err, "the score file is held by process ") == NULL) fail_msg("%s", result.err);
    if (result.code != 2 && result.code != 0) fail_msg("two scorings: exit %d: %s", result.code, result.err);
    drive_free(&result);
    assert_int_equal(drive_wait(pid, LIMIT_S), 0);
    assert_true(drive_same("e/scores.h5", "long.h5"));
}

static void test_locks_of_the_dead(void **state)
{
    (void)state;
    pid_t pid = drive_start(0, "train long.yaml --set run.out=f --quiet");
    wait_for_lines("f/log.jsonl", 3);
    kill(pid, SIGKILL);
    assert_int_equal(drive_wait(pid, LIMIT_S), 128 + SIGKILL);
    assert_true(is_there("f/lock"));
    drive_result result = drive_ranks(2, "train long.yaml --set run.out=f");
    if (result.code != 0 || strstr(result.err, "event=lock taken_over=") == NULL || strstr(result.err, "the process is gone") == NULL)
        fail_msg("a stale lock: exit %d\n%s", result.code, result.err);
    drive_free(&result);
    assert_true(drive_same("f/bundle", "long/bundle"));
    assert_false(is_there("f/lock"));
    /* whether a process of another host lives cannot be told here */
    drive_write("f/lock", "{\"nightshift_lock\":1,\"token\":\"0123456789abcdef\",\"job\":\"\",\"restart\":0,\"host\":\"elsewhere\",\"boot\":\"b\","
                          "\"pidns\":1,\"pid\":12,\"start\":34,\"since\":\"2026-11-20T02:30:00Z\"}\n");
    refused(2, "train long.yaml --set run.out=f --quiet", "the run folder is held by process 12 on elsewhere");
    drive_write("f/lock", "not a lock\n");
    refused(0, "train long.yaml --set run.out=f --quiet", "is no lock file of this program");
    shell("rm f/lock");
    drive_must(0, "train long.yaml --set run.out=f --quiet");
}

/* --- broken checkpoints --- */

typedef struct damage {
    const char *command; /* in the folder of the newest checkpoint */
} damage;

static const damage damages[] = {
    {"truncate -s -1 state.safetensors"},
    {"truncate -s 0 state.safetensors"},
    {"printf '\\377' | dd of=state.safetensors bs=1 seek=900 conv=notrunc status=none"},
    {"truncate -s 100 manifest.json"},
    {"rm manifest.json"},
    {"rm job.yaml"},
    {"touch stranger"},
    {"rm -f *"},
};

/* A run of six rounds, killed after the checkpoint of the fourth: that and the third are there. */
static void make_two_checkpoints(void)
{
    setenv("NIGHTSHIFT_TEST_FAULT", "unlink:old_checkpoint#2:after:kill", 1);
    shell("rm -rf g");
    drive_result result = drive_ranks(0, "train short.yaml --set run.out=g --quiet");
    unsetenv("NIGHTSHIFT_TEST_FAULT");
    if (result.code != 128 + SIGKILL) fail_msg("exit %d\n%s", result.code, result.err);
    drive_free(&result);
    assert_int_equal(whole_run("g", "two checkpoints"), 2);
    assert_int_equal(newest_checkpoint("g"), 4);
}

static void continue_from(int round, const char *why, int n_ranks)
{
    char resumed[64];
    drive_result result = drive_ranks(n_ranks, "train short.yaml --set run.out=g");
    snprintf(resumed, sizeof resumed, "event=resume rounds=%d of=6", round);
    if (result.code != 0) fail_msg("%s: exit %d\n%s", why, result.code, result.err);
    if (strstr(result.err, "event=checkpoint passed_over=000004") == NULL) fail_msg("%s: is not said\n%s", why, result.err);
    if (round > 0 && strstr(result.err, resumed) == NULL) fail_msg("%s: did not resume from %d\n%s", why, round, result.err);
    if (round == 0 && (strstr(result.err, "event=resume") != NULL || strstr(result.err, "good=0 begins_at_round=0") == NULL))
        fail_msg("%s: that it begins anew is not said\n%s", why, result.err);
    drive_free(&result);
    assert_int_equal(whole_run("g", why), 2);
    if (!drive_same("g/bundle", "short/bundle")) fail_msg("%s: the bundle differs", why);
    assert_int_equal(count_lines("g/log.jsonl"), 6);
}

static void test_broken_checkpoints(void **state)
{
    (void)state;
    char command[256];
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        make_two_checkpoints();
        snprintf(command, sizeof command, "cd g/checkpoints/000004 && %s", damages[i].command);
        shell(command);
        continue_from(3, damages[i].command, i % 2 == 0 ? 2 : 0);
    }
    make_two_checkpoints();
    shell("for c in g/checkpoints/*; do truncate -s -1 $c/state.safetensors; done");
    continue_from(0, "all are broken", 2);
}

/* --- set-up --- */

static int set_up(void **state)
{
    (void)state;
    drive_enter("stop");
    drive_must(0, "synth c.h5 --rows 5000 --seed 1 --numbers 4 --categories 2 --true-risk --quiet");
    drive_must(0, "synth many.h5 --rows 400000 --seed 3 --numbers 4 --categories 2 --true-risk --quiet"); /* several waves */
    drive_must(0, "synth wide.h5 --rows 40000 --seed 2 --numbers 30 --categories 2 --true-risk --quiet");
    drive_job("short.yaml", "stop", "c.h5",
              "model: {type: gbdt, rounds: 6, max_leaves: 6}\n"
              "train: {stop_after: 0}\n"
              "run: {out: run, checkpoint_every: 0, threads: 1}\n");
    drive_job("long.yaml", "stop", "c.h5",
              "model: {type: gbdt, rounds: 3000, max_leaves: 4}\n"
              "train: {stop_after: 0}\n"
              "score: {cohort: [many.h5], out: scores.h5, bundle: mid/bundle}\n"
              "run: {out: run, checkpoint_every: 1h, threads: 1}\n");
    drive_job("wide.yaml", "stop", "wide.h5",
              "model: {type: gbdt, rounds: 10, max_leaves: 4}\n"
              "train: {stop_after: 0}\n"
              "run: {out: run, checkpoint_every: 1h, threads: 1}\n");
    drive_must(0, "train short.yaml --set run.out=short --quiet");
    drive_must(0, "train long.yaml --set run.out=long --quiet");
    drive_must(0, "train long.yaml --set run.out=mid --set model.rounds=100 --quiet");
    drive_must(0, "train wide.yaml --set run.out=wide --quiet");
    drive_must(0, "score long.yaml --set score.out=long.h5 --quiet");
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
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1); /* more ranks than cores */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_rank_stops_all), cmocka_unit_test(test_second_request),    cmocka_unit_test(test_stop_while_reading),
        cmocka_unit_test(test_stop_at_the_start),  cmocka_unit_test(test_stop_while_scoring), cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_other_verbs),        cmocka_unit_test(test_locks_of_the_dead),  cmocka_unit_test(test_broken_checkpoints),
        cmocka_unit_test(test_lost_rank),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
