/*
 * A night is never lost. Each named step of each way to publish (data/durable.h) is struck before, after and in its middle,
 * once by a kill and once by a full disk; and ranks are killed at random moments. After each strike everything in a
 * published place is whole, and the same command on another number of ranks ends with the bytes of an undisturbed run.
 * Several workers share the strikes; each has a folder of its own, and they add up what they did.
 *
 * With --all every step of every scene is struck in every way; else steps that scenes share are struck in every way in the
 * first and once in each other. NIGHTSHIFT_SEED repeats the random moments of a run that printed it.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/drive.h"
#include "tests/e2e/whole.h"

enum { WORKERS = 4, ROUNDS = 3, MOST_STEPS = 512, LIMIT_S = 90, LEAST_IN_CHECKPOINT = 10, LEAST_RANDOM = 3 };

static struct totals {
    int kills, in_checkpoint, in_launcher, failures, random_kills, steps;
} *total; /* shared by the workers */
static int part; /* this worker */
static bool all_of_it;

static void count(int *what)
{
    __atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- what is struck --- */

typedef struct scene {
    const char *name;
    const char *words;    /* of the program; the run is X/run, scores are X/scores.h5 */
    const char *prepared; /* folder to begin with; NULL: empty */
    int exit;             /* of a run that is not struck */
    /* what such a run leaves: name below X, and the same thing of an undisturbed one */
    const char *results[3][2];
    const char *last;     /* what stands in X's place for a command to have ended: then "after" may end it */
} scene;

#define RUN "--set run.out=X/run --quiet"
#define OUT "--set score.out=X/scores.h5 --set run.out=X/night --quiet"

static const scene scenes[] = {
    {"train", "train job.yaml " RUN, NULL, 0, {{"run/bundle", "ref/run/bundle"}}, NULL},
    {"resume", "train job.yaml " RUN, "torn", 0, {{"run/bundle", "ref/run/bundle"}}, NULL},
    {"extend", "train job.yaml --extend " RUN, "short", 0, {{"run/bundle", "ref/run/bundle"}, {"run/bundle.1", "short/run/bundle"}}, NULL},
    {"restart", "train job.yaml --restart " RUN, "short", 0, {{"run/bundle", "ref/run/bundle"}, {"run.1/bundle", "short/run/bundle"}}, NULL},
    {"score", "score job.yaml " OUT, NULL, 0, {{"scores.h5", "ref/scores.h5"}, {"scores.h5.manifest.json", "ref/scores.h5.manifest.json"}}, NULL},
    {"replace", "score job.yaml --replace " OUT, "other", 0,
     {{"scores.h5", "ref/scores.h5"}, {"scores.h5.1", "other/scores.h5"}, {"scores.h5.manifest.json", "ref/scores.h5.manifest.json"}}, NULL},
    {"csv", "score job.yaml --set score.csv=true " OUT, NULL, 0,
     {{"scores.h5", "ref/scores.h5"}, {"scores.csv", "csv/scores.csv"}, {"scores.h5.manifest.json", "csv/scores.h5.manifest.json"}}, NULL},
    {"hold", "score job.yaml --set score.cohort=[bad.h5] " OUT, NULL, 4,
     {{"scores.h5.held", "held/scores.h5.held"}, {"scores.h5.held.manifest.json", "held/scores.h5.held.manifest.json"}}, NULL},
    {"hold again", "score job.yaml --set score.cohort=[bad.h5] " OUT, "held2", 4,
     {{"scores.h5.held", "held/scores.h5.held"}, {"scores.h5.held.manifest.json", "held/scores.h5.held.manifest.json"}}, NULL},
};
enum { N_SCENES = sizeof scenes / sizeof scenes[0] };

/* words with X instead of each X/ */
static void words_for(char *out, size_t size, const char *words, const char *folder)
{
    size_t n = 0;
    for (const char *c = words; *c != '\0' && n + 1 < size; c++) {
        bool here = c[0] == 'X' && c[1] == '/' && c > words && c[-1] == '=';
        if (here) n += (size_t)snprintf(out + n, size - n, "%s", folder);
        else out[n++] = *c;
    }
    out[n] = '\0';
}

static drive_result play(int n_ranks, const scene *s, const char *folder)
{
    char words[1024];
    words_for(words, sizeof words, s->words, folder);
    return drive_ranks(n_ranks, "%s", words);
}

static void shell(const char *format, const char *a, const char *b)
{
    char command[1024];
    snprintf(command, sizeof command, format, a, b);
    if (system(command) != 0) fail_msg("cannot: %s", command);
}

static void prepare(const scene *s, const char *folder)
{
    shell("rm -rf '%s'%s", folder, "");
    if (s->prepared != NULL) shell("cp -a '%s' '%s'", s->prepared, folder);
    else shell("mkdir '%s'%s", folder, "");
}

static void whole(const char *folder, const char *when)
{
    char path[256];
    static const char *const runs[] = {"run", "run.1", "run.2"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, runs[i]);
        whole_run(path, when);
    }
    snprintf(path, sizeof path, "%s/scores.h5", folder);
    whole_scores(path, when);
}

/* The program's own eyes: what stands there verifies, and can be inspected. */
static void verify_bundle(const char *folder, const char *when)
{
    char path[256], hex[65];
    snprintf(path, sizeof path, "%s/run/bundle", folder);
    drive_hash(hex, path);
    if (strcmp(hex, "absent") == 0) return;
    static const char *const words[] = {"verify", "inspect"};
    for (int i = 0; i < 2; i++) {
        drive_result result = drive_ranks(0, "%s '%s' --quiet", words[i], path);
        if (result.code != 0) fail_msg("%s: %s: exit %d: %s", when, words[i], result.code, result.err);
        drive_free(&result);
    }
}

/* One line of log.jsonl for each round, in order. */
static void check_log(const char *folder, const char *when)
{
    char path[256], want[64];
    snprintf(path, sizeof path, "%s/run/log.jsonl", folder);
    char *text = drive_read(path), *at = text;
    for (int i = 1; i <= ROUNDS && text != NULL; i++) {
        snprintf(want, sizeof want, "{\"round\":%d,", i);
        if (strncmp(at, want, strlen(want)) != 0 || strchr(at, '\n') == NULL) fail_msg("%s: line %d of '%s' is not its round's", when, i, path);
        at = strchr(at, '\n') + 1;
    }
    if (text != NULL && *at != '\0') fail_msg("%s: '%s' has more lines than rounds", when, path);
    free(text);
}

/* The same command again, undisturbed; it must end with the bytes of a run that was never struck. */
static void finish(const scene *s, const char *folder, int n_ranks, const char *when)
{
    drive_result result = play(n_ranks, s, folder);
    if (result.code != s->exit) fail_msg("%s: again on %d ranks: exit %d\n%s", when, n_ranks, result.code, result.err);
    drive_free(&result);
    whole(folder, when);
    for (int i = 0; i < 3 && s->results[i][0] != NULL; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, s->results[i][0]);
        if (!drive_same(path, s->results[i][1])) fail_msg("%s: '%s' differs from '%s'", when, path, s->results[i][1]);
    }
    check_log(folder, when);
}

/* Once a life knew that there is nothing more to do it need not have tidied up; else nothing half-made stays. */
static void check_tidy(const scene *s, const char *folder, const char *when)
{
    if (strstr(s->words, "--restart") != NULL) return; /* what was set aside is left as it was */
    int n = whole_count_names(folder, ".tmp");
    if (n != 0) fail_msg("%s: %d temporary names stay in '%s'", when, n, folder);
    n = whole_count_names(folder, "scores.h5.2") + whole_count_names(folder, "bundle.2");
    if (n != 0) fail_msg("%s: something was kept twice in '%s'", when, folder);
}

/* --- the steps of a scene --- */

typedef struct step {
    char name[96];
    int n; /* times it is done */
} step;

/* All steps that an undisturbed run does, in order of first appearance. */
static int list_steps(const scene *s, const char *folder, step *steps)
{
    prepare(s, folder);
    unlink("trace");
    char trace[1024];
    if (getcwd(trace, sizeof trace - 8) == NULL) fail_msg("no current folder");
    strcat(trace, "/trace");
    setenv("NIGHTSHIFT_TEST_TRACE", trace, 1);
    drive_result result = play(0, s, folder);
    unsetenv("NIGHTSHIFT_TEST_TRACE");
    if (result.code != s->exit) fail_msg("%s: exit %d\n%s", s->name, result.code, result.err);
    drive_free(&result);
    char *text = drive_read("trace"), *save = NULL;
    int n = 0;
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        int i = 0;
        while (i < n && strcmp(steps[i].name, line) != 0) i++;
        if (i == n && n < MOST_STEPS) {
            snprintf(steps[n].name, sizeof steps[n].name, "%s", line);
            steps[n++].n = 0;
        }
        steps[i].n++;
    }
    free(text);
    return n;
}

static bool can_tear(const char *name)
{
    return strncmp(name, "write:", 6) == 0 || strncmp(name, "unlink:", 7) == 0;
}

static bool in_checkpoint(const char *name)
{
    const char *label = strchr(name, ':') + 1;
    return strcmp(label, "checkpoint") == 0 || strncmp(label, "checkpoint/", 11) == 0;
}

/* --- strikes --- */

typedef struct strike {
    const scene *scene;
    const char *name, *when;
    int at; /* which of its name */
} strike;

/* Kills are tried alone, and now and then under the launcher, where the other ranks must not wait for ever. */
static int ranks_of_kill(int number)
{
    return number % 6 == 5 ? 2 + number / 6 % 2 : 0;
}

static void kill_at(const strike *k, int number)
{
    char fault[160], when[256];
    int n_ranks = ranks_of_kill(number);
    snprintf(fault, sizeof fault, "%s#%d:%s:kill", k->name, k->at, k->when);
    snprintf(when, sizeof when, "%s, %s on %d ranks", k->scene->name, fault, n_ranks);
    prepare(k->scene, "x");
    setenv("NIGHTSHIFT_TEST_FAULT", fault, 1);
    drive_result result = play(n_ranks, k->scene, "x");
    unsetenv("NIGHTSHIFT_TEST_FAULT");
    if (result.code != 128 + SIGKILL) fail_msg("%s: exit %d\n%s", when, result.code, result.err);
    drive_free(&result);
    count(&total->kills);
    if (n_ranks > 0) count(&total->in_launcher);
    if (in_checkpoint(k->name)) count(&total->in_checkpoint);
    whole("x", when);
    if (strstr(k->name, "bundle") != NULL) verify_bundle("x", when);
    finish(k->scene, "x", n_ranks > 0 ? 0 : 2 + (number % 4 == 3), when);
    if (k->scene->exit == 0 && strstr(k->name, "old_checkpoint") == NULL) check_tidy(k->scene, "x", when);
}

/* What is only tidied up may fail: the run goes on, and the next one tries again. */
static bool is_best_effort(const char *name)
{
    return strstr(name, ":old_checkpoint") != NULL || strstr(name, ":leftover") != NULL || strcmp(name, "unlink:bundle") == 0;
}

static void fail_at(const strike *k, int number)
{
    char fault[160], when[256];
    int n_lines;
    snprintf(fault, sizeof fault, "%s#%d:%s:fail", k->name, k->at, k->when);
    snprintf(when, sizeof when, "%s, %s", k->scene->name, fault);
    prepare(k->scene, "x");
    setenv("NIGHTSHIFT_TEST_FAULT", fault, 1);
    drive_result result = play(0, k->scene, "x");
    unsetenv("NIGHTSHIFT_TEST_FAULT");
    int want = is_best_effort(k->name) ? k->scene->exit : 1;
    if (result.code != want) fail_msg("%s: exit %d, not %d\n%s", when, result.code, want, result.err);
    const char *line = drive_error_line(&result, &n_lines);
    if (want == 1 && (n_lines != 1 || strstr(line, "No space left on device") == NULL)) fail_msg("%s: %d lines: %s", when, n_lines, line);
    drive_free(&result);
    count(&total->failures);
    whole("x", when);
    finish(k->scene, "x", number % 4 == 0 ? 2 : 0, when);
}

/* Whether an earlier scene has a step of this name; from now on one has. */
static bool was_struck(const char *name)
{
    static char names[MOST_STEPS][96];
    static int n;
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    if (n < MOST_STEPS) snprintf(names[n++], sizeof names[0], "%s", name);
    return false;
}

/* Which strikes of one step are done: before, after (1) and in its middle, the first and the last time that it comes. */
static bool is_wanted(const step *one, int when, bool last, bool again, int index)
{
    if (all_of_it) return true;
    if (again) return last == (one->n > 1) && when == index % 2;
    return !last || when == 1;
}

static void strike_step(const scene *s, const step *one, int index)
{
    static const char *const whens[] = {"before", "after", "torn"};
    static int number;
    bool again = was_struck(one->name);
    for (int w = 0; w < (can_tear(one->name) ? 3 : 2); w++)
        for (int last = 0; last < (one->n > 1 ? 2 : 1); last++) {
            if (!is_wanted(one, w, last, again, index) || number++ % WORKERS != part) continue;
            strike k = {s, one->name, whens[w], last ? one->n : 1};
            kill_at(&k, number / WORKERS);
            if (all_of_it || (!again && !last)) fail_at(&k, number / WORKERS);
        }
}

static void strike_all(int first, int n_scenes)
{
    static step steps[MOST_STEPS];
    for (int i = first; i < first + n_scenes; i++) {
        int n = list_steps(&scenes[i], "x", steps);
        if (n < 5) fail_msg("%s: has only %d steps", scenes[i].name, n);
        for (int j = 0; j < n; j++) strike_step(&scenes[i], &steps[j], j);
        if (part == 0) total->steps += n;
    }
}

static void test_steps_of_training(void **state)
{
    (void)state;
    strike_all(0, 4);
}

static void test_steps_of_scoring(void **state)
{
    (void)state;
    strike_all(4, N_SCENES - 4);
}

/* --- random moments --- */

static int n_random_kills; /* of this worker */

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static void wait_ms(uint32_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* One life on n_ranks, of which one or all are killed after a random time; its exit code. */
static int random_life(const char *words, int n_ranks, uint32_t most_ms, const char *when)
{
    pid_t ranks[8], pid = drive_start(n_ranks, words);
    wait_ms(draw(most_ms));
    int n = drive_ranks_of(pid, ranks, 8);
    if (n_ranks == 0) {
        n = 1;
        ranks[0] = pid;
    }
    if (n > 0) {
        bool all = draw(2) == 0;
        int one = (int)draw((uint32_t)n);
        for (int i = 0; i < n; i++)
            if (all || i == one) kill(ranks[i], SIGKILL);
    }
    double began = now();
    int code = drive_wait(pid, LIMIT_S);
    if (now() - began >= LIMIT_S) fail_msg("%s: the other ranks hang", when);
    if (code == 128 + SIGKILL) {
        count(&total->random_kills);
        n_random_kills++;
    }
    return code;
}

/* Lives of random length on changing numbers of ranks until one ends by itself. */
static void lives(const scene *s, const char *longer, uint32_t most_ms, int most_lives)
{
    char words[1024], when[256];
    words_for(words, sizeof words, s->words, "y");
    snprintf(words + strlen(words), sizeof words - strlen(words), " %s", longer);
    prepare(s, "y");
    for (int life = 0; life < most_lives; life++) {
        int n_ranks = (int)draw(4);
        snprintf(when, sizeof when, "%s, life %d on %d ranks, seed of the whole printed above", s->name, life, n_ranks);
        int code = random_life(words, n_ranks, most_ms, when);
        whole("y", when);
        if (code == 0) break;
        if (code != 128 + SIGKILL && code != 76) { /* 76: mpirun itself waited for the killed rank */
            char *text = drive_read("started.err");
            fail_msg("%s: exit %d\n%s", when, code, text);
        }
    }
    drive_must((int)draw(3), "%s", words);
    whole("y", s->name);
}

static void test_random_moments(void **state)
{
    (void)state;
    const char *given = getenv("NIGHTSHIFT_SEED");
    seed = (given != NULL ? (uint64_t)strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000) + (uint64_t)part;
    print_message("part %d: NIGHTSHIFT_SEED=%llu\n", part, (unsigned long long)(seed - (uint64_t)part));
    /* On a fast machine a life may be over before its moment: then there are more of them. */
    for (int i = 0; i < 2 || (n_random_kills < LEAST_RANDOM && i < 40); i++) {
        lives(&scenes[0], "--set model.rounds=40", 900, 8);
        if (!drive_same("y/run/bundle", "long/run/bundle")) fail_msg("another bundle than that of an undisturbed run");
        lives(&scenes[4], "", 700, 4);
        if (!drive_same("y/scores.h5", "ref/scores.h5")) fail_msg("other scores than those of an undisturbed run");
    }
}

/* --- set-up --- */

static void undisturbed(const char *words, const char *folder, int code)
{
    char made[1024];
    words_for(made, sizeof made, words, folder);
    shell("mkdir -p '%s'%s", folder, "");
    drive_result result = drive_ranks(0, "%s", made);
    if (result.code != code) fail_msg("%s: exit %d\n%s", made, result.code, result.err);
    drive_free(&result);
}

/* A run that was killed in the middle of its third checkpoint: two are whole, a half one and a line too many are left. */
static void make_torn(void)
{
    char words[1024];
    words_for(words, sizeof words, scenes[0].words, "torn");
    shell("mkdir torn%s%s", "", "");
    setenv("NIGHTSHIFT_TEST_FAULT", "write:checkpoint/state.safetensors#3:torn:kill", 1);
    drive_result result = drive_ranks(0, "%s", words);
    unsetenv("NIGHTSHIFT_TEST_FAULT");
    if (result.code != 128 + SIGKILL) fail_msg("torn: exit %d\n%s", result.code, result.err);
    drive_free(&result);
    if (whole_run("torn/run", "torn") != 2 || whole_count_names("torn", "000003.tmp") != 1) fail_msg("torn: not as it was planned");
}

static int set_up(void **state)
{
    (void)state;
    drive_enter("kills");
    drive_must(0, "synth c.h5 --rows 5000 --seed 1 --numbers 4 --categories 2 --true-risk --quiet");
    drive_must(0, "synth bad.h5 --rows 5000 --seed 2 --numbers 4 --categories 2 --duplicate-ids 200 --true-risk --quiet");
    drive_job("job.yaml", "kills", "c.h5",
              "model: {type: gbdt, rounds: 3, max_leaves: 6}\n"
              "train: {stop_after: 0}\n"
              "score: {cohort: [c.h5], out: scores.h5, bundle: ref/run/bundle}\n"
              "run: {out: run, checkpoint_every: 0, threads: 1}\n");
    undisturbed("train job.yaml " RUN, "ref", 0);
    undisturbed("train job.yaml --set model.rounds=2 " RUN, "short", 0);
    undisturbed("train job.yaml --set model.rounds=40 " RUN, "long", 0);
    undisturbed("score job.yaml " OUT, "ref", 0);
    undisturbed("score job.yaml --set score.csv=true " OUT, "csv", 0);
    undisturbed("score job.yaml --set 'score.where=age > 50' " OUT, "other", 0);
    undisturbed("score job.yaml --set score.cohort=[bad.h5] " OUT, "held", 4);
    undisturbed("score job.yaml --set score.cohort=[bad.h5] --set 'score.where=age > 50' " OUT, "held2", 4);
    make_torn();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drive_leave();
    return 0;
}

/* --- all workers together --- */

static void test_counts(void **state)
{
    (void)state;
    print_message("%d steps; %d kills at named steps, %d of them inside a checkpoint write, %d under the launcher; %d failed writes; "
                  "%d kills at random moments\n",
                  total->steps, total->kills, total->in_checkpoint, total->in_launcher, total->failures, total->random_kills);
    assert_true(total->in_checkpoint >= LEAST_IN_CHECKPOINT);
    assert_true(total->kills >= 200);
    assert_true(total->failures >= 100);
    assert_true(total->in_launcher >= 20);
    assert_true(total->random_kills >= WORKERS * LEAST_RANDOM);
}

int main(int argc, char **argv)
{
    all_of_it = argc > 1 && strcmp(argv[1], "--all") == 0;
    const struct CMUnitTest shared[] = {
        cmocka_unit_test(test_steps_of_training),
        cmocka_unit_test(test_steps_of_scoring),
        cmocka_unit_test(test_random_moments),
    };
    const struct CMUnitTest together[] = {cmocka_unit_test(test_counts)};
    total = mmap(NULL, sizeof *total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (total == MAP_FAILED) return 1;
    /* a kill loses nothing that was written, so memory does for a disk */
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1); /* ranks of several workers share the cores */
    pid_t workers[WORKERS];
    int failed = 0;
    for (part = 0; part < WORKERS; part++) {
        workers[part] = fork();
        if (workers[part] == 0) return cmocka_run_group_tests(shared, set_up, tear_down);
        if (workers[part] < 0) return 1;
    }
    for (int i = 0; i < WORKERS; i++) {
        int status;
        while (waitpid(workers[i], &status, 0) < 0 && errno == EINTR) continue;
        failed += status != 0;
    }
    return failed + (failed == 0 ? cmocka_run_group_tests(together, NULL, NULL) : 0);
}
