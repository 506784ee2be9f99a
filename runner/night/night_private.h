#ifndef NIGHTSHIFT_RUNNER_NIGHT_NIGHT_PRIVATE_H
#define NIGHTSHIFT_RUNNER_NIGHT_NIGHT_PRIVATE_H
/* What the sources of a night share: night.c (opening, fingerprint), night_prepare.c and night_score.c. */
#include "data/shard.h"
#include "runner/night/night.h"

/* A fresh fingerprint of the columns used. Local. NS_ENOMEM. */
ns_status ns_night_create_fingerprint(ns_night *night);

/* use[i] = 1: row i of this rank's piece of a wave is of the cohort (`where`). Waves are first asked for in order. Local. What
   ns_filter_rows gives. */
ns_status ns_night_which_belong(ns_night *night, int64_t wave, ns_piece piece, uint8_t *use);
#endif
