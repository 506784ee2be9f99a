#ifndef NIGHTSHIFT_RUNNER_SLURM_SUBMISSION_H
#define NIGHTSHIFT_RUNNER_SLURM_SUBMISSION_H
/*
 * What was handed to Slurm, frozen (README, "On Slurm"):
 *
 *     RUN/submissions/3/job.yaml         the resolved job: absolute paths, site file and --set within
 *     RUN/submissions/3/site.yaml        stands for the site file: empty, so that a later change of it changes nothing in the queue
 *     RUN/submissions/3/train.sh …       the batch scripts; train.log …: what the jobs say, all lives of them
 *     RUN/submissions/3/submission.json  who, when, which program, which night, the jobs' ids
 *     RUN/submissions/programs/HASH/nightshift   the program, once for each build
 *
 * All calls are local; one process makes them.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster/lock.h"
#include "cluster/status.h"

typedef struct ns_submission {
    char *run;      /* absolute */
    char *folder;   /* RUN/submissions/N, and N */
    int number;
    char *program;  /* the frozen one; of a dry run the one that is running */
    json_t *record; /* submission.json */
    ns_lock *lock;  /* of RUN/submissions; NULL in a dry run */
    int n_made;     /* folders that open made */
    bool copies_program, frozen;
} ns_submission;

typedef enum ns_submission_kind { NS_SUBMISSION_REAL, NS_SUBMISSION_DRY } ns_submission_kind;

/*
 * Chooses the next free number. REAL: takes the lock of RUN/submissions, so that of two at one moment the second is refused. DRY:
 * writes nothing.
 *   run  in  absolute path of the run folder, there or not
 * NS_EINVAL: held by another process, not writable. NS_EIO, NS_ENOMEM. Close in either case; start from a zeroed one.
 */
ns_status ns_submission_open(ns_submission *out, const char *run, ns_submission_kind kind);

/* Makes the folder and copies the program, where this build's copy is not there yet. NS_EIO, NS_ENOMEM. */
ns_status ns_submission_freeze(ns_submission *s);

/* Publishes a file of the folder. NS_EIO, NS_ENOMEM. */
ns_status ns_submission_write(const ns_submission *s, const char *name, const char *text);

/* Publishes submission.json as it is now. NS_EIO, NS_ENOMEM. */
ns_status ns_submission_write_record(const ns_submission *s);

/* FOLDER/name, freed by the caller; NULL without memory. */
char *ns_submission_path(const ns_submission *s, const char *name);

/* Takes the folder of a submission that came to nothing away again, and those above it that open made for nothing. */
void ns_submission_abandon(ns_submission *s);
void ns_submission_close(ns_submission *s);

/* A job of an earlier submission of the same run that Slurm still has. */
typedef struct ns_live_job {
    int64_t id;
    int number; /* of the submission */
    char verb[16], as_of[16], state[24];
} ns_live_job;

/*
 *   out  out  freed by the caller; oldest submission first
 * NS_EUNAVAILABLE: Slurm cannot be asked. NS_ENOMEM.
 */
ns_status ns_submission_live(ns_live_job **out, int *n, const char *run);
#endif
