#include "data/packer.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "cells are written as they lie in memory");

enum {
    SKIPPED_DEFLATE = 2, /* the bit of the second filter */
    SAMPLE_BYTES = 8192,
    BLOCK_MOST = 65535 /* bytes of a stored block */
};

ns_status ns_packer_room(ns_packer_chunk *chunk, int64_t n_bytes)
{
    if (n_bytes <= chunk->room_raw) return NS_OK;
    char *larger = realloc(chunk->raw, (size_t)n_bytes);
    if (larger == NULL) return ns_fail(NS_ENOMEM, "no memory for a chunk of %lld bytes", (long long)n_bytes);
    chunk->raw = larger;
    chunk->room_raw = n_bytes;
    return NS_OK;
}

void ns_packer_destroy(ns_packer_chunk *chunk)
{
    free(chunk->raw);
    free(chunk->shuffled);
    free(chunk->packed);
    libdeflate_free_compressor(chunk->compressor);
    *chunk = (ns_packer_chunk){0};
}

/* Byte k of every cell, then byte k + 1 of every cell, … */
static void shuffle(char *to, const char *from, int64_t n_cells, int64_t cell_bytes)
{
    if (cell_bytes == 4) { /* numbers and codes: four bytes at once */
        char *a = to, *b = to + n_cells, *c = to + 2 * n_cells, *d = to + 3 * n_cells;
        for (int64_t i = 0; i < n_cells; i++) {
            a[i] = from[4 * i];
            b[i] = from[4 * i + 1];
            c[i] = from[4 * i + 2];
            d[i] = from[4 * i + 3];
        }
        return;
    }
    for (int64_t k = 0; k < cell_bytes; k++)
        for (int64_t i = 0; i < n_cells; i++) to[k * n_cells + i] = from[i * cell_bytes + k];
}

typedef struct packing {
    const char *bytes; /* what goes to the file */
    size_t n_bytes;
    uint32_t skipped;
} packing;

/* Room and a compressor for a chunk of n_bytes. */
static ns_status ready(ns_packer_chunk *chunk, int64_t n_bytes, int32_t level)
{
    if (chunk->room_packed < n_bytes) {
        free(chunk->shuffled);
        free(chunk->packed);
        chunk->shuffled = malloc((size_t)n_bytes);
        chunk->packed = malloc((size_t)n_bytes);
        chunk->room_packed = chunk->shuffled != NULL && chunk->packed != NULL ? n_bytes : 0;
    }
    if (chunk->level != level || chunk->compressor == NULL) {
        libdeflate_free_compressor(chunk->compressor);
        chunk->compressor = libdeflate_alloc_compressor(level);
        chunk->level = level;
    }
    if (chunk->room_packed == 0 || chunk->compressor == NULL) return ns_fail(NS_ENOMEM, "no memory to pack a chunk");
    return NS_OK;
}

/* How many bytes at the start are planes of noise, the low bytes of measurements: deflate would take most of its time for
 * them and save next to nothing. A sample from the middle of each decides. */
static int64_t noise_bytes(const ns_packer_chunk *chunk, const ns_packer_layout *layout, const char *bytes)
{
    char packed[SAMPLE_BYTES];
    int64_t plane = 0, rows = layout->chunk_rows;
    if (layout->cell_bytes > 8 || rows < 2 * SAMPLE_BYTES) return 0;
    for (; plane < layout->cell_bytes - 1; plane++) {
        const char *sample = bytes + plane * rows + rows / 2;
        size_t n = libdeflate_deflate_compress(chunk->compressor, sample, SAMPLE_BYTES, packed, SAMPLE_BYTES - SAMPLE_BYTES / 16);
        if (n > 0) break;
    }
    return plane * rows;
}

/* Stored blocks, as RFC 1951 has them, of which another follows the last. */
static size_t store_blocks(unsigned char *to, const char *from, int64_t n_bytes)
{
    size_t used = 0;
    for (int64_t at = 0, n; at < n_bytes; at += n) {
        n = n_bytes - at < BLOCK_MOST ? n_bytes - at : BLOCK_MOST;
        const unsigned char head[5] = {0, (unsigned char)(n & 255), (unsigned char)(n >> 8), (unsigned char)(~n & 255),
                                       (unsigned char)(~n >> 8 & 255)};
        memcpy(to + used, head, sizeof head);
        memcpy(to + used + sizeof head, from + at, (size_t)n);
        used += sizeof head + (size_t)n;
    }
    return used;
}

/* A zlib stream (RFC 1950) in chunk->packed; 0: it would not be shorter than the bytes. */
static size_t deflate(ns_packer_chunk *chunk, const ns_packer_layout *layout, const char *bytes, int64_t n_bytes)
{
    unsigned char *to = (unsigned char *)chunk->packed;
    size_t room = (size_t)n_bytes, used = 2;
    int64_t noise = noise_bytes(chunk, layout, bytes);
    if (noise == 0) return libdeflate_zlib_compress(chunk->compressor, bytes, (size_t)n_bytes, to, room);
    if (noise + noise / BLOCK_MOST * 5 + 16 > n_bytes) return 0;
    to[0] = 0x78;
    to[1] = 0x01;
    used += store_blocks(to + used, bytes, noise);
    size_t n = libdeflate_deflate_compress(chunk->compressor, bytes + noise, (size_t)(n_bytes - noise), to + used, room - used - 4);
    if (n == 0) return 0;
    used += n;
    uint32_t sum = libdeflate_adler32(1, bytes, (size_t)n_bytes);
    const unsigned char tail[4] = {(unsigned char)(sum >> 24), (unsigned char)(sum >> 16), (unsigned char)(sum >> 8), (unsigned char)sum};
    memcpy(to + used, tail, sizeof tail);
    return used + sizeof tail;
}

static ns_status pack(ns_packer_chunk *chunk, const ns_packer_layout *layout, packing *out)
{
    int64_t n_bytes = layout->chunk_rows * layout->cell_bytes, used = chunk->n_rows * layout->cell_bytes;
    NS_TRY(ns_packer_room(chunk, n_bytes));
    memset(chunk->raw + used, 0, (size_t)(n_bytes - used)); /* HDF5's fill value */
    *out = (packing){chunk->raw, (size_t)n_bytes, 0};
    if (layout->deflate == 0) return NS_OK;
    NS_TRY(ready(chunk, n_bytes, layout->deflate));
    if (layout->cell_bytes > 1) {
        shuffle(chunk->shuffled, chunk->raw, layout->chunk_rows, layout->cell_bytes);
        out->bytes = chunk->shuffled;
    }
    size_t n_packed = deflate(chunk, layout, out->bytes, n_bytes);
    if (n_packed > 0)
        *out = (packing){chunk->packed, n_packed, 0};
    else
        out->skipped = SKIPPED_DEFLATE; /* it would not be shorter */
    return NS_OK;
}

ns_status ns_packer_write(ns_packer_chunk *chunks, int n, hid_t dataset, int64_t first, const ns_packer_layout *layout, const char *path)
{
    enum { MOST = 64 };
    packing packings[MOST];
    ns_status statuses[MOST] = {NS_OK};
    ns_status status = NS_OK;
    int64_t row = first;
    if (n > MOST) return ns_fail(NS_EINVAL, "%s: too many chunks at once", path);
#pragma omp parallel for schedule(dynamic, 1) if (n > 1)
    for (int i = 0; i < n; i++) statuses[i] = pack(&chunks[i], layout, &packings[i]);
    for (int i = 0; i < n && status == NS_OK; i++) {
        status = statuses[i];
        hsize_t at = (hsize_t)row, size = (hsize_t)(row + chunks[i].n_rows);
        if (status == NS_OK && (int64_t)size > layout->n_rows)
            status = ns_hdf5_check(H5Dset_extent(dataset, &size), NS_EIO, path, "extend a data set");
        if (status == NS_OK)
            status = ns_hdf5_check(H5Dwrite_chunk(dataset, H5P_DEFAULT, packings[i].skipped, &at, packings[i].n_bytes,
                                                  packings[i].bytes),
                                   NS_EIO, path, "write rows");
        row += chunks[i].n_rows;
        chunks[i].n_rows = 0;
    }
    return status;
}
