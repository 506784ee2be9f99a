#ifndef NIGHTSHIFT_RUNNER_RUN_FOLDER_H
#define NIGHTSHIFT_RUNNER_RUN_FOLDER_H
/*
 * The folder of a run (design.md, section 6): lock, job.yaml, run.json with one entry per life, log.jsonl, checkpoints.
 * All calls are local; only rank 0 makes them.
 */
#include <jansson.h>

#include "cluster/lock.h"
#include "cluster/status.h"
#include "runner/package.h"

typedef struct ns_run_folder {
    char *path;
    int n_made;        /* folders at the end of path that open made: close takes those away that are still empty */
    ns_lock *lock;
    json_t *document;  /* run.json */
    json_t *life;      /* this life's entry in it; borrowed from document */
    char *log_lines;   /* log lines not yet on disk */
    size_t n_log, room_log;
} ns_run_folder;

/*
 * Makes the folder where it is not there, takes its lock and removes what killed lives left unpublished.
 *   life  in  hex id of this process start
 * NS_EINVAL: held by another process, not writable. NS_EIO, NS_ENOMEM. Close in either case.
 */
ns_status ns_run_folder_open(ns_run_folder *out, const char *path, const char *life);

/* Moves PATH to PATH.1 (or the first number that is free) before open. NS_EINVAL: held. NS_EIO. No error where there is none. */
ns_status ns_run_folder_set_aside(const char *path);

/* Publishes job.yaml; run.json with what is known of this life so far: call again whenever that changed. NS_EIO. */
ns_status ns_run_folder_write_job(ns_run_folder *run, const char *echo);
ns_status ns_run_folder_write_lives(ns_run_folder *run);

/* Writes the held log lines, whole, to log.jsonl. NS_EIO. */
ns_status ns_run_folder_flush_log(ns_run_folder *run);

/* Holds one line of log.jsonl; line is taken over. NS_ENOMEM. */
ns_status ns_run_folder_log(ns_run_folder *run, json_t *line);

/* Cuts log.jsonl back to its first n_rounds lines that are whole. NS_EIO. */
ns_status ns_run_folder_cut_log(ns_run_folder *run, int64_t n_rounds);

/* Publishes checkpoints/NNNNNN and removes all but the two newest that verify. NS_EIO, NS_ENOMEM. */
ns_status ns_run_folder_save(ns_run_folder *run, int64_t n_rounds, const ns_package_file *files, int n_files, json_t *manifest);

/*
 * The newest checkpoint that verifies, *n_rounds -1 where there is none. Those that do not verify are passed over with a
 * warning in the log. NS_ENOMEM. Destroy out in either case.
 */
ns_status ns_run_folder_newest(ns_package *out, int64_t *n_rounds, const ns_run_folder *run);

/* NS_EINVAL where the lock was taken over by somebody else in the meantime: then nothing more may be written. */
ns_status ns_run_folder_check_lock(const ns_run_folder *run);

void ns_run_folder_close(ns_run_folder *run); /* gives the lock back; a folder that open made and nothing was put into goes */

/* PATH/NAME; freed by the caller, NULL without memory. */
char *ns_path_join(const char *folder, const char *name);
#endif
