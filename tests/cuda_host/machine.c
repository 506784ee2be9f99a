#include "tests/cuda_host/machine.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/cuda_host/poison.h"

/*
 * A coroutine stays where it is between launches: its loop takes the next thread that it is given. The scheduler
 * switches to a ready lane and gets control back when the lane waits, yields or is done. What may run is kept as bit
 * masks of lanes for each warp.
 */
enum { STACK_BYTES = 256 << 10, MAX_RESIDENT = 4, MAX_WARPS = NS_HOST_MAX_THREADS / NS_HOST_LANES, GAP = 64, MAX_DECLARED = 64 };
enum { ARENA_BYTES = NS_HOST_SHARED_BYTES + 256 + (MAX_DECLARED + 2) * GAP };

ns_host_index threadIdx, blockIdx, blockDim, gridDim;
const ns_host_thread *ns_host_running;
uint32_t ns_host_launch;

/* What a lane waits with at an operation of its warp. */
typedef struct wait {
    ns_host_op op;
    unsigned mask;
    uint64_t value;
    int which, line;
} wait;

typedef struct fiber {
    void *stack_pointer;
    char *stack;
    void *fake_stack; /* address sanitizer's */
    struct block *block;
    ns_host_thread who;
    wait at;
} fiber;

typedef struct warp {
    uint32_t alive, ready, waiting, at_barrier;
} warp;

typedef struct declared {
    const void *declaration;
    size_t at;
} declared;

typedef struct block {
    bool is_used;
    ns_host_index index;
    unsigned n_alive, n_at_barrier;
    int barrier_line;
    warp warps[MAX_WARPS];
    fiber *fibers; /* [NS_HOST_MAX_THREADS] */
    char *arena;   /* shared memory: the dynamic part, then what is declared, with gaps */
    size_t taken;
    int n_declared;
    declared declared[MAX_DECLARED];
} block;

static block blocks[MAX_RESIDENT];
static const ns_host_grid *grid;
static void (*grid_body)(void *);
static void *grid_arguments;
static fiber *current;
static void *scheduler_pointer, *scheduler_fake;
static const void *scheduler_stack;
static size_t scheduler_bytes;
static uint64_t random_state;
static int lane_order; /* of this grid: 0 ascending, 1 descending, 2 any */

void ns_host_die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "cuda on host: %s: ", grid == NULL ? "no kernel" : grid->kernel);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    abort();
}

/* --- order ---------------------------------------------------------------------------------------------------------- */

static uint32_t random_below(uint32_t n)
{
    if (random_state == 0) {
        const char *text = getenv("NIGHTSHIFT_CUDA_SEED");
        ns_host_seed(text == NULL ? 1 : strtoull(text, NULL, 10));
    }
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) * n >> 32);
}

void ns_host_seed(uint64_t seed)
{
    random_state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static int pick_lane(uint32_t ready)
{
    if (lane_order == 0) return __builtin_ctz(ready);
    if (lane_order == 1) return 31 - __builtin_clz(ready);
    for (uint32_t skip = random_below((uint32_t)__builtin_popcount(ready)); skip > 0; skip--) ready &= ready - 1;
    return __builtin_ctz(ready);
}

/* --- switching ------------------------------------------------------------------------------------------------------ */

/* Registers that a call keeps go onto the stack, the stack pointer to *from; and back from `to`. */
void ns_host_switch(void **from, void *to);
__asm__(".text\n"
        ".globl ns_host_switch\n"
        ".type ns_host_switch, @function\n"
        "ns_host_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size ns_host_switch, . - ns_host_switch\n");

static void to_scheduler(void)
{
    fiber *from = current;
    ns_host_running = NULL;
    ns_fiber_leave(&from->fake_stack, scheduler_stack, scheduler_bytes);
    ns_host_switch(&from->stack_pointer, scheduler_pointer);
    ns_fiber_arrive(from->fake_stack, &scheduler_stack, &scheduler_bytes); /* a later grid may be another thread's of the host */
}

static void to_fiber(fiber *to)
{
    current = to;
    threadIdx = (ns_host_index){to->who.thread, 0, 0};
    blockIdx = to->block->index;
    ns_host_running = &to->who;
    ns_fiber_leave(&scheduler_fake, to->stack, STACK_BYTES);
    ns_host_switch(&scheduler_pointer, to->stack_pointer);
    ns_fiber_arrive(scheduler_fake, NULL, NULL);
}

static warp *warp_of(const fiber *f)
{
    return &f->block->warps[f->who.thread / NS_HOST_LANES];
}

static uint32_t lane_bit(const fiber *f)
{
    return UINT32_C(1) << f->who.thread % NS_HOST_LANES;
}

static void fiber_main(void)
{
    ns_fiber_arrive(NULL, &scheduler_stack, &scheduler_bytes);
    for (;;) {
        grid_body(grid_arguments);
        warp *w = warp_of(current);
        w->alive &= ~lane_bit(current);
        w->ready &= ~lane_bit(current);
        current->block->n_alive--;
        to_scheduler();
    }
}

static void make_fibers(block *b)
{
    b->fibers = calloc(NS_HOST_MAX_THREADS, sizeof *b->fibers);
    b->arena = aligned_alloc(64, ARENA_BYTES);
    char *stacks = mmap(NULL, (size_t)STACK_BYTES * NS_HOST_MAX_THREADS, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->fibers == NULL || b->arena == NULL || stacks == MAP_FAILED) ns_host_die("no memory for its threads");
    ns_host_race_range(b->arena, ARENA_BYTES, 1);
    for (int i = 0; i < NS_HOST_MAX_THREADS; i++) {
        fiber *f = &b->fibers[i];
        f->stack = stacks + (size_t)i * STACK_BYTES;
        f->block = b;
        void **top = (void **)(f->stack + STACK_BYTES);
        *--top = NULL; /* where fiber_main would return to; also aligns its frame */
        void (*entry)(void) = fiber_main;
        memcpy(--top, &entry, sizeof entry);
        for (int r = 0; r < 6; r++) *--top = NULL;
        f->stack_pointer = top;
    }
}

/* --- what threads call ---------------------------------------------------------------------------------------------- */

static void wait_here(void)
{
    warp_of(current)->ready &= ~lane_bit(current);
    to_scheduler();
}

/* All living threads of a block have come. */
static void release_barrier(block *b)
{
    for (unsigned w = 0; w < MAX_WARPS; w++) {
        b->warps[w].ready |= b->warps[w].at_barrier;
        b->warps[w].at_barrier = 0;
    }
    b->n_at_barrier = 0;
    for (unsigned t = 0; t < grid->n_threads; t++) b->fibers[t].who.block_epoch++;
}

void ns_host_barrier(int line)
{
    block *b = current->block;
    if (b->n_at_barrier > 0 && b->barrier_line != line)
        ns_host_die("thread %u is at the barrier of line %d, others at that of line %d", current->who.thread, line, b->barrier_line);
    b->barrier_line = line;
    b->n_at_barrier++;
    warp_of(current)->at_barrier |= lane_bit(current);
    wait_here();
}

static int source_of(const wait *at, int lane)
{
    int from = at->op == NS_HOST_SHUFFLE ? at->which & 31
               : at->op == NS_HOST_UP    ? lane - at->which
               : at->op == NS_HOST_DOWN  ? lane + at->which
                                         : lane ^ at->which;
    return from < 0 || from > 31 ? lane : from;
}

/* All lanes of the mask have come: their results. */
static void release_warp(fiber *lanes, warp *w, unsigned mask)
{
    uint64_t value[NS_HOST_LANES], ballot = 0;
    for (int l = 0; l < NS_HOST_LANES; l++) {
        if ((mask >> l & 1) == 0) continue;
        value[l] = lanes[l].at.value;
        if (value[l] != 0) ballot |= UINT64_C(1) << l;
    }
    bool whole = (w->alive & ~mask) == 0;
    for (int l = 0; l < NS_HOST_LANES; l++) {
        if ((mask >> l & 1) == 0) continue;
        wait *at = &lanes[l].at;
        if (at->op == NS_HOST_BALLOT) at->value = ballot;
        if (at->op > NS_HOST_BALLOT) {
            int from = source_of(at, l);
            if ((mask >> from & 1) == 0) ns_host_die("line %d: lane %d reads lane %d, which is not in the mask %#x", at->line, l, from, mask);
            at->value = value[from];
        }
        if (at->op == NS_HOST_SYNC && whole) lanes[l].who.warp_epoch++;
    }
    w->waiting &= ~mask;
    w->ready |= mask;
}

uint64_t ns_host_warp(ns_host_op op, unsigned mask, uint64_t value, int which, int line)
{
    warp *w = warp_of(current);
    fiber *lanes = current->block->fibers + current->who.thread / NS_HOST_LANES * NS_HOST_LANES;
    if ((mask & lane_bit(current)) == 0) ns_host_die("line %d: a lane is not in its own mask %#x", line, mask);
    if ((mask & ~w->alive) != 0) ns_host_die("line %d: the mask %#x names threads that left", line, mask);
    current->at = (wait){op, mask, value, which, line};
    w->waiting |= lane_bit(current);
    bool all = (w->waiting & mask) == mask;
    for (int l = 0; l < NS_HOST_LANES && all; l++) {
        if ((mask >> l & 1) == 0) continue;
        const wait *at = &lanes[l].at;
        if (at->mask == mask && at->op == op && at->line == line) continue;
        ns_host_die("lanes of one warp are at different operations: lines %d and %d", line, at->line);
    }
    w->ready &= ~lane_bit(current);
    if (all) release_warp(lanes, w, mask);
    to_scheduler();
    return current->at.value;
}

void ns_host_atomic(const void *address, int size)
{
    ns_host_race_atomic(address, size);
    if (random_below(64) == 0) to_scheduler();
}

void *ns_host_dynamic(void)
{
    return current->block->arena;
}

static char *take_shared(block *b, size_t n_bytes)
{
    char *from = b->arena + b->taken;
    ns_unpoison(from, n_bytes);
    memset(from, (int)(0xa5 ^ random_below(256)), n_bytes);
    b->taken += (n_bytes + 15) / 16 * 16 + GAP;
    if (b->taken > NS_HOST_SHARED_BYTES + (size_t)(b->n_declared + 1) * (GAP + 16)) ns_host_die("more than %d bytes of shared memory", NS_HOST_SHARED_BYTES);
    return from;
}

void *ns_host_shared(const void *declaration, size_t n_bytes)
{
    block *b = current->block;
    for (int i = 0; i < b->n_declared; i++)
        if (b->declared[i].declaration == declaration) return b->arena + b->declared[i].at;
    if (b->n_declared == MAX_DECLARED) ns_host_die("more than %d shared variables", MAX_DECLARED);
    b->declared[b->n_declared++] = (declared){declaration, b->taken};
    return take_shared(b, n_bytes);
}

/* --- scheduling ----------------------------------------------------------------------------------------------------- */

static void start_block(block *b, uint64_t number)
{
    if (b->fibers == NULL) make_fibers(b);
    ns_host_index n = grid->grid;
    b->is_used = true;
    b->index = (ns_host_index){(unsigned)(number % n.x), (unsigned)(number / n.x % n.y), (unsigned)(number / n.x / n.y)};
    b->n_alive = grid->n_threads;
    b->n_at_barrier = 0;
    b->n_declared = 0;
    b->taken = 0;
    ns_poison(b->arena, ARENA_BYTES);
    take_shared(b, grid->shared_bytes);
    memset(b->warps, 0, sizeof b->warps);
    for (unsigned t = 0; t < grid->n_threads; t++) {
        b->fibers[t].who = (ns_host_thread){(uint32_t)number, t, 0, 0};
        b->warps[t / NS_HOST_LANES].alive |= UINT32_C(1) << t % NS_HOST_LANES;
    }
    for (unsigned w = 0; w < MAX_WARPS; w++) b->warps[w].ready = b->warps[w].alive;
}

/* Lets all ready lanes of one warp of the block run once. False: none is ready. */
static bool run_some(block *b)
{
    unsigned n_warps = (grid->n_threads + NS_HOST_LANES - 1) / NS_HOST_LANES, first = random_below(n_warps);
    for (unsigned i = 0; i < n_warps; i++) {
        unsigned w = (first + i) % n_warps;
        uint32_t turn = b->warps[w].ready;
        if (turn == 0) continue;
        while (turn != 0) {
            int lane = pick_lane(turn);
            turn &= ~(UINT32_C(1) << lane);
            to_fiber(&b->fibers[w * NS_HOST_LANES + (unsigned)lane]);
        }
        return true;
    }
    return false;
}

static void explain_deadlock(void)
{
    for (int i = 0; i < MAX_RESIDENT; i++)
        for (unsigned t = 0; blocks[i].is_used && t < grid->n_threads; t++) {
            const fiber *f = &blocks[i].fibers[t];
            if ((warp_of(f)->waiting & lane_bit(f)) == 0) continue;
            if ((f->at.mask & ~warp_of(f)->alive) != 0)
                ns_host_die("deadlock: the mask %#x of line %d names threads that left", f->at.mask, f->at.line);
            ns_host_die("deadlock: thread %u of block %u waits for its warp at line %d", t, f->who.block, f->at.line);
        }
    ns_host_die("deadlock: threads wait at the barrier of line %d", blocks[0].barrier_line);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

void ns_host_run(const ns_host_grid *what, void (*body)(void *), void *arguments)
{
    if (grid != NULL) ns_host_die("launched from within a kernel");
    grid = what;
    grid_body = body;
    grid_arguments = arguments;
    gridDim = what->grid;
    blockDim = (ns_host_index){what->n_threads, 1, 1};
    ns_host_launch++;
    ns_host_open_memory();
    uint64_t n_blocks = (uint64_t)what->grid.x * what->grid.y * what->grid.z, next = 0, n_done = 0;
    uint64_t step = 1 + random_below(1000), offset = random_below((uint32_t)n_blocks);
    while (common_divisor(step, n_blocks) != 1) step++;
    if (random_below(4) == 0) step = 1, offset = 0;
    int n_resident = 1 + (int)random_below(MAX_RESIDENT);
    lane_order = (int)random_below(3);
    while (n_done < n_blocks) {
        bool moved = false;
        for (int i = 0; i < n_resident; i++) {
            block *b = &blocks[i];
            if (!b->is_used && next < n_blocks) start_block(b, (step % n_blocks * next++ + offset) % n_blocks);
            if (!b->is_used) continue;
            moved = run_some(b) || moved;
            if (b->n_alive > 0 && b->n_at_barrier == b->n_alive) {
                release_barrier(b);
                moved = true;
            }
            if (b->n_alive > 0) continue;
            b->is_used = false;
            n_done++;
            moved = true;
        }
        if (!moved) explain_deadlock();
    }
    ns_host_close_memory();
    grid = NULL;
}
