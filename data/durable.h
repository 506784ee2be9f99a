#ifndef NIGHTSHIFT_DATA_DURABLE_H
#define NIGHTSHIFT_DATA_DURABLE_H
/*
 * Files that survive any crash: temporary name in the same folder, write, sync, verify, rename, sync the folder.
 * Every call that touches a run folder, a bundle or a score file goes through here, under a name of its own, so that the
 * tests can hit each one. All calls are local; rank 0 makes them. EINTR and ESTALE are tried again.
 *
 * Test hook: NIGHTSHIFT_TEST_FAULT="NAME[#K]:before|after|torn:kill|fail" kills the process (SIGKILL) or fails with ENOSPC
 * at the K-th (default first) operation of that NAME; "torn" writes the first half of the bytes first, or empties a folder
 * that is to be removed. NIGHTSHIFT_TEST_TRACE=FILE appends the name of every operation done, before "after" strikes. Names
 * are "OP:LABEL", OP one of mkdir, write, sync, rename, syncdir, unlink, link and LABEL what the caller calls it, e.g.
 * "rename:bundle". A fault that cannot be read fails every operation with NS_EINVAL. Both are read once.
 *
 * NS_EIO says what could not be done, the caller's path and the system's reason: "cannot write 'x': No space left on device".
 * A path may have up to 4,095 bytes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cluster/status.h"

/* Who may read what this process makes: group leaves files (0666) and folders (0777) to umask 027 and to the folder's default
   access list; private makes them 0600 and 0700 (umask 077), which no access list widens. Before the first call: 0666, 0777 and
   the umask the process was started with. */
typedef enum ns_share { NS_SHARE_PRIVATE, NS_SHARE_GROUP } ns_share;
void ns_durable_share(ns_share share);

/* Makes a file so, or empties it, for a library that opens it itself and knows no modes. NS_EIO. */
ns_status ns_durable_touch(const char *path);

/* Called by writers that use a library of their own (HDF5) around their write and sync. op: "write", "sync", … when: "before"
   and "after" each step, and where a step can be cut in two, "torn" in its middle. NS_EIO where the test hook says so. */
ns_status ns_durable_point(const char *op, const char *label, const char *when);

/* Makes a folder and its parents (0777, left to the umask), each an operation mkdir:LABEL, syncdir:LABEL. No error, and no
   operation, where it is already. NS_EIO. */
ns_status ns_durable_mkdir(const char *path, const char *label);

/*
 * Writes a whole file under path itself: create (0666, left to the umask, truncating), write, sync, close, read back and
 * compare. For files inside a folder that is not published yet: write:LABEL, sync:LABEL. Fails with NS_EIO and removes the
 * file then.
 */
ns_status ns_durable_write(const char *path, const void *bytes, size_t n_bytes, const char *label);

/* As ns_durable_write, published under path by rename from path.tmp, then the folder is synced: write:LABEL, sync:LABEL,
   rename:LABEL, syncdir:LABEL. What a killed process left under path.tmp is written over; so of several processes that may
   publish the same path only one may do it at a time: the one that holds a lock (cluster/lock.h).
   Fails with NS_EIO: path is as it was (after a failed syncdir: new), and no temporary file stays. */
ns_status ns_durable_publish(const char *path, const void *bytes, size_t n_bytes, const char *label);

/* fsync of a file (sync:LABEL) or folder (syncdir:LABEL) by name. NS_EIO. */
ns_status ns_durable_sync(const char *path, const char *label);

/* rename, then sync of the parent folder of to. NS_EIO. */
ns_status ns_durable_rename(const char *from, const char *to, const char *label);

/*
 * Publishes from under to, and keeps what stood there under kept; all three in one file system.
 *   a file    kept becomes a second name of the old file first (link:LABEL, rename:LABEL, syncdir:LABEL), replacing a file
 *             kept, then from -> to (rename:LABEL, syncdir:LABEL): at every moment to is whole and nothing is lost
 *   a folder  the names from and to are swapped in one step (link:LABEL), then from -> kept (rename:LABEL); killed between
 *             the two, the old content stands under from
 * Where the file system can do neither: to -> kept, from -> to. Where to is absent: a plain rename.
 * Fails with NS_EIO, also where kept is a folder or would replace one; to is as before then, but for a failed last syncdir.
 */
ns_status ns_durable_replace(const char *from, const char *to, const char *kept, const char *label);

/* Removes a file, a link or a whole folder (unlink:LABEL); no error, and no operation, where it is not there. A folder is first
   renamed to path.tmp.gone (rename:LABEL, syncdir:LABEL), unless its name has .tmp already, so that nobody sees half of it;
   what a killed removal left of that goes with the next removal of path. NS_EIO. */
ns_status ns_durable_remove(const char *path, const char *label);

/* Appends lines, each with its newline, to a file (created 0666) with one write; not synced. For logs. NS_EIO; what was
   written of them is cut off again. */
ns_status ns_durable_append(const char *path, const char *line, const char *label);

/* A whole file in memory, a 0 behind it; freed by the caller. *bytes NULL and NS_OK with *found false where it is absent.
   NS_EIO (a folder, unreadable), NS_ENOMEM. */
ns_status ns_read_whole(const char *path, char **bytes, size_t *n_bytes, bool *found);

/* Whether a name is taken; a link that leads nowhere is there too. */
bool ns_path_exists(const char *path);
#endif
