#include <stdlib.h>

#include "kernels/cuda_forest.h"

/*
 * Trees on a GPU. create finds the base as the cpu backend does, prepare_cuda.c counts and bins, and cuts are found from counts
 * by the cpu's own text; seal_cuda.c takes rows to the GPU. Nothing of a round
 * is worked out on the host: it queues kernels, waits one step late to hear whether the tree is done, and is given the finished
 * tree. Only where sums over ranks go through it (kernels/cuda_ranks.h) does it wait in between.
 *
 * What goes wrong on one rank stays in c->mine until the next agreement, to which it goes like the others, so that all end
 * alike.
 */

enum { FIRST_PARCEL_MARK = 4, MOST_BLIND_BYTES = 1 << 20 }; /* sets are copied without knowing how many there are, if they are no more */

/* --- growing -------------------------------------------------------------------------------------------------------- */

/* Histograms in staging become sums over all ranks. n_open: openings that have one. Collective. */
static ns_status sum_staging(ns_forest *f, int32_t n_open)
{
    ns_cuda_forest *c = f->cuda;
    return ns_cuda_reduce(f->device, &c->mine, NS_CUDA_SUM, c->grow.staging, (int64_t)n_open * 3 * c->grow.n_cells, c->exchange);
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

static ns_status choose_part_and_add_up(ns_cuda_forest *c)
{
    NS_TRY(ns_cuda_choose(c->cuda, &c->grow));
    return part_and_add_up(c);
}

/* A step where ranks add nothing up: recorded for the second tree, then queued as one. (CUDA loads kernels at their first launch,
   which may not be while they are recorded.) */
static ns_status step_alone(ns_cuda_forest *c)
{
    if (c->has_grown && !c->tried_to_record && ns_cuda_may_record(c->cuda)) {
        c->tried_to_record = true;
        ns_cuda_record_begin(c->cuda);
        ns_status calls = choose_part_and_add_up(c);
        if (calls == NS_OK) calls = look_and_settle(c);
        ns_cuda_record_end(c->cuda, calls, &c->step);
    }
    if (c->step != NULL) return ns_cuda_queue_sequence(c->cuda, c->step);
    NS_TRY(choose_part_and_add_up(c));
    return look_and_settle(c);
}

/* The control word of this step sets out; that of the step before has arrived. */
static ns_status hear(ns_cuda_forest *c, int64_t step)
{
    int now = (int)(step % 2);
    NS_TRY(ns_cuda_copy_out(c->cuda, &c->mirror->control[now], c->grow.control, sizeof *c->grow.control));
    NS_TRY(ns_cuda_mark(c->cuda, now));
    return step == 0 ? NS_OK : ns_cuda_wait_mark(c->cuda, 1 - now);
}

/* Whether the tree is done is read one step late, so that the GPU never waits for the host. The step after the last finds nothing to
   do. */
static ns_status grow_queued(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda;
    bool is_alone = f->device->link.n_ranks == 1;
    for (int64_t step = 0;; step++) {
        if (is_alone) {
            NS_TRY(c->mine);
            c->mine = step_alone(c);
        } else {
            if (c->mine == NS_OK) c->mine = choose_part_and_add_up(c);
            NS_TRY(sum_staging(f, c->grow.batch)); /* how many are open the host does not know */
            if (c->mine == NS_OK) c->mine = look_and_settle(c);
        }
        if (c->mine == NS_OK) c->mine = hear(c, step);
        if (c->mine == NS_OK && step > 0 && c->mirror->control[(step + 1) % 2].is_done) return NS_OK;
    }
}

static ns_status choose_and_hear(ns_cuda_forest *c)
{
    NS_TRY(ns_cuda_choose(c->cuda, &c->grow));
    NS_TRY(ns_cuda_copy_out(c->cuda, c->mirror->control, c->grow.control, sizeof *c->grow.control));
    return ns_cuda_wait(c->cuda);
}

static ns_status grow_through_host(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda;
    const ns_cuda_control *control = c->mirror->control;
    for (;;) {
        if (c->mine == NS_OK) c->mine = choose_and_hear(c);
        NS_TRY(ns_forest_agree(c->mine, "training on a GPU", &f->device->link));
        if (control->is_done) return NS_OK;
        c->mine = part_and_add_up(c);
        NS_TRY(sum_staging(f, control->n_open));
        if (c->mine == NS_OK) c->mine = look_and_settle(c);
    }
}

/* --- one tree ------------------------------------------------------------------------------------------------------- */

/* Whether a tree is grown from some of the rows, and which those are: the ones whose word is below that. */
static bool samples_rows(const ns_forest *f, uint64_t *below)
{
    *below = (uint64_t)(f->settings.row_sample * 0x1p32);
    return *below < UINT64_C(1) << 32;
}

/* g and h at the present margins, and this rank's largest. */
static ns_status take_gradients(ns_forest *f, int64_t round)
{
    ns_cuda_forest *c = f->cuda;
    uint64_t below;
    NS_TRY(ns_cuda_begin_turn(c->cuda, &c->rows, round, samples_rows(f, &below) ? 0 : f->n_train));
    return ns_cuda_gradients(c->cuda, &c->rows);
}

/* Rounded gradients, the rows to grow from, and the root's histogram. */
static ns_status begin_tree(ns_forest *f, int64_t round)
{
    ns_cuda_forest *c = f->cuda;
    uint32_t output = (uint32_t)c->rows.output;
    uint64_t seed = f->settings.seed, below;
    ns_stream rounding = ns_stream_of(seed, NS_RANDOM_GRADIENT, round, output), sampling = ns_stream_of(seed, NS_RANDOM_ROWS, round, output);
    NS_TRY(ns_cuda_set_scales(c->cuda, &c->rows));
    NS_TRY(ns_cuda_round(c->cuda, &c->rows, &rounding));
    if (samples_rows(f, &below))
        NS_TRY(ns_cuda_sample(c->cuda, &c->rows, &sampling, below, c->grow.row[0]));
    else
        NS_TRY(ns_cuda_all_rows(c->cuda, &c->rows, c->grow.row[0]));
    NS_TRY(ns_cuda_begin_tree(c->cuda, &c->grow));
    return ns_cuda_histogram(c->cuda, &c->grow);
}

static ns_status look_at_root(ns_cuda_forest *c)
{
    NS_TRY(ns_cuda_total_root(c->cuda, &c->grow));
    return look_and_settle(c);
}

/* Every row's leaf, and this rank's sums of the leaves. */
static ns_status place_rows(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda;
    uint64_t below;
    NS_TRY(ns_cuda_finish(c->cuda, &c->grow));
    NS_TRY(ns_cuda_zero(c->cuda, c->leaves.sums, (size_t)c->max_nodes * sizeof *c->leaves.sums));
    NS_TRY(ns_cuda_leaves_grown(c->cuda, &c->rows, &c->grow, c->leaves.sums));
    return ns_cuda_leaves_rest(c->cuda, &c->rows, &c->grow, samples_rows(f, &below) ? 0 : f->n_train, c->leaves.sums);
}

static size_t set_bytes(const ns_cuda_forest *c)
{
    return (size_t)c->grow.max_splits * (size_t)c->grow.words_per_set * sizeof(uint32_t);
}

/* Leaves get their values, rows their margins, and the finished tree sets out for the host. */
static ns_status end_tree(ns_cuda_forest *c)
{
    int slot = c->rows.output % 2;
    ns_cuda_parcel *p = &c->mirror->parcel[slot];
    NS_TRY(ns_cuda_fill_leaves(c->cuda, &c->leaves));
    NS_TRY(ns_cuda_advance(c->cuda, &c->rows, c->leaves.value));
    NS_TRY(ns_cuda_copy_out(c->cuda, &p->control, c->grow.control, sizeof p->control));
    NS_TRY(ns_cuda_copy_out(c->cuda, &p->turn, c->rows.turn, sizeof p->turn));
    NS_TRY(ns_cuda_copy_out(c->cuda, p->tree, c->grow.tree, (size_t)c->max_nodes * sizeof *p->tree));
    if (set_bytes(c) <= MOST_BLIND_BYTES) {
        NS_TRY(ns_cuda_copy_out(c->cuda, p->sets, c->grow.tree_sets, set_bytes(c)));
    } else {
        NS_TRY(ns_cuda_wait(c->cuda));
        NS_TRY(ns_cuda_copy_out(c->cuda, p->sets, c->grow.tree_sets, (size_t)p->control.n_set_words * sizeof *p->sets));
    }
    return ns_cuda_mark(c->cuda, FIRST_PARCEL_MARK + slot);
}

/* Queues the tree of one output and the margins after it. Collective. */
static ns_status queue_tree(ns_forest *f, int64_t round, int32_t output)
{
    ns_cuda_forest *c = f->cuda;
    c->rows.output = output;
    if (c->mine == NS_OK) c->mine = take_gradients(f, round);
    NS_TRY(ns_cuda_reduce(f->device, &c->mine, NS_CUDA_MAX, c->rows.turn->max, 2, c->exchange));
    if (c->mine == NS_OK) c->mine = begin_tree(f, round);
    NS_TRY(sum_staging(f, 1));
    if (c->mine == NS_OK) c->mine = look_at_root(c);
    NS_TRY(ns_cuda_ranks_queue(c->cuda) ? grow_queued(f) : grow_through_host(f));
    c->has_grown = true;
    c->mine = place_rows(f);
    NS_TRY(ns_cuda_reduce(f->device, &c->mine, NS_CUDA_SUM, (int64_t *)c->leaves.sums, 3 * c->max_nodes, c->exchange));
    if (f->settings.objective == NS_QUANTILE) NS_TRY(ns_cuda_find_quantiles(f));
    if (c->mine == NS_OK) c->mine = end_tree(c);
    return NS_OK;
}

/* Waits for a tree that was queued, and appends it. Collective. */
static ns_status receive_tree(ns_forest *f, int32_t output, ns_trees *trees, ns_round *result)
{
    ns_cuda_forest *c = f->cuda;
    const ns_cuda_parcel *p = &c->mirror->parcel[output % 2];
    const int64_t *sum = p->turn.losses;
    if (c->mine == NS_OK) c->mine = ns_cuda_wait_mark(c->cuda, FIRST_PARCEL_MARK + output % 2);
    if (c->mine == NS_OK) c->mine = ns_trees_reserve(trees, c->max_nodes, (int64_t)c->grow.max_splits * c->grow.words_per_set);
    NS_TRY(ns_forest_agree(c->mine, "training on a GPU", &f->device->link));
    result->train_loss = (ns_i128)sum[1] * (INT64_C(1) << 32) + sum[0];
    result->valid_loss = (ns_i128)sum[3] * (INT64_C(1) << 32) + sum[2];
    result->n_leaves += p->control.n_leaves;
    ns_cuda_use_of(c->cuda)->histogram_rows += p->control.histogram_rows;
    ns_cuda_use_of(c->cuda)->parted_rows += p->control.parted_rows;
    return ns_trees_append(trees, p->tree, p->control.n_tree_nodes, p->sets, p->control.n_set_words); /* there is room */
}

/* The tree of one output; it is read while that of the next one grows. Collective. */
static ns_status grow_output(ns_forest *f, int64_t round, int32_t output, ns_trees *trees, ns_round *result)
{
    NS_TRY(queue_tree(f, round, output));
    if (output > 0) NS_TRY(receive_tree(f, output - 1, trees, result));
    return output + 1 < f->n_outputs ? NS_OK : receive_tree(f, output, trees, result);
}

static ns_status round_one(ns_forest *f, int64_t round, ns_trees *trees, ns_round *result)
{
    f->cuda->mine = NS_OK;
    return ns_forest_grow_outputs(f, round, trees, result, grow_output);
}

/* --- before and after ----------------------------------------------------------------------------------------------- */

/* What only the base is found with. */
static void give_back(ns_forest *f)
{
    free(f->margin);
    free(f->g);
    free(f->h);
    free(f->leaf);
    f->margin = NULL;
    f->g = f->h = NULL;
    f->leaf = NULL;
    ns_residuals_destroy(&f->residuals);
}

static ns_status start(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda = calloc(1, sizeof *c);
    if (c == NULL) return ns_fail(NS_ENOMEM, "not enough memory for a forest on a GPU");
    c->cuda = c->memory.cuda = f->device->state;
    return ns_cuda_columns_create(&c->columns, f);
}

static void destroy(ns_forest **forest)
{
    if (*forest != NULL && (*forest)->cuda != NULL) {
        ns_cuda_forest *c = (*forest)->cuda;
        ns_cuda_sequence_destroy(&c->step);
        ns_cuda_give_all(&c->memory);
        ns_cuda_columns_destroy(&c->columns, (*forest)->n_features);
        free(c);
        (*forest)->cuda = NULL;
    }
    ns_forest_cpu.destroy(forest);
}

static ns_status create(ns_forest **out, ns_device *device, const ns_forest_plan *plan)
{
    NS_TRY(ns_forest_create(out, device, plan, NS_HOME_ELSEWHERE));
    give_back(*out);
    ns_status status = ns_forest_agree(start(*out), "memory for a forest on a GPU", &device->link);
    if (status != NS_OK) destroy(out);
    return status;
}

static ns_status seal(ns_forest *f, const ns_trees *trees)
{
    NS_TRY(ns_cuda_join_ranks(f->device));
    return ns_forest_agree(ns_cuda_seal(f, trees), "memory for training on a GPU", &f->device->link);
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

const ns_forest_ops *ns_forest_cuda(void);
const ns_forest_ops *ns_forest_cuda(void)
{
    static ns_forest_ops ops;
    ops = ns_forest_cpu; /* put_cuts, cuts, quantiles, base */
    ops.name = "cuda";
    ops.create = create;
    ops.count_slab = ns_cuda_columns_count;
    ops.count_done = ns_cuda_columns_count_done;
    ops.bin_slab = ns_cuda_columns_bin;
    ops.read_bins = ns_cuda_columns_read;
    ops.seal = seal;
    ops.round = round_one;
    ops.read_margins = read_margins;
    ops.destroy = destroy;
    return &ops;
}
