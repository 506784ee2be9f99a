#ifndef NIGHTSHIFT_CLUSTER_ASK_H
#define NIGHTSHIFT_CLUSTER_ASK_H
/* Asking another program, such as squeue: its words, its answer. */
#include "cluster/status.h"

/*
 * Runs a program, found by PATH, with nothing on its standard input and with the environment that this process was started with,
 * less what tells of a surrounding Slurm job or MPI launcher and of variables that a submission freezes (NIGHTSHIFT_SITE,
 * NIGHTSHIFT_AS_OF): what MPI put into the environment since shall not reach a job.
 *   words    in   NULL-terminated, the program first
 *   limit_s  in   seconds after which it is killed
 *   answer   out  what it wrote to standard output, its last newline cut off; freed by the caller; NULL on failure
 * Local. NS_EUNAVAILABLE: it is not installed, or did not answer in time. NS_EINVAL: it ended with another code than 0; the message
 * is the last line that it wrote to standard error. NS_ENOMEM.
 */
ns_status ns_ask(char **answer, const char *const *words, int limit_s);
#endif
