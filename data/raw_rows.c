#include "data/raw_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/again.h"
#include "data/byte_order.h"
#include "data/h5.h"
#include "data/score_values.h"

enum { PIECE_BYTES = 1 << 18 };

static ns_status failed(const char *path)
{
    return ns_fail(NS_EIO, "%s: cannot write: %s", path, strerror(errno));
}

ns_status ns_raw_open(ns_raw_file *file, const char *path)
{
    int tries = 0;
    file->path = path;
    do file->descriptor = open(path, O_WRONLY | O_CLOEXEC);
    while (file->descriptor < 0 && ns_again(&tries));
    return file->descriptor >= 0 ? NS_OK : failed(path);
}

ns_status ns_raw_close(ns_raw_file *file)
{
    int result = file->descriptor >= 0 ? close(file->descriptor) : 0;
    file->descriptor = -1;
    return result == 0 || errno == EINTR ? NS_OK : failed(file->path);
}

ns_status ns_raw_find(ns_raw_rows *rows, hid_t dataset, const char *path)
{
    haddr_t at = H5Dget_offset(dataset);
    hsize_t n_bytes = H5Dget_storage_size(dataset);
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    hsize_t size[2] = {0, 1};
    int n_dims = space >= 0 ? H5Sget_simple_extent_dims(space, size, NULL) : -1;
    size_t cell = type >= 0 ? H5Tget_size(type) : 0;
    if (type >= 0) H5Tclose(type);
    ns_h5_close_space(space);
    rows->at = -1;
    rows->width = cell * (size_t)size[1];
    if (n_dims < 1 || cell == 0) return ns_hdf5_check(-1, NS_EIO, path, "describe a data set");
    if (size[0] == 0 || rows->width == 0) return NS_OK;
    if (at == HADDR_UNDEF || n_bytes != size[0] * rows->width) return ns_hdf5_check(-1, NS_EIO, path, "find the place of a data set");
    rows->at = (int64_t)at;
    return NS_OK;
}

static ns_status put(const ns_raw_file *file, int64_t at, const void *bytes, size_t n_bytes)
{
    const char *from = bytes;
    int tries = 0;
    while (n_bytes > 0) {
        ssize_t done = pwrite(file->descriptor, from, n_bytes, (off_t)at);
        if (done < 0 && ns_again(&tries)) continue;
        if (done < 0) return failed(file->path);
        tries = 0;
        from += done;
        at += done;
        n_bytes -= (size_t)done;
    }
    return NS_OK;
}

static void turn(unsigned char *cells, size_t n_bytes, size_t cell_bytes)
{
    for (size_t at = 0; at < n_bytes; at += cell_bytes)
        for (size_t i = 0; i < cell_bytes / 2; i++) {
            unsigned char byte = cells[at + i];
            cells[at + i] = cells[at + cell_bytes - 1 - i];
            cells[at + cell_bytes - 1 - i] = byte;
        }
}

ns_status ns_raw_write(const ns_raw_file *file, const ns_raw_rows *rows, int64_t first, int64_t n, const void *cells, size_t cell_bytes)
{
    size_t n_bytes = (size_t)n * rows->width;
    int64_t at = rows->at + first * (int64_t)rows->width;
    if (ns_is_little_endian() || cell_bytes == 1) return put(file, at, cells, n_bytes);
    unsigned char *piece = malloc(PIECE_BYTES);
    ns_status status = piece == NULL ? ns_fail(NS_ENOMEM, "%s: no memory to write it", file->path) : NS_OK;
    for (size_t done = 0, here; done < n_bytes && status == NS_OK; done += here) {
        here = n_bytes - done < PIECE_BYTES ? n_bytes - done : PIECE_BYTES;
        memcpy(piece, (const char *)cells + done, here);
        turn(piece, here, cell_bytes);
        status = put(file, at + (int64_t)done, piece, here);
    }
    free(piece);
    return status;
}

ns_status ns_raw_write_floats(const ns_raw_file *file, const ns_raw_rows *rows, int64_t first, int64_t n, const float *values)
{
    enum { PIECE = PIECE_BYTES / 4 };
    uint32_t *piece = malloc(PIECE_BYTES);
    ns_raw_rows cells = {.at = rows->at + first * (int64_t)rows->width, .width = sizeof *piece};
    int64_t n_cells = n * (int64_t)(rows->width / sizeof *piece);
    ns_status status = piece == NULL ? ns_fail(NS_ENOMEM, "%s: no memory to write it", file->path) : NS_OK;
    for (int64_t done = 0, here; done < n_cells && status == NS_OK; done += here) {
        here = n_cells - done < PIECE ? n_cells - done : PIECE;
        for (int64_t i = 0; i < here; i++) piece[i] = ns_score_bits(values[done + i]);
        status = ns_raw_write(file, &cells, done, here, piece, sizeof *piece);
    }
    free(piece);
    return status;
}

/* Texts laid out in rows, padded with zeros. */
static ns_status fill(char *piece, const ns_raw_file *file, size_t width, const ns_texts *texts, int64_t from, int64_t n, const char *what)
{
    memset(piece, 0, (size_t)n * width);
    for (int64_t i = 0; i < n; i++) {
        size_t length = (size_t)(texts->offset[from + i + 1] - texts->offset[from + i]);
        if (length > width) return ns_fail(NS_EIO, "%s: %s: a text of %zu bytes, room for %zu", file->path, what, length, width);
        if (length > 0) memcpy(piece + (size_t)i * width, texts->bytes + texts->offset[from + i], length);
    }
    return NS_OK;
}

ns_status ns_raw_write_texts(const ns_raw_file *file, const ns_raw_rows *rows, int64_t first, int64_t n, const ns_texts *texts, const char *what)
{
    int64_t most = rows->width < PIECE_BYTES ? (int64_t)(PIECE_BYTES / rows->width) : 1;
    char *piece = malloc((size_t)most * rows->width);
    ns_status status = piece == NULL ? ns_fail(NS_ENOMEM, "%s: no memory to write %s", file->path, what) : NS_OK;
    for (int64_t done = 0, here; done < n && status == NS_OK; done += here) {
        here = n - done < most ? n - done : most;
        status = fill(piece, file, rows->width, texts, done, here, what);
        if (status == NS_OK) status = ns_raw_write(file, rows, first + done, here, piece, 1);
    }
    free(piece);
    return status;
}
