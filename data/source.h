#ifndef NIGHTSHIFT_DATA_SOURCE_H
#define NIGHTSHIFT_DATA_SOURCE_H
/*
 * The bytes of a file or of standard input, read once from front to back. What begins with the magic of gzip
 * is unpacked on the way (one member or several), whatever it is called. EINTR and ESTALE are tried again.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_source ns_source;

/* path "-": standard input, "standard input" in messages. NS_EFORMAT: cannot be opened, a folder. NS_EIO, NS_ENOMEM. */
ns_status ns_source_open(ns_source **out, const char *path);
void ns_source_close(ns_source **source);

const char *ns_source_name(const ns_source *source);
bool ns_source_is_packed(const ns_source *source); /* with gzip */

/*
 * Fills bytes as far as the source goes: *got < n_bytes at its end only.
 * NS_EFORMAT: gzip data that are damaged or cut short. NS_EIO: read error.
 */
ns_status ns_source_read(ns_source *source, char *bytes, int64_t n_bytes, int64_t *got);
#endif
