#include "runner/writable.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/again.h"

/* Cuts a path down to its folder, in place: "a/b" to "a", "b" to ".", "/b" to "/". */
static void to_folder(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    while (n > 0 && path[n - 1] != '/') n--;
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0) path[n++] = '.';
    path[n] = '\0';
}

static bool look(const char *path, struct stat *info)
{
    int tries = 0, result;
    do result = stat(path, info);
    while (result != 0 && ns_again(&tries));
    return result == 0;
}

/* *there is false where nothing stands under the name; what stands above it is not judged then. */
static ns_status check_folder(const char *path, const char *what, bool *there)
{
    struct stat info;
    *there = look(path, &info);
    if (!*there && (errno == ENOENT || errno == ENOTDIR)) return NS_OK;
    if (!*there) return ns_fail(NS_EINVAL, "%s: '%s': %s", what, path, strerror(errno));
    if (!S_ISDIR(info.st_mode)) return ns_fail(NS_EINVAL, "%s: '%s' is not a folder", what, path);
    if (access(path, W_OK | X_OK) != 0)
        return ns_fail(NS_EINVAL, "%s: the folder '%s' is not writable: %s", what, path, strerror(errno));
    return NS_OK;
}

ns_status ns_writable_folder(const char *path, const char *what)
{
    char *part = strdup(path);
    if (part == NULL) return ns_fail(NS_ENOMEM, "no memory for the path of %s", what);
    bool there = false;
    ns_status status = NS_OK;
    while (status == NS_OK) {
        status = check_folder(part, what, &there);
        if (there || strcmp(part, "/") == 0 || strcmp(part, ".") == 0) break;
        to_folder(part);
    }
    free(part);
    return status;
}

int ns_writable_n_missing(const char *path)
{
    struct stat info;
    char *part = strdup(path);
    int n = 0;
    while (part != NULL && !look(part, &info) && errno == ENOENT && strcmp(part, "/") != 0 && strcmp(part, ".") != 0) {
        n++;
        to_folder(part);
    }
    free(part);
    return n;
}

void ns_writable_unmake(const char *path, int n)
{
    char *part = strdup(path);
    for (int i = 0; part != NULL && i < n && rmdir(part) == 0; i++) to_folder(part);
    free(part);
}

static ns_status check_file(const char *path, const char *what)
{
    struct stat info;
    if (path[0] == '\0') return ns_fail(NS_EINVAL, "%s: the path is empty", what);
    if (look(path, &info) && S_ISDIR(info.st_mode))
        return ns_fail(NS_EINVAL, "%s: '%s' is a folder, not a file", what, path);
    return NS_OK;
}

ns_status ns_writable_file(const char *path, const char *what)
{
    NS_TRY(check_file(path, what));
    char *folder = malloc(strlen(path) + 2);
    if (folder == NULL) return ns_fail(NS_ENOMEM, "no memory for the path of %s", what);
    memcpy(folder, path, strlen(path) + 1);
    to_folder(folder);
    ns_status status = ns_writable_folder(folder, what);
    free(folder);
    return status;
}

ns_status ns_writable_file_here(const char *path, const char *what)
{
    NS_TRY(check_file(path, what));
    char *folder = malloc(strlen(path) + 2);
    if (folder == NULL) return ns_fail(NS_ENOMEM, "no memory for the path of %s", what);
    memcpy(folder, path, strlen(path) + 1);
    to_folder(folder);
    bool there = false;
    ns_status status = check_folder(folder, what, &there);
    if (status == NS_OK && !there)
        status = ns_fail(NS_EINVAL, "%s: '%s': there is no folder '%s'", what, path, folder);
    free(folder);
    return status;
}
