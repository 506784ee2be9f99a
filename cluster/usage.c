#include "cluster/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cluster/agree.h"
#include "cluster/log.h"

/* Like what getrusage counts, it belongs to the process. Only the thread that speaks MPI writes here. */
static struct {
    double since, waiting_s, sent_bytes;
} met;

void ns_usage_meeting_begins(void)
{
    met.since = ns_seconds();
}

void ns_usage_meeting_ended(void)
{
    met.waiting_s += ns_seconds() - met.since;
}

void ns_usage_sent(size_t n_bytes)
{
    met.sent_bytes += (double)n_bytes;
}

/* The number after "name:" in a file of /proc, times scale; 0 where there is none. */
static double number_of(const char *path, const char *name, double scale)
{
    char line[256];
    double value = 0;
    size_t length = strlen(name);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, length) != 0 || line[length] != ':') continue;
        value = (double)strtoll(line + length + 1, NULL, 10) * scale;
        break;
    }
    fclose(file);
    return value;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

ns_usage ns_usage_now(void)
{
    struct rusage used = {0};
    getrusage(RUSAGE_SELF, &used);
    return (ns_usage){
        .cpu_s = seconds_of(used.ru_utime) + seconds_of(used.ru_stime),
        .waiting_s = met.waiting_s,
        .peak_bytes = number_of("/proc/self/status", "VmHWM", 1024),
        .read_bytes = number_of("/proc/self/io", "rchar", 1),
        .sent_bytes = met.sent_bytes,
    };
}

static int by_value(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

ns_status ns_usage_spread(const double *values, int n, ns_spread *out, MPI_Comm comm)
{
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    double *all = NULL, *one = NULL;
    ns_status status = NS_OK;
    if (rank == 0) {
        all = malloc(((size_t)n * (size_t)n_ranks + 1) * sizeof *all); /* [n_ranks][n] */
        one = malloc((size_t)n_ranks * sizeof *one);
        if (all == NULL || one == NULL) status = ns_fail(NS_ENOMEM, "no memory for what %d ranks used", n_ranks);
    }
    status = ns_agree(status, comm);
    if (status == NS_OK) {
        MPI_Gather(values, n, MPI_DOUBLE, all, n, MPI_DOUBLE, 0, comm);
        for (int i = 0; i < n && rank == 0; i++) {
            for (int r = 0; r < n_ranks; r++) one[r] = all[(size_t)r * (size_t)n + (size_t)i];
            qsort(one, (size_t)n_ranks, sizeof *one, by_value);
            out[i] = (ns_spread){.least = one[0], .median = one[(n_ranks - 1) / 2], .most = one[n_ranks - 1]};
        }
    }
    free(all);
    free(one);
    return status;
}
