/* Decimals of float32 against the C library, which tries every length. */
#include <float.h>
#include <math.h>

#include "data/float_text.h"
#include "tests/check.h"

static uint64_t state_of_draws = 88172645463325252u;

static uint32_t draw(void)
{
    state_of_draws ^= state_of_draws << 13;
    state_of_draws ^= state_of_draws >> 7;
    state_of_draws ^= state_of_draws << 17;
    return (uint32_t)(state_of_draws >> 16);
}

static float of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Digits from the first that is not 0 to the last that is not 0; at least 1. */
static int n_digits(const char *text)
{
    int n = 0, zeros = 0;
    for (const char *c = text; *c != '\0' && *c != 'e'; c++) {
        if (*c < '0' || *c > '9' || (n == 0 && *c == '0')) continue;
        n++;
        zeros = *c == '0' ? zeros + 1 : 0;
    }
    return n - zeros > 0 ? n - zeros : 1;
}

static void check(float value)
{
    char text[NS_FLOAT_TEXT], shortest[32];
    int n = ns_float_text(text, value), digits = 1;
    assert_int_equal(n, (int)strlen(text));
    char *end;
    float back = strtof(text, &end);
    if (*end != '\0' || memcmp(&back, &value, sizeof back) != 0) fail_msg("%a is written as %s", (double)value, text);
    for (; digits < 9; digits++) {
        snprintf(shortest, sizeof shortest, "%.*e", digits - 1, (double)value);
        if (strtof(shortest, NULL) == value) break;
    }
    if (n_digits(text) > digits) fail_msg("%s is longer than %s", text, shortest);
}

static void drawn(void **state)
{
    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint32_t bits = draw();
        if (i % 3 == 0) bits = 0x3a000000 | (bits & 0x05ffffff); /* risks */
        if (i % 5 == 0) bits &= 0xff800000;                      /* powers of two: the gap below is half of that above */
        if (i % 7 == 0) bits &= 0x807fffff;                      /* below the smallest normal one */
        if (isfinite(of_bits(bits))) check(of_bits(bits));
    }
}

static void numbers(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        check((float)i);
        check((float)i / 100);
        check(-(float)i * 1000);
    }
    const float edges[] = {FLT_MIN, FLT_MAX, FLT_EPSILON, 1 / 3.0f, 16777216, 9999999, 1e9f, 1e10f, 1e-37f, 1e22f, 1e23f};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        check(edges[i]);
        check(nextafterf(edges[i], 0));
        check(nextafterf(edges[i], INFINITY) < INFINITY ? nextafterf(edges[i], INFINITY) : edges[i]);
    }
}

static void forms(void **state)
{
    (void)state;
    const struct {
        float value;
        const char *text;
    } cases[] = {{0, "0"},           {-0.0f, "-0"},          {1, "1"},          {0.1f, "0.1"},        {-2.5f, "-2.5"},   {138, "138"},       {100, "100"},
                 {0.00012345f, "0.00012345"}, {1e-5f, "0.00001"},     {1e-6f, "1e-06"},  {1.5e-7f, "1.5e-07"}, {1e15f, "1000000000000000"}, {1e16f, "1e+16"},   {5.9604645e-08f, "5.9604645e-08"},
                 {INFINITY, "inf"},  {-INFINITY, "-inf"},    {NAN, "nan"},      {3.4028235e38f, "3.4028235e+38"}, {of_bits(1), "1e-45"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[NS_FLOAT_TEXT];
        ns_float_text(text, cases[i].value);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(drawn), cmocka_unit_test(numbers), cmocka_unit_test(forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
