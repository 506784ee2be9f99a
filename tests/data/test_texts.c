#include "tests/check.h"

#include <stdbool.h>

#include "data/texts.h"

static void append(ns_texts *texts, const char *text)
{
    CHECK_OK(ns_texts_append(texts, text, (int64_t)strlen(text)));
}

static bool is_text(const ns_texts *texts, int64_t i, const char *want, int64_t n_bytes)
{
    return texts->offset[i + 1] - texts->offset[i] == n_bytes &&
           memcmp(texts->bytes + texts->offset[i], want, (size_t)n_bytes) == 0;
}

static void test_append(void **state)
{
    (void)state;
    ns_texts texts = {0};
    char word[16];
    CHECK_OK(ns_texts_append(&texts, NULL, 0));
    for (int i = 0; i < 5000; i++) {
        snprintf(word, sizeof word, "w%d", i);
        append(&texts, word);
    }
    CHECK_OK(ns_texts_append(&texts, "a\0b", 3));
    assert_int_equal(texts.n, 5002);
    assert_int_equal(texts.offset[0], 0);
    assert_true(is_text(&texts, 0, "", 0));
    assert_true(is_text(&texts, 1, "w0", 2));
    assert_true(is_text(&texts, 5000, "w4999", 5));
    assert_true(is_text(&texts, 5001, "a\0b", 3));
    ns_texts_clear(&texts);
    assert_int_equal(texts.n, 0);
    append(&texts, "again");
    assert_true(texts.n == 1 && is_text(&texts, 0, "again", 5));
    ns_texts_destroy(&texts);
    assert_true(texts.n == 0 && texts.offset == NULL && texts.bytes == NULL && texts.room == 0);
    ns_texts_destroy(&texts);
}

static void test_sort_by_bytes(void **state)
{
    (void)state;
    /* unsigned bytes; a shorter text first; a zero byte is a byte; first 8 bytes alike */
    static const struct {
        const char *text;
        int64_t n;
    } given[] = {{"b", 1},         {"\xc3\xa4", 2},  {"a", 1},          {"", 0},
                 {"longtext2", 9}, {"a", 1},         {"a\0b", 3},       {"a\0", 2},
                 {"longtext", 8},  {"longtext1", 9}, {"longtext\0", 9}, {"Z", 1},
                 {"", 0},          {"longtext1", 9}, {"\xff", 1},       {"\x7f", 1}},
      want[] = {{"", 0},     {"Z", 1},        {"a", 1},          {"a\0", 2},       {"a\0b", 3},
                {"b", 1},    {"longtext", 8}, {"longtext\0", 9}, {"longtext1", 9}, {"longtext2", 9},
                {"\x7f", 1}, {"\xc3\xa4", 2}, {"\xff", 1}};
    int64_t n_given = sizeof given / sizeof given[0], n_want = sizeof want / sizeof want[0];
    ns_texts texts = {0};
    for (int64_t i = 0; i < n_given; i++) CHECK_OK(ns_texts_append(&texts, given[i].text, given[i].n));
    CHECK_OK(ns_texts_sort_unique(&texts));
    assert_int_equal(texts.n, n_want);
    for (int64_t i = 0; i < n_want; i++) {
        assert_true(is_text(&texts, i, want[i].text, want[i].n));
        assert_int_equal(ns_texts_find(&texts, want[i].text, want[i].n), i);
        for (int64_t j = 0; j < n_want; j++) {
            int order = ns_texts_compare(&texts, i, &texts, j);
            assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
        }
    }
    static const char *const absent[] = {"A", "aa", "longtext0", "c", "\xff\xff", "lon"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        assert_int_equal(ns_texts_find(&texts, absent[i], (int64_t)strlen(absent[i])), -1);
    append(&texts, "0"); /* the sorted list still grows */
    CHECK_OK(ns_texts_sort_unique(&texts));
    assert_int_equal(ns_texts_find(&texts, "0", 1), 1);
    ns_texts_destroy(&texts);
}

static void test_sort_empty_and_sorted(void **state)
{
    (void)state;
    ns_texts texts = {0};
    CHECK_OK(ns_texts_sort_unique(&texts));
    assert_int_equal(texts.n, 0);
    assert_int_equal(ns_texts_find(&texts, "x", 1), -1);
    append(&texts, "x");
    CHECK_OK(ns_texts_sort_unique(&texts));
    append(&texts, "y");
    const char *bytes = texts.bytes;
    CHECK_OK(ns_texts_sort_unique(&texts));
    assert_ptr_equal(texts.bytes, bytes);
    ns_texts_clear(&texts);
    CHECK_OK(ns_texts_sort_unique(&texts));
    ns_texts_destroy(&texts);
}

static void test_sort_many(void **state)
{
    (void)state;
    enum { N = 20000, DISTINCT = 3001 };
    ns_texts texts = {0};
    char word[24];
    for (int64_t i = 0; i < N; i++) {
        snprintf(word, sizeof word, "%lld", (long long)(i * 7919 % DISTINCT));
        append(&texts, word);
    }
    CHECK_OK(ns_texts_sort_unique(&texts));
    assert_int_equal(texts.n, DISTINCT);
    for (int64_t i = 1; i < texts.n; i++) assert_true(ns_texts_compare(&texts, i - 1, &texts, i) < 0);
    for (int i = 0; i < DISTINCT; i++) {
        snprintf(word, sizeof word, "%d", i);
        assert_true(ns_texts_find(&texts, word, (int64_t)strlen(word)) >= 0);
    }
    ns_texts_destroy(&texts);
}

static void test_no_memory(void **state)
{
    (void)state;
    ns_texts texts = {0};
    append(&texts, "kept");
    CHECK_FAILS(ns_texts_append(&texts, "", INT64_MAX / 2), NS_ENOMEM, "2 texts");
    assert_true(texts.n == 1 && is_text(&texts, 0, "kept", 4));
    ns_texts_destroy(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_sort_by_bytes),
        cmocka_unit_test(test_sort_empty_and_sorted),
        cmocka_unit_test(test_sort_many),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
