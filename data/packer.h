#ifndef NIGHTSHIFT_DATA_PACKER_H
#define NIGHTSHIFT_DATA_PACKER_H
/*
 * Chunks of a data set, packed by several threads as HDF5's own filters would pack them one after another: shuffle, then
 * deflate; HDF5 stores the bytes as they are. Deflate is libdeflate's, at a third of the time of zlib's, and what would not
 * get shorter by a sixteenth (the low bytes of measurements, which shuffle puts first) is stored in the stream as it is, which
 * readers are faster with too. Every reader of HDF5 takes such streams; their bytes depend on the version of libdeflate alone.
 */
#include <stdint.h>

#include "cluster/status.h"
#include "data/h5.h"

/* One chunk. {0} at first; its memory is freed with ns_packer_destroy. */
typedef struct ns_packer_chunk {
    char *raw; /* [n_rows] cells; behind them up to the chunk's end anything */
    int64_t room_raw, n_rows;
    char *shuffled, *packed; /* made by ns_packer_write */
    int64_t room_packed;
    struct libdeflate_compressor *compressor;
    int32_t level; /* the compressor's */
} ns_packer_chunk;

ns_status ns_packer_room(ns_packer_chunk *chunk, int64_t n_bytes); /* of raw, which keeps what it holds. NS_ENOMEM */
void ns_packer_destroy(ns_packer_chunk *chunk);

/* How a data set's cells lie in chunks. */
typedef struct ns_packer_layout {
    int64_t cell_bytes, chunk_rows;
    int64_t n_rows;  /* of the data set as it was made */
    int32_t deflate; /* level of the filter, 0: none */
} ns_packer_layout;

/*
 * Writes chunks side by side, the first at a chunk's border; only the last may have fewer rows than a chunk. The data set is
 * grown for those behind its first n_rows.
 *   chunks      inout  [n]; their rows are taken, n_rows is 0 afterwards
 *   dataset     in     one-dimensional, of cells whose type in the file is the one in memory, made with the filters shuffle and
 *                      deflate, or with none
 *   first       in     row of the first one
 * NS_ENOMEM; NS_EIO: path is for messages.
 */
ns_status ns_packer_write(ns_packer_chunk *chunks, int n, hid_t dataset, int64_t first, const ns_packer_layout *layout, const char *path);
#endif
