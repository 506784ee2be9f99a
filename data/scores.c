/*
 * Every data set is made, with its place in the file, before the first row is written, and attributes have
 * fixed lengths; so the bytes of a file do not depend on the blocks in which rows arrive. The attribute
 * `reasons` comes last: a file without it was not finished.
 */
#include "data/scores.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/durable.h"
#include "data/h5.h"
#include "data/raw_rows.h"
#include "data/score_content.h"
#include "data/text_index.h"

static const char LABEL[] = "scores";

struct ns_scores_writer {
    char *path;
    hid_t file, id, status, risk; /* -1 while closed */
    hid_t *keep;                  /* [n_keep] */
    ns_raw_file raw;              /* the same file: rows are written past HDF5 */
    ns_raw_rows id_rows, status_rows, risk_rows, *keep_rows;
    ns_column_kind *keep_kind;
    bool *keep_is_text;
    int32_t n_keep;
    bool id_is_text, torn, failed, finished;
    int64_t n_rows;
    ns_score_content *written;
};

static ns_status note(ns_scores_writer *writer, ns_status status)
{
    writer->failed = writer->failed || status != NS_OK;
    return status;
}

static ns_status check(const ns_scores_writer *writer, int64_t result, const char *doing)
{
    return ns_hdf5_check(result, NS_EIO, writer->path, doing);
}

/* A contiguous data set of n rows with its place in the file, nothing written to it; takes type over when it
 * is text. */
static ns_status make_dataset(hid_t *out, const ns_scores_writer *writer, const char *link, hid_t type,
                              int64_t n)
{
    hsize_t size = (hsize_t)n;
    hid_t list = ns_h5_plain_list(H5P_DATASET_CREATE), space = H5Screate_simple(1, &size, NULL);
    *out = -1;
    if (list >= 0 && space >= 0 && H5Pset_layout(list, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
        *out = H5Dcreate2(writer->file, link, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    ns_status status = check(writer, *out, "create a data set");
    if (list >= 0) H5Pclose(list);
    ns_h5_close_space(space);
    return status;
}

static ns_status make_texts(hid_t *out, const ns_scores_writer *writer, const char *link, int64_t n_bytes,
                            int64_t n)
{
    hid_t type = ns_h5_text_type(n_bytes > 0 ? n_bytes : 1);
    *out = -1;
    NS_TRY(check(writer, type, "make a text type"));
    ns_status status = make_dataset(out, writer, link, type, n);
    H5Tclose(type);
    return status;
}

static ns_status make_group(const ns_scores_writer *writer, const char *name)
{
    hid_t list = ns_h5_plain_list(H5P_GROUP_CREATE), group = -1;
    if (list >= 0) group = H5Gcreate2(writer->file, name, H5P_DEFAULT, list, H5P_DEFAULT);
    ns_status status = check(writer, group, "create a group");
    if (list >= 0) H5Pclose(list);
    if (group >= 0 && status == NS_OK) status = check(writer, H5Gclose(group), "close a group");
    return status;
}

static int64_t longest(const ns_texts *texts)
{
    int64_t most = 1;
    for (int64_t i = 0; i < texts->n; i++) {
        int64_t n_bytes = texts->offset[i + 1] - texts->offset[i];
        if (n_bytes > most) most = n_bytes;
    }
    return most;
}

static ns_status write_levels(const ns_scores_writer *writer, const ns_keep_column *column)
{
    char *link = ns_h5_encode_name("/levels/", column->name);
    if (link == NULL) return ns_fail(NS_ENOMEM, "%s: no memory for a column", writer->path);
    hid_t dataset;
    ns_status status = make_texts(&dataset, writer, link, longest(column->levels), column->levels->n);
    if (status == NS_OK)
        status =
            ns_h5_write_texts(dataset, 0, column->levels, 0, column->levels->n, writer->path, column->name);
    if (dataset >= 0) {
        herr_t closed = H5Dclose(dataset);
        if (status == NS_OK) status = check(writer, closed, "close a data set");
    }
    free(link);
    return status;
}

static ns_status make_keep(ns_scores_writer *writer, int32_t k, const ns_keep_column *column)
{
    char *link = ns_h5_encode_name("/keep/", column->name);
    if (link == NULL) return ns_fail(NS_ENOMEM, "%s: no memory for a column", writer->path);
    writer->keep_kind[k] = column->kind;
    writer->keep_is_text[k] = column->is_text;
    hid_t type = column->kind == NS_COL_NUMBER     ? H5T_IEEE_F32LE
                 : column->kind == NS_COL_CATEGORY ? H5T_STD_I32LE
                                                   : H5T_STD_I64LE;
    ns_status status = column->is_text
                           ? make_texts(&writer->keep[k], writer, link, column->text_bytes, writer->n_rows)
                           : make_dataset(&writer->keep[k], writer, link, type, writer->n_rows);
    free(link);
    NS_TRY(status);
    NS_TRY(
        ns_h5_write_text_attribute(writer->keep[k], "kind", ns_column_kind_name(column->kind), writer->path));
    return column->kind == NS_COL_CATEGORY ? write_levels(writer, column) : NS_OK;
}

static ns_status write_attributes(const ns_scores_writer *writer, const ns_scores_setup *setup)
{
    NS_TRY(ns_h5_write_int_attribute(writer->file, "nightshift_scores", NS_SCORES_FORMAT, writer->path));
    NS_TRY(ns_h5_write_text_attribute(writer->file, "name", setup->name, writer->path));
    NS_TRY(ns_h5_write_text_attribute(writer->file, "version", setup->version, writer->path));
    NS_TRY(ns_h5_write_text_attribute(writer->file, "bundle_id", setup->bundle_id, writer->path));
    NS_TRY(ns_h5_write_text_attribute(writer->file, "as_of", setup->as_of, writer->path));
    return ns_h5_write_int_attribute(writer->file, "n_rows", setup->n_rows, writer->path);
}

/* Where rows go. */
static ns_status find_places(ns_scores_writer *writer)
{
    NS_TRY(ns_raw_open(&writer->raw, writer->path));
    NS_TRY(ns_raw_find(&writer->id_rows, writer->id, writer->path));
    NS_TRY(ns_raw_find(&writer->status_rows, writer->status, writer->path));
    NS_TRY(ns_raw_find(&writer->risk_rows, writer->risk, writer->path));
    for (int32_t k = 0; k < writer->n_keep; k++) NS_TRY(ns_raw_find(&writer->keep_rows[k], writer->keep[k], writer->path));
    return NS_OK;
}

static ns_status open_here(ns_scores_writer *writer, const ns_scores_setup *setup)
{
    size_t n_bytes = strlen(setup->path) + 1, n_keep = (size_t)setup->n_keep + 1;
    writer->path = malloc(n_bytes);
    writer->keep = malloc(n_keep * sizeof *writer->keep);
    writer->keep_rows = calloc(n_keep, sizeof *writer->keep_rows);
    writer->keep_kind = calloc(n_keep, sizeof *writer->keep_kind);
    writer->keep_is_text = calloc(n_keep, sizeof *writer->keep_is_text);
    writer->written =
        aligned_alloc(64, (sizeof *writer->written + 63) / 64 * 64); /* libsodium's state wants it */
    if (writer->path == NULL || writer->keep == NULL || writer->keep_rows == NULL || writer->keep_kind == NULL ||
        writer->keep_is_text == NULL || writer->written == NULL)
        return ns_fail(NS_ENOMEM, "%s: no memory to write it", setup->path);
    memcpy(writer->path, setup->path, n_bytes);
    for (writer->n_keep = 0; writer->n_keep < setup->n_keep; writer->n_keep++)
        writer->keep[writer->n_keep] = -1;
    ns_score_content_begin(writer->written, setup->classes != NULL ? (int32_t)setup->classes->n : 1);
    NS_TRY(ns_durable_point("write", LABEL, "before"));
    NS_TRY(ns_durable_touch(writer->path)); /* with the modes of run.share, which HDF5 does not know */
    NS_TRY(ns_h5_create(&writer->file, writer->path, writer->path));
    NS_TRY(write_attributes(writer, setup));
    NS_TRY(setup->id_is_text ? make_texts(&writer->id, writer, "id", setup->id_bytes, setup->n_rows)
                             : make_dataset(&writer->id, writer, "id", H5T_STD_I64LE, setup->n_rows));
    NS_TRY(make_dataset(&writer->status, writer, "status", H5T_STD_U8LE, setup->n_rows));
    NS_TRY(ns_score_values_create(&writer->risk, writer->file, setup->kind, setup->classes, setup->n_rows, writer->path));
    bool has_levels = false;
    for (int32_t k = 0; k < setup->n_keep; k++)
        has_levels = has_levels || setup->keep[k].kind == NS_COL_CATEGORY;
    if (setup->n_keep > 0) NS_TRY(make_group(writer, "keep"));
    if (has_levels) NS_TRY(make_group(writer, "levels"));
    for (int32_t k = 0; k < setup->n_keep; k++) NS_TRY(make_keep(writer, k, &setup->keep[k]));
    return find_places(writer);
}

ns_status ns_scores_writer_open(ns_scores_writer **out, const ns_scores_setup *setup)
{
    ns_scores_writer *writer = calloc(1, sizeof *writer);
    *out = NULL;
    if (writer == NULL) return ns_fail(NS_ENOMEM, "%s: no memory to write it", setup->path);
    writer->file = writer->id = writer->status = writer->risk = -1;
    writer->raw.descriptor = -1;
    writer->n_rows = setup->n_rows;
    writer->id_is_text = setup->id_is_text;
    ns_status status = open_here(writer, setup);
    if (status != NS_OK) ns_scores_writer_close(&writer);
    *out = writer;
    return status;
}

/* One kept column of a block. */
static ns_status write_keep(const ns_scores_writer *writer, int32_t k, const void *cells, int64_t first,
                            int64_t n)
{
    const ns_raw_rows *rows = &writer->keep_rows[k];
    if (writer->keep_is_text[k]) return ns_raw_write_texts(&writer->raw, rows, first, n, cells, "a kept column");
    return ns_raw_write(&writer->raw, rows, first, n, cells, rows->width);
}

static ns_status append_here(ns_scores_writer *writer, const ns_scores_block *block)
{
    int64_t first = writer->written->n_rows, n = block->n_rows;
    if (n > writer->n_rows - first)
        return ns_fail(NS_EINVAL, "%s: was given more than the %" PRId64 " rows it was made for",
                       writer->path, writer->n_rows);
    if (n == 0) return NS_OK;
    if (writer->id_is_text)
        NS_TRY(ns_raw_write_texts(&writer->raw, &writer->id_rows, first, n, block->id_text, "the ids"));
    else
        NS_TRY(ns_raw_write(&writer->raw, &writer->id_rows, first, n, block->id_int, sizeof *block->id_int));
    NS_TRY(ns_raw_write(&writer->raw, &writer->status_rows, first, n, block->status, sizeof *block->status));
    NS_TRY(ns_raw_write_floats(&writer->raw, &writer->risk_rows, first, n, block->risk));
    for (int32_t k = 0; k < writer->n_keep; k++) NS_TRY(write_keep(writer, k, block->keep[k], first, n));
    int64_t bad = block->id_word != NULL
                      ? ns_score_content_add(writer->written, block->id_word, block->status, block->risk, n)
                      : ns_score_content_add_ids(writer->written, writer->id_is_text ? NULL : block->id_int, block->id_text, block->status, block->risk, n);
    if (bad >= 0) return ns_fail(NS_EINVAL, "%s: row %" PRId64 " has an unknown status", writer->path, bad);
    if (writer->torn) return NS_OK;
    writer->torn = true;
    return ns_durable_point("write", LABEL, "torn");
}

ns_status ns_scores_writer_append(ns_scores_writer *writer, const ns_scores_block *block)
{
    return note(writer, append_here(writer, block));
}

static ns_status close_one(const ns_scores_writer *writer, hid_t *dataset)
{
    hid_t open = *dataset;
    *dataset = -1;
    return check(writer, H5Dclose(open), "close a data set");
}

/* Every object is closed by itself: the file's own closing hides their failures. */
static ns_status close_all(ns_scores_writer *writer)
{
    NS_TRY(ns_raw_close(&writer->raw));
    NS_TRY(close_one(writer, &writer->id));
    NS_TRY(close_one(writer, &writer->status));
    NS_TRY(close_one(writer, &writer->risk));
    for (int32_t k = 0; k < writer->n_keep; k++) NS_TRY(close_one(writer, &writer->keep[k]));
    NS_TRY(check(writer, H5Fflush(writer->file, H5F_SCOPE_LOCAL), "flush"));
    hid_t file = writer->file;
    writer->file = -1;
    NS_TRY(check(writer, H5Fclose(file), "close the file"));
    return ns_durable_point("write", LABEL, "after");
}

static ns_status finish_here(ns_scores_writer *writer, char hash[65])
{
    if (writer->failed) return ns_fail(NS_EIO, "%s: an earlier write failed", writer->path);
    if (writer->written->n_rows != writer->n_rows)
        return ns_fail(NS_EINVAL, "%s: was given %" PRId64 " of %" PRId64 " rows", writer->path,
                       writer->written->n_rows, writer->n_rows);
    char reasons[NS_REASONS_ROOM];
    ns_score_reasons(reasons, writer->written->counts);
    NS_TRY(ns_h5_write_text_attribute(writer->file, "reasons", reasons, writer->path));
    NS_TRY(close_all(writer));
    NS_TRY(ns_durable_sync(writer->path, LABEL));
    ns_score_content_end(writer->written, hash);
    ns_scores_info *back = malloc(sizeof *back);
    if (back == NULL) return ns_fail(NS_ENOMEM, "%s: no memory to read it back", writer->path);
    ns_status status = ns_scores_inspect(back, writer->path);
    if (status == NS_OK && strcmp(back->content, hash) != 0)
        status = ns_fail(NS_EIO, "%s: does not read back as it was written", writer->path);
    if (status == NS_EVERIFY)
        ns_last_error()->code = status = NS_EIO; /* the disk's fault, not an altered file */
    free(back);
    return status;
}

/* Closes what is open and deletes the file. */
static void abandon(ns_scores_writer *writer)
{
    /* On a full disk HDF5 cannot close a file that it cannot flush; without its bytes there is room again. */
    bool truncated = writer->file >= 0 && truncate(writer->path, 0) == 0;
    (void)truncated;
    for (int32_t k = 0; k < writer->n_keep; k++)
        if (writer->keep[k] >= 0) H5Dclose(writer->keep[k]);
    if (writer->id >= 0) H5Dclose(writer->id);
    if (writer->status >= 0) H5Dclose(writer->status);
    if (writer->risk >= 0) H5Dclose(writer->risk);
    if (writer->file >= 0) H5Fclose(writer->file);
    for (int32_t k = 0; k < writer->n_keep; k++) writer->keep[k] = -1;
    writer->file = writer->id = writer->status = writer->risk = -1;
    if (writer->raw.descriptor >= 0) close(writer->raw.descriptor);
    writer->raw.descriptor = -1;
    if (writer->path != NULL) unlink(writer->path);
}

ns_status ns_scores_writer_finish(ns_scores_writer *writer, char hash[65])
{
    ns_status status = note(writer, finish_here(writer, hash));
    if (status != NS_OK) abandon(writer);
    writer->finished = status == NS_OK;
    return status;
}

void ns_scores_writer_close(ns_scores_writer **handle)
{
    ns_scores_writer *writer = *handle;
    if (writer == NULL) return;
    if (!writer->finished) abandon(writer);
    free(writer->path);
    free(writer->keep);
    free(writer->keep_rows);
    free(writer->keep_kind);
    free(writer->keep_is_text);
    free(writer->written);
    free(writer);
    *handle = NULL;
}
