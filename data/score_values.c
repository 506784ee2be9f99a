#include "data/score_values.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "data/h5.h"

static const char CLASSES[] = "classes";

const char *ns_score_kind_link(ns_score_kind kind)
{
    return kind == NS_SCORE_PREDICTION ? "prediction" : "risk";
}

uint32_t ns_score_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return isnan(value) ? 0x7fc00000u : bits;
}

/* --- writing --- */

static ns_status write_classes(hid_t dataset, const ns_texts *classes, const char *path)
{
    int64_t longest = 1;
    for (int64_t i = 0; i < classes->n; i++)
        if (classes->offset[i + 1] - classes->offset[i] > longest) longest = classes->offset[i + 1] - classes->offset[i];
    hsize_t n = (hsize_t)classes->n;
    hid_t type = ns_h5_text_type(longest), space = H5Screate_simple(1, &n, NULL), attribute = -1;
    char *cells = calloc((size_t)classes->n + 1, (size_t)longest);
    herr_t result = -1;
    if (cells != NULL && type >= 0 && space >= 0) {
        for (int64_t i = 0; i < classes->n; i++)
            memcpy(cells + i * longest, classes->bytes + classes->offset[i], (size_t)(classes->offset[i + 1] - classes->offset[i]));
        attribute = H5Acreate2(dataset, CLASSES, type, space, H5P_DEFAULT, H5P_DEFAULT);
        if (attribute >= 0) result = H5Awrite(attribute, type, cells);
    }
    ns_status status = cells == NULL ? ns_fail(NS_ENOMEM, "%s: no memory for the classes", path) : ns_hdf5_check(result, NS_EIO, path, "write the classes");
    if (attribute >= 0 && H5Aclose(attribute) < 0 && status == NS_OK) status = ns_hdf5_check(-1, NS_EIO, path, "close an attribute");
    if (type >= 0) H5Tclose(type);
    ns_h5_close_space(space);
    free(cells);
    return status;
}

ns_status ns_score_values_create(hid_t *out, hid_t file, ns_score_kind kind, const ns_texts *classes, int64_t n_rows, const char *path)
{
    hsize_t size[2] = {(hsize_t)n_rows, classes != NULL ? (hsize_t)classes->n : 1};
    hid_t list = ns_h5_plain_list(H5P_DATASET_CREATE), space = H5Screate_simple(kind == NS_SCORE_CLASS_RISKS ? 2 : 1, size, NULL);
    *out = -1;
    if (list >= 0 && space >= 0 && H5Pset_layout(list, H5D_CONTIGUOUS) >= 0 && H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
        *out = H5Dcreate2(file, ns_score_kind_link(kind), H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    ns_status status = ns_hdf5_check(*out, NS_EIO, path, "create a data set");
    if (list >= 0) H5Pclose(list);
    ns_h5_close_space(space);
    return status == NS_OK && kind == NS_SCORE_CLASS_RISKS ? write_classes(*out, classes, path) : status;
}

/* --- reading --- */

static ns_status read_classes(ns_texts *classes, hid_t dataset, const char *path)
{
    hid_t attribute = ns_h5_has_attribute(dataset, CLASSES) ? H5Aopen(dataset, CLASSES, H5P_DEFAULT) : -1;
    if (attribute < 0) return ns_fail(NS_EVERIFY, "%s: /risk has several columns but no attribute classes", path);
    ns_status status = ns_h5_read_attribute_texts(classes, attribute, path, "the classes", NS_EVERIFY);
    H5Aclose(attribute);
    return status;
}

static bool holds_floats(hid_t dataset)
{
    hid_t type = H5Dget_type(dataset);
    bool answer = type >= 0 && H5Tget_class(type) == H5T_FLOAT;
    if (type >= 0) H5Tclose(type);
    return answer;
}

ns_status ns_score_values_open(hid_t *out, ns_score_kind *kind, int32_t *k, ns_texts *classes, hid_t file, int64_t n_rows, const char *path)
{
    bool risk = ns_h5_has_link(file, "risk"), prediction = ns_h5_has_link(file, "prediction");
    *out = -1;
    if (risk == prediction) return ns_fail(NS_EVERIFY, "%s: has %s of the data sets /risk and /prediction", path, risk ? "both" : "none");
    *kind = risk ? NS_SCORE_RISK : NS_SCORE_PREDICTION;
    const char *link = ns_score_kind_link(*kind);
    *out = H5Dopen2(file, link, H5P_DEFAULT);
    if (*out < 0) return ns_fail(NS_EVERIFY, "%s: has no data set /%s", path, link);
    hid_t space = H5Dget_space(*out);
    hsize_t size[2] = {0, 1};
    int n_dims = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    bool fits = n_dims >= 1 && n_dims <= (risk ? 2 : 1) && H5Sget_simple_extent_dims(space, size, NULL) >= 0;
    ns_h5_close_space(space);
    if (!fits || size[1] > 10000) return ns_fail(NS_EVERIFY, "%s: /%s is of another shape than rows, or rows by classes", path, link);
    if ((int64_t)size[0] != n_rows)
        return ns_fail(NS_EVERIFY, "%s: /%s has %lld rows, n_rows says %" PRId64, path, link, (long long)size[0], n_rows);
    if (!holds_floats(*out)) return ns_fail(NS_EVERIFY, "%s: /%s holds values of another type", path, link);
    *k = 1;
    if (n_dims == 1) return NS_OK;
    *kind = NS_SCORE_CLASS_RISKS;
    *k = (int32_t)size[1];
    NS_TRY(read_classes(classes, *out, path));
    return classes->n == *k && *k > 0 ? NS_OK : ns_fail(NS_EVERIFY, "%s: /risk has %d columns and %lld classes", path, (int)*k, (long long)classes->n);
}

/* The rows of a data set of one or two dimensions, and memory of the same shape; both -1 on failure. */
static void select_rows(hid_t dataset, int64_t first, int64_t n, int32_t k, hid_t *file_space, hid_t *memory_space)
{
    hsize_t start[2] = {(hsize_t)first, 0}, count[2] = {(hsize_t)n, (hsize_t)k};
    *memory_space = -1;
    *file_space = H5Dget_space(dataset);
    if (*file_space < 0) return;
    int n_dims = H5Sget_simple_extent_ndims(*file_space);
    if (n_dims >= 1 && n_dims <= 2 && H5Sselect_hyperslab(*file_space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0)
        *memory_space = H5Screate_simple(n_dims, count, NULL);
}

ns_status ns_score_values_read(hid_t dataset, int64_t first, int64_t n, int32_t k, float *values, const char *path)
{
    if (n == 0) return NS_OK;
    hid_t file_space, memory_space;
    select_rows(dataset, first, n, k, &file_space, &memory_space);
    herr_t result = memory_space >= 0 ? H5Dread(dataset, H5T_NATIVE_FLOAT, memory_space, file_space, H5P_DEFAULT, values) : -1;
    ns_h5_close_space(memory_space);
    ns_h5_close_space(file_space);
    return ns_hdf5_check(result, NS_EVERIFY, path, "read risks or predictions");
}
