#include "kernels/loss.h"

#include "kernels/level_name.h"

enum { PIECE = 512 };

static void add(int64_t *margin, const int32_t *leaf, const int32_t *value, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) margin[i] += value[leaf[i]];
}

/* Losses of n <= PIECE rows from `from` on. */
typedef void piece_loop(const ns_loss_rows *rows, int64_t from, int64_t n, double *loss);

/* The losses in a loop that vectorises, the conversion to integers after it. */
static inline void add_up(const ns_loss_rows *rows, piece_loop *piece, int64_t first, int64_t last,
                          ns_loss_sum *sum)
{
    double loss[PIECE];
    for (int64_t from = first; from < last; from += PIECE) {
        int64_t n = last - from < PIECE ? last - from : PIECE;
        piece(rows, from, n, loss);
        if (rows->weight != NULL)
            for (int64_t i = 0; i < n; i++)
                loss[i] = (double)rows->weight[from + i] * rows->weight_scale * loss[i];
        for (int64_t i = 0; i < n; i++) {
            int64_t q = ns_rne_i64(rows->scale * loss[i]);
            sum->low += q & INT64_C(0xffffffff);
            sum->high += q >> 32;
        }
    }
}

static inline double margin_of(const ns_loss_rows *rows, int64_t i)
{
    return ns_small_i64_to_f64(rows->margin[i]) * rows->unit;
}

static void binary_piece(const ns_loss_rows *rows, int64_t from, int64_t n, double *loss)
{
    for (int64_t i = 0; i < n; i++) {
        double m = margin_of(rows, from + i);
        loss[i] = ns_log1p_exp(rows->label[from + i] > 0.5f ? -m : m);
    }
}

/* Class by class, so that each loop runs over rows. */
static void multiclass_piece(const ns_loss_rows *rows, int64_t from, int64_t n, double *loss)
{
    double own[PIECE], *top = rows->top + from, *norm = rows->norm + from;
    const float *label = rows->label + from;
    for (int64_t i = 0; i < n; i++) {
        top[i] = margin_of(rows, from + i);
        own[i] = top[i];
        norm[i] = 0.0;
    }
    for (int32_t c = 1; c < rows->n_outputs; c++)
        for (int64_t i = 0; i < n; i++) {
            double m = margin_of(rows, c * rows->stride + from + i);
            top[i] = m > top[i] ? m : top[i];
            own[i] = label[i] == (float)c ? m : own[i];
        }
    for (int32_t c = 0; c < rows->n_outputs; c++)
        for (int64_t i = 0; i < n; i++)
            norm[i] = norm[i] + ns_exp(margin_of(rows, c * rows->stride + from + i) - top[i]);
    for (int64_t i = 0; i < n; i++) loss[i] = ns_log(norm[i]) - (own[i] - top[i]);
}

static void regression_piece(const ns_loss_rows *rows, int64_t from, int64_t n, double *loss)
{
    for (int64_t i = 0; i < n; i++) {
        double gap = (double)rows->label[from + i] - margin_of(rows, from + i);
        loss[i] = gap * gap;
    }
}

static void poisson_piece(const ns_loss_rows *rows, int64_t from, int64_t n, double *loss)
{
    for (int64_t i = 0; i < n; i++) {
        double y = (double)rows->label[from + i], rate = ns_rate(margin_of(rows, from + i));
        double ratio = y > 0.0 ? y / rate : 1.0;
        double deviance = rate - y + y * ns_log(ratio);
        loss[i] = deviance > 0.0 ? deviance : 0.0;
    }
}

static void quantile_piece(const ns_loss_rows *rows, int64_t from, int64_t n, double *loss)
{
    for (int64_t i = 0; i < n; i++) {
        double gap = (double)rows->label[from + i] - margin_of(rows, from + i);
        loss[i] = gap > 0.0 ? rows->quantile * gap : (1.0 - rows->quantile) * -gap;
    }
}

static void binary(const ns_loss_rows *rows, int64_t first, int64_t last, ns_loss_sum *sum)
{
    add_up(rows, binary_piece, first, last, sum);
}

static void multiclass(const ns_loss_rows *rows, int64_t first, int64_t last, ns_loss_sum *sum)
{
    add_up(rows, multiclass_piece, first, last, sum);
}

static void regression(const ns_loss_rows *rows, int64_t first, int64_t last, ns_loss_sum *sum)
{
    add_up(rows, regression_piece, first, last, sum);
}

static void poisson(const ns_loss_rows *rows, int64_t first, int64_t last, ns_loss_sum *sum)
{
    add_up(rows, poisson_piece, first, last, sum);
}

static void quantile(const ns_loss_rows *rows, int64_t first, int64_t last, ns_loss_sum *sum)
{
    add_up(rows, quantile_piece, first, last, sum);
}

const ns_loss_loops NS_AT_LEVEL(ns_loss) = {
    .add = add,
    .binary = binary,
    .multiclass = multiclass,
    .regression = regression,
    .poisson = poisson,
    .quantile = quantile,
};
