#include "data/crash.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* The handler may only call what is safe in a signal handler: write, _exit, sigaction. */
static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
enum { N_FATAL = sizeof fatal / sizeof fatal[0], EXIT_BAD_DATA = 3 };
static struct sigaction before[N_FATAL];
static const char *volatile watched;
static bool listening;

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

static void on_crash(int number)
{
    const char *path = watched;
    if (path ==
        NULL) { /* a crash of another kind takes its course: the fault comes again under the old handler */
        for (int i = 0; i < N_FATAL; i++)
            if (fatal[i] == number) sigaction(number, &before[i], NULL);
        raise(number);
        return;
    }
    say("nightshift: '");
    say(path);
    say("' is damaged: the HDF5 library crashed while reading it; fetch the file again, or repair it with "
        "h5repack\n");
    _exit(EXIT_BAD_DATA);
}

static void listen(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_crash;
    action.sa_flags = SA_NODEFER;
    for (int i = 0; i < N_FATAL; i++) sigaction(fatal[i], &action, &before[i]);
    listening = true;
}

const char *ns_crash_watch(const char *path)
{
    if (!listening) listen();
    const char *old = watched;
    watched = path;
    return old;
}
