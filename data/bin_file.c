#include "data/bin_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <string.h>
#include <unistd.h>

#include "cluster/again.h"
#include "data/durable.h"
#include "data/pread.h"

ns_status ns_bin_file_create(int *descriptor, const char *path, const char *label)
{
    *descriptor = -1;
    NS_TRY(ns_durable_point("write", label, "before"));
    NS_TRY(ns_durable_touch(path));
    int tries = 0;
    do *descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    while (*descriptor < 0 && ns_again(&tries));
    if (*descriptor < 0) return ns_fail(NS_EIO, "cannot write '%.1000s': %s", path, strerror(errno));
    return NS_OK;
}

bool ns_bin_file_put(int descriptor, const ns_bin_segment *segment, const void *bytes, uint32_t *sum)
{
    *sum = libdeflate_crc32(segment->place, bytes, segment->n_bytes);
    size_t done = 0;
    while (done < segment->n_bytes) {
        ssize_t wrote = pwrite(descriptor, (const char *)bytes + done, segment->n_bytes - done, (off_t)(segment->offset + (int64_t)done));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return false;
        done += (size_t)wrote;
    }
    return true;
}

ns_status ns_bin_file_finish(int *descriptor, const char *path, const char *label, int error)
{
    if (*descriptor < 0) return NS_OK;
    ns_status status = error != 0 ? ns_fail(NS_EIO, "cannot write '%.1000s': %s", path, strerror(error)) : NS_OK;
    if (status == NS_OK) status = ns_durable_point("write", label, "after");
    if (status == NS_OK) status = ns_durable_point("sync", label, "before");
    if (status == NS_OK && fsync(*descriptor) != 0) status = ns_fail(NS_EIO, "cannot sync '%.1000s': %s", path, strerror(errno));
    if (status == NS_OK) status = ns_durable_point("sync", label, "after");
    ns_bin_file_close(descriptor);
    if (status != NS_OK) unlink(path);
    return status;
}

int ns_bin_file_open(const char *path)
{
    int descriptor, tries = 0;
    do descriptor = open(path, O_RDONLY | O_CLOEXEC);
    while (descriptor < 0 && ns_again(&tries));
    return descriptor;
}

void ns_bin_file_close(int *descriptor)
{
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
}

bool ns_bin_file_get(int descriptor, const ns_bin_segment *segment, void *bytes, uint32_t sum)
{
    return ns_pread(descriptor, bytes, segment->n_bytes, segment->offset) && libdeflate_crc32(segment->place, bytes, segment->n_bytes) == sum;
}
