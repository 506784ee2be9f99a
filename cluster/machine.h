#ifndef NIGHTSHIFT_CLUSTER_MACHINE_H
#define NIGHTSHIFT_CLUSTER_MACHINE_H
/* What this machine leaves to this process: cores, memory, names. Linux; where it cannot tell, it says so
 * below. */
#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Cores that this process may use: its affinity mask, and no more than its control group's CPU quota allows
   (rounded up). At least 1. Local. */
int ns_usable_cores(void);

/* This rank among the ranks of comm that share its node, itself included. */
typedef struct ns_node_place {
    int rank, n_ranks;
} ns_node_place;

/* Collective over comm. */
ns_node_place ns_place_on_node(MPI_Comm comm);

/*
 * Bytes of memory that this process may still take: the least of what the kernel calls available, what its
 * control group and every one above it leave (file cache counts as free: the kernel drops it first), and
 * RLIMIT_AS less what is mapped. INT64_MAX where nothing of this can be read. Local; ranks of one node share
 * it.
 */
int64_t ns_available_memory(void);

/* The parts that read control groups, with the place of their files as arguments so that tests can make them
   up. groups: text of /proc/self/cgroup; mount: /sys/fs/cgroup. INT64_MAX and 0 where there is no limit. */
int64_t ns_group_memory_left(const char *groups, const char *mount);
int ns_group_cores(const char *groups, const char *mount);

/* The name of this host, printable ASCII only; "unknown" where it has none. */
void ns_host_name(char *out, size_t size);

/* The id of this start of the kernel, "" where unknown: with it, process ids of another start mean nothing.
 */
enum { NS_BOOT_ID_SIZE = 40 };
void ns_boot_id(char out[NS_BOOT_ID_SIZE]);

/*
 * When a process started, in clock ticks since boot: process id and this number together name one process.
 * False where no such process is alive; a zombie is not.
 */
bool ns_process_start(uint64_t *ticks, int64_t pid);
#endif
