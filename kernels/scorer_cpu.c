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
 * is run for the whole block (kernels/tree_code.h) while its planes are in the nearest caches.
 */

/* What a thread works with. */
typedef struct block {
    void *memory; /* of code's pointers */
    ns_code_block code;
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
        free(s->thread[i].memory);
        free(s->thread[i].margin);
    }
    free(s->thread);
    ns_tree_code_free(&s->code);
    free(s);
    *scorer = NULL;
}

/* Registers are read from and written to places that begin at multiples of their size: no access then meets two cache lines. */
enum { ALIGNED = 64 };

/* One piece of memory for all that code works with; each part of it is a multiple of ALIGNED. */
static void take_code_block(const ns_tree_code *code, block *b, ns_taker *t)
{
    int64_t n_column_bytes = (int64_t)code->n_columns * NS_CODE_ROWS;
    int64_t n_sum_bytes = NS_CODE_ROWS * (int64_t)sizeof *b->code.sum, n_plane_bytes = (code->n_planes + code->n_tree_planes) * (int64_t)sizeof(ns_code_plane);
    b->memory = ns_take(t, 3 * n_column_bytes + n_plane_bytes + n_sum_bytes + ALIGNED, 1);
    if (b->memory == NULL) return;
    uint8_t *at = (uint8_t *)b->memory + (ALIGNED - (uintptr_t)b->memory % ALIGNED) % ALIGNED;
    b->code.planes = (ns_code_plane *)(void *)at;
    b->code.tree = b->code.planes + code->n_planes;
    b->code.sum = (int32_t *)(void *)(b->code.tree + code->n_tree_planes);
    b->code.bins = (uint8_t *)(b->code.sum + NS_CODE_ROWS);
    b->code.at = b->code.bins + n_column_bytes;
    b->code.bit = b->code.at + n_column_bytes;
}

static void take_blocks(ns_scorer *s, ns_taker *t)
{
    s->thread = ns_take(t, s->device->n_threads, sizeof *s->thread);
    for (int i = 0; i < s->device->n_threads && !t->failed; i++) {
        take_code_block(&s->code, &s->thread[i], t);
        s->thread[i].margin = ns_take(t, (int64_t)NS_CODE_ROWS * s->plan.n_outputs, sizeof *s->thread[i].margin);
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

static void sum_block(const ns_scorer *s, int32_t n, const block *b)
{
    int32_t n_outputs = s->plan.n_outputs;
    for (int32_t i = 0; i < n; i++)
        for (int32_t o = 0; o < n_outputs; o++) b->margin[i * n_outputs + o] = s->plan.base[o];
    for (int64_t g = 0; g < s->code.n_groups; g++) {
        const ns_code_group *group = &s->code.group[g];
        s->device->loops->code->sum(&s->code, group, &b->code);
        for (int32_t i = 0; i < n; i++) b->margin[i * n_outputs + group->output] += b->code.sum[i];
    }
}

static ns_status score_slab(ns_scorer *s, const ns_score_slab *slab)
{
    int64_t n_outputs = s->plan.n_outputs;
    ns_prediction kind = {s->plan.objective, s->plan.n_outputs, s->plan.k};
#pragma omp parallel for schedule(dynamic) num_threads(s->device->n_threads)
    for (int64_t first = 0; first < slab->n_rows; first += NS_CODE_ROWS) {
        int32_t n = (int32_t)(slab->n_rows - first < NS_CODE_ROWS ? slab->n_rows - first : NS_CODE_ROWS);
        const block *b = &s->thread[omp_get_thread_num()];
        s->device->loops->code->bin(&s->code, slab->columns, first, slab->n_rows - first, &b->code);
        sum_block(s, n, b);
        if (slab->margin != NULL)
            memcpy(slab->margin + first * n_outputs, b->margin, (size_t)(n * n_outputs) * sizeof *b->margin);
        if (slab->risk != NULL) ns_predict_with(s->device->loops, &kind, b->margin, n, slab->risk + first * n_outputs);
    }
    return NS_OK;
}

/* All is done when score_slab returns. */
static ns_status wait_for(ns_scorer *s, int64_t n_left)
{
    (void)s;
    (void)n_left;
    return NS_OK;
}

const ns_scorer_ops ns_scorer_cpu = {
    .name = "cpu", .create = create, .score_slab = score_slab, .wait = wait_for, .destroy = destroy};
