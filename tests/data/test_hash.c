/* Digests against published vectors and values made with Python's hashlib. */
#include "tests/check.h"

#include <sodium.h>

#include "data/hash.h"

static void test_blake2b_and_sha256(void **state)
{
    (void)state;
    uint8_t digest[32];
    char hex[65];
    ns_blake2b(digest, "", 0);
    ns_hex(hex, digest, 32);
    assert_string_equal(hex, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    ns_blake2b(digest, "abc", 3);
    ns_hex(hex, digest, 32);
    assert_string_equal(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    ns_sha256_hex(hex, "", 0);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ns_sha256_hex(hex, "abc", 3);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_text_hashes(void **state)
{
    (void)state;
    assert_true(ns_hash64("", 0) == UINT64_C(0xb243e526c051570e));
    assert_true(ns_hash64("abc", 3) == UINT64_C(0x723942633c81ddbd));
    ns_hash128 hash = ns_hash128_of("abc", 3);
    assert_true(hash.lo == UINT64_C(0x723942633c81ddbd) && hash.hi == UINT64_C(0x9b5798ee3fef7131));
    assert_true(ns_hash64("ab\0c", 4) != ns_hash64("ab\0d", 4));
}

static void test_int_is_its_decimal_text(void **state)
{
    (void)state;
    static const int64_t values[] = {
        0, 1, -1, 9, 10, -10, 1234567890, INT64_MAX, INT64_MIN, INT64_MAX / 10, 99, 100, 101};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[32];
        size_t n = (size_t)snprintf(text, sizeof text, "%lld", (long long)values[i]);
        ns_hash128 want = ns_hash128_of(text, n), got = ns_hash128_of_int(values[i]);
        assert_true(want.hi == got.hi && want.lo == got.lo);
        assert_true(ns_hash64_of_int(values[i]) == ns_hash64(text, n));
    }
    ns_hash128 least = ns_hash128_of_int(INT64_MIN);
    assert_true(least.lo == UINT64_C(0xcb313fd48c85b854) && least.hi == UINT64_C(0xbbab612c20922dfd));
}

static void test_hex(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff, 0x1a};
    char out[12];
    memset(out, '#', sizeof out);
    ns_hex(out, bytes, sizeof bytes);
    assert_string_equal(out, "000ff0ff1a");
    assert_int_equal(out[11], '#');
    ns_hex(out, bytes, 0);
    assert_string_equal(out, "");
}

static void test_many_threads(void **state)
{
    (void)state;
    int wrong = 0;
#pragma omp parallel for reduction(+ : wrong) num_threads(4)
    for (int i = 0; i < 1000; i++) wrong += ns_hash64("abc", 3) != UINT64_C(0x723942633c81ddbd);
    assert_int_equal(wrong, 0);
}

/* As many messages as leave some over, of lengths with and without whole blocks, against one at a time. */
static void test_many_messages(void **state)
{
    (void)state;
    enum { MOST = 37, BYTES = 8192 };
    uint8_t *bytes = malloc(MOST * BYTES), got[MOST + 1][32], want[32];
    for (size_t i = 0; i < (size_t)MOST * BYTES; i++) bytes[i] = (uint8_t)(i * i * 31 + i / 257);
    static const size_t lengths[] = {0, 1, 127, 128, 129, 256, 4096, 8192};
    static const int64_t counts[] = {0, 1, 3, 4, 5, 8, 9, MOST};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            memset(got, 0xcc, sizeof got);
            ns_blake2b_each(got[0], bytes, lengths[l], counts[c]);
            for (int64_t i = 0; i < counts[c]; i++) {
                ns_blake2b(want, bytes + (size_t)i * lengths[l], lengths[l]);
                assert_memory_equal(got[i], want, 32);
            }
            assert_int_equal(got[counts[c]][0], 0xcc);
        }
    free(bytes);
}

/* Texts of every length to beyond a block, empty ones among them. */
static void test_many_texts(void **state)
{
    (void)state;
    enum { TEXTS = 700 };
    char *bytes = malloc(TEXTS * 300);
    int64_t offset[TEXTS + 1] = {0};
    uint64_t got[TEXTS + 1];
    ns_hash128 wide[TEXTS + 1];
    for (int i = 0; i < TEXTS; i++) {
        int64_t n = i % 7 == 3 ? 0 : i < 300 ? i : 9;
        for (int64_t b = 0; b < n; b++) bytes[offset[i] + b] = (char)(i * 7 + b * b);
        offset[i + 1] = offset[i] + n;
    }
    got[TEXTS] = wide[TEXTS].hi = 1234;
    ns_hash64_each(got, bytes, offset, TEXTS);
    ns_hash128_each(wide, bytes, offset, TEXTS);
    for (int i = 0; i < TEXTS; i++) {
        int64_t n = offset[i + 1] - offset[i];
        assert_true(got[i] == (n == 0 ? 0 : ns_hash64(bytes + offset[i], (size_t)n)));
        ns_hash128 want = n == 0 ? (ns_hash128){0, 0} : ns_hash128_of(bytes + offset[i], (size_t)n);
        assert_true(wide[i].lo == want.lo && wide[i].hi == want.hi);
    }
    assert_true(got[TEXTS] == 1234 && wide[TEXTS].hi == 1234);
    free(bytes);
}

/* As many as leave some over, of every number of digits. */
static void test_many_ints(void **state)
{
    (void)state;
    enum { INTS = 133 };
    int64_t values[INTS];
    ns_hash128 got[INTS + 1];
    uint64_t size = 1;
    for (int i = 0; i < INTS; i++) {
        values[i] = i % 11 == 5 ? INT64_MIN : i % 2 == 0 ? (int64_t)(size / 3) : -(int64_t)(size / 3);
        size = size > UINT64_MAX / 20 ? 1 : size * 3 + 1;
    }
    for (int missing = 0; missing < 2; missing++)
        for (int64_t n = 0; n <= INTS; n += 19) {
            got[n].lo = 77;
            ns_hash128_of_ints(got, values, n, missing ? NS_SMALLEST_IS_MISSING : NS_SMALLEST_IS_A_VALUE);
            for (int64_t i = 0; i < n; i++) {
                ns_hash128 want = missing && values[i] == INT64_MIN ? (ns_hash128){0, 0} : ns_hash128_of_int(values[i]);
                assert_true(got[i].lo == want.lo && got[i].hi == want.hi);
            }
            assert_true(got[n].lo == 77);
        }
}

/* In parts of any length, against libsodium. */
static void test_sha256_in_parts(void **state)
{
    (void)state;
    enum { BYTES = 5000 };
    uint8_t *bytes = malloc(BYTES), digest[32];
    char got[65], want[65];
    for (int i = 0; i < BYTES; i++) bytes[i] = (uint8_t)(i * 131 + i / 3);
    for (size_t n = 0; n < BYTES; n += n < 300 ? 1 : 97)
        for (size_t part = 1; part < 400; part = part * 3 + 1) {
            ns_sha256_stream *hash = ns_sha256_begin();
            for (size_t at = 0; at < n; at += part) ns_sha256_add(hash, bytes + at, n - at < part ? n - at : part);
            ns_sha256_end(&hash, got);
            crypto_hash_sha256(digest, bytes, n);
            ns_hex(want, digest, sizeof digest);
            assert_string_equal(got, want);
        }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_threads), cmocka_unit_test(test_blake2b_and_sha256),
        cmocka_unit_test(test_text_hashes),  cmocka_unit_test(test_int_is_its_decimal_text),
        cmocka_unit_test(test_hex), cmocka_unit_test(test_many_messages), cmocka_unit_test(test_many_texts), cmocka_unit_test(test_many_ints), cmocka_unit_test(test_sha256_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
