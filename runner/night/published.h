#ifndef NIGHTSHIFT_RUNNER_NIGHT_PUBLISHED_H
#define NIGHTSHIFT_RUNNER_NIGHT_PUBLISHED_H
/*
 * A published night: the CSV where it is wanted, the score file, and OUT.manifest.json, which names what the scores were made
 * from and the SHA-256 of both files. A night is done when the manifest is there and matches. All calls are local; rank 0 makes
 * them, holding the score file's lock.
 */
#include <jansson.h>

#include "runner/night/night.h"
#include "runner/night/night_job.h"

/* What a manifest says. */
typedef struct ns_published {
    const ns_night_job *plan;
    const ns_night *night;     /* with its digests; counts are filled in by look where the night is done */
    const char *id_name, *where; /* NULL: none */
    char content[65];          /* of the score file */
    char csv_sha256[65];       /* "" without a CSV */
    int64_t csv_bytes;
    json_t *unseen;            /* counts; borrowed, NULL: none */
} ns_published;

/* The manifest of an earlier life; NULL where there is none, or it cannot be read. Freed with json_decref. */
json_t *ns_published_manifest(const ns_night_job *plan);

/*
 * Whether this night is published as it would be now. done: content is set, and counts.
 *   manifest  in   from ns_published_manifest; NULL: none
 *   replace   in   the user wants to publish over whatever is there
 *   counts    out  [NS_N_STATUS]; left alone where the night is not done
 * NS_EINVAL: something else is published, and what differs.
 */
ns_status ns_published_look(ns_published *published, const json_t *manifest, bool replace, bool *done, int64_t *counts);

/*
 * The finished temporary files under their names, then the manifest. Files that stood there with other bytes are kept under
 * NAME.1 (or the next number). Steps for the test hook: aside_csv, old_manifest, csv, scores, scores_manifest. NS_EIO, NS_ENOMEM.
 */
ns_status ns_published_place(const ns_published *published);

/* The score file as OUT.held with OUT.held.manifest.json; nothing is published. *held: OUT.held, freed by the caller.
   Steps: old_held_manifest, held, scores_manifest. NS_EIO, NS_ENOMEM. */
ns_status ns_published_hold(const ns_published *published, char **held);
#endif
