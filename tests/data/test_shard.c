#include "tests/check.h"

#include "data/shard.h"

/* kept rows of a shard */
static int64_t kept_rows(const int64_t *kept, ns_shard shard)
{
    int64_t sum = 0;
    for (int64_t b = shard.first_row / NS_BLOCK_ROWS; b < ns_n_blocks(shard.first_row + shard.n_rows); b++)
        sum += kept[b];
    return shard.n_rows == 0 ? 0 : sum;
}

/* Shards of all ranks cover [0, n_rows) once, begin at block borders, and hold an equal share of kept rows
 * within a block's. */
static void check_all(const int64_t *kept, const int64_t *share, int64_t n_rows, int n_ranks)
{
    int64_t at = 0, total = 0, most = 0;
    for (int64_t b = 0; b < ns_n_blocks(n_rows); b++) {
        total += share[b];
        if (share[b] > most) most = share[b];
    }
    for (int rank = 0; rank < n_ranks; rank++) {
        ns_shard shard = ns_shard_of(kept, n_rows, rank, n_ranks);
        assert_true(shard.n_rows >= 0);
        assert_int_equal(shard.first_row, at);
        assert_true(shard.first_row % NS_BLOCK_ROWS == 0 || shard.n_rows == 0);
        int64_t off = kept_rows(share, shard) * n_ranks - total; /* times n_ranks */
        assert_true(total == 0 || (off < most * n_ranks && -off < most * n_ranks));
        at += shard.n_rows;
    }
    assert_int_equal(at, n_rows);
}

static void test_cover_and_balance(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 1023, 1024, 1025, 2048, 5000, 33 * 1024, 257 * 1024 + 7, 1000000};
    static const int ranks[] = {1, 2, 3, 4, 7, 16, 300};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int64_t n_blocks = ns_n_blocks(sizes[s]);
        int64_t *all = calloc((size_t)n_blocks + 1, sizeof *all),
                *kept = calloc((size_t)n_blocks + 1, sizeof *kept);
        for (int64_t b = 0; b < n_blocks; b++)
            all[b] = b + 1 < n_blocks ? NS_BLOCK_ROWS : sizes[s] - b * NS_BLOCK_ROWS;
        for (size_t r = 0; r < sizeof ranks / sizeof ranks[0]; r++) {
            check_all(NULL, all, sizes[s], ranks[r]);
            check_all(all, all, sizes[s], ranks[r]);
            for (int64_t b = 0; b < n_blocks; b++) kept[b] = b * 7919 % 5 == 0 ? b * 31 % (all[b] + 1) : 0;
            check_all(kept, kept, sizes[s], ranks[r]);
            memset(kept, 0, (size_t)n_blocks * sizeof *kept);
            check_all(kept, kept, sizes[s], ranks[r]); /* nothing kept */
            if (n_blocks > 0) kept[n_blocks / 2] = 1;
            check_all(kept, kept, sizes[s], ranks[r]); /* one row kept */
        }
        free(all);
        free(kept);
    }
}

static void test_known_borders(void **state)
{
    (void)state;
    const int64_t kept[] = {0, 10, 0, 10, 20, 0, 40, 0};
    /* half of 80 is first reached behind block 4; blocks at the end without a kept row go to the last rank */
    ns_shard first = ns_shard_of(kept, 8 * 1024 - 24, 0, 2), second = ns_shard_of(kept, 8 * 1024 - 24, 1, 2);
    assert_true(first.first_row == 0 && first.n_rows == 5 * 1024);
    assert_true(second.first_row == 5 * 1024 && second.n_rows == 3 * 1024 - 24);
    /* nothing kept: as if all were */
    const int64_t none[8] = {0};
    for (int rank = 0; rank < 3; rank++) {
        ns_shard a = ns_shard_of(none, 8 * 1024, rank, 3), b = ns_shard_of(NULL, 8 * 1024, rank, 3);
        assert_true(a.first_row == b.first_row && a.n_rows == b.n_rows);
    }
    /* more ranks than blocks: some ranks have nothing */
    int with_rows = 0;
    for (int rank = 0; rank < 5; rank++) with_rows += ns_shard_of(NULL, 1500, rank, 5).n_rows > 0;
    assert_int_equal(with_rows, 2);
}

static void test_kept_all_is_null(void **state)
{
    (void)state;
    int64_t kept[40];
    for (int i = 0; i < 40; i++) kept[i] = i < 39 ? 1024 : 100;
    for (int n_ranks = 1; n_ranks < 60; n_ranks++)
        for (int rank = 0; rank < n_ranks; rank++) {
            ns_shard a = ns_shard_of(kept, 39 * 1024 + 100, rank, n_ranks);
            ns_shard b = ns_shard_of(NULL, 39 * 1024 + 100, rank, n_ranks);
            assert_true(a.n_rows == b.n_rows && a.first_row == b.first_row);
        }
}

static void test_large(void **state)
{
    (void)state;
    int64_t n = INT64_C(1) << 50, at = 0; /* rank * n_rows needs more than 64 bits */
    for (int rank = 0; rank < 100000; rank++) {
        ns_shard shard = ns_shard_of(NULL, n, rank, 100000);
        if (shard.first_row != at) fail_msg("rank %d begins at the wrong row", rank);
        at += shard.n_rows;
    }
    assert_true(at == n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cover_and_balance),
        cmocka_unit_test(test_known_borders),
        cmocka_unit_test(test_kept_all_is_null),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
