/*
 * A library for LD_PRELOAD: a network file system on a bad day. Calls on files below $FAULTS_UNDER fail now and then in ways that
 * ask for the same call again, or do less than they were asked for:
 *   by name  open, openat, rename, link, unlink, mkdir, stat, lstat: ESTALE (a handle of NFS that is out of date) or EINTR
 *   by file  read, pread, write, pwrite: EINTR, or some of the bytes; fsync: EINTR
 * An open file whose handle is out of date stays so, whatever is tried, so ESTALE never comes from those. No two calls in a row
 * fail. $FAULTS_SEED chooses which; every program appends to $FAULTS_COUNTS how many of each there were. $FAULTS_CLOCK seconds
 * are added to the time of day.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FILES = 4096, EACH = 6 }; /* one call in six */

static bool ours[MOST_FILES];
static uint32_t state = 1;
static bool failed_last;
static long n_stale, n_interrupted, n_short;

/* The next function of this name; the assignment through void * is what POSIX gives dlsym for. */
#define NEXT(name)                                                                                            \
    static __typeof__(&name) next;                                                                           \
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *seed = getenv("FAULTS_SEED");
    state = seed != NULL ? (uint32_t)atol(seed) * 2654435761u + 1u : 1u;
}

__attribute__((destructor)) static void count(void)
{
    const char *path = getenv("FAULTS_COUNTS");
    if (path == NULL || n_stale + n_interrupted + n_short == 0) return;
    FILE *file = fopen(path, "a");
    if (file == NULL) return;
    fprintf(file, "stale=%ld interrupted=%ld short=%ld\n", n_stale, n_interrupted, n_short);
    fclose(file);
}

static bool is_below(const char *path)
{
    const char *under = getenv("FAULTS_UNDER");
    char here[4096];
    if (under == NULL || path == NULL) return false;
    if (path[0] != '/') return getcwd(here, sizeof here) != NULL && strncmp(here, under, strlen(under)) == 0;
    return strncmp(path, under, strlen(under)) == 0;
}

static uint32_t draw(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static bool strikes(void)
{
    failed_last = !failed_last && draw() % EACH == 0;
    return failed_last;
}

/* A call by name: whether it fails instead. */
static bool name_fails(const char *path)
{
    if (!is_below(path) || !strikes()) return false;
    bool stale = draw() % 2 == 0;
    errno = stale ? ESTALE : EINTR;
    n_stale += stale;
    n_interrupted += !stale;
    return true;
}

/* A call on a file of n bytes: 0 where it fails instead, else how many of the bytes it may do. */
static size_t allowed(int fd, size_t n)
{
    if (fd < 0 || fd >= MOST_FILES || !ours[fd] || n == 0 || !strikes()) return n;
    if (n == 1 || draw() % 2 == 0) {
        n_interrupted++;
        errno = EINTR;
        return 0;
    }
    n_short++;
    return 1 + draw() % (n - 1);
}

static int opened(int fd, const char *path)
{
    if (fd >= 0 && fd < MOST_FILES) ours[fd] = is_below(path);
    return fd;
}

#define OPENS(name)                                                                                           \
    int name(const char *path, int flags, ...)                                                               \
    {                                                                                                        \
        NEXT(name);                                                                                          \
        va_list arguments;                                                                                   \
        va_start(arguments, flags);                                                                          \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;                                \
        va_end(arguments);                                                                                   \
        return name_fails(path) ? -1 : opened(next(path, flags, mode), path);                                \
    }
OPENS(open)
OPENS(open64)

int close(int fd)
{
    NEXT(close);
    if (fd >= 0 && fd < MOST_FILES) ours[fd] = false;
    return next(fd);
}

#define MOVES(name, bytes)                                                                                    \
    ssize_t name(int fd, bytes buffer, size_t n)                                                             \
    {                                                                                                        \
        NEXT(name);                                                                                          \
        size_t some = allowed(fd, n);                                                                        \
        return some == 0 && n > 0 ? -1 : next(fd, buffer, some);                                             \
    }
MOVES(read, void *)
MOVES(write, const void *)

#define MOVES_AT(name, bytes, offset_type)                                                                    \
    ssize_t name(int fd, bytes buffer, size_t n, offset_type offset)                                         \
    {                                                                                                        \
        NEXT(name);                                                                                          \
        size_t some = allowed(fd, n);                                                                        \
        return some == 0 && n > 0 ? -1 : next(fd, buffer, some, offset);                                     \
    }
MOVES_AT(pread, void *, off_t)
MOVES_AT(pwrite, const void *, off_t)
MOVES_AT(pread64, void *, off64_t)
MOVES_AT(pwrite64, const void *, off64_t)

int fsync(int fd)
{
    NEXT(fsync);
    return allowed(fd, 1) == 0 ? -1 : next(fd);
}

int rename(const char *from, const char *to)
{
    NEXT(rename);
    return name_fails(to) ? -1 : next(from, to);
}

int link(const char *from, const char *to)
{
    NEXT(link);
    return name_fails(to) ? -1 : next(from, to);
}

int unlink(const char *path)
{
    NEXT(unlink);
    return name_fails(path) ? -1 : next(path);
}

int mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir);
    return name_fails(path) ? -1 : next(path, mode);
}

int stat(const char *restrict path, struct stat *restrict out)
{
    NEXT(stat);
    return name_fails(path) ? -1 : next(path, out);
}

int lstat(const char *restrict path, struct stat *restrict out)
{
    NEXT(lstat);
    return name_fails(path) ? -1 : next(path, out);
}

/* --- the clock --- */

static time_t ahead(void)
{
    const char *seconds = getenv("FAULTS_CLOCK");
    return seconds != NULL ? (time_t)atol(seconds) : 0;
}

time_t time(time_t *out)
{
    NEXT(time);
    time_t now = next(NULL) + ahead();
    if (out != NULL) *out = now;
    return now;
}
