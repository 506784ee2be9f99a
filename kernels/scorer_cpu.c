#include "kernels/scorer.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/level.h"
#include "kernels/prediction.h"
#include "kernels/take.h"

/*
 * Rows are taken in blocks: the columns that trees ask for are binned with the model's cuts, then every tree
 * is walked by the whole block while its nodes are in the first-level cache.
 */
enum { BLOCK = 256 };

/* Bins of one block: [n_used][BLOCK]. */
typedef struct block {
    uint16_t *bin;
    uint8_t *bytes;  /* [BLOCK] what the search of cuts gives */
    int64_t *margin; /* [BLOCK][n_outputs] */
} block;

struct ns_scorer {
    ns_device *device;
    ns_scorer_plan plan;
    int32_t n_used;
    int32_t *used;        /* [n_used] features that some tree asks for */
    int32_t *index;       /* [n_features] index in used */
    ns_padded_cuts *cuts; /* [n_used] */
    block *thread;        /* [n_threads] */
};

static void destroy(ns_scorer **scorer)
{
    ns_scorer *s = *scorer;
    if (s == NULL) return;
    for (int i = 0; s->thread != NULL && i < s->device->n_threads; i++) {
        free(s->thread[i].bin);
        free(s->thread[i].bytes);
        free(s->thread[i].margin);
    }
    free(s->used);
    free(s->index);
    free(s->cuts);
    free(s->thread);
    free(s);
    *scorer = NULL;
}

static void take_all(ns_scorer *s, ns_taker *t)
{
    s->cuts = ns_take(t, s->n_used, sizeof *s->cuts);
    s->thread = ns_take(t, s->device->n_threads, sizeof *s->thread);
    for (int i = 0; i < s->device->n_threads && !t->failed; i++) {
        s->thread[i].bin = ns_take(t, (int64_t)s->n_used * BLOCK, sizeof *s->thread[i].bin);
        s->thread[i].bytes = ns_take(t, BLOCK, sizeof *s->thread[i].bytes);
        s->thread[i].margin = ns_take(t, (int64_t)BLOCK * s->plan.n_outputs, sizeof *s->thread[i].margin);
    }
}

static void find_used(ns_scorer *s)
{
    for (int32_t f = 0; f < s->plan.n_features; f++) s->index[f] = -1;
    for (int64_t i = 0; i < s->plan.trees->n_nodes; i++)
        if (s->plan.trees->nodes[i].feature >= 0) s->index[s->plan.trees->nodes[i].feature] = 0;
    for (int32_t f = 0; f < s->plan.n_features; f++) {
        if (s->index[f] < 0) continue;
        s->index[f] = s->n_used;
        s->used[s->n_used++] = f;
    }
}

static ns_status create(ns_scorer **out, ns_device *device, const ns_scorer_plan *plan)
{
    ns_scorer *s = calloc(1, sizeof *s);
    ns_taker t = {.n_bytes = (int64_t)sizeof *s, .failed = s == NULL};
    *out = NULL;
    if (s != NULL) {
        s->device = device;
        s->plan = *plan;
        s->used = ns_take(&t, plan->n_features, sizeof *s->used);
        s->index = ns_take(&t, plan->n_features, sizeof *s->index);
    }
    if (!t.failed) {
        find_used(s);
        take_all(s, &t);
    }
    if (t.failed) {
        destroy(&s);
        return ns_fail(NS_ENOMEM, "not enough memory to score: %lld bytes and more", (long long)t.n_bytes);
    }
    for (int32_t u = 0; u < s->n_used; u++) {
        int32_t f = s->used[u];
        if (plan->kind[f] == NS_NUMBER) ns_pad_cuts(&s->cuts[u], plan->cuts[f], plan->n_cuts[f]);
    }
    *out = s;
    return NS_OK;
}

static void bin_block(const ns_scorer *s, const ns_score_slab *slab, int64_t first, int32_t n, const block *b)
{
    for (int32_t u = 0; u < s->n_used; u++) {
        uint16_t *to = b->bin + (int64_t)u * BLOCK;
        const void *column = slab->columns[s->used[u]];
        if (s->plan.kind[s->used[u]] == NS_CATEGORY) {
            const int32_t *bin = (const int32_t *)column + first;
            for (int32_t i = 0; i < n; i++) to[i] = (uint16_t)bin[i];
            continue;
        }
        s->device->loops->bin->number(&s->cuts[u], (const float *)column + first, n, b->bytes, 1);
        for (int32_t i = 0; i < n; i++) to[i] = b->bytes[i];
    }
}

static void walk_block(const ns_scorer *s, int32_t n, const block *b)
{
    const ns_trees *trees = s->plan.trees;
    int32_t n_outputs = s->plan.n_outputs;
    for (int32_t i = 0; i < n; i++)
        for (int32_t o = 0; o < n_outputs; o++) b->margin[i * n_outputs + o] = s->plan.base[o];
    for (int64_t t = 0; t < trees->n_trees; t++) {
        const ns_node *nodes = trees->nodes + trees->first[t];
        int64_t *margin = b->margin + t % n_outputs;
        for (int32_t i = 0; i < n; i++) {
            int32_t at = 0;
            while (nodes[at].feature >= 0) {
                uint32_t bin = b->bin[(int64_t)s->index[nodes[at].feature] * BLOCK + i];
                at = ns_goes_left(&nodes[at], trees->sets, bin) ? at + 1 : nodes[at].right;
            }
            margin[i * n_outputs] += nodes[at].leaf;
        }
    }
}

static ns_status score_slab(ns_scorer *s, const ns_score_slab *slab)
{
    ns_prediction kind = {s->plan.objective, s->plan.n_outputs, s->plan.k};
    int64_t n_outputs = s->plan.n_outputs;
#pragma omp parallel for schedule(dynamic) num_threads(s->device->n_threads)
    for (int64_t first = 0; first < slab->n_rows; first += BLOCK) {
        int32_t n = (int32_t)(slab->n_rows - first < BLOCK ? slab->n_rows - first : BLOCK);
        const block *b = &s->thread[omp_get_thread_num()];
        bin_block(s, slab, first, n, b);
        walk_block(s, n, b);
        if (slab->margin != NULL)
            memcpy(slab->margin + first * n_outputs, b->margin, (size_t)(n * n_outputs) * sizeof *b->margin);
        if (slab->risk != NULL) ns_predict(&kind, b->margin, n, slab->risk + first * n_outputs);
    }
    return NS_OK;
}

const ns_scorer_ops ns_scorer_cpu = {
    .name = "cpu", .create = create, .score_slab = score_slab, .destroy = destroy};
