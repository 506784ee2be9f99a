#include "kernels/gradient.h"

#include <stddef.h>

#include "kernels/level_name.h"

/* Rows are taken in pieces, so that random bits and values between two loops stay in the first-level cache.
 */
enum { PIECE = 512, BLOCKS = PIECE };

/* Weights, then the maxima. */
static void finish(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2])
{
    int64_t max_g = max[0], max_h = max[1];
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

static void binary(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2])
{
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
    finish(rows, first, last, max);
}

static void multiclass(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2])
{
    float mine = (float)rows->output;
    double factor = (double)rows->n_outputs / (double)(rows->n_outputs - 1);
    for (int64_t i = first; i < last; i++) {
        double m = ns_small_i64_to_f64(rows->margin[i]) * rows->unit;
        double p = ns_exp(m - rows->top[i]) / rows->norm[i];
        rows->g[i] = rows->label[i] == mine ? p - 1.0 : p;
        rows->h[i] = p * (1.0 - p) * factor;
    }
    finish(rows, first, last, max);
}

static void regression(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2])
{
    for (int64_t i = first; i < last; i++) {
        double m = ns_small_i64_to_f64(rows->margin[i]) * rows->unit;
        rows->g[i] = m - (double)rows->label[i];
        rows->h[i] = 1.0;
    }
    finish(rows, first, last, max);
}

static void poisson(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2])
{
    const int64_t *margin = rows->margin;
    const float *label = rows->label;
    double *g = rows->g, *h = rows->h, unit = rows->unit;
    for (int64_t i = first; i < last; i++) {
        double m = ns_clamp(ns_small_i64_to_f64(margin[i]) * unit, -30.0, 30.0);
        g[i] = ns_exp(m) - (double)label[i];
    }
    for (int64_t i = first; i < last; i++) { /* one exp a loop: compilers give up on two */
        double m = ns_clamp(ns_small_i64_to_f64(margin[i]) * unit, -30.0, 30.0) + 0.7;
        h[i] = ns_exp(m < 30.0 ? m : 30.0);
    }
    finish(rows, first, last, max);
}

static void quantile(const ns_gradient_rows *rows, int64_t first, int64_t last, int64_t max[2])
{
    double below = -rows->quantile, above = 1.0 - rows->quantile;
    for (int64_t i = first; i < last; i++) {
        double m = ns_small_i64_to_f64(rows->margin[i]) * rows->unit;
        rows->g[i] = (double)rows->label[i] > m ? below : above;
        rows->h[i] = 1.0;
    }
    finish(rows, first, last, max);
}

/* Words 4 * first .. 4 * (first + n) - 1 of a stream, round by round over all blocks, which vectorises. */
static void draw_blocks(const ns_stream *stream, uint64_t first, int32_t n, uint32_t *restrict out)
{
    uint32_t x0[BLOCKS], x1[BLOCKS], x2[BLOCKS], x3[BLOCKS], k0 = stream->key[0], k1 = stream->key[1];
    for (int32_t b = 0; b < n; b++) {
        x0[b] = (uint32_t)(first + (uint32_t)b);
        x1[b] = (uint32_t)((first + (uint32_t)b) >> 32);
        x2[b] = stream->step;
        x3[b] = stream->place;
    }
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        for (int32_t b = 0; b < n; b++) { /* ns_philox */
            uint64_t p = UINT64_C(0xD2511F53) * x0[b], q = UINT64_C(0xCD9E8D57) * x2[b];
            x0[b] = (uint32_t)(q >> 32) ^ x1[b] ^ k0;
            x1[b] = (uint32_t)q;
            x2[b] = (uint32_t)(p >> 32) ^ x3[b] ^ k1;
            x3[b] = (uint32_t)p;
        }
    for (int32_t b = 0; b < n; b++) {
        out[4 * b] = x0[b];
        out[4 * b + 1] = x1[b];
        out[4 * b + 2] = x2[b];
        out[4 * b + 3] = x3[b];
    }
}

/* The words of n <= PIECE rows of the stream. Rows that lie close share blocks of four; others draw alone. */
static void draw(const ns_stream *stream, const int64_t *row_number, int64_t n, uint32_t *random)
{
    uint32_t word[4 * BLOCKS];
    int64_t least = row_number[0], most = row_number[0];
    for (int64_t i = 1; i < n; i++) {
        least = row_number[i] < least ? row_number[i] : least;
        most = row_number[i] > most ? row_number[i] : most;
    }
    int64_t first = least >> 2, n_blocks = (most >> 2) - first + 1;
    if (n_blocks > BLOCKS) {
        for (int64_t i = 0; i < n; i++) random[i] = ns_stream_word(stream, (uint64_t)row_number[i]);
        return;
    }
    draw_blocks(stream, (uint64_t)first, (int32_t)n_blocks, word);
    for (int64_t i = 0; i < n; i++) random[i] = word[row_number[i] - 4 * first];
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
    .binary = binary,
    .multiclass = multiclass,
    .regression = regression,
    .poisson = poisson,
    .quantile = quantile,
    .round_narrow = round_narrow,
    .round_wide = round_wide,
};
