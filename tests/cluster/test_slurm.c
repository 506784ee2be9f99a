/* Asking programs, Slurm's times, and the batch script: its words, and what it makes of the code of what it ran. */
#include "tests/check.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/ask.h"
#include "cluster/log.h"
#include "cluster/slurm.h"

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* 0: none */
    } cases[] = {{"30", 1800},      {"30:15", 1815},       {"02:00:00", 7200}, {"2-00", 172800}, {"1-12:30", 131400}, {"1-12:30:05", 131405},
                 {"1", 60},         {"", 0},               {"0", 0},           {"2h", 0},        {"1:2:3:4", 0},      {"-1", 0},
                 {"1-", 0},         {"1:", 0},             {"1-2-3", 0},       {" 5", 0},        {"UNLIMITED", 0},    {"0:30", 30},
                 {"9999999999", 0}, {"1:0-2", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t seconds = -1;
        bool good = ns_slurm_time(&seconds, cases[i].text);
        if (good != (cases[i].seconds > 0) || (good && seconds != cases[i].seconds)) fail_msg("'%s': %d %lld", cases[i].text, good, (long long)seconds);
    }
}

static void test_asking(void **state)
{
    (void)state;
    char *answer;
    const char *echo[] = {"sh", "-c", "echo one; echo two; echo not this >&2", NULL};
    CHECK_OK(ns_ask(&answer, echo, 20));
    assert_string_equal(answer, "one\ntwo");
    free(answer);
    const char *silent[] = {"true", NULL}, *large[] = {"sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x", NULL};
    CHECK_OK(ns_ask(&answer, silent, 20));
    assert_string_equal(answer, "");
    free(answer);
    CHECK_OK(ns_ask(&answer, large, 20));
    assert_int_equal(strlen(answer), 300000);
    free(answer);
    const char *refuses[] = {"sh", "-c", "echo first >&2; echo 'no such thing' >&2; exit 3", NULL}, *wordless[] = {"false", NULL};
    CHECK_FAILS(ns_ask(&answer, refuses, 20), NS_EINVAL, "no such thing");
    assert_null(answer);
    CHECK_FAILS(ns_ask(&answer, wordless, 20), NS_EINVAL, "no reason");
    const char *absent[] = {"no-such-program-anywhere", NULL}, *hangs[] = {"sh", "-c", "exec tail -f /dev/null", NULL};
    CHECK_FAILS(ns_ask(&answer, absent, 20), NS_EUNAVAILABLE, "cannot start 'no-such-program-anywhere'");
    double began = ns_seconds();
    CHECK_FAILS(ns_ask(&answer, hangs, 1), NS_EUNAVAILABLE, "no answer within 1 second");
    assert_true(ns_seconds() - began < 15);
    /* What was set since the start, and what a surrounding job says, stays here. */
    setenv("NS_TEST_LATER", "x", 1);
    const char *look[] = {"sh", "-c", "echo \"$NS_TEST_LATER|$NS_TEST_FIRST|$SLURM_NTASKS|$SLURM_CONF|$NIGHTSHIFT_AS_OF\"", NULL};
    CHECK_OK(ns_ask(&answer, look, 20));
    assert_string_equal(answer, "|first||conf|");
    free(answer);
}

static char folder[] = "/tmp/nightshift test of slurm-XXXXXX";

static ns_slurm_job job_of(const char *launcher, const char *const *words, int n_words)
{
    return (ns_slurm_job){.name = "a", .folder = "/tmp", .log = "/tmp/50% done.log", .n_nodes = 2, .tasks_per_node = 3, .lead_s = 75, .max_requeues = 2,
                          .launcher = launcher, .site_file = "/tmp/site.yaml", .words = words, .n_words = n_words};
}

static void must_hold(const char *script, const char *text)
{
    if (strstr(script, text) == NULL) fail_msg("no \"%s\" in:\n%s", text, script);
}

static void test_directives(void **state)
{
    (void)state;
    const char *words[] = {"/bin/nightshift", "train", "it's a job.yaml"}, *extra[] = {"constraint=h200", "-J other"}, *setup[] = {"module load a", "b=1"};
    ns_slurm_job job = job_of(NULL, words, 3);
    char *script;
    CHECK_OK(ns_slurm_script(&script, &job));
    must_hold(script, "#!/bin/sh\n#SBATCH --job-name=a\n");
    must_hold(script, "#SBATCH --output=\"/tmp/50%% done.log\"\n");
    must_hold(script, "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=3\n#SBATCH --signal=USR2@75\n");
    must_hold(script, "srun --mpi=pmix --kill-on-bad-exit=1 --gpu-bind=none /bin/nightshift train 'it'\\''s a job.yaml'\n");
    assert_null(strstr(script, "--mem"));
    assert_null(strstr(script, "--partition"));
    free(script);
    job.cpus_per_task = 4, job.gpus_per_node = 8, job.memory_bytes = (INT64_C(3) << 30) + 1, job.partition = "gpu", job.account = "acc", job.qos = "q", job.time = "02:00:00";
    job.extra = extra, job.n_extra = 2, job.setup = setup, job.n_setup = 2;
    CHECK_OK(ns_slurm_script(&script, &job));
    must_hold(script, "#SBATCH --cpus-per-task=4\n#SBATCH --gpus-per-node=8\n#SBATCH --mem=3073M\n#SBATCH --time=02:00:00\n#SBATCH --partition=gpu\n"
                      "#SBATCH --account=acc\n#SBATCH --qos=q\n#SBATCH --signal=USR2@75\n#SBATCH --constraint=h200\n#SBATCH -J other\n");
    must_hold(script, "\nmodule load a\nb=1\nsrun ");
    must_hold(script, " --cpus-per-task=4 /bin/nightshift");
    free(script);
    job.account = "a\nb";
    CHECK_FAILS(ns_slurm_script(&script, &job), NS_EINVAL, "slurm.account:");
    job.account = NULL;
    job.folder = "/tmp/\"x\"";
    CHECK_FAILS(ns_slurm_script(&script, &job), NS_EINVAL, "the run folder");
    job.folder = "/tmp";
    extra[0] = "a\nrm -rf /";
    CHECK_FAILS(ns_slurm_script(&script, &job), NS_EINVAL, "slurm.extra");
    assert_null(script);
}

/* The script as a job would run it, its launcher a shell; scontrol is a script that notes that it was called. */
static int run_script(const char *command, const char *restarts, bool *requeued)
{
    char path[400], line[1200], *script;
    const char *words[] = {"run"};
    ns_slurm_job job = job_of(command, words, 1);
    job.folder = folder;
    CHECK_OK(ns_slurm_script(&script, &job));
    snprintf(path, sizeof path, "%s/script", folder);
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    fputs(script, to);
    fclose(to);
    free(script);
    snprintf(line, sizeof line, "cd \"%s\" && rm -f requeued && PATH=\"$PWD/bin:$PATH\" SLURM_JOB_ID=7 SLURM_RESTART_COUNT=%s sh script 2>err", folder, restarts);
    int status = system(line);
    snprintf(path, sizeof path, "%s/requeued", folder);
    *requeued = access(path, F_OK) == 0;
    snprintf(path, sizeof path, "%s/code.7", folder);
    assert_int_not_equal(access(path, F_OK), 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_codes(void **state)
{
    (void)state;
    char line[900];
    assert_non_null(mkdtemp(folder));
    snprintf(line, sizeof line, "cd \"%s\" && mkdir bin && printf '#!/bin/sh\\n[ \"$*\" = \"requeue 7\" ] && : >\"%s/requeued\"\\nexit 1\\n' >bin/scontrol && chmod +x bin/scontrol",
             folder, folder);
    assert_int_equal(system(line), 0);
    static const struct {
        const char *launcher, *restarts;
        int code;
        bool requeued;
    } cases[] = {
        {"sh -c 'exit 0'", "0", 0, false},
        {"sh -c 'exit 1'", "0", 1, false},
        {"sh -c 'exit 2'", "0", 2, false},
        {"sh -c 'exit 3'", "0", 3, false},
        {"sh -c 'exit 4'", "0", 4, false},
        {"sh -c 'exit 5'", "0", 5, false},
        {"sh -c 'exit 75'", "0", 75, true},
        {"sh -c 'exit 76'", "1", 76, true},
        {"sh -c 'exit 75'", "2", 75, false}, /* often enough */
        {"sh -c 'exit 137'", "0", 76, true},
        {"sh -c 'kill -9 $$'", "0", 76, true},
        {"sh -c 'kill -USR2 $$'", "0", 76, true}, /* the request came before the program listened */
        {"sh -c 'exit 139'", "0", 139, true}, /* it crashed: it may not again */
        {"sh -c 'kill -SEGV $$'", "1", 139, false}, /* it did */
        {"sh -c 'kill -ABRT $$'", "0", 134, true}, /* of another submission */
        {"sh -c 'exit 0'", "1", 0, false},
        {"sh -c 'exit 136'", "2", 136, false}, /* put back too often for other reasons */
        {"sh -c '[ \"$SLURM_PMIX_FENCE\" = ring ]'", "0", 0, false},
        {"no-such-launcher", "0", 2, false},
        /* The ranks' own code stands, whatever the launcher says of one that it killed on its way out. */
        {"sh -c 'echo 3 >$NIGHTSHIFT_CODE_FILE; exit 137'", "0", 3, false},
        {"sh -c 'echo 75 >$NIGHTSHIFT_CODE_FILE; exit 137'", "0", 75, true},
        {"sh -c 'kill -TERM $PPID; exit 75'", "0", 75, true}, /* a signal to the job does not end the script before its program */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool requeued;
        int code = run_script(cases[i].launcher, cases[i].restarts, &requeued);
        if (code != cases[i].code || requeued != cases[i].requeued) fail_msg("%s: code %d, requeued %d", cases[i].launcher, code, requeued);
    }
    snprintf(line, sizeof line, "rm -rf \"%s\"", folder);
    assert_int_equal(system(line), 0);
}

int main(int argc, char **argv)
{
    /* Started anew with variables that are there from the start. */
    if (argc == 1) {
        setenv("NS_TEST_FIRST", "first", 1);
        setenv("SLURM_NTASKS", "9", 1);
        setenv("SLURM_CONF", "conf", 1);
        setenv("NIGHTSHIFT_AS_OF", "2026-11-20", 1);
        execl("/proc/self/exe", argv[0], "again", (char *)NULL);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_times), cmocka_unit_test(test_asking), cmocka_unit_test(test_directives),
                                       cmocka_unit_test(test_codes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
