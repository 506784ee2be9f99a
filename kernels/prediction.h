#ifndef NIGHTSHIFT_KERNELS_PREDICTION_H
#define NIGHTSHIFT_KERNELS_PREDICTION_H
/*
 * What is published for the margins of a row. From m = margin * 2^-k in double (kernels/numerics.h), rounded to float32:
 *   binary                risk = sigmoid(m), clamped to [2^-24, 1 - 2^-24]
 *   multiclass            risk of class c = e^(m_c - max) / sum over classes in their order, clamped likewise (no new norming)
 *   regression, quantile  prediction = m, clamped to the range of finite float32
 *   poisson               prediction = e^min(max(m, -30), 30)
 */
#include "kernels/forest.h"

typedef struct ns_prediction {
    ns_objective objective;
    int32_t n_outputs; /* multiclass: classes; else 1 */
    int32_t k;
} ns_prediction;

/*
 *   margin  in   [n][n_outputs]
 *   out     out  [n][n_outputs] risks or predictions
 * Local. Cannot fail.
 */
void ns_predict(const ns_prediction *prediction, const int64_t *margin, int64_t n, float *out);

/* The same bytes, by the loops of an instruction set (device->loops) where it has some. Local; cannot fail. */
void ns_predict_with(const struct ns_level *loops, const ns_prediction *prediction, const int64_t *margin, int64_t n, float *out);
#endif
