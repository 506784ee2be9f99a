#include "kernels/loss.h"

#include "kernels/level_name.h"

enum { PIECE = 512 };

static void add(int64_t *margin, const int32_t *leaf, const int32_t *value, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) margin[i] += value[leaf[i]];
}

/* The logarithms in a loop that vectorises, the conversion to integers after it. */
static void binary(const ns_loss_rows *rows, int64_t first, int64_t last, ns_loss_sum *sum)
{
    double loss[PIECE];
    for (int64_t from = first; from < last; from += PIECE) {
        int64_t n = last - from < PIECE ? last - from : PIECE;
        const int64_t *margin = rows->margin + from;
        const float *label = rows->label + from;
        for (int64_t i = 0; i < n; i++) {
            double m = ns_small_i64_to_f64(margin[i]) * rows->unit;
            loss[i] = ns_log1p_exp(label[i] > 0.5f ? -m : m);
        }
        if (rows->weight != NULL)
            for (int64_t i = 0; i < n; i++)
                loss[i] = (double)rows->weight[from + i] * rows->weight_scale * loss[i];
        for (int64_t i = 0; i < n; i++) {
            int64_t q = ns_rne_i64(0x1p40 * loss[i]);
            sum->low += q & INT64_C(0xffffffff);
            sum->high += q >> 32;
        }
    }
}

const ns_loss_loops NS_AT_LEVEL(ns_loss) = {.add = add, .binary = binary};
