/*
 * What changes under the program: the job or the cohort between two lives of a run, a cohort while it is
 * read, bits of a file, a run folder that another process has. Where a process must stand still at a known
 * place, the test hook writes the names of its operations into a pipe that is full: it waits there until the
 * pipe is read, so nothing depends on time.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "jobs/job.h"
#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/drive.h"

enum {
    ROWS = 2048, /* of each of three files: two blocks, so that each of three ranks reads one file */
    SLAB = 65536 /* rows that a rank scores at a time */
};

static const char job[] =
    "name: case\n"
    "data:\n"
    "  cohort: [life/*.h5]\n"
    "  id: encounter_id\n"
    "  group: patient_id\n"
    "  label: {column: readmitted, positive: [yes]}\n"
    "  features: {include: [age, lab, sex, ward]}\n"
    "model: {rounds: 4, max_leaves: 7}\n"
    "evaluate: {subgroups: [sex]}\n"
    "score: {bundle: life/done/bundle, cohort: [life/*.h5], out: out/scores.h5, keep: [patient_id]}\n"
    "run: {out: out/run, threads: 1}\n";

/* The cohort as it was, a finished run of it, and one that ended before its bundle. */
static void make_lives(void)
{
    drive_remove("life");
    drive_remove("out");
    mkdir("life", 0700);
    mkdir("out", 0700);
    for (int i = 0; i < 3; i++) {
        char from[32], to[32];
        snprintf(from, sizeof from, "good/%c.h5", "abc"[i]);
        snprintf(to, sizeof to, "life/%c.h5", "abc"[i]);
        file_copy(from, to);
    }
    drive_must(0, "train job.yaml --quiet --set run.out=life/done");
    drive_result result = drive_shell(60,
                                      "NIGHTSHIFT_TEST_FAULT='rename:bundle:before:fail' '%s' train job.yaml "
                                      "--quiet --set run.out=life/stopped",
                                      drive_program());
    assert_int_equal(result.code, 1);
    drive_free(&result);
    assert_int_equal(access("life/stopped/bundle", F_OK), -1);
    assert_int_equal(access("life/stopped/checkpoints/000004/manifest.json", F_OK), 0);
}

static void check_line(const drive_result *result, int code, const char *says, const char *words)
{
    int n_lines;
    const char *line = drive_error_line(result, &n_lines);
    if (getenv("NIGHTSHIFT_SHOW") != NULL) print_message("%d %s\n", result->code, line);
    if (result->code != code || n_lines != 1 || strstr(line, says) == NULL)
        fail_msg("%s: exit %d, not %d with '%s'\n%s", words, result->code, code, says, result->err);
}

/* Both runs refuse the words and stay as they are. */
static void check_refused(const char *words, const char *says)
{
    static const struct {
        const char *run, *holds;
        int n_ranks;
    } runs[] = {{"life/stopped", "life/stopped/checkpoints", 3}, {"life/done", "life/done/bundle", 0}};
    for (int i = 0; i < 2; i++) {
        char before[2][65], after[2][65], job_file[64];
        snprintf(job_file, sizeof job_file, "%s/job.yaml", runs[i].run);
        drive_hash(before[0], runs[i].holds);
        drive_hash(before[1], job_file);
        drive_result result =
            drive_ranks(runs[i].n_ranks, "train job.yaml --quiet --set run.out=%s %s", runs[i].run, words);
        check_line(&result, 2, says, words);
        drive_hash(after[0], runs[i].holds);
        drive_hash(after[1], job_file);
        assert_string_equal(before[0], after[0]);
        assert_string_equal(before[1], after[1]);
        drive_free(&result);
    }
}

/* --restart takes what was refused, and keeps the run that was there. */
static void check_restart(const char *words)
{
    char before[65], after[65];
    drive_hash(before, "life/done/bundle");
    drive_must(0, "train job.yaml --quiet --set run.out=life/done %s --restart", words);
    drive_hash(after, "life/done.1/bundle");
    assert_string_equal(before, after);
    drive_hash(after, "life/done/bundle");
    assert_string_not_equal(before, after);
    drive_must(0, "verify life/done/bundle --quiet");
    drive_remove("life/done");
    assert_int_equal(rename("life/done.1", "life/done"), 0);
}

/* --- the job --- */

/* Another value of an option than the job has; false where there is none. */
static bool other_value(const ns_option *option, char out[64])
{
    if (strcmp(option->key, "model.rounds") == 0) {
        snprintf(out, 64, "5"); /* the job has 4 */
    } else if (strcmp(option->key, "model.positive_weight") == 0) {
        snprintf(out, 64, "2");
    } else if (strncmp(option->key, "model.monotone.", 15) == 0) {
        snprintf(out, 64, "[age]");
    } else if (option->fallback == NULL) {
        return false; /* model.objective and model.quantile change only together with the label */
    } else if (option->kind == NS_OPT_CHOICE) {
        const char *bar = strchr(option->choices, '|');
        if (bar == NULL) return false;
        snprintf(out, 64, "%.*s", (int)strcspn(bar + 1, "|"), bar + 1);
    } else {
        double usual = strtod(option->fallback, NULL);
        if (option->kind == NS_OPT_NUMBER)
            snprintf(out, 64, "%g", usual == 0.5 ? 0.25 : 0.5);
        else
            snprintf(out, 64, "%.0f", usual + 1 <= option->most ? usual + 1 : usual - 1);
    }
    return true;
}

static void test_changed_job(void **state)
{
    (void)state;
    int n_keys = 0;
    make_lives();
    for (int32_t i = 0; i < ns_n_options; i++) {
        char value[64], words[200], says[200];
        if (strncmp(ns_options[i].key, "model.", 6) != 0 || !other_value(&ns_options[i], value)) continue;
        n_keys++;
        snprintf(words, sizeof words, "--set %s=%s", ns_options[i].key, value);
        snprintf(says, sizeof says, "was made with another %s; set it back, or begin anew with --restart",
                 ns_options[i].key);
        check_refused(words, says);
        check_restart(words);
    }
    assert_true(n_keys >= 21); /* all but model.type, which has one choice, and those two */
    static const char *const others[][2] = {{"train.seed", "8"},
                                            {"train.stop_after", "2"},
                                            {"train.stop_metric", "auroc"},
                                            {"data.infinite", "missing"},
                                            {"data.where", "'age > 20'"},
                                            {"data.features.exclude", "lab"},
                                            {"data.weight", "weight"},
                                            {"data.time", "admitted_at"},
                                            {"data.split.by", "row"},
                                            {"evaluate.subgroups", "ward"},
                                            {"evaluate.min_cell", "12"},
                                            {"name", "other"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char words[200], says[200];
        snprintf(words, sizeof words, "--set %s=%s", others[i][0], others[i][1]);
        snprintf(says, sizeof says, "was made with another %s; set it back", others[i][0]);
        check_refused(words, says);
    }
}

/* --- the cohort --- */

static void test_changed_cohort(void **state)
{
    (void)state;
    make_lives();
    cohort_poke_float("life/c.h5", "lab", 17, 3.25f);
    check_refused("", "was made from other data: column 'lab' differs; begin anew with --restart");
    check_restart("");

    file_copy("good/c.h5", "life/c.h5");
    cohort_set_levels("life/c.h5", "readmitted", "yes", "no"); /* every label of the file turned */
    check_refused("", "was made from other data: column 'readmitted' differs");

    file_copy("good/c.h5", "life/c.h5");
    cohort_write("life/d.h5", &cohort_plain, 3 * ROWS, 100);
    check_refused("", "was made from other data: column 'age' differs");
    check_restart("");
    unlink("life/d.h5");
    unlink("life/c.h5");
    check_refused("", "was made from other data: column 'age' differs");

    /* a column that the job does not use, another order of files, another file of the same rows: the same run
     */
    file_copy("good/c.h5", "life/c.h5");
    cohort_poke_float("life/c.h5", "outcome", 17, 0.5f);
    drive_must(0, "train job.yaml --quiet --set run.out=life/done");
    assert_int_equal(rename("life/c.h5", "life/z.h5"), 0);
    drive_must(3, "train job.yaml --quiet --set run.out=life/stopped");
    assert_true(drive_same("life/done/bundle", "life/stopped/bundle"));
}

/* --- standing still --- */

/* A pipe that is full, named trace.pipe; whoever writes to it waits. */
static int full_pipe(void)
{
    unlink("trace.pipe");
    assert_int_equal(mkfifo("trace.pipe", 0600), 0);
    int pipe = open("trace.pipe", O_RDWR | O_NONBLOCK);
    assert_true(pipe >= 0);
    char block[4096] = {0};
    while (write(pipe, block, sizeof block) > 0) continue;
    while (write(pipe, block, 1) > 0) continue;
    assert_int_equal(errno, EAGAIN);
    return pipe;
}

static void empty_pipe(int pipe)
{
    char block[4096];
    while (read(pipe, block, sizeof block) > 0) continue;
}

/* Starts the command; it stands still behind the first operation that it does on disk, when `sign` is there.
 */
static pid_t start_still(int n_ranks, const char *words, const char *sign)
{
    setenv("NIGHTSHIFT_TEST_TRACE", "trace.pipe", 1);
    pid_t pid = drive_start(n_ranks, words);
    unsetenv("NIGHTSHIFT_TEST_TRACE");
    assert_true(drive_wait_for(sign, NULL, 60));
    return pid;
}

/* Lets it go on, and reads what it wrote on stderr; the pipe is closed. */
static drive_result let_go(pid_t pid, int pipe)
{
    empty_pipe(pipe);
    drive_result result = {.code = drive_wait(pid, 60)};
    close(pipe);
    result.err = drive_read("started.err");
    return result;
}

static void touch_c(void)
{
    assert_int_equal(utimensat(AT_FDCWD, "life/c.h5", NULL, 0), 0); /* as a write in place leaves it */
}
static void grow_c(void)
{
    cohort_replace_float("life/c.h5", "outcome", "number", ROWS, 1);
}
static void cut_c(void)
{
    file_cut("life/c.h5", file_size("life/c.h5") - 1000);
}
static void remove_c(void)
{
    unlink("life/c.h5");
}

static void replace_c(void)
{
    file_copy("good/c.h5", "life/new");
    assert_int_equal(rename("life/new", "life/c.h5"), 0);
}

/* The schema of all files is known, none of their rows: then c changes, which of three ranks the last one
 * reads. */
static void test_changing_cohort(void **state)
{
    (void)state;
    static const struct {
        void (*change)(void);
        const char *says;
    } changes[] = {
        {touch_c, "life/c.h5: changed while it was read: it was written to; let it be finished first"},
        {grow_c, "life/c.h5: changed while it was read: its size changed"},
        {cut_c, "life/c.h5: changed while it was read: its size changed"},
        {remove_c, "life/c.h5: no such file"},
        {replace_c, "life/c.h5: changed while it was read: it was replaced by another file"}};
    static const int n_ranks[] = {0, 3};
    make_lives();
    for (size_t i = 0; i < 2 * sizeof changes / sizeof changes[0]; i++) {
        unlink("life/c.h5");
        file_copy("good/c.h5", "life/c.h5");
        drive_remove("out");
        mkdir("out", 0700);
        mkdir("out/run", 0700); /* so that its record is the first that the program writes */
        int pipe = full_pipe();
        pid_t pid = start_still(n_ranks[i % 2], "train job.yaml --quiet", "out/run/run.json.tmp");
        changes[i / 2].change();
        drive_result result = let_go(pid, pipe);
        check_line(&result, 3, changes[i / 2].says, "a cohort that changes");
        if (n_ranks[i % 2] == 3) assert_non_null(strstr(result.err, "nightshift: rank 2: "));
        assert_int_equal(access("out/run/bundle", F_OK), -1);
        drive_free(&result);
    }
}

/* Opens a pipe for writing as soon as somebody reads it; before that nobody gets past it. */
static int wait_for_reader(const char *path)
{
    for (int tries = 0; tries < 60 * 500; tries++) {
        int pipe = open(path, O_WRONLY | O_NONBLOCK);
        if (pipe >= 0) return pipe;
        assert_int_equal(errno, ENXIO);
        nanosleep(&(struct timespec){.tv_nsec = 2000000},
                  NULL); /* between looks at a condition that has a limit */
    }
    fail_msg("nobody reads '%s'", path);
    return -1;
}

/* The same at night. Between schema and rows the program reads the manifest of a night before: here that is a
 * pipe. */
static void test_changing_night(void **state)
{
    (void)state;
    static const int n_ranks[] = {0, 3};
    make_lives();
    for (int i = 0; i < 2; i++) {
        drive_remove("out");
        mkdir("out", 0700);
        assert_int_equal(mkfifo("out/scores.h5.manifest.json", 0600), 0);
        pid_t pid = drive_start(n_ranks[i], "score job.yaml --quiet");
        int pipe = wait_for_reader("out/scores.h5.manifest.json");
        touch_c();
        close(pipe);
        drive_result result = {.code = drive_wait(pid, 60)};
        result.err = drive_read("started.err");
        check_line(&result, 3, "life/c.h5: changed while it was read: it was written to",
                   "a night that changes");
        assert_int_equal(access("out/scores.h5", F_OK), -1);
        assert_int_equal(access("out/scores.h5.tmp", F_OK), -1);
        drive_free(&result);
    }
}

/* Two processes want one run folder, one score file: the second is refused, the first finishes. */
static void test_held(void **state)
{
    (void)state;
    make_lives();
    mkdir("out/run", 0700);
    int pipe = full_pipe();
    pid_t pid = start_still(0, "train job.yaml --quiet", "out/run/run.json.tmp");
    static const char *const more[] = {"", "--restart", "--extend"};
    for (int i = 0; i < 3; i++) {
        drive_result second = drive_ranks(i % 2 == 0 ? 0 : 3, "train job.yaml --quiet %s", more[i]);
        check_line(&second, 2, "the run folder is held by process ", more[i]);
        drive_free(&second);
    }
    drive_result first = let_go(pid, pipe);
    assert_int_equal(first.code, 0);
    drive_free(&first);
    assert_true(drive_same("out/run/bundle", "life/done/bundle"));

    pipe = full_pipe();
    pid = start_still(0, "score job.yaml --quiet", "out/scores.h5.lock");
    drive_result second = drive_ranks(3, "score job.yaml --quiet --replace");
    check_line(&second, 2, "the score file is held by process ", "score");
    drive_free(&second);
    first = let_go(pid, pipe);
    assert_int_equal(first.code, 0);
    drive_free(&first);
    assert_int_equal(access("out/scores.h5.manifest.json", F_OK), 0);
}

/* --- bits --- */

/* A flipped byte anywhere is damage that is named, or one that no reader can see; never a crash, never
 * another exit. */
static void test_flipped_bits(void **state)
{
    (void)state;
    enum { PLACES = 96 };
    make_lives();
    drive_must(0, "train job.yaml --quiet --set data.cohort=life/c.h5");
    int64_t n = file_size("good/c.h5");
    int n_found = 0;
    for (int i = 0; i < PLACES; i++) {
        drive_remove("out");
        mkdir("out", 0700);
        file_copy("good/c.h5", "life/c.h5");
        file_flip("life/c.h5", n * i / PLACES + i % 7);
        drive_result result = drive_ranks(i % 8 == 0 ? 3 : 0, "train job.yaml --quiet");
        int n_lines;
        const char *line = drive_error_line(&result, &n_lines);
        if (getenv("NIGHTSHIFT_SHOW") != NULL) print_message("%d %s\n", result.code, line);
        bool whole = result.code == 0 && n_lines == 0 && access("out/run/bundle/manifest.json", F_OK) == 0;
        bool named = result.code == 3 && n_lines == 1 && access("out/run/bundle", F_OK) != 0;
        if (!whole && !named)
            fail_msg("byte %lld flipped: exit %d\n%s", (long long)(n * i / PLACES + i % 7), result.code,
                     result.err);
        n_found += named;
        drive_free(&result);
    }
    print_message("%d flips, %d found\n", (int)PLACES, n_found);
    assert_true(n_found > PLACES / 8);
}

/* Of a night of three slabs the third rank reads the third file, and what is wrong with it is its to tell. */
static void test_last_slab(void **state)
{
    (void)state;
    make_lives();
    mkdir("nights", 0700);
    cohort_write("nights/a.h5", &cohort_plain, 0, SLAB);
    cohort_write("nights/b.h5", &cohort_plain, SLAB, SLAB);
    cohort_write("nights/c.h5", &cohort_plain, 2 * SLAB, ROWS);
    static const char night[] = "score job.yaml --quiet --set 'score.cohort=[nights/*.h5]'";
    int64_t offset, n_bytes;
    cohort_replace_checked("nights/c.h5", "lab", ROWS);
    cohort_chunk("nights/c.h5", "lab", &offset, &n_bytes);
    file_flip("nights/c.h5", offset + n_bytes / 2);
    for (int n_ranks = 0; n_ranks <= 3; n_ranks += 3) {
        drive_result result = drive_ranks(n_ranks, "%s", night);
        check_line(&result, 3, "nights/c.h5: cannot read column 'lab'", night);
        if (n_ranks == 3) assert_non_null(strstr(result.err, "nightshift: rank 2: "));
        assert_int_equal(access("out/scores.h5", F_OK), -1);
        assert_int_equal(access("out/scores.h5.tmp", F_OK), -1);
        drive_free(&result);
    }
    cohort_replace_float("nights/c.h5", "lab", "number", ROWS, 1);
    drive_must(3, "%s", night);
}

/* A folder that this user may not write into; root may write anywhere. */
static void test_not_writable(void **state)
{
    (void)state;
    if (geteuid() == 0) skip();
    make_lives();
    mkdir("closed", 0500);
    drive_result result = drive_ranks(0, "train job.yaml --quiet --set run.out=closed/run");
    check_line(&result, 2, "closed' is not writable", "train");
    drive_free(&result);
    result = drive_ranks(3, "score job.yaml --quiet --set score.out=closed/scores.h5");
    check_line(&result, 2, "closed' is not writable", "score");
    drive_free(&result);
}

static int set_up(void **state)
{
    (void)state;
    drive_enter("changes");
    mkdir("good", 0700);
    cohort_write("good/a.h5", &cohort_plain, 0, ROWS);
    cohort_write("good/b.h5", &cohort_plain, ROWS, ROWS);
    cohort_write("good/c.h5", &cohort_plain, 2 * ROWS, ROWS);
    drive_write("job.yaml", "%s", job);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_job),
        cmocka_unit_test(test_changed_cohort),
        cmocka_unit_test(test_changing_cohort),
        cmocka_unit_test(test_changing_night),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_last_slab),
        cmocka_unit_test(test_not_writable),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
