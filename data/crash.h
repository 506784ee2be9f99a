#ifndef NIGHTSHIFT_DATA_CRASH_H
#define NIGHTSHIFT_DATA_CRASH_H
/*
 * HDF5 1.10 can crash on a file with a flipped bit (in metadata without a checksum, in references to variable-length text).
 * While such a library reads a file, the file is watched: a fatal signal then becomes the one error line and exit 3 of a
 * damaged file, instead of a core dump that nobody can place. Memory may be broken by then, so nothing is cleaned up: what
 * is published is published by rename, and a lock that stays behind is known to be stale.
 */

/*
 * Names the file that is read from now on; NULL: none. Returns what was watched before, to be watched again afterwards.
 * path is borrowed until then. Local; one thread at a time.
 */
const char *ns_crash_watch(const char *path);
#endif
