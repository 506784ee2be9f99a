/*
 * Everything is read from /proc and /sys, as text. Control groups exist in two versions: in version 2 one
 * line "0::/path" and one tree, in version 1 a line and a tree for each controller. A limit may stand at any
 * level, so the whole path is walked from the process's own group up to the mount. Inside a container the
 * path may name groups that only the host sees; levels that cannot be read are passed over.
 */
#define _GNU_SOURCE /* sched_getaffinity with masks of any size */
#include "cluster/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Reads the head of a small text file; false where it cannot be read. */
static bool read_text(const char *path, char *out, size_t size)
{
    int fd;
    do fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return false;
    size_t at = 0;
    ssize_t n = 0;
    do {
        n = read(fd, out + at, size - 1 - at);
        if (n > 0) at += (size_t)n;
    } while ((n > 0 && at < size - 1) || (n < 0 && errno == EINTR));
    close(fd);
    out[at] = '\0';
    return n >= 0;
}

/* The number behind "name " or "name:" at the start of a line; false where there is none. */
static bool number_after(const char *text, const char *name, int64_t *out)
{
    size_t length = strlen(name);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, name, length) == 0 && (line[length] == ' ' || line[length] == ':')) {
            char *end;
            *out = strtoll(line + length + 1, &end, 10);
            return end != line + length + 1;
        }
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
    return false;
}

/* The whole text of a file as one number; false where it is none ("max") or cannot be read. */
static bool read_number(const char *folder, const char *file, int64_t *out)
{
    char path[PATH_MAX], text[64], *end;
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path) return false;
    if (!read_text(path, text, sizeof text)) return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (errno == ERANGE) *out = INT64_MAX; /* version 1 says "no limit" with a number above all others */
    return end != text && *out >= 0;
}

/* The path of this process in the tree of a controller (version 1), or with "" in the one of version 2. */
static bool group_path(const char *groups, const char *controller, char *out, size_t size)
{
    for (const char *line = groups; line != NULL && *line != '\0';) {
        const char *next = strchr(line, '\n');
        size_t length = next != NULL ? (size_t)(next - line) : strlen(line);
        const char *names = memchr(line, ':', length);
        const char *path = names != NULL ? memchr(names + 1, ':', length - (size_t)(names + 1 - line)) : NULL;
        if (path != NULL) {
            size_t wanted = strlen(controller), n_path = length - (size_t)(path + 1 - line);
            bool found = wanted == 0 && path == names + 1;
            for (const char *name = names + 1; wanted > 0 && name < path;) {
                const char *comma = memchr(name, ',', (size_t)(path - name));
                const char *end = comma != NULL ? comma : path;
                found = found || ((size_t)(end - name) == wanted && strncmp(name, controller, wanted) == 0);
                name = end + 1;
            }
            if (found && n_path < size) {
                memcpy(out, path + 1, n_path);
                out[n_path] = '\0';
                return true;
            }
        }
        line = next != NULL ? next + 1 : NULL;
    }
    return false;
}

/* Goes one level up; false at the mount itself. */
static bool parent_folder(char *folder, size_t n_mount)
{
    char *slash = strrchr(folder + n_mount, '/');
    if (slash == NULL) return false;
    *slash = '\0';
    return true;
}

/* MOUNT/PATH without a slash at its end; *n_mount is the length of the part that is not walked. */
static bool group_folder(char *out, size_t size, size_t *n_mount, const char *mount, const char *tree,
                         const char *path)
{
    int n = snprintf(out, size, "%s%s", mount, tree);
    if (n < 0 || (size_t)n >= size) return false;
    *n_mount = (size_t)n;
    int m = snprintf(out + n, size - (size_t)n, "%s", path);
    if (m < 0 || (size_t)(n + m) >= size) return false;
    for (size_t end = (size_t)(n + m); end > *n_mount && out[end - 1] == '/'; end--) out[end - 1] = '\0';
    return true;
}

typedef struct memory_files {
    const char *tree, *limit, *usage, *active, *inactive;
} memory_files;

static int64_t walk_memory(const char *mount, const char *path, const memory_files *files)
{
    char folder[PATH_MAX], stat_path[PATH_MAX], stat[8192];
    size_t n_mount;
    int64_t least = INT64_MAX;
    if (!group_folder(folder, sizeof folder, &n_mount, mount, files->tree, path)) return least;
    do {
        int64_t limit, usage, cache = 0, part;
        if (!read_number(folder, files->limit, &limit) || limit >= INT64_MAX / 4) continue;
        if (!read_number(folder, files->usage, &usage)) continue;
        if (snprintf(stat_path, sizeof stat_path, "%s/memory.stat", folder) < (int)sizeof stat_path &&
            read_text(stat_path, stat, sizeof stat)) {
            if (number_after(stat, files->active, &part)) cache += part;
            if (number_after(stat, files->inactive, &part)) cache += part;
        }
        usage = usage > cache ? usage - cache : 0;
        int64_t left = limit > usage ? limit - usage : 0;
        if (left < least) least = left;
    } while (parent_folder(folder, n_mount));
    return least;
}

int64_t ns_group_memory_left(const char *groups, const char *mount)
{
    static const memory_files second = {"", "memory.max", "memory.current", "active_file", "inactive_file"};
    static const memory_files first = {"/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                       "total_active_file", "total_inactive_file"};
    char path[PATH_MAX];
    int64_t least = INT64_MAX, left;
    if (group_path(groups, "memory", path, sizeof path)) least = walk_memory(mount, path, &first);
    if (group_path(groups, "", path, sizeof path)) {
        left = walk_memory(mount, path, &second);
        if (left < least) least = left;
    }
    return least;
}

/* quota of every period, both in microseconds, as whole cores rounded up */
static int quota_cores(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0 || quota > INT64_MAX - period) return 0;
    int64_t cores = (quota + period - 1) / period;
    return cores < INT_MAX ? (int)cores : INT_MAX;
}

static int folder_cores(const char *folder, bool second)
{
    int64_t quota, period;
    if (!second) {
        bool found = read_number(folder, "cpu.cfs_quota_us", &quota) &&
                     read_number(folder, "cpu.cfs_period_us", &period);
        return found ? quota_cores(quota, period) : 0;
    }
    char path[PATH_MAX], text[64];
    if (snprintf(path, sizeof path, "%s/cpu.max", folder) >= (int)sizeof path ||
        !read_text(path, text, sizeof text))
        return 0;
    return sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period) == 2 ? quota_cores(quota, period) : 0;
}

int ns_group_cores(const char *groups, const char *mount)
{
    char path[PATH_MAX], folder[PATH_MAX];
    int least = 0;
    for (int version = 1; version <= 2; version++) {
        size_t n_mount;
        if (!group_path(groups, version == 1 ? "cpu" : "", path, sizeof path)) continue;
        if (!group_folder(folder, sizeof folder, &n_mount, mount, version == 1 ? "/cpu" : "", path)) continue;
        do {
            int cores = folder_cores(folder, version == 2);
            if (cores > 0 && (least == 0 || cores < least)) least = cores;
        } while (parent_folder(folder, n_mount));
    }
    return least;
}

/* Cores in the affinity mask. The kernel's mask may be larger than any fixed set: it is asked with ever
 * larger ones. */
static int affinity_cores(void)
{
    enum { MOST = 1 << 20 };
    for (int n = 1024; n <= MOST; n *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)n);
        if (set == NULL) break;
        size_t size = CPU_ALLOC_SIZE((size_t)n);
        int failed = sched_getaffinity(0, size, set), count = failed ? 0 : CPU_COUNT_S(size, set);
        bool larger = failed && errno == EINVAL;
        CPU_FREE(set);
        if (count > 0) return count;
        if (!larger) break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < INT_MAX ? (int)online : 1;
}

int ns_usable_cores(void)
{
    char groups[8192];
    int cores = affinity_cores();
    if (read_text("/proc/self/cgroup", groups, sizeof groups)) {
        int quota = ns_group_cores(groups, "/sys/fs/cgroup");
        if (quota > 0 && quota < cores) cores = quota;
    }
    return cores;
}

ns_node_place ns_place_on_node(MPI_Comm comm)
{
    MPI_Comm node;
    ns_node_place place;
    MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &place.rank);
    MPI_Comm_size(node, &place.n_ranks);
    MPI_Comm_free(&node);
    return place;
}

/* RLIMIT_AS less what is mapped already, INT64_MAX without a limit. */
static int64_t address_space_left(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= (rlim_t)INT64_MAX)
        return INT64_MAX;
    char text[128];
    int64_t mapped = 0, all = (int64_t)limit.rlim_cur;
    if (read_text("/proc/self/statm", text, sizeof text))
        mapped = strtoll(text, NULL, 10) * sysconf(_SC_PAGESIZE);
    return all > mapped ? all - mapped : 0;
}

int64_t ns_available_memory(void)
{
    char text[8192];
    int64_t least = address_space_left(), left;
    if (read_text("/proc/meminfo", text, sizeof text) && number_after(text, "MemAvailable", &left) &&
        left * 1024 < least)
        least = left * 1024;
    if (read_text("/proc/self/cgroup", text, sizeof text)) {
        left = ns_group_memory_left(text, "/sys/fs/cgroup");
        if (left < least) least = left;
    }
    return least;
}

void ns_host_name(char *out, size_t size)
{
    char name[256];
    if (gethostname(name, sizeof name) != 0) name[0] = '\0';
    name[sizeof name - 1] = '\0';
    snprintf(out, size, "%s", name[0] != '\0' ? name : "unknown");
    for (char *c = out; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\') *c = '?';
}

void ns_boot_id(char out[NS_BOOT_ID_SIZE])
{
    if (!read_text("/proc/sys/kernel/random/boot_id", out, NS_BOOT_ID_SIZE)) out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

bool ns_process_start(uint64_t *ticks, int64_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    if (!read_text(path, text, sizeof text)) return false;
    /* The name in parentheses may hold anything: fields are counted from the last ')', behind which stands
     * the third. */
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') return false;
    at += 2;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (at == NULL) return false;
        at++;
    }
    char *end;
    *ticks = strtoull(at, &end, 10);
    return end != at;
}
