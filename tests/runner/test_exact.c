/* Doubles from 128-bit integers are rounded once, to even. */
#include "runner/metrics/exact.h"
#include "tests/check.h"

static void small_numbers_are_exact(void **state)
{
    (void)state;
    assert_true(ns_u128_to_double(0) == 0.0);
    assert_true(ns_u128_to_double(1) == 1.0);
    assert_true(ns_i128_to_double(-7) == -7.0);
    assert_true(ns_u128_to_double((ns_u128)UINT64_MAX) == 0x1p64);
    assert_true(ns_u128_to_double((ns_u128)1 << 127) == 0x1p127);
    assert_true(ns_u128_to_double(~(ns_u128)0) == 0x1p128);
    assert_true(ns_i128_to_double(-((ns_i128)1 << 126)) == -0x1p126);
}

/* 2^53 + 1 lies half way between two doubles; a bit far below it decides. */
static void halves_go_to_even_and_low_bits_count(void **state)
{
    (void)state;
    for (int shift = 0; shift <= 74; shift++) {
        ns_u128 half = (((ns_u128)1 << 53) + 1) << shift;
        double unit = 1.0;
        for (int i = 0; i < shift; i++) unit *= 2.0;
        assert_true(ns_u128_to_double(half) == 0x1p53 * unit);
        if (shift > 0) assert_true(ns_u128_to_double(half + 1) == (0x1p53 + 2.0) * unit);
        if (shift > 0) assert_true(ns_u128_to_double(half - 1) == 0x1p53 * unit);
        ns_u128 odd = (((ns_u128)1 << 53) + 3) << shift;
        assert_true(ns_u128_to_double(odd) == (0x1p53 + 4.0) * unit);
    }
}

static void roots(void **state)
{
    (void)state;
    assert_true(ns_square_root(0.0) == 0.0);
    assert_true(ns_square_root(2.0) == 0x1.6a09e667f3bcdp+0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_numbers_are_exact),
        cmocka_unit_test(halves_go_to_even_and_low_bits_count),
        cmocka_unit_test(roots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
