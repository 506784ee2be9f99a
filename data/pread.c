#include "data/pread.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

/* ESTALE of NFS passes once the server has answered; pauses double from 1 ms, about half a second in all. */
enum { MAX_TRIES = 9, FIRST_PAUSE_NS = 1000000 };

static void pause_before(int attempt)
{
    struct timespec wait = {.tv_nsec = (long)FIRST_PAUSE_NS << attempt};
    nanosleep(&wait, NULL);
}

bool ns_pread(int descriptor, void *bytes, size_t n, int64_t offset)
{
    char *to = bytes;
    int tries = 0;
    while (n > 0) {
        ssize_t got = pread(descriptor, to, n, (off_t)offset);
        if (got > 0) {
            to += got;
            n -= (size_t)got;
            offset += got;
        } else if (got == 0) {
            errno = 0;
            return false;
        } else if (errno == ESTALE || errno == EAGAIN) {
            if (tries == MAX_TRIES) return false;
            pause_before(tries++);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}
