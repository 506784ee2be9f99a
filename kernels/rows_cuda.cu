#include "kernels/cuda_block.h"
#include "kernels/cuda_rows.h"
#include "kernels/cuda_tree.h"
#include "kernels/numerics.h"

#include <float.h>

/*
 * Bound by memory but for the exponentials in double (1/2 of the rate of float on a H200): each row is read once, and
 * what its row needs next is taken while it is in registers. Sums and maxima leave a block by one atomic.
 */
namespace {

__device__ inline int64_t first_row()
{
    return (int64_t)blockIdx.x * NS_CUDA_THREADS + threadIdx.x;
}

__device__ inline int64_t row_stride()
{
    return (int64_t)gridDim.x * NS_CUDA_THREADS;
}

/* Rows from the first of a block on, so that all its threads take part in its sums. */
#define FOR_ROWS(i, n) for (int64_t i = first_row(); i < (n); i += row_stride())

__device__ inline double margin_at(const ns_cuda_rows &r, int32_t output, int64_t i)
{
    return ns_small_i64_to_f64(r.margin[output * r.n_rows + i]) * r.unit;
}

/* As ns_stream_word, without an array that is indexed by a variable: that would lie in local memory. */
__device__ inline uint32_t word_at(const ns_stream &stream, int64_t number)
{
    ns_block block = ns_stream_block(&stream, (uint64_t)number >> 2);
    uint32_t low = (number & 1) == 0 ? block.word[0] : block.word[1], high = (number & 1) == 0 ? block.word[2] : block.word[3];
    return (number & 2) == 0 ? low : high;
}

/* --- gradients ------------------------------------------------------------------------------------------------------ */

__device__ inline void gradient_at(const ns_cuda_rows &r, int64_t i, double *g, double *h)
{
    double m = margin_at(r, r.output, i), y = (double)r.label[i];
    *h = 1.0;
    if (r.objective == NS_BINARY) {
        double a = ns_exp(-ns_abs(m));
        double p = 1.0 / (1.0 + a);
        double t = a / (1.0 + a);
        double up = m >= 0.0 ? p : t;
        double down = m >= 0.0 ? t : p;
        *g = r.label[i] > 0.5f ? -down : up;
        *h = t * p;
    } else if (r.objective == NS_MULTICLASS) {
        double p = ns_exp(m - r.top[i]) / r.norm[i];
        *g = r.label[i] == (float)r.output ? p - 1.0 : p;
        *h = p * (1.0 - p) * ((double)r.n_outputs / (double)(r.n_outputs - 1));
    } else if (r.objective == NS_POISSON) {
        double kept = ns_clamp(m, -30.0, 30.0), more = kept + 0.7;
        *g = ns_exp(kept) - y;
        *h = ns_exp(more < 30.0 ? more : 30.0);
    } else if (r.objective == NS_REGRESSION) {
        *g = m - y;
    } else {
        *g = y > m ? -r.quantile : 1.0 - r.quantile;
    }
    if (r.weight != NULL) {
        double w = (double)r.weight[i];
        *g = *g * w;
        *h = *h * w;
    }
}

__global__ void begin_turn(ns_cuda_rows r, int64_t round, int64_t n_grown)
{
    if (threadIdx.x != 0) return;
    ns_cuda_turn *t = r.turn;
    t->round = round;
    t->output = (uint32_t)r.output;
    t->n_grown = n_grown;
    t->max[0] = t->max[1] = 0;
    for (int i = 0; i < 4; i++) t->losses[i] = 0;
}

__global__ void set_scales(ns_cuda_rows r)
{
    if (threadIdx.x != 0) return;
    ns_cuda_turn *t = r.turn;
    double max_g = ns_from_bits((uint64_t)t->max[0]), max_h = ns_from_bits((uint64_t)t->max[1]);
    bool narrow = r.width == NS_NARROW;
    t->scale_g = ns_scale_within(max_g, narrow ? NS_NARROW_BITS : NS_WIDE_G_BITS);
    t->scale_h = ns_scale_within(max_h, narrow ? NS_NARROW_BITS : NS_WIDE_H_BITS);
    t->unit_g = 1.0 / t->scale_g;
    t->unit_h = 1.0 / t->scale_h;
    t->leaf = ns_leaf_scales_of(max_g, max_h, r.n_train_global);
}

__global__ void take_gradients(ns_cuda_rows r)
{
    int64_t max_g = 0, max_h = 0;
    FOR_ROWS(i, r.n_train) {
        double g, h;
        gradient_at(r, i, &g, &h);
        r.g[i] = g;
        r.h[i] = h;
        int64_t size_g = (int64_t)ns_bits(ns_abs(g)), size_h = (int64_t)ns_bits(h);
        max_g = size_g > max_g ? size_g : max_g;
        max_h = size_h > max_h ? size_h : max_h;
    }
    max_g = ns_block_max(max_g);
    max_h = ns_block_max(max_h);
    if (threadIdx.x != 0) return;
    ns_atomic_max(&r.turn->max[0], max_g);
    ns_atomic_max(&r.turn->max[1], max_h);
}

__device__ inline int32_t rounded(double x, double scale, uint32_t random)
{
    return ns_floor_i32(x * scale + ((double)(int32_t)random + 0.5) * 0x1p-16);
}

__global__ void round_gradients(ns_cuda_rows r, ns_stream stream)
{
    double scale_g = r.turn->scale_g, scale_h = r.turn->scale_h;
    FOR_ROWS(i, r.n_train) {
        uint32_t random = word_at(stream, r.row_number[i]);
        int32_t g = rounded(r.g[i], scale_g, random & 0xffffu), h = rounded(r.h[i], scale_h, random >> 16);
        if (r.width == NS_WIDE)
            ((int64_t *)r.word)[i] = (int64_t)g * (INT64_C(1) << 32) + h;
        else
            ((int32_t *)r.word)[i] = g * 4096 + h;
    }
}

/* --- which rows ----------------------------------------------------------------------------------------------------- */

__global__ void list_rows(int64_t n, uint32_t *row)
{
    FOR_ROWS(i, n) row[i] = (uint32_t)i;
}

/* Blocks take places for their rows as they come. */
__global__ void sample_rows(ns_cuda_rows r, ns_stream stream, uint64_t below, uint32_t *row)
{
    NS_SHARED(unsigned long long, begin, [1]);
    for (int64_t from = (int64_t)blockIdx.x * NS_CUDA_THREADS; from < r.n_train; from += row_stride()) {
        int64_t i = from + threadIdx.x, taken;
        bool is_in = i < r.n_train && word_at(stream, r.row_number[i]) < below;
        if (i < r.n_train && !is_in) r.leaf[i] = -1;
        int64_t place = ns_block_before(is_in, &taken);
        if (threadIdx.x == 0) begin[0] = atomicAdd((unsigned long long *)&r.turn->n_grown, (unsigned long long)taken);
        __syncthreads();
        if (is_in) row[begin[0] + (unsigned long long)place] = (uint32_t)i;
    }
}

/* --- leaves --------------------------------------------------------------------------------------------------------- */

/* n_pieces blocks to a node: those that were never opened hold all rows. */
__global__ void take_leaves(ns_cuda_rows r, ns_cuda_grow g, int32_t n_pieces, ns_cell *sums)
{
    int32_t index = (int32_t)blockIdx.x / n_pieces, piece = (int32_t)blockIdx.x % n_pieces;
    if (index >= g.control->n_nodes) return;
    const ns_cuda_node *node = &g.node[index];
    if (node->left >= 0) return;
    if (piece * NS_CUDA_THREADS >= node->n) return;
    ns_cell sum = {0, 0, 0};
    ns_leaf_scales scales = r.turn->leaf;
    int64_t end = node->begin + node->n;
    const uint32_t *row = g.row[node->buffer];
    for (int64_t at = node->begin + piece * NS_CUDA_THREADS + threadIdx.x; at < end; at += n_pieces * NS_CUDA_THREADS) {
        uint32_t i = row[at];
        r.leaf[i] = node->place;
        sum.g += ns_small_rne_i64(r.g[i] * scales.g);
        sum.h += ns_small_rne_i64(r.h[i] * scales.h);
        sum.n++;
    }
    sum = ns_block_sum_cell(sum);
    if (threadIdx.x != 0) return;
    ns_atomic_add(&sums[node->place].g, sum.g);
    ns_atomic_add(&sums[node->place].h, sum.h);
    ns_atomic_add(&sums[node->place].n, sum.n);
}

__device__ inline int32_t leaf_reached(const ns_cuda_grow &g, const ns_node *nodes, const uint32_t *sets, int64_t row)
{
    int32_t at = 0;
    while (nodes[at].feature >= 0) {
        const ns_node *node = &nodes[at];
        int32_t place = g.place[node->feature];
        uint32_t bin = place >= 0 ? g.bytes[place * g.n_rows + row] : g.wide[(-1 - place) * g.n_rows + row];
        bool left = node->set >= 0 ? (sets[(uint32_t)node->set + (bin >> 5)] >> (bin & 31) & 1) != 0
                    : bin == 0     ? node->missing_left != 0
                                   : bin <= (uint32_t)node->threshold;
        at = left ? at + 1 : node->right;
    }
    return at;
}

__global__ void walk_rest(ns_cuda_rows r, ns_cuda_grow g, int64_t first, ns_cell *sums)
{
    ns_leaf_scales scales = r.turn->leaf;
    FOR_ROWS(at, r.n_rows - first) {
        int64_t i = first + at;
        if (i < r.n_train && r.leaf[i] >= 0) continue;
        int32_t leaf = leaf_reached(g, g.tree, g.tree_sets, i);
        r.leaf[i] = leaf;
        if (i >= r.n_train) continue;
        ns_atomic_add(&sums[leaf].g, ns_small_rne_i64(r.g[i] * scales.g));
        ns_atomic_add(&sums[leaf].h, ns_small_rne_i64(r.h[i] * scales.h));
        ns_atomic_add(&sums[leaf].n, 1);
    }
}

__global__ void replay_tree(ns_cuda_rows r, ns_cuda_grow g, const ns_node *nodes, const uint32_t *sets)
{
    FOR_ROWS(i, r.n_rows) r.margin[r.output * r.n_rows + i] += nodes[leaf_reached(g, nodes, sets, i)].leaf;
}

/* --- margins and losses --------------------------------------------------------------------------------------------- */

__global__ void set_base(ns_cuda_rows r, const int64_t *base)
{
    for (int32_t o = 0; o < r.n_outputs; o++) FOR_ROWS(i, r.n_rows) r.margin[o * r.n_rows + i] = base[o];
}

/* Leaves top and norm behind; returns the loss. */
__device__ inline double multiclass_loss(const ns_cuda_rows &r, int64_t i)
{
    double top = margin_at(r, 0, i), own = top, norm = 0.0;
    float label = r.label[i];
    for (int32_t c = 1; c < r.n_outputs; c++) {
        double m = margin_at(r, c, i);
        top = m > top ? m : top;
        own = label == (float)c ? m : own;
    }
    for (int32_t c = 0; c < r.n_outputs; c++) norm = norm + ns_exp(margin_at(r, c, i) - top);
    r.top[i] = top;
    r.norm[i] = norm;
    return ns_log(norm) - (own - top);
}

__device__ inline double loss_at(const ns_cuda_rows &r, int64_t i)
{
    if (r.objective == NS_MULTICLASS) return multiclass_loss(r, i);
    double m = margin_at(r, 0, i), y = (double)r.label[i];
    if (r.objective == NS_BINARY) return ns_log1p_exp(r.label[i] > 0.5f ? -m : m);
    if (r.objective == NS_POISSON) {
        double rate = ns_rate(m), ratio = y > 0.0 ? y / rate : 1.0;
        double deviance = rate - y + y * ns_log(ratio);
        return deviance > 0.0 ? deviance : 0.0;
    }
    double gap = y - m;
    if (r.objective == NS_REGRESSION) return gap * gap;
    return gap > 0.0 ? r.quantile * gap : (1.0 - r.quantile) * -gap;
}

__global__ void normalise(ns_cuda_rows r)
{
    FOR_ROWS(i, r.n_rows) (void)multiclass_loss(r, i);
}

__global__ void advance(ns_cuda_rows r, const int32_t *value, int is_last, int64_t first, int64_t last, int part)
{
    int64_t low = 0, high = 0;
    FOR_ROWS(at, last - first) {
        int64_t i = first + at;
        r.margin[r.output * r.n_rows + i] += value[r.leaf[i]];
        if (!is_last) continue;
        double loss = loss_at(r, i);
        if (r.weight != NULL) loss = (double)r.weight[i] * r.weight_scale * loss;
        int64_t q = ns_rne_i64(r.loss_scale * loss);
        low += q & INT64_C(0xffffffff);
        high += q >> 32;
    }
    if (!is_last) return;
    low = ns_block_sum(low);
    high = ns_block_sum(high);
    if (threadIdx.x != 0) return;
    ns_atomic_add(&r.turn->losses[2 * part], low);
    ns_atomic_add(&r.turn->losses[2 * part + 1], high);
}

/* --- quantiles ------------------------------------------------------------------------------------------------------ */

__global__ void residual_keys(ns_cuda_rows r)
{
    FOR_ROWS(i, r.n_train) {
        double residual = (double)r.label[i] - margin_at(r, 0, i);
        r.key[i] = ns_key_of((float)ns_clamp(residual, -(double)FLT_MAX, (double)FLT_MAX));
    }
}

__global__ void residual_count(ns_cuda_rows r, ns_cuda_residual_step s)
{
    uint32_t mask = (UINT32_C(1) << s.bits) - 1;
    if (s.first >= *s.n_leaves) return;
    FOR_ROWS(i, r.n_train) {
        int32_t number = s.leaf_number[r.leaf[i]], place = number - s.first;
        if (place < 0 || place >= NS_RESIDUAL_GROUPS) continue;
        uint32_t key = r.key[i];
        if ((uint64_t)key >> (s.shift + s.bits) != s.found[number].prefix) continue;
        int64_t w = r.weight == NULL ? 1 : ns_rne_i64((double)r.weight[i] * s.scale);
        ns_atomic_add(&s.table[((int64_t)place << s.bits) + (key >> s.shift & mask)], w);
    }
}

/* Sums and maxima are worth a block that takes many rows. */
unsigned few_blocks(const ns_cuda *cuda, int64_t n)
{
    unsigned wanted = ns_cuda_blocks_for(n), most = (unsigned)ns_cuda_multiprocessors(cuda) * 8;
    return wanted < most ? wanted : most;
}

} // namespace

extern "C" ns_status ns_cuda_begin_turn(ns_cuda *cuda, const ns_cuda_rows *rows, int64_t round, int64_t n_grown)
{
    NS_LAUNCH(begin_turn, 1, 32, 0, ns_cuda_stream(cuda), *rows, round, n_grown);
    return ns_cuda_launched(cuda, "begin_turn");
}

extern "C" ns_status ns_cuda_gradients(ns_cuda *cuda, const ns_cuda_rows *rows)
{
    NS_LAUNCH(take_gradients, few_blocks(cuda, rows->n_train), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows);
    return ns_cuda_launched(cuda, "take_gradients");
}

extern "C" ns_status ns_cuda_set_scales(ns_cuda *cuda, const ns_cuda_rows *rows)
{
    NS_LAUNCH(set_scales, 1, 32, 0, ns_cuda_stream(cuda), *rows);
    return ns_cuda_launched(cuda, "set_scales");
}

extern "C" ns_status ns_cuda_round(ns_cuda *cuda, const ns_cuda_rows *rows, const ns_stream *stream)
{
    NS_LAUNCH(round_gradients, ns_cuda_blocks_for(rows->n_train), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows, *stream);
    return ns_cuda_launched(cuda, "round_gradients");
}

extern "C" ns_status ns_cuda_sample(ns_cuda *cuda, const ns_cuda_rows *rows, const ns_stream *stream, uint64_t below, uint32_t *row)
{
    NS_LAUNCH(sample_rows, few_blocks(cuda, rows->n_train), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows, *stream, below, row);
    return ns_cuda_launched(cuda, "sample_rows");
}

extern "C" ns_status ns_cuda_all_rows(ns_cuda *cuda, const ns_cuda_rows *rows, uint32_t *row)
{
    NS_LAUNCH(list_rows, ns_cuda_blocks_for(rows->n_train), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), rows->n_train, row);
    return ns_cuda_launched(cuda, "list_rows");
}

extern "C" ns_status ns_cuda_leaves_grown(ns_cuda *cuda, const ns_cuda_rows *rows, const ns_cuda_grow *g, ns_cell *sums)
{
    int64_t pieces = rows->n_train / (16 * NS_CUDA_THREADS); /* a leaf may hold nearly all rows */
    int32_t n_pieces = pieces < 1 ? 1 : pieces > 32 ? 32 : (int32_t)pieces;
    NS_LAUNCH(take_leaves, (unsigned)g->room_nodes * (unsigned)n_pieces, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows, *g,
              n_pieces, sums);
    return ns_cuda_launched(cuda, "take_leaves");
}

extern "C" ns_status ns_cuda_leaves_rest(ns_cuda *cuda, const ns_cuda_rows *rows, const ns_cuda_grow *g, int64_t first,
                                         ns_cell *sums)
{
    if (first >= rows->n_rows) return NS_OK;
    NS_LAUNCH(walk_rest, ns_cuda_blocks_for(rows->n_rows - first), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows, *g, first,
              sums);
    return ns_cuda_launched(cuda, "walk_rest");
}

extern "C" ns_status ns_cuda_replay(ns_cuda *cuda, const ns_cuda_rows *rows, const ns_cuda_grow *g, const ns_node *nodes,
                                    const uint32_t *sets)
{
    NS_LAUNCH(replay_tree, ns_cuda_blocks_for(rows->n_rows), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows, *g, nodes, sets);
    return ns_cuda_launched(cuda, "replay_tree");
}

extern "C" ns_status ns_cuda_advance(ns_cuda *cuda, const ns_cuda_rows *rows, const int32_t *value)
{
    const int64_t from[3] = {0, rows->n_train, rows->n_rows};
    int is_last = rows->output + 1 == rows->n_outputs;
    for (int part = 0; part < 2; part++) {
        if (from[part] == from[part + 1]) continue;
        NS_LAUNCH(advance, few_blocks(cuda, from[part + 1] - from[part]), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows, value, is_last,
                  from[part], from[part + 1], part);
        NS_TRY(ns_cuda_launched(cuda, "advance"));
    }
    return NS_OK;
}

extern "C" ns_status ns_cuda_normalise(ns_cuda *cuda, const ns_cuda_rows *rows)
{
    NS_LAUNCH(normalise, ns_cuda_blocks_for(rows->n_rows), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows);
    return ns_cuda_launched(cuda, "normalise");
}

extern "C" ns_status ns_cuda_set_base(ns_cuda *cuda, const ns_cuda_rows *rows, const int64_t *base)
{
    NS_LAUNCH(set_base, ns_cuda_blocks_for(rows->n_rows), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows, base);
    return ns_cuda_launched(cuda, "set_base");
}

extern "C" ns_status ns_cuda_residual_keys(ns_cuda *cuda, const ns_cuda_rows *rows)
{
    NS_LAUNCH(residual_keys, ns_cuda_blocks_for(rows->n_train), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows);
    return ns_cuda_launched(cuda, "residual_keys");
}

extern "C" ns_status ns_cuda_residual_count(ns_cuda *cuda, const ns_cuda_rows *rows, const ns_cuda_residual_step *step)
{
    NS_LAUNCH(residual_count, ns_cuda_blocks_for(rows->n_train), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *rows, *step);
    return ns_cuda_launched(cuda, "residual_count");
}
