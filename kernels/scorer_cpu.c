#include "kernels/scorer.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/level.h"
#include "kernels/numerics.h"
#include "kernels/prediction.h"
#include "kernels/take.h"
#include "kernels/tree_code.h"

/*
 * Rows are taken in blocks: the columns that trees ask for are binned with the model's cuts, then every tree
 * is run for the whole block (kernels/tree_code.h) while its bins are in the first-level cache.
 */

/* What a thread works with. */
typedef struct block {
    uint8_t *bins;   /* [n_columns][NS_CODE_ROWS] rows beyond the last hold what they held */
    int32_t *sum;    /* [NS_CODE_ROWS] */
    int64_t *margin; /* [NS_CODE_ROWS][n_outputs] */
} block;

struct ns_scorer {
    ns_device *device;
    ns_scorer_plan plan;
    ns_tree_code code;
    block *thread; /* [n_threads] */
};

static void destroy(ns_scorer **scorer)
{
    ns_scorer *s = *scorer;
    if (s == NULL) return;
    for (int i = 0; s->thread != NULL && i < s->device->n_threads; i++) {
        free(s->thread[i].bins);
        free(s->thread[i].sum);
        free(s->thread[i].margin);
    }
    free(s->thread);
    ns_tree_code_free(&s->code);
    free(s);
    *scorer = NULL;
}

static void take_blocks(ns_scorer *s, ns_taker *t)
{
    s->thread = ns_take(t, s->device->n_threads, sizeof *s->thread);
    for (int i = 0; i < s->device->n_threads && !t->failed; i++) {
        block *b = &s->thread[i];
        b->bins = ns_take(t, (int64_t)s->code.n_columns * NS_CODE_ROWS, sizeof *b->bins);
        b->sum = ns_take(t, NS_CODE_ROWS, sizeof *b->sum);
        b->margin = ns_take(t, (int64_t)NS_CODE_ROWS * s->plan.n_outputs, sizeof *b->margin);
    }
}

static ns_status create(ns_scorer **out, ns_device *device, const ns_scorer_plan *plan)
{
    ns_scorer *s = calloc(1, sizeof *s);
    ns_taker t = {.n_bytes = (int64_t)sizeof *s, .failed = s == NULL};
    ns_code_features features = {plan->n_features, plan->kind, plan->cuts, plan->n_cuts, plan->n_bins};
    *out = NULL;
    if (s != NULL) {
        s->device = device;
        s->plan = *plan;
        ns_tree_code_make(&s->code, plan->trees, &features, plan->n_outputs, &t);
    }
    if (!t.failed) take_blocks(s, &t);
    if (t.failed) {
        destroy(&s);
        return ns_fail(NS_ENOMEM, "not enough memory to score: %lld bytes and more", (long long)t.n_bytes);
    }
    *out = s;
    return NS_OK;
}

static void bin_block(const ns_scorer *s, const ns_score_slab *slab, int64_t first, int32_t n, const block *b)
{
    for (int32_t c = 0; c < s->code.n_columns; c++) {
        const ns_code_column *column = &s->code.column[c];
        uint8_t *to = b->bins + (int64_t)c * NS_CODE_ROWS;
        if (column->cuts != NULL) {
            s->device->loops->code->bin(column->cuts, (const float *)slab->columns[column->feature] + first, n, to);
            continue;
        }
        const int32_t *bin = (const int32_t *)slab->columns[column->feature] + first;
        for (int32_t i = 0; i < n; i++) to[i] = column->class != NULL ? column->class[bin[i]] : (uint8_t)bin[i];
    }
}

static void sum_block(const ns_scorer *s, int32_t n, const block *b)
{
    int32_t n_outputs = s->plan.n_outputs;
    for (int32_t i = 0; i < n; i++)
        for (int32_t o = 0; o < n_outputs; o++) b->margin[i * n_outputs + o] = s->plan.base[o];
    for (int64_t g = 0; g < s->code.n_groups; g++) {
        const ns_code_group *group = &s->code.group[g];
        s->device->loops->code->sum(&s->code, group, b->bins, b->sum);
        for (int32_t i = 0; i < n; i++) b->margin[i * n_outputs + group->output] += b->sum[i];
    }
}

static void predict(const ns_scorer *s, const int64_t *margin, int64_t n, float *out)
{
    ns_prediction kind = {s->plan.objective, s->plan.n_outputs, s->plan.k};
    if (kind.objective == NS_BINARY)
        s->device->loops->code->risks(margin, n, ns_power_of_two(-kind.k), out);
    else
        ns_predict(&kind, margin, n, out);
}

static ns_status score_slab(ns_scorer *s, const ns_score_slab *slab)
{
    int64_t n_outputs = s->plan.n_outputs;
#pragma omp parallel for schedule(dynamic) num_threads(s->device->n_threads)
    for (int64_t first = 0; first < slab->n_rows; first += NS_CODE_ROWS) {
        int32_t n = (int32_t)(slab->n_rows - first < NS_CODE_ROWS ? slab->n_rows - first : NS_CODE_ROWS);
        const block *b = &s->thread[omp_get_thread_num()];
        bin_block(s, slab, first, n, b);
        sum_block(s, n, b);
        if (slab->margin != NULL)
            memcpy(slab->margin + first * n_outputs, b->margin, (size_t)(n * n_outputs) * sizeof *b->margin);
        if (slab->risk != NULL) predict(s, b->margin, n, slab->risk + first * n_outputs);
    }
    return NS_OK;
}

const ns_scorer_ops ns_scorer_cpu = {
    .name = "cpu", .create = create, .score_slab = score_slab, .destroy = destroy};
