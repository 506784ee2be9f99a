#ifndef NIGHTSHIFT_DATA_SCRATCH_H
#define NIGHTSHIFT_DATA_SCRATCH_H
/*
 * Streams of bytes that are written once, in order, and read back in order, in bounded memory: each holds one
 * piece in memory, and full pieces lie in one temporary file shared by all streams. The file is made when the
 * first piece is full, and its name is removed at once, so that nothing is left behind by a process that
 * dies. Different threads may append to, or read, different streams at the same time.
 *
 * Memory: one piece a stream, 16 bytes for each piece written, one piece a walk.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_scratch ns_scratch;

/*
 *   beside       in  the temporary file is made in the folder of this path, under the path with ".scratch" behind it. copied
 *   piece_bytes  in  > 0
 * NS_ENOMEM. Nothing is made on disk yet.
 */
ns_status ns_scratch_create(ns_scratch **out, const char *beside, int64_t piece_bytes);
void ns_scratch_destroy(ns_scratch **scratch);
int64_t ns_scratch_n_bytes(const ns_scratch *scratch); /* in the file so far */

typedef struct ns_scratch_piece {
    int64_t offset, n_bytes;
} ns_scratch_piece;

typedef struct ns_scratch_stream {
    char *bytes; /* [used] of the piece in work */
    int64_t used, room;
    ns_scratch_piece *pieces; /* those in the file */
    int64_t n_pieces, room_pieces;
} ns_scratch_stream;

/* A place for n_bytes that will stay side by side in one piece, of which ns_scratch_took says how many were used. {0} is an
   empty stream. NS_EIO, NS_ENOMEM. */
ns_status ns_scratch_make_room(char **place, ns_scratch_stream *stream, ns_scratch *scratch, int64_t n_bytes);

static inline ns_status ns_scratch_room(char **place, ns_scratch_stream *stream, ns_scratch *scratch, int64_t n_bytes)
{
    if (stream->used + n_bytes > stream->room) return ns_scratch_make_room(place, stream, scratch, n_bytes);
    *place = stream->bytes + stream->used;
    return NS_OK;
}

static inline void ns_scratch_took(ns_scratch_stream *stream, int64_t n_bytes)
{
    stream->used += n_bytes;
}

bool ns_scratch_is_empty(const ns_scratch_stream *stream);
void ns_scratch_stream_destroy(ns_scratch_stream *stream); /* back to {0} */

/* A walk over the pieces in order; starts as {0}, its memory is freed with ns_scratch_walk_end. */
typedef struct ns_scratch_walk {
    int64_t piece;
    char *bytes;
    int64_t room;
} ns_scratch_walk;

/* The next piece: valid until the next call, and until the stream is appended to. *n_bytes 0: the end. NS_EIO, NS_ENOMEM. */
ns_status ns_scratch_next(const ns_scratch_stream *stream, const ns_scratch *scratch, ns_scratch_walk *walk, const char **bytes,
                         int64_t *n_bytes);
void ns_scratch_walk_end(ns_scratch_walk *walk);
#endif
