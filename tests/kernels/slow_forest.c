#include "tests/kernels/slow_forest.h"

#include <math.h>

#include "kernels/numerics.h"
#include "kernels/philox.h"
#include "tests/check.h"
#include "tests/kernels/slow_objective.h"

enum { MAX_NODES = 600, MAX_BINS = 1024 };

typedef struct sums {
    int64_t g, h, n;
} sums;

typedef struct candidate {
    bool found;
    double gain, middle; /* of its sides' values */
    int32_t feature, threshold, missing_left;
    bool left[MAX_BINS]; /* by bin */
} candidate;

typedef struct leaf {
    char path[MAX_NODES]; /* "LRL": compared by length, then as text, since L < R */
    uint64_t hash;
    int32_t left, right; /* -1: a leaf */
    bool *has;           /* [n_rows] rows in it, of all rows */
    candidate best;
    int32_t parent;
    double lower, upper; /* of its value while it grows; of its step in the end */
    double step;
    int64_t n_rows;
} leaf;

typedef struct world {
    const test_table *t;
    const ns_forest_settings *s;
    slow_objective o;
    int64_t *margin, *before; /* [n_rows][n_outputs]; at the round's start */
    int32_t output;
    int32_t *bin[16];
    int32_t n_bins[16];
    double *g, *h;
    int64_t *q_g, *q_h;
    bool *sampled;
    double unit_g, unit_h, max_g, max_h;
    bool tree_may[16];
    int64_t round;
    leaf *leaves;
    int32_t n_leaves;
} world;

/* The largest power of two s with max * s <= limit, by trying. */
static double largest_scale(double max, double limit)
{
    double s = 1.0;
    if (max == 0) return s;
    while (max * s > limit) s /= 2;
    while (max * s * 2 <= limit) s *= 2;
    return s;
}

static void take_gradients(world *w)
{
    w->max_g = w->max_h = 0;
    for (int64_t i = 0; i < w->t->n_train; i++) {
        slow_gradient(&w->o, i, w->before + i * w->o.n_outputs, w->output, &w->g[i], &w->h[i]);
        w->max_g = fmax(w->max_g, fabs(w->g[i]));
        w->max_h = fmax(w->max_h, w->h[i]);
    }
}

static void round_gradients(world *w)
{
    double s_g = largest_scale(w->max_g, w->o.wide ? 0x1p30 - 1.0 : 4095.0);
    double s_h = largest_scale(w->max_h, w->o.wide ? 0x1p24 - 1.0 : 4095.0);
    ns_stream stream = ns_stream_of(w->s->seed, NS_RANDOM_GRADIENT, w->round, (uint32_t)w->output);
    ns_stream rows = ns_stream_of(w->s->seed, NS_RANDOM_ROWS, w->round, (uint32_t)w->output);
    w->unit_g = 1.0 / s_g;
    w->unit_h = 1.0 / s_h;
    for (int64_t i = 0; i < w->t->n_train; i++) {
        uint32_t r = ns_stream_word(&stream, (uint64_t)w->t->row_number[i]);
        w->q_g[i] = (int64_t)floor(w->g[i] * s_g + ((r & 0xffff) + 0.5) / 65536.0);
        w->q_h[i] = (int64_t)floor(w->h[i] * s_h + ((r >> 16) + 0.5) / 65536.0);
        w->sampled[i] = (double)ns_stream_word(&rows, (uint64_t)w->t->row_number[i]) <
                        floor(w->s->row_sample * 4294967296.0);
    }
}

/* Of the columns in `from`, those with the smallest words. */
static void sample_columns(const ns_stream *stream, const bool *from, double fraction, bool *out)
{
    int32_t n = 0;
    for (int32_t f = 0; f < 16; f++) n += from[f];
    int32_t wanted = (int32_t)fmax(1.0, floor(fraction * n + 0.5));
    for (int32_t f = 0; f < 16; f++) {
        int32_t before = 0;
        for (int32_t o = 0; o < 16; o++) {
            uint32_t mine = ns_stream_word(stream, (uint64_t)f), other = ns_stream_word(stream, (uint64_t)o);
            before += from[o] && (other < mine || (other == mine && o < f));
        }
        out[f] = from[f] && before < wanted;
    }
}

static double shrunk(const world *w, double g)
{
    return g > w->s->l1 ? g - w->s->l1 : g < -w->s->l1 ? g + w->s->l1 : 0.0;
}

/* The value that a side would have, within the leaf's bounds. */
static double value_of(const world *w, const leaf *l, sums s, double l2)
{
    double h = (double)s.h * w->unit_h + l2;
    double v = h > 0 ? -shrunk(w, (double)s.g * w->unit_g) / h : 0.0;
    return fmin(l->upper, fmax(l->lower, v));
}

static double term(const world *w, const leaf *l, sums s, double l2)
{
    double g = (double)s.g * w->unit_g, h = (double)s.h * w->unit_h + l2, v = value_of(w, l, s, l2);
    if (v > l->lower && v < l->upper) return shrunk(w, g) * shrunk(w, g) / h;
    if (h > 0 && v == -shrunk(w, g) / h) return shrunk(w, g) * shrunk(w, g) / h; /* just on its bound */
    return -2.0 * (g * v + w->s->l1 * fabs(v)) - h * v * v;
}

/* Whether the split orders two sides by a constrained column. */
static int order_of(const world *w, const candidate *c)
{
    bool of_values = w->t->kind[c->feature] == NS_NUMBER && c->threshold < w->n_bins[c->feature] - 1;
    return of_values && w->t->is_constrained ? w->t->monotone[c->feature] : 0;
}

/* Sums of the bins of a column at a leaf, of sampled training rows. */
static void bin_sums(const world *w, const leaf *l, int32_t f, sums *out)
{
    for (int32_t b = 0; b < w->n_bins[f]; b++) out[b] = (sums){0, 0, 0};
    for (int64_t i = 0; i < w->t->n_train; i++) {
        if (!l->has[i] || !w->sampled[i]) continue;
        sums *s = &out[w->bin[f][i]];
        s->g += w->q_g[i];
        s->h += w->q_h[i];
        s->n++;
    }
}

/* Takes the candidate with this left side if it is allowed and better than the best so far. */
static void consider(const world *w, leaf *l, const sums *bins, candidate *c, double l2)
{
    sums side[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    for (int32_t b = 0; b < w->n_bins[c->feature]; b++)
        for (int k = 0; k < 3; k++)
            if (k == 2 || c->left[b] == (k == 0)) {
                side[k].g += bins[b].g;
                side[k].h += bins[b].h;
                side[k].n += bins[b].n;
            }
    for (int k = 0; k < 2; k++)
        if (side[k].n < 1 || side[k].n < w->s->min_rows || (double)side[k].h * w->unit_h < w->s->min_hessian)
            return;
    double values[2] = {value_of(w, l, side[0], l2), value_of(w, l, side[1], l2)};
    if (order_of(w, c) * (values[1] - values[0]) < 0) return;
    c->middle = 0.5 * values[0] + 0.5 * values[1];
    c->gain = term(w, l, side[0], l2) + term(w, l, side[1], l2) - term(w, l, side[2], l2);
    if (!(c->gain > w->s->min_gain) || (l->best.found && c->gain <= l->best.gain)) return;
    c->found = true;
    l->best = *c;
}

static void try_number(const world *w, leaf *l, int32_t f)
{
    static sums bins[MAX_BINS];
    bin_sums(w, l, f, bins);
    int32_t last = w->n_bins[f] - 1;
    for (int32_t t = 1; t <= last; t++)
        for (int missing_left = 1; missing_left >= 0; missing_left--) {
            candidate c = {.feature = f, .threshold = t, .missing_left = missing_left};
            int64_t n_left = 0, n_right = 0;
            for (int32_t b = 1; b <= last; b++) {
                c.left[b] = b <= t;
                if (b <= t)
                    n_left += bins[b].n;
                else
                    n_right += bins[b].n;
            }
            c.left[0] = missing_left != 0;
            if (bins[0].n == 0 && (t == last || missing_left != (n_left >= n_right))) continue;
            if (t == last ? missing_left != 0 : bins[t].n == 0 || n_right == 0) continue;
            consider(w, l, bins, &c, w->s->l2);
        }
}

static void try_category(const world *w, leaf *l, int32_t f)
{
    static sums bins[MAX_BINS];
    static double key[MAX_BINS];
    static int32_t order[MAX_BINS];
    bin_sums(w, l, f, bins);
    int32_t n = 0;
    for (int32_t b = 0; b < w->n_bins[f]; b++) {
        if (b == 1 || bins[b].n < w->s->category_split_rows) continue;
        key[b] = (double)bins[b].g * w->unit_g / ((double)bins[b].h * w->unit_h + w->s->category_smoothing);
        int32_t at = n++;
        for (; at > 0 && key[order[at - 1]] > key[b]; at--) order[at] = order[at - 1];
        order[at] = b;
    }
    for (int32_t taken = 1; taken < n; taken++) {
        int32_t smaller = taken < n - taken ? taken : n - taken;
        if (w->s->category_max_levels > 0 && smaller > w->s->category_max_levels) continue;
        candidate c = {.feature = f, .threshold = taken};
        int64_t n_left = 0, n_right = 0;
        for (int32_t i = 0; i < n; i++) *(i < taken ? &n_left : &n_right) += bins[order[i]].n;
        for (int32_t b = 0; b < w->n_bins[f]; b++) c.left[b] = n_left >= n_right;
        for (int32_t i = 0; i < n; i++) c.left[order[i]] = i < taken;
        consider(w, l, bins, &c, w->s->l2 + w->s->category_l2);
    }
}

static void look(const world *w, leaf *l)
{
    bool may[16];
    ns_stream stream = ns_stream_of(w->s->seed, NS_RANDOM_COLUMNS_NODE, w->round, (uint32_t)w->output);
    ns_stream inner = ns_stream_within(&stream, l->hash);
    sample_columns(&inner, w->tree_may, w->s->column_sample_node, may);
    l->best = (candidate){.found = false};
    if (w->s->max_depth > 0 && (int32_t)strlen(l->path) >= w->s->max_depth) return;
    for (int32_t f = 0; f < w->t->n_features; f++) {
        if (!may[f]) continue;
        if (w->t->kind[f] == NS_NUMBER)
            try_number(w, l, f);
        else
            try_category(w, l, f);
    }
}

/* The bounds of one child. */
static void bound(const world *w, const leaf *parent, char side, double middle, leaf *child)
{
    int order = order_of(w, &parent->best);
    child->lower = parent->lower;
    child->upper = parent->upper;
    if (order == 0) return;
    if ((side == 'L') == (order > 0))
        child->upper = middle;
    else
        child->lower = middle;
}

static int32_t add_leaf(world *w, const leaf *parent, char side)
{
    leaf *l = &w->leaves[w->n_leaves];
    l->left = l->right = -1;
    l->parent = parent == NULL ? -1 : (int32_t)(parent - w->leaves);
    l->lower = -INFINITY;
    l->upper = INFINITY;
    if (parent != NULL) bound(w, parent, side, parent->best.middle, l);
    l->has = calloc((size_t)w->t->n_rows, sizeof *l->has);
    memset(l->path, 0, sizeof l->path);
    if (parent != NULL) {
        size_t depth = strlen(parent->path);
        memcpy(l->path, parent->path, depth);
        l->path[depth] = side;
    }
    l->hash = parent == NULL ? 1 : ns_path_hash(parent->hash, side == 'R');
    for (int64_t i = 0; i < w->t->n_rows; i++)
        l->has[i] = parent == NULL ||
                    (parent->has[i] && parent->best.left[w->bin[parent->best.feature][i]] == (side == 'L'));
    look(w, l);
    return w->n_leaves++;
}

static bool is_preferred(const leaf *a, const leaf *b)
{
    if (a->best.gain != b->best.gain) return a->best.gain > b->best.gain;
    if (strlen(a->path) != strlen(b->path)) return strlen(a->path) < strlen(b->path);
    return strcmp(a->path, b->path) < 0;
}

static void grow(world *w)
{
    bool all[16] = {false};
    ns_stream stream = ns_stream_of(w->s->seed, NS_RANDOM_COLUMNS_TREE, w->round, (uint32_t)w->output);
    for (int32_t f = 0; f < w->t->n_features; f++) all[f] = true;
    sample_columns(&stream, all, w->s->column_sample, w->tree_may);
    w->n_leaves = 0;
    add_leaf(w, NULL, '\0');
    for (int32_t n = 1; n < w->s->max_leaves; n++) {
        leaf *best = NULL;
        for (int32_t i = 0; i < w->n_leaves; i++) {
            leaf *l = &w->leaves[i];
            if (l->left < 0 && l->best.found && (best == NULL || is_preferred(l, best))) best = l;
        }
        if (best == NULL) break;
        best->left = add_leaf(w, best, 'L');
        best->right = add_leaf(w, best, 'R');
    }
}

/* learning_rate * -G/(H + l2) of all of its training rows. */
static double gradient_step(const world *w, const leaf *l)
{
    int bits = 0, e_g, e_h;
    while ((INT64_C(1) << bits) < w->t->n_train) bits++;
    bits = bits > 22 ? 62 - bits : 40;
    if (frexp(w->max_g, &e_g) == 0.5) e_g--;
    if (frexp(w->max_h, &e_h) == 0.5) e_h--;
    ns_i128 g = 0, h = 0;
    for (int64_t i = 0; i < w->t->n_train; i++) {
        if (!l->has[i]) continue;
        g += slow_rounded(ldexp(w->g[i], bits - e_g));
        h += slow_rounded(ldexp(w->h[i], bits - e_h));
    }
    double below = ldexp((double)h, e_h - bits) + w->s->l2;
    return below > 0 ? w->s->learning_rate * -shrunk(w, ldexp((double)g, e_g - bits)) / below : 0.0;
}

/* learning_rate * the quantile of its residuals; of an inner node the mean of its leaves' by rows. */
static double quantile_step(const world *w, const leaf *l)
{
    if (l->left < 0) return w->s->learning_rate * slow_quantile(&w->o, l->has, w->margin);
    const leaf *left = &w->leaves[l->left], *right = &w->leaves[l->right];
    if (l->n_rows == 0) return 0;
    return (left->step * (double)left->n_rows + right->step * (double)right->n_rows) / (double)l->n_rows;
}

/* Steps of all nodes; children come after their parents. */
static void take_steps(world *w)
{
    for (int32_t i = w->n_leaves - 1; i >= 0; i--) {
        leaf *l = &w->leaves[i];
        l->n_rows = 0;
        for (int64_t r = 0; r < w->t->n_train; r++) l->n_rows += l->has[r];
        l->step = w->s->objective == NS_QUANTILE ? quantile_step(w, l) : gradient_step(w, l);
    }
    for (int32_t i = 0; i < w->n_leaves; i++) {
        leaf *l = &w->leaves[i];
        l->lower = i == 0 ? -INFINITY : l->lower;
        l->upper = i == 0 ? INFINITY : l->upper;
        l->step = fmin(l->upper, fmax(l->lower, l->step));
        if (l->left < 0) continue;
        leaf *children[2] = {&w->leaves[l->left], &w->leaves[l->right]};
        double middle = 0;
        for (int c = 0; c < 2; c++) middle += 0.5 * fmin(l->upper, fmax(l->lower, children[c]->step));
        bound(w, l, 'L', middle, children[0]);
        bound(w, l, 'R', middle, children[1]);
    }
}

static int32_t leaf_value(const world *w, const leaf *l)
{
    double value = ldexp(l->step, w->o.k);
    return value > 2147483647.0    ? INT32_MAX
           : value < -2147483648.0 ? INT32_MIN
                                   : (int32_t)slow_rounded(value);
}

/* Nodes in preorder; moves margins. Returns the index after the subtree. */
static int32_t write_node(world *w, int32_t index, ns_node *nodes, uint32_t *sets, int64_t *n_words,
                          int32_t at)
{
    const leaf *l = &w->leaves[index];
    ns_node *node = &nodes[at];
    *node = (ns_node){.feature = -1, .set = -1, .n_rows = l->n_rows};
    if (l->left < 0) {
        node->leaf = leaf_value(w, l);
        for (int64_t i = 0; i < w->t->n_rows; i++)
            if (l->has[i]) w->margin[i * w->o.n_outputs + w->output] += node->leaf;
        return at + 1;
    }
    node->feature = l->best.feature;
    node->gain = l->best.gain;
    node->missing_left = l->best.left[0];
    if (w->t->kind[node->feature] == NS_NUMBER) {
        node->threshold = l->best.threshold;
    } else {
        node->set = (int32_t)*n_words;
        for (int32_t b = 0; b < w->n_bins[node->feature]; b++) {
            if (b % 32 == 0) sets[(*n_words)++] = 0;
            sets[*n_words - 1] |= (uint32_t)l->best.left[b] << b % 32;
        }
    }
    int32_t next = write_node(w, l->left, nodes, sets, n_words, at + 1);
    nodes[at].right = next;
    return write_node(w, l->right, nodes, sets, n_words, next);
}

static void make_bins(world *w, const test_result *result)
{
    for (int32_t f = 0; f < w->t->n_features; f++) {
        w->bin[f] = calloc((size_t)w->t->n_rows, sizeof **w->bin);
        w->n_bins[f] = w->t->kind[f] == NS_NUMBER ? result->n_cuts[f] + 2 : w->t->n_bins[f];
        for (int64_t i = 0; i < w->t->n_rows; i++) {
            if (w->t->kind[f] == NS_CATEGORY) {
                w->bin[f][i] = w->t->bin[f][i];
                continue;
            }
            float x = w->t->number[f][i];
            if (isnan(x)) continue;
            w->bin[f][i] = 1;
            for (int32_t c = 0; c < result->n_cuts[f]; c++) w->bin[f][i] += result->cuts[f][c] < x;
        }
    }
}

static void sum_losses(const world *w, ns_i128 losses[2])
{
    losses[0] = losses[1] = 0;
    for (int64_t i = 0; i < w->t->n_rows; i++)
        losses[i >= w->t->n_train] += slow_loss(&w->o, i, w->margin + i * w->o.n_outputs);
}

static void train_output(world *w, ns_trees *trees)
{
    static ns_node nodes[MAX_NODES];
    static uint32_t sets[MAX_NODES * MAX_BINS / 32];
    int64_t n_words = 0;
    take_gradients(w);
    round_gradients(w);
    grow(w);
    take_steps(w);
    int32_t n = write_node(w, 0, nodes, sets, &n_words, 0);
    CHECK_OK(ns_trees_append(trees, nodes, n, sets, n_words));
    for (int32_t i = 0; i < w->n_leaves; i++) free(w->leaves[i].has);
}

void slow_train(ns_trees *trees, int64_t *margin, ns_i128 (*losses)[2], const test_table *t,
                const ns_forest_settings *settings, const test_result *result, int64_t n_rounds)
{
    size_t rows = (size_t)t->n_rows;
    world w = {.t = t, .s = settings, .margin = margin};
    slow_objective_make(&w.o, t, settings);
    w.before = calloc(rows * (size_t)w.o.n_outputs, sizeof *w.before);
    w.g = calloc(rows, sizeof *w.g);
    w.h = calloc(rows, sizeof *w.h);
    w.q_g = calloc(rows, sizeof *w.q_g);
    w.q_h = calloc(rows, sizeof *w.q_h);
    w.sampled = calloc(rows, sizeof *w.sampled);
    w.leaves = calloc(MAX_NODES, sizeof *w.leaves);
    make_bins(&w, result);
    for (int64_t i = 0; i < t->n_rows; i++)
        for (int32_t o = 0; o < w.o.n_outputs; o++) margin[i * w.o.n_outputs + o] = w.o.base[o];
    for (w.round = 0; w.round < n_rounds; w.round++) {
        memcpy(w.before, margin, rows * (size_t)w.o.n_outputs * sizeof *margin);
        for (w.output = 0; w.output < w.o.n_outputs; w.output++) train_output(&w, trees);
        sum_losses(&w, losses[w.round]);
    }
    for (int32_t f = 0; f < t->n_features; f++) free(w.bin[f]);
    slow_objective_free(&w.o);
    void *blocks[] = {w.before, w.g, w.h, w.q_g, w.q_h, w.sampled, w.leaves};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}
