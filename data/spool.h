#ifndef NIGHTSHIFT_DATA_SPOOL_H
#define NIGHTSHIFT_DATA_SPOOL_H
/*
 * A file that is written in pieces, of any size in all, and made durable before anybody sees it: the caller names it with a
 * temporary name and renames it (data/durable.h). Local; EINTR and ESTALE are tried again.
 */
#include <stddef.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_spool ns_spool;

/*
 * Makes the file, or empties it, with the modes of run.share.
 *   label  in  of the test hook (data/durable.h): write:LABEL, sync:LABEL; a literal
 * NS_EIO, NS_ENOMEM.
 */
ns_status ns_spool_open(ns_spool **out, const char *path, const char *label);

/* Adds bytes at the end. NS_EIO. */
ns_status ns_spool_add(ns_spool *spool, const void *bytes, size_t n_bytes);

/* Writes the rest, syncs, closes, reads back and compares; hex gets the SHA-256. NS_EIO, also after any failure before: the file
   is removed then. */
ns_status ns_spool_finish(ns_spool *spool, char hex[65], int64_t *n_bytes);
void ns_spool_close(ns_spool **spool); /* unfinished: removes the file */

/* The SHA-256 of a file of any size. *n_bytes -1, hex "" and NS_OK where there is none. NS_EIO, NS_ENOMEM. */
ns_status ns_file_sha256(char hex[65], int64_t *n_bytes, const char *path);
#endif
