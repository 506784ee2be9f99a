#ifndef NIGHTSHIFT_CLUSTER_WATCH_H
#define NIGHTSHIFT_CLUSTER_WATCH_H
/*
 * When the one who started the ranks gives up on a missing one. A rank that is killed while MPI starts can leave its launcher and
 * the other ranks waiting for it for ever.
 */
#include <stdbool.h>

#define NS_LOST_RANK 20.0     /* seconds that a rank may be missing while its launcher goes on */
#define NS_FIRST_RANK 120.0   /* seconds until the first rank must be seen: a machine under load starts programs slowly */

typedef struct ns_watch {
    double whole; /* when all ranks were last seen, or none could be expected yet */
    bool any;     /* some rank has been seen */
} ns_watch;

/* now: seconds on any clock. Pure. */
ns_watch ns_watch_begin(double now);

/*
 * True where the run is stuck: a rank is gone, or none ever came, for longer than the limits above.
 *   n_alive  in  ranks that are alive; n_ranks where that cannot be told
 * Pure.
 */
bool ns_watch_is_stuck(ns_watch *watch, double now, int n_alive, int n_ranks);
#endif
