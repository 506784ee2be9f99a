#include "kernels/scorer.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda_score.h"
#include "kernels/cuda_state.h"
#include "kernels/cuda_times.h"
#include "kernels/numerics.h"
#include "kernels/take.h"

/*
 * A slab is taken in pieces; two are under way, of one slab or of two, each with a stream and buffers of its own: while one is
 * copied and scored, the host gathers the columns of the other and hands out what came back of the piece before. The caller
 * may read the next slab meanwhile.
 */
enum { PIECE = 65536, WAYS = 2, FIRST_MARK = 2 };
enum { BEGUN, COPIED_IN, SCORED, COPIED_OUT, MOMENTS }; /* of a way */

typedef struct piece {
    int64_t n;    /* rows; 0: nothing is under way */
    int64_t slab; /* which one they belong to */
    int64_t *margin; /* [n][n_outputs] the caller's, or NULL */
    float *risk;
    uint32_t *host_columns, *dev_columns; /* [n_columns][PIECE] */
    int64_t *host_margin, *dev_margin;    /* [PIECE][n_outputs] */
    float *host_out, *dev_out;
} piece;

struct ns_scorer {
    ns_device *device;
    ns_cuda *cuda;
    ns_cuda_memory memory;
    ns_score_model model;
    int32_t n_columns, n_outputs;
    int32_t *feature; /* [n_columns] those that trees ask for */
    piece way[WAYS];
    int64_t n_slabs, n_pieces; /* that were given so far */
};

static void destroy(ns_scorer **scorer)
{
    ns_scorer *s = *scorer;
    if (s == NULL) return;
    ns_cuda_give_all(&s->memory);
    free(s->feature);
    free(s);
    *scorer = NULL;
}

/* Which features are asked for, and which column each is: place[feature]. */
static void find_columns(ns_scorer *s, const ns_trees *trees, int32_t n_features, int32_t *place)
{
    for (int32_t f = 0; f < n_features; f++) place[f] = -1;
    for (int64_t i = 0; i < trees->n_nodes; i++)
        if (trees->nodes[i].feature >= 0) place[trees->nodes[i].feature] = 0;
    for (int32_t f = 0; f < n_features; f++) {
        if (place[f] < 0) continue;
        place[f] = s->n_columns;
        s->feature[s->n_columns++] = f;
    }
}

static ns_score_node make_node(const ns_scorer_plan *plan, const ns_node *node, const int32_t *place)
{
    if (node->feature < 0) return (ns_score_node){.column = -1, .test = (uint32_t)node->leaf};
    ns_score_node out = {.column = place[node->feature], .right = node->right};
    if (node->set >= 0) {
        out.flags = NS_SCORE_CATEGORY;
        out.test = (uint32_t)node->set;
        return out;
    }
    bool all = node->threshold > plan->n_cuts[node->feature];
    out.flags = (node->missing_left != 0 ? NS_SCORE_MISSING_LEFT : 0) | (all ? NS_SCORE_ALL_LEFT : 0);
    out.test = all ? 0 : ns_bits_f32(plan->cuts[node->feature][node->threshold - 1]);
    return out;
}

static const void *take_copy(ns_scorer *s, const void *from, int64_t n, size_t size, ns_status *status)
{
    void *to = ns_cuda_take(&s->memory, n, size);
    if (to != NULL && *status == NS_OK) *status = ns_cuda_copy_in(s->cuda, to, from, (size_t)n * size);
    return to;
}

static ns_status copy_model(ns_scorer *s, const ns_scorer_plan *plan, const ns_score_node *nodes)
{
    const ns_trees *trees = plan->trees;
    ns_status status = NS_OK;
    s->model = (ns_score_model){.n_trees = trees->n_trees, .n_outputs = plan->n_outputs, .k = plan->k, .objective = plan->objective};
    s->model.nodes = take_copy(s, nodes, trees->n_nodes, sizeof *nodes, &status);
    s->model.first = take_copy(s, trees->first, trees->n_trees + 1, sizeof *trees->first, &status);
    s->model.sets = take_copy(s, trees->sets, trees->n_set_words, sizeof *trees->sets, &status);
    s->model.base = take_copy(s, plan->base, plan->n_outputs, sizeof *plan->base, &status);
    return status == NS_OK ? ns_cuda_wait(s->cuda) : status;
}

int64_t ns_cuda_scoring_bytes(int32_t n_columns, int32_t n_outputs)
{
    int64_t a_row = n_columns * (int64_t)sizeof(uint32_t) + n_outputs * (int64_t)(sizeof(int64_t) + sizeof(float));
    return WAYS * PIECE * a_row;
}

static void take_pieces(ns_scorer *s)
{
    int64_t columns = (int64_t)s->n_columns * PIECE, outputs = (int64_t)s->n_outputs * PIECE;
    for (int i = 0; i < WAYS; i++) {
        piece *p = &s->way[i];
        p->host_columns = ns_cuda_take_pinned(&s->memory, columns, sizeof *p->host_columns);
        p->dev_columns = ns_cuda_take(&s->memory, columns, sizeof *p->dev_columns);
        p->host_margin = ns_cuda_take_pinned(&s->memory, outputs, sizeof *p->host_margin);
        p->dev_margin = ns_cuda_take(&s->memory, outputs, sizeof *p->dev_margin);
        p->host_out = ns_cuda_take_pinned(&s->memory, outputs, sizeof *p->host_out);
        p->dev_out = ns_cuda_take(&s->memory, outputs, sizeof *p->dev_out);
    }
}

static ns_status create(ns_scorer **out, ns_device *device, const ns_scorer_plan *plan)
{
    ns_scorer *s = calloc(1, sizeof *s);
    ns_taker taken = {.failed = s == NULL};
    int32_t *place = ns_take(&taken, plan->n_features, sizeof *place);
    int32_t *feature = ns_take(&taken, plan->n_features, sizeof *feature);
    ns_score_node *nodes = ns_take(&taken, plan->trees->n_nodes, sizeof *nodes);
    ns_status status = NS_OK;
    if (taken.failed) {
        free(feature);
        status = ns_fail(NS_ENOMEM, "not enough memory to score: %lld bytes and more", (long long)taken.n_bytes);
    } else {
        s->device = device;
        s->cuda = device->state;
        s->memory.cuda = s->cuda;
        s->n_outputs = plan->n_outputs;
        s->feature = feature;
        find_columns(s, plan->trees, plan->n_features, place);
        for (int64_t i = 0; i < plan->trees->n_nodes; i++) nodes[i] = make_node(plan, &plan->trees->nodes[i], place);
        ns_cuda_use_stream(s->cuda, 0);
        status = copy_model(s, plan, nodes);
        take_pieces(s);
        if (status == NS_OK && s->memory.failed)
            status = ns_fail(NS_ENOMEM, "GPU: not enough memory to score: %lld bytes are needed", (long long)s->memory.n_bytes);
    }
    free(place);
    free(nodes);
    if (status != NS_OK) destroy(&s);
    *out = s;
    return status;
}

/* Queues rows [first, first + n) of the slab on a way that is free. */
static ns_status send(ns_scorer *s, int way, const ns_score_slab *slab, int64_t first, int64_t n)
{
    piece *p = &s->way[way];
    int moment = way * MOMENTS;
    double began = omp_get_wtime();
#pragma omp parallel for schedule(dynamic) num_threads(s->device->n_threads)
    for (int32_t c = 0; c < s->n_columns; c++)
        memcpy(p->host_columns + c * n, (const uint32_t *)slab->columns[s->feature[c]] + first, (size_t)n * sizeof *p->host_columns);
    size_t outputs = (size_t)(n * s->n_outputs);
    ns_cuda_use_of(s->cuda)->gather_s += omp_get_wtime() - began;
    p->n = n;
    p->slab = s->n_slabs;
    p->margin = slab->margin != NULL ? slab->margin + first * s->n_outputs : NULL;
    p->risk = slab->risk != NULL ? slab->risk + first * s->n_outputs : NULL;
    ns_cuda_use_stream(s->cuda, 1 + way);
    NS_TRY(ns_cuda_note_moment(s->cuda, moment + BEGUN));
    NS_TRY(ns_cuda_copy_in(s->cuda, p->dev_columns, p->host_columns, (size_t)s->n_columns * (size_t)n * sizeof *p->dev_columns));
    NS_TRY(ns_cuda_note_moment(s->cuda, moment + COPIED_IN));
    NS_TRY(ns_cuda_score(s->cuda, &s->model, p->dev_columns, n, n, p->dev_margin, p->dev_out));
    NS_TRY(ns_cuda_note_moment(s->cuda, moment + SCORED));
    if (p->margin != NULL) NS_TRY(ns_cuda_copy_out(s->cuda, p->host_margin, p->dev_margin, outputs * sizeof *p->dev_margin));
    if (p->risk != NULL) NS_TRY(ns_cuda_copy_out(s->cuda, p->host_out, p->dev_out, outputs * sizeof *p->dev_out));
    NS_TRY(ns_cuda_note_moment(s->cuda, moment + COPIED_OUT));
    return ns_cuda_mark(s->cuda, FIRST_MARK + way);
}

/* What a way that has come back took. */
static ns_status add_times(ns_scorer *s, int way)
{
    ns_device_use *use = ns_cuda_use_of(s->cuda);
    double in, score, out;
    NS_TRY(ns_cuda_seconds_between(s->cuda, way * MOMENTS + BEGUN, way * MOMENTS + COPIED_IN, &in));
    NS_TRY(ns_cuda_seconds_between(s->cuda, way * MOMENTS + COPIED_IN, way * MOMENTS + SCORED, &score));
    NS_TRY(ns_cuda_seconds_between(s->cuda, way * MOMENTS + SCORED, way * MOMENTS + COPIED_OUT, &out));
    use->copy_s += in + out;
    use->score_s += score;
    return NS_OK;
}

/* Waits for what is under way and hands it out. */
static ns_status receive(ns_scorer *s, int way)
{
    piece *p = &s->way[way];
    if (p->n == 0) return NS_OK;
    size_t n = (size_t)(p->n * s->n_outputs);
    p->n = 0;
    NS_TRY(ns_cuda_wait_mark(s->cuda, FIRST_MARK + way));
    NS_TRY(add_times(s, way));
    if (p->margin != NULL) memcpy(p->margin, p->host_margin, n * sizeof *p->host_margin);
    if (p->risk != NULL) memcpy(p->risk, p->host_out, n * sizeof *p->host_out);
    return NS_OK;
}

static ns_status send_all(ns_scorer *s, const ns_score_slab *slab)
{
    for (int64_t first = 0; first < slab->n_rows; first += PIECE) {
        int way = (int)(s->n_pieces++ % WAYS);
        NS_TRY(receive(s, way));
        NS_TRY(send(s, way, slab, first, slab->n_rows - first < PIECE ? slab->n_rows - first : PIECE));
    }
    return NS_OK;
}

static ns_status score_slab(ns_scorer *s, const ns_score_slab *slab)
{
    s->n_slabs++;
    ns_status status = send_all(s, slab);
    ns_cuda_use_stream(s->cuda, 0);
    return status;
}

static ns_status wait_for(ns_scorer *s, int64_t n_left)
{
    for (int way = 0; way < WAYS; way++)
        if (s->way[way].slab <= s->n_slabs - n_left) NS_TRY(receive(s, way));
    return NS_OK;
}

static const ns_scorer_ops ops = {.name = "cuda", .create = create, .score_slab = score_slab, .wait = wait_for, .destroy = destroy};

const ns_scorer_ops *ns_scorer_cuda(void);
const ns_scorer_ops *ns_scorer_cuda(void)
{
    return &ops;
}
