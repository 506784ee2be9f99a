#ifndef NIGHTSHIFT_RUNNER_NIGHT_NIGHT_RECORD_H
#define NIGHTSHIFT_RUNNER_NIGHT_NIGHT_RECORD_H
/*
 * What the run folder keeps of a night, RUN/nights/DATE-xxxxxxxx/:
 *   night.json   the bundles that were asked for and what they were then, and one entry per life that scored
 *   unseen.json  by name: columns and levels that the model does not know
 * A bundle may be asked for through a link, such as models/champion -> v3, that is moved one day. It is followed once for each
 * date: the first life of the night that finds its cohort complete writes down where the link led, and later lives go there,
 * wherever the link leads by then. A night without a date follows the link every time. Whatever else gives bundles names that
 * move may be resolved here too: asked is the name, path and bundle_id are what it meant.
 * Only the holder of the score file's lock calls these, on rank 0; all are local.
 */
#include <jansson.h>
#include <stdbool.h>

#include "cluster/status.h"
#include "runner/night/night_job.h"

typedef struct ns_night_record {
    const ns_night_job *night;
    json_t *document;  /* night.json */
    json_t *life;      /* this life's entry; borrowed from document, NULL before begin */
    char *bundle;      /* where the bundle is */
    bool kept;         /* decided by an earlier life */
    bool on_disk;
} ns_night_record;

/*
 * Reads night.json, where it is there, and finds the bundle of this night.
 * NS_EINVAL: the bundle of an earlier life is gone. NS_ENOMEM. Close in either case.
 */
ns_status ns_night_record_open(ns_night_record *out, const ns_night_job *night);

/* Writes down the bundle and this life, whose facts (runner/life.h) are taken over. NS_EIO, NS_ENOMEM. */
ns_status ns_night_record_begin(ns_night_record *record, const char *bundle_id, json_t *life);

/* Writes unseen.json, or removes an old one where unseen is NULL; unseen is borrowed. NS_EIO, NS_ENOMEM. */
ns_status ns_night_record_unseen(const ns_night_record *record, const json_t *unseen);

/* How the life ended; nothing before begin. counts is taken over, NULL: not known. NS_EIO, NS_ENOMEM. */
ns_status ns_night_record_end(ns_night_record *record, ns_status status, json_t *counts);

/* Removes what killed lives left half written; nothing where they left nothing. What cannot be removed stays and hurts nobody. */
void ns_night_record_tidy(const ns_night_record *record);
void ns_night_record_close(ns_night_record *record);
#endif
