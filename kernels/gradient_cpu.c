#include "kernels/gradient.h"

#include <stddef.h>

#include "kernels/level_name.h"

/* Rows are taken in pieces, so that random bits and values between two loops stay in the first-level cache.
 */
enum { PIECE = 512 };

static void binary(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2])
{
    int64_t max_g = max[0], max_h = max[1];
    for (int64_t i = first; i < last; i++) {
        double m = ns_small_i64_to_f64(rows->margin[i]) * rows->unit;
        double a = ns_exp(-ns_abs(m));
        double p = 1.0 / (1.0 + a);
        double t = a / (1.0 + a);
        double up = m >= 0.0 ? p : t; /* sigmoid(m) */
        double down = m >= 0.0 ? t : p;
        double g = rows->label[i] > 0.5f ? -down : up;
        rows->g[i] = g;
        rows->h[i] = t * p;
    }
    if (rows->weight != NULL)
        for (int64_t i = first; i < last; i++) {
            double w = (double)rows->weight[i];
            rows->g[i] = rows->g[i] * w;
            rows->h[i] = rows->h[i] * w;
        }
    for (int64_t i = first; i < last; i++) {
        int64_t size_g = (int64_t)ns_bits(ns_abs(rows->g[i])), size_h = (int64_t)ns_bits(rows->h[i]);
        max_g = size_g > max_g ? size_g : max_g;
        max_h = size_h > max_h ? size_h : max_h;
    }
    max[0] = max_g;
    max[1] = max_h;
}

/* The rows' words of the stream. Neighbours in number mostly share a block of four. */
static void draw(const ns_stream *stream, const int64_t *row_number, int64_t n, uint32_t *random)
{
    int64_t held = -1;
    ns_block block = {{0, 0, 0, 0}};
    for (int64_t i = 0; i < n; i++) {
        if (row_number[i] >> 2 != held) {
            held = row_number[i] >> 2;
            block = ns_stream_block(stream, (uint64_t)held);
        }
        random[i] = block.word[row_number[i] & 3];
    }
}

static inline int32_t rounded(double x, double scale, uint32_t r)
{
    return ns_floor_i32(x * scale + ((double)(int32_t)r + 0.5) * 0x1p-16);
}

static void round_narrow(const ns_gradient_rows *rows, const ns_rounding *how, int64_t first, int64_t last,
                         int32_t *word)
{
    uint32_t random[PIECE];
    for (int64_t from = first; from < last; from += PIECE) {
        int64_t n = last - from < PIECE ? last - from : PIECE;
        draw(&how->stream, rows->row_number + from, n, random);
        const double *g = rows->g + from, *h = rows->h + from;
        for (int64_t i = 0; i < n; i++)
            word[from + i] = rounded(g[i], how->scale_g, random[i] & 0xffffu) * 4096 +
                             rounded(h[i], how->scale_h, random[i] >> 16);
    }
}

static void round_wide(const ns_gradient_rows *rows, const ns_rounding *how, int64_t first, int64_t last,
                       int64_t *word)
{
    uint32_t random[PIECE];
    for (int64_t from = first; from < last; from += PIECE) {
        int64_t n = last - from < PIECE ? last - from : PIECE;
        draw(&how->stream, rows->row_number + from, n, random);
        const double *g = rows->g + from, *h = rows->h + from;
        for (int64_t i = 0; i < n; i++)
            word[from + i] = (int64_t)rounded(g[i], how->scale_g, random[i] & 0xffffu) * (INT64_C(1) << 32) +
                             rounded(h[i], how->scale_h, random[i] >> 16);
    }
}

const ns_gradient_loops NS_AT_LEVEL(ns_gradient) = {
    .binary = binary, .round_narrow = round_narrow, .round_wide = round_wide};
