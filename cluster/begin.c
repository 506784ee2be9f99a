#include "cluster/begin.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* pmix_info_t of the PMIx standard, versions 3 to 5, as far as a truth value needs it. */
typedef struct directive {
    char key[512];
    uint32_t flags;
    struct {
        uint16_t type;
        union {
            bool truth;
            uint64_t room[3];
        } data;
    } value;
} directive;

static_assert(offsetof(directive, value) == 520 && sizeof(directive) == 552, "not what libpmix reads");

enum { PMIX_BOOL = 1 };
typedef int fence(const void *procs, size_t n_procs, const directive *info, size_t n_info);

/* PMIx_Fence of the library that MPI has loaded and speaks through; NULL: none. */
static fence *find_fence(void)
{
    union {
        void *object;
        fence *function;
    } found = {NULL}; /* POSIX lets a symbol's address be taken for a function's; C does not */
    void *library = dlopen("libpmix.so.2", RTLD_LAZY | RTLD_NOLOAD);
    if (library != NULL) found.object = dlsym(library, "PMIx_Fence");
    return found.object != NULL ? found.function : NULL;
}

/* The environment is the step's, the same for all of its ranks. */
static bool may_have_gone_ahead(void)
{
    const char *n_nodes = getenv("SLURM_STEP_NUM_NODES"), *kind = getenv(NS_PMIX_FENCE_VARIABLE);
    if (n_nodes == NULL || strcmp(n_nodes, "1") == 0) return false;
    if (getenv("PMIX_RANK") == NULL || getenv("OMPI_COMM_WORLD_SIZE") != NULL)
        return false; /* the latter: mpirun's, in a job */
    return kind == NULL || strcmp(kind, NS_PMIX_FENCE_RING) != 0;
}

void ns_begin_together(void)
{
    fence *meet = may_have_gone_ahead() ? find_fence() : NULL;
    if (meet == NULL) return;
    directive collect = {.key = "pmix.collect", .value = {.type = PMIX_BOOL, .data = {.truth = true}}};
    (void)meet(NULL, 0, &collect, 1); /* no processes named: all of the step */
}
