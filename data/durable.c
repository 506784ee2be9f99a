#include "data/durable.h"

/*
 * Each step of a call is done between two points, "before" and "after", at which a test may strike. What
 * fails is told with the path that the caller knows, never the temporary one, and leaves neither a temporary
 * file nor a changed published one. close is not a step: everything was synced before it.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cluster/again.h"

/* With a default access list on the folder the kernel ignores the umask and takes the list, cut to the mode that was asked
   for: so private has to ask for 0600 and 0700. */
static mode_t file_mode = 0666, folder_mode = 0777;

enum { PATH_ROOM = 4096, MOST_TRIES = 100, EXCHANGE = 1 << 1 /* RENAME_EXCHANGE of linux/fs.h */ };

static const char *words_of(const char *op)
{
    static const char *const words[][2] = {{"mkdir", "make the folder"},
                                           {"syncdir", "sync the folder"},
                                           {"unlink", "remove"},
                                           {"link", "keep a copy of"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(op, words[i][0]) == 0) return words[i][1];
    return op; /* write, sync, rename, read say what they do */
}

/* The failure that errno tells. */
static ns_status failed(const char *op, const char *path)
{
    return ns_fail(NS_EIO, "cannot %s '%.1000s': %s", words_of(op), path, strerror(errno));
}

/* --- the test hook --- */

static struct {
    bool wanted, malformed, kills;
    char name[256], when[8];
    int64_t at, seen; /* the operation to strike, and how many of its name began */
    const char *trace;
} fault;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

/* NAME[#K]:before|after|torn:kill|fail, from its end, since NAME has a colon too. */
static bool parse_fault(char *text)
{
    char *how = strrchr(text, ':');
    if (how == NULL) return false;
    *how++ = '\0';
    char *when = strrchr(text, ':');
    if (when == NULL) return false;
    *when++ = '\0';
    char *count = strrchr(text, '#'), *end = "";
    fault.at = 1;
    if (count != NULL) {
        *count++ = '\0';
        fault.at = strtoll(count, &end, 10);
    }
    if (*end != '\0' || fault.at < 1 || strchr(text, ':') == NULL ||
        !one_of(when, "before", "after", "torn") || !one_of(how, "kill", "fail", "fail"))
        return false;
    fault.kills = strcmp(how, "kill") == 0;
    snprintf(fault.name, sizeof fault.name, "%s", text);
    snprintf(fault.when, sizeof fault.when, "%s", when);
    return true;
}

static void read_environment(void)
{
    const char *wish = getenv("NIGHTSHIFT_TEST_FAULT");
    fault.trace = getenv("NIGHTSHIFT_TEST_TRACE");
    if (wish == NULL || *wish == '\0') return;
    char text[sizeof fault.name];
    int n = snprintf(text, sizeof text, "%s", wish);
    fault.malformed = n >= (int)sizeof text || !parse_fault(text);
    fault.wanted = !fault.malformed;
}

static bool is_named(const char *op, const char *label)
{
    size_t n = strlen(op);
    return fault.wanted && strncmp(fault.name, op, n) == 0 && fault.name[n] == ':' &&
           strcmp(fault.name + n + 1, label) == 0;
}

/* Whether the step that is under way is to be cut in its middle. */
static bool is_torn(const char *op, const char *label)
{
    return is_named(op, label) && fault.seen == fault.at && strcmp(fault.when, "torn") == 0;
}

static ns_status trace(const char *op, const char *label)
{
    char line[512];
    int n = snprintf(line, sizeof line, "%s:%s\n", op, label), tries = 0;
    if (n >= (int)sizeof line) n = (int)sizeof line - 1;
    int fd = open(fault.trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return failed("write", fault.trace);
    ssize_t done;
    do done = write(fd, line, (size_t)n);
    while (done < 0 && ns_again(&tries));
    ns_status status = done == n ? NS_OK : failed("write", fault.trace);
    close(fd);
    return status;
}

static ns_status point(const char *op, const char *label, const char *when, const char *path)
{
    pthread_once(&once, read_environment);
    if (fault.malformed)
        return ns_fail(NS_EINVAL, "NIGHTSHIFT_TEST_FAULT is not NAME[#K]:before|after|torn:kill|fail");
    if (fault.trace != NULL && strcmp(when, "after") == 0) NS_TRY(trace(op, label));
    if (!is_named(op, label)) return NS_OK;
    if (strcmp(when, "before") == 0) fault.seen++;
    if (fault.seen != fault.at || strcmp(when, fault.when) != 0) return NS_OK;
    if (fault.kills) raise(SIGKILL);
    errno = ENOSPC;
    return failed(op, path);
}

void ns_durable_share(ns_share share)
{
    file_mode = share == NS_SHARE_PRIVATE ? 0600 : 0666;
    folder_mode = share == NS_SHARE_PRIVATE ? 0700 : 0777;
    umask(share == NS_SHARE_PRIVATE ? 077 : 027);
}

ns_status ns_durable_point(const char *op, const char *label, const char *when)
{
    return point(op, label, when, label);
}

/* --- paths --- */

/* path with a suffix. */
static ns_status name_beside(char out[PATH_ROOM], const char *path, const char *suffix)
{
    int n = snprintf(out, PATH_ROOM, "%s%s", path, suffix);
    if (n < PATH_ROOM) return NS_OK;
    errno = ENAMETOOLONG;
    return failed("write", path);
}

static ns_status temporary_of(char out[PATH_ROOM], const char *path)
{
    return name_beside(out, path, ".tmp");
}

static void strip_slashes(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') path[--n] = '\0';
}

static ns_status parent_of(char out[PATH_ROOM], const char *path)
{
    NS_TRY(name_beside(out, path, ""));
    strip_slashes(out);
    char *slash = strrchr(out, '/');
    if (slash == NULL)
        snprintf(out, PATH_ROOM, ".");
    else if (slash == out)
        out[1] = '\0';
    else
        *slash = '\0';
    return NS_OK;
}

/* What stands under a name, a link not followed. Absent: false, errno ENOENT. */
static bool look(const char *path, struct stat *out)
{
    int tries = 0, result;
    do result = lstat(path, out);
    while (result != 0 && ns_again(&tries));
    return result == 0;
}

bool ns_path_exists(const char *path)
{
    struct stat found;
    return look(path, &found);
}

static bool is_folder(const char *path)
{
    struct stat found;
    int tries = 0, result;
    do result = stat(path, &found);
    while (result != 0 && ns_again(&tries));
    return result == 0 && S_ISDIR(found.st_mode);
}

static int open_again(const char *path, int flags)
{
    int tries = 0, fd;
    do fd = open(path, flags | O_CLOEXEC, file_mode);
    while (fd < 0 && ns_again(&tries));
    return fd;
}

/* --- single steps --- */

static ns_status sync_open(int fd, const char *op, const char *label, const char *path)
{
    NS_TRY(point(op, label, "before", path));
    int tries = 0, result;
    do result = fsync(fd);
    while (result != 0 && ns_again(&tries));
    /* some file systems have nothing to sync in a folder, and say EINVAL */
    if (result != 0 && !(errno == EINVAL && strcmp(op, "syncdir") == 0)) return failed(op, path);
    return point(op, label, "after", path);
}

static ns_status sync_named(const char *path, const char *op, const char *label)
{
    int fd = open_again(path, O_RDONLY);
    if (fd < 0) return failed(op, path);
    ns_status status = sync_open(fd, op, label, path);
    close(fd);
    return status;
}

static ns_status sync_parent(const char *path, const char *label)
{
    char parent[PATH_ROOM];
    NS_TRY(parent_of(parent, path));
    return sync_named(parent, "syncdir", label);
}

static int rename_again(const char *from, const char *to)
{
    int tries = 0, result;
    do result = rename(from, to);
    while (result != 0 && ns_again(&tries));
    return result;
}

static ns_status rename_step(const char *from, const char *to, const char *label)
{
    NS_TRY(point("rename", label, "before", to));
    if (rename_again(from, to) != 0) return failed("rename", to);
    return point("rename", label, "after", to);
}

/* Best effort, after a failure: a file or a link, never a device. errno stays. */
static void drop_file(const char *path)
{
    int saved = errno;
    struct stat found;
    if (look(path, &found) && (S_ISREG(found.st_mode) || S_ISLNK(found.st_mode))) unlink(path);
    errno = saved;
}

/* --- writing --- */

/* All of the bytes, however many calls that takes. */
static bool put(int fd, const char *bytes, size_t n_bytes)
{
    int tries = 0;
    while (n_bytes > 0) {
        ssize_t done = write(fd, bytes, n_bytes);
        if (done < 0) {
            if (ns_again(&tries)) continue;
            return false;
        }
        tries = 0;
        bytes += done;
        n_bytes -= (size_t)done;
    }
    return true;
}

ns_status ns_durable_touch(const char *path)
{
    int fd = open_again(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0) return failed("write", path);
    close(fd);
    return NS_OK;
}

static ns_status put_step(int fd, const char *bytes, size_t n_bytes, const char *label, const char *path)
{
    size_t first = is_torn("write", label) ? n_bytes / 2 : n_bytes;
    if (!put(fd, bytes, first)) return failed("write", path);
    NS_TRY(point("write", label, "torn", path));
    if (!put(fd, bytes + first, n_bytes - first)) return failed("write", path);
    return point("write", label, "after", path);
}

/* The file holds these bytes and nothing behind them. */
static ns_status read_back(const char *file, const char *bytes, size_t n_bytes, const char *path)
{
    char piece[1 << 14];
    int fd = open_again(file, O_RDONLY), tries = 0;
    if (fd < 0) return failed("read", path);
    size_t at = 0;
    ssize_t n;
    for (;;) {
        n = read(fd, piece, sizeof piece);
        if (n < 0 && ns_again(&tries)) continue;
        if (n <= 0 || (size_t)n > n_bytes - at || memcmp(piece, bytes + at, (size_t)n) != 0) break;
        at += (size_t)n;
    }
    ns_status status = NS_OK;
    if (n < 0)
        status = failed("read", path);
    else if (n > 0 || at != n_bytes)
        status = ns_fail(NS_EIO, "'%s' does not read back as it was written", path);
    close(fd);
    return status;
}

/* Creates, writes, syncs, closes and reads back file, which the caller knows as path. Removed on failure. */
static ns_status write_file(const char *file, const void *bytes, size_t n_bytes, const char *label,
                            const char *path)
{
    NS_TRY(point("write", label, "before", path));
    int fd = open_again(file, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0) return failed("write", path);
    ns_status status = put_step(fd, bytes, n_bytes, label, path);
    if (status == NS_OK) status = sync_open(fd, "sync", label, path);
    if (close(fd) != 0 && errno != EINTR && status == NS_OK) status = failed("write", path);
    if (status == NS_OK) status = read_back(file, bytes, n_bytes, path);
    if (status != NS_OK) drop_file(file);
    return status;
}

ns_status ns_durable_write(const char *path, const void *bytes, size_t n_bytes, const char *label)
{
    return write_file(path, bytes, n_bytes, label, path);
}

ns_status ns_durable_publish(const char *path, const void *bytes, size_t n_bytes, const char *label)
{
    char temporary[PATH_ROOM];
    NS_TRY(temporary_of(temporary, path));
    NS_TRY(write_file(temporary, bytes, n_bytes, label, path));
    ns_status status = rename_step(temporary, path, label);
    if (status != NS_OK)
        drop_file(temporary);
    else
        status = sync_parent(path, label);
    return status;
}

ns_status ns_durable_append(const char *path, const char *line, const char *label)
{
    NS_TRY(point("write", label, "before", path));
    int fd = open_again(path, O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0) return failed("write", path);
    struct stat before;
    bool known = fstat(fd, &before) == 0 && S_ISREG(before.st_mode);
    ns_status status = put_step(fd, line, strlen(line), label, path);
    if (status != NS_OK && known && ftruncate(fd, before.st_size) != 0)
        known = false; /* the first failure is told */
    if (close(fd) != 0 && errno != EINTR && status == NS_OK) status = failed("write", path);
    return status;
}

/* --- folders, names --- */

static ns_status make_folder(const char *path, const char *label)
{
    NS_TRY(point("mkdir", label, "before", path));
    int tries = 0, result;
    do result = mkdir(path, folder_mode);
    while (result != 0 && ns_again(&tries));
    int why = errno;
    if (result != 0 && !(why == EEXIST && is_folder(path))) { /* not one that somebody made meanwhile */
        errno = why;
        return failed("mkdir", path);
    }
    NS_TRY(point("mkdir", label, "after", path));
    return sync_parent(path, label);
}

ns_status ns_durable_mkdir(const char *path, const char *label)
{
    char part[PATH_ROOM];
    NS_TRY(name_beside(part, path, ""));
    strip_slashes(part);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        ns_status status = is_folder(part) ? NS_OK : make_folder(part, label);
        *slash = '/';
        if (status != NS_OK) return status;
    }
    return is_folder(part) ? NS_OK : make_folder(part, label);
}

ns_status ns_durable_sync(const char *path, const char *label)
{
    return sync_named(path, is_folder(path) ? "syncdir" : "sync", label);
}

ns_status ns_durable_rename(const char *from, const char *to, const char *label)
{
    NS_TRY(rename_step(from, to, label));
    return sync_parent(to, label);
}

/* --- replacing --- */

static bool swap_names(const char *a, const char *b)
{
    int tries = 0;
    long result;
    do result = syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, EXCHANGE);
    while (result != 0 && ns_again(&tries));
    return result == 0;
}

/* Gives to a second name without touching it. *possible false: this file system has no hard links for it. */
static ns_status keep_by_link(const char *to, const char *kept, const char *label, bool *possible)
{
    struct stat old, there;
    *possible = true;
    if (look(to, &old) && look(kept, &there) && old.st_dev == there.st_dev && old.st_ino == there.st_ino)
        return NS_OK; /* done by a life that was killed behind it */
    char temporary[PATH_ROOM];
    NS_TRY(temporary_of(temporary, kept));
    drop_file(temporary);
    NS_TRY(point("link", label, "before", to));
    int tries = 0, result;
    do result = link(to, temporary);
    while (result != 0 && ns_again(&tries));
    if (result != 0) {
        *possible =
            !(errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK || errno == EXDEV);
        return *possible ? failed("link", to) : NS_OK;
    }
    ns_status status = point("link", label, "after", to);
    if (status == NS_OK) status = rename_step(temporary, kept, label);
    if (status == NS_OK) status = sync_parent(kept, label);
    if (status != NS_OK) drop_file(temporary);
    return status;
}

/* For folders: to is never absent, and comes back where the second step fails. */
static ns_status keep_by_swap(const char *from, const char *to, const char *kept, const char *label,
                              bool *possible)
{
    *possible = true;
    NS_TRY(point("link", label, "before", to));
    if (!swap_names(from, to)) {
        *possible = errno != ENOSYS && errno != EINVAL && errno != EOPNOTSUPP;
        return *possible ? failed("rename", to) : NS_OK;
    }
    ns_status status = point("link", label, "after", to);
    if (status == NS_OK) status = rename_step(from, kept, label);
    if (status != NS_OK && ns_path_exists(from) && !swap_names(from, to))
        return status; /* the new content is published then, the old stands under from */
    return status == NS_OK ? sync_parent(kept, label) : status;
}

/* Where names cannot be swapped: to is absent for a moment, and comes back where the second step fails. */
static ns_status keep_by_turns(const char *from, const char *to, const char *kept, const char *label)
{
    ns_status status = rename_step(to, kept, label);
    if (status == NS_OK) status = rename_step(from, to, label);
    if (status == NS_OK) return sync_parent(kept, label);
    if (!ns_path_exists(to) && rename_again(kept, to) != 0) return status; /* the first failure is told */
    return status;
}

ns_status ns_durable_replace(const char *from, const char *to, const char *kept, const char *label)
{
    struct stat old, there;
    bool possible;
    if (!look(to, &old)) return ns_durable_rename(from, to, label);
    if (look(kept, &there) && (S_ISDIR(old.st_mode) || S_ISDIR(there.st_mode))) {
        errno = EEXIST;
        return failed("rename", kept);
    }
    if (S_ISREG(old.st_mode)) {
        NS_TRY(keep_by_link(to, kept, label, &possible));
        if (possible) return ns_durable_rename(from, to, label);
    }
    NS_TRY(keep_by_swap(from, to, kept, label, &possible));
    if (!possible) NS_TRY(keep_by_turns(from, to, kept, label));
    return sync_parent(to, label);
}

/* --- removing --- */

static bool remove_entry(int folder, const char *name);

/* Everything in a folder; links are removed, not followed. */
static bool empty_folder(int above, const char *name)
{
    int tries = 0, fd;
    do fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    while (fd < 0 && ns_again(&tries));
    if (fd < 0) return errno == ENOENT;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return false;
    }
    bool good = true;
    for (struct dirent *entry = readdir(dir); entry != NULL && good; entry = readdir(dir))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            good = remove_entry(fd, entry->d_name);
    int saved = errno;
    closedir(dir);
    errno = saved;
    return good;
}

/* readdir may pass over names while others go, and a network file system may need another look. */
static bool remove_folder(int above, const char *name)
{
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        if (unlinkat(above, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
        if (errno != ENOTEMPTY && errno != EEXIST && errno != EINTR && errno != ESTALE) return false;
        if (!empty_folder(above, name)) return false;
    }
    return false;
}

static bool remove_entry(int folder, const char *name)
{
    int tries = 0, result;
    do result = unlinkat(folder, name, 0);
    while (result != 0 && ns_again(&tries));
    if (result == 0 || errno == ENOENT) return true;
    return (errno == EISDIR || errno == EPERM) && remove_folder(folder, name);
}

/* One unlink step; torn: the folder is empty but there. */
static ns_status remove_step(const char *file, const char *label, const char *path)
{
    NS_TRY(point("unlink", label, "before", path));
    if (is_torn("unlink", label)) {
        if (is_folder(file) && !empty_folder(AT_FDCWD, file)) return failed("unlink", path);
        NS_TRY(point("unlink", label, "torn", path));
    }
    if (!remove_entry(AT_FDCWD, file)) return failed("unlink", path);
    return point("unlink", label, "after", path);
}

static bool is_temporary(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strstr(slash == NULL ? path : slash, ".tmp") != NULL;
}

ns_status ns_durable_remove(const char *path, const char *label)
{
    char plain[PATH_ROOM], gone[PATH_ROOM];
    NS_TRY(name_beside(plain, path, ""));
    strip_slashes(plain);
    NS_TRY(name_beside(gone, plain, ".tmp.gone"));
    struct stat found;
    bool there = look(plain, &found);
    if (!there && errno != ENOENT && errno != ENOTDIR) return failed("unlink", path);
    if (ns_path_exists(gone)) NS_TRY(remove_step(gone, label, path)); /* of a life that was killed in here */
    if (!there) return NS_OK;
    if (!S_ISDIR(found.st_mode) || is_temporary(plain)) return remove_step(plain, label, path);
    NS_TRY(rename_step(plain, gone, label)); /* nobody ever sees half of a folder */
    NS_TRY(sync_parent(plain, label));
    return remove_step(gone, label, path);
}

/* --- reading --- */

/* The rest of an open file. Files of /proc tell no size, so memory grows as it comes. */
static ns_status read_rest(int fd, const char *path, char **bytes, size_t *n_bytes)
{
    struct stat found;
    size_t room = fstat(fd, &found) == 0 && found.st_size > 0 ? (size_t)found.st_size + 1 : 4096, n = 0;
    char *all = malloc(room + 1);
    int tries = 0;
    while (all != NULL) {
        ssize_t done = read(fd, all + n, room - n);
        if (done < 0 && ns_again(&tries)) continue;
        if (done < 0) {
            free(all);
            return failed("read", path);
        }
        if (done == 0) break;
        n += (size_t)done;
        if (n < room) continue;
        room += room / 2;
        char *grown = realloc(all, room + 1);
        if (grown == NULL) free(all);
        all = grown;
    }
    if (all == NULL) return ns_fail(NS_ENOMEM, "no memory to read '%s'", path);
    all[n] = '\0';
    *bytes = all;
    *n_bytes = n;
    return NS_OK;
}

ns_status ns_read_whole(const char *path, char **bytes, size_t *n_bytes, bool *found)
{
    *bytes = NULL;
    *n_bytes = 0;
    *found = false;
    int fd = open_again(path, O_RDONLY);
    if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? NS_OK : failed("read", path);
    ns_status status = read_rest(fd, path, bytes, n_bytes);
    close(fd);
    *found = status == NS_OK;
    return status;
}
