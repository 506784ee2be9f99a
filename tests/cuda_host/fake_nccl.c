/*
 * As much of libnccl.so.2 as kernels/ranks_cuda.c calls, for kernels on the host: processes of one machine that add up through
 * a file that they map, whose name is the unique id. NIGHTSHIFT_FAKE_NCCL says what goes wrong:
 *   id      ncclGetUniqueId fails
 *   init    ncclCommInitRank fails, on rank 1 alone
 *   sums    a sum is off by one
 *   late    the third and later all-reduces of the last rank fail
 * Built without sanitizers: what it is given is memory of the device, which only it and kernels may touch.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ID_BYTES = 128, PIECE = 8192, MOST_RANKS = 16, SYSTEM_ERROR = 2, INT64 = 4, SUM = 0, MAX = 2 };

typedef struct id {
    char bytes[ID_BYTES];
} id;

typedef struct shared {
    atomic_int n_came, turn, n_left;
    int64_t values[MOST_RANKS][PIECE];
} shared;

typedef struct comm {
    int n_ranks, rank, n_calls;
    shared *with;
    char path[ID_BYTES];
} comm;

int ncclGetUniqueId(id *out);
int ncclCommInitRank(void **out, int n_ranks, id unique, int rank);
int ncclAllReduce(const void *from, void *to, size_t n, int type, int operation, void *with, void *stream);
int ncclCommAbort(void *with);
const char *ncclGetErrorString(int result);

static bool goes_wrong(const char *what)
{
    const char *said = getenv("NIGHTSHIFT_FAKE_NCCL");
    return said != NULL && strcmp(said, what) == 0;
}

const char *ncclGetErrorString(int result)
{
    return result == 0 ? "no error" : "unhandled system error";
}

int ncclGetUniqueId(id *out)
{
    const char *folder = getenv("TMPDIR");
    memset(out, 0, sizeof *out);
    snprintf(out->bytes, sizeof out->bytes, "%s/nightshift-nccl-XXXXXX", folder == NULL || strlen(folder) > 80 ? "/tmp" : folder);
    int file = goes_wrong("id") ? -1 : mkstemp(out->bytes);
    if (file < 0) return SYSTEM_ERROR;
    int failed = ftruncate(file, sizeof(shared));
    close(file);
    return failed != 0 ? SYSTEM_ERROR : 0;
}

/* All ranks have come. */
static void meet(comm *c)
{
    int turn = atomic_load(&c->with->turn);
    if (atomic_fetch_add(&c->with->n_came, 1) + 1 == c->n_ranks) {
        atomic_store(&c->with->n_came, 0);
        atomic_fetch_add(&c->with->turn, 1);
    } else {
        while (atomic_load(&c->with->turn) == turn) sched_yield();
    }
}

int ncclCommInitRank(void **out, int n_ranks, id unique, int rank)
{
    *out = NULL;
    if (n_ranks > MOST_RANKS || (goes_wrong("init") && rank == 1)) return SYSTEM_ERROR;
    comm *c = calloc(1, sizeof *c);
    int file = open(unique.bytes, O_RDWR);
    if (c == NULL || file < 0) return SYSTEM_ERROR;
    *c = (comm){.n_ranks = n_ranks, .rank = rank};
    memcpy(c->path, unique.bytes, sizeof c->path);
    c->with = mmap(NULL, sizeof *c->with, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (c->with == MAP_FAILED) return SYSTEM_ERROR;
    if (goes_wrong("init")) { /* the others would wait for rank 1 */
        *out = c;
        return 0;
    }
    meet(c);
    *out = c;
    return 0;
}

static int64_t combined(const comm *c, size_t i, int operation)
{
    uint64_t sum = 0;
    int64_t most = c->with->values[0][i];
    for (int r = 0; r < c->n_ranks; r++) {
        int64_t value = c->with->values[r][i];
        sum += (uint64_t)value;
        most = value > most ? value : most;
    }
    if (operation == MAX) return most;
    return (int64_t)(sum + (goes_wrong("sums") ? 1 : 0));
}

int ncclAllReduce(const void *from, void *to, size_t n, int type, int operation, void *with, void *stream)
{
    comm *c = with;
    const volatile int64_t *in = from; /* volatile: no memcpy, which a sanitizer would look into */
    volatile int64_t *out = to;
    if (type != INT64 || (operation != SUM && operation != MAX) || stream == NULL) return SYSTEM_ERROR;
    bool fails = goes_wrong("late") && ++c->n_calls > 2 + 2; /* two are tried out */
    for (size_t first = 0; first < n; first += PIECE) {
        size_t here = n - first < PIECE ? n - first : PIECE;
        for (size_t i = 0; i < here; i++) c->with->values[c->rank][i] = in[first + i];
        meet(c);
        for (size_t i = 0; i < here; i++) out[first + i] = combined(c, i, operation);
        meet(c);
    }
    return fails && c->rank == c->n_ranks - 1 ? SYSTEM_ERROR : 0;
}

int ncclCommAbort(void *with)
{
    comm *c = with;
    unlink(c->path);
    munmap(c->with, sizeof *c->with);
    free(c);
    return 0;
}
