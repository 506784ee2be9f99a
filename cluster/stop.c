#include "cluster/stop.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/watchdog.h"

/* `timeout` and signals to process groups deliver one request twice within microseconds: what comes sooner
   than this after the first is the same request. */
static const int64_t SAME_REQUEST_NS = 500 * 1000 * 1000;

static volatile sig_atomic_t asked;
static volatile int64_t first_ns;

static void on_signal(int number)
{
    (void)number;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (!asked)
        first_ns = now_ns;
    else if (now_ns - first_ns >= SAME_REQUEST_NS)
        _exit(75); /* leave now; a run stopped anywhere continues */
    asked = 1;
}

void ns_stop_listen(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaddset(&action.sa_mask, numbers[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error with a message, not a death */
}

bool ns_stop_asked(void)
{
    ns_watchdog_sign();
    return asked != 0;
}

ns_status ns_stop_check(void)
{
    ns_watchdog_sign();
    if (asked == 0) return NS_OK;
    return ns_fail(NS_ESTOPPED, "stopped on request; run the same command again");
}

bool ns_stop_agreed(MPI_Comm comm)
{
    int any = asked != 0;
    MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, comm);
    return any != 0;
}
