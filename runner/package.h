#ifndef NIGHTSHIFT_RUNNER_PACKAGE_H
#define NIGHTSHIFT_RUNNER_PACKAGE_H
/*
 * A package is a folder of files with a manifest.json that names each with its size and SHA-256: checkpoints and bundles.
 * It appears whole, by one rename, and is never written to again. All calls are local; rank 0 makes them.
 */
#include <jansson.h>

#include "cluster/status.h"

typedef struct ns_package_file {
    const char *name;
    const void *bytes;
    size_t n_bytes;
} ns_package_file;

/*
 * Writes FOLDER.tmp (removing what an earlier life left there), then renames it to FOLDER, which must not be there.
 *   manifest  inout  begins with "kind"; "files" is added at its end
 *   label     in     names of the steps for the test hook: "bundle", "checkpoint"
 *   id        out    SHA-256 of manifest.json
 * NS_EIO, NS_ENOMEM: nothing is published.
 */
ns_status ns_package_publish(const char *folder, const ns_package_file *files, int n_files, json_t *manifest, const char *label,
                             char id[65]);

/*
 * The same over a package that is there. A copy of it is published first, under FOLDER.1 or the first number that is free,
 * with label "kept_LABEL"; one that an earlier life made is used. So whatever a killed life leaves under a name with .tmp
 * (FOLDER.tmp, FOLDER.old.tmp, FOLDER.1.tmp) may go.
 * NS_EVERIFY: the old package does not verify. NS_EIO, NS_ENOMEM: FOLDER is as it was.
 */
ns_status ns_package_replace(const char *folder, const ns_package_file *files, int n_files, json_t *manifest, const char *label,
                             char id[65]);

typedef struct ns_package {
    json_t *manifest;
    char *manifest_text; /* as it stands in the file */
    char id[65];
    int n_files;
    ns_package_file *files; /* owned */
} ns_package;

/*
 * Reads every file of a package and checks it against the manifest.
 *   kind  in  "bundle" or "checkpoint"
 * NS_EINVAL: there is no such folder or manifest, or its format is newer than this program. NS_EVERIFY: a file is missing, has
 * another size or hash, or the folder holds a file that the manifest does not name. NS_ENOMEM. Destroy in either case.
 */
ns_status ns_package_read(ns_package *out, const char *folder, const char *kind);
void ns_package_destroy(ns_package *package);

/* A file of the package, a 0 behind its bytes; NULL where it has none of that name. */
const ns_package_file *ns_package_find(const ns_package *package, const char *name);
#endif
