#include "kernels/take.h"

#include <stdlib.h>
#include <string.h>

void *ns_take(ns_taker *taker, int64_t n, size_t size)
{
    size_t n_bytes = (size_t)(n > 0 ? n : 1) * size;
    taker->n_bytes += (int64_t)n_bytes;
    if (taker->count_only || taker->failed) return NULL;
    void *block = malloc(n_bytes);
    if (block == NULL)
        taker->failed = true;
    else
        memset(block, 0, n_bytes);
    return block;
}
