#ifndef NIGHTSHIFT_CLUSTER_AGREE_H
#define NIGHTSHIFT_CLUSTER_AGREE_H
/* Between local work that can fail and the next collective call: all ranks failed, or none did. */
#include <mpi.h>
#include <stddef.h>

#include "cluster/status.h"

/*
 * Gives every rank the code and the message of the lowest failing rank.
 *   mine  in  this rank's status; its message is in ns_last_error()
 * Collective over comm: the same status on every rank, NS_OK only if all passed NS_OK.
 */
ns_status ns_agree(ns_status mine, MPI_Comm comm);

/*
 * Rank root's bytes on every rank.
 *   bytes    inout  rank root: a malloc'ed block or NULL; others: receives one, owned by the caller
 *   n_bytes  inout  its size; a terminating 0 is added behind it on the receiving ranks
 * Collective over comm. Fails with NS_ENOMEM, alike on every rank.
 */
ns_status ns_share_bytes(void **bytes, size_t *n_bytes, int root, MPI_Comm comm);

/*
 * Fails with NS_EINVAL on every rank when ranks hold different texts (builds, job hashes).
 *   what  in  "program builds", "jobs": what differs, for the message
 * Collective over comm.
 */
ns_status ns_agree_text(const char *what, const char *text, MPI_Comm comm);
#endif
