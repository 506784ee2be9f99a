#ifndef NIGHTSHIFT_CLUSTER_AGAIN_H
#define NIGHTSHIFT_CLUSTER_AGAIN_H
/* System calls that a network file system or a signal cut short. */
#include <stdbool.h>

/*
 * Whether a call that failed just now (errno) wants to be made again: EINTR, a signal came in between, or ESTALE, a file
 * server's handle is out of date and the name has to be looked up anew.
 *   tries  inout  begins at 0; after a hundred the answer is no
 * Local.
 */
bool ns_again(int *tries);
#endif
