/*
 * Calls of data/durable.h in this process, and in children that are killed, run out of disk or meet a file
 * system that refuses something: the program starts itself with "case NAME FOLDER", so that each child reads
 * the test hook anew.
 */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/durable.h"

enum { N_NEW = 100000, KILLED = 1000, NO_SECCOMP = 77 };
static char folder[256]; /* a fresh one for every test */
static char new_text[N_NEW + 1];

/* --- files --- */

static const char *at(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next = (next + 1) % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    CHECK_OK(ns_durable_write(at(name), text, strlen(text), "setup"));
}

/* Whether a file holds exactly this text. */
static bool holds(const char *name, const char *text)
{
    char *bytes;
    size_t n;
    bool found;
    CHECK_OK(ns_read_whole(at(name), &bytes, &n, &found));
    bool same = found && n == strlen(text) && memcmp(bytes, text, n) == 0;
    free(bytes);
    return same;
}

/* Entries of a folder whose names contain a text. */
static int count_names(const char *part)
{
    char command[600], line[16] = "";
    snprintf(command, sizeof command, "ls -A '%s' | grep -c -- '%s'", folder, part);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    pclose(pipe);
    return (int)strtol(line, NULL, 10);
}

static int make_room(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/nightshift-durable-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int clear_room(void **state)
{
    (void)state;
    return ns_durable_remove(folder, "setup") != NS_OK;
}

/* --- what children do: small scenes, each on fixed names in the folder --- */

static void fill_folder(const char *name, const char *text)
{
    char file[64];
    CHECK_OK(ns_durable_mkdir(at(name), "setup"));
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/f%d", name, i);
        put(file, text);
    }
    snprintf(file, sizeof file, "%s/sub", name);
    CHECK_OK(ns_durable_mkdir(at(file), "setup"));
    snprintf(file, sizeof file, "%s/sub/f", name);
    put(file, text);
}

static bool folder_holds(const char *name, const char *text)
{
    static const char *const files[] = {"f0", "f1", "f2", "sub/f"};
    char file[64];
    for (int i = 0; i < 4; i++) {
        snprintf(file, sizeof file, "%s/%s", name, files[i]);
        if (!holds(file, text)) return false;
    }
    return true;
}

static ns_status scene(const char *name)
{
    if (strcmp(name, "publish") == 0) return ns_durable_publish(at("p"), new_text, N_NEW, "lab");
    if (strcmp(name, "write") == 0) return ns_durable_write(at("w"), new_text, N_NEW, "lab");
    if (strcmp(name, "mkdir") == 0) return ns_durable_mkdir(at("a/b/c"), "lab");
    if (strcmp(name, "rename") == 0) return ns_durable_rename(at("from"), at("to"), "lab");
    if (strcmp(name, "replace") == 0) return ns_durable_replace(at("from"), at("to"), at("kept"), "lab");
    if (strcmp(name, "remove") == 0) return ns_durable_remove(at("old"), "lab");
    if (strcmp(name, "append") == 0) return ns_durable_append(at("log"), "line 2\n", "lab");
    if (strcmp(name, "sync") == 0) return ns_durable_sync(at("p"), "lab");
    if (strcmp(name, "syncdir") == 0) return ns_durable_sync(folder, "lab");
    if (strcmp(name, "point") != 0) return ns_fail(NS_EINVAL, "no scene %s", name);
    NS_TRY(ns_durable_point("write", "h5", "before"));
    NS_TRY(ns_durable_point("write", "h5", "torn"));
    return ns_durable_point("write", "h5", "after");
}

/* A system call that fails in a child, or with error 0 does nothing and claims success. */
typedef struct refusal {
    int call, error;
} refusal;

static bool refuse(refusal no)
{
    struct sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)no.call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)no.error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = 4, .filter = lines};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* In the child: the scene, its message to stdout, its status as exit code. */
static int play(const char *name, const char *where)
{
    snprintf(folder, sizeof folder, "%s", where);
    memset(new_text, 'n', N_NEW);
    const char *limit = getenv("TEST_FILE_LIMIT"), *no = getenv("TEST_REFUSE");
    if (limit != NULL) {
        struct rlimit size = {(rlim_t)strtol(limit, NULL, 10), (rlim_t)strtol(limit, NULL, 10)};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &size) != 0) return 99;
    }
    for (char *end; no != NULL && *no != '\0'; no = end) {
        refusal one = {.call = (int)strtol(no, &end, 10)};
        one.error = (int)strtol(end + 1, &end, 10);
        if (*end == ',') end++;
        if (!refuse(one)) return NO_SECCOMP;
    }
    ns_status status = scene(name);
    const char *text = ns_last_error()->message;
    if (write(STDOUT_FILENO, text, strlen(text)) < 0) return 99;
    return (int)status;
}

/* --- the parent's side --- */

typedef struct conditions {
    const char *fault, *trace, *limit, *refused;
} conditions;

static char message[2000]; /* of the last child */

static void set_or_clear(const char *name, const char *value)
{
    if (value != NULL)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

/* The child's ns_status, or KILLED. */
static int run(const char *name, conditions under)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        set_or_clear("NIGHTSHIFT_TEST_FAULT", under.fault);
        set_or_clear("NIGHTSHIFT_TEST_TRACE", under.trace);
        set_or_clear("TEST_FILE_LIMIT", under.limit);
        set_or_clear("TEST_REFUSE", under.refused);
        execl("/proc/self/exe", "test_durable", "case", name, folder, (char *)NULL);
        _exit(98);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t done = 1; done > 0 && n < sizeof message - 1; n += (size_t)(done > 0 ? done : 0))
        done = read(ends[0], message + n, sizeof message - 1 - n);
    message[n] = '\0';
    close(ends[0]);
    int ended;
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) continue;
    if (WIFSIGNALED(ended)) {
        assert_int_equal(WTERMSIG(ended), SIGKILL);
        return KILLED;
    }
    if (WEXITSTATUS(ended) == NO_SECCOMP) skip();
    assert_true(WEXITSTATUS(ended) < 90);
    return WEXITSTATUS(ended);
}

static void said(const char *text)
{
    if (strstr(message, text) == NULL) fail_msg("no \"%s\" in: %s", text, message);
}

static const char *refused(long call, int error)
{
    static char text[32];
    snprintf(text, sizeof text, "%ld:%d", call, error);
    return text;
}

/* --- tests --- */

static void test_write_and_read(void **state)
{
    (void)state;
    char *bytes;
    size_t n;
    bool found;
    umask(027);
    CHECK_OK(ns_durable_write(at("w"), "a\0b", 3, "x"));
    CHECK_OK(ns_durable_publish(at("p"), "first, and longer", 17, "x"));
    CHECK_OK(ns_durable_publish(at("p"), "second", 6, "x"));
    CHECK_OK(ns_durable_write(at("empty"), NULL, 0, "x"));
    CHECK_OK(ns_durable_mkdir(at("d"), "x"));
    umask(022);
    struct stat seen;
    assert_true(stat(at("w"), &seen) == 0 && (seen.st_mode & 0777) == 0640);
    assert_true(stat(at("p"), &seen) == 0 && (seen.st_mode & 0777) == 0640);
    assert_true(stat(at("d"), &seen) == 0 && (seen.st_mode & 0777) == 0750);
    assert_true(holds("p", "second") && holds("empty", "") && count_names("tmp") == 0);
    CHECK_OK(ns_read_whole(at("w"), &bytes, &n, &found));
    assert_true(found && n == 3 && memcmp(bytes, "a\0b", 4) == 0);
    free(bytes);
    CHECK_OK(ns_read_whole(at("nowhere"), &bytes, &n, &found));
    assert_true(!found && bytes == NULL && n == 0);
    CHECK_OK(ns_read_whole(at("w/below"), &bytes, &n, &found));
    assert_false(found);
    CHECK_FAILS(ns_read_whole(folder, &bytes, &n, &found), NS_EIO, "cannot read '/tmp/nightshift-durable");
    assert_true(!found && bytes == NULL);
    CHECK_OK(ns_read_whole("/proc/self/smaps", &bytes, &n, &found)); /* tells no size */
    assert_true(found && n > 4096 && strlen(bytes) == n);
    free(bytes);
    assert_true(ns_path_exists(at("d")) && ns_path_exists(at("w")) && !ns_path_exists(at("nowhere")));
}

static void test_append(void **state)
{
    (void)state;
    CHECK_OK(ns_durable_append(at("log"), "line 1\n", "x"));
    CHECK_OK(ns_durable_append(at("log"), "line 2\n", "x"));
    assert_true(holds("log", "line 1\nline 2\n"));
    CHECK_FAILS(ns_durable_append(at("no/log"), "x\n", "x"), NS_EIO, "no/log': No such file or directory");
    /* a full disk in the middle of a line: the line is cut off again */
    put("log", "line 1\n");
    assert_int_equal(run("append", (conditions){.limit = "10"}), NS_EIO);
    said("/log': File too large");
    assert_true(holds("log", "line 1\n"));
    assert_int_equal(run("append", (conditions){.fault = "write:lab:torn:fail"}), NS_EIO);
    assert_true(holds("log", "line 1\n"));
    assert_int_equal(run("append", (conditions){.fault = "write:lab:torn:kill"}), KILLED);
    assert_true(holds("log", "line 1\nlin"));
}

static void test_folders(void **state)
{
    (void)state;
    CHECK_OK(ns_durable_mkdir(at("a/b//c/"), "x"));
    CHECK_OK(ns_durable_mkdir(at("a/b/c"), "x"));
    put("a/file", "x");
    CHECK_FAILS(ns_durable_mkdir(at("a/file"), "x"), NS_EIO, "cannot make the folder '");
    CHECK_FAILS(ns_durable_mkdir(at("a/file/d"), "x"), NS_EIO, "/a/file': File exists");
    CHECK_OK(ns_durable_sync(at("a"), "x"));
    CHECK_OK(ns_durable_sync(at("a/file"), "x"));
    CHECK_FAILS(ns_durable_sync(at("a/none"), "x"), NS_EIO, "cannot sync '");
    CHECK_OK(ns_durable_rename(at("a/file"), at("a/b/moved"), "x"));
    assert_true(holds("a/b/moved", "x") && !ns_path_exists(at("a/file")));
    CHECK_FAILS(ns_durable_rename(at("a/file"), at("a/g"), "x"), NS_EIO, "cannot rename '");
    char longest[5000];
    memset(longest, 'y', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CHECK_FAILS(ns_durable_mkdir(longest, "x"), NS_EIO, "File name too long");
    CHECK_FAILS(ns_durable_publish(longest, "", 0, "x"), NS_EIO, "File name too long");
    CHECK_FAILS(ns_durable_remove(longest, "x"), NS_EIO, "File name too long");
}

static void test_relative_paths(void **state)
{
    (void)state;
    assert_int_equal(chdir(folder), 0);
    CHECK_OK(ns_durable_mkdir("r/s", "x"));
    CHECK_OK(ns_durable_publish("plain", "1", 1, "x"));
    CHECK_OK(ns_durable_rename("plain", "other", "x"));
    CHECK_OK(ns_durable_remove("r", "x"));
    assert_int_equal(chdir("/"), 0);
    assert_true(holds("other", "1") && !ns_path_exists(at("r")));
    assert_int_equal(count_names("tmp"), 0);
}

static void test_remove(void **state)
{
    (void)state;
    fill_folder("old", "x");
    fill_folder("outside", "stays");
    assert_int_equal(symlink(at("outside"), at("old/link")), 0);
    CHECK_OK(ns_durable_remove(at("old/"), "x"));
    assert_false(ns_path_exists(at("old")));
    assert_true(folder_holds("outside", "stays"));
    CHECK_OK(ns_durable_remove(at("old"), "x"));
    put("file", "x");
    CHECK_OK(ns_durable_remove(at("file"), "x"));
    assert_false(ns_path_exists(at("file")));
    assert_int_equal(symlink(at("outside"), at("link")), 0);
    CHECK_OK(ns_durable_remove(at("link"), "x"));
    assert_true(!ns_path_exists(at("link")) && folder_holds("outside", "stays"));
    put("file", "x");
    CHECK_OK(ns_durable_remove(at("file/below"), "x")); /* cannot be there */
    CHECK_OK(ns_durable_mkdir(at("many"), "x"));
    for (int i = 0; i < 3000; i++) {
        char name[32];
        snprintf(name, sizeof name, "many/%d", i);
        int fd = open(at(name), O_WRONLY | O_CREAT, 0666);
        assert_true(fd >= 0);
        close(fd);
    }
    CHECK_OK(ns_durable_remove(at("many"), "x"));
    assert_false(ns_path_exists(at("many")));
    assert_int_equal(count_names("tmp"), 0);
    put("old", "x");
    assert_int_equal(run("remove", (conditions){.refused = refused(SYS_unlinkat, EACCES)}), NS_EIO);
    said("cannot remove '");
    said("/old': Permission denied");
}

static void test_replace(void **state)
{
    (void)state;
    put("from", "new");
    CHECK_OK(ns_durable_replace(at("from"), at("to"), at("kept"), "x")); /* nothing to keep */
    assert_true(holds("to", "new") && !ns_path_exists(at("from")) && !ns_path_exists(at("kept")));
    put("from", "newer");
    CHECK_OK(ns_durable_replace(at("from"), at("to"), at("kept"), "x"));
    assert_true(holds("to", "newer") && holds("kept", "new") && !ns_path_exists(at("from")));
    put("from", "newest");
    CHECK_OK(ns_durable_replace(at("from"), at("to"), at("kept"), "x")); /* over an older kept */
    assert_true(holds("to", "newest") && holds("kept", "newer"));
    CHECK_FAILS(ns_durable_replace(at("from"), at("to"), at("kept"), "x"), NS_EIO, "cannot rename '");
    assert_true(holds("to", "newest")); /* nothing came from `from` */
    CHECK_OK(ns_durable_remove(at("kept"), "x"));
    CHECK_OK(ns_durable_mkdir(at("kept"), "x"));
    put("from", "last");
    CHECK_FAILS(ns_durable_replace(at("from"), at("to"), at("kept"), "x"), NS_EIO, "/kept': File exists");
    assert_true(holds("to", "newest") && holds("from", "last"));
    assert_int_equal(count_names("tmp"), 0);
}

static void test_replace_folders(void **state)
{
    (void)state;
    fill_folder("to", "old");
    fill_folder("from", "new");
    put("kept", "x");
    CHECK_FAILS(ns_durable_replace(at("from"), at("to"), at("kept"), "x"), NS_EIO, "/kept': File exists");
    CHECK_OK(ns_durable_remove(at("kept"), "x"));
    CHECK_OK(ns_durable_replace(at("from"), at("to"), at("kept"), "x"));
    assert_true(folder_holds("to", "new") && folder_holds("kept", "old") && !ns_path_exists(at("from")));
    CHECK_OK(ns_durable_remove(at("kept"), "x"));
    CHECK_FAILS(ns_durable_replace(at("from"), at("to"), at("kept"), "x"), NS_EIO,
                "No such file or directory");
    assert_true(folder_holds("to", "new"));
}

/* File systems without the exchange of names, or without hard links. */
static void test_replace_without_help(void **state)
{
    (void)state;
    static const int errors[] = {ENOSYS, EINVAL};
    for (int i = 0; i < 2; i++) {
        fill_folder("to", "old");
        fill_folder("from", "new");
        assert_int_equal(run("replace", (conditions){.refused = refused(SYS_renameat2, errors[i])}), NS_OK);
        assert_true(folder_holds("to", "new") && folder_holds("kept", "old") && !ns_path_exists(at("from")));
        CHECK_OK(ns_durable_remove(at("to"), "x"));
        CHECK_OK(ns_durable_remove(at("kept"), "x"));
    }
    fill_folder("to", "old");
    fill_folder("from", "new");
    assert_int_equal(run("replace", (conditions){.refused = refused(SYS_renameat2, EACCES)}), NS_EIO);
    said("Permission denied");
    assert_true(folder_holds("to", "old") && folder_holds("from", "new"));
    CHECK_OK(ns_durable_remove(at("to"), "x"));
    CHECK_OK(ns_durable_remove(at("from"), "x"));
#ifdef SYS_link
    put("to", "old");
    put("from", "new");
    assert_int_equal(run("replace", (conditions){.refused = refused(SYS_link, EPERM)}), NS_OK);
    assert_true(holds("to", "new") && holds("kept", "old") && !ns_path_exists(at("from")));
    put("from", "newer");
    char both[64];
    snprintf(both, sizeof both, "%ld:%d,%ld:%d", (long)SYS_link, EPERM, (long)SYS_renameat2, ENOSYS);
    assert_int_equal(run("replace", (conditions){.refused = both}), NS_OK);
    assert_true(holds("to", "newer") && holds("kept", "new") && !ns_path_exists(at("from")));
    put("from", "last");
    assert_int_equal(run("replace", (conditions){.refused = refused(SYS_link, EDQUOT)}), NS_EIO);
    said("cannot keep a copy of '");
    assert_true(holds("to", "newer") && holds("kept", "new") && holds("from", "last"));
#endif
}

static void test_disk_full(void **state)
{
    (void)state;
    put("p", "old");
    assert_int_equal(run("publish", (conditions){.limit = "5000"}),
                     NS_EIO); /* first a short write, then the error */
    said("cannot write '");
    said("/p': File too large");
    assert_true(holds("p", "old") && count_names("tmp") == 0);
    assert_int_equal(run("write", (conditions){.limit = "5000"}), NS_EIO);
    assert_false(ns_path_exists(at("w")));
    assert_int_equal(symlink("/dev/full", at("full")), 0);
    CHECK_FAILS(ns_durable_write(at("full"), "x", 1, "x"), NS_EIO, "/full': No space left on device");
    assert_true(!ns_path_exists(at("full")) && ns_path_exists("/dev/full"));
}

static void test_sync_fails(void **state)
{
    (void)state;
    put("p", "old");
    assert_int_equal(run("publish", (conditions){.refused = refused(SYS_fsync, EIO)}), NS_EIO);
    said("cannot sync '");
    said("/p': Input/output error");
    assert_true(holds("p", "old") && count_names("tmp") == 0);
    /* tried again, but not for ever */
    assert_int_equal(run("publish", (conditions){.refused = refused(SYS_fsync, ESTALE)}), NS_EIO);
    said("Stale file handle");
    assert_int_equal(run("sync", (conditions){.refused = refused(SYS_fsync, EINTR)}), NS_EIO);
    said("Interrupted");
    /* a file system that cannot sync folders is none that cannot be used */
    assert_int_equal(run("syncdir", (conditions){.refused = refused(SYS_fsync, EINVAL)}), NS_OK);
    assert_int_equal(run("sync", (conditions){.refused = refused(SYS_fsync, EINVAL)}), NS_EIO);
    assert_int_equal(run("syncdir", (conditions){.refused = refused(SYS_fsync, EIO)}), NS_EIO);
    said("cannot sync the folder '");
}

/* A disk that takes everything and keeps nothing. */
static void test_disk_that_lies(void **state)
{
    (void)state;
    assert_int_equal(symlink("/dev/null", at("w")), 0);
    assert_int_equal(run("write", (conditions){.refused = refused(SYS_fsync, 0)}), NS_EIO);
    said("/w' does not read back as it was written");
    assert_true(!ns_path_exists(at("w")) && ns_path_exists("/dev/null"));
}

static void test_trace_and_count(void **state)
{
    (void)state;
    assert_int_equal(run("publish", (conditions){.trace = at("trace")}), NS_OK);
    assert_true(holds("p", new_text));
    assert_int_equal(run("mkdir", (conditions){.trace = at("trace")}), NS_OK);
    assert_int_equal(run("mkdir", (conditions){.trace = at("trace")}),
                     NS_OK); /* there already: no operation */
    assert_true(holds("trace", "write:lab\nsync:lab\nrename:lab\nsyncdir:lab\n"
                               "mkdir:lab\nsyncdir:lab\nmkdir:lab\nsyncdir:lab\nmkdir:lab\nsyncdir:lab\n"));
    put("trace", "");
    put("from", "x");
    CHECK_OK(ns_durable_remove(at("to"), "x"));
    assert_int_equal(run("rename", (conditions){.trace = at("trace"), .fault = "rename:lab:after:kill"}),
                     KILLED);
    assert_true(holds("trace", "rename:lab\n")); /* done, then killed */
    CHECK_OK(ns_durable_remove(at("a"), "x"));
    assert_int_equal(run("mkdir", (conditions){.fault = "mkdir:lab#2:after:kill"}), KILLED);
    assert_true(ns_path_exists(at("a/b")) && !ns_path_exists(at("a/b/c")));
    assert_int_equal(run("mkdir", (conditions){.fault = "mkdir:lab#2:before:kill"}),
                     NS_OK); /* only one is left to do */
    assert_true(ns_path_exists(at("a/b/c")));
    assert_int_equal(run("publish", (conditions){.fault = "write:la:before:kill"}), NS_OK); /* another name */
    assert_int_equal(run("publish", (conditions){.trace = at("none/trace")}), NS_EIO);
    said("none/trace': No such file");
}

static void test_faults_for_other_writers(void **state)
{
    (void)state;
    static const char *const kills[] = {"write:h5:before:kill", "write:h5:torn:kill", "write:h5:after:kill"};
    for (int i = 0; i < 3; i++) assert_int_equal(run("point", (conditions){.fault = kills[i]}), KILLED);
    assert_int_equal(run("point", (conditions){.fault = "write:h5:torn:fail"}), NS_EIO);
    said("cannot write 'h5': No space left on device");
    assert_int_equal(run("point", (conditions){.fault = "write:h5#2:before:fail"}), NS_OK);
    assert_int_equal(run("point", (conditions){.fault = ""}), NS_OK);
}

static void test_faults_that_cannot_be_read(void **state)
{
    (void)state;
    static const char *const wrong[] = {"kill",
                                        "before:kill",
                                        "write:before:kill",
                                        "write:lab:during:kill",
                                        "write:lab:before:stop",
                                        "write:lab#0:before:kill",
                                        "write:lab#x:before:kill",
                                        "write:lab#1x:before:kill"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(run("publish", (conditions){.fault = wrong[i]}), NS_EINVAL);
        said("NIGHTSHIFT_TEST_FAULT is not NAME[#K]:before|after|torn:kill|fail");
    }
}

/* --- every point of every call, killed and failing --- */

static void prepare_file(void)
{
    put("p", "old");
    CHECK_OK(ns_durable_remove(at("w"), "x"));
}

static void check_publish(bool ended_well, bool killed)
{
    assert_true(holds("p", new_text) || (!ended_well && holds("p", "old")));
    if (!killed) assert_int_equal(count_names("tmp"), 0); /* also what an earlier, killed call left is gone */
}

static void check_write(bool ended_well, bool killed)
{
    bool there = ns_path_exists(at("w"));
    if (ended_well)
        assert_true(holds("w", new_text));
    else if (!killed)
        assert_false(there); /* a file that is not published may be half after a kill */
}

static void prepare_none(void)
{
    CHECK_OK(ns_durable_remove(at("a"), "x"));
}

static void check_mkdir(bool ended_well, bool killed)
{
    (void)killed;
    assert_true(!ended_well || ns_path_exists(at("a/b/c")));
}

static void prepare_replace_file(void)
{
    CHECK_OK(ns_durable_remove(at("kept"), "x"));
    put("to", "old");
    put("from", "new");
}

static void check_replace_file(bool ended_well, bool killed)
{
    (void)killed;
    assert_true(holds("to", "new") || holds("to", "old"));
    assert_true(holds("to", "old") || holds("kept", "old"));
    assert_true(holds("to", "new") || holds("from", "new"));
    if (ended_well) assert_true(holds("to", "new") && holds("kept", "old") && !ns_path_exists(at("from")));
}

static void prepare_replace_folder(void)
{
    static const char *const names[] = {"to", "from", "kept"};
    for (int i = 0; i < 3; i++) CHECK_OK(ns_durable_remove(at(names[i]), "x"));
    fill_folder("to", "old");
    fill_folder("from", "new");
}

static void check_replace_folder(bool ended_well, bool killed)
{
    (void)killed;
    assert_true(folder_holds("to", "new") || folder_holds("to", "old"));
    assert_true(folder_holds("to", "old") || folder_holds("kept", "old") || folder_holds("from", "old"));
    assert_true(folder_holds("to", "new") || folder_holds("from", "new"));
    if (ended_well)
        assert_true(folder_holds("to", "new") && folder_holds("kept", "old") && !ns_path_exists(at("from")));
}

static bool file_is_ready(void)
{
    return holds("to", "old") && ns_path_exists(at("from"));
}

static bool folder_is_ready(void)
{
    return folder_holds("to", "old") && folder_holds("from", "new");
}

static bool is_always_ready(void)
{
    return true;
}

static void prepare_remove(void)
{
    CHECK_OK(ns_durable_remove(at("old"), "x"));
    fill_folder("old", "x");
}

static void check_remove(bool ended_well, bool killed)
{
    (void)killed;
    bool there = ns_path_exists(at("old"));
    assert_true(!there || (!ended_well && folder_holds("old", "x")));
    if (ended_well) assert_int_equal(count_names("old"), 0);
}

typedef struct scene_case {
    const char *scene;
    const char *points[8]; /* in order, "#K" where a name comes again */
    void (*prepare)(void);
    void (*check)(bool ended_well, bool killed);
    bool (*ready)(void); /* whether the same call has its input still, so that it is to end well */
} scene_case;

static const scene_case scene_cases[] = {
    {"publish",
     {"write:lab", "sync:lab", "rename:lab", "syncdir:lab"},
     prepare_file,
     check_publish,
     is_always_ready},
    {"write", {"write:lab", "sync:lab"}, prepare_file, check_write, is_always_ready},
    {"mkdir",
     {"mkdir:lab", "syncdir:lab", "mkdir:lab#2", "syncdir:lab#3"},
     prepare_none,
     check_mkdir,
     is_always_ready},
    {"replace",
     {"link:lab", "rename:lab", "syncdir:lab", "rename:lab#2", "syncdir:lab#2"},
     prepare_replace_file,
     check_replace_file,
     file_is_ready},
    {"replace",
     {"link:lab", "rename:lab", "syncdir:lab", "syncdir:lab#2"},
     prepare_replace_folder,
     check_replace_folder,
     folder_is_ready},
    {"remove", {"rename:lab", "syncdir:lab", "unlink:lab"}, prepare_remove, check_remove, is_always_ready},
};

static void strike(const scene_case *c, const char *name, const char *when, const char *how)
{
    char fault[64];
    snprintf(fault, sizeof fault, "%s:%s:%s", name, when, how);
    c->prepare();
    bool kill = strcmp(how, "kill") == 0;
    int ended = run(c->scene, (conditions){.fault = fault});
    if (ended != (kill ? KILLED : NS_EIO)) fail_msg("%s, %s: ended with %d", c->scene, fault, ended);
    if (!kill) said("No space left on device");
    c->check(false, kill);
    if (!c->ready()) return;
    assert_int_equal(run(c->scene, (conditions){0}), NS_OK);
    c->check(true, kill);
}

static void test_every_point(void **state)
{
    (void)state;
    static const char *const whens[] = {"before", "after", "torn"}, *const hows[] = {"kill", "fail"};
    int n = 0;
    for (size_t i = 0; i < sizeof scene_cases / sizeof scene_cases[0]; i++)
        for (const char *const *name = scene_cases[i].points; *name != NULL; name++)
            for (int w = 0; w < 3; w++) {
                if (w == 2 && strncmp(*name, "write", 5) != 0 && strncmp(*name, "unlink", 6) != 0) continue;
                for (int h = 0; h < 2; h++, n++) strike(&scene_cases[i], *name, whens[w], hows[h]);
            }
    assert_int_equal(n, 94);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "case") == 0) return play(argv[2], argv[3]);
    unsetenv("NIGHTSHIFT_TEST_FAULT");
    unsetenv("NIGHTSHIFT_TEST_TRACE");
    umask(022);
    memset(new_text, 'n', N_NEW);
#define CASE(test) cmocka_unit_test_setup_teardown(test, make_room, clear_room)
    const struct CMUnitTest tests[] = {
        CASE(test_write_and_read),
        CASE(test_append),
        CASE(test_folders),
        CASE(test_relative_paths),
        CASE(test_remove),
        CASE(test_replace),
        CASE(test_replace_folders),
        CASE(test_replace_without_help),
        CASE(test_disk_full),
        CASE(test_sync_fails),
        CASE(test_disk_that_lies),
        CASE(test_trace_and_count),
        CASE(test_faults_for_other_writers),
        CASE(test_faults_that_cannot_be_read),
        CASE(test_every_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
