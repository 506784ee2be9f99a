/*
 * The inner loops of every instruction set that this processor has: against loops written here, with the same
 * bits from all of them. Outputs are followed by guard values.
 */
#include "tests/check.h"

#include <math.h>

#include "kernels/columns.h"
#include "kernels/level.h"
#include "tests/kernels/columns.h"

enum { MAX_ROWS = 70000, GUARD = 16 };
static const int64_t sizes[] = {0, 1, 31, 33, 257, 8191, MAX_ROWS};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static const ns_level *levels[3];
static int n_levels;

static int find_levels(void **state)
{
    (void)state;
    const char *names[] = {"baseline", "avx2", "avx512"};
    for (int i = 0; i < 3; i++) {
        const ns_level *level;
        ns_status status = ns_level_pick(&level, names[i]);
        if (status == NS_OK)
            levels[n_levels++] = level;
        else if (status != NS_EUNAVAILABLE)
            return 1;
        ns_error_clear();
    }
    return n_levels > 0 ? 0 : 1;
}

static uint32_t word_of(uint32_t purpose, int64_t i)
{
    ns_stream stream = ns_stream_of(9, purpose, 0, 0);
    return ns_stream_word(&stream, (uint64_t)i);
}

static void fill(void *block, size_t n_bytes)
{
    memset(block, 0xa5, n_bytes);
}

/* The guard behind n bytes of use is untouched. */
static void check_guard(const void *block, size_t used, size_t size)
{
    const unsigned char *bytes = block;
    for (size_t i = used; i < size; i++) assert_int_equal(bytes[i], 0xa5);
}

static void values_get_their_bins(void **state)
{
    (void)state;
    static float x[MAX_ROWS];
    static uint8_t out[(MAX_ROWS + GUARD) * 3];
    const int32_t n_cuts[] = {0, 1, 2, 127, 128, 253, 254};
    for (size_t c = 0; c < sizeof n_cuts / sizeof *n_cuts; c++)
        for (int l = 0; l < n_levels; l++) {
            float cuts[254];
            for (int32_t i = 0; i < n_cuts[c]; i++) cuts[i] = (float)(i - 40) / 4.0f;
            if (n_cuts[c] == 254) cuts[253] = INFINITY;
            ns_padded_cuts padded;
            ns_pad_cuts(&padded, cuts, n_cuts[c]);
            for (int64_t i = 0; i < MAX_ROWS; i++)
                x[i] = i % 7 == 0    ? NAN
                       : i % 11 == 0 ? -INFINITY
                       : i % 13 == 0 ? INFINITY
                       : i % 17 == 0 ? -0.0f
                                     : (float)(word_of(1, i) % 600) / 8.0f - 15.0f;
            for (int64_t step = 1; step <= 3; step += 2) {
                int64_t n = step == 1 ? MAX_ROWS : 1001;
                fill(out, sizeof out);
                levels[l]->bin->number(&padded, x, n, out, step);
                for (int64_t i = 0; i < n; i++) {
                    int32_t want = 0;
                    while (want < n_cuts[c] && cuts[want] < x[i]) want++;
                    assert_int_equal(out[i * step], isnan(x[i]) ? 0 : want + 1);
                    for (int64_t s = 1; s < step && i + 1 < n; s++) assert_int_equal(out[i * step + s], 0xa5);
                }
                check_guard(out, (size_t)((n - 1) * step + 1), sizeof out);
            }
        }
}

/* Rows for gradients and losses: margins beyond 16, both labels, weights over six orders of magnitude and 0.
 */
static int64_t margin[MAX_ROWS], row_number[MAX_ROWS];
static float label[MAX_ROWS], weight[MAX_ROWS];

static void make_rows(void)
{
    for (int64_t i = 0; i < MAX_ROWS; i++) {
        double m = (word_of(2, i) * 0x1p-32 - 0.5) * (i % 5 == 0 ? 90.0 : 6.0);
        margin[i] = i % 101 == 0 ? 0 : ns_rne_i64(m * 0x1p26);
        label[i] = (float)(word_of(3, i) & 1);
        weight[i] = i % 97 == 0 ? 0.0f : (float)pow(10.0, 6.0 * (word_of(4, i) * 0x1p-32) - 3.0);
        row_number[i] = i * 3 - i % 2 + (INT64_C(1) << 33);
    }
}

static ns_gradient_rows rows_of(const float *w, double *g, double *h)
{
    return (ns_gradient_rows){.margin = margin,
                              .label = label,
                              .weight = w,
                              .row_number = row_number,
                              .unit = 0x1p-26,
                              .g = g,
                              .h = h};
}

static void gradients_are_those_of_the_loss(void **state)
{
    (void)state;
    static double g[3][MAX_ROWS + GUARD], h[3][MAX_ROWS + GUARD];
    make_rows();
    for (int weighted = 0; weighted < 2; weighted++)
        for (size_t s = 0; s < N_SIZES; s++) {
            for (int l = 0; l < n_levels; l++) {
                fill(g[l], sizeof g[l]);
                fill(h[l], sizeof h[l]);
                ns_gradient_rows rows = rows_of(weighted ? weight : NULL, g[l], h[l]);
                int64_t max[2] = {0, 0}, want[2] = {0, 0};
                levels[l]->gradient->binary(&rows, 0, sizes[s], max);
                for (int64_t i = 0; i < sizes[s]; i++) {
                    long double m = (long double)margin[i] * 0x1p-26L,
                                w = weighted ? (long double)weight[i] : 1.0L;
                    long double up = 1.0L / (1.0L + expl(-m)), down = 1.0L / (1.0L + expl(m));
                    long double want_g = label[i] > 0.5f ? -down * w : up * w;
                    assert_true(fabsl((long double)g[l][i] - want_g) <= 1e-15L * fabsl(want_g));
                    assert_true(fabsl((long double)h[l][i] - up * down * w) <= 2e-15L * up * down * w);
                    if ((int64_t)ns_bits(fabs(g[l][i])) > want[0]) want[0] = (int64_t)ns_bits(fabs(g[l][i]));
                    if ((int64_t)ns_bits(h[l][i]) > want[1]) want[1] = (int64_t)ns_bits(h[l][i]);
                }
                assert_int_equal(max[0], want[0]);
                assert_int_equal(max[1], want[1]);
                check_guard(g[l], (size_t)sizes[s] * sizeof(double), sizeof g[l]);
                check_guard(h[l], (size_t)sizes[s] * sizeof(double), sizeof h[l]);
                assert_memory_equal(g[l], g[0], sizeof g[0]);
                assert_memory_equal(h[l], h[0], sizeof h[0]);
            }
        }
}

/* floor(x * scale + (r + 0.5) / 65536) in long double, where nothing rounds. */
static int64_t slow_round(double x, double scale, uint32_t r)
{
    return (int64_t)floorl((long double)x * (long double)scale + ((long double)r + 0.5L) / 65536.0L);
}

static void rounding_is_that_of_the_header(void **state)
{
    (void)state;
    static double g[MAX_ROWS], h[MAX_ROWS];
    static int32_t narrow[MAX_ROWS + GUARD];
    static int64_t wide[MAX_ROWS + GUARD];
    make_rows();
    for (int weighted = 0; weighted < 2; weighted++) {
        ns_gradient_rows rows = rows_of(weighted ? weight : NULL, g, h);
        int64_t max[2] = {0, 0};
        levels[0]->gradient->binary(&rows, 0, MAX_ROWS, max);
        double max_g = ns_from_bits((uint64_t)max[0]), max_h = ns_from_bits((uint64_t)max[1]);
        for (int l = 0; l < n_levels; l++)
            for (size_t s = 0; s < N_SIZES; s++) {
                ns_rounding how = {ns_scale_within(max_g, 12), ns_scale_within(max_h, 12),
                                   ns_stream_of(5, NS_RANDOM_GRADIENT, 17, 0)};
                fill(narrow, sizeof narrow);
                fill(wide, sizeof wide);
                levels[l]->gradient->round_narrow(&rows, &how, 0, sizes[s], narrow);
                ns_rounding how_wide = {ns_scale_within(max_g, 30), ns_scale_within(max_h, 24), how.stream};
                levels[l]->gradient->round_wide(&rows, &how_wide, 0, sizes[s], wide);
                for (int64_t i = 0; i < sizes[s]; i++) {
                    uint32_t r = ns_stream_word(&how.stream, (uint64_t)row_number[i]);
                    int64_t q_g = slow_round(g[i], how.scale_g, r & 0xffff),
                            q_h = slow_round(h[i], how.scale_h, r >> 16);
                    assert_true(llabs(q_g) <= 4095 && q_h >= 0 && q_h <= 4095);
                    assert_int_equal(narrow[i], q_g * 4096 + q_h);
                    /* In double the sum may round up to the next integer where long double's does not. */
                    int64_t w_g = wide[i] >> 32, w_h = wide[i] & INT64_C(0xffffffff);
                    assert_true(llabs(w_g) < 1 << 30 && w_h < 1 << 24);
                    assert_true(llabs(w_g - slow_round(g[i], how_wide.scale_g, r & 0xffff)) <= 1);
                    assert_true(llabs(w_h - slow_round(h[i], how_wide.scale_h, r >> 16)) <= 1);
                    if (weighted && weight[i] == 0.0f) assert_true(narrow[i] == 0 && wide[i] == 0);
                }
                check_guard(narrow, (size_t)sizes[s] * sizeof *narrow, sizeof narrow);
                check_guard(wide, (size_t)sizes[s] * sizeof *wide, sizeof wide);
            }
    }
}

static void scales_are_the_largest_in_range(void **state)
{
    (void)state;
    const double maxima[] = {1.0, 0.5, 0.99999, 1e-300, 1e300, 4095.0, 4095.5, 4096.0, 0x1p-1074, 3.7e-5};
    const int bits[] = {12, 24, 30};
    for (size_t i = 0; i < sizeof maxima / sizeof *maxima; i++)
        for (int b = 0; b < 3; b++) {
            double s = ns_scale_within(maxima[i], bits[b]), limit = ldexp(1.0, bits[b]) - 1.0;
            int e;
            assert_true(frexp(s, &e) == 0.5);
            assert_true(maxima[i] * s <= limit);
            assert_true(2.0 * maxima[i] * s > limit || s == ldexp(1.0, 1000));
        }
    assert_true(ns_scale_within(0.0, 12) == 1.0);
}

static void check_planes(ns_planes got, const ns_cell *want, int64_t n_bins)
{
    for (int64_t b = 0; b < n_bins; b++)
        assert_true(got.g[b] == want[b].g && got.h[b] == want[b].h && got.n[b] == want[b].n);
}

static void histograms_are_sums(void **state)
{
    (void)state;
    static uint8_t tile[MAX_ROWS * NS_LANES];
    static uint32_t row[NS_HISTOGRAM_ROWS];
    static int32_t narrow[MAX_ROWS];
    static int64_t wide[MAX_ROWS];
    static uint64_t add[2 * NS_HISTOGRAM_ROWS], sums[NS_LANES * NS_BYTE_BINS * 2];
    static ns_cell want[NS_BYTE_BINS];
    static int64_t block[3 * NS_BYTE_BINS];
    static uint64_t packed[NS_BYTE_BINS];
    for (int64_t i = 0; i < (int64_t)sizeof tile; i++)
        tile[i] = (uint8_t)(i % 3 == 0 ? 7 : word_of(5, i) & 255);
    for (int64_t i = 0; i < MAX_ROWS;
         i++) { /* extremes first: 8191 rows of them must not overflow a packed word */
        int64_t g = i < 9000 ? -4095 : i < 18000 ? 4095 : (int64_t)(word_of(6, i) % 8191) - 4095;
        int64_t h = i < 18000 ? 4095 : (int64_t)(word_of(7, i) % 4096);
        narrow[i] = (int32_t)(g * 4096 + h);
        wide[i] = g * (INT64_C(1) << 50) + (h << 12 | 4095);
    }
    for (int l = 0; l < n_levels; l++)
        for (int first = 0; first < 36000; first += 9000)
            for (int32_t n_lanes = 1; n_lanes <= NS_LANES; n_lanes += 5)
                for (int way = 0; way < 4; way++) {
                    const ns_histogram_loops *loops = levels[l]->histogram;
                    bool is_wide = way % 2 != 0, from_first = way < 2;
                    int64_t n = first == 27000 ? 33 : NS_HISTOGRAM_ROWS;
                    for (int64_t i = 0; i < n; i++) row[i] = (uint32_t)(first + i);
                    ns_tile_view view = {.bytes = tile, .step = NS_LANES, .n_lanes = n_lanes};
                    for (int32_t c = 0; c < n_lanes; c++) view.lane[c] = (uint8_t)(from_first ? c : NS_LANES - n_lanes + c);
                    memset(sums, 0, sizeof sums);
                    if (is_wide) {
                        loops->gather_wide(wide, row, n, add);
                        loops->tile_wide(&view, row, add, n, sums);
                    } else {
                        loops->gather_narrow(narrow, row, n, add);
                        loops->tile_narrow(&view, row, add, n, sums);
                    }
                    for (int32_t c = 0; c < n_lanes; c++) {
                        ns_planes got = ns_planes_in(block, NS_BYTE_BINS);
                        memset(block, 0, sizeof block);
                        memset(packed, 0, sizeof packed);
                        memset(want, 0, sizeof want);
                        for (int64_t i = 0; i < n; i++) {
                            ns_cell *cell = &want[tile[(int64_t)row[i] * NS_LANES + view.lane[c]]];
                            int64_t w = is_wide ? wide[row[i]] : narrow[row[i]];
                            int64_t unit = is_wide ? INT64_C(1) << 32 : 4096, h = ((w % unit) + unit) % unit;
                            cell->g += (w - h) / unit;
                            cell->h += h;
                            cell->n++;
                        }
                        if (is_wide)
                            loops->flush_wide(sums + 2 * c * NS_BYTE_BINS, NS_BYTE_BINS, got);
                        else if (c % 2 == 0)
                            loops->flush_narrow(sums + c * NS_BYTE_BINS, NS_BYTE_BINS, got);
                        else
                            loops->flush_packed(sums + c * NS_BYTE_BINS, NS_BYTE_BINS, packed);
                        if (!is_wide && c % 2 != 0) loops->unpack(packed, NS_BYTE_BINS, got);
                        check_planes(got, want, NS_BYTE_BINS);
                        if (is_wide) continue;
                        loops->pack(got, NS_BYTE_BINS, packed);
                        memset(block, 0xa5, sizeof block);
                        loops->unpack(packed, NS_BYTE_BINS, got);
                        check_planes(got, want, NS_BYTE_BINS);
                    }
                    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) assert_int_equal(sums[i], 0);
                }
}

/* A column of 16-bit bins over rows [0, n), in pieces of NS_HISTOGRAM_ROWS. */
static void add_column(const ns_histogram_loops *loops, const uint16_t *bin, const void *words, bool is_wide, int64_t n,
                       ns_planes planes, int32_t n_bins)
{
    static uint64_t add[2 * NS_HISTOGRAM_ROWS], sums[2 * 3000];
    static uint32_t row[NS_HISTOGRAM_ROWS];
    for (int64_t from = 0; from < n; from += NS_HISTOGRAM_ROWS) {
        int64_t here = n - from < NS_HISTOGRAM_ROWS ? n - from : NS_HISTOGRAM_ROWS;
        for (int64_t i = 0; i < here; i++) row[i] = (uint32_t)(from + i);
        if (is_wide) {
            loops->gather_wide(words, row, here, add);
            loops->column_wide(bin, row, add, here, sums);
            loops->flush_wide(sums, n_bins, planes);
        } else {
            loops->gather_narrow(words, row, here, add);
            loops->column_narrow(bin, row, add, here, sums);
            loops->flush_narrow(sums, n_bins, planes);
        }
    }
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) assert_int_equal(sums[i], 0);
}

static void wide_columns_and_siblings_are_sums(void **state)
{
    (void)state;
    enum { BINS = 3000, ROWS = 20000 };
    static uint16_t bin[ROWS];
    static int32_t narrow[ROWS];
    static int64_t wide[ROWS];
    static int64_t part[3 * BINS], all[3 * BINS + 1];
    static ns_cell want[BINS];
    for (int64_t i = 0; i < ROWS; i++) {
        bin[i] = (uint16_t)(word_of(8, i) % BINS);
        narrow[i] = ((int32_t)(word_of(6, i) % 8191) - 4095) * 4096 + (int32_t)(word_of(7, i) % 4096);
        wide[i] = ((int64_t)(word_of(6, i) % 8191) - 4095) * (INT64_C(1) << 50) + (word_of(7, i) % 4096);
    }
    for (int l = 0; l < n_levels; l++)
        for (int is_wide = 0; is_wide < 2; is_wide++) {
            const ns_histogram_loops *loops = levels[l]->histogram;
            int64_t unit = is_wide ? INT64_C(1) << 32 : 4096, n_part = ROWS / 3;
            memset(part, 0, sizeof part);
            memset(all, 0, sizeof all);
            memset(want, 0, sizeof want);
            for (int64_t i = n_part; i < ROWS; i++) {
                int64_t w = is_wide ? wide[i] : narrow[i], h = ((w % unit) + unit) % unit;
                ns_cell *to = &want[bin[i]];
                *to = (ns_cell){to->g + (w - h) / unit, to->h + h, to->n + 1};
            }
            const void *words = is_wide ? (const void *)wide : (const void *)narrow;
            add_column(loops, bin, words, is_wide, n_part, ns_planes_in(part, BINS), BINS);
            add_column(loops, bin, words, is_wide, ROWS, ns_planes_in(all, BINS), BINS);
            loops->subtract((uint64_t *)all, (const uint64_t *)part, 3 * BINS);
            check_planes(ns_planes_in(all, BINS), want, BINS);
            assert_int_equal(all[3 * BINS], 0);
        }
}

/* Packed words of up to NS_HISTOGRAM_ROWS rows subtract as they are, whatever their signs. */
static void packed_siblings_subtract(void **state)
{
    (void)state;
    enum { BINS = 257 };
    static uint64_t parent[BINS], child[BINS];
    static int64_t block[3 * BINS], child_block[3 * BINS];
    static ns_cell want[BINS];
    ns_planes planes = ns_planes_in(block, BINS), child_planes = ns_planes_in(child_block, BINS);
    for (int32_t b = 0; b < BINS; b++) {
        int64_t n = word_of(10, b) % (NS_HISTOGRAM_ROWS + 1), taken = n == 0 ? 0 : word_of(11, b) % (uint32_t)n;
        int64_t unit = b % 3 == 0 ? 4095 : b % 3 == 1 ? -4095 : (int64_t)(word_of(12, b) % 8191) - 4095;
        int64_t other = b % 5 == 0 ? -unit : unit;
        planes.g[b] = taken * unit + (n - taken) * other;
        planes.h[b] = n * 4095;
        planes.n[b] = n;
        child_planes.g[b] = taken * unit;
        child_planes.h[b] = taken * 4095;
        child_planes.n[b] = taken;
        want[b] = (ns_cell){(n - taken) * other, (n - taken) * 4095, n - taken};
    }
    for (int l = 0; l < n_levels; l++) {
        const ns_histogram_loops *loops = levels[l]->histogram;
        static int64_t got[3 * BINS];
        loops->pack(planes, BINS, parent);
        loops->pack(child_planes, BINS, child);
        loops->subtract(parent, child, BINS);
        loops->unpack(parent, BINS, ns_planes_in(got, BINS));
        check_planes(ns_planes_in(got, BINS), want, BINS);
    }
}

/* Columns of few bins share lanes; what is turned and folded is what the columns say. */
static void lanes_hold_their_columns(void **state)
{
    (void)state;
    enum { FEATURES = 40, ROWS = 1001, BYTES = 38 };
    static uint8_t bytes[BYTES * ROWS], tiles[3 * ROWS * NS_LANES];
    static uint64_t sums[2 * NS_BYTE_BINS], folded[2 * NS_BYTE_BINS], want[2 * NS_BYTE_BINS];
    static ns_lane lanes[BYTES];
    int32_t n_bins[FEATURES], place[FEATURES], next = 0;
    for (int32_t f = 0; f < FEATURES; f++) {
        n_bins[f] = f < 12 ? 2 : f < 20 ? 3 + f % 4 : f < 30 ? 12 + f : f < 38 ? 250 + f % 7 : 300;
        place[f] = f < 38 ? next++ : 37 - f;
    }
    ns_bins bins = {.n_rows = ROWS, .n_train = ROWS - 1, .n_features = FEATURES, .n_bytes = BYTES, .place = place,
                    .bytes = bytes, .lane = lanes, .tiles = tiles};
    for (int32_t f = 0; f < BYTES; f++)
        for (int64_t i = 0; i < ROWS; i++) bytes[f * ROWS + i] = (uint8_t)(word_of(13 + (uint32_t)f, i) % (uint32_t)n_bins[f]);
    ns_bins_share_lanes(&bins, n_bins);
    assert_true(bins.n_lanes < 24 && bins.n_tiles == (bins.n_lanes + NS_LANES - 1) / NS_LANES && bins.n_tiles <= 3);
    for (int l = 0; l < n_levels; l++) {
        int32_t seen = 0;
        fill(tiles, sizeof tiles);
        for (int32_t t = 0; t < bins.n_tiles; t++) {
            levels[l]->bin->tile(&bins, t, 0, 300);
            levels[l]->bin->tile(&bins, t, 300, ROWS - 1);
        }
        check_guard(tiles, (size_t)(bins.n_tiles * (ROWS - 1) * NS_LANES), sizeof tiles);
        for (int32_t at = 0; at < bins.n_tiles * NS_LANES; at++) {
            int64_t step;
            const uint8_t *tile = ns_bins_tile(&bins, at / NS_LANES, &step) + at % NS_LANES;
            assert_int_equal(step, (bins.n_tiles < 4 ? bins.n_tiles : 4) * NS_LANES);
            if (at >= bins.n_lanes) {
                for (int64_t i = 0; i < ROWS - 1; i++) assert_int_equal(tile[i * step], 0);
                continue;
            }
            const ns_lane *lane = &lanes[at];
            assert_true(lane->n_bins <= NS_BYTE_BINS);
            memset(sums, 0, sizeof sums);
            for (int64_t i = 0; i < ROWS - 1; i++) {
                sums[tile[i * step]] += (uint64_t)i;
                assert_true(tile[i * step] < lane->n_bins);
            }
            for (int32_t k = 0; k < lane->n_columns; k++, seen++) {
                int32_t f = lane->feature[k];
                memset(want, 0, sizeof want);
                fill(folded, sizeof folded);
                for (int64_t i = 0; i < ROWS - 1; i++) want[bytes[place[f] * ROWS + i]] += (uint64_t)i;
                levels[l]->histogram->fold_narrow(sums, lane->n_bins, lane->stride[k], n_bins[f], folded);
                assert_memory_equal(folded, want, (size_t)n_bins[f] * sizeof *want);
                check_guard(folded, (size_t)n_bins[f] * sizeof *folded, sizeof folded);
            }
        }
        assert_int_equal(seen, BYTES);
        for (int32_t i = 0; i < 12; i++) sums[i] = (uint64_t)(i * i + 1);
        levels[l]->histogram->fold_wide(sums, 6, 2, 3, folded);
        for (int32_t b = 0; b < 3; b++)
            for (int w = 0; w < 2; w++) assert_int_equal(folded[2 * b + w], sums[4 * b + w] + sums[4 * b + 2 + w]);
    }
}

static void rows_part_and_keep_their_order(void **state)
{
    (void)state;
    static uint8_t column[MAX_ROWS];
    static uint16_t bin[MAX_ROWS];
    static uint32_t row[MAX_ROWS], out[MAX_ROWS + GUARD], left[MAX_ROWS + GUARD], right[MAX_ROWS + GUARD];
    uint8_t table[NS_BYTE_BINS];
    uint32_t set[NS_BYTE_BINS / 32] = {0};
    for (int64_t i = 0; i < MAX_ROWS; i++) {
        bin[i] = (uint16_t)(word_of(8, i) & 255);
        column[i] = (uint8_t)bin[i];
        row[i] = (uint32_t)(MAX_ROWS - 1 - i);
    }
    for (int share = 0; share <= 4; share++) {
        for (int b = 0; b < NS_BYTE_BINS; b++) {
            table[b] = word_of(9, b) % 4 < (uint32_t)share;
            set[b / 32] = (set[b / 32] & ~(1u << b % 32)) | (uint32_t)table[b] << b % 32;
        }
        for (int l = 0; l < n_levels; l++)
            for (size_t s = 0; s < N_SIZES; s++)
                for (int is_wide = 0; is_wide < 2; is_wide++) {
                    const ns_partition_loops *loops = levels[l]->partition;
                    int64_t n = sizes[s], at_left = 0, at_right = 0;
                    fill(out, sizeof out);
                    fill(left, sizeof left);
                    fill(right, sizeof right);
                    int64_t n_left = is_wide ? loops->wide(bin, set, row, n, out)
                                             : loops->bytes(column, table, row, n, out);
                    loops->place(out, n, n_left, left, right);
                    for (int64_t i = 0; i < n; i++) {
                        if (table[bin[row[i]]])
                            assert_int_equal(left[at_left++], row[i]);
                        else
                            assert_int_equal(right[at_right++], row[i]);
                    }
                    assert_int_equal(at_left, n_left);
                    check_guard(out, (size_t)n * sizeof *out, sizeof out);
                    check_guard(left, (size_t)at_left * sizeof *left, sizeof left);
                    check_guard(right, (size_t)at_right * sizeof *right, sizeof right);
                }
    }
}

static void leaves_are_summed(void **state)
{
    (void)state;
    enum { LEAVES = 31 };
    static double g[MAX_ROWS], h[MAX_ROWS];
    static int32_t leaf[MAX_ROWS];
    make_rows();
    int64_t max[2] = {0, 0};
    ns_gradient_rows rows = rows_of(weight, g, h);
    levels[0]->gradient->binary(&rows, 0, MAX_ROWS, max);
    ns_leaf_scales scales =
        ns_leaf_scales_of(ns_from_bits((uint64_t)max[0]), ns_from_bits((uint64_t)max[1]), MAX_ROWS);
    for (int64_t i = 0; i < MAX_ROWS; i++) leaf[i] = (int32_t)(word_of(10, i) % LEAVES);
    for (int l = 0; l < n_levels; l++)
        for (size_t s = 0; s < N_SIZES; s++) {
            ns_cell got[LEAVES + 1] = {{0, 0, 0}}, want[LEAVES + 1] = {{0, 0, 0}};
            levels[l]->leaf->sum(g, h, leaf, 0, sizes[s], &scales, got);
            for (int64_t i = 0; i < sizes[s]; i++) {
                want[leaf[i]].g += llrint(g[i] * scales.g);
                want[leaf[i]].h += llrint(h[i] * scales.h);
                want[leaf[i]].n++;
            }
            assert_memory_equal(got, want, sizeof want);
        }
}

static void leaf_values_follow_the_formula(void **state)
{
    (void)state;
    ns_leaf_scales scales = ns_leaf_scales_of(1.0, 0.25, 1000);
    assert_true(scales.g == 0x1p40 && scales.h == 0x1p42);
    ns_leaf_scales many = ns_leaf_scales_of(0.75, 0.0, (INT64_C(1) << 31) + 1);
    assert_true(many.g == 0x1p30 && many.h == 1.0);
    ns_leaf_rule rule = {.learning_rate = 0.1, .l1 = 0.0, .l2 = 1.0};
    ns_cell sum = {-(INT64_C(3) << 40), INT64_C(2) << 42, 10};
    assert_int_equal(ns_leaf_units(ns_leaf_step(&sum, &scales, &rule), 26), (int32_t)nearbyint(0.1 * 3.0 / 3.0 * 0x1p26));
    rule.l1 = 1.0;
    assert_int_equal(ns_leaf_units(ns_leaf_step(&sum, &scales, &rule), 26), (int32_t)nearbyint(0.1 * 2.0 / 3.0 * 0x1p26));
    rule.l1 = 4.0;
    assert_int_equal(ns_leaf_units(ns_leaf_step(&sum, &scales, &rule), 26), 0);
    rule = (ns_leaf_rule){.learning_rate = 1.0};
    sum = (ns_cell){-(INT64_C(1) << 50), 1, 10};
    assert_int_equal(ns_leaf_units(ns_leaf_step(&sum, &scales, &rule), 26), INT32_MAX);
    sum.g = -sum.g;
    assert_int_equal(ns_leaf_units(ns_leaf_step(&sum, &scales, &rule), 26), INT32_MIN);
    sum = (ns_cell){5, 0, 10};
    assert_int_equal(ns_leaf_units(ns_leaf_step(&sum, &scales, &rule), 26), 0); /* H + l2 = 0 */
}

static void losses_are_those_of_the_margin(void **state)
{
    (void)state;
    static int64_t moved[MAX_ROWS + GUARD];
    static int32_t leaf[MAX_ROWS];
    const int32_t value[3] = {-12345678, 0, 98765432};
    make_rows();
    for (int64_t i = 0; i < MAX_ROWS; i++) leaf[i] = (int32_t)(i % 3);
    for (int weighted = 0; weighted < 2; weighted++)
        for (size_t s = 0; s < N_SIZES; s++) {
            ns_loss_sum first = {0, 0};
            for (int l = 0; l < n_levels; l++) {
                fill(moved, sizeof moved);
                memcpy(moved, margin, (size_t)sizes[s] * sizeof *moved);
                levels[l]->loss->add(moved, leaf, value, 0, sizes[s]);
                check_guard(moved, (size_t)sizes[s] * sizeof *moved, sizeof moved);
                ns_loss_rows rows = {.margin = moved,
                                     .label = label,
                                     .weight = weighted ? weight : NULL,
                                     .weight_scale = 0x1p-10,
                                     .unit = 0x1p-26,
                                     .scale = 0x1p40};
                ns_loss_sum got = {0, 0};
                levels[l]->loss->binary(&rows, 0, sizes[s], &got);
                long double want = 0;
                for (int64_t i = 0; i < sizes[s]; i++) {
                    assert_int_equal(moved[i], margin[i] + value[i % 3]);
                    long double m = (long double)moved[i] * 0x1p-26L;
                    if (label[i] > 0.5f) m = -m;
                    want += (weighted ? (long double)weight[i] * 0x1p-10L : 1.0L) *
                            (fmaxl(m, 0) + log1pl(expl(-fabsl(m))));
                }
                long double sum = ((long double)got.high * 0x1p32L + (long double)got.low) * 0x1p-40L;
                assert_true(fabsl(sum - want) <= 1e-9L * want);
                if (l == 0) first = got;
                assert_memory_equal(&got, &first, sizeof got);
            }
        }
}

static void samples_of_columns_are_the_smallest_words(void **state)
{
    (void)state;
    enum { N = 1000 };
    static int32_t from[N], got[N + 1];
    static uint64_t keys[2 * N];
    ns_stream stream = ns_stream_of(3, NS_RANDOM_COLUMNS_TREE, 8, 0);
    for (int32_t i = 0; i < N; i++) from[i] = 3 * i;
    const int32_t counts[] = {0, 1, 2, 31, 33, 257, N};
    const double fractions[] = {1e-9, 0.1, 0.5, 0.999, 1.0};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t f = 0; f < sizeof fractions / sizeof *fractions; f++) {
            int32_t n = counts[c], want = (int32_t)floor(fractions[f] * n + 0.5), at = 0;
            if (want < 1) want = 1;
            if (n == 0) want = 0;
            fill(got, sizeof got);
            assert_int_equal(ns_columns_sample(&stream, from, n, fractions[f], keys, got), want);
            for (int32_t i = 0; i < n; i++) {
                int32_t smaller = 0;
                uint32_t mine = ns_stream_word(&stream, (uint64_t)from[i]);
                for (int32_t o = 0; o < n; o++) {
                    uint32_t other = ns_stream_word(&stream, (uint64_t)from[o]);
                    smaller += other < mine || (other == mine && o < i);
                }
                if (smaller < want) assert_int_equal(got[at++], from[i]);
            }
            assert_int_equal(at, want);
            check_guard(got, (size_t)want * sizeof *got, sizeof got);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_get_their_bins),
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(rounding_is_that_of_the_header),
        cmocka_unit_test(scales_are_the_largest_in_range),
        cmocka_unit_test(histograms_are_sums),
        cmocka_unit_test(wide_columns_and_siblings_are_sums),
        cmocka_unit_test(packed_siblings_subtract),
        cmocka_unit_test(lanes_hold_their_columns),
        cmocka_unit_test(rows_part_and_keep_their_order),
        cmocka_unit_test(leaves_are_summed),
        cmocka_unit_test(leaf_values_follow_the_formula),
        cmocka_unit_test(losses_are_those_of_the_margin),
        cmocka_unit_test(samples_of_columns_are_the_smallest_words),
    };
    return cmocka_run_group_tests(tests, find_levels, NULL);
}
