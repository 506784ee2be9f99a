/* Work on a thread of its own, and without one: order, failures and their words. */
#include "tests/check.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "runner/night/beside.h"

typedef struct job {
    int n_done, fails_at;
    bool elsewhere; /* the last piece was done by another thread */
    pthread_t caller;
} job;

static ns_status work(void *context)
{
    job *j = context;
    j->n_done++;
    j->elsewhere = pthread_equal(pthread_self(), j->caller) == 0;
    return j->n_done == j->fails_at ? ns_fail(NS_EIO, "piece %d is bad", j->n_done) : NS_OK;
}

static void check_order(bool alone)
{
    job j = {.fails_at = 0, .caller = pthread_self()};
    ns_beside *beside;
    CHECK_OK(ns_beside_open(&beside, work, &j, alone));
    CHECK_OK(ns_beside_wait(beside)); /* nothing was begun */
    for (int i = 1; i <= 200; i++) {
        ns_beside_start(beside);
        CHECK_OK(ns_beside_wait(beside));
        assert_int_equal(j.n_done, i);
        assert_int_equal(j.elsewhere, !alone);
    }
    ns_beside_start(beside); /* closing waits */
    ns_beside_close(&beside);
    assert_null(beside);
    assert_int_equal(j.n_done, 201);
    ns_beside_close(&beside);
}

static void every_piece_is_done(void **state)
{
    (void)state;
    check_order(false);
    check_order(true);
}

/* Somebody else may have cleared the record of failures meanwhile. */
static void failures_keep_their_words(void **state)
{
    (void)state;
    for (int alone = 0; alone < 2; alone++)
        for (int cleared = 0; cleared < 2; cleared++) {
            job j = {.fails_at = 2, .caller = pthread_self()};
            ns_beside *beside;
            CHECK_OK(ns_beside_open(&beside, work, &j, alone != 0));
            ns_beside_start(beside);
            CHECK_OK(ns_beside_wait(beside));
            ns_beside_start(beside);
            if (cleared) {
                while (ns_last_error()->code == NS_OK) sched_yield();
                usleep(20000); /* the thread has its copy by then */
                ns_error_clear();
            }
            assert_int_equal(ns_beside_wait(beside), NS_EIO);
            assert_string_equal(ns_last_error()->message, "piece 2 is bad");
            ns_error_clear();
            CHECK_OK(ns_beside_wait(beside)); /* told once */
            ns_beside_start(beside);
            CHECK_OK(ns_beside_wait(beside));
            ns_beside_close(&beside);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_piece_is_done), cmocka_unit_test(failures_keep_their_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
