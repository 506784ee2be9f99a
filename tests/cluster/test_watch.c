/* The limits for missing ranks, on a clock of the test's own. */
#include "tests/check.h"

#include "cluster/watch.h"

static void all_there(void **state)
{
    (void)state;
    ns_watch watch = ns_watch_begin(100);
    for (int second = 0; second < 1000; second++) assert_false(ns_watch_is_stuck(&watch, 100 + second, 3, 3));
}

static void one_goes(void **state)
{
    (void)state;
    ns_watch watch = ns_watch_begin(0);
    assert_false(ns_watch_is_stuck(&watch, 50, 3, 3));
    assert_false(ns_watch_is_stuck(&watch, 50 + NS_LOST_RANK - 1, 2, 3));
    assert_true(ns_watch_is_stuck(&watch, 50 + NS_LOST_RANK, 2, 3));
}

static void all_go(void **state)
{
    (void)state;
    ns_watch watch = ns_watch_begin(0);
    assert_false(ns_watch_is_stuck(&watch, 5, 2, 2));
    assert_true(ns_watch_is_stuck(&watch, 5 + NS_LOST_RANK, 0, 2));
}

static void one_comes_back(void **state)
{
    (void)state;
    ns_watch watch = ns_watch_begin(0);
    assert_false(ns_watch_is_stuck(&watch, 1, 2, 2));
    assert_false(ns_watch_is_stuck(&watch, 15, 1, 2)); /* a look at a moment when a process could not be read */
    assert_false(ns_watch_is_stuck(&watch, 16, 2, 2));
    assert_false(ns_watch_is_stuck(&watch, 16 + NS_LOST_RANK - 1, 1, 2));
}

static void none_ever_comes(void **state)
{
    (void)state;
    ns_watch watch = ns_watch_begin(7);
    assert_false(ns_watch_is_stuck(&watch, 7 + NS_LOST_RANK + 1, 0, 2)); /* a slow start */
    assert_false(ns_watch_is_stuck(&watch, 7 + NS_FIRST_RANK - 1, 0, 2));
    assert_true(ns_watch_is_stuck(&watch, 7 + NS_FIRST_RANK, 0, 2));
}

static void the_second_comes_late(void **state)
{
    (void)state;
    ns_watch watch = ns_watch_begin(0);
    assert_false(ns_watch_is_stuck(&watch, 60, 1, 2));
    assert_false(ns_watch_is_stuck(&watch, 60 + NS_LOST_RANK - 1, 1, 2));
    assert_true(ns_watch_is_stuck(&watch, 60 + NS_LOST_RANK, 1, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_there),       cmocka_unit_test(one_goes),        cmocka_unit_test(all_go),
        cmocka_unit_test(one_comes_back),  cmocka_unit_test(none_ever_comes), cmocka_unit_test(the_second_comes_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
