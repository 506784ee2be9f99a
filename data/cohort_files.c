/*
 * Open files and data sets of one rank. A cohort may have thousands of files and hundreds of columns, and
 * callers read column by column as well as block by block; so the most recently used stay open, within bounds
 * on their number and on the chunk caches they hold. A chunk cache holds at least two chunks: one that does
 * not fit is inflated again on every access. Each use compares size, time and inode with what rank 0 found
 * first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/cohort_private.h"
#include "data/crash.h"

static const size_t DEFAULT_CACHE_BYTES = 1 << 20;     /* HDF5's own */
static const size_t MAX_CACHE_BYTES = (size_t)1 << 30; /* of one data set, whatever its chunks */
static const size_t ALL_CACHES_BYTES = (size_t)128
                                       << 20; /* over all open data sets, the last one not counted */

/* ---- change ---- */

static int look(struct stat *facts, const char *path)
{
    int result;
    do result = stat(path, facts);
    while (result != 0 && (errno == EINTR || errno == ESTALE));
    return result;
}

static void note_facts(ns_table_file *file, const struct stat *facts)
{
    file->n_bytes = (int64_t)facts->st_size;
    file->seconds = (int64_t)facts->st_mtim.tv_sec;
    file->nanoseconds = (int64_t)facts->st_mtim.tv_nsec;
    file->inode = (uint64_t)facts->st_ino;
}

ns_status ns_cohort_file_facts(ns_table_file *file)
{
    struct stat facts;
    if (look(&facts, file->path) != 0) {
        int cause = errno;
        return ns_fail(NS_EFORMAT, "%s: %s", file->path, cause == ENOENT ? "no such file" : strerror(cause));
    }
    note_facts(file, &facts);
    return NS_OK;
}

static ns_status name_change(const ns_table_file *file, const ns_table_file *now)
{
    const char *what = NULL;
    if (now->inode != file->inode)
        what = "it was replaced by another file";
    else if (now->n_bytes != file->n_bytes)
        what = "its size changed";
    else if (now->seconds != file->seconds || now->nanoseconds != file->nanoseconds)
        what = "it was written to";
    if (what == NULL) return NS_OK;
    return ns_fail(NS_EFORMAT, "%s: changed while it was read: %s; let it be finished first", file->path,
                   what);
}

ns_status ns_cohort_file_unchanged(const ns_table_file *file)
{
    ns_table_file now = *file;
    NS_TRY(ns_cohort_file_facts(&now));
    return name_change(file, &now);
}

/* ---- closing ---- */

static void close_set(ns_cohort *cohort, int32_t at)
{
    cohort->cache_bytes -= cohort->sets[at].cache_bytes;
    H5Dclose(cohort->sets[at].id);
    cohort->sets[at] = cohort->sets[--cohort->n_sets];
}

static void close_file(ns_cohort *cohort, ns_table_file *file)
{
    int32_t number = (int32_t)(file - cohort->files);
    for (int32_t i = cohort->n_sets - 1; i >= 0; i--)
        if (cohort->sets[i].file == number) close_set(cohort, i);
    const char *before = ns_crash_watch(file->path);
    H5Fclose(file->id);
    ns_crash_watch(before);
    file->id = -1;
    cohort->n_open_files--;
}

static void close_descriptor(ns_cohort *cohort, ns_table_file *file)
{
    close(file->descriptor);
    file->descriptor = -1;
    cohort->n_descriptors--;
}

void ns_cohort_close_files(ns_cohort *cohort)
{
    for (int32_t i = 0; i < cohort->n_files; i++) {
        if (cohort->files[i].id >= 0) close_file(cohort, &cohort->files[i]);
        if (cohort->files[i].descriptor >= 0) close_descriptor(cohort, &cohort->files[i]);
    }
}

static void close_oldest_file(ns_cohort *cohort)
{
    ns_table_file *oldest = NULL;
    for (int32_t i = 0; i < cohort->n_files; i++) {
        ns_table_file *file = &cohort->files[i];
        if (file->id >= 0 && (oldest == NULL || file->used < oldest->used)) oldest = file;
    }
    if (oldest != NULL) close_file(cohort, oldest);
}

static void make_room_for_set(ns_cohort *cohort)
{
    while (cohort->n_sets > 0 &&
           (cohort->n_sets == NS_MAX_OPEN_SETS || cohort->cache_bytes > ALL_CACHES_BYTES)) {
        int32_t oldest = 0;
        for (int32_t i = 1; i < cohort->n_sets; i++)
            if (cohort->sets[i].used < cohort->sets[oldest].used) oldest = i;
        close_set(cohort, oldest);
    }
}

/* ---- opening ---- */

ns_status ns_cohort_open_file(hid_t *out, ns_cohort *cohort, int32_t number)
{
    ns_table_file *file = &cohort->files[number];
    NS_TRY(ns_cohort_file_unchanged(file));
    file->used = ++cohort->clock;
    if (file->id < 0) {
        if (cohort->n_open_files == NS_MAX_OPEN_FILES) close_oldest_file(cohort);
        NS_TRY(ns_h5_open_read(&file->id, file->path, NS_EFORMAT));
        cohort->n_open_files++;
        file->seen = true;
    }
    *out = file->id;
    return NS_OK;
}

/* Bytes of cache that hold two chunks (of a matrix: two rows of chunks); 0 where the data set has none. */
static size_t wanted_cache(hid_t dataset)
{
    hsize_t chunk[2] = {1, 1}, dims[2] = {1, 1};
    size_t bytes = 0;
    hid_t list = H5Dget_create_plist(dataset), type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    if (list >= 0 && type >= 0 && space >= 0 && H5Pget_layout(list) == H5D_CHUNKED &&
        H5Sget_simple_extent_ndims(space) <= 2 && H5Pget_chunk(list, 2, chunk) > 0 &&
        H5Sget_simple_extent_dims(space, dims, NULL) > 0 && chunk[1] > 0)
        bytes = (size_t)(chunk[0] * chunk[1] * 2 * ((dims[1] + chunk[1] - 1) / chunk[1])) * H5Tget_size(type);
    if (list >= 0) H5Pclose(list);
    if (type >= 0) H5Tclose(type);
    ns_h5_close_space(space);
    return bytes;
}

/* A second open of an open data set would keep the first one's cache, so it is closed before. */
static hid_t open_with_cache(hid_t file, const char *link, size_t *cache_bytes)
{
    hid_t dataset = H5Dopen2(file, link, H5P_DEFAULT);
    *cache_bytes = DEFAULT_CACHE_BYTES;
    if (dataset < 0) return dataset;
    size_t wanted = wanted_cache(dataset);
    if (wanted > MAX_CACHE_BYTES) wanted = MAX_CACHE_BYTES;
    if (wanted < *cache_bytes) *cache_bytes = wanted;
    if (wanted <= DEFAULT_CACHE_BYTES) return dataset;
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    if (access >= 0 && H5Pset_chunk_cache(access, 521, wanted, 1.0) >= 0) {
        H5Dclose(dataset);
        dataset = H5Dopen2(file, link, access);
        *cache_bytes = wanted;
    }
    if (access >= 0) H5Pclose(access);
    return dataset;
}

ns_status ns_cohort_dataset(hid_t *out, ns_cohort *cohort, int32_t file, const ns_table_column *column)
{
    hid_t id;
    NS_TRY(ns_cohort_open_file(&id, cohort, file));
    for (int32_t i = 0; i < cohort->n_sets; i++) {
        ns_open_set *set = &cohort->sets[i];
        if (set->file != file || set->slot != column->slot) continue;
        set->used = ++cohort->clock;
        *out = set->id;
        return NS_OK;
    }
    make_room_for_set(cohort);
    ns_open_set *set = &cohort->sets[cohort->n_sets];
    *set = (ns_open_set){.file = file, .slot = column->slot, .used = ++cohort->clock};
    set->id = open_with_cache(id, column->link, &set->cache_bytes);
    char words[300], doing[400];
    snprintf(doing, sizeof doing, "open %s", ns_column_words(words, column->shown.name));
    NS_TRY(ns_hdf5_check(set->id, NS_EFORMAT, cohort->files[file].path, doing));
    cohort->cache_bytes += set->cache_bytes;
    cohort->n_sets++;
    *out = set->id;
    return NS_OK;
}

/* ---- reading past HDF5 ---- */

static void close_oldest_descriptor(ns_cohort *cohort)
{
    ns_table_file *oldest = NULL;
    for (int32_t i = 0; i < cohort->n_files; i++) {
        ns_table_file *file = &cohort->files[i];
        if (file->descriptor >= 0 && (oldest == NULL || file->descriptor_used < oldest->descriptor_used)) oldest = file;
    }
    if (oldest != NULL) close_descriptor(cohort, oldest);
}

/* The file that is opened must be the one that was looked at, whatever its path leads to by now. */
static ns_status open_descriptor(ns_cohort *cohort, ns_table_file *file)
{
    if (cohort->n_descriptors >= NS_MAX_OPEN_FILES / 2) close_oldest_descriptor(cohort);
    int descriptor;
    do descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
    while (descriptor < 0 && (errno == EINTR || errno == ESTALE));
    if (descriptor < 0) return ns_fail(NS_EFORMAT, "%s: cannot open: %s", file->path, strerror(errno));
    struct stat facts;
    ns_table_file now = *file;
    ns_status status = NS_OK;
    if (fstat(descriptor, &facts) != 0) {
        status = ns_fail(NS_EFORMAT, "%s: %s", file->path, strerror(errno));
    } else {
        note_facts(&now, &facts);
        status = name_change(file, &now);
    }
    if (status != NS_OK) {
        close(descriptor);
        return status;
    }
    file->descriptor = descriptor;
    file->seen = true;
    cohort->n_descriptors++;
    return NS_OK;
}

/* The index of one data set: the only time that its file is opened with HDF5, where the index proves it simple. It is closed
   again at once: only H5Dread has a use for an open data set with a cache. */
static ns_status look_at_set(ns_stored_set *set, ns_cohort *cohort, int32_t number, const ns_table_column *column)
{
    hid_t file, dataset;
    char words[300], doing[400];
    const char *before = ns_crash_watch(cohort->files[number].path);
    ns_status status = ns_cohort_open_file(&file, cohort, number);
    if (status != NS_OK) goto done;
    dataset = H5Dopen2(file, column->link, H5P_DEFAULT);
    snprintf(doing, sizeof doing, "open %s", ns_column_words(words, column->shown.name));
    status = ns_hdf5_check(dataset, NS_EFORMAT, cohort->files[number].path, doing);
    if (status != NS_OK) goto done;
    status = ns_chunks_create(&set->chunks, file, dataset, cohort->files[number].descriptor);
    H5Dclose(dataset);
done:
    ns_crash_watch(before);
    return status;
}

ns_status ns_cohort_stored(ns_stored_set **out, int *descriptor, ns_cohort *cohort, int32_t number,
                           const ns_table_column *column)
{
    ns_table_file *file = &cohort->files[number];
    NS_TRY(ns_cohort_file_unchanged(file));
    if (file->descriptor < 0) NS_TRY(open_descriptor(cohort, file));
    file->descriptor_used = ++cohort->clock;
    if (file->sets == NULL) {
        file->sets = calloc((size_t)cohort->n_columns + 1, sizeof *file->sets);
        if (file->sets == NULL) return ns_fail(NS_ENOMEM, "%s: no memory for its columns", file->path);
        for (int32_t i = 0; i <= cohort->n_columns; i++) file->sets[i].kept_chunk = -1;
    }
    ns_stored_set *set = &file->sets[column->slot];
    if (set->chunks == NULL) NS_TRY(look_at_set(set, cohort, number, column));
    *out = set;
    *descriptor = file->descriptor;
    return NS_OK;
}

int32_t ns_cohort_file_of(const ns_cohort *cohort, int64_t row)
{
    /* The last file that begins at or before row: files without rows before it begin there too, so the last
     * is right. */
    int32_t low = 0, high = cohort->n_files;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (cohort->files[middle].first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- failed reads ---- */

static const char *filter_name(H5Z_filter_t id, const char *given)
{
    static const struct {
        H5Z_filter_t id;
        const char *name;
    } known[] = {{4, "szip"},           {307, "bzip2"}, {32000, "lzf"},  {32001, "blosc"}, {32004, "lz4"},
                 {32008, "bitshuffle"}, {32013, "zfp"}, {32015, "zstd"}, {32026, "blosc2"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].id == id) return known[i].name;
    return given[0] != '\0' ? given : "without a name";
}

/* The first filter of a data set that this HDF5 does not have; false where it has all. */
static bool missing_filter(hid_t dataset, H5Z_filter_t *id, char *name, size_t room)
{
    bool answer = false;
    hid_t list = H5Dget_create_plist(dataset);
    int n = list >= 0 ? H5Pget_nfilters(list) : 0;
    for (int i = 0; i < n && !answer; i++) {
        unsigned flags, config;
        size_t n_values = 0;
        name[0] = '\0';
        *id = H5Pget_filter2(list, (unsigned)i, &flags, &n_values, NULL, room, name, &config);
        answer = *id >= 0 && H5Zfilter_avail(*id) <= 0;
    }
    if (list >= 0) H5Pclose(list);
    return answer;
}

ns_status ns_cohort_unreadable(hid_t dataset, const char *path, const char *column)
{
    hid_t reason = H5Eget_current_stack();
    H5Z_filter_t id;
    char name[80];
    if (missing_filter(dataset, &id, name, sizeof name)) {
        H5Eclose_stack(reason);
        return ns_fail(NS_EFORMAT,
                       "%s: column '%s' is compressed with a filter that this HDF5 lacks: %s (%d); where it "
                       "is installed: "
                       "h5repack -f GZIP=1 %s OUT.h5",
                       path, column, filter_name(id, name), (int)id, path);
    }
    H5Eset_current_stack(reason);
    char words[300], doing[400];
    snprintf(doing, sizeof doing, "read %s", ns_column_words(words, column));
    return ns_hdf5_check(-1, NS_EFORMAT, path, doing);
}
