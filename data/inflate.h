#ifndef NIGHTSHIFT_DATA_INFLATE_H
#define NIGHTSHIFT_DATA_INFLATE_H
/*
 * One stored chunk of a data set back to its cells: the filters of HDF5 that every build has (shuffle, deflate, Fletcher-32),
 * undone in the reverse of the order in which they were applied, without HDF5. Formats: HDF5 File Format Specification 3.0,
 * section IV.A.2.l; deflate is a zlib stream (RFC 1950).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/status.h"

typedef enum ns_filter_kind { NS_FILTER_SHUFFLE, NS_FILTER_DEFLATE, NS_FILTER_FLETCHER32 } ns_filter_kind;

enum { NS_MAX_FILTERS = 8 };

typedef struct ns_pipeline {
    int n;
    ns_filter_kind filter[NS_MAX_FILTERS]; /* in the order of writing; deflate at most once */
    size_t shuffle_bytes;                  /* bytes of an element that shuffle takes apart */
} ns_pipeline;

typedef struct ns_decoder ns_decoder;

/* What one thread needs to decode; grows to the largest chunk it meets. Local. NS_ENOMEM. */
ns_status ns_decoder_create(ns_decoder **out);
void ns_decoder_destroy(ns_decoder **decoder);

/* Room for the stored bytes of a chunk, 64-byte aligned, valid until the next call; NULL: no memory. */
void *ns_decoder_room(ns_decoder *decoder, size_t n_bytes);

/*
 * Decodes a chunk of exactly n_cells bytes.
 *   cells     out  [n_cells] bytes; undefined on failure
 *   stored    in   [n_stored]; may be what ns_decoder_room gave
 *   mask      in   bit i set: filter i was not applied to this chunk
 * Local; different decoders on different threads. False: a damaged stream, a wrong check sum, another length, no memory.
 */
bool ns_decode(ns_decoder *decoder, const ns_pipeline *pipeline, uint32_t mask, const void *stored, size_t n_stored,
               void *cells, size_t n_cells);

/*
 * The same, but a shuffle that was applied first stays: its elements are put together with ns_unshuffle_rows where they are
 * wanted, a few at a time, while they are in the nearest cache.
 *   bytes     out  [n_cells], in stored or in the decoder's memory: until the next call
 *   shuffled  out  whether they are still taken apart, in elements of pipeline->shuffle_bytes
 */
bool ns_decode_apart(ns_decoder *decoder, const ns_pipeline *pipeline, uint32_t mask, const void *stored, size_t n_stored,
                     const void **bytes, bool *shuffled, size_t n_cells);

/* The Fletcher-32 of HDF5 over n bytes: big-endian 16-bit words, an odd last byte as the high half of a word. */
uint32_t ns_fletcher32(const void *bytes, size_t n);

/* out[i * width + b] = in[b * (n / width) + i]; the n % width last bytes as they are. */
void ns_unshuffle(void *out, const void *in, size_t n, size_t width);

/* Elements [first, first + n) of those n_elements: out[i * width + b] = in[b * n_elements + first + i]. */
void ns_unshuffle_rows(void *out, const void *in, size_t n_elements, size_t width, size_t first, size_t n);
#endif
