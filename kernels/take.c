#include "kernels/take.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static const size_t CACHE_LINE = 64, LARGE_PAGE = (size_t)2 << 20, LARGE_BLOCK = (size_t)4 << 20;

/*
 * A node's rows lie anywhere in blocks of tens of megabytes: with pages of 4 KiB nearly every one of them misses the
 * processor's table of pages, so large blocks ask for pages of 2 MiB. Old pages, of what was freed before, are first given
 * back: what comes in their place on the first touch is zero, and large. What is left over at the end has small pages.
 */
static void clear(char *block, size_t n_bytes)
{
    size_t whole = n_bytes < LARGE_BLOCK ? 0 : n_bytes / LARGE_PAGE * LARGE_PAGE;
    if (whole > 0 && madvise(block, whole, MADV_DONTNEED) == 0)
        (void)madvise(block, whole, MADV_HUGEPAGE); /* a system that does not take the advice gives small pages */
    else
        whole = 0;
    memset(block + whole, 0, n_bytes - whole);
}

void *ns_take(ns_taker *taker, int64_t n, size_t size)
{
    size_t n_bytes = (size_t)(n > 0 ? n : 1) * size;
    taker->n_bytes += (int64_t)n_bytes;
    if (taker->count_only || taker->failed) return NULL;
    size_t alignment = n_bytes < LARGE_BLOCK ? CACHE_LINE : LARGE_PAGE;
    void *block = aligned_alloc(alignment, (n_bytes + alignment - 1) / alignment * alignment);
    if (block == NULL)
        taker->failed = true;
    else
        clear(block, n_bytes);
    return block;
}

#ifdef __GLIBC__
void ns_give_freed_back(void)
{
    (void)malloc_trim(0);
}
#else
void ns_give_freed_back(void)
{
}
#endif
