/* What the machine leaves to this process; control groups are made up in a temporary folder. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "tests/check.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/machine.h"

static int n_ranks;
static char root[] = "/tmp/nightshift-machine-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    memcpy(root + sizeof root - 7, "XXXXXX", 6);
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

/* Writes ROOT/PATH and the folders above it. */
static void put(const char *path, const char *text)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0777);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void no_groups(void **state)
{
    (void)state;
    assert_true(ns_group_memory_left("", root) == INT64_MAX);
    assert_true(ns_group_memory_left("0::/a\n4:memory:/b\n", root) == INT64_MAX);
    assert_int_equal(ns_group_cores("0::/a\n3:cpu,cpuacct:/b\n", root), 0);
    assert_true(ns_group_memory_left("not a list of groups", "/nowhere") == INT64_MAX);
}

static void second_version(void **state)
{
    (void)state;
    const char *groups = "0::/job/step\n";
    put("job/step/memory.max", "max\n");
    put("job/step/memory.current", "100\n");
    assert_true(ns_group_memory_left(groups, root) == INT64_MAX);
    put("job/memory.max", "1000000\n");
    put("job/memory.current", "400000\n");
    assert_true(ns_group_memory_left(groups, root) == 600000);
    put("job/memory.stat",
        "anon 300000\nfile 100000\ninactive_anon 77\nactive_file 20000\ninactive_file 50000\n");
    assert_true(ns_group_memory_left(groups, root) == 670000); /* file cache counts as free */
    put("job/step/memory.max", "500\n");
    assert_true(ns_group_memory_left(groups, root) == 400); /* the least of all levels */
    put("memory.max", "50\n");
    put("memory.current", "70\n");
    assert_true(ns_group_memory_left(groups, root) == 0); /* used more than allowed */
    assert_true(ns_group_memory_left("0::/elsewhere\n", root) == 0);

    assert_int_equal(ns_group_cores(groups, root), 0);
    put("job/cpu.max", "max 100000\n");
    assert_int_equal(ns_group_cores(groups, root), 0);
    put("job/cpu.max", "350000 100000\n");
    assert_int_equal(ns_group_cores(groups, root), 4);
    put("job/step/cpu.max", "50000 100000\n");
    assert_int_equal(ns_group_cores(groups, root), 1);
}

static void first_version(void **state)
{
    (void)state;
    const char *groups = "5:cpuset:/x\n4:memory:/job/\n3:cpuacct,cpu:/job\n0::/\n";
    put("memory/job/memory.limit_in_bytes", "9223372036854771712\n");
    put("memory/job/memory.usage_in_bytes", "100\n");
    assert_true(ns_group_memory_left(groups, root) == INT64_MAX); /* the kernel's way to say: no limit */
    put("memory/job/memory.limit_in_bytes", "1000000\n");
    put("memory/job/memory.usage_in_bytes", "400000\n");
    put("memory/job/memory.stat", "cache 1\ntotal_inactive_file 30000\ntotal_active_file 5\n");
    assert_true(ns_group_memory_left(groups, root) == 630005);
    assert_int_equal(ns_group_cores(groups, root), 0);
    put("cpu/job/cpu.cfs_quota_us", "-1\n");
    put("cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(ns_group_cores(groups, root), 0);
    put("cpu/job/cpu.cfs_quota_us", "200000\n");
    assert_int_equal(ns_group_cores(groups, root), 2);
}

static void cores(void **state)
{
    (void)state;
    cpu_set_t old, one;
    int n = ns_usable_cores();
    assert_true(n >= 1 && n <= sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(sched_getaffinity(0, sizeof old, &old), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &old)) {
            CPU_SET(i, &one);
            break;
        }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    n = ns_usable_cores();
    sched_setaffinity(0, sizeof old, &old);
    assert_int_equal(n, 1);
}

static void memory(void **state)
{
    (void)state;
    int64_t free_now = ns_available_memory();
    assert_true(free_now > 1 << 20 && free_now < (int64_t)1 << 50);
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lld", &pages), 1);
    fclose(file);
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)(pages * sysconf(_SC_PAGESIZE)) + (1 << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    int64_t little = ns_available_memory();
    setrlimit(RLIMIT_AS, &old);
    assert_true(little <= 1 << 20 && little > 0);
}

static void names(void **state)
{
    (void)state;
    char host[256], tiny[4], boot[NS_BOOT_ID_SIZE], again[NS_BOOT_ID_SIZE];
    ns_host_name(host, sizeof host);
    assert_true(strlen(host) > 0 && strchr(host, ' ') == NULL);
    ns_host_name(tiny, sizeof tiny);
    assert_true(strlen(tiny) < sizeof tiny && strncmp(tiny, host, strlen(tiny)) == 0);
    ns_boot_id(boot);
    ns_boot_id(again);
    assert_int_equal(strlen(boot), 36);
    assert_string_equal(boot, again);
}

static void processes(void **state)
{
    (void)state;
    uint64_t mine, again, theirs;
    assert_true(ns_process_start(&mine, getpid()));
    assert_true(ns_process_start(&again, getpid()));
    assert_true(mine == again && mine > 0);

    pid_t child = fork();
    if (child == 0) {
        for (;;) pause();
    }
    assert_true(child > 0);
    assert_true(ns_process_start(&theirs, child));
    assert_true(theirs >= mine);
    kill(child, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_false(ns_process_start(&theirs, child)); /* a zombie */
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(ns_process_start(&theirs, child));
    assert_false(ns_process_start(&theirs, -1));
}

static void place_on_node(void **state)
{
    (void)state;
    ns_node_place place = ns_place_on_node(MPI_COMM_WORLD), alone = ns_place_on_node(MPI_COMM_SELF);
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    assert_true(place.n_ranks == n_ranks && place.rank == rank); /* tests run on one machine */
    assert_true(alone.n_ranks == 1 && alone.rank == 0);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_groups, make_root, remove_root),
        cmocka_unit_test_setup_teardown(second_version, make_root, remove_root),
        cmocka_unit_test_setup_teardown(first_version, make_root, remove_root),
        cmocka_unit_test(cores),
        cmocka_unit_test(memory),
        cmocka_unit_test(names),
        cmocka_unit_test(processes),
        cmocka_unit_test(place_on_node),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
