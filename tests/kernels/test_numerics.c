/* exp, log and sigmoid against long double, their ends, and the bits that every build must give. */
#include "tests/check.h"

#include <math.h>

#include "kernels/numerics.h"
#include "kernels/philox.h"
#include "tests/golden/recorded.h"

/* |got - want| in units of the last place of want; long double carries 11 bits more. */
static double ulps(double got, long double want)
{
    int e;
    frexpl(want, &e);
    return (double)(fabsl((long double)got - want) / ldexpl(1.0L, e - 53));
}

/* Uniform doubles in [0, 1) that are the same everywhere. */
static double uniform(uint64_t i)
{
    ns_stream stream = ns_stream_of(5, 77, 0, 0);
    ns_block block = ns_stream_block(&stream, i);
    return (double)(((uint64_t)block.word[0] << 21) ^ (block.word[1] >> 11)) * 0x1p-53;
}

static void exp_is_within_one_ulp(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < 2000000; i++) {
        double x = (uniform(i) - 0.5) * (i % 3 == 0 ? 1416.0 : i % 3 == 1 ? 40.0 : 1.0);
        double error = ulps(ns_exp(x), expl((long double)x));
        if (x > -708.0 && x < 709.0 && !(error <= worst)) worst = error;
    }
    assert_true(worst < 1.0); /* 0.97 measured */
    for (uint64_t i = 0; i < 100000;
         i++) { /* subnormal results: half a step of 2^-1074, and the error before */
        double x = -708.5 - 36.0 * uniform(i);
        assert_true(fabsl((long double)ns_exp(x) - expl((long double)x)) <= 0.6L * 0x1p-1074L + 0x1p-1075L);
    }
}

static void log_is_within_one_ulp(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < 2000000; i++) {
        double x = i % 2 == 0 ? 0.5 + 1.5 * uniform(i)
                              : ldexp(0.5 + uniform(i), (int)(uniform(i + 7) * 2000) - 1000);
        long double want = logl((long double)x);
        double error = want == 0.0L ? fabs(ns_log(x)) : ulps(ns_log(x), want);
        if (!(error <= worst)) worst = error;
    }
    assert_true(worst < 1.0); /* 0.85 measured */
    assert_true(ulps(ns_log(0x1p-1074), logl(0x1p-1074L)) < 1.0);
    assert_true(ulps(ns_log(0x1.8p-1060), logl(0x1.8p-1060L)) < 1.0);
}

static void sigmoid_and_log1p_exp_are_close(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 500000; i++) {
        double x = (uniform(i) - 0.5) * (i % 2 == 0 ? 1000.0 : 20.0);
        long double a = expl(-fabsl((long double)x));
        long double sigmoid = (x >= 0 ? 1.0L : a) / (1.0L + a);
        long double tail = (x > 0 ? (long double)x : 0.0L) + log1pl(a);
        assert_true(ulps(ns_sigmoid(x), sigmoid) < 3.0); /* exp, sum and quotient */
        assert_true(ulps(ns_log1p_exp(x), tail) < 4.0);
    }
}

static void ends_are_right(void **state)
{
    (void)state;
    assert_true(ns_exp(0.0) == 1.0 && ns_exp(-0.0) == 1.0);
    assert_true(isinf(ns_exp(710.0)) && isinf(ns_exp(INFINITY)) && ns_exp(709.78) < INFINITY);
    assert_true(ns_exp(-745.0) == 0x1p-1074 && ns_exp(-746.0) == 0.0 && ns_exp(-INFINITY) == 0.0);
    assert_true(isnan(ns_exp(NAN)) && isnan(ns_log(NAN)) && isnan(ns_log(-1.0)) && isnan(ns_log(-0x1p-1074)));
    assert_true(ns_log(1.0) == 0.0 && ns_log(0.0) == -INFINITY && ns_log(-0.0) == -INFINITY);
    assert_true(ns_log(INFINITY) == INFINITY && isnan(ns_log(-INFINITY)));
    assert_true(ns_sigmoid(0.0) == 0.5 && ns_sigmoid(800.0) == 1.0 && ns_sigmoid(-800.0) == 0.0);
    assert_true(ns_log1p_exp(-800.0) == 0.0 && ns_log1p_exp(1e6) == 1e6);
    assert_true(ns_risk(0, 1.0) == 0.5f);
    assert_true(ns_risk(INT64_C(1) << 40, 0x1p-26) == 1.0f - 0x1p-24f);
    assert_true(ns_risk(-(INT64_C(1) << 40), 0x1p-26) == 0x1p-24f);
}

static void rounding_is_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        double x;
        int64_t want;
    } cases[] = {{0.5, 0},
                 {1.5, 2},
                 {2.5, 2},
                 {-0.5, 0},
                 {-1.5, -2},
                 {-2.5, -2},
                 {0.49999999999999994, 0},
                 {1e15, 1000000000000000},
                 {0x1p51, INT64_C(1) << 51},
                 {0x1p51 + 0.5, INT64_C(1) << 51},
                 {0x1p51 + 1.5, (INT64_C(1) << 51) + 2},
                 {0x1p60, INT64_C(1) << 60},
                 {-0x1p61, -(INT64_C(1) << 61)},
                 {0x1p62, INT64_C(1) << 62},
                 {1e300, INT64_C(1) << 62},
                 {-INFINITY, -(INT64_C(1) << 62)},
                 {NAN, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ns_rne_i64(cases[i].x), cases[i].want);
        if (fabs(cases[i].x) >= 0x1p51 || cases[i].x != cases[i].x) continue;
        assert_int_equal(ns_small_rne_i64(cases[i].x), cases[i].want);
        assert_true(ns_rne(cases[i].x) == (double)cases[i].want);
    }
    assert_int_equal(ns_rne_i32(3e9), INT32_MAX);
    assert_int_equal(ns_rne_i32(-3e9), INT32_MIN);
    assert_int_equal(ns_rne_i32(NAN), 0);
    for (int64_t n = -1000003; n < 1000003; n += 7919)
        assert_true(ns_small_i64_to_f64(n * (1 << 30)) == (double)(n * (1 << 30)));
}

static void floor_is_clamped(void **state)
{
    (void)state;
    assert_int_equal(ns_floor_i32(-0.25), -1);
    assert_int_equal(ns_floor_i32(0.99), 0);
    assert_int_equal(ns_floor_i32(-4095.0), -4095);
    assert_int_equal(ns_floor_i32(1e300), 1 << 30);
    assert_int_equal(ns_floor_i32(-1e300), -(1 << 30));
    assert_int_equal(ns_floor_i32(NAN), -(1 << 30));
}

static void logarithms_of_two_are_exact(void **state)
{
    (void)state;
    assert_int_equal(ns_ceil_log2(1.0), 0);
    assert_int_equal(ns_ceil_log2(1.0 + 0x1p-52), 1);
    assert_int_equal(ns_ceil_log2(0.5), -1);
    assert_int_equal(ns_ceil_log2(0.75), 0);
    assert_int_equal(ns_ceil_log2(0x1p-1074), -1022);
    static const struct {
        int64_t n;
        int want;
    } cases[] = {
        {1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {INT64_C(1) << 40, 40}, {(INT64_C(1) << 40) + 1, 41}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ns_ceil_log2_i64(cases[i].n), cases[i].want);
}

static void keys_keep_order(void **state)
{
    (void)state;
    const float values[] = {-INFINITY, -1e30f, -1.5f, -0x1p-149f, 0.0f,
                            0x1p-149f, 1.0f,   1.5f,  1e30f,      INFINITY};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_true(ns_value_of_key(ns_key_of(values[i])) == values[i]);
        if (i > 0) assert_true(ns_key_of(values[i - 1]) < ns_key_of(values[i]));
    }
    assert_int_equal(ns_key_of(-0.0f), ns_key_of(0.0f));
    assert_false(signbit(ns_value_of_key(ns_key_of(-0.0f))));
}

/* Philox's known answers (random123, kat_vectors, philox4x32 with 10 rounds). */
static void philox_gives_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_block counter;
        memcpy(counter.word, cases[i].counter, sizeof counter.word);
        ns_block got = ns_philox(counter, cases[i].key[0], cases[i].key[1]);
        assert_memory_equal(got.word, cases[i].want, sizeof got.word);
    }
}

/* The header's derivation of keys and counters, spelled out. */
static void streams_follow_their_header(void **state)
{
    (void)state;
    ns_stream stream = ns_stream_of(UINT64_C(0x0123456789abcdef), NS_RANDOM_ROWS, 41, 3);
    ns_block counter = {{0x00000005, 0x00000002, 41, NS_RANDOM_ROWS | 3 << 8}};
    ns_block want = ns_philox(counter, 0x89abcdef, 0x01234567);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(ns_stream_word(&stream, UINT64_C(0x800000014) + i), want.word[i]);
    ns_stream inner = ns_stream_within(&stream, UINT64_C(0x200000005));
    assert_int_equal(inner.key[0], want.word[0]);
    assert_int_equal(inner.key[1], want.word[1]);
    assert_int_equal(inner.step, stream.step);
    assert_true(ns_path_hash(1, 0) != ns_path_hash(1, 1));
}

static uint64_t mixed(uint64_t hash, double x)
{
    return ns_path_hash(hash ^ ns_bits(x), 0);
}

/* The same bits from every compiler and at every level of optimisation: recorded once, see
 * NS_NUMERICS_VERSION. */
static void bits_are_the_recorded_ones(void **state)
{
    (void)state;
    uint64_t e = 0, l = 0, s = 0, p = 0;
    for (int i = -60000; i <= 60000; i++) {
        double x = (double)i / 80.0;
        e = mixed(e, ns_exp(x));
        s = mixed(s, ns_sigmoid(x));
        p = mixed(p, ns_log1p_exp(x));
        l = mixed(l, ns_log(ns_from_bits(UINT64_C(0x0000000000000001) +
                                         (uint64_t)(i + 60000) * UINT64_C(76800000000000))));
    }
    recorded_check_all("numerics", (uint64_t[]){e, l, s, p}, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_one_ulp),           cmocka_unit_test(log_is_within_one_ulp),
        cmocka_unit_test(sigmoid_and_log1p_exp_are_close), cmocka_unit_test(ends_are_right),
        cmocka_unit_test(rounding_is_to_nearest_even),     cmocka_unit_test(floor_is_clamped),
        cmocka_unit_test(logarithms_of_two_are_exact),     cmocka_unit_test(keys_keep_order),
        cmocka_unit_test(philox_gives_the_known_answers),  cmocka_unit_test(streams_follow_their_header),
        cmocka_unit_test(bits_are_the_recorded_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
