#define _XOPEN_SOURCE 700 /* nftw */
#include "tests/e2e/drive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/hash.h"
#include "tests/check.h"

static char folder[512];
static int old_folder = -1;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* between looks at a condition that has a limit */
}

const char *drive_program(void)
{
    const char *program = getenv("NIGHTSHIFT_PROGRAM");
    return program != NULL ? program : NIGHTSHIFT_BUILT_PROGRAM;
}

const char *drive_enter(const char *name)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/nightshift-%s-XXXXXX", base != NULL ? base : "/tmp", name);
    if (mkdtemp(folder) == NULL) fail_msg("cannot make '%s': %s", folder, strerror(errno));
    old_folder = open(".", O_RDONLY | O_DIRECTORY);
    if (chdir(folder) != 0) fail_msg("cannot enter '%s'", folder);
    return folder;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    return remove(path);
}

void drive_leave(void)
{
    if (old_folder >= 0 && fchdir(old_folder) == 0) close(old_folder);
    old_folder = -1;
    if (getenv("NIGHTSHIFT_KEEP") == NULL) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What Open MPI needs as root and on few cores; MPICH passes over it. */
static void set_environment(void)
{
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("NIGHTSHIFT_SITE", "/dev/null", 1);
    setenv("OMP_WAIT_POLICY", "passive", 1); /* tests share their cores with others */
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1);
}

static pid_t start_shell(const char *command, const char *out, const char *err)
{
    pid_t pid = fork();
    if (pid < 0) fail_msg("cannot fork");
    if (pid > 0) return pid;
    setpgid(0, 0);
    set_environment();
    int in = open("/dev/null", O_RDONLY);
    int to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), error = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || to < 0 || error < 0) _exit(126);
    dup2(in, 0);
    dup2(to, 1);
    dup2(error, 2);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

int drive_wait(pid_t pid, int limit_s)
{
    double end = now() + limit_s;
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now() > end) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return 128 + SIGKILL;
        }
        nap();
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

char *drive_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    size_t room = 1 << 16, n = 0, got;
    char *text = malloc(room + 1);
    while ((got = fread(text + n, 1, room - n, file)) > 0) {
        n += got;
        if (n == room) text = realloc(text, (room *= 2) + 1);
    }
    fclose(file);
    text[n] = '\0';
    return text;
}

static drive_result run(int limit_s, const char *command)
{
    static int counter;
    char out[64], err[64];
    counter++;
    snprintf(out, sizeof out, "/tmp/nightshift-drive-%d-%d.out", (int)getpid(), counter);
    snprintf(err, sizeof err, "/tmp/nightshift-drive-%d-%d.err", (int)getpid(), counter);
    double began = now();
    pid_t pid = start_shell(command, out, err);
    drive_result result = {.code = drive_wait(pid, limit_s)};
    result.timed_out = now() - began >= limit_s;
    result.out = drive_read(out);
    result.err = drive_read(err);
    unlink(out);
    unlink(err);
    return result;
}

drive_result drive_shell(int limit_s, const char *format, ...)
{
    char command[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    return run(limit_s, command);
}

static void command_of(char *command, size_t size, int n_ranks, const char *words)
{
    if (n_ranks == 0) snprintf(command, size, "exec '%s' %s", drive_program(), words);
    else snprintf(command, size, "exec '%s' run -n %d %s", drive_program(), n_ranks, words);
}

drive_result drive_ranks(int n_ranks, const char *format, ...)
{
    char words[6000], command[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    command_of(command, sizeof command, n_ranks, words);
    drive_result result = run(120, command);
    if (result.timed_out) fail_msg("hangs: %s\n%s", words, result.err);
    return result;
}

void drive_free(drive_result *result)
{
    free(result->out);
    free(result->err);
    result->out = result->err = NULL;
}

void drive_must(int n_ranks, const char *format, ...)
{
    char words[6000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    drive_result result = drive_ranks(n_ranks, "%s", words);
    if (result.code != 0) fail_msg("%d ranks: nightshift %s: exit %d\n%s", n_ranks, words, result.code, result.err);
    drive_free(&result);
}

const char *drive_error_line(const drive_result *result, int *n_lines)
{
    static char line[4096];
    int n = 0;
    line[0] = '\0';
    for (const char *c = result->err; c != NULL && *c != '\0';) {
        size_t length = strcspn(c, "\n");
        if (strncmp(c, "nightshift:", 11) == 0) {
            n++;
            snprintf(line, sizeof line, "%.*s", (int)length, c);
        }
        c += length + (c[length] == '\n');
    }
    if (n_lines != NULL) *n_lines = n;
    return line;
}

pid_t drive_start(int n_ranks, const char *words)
{
    char command[8192];
    command_of(command, sizeof command, n_ranks, words);
    return start_shell(command, "/dev/null", "started.err");
}

static pid_t parent_of(pid_t pid, char *name, size_t size)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    char *open_bracket = strchr(text, '('), *close_bracket = strrchr(text, ')');
    if (open_bracket == NULL || close_bracket == NULL) return 0;
    snprintf(name, size, "%.*s", (int)(close_bracket - open_bracket - 1), open_bracket + 1);
    int parent = 0;
    char state = '?';
    sscanf(close_bracket + 2, "%c %d", &state, &parent);
    return state == 'Z' ? 0 : parent;
}

int drive_ranks_of(pid_t pid, pid_t *ranks, int most)
{
    int n = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry = readdir(dir); entry != NULL && n < most; entry = readdir(dir)) {
        char *end, name[64], other[64];
        pid_t one = (pid_t)strtol(entry->d_name, &end, 10);
        if (*end != '\0' || one == pid) continue;
        pid_t parent = parent_of(one, name, sizeof name);
        if (strcmp(name, "nightshift") != 0) continue;
        for (int depth = 0; parent > 1 && parent != pid && depth < 8; depth++) parent = parent_of(parent, other, sizeof other);
        if (parent == pid) ranks[n++] = one;
    }
    closedir(dir);
    return n;
}

pid_t drive_parent_of(pid_t pid)
{
    char name[64];
    return parent_of(pid, name, sizeof name);
}

bool drive_wait_for(const char *path, const char *text, int limit_s)
{
    for (double end = now() + limit_s; now() < end; nap()) {
        char *content = drive_read(path);
        bool there = content != NULL && (text == NULL || strstr(content, text) != NULL);
        free(content);
        if (there) return true;
    }
    return false;
}

void drive_write(const char *path, const char *format, ...)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) fail_msg("cannot write '%s'", path);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* "relative name, hash" of every file below a folder, in order of name. */
static void list_hashes(FILE *to, const char *path, const char *shown)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, by_name);
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        char below[4096], relative[4096], hex[65];
        struct stat info;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            snprintf(below, sizeof below, "%s/%s", path, name);
            snprintf(relative, sizeof relative, "%s/%s", shown, name);
            if (stat(below, &info) == 0 && S_ISDIR(info.st_mode)) list_hashes(to, below, relative);
            else {
                drive_hash(hex, below);
                fprintf(to, "%s %s\n", relative, hex);
            }
        }
        free(names[i]);
    }
    if (n >= 0) free(names);
}

void drive_hash(char hex[65], const char *path)
{
    struct stat info;
    snprintf(hex, 65, "absent");
    if (stat(path, &info) != 0) return;
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (S_ISDIR(info.st_mode)) {
        list_hashes(to, path, "");
    } else {
        char block[65536];
        FILE *file = fopen(path, "rb");
        for (size_t got = fread(block, 1, sizeof block, file); got > 0; got = fread(block, 1, sizeof block, file)) fwrite(block, 1, got, to);
        fclose(file);
    }
    fclose(to);
    ns_sha256_hex(hex, text, n);
    free(text);
}

bool drive_same(const char *path_a, const char *path_b)
{
    char a[65], b[65];
    drive_hash(a, path_a);
    drive_hash(b, path_b);
    return strcmp(a, b) == 0 && strcmp(a, "absent") != 0;
}

void drive_remove(const char *path)
{
    if (access(path, F_OK) != 0) return;
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) fail_msg("cannot remove '%s'", path);
}

void drive_edit(const char *path, const char *from, const char *to)
{
    char *text = drive_read(path), *at = text != NULL ? strstr(text, from) : NULL;
    if (at == NULL) fail_msg("'%s' does not hold '%s'", path, from);
    drive_write(path, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    free(text);
}

void drive_job(const char *path, const char *name, const char *cohort, const char *more)
{
    drive_write(path,
                "name: %s\n"
                "data:\n"
                "  cohort: [%s]\n"
                "  id: encounter_id\n"
                "  group: patient_id\n"
                "  label: {column: readmitted, positive: [\"yes\"]}\n"
                "  features: {exclude: [true_risk]}\n"
                "%s",
                name, cohort, more);
}
