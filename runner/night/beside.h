#ifndef NIGHTSHIFT_RUNNER_NIGHT_BESIDE_H
#define NIGHTSHIFT_RUNNER_NIGHT_BESIDE_H
/*
 * Work on a thread of its own, one piece at a time, beside what the caller does meanwhile. The work calls neither MPI nor HDF5
 * (MPI_THREAD_FUNNELED; HDF5 is not thread-safe) and opens no OpenMP region. Local.
 */
#include <stdbool.h>

#include "cluster/status.h"

typedef ns_status (*ns_beside_work)(void *context);
typedef struct ns_beside ns_beside;

/*
 *   alone  in  no thread of its own: ns_beside_start does the work before it returns, as it also does where no thread can be had
 * NS_ENOMEM.
 */
ns_status ns_beside_open(ns_beside **out, ns_beside_work work, void *context, bool alone);

/* Begins with a piece of work; the one before must have been waited for. */
void ns_beside_start(ns_beside *beside);

/* Until the work is done: what it returned, with its words in the record of failures; NS_OK where nothing was begun. */
ns_status ns_beside_wait(ns_beside *beside);

void ns_beside_close(ns_beside **beside); /* waits; a failure is forgotten */
#endif
