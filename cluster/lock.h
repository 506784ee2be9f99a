#ifndef NIGHTSHIFT_CLUSTER_LOCK_H
#define NIGHTSHIFT_CLUSTER_LOCK_H
/*
 * The lock of a run folder: a small file that names the process which holds it. It is made whole by one
 * link(), so that nobody ever reads half of it. All calls are local; only rank 0 makes them.
 *
 * The file is one line of JSON: token (random, of this lock), job and restart (SLURM_JOB_ID,
 * SLURM_RESTART_COUNT), host, boot, pidns, pid, start (clock ticks since boot), since (UTC).
 *
 * A lock is stale, and is taken over, when its holder cannot be alive:
 *   - it ran on this host, before the kernel was started anew, or its process is gone, or its process id is
 * another's now;
 *   - it belongs to this Slurm job before its last requeue (same job, lower restart count), on whatever host.
 * Otherwise it is held. What cannot be judged (another host, another container, a file that is no lock)
 * counts as held: the message names the file, to be removed by someone who knows that its holder is gone.
 */
#include <stdbool.h>
#include <stddef.h>

#include "cluster/status.h"

typedef struct ns_lock ns_lock;

/*
 * Takes the lock, or fails at once: it never waits. Of several that try at the same time exactly one gets it.
 *   out         out  released with ns_lock_release; NULL on failure
 *   path        in   the lock file, in a folder that is there
 *   what        in   what is locked, for messages: "the run folder"
 *   taken_over  out  size bytes; whose stale lock this was, free of quotes, "" where there was none
 * NS_EINVAL: "WHAT is held by process 123 on HOST since …". NS_EIO: the file cannot be written or read.
 * NS_ENOMEM.
 */
ns_status ns_lock_take(ns_lock **out, const char *path, const char *what, char *taken_over, size_t size);

/* True while the file still names this lock; false once somebody took it over or removed it: then write
   nothing more. Where the file cannot be read for another reason than its absence the answer is true. */
bool ns_lock_still_mine(const ns_lock *lock);

/* Removes the file where it is still this lock's, frees the lock and sets it NULL. NULL is fine. A folder
   that was renamed meanwhile keeps its file. */
void ns_lock_release(ns_lock **lock);
#endif
