#include "data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { PACKED_BYTES = 1 << 17 };

struct ns_source {
    char *name;
    int file;
    bool at_end; /* of the file */
    bool packed, in_member;
    z_stream inflater;
    char *head; /* what was read to look at it, or is packed: [filled] bytes, of them taken ones are done with */
    int64_t filled, taken;
};

const char *ns_source_name(const ns_source *source)
{
    return source->name;
}

bool ns_source_is_packed(const ns_source *source)
{
    return source->packed;
}

/* What one read gives; *got is 0 at the end only. */
static ns_status read_some(ns_source *source, char *bytes, int64_t n_bytes, int64_t *got)
{
    *got = 0;
    while (!source->at_end) {
        ssize_t n = read(source->file, bytes, (size_t)n_bytes);
        if (n < 0 && (errno == EINTR || errno == ESTALE)) continue;
        if (n < 0 && errno == EISDIR) return ns_fail(NS_EFORMAT, "%s is a folder, not a CSV file", source->name);
        if (n < 0) return ns_fail(NS_EIO, "cannot read %s: %s", source->name, strerror(errno));
        source->at_end = n == 0;
        *got = n;
        break;
    }
    return NS_OK;
}

/* The first bytes, by which it is known whether the source is packed. */
static ns_status look(ns_source *source)
{
    while (source->filled < 2 && !source->at_end) {
        int64_t got;
        NS_TRY(read_some(source, source->head + source->filled, PACKED_BYTES - source->filled, &got));
        source->filled += got;
    }
    source->packed = source->filled >= 2 && memcmp(source->head, "\x1f\x8b", 2) == 0;
    if (!source->packed) return NS_OK;
    if (inflateInit2(&source->inflater, 15 + 16) != Z_OK) /* 16: with the header of gzip */
        return ns_fail(NS_ENOMEM, "no memory to unpack %s", source->name);
    source->in_member = true;
    return NS_OK;
}

ns_status ns_source_open(ns_source **out, const char *path)
{
    ns_source *source = calloc(1, sizeof *source);
    *out = source;
    if (source == NULL) return ns_fail(NS_ENOMEM, "no memory to read %s", path);
    bool standard_input = strcmp(path, "-") == 0;
    source->file = -1;
    source->name = strdup(standard_input ? "standard input" : path);
    source->head = malloc(PACKED_BYTES);
    ns_status status = NS_OK;
    if (source->name == NULL || source->head == NULL) status = ns_fail(NS_ENOMEM, "no memory to read %s", path);
    if (status == NS_OK) {
        source->file = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
        if (source->file < 0) status = ns_fail(NS_EFORMAT, "cannot open %s: %s", path, strerror(errno));
    }
    if (status == NS_OK) status = look(source);
    if (status != NS_OK) ns_source_close(out);
    return status;
}

void ns_source_close(ns_source **source)
{
    ns_source *s = *source;
    if (s == NULL) return;
    if (s->packed) inflateEnd(&s->inflater);
    if (s->file > STDIN_FILENO) close(s->file);
    free(s->head);
    free(s->name);
    free(s);
    *source = NULL;
}

/* Behind a member: another one, zeros up to the end (tapes pad with them), or the end. */
static ns_status between_members(ns_source *source)
{
    const char *rest = source->head + source->taken;
    int64_t n = source->filled - source->taken;
    if (n == 0 || rest[0] == '\0') {
        for (int64_t i = 0; i < n; i++)
            if (rest[i] != '\0') return ns_fail(NS_EFORMAT, "%s: something that is not gzip follows its gzip data", source->name);
        source->taken = source->filled;
        return NS_OK;
    }
    if (rest[0] != '\x1f') return ns_fail(NS_EFORMAT, "%s: something that is not gzip follows its gzip data", source->name);
    source->in_member = inflateReset(&source->inflater) == Z_OK;
    return NS_OK;
}

static ns_status unpack_some(ns_source *source, char *bytes, int64_t n_bytes, int64_t *got)
{
    z_stream *z = &source->inflater;
    *got = 0;
    if (source->taken == source->filled) {
        source->taken = 0;
        NS_TRY(read_some(source, source->head, PACKED_BYTES, &source->filled));
    }
    if (!source->in_member) {
        NS_TRY(between_members(source));
        if (!source->in_member) return NS_OK;
    }
    z->next_in = (Bytef *)source->head + source->taken;
    z->avail_in = (uInt)(source->filled - source->taken);
    z->next_out = (Bytef *)bytes;
    z->avail_out = n_bytes > (1 << 30) ? 1U << 30 : (uInt)n_bytes;
    uInt before = z->avail_out;
    int result = inflate(z, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return ns_fail(NS_EFORMAT, "%s: its gzip data are damaged", source->name);
    source->taken = source->filled - (int64_t)z->avail_in;
    *got = (int64_t)(before - z->avail_out); /* also of input that was given before */
    if (result == Z_STREAM_END)
        source->in_member = false;
    else if (*got == 0 && source->at_end && source->taken == source->filled)
        return ns_fail(NS_EFORMAT, "%s ends inside its gzip data: the file was cut short", source->name);
    return NS_OK;
}

ns_status ns_source_read(ns_source *source, char *bytes, int64_t n_bytes, int64_t *got)
{
    *got = 0;
    while (*got < n_bytes) {
        int64_t n = 0;
        if (source->packed) {
            NS_TRY(unpack_some(source, bytes + *got, n_bytes - *got, &n));
            if (n == 0 && source->at_end && source->taken == source->filled && !source->in_member) return NS_OK;
        } else if (source->taken < source->filled) {
            n = source->filled - source->taken < n_bytes - *got ? source->filled - source->taken : n_bytes - *got;
            memcpy(bytes + *got, source->head + source->taken, (size_t)n);
            source->taken += n;
        } else {
            NS_TRY(read_some(source, bytes + *got, n_bytes - *got, &n));
            if (n == 0) return NS_OK;
        }
        *got += n;
    }
    return NS_OK;
}
