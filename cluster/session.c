#define _XOPEN_SOURCE 700 /* nftw */
#include "cluster/session.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A socket's path has 108 bytes, and Open MPI adds up to some 60. */
enum { LONGEST_BASE = 24, OPEN_FOLDERS = 16 };

void ns_session_open(char *path, size_t size)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || base[0] != '/' || strlen(base) > LONGEST_BASE) base = "/tmp";
    int n = snprintf(path, size, "%s/nightshift-XXXXXX", base);
    if (n < 0 || (size_t)n >= size || mkdtemp(path) == NULL) path[0] = '\0';
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    remove(path); /* what cannot be removed stays: it is no reason to fail a run */
    return 0;
}

void ns_session_close(const char *path)
{
    if (path[0] != '\0') nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}
