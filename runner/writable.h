#ifndef NIGHTSHIFT_RUNNER_WRITABLE_H
#define NIGHTSHIFT_RUNNER_WRITABLE_H
/*
 * Whether a path that a user named can be written, asked before anything is started: a wrong path is exit 2,
 * and must not look like a disk that failed. Local; rank 0 asks.
 */
#include "cluster/status.h"

/* A folder that is there, or can be made with its parents. NS_EINVAL names the part of the path that is no
   folder or not writable. NS_ENOMEM. what: "the run folder" */
ns_status ns_writable_folder(const char *path, const char *what);

/* A file, there or not, whose folder may be made. NS_EINVAL: as above, or a folder stands under its name.
 * NS_ENOMEM. */
ns_status ns_writable_file(const char *path, const char *what);

/* The same where nobody makes the folder: it must be there. */
ns_status ns_writable_file_here(const char *path, const char *what);

/* How many folders at the end of a path are not there yet, so that mkdir would make them. */
int ns_writable_n_missing(const char *path);

/* Removes the last n folders of a path, from its end, as long as they are empty: those that a refused run made for nothing. */
void ns_writable_unmake(const char *path, int n);
#endif
