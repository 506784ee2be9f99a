#include "cluster/program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char LOADER[] = "/parts/ld-linux-x86-64.so.2";

/* HOME/name, where it is there and can be used in that way. */
static bool part(const char *home, const char *name, int how, char *out, size_t size)
{
    int n = snprintf(out, size, "%s/%s", home, name);
    return n > 0 && (size_t)n < size && access(out, how) == 0;
}

bool ns_program_home(const char *executable, char *home, size_t size)
{
    char path[PATH_MAX];
    size_t length = strlen(executable), tail = sizeof LOADER - 1;
    if (length <= tail || length - tail >= size || strcmp(executable + length - tail, LOADER) != 0) return false;
    memcpy(home, executable, length - tail);
    home[length - tail] = '\0';
    return part(home, "parts/nightshift", R_OK, path, sizeof path) && part(home, "bin/nightshift", X_OK, path, sizeof path);
}

static ns_status find_executable(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? NS_OK : ns_fail(NS_EINVAL, "cannot find this program: /proc/self/exe: %s", strerror(errno));
}

/* name: of the part of HOME that is asked for; a program of one file is that itself. */
static ns_status find(const char *name, char *out, size_t size)
{
    char home[PATH_MAX];
    NS_TRY(find_executable(out, size));
    if (!ns_program_home(out, home, sizeof home) || part(home, name, R_OK, out, size)) return NS_OK;
    return ns_fail(NS_EINVAL, "cannot find '%s' of this program", name);
}

ns_status ns_program_file(char *out, size_t size)
{
    return find("parts/nightshift", out, size);
}

ns_status ns_program_starter(char *out, size_t size)
{
    return find("bin/nightshift", out, size);
}

bool ns_program_launcher(char *out, size_t size)
{
    char executable[PATH_MAX], home[PATH_MAX];
    ns_status found = find_executable(executable, sizeof executable);
    return found == NS_OK && ns_program_home(executable, home, sizeof home) && part(home, "bin/mpirun", X_OK, out, size);
}
