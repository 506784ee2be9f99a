#include "data/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/again.h"
#include "data/durable.h"
#include "data/hash.h"

enum { ROOM = 1 << 18 };

struct ns_spool {
    char *path;
    const char *label;
    int fd;
    bool failed, finished, torn;
    ns_sha256_stream *hash;
    int64_t n_bytes;
    size_t n_held;
    char held[ROOM];
};

static ns_status failed(const char *what, const char *path)
{
    return ns_fail(NS_EIO, "cannot %s '%.1000s': %s", what, path, strerror(errno));
}

ns_status ns_spool_open(ns_spool **out, const char *path, const char *label)
{
    ns_spool *spool = calloc(1, sizeof *spool);
    *out = NULL;
    if (spool == NULL) return ns_fail(NS_ENOMEM, "no memory to write '%s'", path);
    spool->fd = -1;
    spool->label = label;
    spool->path = strdup(path);
    spool->hash = ns_sha256_begin();
    ns_status status = spool->path == NULL || spool->hash == NULL ? ns_fail(NS_ENOMEM, "no memory to write '%s'", path) : ns_durable_point("write", label, "before");
    if (status == NS_OK) status = ns_durable_touch(path);
    int tries = 0;
    while (status == NS_OK && spool->fd < 0) {
        spool->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (spool->fd < 0 && !ns_again(&tries)) status = failed("write", path);
    }
    if (status != NS_OK) ns_spool_close(&spool);
    *out = spool;
    return status;
}

static ns_status put(ns_spool *spool)
{
    const char *at = spool->held;
    size_t left = spool->n_held;
    int tries = 0;
    ns_sha256_add(spool->hash, at, left);
    spool->n_bytes += (int64_t)left;
    spool->n_held = 0;
    while (left > 0) {
        ssize_t done = write(spool->fd, at, left);
        if (done < 0 && ns_again(&tries)) continue;
        if (done < 0) return failed("write", spool->path);
        tries = 0;
        at += done;
        left -= (size_t)done;
    }
    if (spool->torn) return NS_OK;
    spool->torn = true;
    return ns_durable_point("write", spool->label, "torn");
}

ns_status ns_spool_add(ns_spool *spool, const void *bytes, size_t n_bytes)
{
    const char *from = bytes;
    ns_status status = spool->failed ? ns_fail(NS_EIO, "cannot write '%s'", spool->path) : NS_OK;
    while (n_bytes > 0 && status == NS_OK) {
        size_t n = ROOM - spool->n_held < n_bytes ? ROOM - spool->n_held : n_bytes;
        memcpy(spool->held + spool->n_held, from, n);
        spool->n_held += n;
        from += n;
        n_bytes -= n;
        if (spool->n_held == ROOM) status = put(spool);
    }
    spool->failed = spool->failed || status != NS_OK;
    return status;
}

static ns_status sync_and_close(ns_spool *spool)
{
    NS_TRY(put(spool));
    NS_TRY(ns_durable_point("write", spool->label, "after"));
    NS_TRY(ns_durable_point("sync", spool->label, "before"));
    int tries = 0, result;
    do result = fsync(spool->fd);
    while (result != 0 && ns_again(&tries));
    if (result != 0) return failed("sync", spool->path);
    NS_TRY(ns_durable_point("sync", spool->label, "after"));
    result = close(spool->fd);
    spool->fd = -1;
    return result != 0 && errno != EINTR ? failed("write", spool->path) : NS_OK;
}

ns_status ns_spool_finish(ns_spool *spool, char hex[65], int64_t *n_bytes)
{
    char back[65];
    int64_t n_back = 0;
    hex[0] = '\0';
    *n_bytes = 0;
    if (spool->failed) return ns_fail(NS_EIO, "cannot write '%s'", spool->path);
    spool->failed = true;
    NS_TRY(sync_and_close(spool));
    ns_sha256_end(&spool->hash, hex);
    *n_bytes = spool->n_bytes;
    NS_TRY(ns_file_sha256(back, &n_back, spool->path));
    if (n_back != spool->n_bytes || strcmp(back, hex) != 0) return ns_fail(NS_EIO, "'%s' does not read back as it was written", spool->path);
    spool->failed = false;
    spool->finished = true;
    return NS_OK;
}

void ns_spool_close(ns_spool **out)
{
    ns_spool *spool = *out;
    if (spool == NULL) return;
    if (spool->fd >= 0) close(spool->fd);
    if (!spool->finished && spool->path != NULL) unlink(spool->path);
    ns_sha256_abandon(&spool->hash);
    free(spool->path);
    free(spool);
    *out = NULL;
}

/* --- reading --- */

static ns_status hash_open(char hex[65], int64_t *n_bytes, int fd, const char *path)
{
    unsigned char *piece = malloc(ROOM);
    ns_sha256_stream *hash = ns_sha256_begin();
    ns_status status = piece == NULL || hash == NULL ? ns_fail(NS_ENOMEM, "no memory to read '%s'", path) : NS_OK;
    ssize_t n = 1;
    for (int tries = 0; n != 0 && status == NS_OK;) {
        n = read(fd, piece, ROOM);
        if (n < 0 && ns_again(&tries)) continue;
        if (n < 0) status = failed("read", path);
        else ns_sha256_add(hash, piece, (size_t)n);
        *n_bytes += n > 0 ? n : 0;
    }
    ns_sha256_end(&hash, hex);
    free(piece);
    return status;
}

ns_status ns_file_sha256(char hex[65], int64_t *n_bytes, const char *path)
{
    int tries = 0, fd;
    hex[0] = '\0';
    *n_bytes = 0;
    do fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && ns_again(&tries));
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        *n_bytes = -1;
        return NS_OK;
    }
    if (fd < 0) return failed("read", path);
    ns_status status = hash_open(hex, n_bytes, fd, path);
    close(fd);
    return status;
}
