#include "cluster/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cluster/agree.h"
#include "cluster/code_file.h"
#include "cluster/gpu_meter.h"
#include "cluster/log.h"
#include "cluster/machine.h"

#define GIVEN_UP "given_up" /* a file of the folder: the run is at its end */
enum { NODE_SIZE = 64, STUCK = 76 };
static const double NOTE_LEAST_S = 10;  /* nobody is called late before */
static const double STEPS = 10;         /* times the longest step */
static const double LOOK_S = 0.5;       /* between two looks of the thread */
static const double OTHERS_S = 2;       /* for the others to write their files */
static const double LAST_RESORT_S = 20; /* past the limit a rank that waits leaves, whoever should have */

/* What the thread of MPI tells, and the watching thread reads. Times are in nanoseconds of a clock that never goes back. */
static struct {
    _Atomic int64_t meetings, signs;
    _Atomic int64_t waiting_since; /* 0: at work */
    _Atomic int64_t moved;         /* the last sign or end of a meeting */
    _Atomic int64_t met;           /* the end of the last meeting */
    _Atomic int64_t longest;       /* between the ends of two meetings */
    _Atomic(const char *) phase;
    _Atomic int64_t step;
} life;

/* The watching thread's own. */
static struct {
    bool runs;
    int rank, n_ranks;
    char (*nodes)[NODE_SIZE]; /* [n_ranks] */
    char folder[PATH_MAX];
    _Atomic double limit_s;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool ends;
    bool wrote, told;
    int64_t beat;        /* counts the file's versions */
    int late;            /* whom it is about; -1: nobody in particular */
    int64_t late_signs;  /* of that rank, when it was last looked at */
    double signed_at;    /* when they last changed */
    double looked;
} dog = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- told by the thread of MPI --- */

void ns_watchdog_sign(void)
{
    atomic_fetch_add_explicit(&life.signs, 1, memory_order_relaxed);
    if (dog.runs) atomic_store_explicit(&life.moved, now_ns(), memory_order_relaxed);
}

void ns_watchdog_meeting_begins(void)
{
    atomic_fetch_add(&life.meetings, 1);
    if (dog.runs) atomic_store(&life.waiting_since, now_ns());
}

void ns_watchdog_meeting_ended(void)
{
    if (!dog.runs) return;
    int64_t now = now_ns(), step = now - atomic_load(&life.met);
    if (step > atomic_load(&life.longest)) atomic_store(&life.longest, step);
    atomic_store(&life.met, now);
    atomic_store(&life.moved, now);
    atomic_store(&life.waiting_since, 0);
}

/* The part of a test's hook behind "PHASE:"; NULL where it is unset or for another phase. */
static const char *hook(const char *name, const char *phase)
{
    const char *text = getenv(name);
    size_t n = strlen(phase);
    return text != NULL && strncmp(text, phase, n) == 0 && text[n] == ':' ? text + n + 1 : NULL;
}

void ns_watchdog_phase(const char *phase, int64_t step)
{
    atomic_store(&life.phase, phase);
    atomic_store(&life.step, step);
    ns_watchdog_sign();
    const char *pace = hook("NIGHTSHIFT_TEST_PACE", phase), *strike = hook("NIGHTSHIFT_TEST_SIGNAL", phase), *restarts = getenv("SLURM_RESTART_COUNT");
    long long ms, at;
    int rank, number;
    if (pace != NULL && dog.rank == 0 && sscanf(pace, "%lld", &ms) == 1)
        nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
    bool first = restarts == NULL || strcmp(restarts, "0") == 0;
    if (strike != NULL && first && sscanf(strike, "%lld:%d:%d", &at, &rank, &number) == 3 && at == step && rank == dog.rank) raise(number);
}

/* --- the ranks' files --- */

typedef struct sight {
    char state; /* w: waits, b: at work; 0: nothing is known */
    int64_t meetings, signs, beat;
} sight;

static void path_of(char *out, size_t size, int rank, const char *suffix)
{
    snprintf(out, size, "%s/%d%s", dog.folder, rank, suffix);
}

static void write_sight(char state)
{
    char path[PATH_MAX + 32], whole[PATH_MAX + 32], text[100];
    if (!dog.wrote && mkdir(dog.folder, 0777) != 0 && errno != EEXIST) return;
    path_of(path, sizeof path, dog.rank, ".tmp");
    path_of(whole, sizeof whole, dog.rank, "");
    int n = snprintf(text, sizeof text, "%c %" PRId64 " %" PRId64 " %" PRId64 "\n", state, atomic_load(&life.meetings), atomic_load(&life.signs), ++dog.beat);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return;
    bool good = write(fd, text, (size_t)n) == n;
    if (close(fd) == 0 && good && rename(path, whole) == 0) dog.wrote = true;
}

static sight read_sight(int rank)
{
    char path[PATH_MAX + 32], text[100];
    sight s = {0};
    path_of(path, sizeof path, rank, "");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return s;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%c %" SCNd64 " %" SCNd64 " %" SCNd64, &s.state, &s.meetings, &s.signs, &s.beat) != 4) s.state = 0;
    return s;
}

static void forget(void)
{
    char path[PATH_MAX + 32];
    if (dog.wrote) {
        path_of(path, sizeof path, dog.rank, "");
        unlink(path);
        rmdir(dog.folder); /* the last one takes it away */
    }
    dog.wrote = dog.told = false;
}

/* --- who is late --- */

/* Whether a lower rank waits in the same meeting, or rank 0 in any: then it speaks. A network that is cut leaves each part in a
   meeting of its own, and what is said on the other side of the cut may reach nobody. */
static bool another_speaks(int64_t meetings)
{
    for (int r = 0; r < dog.rank; r++) {
        sight s = read_sight(r);
        if (s.state == 'w' && (s.meetings == meetings || r == 0)) return true;
    }
    return false;
}

/* The lowest late rank, -1 where all wait as this one does; how many are late, and what the lowest said last. */
static int find_late(int64_t meetings, int *n_late, sight *said)
{
    int first = -1;
    *n_late = 0;
    for (int r = 0; r < dog.n_ranks; r++) {
        if (r == dog.rank) continue;
        sight s = read_sight(r);
        if (s.state == 'w' && s.meetings >= meetings) continue;
        if (first < 0) {
            first = r;
            *said = s;
        }
        ++*n_late;
    }
    return first;
}

static void describe(char *out, size_t size, int n_late)
{
    const char *phase = atomic_load(&life.phase);
    char others[40] = "";
    if (n_late > 1) snprintf(others, sizeof others, " and %d more", n_late - 1);
    if (dog.late >= 0)
        snprintf(out, size, "rank %d on %s%s: in phase '%s', step %" PRId64, dog.late, dog.nodes[dog.late], others, phase != NULL ? phase : "start",
                 atomic_load(&life.step));
    else
        snprintf(out, size, "no rank is late, the network between them is: in phase '%s', step %" PRId64, phase != NULL ? phase : "start",
                 atomic_load(&life.step));
}

/* said: by the late rank of itself; NULL: it is this one. A rank that waits in an earlier meeting has missed a message. */
static void tell(double seconds, int n_late, const sight *said)
{
    const char *phase = atomic_load(&life.phase), *state = "silent";
    if (dog.late < 0) state = "none";
    else if (said == NULL || said->state == 'b') state = "at_work";
    else if (said->state == 'w') state = "waits";
    char behind[40] = "";
    if (said != NULL && said->state != 0) snprintf(behind, sizeof behind, " meetings_behind=%" PRId64, atomic_load(&life.meetings) - said->meetings);
    dog.told = true;
    ns_log_from_any(NS_LOG_WARN, "late", "rank=%d node=%s state=%s%s late_ranks=%d phase=%s step=%" PRId64 " seconds=%.1f said_by=%d", dog.late,
                    dog.late >= 0 ? dog.nodes[dog.late] : "none", state, behind, n_late, phase != NULL ? phase : "start", atomic_load(&life.step), seconds,
                    dog.rank);
}

static void give_up(double seconds, int n_late)
{
    char text[400], line[600];
    describe(text, sizeof text, n_late);
    int n = snprintf(line, sizeof line, "nightshift: stuck for %.0f s, longer than run.stall_limit allows; late is %s; run the same command again\n",
                     seconds, text);
    if (write(STDERR_FILENO, line, (size_t)n) != n) {} /* the code tells it too */
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/" GIVEN_UP, dog.folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0) close(fd);
    ns_code_file_write(STUCK);
    _exit(STUCK);
}

/* Somebody ended the run and said why: launchers may take their time to end the others, who leave without a word. */
static void leave_with_others(void)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/" GIVEN_UP, dog.folder);
    if (access(path, F_OK) == 0) _exit(STUCK);
}

/* This rank has waited for so many seconds in a meeting. */
static void look_around(double seconds, double now)
{
    int64_t meetings = atomic_load(&life.meetings);
    double limit = dog.limit_s;
    int n_late;
    sight said = {0};
    if (dog.told && now - dog.looked < 2 && (limit <= 0 || seconds < limit)) return;
    dog.looked = now;
    bool overdue = limit > 0 && seconds > limit + LAST_RESORT_S;
    if (another_speaks(meetings) && !overdue) return;
    int late = find_late(meetings, &n_late, &said);
    if (!dog.told || late != dog.late || said.signs != dog.late_signs) dog.signed_at = now;
    if (!dog.told) dog.signed_at = now - seconds; /* signs before that are not known */
    dog.late = late;
    dog.late_signs = said.signs;
    if (!dog.told) tell(seconds, n_late, &said);
    double silent = now - dog.signed_at;
    if (limit > 0 && silent >= limit) give_up(silent, n_late);
}

static void look(void)
{
    int64_t now = now_ns(), waiting = atomic_load(&life.waiting_since), moved = atomic_load(&life.moved);
    double seconds = 1e-9 * (double)(now - (waiting != 0 ? waiting : moved)), limit = dog.limit_s;
    double note = STEPS * 1e-9 * (double)atomic_load(&life.longest);
    if (note < NOTE_LEAST_S) note = NOTE_LEAST_S;
    if (limit > 0 && note > limit / 2) note = limit / 2;
    if (seconds < note) {
        if (dog.wrote || dog.told) forget();
        return;
    }
    leave_with_others();
    write_sight(waiting != 0 ? 'w' : 'b');
    double others = limit > 0 && OTHERS_S > limit / 4 ? limit / 4 : OTHERS_S;
    if (waiting != 0 && seconds >= note + others) look_around(seconds, 1e-9 * (double)now);
    if (waiting == 0 && dog.n_ranks == 1 && !dog.told) {
        dog.late = 0;
        tell(seconds, 1, NULL);
    }
}

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&dog.mutex);
    while (!dog.ends) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(LOOK_S * 1e9);
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&dog.wake, &dog.mutex, &until);
        if (dog.ends) break;
        pthread_mutex_unlock(&dog.mutex);
        look();
        ns_gpu_meter_look();
        pthread_mutex_lock(&dog.mutex);
    }
    pthread_mutex_unlock(&dog.mutex);
    return NULL;
}

/* --- start and stop --- */

/* Where all ranks can write: beside the code file, else in the run folder. The name is of this start, so that no earlier one's files
   are read. */
static void choose_folder(const char *run, int64_t id)
{
    const char *code_file = getenv(NS_CODE_FILE_VARIABLE);
    if (code_file != NULL && code_file[0] != '\0') snprintf(dog.folder, sizeof dog.folder, "%s.late.%" PRIx64, code_file, id);
    else snprintf(dog.folder, sizeof dog.folder, "%s/late.%" PRIx64 ".tmp", run, id);
}

static ns_status gather_nodes(MPI_Comm comm)
{
    char mine[NODE_SIZE] = "", host[256];
    const char *node = getenv("SLURMD_NODENAME");
    ns_host_name(host, sizeof host);
    snprintf(mine, sizeof mine, "%.63s", node != NULL && node[0] != '\0' ? node : host);
    dog.nodes = calloc((size_t)dog.n_ranks, sizeof *dog.nodes);
    NS_TRY(ns_agree(dog.nodes == NULL ? ns_fail(NS_ENOMEM, "no memory for the names of nodes") : NS_OK, comm));
    MPI_Allgather(mine, NODE_SIZE, MPI_CHAR, dog.nodes, NODE_SIZE, MPI_CHAR, comm);
    return NS_OK;
}

ns_status ns_watchdog_start(const char *folder, double limit_s, MPI_Comm comm)
{
    dog.limit_s = limit_s;
    if (dog.runs) return NS_OK;
    MPI_Comm_rank(comm, &dog.rank);
    MPI_Comm_size(comm, &dog.n_ranks);
    int64_t id = (int64_t)getpid() << 32 | (now_ns() / 1000 & INT64_C(0xFFFFFFFF));
    MPI_Bcast(&id, 1, MPI_INT64_T, 0, comm);
    ns_status status = gather_nodes(comm);
    if (status != NS_OK) return status;
    choose_folder(folder, id);
    int64_t now = now_ns();
    atomic_store(&life.met, now);
    atomic_store(&life.moved, now);
    dog.ends = dog.wrote = dog.told = false;
    dog.late = -1;
    /* Signals are for the thread of MPI. Without a thread this rank is watched by the others. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    dog.runs = pthread_create(&dog.thread, NULL, watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return NS_OK;
}

void ns_watchdog_stop(void)
{
    if (dog.runs) {
        pthread_mutex_lock(&dog.mutex);
        dog.ends = true;
        pthread_cond_signal(&dog.wake);
        pthread_mutex_unlock(&dog.mutex);
        pthread_join(dog.thread, NULL);
        forget();
    }
    dog.runs = false;
    free(dog.nodes);
    dog.nodes = NULL;
}
