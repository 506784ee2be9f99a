/*
 * What one file says about itself. A file is taken at its word only where the word can be checked: every
 * length against n_rows, every kind against the type of its cells. Files of other programs are recognised by
 * what they always hold, so that the message can name the cure.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/cohort_private.h"

enum { FORMAT_VERSION = 1, NAME_ROOM = 4096, MAX_MATRIX_COLUMNS = 1 << 20 };

char *ns_column_words(char *text, const char *name)
{
    snprintf(text, 300, "column '%.250s'", name);
    return text;
}

void ns_file_schema_destroy(ns_file_schema *schema)
{
    for (int32_t i = 0; i < schema->n_columns; i++) free(schema->columns[i].name);
    free(schema->columns);
    *schema = (ns_file_schema){0};
}

/* ---- files of another kind ---- */

typedef struct foreign {
    bool is_attribute; /* of the root; else a link */
    const char *mark, *seems, *cure;
} foreign;

static const foreign FOREIGN[] = {
    {true, "nightshift_scores", "a score file of this program", "give the cohort that was scored"},
    {true, "keras_version", "a Keras model", "give a table of patients"},
    {true, "PYTABLES_FORMAT_VERSION", "written by pandas to_hdf or PyTables",
     "pandas.read_hdf(...).to_csv('T.csv', index=False), then nightshift import T.csv OUT.h5"},
    {true, "_NCProperties", "a netCDF-4 file", "write its table as CSV, then nightshift import T.csv OUT.h5"},
    {false, "#refs#", "a MATLAB file", "writetable(T, 'T.csv'), then nightshift import T.csv OUT.h5"},
    {false, "columns", "a cohort without its mark",
     "set the root attributes nightshift_cohort = 1 and n_rows"},
    {false, "x", "a plain matrix", "set data.layout: matrix"},
};

/* pandas marks the groups that it writes; AnnData has a matrix and two tables, in newer files also a root
 * attribute. */
static bool is_pandas(hid_t file)
{
    H5G_info_t info;
    bool answer = false;
    if (H5Gget_info(file, &info) < 0) return false;
    for (hsize_t i = 0; i < info.nlinks && !answer; i++) {
        char name[NAME_ROOM];
        if (H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT) < 0)
            break;
        hid_t object = H5Oopen(file, name, H5P_DEFAULT);
        if (object < 0) continue;
        answer = ns_h5_has_attribute(object, "pandas_type");
        H5Oclose(object);
    }
    return answer;
}

static ns_status name_kind(hid_t file, const char *path)
{
    if (is_pandas(file))
        return ns_fail(
            NS_EFORMAT,
            "%s: is not a cohort; it seems to be written by pandas to_hdf; "
            "pandas.read_hdf(...).to_csv('T.csv', index=False), then nightshift import T.csv OUT.h5",
            path);
    if (ns_h5_has_link(file, "X") && ns_h5_has_link(file, "obs") && ns_h5_has_link(file, "var"))
        return ns_fail(NS_EFORMAT,
                       "%s: is not a cohort; it seems to be AnnData; a.to_df().join(a.obs).to_csv('T.csv'), "
                       "then nightshift import T.csv OUT.h5",
                       path);
    for (size_t i = 0; i < sizeof FOREIGN / sizeof *FOREIGN; i++) {
        const foreign *kind = &FOREIGN[i];
        if (kind->is_attribute ? ns_h5_has_attribute(file, kind->mark) : ns_h5_has_link(file, kind->mark))
            return ns_fail(NS_EFORMAT, "%s: is not a cohort; it seems to be %s; %s", path, kind->seems,
                           kind->cure);
    }
    return ns_fail(
        NS_EFORMAT,
        "%s: is not a cohort: no root attribute nightshift_cohort (data/README.md shows the format)", path);
}

/* ---- types ---- */

/* h5py's booleans: an enumeration FALSE = 0, TRUE = 1. */
static bool is_boolean(hid_t type)
{
    int8_t value;
    bool answer = H5Tget_nmembers(type) == 2 && H5Tget_size(type) == 1;
    for (unsigned i = 0; i < 2 && answer; i++) {
        char *name = H5Tget_member_name(type, i);
        const char *wanted[2] = {"FALSE", "TRUE"};
        answer = name != NULL && H5Tget_member_value(type, i, &value) >= 0 && value >= 0 && value <= 1 &&
                 strcmp(name, wanted[value]) == 0;
        if (name != NULL) H5free_memory(name);
    }
    return answer;
}

/* false: not a type that a cohort has; *found says what it is. */
static bool storage_of(hid_t type, ns_storage *out, const char **found)
{
    size_t size = H5Tget_size(type);
    *found = "values of an unknown type";
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        *out = size == 8 && H5Tget_sign(type) == H5T_SGN_NONE ? NS_STORED_UINT64 : NS_STORED_INT;
        *found = "integers of more than 8 bytes";
        return size <= 8;
    case H5T_FLOAT:
        *out = size <= 4 ? NS_STORED_FLOAT32 : size <= 8 ? NS_STORED_FLOAT64 : NS_STORED_WIDER;
        return true;
    case H5T_ENUM:
        *out = NS_STORED_INT;
        *found = "an enumeration that is not FALSE = 0, TRUE = 1";
        return is_boolean(type);
    case H5T_STRING:
        *out = NS_STORED_TEXT;
        return true;
    case H5T_COMPOUND:
        *found = "compound values";
        return false;
    case H5T_ARRAY:
    case H5T_VLEN:
        *found = "arrays";
        return false;
    default:
        return false;
    }
}

/* ---- one column ---- */

static ns_status read_kind(ns_column_schema *column, hid_t dataset, const char *path)
{
    char *text = NULL;
    NS_TRY(ns_h5_read_text_attribute(&text, dataset, "kind", path, NS_EFORMAT));
    column->declared = text != NULL;
    column->kind = column->storage == NS_STORED_TEXT ? NS_COL_CATEGORY : NS_COL_NUMBER;
    if (text == NULL) return NS_OK;
    bool known = false;
    for (int kind = NS_COL_NUMBER; kind <= NS_COL_TIME; kind++) {
        if (strcmp(text, ns_column_kind_name((ns_column_kind)kind)) != 0) continue;
        column->kind = (ns_column_kind)kind;
        known = true;
    }
    free(text);
    if (!known)
        return ns_fail(NS_EFORMAT, "%s: column '%s': attribute kind must be number, category, id or time",
                       path, column->name);
    return NS_OK;
}

/* Whether cells of this storage can be of this kind. */
static ns_status check_kind(const ns_column_schema *column, const char *path)
{
    bool whole = column->storage == NS_STORED_INT || column->storage == NS_STORED_UINT64;
    bool text = column->storage == NS_STORED_TEXT;
    const char *wants = NULL;
    switch (column->kind) {
    case NS_COL_NUMBER:
        wants = text ? "integers, floats or booleans" : NULL;
        break;
    case NS_COL_TIME:
        wants = text ? "integers, seconds since 1970 UTC" : NULL;
        break;
    case NS_COL_ID:
        wants = whole || text ? NULL : "integers or strings";
        break;
    case NS_COL_CATEGORY:
        wants = whole || text ? NULL : "integer codes or strings";
        break;
    }
    if (wants == NULL) return NS_OK;
    return ns_fail(NS_EFORMAT, "%s: column '%s' is of kind %s but holds %s; it must hold %s", path,
                   column->name, ns_column_kind_name(column->kind), text ? "strings" : "floats", wants);
}

/* /levels/NAME, for a column as it is named in the file. */
static bool has_level_dataset(hid_t file, const char *link_name)
{
    if (!ns_h5_has_link(file, "levels")) return false;
    hid_t group = H5Gopen2(file, "levels", H5P_DEFAULT);
    if (group < 0) return false;
    bool answer = ns_h5_has_link(group, link_name);
    H5Gclose(group);
    return answer;
}

static ns_status find_levels(ns_column_schema *column, hid_t file, hid_t dataset, const char *link_name,
                             const char *path)
{
    column->levels = NS_LEVELS_NONE;
    if (column->storage == NS_STORED_TEXT) {
        if (column->kind == NS_COL_CATEGORY) column->levels = NS_LEVELS_CELLS;
        return NS_OK;
    }
    if (has_level_dataset(file, link_name))
        column->levels = NS_LEVELS_DATASET;
    else if (ns_h5_has_attribute(dataset, "levels"))
        column->levels = NS_LEVELS_ATTRIBUTE;
    if (column->kind == NS_COL_CATEGORY) {
        if (column->levels == NS_LEVELS_NONE) column->levels = NS_LEVELS_CELLS;
        return NS_OK;
    }
    /* Codes taken for numbers would pass unnoticed. */
    if (column->levels != NS_LEVELS_NONE && !column->declared)
        return ns_fail(NS_EFORMAT,
                       "%s: column '%s' has levels but no attribute kind; set it to category (or to number)",
                       path, column->name);
    column->levels = NS_LEVELS_NONE;
    return NS_OK;
}

static ns_status read_shape(hid_t dataset, int64_t n_rows, const char *name, const char *path)
{
    hid_t space = H5Dget_space(dataset);
    int n_dims = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    int64_t length = ns_h5_length(space);
    if (length < 0)
        return ns_fail(NS_EFORMAT, "%s: column '%s' has %d dimensions, must have one", path, name, n_dims);
    if (length != n_rows)
        return ns_fail(NS_EFORMAT, "%s: column '%s' has %" PRId64 " rows, attribute n_rows says %" PRId64,
                       path, name, length, n_rows);
    return NS_OK;
}

static ns_status read_column(ns_column_schema *column, hid_t file, const char *link_name, int64_t n_rows,
                             const char *path)
{
    char link[NAME_ROOM + 16];
    snprintf(link, sizeof link, "/columns/%s", link_name);
    hid_t object = H5Oopen(file, link, H5P_DEFAULT), type = -1;
    ns_status status = NS_OK;
    if (object < 0) {
        char words[300], doing[400];
        snprintf(doing, sizeof doing,
                 "open %s (its link leads nowhere, or the file is damaged, or of a newer HDF5)",
                 ns_column_words(words, column->name));
        status = ns_hdf5_check(-1, NS_EFORMAT, path, doing);
        goto done;
    }
    if (H5Iget_type(object) != H5I_DATASET) {
        status = ns_fail(NS_EFORMAT, "%s: '%s' in /columns is not a data set", path, column->name);
        goto done;
    }
    status = read_shape(object, n_rows, column->name, path);
    if (status != NS_OK) goto done;
    const char *found;
    type = H5Dget_type(object);
    if (type < 0 || !storage_of(type, &column->storage, &found)) {
        status = ns_fail(NS_EFORMAT,
                         "%s: column '%s' holds %s; a column holds integers, floats, booleans or strings",
                         path, column->name, type < 0 ? "values of an unreadable type" : found);
        goto done;
    }
    status = read_kind(column, object, path);
    if (status == NS_OK) status = check_kind(column, path);
    if (status == NS_OK) status = find_levels(column, file, object, link_name, path);
done:
    if (type >= 0) H5Tclose(type);
    if (object >= 0) H5Oclose(object);
    return status;
}

/* ---- a file of columns ---- */

static int compare_columns(const void *a, const void *b)
{
    return strcmp(((const ns_column_schema *)a)->name, ((const ns_column_schema *)b)->name);
}

/* Names go into one-line messages and job files. */
static bool has_control_character(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) return true;
    return false;
}

static herr_t collect_name(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    (void)group;
    (void)info;
    return ns_texts_append(data, name, (int64_t)strlen(name)) == NS_OK ? 0 : -1;
}

static ns_status read_columns(ns_file_schema *out, hid_t file, const char *path)
{
    ns_texts names = {0};
    ns_status status = NS_OK;
    hid_t group = ns_h5_has_link(file, "columns") ? H5Gopen2(file, "columns", H5P_DEFAULT) : -1;
    if (group < 0) {
        status = ns_fail(NS_EFORMAT, "%s: has no group /columns", path);
        goto done;
    }
    /* A failed append has worded itself; any other failure is the file's. */
    status = ns_hdf5_check(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_name, &names),
                           NS_EFORMAT, path, "list /columns");
    if (status != NS_OK) status = ns_last_error()->code;
    if (status == NS_OK && names.n == 0)
        status = ns_fail(NS_EFORMAT, "%s: has no columns: /columns is empty", path);
    if (status != NS_OK) goto done;
    out->columns = calloc((size_t)names.n, sizeof *out->columns);
    if (out->columns == NULL) status = ns_fail(NS_ENOMEM, "%s: no memory for its columns", path);
    for (int64_t i = 0; i < names.n && status == NS_OK; i++) {
        ns_column_schema *column = &out->columns[i];
        int64_t n_bytes;
        const char *text = ns_text_at(&names, i, &n_bytes);
        column->name = calloc((size_t)n_bytes + 1, 1);
        out->n_columns++;
        if (column->name == NULL) {
            status = ns_fail(NS_ENOMEM, "%s: no memory for its columns", path);
            break;
        }
        memcpy(column->name, text, (size_t)n_bytes);
        if (n_bytes >= NAME_ROOM || has_control_character(column->name)) {
            status = ns_fail(NS_EFORMAT,
                             "%s: the name of column %" PRId64
                             " in /columns has over %d bytes or a control character",
                             path, i + 1, NAME_ROOM - 1);
            break;
        }
        char link_name[NAME_ROOM];
        snprintf(link_name, sizeof link_name, "%s", column->name);
        ns_h5_decode_name(column->name);
        status = read_column(column, file, link_name, out->n_rows, path);
    }
done:
    if (group >= 0) H5Gclose(group);
    ns_texts_destroy(&names);
    if (status == NS_OK) qsort(out->columns, (size_t)out->n_columns, sizeof *out->columns, compare_columns);
    return status;
}

static ns_status read_root(ns_file_schema *out, hid_t file, const char *path)
{
    int64_t version = 0;
    bool found = false;
    NS_TRY(ns_h5_read_int_attribute(&version, &found, file, "nightshift_cohort", path, NS_EFORMAT));
    if (!found) return name_kind(file, path);
    if (version > FORMAT_VERSION)
        return ns_fail(NS_EFORMAT,
                       "%s: is a cohort of a newer format: nightshift_cohort = %" PRId64
                       ", this program reads %d",
                       path, version, FORMAT_VERSION);
    if (version < 1)
        return ns_fail(NS_EFORMAT, "%s: nightshift_cohort = %" PRId64 ", must be %d", path, version,
                       FORMAT_VERSION);
    NS_TRY(ns_h5_read_int_attribute(&out->n_rows, &found, file, "n_rows", path, NS_EFORMAT));
    if (!found) return ns_fail(NS_EFORMAT, "%s: has no root attribute n_rows", path);
    if (out->n_rows < 0)
        return ns_fail(NS_EFORMAT, "%s: n_rows = %" PRId64 ", must be at least 0", path, out->n_rows);
    return NS_OK;
}

/* ---- a plain matrix ---- */

static ns_status open_numbers(hid_t *out, ns_storage *storage, hid_t file, const char *name, const char *path)
{
    *out = H5Dopen2(file, name, H5P_DEFAULT);
    NS_TRY(ns_hdf5_check(*out, NS_EFORMAT, path,
                         strcmp(name, "x") == 0 ? "open the data set /x" : "open the data set /y"));
    hid_t type = H5Dget_type(*out);
    const char *found = "strings";
    bool right = type >= 0 && storage_of(type, storage, &found);
    if (type >= 0) H5Tclose(type);
    if (right && *storage != NS_STORED_TEXT) return NS_OK;
    return ns_fail(NS_EFORMAT, "%s: /%s holds %s, must hold numbers", path, name, right ? "strings" : found);
}

static ns_status name_matrix_columns(ns_file_schema *out, int64_t width, bool has_y, ns_storage x,
                                     ns_storage y)
{
    out->columns = calloc((size_t)width + 1, sizeof *out->columns);
    if (out->columns == NULL) return ns_fail(NS_ENOMEM, "no memory for %" PRId64 " columns of /x", width);
    int digits = snprintf(NULL, 0, "%" PRId64, width > 0 ? width - 1 : 0);
    for (int64_t i = 0; i < width + (has_y ? 1 : 0); i++) {
        char name[40];
        if (i < width)
            snprintf(name, sizeof name, "x%0*" PRId64, digits, i);
        else
            snprintf(name, sizeof name, "y");
        ns_column_schema *column = &out->columns[i];
        *column = (ns_column_schema){
            .name = calloc(sizeof name, 1), .kind = NS_COL_NUMBER, .storage = i < width ? x : y};
        if (column->name == NULL) return ns_fail(NS_ENOMEM, "no memory for %" PRId64 " columns of /x", width);
        memcpy(column->name, name, sizeof name);
        out->n_columns++;
    }
    return NS_OK;
}

static ns_status read_matrix(ns_file_schema *out, hid_t file, const char *path)
{
    if (!ns_h5_has_link(file, "x"))
        return ns_fail(NS_EFORMAT, "%s: has no data set /x%s", path,
                       ns_h5_has_attribute(file, "nightshift_cohort")
                           ? "; it is a cohort of columns: leave data.layout out"
                           : ", which data.layout: matrix reads");
    bool has_y = ns_h5_has_link(file, "y");
    hid_t x = -1, y = -1, space = -1;
    ns_storage x_storage = NS_STORED_FLOAT32, y_storage = NS_STORED_FLOAT32;
    hsize_t dims[2] = {0, 0};
    ns_status status = open_numbers(&x, &x_storage, file, "x", path);
    if (status == NS_OK && has_y) status = open_numbers(&y, &y_storage, file, "y", path);
    if (status != NS_OK) goto done;
    space = H5Dget_space(x);
    int n_dims = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    if (n_dims != 2 || H5Sget_simple_extent_dims(space, dims, NULL) < 0) {
        status = ns_fail(NS_EFORMAT, "%s: /x has %d dimensions, must have two: rows, columns", path, n_dims);
        goto done;
    }
    if (dims[1] < 1 || dims[1] > MAX_MATRIX_COLUMNS || dims[0] > INT64_MAX) {
        status = ns_fail(NS_EFORMAT, "%s: /x has %llu columns, must have 1 to %d", path,
                         (unsigned long long)dims[1], MAX_MATRIX_COLUMNS);
        goto done;
    }
    out->n_rows = (int64_t)dims[0];
    int64_t y_rows = has_y ? ns_h5_length(H5Dget_space(y)) : out->n_rows;
    if (y_rows != out->n_rows) {
        status = y_rows < 0 ? ns_fail(NS_EFORMAT, "%s: /y must have one dimension", path)
                            : ns_fail(NS_EFORMAT, "%s: /y has %" PRId64 " rows, /x has %" PRId64, path,
                                      y_rows, out->n_rows);
        goto done;
    }
    status = name_matrix_columns(out, (int64_t)dims[1], has_y, x_storage, y_storage);
done:
    if (space >= 0) H5Sclose(space);
    if (y >= 0) H5Dclose(y);
    if (x >= 0) H5Dclose(x);
    return status;
}

ns_status ns_file_schema_read(ns_file_schema *out, hid_t file, const char *path, ns_layout layout)
{
    *out = (ns_file_schema){0};
    if (layout == NS_LAYOUT_MATRIX) return read_matrix(out, file, path);
    NS_TRY(read_root(out, file, path));
    return read_columns(out, file, path);
}
