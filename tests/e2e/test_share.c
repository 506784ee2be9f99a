/*
 * Who may read what a run leaves: run.share group and private, in a folder whose group it inherits (set-group-id), with and
 * without a default access list. The program runs as one user; another of the same group, one that only the access list names
 * and a stranger try to read and to write. Users are plain numbers, so nothing is added to this machine. Only root can become
 * them: without it the test is skipped.
 */
#define _GNU_SOURCE /* setgroups, nftw */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/drive.h"

enum { OWNER = 60001, MEMBER = 60002, LISTED = 60003, STRANGER = 60004, GROUP = 60010, OTHER_GROUP = 60011, MOST_PATHS = 400, NO_TEST = 77 };

/* --- access lists, as the kernel stores them (acl(5)) --- */

typedef struct acl_entry {
    uint16_t tag, permissions;
    uint32_t id;
} acl_entry;

/* A default list: the user everything, user LISTED and the group read and enter, others nothing. false: not on this file system. */
static bool give_list(const char *folder)
{
    enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, MASK = 16, OTHER = 32, NOBODY = -1 };
    const struct {
        uint16_t tag, permissions;
        uint32_t id;
    } list[] = {{USER_OBJ, 7, (uint32_t)NOBODY}, {USER, 5, LISTED}, {GROUP_OBJ, 5, (uint32_t)NOBODY}, {MASK, 7, (uint32_t)NOBODY}, {OTHER, 0, (uint32_t)NOBODY}};
    enum { N = sizeof list / sizeof list[0] };
    struct {
        uint32_t version;
        acl_entry entries[N];
    } bytes = {.version = htole32(2)};
    for (int i = 0; i < N; i++) bytes.entries[i] = (acl_entry){htole16(list[i].tag), htole16(list[i].permissions), htole32(list[i].id)};
    if (setxattr(folder, "system.posix_acl_default", &bytes, sizeof bytes, 0) != 0) return false;
    return setxattr(folder, "system.posix_acl_access", &bytes, sizeof bytes, 0) == 0;
}

/* --- other users --- */

/* Runs what as a user with one group, in a process of its own; its answer. */
static int as_user(uid_t user, gid_t group, int (*what)(const char *), const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(1, &group) != 0 || setgid(group) != 0 || setuid(user) != 0) _exit(99);
        _exit(what(path));
    }
    int status = 0;
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 99);
    return WEXITSTATUS(status);
}

/* 1 where it can be read: a file's first byte, a folder's list. */
static int reads(const char *path)
{
    int fd = open(path, O_RDONLY);
    return fd >= 0;
}

/* 1 where something can be changed: a file opened for writing, a folder given a new file, a name taken away. */
static int writes(const char *path)
{
    char name[4096];
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        snprintf(name, sizeof name, "%s/intruder", path);
        return open(name, O_WRONLY | O_CREAT, 0600) >= 0;
    }
    return open(path, O_WRONLY) >= 0;
}

static int runs(const char *words)
{
    umask(0); /* the program's own has to do */
    setenv("HOME", "/nonexistent", 1);
    drive_result result = drive_shell(120, "./nightshift %s", words); /* a copy: the built one may stand where others cannot go */
    if (result.code != 0) fprintf(stderr, "%s: exit %d: %s\n", words, result.code, result.err);
    return result.code;
}

/* --- everything below a folder --- */

static char paths[MOST_PATHS][512];
static int n_paths;

static int note(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)type, (void)where;
    assert_in_range(n_paths, 0, MOST_PATHS - 1);
    snprintf(paths[n_paths++], sizeof paths[0], "%s", path);
    if (info->st_gid != GROUP) fail_msg("'%s' is of group %d: set-group-id was lost", path, (int)info->st_gid);
    if (info->st_uid != OWNER && where->level > 0) fail_msg("'%s' is of user %d", path, (int)info->st_uid);
    return 0;
}

/* Those that the program made, and of these only what stands for itself: a file below a closed folder is closed too. */
static void look(const char *share, bool listed)
{
    bool group = strcmp(share, "group") == 0;
    n_paths = 0;
    assert_int_equal(nftw("site/runs", note, 16, FTW_PHYS), 0);
    assert_int_equal(nftw("site/scores", note, 16, FTW_PHYS), 0);
    assert_true(n_paths > 20);
    int n_scores = 0, n_bundle = 0;
    for (int i = 0; i < n_paths; i++) {
        const char *path = paths[i];
        n_scores += strstr(path, "/scores/") != NULL;
        n_bundle += strstr(path, "/bundle/") != NULL;
        const char *who = "a member of the group";
        if (as_user(MEMBER, GROUP, reads, path) != group) fail_msg("%s, %s list: %s %s '%s'", share, listed ? "with" : "no", who, group ? "cannot read" : "reads", path);
        if (as_user(MEMBER, GROUP, writes, path)) fail_msg("%s, %s list: %s can write '%s'", share, listed ? "with" : "no", who, path);
        bool may = group && listed;
        if (as_user(LISTED, OTHER_GROUP, reads, path) != may) fail_msg("%s, %s list: a listed user %s '%s'", share, listed ? "with" : "no", may ? "cannot read" : "reads", path);
        if (as_user(LISTED, OTHER_GROUP, writes, path)) fail_msg("%s: a listed user can write '%s'", share, path);
        if (as_user(STRANGER, OTHER_GROUP, reads, path)) fail_msg("%s: a stranger reads '%s'", share, path);
        struct stat info;
        assert_int_equal(lstat(path, &info), 0);
        if (!group && (info.st_mode & 077) != 0) fail_msg("private: '%s' has mode %o", path, info.st_mode & 07777);
    }
    assert_true(n_scores >= 4); /* scores, CSV, manifest of two nights */
    assert_int_equal(n_bundle, 5);
}

static void play(const char *share, bool listed)
{
    char words[300];
    drive_remove("site");
    assert_int_equal(mkdir("site", 0777), 0);
    assert_int_equal(chown("site", OWNER, GROUP), 0);
    assert_int_equal(chmod("site", 02750), 0);
    if (listed && !give_list("site")) {
        print_message("this file system has no access lists (%s)\n", strerror(errno));
        skip();
    }
    snprintf(words, sizeof words, "train job.yaml --quiet --set run.share=%s", share);
    assert_int_equal(as_user(OWNER, GROUP, runs, words), 0);
    for (int night = 1; night <= 2; night++) {
        snprintf(words, sizeof words, "score job.yaml --quiet --as-of 2026-11-%02d --set run.share=%s --set score.csv=true", night, share);
        assert_int_equal(as_user(OWNER, GROUP, runs, words), 0);
    }
    /* published over what is there: the new file is as open as the old */
    snprintf(words, sizeof words, "score job.yaml --quiet --as-of 2026-11-01 --set run.share=%s --set score.csv=true --set score.keep=age --replace", share);
    assert_int_equal(as_user(OWNER, GROUP, runs, words), 0);
    look(share, listed);
}

static void test_group(void **state)
{
    (void)state;
    play("group", false);
}

static void test_private(void **state)
{
    (void)state;
    play("private", false);
}

static void test_group_with_list(void **state)
{
    (void)state;
    play("group", true);
}

static void test_private_with_list(void **state)
{
    (void)state;
    play("private", true);
}

int main(void)
{
    if (geteuid() != 0) {
        printf("only root can be other users: not tested\n");
        return NO_TEST;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_group), cmocka_unit_test(test_private), cmocka_unit_test(test_group_with_list),
                                       cmocka_unit_test(test_private_with_list)};
    umask(022);
    const char *folder = drive_enter("share");
    chmod(folder, 0755);
    drive_must(0, "synth c.h5 --rows 1000 --seed 1 --numbers 4 --categories 2 --quiet");
    drive_write("job.yaml", "name: share\n"
                            "data: {cohort: [c.h5], id: encounter_id, group: patient_id, label: {column: readmitted, positive: [\"yes\"]}}\n"
                            "model: {rounds: 3, max_leaves: 7}\n"
                            "score: {cohort: [c.h5], out: \"site/scores/{as_of}.h5\"}\n"
                            "run: {out: site/runs/share, threads: 1}\n");
    drive_result copied = drive_shell(20, "cp '%s' nightshift && chmod 755 nightshift", drive_program());
    if (copied.code != 0) fail_msg("%s", copied.err);
    drive_free(&copied);
    chmod("c.h5", 0644);
    chmod("job.yaml", 0644);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drive_leave();
    return failed;
}
