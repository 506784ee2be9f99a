#include "data/scratch.h"

/*
 * A piece gets its place in the file when it is full, so where a stream's pieces lie depends on the other
 * threads, and what they hold does not.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ns_scratch {
    char *path;
    int64_t piece_bytes;
    int file; /* -1 until the first piece is full */
    int64_t n_bytes;
};

ns_status ns_scratch_create(ns_scratch **out, const char *beside, int64_t piece_bytes)
{
    size_t room = strlen(beside) + 20;
    ns_scratch *scratch = calloc(1, sizeof *scratch);
    *out = scratch;
    if (scratch == NULL) return ns_fail(NS_ENOMEM, "no memory for a temporary file");
    scratch->file = -1;
    scratch->piece_bytes = piece_bytes;
    scratch->path = malloc(room);
    if (scratch->path == NULL) {
        ns_scratch_destroy(out);
        return ns_fail(NS_ENOMEM, "no memory for a temporary file");
    }
    snprintf(scratch->path, room, "%s.scratch.XXXXXX", beside);
    return NS_OK;
}

void ns_scratch_destroy(ns_scratch **scratch)
{
    if (*scratch == NULL) return;
    if ((*scratch)->file >= 0) close((*scratch)->file);
    free((*scratch)->path);
    free(*scratch);
    *scratch = NULL;
}

int64_t ns_scratch_n_bytes(const ns_scratch *scratch)
{
    return scratch->n_bytes;
}

/* A place in the file, which is made here: one thread at a time. */
static ns_status take_place(ns_scratch *scratch, int64_t n_bytes, int64_t *offset)
{
    ns_status status = NS_OK;
#pragma omp critical(ns_scratch)
    {
        if (scratch->file < 0) {
            scratch->file = mkstemp(scratch->path);
            if (scratch->file < 0)
                status = ns_fail(NS_EIO, "cannot make a temporary file '%s': %s", scratch->path, strerror(errno));
            else
                unlink(scratch->path);
        }
        *offset = scratch->n_bytes;
        scratch->n_bytes += n_bytes;
    }
    return status;
}

static ns_status write_piece(ns_scratch_stream *stream, ns_scratch *scratch)
{
    if (stream->n_pieces == stream->room_pieces) {
        int64_t room = stream->room_pieces == 0 ? 8 : stream->room_pieces * 2;
        ns_scratch_piece *pieces = realloc(stream->pieces, (size_t)room * sizeof *pieces);
        if (pieces == NULL) return ns_fail(NS_ENOMEM, "no memory for a temporary file");
        stream->pieces = pieces;
        stream->room_pieces = room;
    }
    int64_t offset, done = 0;
    NS_TRY(take_place(scratch, stream->used, &offset));
    while (done < stream->used) {
        ssize_t n = pwrite(scratch->file, stream->bytes + done, (size_t)(stream->used - done), offset + done);
        if (n < 0 && (errno == EINTR || errno == ESTALE)) continue;
        if (n <= 0)
            return ns_fail(NS_EIO, "cannot write a temporary file beside the output ('%s'): %s", scratch->path,
                           strerror(n < 0 ? errno : ENOSPC));
        done += n;
    }
    stream->pieces[stream->n_pieces++] = (ns_scratch_piece){offset, stream->used};
    stream->used = 0;
    return NS_OK;
}

ns_status ns_scratch_make_room(char **place, ns_scratch_stream *stream, ns_scratch *scratch, int64_t n_bytes)
{
    if (stream->used > 0 && stream->used + n_bytes > scratch->piece_bytes) NS_TRY(write_piece(stream, scratch));
    if (stream->used + n_bytes > stream->room) {
        /* small tables take little: the piece grows to its size by doubling */
        int64_t room = stream->room * 2 > 512 ? stream->room * 2 : 512;
        if (room > scratch->piece_bytes) room = scratch->piece_bytes;
        if (room < stream->used + n_bytes) room = stream->used + n_bytes;
        char *larger = realloc(stream->bytes, (size_t)room);
        if (larger == NULL) return ns_fail(NS_ENOMEM, "no memory for a column");
        stream->bytes = larger;
        stream->room = room;
    }
    *place = stream->bytes + stream->used;
    return NS_OK;
}

bool ns_scratch_is_empty(const ns_scratch_stream *stream)
{
    return stream->used == 0 && stream->n_pieces == 0;
}

void ns_scratch_stream_destroy(ns_scratch_stream *stream)
{
    free(stream->bytes);
    free(stream->pieces);
    *stream = (ns_scratch_stream){0};
}

static ns_status read_piece(const ns_scratch *scratch, const ns_scratch_piece *piece, char *bytes)
{
    int64_t done = 0;
    while (done < piece->n_bytes) {
        ssize_t n = pread(scratch->file, bytes + done, (size_t)(piece->n_bytes - done), piece->offset + done);
        if (n < 0 && (errno == EINTR || errno == ESTALE)) continue;
        if (n <= 0)
            return ns_fail(NS_EIO, "cannot read a temporary file beside the output ('%s'): %s", scratch->path,
                           n < 0 ? strerror(errno) : "it ends too early");
        done += n;
    }
    return NS_OK;
}

ns_status ns_scratch_next(const ns_scratch_stream *stream, const ns_scratch *scratch, ns_scratch_walk *walk, const char **bytes,
                         int64_t *n_bytes)
{
    *n_bytes = 0;
    if (walk->piece > stream->n_pieces) return NS_OK;
    if (walk->piece == stream->n_pieces) { /* the last one never went to the file */
        walk->piece++;
        *bytes = stream->bytes;
        *n_bytes = stream->used;
        return NS_OK;
    }
    const ns_scratch_piece *piece = &stream->pieces[walk->piece++];
    if (piece->n_bytes > walk->room) {
        char *larger = realloc(walk->bytes, (size_t)piece->n_bytes);
        if (larger == NULL) return ns_fail(NS_ENOMEM, "no memory to read a column again");
        walk->bytes = larger;
        walk->room = piece->n_bytes;
    }
    NS_TRY(read_piece(scratch, piece, walk->bytes));
    *bytes = walk->bytes;
    *n_bytes = piece->n_bytes;
    return NS_OK;
}

void ns_scratch_walk_end(ns_scratch_walk *walk)
{
    free(walk->bytes);
    *walk = (ns_scratch_walk){0};
}
