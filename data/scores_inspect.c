/* Score files that are there: what they say, and whether it is whole. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/crash.h"
#include "data/h5.h"
#include "data/score_content.h"

enum { PIECE_ROWS = 8192 };

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

static ns_status read_head(ns_scores_info *out, char reasons[NS_REASONS_ROOM], hid_t file, const char *path)
{
    int64_t version = 0;
    bool found;
    NS_TRY(ns_h5_read_int_attribute(&version, &found, file, "nightshift_scores", path, NS_EVERIFY));
    if (!found)
        return ns_fail(NS_EVERIFY, "%s: is not a score file: no root attribute nightshift_scores", path);
    if (version != NS_SCORES_FORMAT)
        return ns_fail(NS_EVERIFY, "%s: is a score file of format %" PRId64 ", this program reads %d", path,
                       version, NS_SCORES_FORMAT);
    NS_TRY(ns_h5_read_int_attribute(&out->n_rows, &found, file, "n_rows", path, NS_EVERIFY));
    if (!found || out->n_rows < 0)
        return ns_fail(NS_EVERIFY, "%s: has no attribute n_rows of at least 0", path);
    NS_TRY(copy_attribute(out->name, sizeof out->name, file, "name", path));
    NS_TRY(copy_attribute(out->version, sizeof out->version, file, "version", path));
    NS_TRY(copy_attribute(out->bundle_id, sizeof out->bundle_id, file, "bundle_id", path));
    NS_TRY(copy_attribute(out->as_of, sizeof out->as_of, file, "as_of", path));
    return copy_attribute(reasons, NS_REASONS_ROOM, file, "reasons", path);
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

static ns_status add_piece(ns_score_content *now, rows_of *from, int64_t first, int64_t n, const char *path)
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
    int64_t bad = ns_score_content_add_ids(now, from->id_is_text ? NULL : from->ids, &from->texts, from->statuses, from->risks, n);
    if (bad >= 0)
        return ns_fail(NS_EVERIFY, "%s: row %" PRId64 " (counting from 0) has an unknown status", path, bad);
    return NS_OK;
}

static ns_status read_rows(ns_scores_info *out, hid_t file, const char *path)
{
    ns_score_content now;
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
        ns_score_content_begin(&now, out->n_values);
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
        ns_score_content_end(&now, out->content);
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
    char stored[NS_REASONS_ROOM], counted[NS_REASONS_ROOM];
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
    ns_score_reasons(counted, out->counts);
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
