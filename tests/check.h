#ifndef NIGHTSHIFT_TESTS_CHECK_H
#define NIGHTSHIFT_TESTS_CHECK_H
/* What the cmocka tests share: the includes that cmocka needs in its order, and checks for this project's own types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/status.h"

/* The call succeeds; otherwise its message is printed. */
#define CHECK_OK(call)                                                                                       \
    do {                                                                                                     \
        ns_status check_status = (call);                                                                     \
        if (check_status != NS_OK)                                                                           \
            fail_msg("%s: status %d: %s", #call, (int)check_status, ns_last_error()->message);               \
    } while (0)

/* The call fails with this status and a message that contains this text; the record is cleared after it. */
#define CHECK_FAILS(call, status, text)                                                                      \
    do {                                                                                                     \
        ns_error_clear();                                                                                    \
        ns_status check_status = (call);                                                                     \
        if (check_status != (status))                                                                        \
            fail_msg("%s: status %d, not %d: %s", #call, (int)check_status, (int)(status),                   \
                     ns_last_error()->message);                                                              \
        if (strstr(ns_last_error()->message, text) == NULL)                                                  \
            fail_msg("%s: no \"%s\" in: %s", #call, text, ns_last_error()->message);                         \
        ns_error_clear();                                                                                    \
    } while (0)

#endif
