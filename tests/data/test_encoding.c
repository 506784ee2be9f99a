#include "tests/check.h"

#include "data/encoding.h"

static ns_texts list(const char *const *words, int n)
{
    ns_texts texts = {0};
    for (int i = 0; i < n; i++) CHECK_OK(ns_texts_append(&texts, words[i], (int64_t)strlen(words[i])));
    return texts;
}

static void test_learn_and_map(void **state)
{
    (void)state;
    static const char *const words[] = {"", "a", "b", "c", "d", "e"}, *const tonight[] = {"",  "a", "aa",
                                                                                          "c", "d", "f"};
    static const int64_t rows[] = {20, 100, 19, 50, 20, 500}, patients[] = {15, 10, 19, 11, 20, 11};
    ns_texts levels = list(words, 6), other = list(tonight, 6), none = {0};
    ns_encoding encoding;
    int64_t n_dropped = -1;
    int32_t bin_of[6];

    CHECK_OK(ns_encoding_learn(&encoding, &levels, rows, NULL, 20, 0, &n_dropped));
    assert_int_equal(n_dropped, 0);
    assert_int_equal(encoding.levels.n, 5);
    ns_encoding_map(&encoding, &levels, bin_of);
    assert_memory_equal(bin_of, ((int32_t[]){2, 3, NS_BIN_OTHER, 4, 5, 6}), sizeof bin_of);
    ns_encoding_map(&encoding, &other, bin_of);
    assert_memory_equal(bin_of, ((int32_t[]){2, 3, NS_BIN_OTHER, 4, 5, NS_BIN_OTHER}), sizeof bin_of);
    ns_encoding_map(&encoding, &none, bin_of);
    ns_encoding_destroy(&encoding);

    CHECK_OK(ns_encoding_learn(&encoding, &levels, rows, patients, 20, 11, NULL));
    ns_encoding_map(&encoding, &levels, bin_of);
    assert_memory_equal(bin_of, ((int32_t[]){2, 1, 1, 3, 4, 5}), sizeof bin_of);
    ns_encoding_destroy(&encoding);
    assert_int_equal(encoding.levels.n, 0);

    CHECK_OK(ns_encoding_learn(&encoding, &none, NULL, NULL, 20, 11, NULL));
    ns_encoding_map(&encoding, &levels, bin_of);
    for (int i = 0; i < 6; i++) assert_int_equal(bin_of[i], NS_BIN_OTHER);
    ns_encoding_destroy(&encoding);
    ns_texts_destroy(&levels);
    ns_texts_destroy(&other);
}

/* min_rows 0 does not bring in levels that no training row has. */
static void test_levels_without_rows(void **state)
{
    (void)state;
    static const char *const words[] = {"a", "b"};
    static const int64_t rows[] = {0, 1};
    ns_texts levels = list(words, 2);
    ns_encoding encoding;
    int32_t bin_of[2];
    CHECK_OK(ns_encoding_learn(&encoding, &levels, rows, NULL, 0, 0, NULL));
    ns_encoding_map(&encoding, &levels, bin_of);
    assert_memory_equal(bin_of, ((int32_t[]){NS_BIN_OTHER, 2}), sizeof bin_of);
    ns_encoding_destroy(&encoding);
    ns_texts_destroy(&levels);
}

/* Of too many levels the most frequent stay, in bytewise order; of equal ones the bytewise first. */
static void test_too_many_levels(void **state)
{
    (void)state;
    enum { N = NS_MAX_LEVELS + 1000 };
    ns_texts levels = {0};
    int64_t *rows = malloc(N * sizeof *rows), n_dropped = 0;
    int32_t *bin_of = malloc(N * sizeof *bin_of), next = NS_BIN_FIRST_LEVEL;
    for (int i = 0; i < N; i++) {
        char word[16];
        snprintf(word, sizeof word, "%06d", i);
        CHECK_OK(ns_texts_append(&levels, word, 6));
        rows[i] = i % 50 == 0 ? 30 : 40; /* 1,331 rare ones: the first 331 of them stay */
    }
    int64_t n_rare = (N + 49) / 50, n_kept_rare = n_rare - 1000;
    ns_encoding encoding;
    CHECK_OK(ns_encoding_learn(&encoding, &levels, rows, NULL, 20, 0, &n_dropped));
    assert_int_equal(n_dropped, 1000);
    assert_int_equal(encoding.levels.n, NS_MAX_LEVELS);
    ns_encoding_map(&encoding, &levels, bin_of);
    for (int i = 0; i < N; i++) {
        int stays = i % 50 != 0 || i / 50 < n_kept_rare;
        if (bin_of[i] != (stays ? next : NS_BIN_OTHER)) fail_msg("level %d has bin %d", i, (int)bin_of[i]);
        next += stays;
    }
    assert_int_equal(next - 1, 65535); /* the last bin still fits 16 bits */
    ns_encoding_destroy(&encoding);
    ns_texts_destroy(&levels);
    free(rows);
    free(bin_of);
}

static void test_apply(void **state)
{
    (void)state;
    const int32_t bin_of[] = {2, 1, 3};
    int32_t codes[] = {0, -1, 2, 1, 0, 77}, bins[] = {9, 9, 9, 9, 9, 9};
    ns_encoding_apply(bin_of, codes, 5, bins);
    assert_memory_equal(bins, ((int32_t[]){2, NS_BIN_MISSING, 3, 1, 2, 9}), sizeof bins);
    ns_encoding_apply(bin_of, codes, 5, codes);
    assert_memory_equal(codes, ((int32_t[]){2, NS_BIN_MISSING, 3, 1, 2, 77}), sizeof codes);
    ns_encoding_apply(bin_of, codes, 0, bins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learn_and_map),
        cmocka_unit_test(test_levels_without_rows),
        cmocka_unit_test(test_too_many_levels),
        cmocka_unit_test(test_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
