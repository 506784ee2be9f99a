#ifndef NIGHTSHIFT_CLUSTER_SESSION_H
#define NIGHTSHIFT_CLUSTER_SESSION_H
/*
 * A folder of its own for what one mpirun keeps while it runs. Open MPI 4.1 puts that under one folder per user and
 * host, which every mpirun removes as it ends: another one that starts at that moment fails ("ORTE_ERROR_LOG … in file
 * session_dir.c"), as seen once in some thousand starts side by side.
 */
#include <stddef.h>

/*
 * Makes a fresh folder under $TMPDIR, or under /tmp where that is unset or too long for the sockets in it.
 *   path  out  size bytes; "" where none can be made: the launcher then uses its own
 */
void ns_session_open(char *path, size_t size);

/* Removes it with all that is in it; "" does nothing. */
void ns_session_close(const char *path);
#endif
