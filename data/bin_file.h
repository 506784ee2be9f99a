#ifndef NIGHTSHIFT_DATA_BIN_FILE_H
#define NIGHTSHIFT_DATA_BIN_FILE_H
/*
 * A file of numbers without a header that one rank writes in segments, in any order and from many threads, and that any rank
 * reads back. What stands where is the caller's affair, and so are the check sums: a segment's is CRC-32 (RFC 1952), begun
 * with a word that tells its place, so that segments of the right bytes in wrong places are found out too.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_bin_segment {
    int64_t offset; /* in the file */
    size_t n_bytes;
    uint32_t place; /* what the check sum begins with */
} ns_bin_segment;

/* A new file, or an emptied one: write:LABEL of data/durable.h begins. NS_EIO. Local. */
ns_status ns_bin_file_create(int *descriptor, const char *path, const char *label);

/* Writes a segment. False with errno where that failed. Local, any threads at once. */
bool ns_bin_file_put(int descriptor, const ns_bin_segment *segment, const void *bytes, uint32_t *sum);

/*
 * Ends the writing: sync and close; the file is removed where that fails or `error`, an errno of a put, is not 0.
 * NS_EIO: "cannot write 'PATH': No space left on device". Local.
 */
ns_status ns_bin_file_finish(int *descriptor, const char *path, const char *label, int error);

/* -1 with errno where the file cannot be read. Closed with ns_bin_file_close; -1 is fine there. Local. */
int ns_bin_file_open(const char *path);
void ns_bin_file_close(int *descriptor);

/* Reads a segment. False: it cannot be read, or its bytes have not this sum. Local, any threads at once. */
bool ns_bin_file_get(int descriptor, const ns_bin_segment *segment, void *bytes, uint32_t sum);
#endif
