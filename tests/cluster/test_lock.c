/* The lock of a run folder: held, stale in every way, raced for, fenced. Other holders are forked processes.
 */
#include "tests/check.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/lock.h"
#include "cluster/machine.h"

static char folder[64], path[80], over[256];

static int before(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/nightshift-lock-XXXXXX");
    if (mkdtemp(folder) == NULL) return 1;
    snprintf(path, sizeof path, "%s/lock", folder);
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
    ns_error_clear();
    return 0;
}

static int after(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static int n_files(void)
{
    int n = 0;
    DIR *names = opendir(folder);
    assert_non_null(names);
    for (const struct dirent *entry = readdir(names); entry != NULL; entry = readdir(names))
        n += entry->d_name[0] != '.';
    closedir(names);
    return n;
}

static void read_file(const char *name, char *out, size_t size)
{
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t n = fread(out, 1, size - 1, file);
    out[n] = '\0';
    fclose(file);
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Replaces the text from `key":` to the next comma. */
static void edit(const char *name, const char *key, const char *value)
{
    char text[2048], out[4096], wanted[64];
    read_file(name, text, sizeof text);
    snprintf(wanted, sizeof wanted, "\"%s\":", key);
    char *at = strstr(text, wanted);
    assert_non_null(at);
    at += strlen(wanted);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, value, at + strcspn(at, ",}"));
    write_file(name, out);
}

/* A lock whose holder is gone: it was taken by a process that left without releasing it. */
static void leave_stale(void)
{
    char said[256];
    pid_t child = fork();
    if (child == 0) {
        ns_lock *lock;
        _exit(ns_lock_take(&lock, path, "the run folder", said, sizeof said) == NS_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void takes(const char *reason)
{
    ns_lock *lock = NULL;
    char said[256] = "x";
    CHECK_OK(ns_lock_take(&lock, path, "the run folder", said, sizeof said));
    if (reason == NULL)
        assert_string_equal(said, "");
    else
        assert_non_null(strstr(said, reason));
    assert_null(strchr(said, '"'));
    assert_true(ns_lock_still_mine(lock));
    assert_int_equal(n_files(), 1);
    ns_lock_release(&lock);
    assert_null(lock);
    assert_int_equal(n_files(), 0);
}

static void refuses(ns_status code, const char *reason)
{
    ns_lock *lock = (ns_lock *)folder; /* must be set NULL */
    char said[256];
    int files = n_files();
    CHECK_FAILS(ns_lock_take(&lock, path, "the run folder", said, sizeof said), code, reason);
    assert_null(lock);
    assert_string_equal(said, "");
    assert_int_equal(n_files(), files);
}

static void free_lock(void **state)
{
    (void)state;
    takes(NULL);
    takes(NULL);
    ns_lock *none = NULL;
    ns_lock_release(&none);
}

static void held_by_a_living_process(void **state)
{
    (void)state;
    ns_lock *lock;
    char said[256], want[64], text[2048];
    CHECK_OK(ns_lock_take(&lock, path, "the run folder", said, sizeof said));
    snprintf(want, sizeof want, "the run folder is held by process %ld on ", (long)getpid());
    refuses(NS_EINVAL, want);
    refuses(NS_EINVAL, path);
    read_file(path, text, sizeof text);
    assert_non_null(strstr(text, "\"restart\":0"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    ns_lock_release(&lock);
}

static void process_is_gone(void **state)
{
    (void)state;
    leave_stale();
    takes("the process is gone");
}

static void process_id_is_anothers(void **state)
{
    (void)state;
    char pid[32];
    leave_stale();
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    edit(path, "pid", pid);
    edit(path, "start", "1");
    takes("its id is another's");
}

static void killed_holder_that_nobody_waited_for(void **state)
{
    (void)state;
    int ready[2];
    char byte, said[256];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        ns_lock *lock;
        if (ns_lock_take(&lock, path, "the run folder", said, sizeof said) != NS_OK) _exit(1);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    refuses(NS_EINVAL, "is held by process");
    kill(child, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT); /* a zombie from here on */
    takes("the process is gone");
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

static void another_start_of_the_host(void **state)
{
    (void)state;
    char pid[32];
    leave_stale();
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    edit(path, "pid", pid);
    edit(path, "boot", "\"00000000-0000-0000-0000-000000000000\"");
    takes("the host was started anew");
}

static void what_cannot_be_judged_is_held(void **state)
{
    (void)state;
    leave_stale();
    edit(path, "host", "\"elsewhere\"");
    refuses(NS_EINVAL, "on elsewhere");
    unlink(path);
    leave_stale();
    edit(path, "pidns", "1");
    refuses(NS_EINVAL, "is held by process");
}

static void requeued_slurm_job(void **state)
{
    (void)state;
    setenv("SLURM_JOB_ID", "42", 1);
    leave_stale();
    edit(path, "host", "\"elsewhere\"");
    refuses(NS_EINVAL, "on elsewhere of Slurm job 42 since");
    setenv("SLURM_RESTART_COUNT", "1", 1);
    takes("requeued");

    setenv("SLURM_RESTART_COUNT", "2", 1);
    leave_stale();
    edit(path, "host", "\"elsewhere\"");
    setenv("SLURM_RESTART_COUNT", "1", 1); /* an earlier life wakes up late */
    refuses(NS_EINVAL, "on elsewhere");
    setenv("SLURM_JOB_ID", "43", 1);
    setenv("SLURM_RESTART_COUNT", "9", 1); /* another job */
    refuses(NS_EINVAL, "on elsewhere of Slurm job 42");
}

static void no_lock_file(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "some text\n", "{\"nightshift_lock\":1,\"token\":\"0\"}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_file(path, texts[i]);
        refuses(NS_EINVAL, "no lock file of this program");
    }
    unlink(path);
    leave_stale();
    char text[2048];
    read_file(path, text, sizeof text);
    text[strlen(text) - 1] = '\0'; /* cut off */
    write_file(path, text);
    refuses(NS_EINVAL, "no lock file of this program");
}

static void files_that_fail(void **state)
{
    (void)state;
    ns_lock *lock;
    char said[256], there[128];
    snprintf(there, sizeof there, "%s/nowhere/lock", folder);
    CHECK_FAILS(ns_lock_take(&lock, there, "the run folder", said, sizeof said), NS_EIO, "nowhere/lock");
    assert_int_equal(mkdir(path, 0777), 0); /* a folder under the lock's name cannot be read */
    refuses(NS_EIO, "cannot read");
    assert_int_equal(rmdir(path), 0);
}

static void fencing(void **state)
{
    (void)state;
    ns_lock *lock;
    char said[256], text[2048];
    CHECK_OK(ns_lock_take(&lock, path, "the run folder", said, sizeof said));
    assert_true(ns_lock_still_mine(lock));
    edit(path, "token", "\"00000000000000aa\"");
    assert_false(ns_lock_still_mine(lock));
    ns_lock_release(&lock); /* another's lock stays */
    read_file(path, text, sizeof text);
    assert_non_null(strstr(text, "00000000000000aa"));
    assert_int_equal(n_files(), 1);
    unlink(path);

    CHECK_OK(ns_lock_take(&lock, path, "the run folder", said, sizeof said));
    unlink(path);
    assert_false(ns_lock_still_mine(lock));
    ns_lock_release(&lock);
    assert_int_equal(n_files(), 0);
}

/* An error that is being reported must survive the release on the way out. */
static void release_keeps_the_error(void **state)
{
    (void)state;
    ns_lock *lock;
    char said[256];
    CHECK_OK(ns_lock_take(&lock, path, "the run folder", said, sizeof said));
    ns_fail(NS_EFORMAT, "bad cohort");
    ns_lock_release(&lock);
    assert_string_equal(ns_last_error()->message, "bad cohort");
    ns_error_clear();
}

/* PATH.over.TOKEN of the lock that is there. */
static void name_claim(char *out, size_t size, const char *lock)
{
    char text[2048];
    read_file(lock, text, sizeof text);
    char *token = strstr(text, "\"token\":\"");
    assert_non_null(token);
    snprintf(out, size, "%s.over.%.16s", lock, token + 9);
}

/* The claim of a process that was killed while it took a lock over. */
static void leave_stale_claim(const char *lock)
{
    char text[2048];
    read_file(lock, text, sizeof text);
    name_claim(over, sizeof over, lock);
    write_file(over, text);
    edit(over, "token", "\"00000000000000bb\"");
}

static void killed_during_a_takeover(void **state)
{
    (void)state;
    leave_stale();
    leave_stale_claim(path);
    takes("the process is gone");

    /* Another's takeover is under way: its claim is held by a living process. */
    char pid[32], start[32];
    uint64_t ticks;
    leave_stale();
    leave_stale_claim(path);
    assert_true(ns_process_start(&ticks, getpid()));
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    snprintf(start, sizeof start, "%llu", (unsigned long long)ticks);
    edit(over, "pid", pid);
    edit(over, "start", start);
    refuses(NS_EINVAL, "is held by process");
    unlink(over);

    /* Killed again and again, each time while it took over the claim of the one before. */
    leave_stale_claim(path);
    for (int i = 0; i < 2; i++) {
        char claim[sizeof over];
        memcpy(claim, over, sizeof claim);
        leave_stale_claim(claim);
    }
    refuses(NS_EINVAL, "too many broken takeovers");
}

typedef struct race {
    atomic_int go, won, lost, errors;
} race;

static void racer(race *r, int n)
{
    ns_lock *lock;
    char said[256];
    while (!atomic_load(&r->go)) continue;
    ns_status status = ns_lock_take(&lock, path, "the run folder", said, sizeof said);
    if (status == NS_OK)
        atomic_fetch_add(&r->won, 1);
    else if (status == NS_EINVAL)
        atomic_fetch_add(&r->lost, 1);
    else
        atomic_fetch_add(&r->errors, 1);
    /* Held until all have tried, so that two winners would be seen. */
    while (atomic_load(&r->won) + atomic_load(&r->lost) + atomic_load(&r->errors) < n) continue;
    if (status == NS_OK) {
        if (!ns_lock_still_mine(lock)) atomic_fetch_add(&r->errors, 1);
        ns_lock_release(&lock);
    }
    _exit(0);
}

static void one_of_many_wins(void **state)
{
    (void)state;
    enum { ROUNDS = 60, MOST = 5 };
    race *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(r, MAP_FAILED);
    for (int round = 0; round < ROUNDS; round++) {
        int n = 2 + round % (MOST - 1);
        if (round % 3 > 0) leave_stale(); /* a free lock, a stale one, a stale one with a stale claim */
        if (round % 3 == 2) leave_stale_claim(path);
        atomic_store(&r->go, 0);
        atomic_store(&r->won, 0);
        atomic_store(&r->lost, 0);
        atomic_store(&r->errors, 0);
        for (int i = 0; i < n; i++) {
            pid_t child = fork();
            if (child == 0) racer(r, n);
            assert_true(child > 0);
        }
        atomic_store(&r->go, 1);
        for (int i = 0; i < n; i++) assert_true(wait(NULL) > 0);
        assert_int_equal(atomic_load(&r->errors), 0);
        assert_int_equal(atomic_load(&r->won), 1);
        assert_int_equal(n_files(), 0);
    }
    munmap(r, sizeof *r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(free_lock, before, after),
        cmocka_unit_test_setup_teardown(held_by_a_living_process, before, after),
        cmocka_unit_test_setup_teardown(process_is_gone, before, after),
        cmocka_unit_test_setup_teardown(process_id_is_anothers, before, after),
        cmocka_unit_test_setup_teardown(killed_holder_that_nobody_waited_for, before, after),
        cmocka_unit_test_setup_teardown(another_start_of_the_host, before, after),
        cmocka_unit_test_setup_teardown(what_cannot_be_judged_is_held, before, after),
        cmocka_unit_test_setup_teardown(requeued_slurm_job, before, after),
        cmocka_unit_test_setup_teardown(no_lock_file, before, after),
        cmocka_unit_test_setup_teardown(files_that_fail, before, after),
        cmocka_unit_test_setup_teardown(fencing, before, after),
        cmocka_unit_test_setup_teardown(release_keeps_the_error, before, after),
        cmocka_unit_test_setup_teardown(killed_during_a_takeover, before, after),
        cmocka_unit_test_setup_teardown(one_of_many_wins, before, after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
