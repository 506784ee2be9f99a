#ifndef NIGHTSHIFT_CLUSTER_PROGRAM_H
#define NIGHTSHIFT_CLUSTER_PROGRAM_H
/*
 * Where this program is. Built and installed as usual it is one file. Unpacked from `bootstrap.sh dist` it is a folder, HOME, and
 * the kernel knows it as HOME/parts/ld-linux-x86-64.so.2, the loader by which HOME/bin/nightshift starts HOME/parts/nightshift.
 */
#include <stdbool.h>
#include <stddef.h>

#include "cluster/status.h"

/* The file whose bytes are this program. Local. NS_EINVAL: cannot be found. */
ns_status ns_program_file(char *out, size_t size);

/* What starts this program again, with any words. Local. NS_EINVAL: cannot be found. */
ns_status ns_program_starter(char *out, size_t size);

/* HOME/bin/mpirun; false where this program came without a launcher. Local. */
bool ns_program_launcher(char *out, size_t size);

/*
 * HOME of a program that the kernel knows as `executable`, an absolute path; false where it is no such folder: the file is not
 * called so, or HOME/parts/nightshift or HOME/bin/nightshift is not there. Local.
 */
bool ns_program_home(const char *executable, char *home, size_t size);
#endif
