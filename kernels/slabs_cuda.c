#include "kernels/cuda_slabs.h"

#include <stdbool.h>
#include <string.h>

/* Slab i is marked by mark NS_CUDA_MARKS_OF_SLABS + i: its last copy is done. */

size_t ns_cuda_way_bytes(ns_cuda_way way)
{
    return way == NS_CUDA_AS_WORDS ? 4 : way == NS_CUDA_AS_PAIRS || way == NS_CUDA_TO_PAIRS ? 2 : 1;
}

static size_t bytes_from(ns_cuda_way way)
{
    return way == NS_CUDA_TO_BYTES || way == NS_CUDA_TO_PAIRS ? sizeof(int32_t) : ns_cuda_way_bytes(way);
}

void ns_cuda_convert(void *to, const void *from, int64_t n, ns_cuda_way way)
{
    const int32_t *bins = from;
    uint8_t *bytes = to;
    uint16_t *pairs = to;
    if (way == NS_CUDA_TO_BYTES)
        for (int64_t i = 0; i < n; i++) bytes[i] = (uint8_t)bins[i];
    else if (way == NS_CUDA_TO_PAIRS)
        for (int64_t i = 0; i < n; i++) pairs[i] = (uint16_t)bins[i];
    else
        memcpy(to, from, (size_t)n * ns_cuda_way_bytes(way));
}

ns_status ns_cuda_slabs_open(ns_cuda_slabs *s, ns_cuda *cuda, int n_threads)
{
    *s = (ns_cuda_slabs){.cuda = cuda, .memory = {.cuda = cuda}, .n_threads = n_threads};
    s->n = 2 * n_threads < NS_CUDA_SLAB_MARKS ? 2 * n_threads : NS_CUDA_SLAB_MARKS;
    char *bytes = ns_cuda_take_pinned(&s->memory, s->n, NS_CUDA_SLAB_BYTES);
    if (bytes == NULL) {
        ns_cuda_give_all(&s->memory);
        *s = (ns_cuda_slabs){0};
        return ns_fail(NS_ENOMEM, "not enough memory that cannot be paged, for copies to a GPU: %d MiB are needed", 2 * n_threads);
    }
    omp_init_lock(&s->queue);
    for (int i = 0; i < s->n; i++) {
        s->slab[i].bytes = bytes + (size_t)i * NS_CUDA_SLAB_BYTES;
        omp_init_lock(&s->slab[i].lock);
    }
    return NS_OK;
}

void ns_cuda_slabs_close(ns_cuda_slabs *s)
{
    if (s->cuda == NULL) return;
    for (int i = 0; i < s->n; i++) omp_destroy_lock(&s->slab[i].lock);
    omp_destroy_lock(&s->queue);
    ns_cuda_give_all(&s->memory);
    *s = (ns_cuda_slabs){0};
}

ns_status ns_cuda_slabs_begin(ns_cuda_slabs *s)
{
    omp_set_lock(&s->queue);
    return ns_cuda_enter(s->cuda);
}

void ns_cuda_slabs_end(ns_cuda_slabs *s)
{
    omp_unset_lock(&s->queue);
}

/* A slab whose last copy is done, this thread's until it is let go. */
static ns_status take_slab(ns_cuda_slabs *s, int *out)
{
    unsigned next;
#pragma omp atomic capture
    next = s->next++;
    int i = *out = (int)(next % (unsigned)s->n);
    omp_set_lock(&s->slab[i].lock);
    return ns_cuda_wait_mark(s->cuda, NS_CUDA_MARKS_OF_SLABS + i);
}

static void let_go(ns_cuda_slabs *s, int i)
{
    omp_unset_lock(&s->slab[i].lock);
}

static ns_status send_piece(ns_cuda_slabs *s, void *dev_to, const void *from, int64_t n, ns_cuda_way way)
{
    int i;
    ns_status status = take_slab(s, &i);
    if (status == NS_OK) {
        ns_cuda_convert(s->slab[i].bytes, from, n, way);
        status = ns_cuda_slabs_begin(s);
        if (status == NS_OK) status = ns_cuda_copy_in(s->cuda, dev_to, s->slab[i].bytes, (size_t)n * ns_cuda_way_bytes(way));
        if (status == NS_OK) status = ns_cuda_mark(s->cuda, NS_CUDA_MARKS_OF_SLABS + i);
        ns_cuda_slabs_end(s);
    }
    let_go(s, i);
    return status;
}

ns_status ns_cuda_slabs_send(ns_cuda_slabs *s, void *dev_to, const void *from, int64_t n, ns_cuda_way way)
{
    int64_t each = NS_CUDA_SLAB_BYTES / (int64_t)ns_cuda_way_bytes(way);
    ns_status status = NS_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(s->n_threads) if (n > each)
    for (int64_t at = 0; at < n; at += each) {
        char *to = (char *)dev_to + (size_t)at * ns_cuda_way_bytes(way);
        ns_status mine = send_piece(s, to, (const char *)from + (size_t)at * bytes_from(way), n - at < each ? n - at : each, way);
        if (mine == NS_OK) continue;
#pragma omp critical(ns_cuda_slabs)
        status = mine;
    }
    return status;
}

ns_status ns_cuda_slabs_fetch(ns_cuda_slabs *s, void *to, const void *dev_from, size_t n_bytes)
{
    ns_status status = NS_OK;
    for (size_t at = 0; at < n_bytes && status == NS_OK; at += NS_CUDA_SLAB_BYTES) {
        size_t n = n_bytes - at < NS_CUDA_SLAB_BYTES ? n_bytes - at : NS_CUDA_SLAB_BYTES;
        int i;
        status = take_slab(s, &i);
        if (status == NS_OK) {
            status = ns_cuda_slabs_begin(s);
            if (status == NS_OK) status = ns_cuda_copy_out(s->cuda, s->slab[i].bytes, (const char *)dev_from + at, n);
            if (status == NS_OK) status = ns_cuda_mark(s->cuda, NS_CUDA_MARKS_OF_SLABS + i);
            ns_cuda_slabs_end(s);
            if (status == NS_OK) status = ns_cuda_wait_mark(s->cuda, NS_CUDA_MARKS_OF_SLABS + i);
        }
        if (status == NS_OK) memcpy((char *)to + at, s->slab[i].bytes, n);
        let_go(s, i);
    }
    return status;
}
