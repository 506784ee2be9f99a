#include "kernels/prediction.h"

#include <float.h>

#include "kernels/level.h"
#include "kernels/numerics.h"

void ns_predict(const ns_prediction *prediction, const int64_t *margin, int64_t n, float *out)
{
    double unit = ns_power_of_two(-prediction->k);
    int32_t n_outputs = prediction->n_outputs;
    switch (prediction->objective) {
    case NS_BINARY:
        for (int64_t i = 0; i < n; i++) out[i] = ns_risk(margin[i], unit);
        break;
    case NS_MULTICLASS:
        for (int64_t i = 0; i < n; i++) ns_class_risks(margin + i * n_outputs, n_outputs, unit, out + i * n_outputs);
        break;
    case NS_REGRESSION:
    case NS_QUANTILE:
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)ns_clamp((double)margin[i] * unit, -(double)FLT_MAX, (double)FLT_MAX);
        break;
    case NS_POISSON:
        for (int64_t i = 0; i < n; i++) out[i] = (float)ns_rate((double)margin[i] * unit);
        break;
    }
}

void ns_predict_with(const ns_level *loops, const ns_prediction *prediction, const int64_t *margin, int64_t n, float *out)
{
    if (prediction->objective == NS_BINARY)
        loops->code->risks(margin, n, ns_power_of_two(-prediction->k), out);
    else
        ns_predict(prediction, margin, n, out);
}
