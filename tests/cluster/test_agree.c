/* All ranks failed, or none did: with the code, the message and the number of the lowest rank that failed. */
#include "tests/check.h"

#include <sys/resource.h>

#include "cluster/agree.h"

static int rank, n_ranks;

static int before(void **state)
{
    (void)state;
    ns_error_clear();
    MPI_Barrier(MPI_COMM_WORLD);
    return 0;
}

static void nobody_failed(void **state)
{
    (void)state;
    assert_int_equal(ns_agree(NS_OK, MPI_COMM_WORLD), NS_OK);
    assert_int_equal(ns_last_error()->code, NS_OK);
}

static void one_rank_failed(void **state)
{
    (void)state;
    for (int who = 0; who < n_ranks; who++) {
        char want[64];
        ns_error_clear();
        ns_status mine = rank == who ? ns_fail(NS_EFORMAT, "rank %d cannot read", who) : NS_OK;
        assert_int_equal(ns_agree(mine, MPI_COMM_WORLD), NS_EFORMAT);
        snprintf(want, sizeof want, "rank %d cannot read", who);
        assert_string_equal(ns_last_error()->message, want);
        assert_int_equal(ns_last_error()->rank, who);
        assert_int_equal(ns_last_error()->code, NS_EFORMAT);
    }
}

static void lowest_rank_wins(void **state)
{
    (void)state;
    /* All but rank 0 fail, each with a code and a message of its own. */
    char want[64];
    int lowest = n_ranks > 1 ? 1 : 0;
    ns_status codes[] = {NS_EVERIFY, NS_EIO, NS_EINVAL, NS_ENOMEM};
    ns_status mine = rank >= lowest ? ns_fail(codes[rank % 4], "from rank %d", rank) : NS_OK;
    assert_int_equal(ns_agree(mine, MPI_COMM_WORLD), codes[lowest]);
    snprintf(want, sizeof want, "from rank %d", lowest);
    assert_string_equal(ns_last_error()->message, want);
    assert_int_equal(ns_last_error()->rank, lowest);
}

static void first_origin_is_kept(void **state)
{
    (void)state;
    /* The last rank fails; all agree, and agree again on what they agreed: the number stays the last rank's.
     */
    ns_status status = rank == n_ranks - 1 ? ns_fail(NS_EIO, "the disk of the last") : NS_OK;
    status = ns_agree(status, MPI_COMM_WORLD);
    status = ns_agree(status, MPI_COMM_WORLD);
    assert_int_equal(status, NS_EIO);
    assert_int_equal(ns_last_error()->rank, n_ranks - 1);
    assert_string_equal(ns_last_error()->message, "the disk of the last");
}

static void bytes_from_every_root(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 13, 3000001};
    for (int root = 0; root < n_ranks; root++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            size_t n = sizes[s], got = 99;
            void *bytes = NULL;
            if (rank == root) {
                unsigned char *block = malloc(n + 1);
                assert_non_null(block);
                for (size_t i = 0; i < n; i++) block[i] = (unsigned char)(i * 7 + (size_t)root);
                block[n] = 0;
                bytes = block;
                got = n;
            }
            CHECK_OK(ns_share_bytes(&bytes, &got, root, MPI_COMM_WORLD));
            assert_int_equal(got, n);
            const unsigned char *block = bytes;
            for (size_t i = 0; i < n; i++) assert_int_equal(block[i], (unsigned char)(i * 7 + (size_t)root));
            assert_int_equal(block[n], 0);
            free(bytes);
        }
    void *none = NULL;
    size_t n = 0;
    CHECK_OK(ns_share_bytes(&none, &n, 0, MPI_COMM_WORLD)); /* NULL at the root is no bytes */
    assert_int_equal(n, 0);
    free(none);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif

#ifndef SANITIZED
/* The last rank may not map more memory: nobody gets the bytes. (The sanitizer's allocator would abort.) */
static void no_memory_on_one_rank(void **state)
{
    (void)state;
    if (n_ranks == 1) return;
    enum { BYTES = 1 << 28 };
    struct rlimit old, tight;
    void *bytes = rank == 0 ? calloc(BYTES, 1) : NULL;
    size_t n = BYTES;
    getrlimit(RLIMIT_AS, &old);
    if (rank == n_ranks - 1) {
        long pages = 0;
        FILE *file = fopen("/proc/self/statm", "r");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%ld", &pages), 1);
        fclose(file);
        tight = old;
        tight.rlim_cur = (rlim_t)pages * 4096 + (1 << 26);
        assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    }
    ns_status status = ns_share_bytes(&bytes, &n, 0, MPI_COMM_WORLD);
    setrlimit(RLIMIT_AS, &old);
    assert_int_equal(status, NS_ENOMEM);
    assert_int_equal(ns_last_error()->rank, n_ranks - 1);
    if (rank == 0)
        free(bytes);
    else
        assert_null(bytes);
}
#endif

static void texts(void **state)
{
    (void)state;
    CHECK_OK(ns_agree_text("program builds", "a", MPI_COMM_WORLD));
    CHECK_OK(ns_agree_text("program builds", "", MPI_COMM_WORLD));
    if (n_ranks == 1) return;
    char want[64];
    snprintf(want, sizeof want, "program builds of rank %d", n_ranks - 1);
    CHECK_FAILS(ns_agree_text("program builds", rank == n_ranks - 1 ? "b" : "a", MPI_COMM_WORLD), NS_EINVAL,
                want);
    CHECK_FAILS(ns_agree_text("jobs", rank == 0 ? "b" : "a", MPI_COMM_WORLD), NS_EINVAL,
                "jobs of rank 1 and rank 0 differ");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nobody_failed, before),
        cmocka_unit_test_setup(one_rank_failed, before),
        cmocka_unit_test_setup(lowest_rank_wins, before),
        cmocka_unit_test_setup(first_origin_is_kept, before),
        cmocka_unit_test_setup(bytes_from_every_root, before),
#ifndef SANITIZED
        cmocka_unit_test_setup(no_memory_on_one_rank, before),
#endif
        cmocka_unit_test_setup(texts, before),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
