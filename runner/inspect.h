#ifndef NIGHTSHIFT_RUNNER_INSPECT_H
#define NIGHTSHIFT_RUNNER_INSPECT_H
/*
 * What a path holds: a cohort, a score file, a checkpoint, a bundle or a run. Tells names, kinds and counts,
 * never a value, an id or a level. Files are not verified against their hashes; that is what `verify` does.
 */
#include <jansson.h>
#include <stdio.h>

#include "cluster/status.h"

/*
 * A description, always with the keys kind, n_rows and columns (null where the kind has none), and
 *   cohort      layout, n_bytes, columns [{name, kind, levels (how many), text, unit, description}]
 *   scores      name, version, bundle_id, as_of, counts by status, content (the content hash)
 *   checkpoint  name, id (SHA-256 of its manifest), files [{name, bytes, sha256}], n_bytes, and the rest of
 * its manifest bundle      the same; columns are those of its lineage run         name, lives, last_life (its
 * entry in run.json), checkpoints [names], bundle_id or null
 *
 *   out   out  released with json_decref; NULL on failure
 *   path  in   a file or a folder
 * Local. NS_EFORMAT: nothing there, or something else: one line says what it seems to be. NS_EVERIFY: a torn
 * score file. NS_ENOMEM.
 */
ns_status ns_inspect(json_t **out, const char *path);

/* The description for people. */
void ns_inspect_print(FILE *to, const json_t *description);
#endif
