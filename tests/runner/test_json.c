/* JSON files: bytes follow from the values alone. */
#include <locale.h>
#include <math.h>

#include "runner/json.h"
#include "tests/check.h"

static const double NOT_A_NUMBER = (double)NAN, INFINITE = (double)INFINITY;

static json_t *document(ns_status *status)
{
    json_t *object = json_object(), *list = json_array();
    ns_json_append(status, list, json_integer(3));
    ns_json_append(status, list, ns_json_real(NOT_A_NUMBER));
    ns_json_append(status, list, ns_json_real(-INFINITE));
    ns_json_add(status, object, "z", ns_json_real(0.1));
    ns_json_add(status, object, "a", list);
    ns_json_add(status, object, "m", ns_json_real(1e-300));
    ns_json_add(status, object, "whole", ns_json_real(2.0));
    return object;
}

static void keys_stay_in_order_and_doubles_have_17_digits(void **state)
{
    (void)state;
    setlocale(LC_ALL, "de_DE.UTF-8"); /* a comma as decimal point, where that locale is installed */
    ns_status status = NS_OK;
    json_t *object = document(&status);
    char *text = NULL;
    CHECK_OK(status);
    CHECK_OK(ns_json_dump(object, &text));
    assert_string_equal(text, "{\n \"z\": 0.10000000000000001,\n \"a\": [\n  3,\n  null,\n  null\n ],\n"
                              " \"m\": 1e-300,\n \"whole\": 2.0\n}\n");
    free(text);
    json_decref(object);
}

static void what_could_not_be_built_fails(void **state)
{
    (void)state;
    char *text = NULL;
    CHECK_FAILS(ns_json_dump(NULL, &text), NS_ENOMEM, "JSON");
    assert_null(text);
    ns_status status = NS_OK;
    json_t *object = json_object(), *list = json_array();
    ns_json_add(&status, object, "lost", NULL);
    assert_int_equal(status, NS_ENOMEM);
    assert_non_null(strstr(ns_last_error()->message, "'lost'"));
    ns_error_clear();
    ns_json_add(&status, object, "dropped", json_integer(1)); /* an earlier failure stays */
    assert_int_equal(status, NS_ENOMEM);
    assert_int_equal(json_object_size(object), 0);
    ns_json_append(&status, list, json_integer(1));
    assert_int_equal(json_array_size(list), 0);
    status = NS_OK;
    ns_json_append(&status, list, NULL);
    assert_int_equal(status, NS_ENOMEM);
    ns_error_clear();
    json_decref(object);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_stay_in_order_and_doubles_have_17_digits),
        cmocka_unit_test(what_could_not_be_built_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
