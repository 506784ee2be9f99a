#ifndef NIGHTSHIFT_DATA_PREAD_H
#define NIGHTSHIFT_DATA_PREAD_H
/* Bytes of a file at a place, whole: the one way in which stored chunks are read past HDF5. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads n bytes from `offset` on. Short reads go on where they stopped; EINTR is tried again without end, ESTALE and EAGAIN
 * a few times with a pause (network file systems answer so for a moment).
 * Local; any number of threads on one descriptor. False: an error (errno says which), or the file ends before (errno 0).
 */
bool ns_pread(int descriptor, void *bytes, size_t n, int64_t offset);
#endif
