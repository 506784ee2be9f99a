#include "cluster/watch.h"

ns_watch ns_watch_begin(double now)
{
    return (ns_watch){.whole = now};
}

bool ns_watch_is_stuck(ns_watch *watch, double now, int n_alive, int n_ranks)
{
    if (n_alive > 0 && !watch->any) { /* the others get their time from the first one on */
        watch->any = true;
        watch->whole = now;
    }
    if (n_alive >= n_ranks) watch->whole = now;
    return now - watch->whole >= (watch->any ? NS_LOST_RANK : NS_FIRST_RANK);
}
