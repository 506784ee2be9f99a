/*
 * A risk is above 0, so its bits as an unsigned number are in the order of the risks. A row is the 33-bit
 * word (bits << 1 | label); rows are sorted by three counting passes of 11 bits, then equal ones are counted.
 */
#include "runner/metrics/risk_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { RADIX_BITS = 11, N_RADIX = 1 << RADIX_BITS };

static const uint32_t ONE_BITS = 0x3f800000u; /* 1.0f */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

ns_status ns_risk_table_alloc(ns_risk_table *out, int64_t n)
{
    memset(out, 0, sizeof *out);
    size_t room = (size_t)n + 1;
    out->n = n;
    out->risk = malloc(room * sizeof *out->risk);
    out->negative = malloc(room * sizeof *out->negative);
    out->positive = malloc(room * sizeof *out->positive);
    if (out->risk != NULL && out->negative != NULL && out->positive != NULL) return NS_OK;
    ns_risk_table_destroy(out);
    return ns_fail(NS_ENOMEM, "no memory for the metrics of %lld risks", (long long)n);
}

void ns_risk_table_destroy(ns_risk_table *table)
{
    free(table->risk);
    free(table->negative);
    free(table->positive);
    memset(table, 0, sizeof *table);
}

/* The words of the used rows; *n_used of them. */
static ns_status collect(uint64_t *words, int64_t *n_used, const float *risk, const uint8_t *label,
                         const uint8_t *use, int64_t n)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        if (use != NULL && use[i] == 0) continue;
        uint32_t bits = bits_of(risk[i]);
        /* NaN, infinities and negative numbers have larger bits than 1.0f */
        if (bits == 0 || bits >= ONE_BITS)
            return ns_fail(NS_ENUMERIC, "row %lld of the rows evaluated has no risk above 0 and below 1",
                           (long long)i);
        words[k++] = (uint64_t)bits << 1 | (label[i] != 0);
    }
    *n_used = k;
    return NS_OK;
}

static void sort_pass(uint64_t *to, const uint64_t *from, int64_t n, int shift)
{
    int64_t start[N_RADIX + 1] = {0};
    for (int64_t i = 0; i < n; i++) start[(from[i] >> shift & (N_RADIX - 1)) + 1]++;
    for (int i = 0; i < N_RADIX; i++) start[i + 1] += start[i];
    for (int64_t i = 0; i < n; i++) to[start[from[i] >> shift & (N_RADIX - 1)]++] = from[i];
}

static ns_status count_sorted(ns_risk_table *out, const uint64_t *words, int64_t n)
{
    int64_t n_distinct = 0;
    for (int64_t i = 0; i < n; i++) n_distinct += i == 0 || words[i] >> 1 != words[i - 1] >> 1;
    NS_TRY(ns_risk_table_alloc(out, n_distinct));
    int64_t at = -1;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || words[i] >> 1 != words[i - 1] >> 1) {
            at++;
            out->risk[at] = float_of((uint32_t)(words[i] >> 1));
            out->negative[at] = out->positive[at] = 0;
        }
        if ((words[i] & 1) != 0)
            out->positive[at]++;
        else
            out->negative[at]++;
    }
    return NS_OK;
}

ns_status ns_risk_table_build(ns_risk_table *out, const float *risk, const uint8_t *label, const uint8_t *use,
                              int64_t n)
{
    memset(out, 0, sizeof *out);
    uint64_t *words = calloc((size_t)n + 1, sizeof *words), *other = malloc(((size_t)n + 1) * sizeof *other);
    int64_t n_used = 0;
    ns_status status = words == NULL || other == NULL
                           ? ns_fail(NS_ENOMEM, "no memory for the metrics of %lld rows", (long long)n)
                           : collect(words, &n_used, risk, label, use, n);
    if (status == NS_OK) {
        sort_pass(other, words, n_used, 0);
        sort_pass(words, other, n_used, RADIX_BITS);
        sort_pass(other, words, n_used, 2 * RADIX_BITS);
        status = count_sorted(out, other, n_used);
    }
    free(words);
    free(other);
    return status;
}

ns_status ns_risk_table_add(ns_risk_table *into, const ns_risk_table *from)
{
    if (from->n == 0) return NS_OK;
    ns_risk_table sum;
    NS_TRY(ns_risk_table_alloc(&sum, into->n + from->n));
    int64_t a = 0, b = 0, k = 0;
    for (; a < into->n || b < from->n; k++) {
        bool take_a = b == from->n || (a < into->n && into->risk[a] <= from->risk[b]);
        bool take_b = a == into->n || (b < from->n && from->risk[b] <= into->risk[a]);
        sum.risk[k] = take_a ? into->risk[a] : from->risk[b];
        sum.negative[k] = (take_a ? into->negative[a] : 0) + (take_b ? from->negative[b] : 0);
        sum.positive[k] = (take_a ? into->positive[a] : 0) + (take_b ? from->positive[b] : 0);
        a += take_a;
        b += take_b;
    }
    sum.n = k;
    ns_risk_table_destroy(into);
    *into = sum;
    return NS_OK;
}
