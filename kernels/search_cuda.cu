#include "kernels/cuda_block.h"
#include "kernels/cuda_tree.h"
#include "kernels/numerics.h"

#include <math.h>

/*
 * The best split of the children of a batch, column by column: kernels/split.h says what is looked for. A block takes one
 * column of one opening for categories, a warp for numbers: the larger child's cells are the parent's less the smaller's, running
 * sums over bins give the left sides of all thresholds at once, and each thread weighs those of its bins. Categories are
 * sorted first.
 */
namespace {

/* --- the rule ------------------------------------------------------------------------------------------------------- */

struct side {
    double g, h;
};

/* What the candidates of one column of one node share. */
struct contest {
    const ns_split_rule *rule;
    double l2, unit_g, unit_h, parent; /* parent: the third term of the gain */
    ns_cell total;
    ns_split_bounds bounds;
    int is_bounded, monotone, all_values;
};

__device__ inline double term(double g, double h, double l1, double l2)
{
    double s = g > l1 ? g - l1 : g < -l1 ? g + l1 : 0.0;
    return s * s / (h + l2);
}

__device__ inline double free_value(side s, double l1, double l2)
{
    double shrunk = s.g > l1 ? s.g - l1 : s.g < -l1 ? s.g + l1 : 0.0, below = s.h + l2;
    return below > 0.0 ? -shrunk / below : 0.0;
}

__device__ inline double value_of(ns_split_bounds bounds, side s, double l1, double l2)
{
    return ns_clamp(free_value(s, l1, l2), bounds.lower, bounds.upper);
}

__device__ inline double bounded_term(ns_split_bounds bounds, side s, double l1, double l2)
{
    double v = value_of(bounds, s, l1, l2);
    if (v == free_value(s, l1, l2)) return term(s.g, s.h, l1, l2);
    return -2.0 * (s.g * v + l1 * ns_abs(v)) - (s.h + l2) * v * v;
}

__device__ inline contest begin(const ns_cuda_grow &g, const ns_cuda_node &node, int32_t feature, double l2)
{
    contest c;
    c.rule = &g.rule;
    c.l2 = l2;
    c.unit_g = g.turn->unit_g;
    c.unit_h = g.turn->unit_h;
    c.total = node.total;
    c.bounds = node.bounds;
    c.is_bounded = g.is_bounded;
    c.monotone = g.is_bounded ? g.monotone[feature] : 0;
    c.all_values = g.n_bins[feature] - 1;
    side all = {(double)c.total.g * c.unit_g, (double)c.total.h * c.unit_h};
    c.parent = c.is_bounded ? bounded_term(c.bounds, all, g.rule.l1, l2) : term(all.g, all.h, g.rule.l1, l2);
    return c;
}

__device__ inline ns_cell minus(ns_cell a, ns_cell b)
{
    return {a.g - b.g, a.h - b.h, a.n - b.n};
}

__device__ inline ns_cell plus(ns_cell a, ns_cell b)
{
    return {a.g + b.g, a.h + b.h, a.n + b.n};
}

/* Whether a left side is a candidate, and its gain. */
__device__ inline bool weigh(const contest &c, int32_t threshold, ns_cell left, double *gain)
{
    const ns_split_rule &r = *c.rule;
    ns_cell right = minus(c.total, left);
    int64_t least = r.min_rows > 1 ? r.min_rows : 1;
    if (left.n < least || right.n < least) return false;
    side a = {(double)left.g * c.unit_g, (double)left.h * c.unit_h}, b = {(double)right.g * c.unit_g, (double)right.h * c.unit_h};
    if (!(a.h >= r.min_hessian) || !(b.h >= r.min_hessian)) return false;
    if (!(a.h + c.l2 > 0.0) || !(b.h + c.l2 > 0.0)) return false;
    if (!c.is_bounded) {
        *gain = term(a.g, a.h, r.l1, c.l2) + term(b.g, b.h, r.l1, c.l2) - c.parent;
        return *gain > r.min_gain;
    }
    if (c.monotone != 0 && threshold < c.all_values) {
        double low = value_of(c.bounds, a, r.l1, c.l2), high = value_of(c.bounds, b, r.l1, c.l2);
        if (c.monotone > 0 ? low > high : low < high) return false;
    }
    *gain = bounded_term(c.bounds, a, r.l1, c.l2) + bounded_term(c.bounds, b, r.l1, c.l2) - c.parent;
    return *gain > r.min_gain;
}

/* A thread's best candidate; place is that in the order of the tie rules. */
struct candidate {
    ns_ranked rank;
    int32_t threshold, missing_left;
    ns_cell left;
};

__device__ inline void attempt(const contest &c, candidate *best, int64_t place, int32_t threshold, int32_t missing_left, ns_cell left)
{
    double gain;
    if (!weigh(c, threshold, left, &gain) || !ns_ranks_above(gain, place, best->rank)) return;
    *best = candidate{{gain, place}, threshold, missing_left, left};
}

__device__ inline void put_split(const candidate &best, int32_t feature, ns_split *out)
{
    out->gain = best.rank.gain;
    out->feature = feature;
    out->threshold = best.threshold;
    out->missing_left = best.missing_left;
    out->left = best.left;
}

/* The best of the block's; written by the thread that has it. */
__device__ inline void settle_column(candidate best, int32_t feature, ns_split *out)
{
    ns_ranked won = ns_block_best(best.rank);
    if (won.place >= 0 ? best.rank.place == won.place : threadIdx.x == 0) put_split(best, won.place < 0 ? -1 : feature, out);
}

/* --- numbers -------------------------------------------------------------------------------------------------------- */

__device__ inline ns_cell cell_of(const int64_t *planes, int32_t n_bins, int32_t bin)
{
    return {planes[bin], planes[n_bins + bin], planes[2 * n_bins + bin]};
}

__device__ inline void put_cell(int64_t *planes, int32_t n_bins, int32_t bin, ns_cell cell)
{
    planes[bin] = cell.g;
    planes[n_bins + bin] = cell.h;
    planes[2 * n_bins + bin] = cell.n;
}

__device__ inline int64_t *planes_at(const ns_cuda_grow &g, int64_t slot, int32_t feature)
{
    return g.store + slot * 3 * g.n_cells + 3 * g.offset[feature];
}

__device__ inline bool is_asked(const ns_cuda_grow &g, int32_t child, int32_t feature)
{
    return g.may[(int64_t)child * g.n_features + feature] != 0;
}

/* What the lanes below this one hold. */
__device__ inline int64_t lanes_before(int64_t value)
{
    int64_t sum = value;
    for (int d = 1; d < 32; d *= 2) {
        int64_t below = __shfl_up_sync(0xffffffffu, sum, d);
        if ((int)(threadIdx.x % 32) >= d) sum += below;
    }
    return sum - value;
}

/* The best of the warp's; written by the lane that has it. */
__device__ inline void settle_lanes(candidate best, int32_t feature, ns_split *out)
{
    ns_ranked won = best.rank;
    for (int d = 16; d > 0; d /= 2) {
        double gain = __shfl_xor_sync(0xffffffffu, won.gain, d);
        int64_t place = __shfl_xor_sync(0xffffffffu, won.place, d);
        if (!ns_ranks_above(gain, place, won)) continue;
        won.gain = gain;
        won.place = place;
    }
    if (won.place >= 0 ? best.rank.place == won.place : threadIdx.x % 32 == 0) put_split(best, won.place < 0 ? -1 : feature, out);
}

/* A warp to a column: each lane has a run of neighbouring bins. */
__device__ inline void search_number(const ns_cuda_grow &g, const ns_cuda_node &node, int32_t feature, const int64_t *planes, ns_split *out)
{
    int32_t n_bins = g.n_bins[feature], each = (n_bins + 30) / 32, first = 1 + (int32_t)(threadIdx.x % 32) * each;
    int32_t last = first + each < n_bins ? first + each : n_bins;
    contest c = begin(g, node, feature, g.rule.l2);
    ns_cell missing = cell_of(planes, n_bins, 0), left = {0, 0, 0};
    for (int32_t bin = first; bin < last; bin++) left = plus(left, cell_of(planes, n_bins, bin));
    left.g = lanes_before(left.g);
    left.h = lanes_before(left.h);
    left.n = lanes_before(left.n);
    candidate best = {{0.0, -1}, 0, 0, {0, 0, 0}};
    for (int32_t bin = first; bin < last; bin++) {
        ns_cell own = cell_of(planes, n_bins, bin);
        left = plus(left, own);
        if (own.n == 0 || left.n + missing.n == c.total.n) continue; /* no row here, or no value above */
        if (missing.n == 0) {
            attempt(c, &best, 2 * bin, bin, left.n >= c.total.n - left.n, left);
        } else {
            attempt(c, &best, 2 * bin, bin, 1, plus(left, missing));
            attempt(c, &best, 2 * bin + 1, bin, 0, left);
        }
    }
    if (first == 1 && missing.n > 0) attempt(c, &best, 2 * NS_BYTE_BINS, n_bins - 1, 0, minus(c.total, missing));
    settle_lanes(best, feature, out);
}

/* A warp to an opening and a number column. */
__global__ void __launch_bounds__(NS_CUDA_THREADS) look_numbers(ns_cuda_grow g)
{
    int64_t task = (int64_t)blockIdx.x * NS_CUDA_WARPS + threadIdx.x / 32;
    int32_t o = (int32_t)(task / g.n_features), feature = (int32_t)(task % g.n_features);
    if (o >= g.control->n_open || g.kind[feature] != NS_NUMBER || !g.in_tree[feature]) return;
    const ns_cuda_opening opening = g.opening[o];
    if (!opening.want_small && !opening.want_large) return;
    int32_t n_bins = g.n_bins[feature];
    const int64_t *staged = g.staging + (int64_t)o * 3 * g.n_cells + 3 * g.offset[feature];
    int64_t *small = opening.want_small ? planes_at(g, g.node[opening.small].slot, feature) : NULL;
    int64_t *large = opening.want_large ? planes_at(g, g.node[opening.large].slot, feature) : NULL; /* in its parent's place */
    for (int32_t i = (int32_t)(threadIdx.x % 32); i < 3 * n_bins; i += 32) {
        int64_t value = staged[i];
        if (opening.want_small) small[i] = value;
        if (opening.want_large) large[i] -= value;
    }
    __syncwarp();
    if (opening.want_large && is_asked(g, 2 * o + 1, feature))
        search_number(g, g.node[opening.large], feature, large, &g.found[(int64_t)(2 * o + 1) * g.n_features + feature]);
    if (opening.want_small && is_asked(g, 2 * o, feature))
        search_number(g, g.node[opening.small], feature, small, &g.found[(int64_t)(2 * o) * g.n_features + feature]);
}

/* --- categories ----------------------------------------------------------------------------------------------------- */

/* Order-preserving bits of a finite double; -0 as +0. */
__device__ inline uint64_t bits_in_order(double x)
{
    uint64_t bits = ns_bits(x + 0.0);
    return (bits >> 63) != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

/* Bitonic, ascending by (key, bin); n a power of two. The caller has the barrier after it. */
__device__ inline void sort(uint64_t *key, uint32_t *bin, int32_t n)
{
    for (int32_t size = 2; size <= n; size *= 2)
        for (int32_t step = size / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int32_t i = (int32_t)threadIdx.x; i < n / 2; i += NS_CUDA_THREADS) {
                int32_t a = 2 * i - (i & (step - 1)), b = a + step;
                bool ascending = (a & size) == 0;
                uint64_t key_a = key[a], key_b = key[b];
                uint32_t bin_a = bin[a], bin_b = bin[b];
                bool above = key_a > key_b || (key_a == key_b && bin_a > bin_b);
                if (above != ascending) continue;
                key[a] = key_b;
                key[b] = key_a;
                bin[a] = bin_b;
                bin[b] = bin_a;
            }
        }
}

/* The sortable bins of a node, in order, into bin; their sum. Returns how many. Begins and ends with barriers, those of
   the sums over the block. */
__device__ inline int32_t order(const ns_cuda_grow &g, const int64_t *planes, int32_t n_bins, uint64_t *key, uint32_t *bin, ns_cell *sorted)
{
    const ns_split_rule &r = g.rule;
    double unit_g = g.turn->unit_g, unit_h = g.turn->unit_h;
    int64_t least = r.category_split_rows > 1 ? r.category_split_rows : 1, n = 0, here;
    ns_cell sum = {0, 0, 0};
    for (int32_t from = 0; from < n_bins; from += NS_CUDA_THREADS) {
        int32_t b = from + (int32_t)threadIdx.x;
        bool is_in = b < n_bins && b != 1 && planes[2 * n_bins + b] >= least;
        int64_t place = n + ns_block_before(is_in, &here);
        n += here;
        if (!is_in) continue;
        ns_cell cell = cell_of(planes, n_bins, b);
        double below = (double)cell.h * unit_h + r.category_smoothing;
        key[place] = bits_in_order(below > 0.0 ? (double)cell.g * unit_g / below : 0.0);
        bin[place] = (uint32_t)b;
        sum = plus(sum, cell);
    }
    int32_t room = 1;
    while (room < n) room *= 2;
    for (int32_t i = (int32_t)(n + threadIdx.x); i < room; i += NS_CUDA_THREADS) {
        key[i] = UINT64_MAX;
        bin[i] = UINT32_MAX;
    }
    sort(key, bin, room);
    *sorted = ns_block_sum_cell(sum);
    return (int32_t)n;
}

__device__ inline void search_category(const ns_cuda_grow &g, const ns_cuda_node &node, int32_t feature, const int64_t *planes, uint64_t *key,
                                       uint32_t *bin, ns_split *out)
{
    int32_t n_bins = g.n_bins[feature];
    contest c = begin(g, node, feature, g.rule.l2 + g.rule.category_l2);
    c.monotone = 0;
    ns_cell sorted, carried = {0, 0, 0}, all;
    int32_t n = order(g, planes, n_bins, key, bin, &sorted);
    ns_cell rest = minus(c.total, sorted);
    int32_t most = g.rule.category_max_levels > 0 ? g.rule.category_max_levels : n;
    candidate best = {{0.0, -1}, 0, 0, {0, 0, 0}};
    for (int32_t from = 0; from < n; from += NS_CUDA_THREADS) {
        int32_t at = from + (int32_t)threadIdx.x, taken = at + 1;
        ns_cell own = at < n ? cell_of(planes, n_bins, (int32_t)bin[at]) : ns_cell{0, 0, 0}, left;
        left.g = carried.g + own.g + ns_block_before(own.g, &all.g);
        left.h = carried.h + own.h + ns_block_before(own.h, &all.h);
        left.n = carried.n + own.n + ns_block_before(own.n, &all.n);
        carried = plus(carried, all);
        if (taken >= n || (taken > most && n - taken > most)) continue;
        bool rest_left = left.n >= sorted.n - left.n;
        attempt(c, &best, taken, taken, 0, rest_left ? plus(left, rest) : left);
    }
    settle_column(best, feature, out);
}

/* Blocks take openings and category columns in turn; each has a scratch of its own. */
__global__ void __launch_bounds__(NS_CUDA_THREADS) look_categories(ns_cuda_grow g)
{
    uint64_t *key = g.sort_key + (int64_t)blockIdx.x * g.sort_room;
    uint32_t *bin = g.sort_bin + (int64_t)blockIdx.x * g.sort_room;
    int32_t n_tasks = g.control->n_open * g.n_categories;
    for (int32_t task = (int32_t)blockIdx.x; task < n_tasks; task += (int32_t)gridDim.x) {
        int32_t o = task / g.n_categories, feature = g.category[task % g.n_categories], n_bins = g.n_bins[feature];
        const ns_cuda_opening opening = g.opening[o];
        if ((!opening.want_small && !opening.want_large) || !g.in_tree[feature]) continue;
        const int64_t *staged = g.staging + (int64_t)o * 3 * g.n_cells + 3 * g.offset[feature];
        for (int32_t b = (int32_t)threadIdx.x; b < n_bins; b += NS_CUDA_THREADS) {
            ns_cell small = cell_of(staged, n_bins, b);
            if (opening.want_small) put_cell(planes_at(g, g.node[opening.small].slot, feature), n_bins, b, small);
            if (!opening.want_large) continue;
            int64_t *planes = planes_at(g, g.node[opening.large].slot, feature);
            put_cell(planes, n_bins, b, minus(cell_of(planes, n_bins, b), small));
        } /* a thread reads its own bins first; others' only after the barriers of sorting */
        for (int which = 0; which < 2; which++) {
            if (!(which == 0 ? opening.want_small : opening.want_large) || !is_asked(g, 2 * o + which, feature)) continue;
            const ns_cuda_node &node = g.node[which == 0 ? opening.small : opening.large];
            search_category(g, node, feature, planes_at(g, node.slot, feature), key, bin,
                            &g.found[(int64_t)(2 * o + which) * g.n_features + feature]);
        }
    }
}

/* --- the best column ------------------------------------------------------------------------------------------------ */

/* The left set of the category split that a node was given. */
__device__ inline void make_set(const ns_cuda_grow &g, int32_t index, uint64_t *key, uint32_t *bin)
{
    const ns_cuda_node &node = g.node[index];
    int32_t feature = node.split.feature, n_bins = g.n_bins[feature], n_words = (n_bins + 31) / 32, threshold = node.split.threshold;
    uint32_t *set = g.set + (int64_t)index * g.words_per_set;
    const int64_t *planes = planes_at(g, node.slot, feature);
    ns_cell sorted;
    int32_t n = order(g, planes, n_bins, key, bin, &sorted);
    int64_t left = 0;
    for (int32_t i = (int32_t)threadIdx.x; i < threshold; i += NS_CUDA_THREADS) left += planes[2 * n_bins + (int32_t)bin[i]];
    left = ns_block_sum(left);
    bool rest_left = left >= sorted.n - left;
    for (int32_t w = (int32_t)threadIdx.x; w < n_words; w += NS_CUDA_THREADS) {
        uint32_t word = rest_left ? UINT32_MAX : 0;
        if (rest_left && w == n_words - 1 && n_bins % 32 != 0) word >>= 32 - n_bins % 32;
        set[w] = word;
    }
    __syncthreads();
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += NS_CUDA_THREADS) {
        unsigned bit = 1u << (bin[i] & 31);
        if ((i < threshold) != rest_left) atomicXor(&set[bin[i] >> 5], bit); /* it differs from the rest */
    }
}

/* A block to a child. */
__global__ void settle(ns_cuda_grow g)
{
    int32_t child = (int32_t)blockIdx.x, o = child / 2;
    if (o >= g.control->n_open) return;
    const ns_cuda_opening opening = g.opening[o];
    if (!(child % 2 == 0 ? opening.want_small : opening.want_large)) return;
    int32_t index = child % 2 == 0 ? opening.small : opening.large;
    const ns_split *found = g.found + (int64_t)child * g.n_features;
    ns_ranked best = {0.0, -1};
    for (int32_t f = (int32_t)threadIdx.x; f < g.n_features; f += NS_CUDA_THREADS) {
        if (!is_asked(g, child, f) || found[f].feature < 0 || !ns_ranks_above(found[f].gain, f, best)) continue;
        best.gain = found[f].gain;
        best.place = f;
    }
    best = ns_block_best(best);
    if (best.place < 0) return; /* the node has feature -1 since it was made */
    if (threadIdx.x == 0) g.node[index].split = found[best.place];
    __syncthreads();
    if (g.kind[best.place] != NS_CATEGORY) return;
    make_set(g, index, g.sort_key + (int64_t)child * g.sort_room, g.sort_bin + (int64_t)child * g.sort_room);
}

} // namespace

extern "C" ns_status ns_cuda_look(ns_cuda *cuda, const ns_cuda_grow *g)
{
    if (g->n_features > g->n_categories) {
        int64_t n_tasks = (int64_t)g->batch * g->n_features;
        NS_LAUNCH(look_numbers, (unsigned)((n_tasks + NS_CUDA_WARPS - 1) / NS_CUDA_WARPS), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
        NS_TRY(ns_cuda_launched(cuda, "look_numbers"));
    }
    if (g->n_categories == 0) return NS_OK;
    int32_t most = g->batch * g->n_categories, n_blocks = most < NS_CUDA_SORT_BLOCKS ? most : NS_CUDA_SORT_BLOCKS;
    NS_LAUNCH(look_categories, (unsigned)n_blocks, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "look_categories");
}

extern "C" ns_status ns_cuda_settle(ns_cuda *cuda, const ns_cuda_grow *g)
{
    NS_LAUNCH(settle, (unsigned)(2 * g->batch), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "settle");
}
