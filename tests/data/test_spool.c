/* Files written in pieces: every byte is there, the hash is theirs, and what is not finished is not left. */
#include <sys/stat.h>
#include <unistd.h>

#include "data/durable.h"
#include "data/hash.h"
#include "data/spool.h"
#include "tests/check.h"

static void pieces(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 262143, 262144, 262145, 1000003};
    enum { MOST = 1000003 };
    char *bytes = malloc(MOST), hex[65], want[65];
    assert_non_null(bytes);
    for (size_t i = 0; i < MOST; i++) bytes[i] = (char)(i * 2654435761u >> 13);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (size_t piece = 1; piece <= sizes[s] + 1; piece = piece * 37 + 1) {
            ns_spool *spool;
            int64_t n = -1;
            CHECK_OK(ns_spool_open(&spool, "spool.txt", "spool"));
            if (sizes[s] / piece < 100000)
                for (size_t at = 0; at < sizes[s]; at += piece) CHECK_OK(ns_spool_add(spool, bytes + at, sizes[s] - at < piece ? sizes[s] - at : piece));
            else CHECK_OK(ns_spool_add(spool, bytes, sizes[s]));
            CHECK_OK(ns_spool_finish(spool, hex, &n));
            ns_spool_close(&spool);
            assert_null(spool);
            ns_sha256_hex(want, bytes, sizes[s]);
            assert_string_equal(hex, want);
            assert_int_equal(n, sizes[s]);
            CHECK_OK(ns_file_sha256(hex, &n, "spool.txt"));
            assert_string_equal(hex, want);
            assert_int_equal(n, sizes[s]);
        }
    free(bytes);
    unlink("spool.txt");
}

static void unfinished(void **state)
{
    (void)state;
    ns_spool *spool;
    CHECK_OK(ns_spool_open(&spool, "spool.txt", "spool"));
    CHECK_OK(ns_spool_add(spool, "x", 1));
    ns_spool_close(&spool);
    assert_int_equal(access("spool.txt", F_OK), -1);
    CHECK_FAILS(ns_spool_open(&spool, "nowhere/spool.txt", "spool"), NS_EIO, "nowhere/spool.txt");
    assert_null(spool);
}

static void full_disk(void **state)
{
    (void)state;
    ns_spool *spool;
    char hex[65];
    int64_t n;
    assert_int_equal(symlink("/dev/full", "full.txt"), 0); /* what is not finished is removed: the link */
    CHECK_OK(ns_spool_open(&spool, "full.txt", "spool"));
    CHECK_OK(ns_spool_add(spool, "x", 1)); /* held */
    CHECK_FAILS(ns_spool_finish(spool, hex, &n), NS_EIO, "No space left on device");
    CHECK_FAILS(ns_spool_add(spool, "y", 1), NS_EIO, "cannot write");
    CHECK_FAILS(ns_spool_finish(spool, hex, &n), NS_EIO, "cannot write");
    ns_spool_close(&spool);
    assert_int_equal(access("full.txt", F_OK), -1);
}

static void absent(void **state)
{
    (void)state;
    char hex[65];
    int64_t n = 0;
    CHECK_OK(ns_file_sha256(hex, &n, "nowhere.txt"));
    assert_int_equal(n, -1);
    assert_string_equal(hex, "");
    CHECK_FAILS(ns_file_sha256(hex, &n, "/"), NS_EIO, "cannot read '/'");
}

static void modes(void **state)
{
    (void)state;
    static const struct {
        ns_share share;
        mode_t mode;
    } cases[] = {{NS_SHARE_PRIVATE, 0600}, {NS_SHARE_GROUP, 0640}};
    for (int i = 0; i < 2; i++) {
        ns_spool *spool;
        struct stat info;
        unlink("spool.txt");
        ns_durable_share(cases[i].share);
        CHECK_OK(ns_spool_open(&spool, "spool.txt", "spool"));
        assert_int_equal(stat("spool.txt", &info), 0);
        assert_int_equal(info.st_mode & 0777, cases[i].mode);
        ns_spool_close(&spool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces), cmocka_unit_test(unfinished), cmocka_unit_test(full_disk), cmocka_unit_test(absent), cmocka_unit_test(modes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
