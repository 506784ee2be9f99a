#include "kernels/residual.h"

#include <float.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/numerics.h"
#include "kernels/take.h"

/*
 * Each step counts weight per group and per value of the next bits of the keys, among the rows whose higher
 * bits are those found so far. Threads count into tables of their own, which are added up. The first step
 * touches a table for every row, the later ones for one row in two thousand.
 */
enum { PIECE = 8192, MOST_BINS = 1 << NS_RESIDUAL_MOST_BITS };

/* What is known of one group. */
typedef struct search {
    uint32_t prefix; /* the higher bits of its quantile's key */
    int64_t target;  /* weight to be reached within them; 0: the group has none */
} search;

struct ns_residuals {
    ns_residual_plan plan;
    uint32_t *key;  /* [n_rows] */
    int32_t *place; /* [max_groups] its table in the present turn, -1: none */
    search *search; /* [tables of a turn] */
    int64_t *table; /* [n_threads + 1][tables of a turn][MOST_BINS]: the sum, then each thread's */
};

static int32_t tables_of(const ns_residual_plan *plan)
{
    return plan->max_groups < NS_RESIDUAL_GROUPS ? plan->max_groups : NS_RESIDUAL_GROUPS;
}

static void take_all(ns_residuals *r, const ns_residual_plan *plan, ns_taker *t)
{
    r->key = ns_take(t, plan->n_rows, sizeof *r->key);
    r->place = ns_take(t, plan->max_groups, sizeof *r->place);
    r->search = ns_take(t, tables_of(plan), sizeof *r->search);
    r->table = ns_take(t, (int64_t)(plan->n_threads + 1) * tables_of(plan) * MOST_BINS, sizeof *r->table);
}

int64_t ns_residuals_memory(const ns_residual_plan *plan)
{
    ns_residuals none = {0};
    ns_taker t = {.n_bytes = (int64_t)sizeof none, .count_only = true};
    take_all(&none, plan, &t);
    return t.n_bytes;
}

ns_status ns_residuals_create(ns_residuals **out, const ns_residual_plan *plan)
{
    ns_residuals *r = calloc(1, sizeof *r);
    ns_taker t = {.n_bytes = (int64_t)sizeof *r, .failed = r == NULL};
    *out = r;
    if (r != NULL) {
        r->plan = *plan;
        take_all(r, plan, &t);
    }
    if (!t.failed) return NS_OK;
    ns_residuals_destroy(out);
    return ns_fail(NS_ENOMEM, "not enough memory for quantiles: %lld bytes are needed",
                   (long long)ns_residuals_memory(plan));
}

void ns_residuals_destroy(ns_residuals **residuals)
{
    ns_residuals *r = *residuals;
    if (r == NULL) return;
    free(r->key);
    free(r->place);
    free(r->search);
    free(r->table);
    free(r);
    *residuals = NULL;
}

static void take_keys(ns_residuals *r, const ns_residual_rows *rows)
{
#pragma omp parallel for schedule(static) num_threads(r->plan.n_threads)
    for (int64_t i = 0; i < r->plan.n_rows; i++) {
        double residual = (double)rows->label[i] - ns_small_i64_to_f64(rows->margin[i]) * rows->unit;
        r->key[i] = ns_key_of((float)ns_clamp(residual, -(double)FLT_MAX, (double)FLT_MAX));
    }
}

/* What one step counts by. */
typedef struct step {
    int shift, bits;
    double weight_scale; /* weight to fixed point */
} step;

/* Rows [first, last) into a thread's tables. */
static void count(const ns_residuals *r, const ns_residual_rows *rows, const step *s, int64_t first,
                  int64_t last, int64_t *table)
{
    uint32_t mask = (UINT32_C(1) << s->bits) - 1;
    for (int64_t i = first; i < last; i++) {
        int32_t place = r->place[rows->group[i]];
        if (place < 0) continue;
        uint32_t key = r->key[i];
        if ((uint64_t)key >> (s->shift + s->bits) != r->search[place].prefix) continue;
        int64_t w = rows->weight == NULL ? 1 : ns_rne_i64((double)rows->weight[i] * s->weight_scale);
        table[((int64_t)place << s->bits) + (key >> s->shift & mask)] += w;
    }
}

/* The sums over all ranks of one step, in the first of the tables. */
static void count_all(ns_residuals *r, const ns_residual_rows *rows, const step *s, int32_t n,
                      const ns_link *link)
{
    int n_threads = r->plan.n_threads;
    int64_t room = (int64_t)tables_of(&r->plan) * MOST_BINS, n_bins = (int64_t)n << s->bits;
#pragma omp parallel num_threads(n_threads)
    {
#pragma omp for schedule(static)
        for (int t = 0; t < n_threads; t++)
            memset(r->table + (t + 1) * room, 0, (size_t)n_bins * sizeof *r->table);
#pragma omp for schedule(dynamic)
        for (int64_t from = 0; from < r->plan.n_rows; from += PIECE)
            count(r, rows, s, from, r->plan.n_rows - from < PIECE ? r->plan.n_rows : from + PIECE,
                  r->table + (omp_get_thread_num() + 1) * room);
#pragma omp for schedule(static)
        for (int64_t b = 0; b < n_bins; b++) {
            r->table[b] = 0;
            for (int t = 1; t <= n_threads; t++) r->table[b] += r->table[t * room + b];
        }
    }
    link->sum_i64(link->context, r->table, n_bins);
}

static void narrow_down(search *found, const int64_t *bins, int bits)
{
    int32_t b = 0;
    if (found->target > 0)
        for (; bins[b] < found->target; b++) found->target -= bins[b];
    found->prefix = found->prefix << bits | (uint32_t)b;
}

/* Up to tables_of groups. */
static void find(ns_residuals *r, const ns_residual_rows *rows, const int32_t *wanted, int32_t n,
                 double quantile, const ns_link *link)
{
    step s = {.shift = 32, .weight_scale = ns_residual_scale(rows->weight_scale, r->plan.n_rows_global)};
    for (int32_t g = 0; g < r->plan.max_groups; g++) r->place[g] = -1;
    for (int32_t i = 0; i < n; i++) r->place[wanted[i]] = i;
    memset(r->search, 0, (size_t)n * sizeof *r->search);
    for (int i = 0; i < NS_RESIDUAL_STEPS; i++) {
        s.bits = ns_residual_bits(i);
        s.shift -= s.bits;
        count_all(r, rows, &s, n, link);
        for (int32_t g = 0; g < n; g++) {
            const int64_t *bins = r->table + ((int64_t)g << s.bits);
            int64_t total = 0;
            for (int32_t b = 0; i == 0 && b < 1 << s.bits; b++) total += bins[b];
            if (i == 0) r->search[g].target = ns_residual_target(total, quantile);
            narrow_down(&r->search[g], bins, s.bits);
        }
    }
}

void ns_residual_quantiles(ns_residuals *residuals, const ns_residual_rows *rows, const int32_t *wanted,
                           int32_t n_wanted, double quantile, const ns_link *link, double *out)
{
    ns_residuals *r = residuals;
    int32_t most = tables_of(&r->plan);
    take_keys(r, rows);
    for (int32_t first = 0; first < n_wanted; first += most) {
        int32_t n = n_wanted - first < most ? n_wanted - first : most;
        find(r, rows, wanted + first, n, quantile, link);
        for (int32_t i = 0; i < n; i++) {
            const search *found = &r->search[i];
            out[wanted[first + i]] = found->target > 0 ? (double)ns_value_of_key(found->prefix) : 0.0;
        }
    }
}
