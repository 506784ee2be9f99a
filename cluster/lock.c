/*
 * Taking a free lock is one link() of a file that is already whole and synced; link fails where the name is
 * taken.
 *
 * Taking over a stale one must not hit a lock that somebody else took over a moment before. So whoever wants
 * to replace or remove the lock with token T first takes the *claim* PATH.over.T, a lock of the same kind,
 * and then looks again: only if PATH still holds T does it rename its own file over PATH. Since T changes
 * only under the claim for T, exactly one process replaces it. The claim goes when the work is done; one that
 * was left by a killed process is itself taken over.
 */
#include "cluster/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/again.h"
#include "cluster/log.h"
#include "cluster/machine.h"

enum {
    TEXT = 160,  /* bytes of one field */
    LINE = 2048, /* bytes of the whole file */
    DEEPEST = 3, /* claims on claims: each level needs a process killed within the microseconds that a claim
                    lives */
    MOST_TRIES = 100
};

/* What the file says. */
typedef struct holder {
    char token[TEXT], job[TEXT], host[TEXT], boot[TEXT], since[TEXT];
    int64_t restart, pidns, pid, start;
} holder;

struct ns_lock {
    char *path;
    holder mine;
};

typedef enum look { FREE, HELD, BROKEN, UNREADABLE } look;

static int64_t pid_namespace(void)
{
    struct stat info;
    return stat("/proc/self/ns/pid", &info) == 0 ? (int64_t)info.st_ino : 0;
}

/* Copies what is printable and needs no escape in JSON. */
static void copy_plain(char *out, size_t size, const char *text)
{
    size_t at = 0;
    for (const char *c = text; *c != '\0' && at + 1 < size; c++)
        if (*c > ' ' && *c <= '~' && *c != '"' && *c != '\\') out[at++] = *c;
    out[at] = '\0';
}

static ns_status describe_self(holder *self)
{
    uint64_t token, start = 0;
    ssize_t n;
    memset(self, 0, sizeof *self);
    do n = getrandom(&token, sizeof token, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof token)
        return ns_fail(NS_EUNAVAILABLE, "the kernel gives no random numbers for a lock");
    snprintf(self->token, sizeof self->token, "%016" PRIx64, token);
    const char *job = getenv("SLURM_JOB_ID"), *restart = getenv("SLURM_RESTART_COUNT");
    copy_plain(self->job, sizeof self->job, job != NULL ? job : "");
    self->restart = restart != NULL ? strtoll(restart, NULL, 10) : 0;
    ns_host_name(self->host, sizeof self->host);
    ns_boot_id(self->boot);
    self->pidns = pid_namespace();
    self->pid = getpid();
    if (ns_process_start(&start, self->pid)) self->start = (int64_t)start;
    ns_utc_now(self->since);
    return NS_OK;
}

/* The text behind "key": in a line that print_holder made; false where it is not there. */
static bool find_text(const char *line, const char *key, char *out, size_t size)
{
    char name[32];
    snprintf(name, sizeof name, "\"%s\":\"", key);
    const char *at = strstr(line, name);
    if (at == NULL) return false;
    at += strlen(name);
    const char *end = strchr(at, '"');
    if (end == NULL || (size_t)(end - at) >= size) return false;
    memcpy(out, at, (size_t)(end - at));
    out[end - at] = '\0';
    return true;
}

static bool find_number(const char *line, const char *key, int64_t *out)
{
    char name[32], *end;
    snprintf(name, sizeof name, "\"%s\":", key);
    const char *at = strstr(line, name);
    if (at == NULL) return false;
    at += strlen(name);
    *out = strtoll(at, &end, 10);
    return end != at;
}

static int print_holder(char *line, size_t size, const holder *h)
{
    return snprintf(line, size,
                    "{\"nightshift_lock\":1,\"token\":\"%s\",\"job\":\"%s\",\"restart\":%" PRId64
                    ",\"host\":\"%s\",\"boot\":\"%s\",\"pidns\":%" PRId64 ",\"pid\":%" PRId64
                    ",\"start\":%" PRId64 ",\"since\":\"%s\"}\n",
                    h->token, h->job, h->restart, h->host, h->boot, h->pidns, h->pid, h->start, h->since);
}

static bool parse_holder(holder *out, const char *line)
{
    memset(out, 0, sizeof *out);
    size_t length = strlen(line);
    return length > 0 && line[length - 1] == '\n' &&
           find_text(line, "token", out->token, sizeof out->token) && out->token[0] != '\0' &&
           strspn(out->token, "0123456789abcdef") == strlen(out->token) &&
           find_text(line, "job", out->job, sizeof out->job) && find_number(line, "restart", &out->restart) &&
           find_text(line, "host", out->host, sizeof out->host) &&
           find_text(line, "boot", out->boot, sizeof out->boot) && find_number(line, "pidns", &out->pidns) &&
           find_number(line, "pid", &out->pid) && find_number(line, "start", &out->start) &&
           find_text(line, "since", out->since, sizeof out->since);
}

/* What stands in a lock file. A stale NFS handle means that it was just replaced: it is opened again. */
static look look_at(holder *out, const char *path)
{
    char line[LINE];
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) return FREE;
        if (fd < 0 && (errno == EINTR || errno == ESTALE)) continue;
        if (fd < 0) return UNREADABLE;
        size_t at = 0;
        ssize_t n;
        do { /* the file is whole (see link_own), but a read may give less of it */
            n = read(fd, line + at, sizeof line - 1 - at);
            at += n > 0 ? (size_t)n : 0;
        } while (n > 0 && at < sizeof line - 1);
        int error = errno;
        close(fd);
        if (n < 0 && (error == EINTR || error == ESTALE)) continue;
        errno = error;
        if (n < 0) return UNREADABLE;
        n = (ssize_t)at;
        line[n] = '\0';
        return strlen(line) == (size_t)n && parse_holder(out, line) ? HELD : BROKEN;
    }
    return UNREADABLE;
}

/* Why the holder cannot be alive, NULL where it may be. */
static const char *why_stale(const holder *theirs, const holder *mine)
{
    if (mine->job[0] != '\0' && strcmp(theirs->job, mine->job) == 0 && theirs->restart < mine->restart)
        return "the Slurm job was requeued since";
    if (strcmp(theirs->host, mine->host) != 0 || theirs->boot[0] == '\0' || mine->boot[0] == '\0')
        return NULL;
    if (strcmp(theirs->boot, mine->boot) != 0) return "the host was started anew since";
    if (theirs->pidns != mine->pidns) return NULL; /* process ids of another container */
    uint64_t start;
    if (!ns_process_start(&start, theirs->pid)) return "the process is gone";
    if ((int64_t)start != theirs->start) return "the process is gone, its id is another's";
    return NULL;
}

static bool rename_again(const char *from, const char *to)
{
    int tries = 0, result;
    do result = rename(from, to);
    while (result != 0 && ns_again(&tries));
    return result == 0;
}

static bool unlink_again(const char *path)
{
    int tries = 0, result;
    do result = unlink(path);
    while (result != 0 && ns_again(&tries));
    return result == 0;
}

/* A new file under a name of its own, whole and synced; path: the lock that it is for. */
static ns_status write_own(const char *own, const char *path, const holder *mine)
{
    char line[LINE];
    int n = print_holder(line, sizeof line, mine), at = 0, fd, tries = 0;
    do fd = open(own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    while (fd < 0 && ns_again(&tries));
    if (fd < 0) return ns_fail(NS_EIO, "cannot create '%s': %s", path, strerror(errno));
    int error = 0;
    while (at < n && error == 0) {
        ssize_t done = write(fd, line + at, (size_t)(n - at));
        if (done > 0) at += (int)done;
        else if (done == 0) error = ENOSPC;
        else if (!ns_again(&tries)) error = errno;
    }
    while (error == 0 && fsync(fd) != 0)
        if (!ns_again(&tries)) error = errno;
    if (close(fd) != 0 && error == 0) error = errno;
    if (error == 0) return NS_OK;
    unlink_again(own);
    return ns_fail(NS_EIO, "cannot write '%s': %s", path, strerror(error));
}

static bool no_links(int error)
{
    return error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK;
}

/*
 * Gives the file `own` the name `path` where that is free. 0, or an errno: EEXIST where it is taken. After a
 * lost answer of a file server the link may be there although link failed: then the token tells.
 */
static int link_own(const char *own, const char *path, const holder *mine)
{
    int tries = 0, result;
    do result = link(own, path);
    while (result != 0 && ns_again(&tries));
    if (result == 0) return 0;
    int error = errno;
    holder found;
    if (error == EEXIST && look_at(&found, path) == HELD && strcmp(found.token, mine->token) == 0) return 0;
    if (!no_links(error)) return error;
    /* A file system without hard links: the name is made first and filled at once. */
    int fd;
    do fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    while (fd < 0 && ns_again(&tries));
    if (fd < 0) return errno;
    close(fd);
    return rename_again(own, path) ? 0 : errno;
}

static ns_status held_by(const holder *h, const char *path, const char *what)
{
    char job[TEXT + 32] = "";
    if (h->job[0] != '\0') snprintf(job, sizeof job, " of Slurm job %s", h->job);
    return ns_fail(NS_EINVAL,
                   "%s is held by process %" PRId64 " on %s%s since %s; if that process is gone, remove '%s'",
                   what, h->pid, h->host, job, h->since, path);
}

typedef struct request {
    const char *path, *what, *own; /* own: a whole file with this process's record, under its own name */
    const holder *mine;
    int depth;
} request;

static ns_status take(const request *r, bool *got, char *taken_over, size_t size);

/* PATH.over.TOKEN, the claim for the lock with that token, or PATH.new.TOKEN, a lock not yet in its place. */
static char *beside(const char *path, const char *word, const char *token)
{
    size_t room = strlen(path) + strlen(word) + strlen(token) + 3;
    char *name = malloc(room);
    if (name != NULL) snprintf(name, room, "%s.%s.%s", path, word, token);
    return name;
}

/*
 * Runs under the claim for the lock with this token: the holder is looked at again, and if it is still the
 * same, `own` takes its place, or (own NULL) the file is removed. *done is false where somebody else was
 * first: look again.
 */
static ns_status replace_claimed(const char *path, const char *token, const char *own, bool *done)
{
    holder now;
    *done = false;
    if (look_at(&now, path) != HELD || strcmp(now.token, token) != 0) return NS_OK;
    if (own == NULL) {
        *done = unlink_again(path);
        return NS_OK;
    }
    if (!rename_again(own, path))
        return ns_fail(NS_EIO, "cannot rename '%s' to '%s': %s", own, path, strerror(errno));
    *done = true;
    return NS_OK;
}

/* Claims the lock with this token and replaces it. The claim is a lock with a file of its own beside it. */
static ns_status replace(const request *r, const char *token, const char *own, bool *done)
{
    *done = false;
    if (r->depth >= DEEPEST)
        return ns_fail(NS_EINVAL, "%s: too many broken takeovers; remove every file '%s.over.*'", r->what,
                       r->path);
    char *claim = beside(r->path, "over", token), *claim_own = NULL, nobody[TEXT];
    bool got = false;
    ns_status status = NS_OK;
    if (claim != NULL) claim_own = beside(claim, "new", r->mine->token);
    if (claim_own == NULL) status = ns_fail(NS_ENOMEM, "no memory for a lock");
    if (status == NS_OK) status = write_own(claim_own, claim, r->mine);
    if (status == NS_OK) {
        request claiming = {
            .path = claim, .what = r->what, .own = claim_own, .mine = r->mine, .depth = r->depth + 1};
        status = take(&claiming, &got, nobody, sizeof nobody);
        unlink_again(claim_own);
    }
    if (status == NS_OK && got) {
        status = replace_claimed(r->path, token, own, done);
        unlink_again(claim);
    }
    free(claim_own);
    free(claim);
    return status;
}

/*
 * One lock: by link where it is free, by a claim where it is stale. *got tells whether it is ours. Each turn
 * of the loop that goes on has seen the lock change hands, so it ends.
 */
static ns_status take(const request *r, bool *got, char *taken_over, size_t size)
{
    *got = false;
    taken_over[0] = '\0';
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        int error = link_own(r->own, r->path, r->mine);
        if (error == 0) {
            *got = true;
            return NS_OK;
        }
        if (error != EEXIST && error != EINTR && error != ESTALE)
            return ns_fail(NS_EIO, "cannot create '%s': %s", r->path, strerror(error));
        holder theirs;
        look found = look_at(&theirs, r->path);
        if (found == UNREADABLE) return ns_fail(NS_EIO, "cannot read '%s': %s", r->path, strerror(errno));
        if (found == BROKEN)
            return ns_fail(NS_EINVAL,
                           "%s is locked by '%s', which is no lock file of this program; remove it if no run "
                           "is going on",
                           r->what, r->path);
        if (found == FREE) continue;
        const char *why = why_stale(&theirs, r->mine);
        if (why == NULL) return held_by(&theirs, r->path, r->what);
        NS_TRY(replace(r, theirs.token, r->own, got));
        if (!*got) continue;
        snprintf(taken_over, size, "process %" PRId64 " on %s since %s: %s", theirs.pid, theirs.host,
                 theirs.since, why);
        return NS_OK;
    }
    return ns_fail(NS_EINVAL, "%s is being taken by many processes at once ('%s')", r->what, r->path);
}

ns_status ns_lock_take(ns_lock **out, const char *path, const char *what, char *taken_over, size_t size)
{
    *out = NULL;
    if (size > 0) taken_over[0] = '\0';
    char nobody[TEXT], *own = NULL;
    bool got = false;
    ns_status status = NS_OK;
    ns_lock *lock = calloc(1, sizeof *lock);
    if (lock != NULL) lock->path = strdup(path);
    if (lock == NULL || lock->path == NULL) status = ns_fail(NS_ENOMEM, "no memory for a lock");
    if (status == NS_OK) status = describe_self(&lock->mine);
    if (status == NS_OK) {
        own = beside(path, "new", lock->mine.token);
        if (own == NULL) status = ns_fail(NS_ENOMEM, "no memory for a lock");
    }
    if (status == NS_OK) status = write_own(own, path, &lock->mine);
    if (status == NS_OK) {
        request r = {.path = path, .what = what, .own = own, .mine = &lock->mine, .depth = 0};
        status = take(&r, &got, size > 0 ? taken_over : nobody, size > 0 ? size : sizeof nobody);
        unlink_again(own); /* after a link it has two names; after a rename it is gone already */
    }
    free(own);
    if (status == NS_OK) {
        *out = lock;
        return NS_OK;
    }
    if (lock != NULL) free(lock->path);
    free(lock);
    return status;
}

bool ns_lock_still_mine(const ns_lock *lock)
{
    holder now;
    look found = look_at(&now, lock->path);
    if (found == UNREADABLE) return true;
    return found == HELD && strcmp(now.token, lock->mine.token) == 0;
}

void ns_lock_release(ns_lock **lock_at)
{
    ns_lock *lock = *lock_at;
    if (lock == NULL) return;
    if (ns_lock_still_mine(lock)) {
        /* Under its claim, so that a lock which somebody takes over in this moment is not removed. Where the
           disk has no room for a claim it goes without: else it would stay, and another host could not tell
           that its holder is gone. */
        bool removed, failed_before = ns_last_error()->code != NS_OK;
        request r = {.path = lock->path, .what = "the lock", .own = NULL, .mine = &lock->mine, .depth = 0};
        ns_status status = replace(&r, lock->mine.token, NULL, &removed);
        if (status == NS_EIO && ns_lock_still_mine(lock)) unlink_again(lock->path);
        if (status != NS_OK && !failed_before) ns_error_clear();
    }
    free(lock->path);
    free(lock);
    *lock_at = NULL;
}
