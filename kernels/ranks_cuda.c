#include "kernels/cuda_ranks.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/forest_state.h"

/*
 * NCCL is looked for at run time, so that neither building nor running needs it. Before a sum is queued all ranks agree that
 * none has failed: one that would not come leaves the others' GPUs waiting. (A GPU that is lost within a sum is found by
 * nobody but the watchdog of the run.)
 */

/* As much of NCCL's interface as is called here (nccl.h of NCCL 2; the same since 2.0). */
enum { ID_BYTES = 128, NCCL_INT64 = 4, NCCL_SUM = 0, NCCL_MAX = 2 };
typedef struct nccl_id {
    char bytes[ID_BYTES];
} nccl_id;
typedef int nccl_get_unique_id(nccl_id *id);
typedef int nccl_comm_init_rank(void **comm, int n_ranks, nccl_id id, int rank);
typedef int nccl_all_reduce(const void *from, void *to, size_t n, int type, int operation, void *comm, void *stream);
typedef int nccl_comm_abort(void *comm);
typedef const char *nccl_get_error_string(int result);

struct ns_cuda_ranks {
    void *library, *comm; /* comm NULL: sums go through the host */
    nccl_get_unique_id *get_unique_id;
    nccl_comm_init_rank *comm_init_rank;
    nccl_all_reduce *all_reduce;
    nccl_comm_abort *comm_abort;
    nccl_get_error_string *get_error_string;
};

/* --- what speaks against it ------------------------------------------------------------------------------------------- */

static bool find_symbol(void *library, const char *name, void *to)
{
    void *symbol = dlsym(library, name);
    memcpy(to, &symbol, sizeof symbol); /* ISO C has no cast from an object's pointer to a function's */
    return symbol != NULL;
}

static bool load(ns_cuda_ranks *r, char *why, size_t size)
{
    const char *said = getenv("NIGHTSHIFT_NCCL"), *name = said != NULL && said[0] != '\0' ? said : "libnccl.so.2";
    if (strcmp(name, "0") == 0) {
        snprintf(why, size, "NIGHTSHIFT_NCCL is 0");
        return false;
    }
    r->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (r->library == NULL) {
        snprintf(why, size, "there is no libnccl.so.2");
        return false;
    }
    bool found = find_symbol(r->library, "ncclGetUniqueId", &r->get_unique_id) && find_symbol(r->library, "ncclCommInitRank", &r->comm_init_rank) && find_symbol(r->library, "ncclAllReduce", &r->all_reduce) &&
                 find_symbol(r->library, "ncclCommAbort", &r->comm_abort) &&
                 find_symbol(r->library, "ncclGetErrorString", &r->get_error_string);
    if (!found) snprintf(why, size, "libnccl.so.2 is none that is known");
    return found;
}

/* A number for the GPU of this rank, the same for two ranks of one machine that share it: FNV-1a of machine and bus, 62 bits. */
static int64_t gpu_number(const ns_cuda *cuda)
{
    char place[2][256] = {"", ""};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (gethostname(place[0], sizeof place[0] - 1) != 0 || ns_cuda_bus(cuda, place[1], sizeof place[1]) != NS_OK) return 0;
    for (int i = 0; i < 2; i++)
        for (const char *c = place[i]; *c != '\0'; c++) hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return (int64_t)(hash >> 2);
}

/* Whether all ranks have a GPU of their own. Collective. */
static ns_status look_for_sharing(ns_device *device, bool *shared)
{
    const ns_link *link = &device->link;
    int64_t *number = calloc((size_t)link->n_ranks, sizeof *number);
    *shared = false;
    ns_status status = ns_forest_agree(number == NULL ? ns_fail(NS_ENOMEM, "not enough memory to compare GPUs") : NS_OK, "comparing GPUs", link);
    if (status == NS_OK) {
        number[link->rank] = gpu_number(device->state);
        link->sum_i64(link->context, number, link->n_ranks);
        for (int i = 0; i < link->n_ranks; i++)
            for (int j = 0; j < i; j++) *shared = *shared || number[i] == number[j];
    }
    free(number);
    return status;
}

/* --- joining -------------------------------------------------------------------------------------------------------- */

/* True where no rank objects; else each rank's `why` says something. Collective. */
static bool all_say_yes(const ns_link *link, bool mine, char *why, size_t size)
{
    int64_t objects = !mine;
    link->max_i64(link->context, &objects, 1);
    if (objects != 0 && mine) snprintf(why, size, "another rank cannot");
    return objects == 0;
}

/* The communicator; false: why not. Collective. */
static bool join(ns_device *device, ns_cuda_ranks *r, char *why, size_t size)
{
    const ns_link *link = &device->link;
    nccl_id id = {{0}};
    int64_t words[ID_BYTES / 8] = {0};
    int result = link->rank == 0 ? r->get_unique_id(&id) : 0;
    if (result != 0) snprintf(why, size, "NCCL: %s", r->get_error_string(result));
    if (!all_say_yes(link, result == 0, why, size)) return false;
    memcpy(words, &id, sizeof id);
    link->sum_i64(link->context, words, ID_BYTES / 8); /* all but rank 0's are 0 */
    memcpy(&id, words, sizeof id);
    result = r->comm_init_rank(&r->comm, link->n_ranks, id, link->rank);
    if (result != 0) {
        r->comm = NULL;
        snprintf(why, size, "NCCL: %s", r->get_error_string(result));
    }
    return all_say_yes(link, result == 0, why, size);
}

static ns_status queue(ns_device *device, ns_cuda_reduction how, int64_t *at, int64_t n)
{
    ns_cuda *cuda = device->state;
    ns_cuda_ranks *r = *ns_cuda_ranks_of(cuda);
    int result = r->all_reduce(at, at, (size_t)n, NCCL_INT64, how == NS_CUDA_MAX ? NCCL_MAX : NCCL_SUM, r->comm, ns_cuda_stream_handle(cuda));
    if (result != 0) return ns_fail(NS_EDEVICE, "GPU: a sum over ranks: NCCL: %s", r->get_error_string(result));
    return NS_OK;
}

/* A sum and a maximum whose results are known; *right: they are as they should be. Collective. */
static ns_status try_out(ns_device *device, bool *right)
{
    const ns_link *link = &device->link;
    ns_cuda *cuda = device->state;
    int64_t n = link->n_ranks, mine = link->rank + 1, large = INT64_C(1) << 61, values[3] = {mine, large / n - mine, -mine}, want_large = 0;
    for (int64_t i = 1; i <= n; i++) want_large += large / n - i;
    ns_cuda_memory m = {.cuda = cuda};
    int64_t *at = ns_cuda_take(&m, 3, sizeof *at);
    ns_status status = m.failed ? ns_fail(NS_ENOMEM, "GPU: not enough memory to try out sums over ranks") : NS_OK;
    if (status == NS_OK) status = ns_cuda_copy_in(cuda, at, values, sizeof values);
    status = ns_forest_agree(status, "sums over ranks", link);
    if (status == NS_OK) {
        status = queue(device, NS_CUDA_SUM, at, 2);
        if (status == NS_OK) status = queue(device, NS_CUDA_MAX, at + 2, 1);
        if (status == NS_OK) status = ns_cuda_copy_out(cuda, values, at, sizeof values);
        if (status == NS_OK) status = ns_cuda_wait(cuda);
        status = ns_forest_agree(status, "sums over ranks", link);
    }
    *right = status == NS_OK && values[0] == n * (n + 1) / 2 && values[1] == want_large && values[2] == -1;
    ns_cuda_give_all(&m);
    return status;
}

ns_status ns_cuda_join_ranks(ns_device *device)
{
    ns_cuda *cuda = device->state;
    const ns_link *link = &device->link;
    ns_device_use *use = ns_cuda_use_of(cuda);
    bool shared, right = false;
    if (link->n_ranks == 1 || *ns_cuda_ranks_of(cuda) != NULL) return NS_OK;
    ns_cuda_ranks *r = calloc(1, sizeof *r);
    *ns_cuda_ranks_of(cuda) = r;
    NS_TRY(ns_forest_agree(r == NULL ? ns_fail(NS_ENOMEM, "not enough memory for sums over ranks") : NS_OK, "sums over ranks", link));
    use->sums = "host";
    NS_TRY(look_for_sharing(device, &shared));
    if (shared) {
        snprintf(use->why_host, sizeof use->why_host, "ranks share a GPU");
        return NS_OK;
    }
    bool loaded = load(r, use->why_host, sizeof use->why_host);
    if (!all_say_yes(link, loaded, use->why_host, sizeof use->why_host)) return NS_OK;
    if (join(device, r, use->why_host, sizeof use->why_host)) {
        NS_TRY(try_out(device, &right));
        if (!right) snprintf(use->why_host, sizeof use->why_host, "NCCL does not add up");
        right = all_say_yes(link, right, use->why_host, sizeof use->why_host);
    }
    if (right) {
        use->sums = "nccl";
        use->why_host[0] = '\0';
    } else if (r->comm != NULL) {
        (void)r->comm_abort(r->comm);
        r->comm = NULL;
    }
    return NS_OK;
}

void ns_cuda_leave_ranks(ns_cuda *cuda)
{
    ns_cuda_ranks *r = *ns_cuda_ranks_of(cuda);
    /* Not ncclCommDestroy, which waits for ranks that may have failed; nothing is under way that anyone needs. The library stays. */
    if (r != NULL && r->comm != NULL) (void)r->comm_abort(r->comm);
    free(r);
    *ns_cuda_ranks_of(cuda) = NULL;
}

/* --- sums ----------------------------------------------------------------------------------------------------------- */

bool ns_cuda_ranks_queue(const ns_cuda *cuda)
{
    return strcmp(ns_cuda_use_of((ns_cuda *)cuda)->sums, "host") != 0;
}

ns_status ns_cuda_reduce(ns_device *device, ns_status *mine, ns_cuda_reduction how, int64_t *at, int64_t n, int64_t *host)
{
    const ns_link *link = &device->link;
    ns_cuda *cuda = device->state;
    size_t n_bytes = (size_t)n * sizeof *at;
    if (link->n_ranks == 1) return *mine;
    bool by_host = !ns_cuda_ranks_queue(cuda);
    if (by_host && *mine == NS_OK) *mine = ns_cuda_copy_out(cuda, host, at, n_bytes);
    if (by_host && *mine == NS_OK) *mine = ns_cuda_wait(cuda);
    NS_TRY(ns_forest_agree(*mine, "training on a GPU", link));
    if (by_host && n > 0) {
        (how == NS_CUDA_MAX ? link->max_i64 : link->sum_i64)(link->context, host, n);
        *mine = ns_cuda_copy_in(cuda, at, host, n_bytes);
    } else if (n > 0) {
        *mine = queue(device, how, at, n);
    }
    return NS_OK;
}
