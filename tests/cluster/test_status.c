/* The error record: the first failure stays, one line, whole, and every status has its exit code. */
#include "tests/check.h"

#include <pthread.h>

static int before(void **state)
{
    (void)state;
    ns_error_clear();
    return 0;
}

static void first_failure_stays(void **state)
{
    (void)state;
    assert_int_equal(ns_last_error()->code, NS_OK);
    assert_int_equal(ns_last_error()->rank, -1);
    assert_int_equal(ns_fail(NS_EIO, "cannot read '%s', row %d", "a.h5", 7), NS_EIO);
    assert_int_equal(ns_fail(NS_EINVAL, "later"), NS_EINVAL);
    assert_int_equal(ns_last_error()->code, NS_EIO);
    assert_string_equal(ns_last_error()->message, "cannot read 'a.h5', row 7");
    ns_error_clear();
    assert_int_equal(ns_last_error()->code, NS_OK);
    assert_string_equal(ns_last_error()->message, "");
    CHECK_FAILS(ns_fail(NS_EINVAL, "later"), NS_EINVAL, "later");
}

static void message_is_one_line(void **state)
{
    (void)state;
    ns_fail(NS_EIO, "a\nb\r\tc\x7f %s",
            "\xff"
            "d\xc3\xa9");
    assert_string_equal(ns_last_error()->message, "a b  c  ?d\xc3\xa9");
}

static void long_message_is_cut_whole(void **state)
{
    (void)state;
    char text[2 * sizeof ns_last_error()->message];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) memcpy(text + i, "\xc3\xa9", 2);
    text[sizeof text - 2] = '\0';
    ns_fail(NS_EIO, "%s", text);
    const char *message = ns_last_error()->message;
    size_t length = strlen(message);
    assert_int_equal(length, sizeof ns_last_error()->message - 1);
    assert_int_equal(message[length - 1], '?'); /* 1499 bytes: half a character is left at the end */
    assert_memory_equal(message, text, length - 1);
}

static void every_status_has_its_exit_code(void **state)
{
    (void)state;
    static const int code[] = {
        [NS_OK] = 0,    [NS_EINVAL] = 2,  [NS_EUNAVAILABLE] = 2, [NS_ENOMEM] = 1,
        [NS_EIO] = 1,   [NS_EDEVICE] = 1, [NS_EFORMAT] = 3,      [NS_ENUMERIC] = 3,
        [NS_EHELD] = 4, [NS_EVERIFY] = 5, [NS_ESTOPPED] = 75,    [NS_ESTUCK] = 76,
    };
    assert_int_equal(sizeof code / sizeof code[0], NS_ESTUCK + 1);
    for (int i = 0; i <= (int)NS_ESTUCK; i++) assert_int_equal(ns_exit_code((ns_status)i), code[i]);
}

static ns_status tries(ns_status inner, int *reached)
{
    NS_TRY(inner);
    *reached = 1;
    return NS_OK;
}

static void try_returns_at_once(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(tries(NS_EHELD, &reached), NS_EHELD);
    assert_int_equal(reached, 0);
    assert_int_equal(tries(NS_OK, &reached), NS_OK);
    assert_int_equal(reached, 1);
}

static void *fails(void *context)
{
    int id = *(const int *)context;
    ns_fail(NS_EFORMAT, "thread %d %d %d %d", id, id, id, id);
    return NULL;
}

static void one_thread_wins_whole(void **state)
{
    (void)state;
    enum { THREADS = 8, ROUNDS = 50 };
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t thread[THREADS];
        int id[THREADS], seen[4];
        ns_error_clear();
        for (int i = 0; i < THREADS; i++) {
            id[i] = i;
            assert_int_equal(pthread_create(&thread[i], NULL, fails, &id[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
        assert_int_equal(
            sscanf(ns_last_error()->message, "thread %d %d %d %d", &seen[0], &seen[1], &seen[2], &seen[3]),
            4);
        for (int i = 1; i < 4; i++) assert_int_equal(seen[i], seen[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(first_failure_stays, before),
        cmocka_unit_test_setup(message_is_one_line, before),
        cmocka_unit_test_setup(long_message_is_cut_whole, before),
        cmocka_unit_test_setup(every_status_has_its_exit_code, before),
        cmocka_unit_test_setup(try_returns_at_once, before),
        cmocka_unit_test_setup(one_thread_wins_whole, before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
