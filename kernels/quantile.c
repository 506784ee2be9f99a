#include "kernels/quantile.h"

#include "kernels/numerics.h"

/* True on every rank when it is true on any. */
static bool any_failed(const ns_tally *tally, const ns_link *link)
{
    int64_t failed = tally == NULL || ns_tally_status(tally) != NS_OK;
    link->max_i64(link->context, &failed, 1);
    return failed != 0;
}

bool ns_quantile_at(ns_tally *tally, int64_t n, int32_t percent, float *out)
{
    int64_t rank = (int64_t)(((ns_i128)n * percent + 99) / 100);
    uint32_t key = 0;
    bool known = n == 0 || ns_tally_at(tally, rank, &key);
    *out = n > 0 ? ns_value_of_key(key) : ns_from_bits_f32(0x7fc00000u);
    return known;
}

ns_status ns_quantiles(const float *values, int64_t n, const int32_t *percent, int32_t n_percent, float *out,
                       int64_t *n_values, const ns_link *link)
{
    ns_tally *tally = NULL;
    ns_status status = ns_tally_create(&tally);
    bool open = true;
    while (open) {
        if (any_failed(tally, link)) {
            status =
                ns_fail(NS_ENOMEM, "not enough memory for the quantiles of a column on one of the ranks");
            break;
        }
        ns_tally_add(tally, values, n);
        ns_tally_collect(tally, link);
        *n_values = ns_tally_total(tally);
        open = false;
        for (int32_t i = 0; i < n_percent; i++)
            if (!ns_quantile_at(tally, *n_values, percent[i], &out[i])) open = true;
    }
    ns_tally_destroy(&tally);
    return status;
}
