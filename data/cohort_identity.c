#include "data/cohort_identity.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "data/cohort_private.h"

/* The time of change is set by the system alone: it also tells a file written to whose time of writing was set back. */
static ns_status add_file(ns_blake2b_stream *stream, const ns_table_file *file)
{
    NS_TRY(ns_cohort_file_unchanged(file));
    struct stat facts;
    if (stat(file->path, &facts) != 0) return ns_fail(NS_EFORMAT, "%s: %s", file->path, strerror(errno));
    const int64_t numbers[] = {file->first_row, file->n_rows, file->n_bytes, file->seconds, file->nanoseconds, (int64_t)file->inode,
                               (int64_t)facts.st_dev, (int64_t)facts.st_ctim.tv_sec, (int64_t)facts.st_ctim.tv_nsec};
    ns_blake2b_add(stream, file->path, strlen(file->path) + 1);
    ns_blake2b_add(stream, numbers, sizeof numbers);
    return NS_OK;
}

ns_status ns_cohort_identity(const ns_cohort *cohort, uint8_t digest[32])
{
    ns_blake2b_stream *stream = ns_blake2b_begin();
    if (stream == NULL) return ns_fail(NS_ENOMEM, "no memory to tell the files of the cohort");
    ns_status status = NS_OK;
    for (int32_t f = 0; f < cohort->n_files && status == NS_OK; f++) status = add_file(stream, &cohort->files[f]);
    if (status == NS_OK) ns_blake2b_end(&stream, digest);
    ns_blake2b_abandon(&stream);
    return status;
}
