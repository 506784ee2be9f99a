/*
 * A disk that is full. A small tmpfs holds what a command writes; it is given every size from too small for the first byte
 * up to large enough, page by page, and then every number of names, so that the disk ends in each stage of the work once.
 * Each time: exit 1, one line that names a file on the disk and says "No space left on device", and what is published is
 * whole. With room again the same command ends with the bytes of a run that always had it.
 *
 * Mounting needs a mount namespace: root has one made, an ordinary user gets one with a user namespace. Without: exit 77.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/drive.h"
#include "tests/e2e/whole.h"

enum { SKIPPED = 77, PAGE = 4096, MOST_NAMES = 10000 };

/* --- the disk --- */

static bool put_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return good;
}

/* This process and its children may mount from now on, seen by nobody else. */
static bool may_mount(void)
{
    unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();
    if (syscall(SYS_unshare, CLONE_NEWNS) != 0) {
        char map[64];
        if (syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
        if (!put_text("/proc/self/setgroups", "deny")) return false;
        snprintf(map, sizeof map, "0 %u 1", uid);
        if (!put_text("/proc/self/uid_map", map)) return false;
        snprintf(map, sizeof map, "0 %u 1", gid);
        if (!put_text("/proc/self/gid_map", map)) return false;
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return false;
    if (mount("none", "/mnt", "tmpfs", 0, "size=64k") != 0) return false;
    return umount2("/mnt", MNT_DETACH) == 0;
}

/* Room for so many pages and names in all. */
static void resize(int64_t n_pages, int64_t n_names)
{
    char options[128];
    snprintf(options, sizeof options, "size=%lld,nr_inodes=%lld", (long long)(n_pages * PAGE), (long long)n_names);
    if (mount("none", "disk", "tmpfs", MS_REMOUNT, options) != 0) fail_msg("cannot resize the disk to %s: %s", options, strerror(errno));
}

/* An empty disk with a copy of a folder, or nothing, in disk/x; how much of it is used. */
static void fresh_disk(const char *prepared, int64_t *n_pages, int64_t *n_names)
{
    char command[256];
    umount2("disk", MNT_DETACH);
    if (mount("none", "disk", "tmpfs", 0, "size=64m,nr_inodes=10000") != 0) fail_msg("cannot mount: %s", strerror(errno));
    snprintf(command, sizeof command, "cp -a '%s' disk/x", prepared != NULL ? prepared : "empty");
    if (system(command) != 0) fail_msg("cannot: %s", command);
    struct statvfs info;
    if (statvfs("disk", &info) != 0) fail_msg("cannot ask for the size of the disk");
    *n_pages = (int64_t)(info.f_blocks - info.f_bfree);
    *n_names = (int64_t)(info.f_files - info.f_ffree);
}

/* --- what is done on it --- */

typedef struct scene {
    const char *words;
    const char *prepared;      /* folder to begin with */
    int exit;                  /* with room */
    const char *results[3][2]; /* what it leaves in disk/x, and the same of a run with room */
    const char *stands[2][2];  /* what stood there before and is to stand until the new is published */
    int64_t pages_a_step;
} scene;

#define RUN "--set run.out=disk/x/run --quiet"
#define OUT "--set score.out=disk/x/scores.h5 --quiet"

static const scene training = {"train job.yaml " RUN, NULL, 0, {{"run/bundle", "ref/run/bundle"}}, {{NULL, NULL}}, 1};
static const scene extending = {"train job.yaml --extend " RUN, "short", 0,
                                {{"run/bundle", "ref/run/bundle"}, {"run/bundle.1", "short/run/bundle"}},
                                {{"run/bundle", "short/run/bundle"}}, 1};
static const scene scoring = {"score job.yaml " OUT, NULL, 0,
                              {{"scores.h5", "ref/scores.h5"}, {"scores.h5.manifest.json", "ref/scores.h5.manifest.json"}},
                              {{NULL, NULL}}, 1};
static const scene replacing = {"score job.yaml --replace " OUT, "other", 0,
                                {{"scores.h5", "ref/scores.h5"}, {"scores.h5.1", "other/scores.h5"},
                                 {"scores.h5.manifest.json", "ref/scores.h5.manifest.json"}},
                                {{"scores.h5", "other/scores.h5"}}, 2};
static const scene scoring_much = {"score job.yaml --set score.cohort=[big.h5] " OUT, NULL, 0, {{"scores.h5", "big/scores.h5"}},
                                   {{NULL, NULL}}, 9};
static const scene holding = {"score job.yaml --set score.cohort=[bad.h5] " OUT, NULL, 4, {{"scores.h5.held", "held/scores.h5.held"}},
                              {{NULL, NULL}}, 3};
static const scene evaluating = {"evaluate job.yaml " RUN, "ref", 0,
                                 {{"run/evaluations", "evaluated/run/evaluations"}, {"run/bundle", "ref/run/bundle"}},
                                 {{"run/bundle", "ref/run/bundle"}}, 1};
static const scene making = {"synth disk/x/c.h5 --rows 5000 --seed 1 --quiet", NULL, 0, {{"c.h5", "made.h5"}}, {{NULL, NULL}}, 5};

static int n_full; /* runs that met a full disk */

static bool same(const char *name, const char *other)
{
    char path[256];
    snprintf(path, sizeof path, "disk/x/%s", name);
    return drive_same(path, other);
}

/* Either as it was, or published anew. */
static void check_published(const scene *s, const char *when)
{
    whole_run("disk/x/run", when);
    whole_scores("disk/x/scores.h5", when);
    for (int i = 0; i < 2 && s->stands[i][0] != NULL; i++) {
        const char *name = s->stands[i][0];
        bool anew = false;
        for (int k = 0; k < 3 && s->results[k][0] != NULL; k++)
            anew = anew || (strcmp(name, s->results[k][0]) == 0 && same(name, s->results[k][1]));
        if (!anew && !same(name, s->stands[i][1])) fail_msg("%s: '%s' is damaged", when, name);
    }
    for (int i = 0; i < 3 && s->results[i][0] != NULL; i++) {
        char path[256], hex[65];
        bool stood = false;
        snprintf(path, sizeof path, "disk/x/%s", s->results[i][0]);
        drive_hash(hex, path);
        for (int k = 0; k < 2 && s->stands[k][0] != NULL; k++) stood = stood || strcmp(s->stands[k][0], s->results[i][0]) == 0;
        bool old_manifest = strstr(path, "manifest.json") != NULL && s->prepared != NULL; /* checked by whole_scores */
        bool folder = strstr(path, "evaluations") != NULL; /* may be there without its file */
        if (!stood && !old_manifest && !folder && strcmp(hex, "absent") != 0 && !drive_same(path, s->results[i][1]))
            fail_msg("%s: '%s' is published and is not what it must be", when, path);
    }
}

/* One run on a disk of this size; false where it had room enough. */
static bool run_on(const scene *s, int64_t n_pages, int64_t n_names, int n_ranks)
{
    char when[256];
    int n_lines;
    snprintf(when, sizeof when, "%s, on %lld pages and %lld names, %d ranks", s->words, (long long)n_pages, (long long)n_names, n_ranks);
    resize(n_pages, n_names);
    drive_result result = drive_ranks(n_ranks, "%s", s->words);
    bool full = result.code == 1;
    if (!full && result.code != s->exit) fail_msg("%s: exit %d\n%s", when, result.code, result.err);
    const char *line = drive_error_line(&result, &n_lines);
    if (full && (n_lines != 1 || strstr(line, "No space left on device") == NULL || strstr(line, "disk/x") == NULL))
        fail_msg("%s: %d lines: %s\n%s", when, n_lines, line, result.err);
    drive_free(&result);
    check_published(s, when);
    if (full) { /* room again */
        n_full++;
        resize(16384, MOST_NAMES);
        result = drive_ranks(n_ranks > 0 ? 0 : n_full % 8 == 0 ? 2 : 0, "%s", s->words);
        if (result.code != s->exit) fail_msg("%s: with room again: exit %d\n%s", when, result.code, result.err);
        drive_free(&result);
        check_published(s, when);
    }
    for (int i = 0; i < 3 && s->results[i][0] != NULL; i++)
        if (!same(s->results[i][0], s->results[i][1])) fail_msg("%s: in the end '%s' has other bytes", when, s->results[i][0]);
    if (whole_count_names("disk", ".tmp") + whole_count_names("disk", ".lock") != 0) fail_msg("%s: temporary names stay", when);
    return full;
}

/* Every size of the disk, then every number of names, up to enough; at least so many of them too small. */
static void sweep(const scene *s, int least_pages, int least_names)
{
    int64_t used_pages, used_names;
    int n = 0, number = 0;
    for (int64_t more = 0;; more += s->pages_a_step, n++, number++) {
        fresh_disk(s->prepared, &used_pages, &used_names);
        if (!run_on(s, used_pages + more + (used_pages + more == 0), MOST_NAMES, number % 8 == 7 ? 2 : 0)) break;
    }
    if (n < least_pages) fail_msg("%s: only %d sizes were too small", s->words, n);
    n = 0;
    for (int64_t more = 0;; more++, n++) {
        fresh_disk(s->prepared, &used_pages, &used_names);
        if (!run_on(s, 16384, used_names + more, 0)) break;
    }
    if (n < least_names) fail_msg("%s: only %d numbers of names were too few", s->words, n);
}

static void test_training(void **state)
{
    (void)state;
    sweep(&training, 12, 12);
}

static void test_extending(void **state)
{
    (void)state;
    sweep(&extending, 5, 5);
}

static void test_scoring(void **state)
{
    (void)state;
    sweep(&scoring, 15, 2);
    sweep(&holding, 5, 2);
}

static void test_replacing(void **state)
{
    (void)state;
    sweep(&replacing, 8, 2);
}

/* Far more than HDF5 holds back before it writes. */
static void test_scoring_much(void **state)
{
    (void)state;
    sweep(&scoring_much, 15, 2);
}

static void test_evaluating_and_making(void **state)
{
    (void)state;
    sweep(&evaluating, 2, 2);
    sweep(&making, 8, 2);
}

static void test_counts(void **state)
{
    (void)state;
    print_message("%d runs met a full disk\n", n_full);
    assert_true(n_full >= 100);
}

/* --- set-up --- */

static void undisturbed(int code, const char *words)
{
    drive_result result = drive_ranks(0, "%s", words);
    if (result.code != code) fail_msg("%s: exit %d\n%s", words, result.code, result.err);
    drive_free(&result);
}

static int set_up(void **state)
{
    (void)state;
    drive_enter("disk");
    if (mkdir("disk", 0777) != 0 || mkdir("empty", 0777) != 0) return -1;
    undisturbed(0, "synth c.h5 --rows 5000 --seed 1 --numbers 4 --categories 2 --true-risk --quiet");
    undisturbed(0, "synth big.h5 --rows 30000 --seed 3 --numbers 4 --categories 2 --true-risk --quiet");
    undisturbed(0, "synth bad.h5 --rows 5000 --seed 2 --numbers 4 --categories 2 --duplicate-ids 200 --true-risk --quiet");
    undisturbed(0, "synth made.h5 --rows 5000 --seed 1 --quiet");
    drive_job("job.yaml", "disk", "c.h5",
              "model: {type: gbdt, rounds: 3, max_leaves: 6}\n"
              "train: {stop_after: 0}\n"
              "evaluate: {name: test}\n"
              "score: {cohort: [c.h5], out: scores.h5, bundle: ref/run/bundle, keep: [patient_id, readmitted]}\n"
              "run: {out: run, checkpoint_every: 0, threads: 1}\n");
    undisturbed(0, "train job.yaml --set run.out=ref/run --quiet");
    undisturbed(0, "train job.yaml --set run.out=short/run --set model.rounds=2 --quiet");
    undisturbed(0, "score job.yaml --set score.out=ref/scores.h5 --quiet");
    undisturbed(0, "score job.yaml --set 'score.where=age > 50' --set score.out=other/scores.h5 --quiet");
    undisturbed(0, "score job.yaml --set score.cohort=[big.h5] --set score.out=big/scores.h5 --quiet");
    undisturbed(4, "score job.yaml --set score.cohort=[bad.h5] --set score.out=held/scores.h5 --quiet");
    undisturbed(0, "evaluate job.yaml --set run.out=ref/run --quiet");
    if (system("mkdir -p evaluated/run && mv ref/run/evaluations evaluated/run/") != 0) return -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    umount2("disk", MNT_DETACH);
    drive_leave();
    return 0;
}

int main(void)
{
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    if (!may_mount()) {
        printf("skipped: neither this user nor a user namespace may mount a tmpfs: %s\n", strerror(errno));
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training),     cmocka_unit_test(test_extending),
        cmocka_unit_test(test_scoring),      cmocka_unit_test(test_replacing),
        cmocka_unit_test(test_scoring_much), cmocka_unit_test(test_evaluating_and_making),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
