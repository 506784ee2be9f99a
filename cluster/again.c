#include "cluster/again.h"

#include <errno.h>

bool ns_again(int *tries)
{
    enum { MOST_TRIES = 100 };
    return (errno == EINTR || errno == ESTALE) && ++*tries < MOST_TRIES;
}
