/*
 * The parent stays in the foreground; the launcher gets a process group of its own, so that a Ctrl-C at a
 * terminal reaches the parent alone. What launchers do with signals differs: Open MPI's mpirun passes USR1
 * and USR2 on and turns TERM into a kill; MPICH's mpiexec passes INT, TERM and USR1 on and dies of USR2. So
 * the parent sends USR2 to the ranks itself. It knows them in /proc by their executable and by descent from
 * the launcher, and tells each one once, as soon as its signal mask shows that it listens: before that the
 * signal would kill it.
 */
#include "cluster/launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <mpi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cluster/log.h"
#include "cluster/machine.h"
#include "cluster/program.h"
#include "cluster/session.h"
#include "cluster/stop.h"
#include "cluster/watch.h"

extern char **environ;

typedef enum flavour { BY_OPEN_MPI, BY_MPICH, BY_OTHER } flavour;

enum { STOPPED = 75, LOST = 76, MOST_WORDS_BEFORE = 16, DEEPEST_CHAIN = 64 };

static const double SECOND_SIGNAL = 0.5; /* seconds; `timeout` and process groups send one request twice */

typedef struct crew {
    pid_t launcher;
    dev_t device; /* of the executable of the ranks */
    ino_t inode;
    pid_t *told; /* n_ranks; ranks that were sent their USR2 */
    int n_ranks, n_told;
    bool lost;     /* a rank was missing for too long, and the rest was ended */
    bool own;      /* ranks of this program: /proc shows them as it shows this process */
    char session[64]; /* Open MPI: folder of this launcher, "" for none */
} crew;

static flavour flavour_of_library(void)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(text, &length);
    if (strstr(text, "Open MPI") != NULL) return BY_OPEN_MPI;
    return strstr(text, "MPICH") != NULL ? BY_MPICH : BY_OTHER;
}

/* A program of this name on PATH; false where there is none. */
static bool on_path(const char *name, char *out, size_t size)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t length = strcspn(path, ":");
        if (length > 0 && snprintf(out, size, "%.*s/%s", (int)length, path, name) < (int)size &&
            access(out, X_OK) == 0)
            return true;
        path += length;
        if (*path == ':') path++;
    }
    return false;
}

static ns_status find_launcher(flavour mpi, char *out, size_t size)
{
    if (ns_program_launcher(out, size)) return NS_OK;
    static const char *const names[][4] = {
        [BY_OPEN_MPI] = {"mpirun.openmpi", "mpirun", "mpiexec", NULL},
        [BY_MPICH] = {"mpiexec.mpich", "mpiexec.hydra", "mpiexec", NULL},
        [BY_OTHER] = {"mpiexec", "mpirun", NULL, NULL},
    };
    if (snprintf(out, size, "%s", NS_MPIEXEC) < (int)size && out[0] == '/' && access(out, X_OK) == 0)
        return NS_OK;
    for (int i = 0; names[mpi][i] != NULL; i++)
        if (on_path(names[mpi][i], out, size)) return NS_OK;
    return ns_fail(NS_EUNAVAILABLE,
                   "no launcher: neither '%s' nor %s, %s on PATH; install the one of the MPI built with",
                   NS_MPIEXEC, names[mpi][0], names[mpi][1]);
}

static ns_status find_program(const char *program, char out[PATH_MAX])
{
    if (strchr(program, '/') != NULL) {
        if (realpath(program, out) == NULL || access(out, X_OK) != 0)
            return ns_fail(NS_EINVAL, "cannot start '%s': %s", program, strerror(errno));
        return NS_OK;
    }
    NS_TRY(ns_program_starter(out, PATH_MAX));
    return access(out, X_OK) == 0 ? NS_OK : ns_fail(NS_EINVAL, "cannot start '%s' again: %s", out, strerror(errno));
}

/* The executable that /proc will show for the ranks: of this program, its own, which may be a loader. */
static ns_status know_ranks(crew *c, const char *program, const char *path)
{
    struct stat info;
    c->own = strchr(program, '/') == NULL;
    if (stat(c->own ? "/proc/self/exe" : path, &info) != 0) return ns_fail(NS_EINVAL, "cannot start '%s': %s", path, strerror(errno));
    c->device = info.st_dev;
    c->inode = info.st_ino;
    return NS_OK;
}

/*
 * The ranks are to start here, whatever job or step surrounds this process: what tells a launcher of one is
 * removed. Of Slurm's variables the run folder's lock needs two; launchers look for others.
 */
static void leave_surrounding_job(void)
{
    static const char *const prefixes[] = {"SLURM_",
                                           "PMI_",
                                           "PMI2_",
                                           "PMIX_",
                                           "OMPI_COMM_WORLD_",
                                           "OMPI_UNIVERSE_SIZE",
                                           "MPI_LOCALNRANKS",
                                           "MPI_LOCALRANKID",
                                           "HYDRA_"};
    static const char *const kept[] = {"SLURM_JOB_ID", "SLURM_RESTART_COUNT"};
    for (char **variable = environ; *variable != NULL;) {
        char name[256];
        size_t length = strcspn(*variable, "=");
        bool leave = false;
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
            leave = leave || strncmp(*variable, prefixes[i], strlen(prefixes[i])) == 0;
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
            leave = leave && !(strlen(kept[i]) == length && strncmp(*variable, kept[i], length) == 0);
        if (!leave || length >= sizeof name) {
            variable++;
            continue;
        }
        memcpy(name, *variable, length);
        name[length] = '\0';
        if (unsetenv(name) != 0) variable++; /* else the next one has moved here */
    }
}

/* Settings of the user's own stay as they are. */
static void set_environment(flavour mpi, int n_ranks, const char *session)
{
    char number[16];
    leave_surrounding_job();
    snprintf(number, sizeof number, "%d", n_ranks);
    setenv(NS_RANKS_VARIABLE, number, 1);
    /* A rank that waits offers its core to others: the machine may have other work, or more ranks than cores. */
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    /* Threads that share a core must sleep while they wait: spinning, each would wait for the others' time slices. */
    if (n_ranks > ns_usable_cores()) setenv("OMP_WAIT_POLICY", "passive", 0);
    if (mpi != BY_OPEN_MPI) return;
    if (session[0] != '\0') setenv("OMPI_MCA_orte_tmpdir_base", session, 1);
    if (geteuid() == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
    /* Containers often forbid reading another process's memory. */
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
    /* One machine needs shared memory alone; asking the network libraries costs 0.2 s at every start. */
    if (getenv("OMPI_MCA_mtl") == NULL) setenv("OMPI_MCA_pml", "ob1", 0);
    /* As soon as one rank leaves with an error mpirun ends the others, and gives them a second for it. Ours
       have nothing left to do then: they leave together, and after a lost rank the rest can only wait. */
    setenv("OMPI_MCA_odls_base_sigkill_timeout", "0", 0);
}

static int launcher_words(const char **out, flavour mpi, const char *launcher, const char *number)
{
    static const char *const open_mpi[] = {"-q", "--bind-to", "none", "--oversubscribe", "-n", NULL};
    static const char *const mpich[] = {"-launcher", "fork", "-rmk", "user", "-bind-to", "none", "-n", NULL};
    static const char *const other[] = {"-n", NULL};
    const char *const *words = mpi == BY_OPEN_MPI ? open_mpi : mpi == BY_MPICH ? mpich : other;
    int n = 0;
    out[n++] = launcher;
    for (int i = 0; words[i] != NULL; i++) out[n++] = words[i];
    out[n++] = number;
    return n;
}

/* In the child, up to exec; says through the pipe why it failed. */
static void become_launcher(flavour mpi, const crew *c, const char **words, const sigset_t *mask, pid_t parent,
                            int report)
{
    setpgid(0, 0);
    /* The death of the parent is a request to stop, in the form that this launcher passes on. */
    prctl(PR_SET_PDEATHSIG, mpi == BY_OPEN_MPI ? SIGUSR2 : SIGTERM);
    if (getppid() != parent) _exit(STOPPED);
    if (isatty(STDIN_FILENO)) { /* reading a terminal from the background would stop the launcher */
        int nothing = open("/dev/null", O_RDONLY);
        if (nothing >= 0) dup2(nothing, STDIN_FILENO);
    }
    set_environment(mpi, c->n_ranks, c->session);
    sigprocmask(SIG_SETMASK, mask, NULL);
    union {
        const char **from;
        char *const *to;
    } list = {.from = words}; /* exec takes what it does not change as char *const [] */
    execv(words[0], list.to);
    int error = errno;
    ssize_t told = write(report, &error, sizeof error);
    _exit(told == (ssize_t)sizeof error ? 127 : 126);
}

/* The parent of a process and the state of its life; false where it is gone. */
static bool read_parent(pid_t pid, pid_t *parent)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return false;
    text[n] = '\0';
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    char state;
    long found;
    if (at == NULL || sscanf(at + 1, " %c %ld", &state, &found) != 2 || state == 'Z') return false;
    *parent = (pid_t)found;
    return true;
}

static bool is_rank(const crew *c, pid_t pid)
{
    char path[64];
    struct stat info;
    snprintf(path, sizeof path, "/proc/%ld/exe", (long)pid);
    if (stat(path, &info) != 0 || info.st_dev != c->device || info.st_ino != c->inode) return false;
    for (int i = 0; i < DEEPEST_CHAIN && pid > 1; i++) {
        if (!read_parent(pid, &pid)) return false;
        if (pid == c->launcher) return true;
    }
    return false;
}

/* True where the process has a handler for USR2. */
static bool listens(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    uint64_t caught = 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "SigCgt: %" SCNx64, &caught) == 1) break;
    fclose(file);
    return (caught >> (SIGUSR2 - 1) & 1) != 0;
}

static bool was_told(const crew *c, pid_t pid)
{
    for (int i = 0; i < c->n_told; i++)
        if (c->told[i] == pid) return true;
    return false;
}

/* number USR2: to ranks that listen and were not told yet; KILL: to all. Returns how many there were. */
static int signal_ranks(crew *c, int number)
{
    int n_sent = 0;
    DIR *processes = opendir("/proc");
    if (processes == NULL) return 0;
    for (const struct dirent *entry = readdir(processes); entry != NULL; entry = readdir(processes)) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid <= 1 || *end != '\0' || !is_rank(c, (pid_t)pid)) continue;
        if (number == SIGUSR2 && (c->n_told == c->n_ranks || was_told(c, (pid_t)pid) || !listens((pid_t)pid)))
            continue;
        if (kill((pid_t)pid, number) != 0) continue;
        n_sent++;
        if (number == SIGUSR2) c->told[c->n_told++] = (pid_t)pid;
    }
    closedir(processes);
    return n_sent;
}

/* Ranks that are alive. */
static int count_ranks(const crew *c)
{
    int n = 0;
    DIR *processes = opendir("/proc");
    if (processes == NULL) return c->n_ranks; /* cannot tell: none is missing */
    for (const struct dirent *entry = readdir(processes); entry != NULL; entry = readdir(processes)) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        n += pid > 1 && *end == '\0' && is_rank(c, (pid_t)pid);
    }
    closedir(processes);
    return n;
}

/* Ranks of another program that were never seen may be hidden: then nothing can be said of them. */
static bool is_stuck(const crew *c, ns_watch *watch, double now)
{
    int n = count_ranks(c);
    return ns_watch_is_stuck(watch, now, n == 0 && !watch->any && !c->own ? c->n_ranks : n, c->n_ranks);
}

/* Waits for the launcher and passes signals on. Returns what waitpid says; *n_requests: 1 where somebody
   wanted the run to stop, more where it was killed for that. */
static int supervise(crew *c, const sigset_t *set, int *n_requests)
{
    const struct timespec tick = {.tv_nsec = 20 * 1000 * 1000}, second = {.tv_sec = 1};
    double first = ns_seconds(), looked = first;
    ns_watch watch = ns_watch_begin(first);
    int status;
    *n_requests = ns_stop_asked() ? 1 : 0; /* before the signals were held */
    for (;;) {
        pid_t ended = waitpid(c->launcher, &status, WNOHANG);
        if (ended == c->launcher || (ended < 0 && errno != EINTR)) return ended < 0 ? 0x100 : status;
        bool telling = *n_requests == 1 && c->n_told < c->n_ranks;
        int number = sigtimedwait(set, NULL, telling ? &tick : &second);
        double now = ns_seconds();
        if (!c->lost && now - looked >= 1) {
            looked = now;
            c->lost = is_stuck(c, &watch, now);
            if (c->lost) {
                signal_ranks(c, SIGKILL);
                kill(c->launcher, SIGKILL);
            }
        }
        if (number > 0 && number != SIGCHLD) {
            if (*n_requests == 0) {
                *n_requests = 1;
                first = ns_seconds();
            } else if (ns_seconds() - first >= SECOND_SIGNAL) {
                *n_requests += 1;
                /* A launcher whose ranks died ends by itself, and tidies up; told so too, mpirun may crash.
                 */
                int n_killed = signal_ranks(c, SIGKILL);
                if (n_killed == 0) kill(c->launcher, *n_requests == 2 ? SIGTERM : SIGKILL);
            }
        }
        if (*n_requests == 1) signal_ranks(c, SIGUSR2);
    }
}

/*
 * mpirun says 128+n where a rank died by signal n. MPICH's mpiexec says n; the program itself leaves with 0
 * to 5, 70, 75 or 76, so that what is between is a signal (one of HUP, INT, QUIT, ILL and TRAP looks like a
 * code of the program).
 */
static int exit_code(flavour mpi, int status, int n_requests)
{
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (mpi == BY_MPICH && WIFEXITED(status) && code > 5 && code < 65) code += 128;
    /* Killed on request: what was saved before is there, and the same command continues. */
    return n_requests > 1 && code != 0 ? STOPPED : code;
}

static int exit_of(crew *c, flavour mpi, const sigset_t *set)
{
    int n_requests, status = supervise(c, set, &n_requests);
    return c->lost ? LOST : exit_code(mpi, status, n_requests);
}

static ns_status start(crew *c, flavour mpi, const char **words, const sigset_t *old_mask)
{
    int ends[2], error = 0;
    if (pipe(ends) != 0) return ns_fail(NS_EUNAVAILABLE, "cannot start '%s': %s", words[0], strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    pid_t parent = getpid(), child = fork();
    if (child == 0) become_launcher(mpi, c, words, old_mask, parent, ends[1]);
    if (child < 0) error = errno;
    close(ends[1]);
    ssize_t n = 0;
    if (child > 0) {
        setpgid(child, child); /* both do it, so that it is done for either that goes on first */
        c->launcher = child;
        do n = read(ends[0], &error, sizeof error);
        while (n < 0 && errno == EINTR);
    }
    close(ends[0]);
    if (child > 0 && n <= 0) return NS_OK; /* exec closed the pipe */
    if (child > 0) waitpid(child, NULL, 0);
    return ns_fail(NS_EUNAVAILABLE, "cannot start '%s': %s", words[0], strerror(error));
}

/* From here on the signals wait in the kernel until sigwaitinfo asks for them. */
static void hold_signals(sigset_t *set, sigset_t *old_mask)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD};
    signal(SIGCHLD, SIG_DFL); /* where it was ignored, nobody could be waited for */
    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaddset(set, numbers[i]);
    sigprocmask(SIG_BLOCK, set, old_mask);
}

ns_status ns_launch(const char *program, int n_ranks, const char *const *words, int *code)
{
    char launcher[PATH_MAX], path[PATH_MAX], number[16];
    flavour mpi = flavour_of_library();
    crew c = {.n_ranks = n_ranks};
    *code = 1;
    NS_TRY(find_program(program, path));
    NS_TRY(find_launcher(mpi, launcher, sizeof launcher));
    NS_TRY(know_ranks(&c, program, path));
    snprintf(number, sizeof number, "%d", n_ranks);

    size_t n_words = 0;
    while (words[n_words] != NULL) n_words++;
    const char **all = calloc(n_words + MOST_WORDS_BEFORE, sizeof *all);
    c.told = calloc((size_t)n_ranks, sizeof *c.told);
    ns_status status = NS_OK;
    if (all == NULL || c.told == NULL) {
        status = ns_fail(NS_ENOMEM, "no memory to start %d ranks", n_ranks);
    } else {
        int n = launcher_words(all, mpi, launcher, number);
        all[n++] = path;
        for (size_t i = 0; i < n_words; i++) all[n++] = words[i];
        sigset_t set, old_mask;
        hold_signals(&set, &old_mask);
        if (mpi == BY_OPEN_MPI && getenv("OMPI_MCA_orte_tmpdir_base") == NULL) ns_session_open(c.session, sizeof c.session);
        status = start(&c, mpi, all, &old_mask);
        if (status == NS_OK) *code = exit_of(&c, mpi, &set);
        ns_session_close(c.session);
        sigprocmask(SIG_SETMASK, &old_mask, NULL);
    }
    free(c.told);
    free(all);
    return status;
}

/* True and *out where text is a number above 0. */
static bool read_count(const char *text, long *out)
{
    if (text == NULL || *text == '\0') return false;
    char *end;
    *out = strtol(text, &end, 10);
    return *end == '\0' && *out > 0;
}

bool ns_launched_size_mismatch(const char *ntasks, const char *procid, int n_ranks, char *message,
                               size_t size)
{
    long n;
    if (procid == NULL || !read_count(ntasks, &n) || n == n_ranks) return false;
    snprintf(message, size,
             "SLURM_NTASKS is %ld but MPI's world has %d rank%s: start with 'srun --mpi=pmix', and this "
             "program with the MPI "
             "that it was built with",
             n, n_ranks, n_ranks == 1 ? "" : "s");
    return true;
}

bool ns_run_size_mismatch(const char *promised, int n_ranks, char *message, size_t size)
{
    long n;
    if (!read_count(promised, &n) || n == n_ranks) return false;
    snprintf(message, size,
             "nightshift run promised %ld ranks but MPI's world has %d: the launcher belongs to another MPI "
             "than '%s'",
             n, n_ranks, NS_MPIEXEC);
    return true;
}
