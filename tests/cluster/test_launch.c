/* `nightshift run`: exit codes come through, signals reach the ranks as one USR2, four ranks start on any
 * machine. */
#include "tests/check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glob.h>
#include <stdlib.h>

#include "cluster/launch.h"
#include "cluster/log.h"

/* A process that runs ns_launch, with pipes to its input and output. */
typedef struct run {
    pid_t pid;
    int in, out;
} run;

static run begin(const char *program, int n_ranks, const char *verb, const char *word)
{
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    fcntl(in[1], F_SETFD, FD_CLOEXEC);
    fcntl(out[0], F_SETFD, FD_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        const char *words[] = {verb, word, NULL};
        int code = 99;
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        ns_status status = ns_launch(program, n_ranks, words, &code);
        if (status != NS_OK) fprintf(stderr, "%s\n", ns_last_error()->message);
        _exit(status != NS_OK ? 100 + (int)status : code);
    }
    assert_true(pid > 0);
    close(in[0]);
    close(out[1]);
    return (run){.pid = pid, .in = in[1], .out = out[0]};
}

static int finish(run *r)
{
    int status;
    close(r->in);
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    close(r->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int whole(int n_ranks, const char *verb, const char *word)
{
    run r = begin(RANK_PROBE, n_ranks, verb, word);
    return finish(&r);
}

/* Reads output until it holds this word. */
static void await(run *r, const char *word)
{
    char text[4096];
    size_t at = 0;
    text[0] = '\0';
    while (strstr(text, word) == NULL) {
        ssize_t n = read(r->out, text + at, sizeof text - 1 - at);
        if (n <= 0) fail_msg("no '%s' in the output: %s", word, text);
        at += (size_t)n;
        text[at] = '\0';
    }
}

/* A signal to the parent, and nobody goes on before it took it. */
static void send(run *r, int number)
{
    char name[64], line[256];
    assert_int_equal(kill(r->pid, number), 0);
    snprintf(name, sizeof name, "/proc/%ld/status", (long)r->pid);
    for (unsigned long long pending = ~0ull; pending >> (number - 1) & 1;) {
        pending = 0;
        FILE *file = fopen(name, "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file) != NULL)
            if (sscanf(line, "ShdPnd: %llx", &pending) == 1) break;
        fclose(file);
    }
}

static void codes_come_through(void **state)
{
    (void)state;
    static const char *const codes[] = {"0", "1", "2", "3", "4", "5", "75", "76"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_int_equal(whole(2, "exit", codes[i]), atoi(codes[i]));
    assert_int_equal(whole(1, "exit", "75"), 75);
}

static void more_ranks_than_cores_in_a_slurm_job(void **state)
{
    (void)state;
    setenv("SLURM_JOB_ID", "77", 1);
    setenv("SLURM_JOBID", "77", 1);
    setenv("SLURM_NTASKS", "9", 1);
    setenv("SLURM_PROCID", "0", 1);
    setenv("SLURM_NODELIST", "elsewhere[1-2]", 1);
    setenv("SLURM_JOB_NUM_NODES", "2", 1);
    setenv("SLURM_NNODES", "2", 1);
    setenv("SLURM_TASKS_PER_NODE", "5,4", 1);
    int code = whole(4, "world", "4");
    static const char *const names[] = {"SLURM_JOB_ID", "SLURM_JOBID",         "SLURM_NTASKS",
                                        "SLURM_PROCID", "SLURM_NODELIST",      "SLURM_JOB_NUM_NODES",
                                        "SLURM_NNODES", "SLURM_TASKS_PER_NODE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) unsetenv(names[i]);
    assert_int_equal(code, 0);
}

static void input_goes_to_rank_0(void **state)
{
    (void)state;
    run r = begin(RANK_PROBE, 2, "read", "a table");
    assert_int_equal(write(r.in, "a table\n", 8), 8);
    assert_int_equal(finish(&r), 0);
}

static void death_by_signal(void **state)
{
    (void)state;
    assert_int_equal(whole(2, "die", NULL), 128 + SIGKILL);
}

static void every_signal_stops_all_ranks(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        run r = begin(RANK_PROBE, i == 0 ? 3 : 2, "stop", NULL);
        await(&r, "ready");
        send(&r, numbers[i]);
        kill(r.pid, numbers[i]); /* `timeout` sends it twice: the same request */
        await(&r, "stopped");
        assert_int_equal(finish(&r), 75);
    }
}

/* Rank 0 does not listen yet when the request comes; USR2 would kill it. */
static void early_signal_waits_for_its_rank(void **state)
{
    (void)state;
    run r = begin(RANK_PROBE, 2, "late", NULL);
    await(&r, "ready");
    send(&r, SIGTERM);
    assert_int_equal(write(r.in, "go\n", 3), 3);
    await(&r, "stopped");
    assert_int_equal(finish(&r), 75);
}

static void second_signal_kills(void **state)
{
    (void)state;
    run r = begin(RANK_PROBE, 2, "deaf", NULL);
    await(&r, "ready");
    double start = ns_seconds();
    send(&r, SIGTERM);
    poll(NULL, 0, 700); /* what comes within half a second is the same request */
    send(&r, SIGTERM);
    assert_int_equal(finish(&r), 75);
    assert_true(ns_seconds() - start < 30.0); /* the ranks would stay for 60 */
}

/* The parent is killed: the launcher and its ranks must not stay. Its output closes when the last of them is
 * gone. */
static void death_of_the_parent_stops_the_ranks(void **state)
{
    (void)state;
    char byte;
    run r = begin(RANK_PROBE, 2, "stop", NULL);
    await(&r, "ready");
    double start = ns_seconds();
    kill(r.pid, SIGKILL);
    while (read(r.out, &byte, 1) > 0) continue;
    assert_true(ns_seconds() - start < 30.0);
    assert_int_equal(finish(&r), -SIGKILL);
}

#ifdef NS_CHECK_CALLS
static void ranks_that_meet_in_different_lines(void **state)
{
    (void)state;
    int code = whole(2, "lines", NULL);
    assert_true(code != 0);
}
#endif

static void what_cannot_be_started(void **state)
{
    (void)state;
    const char *words[] = {"train", NULL};
    int code;
    CHECK_FAILS(ns_launch("/nowhere/nightshift", 2, words, &code), NS_EINVAL, "/nowhere/nightshift");
    CHECK_FAILS(ns_launch("/etc/passwd", 2, words, &code), NS_EINVAL, "/etc/passwd");
}

static size_t n_matches(const char *base, const char *pattern)
{
    char path[256];
    glob_t found;
    snprintf(path, sizeof path, "%s/%s", base, pattern);
    size_t n = glob(path, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return n;
}

/* Launchers side by side must not share a folder that each removes; and whatever happened, nothing is left. */
static void folder_of_its_own(void **state)
{
    (void)state;
    char base[] = "/tmp/launch-XXXXXX";
    const char *before = getenv("TMPDIR");
    char *old = before != NULL ? strdup(before) : NULL;
    assert_non_null(mkdtemp(base));
    setenv("TMPDIR", base, 1);
    run one = begin(RANK_PROBE, 2, "deaf", NULL), other = begin(RANK_PROBE, 2, "stop", NULL);
    await(&one, "ready");
    await(&other, "ready");
    size_t n = n_matches(base, "nightshift-*");
    assert_true(n == 2 || n == 0); /* MPICH's needs none */
    if (n == 2) assert_int_equal((int)n_matches(base, "nightshift-*/ompi.*"), 2);
    send(&other, SIGTERM);
    assert_int_equal(finish(&other), 75);
    send(&one, SIGTERM);
    poll(NULL, 0, 700); /* what comes within half a second is the same request */
    send(&one, SIGTERM);
    assert_int_equal(finish(&one), 75);
    assert_int_equal((int)n_matches(base, "*"), 0);
    rmdir(base);
    if (old != NULL) setenv("TMPDIR", old, 1);
    else unsetenv("TMPDIR");
    free(old);
}

static void promised_ranks(void **state)
{
    (void)state;
    char message[256];
    assert_false(ns_launched_size_mismatch(NULL, NULL, 2, message, sizeof message));
    assert_false(
        ns_launched_size_mismatch("4", NULL, 2, message, sizeof message)); /* salloc: no task of srun's */
    assert_false(ns_launched_size_mismatch(NULL, "0", 2, message, sizeof message));
    assert_false(ns_launched_size_mismatch("2", "0", 2, message, sizeof message));
    assert_false(ns_launched_size_mismatch("", "0", 2, message, sizeof message));
    assert_false(ns_launched_size_mismatch("2(x3)", "0", 2, message, sizeof message));
    assert_true(ns_launched_size_mismatch("4", "0", 1, message, sizeof message));
    assert_non_null(strstr(message, "SLURM_NTASKS is 4 but MPI's world has 1 rank: "));
    assert_true(ns_launched_size_mismatch("4", "3", 2, message, sizeof message));
    assert_non_null(strstr(message, "2 ranks"));
    assert_false(ns_run_size_mismatch(NULL, 1, message, sizeof message));
    assert_false(ns_run_size_mismatch("3", 3, message, sizeof message));
    assert_true(ns_run_size_mismatch("3", 1, message, sizeof message));
    assert_non_null(strstr(message, "promised 3 ranks but MPI's world has 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_come_through),
        cmocka_unit_test(more_ranks_than_cores_in_a_slurm_job),
        cmocka_unit_test(input_goes_to_rank_0),
        cmocka_unit_test(death_by_signal),
        cmocka_unit_test(every_signal_stops_all_ranks),
        cmocka_unit_test(early_signal_waits_for_its_rank),
        cmocka_unit_test(second_signal_kills),
        cmocka_unit_test(death_of_the_parent_stops_the_ranks),
#ifdef NS_CHECK_CALLS
        cmocka_unit_test(ranks_that_meet_in_different_lines),
#endif
        cmocka_unit_test(what_cannot_be_started),
        cmocka_unit_test(folder_of_its_own),
        cmocka_unit_test(promised_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
