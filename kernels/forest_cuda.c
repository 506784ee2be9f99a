#include <stdlib.h>

#include "kernels/cuda_forest.h"

/*
 * Trees on a GPU. Up to seal a forest is one of the cpu backend: it counts, finds cuts, the base and bins, and they are the
 * same by construction. seal takes rows and bins to the GPU and gives back what only the cpu's rounds need. In a round
 * nothing is done row by row on the host: it queues kernels, adds up over ranks, and works out the values of a tree's
 * leaves from their sums.
 *
 * A rank whose GPU fails still takes part in the next agreement, so that all ranks end alike.
 */

/* --- the round ------------------------------------------------------------------------------------------------------ */

static ns_status agree(const ns_forest *f, ns_status mine)
{
    return ns_forest_agree(mine, "training on a GPU", &f->device->link);
}

/* Histograms in staging become sums over all ranks. n_open: of the step. Collective. */
static ns_status sum_staging(ns_forest *f, int32_t n_open)
{
    ns_cuda_forest *c = f->cuda;
    const ns_link *link = &f->device->link;
    int64_t n = (int64_t)n_open * 3 * c->grow.n_cells;
    size_t n_bytes = (size_t)n * sizeof(int64_t);
    if (link->n_ranks == 1) return NS_OK;
    ns_status status = ns_cuda_copy_out(c->cuda, c->host_staging, c->grow.staging, n_bytes);
    if (status == NS_OK) status = ns_cuda_wait(c->cuda);
    NS_TRY(agree(f, status));
    link->sum_i64(link->context, c->host_staging, n);
    return ns_cuda_copy_in(c->cuda, c->grow.staging, c->host_staging, n_bytes);
}

static ns_status look_at_root(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda;
    ns_status status = ns_cuda_begin_tree(c->cuda, &c->grow);
    if (status == NS_OK) status = ns_cuda_histogram(c->cuda, &c->grow);
    NS_TRY(agree(f, status));
    status = sum_staging(f, c->grow.n_features > 0);
    if (status == NS_OK) status = ns_cuda_total_root(c->cuda, &c->grow);
    if (status == NS_OK) status = ns_cuda_look(c->cuda, &c->grow);
    if (status == NS_OK) status = ns_cuda_settle(c->cuda, &c->grow);
    return agree(f, status);
}

static ns_status choose(ns_cuda_forest *c, ns_cuda_control *to)
{
    NS_TRY(ns_cuda_choose(c->cuda, &c->grow));
    return ns_cuda_copy_out(c->cuda, to, c->grow.control, sizeof *to);
}

static ns_status part_and_add_up(ns_cuda_forest *c)
{
    NS_TRY(ns_cuda_part(c->cuda, &c->grow));
    return ns_cuda_histogram(c->cuda, &c->grow);
}

static ns_status look_and_settle(ns_cuda_forest *c)
{
    NS_TRY(ns_cuda_look(c->cuda, &c->grow));
    return ns_cuda_settle(c->cuda, &c->grow);
}

/* One rank: whether the tree is done is read one step late, so that the GPU never waits for the host. The step after
   the last finds nothing to do. */
static ns_status grow_alone(ns_cuda_forest *c)
{
    ns_cuda_control *control = c->mirror->control;
    for (int64_t step = 0;; step++) {
        int now = (int)(step % 2), before = 1 - now;
        NS_TRY(choose(c, &control[now]));
        NS_TRY(ns_cuda_mark(c->cuda, now));
        NS_TRY(part_and_add_up(c));
        NS_TRY(look_and_settle(c));
        if (step == 0) continue;
        NS_TRY(ns_cuda_wait_mark(c->cuda, before));
        if (control[before].is_done) return NS_OK;
    }
}

static ns_status grow_together(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda;
    ns_cuda_control *control = c->mirror->control;
    for (;;) {
        ns_status status = choose(c, control);
        if (status == NS_OK) status = ns_cuda_wait(c->cuda);
        if (status == NS_OK && !control->is_done) status = part_and_add_up(c);
        NS_TRY(agree(f, status));
        if (control->is_done) return NS_OK;
        status = sum_staging(f, control->n_open);
        if (status == NS_OK) status = look_and_settle(c);
        NS_TRY(agree(f, status));
    }
}

/* g and h at the present margins and the largest of them over all ranks; `mine`: what went wrong before. */
static ns_status take_gradients(ns_forest *f, ns_status mine, double max[2])
{
    ns_cuda_forest *c = f->cuda;
    const ns_link *link = &f->device->link;
    ns_status status = mine;
    if (status == NS_OK) status = ns_cuda_zero(c->cuda, c->max, 2 * sizeof *c->max);
    if (status == NS_OK) status = ns_cuda_gradients(c->cuda, &c->rows, c->max);
    if (status == NS_OK) status = ns_cuda_copy_out(c->cuda, c->mirror->max, c->max, 2 * sizeof *c->max);
    if (status == NS_OK) status = ns_cuda_wait(c->cuda);
    NS_TRY(agree(f, status));
    int64_t bounds[2] = {c->mirror->max[0], c->mirror->max[1]};
    link->max_i64(link->context, bounds, 2);
    for (int i = 0; i < 2; i++) max[i] = ns_from_bits((uint64_t)bounds[i]);
    return NS_OK;
}

/* The rows to grow from, in row[0]. */
static ns_status choose_rows(ns_forest *f, int64_t round, uint32_t output)
{
    ns_cuda_forest *c = f->cuda;
    uint64_t below = (uint64_t)(f->settings.row_sample * 0x1p32);
    ns_stream stream = ns_stream_of(f->settings.seed, NS_RANDOM_ROWS, round, output);
    c->grow.n_grown = f->n_train;
    if (below >= UINT64_C(1) << 32) return ns_cuda_all_rows(c->cuda, &c->rows, c->grow.row[0]);
    NS_TRY(ns_cuda_zero(c->cuda, c->n_sampled, sizeof *c->n_sampled));
    NS_TRY(ns_cuda_sample(c->cuda, &c->rows, &stream, below, c->grow.row[0], c->n_sampled));
    NS_TRY(ns_cuda_copy_out(c->cuda, &c->mirror->n_sampled, c->n_sampled, sizeof *c->n_sampled));
    NS_TRY(ns_cuda_wait(c->cuda));
    c->grow.n_grown = (int64_t)c->mirror->n_sampled;
    return NS_OK;
}

static ns_status prepare_tree(ns_forest *f, int64_t round, int32_t output, const double max[2])
{
    ns_cuda_forest *c = f->cuda;
    ns_rounding how = ns_forest_rounding(f, round, output, max);
    c->grow.rule.unit_g = 1.0 / how.scale_g;
    c->grow.rule.unit_h = 1.0 / how.scale_h;
    c->grow.round = round;
    c->grow.output = (uint32_t)output;
    NS_TRY(ns_cuda_round(c->cuda, &c->rows, &how, f->width));
    return choose_rows(f, round, (uint32_t)output);
}

/* The finished tree and its leaves' sums of this rank, on the host. */
static ns_status fetch_tree(ns_forest *f, const ns_leaf_scales *scales)
{
    ns_cuda_forest *c = f->cuda;
    ns_cuda_control *control = c->mirror->control;
    int64_t first = c->grow.n_grown == f->n_train ? f->n_train : 0;
    size_t n = (size_t)c->max_nodes;
    NS_TRY(ns_cuda_finish(c->cuda, &c->grow));
    NS_TRY(ns_cuda_zero(c->cuda, c->sums, n * sizeof *c->sums));
    NS_TRY(ns_cuda_leaves_grown(c->cuda, &c->rows, &c->grow, scales, c->sums));
    NS_TRY(ns_cuda_leaves_rest(c->cuda, &c->rows, &c->grow, scales, first, c->sums));
    NS_TRY(ns_cuda_copy_out(c->cuda, control, c->grow.control, sizeof *control));
    NS_TRY(ns_cuda_copy_out(c->cuda, c->host_sums, c->sums, n * sizeof *c->sums));
    NS_TRY(ns_cuda_copy_out(c->cuda, c->host_tree, c->grow.tree, n * sizeof *c->host_tree));
    NS_TRY(ns_cuda_wait(c->cuda));
    if (control->n_set_words == 0) return NS_OK;
    NS_TRY(ns_cuda_copy_out(c->cuda, c->host_sets, c->grow.tree_sets, (size_t)control->n_set_words * sizeof *c->host_sets));
    return ns_cuda_wait(c->cuda);
}

/* The tree of one output, added to trees and margins; after the round's last output its losses. Collective. */
static ns_status grow_output(ns_forest *f, int64_t round, int32_t output, ns_trees *trees, ns_round *result)
{
    ns_cuda_forest *c = f->cuda;
    const ns_link *link = &f->device->link;
    double max[2];
    c->rows.output = output;
    ns_status status = ns_trees_reserve(trees, c->max_nodes, (int64_t)c->grow.max_splits * c->grow.words_per_set);
    NS_TRY(take_gradients(f, status, max));
    NS_TRY(agree(f, prepare_tree(f, round, output, max)));
    NS_TRY(look_at_root(f));
    NS_TRY(link->n_ranks == 1 ? grow_alone(c) : grow_together(f));
    ns_leaf_scales scales = ns_leaf_scales_of(max[0], max[1], f->n_train_global);
    NS_TRY(agree(f, fetch_tree(f, &scales)));
    const ns_cuda_control *control = c->mirror->control;
    int32_t n_nodes = control->n_tree_nodes;
    link->sum_i64(link->context, (int64_t *)c->host_sums, (int64_t)n_nodes * 3);
    NS_TRY(ns_cuda_fill_leaves(f, n_nodes, &scales));
    status = ns_cuda_copy_in(c->cuda, c->leaf_value, c->host_value, (size_t)n_nodes * sizeof *c->leaf_value);
    if (status == NS_OK) status = ns_cuda_zero(c->cuda, c->losses, 4 * sizeof *c->losses);
    if (status == NS_OK) status = ns_cuda_advance(c->cuda, &c->rows, c->leaf_value, c->losses);
    if (status == NS_OK) status = ns_cuda_copy_out(c->cuda, c->mirror->losses, c->losses, 4 * sizeof *c->losses);
    if (status == NS_OK) status = ns_cuda_wait(c->cuda);
    NS_TRY(agree(f, status));
    const int64_t *sum = c->mirror->losses;
    result->train_loss = (ns_i128)sum[1] * (INT64_C(1) << 32) + sum[0];
    result->valid_loss = (ns_i128)sum[3] * (INT64_C(1) << 32) + sum[2];
    result->n_leaves += control->n_leaves;
    return ns_trees_append(trees, c->host_tree, n_nodes, c->host_sets, control->n_set_words);
}

static ns_status round_one(ns_forest *f, int64_t round, ns_trees *trees, ns_round *result)
{
    return ns_forest_grow_outputs(f, round, trees, result, grow_output);
}

/* What only the cpu's rounds need. */
static void give_back(ns_forest *f)
{
    free(f->margin);
    free(f->g);
    free(f->h);
    free(f->word);
    free(f->leaf);
    free(f->top);
    free(f->norm);
    f->margin = NULL;
    f->g = f->h = f->top = f->norm = NULL;
    f->word = NULL;
    f->leaf = NULL;
    ns_residuals_destroy(&f->residuals);
}

static ns_status seal(ns_forest *f, const ns_trees *trees)
{
    ns_status status = ns_forest_agree(ns_cuda_seal(f, trees), "memory for training on a GPU", &f->device->link);
    if (status == NS_OK) give_back(f);
    return status;
}

static ns_status read_margins(ns_forest *f, int64_t first, int64_t n, int64_t *margins)
{
    ns_cuda_forest *c = f->cuda;
    int64_t *plane = malloc((size_t)(n > 0 ? n : 1) * sizeof *plane);
    if (plane == NULL) return ns_fail(NS_ENOMEM, "not enough memory to read margins");
    ns_status status = NS_OK;
    for (int32_t o = 0; o < f->n_outputs && status == NS_OK; o++) {
        status = ns_cuda_copy_out(c->cuda, plane, c->rows.margin + o * f->n_rows + first, (size_t)n * sizeof *plane);
        if (status == NS_OK) status = ns_cuda_wait(c->cuda);
        for (int64_t i = 0; i < n && status == NS_OK; i++) margins[i * f->n_outputs + o] = plane[i];
    }
    free(plane);
    return status;
}

static void destroy(ns_forest **forest)
{
    if (*forest != NULL && (*forest)->cuda != NULL) {
        ns_cuda_forest *c = (*forest)->cuda;
        ns_cuda_give_all(&c->memory);
        free(c->step);
        free(c->bounds);
        free(c);
        (*forest)->cuda = NULL;
    }
    ns_forest_cpu.destroy(forest);
}

const ns_forest_ops *ns_forest_cuda(void);
const ns_forest_ops *ns_forest_cuda(void)
{
    static ns_forest_ops ops;
    ops = ns_forest_cpu; /* all that comes before seal */
    ops.name = "cuda";
    ops.seal = seal;
    ops.round = round_one;
    ops.read_margins = read_margins;
    ops.destroy = destroy;
    return &ops;
}
