/*
 * libdeflate inflates a whole chunk at 2 to 3 times the rate of zlib's stream, which HDF5 uses. Three buffers a thread: the
 * stored bytes, and two that filters pass to and fro; the last filter writes to the caller's cells, or is left to him (apart). Everything
 * stays within the second-level cache for chunks of 65,536 float32.
 */
#include "data/inflate.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef struct room {
    unsigned char *bytes;
    size_t n;
} room;

struct ns_decoder {
    struct libdeflate_decompressor *inflate;
    room stored, work[2];
};

ns_status ns_decoder_create(ns_decoder **out)
{
    ns_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder != NULL) decoder->inflate = libdeflate_alloc_decompressor();
    if (decoder == NULL || decoder->inflate == NULL) {
        free(decoder);
        *out = NULL;
        return ns_fail(NS_ENOMEM, "no memory to decode chunks");
    }
    *out = decoder;
    return NS_OK;
}

void ns_decoder_destroy(ns_decoder **handle)
{
    ns_decoder *decoder = *handle;
    if (decoder == NULL) return;
    libdeflate_free_decompressor(decoder->inflate);
    free(decoder->stored.bytes);
    free(decoder->work[0].bytes);
    free(decoder->work[1].bytes);
    free(decoder);
    *handle = NULL;
}

static unsigned char *make_room(room *at, size_t n)
{
    if (at->n >= n && at->bytes != NULL) return at->bytes;
    free(at->bytes);
    size_t rounded = (n + 64) / 64 * 64; /* at least one line, as aligned_alloc asks */
    at->bytes = aligned_alloc(64, rounded);
    at->n = at->bytes != NULL ? rounded : 0;
    return at->bytes;
}

void *ns_decoder_room(ns_decoder *decoder, size_t n_bytes)
{
    return make_room(&decoder->stored, n_bytes);
}

/* ---- filters ---- */

uint32_t ns_fletcher32(const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    uint32_t low = 0, high = 0;
    for (size_t left = n / 2; left > 0;) {
        size_t run = left < 360 ? left : 360; /* sums of 360 words cannot pass 32 bits */
        left -= run;
        for (; run > 0; run--, at += 2) {
            low += (uint32_t)at[0] << 8 | at[1];
            high += low;
        }
        low = (low & 0xffff) + (low >> 16);
        high = (high & 0xffff) + (high >> 16);
    }
    if (n % 2 != 0) {
        low += (uint32_t)at[0] << 8;
        high += low;
        low = (low & 0xffff) + (low >> 16);
        high = (high & 0xffff) + (high >> 16);
    }
    low = (low & 0xffff) + (low >> 16);
    high = (high & 0xffff) + (high >> 16);
    return high << 16 | low;
}

/* The sum stands behind the bytes, little-endian. Libraries before 1.6.3 wrote the bytes of each half the other way round
   on little-endian machines, and HDF5 still takes that. */
static bool fletcher_matches(const unsigned char *bytes, size_t n)
{
    const unsigned char *sum = bytes + n;
    uint32_t found = (uint32_t)sum[0] | (uint32_t)sum[1] << 8 | (uint32_t)sum[2] << 16 | (uint32_t)sum[3] << 24;
    uint32_t right = ns_fletcher32(bytes, n);
    return found == right || found == ((right & 0x00ff00ff) << 8 | (right & 0xff00ff00) >> 8);
}

/* Here and below: n elements, of which byte b of the first is in[b * stride]. */
static void unshuffle_rest(unsigned char *out, const unsigned char *in, size_t stride, size_t from, size_t n, size_t width)
{
    for (size_t i = from; i < n; i++)
        for (size_t b = 0; b < width; b++) out[i * width + b] = in[b * stride + i];
}

#if defined(__SSE2__)
static __m128i load(const unsigned char *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

static void store(unsigned char *to, __m128i value)
{
    _mm_storeu_si128((__m128i *)(void *)to, value);
}

/* 16 elements at a time; the return value is how many were done. */
static size_t unshuffle2(unsigned char *out, const unsigned char *in, size_t stride, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m128i a = load(in + i), b = load(in + stride + i);
        store(out + 2 * i, _mm_unpacklo_epi8(a, b));
        store(out + 2 * i + 16, _mm_unpackhi_epi8(a, b));
    }
    return i;
}

static size_t unshuffle4(unsigned char *out, const unsigned char *in, size_t stride, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m128i a = load(in + i), b = load(in + stride + i), c = load(in + 2 * stride + i), d = load(in + 3 * stride + i);
        __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
        store(out + 4 * i, _mm_unpacklo_epi16(ab, cd));
        store(out + 4 * i + 16, _mm_unpackhi_epi16(ab, cd));
        ab = _mm_unpackhi_epi8(a, b);
        cd = _mm_unpackhi_epi8(c, d);
        store(out + 4 * i + 32, _mm_unpacklo_epi16(ab, cd));
        store(out + 4 * i + 48, _mm_unpackhi_epi16(ab, cd));
    }
    return i;
}

static void merge8(unsigned char *out, __m128i low, __m128i high)
{
    store(out, _mm_unpacklo_epi32(low, high));
    store(out + 16, _mm_unpackhi_epi32(low, high));
}

static size_t unshuffle8(unsigned char *out, const unsigned char *in, size_t stride, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m128i p[8];
        for (size_t b = 0; b < 8; b++) p[b] = load(in + b * stride + i);
        __m128i ab = _mm_unpacklo_epi8(p[0], p[1]), cd = _mm_unpacklo_epi8(p[2], p[3]);
        __m128i ef = _mm_unpacklo_epi8(p[4], p[5]), gh = _mm_unpacklo_epi8(p[6], p[7]);
        merge8(out + 8 * i, _mm_unpacklo_epi16(ab, cd), _mm_unpacklo_epi16(ef, gh));
        merge8(out + 8 * i + 32, _mm_unpackhi_epi16(ab, cd), _mm_unpackhi_epi16(ef, gh));
        ab = _mm_unpackhi_epi8(p[0], p[1]);
        cd = _mm_unpackhi_epi8(p[2], p[3]);
        ef = _mm_unpackhi_epi8(p[4], p[5]);
        gh = _mm_unpackhi_epi8(p[6], p[7]);
        merge8(out + 8 * i + 64, _mm_unpacklo_epi16(ab, cd), _mm_unpacklo_epi16(ef, gh));
        merge8(out + 8 * i + 96, _mm_unpackhi_epi16(ab, cd), _mm_unpackhi_epi16(ef, gh));
    }
    return i;
}

static size_t unshuffle_wide(unsigned char *out, const unsigned char *in, size_t stride, size_t n, size_t width)
{
    return width == 2   ? unshuffle2(out, in, stride, n)
           : width == 4 ? unshuffle4(out, in, stride, n)
           : width == 8 ? unshuffle8(out, in, stride, n)
                        : 0;
}
#else
static size_t unshuffle_wide(unsigned char *out, const unsigned char *in, size_t stride, size_t n, size_t width)
{
    (void)out, (void)in, (void)stride, (void)n, (void)width;
    return 0;
}
#endif

void ns_unshuffle_rows(void *out, const void *in, size_t n_elements, size_t width, size_t first, size_t n)
{
    const unsigned char *from = (const unsigned char *)in + first;
    size_t done = unshuffle_wide(out, from, n_elements, n, width);
    unshuffle_rest(out, from, n_elements, done, n, width);
}

void ns_unshuffle(void *out, const void *in, size_t n, size_t width)
{
    size_t n_elements = width > 1 ? n / width : 0;
    if (n_elements < 2) { /* as HDF5 writes them: nothing to take apart */
        memcpy(out, in, n);
        return;
    }
    size_t body = n_elements * width;
    ns_unshuffle_rows(out, in, n_elements, width, 0, n_elements);
    memcpy((unsigned char *)out + body, (const unsigned char *)in + body, n - body);
}

/* ---- the pipeline ---- */

/* The filters that were applied to this chunk, first to last. */
static int applied_filters(ns_filter_kind *out, const ns_pipeline *pipeline, uint32_t mask)
{
    int n = 0;
    for (int i = 0; i < pipeline->n; i++)
        if ((mask >> i & 1) == 0) out[n++] = pipeline->filter[i];
    return n;
}

/* Bytes that undoing a filter gives; given: bytes that deflate was given when the chunk was written. -1: too few. */
static int64_t bytes_after(ns_filter_kind filter, size_t n_in, size_t given)
{
    if (filter == NS_FILTER_DEFLATE) return (int64_t)given;
    return filter == NS_FILTER_SHUFFLE ? (int64_t)n_in : (int64_t)n_in - 4;
}

/* Undoes one filter: in[n] to out[n_out]. */
static bool undo(ns_decoder *decoder, const ns_pipeline *pipeline, ns_filter_kind filter, const unsigned char *in, size_t n,
                 unsigned char *out, size_t n_out)
{
    switch (filter) {
    case NS_FILTER_DEFLATE:
        return libdeflate_zlib_decompress(decoder->inflate, in, n, out, n_out, NULL) == LIBDEFLATE_SUCCESS;
    case NS_FILTER_SHUFFLE:
        ns_unshuffle(out, in, n_out, pipeline->shuffle_bytes);
        return true;
    case NS_FILTER_FLETCHER32:
        if (!fletcher_matches(in, n_out)) return false;
        memcpy(out, in, n_out);
        return true;
    }
    return false;
}

/*
 * Undoes filters [stop, n) of those that were applied.
 *   cells  out  [n_cells] what undoing the first one gives; NULL: in a work buffer too
 *   in     inout  [n_in] stored bytes; then what came out, which may be where they were
 */
static bool undo_filters(ns_decoder *decoder, const ns_pipeline *pipeline, const ns_filter_kind *filter, int n, int stop,
                         const unsigned char **in, size_t *n_in, unsigned char *cells, size_t n_cells)
{
    size_t given = n_cells; /* to deflate: what stands before it only adds check sums */
    for (int i = 0; i < n && filter[i] != NS_FILTER_DEFLATE; i++) given += filter[i] == NS_FILTER_FLETCHER32 ? 4 : 0;
    for (int i = n - 1; i >= stop; i--) {
        int64_t n_out = bytes_after(filter[i], *n_in, given);
        if (n_out < 0 || (i == 0 && (size_t)n_out != n_cells)) return false;
        bool into_cells = i == 0 && cells != NULL;
        if (!into_cells && filter[i] == NS_FILTER_FLETCHER32) { /* what it guards may stay where it is */
            if (!fletcher_matches(*in, (size_t)n_out)) return false;
        } else {
            room *other = &decoder->work[*in == decoder->work[0].bytes ? 1 : 0];
            unsigned char *out = into_cells ? cells : make_room(other, (size_t)n_out);
            if (out == NULL || !undo(decoder, pipeline, filter[i], *in, *n_in, out, (size_t)n_out)) return false;
            *in = out;
        }
        *n_in = (size_t)n_out;
    }
    return *n_in == n_cells;
}

bool ns_decode(ns_decoder *decoder, const ns_pipeline *pipeline, uint32_t mask, const void *stored, size_t n_stored,
               void *cells, size_t n_cells)
{
    ns_filter_kind filter[NS_MAX_FILTERS] = {0};
    int n = applied_filters(filter, pipeline, mask);
    const unsigned char *in = stored;
    size_t n_in = n_stored;
    if (!undo_filters(decoder, pipeline, filter, n, 0, &in, &n_in, cells, n_cells)) return false;
    if (n == 0) memcpy(cells, stored, n_cells);
    return true;
}

bool ns_decode_apart(ns_decoder *decoder, const ns_pipeline *pipeline, uint32_t mask, const void *stored, size_t n_stored,
                     const void **bytes, bool *shuffled, size_t n_cells)
{
    ns_filter_kind filter[NS_MAX_FILTERS] = {0};
    int n = applied_filters(filter, pipeline, mask);
    const unsigned char *in = stored;
    size_t n_in = n_stored, width = pipeline->shuffle_bytes;
    *shuffled = n > 0 && filter[0] == NS_FILTER_SHUFFLE && width > 1 && n_cells % width == 0 && n_cells / width > 1;
    bool right = undo_filters(decoder, pipeline, filter, n, *shuffled ? 1 : 0, &in, &n_in, NULL, n_cells);
    *bytes = in;
    return right;
}
