#ifndef NIGHTSHIFT_DATA_DURABLE_H
#define NIGHTSHIFT_DATA_DURABLE_H
/*
 * Files that survive any crash: temporary name in the same folder, write, sync, verify, rename, sync the folder.
 * Every call that touches a run folder, a bundle or a score file goes through here, under a name of its own, so that the
 * tests can hit each one. All calls are local; rank 0 makes them. EINTR and ESTALE are tried again.
 *
 * Test hook: NIGHTSHIFT_TEST_FAULT="NAME[#K]:before|after|torn:kill|fail" kills the process (SIGKILL) or fails with ENOSPC
 * at the K-th (default first) operation of that NAME; "torn" writes the first half of the bytes first. NIGHTSHIFT_TEST_TRACE=FILE
 * appends the name of every operation done. Names are "OP:LABEL", OP one of mkdir, write, sync, rename, syncdir, unlink, link
 * and LABEL what the caller calls it, e.g. "rename:bundle".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cluster/status.h"

/* Called by writers that use a library of their own (HDF5) around their write and sync. op: "write", "sync", … */
ns_status ns_durable_point(const char *op, const char *label, const char *when /* "before" or "after" */);

/* Makes a folder and its parents (0777, left to the umask). No error where it is already. NS_EIO. */
ns_status ns_durable_mkdir(const char *path, const char *label);

/*
 * Writes a whole file under path itself: create (0666, left to the umask, truncating), write, sync, close. For files inside a folder that is
 * not published yet. Fails with NS_EIO and removes the file then.
 */
ns_status ns_durable_write(const char *path, const void *bytes, size_t n_bytes, const char *label);

/* As ns_durable_write, published under path by rename from path.tmp.PID, then the folder is synced. */
ns_status ns_durable_publish(const char *path, const void *bytes, size_t n_bytes, const char *label);

/* fsync of a file or folder by name. NS_EIO. */
ns_status ns_durable_sync(const char *path, const char *label);

/* rename, then sync of the parent folder of to. NS_EIO. */
ns_status ns_durable_rename(const char *from, const char *to, const char *label);

/* Swaps two names in one step where the file system can (renameat2 RENAME_EXCHANGE); else to -> kept, from -> to.
   Afterwards the old content of to stands under kept. NS_EIO. */
ns_status ns_durable_replace(const char *from, const char *to, const char *kept, const char *label);

/* Removes a file or a whole folder; no error where it is not there. NS_EIO. */
ns_status ns_durable_remove(const char *path, const char *label);

/* Appends one line to a file (created 0666) with one write; not synced. For logs. NS_EIO. */
ns_status ns_durable_append(const char *path, const char *line, const char *label);

/* A whole file in memory, a 0 behind it; freed by the caller. *bytes NULL and NS_OK with *found false where it is absent.
   NS_EIO, NS_ENOMEM. */
ns_status ns_read_whole(const char *path, char **bytes, size_t *n_bytes, bool *found);

bool ns_path_exists(const char *path);
#endif
