#include "cluster/status.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cluster/line.h"

/* One record per process. The lock is for OpenMP threads that fail at once; the first one wins. */
static ns_error last_error = {.code = NS_OK, .rank = -1};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

ns_status ns_fail(ns_status code, const char *format, ...)
{
    pthread_mutex_lock(&lock);
    if (last_error.code == NS_OK) {
        last_error.code = code;
        last_error.rank = -1;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(last_error.message, sizeof last_error.message, format, arguments);
        va_end(arguments);
        ns_line_clean(last_error.message); /* whatever a path or a library put into it */
    }
    pthread_mutex_unlock(&lock);
    return code;
}

ns_error *ns_last_error(void)
{
    return &last_error;
}

void ns_error_clear(void)
{
    pthread_mutex_lock(&lock);
    memset(&last_error, 0, sizeof last_error);
    last_error.rank = -1;
    pthread_mutex_unlock(&lock);
}

int ns_exit_code(ns_status status)
{
    switch (status) {
    case NS_OK:
        return 0;
    case NS_EINVAL:
    case NS_EUNAVAILABLE:
        return 2;
    case NS_ENOMEM:
    case NS_EIO:
    case NS_EDEVICE:
        return 1;
    case NS_EFORMAT:
    case NS_ENUMERIC:
        return 3;
    case NS_EHELD:
        return 4;
    case NS_EVERIFY:
        return 5;
    case NS_ESTOPPED:
        return 75;
    case NS_ESTUCK:
        return 76;
    }
    return 1;
}
