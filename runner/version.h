#ifndef NIGHTSHIFT_RUNNER_VERSION_H
#define NIGHTSHIFT_RUNNER_VERSION_H
/* What `nightshift --version` says. */
#include <stdbool.h>

/* Program and numerics version, backends found, library versions. Freed by the caller; NULL without memory. */
char *ns_version_text(bool json);
#endif
