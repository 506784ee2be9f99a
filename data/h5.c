/*
 * Every HDF5 call is checked where it is made: the library keeps the reason of a failure only until the next
 * call. Handles start as -1, so that one exit can close what was opened.
 */
#include "data/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/again.h"

/* ---- messages ---- */

typedef struct reason {
    char text[200];
    bool found;
} reason;

/* The deepest entry of the error stack knows the cause; of a system call's, only the system's own words are
 * kept. */
static herr_t take_reason(unsigned n, const H5E_error2_t *error, void *data)
{
    reason *out = data;
    (void)n;
    if (out->found || error->desc == NULL) return 0;
    static const char mark[] = "error message = '";
    const char *text = strstr(error->desc, mark);
    size_t length = strlen(error->desc);
    if (text != NULL) {
        text += sizeof mark - 1;
        const char *end = strchr(text, '\'');
        length = end != NULL ? (size_t)(end - text) : strlen(text);
    } else {
        text = error->desc;
    }
    if (length >= sizeof out->text) length = sizeof out->text - 1;
    memcpy(out->text, text, length);
    out->text[length] = '\0';
    out->found = true;
    return 0;
}

ns_status ns_hdf5_check(int64_t result, ns_status code, const char *path, const char *doing)
{
    if (result >= 0) return NS_OK;
    reason why = {.text = "HDF5 gives no reason"};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, &why);
    return ns_fail(code, "%s: cannot %s: %s", path, doing, why.text);
}

/* HDF5 words a system call's failure as "…, errno = 116, error message = '…'". */
static herr_t take_errno(unsigned n, const H5E_error2_t *error, void *data)
{
    static const char mark[] = "errno = ";
    const char *text = error->desc != NULL ? strstr(error->desc, mark) : NULL;
    (void)n;
    if (text != NULL && *(int *)data == 0) *(int *)data = atoi(text + sizeof mark - 1);
    return 0;
}

/* Whether HDF5 gave up a call that only wants to be made again: it goes on by itself after an interrupted read or write, but
   not after such an open, nor where a network file system's handle was out of date. */
static bool wants_again(int *tries)
{
    int left = errno, why = 0; /* of a failed stat HDF5 gives no number */
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_errno, &why);
    errno = why != 0 ? why : left;
    return ns_again(tries);
}

static hid_t open_file(const char *path, hid_t access)
{
    hid_t file;
    int tries = 0;
    do {
        errno = 0;
        file = H5Fopen(path, H5F_ACC_RDONLY, access);
    } while (file < 0 && wants_again(&tries));
    return file;
}

static hid_t create_file(const char *path, hid_t create, hid_t access)
{
    hid_t file;
    int tries = 0;
    do {
        errno = 0;
        file = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    } while (file < 0 && wants_again(&tries));
    return file;
}

void ns_h5_quiet(void)
{
    /* After a close that failed (a full disk) HDF5's own exit handler closes again, and crashes. All files
       are closed here, so it has nothing to do. The first call decides; later ones change nothing. */
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* ---- files ---- */

/* What a file that HDF5 does not open is instead. */
static ns_status name_fault(const char *path, ns_status code)
{
    struct stat facts;
    int tries = 0, there;
    do there = stat(path, &facts);
    while (there != 0 && ns_again(&tries));
    if (there != 0) {
        int cause = errno;
        return ns_fail(code, "%s: %s", path, cause == ENOENT ? "no such file" : strerror(cause));
    }
    if (S_ISDIR(facts.st_mode))
        return ns_fail(code, "%s: is a folder, not an HDF5 file (all files in it: %s/*.h5)", path, path);
    int file;
    do file = open(path, O_RDONLY | O_CLOEXEC);
    while (file < 0 && ns_again(&tries));
    if (file < 0) return ns_fail(code, "%s: cannot open: %s", path, strerror(errno));
    close(file);
    if (facts.st_size == 0) return ns_fail(code, "%s: is empty, not an HDF5 file", path);
    if (H5Fis_hdf5(path) <= 0) return ns_fail(code, "%s: is not an HDF5 file", path);
    return NS_OK;
}

ns_status ns_h5_open_read(hid_t *out, const char *path, ns_status code)
{
    *out = -1;
    ns_h5_quiet();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0 || H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 ||
        H5Pset_file_locking(access, 0, 1) < 0) {
        ns_status status = ns_hdf5_check(-1, code, path, "prepare to open");
        if (access >= 0) H5Pclose(access);
        return status;
    }
    hid_t file = open_file(path, access);
    ns_status status = NS_OK;
    if (file < 0) {
        reason why = {.text = "HDF5 gives no reason"};
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, &why);
        status = name_fault(path, code);
        if (status == NS_OK)
            status = ns_fail(code, "%s: is a truncated or damaged HDF5 file: %s", path, why.text);
    }
    H5Pclose(access);
    *out = file;
    return status;
}

hid_t ns_h5_plain_list(hid_t list_class)
{
    hid_t list = H5Pcreate(list_class);
    if (list >= 0 && H5Pset_obj_track_times(list, 0) < 0) {
        H5Pclose(list);
        return -1;
    }
    return list;
}

ns_status ns_h5_create(hid_t *out, const char *path, const char *shown)
{
    *out = -1;
    ns_h5_quiet();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = ns_h5_plain_list(H5P_FILE_CREATE), file = -1;
    if (access >= 0 && create >= 0 && H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0)
        file = create_file(path, create, access);
    ns_status status = ns_hdf5_check(file, NS_EIO, shown, "create");
    if (access >= 0) H5Pclose(access);
    if (create >= 0) H5Pclose(create);
    *out = file;
    return status;
}

bool ns_h5_has_link(hid_t object, const char *name)
{
    return H5Lexists(object, name, H5P_DEFAULT) > 0;
}

bool ns_h5_has_attribute(hid_t object, const char *name)
{
    return H5Aexists(object, name) > 0;
}

int64_t ns_h5_length(hid_t space)
{
    hsize_t length = 0;
    int64_t answer = -1;
    if (space >= 0 && H5Sget_simple_extent_type(space) == H5S_SIMPLE &&
        H5Sget_simple_extent_ndims(space) == 1 && H5Sget_simple_extent_dims(space, &length, NULL) >= 0 &&
        length <= INT64_MAX)
        answer = (int64_t)length;
    if (space >= 0) H5Sclose(space);
    return answer;
}

/* ---- rows ---- */

/* Selects the rows in a data set's space and makes the memory's; both are -1 on failure. */
static void select_rows(hid_t dataset, int64_t first, int64_t n, hid_t *file_space, hid_t *memory_space)
{
    hsize_t start = (hsize_t)first, count = (hsize_t)n;
    *memory_space = -1;
    *file_space = H5Dget_space(dataset);
    if (*file_space < 0) return;
    if (H5Sselect_hyperslab(*file_space, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0)
        *memory_space = H5Screate_simple(1, &count, NULL);
}

void ns_h5_close_space(hid_t space)
{
    if (space < 0) return;
    hid_t reason_kept = H5Eget_current_stack();
    H5Sclose(space);
    H5Eset_current_stack(reason_kept);
}

herr_t ns_h5_read_rows(hid_t dataset, hid_t memory_type, int64_t first, int64_t n, void *rows)
{
    if (n == 0) return 0;
    hid_t file_space, memory_space;
    select_rows(dataset, first, n, &file_space, &memory_space);
    herr_t result = -1;
    if (memory_space >= 0)
        result = H5Dread(dataset, memory_type, memory_space, file_space, H5P_DEFAULT, rows);
    ns_h5_close_space(memory_space);
    ns_h5_close_space(file_space);
    return result;
}

herr_t ns_h5_write_rows(hid_t dataset, hid_t memory_type, int64_t first, int64_t n, const void *rows)
{
    if (n == 0) return 0;
    hid_t file_space, memory_space;
    select_rows(dataset, first, n, &file_space, &memory_space);
    herr_t result = -1;
    if (memory_space >= 0)
        result = H5Dwrite(dataset, memory_type, memory_space, file_space, H5P_DEFAULT, rows);
    ns_h5_close_space(memory_space);
    ns_h5_close_space(file_space);
    return result;
}

/* ---- attributes ---- */

/* Opens an attribute that holds one element of a class; *attribute is -1 where there is none of that name. */
static ns_status open_attribute(hid_t *attribute, hid_t *type, hid_t object, const char *name,
                                H5T_class_t wanted, const char *path, ns_status code)
{
    *type = -1;
    *attribute = -1;
    if (!ns_h5_has_attribute(object, name)) return NS_OK;
    *attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (*attribute >= 0) *type = H5Aget_type(*attribute);
    if (*type < 0) return ns_hdf5_check(-1, code, path, "read an attribute");
    hid_t space = H5Aget_space(*attribute);
    hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (space >= 0) H5Sclose(space);
    if (n != 1 || H5Tget_class(*type) != wanted)
        return ns_fail(code, "%s: attribute '%s' is not one %s", path, name,
                       wanted == H5T_STRING ? "text" : "whole number");
    return NS_OK;
}

ns_status ns_h5_read_text_attribute(char **out, hid_t object, const char *name, const char *path,
                                    ns_status code)
{
    hid_t attribute, type;
    ns_texts one = {0};
    *out = NULL;
    ns_status status = open_attribute(&attribute, &type, object, name, H5T_STRING, path, code);
    if (status != NS_OK || attribute < 0) goto done;
    status = ns_h5_read_attribute_texts(&one, attribute, path, name, code);
    if (status != NS_OK) goto done;
    size_t n_bytes = (size_t)(one.offset[1] - one.offset[0]);
    *out = malloc(n_bytes + 1);
    if (*out == NULL) {
        status = ns_fail(NS_ENOMEM, "%s: no memory for attribute '%s'", path, name);
        goto done;
    }
    if (n_bytes > 0) memcpy(*out, one.bytes + one.offset[0], n_bytes);
    (*out)[n_bytes] = '\0';
done:
    ns_texts_destroy(&one);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    return status;
}

ns_status ns_h5_read_int_attribute(int64_t *out, bool *found, hid_t object, const char *name,
                                   const char *path, ns_status code)
{
    hid_t attribute, type;
    *found = false;
    ns_status status = open_attribute(&attribute, &type, object, name, H5T_INTEGER, path, code);
    if (status == NS_OK && attribute >= 0) {
        status = ns_hdf5_check(H5Aread(attribute, H5T_NATIVE_INT64, out), code, path, "read an attribute");
        *found = status == NS_OK;
    }
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    return status;
}

/* Creates a scalar attribute and writes it; takes the type over. */
static ns_status write_attribute(hid_t object, const char *name, hid_t type, const void *value,
                                 const char *path)
{
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    herr_t result = -1;
    if (space >= 0 && type >= 0) attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) result = H5Awrite(attribute, type, value);
    ns_status status = ns_hdf5_check(result, NS_EIO, path, "write an attribute");
    if (attribute >= 0 && H5Aclose(attribute) < 0 && status == NS_OK)
        status = ns_hdf5_check(-1, NS_EIO, path, "close an attribute");
    ns_h5_close_space(space);
    if (type >= 0) H5Tclose(type);
    return status;
}

ns_status ns_h5_write_text_attribute(hid_t object, const char *name, const char *text, const char *path)
{
    size_t n_bytes = strlen(text);
    return write_attribute(object, name, ns_h5_text_type(n_bytes > 0 ? (int64_t)n_bytes : 1), text, path);
}

ns_status ns_h5_write_int_attribute(hid_t object, const char *name, int64_t value, const char *path)
{
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    herr_t result = -1;
    if (space >= 0) attribute = H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) result = H5Awrite(attribute, H5T_NATIVE_INT64, &value);
    ns_status status = ns_hdf5_check(result, NS_EIO, path, "write an attribute");
    if (attribute >= 0 && H5Aclose(attribute) < 0 && status == NS_OK)
        status = ns_hdf5_check(-1, NS_EIO, path, "close an attribute");
    ns_h5_close_space(space);
    return status;
}

/* ---- texts ---- */

enum { TEXT_PIECE_BYTES = 4 << 20, TEXT_PIECE_ROWS = 65536 };

static inline size_t cell_length(const char *cell, size_t size, H5T_str_t padding)
{
    size_t length = size;
    if (padding == H5T_STR_NULLTERM) {
        const char *end = memchr(cell, '\0', size);
        return end != NULL ? (size_t)(end - cell) : size;
    }
    char pad = padding == H5T_STR_SPACEPAD ? ' ' : '\0';
    while (length > 0 && cell[length - 1] == pad) length--;
    return length;
}

ns_status ns_h5_append_cells(ns_texts *out, const void *cells, size_t size, H5T_str_t padding, int64_t n)
{
    NS_TRY(ns_texts_reserve(out, n, n * (int64_t)size));
    const char *cell = cells;
    int64_t end = out->offset[out->n];
    for (int64_t i = 0; i < n; i++, cell += size) {
        size_t length = cell_length(cell, size, padding);
        memcpy(out->bytes + end, cell, length);
        end += (int64_t)length;
        out->offset[++out->n] = end;
    }
    return NS_OK;
}

static ns_status append_variable(ns_texts *out, char *const *cells, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        NS_TRY(ns_texts_append(out, cells[i] != NULL ? cells[i] : "",
                               cells[i] != NULL ? (int64_t)strlen(cells[i]) : 0));
    return NS_OK;
}

/* Reads either n rows of a data set from `first`, or a whole attribute (n elements). */
static herr_t read_cells(hid_t object, bool is_attribute, hid_t type, int64_t first, int64_t n, void *cells)
{
    return is_attribute ? H5Aread(object, type, cells) : ns_h5_read_rows(object, type, first, n, cells);
}

/* One piece: the memory type is the file's own, so that no conversion of character sets stands in the way. */
static ns_status read_piece(ns_texts *out, hid_t object, bool is_attribute, hid_t type, int64_t first,
                            int64_t n, const char *path, const char *what, ns_status code)
{
    bool variable = H5Tis_variable_str(type) > 0;
    size_t size = variable ? sizeof(char *) : H5Tget_size(type);
    char *cells = calloc((size_t)n, size);
    if (cells == NULL) return ns_fail(NS_ENOMEM, "%s: no memory to read %s", path, what);
    char doing[300];
    snprintf(doing, sizeof doing, "read %s", what);
    ns_status status =
        ns_hdf5_check(read_cells(object, is_attribute, type, first, n, cells), code, path, doing);
    if (status == NS_OK)
        status = variable ? append_variable(out, (char *const *)(void *)cells, n)
                          : ns_h5_append_cells(out, cells, size, H5Tget_strpad(type), n);
    if (variable) {
        hsize_t count = (hsize_t)n;
        hid_t space = H5Screate_simple(1, &count, NULL);
        if (space >= 0) {
            H5Dvlen_reclaim(type, space, H5P_DEFAULT, cells);
            H5Sclose(space);
        }
    }
    free(cells);
    return status;
}

ns_status ns_h5_read_texts(ns_texts *out, hid_t dataset, int64_t first, int64_t n, const char *path,
                           const char *what, ns_status code)
{
    hid_t type = H5Dget_type(dataset);
    NS_TRY(ns_hdf5_check(type, code, path, "read a text type"));
    size_t size = H5Tget_size(type);
    int64_t piece = (int64_t)(TEXT_PIECE_BYTES / (size > 0 ? size : 1));
    if (piece < 1) piece = 1;
    if (piece > TEXT_PIECE_ROWS) piece = TEXT_PIECE_ROWS;
    ns_status status = NS_OK;
    for (int64_t at = 0; at < n && status == NS_OK; at += piece)
        status = read_piece(out, dataset, false, type, first + at, n - at < piece ? n - at : piece, path,
                            what, code);
    H5Tclose(type);
    return status;
}

ns_status ns_h5_read_attribute_texts(ns_texts *out, hid_t attribute, const char *path, const char *what,
                                     ns_status code)
{
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    ns_status status = ns_hdf5_check(type < 0 || n < 0 ? -1 : 0, code, path, "read an attribute");
    if (status == NS_OK && H5Tget_class(type) != H5T_STRING)
        status = ns_fail(code, "%s: %s is not text", path, what);
    if (status == NS_OK && n > 0)
        status = read_piece(out, attribute, true, type, 0, (int64_t)n, path, what, code);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    return status;
}

hid_t ns_h5_text_type(int64_t n_bytes)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, (size_t)n_bytes) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
                      H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        H5Tclose(type);
        type = -1;
    }
    return type;
}

/* Lays texts out in cells of `size` bytes, padded with zeros. */
static ns_status fill_cells(char *cells, size_t size, const ns_texts *texts, int64_t from, int64_t n,
                            const char *path, const char *what)
{
    memset(cells, 0, (size_t)n * size);
    for (int64_t i = 0; i < n; i++) {
        size_t length = (size_t)(texts->offset[from + i + 1] - texts->offset[from + i]);
        if (length > size)
            return ns_fail(NS_EIO, "%s: %s: a text of %zu bytes, room for %zu", path, what, length, size);
        if (length > 0) memcpy(cells + (size_t)i * size, texts->bytes + texts->offset[from + i], length);
    }
    return NS_OK;
}

ns_status ns_h5_write_texts(hid_t dataset, int64_t first, const ns_texts *texts, int64_t from, int64_t n,
                            const char *path, const char *what)
{
    if (n == 0) return NS_OK;
    hid_t type = H5Dget_type(dataset);
    NS_TRY(ns_hdf5_check(type, NS_EIO, path, "write texts"));
    size_t size = H5Tget_size(type);
    int64_t piece = (int64_t)(TEXT_PIECE_BYTES / size);
    if (piece < 1) piece = 1;
    if (piece > n) piece = n;
    ns_status status = NS_OK;
    char *cells = malloc((size_t)piece * size);
    if (cells == NULL) status = ns_fail(NS_ENOMEM, "%s: no memory to write %s", path, what);
    for (int64_t at = 0; at < n && status == NS_OK; at += piece) {
        int64_t rows = n - at < piece ? n - at : piece;
        status = fill_cells(cells, size, texts, from + at, rows, path, what);
        if (status == NS_OK)
            status = ns_hdf5_check(ns_h5_write_rows(dataset, type, first + at, rows, cells), NS_EIO, path,
                                   "write texts");
    }
    free(cells);
    H5Tclose(type);
    return status;
}

/* ---- names ---- */

char *ns_h5_encode_name(const char *prefix, const char *name)
{
    size_t n_prefix = strlen(prefix), n_slashes = 0;
    for (const char *c = name; *c != '\0'; c++) n_slashes += *c == '/';
    char *out = malloc(n_prefix + strlen(name) + 2 * n_slashes + 1);
    if (out == NULL) return NULL;
    memcpy(out, prefix, n_prefix);
    char *at = out + n_prefix;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '/') {
            memcpy(at, "%2F", 3);
            at += 3;
        } else {
            *at++ = *c;
        }
    }
    *at = '\0';
    return out;
}

void ns_h5_decode_name(char *name)
{
    char *to = name;
    for (const char *c = name; *c != '\0'; c++) {
        bool slash = strncmp(c, "%2F", 3) == 0;
        *to++ = slash ? '/' : *c;
        if (slash) c += 2;
    }
    *to = '\0';
}
