/*
 * One column at a time. Cells gather in chunks, several of which are packed at once by threads; a data set is
 * made when they are full or its column ends, so that a small table has one small chunk. Texts of a column
 * gather whole where their longest is not known. On a full disk H5Dwrite, H5Fflush and H5Fclose may all succeed while H5Dclose
 * fails: every return code counts, and after the first failure nothing is renamed.
 */
#include "data/cohort_writer.h"

#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/lock.h"
#include "cluster/stop.h"
#include "data/packer.h"
#include "data/cohort_private.h"
#include "data/durable.h"

static const int64_t DEFAULT_CHUNK_ROWS = 65536, MAX_CHUNK_BYTES = (int64_t)64 << 20;
static const char LABEL[] = "cohort";
enum { MAX_CHUNKS = 32 };
static const int64_t CHUNKS_BYTES = (int64_t)16 << 20; /* at once; one chunk may have more */

struct ns_cohort_writer {
    char *path, *temporary;
    ns_lock *lock; /* PATH.lock: two writers of one file would share its temporary name */
    int64_t chunk_rows;
    int32_t deflate;
    hid_t file, columns, levels; /* -1 while closed */
    bool failed, torn;
    int64_t n_rows; /* -1 until the first column ends */

    char *name; /* of the column last begun */
    ns_column_kind kind;
    bool is_text, in_column, wants_levels;
    int code_bytes; /* of a category: 1, 2 or 4 */
    hid_t dataset; /* -1 until its first chunks are full */
    int64_t n_written;
    ns_packer_chunk chunks[MAX_CHUNKS];
    int n_chunks, at_chunk;     /* that a column uses, of them full */
    ns_packer_layout layout;     /* of the column */
    int64_t text_bytes;         /* of a text column whose longest text is known; 0: it is not */
    ns_texts texts;
    char *unit, *description;
};

/* Remembers that something failed, so that finish publishes nothing. */
static ns_status note(ns_cohort_writer *writer, ns_status status)
{
    writer->failed = writer->failed || status != NS_OK;
    return status;
}

static ns_status check(const ns_cohort_writer *writer, int64_t result, const char *doing)
{
    return ns_hdf5_check(result, NS_EIO, writer->path, doing);
}

static char *copy_text(const char *text)
{
    size_t n_bytes = text == NULL ? 1 : strlen(text) + 1;
    char *copy = calloc(n_bytes, 1);
    if (copy != NULL && text != NULL) memcpy(copy, text, n_bytes);
    return copy;
}

/* ---- open ---- */

static ns_status make_group(hid_t *out, const ns_cohort_writer *writer, const char *name)
{
    hid_t list = ns_h5_plain_list(H5P_GROUP_CREATE);
    *out = list >= 0 ? H5Gcreate2(writer->file, name, H5P_DEFAULT, list, H5P_DEFAULT) : -1;
    ns_status status = check(writer, *out, "create a group");
    if (list >= 0) H5Pclose(list);
    return status;
}

static ns_status open_here(ns_cohort_writer *writer, const char *path)
{
    size_t room = strlen(path) + 40;
    writer->path = copy_text(path);
    writer->temporary = malloc(room);
    if (writer->path == NULL || writer->temporary == NULL)
        return ns_fail(NS_ENOMEM, "%s: no memory to write it", path);
    snprintf(writer->temporary, room, "%s.lock", path);
    NS_TRY(ns_lock_take(&writer->lock, writer->temporary, "the cohort file", NULL, 0));
    snprintf(writer->temporary, room, "%s.tmp", path);
    NS_TRY(ns_durable_point("write", LABEL, "before"));
    NS_TRY(ns_h5_create(&writer->file, writer->temporary, path));
    NS_TRY(ns_h5_write_int_attribute(writer->file, "nightshift_cohort", 1, path));
    return make_group(&writer->columns, writer, "columns");
}

ns_status ns_cohort_writer_open(ns_cohort_writer **out, const char *path, const ns_cohort_options *options)
{
    ns_cohort_writer *writer = calloc(1, sizeof *writer);
    *out = NULL;
    if (writer == NULL) return ns_fail(NS_ENOMEM, "%s: no memory to write it", path);
    writer->file = writer->columns = writer->levels = writer->dataset = -1;
    writer->n_rows = -1;
    writer->chunk_rows =
        options != NULL && options->chunk_rows > 0 ? options->chunk_rows : DEFAULT_CHUNK_ROWS;
    writer->deflate = options != NULL && options->deflate >= 0 ? options->deflate : 1;
    ns_status status = open_here(writer, path);
    if (status != NS_OK) ns_cohort_writer_close(&writer);
    *out = writer;
    return status;
}

/* ---- data sets ---- */

/* A data set that can grow, with chunks of at most chunk_rows rows; type is the one in the file. */
static ns_status make_dataset(hid_t *out, const ns_cohort_writer *writer, hid_t group, hid_t type, int64_t n)
{
    int64_t rows = n < writer->chunk_rows ? n : writer->chunk_rows;
    int64_t fit = MAX_CHUNK_BYTES / (int64_t)H5Tget_size(type);
    if (rows > fit) rows = fit;
    if (rows < 1) rows = 1;
    hsize_t size = (hsize_t)n, most = H5S_UNLIMITED, chunk = (hsize_t)rows;
    char *link = ns_h5_encode_name("", writer->name);
    hid_t list = ns_h5_plain_list(H5P_DATASET_CREATE), space = H5Screate_simple(1, &size, &most);
    *out = -1;
    if (link != NULL && list >= 0 && space >= 0 && H5Pset_chunk(list, 1, &chunk) >= 0 &&
        (writer->deflate == 0 ||
         (H5Pset_shuffle(list) >= 0 && H5Pset_deflate(list, (unsigned)writer->deflate) >= 0)))
        *out = H5Dcreate2(group, link, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    ns_status status = check(writer, *out, "create a data set");
    if (list >= 0) H5Pclose(list);
    ns_h5_close_space(space);
    free(link);
    return status;
}

static hid_t file_type(const ns_cohort_writer *writer)
{
    switch (writer->kind) {
    case NS_COL_NUMBER:
        return H5T_IEEE_F32LE;
    case NS_COL_CATEGORY:
        return writer->code_bytes == 1 ? H5T_STD_I8LE : writer->code_bytes == 2 ? H5T_STD_I16LE : H5T_STD_I32LE;
    default:
        return H5T_STD_I64LE;
    }
}

static ns_status label_column(const ns_cohort_writer *writer)
{
    NS_TRY(
        ns_h5_write_text_attribute(writer->dataset, "kind", ns_column_kind_name(writer->kind), writer->path));
    if (writer->unit[0] != '\0')
        NS_TRY(ns_h5_write_text_attribute(writer->dataset, "unit", writer->unit, writer->path));
    if (writer->description[0] == '\0') return NS_OK;
    return ns_h5_write_text_attribute(writer->dataset, "description", writer->description, writer->path);
}

/* How a column's cells lie in chunks, and how many are packed at once. */
static void lay_out(ns_cohort_writer *writer, int64_t cell_bytes, int64_t chunk_rows)
{
    int64_t n = CHUNKS_BYTES / (cell_bytes * chunk_rows), threads = omp_get_max_threads();
    writer->layout = (ns_packer_layout){cell_bytes, chunk_rows, 0, writer->deflate};
    if (n > 2 * threads) n = 2 * threads;
    writer->n_chunks = n < 1 ? 1 : n > MAX_CHUNKS ? MAX_CHUNKS : (int)n;
    writer->at_chunk = 0;
}

/* Packs and writes the chunks that are full, or at the end of a column the last one too. */
static ns_status flush_chunks(ns_cohort_writer *writer)
{
    int n = writer->at_chunk;
    int64_t rows = 0;
    if (n < writer->n_chunks && writer->chunks[n].n_rows > 0) n++;
    if (writer->dataset < 0) {
        int64_t first = writer->chunks[0].n_rows;
        NS_TRY(make_dataset(&writer->dataset, writer, writer->columns, file_type(writer), first));
        NS_TRY(label_column(writer));
        writer->layout.n_rows = first;
        if (first < writer->layout.chunk_rows) writer->layout.chunk_rows = first < 1 ? 1 : first;
    }
    for (int i = 0; i < n; i++) rows += writer->chunks[i].n_rows;
    NS_TRY(ns_packer_write(writer->chunks, n, writer->dataset, writer->n_written, &writer->layout, writer->path));
    writer->n_written += rows;
    writer->at_chunk = 0;
    return NS_OK;
}

/* A place for so many cells of the chunk in work as fit; *n is cut down to them. */
static ns_status next_place(ns_cohort_writer *writer, char **place, int64_t *n)
{
    const ns_packer_layout *layout = &writer->layout;
    ns_packer_chunk *chunk = &writer->chunks[writer->at_chunk];
    if (*n > layout->chunk_rows - chunk->n_rows) *n = layout->chunk_rows - chunk->n_rows;
    /* a small table takes little */
    int64_t needed = (chunk->n_rows + *n) * layout->cell_bytes, whole = layout->chunk_rows * layout->cell_bytes;
    if (needed > chunk->room_raw) NS_TRY(ns_packer_room(chunk, needed * 2 < whole ? needed * 2 : whole));
    *place = chunk->raw + chunk->n_rows * layout->cell_bytes;
    return NS_OK;
}

static ns_status took_place(ns_cohort_writer *writer, int64_t n)
{
    ns_packer_chunk *chunk = &writer->chunks[writer->at_chunk];
    chunk->n_rows += n;
    if (chunk->n_rows < writer->layout.chunk_rows) return NS_OK;
    return ++writer->at_chunk == writer->n_chunks ? flush_chunks(writer) : NS_OK;
}

static int64_t longest(const ns_texts *texts)
{
    int64_t most = 1; /* HDF5 has no strings without bytes */
    for (int64_t i = 0; i < texts->n; i++) {
        int64_t n_bytes = texts->offset[i + 1] - texts->offset[i];
        if (n_bytes > most) most = n_bytes;
    }
    return most;
}

/* All texts as one data set of fixed-length strings, left open. */
static ns_status write_texts(hid_t *out, const ns_cohort_writer *writer, hid_t group, const ns_texts *texts)
{
    hid_t type = ns_h5_text_type(longest(texts));
    *out = -1;
    NS_TRY(check(writer, type, "make a text type"));
    ns_status status = make_dataset(out, writer, group, type, texts->n);
    if (status == NS_OK) status = ns_h5_write_texts(*out, 0, texts, 0, texts->n, writer->path, writer->name);
    H5Tclose(type);
    return status;
}

static ns_status close_dataset(const ns_cohort_writer *writer, hid_t *dataset)
{
    hid_t open = *dataset;
    *dataset = -1;
    return check(writer, H5Dclose(open), "close a data set");
}

/* ---- columns ---- */

/* Writes what is buffered and closes the column; later columns must have as many rows. */
static ns_status end_column(ns_cohort_writer *writer)
{
    if (!writer->in_column) return NS_OK;
    writer->in_column = false;
    if (writer->is_text && writer->text_bytes > 0) {
        if (writer->at_chunk > 0 || writer->chunks[0].n_rows > 0) NS_TRY(flush_chunks(writer));
    } else if (writer->is_text) {
        NS_TRY(write_texts(&writer->dataset, writer, writer->columns, &writer->texts));
        NS_TRY(label_column(writer));
        writer->n_written = writer->texts.n;
        ns_texts_clear(&writer->texts);
    } else if (writer->at_chunk > 0 || writer->chunks[0].n_rows > 0 || writer->dataset < 0) {
        NS_TRY(flush_chunks(writer));
    }
    NS_TRY(close_dataset(writer, &writer->dataset));
    if (writer->n_rows < 0) writer->n_rows = writer->n_written;
    if (writer->n_rows != writer->n_written)
        return ns_fail(NS_EINVAL,
                       "%s: column '%s' was given %" PRId64 " rows, the columns before it %" PRId64,
                       writer->path, writer->name, writer->n_written, writer->n_rows);
    if (writer->torn) return NS_OK;
    writer->torn = true; /* the middle of the whole write, for the test hook */
    return ns_durable_point("write", LABEL, "torn");
}

static ns_status need_levels(const ns_cohort_writer *writer)
{
    if (!writer->wants_levels) return NS_OK;
    return ns_fail(NS_EINVAL, "%s: the levels of column '%s' were not given", writer->path, writer->name);
}

static ns_status begin_column(ns_cohort_writer *writer, const char *name, ns_column_kind kind, bool is_text)
{
    NS_TRY(end_column(writer));
    NS_TRY(need_levels(writer));
    free(writer->name);
    writer->name = copy_text(name);
    if (writer->name == NULL || writer->unit == NULL || writer->description == NULL)
        return ns_fail(NS_ENOMEM, "%s: no memory for a column", writer->path);
    writer->kind = kind;
    writer->is_text = is_text && kind == NS_COL_ID;
    writer->in_column = true;
    writer->wants_levels = kind == NS_COL_CATEGORY;
    writer->n_written = writer->text_bytes = 0;
    writer->code_bytes = 4;
    lay_out(writer, (int64_t)H5Tget_size(file_type(writer)), writer->chunk_rows);
    return NS_OK;
}

ns_status ns_cohort_writer_column(ns_cohort_writer *writer, const char *name, ns_column_kind kind,
                                  bool is_text, const char *unit, const char *description)
{
    NS_TRY(note(writer, end_column(writer))); /* before its unit and description go */
    free(writer->unit);
    free(writer->description);
    writer->unit = copy_text(unit);
    writer->description = copy_text(description);
    return note(writer, begin_column(writer, name, kind, is_text));
}

static ns_status set_n_levels(ns_cohort_writer *writer, int64_t n_levels)
{
    if (!writer->in_column || writer->kind != NS_COL_CATEGORY || writer->at_chunk > 0 || writer->chunks[0].n_rows > 0)
        return ns_fail(NS_EINVAL, "%s: the number of levels was given where none is expected", writer->path);
    writer->code_bytes = n_levels <= INT8_MAX + 1 ? 1 : n_levels <= INT16_MAX + 1 ? 2 : 4;
    lay_out(writer, writer->code_bytes, writer->chunk_rows);
    return NS_OK;
}

ns_status ns_cohort_writer_n_levels(ns_cohort_writer *writer, int64_t n_levels)
{
    return note(writer, set_n_levels(writer, n_levels));
}

/* Cells to their place in a chunk; codes become as narrow as they are in the file. The caller's n_levels bounds them. */
static void place_cells(char *place, const char *from, int64_t n, size_t size, int64_t cell_bytes)
{
    const int32_t *codes = (const int32_t *)(const void *)from;
    if (cell_bytes == 1)
        for (int64_t i = 0; i < n; i++) ((int8_t *)place)[i] = (int8_t)codes[i];
    else if (cell_bytes == 2)
        for (int64_t i = 0; i < n; i++) ((int16_t *)(void *)place)[i] = (int16_t)codes[i];
    else
        memcpy(place, from, (size_t)n * size);
}

static ns_status append_cells(ns_cohort_writer *writer, ns_column_kind kind, const void *cells, size_t size,
                              int64_t n)
{
    if (!writer->in_column || writer->is_text || writer->kind != kind)
        return ns_fail(NS_EINVAL, "%s: rows of kind %s were given to a column of another kind", writer->path,
                       ns_column_kind_name(kind));
    NS_TRY(ns_stop_check());
    const char *from = cells;
    while (n > 0) {
        char *place = NULL;
        int64_t rows = n;
        NS_TRY(next_place(writer, &place, &rows));
        place_cells(place, from, rows, size, writer->layout.cell_bytes);
        from += (size_t)rows * size;
        n -= rows;
        NS_TRY(took_place(writer, rows));
    }
    return NS_OK;
}

ns_status ns_cohort_writer_numbers(ns_cohort_writer *writer, const float *values, int64_t n)
{
    return note(writer, append_cells(writer, NS_COL_NUMBER, values, sizeof *values, n));
}

ns_status ns_cohort_writer_codes(ns_cohort_writer *writer, const int32_t *codes, int64_t n)
{
    return note(writer, append_cells(writer, NS_COL_CATEGORY, codes, sizeof *codes, n));
}

ns_status ns_cohort_writer_times(ns_cohort_writer *writer, const int64_t *times, int64_t n)
{
    return note(writer, append_cells(writer, NS_COL_TIME, times, sizeof *times, n));
}

ns_status ns_cohort_writer_id_ints(ns_cohort_writer *writer, const int64_t *ids, int64_t n)
{
    return note(writer, append_cells(writer, NS_COL_ID, ids, sizeof *ids, n));
}

/* The data set of a text column is made here, as large as it will be. */
static ns_status set_text_size(ns_cohort_writer *writer, int64_t n_bytes, int64_t n_rows)
{
    if (!writer->in_column || !writer->is_text || writer->texts.n > 0 || writer->text_bytes > 0)
        return ns_fail(NS_EINVAL, "%s: the size of texts was given where none are expected", writer->path);
    writer->text_bytes = n_bytes < 1 ? 1 : n_bytes; /* HDF5 has no strings without bytes */
    hid_t type = ns_h5_text_type(writer->text_bytes);
    NS_TRY(check(writer, type, "make a text type"));
    ns_status status = make_dataset(&writer->dataset, writer, writer->columns, type, n_rows);
    H5Tclose(type);
    NS_TRY(status);
    int64_t rows = n_rows < writer->chunk_rows ? n_rows : writer->chunk_rows;
    int64_t fit = MAX_CHUNK_BYTES / writer->text_bytes;
    if (rows > fit) rows = fit;
    lay_out(writer, writer->text_bytes, rows < 1 ? 1 : rows);
    writer->layout.n_rows = n_rows;
    return label_column(writer);
}

ns_status ns_cohort_writer_text_size(ns_cohort_writer *writer, int64_t n_bytes, int64_t n_rows)
{
    return note(writer, set_text_size(writer, n_bytes, n_rows));
}

static ns_status append_sized_texts(ns_cohort_writer *writer, const ns_texts *ids)
{
    for (int64_t i = 0; i < ids->n; i++) {
        int64_t n_bytes, one = 1;
        char *place = NULL;
        const char *text = ns_text_at(ids, i, &n_bytes);
        if (n_bytes > writer->text_bytes) return ns_fail(NS_EINVAL, "%s: a text is longer than was said", writer->path);
        NS_TRY(next_place(writer, &place, &one));
        memcpy(place, text, (size_t)n_bytes);
        memset(place + n_bytes, 0, (size_t)(writer->text_bytes - n_bytes));
        NS_TRY(took_place(writer, 1));
    }
    return NS_OK;
}

static ns_status append_texts(ns_cohort_writer *writer, const ns_texts *ids)
{
    if (!writer->in_column || !writer->is_text)
        return ns_fail(NS_EINVAL, "%s: texts were given to a column that is not a text id", writer->path);
    NS_TRY(ns_stop_check());
    if (writer->text_bytes > 0) return append_sized_texts(writer, ids);
    for (int64_t i = 0; i < ids->n; i++) {
        int64_t n_bytes;
        const char *text = ns_text_at(ids, i, &n_bytes);
        NS_TRY(ns_texts_append(&writer->texts, text, n_bytes));
    }
    return NS_OK;
}

ns_status ns_cohort_writer_id_texts(ns_cohort_writer *writer, const ns_texts *ids)
{
    return note(writer, append_texts(writer, ids));
}

static ns_status write_levels(ns_cohort_writer *writer, const ns_texts *levels)
{
    NS_TRY(end_column(writer));
    if (!writer->wants_levels)
        return ns_fail(NS_EINVAL, "%s: levels were given to a column that has none", writer->path);
    writer->wants_levels = false;
    if (writer->levels < 0) NS_TRY(make_group(&writer->levels, writer, "levels"));
    hid_t dataset;
    ns_status status = write_texts(&dataset, writer, writer->levels, levels);
    if (dataset < 0) return status;
    ns_status closed = close_dataset(writer, &dataset);
    return status != NS_OK ? status : closed;
}

ns_status ns_cohort_writer_levels(ns_cohort_writer *writer, const ns_texts *levels)
{
    return note(writer, write_levels(writer, levels));
}

/* ---- finish ---- */

static ns_status close_file(ns_cohort_writer *writer)
{
    hid_t groups[2] = {writer->levels, writer->columns}, file = writer->file;
    writer->levels = writer->columns = -1;
    for (int i = 0; i < 2; i++)
        if (groups[i] >= 0) NS_TRY(check(writer, H5Gclose(groups[i]), "close a group"));
    NS_TRY(check(writer, H5Fflush(file, H5F_SCOPE_LOCAL), "flush"));
    writer->file = -1;
    NS_TRY(check(writer, H5Fclose(file), "close the file"));
    return ns_durable_point("write", LABEL, "after");
}

/* Reads the schema back: every column is there, with as many rows as were given. */
static ns_status verify(const ns_cohort_writer *writer)
{
    ns_file_schema schema = {0};
    hid_t file;
    ns_status status = ns_h5_open_read(&file, writer->temporary, NS_EIO);
    if (status == NS_OK) status = ns_file_schema_read(&schema, file, writer->temporary, NS_LAYOUT_COLUMNS);
    if (status == NS_OK && schema.n_rows != writer->n_rows)
        status = ns_fail(NS_EIO, "%s: reads back with %" PRId64 " rows, not %" PRId64, writer->path,
                         schema.n_rows, writer->n_rows);
    if (file >= 0) H5Fclose(file);
    ns_file_schema_destroy(&schema);
    if (status == NS_EFORMAT) ns_last_error()->code = status = NS_EIO; /* our own file, not the user's */
    return status;
}

static ns_status finish_here(ns_cohort_writer *writer)
{
    if (writer->failed) return ns_fail(NS_EIO, "%s: an earlier write failed", writer->path);
    NS_TRY(end_column(writer));
    NS_TRY(need_levels(writer));
    if (writer->n_rows < 0) return ns_fail(NS_EINVAL, "%s: a cohort needs at least one column", writer->path);
    NS_TRY(ns_h5_write_int_attribute(writer->file, "n_rows", writer->n_rows, writer->path));
    NS_TRY(close_file(writer));
    NS_TRY(ns_durable_sync(writer->temporary, LABEL));
    NS_TRY(verify(writer));
    return ns_durable_rename(writer->temporary, writer->path, LABEL);
}

/* Closes what is open and deletes the temporary file, whatever state it is in. */
static void abandon(ns_cohort_writer *writer)
{
    /* On a full disk HDF5 cannot close a file that it cannot flush; without its bytes there is room again. */
    bool truncated = writer->file >= 0 && truncate(writer->temporary, 0) == 0;
    (void)truncated;
    if (writer->dataset >= 0) H5Dclose(writer->dataset);
    if (writer->levels >= 0) H5Gclose(writer->levels);
    if (writer->columns >= 0) H5Gclose(writer->columns);
    if (writer->file >= 0) H5Fclose(writer->file);
    writer->dataset = writer->levels = writer->columns = writer->file = -1;
    if (writer->lock != NULL) unlink(writer->temporary); /* without the lock it is another's */
}

ns_status ns_cohort_writer_finish(ns_cohort_writer *writer)
{
    ns_status status = note(writer, finish_here(writer));
    if (status != NS_OK) abandon(writer);
    return status;
}

void ns_cohort_writer_close(ns_cohort_writer **handle)
{
    ns_cohort_writer *writer = *handle;
    if (writer == NULL) return;
    abandon(writer); /* after finish the temporary name is gone */
    ns_lock_release(&writer->lock);
    free(writer->path);
    free(writer->temporary);
    for (int i = 0; i < MAX_CHUNKS; i++) ns_packer_destroy(&writer->chunks[i]);
    free(writer->name);
    free(writer->unit);
    free(writer->description);
    ns_texts_destroy(&writer->texts);
    free(writer);
    *handle = NULL;
}
