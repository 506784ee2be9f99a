#ifndef NIGHTSHIFT_DATA_KEPT_CHUNKS_H
#define NIGHTSHIFT_DATA_KEPT_CHUNKS_H
/*
 * Decoded chunks that wait until the rest of their rows is asked for: at most one of each data set, and 256 MiB in all; the
 * longest unused goes first. A wave of tasks reads kept chunks and fills new ones, so what is given up lives until the wave ends.
 * Local; of the thread that plans the waves.
 */
#include <stdint.h>

#include "data/cohort_private.h"

/* All of one cohort; from a zeroed one. */
typedef struct ns_kept_chunks {
    uint64_t wave, clock;
    size_t n_bytes;
    ns_stored_set **sets; /* that keep a chunk */
    int n_sets, set_room;
    unsigned char **retired; /* given up, but this wave may still read them */
    int n_retired, retired_room;
} ns_kept_chunks;

/* The kept chunk of a set, if it is this one and its cells are there; else NULL. */
const unsigned char *ns_kept_find(ns_kept_chunks *kept, ns_stored_set *set, int64_t number);

/* All rows of the kept chunk of a set are read: it lives until the wave ends. */
void ns_kept_give_up(ns_kept_chunks *kept, ns_stored_set *set);

/* Room for a chunk, which this wave must fill; NULL where there is none: then it is decoded again. */
unsigned char *ns_kept_make(ns_kept_chunks *kept, ns_stored_set *set, int64_t number);

/* After a wave; where a task of it failed, its chunks may lack cells and are forgotten. */
typedef enum ns_wave_end { NS_WAVE_DONE, NS_WAVE_FAILED } ns_wave_end;
void ns_kept_end_wave(ns_kept_chunks *kept, ns_wave_end end);

/* Frees the lists; the chunks are the sets'. */
void ns_kept_close(ns_kept_chunks *kept);
#endif
