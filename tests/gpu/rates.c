/* rates_gpu [MEGABYTES [TIMES]]: one line for each rate of this GPU, "name value", the best of five; see rates.h. */
#include "tests/gpu/rates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda_module.h"
#include "kernels/cuda_times.h"

typedef struct rig {
    ns_cuda *cuda;
    ns_cuda_memory memory;
    int64_t n_bytes;
    int32_t times, *out;
    int64_t *from, *to;
    char *host;
} rig;

typedef enum what { ATOMICS, COPY, GATHER, COPY_IN, COPY_OUT, NOTHING, N_WHAT } what;
static const char *const names[] = {"shared_atomics_per_s", "memory_bytes_per_s", "sectors_bytes_per_s", "copy_in_bytes_per_s", "copy_out_bytes_per_s", "launches_per_s"};

/* Queues one of it; *amount: of what the rate counts. */
static ns_status queue(rig *r, what which, double *amount)
{
    enum { LAUNCHES = 1000 };
    int64_t n = 0;
    *amount = (double)r->n_bytes;
    switch (which) {
    case ATOMICS:
        NS_TRY(rates_atomics(r->cuda, r->times, r->out, &n));
        *amount = (double)n;
        return NS_OK;
    case COPY:
        *amount = 2.0 * (double)r->n_bytes;
        return rates_copy(r->cuda, r->from, r->to, r->n_bytes / 8);
    case GATHER:
        return rates_gather(r->cuda, (const int32_t *)r->from, r->n_bytes / 32, r->out);
    case COPY_IN:
        return ns_cuda_copy_in(r->cuda, r->from, r->host, (size_t)r->n_bytes);
    case COPY_OUT:
        return ns_cuda_copy_out(r->cuda, r->host, r->from, (size_t)r->n_bytes);
    case NOTHING:
    case N_WHAT:
        break;
    }
    *amount = LAUNCHES;
    for (int i = 0; i < LAUNCHES; i++) NS_TRY(rates_nothing(r->cuda, r->out));
    return NS_OK;
}

static ns_status measure(rig *r)
{
    for (int which = 0; which < N_WHAT; which++) {
        double best = 0, amount, seconds;
        for (int i = 0; i < 5; i++) {
            NS_TRY(ns_cuda_note_moment(r->cuda, 0));
            NS_TRY(queue(r, (what)which, &amount));
            NS_TRY(ns_cuda_note_moment(r->cuda, 1));
            NS_TRY(ns_cuda_wait(r->cuda));
            NS_TRY(ns_cuda_seconds_between(r->cuda, 0, 1, &seconds));
            if (seconds > 0 && amount / seconds > best) best = amount / seconds;
        }
        printf("%-24s %.4g\n", names[which], best);
    }
    return NS_OK;
}

static ns_status run(rig *r, ns_device *device)
{
    r->cuda = device->state;
    r->memory.cuda = r->cuda;
    r->from = ns_cuda_take(&r->memory, r->n_bytes, 1);
    r->to = ns_cuda_take(&r->memory, r->n_bytes, 1);
    r->out = ns_cuda_take(&r->memory, 1, sizeof *r->out);
    r->host = ns_cuda_take_pinned(&r->memory, r->n_bytes, 1);
    if (r->memory.failed) return ns_fail(NS_ENOMEM, "GPU: not enough memory: %lld bytes", (long long)r->memory.n_bytes);
    memset(r->host, 1, (size_t)r->n_bytes);
    NS_TRY(ns_cuda_zero(r->cuda, r->from, (size_t)r->n_bytes));
    NS_TRY(ns_cuda_zero(r->cuda, r->out, sizeof *r->out));
    printf("%-24s %s\n", "gpu", device->use->gpu);
    return measure(r);
}

int main(int argc, char **argv)
{
    long megabytes = argc > 1 ? strtol(argv[1], NULL, 10) : 1024, times = argc > 2 ? strtol(argv[2], NULL, 10) : 10000;
    rig r = {.n_bytes = (int64_t)(megabytes > 0 ? megabytes : 1) << 20, .times = (int32_t)(times > 0 ? times : 1)};
    ns_link alone = ns_link_alone();
    ns_device *device = NULL;
    ns_status status = ns_device_open(&device, "cpu", 1, &alone);
    if (status == NS_OK) status = ns_cuda_module_table.open(device, 0);
    if (status == NS_OK) status = run(&r, device);
    if (status != NS_OK) fprintf(stderr, "nightshift: %s\n", ns_last_error()->message);
    if (r.cuda != NULL) ns_cuda_give_all(&r.memory);
    ns_device_close(&device);
    return ns_exit_code(status);
}
