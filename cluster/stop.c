#include "cluster/stop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    (void)number;
    if (asked) _exit(75); /* a second one means: leave now; a run stopped anywhere continues */
    asked = 1;
}

void ns_stop_listen(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error with a message, not a death */
}

bool ns_stop_asked(void)
{
    return asked != 0;
}

bool ns_stop_agreed(MPI_Comm comm)
{
    int any = asked != 0;
    MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, comm);
    return any != 0;
}
