#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_host/machine.h"

/*
 * The race build: kernels are compiled with -fsanitize=thread, and what the compiler then calls at every access of
 * memory is here instead of in its run-time library. Two accesses race when they touch a byte in one launch, at least
 * one writes, not both are atomic, they are of different threads, and no barrier orders them: of blocks by
 * __syncthreads, of warps by a __syncwarp of all living lanes (shuffles and ballots order no memory).
 *
 * For each byte watched: the last write, and the last two reads by different threads. Of whole words that are read and
 * written as words the first byte stands for all four.
 */
typedef struct access {
    uint32_t launch, block, block_epoch, warp_epoch;
    uint16_t thread;
    uint8_t is_atomic;
} access;

typedef struct cell {
    access write, reads[2];
} cell;

typedef struct range {
    const char *from;
    size_t n_bytes;
    bool is_shared;
    cell *cells;
} range;

enum { MAX_RANGES = 1024 };
static range ranges[MAX_RANGES];
static int n_ranges, last_hit;

/* What is never watched costs little: the lowest and highest address of all that is. */
static const char *lowest, *highest;

static void find_bounds(void)
{
    lowest = highest = NULL;
    for (int i = 0; i < n_ranges; i++) {
        if (lowest == NULL || ranges[i].from < lowest) lowest = ranges[i].from;
        if (ranges[i].from + ranges[i].n_bytes > highest) highest = ranges[i].from + ranges[i].n_bytes;
    }
}

void ns_host_race_range(const void *from, size_t n_bytes, int is_shared)
{
    if (n_ranges == MAX_RANGES) ns_host_die("more than %d blocks of memory", MAX_RANGES);
    cell *cells = calloc(n_bytes, sizeof *cells);
    if (cells == NULL) ns_host_die("no memory to watch %zu bytes", n_bytes);
    ranges[n_ranges++] = (range){from, n_bytes, is_shared != 0, cells};
    find_bounds();
}

void ns_host_race_forget(const void *from)
{
    for (int i = 0; i < n_ranges; i++) {
        if (ranges[i].from != from) continue;
        free(ranges[i].cells);
        ranges[i] = ranges[--n_ranges];
        last_hit = 0;
        find_bounds();
        return;
    }
}

static range *find(const char *at)
{
    if (at < lowest || at >= highest) return NULL;
    if (last_hit < n_ranges && at >= ranges[last_hit].from && at < ranges[last_hit].from + ranges[last_hit].n_bytes)
        return &ranges[last_hit];
    for (int i = 0; i < n_ranges; i++)
        if (at >= ranges[i].from && at < ranges[i].from + ranges[i].n_bytes) {
            last_hit = i;
            return &ranges[i];
        }
    return NULL;
}

static bool is_ordered(const access *before, const access *now, bool is_shared)
{
    if (before->launch != now->launch || (before->is_atomic && now->is_atomic)) return true;
    if (before->block != now->block) return is_shared; /* that block was done with it */
    if (before->thread == now->thread || before->block_epoch < now->block_epoch) return true;
    return before->thread / NS_HOST_LANES == now->thread / NS_HOST_LANES && before->warp_epoch < now->warp_epoch;
}

static void check(const access *before, const access *now, bool is_shared, const char *what)
{
    if (is_ordered(before, now, is_shared)) return;
    ns_host_die("race: %s, thread %u of block %u and thread %u of block %u", what, before->thread, before->block, now->thread,
                now->block);
}

static void touch(const void *address, size_t n_bytes, bool writes, bool is_atomic)
{
    const ns_host_thread *who = ns_host_running;
    if (who == NULL) return;
    range *r = find(address);
    if (r == NULL) return;
    access now = {ns_host_launch, who->block, who->block_epoch, who->warp_epoch, (uint16_t)who->thread, is_atomic};
    cell *c = r->cells + ((const char *)address - r->from);
    size_t step = n_bytes % 4 == 0 && (uintptr_t)address % 4 == 0 ? 4 : 1;
    for (size_t i = 0; i < n_bytes; i += step, c += step) {
        check(&c->write, &now, r->is_shared, writes ? "two writes" : "a write, then a read");
        if (writes) {
            check(&c->reads[0], &now, r->is_shared, "a read, then a write");
            check(&c->reads[1], &now, r->is_shared, "a read, then a write");
            c->write = now;
            continue;
        }
        if (c->reads[0].thread != now.thread || c->reads[0].block != now.block) c->reads[1] = c->reads[0];
        c->reads[0] = now;
    }
}

void ns_host_race_atomic(const void *address, int size)
{
    touch(address, (size_t)size, true, true);
}

/* --- what the compiler calls ------------------------------------------------------------------------------------------ */

#define ACCESS(name, n_bytes, writes)                                                                                        \
    void __tsan_##name(void *address);                                                                                       \
    void __tsan_##name(void *address)                                                                                        \
    {                                                                                                                        \
        touch(address, n_bytes, writes, false);                                                                              \
    }
ACCESS(read1, 1, false)
ACCESS(read2, 2, false)
ACCESS(read4, 4, false)
ACCESS(read8, 8, false)
ACCESS(read16, 16, false)
ACCESS(unaligned_read2, 2, false)
ACCESS(unaligned_read4, 4, false)
ACCESS(unaligned_read8, 8, false)
ACCESS(unaligned_read16, 16, false)
ACCESS(write1, 1, true)
ACCESS(write2, 2, true)
ACCESS(write4, 4, true)
ACCESS(write8, 8, true)
ACCESS(write16, 16, true)
ACCESS(unaligned_write2, 2, true)
ACCESS(unaligned_write4, 4, true)
ACCESS(unaligned_write8, 8, true)
ACCESS(unaligned_write16, 16, true)
/* What clang calls for a read and a write of the same place. */
ACCESS(read_write1, 1, true)
ACCESS(read_write2, 2, true)
ACCESS(read_write4, 4, true)
ACCESS(read_write8, 8, true)
ACCESS(read_write16, 16, true)

void __tsan_read_range(void *address, unsigned long n_bytes);
void __tsan_read_range(void *address, unsigned long n_bytes)
{
    touch(address, n_bytes, false, false);
}

void __tsan_write_range(void *address, unsigned long n_bytes);
void __tsan_write_range(void *address, unsigned long n_bytes)
{
    touch(address, n_bytes, true, false);
}

void __tsan_init(void);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
    (void)caller;
}
void __tsan_func_exit(void);
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void **at, void *value);
void __tsan_vptr_update(void **at, void *value)
{
    (void)at;
    (void)value;
}
void *__tsan_memcpy(void *to, const void *from, size_t n_bytes);
void *__tsan_memcpy(void *to, const void *from, size_t n_bytes)
{
    touch(from, n_bytes, false, false);
    touch(to, n_bytes, true, false);
    return memcpy(to, from, n_bytes);
}
/* Of the host's side of the backend, no kernel: only done. */
int64_t __tsan_atomic64_fetch_add(volatile int64_t *at, int64_t value, int order);
int64_t __tsan_atomic64_fetch_add(volatile int64_t *at, int64_t value, int order)
{
    (void)order;
    return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}
void *__tsan_memset(void *to, int byte, size_t n_bytes);
void *__tsan_memset(void *to, int byte, size_t n_bytes)
{
    touch(to, n_bytes, true, false);
    return memset(to, byte, n_bytes);
}
