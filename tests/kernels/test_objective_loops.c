/*
 * Gradients and losses of the objectives other than binary, on every instruction set that this processor has:
 * against long double, with the same bits from all levels. Outputs are followed by guard values.
 */
#include "tests/check.h"

#include <math.h>

#include "kernels/level.h"

enum { MAX_ROWS = 70000, GUARD = 16, CLASSES = 4 };
static const int64_t sizes[] = {0, 1, 31, 33, 257, 8191, MAX_ROWS};
enum { N_SIZES = sizeof sizes / sizeof *sizes };
static const double QUANTILE = 0.8;

static const ns_level *levels[3];
static int n_levels;

static int64_t margin[CLASSES * MAX_ROWS];
static float label[MAX_ROWS], weight[MAX_ROWS];
static double scale; /* 2^40 / loss_unit */
static double top[MAX_ROWS + GUARD], norm[MAX_ROWS + GUARD];
static double g[3][MAX_ROWS + GUARD], h[3][MAX_ROWS + GUARD];

static uint32_t word_of(uint32_t purpose, int64_t i)
{
    ns_stream stream = ns_stream_of(9, purpose, 0, 0);
    return ns_stream_word(&stream, (uint64_t)i);
}

static int find_levels(void **state)
{
    (void)state;
    const char *names[] = {"baseline", "avx2", "avx512"};
    for (int i = 0; i < 3; i++) {
        const ns_level *level;
        if (ns_level_pick(&level, names[i]) == NS_OK) levels[n_levels++] = level;
        ns_error_clear();
    }
    return n_levels > 0 ? 0 : 1;
}

/* Margins within and far beyond what clamps allow; labels of the objective. */
static void make_rows(float most_label, bool whole)
{
    for (int64_t i = 0; i < CLASSES * MAX_ROWS; i++) {
        double m = (word_of(2, i) * 0x1p-32 - 0.5) * (i % 5 == 0 ? 90.0 : 6.0);
        margin[i] = i % 101 == 0 ? 0 : ns_rne_i64(m * 0x1p26);
    }
    for (int64_t i = 0; i < MAX_ROWS; i++) {
        double y = word_of(3, i) * 0x1p-32 * (double)most_label;
        label[i] = (float)(whole ? floor(y) : y - 0.3 * (double)most_label);
        weight[i] = i % 97 == 0 ? 0.0f : (float)pow(10.0, 6.0 * (word_of(4, i) * 0x1p-32) - 3.0);
    }
}

static void fill(void *block, size_t n_bytes)
{
    memset(block, 0xa5, n_bytes);
}

static void check_guard(const double *block, int64_t n)
{
    const unsigned char *bytes = (const unsigned char *)(block + n);
    for (size_t i = 0; i < (size_t)(MAX_ROWS + GUARD - n) * sizeof *block; i++)
        assert_int_equal(bytes[i], 0xa5);
}

static long double margin_of(int64_t row, int32_t output)
{
    return (long double)margin[output * MAX_ROWS + row] * 0x1p-26L;
}

/* log of the sum of e^m over the row's classes */
static long double log_sum(int64_t row)
{
    long double most = margin_of(row, 0), sum = 0;
    for (int32_t c = 1; c < CLASSES; c++) most = fmaxl(most, margin_of(row, c));
    for (int32_t c = 0; c < CLASSES; c++) sum += expl(margin_of(row, c) - most);
    return most + logl(sum);
}

/* What rows must give: gradient, hessian, loss. */
typedef void want_one(int64_t row, int32_t output, long double want[3]);

static void want_multiclass(int64_t row, int32_t output, long double want[3])
{
    long double p = expl(margin_of(row, output) - log_sum(row));
    want[0] = p - (label[row] == (float)output ? 1.0L : 0.0L);
    want[1] = p * (1.0L - p) * CLASSES / (CLASSES - 1.0L);
    want[2] = log_sum(row) - margin_of(row, (int32_t)label[row]);
}

static void want_regression(int64_t row, int32_t output, long double want[3])
{
    want[0] = margin_of(row, output) - (long double)label[row];
    want[1] = 1.0L;
    want[2] = want[0] * want[0];
}

static void want_poisson(int64_t row, int32_t output, long double want[3])
{
    long double m = fminl(30.0L, fmaxl(-30.0L, margin_of(row, output))), y = (long double)label[row];
    want[0] = expl(m) - y;
    want[1] = expl(fminl(m + 0.7L, 30.0L));
    want[2] = expl(m) - y + (y > 0.0L ? y * (logl(y) - m) : 0.0L);
}

static void want_quantile(int64_t row, int32_t output, long double want[3])
{
    long double gap = (long double)label[row] - margin_of(row, output), q = (long double)QUANTILE;
    want[0] = gap > 0.0L ? -q : 1.0L - q;
    want[1] = 1.0L;
    want[2] = gap > 0.0L ? q * gap : (1.0L - q) * -gap;
}

typedef struct loops {
    ns_gradient_loop *gradient;
    ns_loss_loop *loss;
} loops;

static loops loops_of(const ns_level *l, want_one *want)
{
    if (want == want_multiclass) return (loops){l->gradient->multiclass, l->loss->multiclass};
    if (want == want_regression) return (loops){l->gradient->regression, l->loss->regression};
    if (want == want_poisson) return (loops){l->gradient->poisson, l->loss->poisson};
    return (loops){l->gradient->quantile, l->loss->quantile};
}

static ns_loss_rows loss_rows(bool weighted)
{
    return (ns_loss_rows){.margin = margin,
                          .label = label,
                          .weight = weighted ? weight : NULL,
                          .weight_scale = 0x1p-10,
                          .unit = 0x1p-26,
                          .scale = scale,
                          .n_outputs = CLASSES,
                          .stride = MAX_ROWS,
                          .top = top,
                          .norm = norm,
                          .quantile = QUANTILE};
}

static void check_gradients(int l, want_one *want, bool weighted, int64_t n, int32_t output)
{
    ns_gradient_rows rows = {.margin = margin + output * MAX_ROWS,
                             .label = label,
                             .weight = weighted ? weight : NULL,
                             .unit = 0x1p-26,
                             .g = g[l],
                             .h = h[l],
                             .output = output,
                             .n_outputs = CLASSES,
                             .top = top,
                             .norm = norm,
                             .quantile = QUANTILE};
    int64_t max[2] = {0, 0}, largest[2] = {0, 0};
    fill(g[l], sizeof g[l]);
    fill(h[l], sizeof h[l]);
    loops_of(levels[l], want).gradient(&rows, 0, n, max);
    for (int64_t i = 0; i < n; i++) {
        long double w = weighted ? (long double)weight[i] : 1.0L, values[3];
        want(i, output, values);
        /* of both terms of a difference a few units in the last place are lost */
        long double slack = 1e-15L * w * (fabsl(values[0]) + fabsl((long double)label[i]) + 1.0L);
        assert_true(fabsl((long double)g[l][i] - values[0] * w) <= slack);
        assert_true(fabsl((long double)h[l][i] - values[1] * w) <= 4e-15L * w * (values[1] + 0.1L));
        assert_true(h[l][i] >= 0.0);
        if ((int64_t)ns_bits(fabs(g[l][i])) > largest[0]) largest[0] = (int64_t)ns_bits(fabs(g[l][i]));
        if ((int64_t)ns_bits(h[l][i]) > largest[1]) largest[1] = (int64_t)ns_bits(h[l][i]);
    }
    assert_memory_equal(max, largest, sizeof max);
    check_guard(g[l], n);
    check_guard(h[l], n);
    assert_memory_equal(g[l], g[0], sizeof g[0]);
    assert_memory_equal(h[l], h[0], sizeof h[0]);
}

static ns_loss_sum check_losses(int l, want_one *want, bool weighted, int64_t n)
{
    ns_loss_rows rows = loss_rows(weighted);
    ns_loss_sum got = {0, 0};
    fill(top, sizeof top);
    fill(norm, sizeof norm);
    loops_of(levels[l], want).loss(&rows, 0, n, &got);
    long double sum = 0, values[3];
    for (int64_t i = 0; i < n; i++) {
        want(i, 0, values);
        sum += (weighted ? (long double)weight[i] * 0x1p-10L : 1.0L) * values[2];
    }
    long double mine = ((long double)got.high * 0x1p32L + (long double)got.low) / (long double)scale;
    assert_true(fabsl(mine - sum) <= 1e-9L * sum + (long double)n / (long double)scale);
    check_guard(top, want == want_multiclass ? n : 0);
    check_guard(norm, want == want_multiclass ? n : 0);
    return got;
}

static void check(want_one *want, float most_label, bool whole)
{
    make_rows(most_label, whole);
    scale = want == want_poisson ? 0x1p10 : 0x1p30; /* losses reach e^30 */
    for (int weighted = 0; weighted < 2; weighted++)
        for (size_t s = 0; s < N_SIZES; s++) {
            ns_loss_sum first = {0, 0};
            for (int l = 0; l < n_levels; l++) {
                ns_loss_sum got = check_losses(l, want, weighted != 0, sizes[s]);
                if (l == 0) first = got;
                assert_memory_equal(&got, &first, sizeof got);
            }
            for (int32_t output = 0; output < (want == want_multiclass ? CLASSES : 1); output += 2)
                for (int l = 0; l < n_levels; l++) check_gradients(l, want, weighted != 0, sizes[s], output);
        }
}

static void multiclass_is_softmax(void **state)
{
    (void)state;
    check(want_multiclass, (float)CLASSES, true);
}

static void regression_is_squares(void **state)
{
    (void)state;
    check(want_regression, 40.0f, false);
}

static void poisson_is_half_the_deviance(void **state)
{
    (void)state;
    check(want_poisson, 9.0f, true);
}

static void quantile_is_pinball(void **state)
{
    (void)state;
    check(want_quantile, 40.0f, false);
}

/* One row's loss never exceeds 2^62, whatever is lost. */
static void losses_are_capped(void **state)
{
    (void)state;
    scale = 0x1p30;
    label[0] = 3.4e38f;
    margin[0] = -(INT64_C(1) << 50);
    for (int l = 0; l < n_levels; l++) {
        ns_loss_rows rows = loss_rows(false);
        ns_loss_sum sum = {0, 0};
        levels[l]->loss->regression(&rows, 0, 1, &sum);
        assert_true(sum.high == INT64_C(1) << 30 && sum.low == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiclass_is_softmax),
        cmocka_unit_test(regression_is_squares),
        cmocka_unit_test(poisson_is_half_the_deviance),
        cmocka_unit_test(quantile_is_pinball),
        cmocka_unit_test(losses_are_capped),
    };
    return cmocka_run_group_tests(tests, find_levels, NULL);
}
