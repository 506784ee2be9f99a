/*
 * Every data set is made, with its place in the file, before the first row is written, and attributes have
 * fixed lengths; so the bytes of a file do not depend on the blocks in which rows arrive. The attribute
 * `reasons` comes last: a file without it was not finished.
 */
#include "data/scores.h"

#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/crash.h"
#include "data/durable.h"
#include "data/h5.h"
#include "data/hash.h"
#include "data/raw_rows.h"
#include "data/text_index.h"

enum { FORMAT_VERSION = 1, PIECE_ROWS = 8192, CELLS_BYTES = 4096, REASONS_ROOM = 256 };
static const char LABEL[] = "scores";

const char *ns_score_status_name(ns_score_status status)
{
    switch (status) {
    case NS_SCORED:
        return "scored";
    case NS_OUTSIDE_COHORT:
        return "outside_cohort";
    case NS_ID_MISSING:
        return "id_missing";
    case NS_ID_DUPLICATE:
        return "id_duplicate";
    case NS_VALUE_INFINITE:
        return "value_infinite";
    default:
        return "unknown";
    }
}

/* ---- content ---- */

/* What a score file says, whatever its bytes: a hash and counts that grow with its rows. */
typedef struct content {
    crypto_generichash_state state;
    int64_t n_rows, counts[NS_N_STATUS];
    int32_t n_values; /* numbers of a row */
} content;

static void content_begin(content *now, int32_t n_values)
{
    now->n_values = n_values;
    crypto_generichash_init(&now->state, NULL, 0, 32);
    now->n_rows = 0;
    memset(now->counts, 0, sizeof now->counts);
}

/* Little-endian; written out, because compilers make one store of this but not of a loop. */
static inline void put32(unsigned char *at, uint32_t value)
{
    at[0] = (unsigned char)value;
    at[1] = (unsigned char)(value >> 8);
    at[2] = (unsigned char)(value >> 16);
    at[3] = (unsigned char)(value >> 24);
}

static inline void put64(unsigned char *at, uint64_t value)
{
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

/* Bytes on their way into the hash, many at once. */
typedef struct cell_buffer {
    content *now;
    size_t n;
    unsigned char bytes[CELLS_BYTES];
} cell_buffer;

static inline unsigned char *cell_room(cell_buffer *c, size_t n_bytes)
{
    if (c->n + n_bytes > CELLS_BYTES) {
        crypto_generichash_update(&c->now->state, c->bytes, (unsigned long long)c->n);
        c->n = 0;
    }
    c->n += n_bytes;
    return c->bytes + c->n - n_bytes;
}

/* Adds rows; words: the ids as in a fingerprint. Returns the first row with an unknown status, or -1. */
static int64_t content_add(content *now, const uint64_t *words, const uint8_t *status, const float *risk, int64_t n)
{
    cell_buffer c;
    int64_t bad = -1;
    c.now = now;
    c.n = 0;
    for (int64_t i = 0; i < n; i++) {
        unsigned char *at = cell_room(&c, 9);
        put64(at, words[i]);
        at[8] = status[i];
        for (int32_t v = 0; v < now->n_values; v++) put32(cell_room(&c, 4), ns_score_bits(risk[i * now->n_values + v]));
        if (status[i] < NS_N_STATUS)
            now->counts[status[i]]++;
        else if (bad < 0)
            bad = now->n_rows + i;
    }
    crypto_generichash_update(&now->state, c.bytes, (unsigned long long)c.n);
    now->n_rows += n;
    return bad;
}

/* The same with ids as they are: whichever of numbers and texts is not NULL. */
static int64_t content_add_ids(content *now, const int64_t *ids, const ns_texts *texts, const uint8_t *status, const float *risk, int64_t n)
{
    if (ids != NULL) return content_add(now, (const uint64_t *)ids, status, risk, n); /* signed and unsigned share a place */
    int64_t bad = -1;
    for (int64_t at = 0, here; at < n && bad < 0; at += here) {
        uint64_t words[CELLS_BYTES / 8];
        here = n - at < CELLS_BYTES / 8 ? n - at : CELLS_BYTES / 8;
        ns_hash64_each(words, texts->bytes, texts->offset + at, here);
        bad = content_add(now, words, status + at, risk + at * now->n_values, here);
    }
    return bad;
}

static void content_end(content *now, char hex[65])
{
    uint8_t digest[32];
    crypto_generichash_final(&now->state, digest, sizeof digest);
    ns_hex(hex, digest, sizeof digest);
}

/* The attribute `reasons`: counts by status, as JSON with fixed order of keys. */
static void word_reasons(char text[REASONS_ROOM], const int64_t *counts)
{
    int n = 0;
    for (int i = 0; i < NS_N_STATUS; i++)
        n += snprintf(text + n, (size_t)(REASONS_ROOM - n), "%s\"%s\":%" PRId64, i == 0 ? "{" : ",",
                      ns_score_status_name((ns_score_status)i), counts[i]);
    snprintf(text + n, (size_t)(REASONS_ROOM - n), "}");
}

/* ---- writer ---- */

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
    content *written;
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
    NS_TRY(ns_h5_write_int_attribute(writer->file, "nightshift_scores", FORMAT_VERSION, writer->path));
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
    content_begin(writer->written, setup->classes != NULL ? (int32_t)setup->classes->n : 1);
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
                      ? content_add(writer->written, block->id_word, block->status, block->risk, n)
                      : content_add_ids(writer->written, writer->id_is_text ? NULL : block->id_int, block->id_text, block->status, block->risk, n);
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
    char reasons[REASONS_ROOM];
    word_reasons(reasons, writer->written->counts);
    NS_TRY(ns_h5_write_text_attribute(writer->file, "reasons", reasons, writer->path));
    NS_TRY(close_all(writer));
    NS_TRY(ns_durable_sync(writer->path, LABEL));
    content_end(writer->written, hash);
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

/* ---- inspect ---- */

/* Copies a text attribute that must be there and fit. */
static ns_status copy_attribute(char *to, size_t room, hid_t file, const char *name, const char *path)
{
    char *text;
    NS_TRY(ns_h5_read_text_attribute(&text, file, name, path, NS_EVERIFY));
    ns_status status = NS_OK;
    if (text == NULL)
        status = ns_fail(NS_EVERIFY, "%s: has no attribute %s%s", path, name,
                         strcmp(name, "reasons") == 0 ? ": it was not finished" : "");
    else if (strlen(text) >= room)
        status = ns_fail(NS_EVERIFY, "%s: attribute %s has over %zu bytes", path, name, room - 1);
    else
        memcpy(to, text, strlen(text) + 1);
    free(text);
    return status;
}

static ns_status read_head(ns_scores_info *out, char reasons[REASONS_ROOM], hid_t file, const char *path)
{
    int64_t version = 0;
    bool found;
    NS_TRY(ns_h5_read_int_attribute(&version, &found, file, "nightshift_scores", path, NS_EVERIFY));
    if (!found)
        return ns_fail(NS_EVERIFY, "%s: is not a score file: no root attribute nightshift_scores", path);
    if (version != FORMAT_VERSION)
        return ns_fail(NS_EVERIFY, "%s: is a score file of format %" PRId64 ", this program reads %d", path,
                       version, FORMAT_VERSION);
    NS_TRY(ns_h5_read_int_attribute(&out->n_rows, &found, file, "n_rows", path, NS_EVERIFY));
    if (!found || out->n_rows < 0)
        return ns_fail(NS_EVERIFY, "%s: has no attribute n_rows of at least 0", path);
    NS_TRY(copy_attribute(out->name, sizeof out->name, file, "name", path));
    NS_TRY(copy_attribute(out->version, sizeof out->version, file, "version", path));
    NS_TRY(copy_attribute(out->bundle_id, sizeof out->bundle_id, file, "bundle_id", path));
    NS_TRY(copy_attribute(out->as_of, sizeof out->as_of, file, "as_of", path));
    return copy_attribute(reasons, REASONS_ROOM, file, "reasons", path);
}

/* Opens a data set that must have n rows of one of two classes. */
static ns_status open_rows(hid_t *out, hid_t file, const char *name, int64_t n, H5T_class_t class_a,
                           H5T_class_t class_b, const char *path)
{
    *out = ns_h5_has_link(file, name) ? H5Dopen2(file, name, H5P_DEFAULT) : -1;
    if (*out < 0) return ns_fail(NS_EVERIFY, "%s: has no data set /%s", path, name);
    int64_t length = ns_h5_length(H5Dget_space(*out));
    if (length != n)
        return ns_fail(NS_EVERIFY, "%s: /%s has %" PRId64 " rows, n_rows says %" PRId64, path, name, length,
                       n);
    hid_t type = H5Dget_type(*out);
    H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    if (type >= 0) H5Tclose(type);
    if (class != class_a && class != class_b)
        return ns_fail(NS_EVERIFY, "%s: /%s holds values of another type", path, name);
    return NS_OK;
}

typedef struct rows_of {
    hid_t id, status, risk;
    bool id_is_text;
    ns_texts texts;
    int64_t ids[PIECE_ROWS];
    uint8_t statuses[PIECE_ROWS];
    float *risks; /* [PIECE_ROWS][n_values] */
} rows_of;

static ns_status add_piece(content *now, rows_of *from, int64_t first, int64_t n, const char *path)
{
    if (from->id_is_text) {
        ns_texts_clear(&from->texts);
        NS_TRY(ns_h5_read_texts(&from->texts, from->id, first, n, path, "/id", NS_EVERIFY));
    } else {
        NS_TRY(ns_hdf5_check(ns_h5_read_rows(from->id, H5T_NATIVE_INT64, first, n, from->ids), NS_EVERIFY,
                             path, "read /id"));
    }
    NS_TRY(ns_hdf5_check(ns_h5_read_rows(from->status, H5T_NATIVE_UINT8, first, n, from->statuses),
                         NS_EVERIFY, path, "read /status"));
    NS_TRY(ns_score_values_read(from->risk, first, n, now->n_values, from->risks, path));
    int64_t bad = content_add_ids(now, from->id_is_text ? NULL : from->ids, &from->texts, from->statuses, from->risks, n);
    if (bad >= 0)
        return ns_fail(NS_EVERIFY, "%s: row %" PRId64 " (counting from 0) has an unknown status", path, bad);
    return NS_OK;
}

static ns_status read_rows(ns_scores_info *out, hid_t file, const char *path)
{
    content now;
    ns_texts classes = {0};
    rows_of *from = calloc(1, sizeof *from);
    if (from == NULL) return ns_fail(NS_ENOMEM, "%s: no memory to read it", path);
    from->id = from->status = from->risk = -1;
    ns_status status = open_rows(&from->id, file, "id", out->n_rows, H5T_INTEGER, H5T_STRING, path);
    if (status == NS_OK)
        status = open_rows(&from->status, file, "status", out->n_rows, H5T_INTEGER, H5T_INTEGER, path);
    if (status == NS_OK)
        status = ns_score_values_open(&from->risk, &out->kind, &out->n_values, &classes, file, out->n_rows, path);
    ns_texts_destroy(&classes);
    if (status == NS_OK) {
        content_begin(&now, out->n_values);
        from->risks = malloc((size_t)PIECE_ROWS * (size_t)out->n_values * sizeof *from->risks);
        if (from->risks == NULL) status = ns_fail(NS_ENOMEM, "%s: no memory to read it", path);
    }
    if (status == NS_OK) {
        hid_t type = H5Dget_type(from->id);
        from->id_is_text = type >= 0 && H5Tget_class(type) == H5T_STRING;
        if (type >= 0) H5Tclose(type);
    }
    for (int64_t at = 0; at < out->n_rows && status == NS_OK; at += PIECE_ROWS)
        status =
            add_piece(&now, from, at, out->n_rows - at < PIECE_ROWS ? out->n_rows - at : PIECE_ROWS, path);
    if (status == NS_OK) {
        memcpy(out->counts, now.counts, sizeof out->counts);
        content_end(&now, out->content);
    }
    if (from->id >= 0) H5Dclose(from->id);
    if (from->status >= 0) H5Dclose(from->status);
    if (from->risk >= 0) H5Dclose(from->risk);
    ns_texts_destroy(&from->texts);
    free(from->risks);
    free(from);
    return status;
}

ns_status ns_scores_inspect(ns_scores_info *out, const char *path)
{
    char stored[REASONS_ROOM], counted[REASONS_ROOM];
    hid_t file;
    memset(out, 0, sizeof *out);
    const char *before = ns_crash_watch(path);
    ns_status status = ns_h5_open_read(&file, path, NS_EVERIFY);
    if (status == NS_OK) {
        status = read_head(out, stored, file, path);
        if (status == NS_OK) status = read_rows(out, file, path);
        H5Fclose(file);
    }
    ns_crash_watch(before);
    if (status != NS_OK) return status;
    word_reasons(counted, out->counts);
    if (strcmp(stored, counted) != 0)
        return ns_fail(NS_EVERIFY,
                       "%s: its statuses do not add up to its attribute reasons: the file was altered", path);
    return NS_OK;
}

bool ns_scores_is(const char *path)
{
    ns_h5_quiet();
    if (H5Fis_hdf5(path) <= 0) return false;
    hid_t file;
    if (ns_h5_open_read(&file, path, NS_EVERIFY) != NS_OK) {
        ns_error_clear(); /* a question, not a failure */
        return false;
    }
    bool answer = ns_h5_has_attribute(file, "nightshift_scores");
    H5Fclose(file);
    return answer;
}
